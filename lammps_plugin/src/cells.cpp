// Cells of at least the cutoff where the box allows; see cells.h.

#include "cells.h"

#include <algorithm>
#include <cmath>

namespace quorum {

Cells::Cells(const std::vector<double> &positions_A, const Box &box, double cutoff_A) :
    box_(box), cutoff_A_(cutoff_A), positions_A_(positions_A)
{
  const size_t n_atoms = positions_A.size() / 3;
  const auto inv = inverse(box.vectors_A);
  std::vector<double> fractions(3 * n_atoms);
  std::array<double, 3> lowest = {0.0, 0.0, 0.0}, length = {1.0, 1.0, 1.0};
  const int most = 1 + int(2.0 * std::cbrt(double(n_atoms)));    // in a box that is mostly empty
  for (int d = 0; d < 3; d++) {
    double low = 0.0, high = 0.0;
    for (size_t i = 0; i < n_atoms; i++) {
      double *x = &positions_A_[3 * i];
      double f = 0.0;
      for (int e = 0; e < 3; e++) f += positions_A[3 * i + e] * inv[3 * e + d];
      if (box.periodic[d]) {
        const double whole = std::floor(f);
        for (int e = 0; e < 3; e++) x[e] -= whole * box.vectors_A[3 * d + e];
        f -= whole;
      }
      fractions[3 * i + d] = f;
      low = i ? std::min(low, f) : f;
      high = i ? std::max(high, f) : f;
    }
    if (!box.periodic[d]) {
      lowest[d] = low;
      length[d] = high - low;
    }
    const double height_A =
        length[d] / std::hypot(inv[d], inv[3 + d], inv[6 + d]);    // between planes of the box
    n_[d] = cutoff_A > 0.0 ? std::clamp(int(std::min(height_A / cutoff_A, 1e6)), 1, most) : 1;
    const bool single = n_[d] == 1 && !box.periodic[d];
    reach_[d] = single ? 0 : int(std::ceil(cutoff_A / (height_A / n_[d])));
  }
  cell_.resize(n_atoms);
  first_.assign(size_t(n_[0]) * n_[1] * n_[2] + 1, 0);
  for (size_t i = 0; i < n_atoms; i++) {
    int cell = 0;
    for (int d = 0; d < 3; d++) {
      const double f = length[d] > 0.0 ? (fractions[3 * i + d] - lowest[d]) / length[d] : 0.0;
      cell = cell * n_[d] + std::clamp(int(f * n_[d]), 0, n_[d] - 1);
    }
    cell_[i] = cell;
    first_[size_t(cell) + 1]++;
  }
  for (size_t c = 1; c < first_.size(); c++) first_[c] += first_[c - 1];
  order_.resize(n_atoms);
  auto next = first_;
  for (size_t i = 0; i < n_atoms; i++) order_[size_t(next[size_t(cell_[i])]++)] = int(i);
}

// Calls visit(cell, shift, vector of the shift) for all cells that may hold neighbours of a cell, or
// for the half of them that makes every pair of cells and shifts come once, the cell itself too.
template <class Visit> void Cells::around(int cell, bool half, const Visit &visit) const
{
  const double *h = box_.vectors_A.data();
  const std::array<int, 3> home = {cell / (n_[1] * n_[2]), cell / n_[2] % n_[1], cell % n_[2]};
  // the cell along one direction, and how many boxes away it is; -1: there is none
  auto fold = [&](int d, int place, int &shift) {
    shift = int(std::floor(double(place) / n_[d]));
    return shift != 0 && !box_.periodic[d] ? -1 : place - shift * n_[d];
  };
  std::array<int, 3> shift{};
  for (int a = half ? 0 : -reach_[0]; a <= reach_[0]; a++) {
    const int x = fold(0, home[0] + a, shift[0]);
    for (int b = half && a == 0 ? 0 : -reach_[1]; x >= 0 && b <= reach_[1]; b++) {
      const int y = fold(1, home[1] + b, shift[1]);
      for (int c = half && a == 0 && b == 0 ? 0 : -reach_[2]; y >= 0 && c <= reach_[2]; c++) {
        const int z = fold(2, home[2] + c, shift[2]);
        if (z < 0) continue;
        double offset[3];
        for (int d = 0; d < 3; d++)
          offset[d] = shift[0] * h[d] + shift[1] * h[3 + d] + shift[2] * h[6 + d];
        visit((x * n_[1] + y) * n_[2] + z, shift, offset);
      }
    }
  }
}

void Cells::find(int atom, std::vector<Near> &result) const
{
  if (cutoff_A_ == 0.0) return;
  const double *here = &positions_A_[3 * size_t(atom)];
  around(cell_[size_t(atom)], false, [&](int other, const std::array<int, 3> &shift,
                                  const double *offset) {
    const double from[3] = {offset[0] - here[0], offset[1] - here[1], offset[2] - here[2]};
    for (int k = first_[size_t(other)]; k < first_[size_t(other) + 1]; k++) {
      const int j = order_[size_t(k)];
      const double *there = &positions_A_[3 * size_t(j)];
      const double r[3] = {there[0] + from[0], there[1] + from[1], there[2] + from[2]};
      if (r[0] * r[0] + r[1] * r[1] + r[2] * r[2] >= cutoff_A_ * cutoff_A_) continue;
      if (j == atom && shift == std::array<int, 3>{}) continue;
      result.push_back({j, shift, {r[0], r[1], r[2]}});
    }
  });
}

void Cells::pairs(int begin, int end, std::vector<int32_t> &first, std::vector<int32_t> &second,
                  std::vector<int32_t> &shifts) const
{
  first.clear();
  second.clear();
  shifts.clear();
  if (cutoff_A_ == 0.0) return;
  std::vector<double> sorted(positions_A_.size());    // cell after cell
  for (size_t k = 0; k < order_.size(); k++)
    std::copy_n(&positions_A_[3 * size_t(order_[k])], 3, &sorted[3 * k]);
  const double squared = cutoff_A_ * cutoff_A_;
  // half of the cells around are enough where all atoms are asked about
  const bool all = begin <= 0 && end >= int(order_.size());
  std::vector<int> near;
  for (int cell = 0; cell + 1 < int(first_.size()); cell++)
    around(cell, all, [&](int other, const std::array<int, 3> &shift, const double *offset) {
      const int from = first_[size_t(other)], to = first_[size_t(other) + 1];
      const bool same = other == cell && shift == std::array<int, 3>{};
      near.resize(size_t(to - from) + 1);
      for (int a = first_[size_t(cell)]; a < first_[size_t(cell) + 1]; a++) {
        const int i = order_[size_t(a)];
        if (i < begin || i >= end) continue;
        double here[3];
        for (int d = 0; d < 3; d++) here[d] = sorted[3 * size_t(a) + d] - offset[d];
        size_t n = 0;    // no branch: most candidates are too far
        for (int k = all && same ? a + 1 : from; k < to; k++) {
          const double *there = &sorted[3 * size_t(k)];
          const double x = there[0] - here[0], y = there[1] - here[1], z = there[2] - here[2];
          near[n] = order_[size_t(k)];
          n += x * x + y * y + z * z < squared;
        }
        for (size_t k = 0; k < n; k++) {
          const int j = near[k];
          // one of the two atoms has the pair, either one as often as the other
          if (!all && (i == j ? shift <= std::array<int, 3>{} : ((i + j) % 2 == 0) != (i < j)))
            continue;
          first.push_back(i);
          second.push_back(j);
          shifts.insert(shifts.end(), shift.begin(), shift.end());
        }
      }
    });
}

}    // namespace quorum
