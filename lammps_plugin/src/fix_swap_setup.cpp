// fix quorum/swap before a run: arguments, what it refuses, and the model of the pair style.

#include "atom.h"
#include "comm.h"
#include "domain.h"
#include "error.h"
#include "fix_swap.h"
#include "force.h"
#include "input.h"
#include "neighbor.h"
#include "pair_quorum.h"
#include "region.h"
#include "together.h"
#include "update.h"
#include "variable.h"

#include <algorithm>
#include <cmath>
#include <cstring>

using namespace LAMMPS_NS;

static const char *const KEYWORDS =
    "types, pairs, neighbors, region, sgc, vcsgc, temperature, velocities, check or batch";

FixSwap::FixSwap(LAMMPS *lmp, int narg, char **arg) : Fix(lmp, narg, arg)
{
  if (narg < 7)
    error->all(FLERR, "fix quorum/swap: {} arguments; expected fix ID group quorum/swap Nevery "
               "Ntrials seed T and keywords", narg - 3);
  const auto whole = [&](int k, const char *what, bigint least) {
    const bigint n = utils::is_integer(arg[k]) ? utils::bnumeric(FLERR, arg[k], false, lmp) : -1;
    if (n < least || (k < 5 && n > MAXSMALLINT) || n > (bigint(1) << 53))
      error->all(FLERR, "fix quorum/swap: {}: got {}; expected a whole number of at least {}", what,
                 arg[k], least);
    return n;
  };
  nevery = int(whole(3, "Nevery", 1));
  n_trials_ = int(whole(4, "Ntrials", 1));
  seed_ = uint64_t(whole(5, "seed", 0));
  read_temperature(arg[6]);
  for (int t = 1; t <= atom->ntypes; t++) types_.push_back(t);
  read_keywords(narg - 7, arg + 7);

  force_reneighbor = 1;
  next_reneighbor = -1;
  restart_global = 1;
  vector_flag = array_flag = 1;
  global_freq = 1;
  extvector = extarray = 0;
  size_vector = 7 + int(types_.size());
  size_array_rows = int(types_.size() * (types_.size() - 1) / 2);
  size_array_cols = 4;
}

// --- arguments ------------------------------------------------------------------------------------

double FixSwap::read_number(const std::string &keyword, const char *word)
{
  if (!utils::is_double(word))
    error->all(FLERR, "fix quorum/swap: {}: got {}; expected a number", keyword, word);
  return utils::numeric(FLERR, word, false, lmp);
}

void FixSwap::read_temperature(const std::string &word)
{
  temperature_variable_.clear();
  fixed_temperature_K_ = 0.0;
  if (word == "NULL") return;    // keyword temperature
  if (utils::strmatch(word, "^v_"))
    temperature_variable_ = word.substr(2);
  else if (fixed_temperature_K_ = read_number("T", word.c_str()); !(fixed_temperature_K_ > 0.0))
    error->all(FLERR, "fix quorum/swap: T: got {}; expected a number of K above 0, v_name of an "
               "equal-style variable, or NULL with keyword temperature", word);
}

// The place of a type among those that take part.
int FixSwap::species_of(const std::string &keyword, const char *word)
{
  const int type = utils::is_integer(word) ? utils::inumeric(FLERR, word, false, lmp) : 0;
  const auto found = std::find(types_.begin(), types_.end(), type);
  if (found == types_.end())
    error->all(FLERR, "fix quorum/swap: {}: got {}; expected an atom type that takes part", keyword,
               word);
  return int(found - types_.begin());
}

// These return how many words they took.
int FixSwap::read_types(int narg, char **arg)
{
  std::vector<int> types;
  int k = 0;
  for (; k < narg && utils::is_integer(arg[k]); k++) {
    const int type = utils::inumeric(FLERR, arg[k], false, lmp);
    if (type < 1 || type > atom->ntypes ||
        std::find(types.begin(), types.end(), type) != types.end())
      error->all(FLERR, "fix quorum/swap: types: got {}; expected different types from 1 to {}",
                 arg[k], atom->ntypes);
    types.push_back(type);
  }
  types_ = types;
  return k;
}

int FixSwap::read_pairs(int narg, char **arg)
{
  const size_t n = types_.size();
  pair_weights_.assign(n * (n - 1) / 2, 0.0);
  int k = 0;
  for (; k + 2 < narg && utils::is_integer(arg[k]); k += 3) {
    const int a = species_of("pairs", arg[k]), b = species_of("pairs", arg[k + 1]);
    const double weight = read_number("pairs", arg[k + 2]);
    if (a == b || weight < 0.0)
      error->all(FLERR, "fix quorum/swap: pairs: got {} {} {}; expected two types and a weight that "
                 "is not negative", arg[k], arg[k + 1], arg[k + 2]);
    pair_weights_[size_t(quorum::pair_index(a, b, int(n)))] = weight;
  }
  if (std::all_of(pair_weights_.begin(), pair_weights_.end(), [](double w) { return w == 0.0; }))
    error->all(FLERR, "fix quorum/swap: pairs: expected two types and a weight above 0, once or more");
  return k;
}

int FixSwap::read_per_type(const std::string &keyword, int narg, char **arg,
                           std::vector<double> &values)
{
  if (narg < atom->ntypes)
    error->all(FLERR, "fix quorum/swap: {}: {} values for {} atom types; expected one per type",
               keyword, narg, atom->ntypes);
  values.clear();
  for (int t = 0; t < atom->ntypes; t++) values.push_back(read_number(keyword, arg[t]));
  return atom->ntypes;
}

void FixSwap::read_keywords(int narg, char **arg)
{
  // pairs are of types that take part, wherever these are named
  for (int k = 0; k < narg; k++)
    if (std::strcmp(arg[k], "types") == 0) read_types(narg - k - 1, arg + k + 1);
  for (int k = 0; k < narg;) {
    const std::string key = arg[k++];
    const int left = narg - k;
    char **words = arg + k;
    if (left < 1) error->all(FLERR, "fix quorum/swap: keyword {} has no value", key);
    const std::string value = words[0];
    int taken = 1;
    if (key == "types")
      taken = read_types(left, words);
    else if (key == "pairs")
      taken = read_pairs(left, words);
    else if (key == "sgc") {
      taken = read_per_type(key, left, words, mu_);
      flips_ = true;
    } else if (key == "vcsgc") {
      kappa_ = read_number(key, words[0]);
      taken = 1 + read_per_type(key, left - 1, words + 1, target_);
      flips_ = true;
    } else if (key == "neighbors")
      neighbour_cutoff_A_ = read_number(key, words[0]);
    else if (key == "region")
      region_ = value;
    else if (key == "temperature")
      thermostat_ = value;
    else if (key == "velocities" && (value == "rescale" || value == "keep"))
      rescale_ = value == "rescale";
    else if (key == "velocities")
      error->all(FLERR, "fix quorum/swap: velocities: got {}; expected rescale or keep", value);
    else if (key == "check" || (key == "batch" && value != "auto")) {
      const double n = read_number(key, words[0]);
      if (n < 1 || n != std::floor(n) || n > MAXSMALLINT)
        error->all(FLERR, "fix quorum/swap: {}: got {}; expected a whole number above 0", key, value);
      if (key == "check")
        check_every_ = int(n);
      else
        batch_ = int(n);
    } else if (key == "batch")
      batch_ = 0;
    else
      error->all(FLERR, "fix quorum/swap: unknown keyword {}; expected {}", key, KEYWORDS);
    k += taken;
  }
  check_rules();
  quorum::ChainRules rules;
  using Rules = quorum::ChainRules;
  rules.move = flips_ ? Rules::FLIP : neighbour_cutoff_A_ > 0.0 ? Rules::NEIGHBOURS : Rules::EXCHANGE;
  rules.n_species = int(types_.size());
  rules.pair_weights = pair_weights_;
  chain_ = std::make_unique<quorum::SwapChain>(rules, seed_);
  chain_->batch = batch_;
}

void FixSwap::check_rules()
{
  const auto problem = [&](const char *what) { error->all(FLERR, "fix quorum/swap: {}", what); };
  if (types_.size() < 2) problem("types: one type has nothing to be exchanged with; expected two or more");
  if (flips_ && (!pair_weights_.empty() || neighbour_cutoff_A_ != 0.0))
    problem("pairs and neighbors are for exchanges of atoms; leave them out with sgc and vcsgc");
  if (!pair_weights_.empty() && neighbour_cutoff_A_ != 0.0)
    problem("pairs and neighbors choose the atoms in different ways; leave out one");
  if (neighbour_cutoff_A_ < 0.0) problem("neighbors: expected a distance above 0");
  const bool number = fixed_temperature_K_ > 0.0 || !temperature_variable_.empty();
  if (number != thermostat_.empty())
    problem("temperature: expected either T, or NULL in its place and keyword temperature");
  if (target_.empty()) return;
  double sum = 0.0;
  for (const int t : types_) sum += target_[size_t(t - 1)];
  if (kappa_ < 0.0) problem("vcsgc: kappa: expected an energy that is not negative");
  if (std::abs(sum - 1.0) > 1e-6)
    error->all(FLERR, "fix quorum/swap: vcsgc: the concentrations of the types that take part add up "
               "to {}; expected 1", sum);
}

int FixSwap::modify_param(int narg, char **arg)
{
  if (std::strcmp(arg[0], "T") != 0) return 0;
  if (narg < 2) error->all(FLERR, "fix_modify of fix quorum/swap: T has no value");
  read_temperature(arg[1]);
  thermostat_.clear();
  check_rules();
  return 2;
}

// --- before every run -----------------------------------------------------------------------------

void FixSwap::init()
{
  next_reneighbor = (update->ntimestep / nevery + 1) * nevery;
  auto *pair = dynamic_cast<PairQuorum *>(force->pair);
  if (!pair)
    error->all(FLERR, "fix quorum/swap: the energies of trials are those of pair_style quorum alone, "
               "but pair_style is {}; use fix atom/swap, or pair_style quorum",
               force->pair ? force->pair_style : "none");
  check_system();
  if (!temperature_variable_.empty()) {
    const int v = input->variable->find(temperature_variable_.c_str());
    if (v < 0 || !input->variable->equalstyle(v))
      error->all(FLERR, "fix quorum/swap: T: no equal-style variable {}", temperature_variable_);
  }
  if (!region_.empty() && !domain->get_region_by_id(region_))
    error->all(FLERR, "fix quorum/swap: region: there is no region {}", region_);
  open(*pair);
  temperature_K();
  check_types();
}

// What trials would have to change along with the types, or what their energies leave out.
void FixSwap::check_system()
{
  const char *why = nullptr;
  if (force->kspace)
    why = "trials leave out the long-range energy of kspace_style; remove it";
  else if (atom->molecular != Atom::ATOMIC)
    why = "molecules keep their bonds while types change; use atom_style atomic";
  else if (atom->rmass_flag)
    why = "atoms have masses of their own; use an atom style with a mass per type";
  else if (atom->q_flag)
    why = "charges of atoms would not follow their types; use atom_style atomic";
  else if (!atom->tag_enable)
    why = "atoms have no IDs; use atom_modify id yes";
  else if (neighbor->nex_type + neighbor->nex_group + neighbor->nex_mol > 0)
    why = "neigh_modify exclude leaves out neighbours that trials count; remove it";
  if (why) error->all(FLERR, "fix quorum/swap: {}", why);
}

void FixSwap::check_types()
{
  std::vector<int> count(size_t(atom->ntypes) + 1, 0);
  for (int i = 0; i < atom->nlocal; i++)
    if (atom->mask[i] & groupbit) count[size_t(atom->type[i])] = 1;
  MPI_Allreduce(MPI_IN_PLACE, count.data(), int(count.size()), MPI_INT, MPI_MAX, world);
  int n_species = 0;
  for (const int t : types_) n_species += count[size_t(t)];
  if (!flips_ && n_species < 2)
    error->all(FLERR, "fix quorum/swap: the atoms of the group are of {} type{} that take part; "
               "exchanges need two", n_species, n_species == 1 ? "" : "s");
}

// The model of the pair style as it is now.
void FixSwap::open(PairQuorum &pair)
{
  energy_unit_ = pair.energy_unit();
  if (energies_) {
    n_centers_before_ += energies_->n_centers;
    n_changes_before_ += energies_->n_changes;
  }
  quorum::Team team;
  team.rank = comm->me;
  team.n_ranks = comm->nprocs;
  team.sum = [this](std::vector<double> &values) {
    MPI_Allreduce(MPI_IN_PLACE, values.data(), int(values.size()), MPI_DOUBLE, MPI_SUM, world);
  };
  file_ = pair.file();
  said_ = false;
  team.fail = [this](const std::string &problem) {
    error->all(FLERR, "fix quorum/swap: {}: {}", file_, quorum::first_problem(world, problem));
  };
  energies_ = std::make_unique<quorum::SiteEnergies>(pair.model(), pair.facts(), team);
  single_precision_ = pair.model().info().single_precision;

  quorum::ChainRules rules = chain_->rules();
  rules.numbers.clear();
  rules.mu_eV.clear();
  rules.target.clear();
  rules.kappa_eV = kappa_ / energy_unit_;
  for (const int t : types_) {
    rules.numbers.push_back(pair.atomic_number(t));
    rules.mu_eV.push_back(mu_.empty() ? 0.0 : mu_[size_t(t - 1)] / energy_unit_);
    rules.target.push_back(target_.empty() ? 0.0 : target_[size_t(t - 1)]);
  }
  chain_->set_rules(rules);
  number_of_type_.assign(size_t(atom->ntypes) + 1, 0);
  for (int t = 1; t <= atom->ntypes; t++) number_of_type_[size_t(t)] = pair.atomic_number(t);
}

// Said when it is known and whenever it changes.
void FixSwap::say_part(quorum::SiteEnergies::Part part)
{
  if (said_ && part_ == part) return;
  said_ = true;
  part_ = part;
  if (comm->me != 0) return;
  using Part = quorum::SiteEnergies::Part;
  if (part == Part::ENVIRONMENTS)
    utils::logmesg(lmp, "  fix quorum/swap: trials take the energies of the atoms around their sites\n");
  else if (part == Part::REGION)
    utils::logmesg(lmp, "  fix quorum/swap: trials take the energies of the region around their sites, "
                   "because {} needs more than the neighbours of an atom\n", file_);
  else
    utils::logmesg(lmp, "  fix quorum/swap: every trial takes the energy of the whole system, because "
                   "{} needs more of it than the neighbours of an atom, and half of it or more\n", file_);
}
