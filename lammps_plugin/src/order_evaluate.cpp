// See order_evaluate.h.

#include "order_evaluate.h"

#include "order_pairs.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace quorum::order {

// --- which pairs ----------------------------------------------------------------------------------

static const Colvar *longest(const Program &program, bool finite)
{
  const Colvar *found = nullptr;
  for (const auto &action : program.actions) {
    const auto *colvar = std::get_if<Colvar>(&action);
    if (!colvar || (finite && std::isinf(colvar->cutoff))) continue;
    if (!found || colvar->cutoff > found->cutoff) found = colvar;
  }
  return found;
}

void refuse_large_cutoffs(const Program &program, const Box &box)
{
  const auto *colvar = longest(program, true);
  if (!colvar || images_apart(box, 2 * colvar->cutoff)) return;
  std::string lengths;
  for (int d = 0; d < 3; d++) {
    const double *v = &box.vectors_A[3 * d];
    lengths += " " + short_number(std::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]));
  }
  throw colvar->statement.error(
      "cutoff",
      short_number(colvar->cutoff) + " in a cell of lengths" + lengths + " (the input's unit)",
      "at most half the distance of an atom from its images, beyond which PLUMED counts one image "
      "where there are more; take a larger cell, or check LENGTH in UNITS");
}

void Evaluator::find_bonds(const Array &positions, const Box &box)
{
  const auto *colvar = longest(program, false);
  if (!colvar) {
    bonds_ = std::make_shared<Bonds>();
    return;
  }
  refuse_large_cutoffs(program, box);
  double cutoff = colvar->cutoff;
  if (std::isinf(cutoff)) {
    if (box.periodic[0] || box.periodic[1] || box.periodic[2])
      throw colvar->statement.error("SWITCH", "no D_MAX",
                                    "D_MAX, which ends the sum over periodic images");
    double squared = 0.0;
    for (size_t d = 0; d < 3; d++) {
      double low = positions[d], high = positions[d];
      for (size_t i = d; i < positions.size(); i += 3) {
        low = std::min(low, positions[i]);
        high = std::max(high, positions[i]);
      }
      squared += (high - low) * (high - low);
    }
    cutoff = std::sqrt(squared) + 1.0;
  }
  if (!finder_ || finder_->cutoff() != cutoff)
    finder_ = std::make_unique<BondFinder>(cutoff, team_.rank, team_.n_ranks);
  // no copy: the finder outlives what is made of its pairs
  bonds_ = std::shared_ptr<const Bonds>(&finder_->find(positions, box), [](const Bonds *) {});
}

static std::vector<int> atoms_of(const Colvar &colvar, const Selection &selection, size_t n_atoms)
{
  std::vector<int> atoms(n_atoms);
  for (size_t i = 0; i < n_atoms; i++) atoms[i] = int(i);
  if (!selection) return atoms;
  const int last = *std::max_element(selection->begin(), selection->end());
  if (size_t(last) >= n_atoms)
    throw colvar.statement.error("SPECIES", "atom " + std::to_string(last + 1),
                                 "atoms from 1 to " + std::to_string(n_atoms) +
                                     " of the structure");
  return *selection;
}

// What each atom is, as a number; names are of the neighbours, after those of SPECIESA.
static std::vector<int32_t> kinds_of(const Colvar &colvar, const std::vector<int> &centres,
                                     const std::vector<int> &neighbours, size_t n_atoms)
{
  const size_t skipped = colvar.centres == colvar.neighbours ? 0 : centres.size();
  if (colvar.names.size() != skipped + neighbours.size())
    throw colvar.statement.error(
        "ATOM_NAMES_FILE", std::to_string(colvar.names.size()) + " atoms",
        std::to_string(skipped + neighbours.size()) +
            ", those of SPECIES, or of SPECIESA and then SPECIESB");
  std::vector<std::string> order;
  for (const auto &name : colvar.names)
    if (std::find(order.begin(), order.end(), name) == order.end()) order.push_back(name);
  std::vector<int32_t> kinds(n_atoms, int32_t(order.size()));
  for (size_t k = 0; k < neighbours.size(); k++)
    kinds[size_t(neighbours[k])] = int32_t(
        std::find(order.begin(), order.end(), colvar.names[skipped + k]) - order.begin());
  return kinds;
}

Scene Evaluator::scene_of(const Colvar &colvar) const
{
  Scene scene;
  scene.n_atoms = n_atoms_;
  scene.team = &team_;
  scene.centres = atoms_of(colvar, colvar.centres, n_atoms_);
  const auto neighbours = atoms_of(colvar, colvar.neighbours, n_atoms_);
  if (!colvar.names.empty())
    scene.kinds = kinds_of(colvar, scene.centres, neighbours, n_atoms_);
  const bool all = scene.centres.size() == n_atoms_ && neighbours.size() == n_atoms_;
  std::vector<char> centre(n_atoms_, all), neighbour(n_atoms_, all);
  if (!all) {
    for (const int i : scene.centres) centre[size_t(i)] = 1;
    for (const int i : neighbours) neighbour[size_t(i)] = 1;
  }
  const double inner = colvar.kind == Colvar::SIMILARITY ? colvar.inner_cutoff : 0.0;
  std::vector<size_t> kept;
  const auto &from = *bonds_;
  for (size_t e = 0; e < from.size(); e++) {
    if (from.lengths[e] > colvar.cutoff || from.lengths[e] < inner) continue;
    const size_t a = size_t(from.first[e]), b = size_t(from.second[e]);
    const bool forward = centre[a] && neighbour[b], backward = centre[b] && neighbour[a];
    if (!forward && !backward) continue;
    kept.push_back(e);
    if (all) continue;
    scene.forward.push_back(forward);
    scene.backward.push_back(backward);
  }
  scene.bonds = bonds_;
  if (kept.size() == from.size()) return scene;
  auto part = std::make_shared<Bonds>();
  part->resize(kept.size());
  for (size_t k = 0; k < kept.size(); k++) {
    const size_t e = kept[k];
    part->first[k] = from.first[e];
    part->second[k] = from.second[e];
    part->lengths[k] = from.lengths[e];
    for (size_t d = 0; d < 3; d++) part->vectors[3 * k + d] = from.vectors[3 * e + d];
  }
  scene.bonds = part;
  return scene;
}

// --- values, and the way back ---------------------------------------------------------------------

const Answer &Evaluator::evaluate(const Array &positions, const Box &box)
{
  n_atoms_ = positions.size() / 3;
  answer_.values.assign(program.names.size(), 0.0);
  answer_.forces.assign(positions.size(), 0.0);
  answer_.virial.fill(0.0);
  answer_.bias = 0.0;
  find_bonds(positions, box);
  forward();
  backward();
  add_over_ranks();
  for (size_t k = 0; k < program.names.size(); k++)
    if (!std::isfinite(answer_.values[k]))
      throw Failure(program.file + ": " + program.names[k] + ": got " +
                    short_number(answer_.values[k]) +
                    ", expected a finite number; look at its parameters");
  return answer_;
}

void Evaluator::forward()
{
  evaluated_.clear();
  evaluated_.resize(program.actions.size());
  slopes_.assign(program.actions.size(), {});
  n_pairs_.assign(program.actions.size(), 0.0);
  for (size_t k = 0; k < program.actions.size(); k++) {
    if (const auto *function = std::get_if<Function>(&program.actions[k])) {
      evaluate_function(*function, slopes_[k]);
      continue;
    }
    const auto &colvar = std::get<Colvar>(program.actions[k]);
    auto *of = colvar.of < 0 ? nullptr : evaluated_[size_t(colvar.of)].get();
    auto scene = scene_of(colvar);
    n_pairs_[k] = double(scene.bonds->size());
    evaluated_[k] = evaluate_colvar(colvar, std::move(scene), of);
    for (size_t c = 0; c < colvar.components.size(); c++)
      answer_.values[colvar.first_value + c] = evaluated_[k]->component(colvar.components[c]);
  }
}

// COMBINE: its value; biases: bias and the square of their slopes. And the slopes to the arguments.
void Evaluator::evaluate_function(const Function &function, Array &slopes)
{
  const auto &c = function.columns;
  double total = 0.0, squares = 0.0;
  for (size_t k = 0; k < function.arguments.size(); k++) {
    const double x = answer_.values[function.arguments[k]];
    double term = 0.0, slope = 0.0;
    if (function.kind == Function::COMBINE) {
      const double away = x - c[1][k], power = c[2][k];
      if ((away < 0 && power != std::floor(power)) || (away == 0 && power < 1 && power != 0))
        throw function.statement.error(
            "POWERS", short_number(power) + " of " + short_number(away),
            "a power that this number has, with a slope");
      term = c[0][k] * std::pow(away, power);
      slope = power != 0 ? c[0][k] * power * std::pow(away, power - 1) : 0.0;
    } else if (function.kind == Function::RESTRAINT) {
      const double away = x - c[0][k];
      term = 0.5 * c[1][k] * away * away + c[2][k] * away;
      slope = c[1][k] * away + c[2][k];
    } else {
      const double beyond = (function.side * (x - c[0][k]) + c[2][k]) / c[4][k];
      if (beyond > 0) {
        term = c[1][k] * std::pow(beyond, c[3][k]);
        slope = function.side * c[3][k] * term / (beyond * c[4][k]);
      }
    }
    total += term;
    squares += slope * slope;
    slopes.push_back(slope);
  }
  answer_.values[function.first_value] = total;
  if (function.kind == Function::COMBINE) return;
  answer_.values[function.first_value + 1] = squares;
  answer_.bias += total;
}

// Derivatives go back through the actions in the opposite order.
void Evaluator::backward()
{
  Array to_values(program.names.size(), 0.0);
  std::vector<char> touched(program.actions.size(), 0);
  for (size_t k = program.actions.size(); k-- > 0;) {
    if (const auto *function = std::get_if<Function>(&program.actions[k])) {
      const double outer =
          function->kind == Function::COMBINE ? to_values[function->first_value] : 1.0;
      for (size_t a = 0; a < slopes_[k].size(); a++)
        to_values[function->arguments[a]] += outer * slopes_[k][a];
      continue;
    }
    const auto &colvar = std::get<Colvar>(program.actions[k]);
    for (size_t c = 0; c < colvar.components.size(); c++) {
      const double slope = to_values[colvar.first_value + c];
      if (slope == 0) continue;
      evaluated_[k]->pull(colvar.components[c], slope);
      touched[k] = 1;
    }
    if (!touched[k]) continue;
    if (colvar.of >= 0) touched[size_t(colvar.of)] = 1;
    const auto gradient = evaluated_[k]->backward();
    const auto &pairs = evaluated_[k]->bonds();
    forces(int64_t(pairs.size()), pairs.first.data(), pairs.second.data(), pairs.vectors.data(),
           gradient.data(), answer_.forces.data(), answer_.virial.data());
  }
}

// Forces and virial of all pairs; and what concerns pairs wherever they are.
void Evaluator::add_over_ranks()
{
  const auto &pairs = *bonds_;
  size_t worst = pairs.size();
  for (size_t e = 0; e < pairs.size() && worst == pairs.size(); e++)
    if (!(pairs.lengths[e] > 0)) worst = e;
  const bool here = worst < pairs.size();
  // of several such pairs no one is told which
  Array all(answer_.forces);
  all.insert(all.end(), answer_.virial.begin(), answer_.virial.end());
  all.insert(all.end(), n_pairs_.begin(), n_pairs_.end());
  all.insert(all.end(), {here ? 1.0 : 0.0, here ? pairs.first[worst] + 1.0 : 0.0,
                         here ? pairs.second[worst] + 1.0 : 0.0});
  team_.sum(all);
  double *next = all.data() + answer_.forces.size();
  std::copy(all.data(), next, answer_.forces.begin());
  std::copy(next, next + 9, answer_.virial.begin());
  next += 9;
  const double *same = next + n_pairs_.size();
  if (same[0] == 1)
    throw Failure(program.file + ": got atoms " + short_number(same[1]) + " and " +
                  short_number(same[2]) + " in the same place, expected a distance between them");
  if (same[0] > 1)
    throw Failure(program.file + ": got several atoms in the same place, expected a distance "
                  "between them");
  for (size_t k = 0; k < n_pairs_.size(); k++) {
    const auto *colvar = std::get_if<Colvar>(&program.actions[k]);
    if (!colvar || next[k] > 0 || n_atoms_ < 2 || !said_.insert(k).second) continue;
    warnings_.push_back(colvar->statement.where() + ": [" + colvar->statement.action +
                        "] no atom has a neighbour within " + short_number(colvar->cutoff) +
                        " (the input's unit): there are no forces; check LENGTH in UNITS");
  }
}

std::vector<std::string> Evaluator::take_warnings()
{
  std::vector<std::string> result;
  result.swap(warnings_);
  return result;
}

}    // namespace quorum::order
