// fix quorum/bias during a run; see fix_bias.h, and README.md for its use.

#include "fix_bias.h"

#include "atom.h"
#include "comm.h"
#include "domain.h"
#include "error.h"
#include "together.h"
#include "update.h"

using namespace LAMMPS_NS;

int FixBias::setmask()
{
  return FixConst::POST_FORCE | FixConst::MIN_POST_FORCE;
}

void FixBias::setup(int vflag)
{
  check_system();
  if (backend_ == "kernel") open_kernel();
  open_prints();
  say_values();
  post_force(vflag);
}

void FixBias::min_setup(int vflag)
{
  setup(vflag);
}

void FixBias::min_post_force(int vflag)
{
  post_force(vflag);
}

// Positions of all atoms on all ranks. In that order the sums do not depend on who owns an atom.
void FixBias::gather()
{
  positions_.assign(3 * n_atoms_ + 1, 0.0);
  for (int i = 0; i < atom->nlocal; i++) {
    const tagint tag = atom->tag[i];
    if (tag < 1 || size_t(tag) > n_atoms_) continue;
    for (int d = 0; d < 3; d++) positions_[3 * size_t(tag - 1) + size_t(d)] = atom->x[i][d];
    positions_.back() += 1.0;
  }
  MPI_Allreduce(MPI_IN_PLACE, positions_.data(), int(positions_.size()), MPI_DOUBLE, MPI_SUM, world);
  if (positions_.back() != double(n_atoms_))
    error->all(FLERR, "fix quorum/bias: {} of {} atoms are left; expected a number that does not "
               "change during a run", positions_.back(), n_atoms_);
  positions_.pop_back();
}

void FixBias::post_force(int vflag)
{
  gather();
  if (evaluator_)
    evaluate_native();
  else
    evaluate_kernel();
  for (int i = 0; i < atom->nlocal; i++)
    for (int d = 0; d < 3; d++)
      atom->f[i][d] += forces_[3 * size_t(atom->tag[i] - 1) + size_t(d)];
  v_init(vflag);
  // LAMMPS adds up what ranks have. Tilts move x with y, and not y with x, which are two things for a
  // variable that knows directions.
  const int places[6] = {0, 4, 8, 3, 6, 7};
  for (int k = 0; k < 6; k++) virial[k] = comm->me == 0 ? -strain_[size_t(places[k])] : 0.0;
  print_values();
}

void FixBias::evaluate_native()
{
  quorum::Box box;
  const auto &d = *domain;
  box.vectors_A = {d.xprd, 0, 0, d.xy, d.yprd, 0, d.xz, d.yz, d.zprd};
  // in two dimensions LAMMPS has z periodic but knows no images along it
  box.periodic = {d.xperiodic == 1, d.yperiodic == 1, d.zperiodic == 1 && d.dimension == 3};
  if (length_ != 1.0) {
    for (double &x : box.vectors_A) x /= length_;
    for (double &x : positions_) x /= length_;
  }
  try {
    const auto &answer = evaluator_->evaluate(positions_, box);
    bias_ = answer.bias * energy_;
    values_ = answer.values;
    forces_ = answer.forces;
    for (double &f : forces_) f *= energy_ / length_;
    for (size_t k = 0; k < 9; k++) strain_[k] = answer.virial[k] * energy_;
  } catch (const quorum::order::Failure &failure) {    // on all ranks alike
    error->all(FLERR, "fix quorum/bias: {}", failure.what());
  }
  for (const auto &warning : evaluator_->take_warnings())
    if (comm->me == 0) error->warning(FLERR, "fix quorum/bias: {}", warning);
}

// On the first rank; the others are told.
void FixBias::evaluate_kernel()
{
  const auto &d = *domain;
  std::array<double, 9> box = {d.xprd, 0, 0, d.xy, d.yprd, 0, d.xz, d.yz, d.zprd};
  if (!d.xperiodic) box.fill(0.0);    // see check_system
  std::string problem;
  if (kernel_) problem = quorum::problem_of([&] {
      kernel_->calculate(update->ntimestep, positions_, masses_, charges_, box, answer_);
      values_ = kernel_->values();
    });
  problem = quorum::first_problem(world, problem);
  if (!problem.empty()) error->all(FLERR, "fix quorum/bias: {}", problem);
  std::vector<double> all = answer_.forces;
  if (kernel_) {
    all.insert(all.end(), answer_.virial.begin(), answer_.virial.end());
    all.push_back(answer_.bias);
    all.insert(all.end(), values_.begin(), values_.end());
  }
  all.resize(3 * n_atoms_ + 10 + names_.size());
  MPI_Bcast(all.data(), int(all.size()), MPI_DOUBLE, 0, world);
  const auto next = all.begin() + std::ptrdiff_t(3 * n_atoms_);
  forces_.assign(all.begin(), next);
  std::copy(next, next + 9, strain_.begin());
  bias_ = next[9];
  values_.assign(next + 10, all.end());
}

void FixBias::print_values()
{
  const double time = double(update->ntimestep) * update->dt / time_;
  for (auto &print : prints_) print.write(update->ntimestep, time, values_);
}

double FixBias::compute_scalar()
{
  return bias_;
}

double FixBias::compute_vector(int n)
{
  return size_t(n) < values_.size() ? values_[size_t(n)] : 0.0;
}
