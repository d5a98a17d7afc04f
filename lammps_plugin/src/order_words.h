// The text of a PLUMED input as statements and keywords; the rules, and the sentences for what breaks
// them, are those of driver/quorum_md/order_parameters/words.py and keywords.py.

#ifndef QUORUM_ORDER_WORDS_H
#define QUORUM_ORDER_WORDS_H

#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace quorum::order {

// Input that cannot be used; one sentence.
struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Something that PLUMED knows and the native backend does not.
struct NeedsKernel : Failure {
  using Failure::Failure;
};

struct Statement {
  std::string file;
  int line = 0;
  std::string label, action;    // action in capitals; label empty if there is none
  std::vector<std::string> words;

  std::string where() const { return file + ", line " + std::to_string(line); }
  Failure error(const std::string &keyword, const std::string &found,
                const std::string &expected) const;
};

std::vector<Statement> parse_statements(const std::string &text, const std::string &file);

// The words of a value, as of SWITCH={…}.
std::vector<std::string> words_of(const std::string &text);

std::string upper(std::string text);
std::string quoted(const std::string &text);
std::string short_number(double value);    // as %g
std::string joined(const std::vector<std::string> &words, const std::string &between);
std::vector<std::string> split(const std::string &text, const char *separators);

// Takes values out of the words of a statement; what is left at the end is an error.
class Keywords {
 public:
  explicit Keywords(const Statement &statement) : statement(statement), left_(statement.words) {}

  std::optional<std::string> text(const std::string &key);
  std::string needed(const std::string &key, const std::string &what);
  bool flag(const std::string &key);
  // Without a fallback the keyword must be there; count 0: any number of them.
  std::vector<double> numbers(const std::string &key, size_t count,
                              std::optional<double> fallback = std::nullopt);
  double number(const std::string &key, std::optional<double> fallback = std::nullopt);
  int whole(const std::string &key, std::optional<double> fallback = std::nullopt);
  // Values of KEY and of KEY1, KEY2, …, each with its number as text.
  std::vector<std::pair<std::string, std::string>> numbered(const std::string &key);
  std::vector<std::string> names(const std::string &key);
  // Atoms from 1, of 1-108, 1-108:2 or 7; empty if the word is none of these.
  std::vector<int> range(const std::string &key, const std::string &word) const;
  void finish() const;

  Failure error(const std::string &key, const std::string &found,
                const std::string &expected) const
  {
    return statement.error(key, found, expected);
  }
  NeedsKernel needs_kernel(const std::string &what, const std::string &why = "") const;

  const Statement statement;

 private:
  double read_number(const std::string &key, const std::string &text) const;

  std::vector<std::string> left_, known_;
};

}    // namespace quorum::order

#endif
