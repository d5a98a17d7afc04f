// See order_bonds.h.

#include "order_bonds.h"

#include "cells.h"
#include "order_pairs.h"

#include <algorithm>
#include <cmath>

namespace quorum::order {

static constexpr double SKIN = 0.18;    // of the cutoff: wider lists hold longer and cost more

void Bonds::resize(size_t n)
{
  first.resize(n);
  second.resize(n);
  vectors.resize(3 * n);
  lengths.resize(n);
}

BondFinder::BondFinder(double cutoff, int rank, int n_ranks) :
    cutoff_(cutoff), reach_((1 + SKIN) * cutoff), rank_(rank), n_ranks_(n_ranks)
{
}

static std::vector<double> fractions_of(const std::vector<double> &positions, const Box &box)
{
  const auto inv = inverse(box.vectors_A);
  std::vector<double> result(positions.size());
  for (size_t i = 0; i < positions.size(); i += 3)
    for (int d = 0; d < 3; d++)
      result[i + d] = positions[i] * inv[d] + positions[i + 1] * inv[3 + d] +
          positions[i + 2] * inv[6 + d];
  return result;
}

// The smallest factor by which a change of the cell, rows x → x F, shrinks a distance.
static double smallest_stretch(const Box &before, const Box &after)
{
  const auto inv = inverse(before.vectors_A);
  double f[3][3] = {}, a[3][3] = {};
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++)
      for (int k = 0; k < 3; k++) f[i][j] += inv[3 * i + k] * after.vectors_A[3 * k + j];
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++)
      for (int k = 0; k < 3; k++) a[i][j] += f[i][k] * f[j][k];
  // smallest eigenvalue of F Fᵀ by Jacobi's rotations
  for (int sweep = 0; sweep < 20; sweep++)
    for (int p = 0; p < 2; p++)
      for (int q = p + 1; q < 3; q++) {
        if (std::abs(a[p][q]) < 1e-300) continue;
        const double theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
        const double t = std::copysign(1.0, theta) / (std::abs(theta) + std::hypot(theta, 1.0));
        const double c = 1 / std::hypot(t, 1.0), s = t * c;
        for (int k = 0; k < 3; k++) {
          const double x = a[k][p], y = a[k][q];
          a[k][p] = c * x - s * y;
          a[k][q] = s * x + c * y;
        }
        for (int k = 0; k < 3; k++) {
          const double x = a[p][k], y = a[q][k];
          a[p][k] = c * x - s * y;
          a[q][k] = s * x + c * y;
        }
      }
  return std::sqrt(std::max(0.0, std::min({a[0][0], a[1][1], a[2][2]})));
}

// Positions as they have moved since the list was made, and whether it still holds: distances shrink
// by no more than the cell's smallest stretch and twice the largest move.
bool BondFinder::follow(const std::vector<double> &positions, const Box &box)
{
  if (start_fractions_.size() != positions.size() || box.periodic != box_.periodic) return false;
  const auto fractions = fractions_of(positions, box);
  const auto &h = box.vectors_A;
  now_ = positions;
  double most = 0.0;
  for (size_t i = 0; i < positions.size(); i += 3) {
    double moved[3] = {positions[i], positions[i + 1], positions[i + 2]};
    for (int d = 0; d < 3; d++) {
      const double whole =
          box.periodic[d] ? std::round(fractions[i + d] - start_fractions_[i + d]) : 0.0;
      for (int e = 0; e < 3; e++) {
        now_[i + e] -= whole * h[3 * d + e];
        moved[e] -= (whole + start_fractions_[i + d]) * h[3 * d + e];
      }
    }
    most = std::max(most, moved[0] * moved[0] + moved[1] * moved[1] + moved[2] * moved[2]);
  }
  const double shrink = box.vectors_A == box_.vectors_A ? 1.0 : smallest_stretch(box_, box);
  return shrink * reach_ - 2 * std::sqrt(most) > cutoff_;
}

void BondFinder::make_list(const std::vector<double> &positions, const Box &box)
{
  n_lists++;
  const Cells cells(positions, box, reach_);
  box_ = box;
  now_ = cells.positions_A();
  start_fractions_ = fractions_of(now_, box);
  const int64_t n = int64_t(positions.size() / 3);
  cells.pairs(int(n * rank_ / n_ranks_), int(n * (rank_ + 1) / n_ranks_), first_, second_, shifts_);
}

const Bonds &BondFinder::find(const std::vector<double> &positions, const Box &box)
{
  if (!follow(positions, box)) make_list(positions, box);
  bonds_.resize(first_.size());
  const int64_t n =
      pairs(int64_t(first_.size()), first_.data(), second_.data(), shifts_.data(), now_.data(),
            box.vectors_A.data(), cutoff_, bonds_.first.data(), bonds_.second.data(),
            bonds_.vectors.data(), bonds_.lengths.data());
  bonds_.resize(size_t(n));
  return bonds_;
}

bool images_apart(const Box &box, double distance)
{
  const auto inv = inverse(box.vectors_A);
  const auto &h = box.vectors_A;
  int most[3] = {0, 0, 0};
  bool wide = true;
  double count = 1.0;
  for (int d = 0; d < 3; d++) {
    if (!box.periodic[d]) continue;
    const double width = 1 / std::sqrt(inv[d] * inv[d] + inv[3 + d] * inv[3 + d] +
                                       inv[6 + d] * inv[6 + d]);
    wide = wide && width >= distance;
    // skewed: a lattice vector within the distance has coefficients below distance over width
    most[d] = int(std::min(distance / width, 1e6));
    count *= 2.0 * most[d] + 1;
  }
  if (wide) return true;
  if (count > 1e6) return false;
  for (int a = -most[0]; a <= most[0]; a++)
    for (int b = -most[1]; b <= most[1]; b++)
      for (int c = -most[2]; c <= most[2]; c++) {
        double squared = 0.0;
        for (int e = 0; e < 3; e++) {
          const double x = a * h[e] + b * h[3 + e] + c * h[6 + e];
          squared += x * x;
        }
        if ((a || b || c) && !(std::sqrt(squared) >= distance)) return false;
      }
  return true;
}

}    // namespace quorum::order
