// See order_print.h.

#include "order_print.h"

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>

namespace quorum::order {

PrintFile::PrintFile(const Print &print, const std::vector<std::string> &names, std::string file) :
    print_(print), file_(std::move(file)), header_("#! FIELDS time")
{
  for (const size_t k : print_.arguments) header_ += " " + names[k];
}

// Rows that an earlier run has left, up to a time.
static std::vector<std::string> rows_before(const std::string &file, double time, bool all)
{
  std::vector<std::string> rows;
  std::ifstream in(file);
  std::string line;
  while (std::getline(in, line))
    if (line.rfind('#', 0) == 0 || all ||
        std::strtod(line.c_str(), nullptr) < time - 1e-6 * std::abs(time))
      rows.push_back(line);
  return rows;
}

void PrintFile::open(int64_t step, double time)
{
  if (out_) return;
  std::vector<std::string> rows;
  const bool anew = print_.restart == "NO" || (print_.restart == "AUTO" && step == 0);
  if (!anew) rows = rows_before(file_, time, print_.restart == "YES");
  const auto fresh = file_ + ".new";    // a crash leaves the old rows where they were
  out_.reset(std::fopen(fresh.c_str(), "w"));
  if (out_) {
    bool known = false;
    for (const auto &row : rows) {
      known = row.rfind("#! FIELDS", 0) == 0 ? row == header_ : known;
      std::fprintf(out_.get(), "%s\n", row.c_str());
    }
    if (!known) std::fprintf(out_.get(), "%s\n", header_.c_str());
  }
  if (!out_ || std::fflush(out_.get()) != 0 || std::rename(fresh.c_str(), file_.c_str()) != 0)
    throw Failure(print_.statement.where() + ": [PRINT] FILE: " + file_ + " cannot be written (" +
                  std::strerror(errno) + "); give a file in a folder that can");
}

void PrintFile::write(int64_t step, double time, const std::vector<double> &values)
{
  if (!out_ || step % print_.stride != 0 || step == last_step_) return;
  if (time < print_.from || time >= print_.until) return;
  last_step_ = step;
  std::fprintf(out_.get(), " %f", time);
  const auto format = " " + print_.format;
  for (const size_t k : print_.arguments) std::fprintf(out_.get(), format.c_str(), values[k]);
  std::fprintf(out_.get(), "\n");
  std::fflush(out_.get());
}

}    // namespace quorum::order
