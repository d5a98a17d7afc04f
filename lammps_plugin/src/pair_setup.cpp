// pair_style quorum before a run: settings, the model, and what is asked of LAMMPS.

#include "pair_quorum.h"

#include "atom.h"
#include "comm.h"
#include "elements.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "modify.h"
#include "neighbor.h"
#include "platform.h"
#include "update.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

using namespace LAMMPS_NS;

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
  deviation_.reset();
  for (int k = 1; k < narg; k += 2) {
    const std::string key = arg[k];
    const bool two = key == "deviation";
    if (k + (two ? 2 : 1) >= narg)
      error->all(FLERR, two ? "pair_style quorum: keyword deviation needs an interval and a file"
                            : "pair_style quorum: keyword {} has no value", key);
    const std::string value = arg[k + 1];
    if (key == "device")
      options_.device = value;
    else if (key == "dtype")
      options_.dtype = value;
    else if (key == "extensions")
      options_.extensions = value;
    else if (key == "kernel") {
      if (value != "on" && value != "off" && value != "auto")
        error->all(FLERR, "pair_style quorum: keyword kernel: got {}; expected on, off or auto",
                   value);
      options_.kernel = value;
    } else if (key == "members")
      options_.members = utils::logical(FLERR, value, false, lmp) == 1;
    else if (two)
      set_deviation(value, arg[++k + 1]);
    else
      error->all(FLERR, "pair_style quorum: unknown keyword {}; expected device, dtype, kernel, "
                 "members, extensions or deviation", key);
  }
}

void PairQuorum::set_deviation(const std::string &every, const std::string &file)
{
  const int n = utils::is_integer(every) ? utils::inumeric(FLERR, every, false, lmp) : 0;
  if (n < 1)
    error->all(FLERR, "pair_style quorum: keyword deviation: got {} for the interval; expected a "
               "number of steps, then a file", every);
  deviation_ = std::make_unique<quorum::Deviation>(n, file);
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

  if (comm->me == 0)
    // indented, and no command first: logs are read again, by people and by programs
    utils::logmesg(lmp, "  {} runs in {}\n", options_.file, info.evaluator);

  delete[] pvector;
  local_energies_.forget();
  if (deviation_ && (!options_.members || n_members_ < 2))
    error->all(FLERR, "pair_style quorum: keyword deviation: {} has no members to compare; leave it "
               "out, or use a committee (without `members off`)", options_.file);
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
  if (deviation_)
    together([&] {
      if (comm->me != 0) return;
      const bool metal = energy_unit_ == 1.0;
      deviation_->open(update->ntimestep, n_members_,
                       metal ? "forces in eV/Angstrom, virial in eV per atom"
                             : "forces in kcal/mol/Angstrom, virial in kcal/mol per atom");
    });
  if (!modify->get_fix_by_style("^sgcmc").empty()) {
    // trial moves ask for the energies of neighbours, which may be ghosts
    const auto why = not_local();
    if (why.empty())
      comm->cutghostuser =
          std::max(comm->cutghostuser, 2.0 * facts_.cutoff_A + neighbor->skin);
    else if (!alone)
      error->all(FLERR, "pair_style quorum: {}, so that fix sgcmc runs on one MPI rank only, without "
                 "atomic/energy yes", why);
  }
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
