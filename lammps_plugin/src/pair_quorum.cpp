// pair_style quorum; see pair_quorum.h, and README.md for its use.

#include "pair_quorum.h"

#include "atom.h"
#include "comm.h"
#include "domain.h"
#include "elements.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "platform.h"
#include "update.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

using namespace LAMMPS_NS;

PairQuorum::PairQuorum(LAMMPS *lmp, Opener opener) : Pair(lmp), opener_(opener)
{
  single_enable = 0;
  restartinfo = 0;
  one_coeff = 1;
  manybody_flag = 1;
  centroidstressflag = CENTROID_NOTAVAIL;
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
template <class Work> void PairQuorum::together(Work &&work)
{
  std::string problem;
  try {
    work();
  } catch (const std::exception &failure) {
    problem = failure.what();
  }
  const int mine = problem.empty() ? comm->nprocs : comm->me;
  int first = 0;
  MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, world);
  if (first == comm->nprocs) return;
  int length = int(problem.size());
  MPI_Bcast(&length, 1, MPI_INT, first, world);
  problem.resize(length);
  MPI_Bcast(problem.data(), length, MPI_CHAR, first, world);
  error->all(FLERR, "pair_style quorum: " + problem);
}

// Which rank of this machine we are, as the launcher tells it: it picks the GPU.
static int local_rank(int fallback)
{
  for (const char *name : {"MPI_LOCALRANKID", "OMPI_COMM_WORLD_LOCAL_RANK",
                           "MV2_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID", "PMI_LOCAL_RANK"})
    if (const char *value = std::getenv(name)) return std::atoi(value);
  return fallback;
}

// As LAMMPS finds potentials; then the models that come with the package, by name.
static std::string find_model(const std::string &name)
{
  const auto found = utils::get_potential_file_path(name);
  if (!found.empty()) return found;
#ifdef QUORUM_DATA_FOLDER
  const auto shipped = std::string(QUORUM_DATA_FOLDER) + "/" + name + ".pt";
  if (name.find('/') == std::string::npos && platform::file_is_readable(shipped)) return shipped;
#endif
  return name;
}

void PairQuorum::settings(int narg, char **arg)
{
  if (narg < 1)
    error->all(FLERR, "pair_style quorum: no model; expected pair_style quorum model.pt");
  const std::string units = update->unit_style;
  if (units == "metal")
    energy_unit_ = 1.0;
  else if (units == "real")
    energy_unit_ = quorum::KCAL_MOL_PER_EV;
  else
    error->all(FLERR, "pair_style quorum: units {} do not fit a model of eV and Angstrom; use units "
               "metal or real", units);

  options_ = quorum::Options();
  options_.file = arg[0];
  options_.file = find_model(options_.file);
  options_.local_rank = local_rank(comm->me);
  for (int k = 1; k < narg; k += 2) {
    const std::string key = arg[k];
    if (k + 1 == narg)
      error->all(FLERR, "pair_style quorum: keyword {} has no value", key);
    const std::string value = arg[k + 1];
    if (key == "device")
      options_.device = value;
    else if (key == "dtype")
      options_.dtype = value;
    else if (key == "extensions")
      options_.extensions = value;
    else if (key == "members")
      options_.members = utils::logical(FLERR, value, false, lmp) == 1;
    else
      error->all(FLERR, "pair_style quorum: unknown keyword {}; expected device, dtype, members or "
                 "extensions", key);
  }
}

void PairQuorum::load()
{
  together([&] {
    std::string problem;
    model_.reset(opener_(options_, problem));
    if (!model_) throw std::runtime_error(problem);
    try {
      facts_ = quorum::measure(*model_);
    } catch (const std::exception &failure) {
      throw std::runtime_error(options_.file + ": " + failure.what());
    }
  });
  // ranks must not differ in what they do next
  MPI_Bcast(&facts_, sizeof(facts_), MPI_BYTE, 0, world);
  const auto &info = model_->info();
  n_members_ = facts_.n_columns - (info.has_baseline ? 1 : 0);
  fold_ = facts_.range_A > facts_.cutoff_A + 1e-6 || !facts_.local_lists_suffice;

  delete[] pvector;
  nextra = options_.members ? n_members_ : 0;
  pvector = nextra ? new double[nextra]() : nullptr;

  if (std::isfinite(facts_.range_A) && facts_.range_A > info.declared_range_A + 1e-6 &&
      comm->me == 0)
    error->warning(FLERR, "{} declares an interaction range of {} Angstrom, but atoms up to {} "
                   "Angstrom away were seen to matter; {} is used", options_.file,
                   info.declared_range_A, facts_.range_A, facts_.range_A);
}

void PairQuorum::allocate()
{
  const int n = atom->ntypes + 1;
  memory->create(setflag, n, n, "pair:setflag");
  memory->create(cutsq, n, n, "pair:cutsq");
  memory->create(cutghost, n, n, "pair:cutghost");
  allocated = 1;
}

void PairQuorum::coeff(int narg, char **arg)
{
  if (!allocated) allocate();
  if (narg != atom->ntypes + 2 || std::strcmp(arg[0], "*") != 0 || std::strcmp(arg[1], "*") != 0)
    error->all(FLERR, "pair_style quorum: pair_coeff has {} elements for {} atom types; expected "
               "pair_coeff * * and one element (or NULL) per type", std::max(narg - 2, 0),
               atom->ntypes);
  load();

  const auto &known = model_->info().atomic_numbers;
  number_of_type_.assign(atom->ntypes + 1, 0);
  for (int t = 1; t <= atom->ntypes; t++) {
    const std::string symbol = arg[t + 1];
    if (symbol == "NULL") continue;
    const int number = quorum::atomic_number(symbol);
    if (std::find(known.begin(), known.end(), number) == known.end() || number == 0) {
      std::string list;
      for (const int z : known) list += " " + quorum::symbol(z);
      error->all(FLERR, "pair_style quorum: element {} is not in {} (it knows{}); correct "
                 "pair_coeff", symbol, options_.file, list);
    }
    number_of_type_[t] = number;
  }
  for (int i = 0; i <= atom->ntypes; i++)
    for (int j = 0; j <= atom->ntypes; j++)
      setflag[i][j] = i && j && i <= j && number_of_type_[i] && number_of_type_[j];
}

void PairQuorum::init_style()
{
  if (!force->newton_pair)
    error->all(FLERR, "pair_style quorum: needs newton pair on; remove `newton off`");
  if (atom->molecular != Atom::ATOMIC)
    for (int k = 1; k < 4; k++)
      if (force->special_lj[k] != 1.0 || force->special_coul[k] != 1.0)
        error->all(FLERR, "pair_style quorum: special_bonds take neighbours of bonded atoms away; "
                   "use special_bonds lj/coul 1 1 1");
  const bool alone = comm->nprocs == 1;
  int flags = NeighConst::REQ_FULL;
  ghostneigh = 0;
  if (fold_) {
    if (!atom->tag_enable)
      error->all(FLERR, "pair_style quorum: {} needs atom IDs; use atom_modify id yes",
                 options_.file);
    if (!alone) {
      if (!std::isfinite(facts_.range_A))
        error->all(FLERR, "pair_style quorum: no limit was found to the range of {}; run it on one "
                   "MPI rank", options_.file);
      if (comm->mode != Comm::SINGLE)
        error->all(FLERR, "pair_style quorum: {} needs one ghost cutoff for all atoms; use "
                   "comm_modify mode single", options_.file);
      // ghosts out to the range, and the neighbours of ghosts
      comm->cutghostuser = std::max(comm->cutghostuser, facts_.range_A + neighbor->skin);
      flags |= NeighConst::REQ_GHOST;
      ghostneigh = 1;
    }
  }
  neighbor->add_request(this, flags);
}

double PairQuorum::init_one(int i, int j)
{
  if (!setflag[i][j] && !setflag[j][i])
    error->all(FLERR, "pair_style quorum: atom types {} and {} have no elements; give one per type "
               "in pair_coeff, or NULL with pair_style hybrid", i, j);
  cutghost[i][j] = cutghost[j][i] = facts_.cutoff_A;
  return facts_.cutoff_A;
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
    layout_ = quorum::folded(view, box, requests);
  } else {
    layout_ = quorum::ghosts_as_atoms(view, requests);
  }
  layout_.cluster.select = facts_.honours_selection;
}

quorum::Drive PairQuorum::drive(const std::vector<double> &local_totals_eV) const
{
  const auto &info = model_->info();
  if (!info.has_baseline) return quorum::mean_of_members(n_members_);
  // the mixing depends on energies of the whole system: those of all ranks
  std::vector<double> totals(local_totals_eV.size());
  MPI_Allreduce(local_totals_eV.data(), totals.data(), int(totals.size()), MPI_DOUBLE, MPI_SUM,
                world);
  return quorum::weighted_baseline(totals, info.sigma_eV);
}

double PairQuorum::driving_energy(const double *row_eV, double mixing) const
{
  double mean = 0.0;
  for (int m = 0; m < n_members_; m++) mean += row_eV[m] / n_members_;
  if (!model_->info().has_baseline) return mean;
  const double base = row_eV[n_members_];
  return base + mixing * (mean - base);
}

// Energies and spread of the local atoms.
void PairQuorum::take_rows(const std::vector<double> &rows_eV, const quorum::Drive &how)
{
  const int n_columns = facts_.n_columns;
  std::fill(spread_.begin(), spread_.end(), 0.0);
  if (nextra) std::fill(pvector, pvector + nextra, 0.0);
  for (int c = 0; c < layout_.cluster.n_centers; c++) {
    const double *row = rows_eV.data() + size_t(c) * n_columns;
    const int i = layout_.atom[c];
    const double energy = energy_unit_ * driving_energy(row, how.mixing);
    if (eflag_global) eng_vdwl += energy;
    if (eflag_atom) eatom[i] += energy;
    double mean = 0.0, squares = 0.0;
    for (int m = 0; m < n_members_; m++) mean += row[m] / n_members_;
    for (int m = 0; m < n_members_; m++) {
      squares += (row[m] - mean) * (row[m] - mean);
      if (nextra) pvector[m] += energy_unit_ * row[m];
    }
    if (n_members_ > 1) spread_[i] = energy_unit_ * std::sqrt(squares / (n_members_ - 1));
  }
}

// Forces on local atoms and ghosts, and the virial of the energies of the local atoms.
void PairQuorum::take_gradient(const quorum::Gradient &gradient)
{
  const auto &cluster = layout_.cluster;
  double **f = atom->f;
  double w[9] = {};
  auto add = [&](const double *x, const double *g) {
    for (int a = 0; a < 3; a++)
      for (int b = 0; b < 3; b++) w[3 * a + b] -= x[a] * g[b];
  };
  const auto &g_positions = gradient.positions_eV_A;
  for (size_t c = 0; c < g_positions.size() / 3; c++) {
    const double *g = &g_positions[3 * c];
    for (int d = 0; d < 3; d++) f[layout_.atom[c]][d] -= energy_unit_ * g[d];
    add(&cluster.positions_A[3 * c], g);
  }
  for (int row = 0; row < 3; row++) add(&cluster.cell_A[3 * row], &gradient.cell_eV_A[3 * row]);
  for (size_t l = 0; l < gradient.edges_eV_A.size(); l++) {
    const auto &list = cluster.edges[l];
    const auto &g_edges = gradient.edges_eV_A[l];
    for (size_t k = 0; k < g_edges.size() / 3; k++) {
      const double *g = &g_edges[3 * k];
      double *first = f[layout_.atom[list.samples[5 * k]]];
      double *second = f[layout_.atom[list.samples[5 * k + 1]]];
      for (int d = 0; d < 3; d++) {
        first[d] += energy_unit_ * g[d];
        second[d] -= energy_unit_ * g[d];
      }
      if (vflag_either) add(&list.vectors_A[3 * k], g);
    }
  }
  if (vflag_global) {
    // symmetrised: some models (PET) are not exactly rotation invariant
    const int pairs[6][2] = {{0, 0}, {1, 1}, {2, 2}, {0, 1}, {0, 2}, {1, 2}};
    for (int v = 0; v < 6; v++)
      virial[v] += 0.5 * energy_unit_ *
          (w[3 * pairs[v][0] + pairs[v][1]] + w[3 * pairs[v][1] + pairs[v][0]]);
  }
}

// Half of the virial of every edge to either end; the ghosts' part goes home by LAMMPS.
void PairQuorum::tally_atom_virials(const quorum::Gradient &gradient)
{
  const int pairs[6][2] = {{0, 0}, {1, 1}, {2, 2}, {0, 1}, {0, 2}, {1, 2}};
  for (size_t l = 0; l < gradient.edges_eV_A.size(); l++) {
    const auto &list = layout_.cluster.edges[l];
    const auto &g_edges = gradient.edges_eV_A[l];
    for (size_t k = 0; k < g_edges.size() / 3; k++) {
      const double *g = &g_edges[3 * k], *r = &list.vectors_A[3 * k];
      for (int v = 0; v < 6; v++) {
        const int a = pairs[v][0], b = pairs[v][1];
        const double share = -0.25 * energy_unit_ * (r[a] * g[b] + r[b] * g[a]);
        vatom[layout_.atom[list.samples[5 * k]]][v] += share;
        vatom[layout_.atom[list.samples[5 * k + 1]]][v] += share;
      }
    }
  }
}

void PairQuorum::compute(int eflag, int vflag)
{
  ev_init(eflag, vflag);
  const double needed = facts_.range_A + neighbor->skin;
  if (ghostneigh && comm->get_comm_cutoff() < needed - 1e-9)
    error->all(FLERR, "pair_style quorum: ghosts reach {} Angstrom, but {} needs {}; raise "
               "comm_modify cutoff", comm->get_comm_cutoff(), options_.file, needed);
  if (vflag_atom && facts_.reads_positions)
    error->all(FLERR, "pair_style quorum: {} reads positions instead of distances, so that its "
               "virial cannot be told apart by atoms; leave out stress/atom", options_.file);
  if (int(spread_.size()) < atom->nmax) spread_.resize(atom->nmax);
  build_layout();

  // models refuse systems without atoms: an empty rank only takes part in the reductions
  const bool empty = layout_.cluster.n_centers == 0;
  const std::vector<double> none;
  try {
    const auto &rows = empty ? none : model_->forward(layout_.cluster, true);
    std::vector<double> totals(facts_.n_columns, 0.0);
    for (size_t k = 0; k < rows.size(); k++) totals[k % totals.size()] += rows[k];
    const auto how = drive(totals);
    take_rows(rows, how);
    if (empty) return;
    const auto &gradient = model_->gradient(how.cotangents);
    take_gradient(gradient);
    if (vflag_atom) tally_atom_virials(gradient);
  } catch (const std::runtime_error &failure) {
    error->one(FLERR, "pair_style quorum: {}: {}", options_.file, failure.what());
  }
}

void *PairQuorum::extract_peratom(const char *name, int &ncol)
{
  if (std::strcmp(name, "spread") != 0 || n_members_ < 2) return nullptr;
  ncol = 0;
  const auto size = size_t(std::max(atom->nmax, 1));
  if (spread_.size() < size) spread_.resize(size);
  return spread_.data();
}
