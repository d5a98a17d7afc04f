// pair_style quorum: a committee of machine-learning potentials drives by its mean, and the energy
// of every member and the spread per atom are there for output.

#ifndef LMP_PAIR_QUORUM_H
#define LMP_PAIR_QUORUM_H

#include "deviation.h"
#include "drive.h"
#include "edges.h"
#include "evaluator.h"
#include "local_energies.h"
#include "measure.h"
#include "pair.h"

#include <functional>
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
  int pack_reverse_comm(int n, int first, double *buffer) override;
  void unpack_reverse_comm(int n, int *list, double *buffer) override;
  // energy of one atom from its neighbours, for fix sgcmc; LAMMPS before 2025 does not ask for it,
  // hence no `override`
  double compute_atomic_energy(int i, class NeighList *neighbours);

  // for fix quorum/swap
  const std::string &file() const { return options_.file; }
  quorum::Evaluator &model() { return *model_; }
  const quorum::Facts &facts() const { return facts_; }
  int atomic_number(int type) const { return number_of_type_[type]; }    // 0: none
  double energy_unit() const { return energy_unit_; }                     // per eV
  // columns of the last evaluation, summed over the atoms of this rank
  const std::vector<double> &totals_eV() const { return totals_eV_; }

 private:
  void together(const std::function<void()> &work, const std::string &about = "");
  void set_deviation(const std::string &every, const std::string &file);
  void load();
  void allocate();
  std::string not_local() const;
  void check_request() const;
  void build_layout();
  void take_rows(const std::vector<double> &rows_eV, const quorum::Drive &how);
  void take_gradient(const quorum::Gradient &gradient);
  void write_deviation();
  double driving_energy(const double *row_eV, double mean, double mixing) const;

  Opener opener_;
  quorum::Options options_;
  std::unique_ptr<quorum::Evaluator> model_;
  quorum::Facts facts_;
  int n_members_ = 0;
  bool fold_ = false;                     // images of an atom are one atom
  double energy_unit_ = 1.0;              // LAMMPS energy units per eV
  std::vector<int> number_of_type_;       // atomic number per LAMMPS type, 0: not ours
  quorum::Layout layout_;
  std::vector<double> totals_eV_;         // columns, summed over the local atoms
  std::vector<double> spread_;            // per local atom, LAMMPS units
  std::unique_ptr<quorum::Deviation> deviation_;
  std::vector<double> member_forces_;     // of one member, on local atoms and ghosts
  quorum::LocalEnergies local_energies_;
};

}    // namespace LAMMPS_NS

#endif
