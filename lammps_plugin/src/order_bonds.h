// Pairs of atoms within a cutoff, from a list that is kept while it holds; each rank has its share of
// them. The same rules as in driver/quorum_md/order_parameters/bonds.py.

#ifndef QUORUM_ORDER_BONDS_H
#define QUORUM_ORDER_BONDS_H

#include "box.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace quorum::order {

struct Bonds {
  std::vector<int32_t> first, second;
  std::vector<double> vectors, lengths;    // from the first atom to the second, 3 each

  std::size_t size() const { return lengths.size(); }
  void resize(std::size_t n);
};

// Of structures that follow one another. Every rank has all positions, and the pairs of some atoms:
// which ones depends on the numbers of the atoms alone, so that lists of ranks need not be of one age.
class BondFinder {
 public:
  BondFinder(double cutoff, int rank, int n_ranks);
  double cutoff() const { return cutoff_; }
  // All pairs and images not further apart than the cutoff, each once on one rank.
  const Bonds &find(const std::vector<double> &positions, const Box &box);

  int64_t n_lists = 0;    // that were made

 private:
  bool follow(const std::vector<double> &positions, const Box &box);
  void make_list(const std::vector<double> &positions, const Box &box);

  double cutoff_, reach_;
  int rank_, n_ranks_;
  Box box_;                                 // of the list
  std::vector<double> start_fractions_, now_;    // positions without jumps between images
  std::vector<int32_t> first_, second_, shifts_;
  Bonds bonds_;
};

// Whether no two images of an atom are closer than the distance.
bool images_apart(const Box &box, double distance);

}    // namespace quorum::order

#endif
