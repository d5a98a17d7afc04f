// The file of member deviations; see deviation.h.

#include "deviation.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <stdexcept>

namespace quorum {

static const char *const COLUMNS[] = {"max_devi_v", "min_devi_v", "avg_devi_v",
                                      "max_devi_f", "min_devi_f", "avg_devi_f"};

Deviation::~Deviation()
{
  if (out_) std::fclose(out_);
}

static std::runtime_error unwritable(const std::string &file)
{
  return std::runtime_error("deviation: " + file + " cannot be written (" +
                            std::strerror(errno) + "); give a file in a folder that can");
}

// Rows of steps before the present one of a file that an earlier run has left.
static std::vector<std::string> rows_before(const std::string &file, int64_t step)
{
  std::vector<std::string> rows;
  std::ifstream in(file);
  std::string line;
  bool ours = false, empty = true;
  while (std::getline(in, line)) {
    empty = false;
    if (line.rfind('#', 0) == 0)
      ours = ours || line.find(COLUMNS[0]) != std::string::npos;
    else if (ours && step > 0 && std::strtoll(line.c_str(), nullptr, 10) < step)
      rows.push_back(line);
  }
  if (!ours && !empty)
    throw std::runtime_error("deviation: " + file + " exists and is no file of deviations; give "
                             "another name or remove it");
  return rows;
}

void Deviation::open(int64_t step, int n_members, const std::string &units)
{
  if (out_) return;
  const auto rows = rows_before(file_, step);
  const auto fresh = file_ + ".new";    // a crash leaves the old rows where they were
  out_ = std::fopen(fresh.c_str(), "w");
  if (!out_) throw unwritable(file_);
  std::fprintf(out_, "# standard deviation over %d members (K - 1 in the denominator); %s\n",
               n_members, units.c_str());
  std::fprintf(out_, "#%11s", "step");
  for (const auto *name : COLUMNS) std::fprintf(out_, " %18s", name);
  std::fprintf(out_, "\n");
  for (const auto &row : rows) std::fprintf(out_, "%s\n", row.c_str());
  if (std::fflush(out_) != 0 || std::rename(fresh.c_str(), file_.c_str()) != 0) {
    const auto problem = unwritable(file_);
    std::fclose(out_);
    out_ = nullptr;
    std::remove(fresh.c_str());
    throw problem;
  }
}

void Deviation::begin(size_t n_numbers)
{
  n_members_ = 0;
  mean_.assign(n_numbers, 0.0);
  squares_.assign(n_numbers, 0.0);
  virials_.clear();
}

void Deviation::add_member(const double *forces, const Tensor &virial)
{
  n_members_++;
  for (size_t k = 0; k < mean_.size(); k++) {
    const double before = forces[k] - mean_[k];
    mean_[k] += before / n_members_;
    squares_[k] += before * (forces[k] - mean_[k]);
  }
  for (int a = 0; a < 3; a++)
    for (int b = 0; b < 3; b++)
      virials_.push_back(0.5 * (virial[3 * a + b] + virial[3 * b + a]));
}

void Deviation::write(int64_t step, const std::vector<bool> &counts, MPI_Comm world)
{
  last_step_ = step;
  const double infinity = std::numeric_limits<double>::infinity();
  double sums[2] = {0.0, 0.0};    // of deviations, of atoms
  double extremes[2] = {-infinity, -infinity};    // largest, and minus the smallest
  for (size_t i = 0; i < counts.size(); i++) {
    if (!counts[i]) continue;
    const double *s = &squares_[3 * i];
    const double deviation = std::sqrt((s[0] + s[1] + s[2]) / (n_members_ - 1));
    sums[0] += deviation;
    sums[1] += 1.0;
    extremes[0] = std::max(extremes[0], deviation);
    extremes[1] = std::max(extremes[1], -deviation);
  }
  MPI_Allreduce(MPI_IN_PLACE, sums, 2, MPI_DOUBLE, MPI_SUM, world);
  MPI_Allreduce(MPI_IN_PLACE, extremes, 2, MPI_DOUBLE, MPI_MAX, world);
  MPI_Allreduce(MPI_IN_PLACE, virials_.data(), int(virials_.size()), MPI_DOUBLE, MPI_SUM, world);
  if (!out_ || sums[1] == 0.0) return;

  std::array<double, 9> spread{};
  for (int c = 0; c < 9; c++) {
    double mean = 0.0, squares = 0.0;
    for (int m = 0; m < n_members_; m++) mean += virials_[9 * m + c] / n_members_;
    for (int m = 0; m < n_members_; m++)
      squares += (virials_[9 * m + c] - mean) * (virials_[9 * m + c] - mean);
    spread[c] = std::sqrt(squares / (n_members_ - 1)) / sums[1];
  }
  double mean_square = 0.0;
  for (const double s : spread) mean_square += s * s / 9.0;
  std::fprintf(out_, "%12lld", static_cast<long long>(step));
  for (const double value : {*std::max_element(spread.begin(), spread.end()),
                             *std::min_element(spread.begin(), spread.end()),
                             std::sqrt(mean_square), extremes[0], -extremes[1],
                             sums[0] / sums[1]})
    std::fprintf(out_, " %18.10e", value);
  std::fprintf(out_, "\n");
  std::fflush(out_);
}

}    // namespace quorum
