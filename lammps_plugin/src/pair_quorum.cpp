// pair_style quorum during a run; see pair_quorum.h, and README.md for its use.

#include "pair_quorum.h"

#include "atom.h"
#include "comm.h"
#include "domain.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "tally.h"
#include "together.h"
#include "update.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

using namespace LAMMPS_NS;

// LAMMPS before 2025 has no such flag.
template <class P> static auto offer_atomic_energies(P *pair, int)
    -> decltype(void(pair->atomic_energy_enable = 1))
{
  pair->atomic_energy_enable = 1;
}
template <class P> static void offer_atomic_energies(P *, long) {}

PairQuorum::PairQuorum(LAMMPS *lmp, Opener opener) : Pair(lmp), opener_(opener)
{
  single_enable = 0;
  restartinfo = 0;
  one_coeff = 1;
  manybody_flag = 1;
  centroidstressflag = CENTROID_AVAIL;    // of models for which it is not, compute() says why
  comm_reverse = 3;
  offer_atomic_energies(this, 0);
  no_virial_fdotr_compute = 1;    // the virial comes from the gradient, folded images included
}

PairQuorum::~PairQuorum()
{
  delete[] pvector;
  if (allocated) {
    memory->destroy(setflag);
    memory->destroy(cutsq);
    memory->destroy(cutghost);
  }
}

// Work that may fail on some ranks: all leave together, with one line.
void PairQuorum::together(const std::function<void()> &work, const std::string &about)
{
  const auto problem = quorum::first_problem(world, quorum::problem_of(work));
  if (problem.empty()) return;
  error->all(FLERR, "pair_style quorum: " + about + problem);
}

void PairQuorum::build_layout()
{
  quorum::AtomsView view;
  view.n_local = atom->nlocal;
  view.n_all = atom->nlocal + atom->nghost;
  view.x_A = atom->x;
  view.tag = atom->tag;
  view.atomic_number.resize(view.n_all);
  for (int i = 0; i < view.n_all; i++) view.atomic_number[i] = number_of_type_[atom->type[i]];
  view.n_lists = list->inum + (ghostneigh ? list->gnum : 0);
  view.ilist = list->ilist;
  view.numneigh = list->numneigh;
  view.firstneigh = list->firstneigh;
  const auto &requests = model_->info().requests;
  if (fold_) {
    quorum::Box box;
    box.vectors_A = {domain->xprd, 0, 0, domain->xy, domain->yprd, 0, domain->xz, domain->yz,
                     domain->zprd};
    box.periodic = {domain->xperiodic == 1, domain->yperiodic == 1, domain->zperiodic == 1};
    quorum::folded(view, box, requests, layout_);
  } else {
    quorum::ghosts_as_atoms(view, requests, layout_);
  }
  layout_.cluster.select = facts_.honours_selection;
}

double PairQuorum::driving_energy(const double *row_eV, double mean, double mixing) const
{
  if (!model_->info().has_baseline) return mean;
  const double base = row_eV[n_members_];
  return base + mixing * (mean - base);
}

// Sum and sum of squares of the members of an atom against its first one: one pass over the row, and
// no digits lost. Four sums at a time, as every addition would wait for the one before it.
static std::array<double, 2> against_first(const double *row, int n)
{
  double sums[4] = {}, squares[4] = {};
  for (int m = 0; m + 4 <= n; m += 4)
    for (int k = 0; k < 4; k++) {
      const double difference = row[m + k] - row[0];
      sums[k] += difference;
      squares[k] += difference * difference;
    }
  for (int m = n / 4 * 4; m < n; m++) {
    const double difference = row[m] - row[0];
    sums[0] += difference;
    squares[0] += difference * difference;
  }
  return {(sums[0] + sums[1]) + (sums[2] + sums[3]),
          (squares[0] + squares[1]) + (squares[2] + squares[3])};
}

// Energies and spread of the local atoms.
void PairQuorum::take_rows(const std::vector<double> &rows_eV, const quorum::Drive &how)
{
  const int n_columns = facts_.n_columns;
  std::fill(spread_.begin(), spread_.end(), 0.0);
  for (int m = 0; m < nextra; m++) pvector[m] = energy_unit_ * totals_eV_[m];
  for (int c = 0; c < layout_.cluster.n_centers; c++) {
    const double *row = rows_eV.data() + size_t(c) * n_columns;
    const int i = layout_.atom[c];
    auto [sum, squares] = against_first(row, n_members_);
    squares = std::max(squares - sum * sum / n_members_, 0.0);
    const double energy = energy_unit_ * driving_energy(row, row[0] + sum / n_members_, how.mixing);
    if (eflag_global) eng_vdwl += energy;
    if (eflag_atom) eatom[i] += energy;
    if (n_members_ > 1) spread_[i] = energy_unit_ * std::sqrt(squares / (n_members_ - 1));
  }
}

void PairQuorum::take_gradient(const quorum::Gradient &gradient)
{
  const auto w = quorum::symmetrised(
      quorum::add_forces(layout_, gradient, energy_unit_, atom->f[0]));
  if (vflag_global)
    for (int v = 0; v < 6; v++) virial[v] += w[v];
  if (vflag_atom) quorum::add_atom_virials(layout_, gradient, energy_unit_, vatom[0]);
  if (cvflag_atom) quorum::add_centroid_virials(layout_, gradient, energy_unit_, cvatom[0]);
}

// Why the energy of an atom is not a function of its neighbours; empty if it is.
std::string PairQuorum::not_local() const
{
  if (model_->info().has_baseline)
    return options_.file + " has a weighted baseline, whose mixing depends on the whole system";
  if (fold_) return options_.file + " sees farther than the neighbours of an atom";
  return "";
}

void PairQuorum::check_request() const
{
  const double needed = facts_.range_A + neighbor->skin;
  if (ghostneigh && comm->get_comm_cutoff() < needed - 1e-9)
    error->all(FLERR, "pair_style quorum: ghosts reach {} Angstrom, but {} needs {}; raise "
               "comm_modify cutoff", comm->get_comm_cutoff(), options_.file, needed);
  if (!vflag_atom && !cvflag_atom) return;
  if (facts_.reads_positions)
    error->all(FLERR, "pair_style quorum: {} reads positions instead of distances, so that its "
               "virial cannot be told apart by atoms; leave out stress/atom", options_.file);
  if (!cvflag_atom) return;
  auto why = not_local();
  for (const auto &request : model_->info().requests)
    if (why.empty() && !request.full) why = options_.file + " lists every pair once";
  if (!why.empty())
    error->all(FLERR, "pair_style quorum: {}, so that no current of energy between atoms is known; "
               "leave out centroid/stress/atom", why);
}

void PairQuorum::compute(int eflag, int vflag)
{
  ev_init(eflag, vflag);
  check_request();
  if (int(spread_.size()) < atom->nmax) spread_.resize(atom->nmax);
  build_layout();

  // models refuse systems without atoms: an empty rank only takes part in what all ranks do
  const bool empty = layout_.cluster.n_centers == 0;
  const std::string file = options_.file + ": ";
  const bool deviation = deviation_ && deviation_->is_due(update->ntimestep);
  const std::vector<double> none;
  const std::vector<double> *rows = &none;
  totals_eV_.assign(facts_.n_columns, 0.0);
  auto forward = [&] {
    if (empty) return;
    rows = &model_->forward(layout_.cluster, true);
    const size_t n_columns = totals_eV_.size();
    for (size_t k = 0; k < rows->size(); k++) totals_eV_[k % n_columns] += (*rows)[k];
    for (const double total : totals_eV_)
      if (!std::isfinite(total))
        throw std::runtime_error("its energy is not finite; atoms may be on top of each other");
  };
  quorum::Drive how = quorum::mean_of_members(n_members_);
  auto backward = [&] {
    if (!empty) take_gradient(model_->gradient(how.cotangents, deviation));
  };
  if (model_->info().has_baseline) {
    together(forward, file);
    // the mixing depends on energies of the whole system: those of all ranks
    auto totals = totals_eV_;
    MPI_Allreduce(MPI_IN_PLACE, totals.data(), int(totals.size()), MPI_DOUBLE, MPI_SUM, world);
    how = quorum::weighted_baseline(totals, model_->info().sigma_eV);
    together(backward, file);
  } else {
    together(
        [&] {
          forward();
          backward();
        },
        file);
  }
  take_rows(*rows, how);
  if (deviation) write_deviation();
}

// One backward pass per member; forces are whole after the ghosts' part has gone home.
void PairQuorum::write_deviation()
{
  const size_t n_local = size_t(atom->nlocal);
  std::vector<bool> counts(n_local);
  for (size_t i = 0; i < n_local; i++) counts[i] = number_of_type_[atom->type[i]] != 0;
  deviation_->begin(3 * n_local);
  for (int m = 0; m < n_members_; m++) {
    member_forces_.assign(3 * (n_local + atom->nghost), 0.0);
    quorum::Tensor virial{};
    together(
        [&] {
          if (layout_.cluster.n_centers == 0) return;
          std::vector<double> cotangents(facts_.n_columns, 0.0);
          cotangents[m] = 1.0;
          const auto &gradient = model_->gradient(cotangents, m + 1 < n_members_);
          virial = quorum::add_forces(layout_, gradient, energy_unit_, member_forces_.data());
        },
        options_.file + ": ");
    comm->reverse_comm(this);
    deviation_->add_member(member_forces_.data(), virial);
  }
  deviation_->write(update->ntimestep, counts, world);
}

int PairQuorum::pack_reverse_comm(int n, int first, double *buffer)
{
  std::copy_n(member_forces_.begin() + 3 * size_t(first), 3 * size_t(n), buffer);
  return 3 * n;
}

void PairQuorum::unpack_reverse_comm(int n, int *list, double *buffer)
{
  for (int k = 0; k < n; k++)
    for (int d = 0; d < 3; d++) member_forces_[3 * size_t(list[k]) + d] += *buffer++;
}

double PairQuorum::compute_atomic_energy(int i, NeighList *neighbours)
{
  const auto why = not_local();
  if (!why.empty())
    error->one(FLERR, "pair_style quorum: {}, so that trial moves need the energy of the whole "
               "system; leave out atomic/energy yes", why);
  const double needed = 2.0 * facts_.cutoff_A + neighbor->skin;
  if (comm->get_comm_cutoff() < needed - 1e-9)
    error->one(FLERR, "pair_style quorum: ghosts reach {} Angstrom, but the neighbours of an atom's "
               "neighbours are up to {} away; raise comm_modify cutoff", comm->get_comm_cutoff(),
               needed);
  quorum::Neighbourhoods view;
  view.n_all = atom->nlocal + atom->nghost;
  view.n_lists = neighbours->inum + (neighbours->ghost ? neighbours->gnum : 0);
  view.x_A = atom->x;
  view.type = atom->type;
  view.atomic_number = number_of_type_.data();
  view.numneigh = neighbours->numneigh;
  view.firstneigh = neighbours->firstneigh;
  try {
    return energy_unit_ *
        local_energies_.energy_eV(i, view, *model_, facts_.honours_selection);
  } catch (const std::runtime_error &failure) {
    error->one(FLERR, "pair_style quorum: {}: {}", options_.file, failure.what());
  }
  return 0.0;
}

void *PairQuorum::extract_peratom(const char *name, int &ncol)
{
  if (std::strcmp(name, "spread") != 0 || n_members_ < 2) return nullptr;
  ncol = 0;
  const auto size = size_t(std::max(atom->nmax, 1));
  if (spread_.size() < size) spread_.resize(size);
  return spread_.data();
}
