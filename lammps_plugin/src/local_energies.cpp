// Energies of single atoms; see local_energies.h.

#include "local_energies.h"

#include "edges.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

namespace quorum {

namespace {

constexpr size_t MOST_KNOWN = 1000000;    // about 50 MB

int neighbour(const Neighbourhoods &atoms, int i, int n)
{
  return atoms.firstneigh[i][n] & NEIGHMASK;
}

int element(const Neighbourhoods &atoms, int i)
{
  return atoms.atomic_number[atoms.type[i]];
}

double vector_to(const Neighbourhoods &atoms, int i, int j, double *r)
{
  for (int d = 0; d < 3; d++) r[d] = atoms.x_A[j][d] - atoms.x_A[i][d];
  return r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
}

uint64_t mixed(uint64_t h, uint64_t word)
{
  h = (h ^ word) * 0xD6E8FEB86659FD93ULL;
  return h ^ (h >> 32);
}

double longest(const std::vector<Request> &requests)
{
  double cutoff_A = 0.0;
  for (const auto &request : requests) cutoff_A = std::max(cutoff_A, request.cutoff_A);
  return cutoff_A;
}

}    // namespace

// Two independent hashes: 128 bits do not collide in practice.
LocalEnergies::Key LocalEnergies::key(int i, const Neighbourhoods &atoms, double cutoff_A) const
{
  Key result{0x9E3779B97F4A7C15ULL, 0xC2B2AE3D27D4EB4FULL};
  auto add = [&](int j) {
    uint64_t words[4] = {uint64_t(element(atoms, j))};
    std::memcpy(words + 1, atoms.x_A[j], 3 * sizeof(double));
    for (const auto word : words) {
      result.a = mixed(result.a, word);
      result.b = mixed(result.b + 0x632BE59BD9B4E019ULL, ~word);
    }
  };
  add(i);
  double r[3];
  for (int n = 0; n < atoms.numneigh[i]; n++) {
    const int j = neighbour(atoms, i, n);
    if (element(atoms, j) != 0 && vector_to(atoms, i, j, r) < cutoff_A * cutoff_A) add(j);
  }
  return result;
}

void LocalEnergies::evaluate(const std::vector<int> &centers, const Neighbourhoods &atoms,
                             Evaluator &model, bool select)
{
  const auto &requests = model.info().requests;
  const int n_centers = int(centers.size());
  cluster_ = Cluster();
  cluster_.n_centers = n_centers;
  cluster_.select = select;
  cluster_.edges.resize(requests.size());
  index_.assign(size_t(atoms.n_all), -1);
  auto place = [&](int i) {
    if (index_[i] >= 0) return;
    index_[i] = int(cluster_.atomic_numbers.size());
    cluster_.atomic_numbers.push_back(element(atoms, i));
    for (int d = 0; d < 3; d++) cluster_.positions_A.push_back(atoms.x_A[i][d]);
  };
  for (const int i : centers) place(i);
  for (const int i : centers)
    for (int n = 0; n < atoms.numneigh[i]; n++) {
      const int j = neighbour(atoms, i, n);
      if (element(atoms, j) == 0) continue;
      double r[3];
      const double r2 = vector_to(atoms, i, j, r);
      for (size_t l = 0; l < requests.size(); l++) {
        if (r2 >= requests[l].cutoff_A * requests[l].cutoff_A) continue;
        place(j);
        // a pair of centers is met from both ends
        if (!requests[l].full && index_[j] < index_[i]) continue;
        cluster_.edges[l].add(index_[i], index_[j], {0, 0, 0}, r);
      }
    }

  const auto &rows = model.forward(cluster_, false);
  const int n_columns = model.n_columns();
  const double cutoff_A = longest(requests);
  if (known_.size() > MOST_KNOWN) known_.clear();
  for (int c = 0; c < n_centers; c++) {
    double mean = 0.0;
    for (int m = 0; m < n_columns; m++) mean += rows[size_t(c) * n_columns + m] / n_columns;
    if (!std::isfinite(mean))
      throw std::runtime_error("its energy is not finite; atoms may be on top of each other");
    known_[key(centers[c], atoms, cutoff_A)] = mean;
  }
}

double LocalEnergies::energy_eV(int i, const Neighbourhoods &atoms, Evaluator &model, bool select)
{
  if (element(atoms, i) == 0) return 0.0;
  if (i >= atoms.n_lists)
    throw std::runtime_error("the neighbours of ghosts are not listed, so that their energies are "
                             "not known");
  const double cutoff_A = longest(model.info().requests);
  const auto wanted = key(i, atoms, cutoff_A);
  if (const auto found = known_.find(wanted); found != known_.end()) return found->second;
  std::vector<int> centers = {i};
  for (int n = 0; n < atoms.numneigh[i]; n++) {
    const int j = neighbour(atoms, i, n);
    if (j < atoms.n_lists && element(atoms, j) != 0 && !known_.count(key(j, atoms, cutoff_A)))
      centers.push_back(j);
  }
  evaluate(centers, atoms, model, select);
  return known_.at(wanted);
}

}    // namespace quorum
