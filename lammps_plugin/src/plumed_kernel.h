// PLUMED's own kernel, opened at run time by its C interface: no header and no library of PLUMED is
// needed to build this.

#ifndef QUORUM_PLUMED_KERNEL_H
#define QUORUM_PLUMED_KERNEL_H

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace quorum {

// How the numbers of the program count, as PLUMED asks for it.
struct KernelSetup {
  std::string kernel, input, log;
  int n_atoms = 0;
  double timestep = 0.0;
  bool natural = false;
  double energy_kJ_mol = 1.0, length_nm = 1.0, time_ps = 1.0;
  std::vector<std::string> names;    // of the values that are wanted
};

// One instance, on one rank. Everything throws std::runtime_error.
class PlumedKernel {
 public:
  explicit PlumedKernel(const KernelSetup &setup);
  ~PlumedKernel();
  PlumedKernel(const PlumedKernel &) = delete;
  PlumedKernel &operator=(const PlumedKernel &) = delete;

  struct Answer {
    double bias = 0.0;
    std::vector<double> forces;
    std::array<double, 9> virial{};    // [a, b] = Σ x_a dV/dx_b
  };
  // Positions, masses and charges in the order of the IDs; rows of `box` are its vectors, all zero
  // where nothing is periodic.
  void calculate(int64_t step, const std::vector<double> &positions,
                 const std::vector<double> &masses, const std::vector<double> &charges,
                 const std::array<double, 9> &box, Answer &answer);
  const std::vector<double> &values() const { return values_; }

 private:
  void command(const std::string &key, const void *value);

  std::string input_;
  void (*cmd_)(void *, const char *, const void *) = nullptr;
  void (*finalize_)(void *) = nullptr;
  void *plumed_ = nullptr;
  std::vector<double> values_;
};

// PLUMED_KERNEL, or the name under which the system's loader may know the library.
std::string kernel_library(const std::string &given);
bool has_kernel(const std::string &library);

}    // namespace quorum

#endif
