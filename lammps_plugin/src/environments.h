// Centers with neighbours of their own, many in one call of a model: what trial moves ask for.
//
// A model whose energies need no more than the edges of their own atom sees elements and vectors
// only. So the same few atoms serve as the neighbours of every center, and centers of different trial
// states lie side by side without seeing each other. Whether a model is such a one is measured when
// it is loaded (Facts::environments_suffice).

#ifndef QUORUM_ENVIRONMENTS_H
#define QUORUM_ENVIRONMENTS_H

#include "evaluator.h"

#include <vector>

namespace quorum {

class Environments {
 public:
  explicit Environments(const ModelInfo &info);
  void clear();
  void add_center(int atomic_number);
  // Of the last center; beyond a cutoff it is left out of that list.
  void add_neighbour(int atomic_number, const double *r_A);
  int size() const { return int(center_numbers_.size()); }
  const Cluster &cluster(bool select);

 private:
  std::vector<Request> requests_;
  std::vector<int> elements_, element_of_number_;
  std::vector<int32_t> center_numbers_;
  std::vector<int> met_;    // neighbours of the last center, per element
  int n_neighbours_ = 0;    // atoms that serve as neighbours
  Cluster cluster_;
};

}    // namespace quorum

#endif
