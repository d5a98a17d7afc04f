// Measuring a model on a rod of atoms; see measure.h, and quorum_md.models.probe, which does the
// same in Python.

#include "measure.h"

#include "environments.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <sstream>
#include <stdexcept>

namespace quorum {

namespace {

constexpr int LONGEST_HOPS = 8;    // farther than this many cutoffs counts as unlimited

// A number in [lo, hi) that is the same with every standard library, hence on every rank.
double uniform(std::mt19937 &engine, double lo, double hi)
{
  return lo + (hi - lo) * (double(engine()) / 4294967296.0);
}

// Three atoms abreast along x at distances of a dense solid, in no symmetric arrangement; the
// element of the first is given, those of the others are drawn.
Cluster rod(const ModelInfo &info, double length_A, size_t first_element = 0)
{
  std::mt19937 engine(4711);
  const double corner[3][3] = {{0.0, 0.0, 0.0}, {0.7, 1.5, 0.0}, {1.3, 0.75, 1.35}};
  Cluster cluster;
  const int n = int(std::ceil(length_A / 2.0)) + 1;
  for (int k = 0; k < n; k++)
    for (const auto &c : corner) {
      const auto element = engine() % info.atomic_numbers.size();
      cluster.atomic_numbers.push_back(info.atomic_numbers[element]);
      cluster.positions_A.push_back(1.2 * (2.0 * k + c[0] + uniform(engine, -0.1, 0.1)));
      cluster.positions_A.push_back(1.2 * (c[1] + uniform(engine, -0.1, 0.1)));
      cluster.positions_A.push_back(1.2 * (c[2] + uniform(engine, -0.1, 0.1)));
    }
  cluster.atomic_numbers[0] = info.atomic_numbers[first_element];
  cluster.n_centers = 3 * n;
  return cluster;
}

// Edges of the first n_from atoms: both directions of full lists, and of half lists every pair once.
void find_edges(Cluster &cluster, const ModelInfo &info, int n_from)
{
  const int n = int(cluster.atomic_numbers.size());
  const auto &x = cluster.positions_A;
  cluster.edges.assign(info.requests.size(), {});
  for (size_t l = 0; l < info.requests.size(); l++) {
    const auto &request = info.requests[l];
    for (int i = 0; i < n_from; i++)
      for (int j = 0; j < n; j++) {
        if (i == j || (!request.full && j < i)) continue;
        const double r[3] = {x[3 * j] - x[3 * i], x[3 * j + 1] - x[3 * i + 1],
                             x[3 * j + 2] - x[3 * i + 2]};
        if (r[0] * r[0] + r[1] * r[1] + r[2] * r[2] < request.cutoff_A * request.cutoff_A)
          cluster.edges[l].add(i, j, {0, 0, 0}, r);
      }
  }
}

double distance_from_first(const Cluster &cluster, int i)
{
  const auto &x = cluster.positions_A;
  return std::hypot(x[3 * i] - x[0], x[3 * i + 1] - x[1], x[3 * i + 2] - x[2]);
}

// Hops are whole cutoffs: the largest sum of up to `hops` of them that closes just above the reach.
double covering_range(double reach_A, const std::vector<double> &cutoffs_A, int hops)
{
  if (reach_A == 0.0) return 0.0;
  std::vector<double> sums = {0.0}, last = {0.0};
  for (int h = 0; h < hops; h++) {
    std::vector<double> next;
    for (const double s : last)
      for (const double c : cutoffs_A) next.push_back(s + c);
    std::sort(next.begin(), next.end());
    next.erase(std::unique(next.begin(), next.end(),
                           [](double a, double b) { return std::abs(a - b) < 1e-9; }),
               next.end());
    sums.insert(sums.end(), next.begin(), next.end());
    last = next;
  }
  std::sort(sums.begin(), sums.end());
  const double first = *std::lower_bound(sums.begin(), sums.end(), reach_A - 1e-6);
  const auto above = std::upper_bound(sums.begin(), sums.end(), std::max(first, reach_A + 1.0));
  return *std::prev(above);
}

// Columns weighted unequally, so that nothing cancels.
std::vector<double> unequal_weights(int n)
{
  std::vector<double> weights(n);
  for (int c = 0; c < n; c++) weights[c] = 1.0 + c / double(n);
  return weights;
}

// Largest distance of an atom that matters to the first one of a rod.
double reach_of(Evaluator &model, Cluster cluster, bool &reads_positions)
{
  const int n = cluster.n_centers;
  cluster.n_centers = 1;
  find_edges(cluster, model.info(), n);
  model.forward(cluster, true);
  const auto &gradient = model.gradient(unequal_weights(model.n_columns()));
  double reach = 0.0;
  const auto &g = gradient.positions_eV_A;
  // a gradient without a path through the model is exactly zero, so no tolerance is needed
  for (size_t i = 0; i < g.size() / 3; i++)
    if (g[3 * i] != 0.0 || g[3 * i + 1] != 0.0 || g[3 * i + 2] != 0.0) {
      reads_positions = true;
      reach = std::max(reach, distance_from_first(cluster, int(i)));
    }
  for (size_t l = 0; l < gradient.edges_eV_A.size(); l++) {
    const auto &e = gradient.edges_eV_A[l];
    const auto &pairs = cluster.edges[l].pairs;
    for (size_t k = 0; k < e.size() / 3; k++)
      if (e[3 * k] != 0.0 || e[3 * k + 1] != 0.0 || e[3 * k + 2] != 0.0)
        for (int end = 0; end < 2; end++)
          reach = std::max(reach, distance_from_first(cluster, pairs[2 * k + end]));
  }
  return reach;
}

// Over all elements as centers, and never below what the file declares.
double measure_range(Evaluator &model, const std::vector<double> &cutoffs_A, bool &reads_positions)
{
  reads_positions = false;
  const auto &info = model.info();
  const double cutoff = *std::max_element(cutoffs_A.begin(), cutoffs_A.end());
  for (int hops = 2; hops <= LONGEST_HOPS; hops *= 2) {
    double reach = 0.0;
    for (size_t element = 0; element < info.atomic_numbers.size(); element++)
      reach = std::max(
          reach, reach_of(model, rod(info, (hops + 1) * cutoff / 1.2, element), reads_positions));
    if (reach <= hops * cutoff)
      return std::max(info.declared_range_A, covering_range(reach, cutoffs_A, hops));
  }
  return std::numeric_limits<double>::infinity();
}

bool close(const std::vector<double> &a, const std::vector<double> &b, bool single_precision)
{
  if (a.size() != b.size()) return false;
  double scale = 1e-30, difference = 0.0;
  for (size_t k = 0; k < a.size(); k++) {
    scale = std::max(scale, std::abs(a[k]));
    difference = std::max(difference, std::abs(a[k] - b[k]));
  }
  return difference < (single_precision ? 1e-5 : 1e-10) * scale;
}

// The slope of the energy along a random direction against a difference of energies. Whether the
// operators of extensions know their gradients depends on what is installed, and where they do not,
// forces are wrong without a sign.
void check_gradient(Evaluator &model)
{
  const auto &info = model.info();
  auto cluster = rod(info, 8.0);
  const int n = cluster.n_centers;
  std::mt19937 engine(1);
  std::vector<double> direction(3 * n);
  for (auto &d : direction) d = uniform(engine, -1.0, 1.0);
  const double step = info.single_precision ? 0.02 : 1e-3;
  const auto start = cluster.positions_A;

  find_edges(cluster, info, n);
  model.forward(cluster, true);
  const std::vector<double> weights(model.n_columns(), 1.0);
  const auto &gradient = model.gradient(weights);
  double slope = 0.0;
  for (size_t k = 0; k < gradient.positions_eV_A.size(); k++)
    slope += gradient.positions_eV_A[k] * direction[k];
  for (size_t l = 0; l < gradient.edges_eV_A.size(); l++) {
    const auto &e = gradient.edges_eV_A[l];
    const auto &pairs = cluster.edges[l].pairs;
    for (size_t k = 0; k < e.size() / 3; k++)
      for (int d = 0; d < 3; d++)
        slope += e[3 * k + d] *
            (direction[3 * pairs[2 * k + 1] + d] - direction[3 * pairs[2 * k] + d]);
  }
  double energies[2];
  for (int side = 0; side < 2; side++) {
    for (size_t k = 0; k < start.size(); k++)
      cluster.positions_A[k] = start[k] + (side ? -step : step) * direction[k];
    find_edges(cluster, info, n);
    const auto &rows = model.forward(cluster, false);
    energies[side] = std::accumulate(rows.begin(), rows.end(), 0.0);
  }
  const double numeric = (energies[0] - energies[1]) / (2.0 * step);
  const double noise = (info.single_precision ? 1e-6 : 1e-12) * std::abs(energies[0]) / step;
  if (std::abs(slope - numeric) > 0.02 * std::max(std::abs(slope), std::abs(numeric)) + noise) {
    std::ostringstream text;
    text << "its forces are not the gradient of its energy (slope " << slope << " against "
         << numeric << " eV/A by differences): an extension it needs has no gradients outside "
         << "Python; use a model without that extension, or run it with i-PI";
    throw std::runtime_error(text.str());
  }
}

// The centers of a cluster, each with neighbours of its own.
Cluster apart(const Cluster &cluster, const ModelInfo &info, bool select)
{
  Environments centers(info);
  const int n = int(cluster.atomic_numbers.size());
  const auto &x = cluster.positions_A;
  for (int i = 0; i < cluster.n_centers; i++) {
    centers.add_center(cluster.atomic_numbers[i]);
    for (int j = 0; j < n; j++) {
      const double r[3] = {x[3 * j] - x[3 * i], x[3 * j + 1] - x[3 * i + 1],
                           x[3 * j + 2] - x[3 * i + 2]};
      if (i != j) centers.add_neighbour(cluster.atomic_numbers[j], r);
    }
  }
  return centers.cluster(select);
}

}    // namespace

Facts measure(Evaluator &model)
{
  const auto &info = model.info();
  if (info.atomic_numbers.empty()) throw std::runtime_error("it knows no elements");
  Facts facts;
  std::vector<double> cutoffs;
  for (const auto &request : info.requests) cutoffs.push_back(request.cutoff_A);
  if (!cutoffs.empty()) facts.cutoff_A = *std::max_element(cutoffs.begin(), cutoffs.end());

  // two cutoffs of centers, and as many atoms beyond them
  auto cluster = rod(info, 2.2 * std::max(facts.cutoff_A, 2.0) + 4.0);
  const int n = cluster.n_centers;
  find_edges(cluster, info, n);
  cluster.n_centers = n / 2;
  const auto whole = model.forward(cluster, false);
  facts.n_columns = model.n_columns();
  auto agrees = [&](const Cluster &other) {
    try {
      return close(model.forward(other, false), whole, info.single_precision);
    } catch (const std::runtime_error &) {
      return false;    // a refusal is an answer as well
    }
  };
  auto selected = cluster;
  selected.select = true;
  facts.honours_selection = agrees(selected);
  auto local = cluster;
  local.select = facts.honours_selection;
  find_edges(local, info, local.n_centers);
  facts.local_lists_suffice = agrees(local);
  if (facts.local_lists_suffice)
    facts.environments_suffice = agrees(apart(local, info, facts.honours_selection));

  facts.range_A = std::numeric_limits<double>::infinity();
  if (cutoffs.empty())
    facts.range_A = 0.0;
  else if (std::isfinite(info.declared_range_A))
    facts.range_A = measure_range(model, cutoffs, facts.reads_positions);
  if (info.has_extensions) check_gradient(model);
  return facts;
}

}    // namespace quorum
