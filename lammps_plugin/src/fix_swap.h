// fix quorum/swap: Monte Carlo trials that exchange or change the types of atoms, between steps of
// molecular dynamics, with the energies of pair_style quorum.

#ifndef LMP_FIX_SWAP_H
#define LMP_FIX_SWAP_H

#include "fix.h"
#include "swap_chain.h"

#include <memory>
#include <string>
#include <vector>

namespace LAMMPS_NS {

class FixSwap : public Fix {
 public:
  FixSwap(class LAMMPS *lmp, int narg, char **arg);
  int setmask() override;
  void init() override;
  void setup(int vflag) override;
  void pre_exchange() override;
  double compute_vector(int n) override;
  double compute_array(int row, int column) override;
  void write_restart(FILE *file) override;
  void restart(char *data) override;
  int modify_param(int narg, char **arg) override;
  void reset_target(double temperature_K) override;

 private:
  // fix_swap_setup.cpp
  void read_keywords(int narg, char **arg);
  int read_types(int narg, char **arg);
  int read_pairs(int narg, char **arg);
  int read_per_type(const std::string &keyword, int narg, char **arg, std::vector<double> &values);
  double read_number(const std::string &keyword, const char *word);
  void read_temperature(const std::string &word);
  int species_of(const std::string &keyword, const char *word);
  void check_rules();
  void check_system();
  void check_types();
  void open(class PairQuorum &pair);
  void say_part(quorum::SiteEnergies::Part part);

  double temperature_K();
  quorum::System gather();
  void choose_sites();
  void find_neighbours(const quorum::System &system);
  void give_types_back();
  void compare_with_pair(const quorum::System &system);
  void check_drift();

  // arguments; energies in LAMMPS units
  int n_trials_ = 0;
  uint64_t seed_ = 0;
  double fixed_temperature_K_ = 0.0;
  std::string temperature_variable_, thermostat_, region_;
  std::vector<int> types_;                // that take part: the species, in this order
  std::vector<double> pair_weights_, mu_, target_;
  double kappa_ = 0.0, neighbour_cutoff_A_ = 0.0;
  bool flips_ = false, rescale_ = true;
  int64_t check_every_ = 1000;
  int batch_ = 0;

  double energy_unit_ = 1.0;
  bool single_precision_ = false, said_ = false, compared_ = false;
  quorum::SiteEnergies::Part part_ = quorum::SiteEnergies::Part::WHOLE;    // that was said last
  std::string file_;
  std::vector<int> number_of_type_;
  std::unique_ptr<quorum::SiteEnergies> energies_;
  std::unique_ptr<quorum::SwapChain> chain_;
  quorum::Sites sites_;

  // all atoms, in the order of their IDs
  std::vector<tagint> tags_;
  std::vector<int> type_;
  std::vector<char> eligible_;
  std::vector<int> mine_;                 // of the local atoms, where they are above

  double last_temperature_K_ = 0.0, largest_drift_eV_ = 0.0;
  int64_t next_check_ = 0;                // accepted moves at which totals are checked again
  int64_t n_centers_before_ = 0, n_changes_before_ = 0;    // by what energies_ was before
};

}    // namespace LAMMPS_NS

#endif
