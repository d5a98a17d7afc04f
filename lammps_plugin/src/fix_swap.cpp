// fix quorum/swap during a run; see fix_swap.h, and README.md for its use.

#include "fix_swap.h"

#include "atom.h"
#include "comm.h"
#include "domain.h"
#include "error.h"
#include "force.h"
#include "input.h"
#include "modify.h"
#include "pair_quorum.h"
#include "region.h"
#include "together.h"
#include "update.h"
#include "variable.h"

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace LAMMPS_NS;

// What the vector holds before the numbers of atoms per type.
enum { TRIALS, ACCEPTED, TEMPERATURE, DRIFT, CENTERS, CHANGES, FOUND, N_VALUES };

int FixSwap::setmask()
{
  return FixConst::PRE_EXCHANGE;
}

double FixSwap::temperature_K()
{
  double temperature = fixed_temperature_K_;
  if (!temperature_variable_.empty())
    temperature = input->variable->compute_equal(input->variable->find(temperature_variable_.c_str()));
  if (!thermostat_.empty()) {
    int dimension = -1;
    auto *fix = modify->get_fix_by_id(thermostat_);
    const auto *target = fix ? static_cast<double *>(fix->extract("t_target", dimension)) : nullptr;
    if (!target || dimension != 0)
      error->all(FLERR, "fix quorum/swap: fix {} has no target temperature to follow", thermostat_);
    temperature = *target;
  }
  if (!(temperature > 0.0) || !std::isfinite(temperature))
    error->all(FLERR, "fix quorum/swap: temperature: got {}; expected a number of K above 0",
               temperature);
  return temperature;
}

// All atoms on all ranks, in the order of their IDs.
quorum::System FixSwap::gather()
{
  auto *region = region_.empty() ? nullptr : domain->get_region_by_id(region_);
  if (region) region->prematch();
  constexpr int N = 6;
  std::vector<double> own;
  own.reserve(size_t(atom->nlocal) * N);
  for (int i = 0; i < atom->nlocal; i++) {
    const double *x = atom->x[i];
    const bool eligible =
        (atom->mask[i] & groupbit) && (!region || region->match(x[0], x[1], x[2]));
    own.insert(own.end(), {double(atom->tag[i]), double(atom->type[i]), eligible ? 1.0 : 0.0, x[0],
                           x[1], x[2]});
  }
  const int length = int(own.size());
  std::vector<int> lengths(size_t(comm->nprocs)), starts(size_t(comm->nprocs) + 1, 0);
  MPI_Allgather(&length, 1, MPI_INT, lengths.data(), 1, MPI_INT, world);
  std::partial_sum(lengths.begin(), lengths.end(), starts.begin() + 1);
  std::vector<double> all(size_t(starts.back()));
  MPI_Allgatherv(own.data(), length, MPI_DOUBLE, all.data(), lengths.data(), starts.data(),
                 MPI_DOUBLE, world);

  const size_t n = all.size() / N;
  std::vector<int> order(n), place(n);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](int a, int b) { return all[size_t(a) * N] < all[size_t(b) * N]; });
  quorum::System system;
  const auto &d = *domain;
  system.box.vectors_A = {d.xprd, 0, 0, d.xy, d.yprd, 0, d.xz, d.yz, d.zprd};
  // in two dimensions LAMMPS has z periodic but knows no images along it
  system.box.periodic = {d.xperiodic == 1, d.yperiodic == 1, d.zperiodic == 1 && d.dimension == 3};
  tags_.resize(n);
  type_.resize(n);
  eligible_.resize(n);
  system.positions_A.reserve(3 * n);
  system.numbers.reserve(n);
  for (size_t k = 0; k < n; k++) {
    place[size_t(order[k])] = int(k);
    const double *from = &all[size_t(order[k]) * N];
    tags_[k] = tagint(from[0]);
    type_[k] = int(from[1]);
    eligible_[k] = from[2] != 0.0;
    system.positions_A.insert(system.positions_A.end(), from + 3, from + N);
    system.numbers.push_back(number_of_type_[size_t(type_[k])]);
  }
  const auto first = place.begin() + starts[size_t(comm->me)] / N;
  mine_.assign(first, first + atom->nlocal);
  return system;
}

void FixSwap::choose_sites()
{
  std::vector<int> species_of_type(size_t(atom->ntypes) + 1, -1);
  for (size_t s = 0; s < types_.size(); s++) species_of_type[size_t(types_[s])] = int(s);
  sites_ = quorum::Sites();
  for (size_t k = 0; k < type_.size(); k++) {
    const int species = species_of_type[size_t(type_[k])];
    if (!eligible_[k] || species < 0) continue;
    sites_.atom.push_back(int(k));
    sites_.species.push_back(species);
  }
}

void FixSwap::find_neighbours(const quorum::System &system)
{
  std::vector<int> site_of_atom(type_.size(), -1);
  for (size_t s = 0; s < sites_.atom.size(); s++) site_of_atom[size_t(sites_.atom[s])] = int(s);
  // of a shell of neighbours at just this distance all are meant, as in quorum_md.sampling
  const quorum::Cells cells(system.positions_A, system.box, neighbour_cutoff_A_ * (1.0 + 1e-9));
  std::vector<quorum::Near> near;
  sites_.neighbours.resize(sites_.atom.size());
  for (size_t s = 0; s < sites_.atom.size(); s++) {
    near.clear();
    cells.find(sites_.atom[s], near);
    auto &list = sites_.neighbours[s];
    for (const auto &other : near) {
      const int site = site_of_atom[size_t(other.atom)];
      if (site >= 0 && site != int(s)) list.push_back(site);
    }
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
  }
}

// Types, and velocities whose momenta have the distribution of the new mass.
void FixSwap::give_types_back()
{
  for (size_t s = 0; s < sites_.atom.size(); s++)
    type_[size_t(sites_.atom[s])] = types_[size_t(sites_.species[s])];
  for (int i = 0; i < atom->nlocal; i++) {
    const int type = type_[size_t(mine_[size_t(i)])];
    if (type == atom->type[i]) continue;
    const double factor = rescale_ ? std::sqrt(atom->mass[atom->type[i]] / atom->mass[type]) : 1.0;
    for (int d = 0; d < 3; d++) atom->v[i][d] *= factor;
    atom->type[i] = type;
  }
}

void FixSwap::setup(int)
{
  const auto system = gather();
  choose_sites();    // they are counted in the output before the first trials
  if (!compared_) compare_with_pair(system);
}

// Trials see the system as the pair style does: all of its atoms and images, and no others.
void FixSwap::compare_with_pair(const quorum::System &system)
{
  compared_ = true;
  auto pair = dynamic_cast<PairQuorum &>(*force->pair).totals_eV();
  MPI_Allreduce(MPI_IN_PLACE, pair.data(), int(pair.size()), MPI_DOUBLE, MPI_SUM, world);
  energies_->set(system);
  const auto &mine = energies_->totals_eV();
  for (size_t c = 0; c < pair.size(); c++) {
    const double rounding = single_precision_ ? 1e-5 : 1e-9;
    const double off = std::abs(mine[c] - pair[c]);
    if (off > rounding * (double(type_.size()) + 0.1 * std::abs(pair[c])) + 1e-6)
      error->all(FLERR, "fix quorum/swap: the energy that trials start from is {} eV off that of "
                 "pair_style quorum, so that one of them leaves out neighbours; look for what is "
                 "special in the script (neigh_modify include, comm_modify)", off);
  }
}

void FixSwap::pre_exchange()
{
  if (update->ntimestep % nevery != 0) return;
  next_reneighbor = update->ntimestep + nevery;
  last_temperature_K_ = temperature_K();
  const auto system = gather();
  choose_sites();
  if (neighbour_cutoff_A_ > 0.0) find_neighbours(system);
  energies_->set(system);
  say_part(energies_->part());
  const bool check = chain_->n_accepted >= next_check_;
  if (check) energies_->totals_eV();
  chain_->run(n_trials_, force->boltz * last_temperature_K_ / energy_unit_, sites_, *energies_);
  if (check) check_drift();
  give_types_back();
}

// The totals that were added up move by move against the energy of the system as it is now.
void FixSwap::check_drift()
{
  next_check_ = chain_->n_accepted + check_every_;
  const double drift = energies_->drift_eV();
  largest_drift_eV_ = std::max(largest_drift_eV_, drift);
  const double expected = (single_precision_ ? 1e-6 : 1e-9) * double(type_.size()) + 1e-6;
  if (drift > expected && comm->me == 0)
    error->warning(FLERR, "fix quorum/swap: totals of energies that were added up trial by trial are "
                   "off by {} eV, more than rounding explains; the model may not be a function of "
                   "the neighbours of an atom", drift);
}

double FixSwap::compute_vector(int n)
{
  const auto counted = [&](int64_t before, int64_t now) { return double(before + now); };
  switch (n) {
    case TRIALS: return double(chain_->n_trials);
    case ACCEPTED: return double(chain_->n_accepted);
    case TEMPERATURE: return last_temperature_K_;
    case DRIFT: return largest_drift_eV_;
    case CENTERS: return counted(n_centers_before_, energies_ ? energies_->n_centers : 0);
    case CHANGES: return counted(n_changes_before_, energies_ ? energies_->n_changes : 0);
    case FOUND: return double(chain_->n_found);
    default: {
      const auto &species = sites_.species;
      return double(std::count(species.begin(), species.end(), n - N_VALUES));
    }
  }
}

double FixSwap::compute_array(int row, int column)
{
  const int n = int(types_.size());
  int first = 0, start = 0;
  while (row >= start + n - first - 1) start += n - ++first;
  const auto &count = chain_->pairs[size_t(row)];
  switch (column) {
    case 0: return types_[size_t(first)];
    case 1: return types_[size_t(first + 1 + row - start)];
    case 2: return double(count.attempted);
    default: return double(count.accepted);
  }
}

void FixSwap::write_restart(FILE *file)
{
  if (comm->me != 0) return;
  std::vector<double> list = {double(seed_), double(types_.size()), double(chain_->n_trials),
                              double(chain_->n_accepted), double(chain_->n_found),
                              double(next_check_), largest_drift_eV_, last_temperature_K_,
                              compute_vector(CENTERS), compute_vector(CHANGES)};
  for (const auto &count : chain_->pairs)
    list.insert(list.end(), {double(count.attempted), double(count.accepted)});
  const int bytes = int(list.size() * sizeof(double));
  fwrite(&bytes, sizeof(int), 1, file);
  fwrite(list.data(), sizeof(double), list.size(), file);
}

void FixSwap::restart(char *data)
{
  const auto *list = reinterpret_cast<const double *>(data);
  if (uint64_t(list[0]) != seed_ || size_t(list[1]) != types_.size())
    error->all(FLERR, "fix quorum/swap: the restart file continues seed {} with {} types, the fix has "
               "seed {} with {}; give it the same arguments, or another ID for a chain of its own",
               uint64_t(list[0]), int(list[1]), seed_, types_.size());
  chain_->n_trials = int64_t(list[2]);
  chain_->n_accepted = int64_t(list[3]);
  chain_->n_found = int64_t(list[4]);
  next_check_ = int64_t(list[5]);
  largest_drift_eV_ = list[6];
  last_temperature_K_ = list[7];
  n_centers_before_ = int64_t(list[8]);
  n_changes_before_ = int64_t(list[9]);
  const double *count = list + 10;
  for (auto &pair : chain_->pairs) {
    pair.attempted = int64_t(*count++);
    pair.accepted = int64_t(*count++);
  }
}

void FixSwap::reset_target(double temperature_K)
{
  // a thermostat that is followed has its own
  if (!thermostat_.empty()) return;
  fixed_temperature_K_ = temperature_K;
  temperature_variable_.clear();
}
