// fix quorum/bias: a bias on order parameters, from PLUMED's input, by this package's own code on any
// number of ranks, or by PLUMED's kernel on the first.

#ifndef LMP_FIX_BIAS_H
#define LMP_FIX_BIAS_H

#include "fix.h"
#include "order_evaluate.h"
#include "order_print.h"
#include "plumed_kernel.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace LAMMPS_NS {

class FixBias : public Fix {
 public:
  FixBias(class LAMMPS *lmp, int narg, char **arg);
  int setmask() override;
  void init() override;
  void setup(int vflag) override;
  void min_setup(int vflag) override;
  void post_force(int vflag) override;
  void min_post_force(int vflag) override;
  double compute_scalar() override;
  double compute_vector(int n) override;

 private:
  // fix_bias_setup.cpp
  void read_keywords(int narg, char **arg);
  void read_units();
  void read_input();
  std::optional<std::string> text_of(const std::string &file);
  void check_system();
  void open_kernel();
  void open_prints();
  void say_values();

  void gather();
  void evaluate_native();
  void evaluate_kernel();
  void print_values();

  std::string file_, backend_, kernel_file_, outfile_;
  // units of LAMMPS as PLUMED counts them; numbers of the input times these are LAMMPS's
  double length_nm_ = 1.0, energy_kJ_mol_ = 1.0, time_ps_ = 1.0;
  double length_ = 1.0, energy_ = 1.0, time_ = 1.0;
  bool natural_ = false, said_ = false;
  std::vector<std::string> names_;    // of the values, in the order of the vector
  std::unique_ptr<quorum::order::Evaluator> evaluator_;
  std::vector<quorum::order::PrintFile> prints_;    // on the first rank
  std::unique_ptr<quorum::PlumedKernel> kernel_;    // on the first rank
  quorum::PlumedKernel::Answer answer_;
  std::vector<double> masses_, charges_;

  size_t n_atoms_ = 0;
  std::vector<double> positions_;     // of all atoms, in the order of their IDs
  double bias_ = 0.0;                 // this and the next two in LAMMPS units
  std::vector<double> forces_;        // of all atoms
  std::array<double, 9> strain_{};    // [a, b] = Σ x_a dV/dx_b
  std::vector<double> values_;        // in the input's units
};

}    // namespace LAMMPS_NS

#endif
