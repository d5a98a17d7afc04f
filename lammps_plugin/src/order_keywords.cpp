// The keywords of a statement, taken one by one; see order_words.h.

#include "order_words.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace quorum::order {

std::optional<std::string> Keywords::text(const std::string &key)
{
  known_.push_back(key);
  for (auto word = left_.begin(); word != left_.end(); ++word) {
    if (upper(word->substr(0, key.size() + 1)) != key + "=") continue;
    const auto value = word->substr(key.size() + 1);
    left_.erase(word);
    if (value.empty()) throw error(key, "nothing", "a value after the equals sign");
    if (value.rfind("@replicas:", 0) == 0) throw needs_kernel(key + "=@replicas");
    return value;
  }
  return std::nullopt;
}

std::string Keywords::needed(const std::string &key, const std::string &what)
{
  const auto value = text(key);
  if (!value) throw error(key, "nothing", what);
  return *value;
}

bool Keywords::flag(const std::string &key)
{
  known_.push_back(key);
  for (auto word = left_.begin(); word != left_.end(); ++word)
    if (upper(*word) == key) {
      left_.erase(word);
      return true;
    }
  return false;
}

std::vector<double> Keywords::numbers(const std::string &key, size_t count,
                                      std::optional<double> fallback)
{
  const auto value = text(key);
  if (!value) {
    if (!fallback)
      throw error(key, "nothing", (count ? std::to_string(count) : "some") + " number(s)");
    return std::vector<double>(count ? count : 1, *fallback);
  }
  std::vector<double> found;
  for (const auto &part : split(*value, ", \t")) found.push_back(read_number(key, part));
  if (count && found.size() != count)
    throw error(key, std::to_string(found.size()) + " numbers",
                std::to_string(count) + ", one for each argument");
  return found;
}

double Keywords::number(const std::string &key, std::optional<double> fallback)
{
  return numbers(key, 1, fallback)[0];
}

int Keywords::whole(const std::string &key, std::optional<double> fallback)
{
  const double value = number(key, fallback);
  if (value != std::floor(value) || std::abs(value) > 1e9)
    throw error(key, short_number(value), "a whole number");
  return int(value);
}

std::vector<std::pair<std::string, std::string>> Keywords::numbered(const std::string &key)
{
  std::vector<std::pair<std::string, std::string>> found;
  if (const auto plain = text(key)) found.emplace_back("", *plain);
  for (int number = 1;; number++) {
    const auto more = text(key + std::to_string(number));
    if (!more) break;
    found.emplace_back(std::to_string(number), *more);
  }
  known_.erase(std::remove_if(known_.begin(), known_.end(),
                              [&](const std::string &name) { return name.rfind(key, 0) == 0; }),
               known_.end());
  known_.push_back(key);
  return found;
}

std::vector<std::string> Keywords::names(const std::string &key)
{
  const auto value = needed(key, "names with commas between");
  const auto found = split(value, ", \t");
  if (found.empty()) throw error(key, quoted(value), "names with commas between");
  return found;
}

// A whole number without a sign, from the front of a text; -1 if there is none.
static long take_digits(const std::string &text, size_t &at)
{
  const size_t start = at;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') at++;
  return at == start || at - start > 9 ? -1 : std::atol(text.substr(start, at - start).c_str());
}

std::vector<int> Keywords::range(const std::string &key, const std::string &word) const
{
  size_t at = 0;
  const long first = take_digits(word, at);
  if (first < 0) return {};
  if (at == word.size()) return {int(first)};
  if (word[at++] != '-') return {};
  const long last = take_digits(word, at);
  long step = 1;
  if (last < 0) return {};
  if (at < word.size()) {
    if (word[at++] != ':') return {};
    const bool down = at < word.size() && word[at] == '-';
    at += down;
    step = take_digits(word, at);
    if (step < 0 || at != word.size()) return {};
    if (down) step = -step;
  }
  if (step == 0 || (step < 0) != (first > last))
    throw error(key, word, "a range FIRST-LAST or FIRST-LAST:STEP");
  std::vector<int> atoms;
  for (long atom = first; step > 0 ? atom <= last : atom >= last; atom += step)
    atoms.push_back(int(atom));
  return atoms;
}

void Keywords::finish() const
{
  if (left_.empty()) return;
  std::vector<std::string> known;
  for (const auto &name : known_)
    if (std::find(known.begin(), known.end(), name) == known.end()) known.push_back(name);
  throw NeedsKernel(statement.where() + ": [" + statement.action + "] " +
                    left_[0].substr(0, left_[0].find('=')) + ": got " + quoted(left_[0]) +
                    ", expected keywords of the native backend (" + joined(known, ", ") +
                    "); if it is PLUMED's, it needs the PLUMED kernel; set PLUMED_KERNEL");
}

NeedsKernel Keywords::needs_kernel(const std::string &what, const std::string &why) const
{
  return NeedsKernel(statement.where() + ": [" + statement.action + "] " + what +
                     " needs the PLUMED kernel" + (why.empty() ? "" : " (" + why + ")") +
                     "; set PLUMED_KERNEL");
}

double Keywords::read_number(const std::string &key, const std::string &text) const
{
  if (upper(text) == "PI" || upper(text) == "+PI") return 4.0 * std::atan(1.0);
  char *end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (*end != '\0' || text.find_first_of("xX") != std::string::npos)
    throw error(key, quoted(text), "a number");
  if (!std::isfinite(value)) throw error(key, quoted(text), "a finite number");
  return value;
}

}    // namespace quorum::order
