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

void Cells::find(int atom, std::vector<Near> &result) const
{
  if (cutoff_A_ == 0.0) return;
  const double *here = &positions_A_[3 * size_t(atom)], *h = box_.vectors_A.data();
  const int cell = cell_[size_t(atom)];
  const std::array<int, 3> home = {cell / (n_[1] * n_[2]), cell / n_[2] % n_[1], cell % n_[2]};
  // the cell along one direction, and how many boxes away it is; -1: there is none
  auto fold = [&](int d, int place, int &shift) {
    shift = int(std::floor(double(place) / n_[d]));
    return shift != 0 && !box_.periodic[d] ? -1 : place - shift * n_[d];
  };
  std::array<int, 3> shift{};
  for (int a = -reach_[0]; a <= reach_[0]; a++) {
    const int x = fold(0, home[0] + a, shift[0]);
    for (int b = -reach_[1]; x >= 0 && b <= reach_[1]; b++) {
      const int y = fold(1, home[1] + b, shift[1]);
      for (int c = -reach_[2]; y >= 0 && c <= reach_[2]; c++) {
        const int z = fold(2, home[2] + c, shift[2]);
        if (z < 0) continue;
        double from[3];
        for (int d = 0; d < 3; d++)
          from[d] = shift[0] * h[d] + shift[1] * h[3 + d] + shift[2] * h[6 + d] - here[d];
        const int other = (x * n_[1] + y) * n_[2] + z;
        for (int k = first_[size_t(other)]; k < first_[size_t(other) + 1]; k++) {
          const int j = order_[size_t(k)];
          const double *there = &positions_A_[3 * size_t(j)];
          const double r[3] = {there[0] + from[0], there[1] + from[1], there[2] + from[2]};
          if (r[0] * r[0] + r[1] * r[1] + r[2] * r[2] >= cutoff_A_ * cutoff_A_) continue;
          if (j == atom && shift == std::array<int, 3>{}) continue;
          result.push_back({j, shift, {r[0], r[1], r[2]}});
        }
      }
    }
  }
}

}    // namespace quorum
