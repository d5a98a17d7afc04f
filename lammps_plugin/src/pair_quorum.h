// pair_style quorum: a committee of machine-learning potentials drives by its mean, and the energy
// of every member and the spread per atom are there for output.

#ifndef LMP_PAIR_QUORUM_H
#define LMP_PAIR_QUORUM_H

#include "drive.h"
#include "edges.h"
#include "evaluator.h"
#include "measure.h"
#include "pair.h"

#include <memory>
#include <string>
#include <vector>

namespace LAMMPS_NS {

class PairQuorum : public Pair {
 public:
  // opens the torch part; throws std::runtime_error if there is none
  using Opener = quorum::Evaluator *(*)(const quorum::Options &, std::string &);

  PairQuorum(class LAMMPS *lmp, Opener opener);
  ~PairQuorum() override;
  void compute(int eflag, int vflag) override;
  void settings(int narg, char **arg) override;
  void coeff(int narg, char **arg) override;
  void init_style() override;
  double init_one(int i, int j) override;
  void *extract_peratom(const char *name, int &ncol) override;

 private:
  template <class Work> void together(Work &&work);
  void load();
  void allocate();
  void build_layout();
  quorum::Drive drive(const std::vector<double> &local_totals_eV) const;
  void take_rows(const std::vector<double> &rows_eV, const quorum::Drive &how);
  void take_gradient(const quorum::Gradient &gradient);
  void tally_atom_virials(const quorum::Gradient &gradient);
  double driving_energy(const double *row_eV, double mixing) const;

  Opener opener_;
  quorum::Options options_;
  std::unique_ptr<quorum::Evaluator> model_;
  quorum::Facts facts_;
  int n_members_ = 0;
  bool fold_ = false;                     // images of an atom are one atom
  double energy_unit_ = 1.0;              // LAMMPS energy units per eV
  std::vector<int> number_of_type_;       // atomic number per LAMMPS type, 0: not ours
  quorum::Layout layout_;
  std::vector<double> spread_;            // per local atom, LAMMPS units
};

}    // namespace LAMMPS_NS

#endif
