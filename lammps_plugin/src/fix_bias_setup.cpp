// fix quorum/bias before a run: arguments, the input of PLUMED, what it refuses.

#include "atom.h"
#include "comm.h"
#include "domain.h"
#include "error.h"
#include "fix_bias.h"
#include "group.h"
#include "together.h"
#include "update.h"

#include <algorithm>
#include <fstream>
#include <sstream>

using namespace LAMMPS_NS;
namespace order = quorum::order;

static const char *const KEYWORDS = "file, backend, kernel or outfile";

FixBias::FixBias(LAMMPS *lmp, int narg, char **arg) : Fix(lmp, narg, arg)
{
  read_keywords(narg - 3, arg + 3);
  if (igroup != group->find("all"))
    error->all(FLERR, "fix quorum/bias: group: got {}; expected all: the atoms are those that the "
               "input names", group->names[igroup]);
  read_units();
  read_input();
  scalar_flag = vector_flag = 1;
  global_freq = 1;
  extscalar = 1;
  extvector = 0;
  size_vector = int(names_.size());
  vector_flag = size_vector > 0;
  energy_global_flag = virial_global_flag = 1;
  thermo_energy = thermo_virial = 1;
  dynamic_group_allow = 1;
  for (double &v : virial) v = 0.0;
}

void FixBias::read_keywords(int narg, char **arg)
{
  for (int k = 0; k < narg; k += 2) {
    const std::string key = arg[k];
    if (key != "file" && key != "backend" && key != "kernel" && key != "outfile")
      error->all(FLERR, "fix quorum/bias: unknown keyword {}; expected {}", key, KEYWORDS);
    if (k + 1 == narg) error->all(FLERR, "fix quorum/bias: keyword {} has no value", key);
    const std::string value = arg[k + 1];
    if (key == "file")
      file_ = value;
    else if (key == "kernel")
      kernel_file_ = value;
    else if (key == "outfile")
      outfile_ = value;
    else if (value == "native" || value == "kernel")
      backend_ = value;
    else if (value == "plumed")    // the word for it in Python
      backend_ = "kernel";
    else
      error->all(FLERR, "fix quorum/bias: backend: got {}; expected native or kernel", value);
  }
  if (file_.empty())
    error->all(FLERR, "fix quorum/bias: no input; expected fix ID all quorum/bias file plumed.dat");
}

// What PLUMED takes LAMMPS's units for.
void FixBias::read_units()
{
  const std::string units = update->unit_style;
  if (units == "metal") {
    length_nm_ = 0.1;
    energy_kJ_mol_ = 96.48530749925792;
  } else if (units == "real") {
    length_nm_ = 0.1;
    energy_kJ_mol_ = 4.184;
    time_ps_ = 0.001;
  } else if (units != "lj")
    error->all(FLERR, "fix quorum/bias: units {} are not known here; use units metal or real, or lj "
               "with UNITS NATURAL in {}", units, file_);
}

// The text of a file, which the first rank reads: by its name, or beside the input.
std::optional<std::string> FixBias::text_of(const std::string &file)
{
  std::string text;
  int length = -1;
  if (comm->me == 0) {
    const auto slash = file_.rfind('/');
    const auto folder = slash == std::string::npos ? "" : file_.substr(0, slash + 1);
    for (const auto &name : {file, folder + file}) {
      std::ifstream in(name);
      std::ostringstream all;
      if (!in || !(all << in.rdbuf())) continue;
      text = all.str();
      length = int(text.size());
      break;
    }
  }
  MPI_Bcast(&length, 1, MPI_INT, 0, world);
  if (length < 0) return std::nullopt;
  text.resize(size_t(length));
  MPI_Bcast(text.data(), length, MPI_CHAR, 0, world);
  return text;
}

// The program, or only the names of values if it is for the kernel. All ranks read alike.
void FixBias::read_input()
{
  try {
    const auto text = text_of(file_);
    if (!text) throw order::Failure(file_ + ": cannot be read; expected a PLUMED input file");
    const auto statements = order::parse_statements(*text, file_);
    std::optional<order::Program> program;
    try {
      program = order::build_program(statements, file_,
                                     [this](const std::string &name) { return text_of(name); });
    } catch (const order::NeedsKernel &) {
      int there = comm->me == 0 && quorum::has_kernel(quorum::kernel_library(kernel_file_));
      MPI_Bcast(&there, 1, MPI_INT, 0, world);
      if (backend_ == "native" || (backend_.empty() && !there)) throw;
      backend_ = "kernel";
    }
    if (backend_.empty()) backend_ = "native";
    for (const auto &statement : statements)
      if (statement.action == "UNITS")
        for (const auto &word : statement.words)
          natural_ = natural_ || order::upper(word) == "NATURAL";
    if (natural_) length_nm_ = energy_kJ_mol_ = time_ps_ = 1.0;
    if (std::string(update->unit_style) == "lj" && !natural_)
      throw order::Failure(file_ + ": [UNITS] got no NATURAL in a run of units lj, expected UNITS "
                           "NATURAL, which takes LAMMPS's numbers as they are");
    if (program) {
      for (const auto &name : program->names)
        if (backend_ == "native" || name[0] != '@') names_.push_back(name);
    } else
      for (const auto &statement : statements) {
        if (statement.action != "PRINT") continue;
        for (const auto &name : order::Keywords(statement).names("ARG"))
          if (name.find('*') == std::string::npos &&
              std::find(names_.begin(), names_.end(), name) == names_.end())
            names_.push_back(name);
      }
    if (backend_ == "kernel") return;
    length_ = program->units.length_nm / length_nm_;
    energy_ = program->units.energy_kJ_mol / energy_kJ_mol_;
    time_ = program->units.time_ps / time_ps_;
    quorum::Team team;
    team.rank = comm->me;
    team.n_ranks = comm->nprocs;
    team.sum = [this](std::vector<double> &values) {
      if (comm->nprocs > 1)
        MPI_Allreduce(MPI_IN_PLACE, values.data(), int(values.size()), MPI_DOUBLE, MPI_SUM, world);
    };
    evaluator_ = std::make_unique<order::Evaluator>(std::move(*program), team);
  } catch (const order::Failure &failure) {
    error->all(FLERR, "fix quorum/bias: {}", failure.what());
  }
}

// --- before every run -----------------------------------------------------------------------------

void FixBias::init()
{
  if (utils::strmatch(update->integrate_style, "^respa"))
    error->all(FLERR, "fix quorum/bias: run_style respa leaves no place for its forces; use "
               "run_style verlet");
  if (domain->triclinic_general)
    error->all(FLERR, "fix quorum/bias: LAMMPS turns general triclinic boxes, and order parameters "
               "that know directions with them; give a restricted triclinic box");
}

void FixBias::check_system()
{
  const bool first = n_atoms_ == 0;
  const size_t n = size_t(atom->natoms);
  if (!atom->tag_enable || n == 0 || !atom->tag_consecutive())
    error->all(FLERR, "fix quorum/bias: the IDs of {} atoms are not 1 to {}, which the input counts "
               "by; use reset_atoms id", n, n);
  if (!first && n != n_atoms_ && backend_ == "kernel")
    error->all(FLERR, "fix quorum/bias: {} atoms where the kernel was started with {}; define the "
               "fix anew", n, n_atoms_);
  n_atoms_ = n;
  const int directions = domain->xperiodic + domain->yperiodic + domain->zperiodic;
  if (backend_ == "kernel" && directions % 3 != 0)
    error->all(FLERR, "fix quorum/bias: got a box that is periodic in some directions; expected all "
               "or none with the kernel; backend native takes any");
}

void FixBias::open_kernel()
{
  masses_.assign(n_atoms_, 0.0);
  charges_.assign(n_atoms_, 0.0);
  for (int i = 0; i < atom->nlocal; i++) {
    const size_t k = size_t(atom->tag[i] - 1);
    masses_[k] = atom->rmass ? atom->rmass[i] : atom->mass[atom->type[i]];
    if (atom->q) charges_[k] = atom->q[i];
  }
  for (auto *one : {&masses_, &charges_})
    MPI_Allreduce(MPI_IN_PLACE, one->data(), int(one->size()), MPI_DOUBLE, MPI_SUM, world);
  std::string problem;
  if (comm->me == 0 && !kernel_) {
    quorum::KernelSetup setup;
    setup.kernel = quorum::kernel_library(kernel_file_);
    setup.input = file_;
    setup.log = outfile_;
    setup.n_atoms = int(n_atoms_);
    setup.timestep = update->dt;
    setup.natural = natural_;
    setup.energy_kJ_mol = energy_kJ_mol_;
    setup.length_nm = length_nm_;
    setup.time_ps = time_ps_;
    setup.names = names_;
    problem = quorum::problem_of([&] { kernel_ = std::make_unique<quorum::PlumedKernel>(setup); });
  }
  problem = quorum::first_problem(world, problem);
  if (!problem.empty()) error->all(FLERR, "fix quorum/bias: {}", problem);
}

// PRINT without a file goes to that of keyword outfile, or nowhere.
void FixBias::open_prints()
{
  std::string problem;
  if (comm->me == 0 && evaluator_ && prints_.empty())
    problem = quorum::problem_of([&] {
      for (const auto &print : evaluator_->program.prints) {
        const auto file = print.file.empty() ? outfile_ : print.file;
        if (file.empty()) continue;
        prints_.emplace_back(print, evaluator_->program.names, file);
        prints_.back().open(update->ntimestep, double(update->ntimestep) * update->dt / time_);
      }
    });
  problem = quorum::first_problem(world, problem);
  if (!problem.empty()) error->all(FLERR, "fix quorum/bias: {}", problem);
}

// Once: what the numbers of the vector are.
void FixBias::say_values()
{
  if (said_ || comm->me != 0) return;
  said_ = true;
  std::string text = fmt::format("fix quorum/bias: {} by {}\n", file_,
                                 backend_ == "kernel" ? quorum::kernel_library(kernel_file_)
                                                      : "backend native");
  for (size_t k = 0; k < names_.size(); k++)
    text += fmt::format("  f_{}[{}] = {}\n", id, k + 1, names_[k]);
  utils::logmesg(lmp, text);
}
