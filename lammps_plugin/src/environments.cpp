// One cluster of many separate centers; see environments.h.

#include "environments.h"

#include <algorithm>

namespace quorum {

Environments::Environments(const ModelInfo &info) :
    requests_(info.requests), elements_(info.atomic_numbers)
{
  const int largest = *std::max_element(elements_.begin(), elements_.end());
  element_of_number_.assign(size_t(largest) + 1, 0);
  for (size_t e = 0; e < elements_.size(); e++) element_of_number_[size_t(elements_[e])] = int(e);
  clear();
}

void Environments::clear()
{
  center_numbers_.clear();
  cluster_.edges.resize(requests_.size());
  for (auto &list : cluster_.edges) list.clear();
  n_neighbours_ = 0;
}

void Environments::add_center(int atomic_number)
{
  center_numbers_.push_back(atomic_number);
  met_.assign(elements_.size(), 0);
}

void Environments::add_neighbour(int atomic_number, const double *r_A)
{
  // the k-th neighbour of an element: no center has two edges to one atom
  const int element = element_of_number_[size_t(atomic_number)];
  const int neighbour = met_[size_t(element)]++ * int(elements_.size()) + element;
  n_neighbours_ = std::max(n_neighbours_, neighbour + 1);
  const double r2 = r_A[0] * r_A[0] + r_A[1] * r_A[1] + r_A[2] * r_A[2];
  for (size_t l = 0; l < requests_.size(); l++)
    if (r2 < requests_[l].cutoff_A * requests_[l].cutoff_A)
      cluster_.edges[l].add(size() - 1, neighbour, {0, 0, 0}, r_A);
}

const Cluster &Environments::cluster(bool select)
{
  const int n = size(), n_elements = int(elements_.size());
  cluster_.n_centers = n;
  cluster_.select = select;
  cluster_.atomic_numbers = center_numbers_;
  for (int k = 0; k < n_neighbours_; k++)
    cluster_.atomic_numbers.push_back(elements_[size_t(k % n_elements)]);
  // nobody looks at positions
  cluster_.positions_A.assign(3 * cluster_.atomic_numbers.size(), 0.0);
  for (size_t k = 0; k < cluster_.atomic_numbers.size(); k++)
    cluster_.positions_A[3 * k] = double(k);
  // neighbours were counted from the first of them
  for (auto &list : cluster_.edges)
    for (size_t k = 1; k < list.pairs.size(); k += 2) list.pairs[k] += n;
  return cluster_;
}

}    // namespace quorum
