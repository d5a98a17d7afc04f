// Neighbours of single atoms of the whole system, periodic images one by one.

#ifndef QUORUM_CELLS_H
#define QUORUM_CELLS_H

#include "box.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace quorum {

struct Near {
  int atom;
  std::array<int, 3> shift;    // cells from the atom to this image of it
  double r_A[3];               // from the atom that was asked about
};

// Cells may be smaller than the cutoff: an atom then meets its own images, and others several times.
// Out to a cutoff of 0 there are no neighbours.
class Cells {
 public:
  Cells() = default;
  Cells(const std::vector<double> &positions_A, const Box &box, double cutoff_A);
  // Appends the neighbours of an atom, always in the same order.
  void find(int atom, std::vector<Near> &result) const;
  // Pairs of the atoms from begin to end with all others, so that every pair of two atoms and every
  // image of an atom with itself comes once if all atoms are asked about, in whatever parts. Takes
  // the place of what is there; shifts, 3 each, lead from the first atom to an image of the second.
  void pairs(int begin, int end, std::vector<int32_t> &first, std::vector<int32_t> &second,
             std::vector<int32_t> &shifts) const;
  // Positions with periodic coordinates inside the box, to which shifts refer.
  const std::vector<double> &positions_A() const { return positions_A_; }
  // Atoms with near numbers are near each other.
  int cell_of(int atom) const { return cell_[std::size_t(atom)]; }

 private:
  template <class Visit> void around(int cell, bool half, const Visit &visit) const;

  Box box_;
  double cutoff_A_ = 0.0;
  std::vector<double> positions_A_;
  std::array<int, 3> n_{}, reach_{};
  std::vector<int> cell_, first_, order_;
};

}    // namespace quorum

#endif
