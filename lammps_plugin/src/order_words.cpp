// Comments, continuation lines, braces and labels; see order_words.h.

#include "order_words.h"

#include <algorithm>
#include <cctype>
#include <cstdio>

namespace quorum::order {

std::string upper(std::string text)
{
  for (char &c : text) c = char(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

std::string quoted(const std::string &text)
{
  return "'" + text + "'";
}

std::string short_number(double value)
{
  char text[32];
  std::snprintf(text, sizeof(text), "%g", value);
  return text;
}

std::string joined(const std::vector<std::string> &words, const std::string &between)
{
  std::string text;
  for (size_t k = 0; k < words.size(); k++) text += (k ? between : "") + words[k];
  return text;
}

std::vector<std::string> split(const std::string &text, const char *separators)
{
  std::vector<std::string> parts;
  size_t start = 0;
  while ((start = text.find_first_not_of(separators, start)) != std::string::npos) {
    const size_t end = std::min(text.find_first_of(separators, start), text.size());
    parts.push_back(text.substr(start, end - start));
    start = end;
  }
  return parts;
}

Failure Statement::error(const std::string &keyword, const std::string &found,
                         const std::string &expected) const
{
  return Failure(where() + ": [" + action + "] " + keyword + ": got " + found + ", expected " +
                 expected);
}

// Words at brace level 0, outer braces removed; the level becomes that at the end of the line.
static std::vector<std::string> split_braces(const std::string &line, int &level,
                                             const std::string &where)
{
  std::vector<std::string> words;
  std::string word;
  bool started = level > 0;
  for (const char letter : line) {
    if (letter == '}' && --level < 0)
      throw Failure(where + ": [braces] }: got a closing brace, expected an opening one before it");
    const bool outer = level == 0 && (letter == '{' || letter == '}');
    if (level == 0 && (letter == ' ' || letter == '\t')) {
      if (!word.empty() || started) words.push_back(word);
      word.clear();
      started = false;
    } else if (!outer) {
      word += letter;
      started = true;
    }
    if (letter == '{') level++;
  }
  if (!word.empty() || started) words.push_back(word);
  return words;
}

std::vector<std::string> words_of(const std::string &text)
{
  int level = 0;
  return split_braces(text, level, text);
}

static Statement statement_of(std::vector<std::string> words, const std::string &file, int line)
{
  Statement result{file, line, "", "", {}};
  if (words.front().back() == ':' && words.size() > 1) {
    result.label = words.front().substr(0, words.front().size() - 1);
    words.erase(words.begin());
  }
  result.action = upper(words.front());
  words.erase(words.begin());
  for (auto word = words.begin(); word != words.end(); ++word) {
    if (upper(word->substr(0, 6)) != "LABEL=") continue;
    if (!result.label.empty())
      throw result.error("LABEL", quoted(*word) + " beside '" + result.label + ":'", "one label");
    result.label = word->substr(6);
    words.erase(word);
    break;
  }
  result.words = words;
  return result;
}

static std::string stripped(const std::string &line)
{
  const char *const blank = " \t\r\f\v";
  const size_t first = line.find_first_not_of(blank);
  if (first == std::string::npos) return "";
  return line.substr(first, line.find_last_not_of(blank) + 1 - first);
}

std::vector<Statement> parse_statements(const std::string &text, const std::string &file)
{
  std::vector<Statement> statements;
  std::vector<std::string> words;
  int start = 0, level = 0, number = 0;
  bool open = false;    // after dots
  const auto line_of = [&](int n) { return file + ", line " + std::to_string(n); };
  for (size_t at = 0; at < text.size(); number++) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const auto raw = text.substr(at, end - at);
    at = end + 1;
    const auto line = stripped(raw.substr(0, raw.find('#')));
    if (line.empty()) continue;
    if (words.empty() && !open) start = number + 1;
    const bool inside = level > 0;
    auto found = split_braces(line, level, line_of(number + 1));
    if (open && !found.empty() && found[0] == "..." && !inside) {
      if (found.size() > 2 || (found.size() == 2 && (words.empty() || found[1] != words[0])))
        throw Failure(line_of(number + 1) + ": [" + words[0] + "] ...: got " +
                      quoted(joined({found.begin() + 1, found.end()}, " ")) +
                      ", expected nothing after the dots, or " + quoted(words[0]));
      open = false;
      found.clear();
    } else if (!found.empty() && found.back() == "...") {
      open = true;
      found.pop_back();
    }
    if (inside && !words.empty() && !found.empty()) {
      words.back() += " " + found.front();
      found.erase(found.begin());
    }
    words.insert(words.end(), found.begin(), found.end());
    if (open) continue;
    if (level)
      throw Failure(line_of(start) + ": [" + words[0] + "] braces: got an opening brace without its "
                    "closing one, expected both; a statement of several lines needs ... at its "
                    "ends");
    if (!words.empty()) statements.push_back(statement_of(words, file, start));
    words.clear();
  }
  if (open) {
    words.resize(std::min<size_t>(words.size(), 2));
    throw Failure(line_of(start) + ": [" + joined(words, " ") + "] ...: got the end of the file, "
                  "expected a line that starts with ... to close the statement");
  }
  return statements;
}

}    // namespace quorum::order
