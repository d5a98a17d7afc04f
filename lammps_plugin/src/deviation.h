// The file of `deviation N file`: how much the members disagree about forces and virial, in the form
// of DeePMD's model_devi.out (Zeng et al., J. Chem. Phys. 159, 054801 (2023),
// doi:10.1063/5.0155600), so that tools which choose structures by it read ours.
//
// Per atom sqrt(Σ_k |F_k - mean|² / (K-1)), of which maximum, minimum and mean over atoms; per
// component of the virial the standard deviation over members divided by the number of atoms, of
// which maximum, minimum and root mean square over the nine. DeePMD divides by K, everything here by
// K - 1: the header says so.

#ifndef QUORUM_DEVIATION_H
#define QUORUM_DEVIATION_H

#include "tally.h"

#include <mpi.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace quorum {

class Deviation {
 public:
  Deviation(int every, std::string file) : every_(every), file_(std::move(file)) {}
  ~Deviation();
  Deviation(const Deviation &) = delete;
  Deviation &operator=(const Deviation &) = delete;

  // On the rank that writes, before a run. At step 0 the file is begun anew; later, rows of earlier
  // steps are kept and others replaced. Throws std::runtime_error if it cannot be written.
  void open(int64_t step, int n_members, const std::string &units);
  // Once per step, for the first evaluation in it.
  bool is_due(int64_t step) const { return step % every_ == 0 && step != last_step_; }

  // forces: 3 per local atom; virial: this rank's part.
  void begin(size_t n_numbers);
  void add_member(const double *forces, const Tensor &virial);
  // counts: which local atoms are of this pair style. All ranks.
  void write(int64_t step, const std::vector<bool> &counts, MPI_Comm world);

 private:
  int64_t every_;
  std::string file_;
  std::FILE *out_ = nullptr;
  int64_t last_step_ = -1;
  int n_members_ = 0;
  std::vector<double> mean_, squares_;    // running mean and Σ (F - mean)² of every component
  std::vector<double> virials_;           // 9 per member
};

}    // namespace quorum

#endif
