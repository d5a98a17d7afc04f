// The functions of order_pairs.h as a library of their own, called through ctypes.

#include "order_pairs.h"

#include "cells.h"

#include <algorithm>

extern "C" {

// Pairs within the reach, each once; their number. Nothing is written if there is no room for all.
int64_t quorum_order_search(int64_t n_atoms, const double *positions, const double *cell,
                            const int32_t *periodic, double reach, int capacity, int32_t *first,
                            int32_t *second, int32_t *shifts)
{
  const std::vector<double> given(positions, positions + 3 * n_atoms);
  quorum::Box box;
  std::copy_n(cell, 9, box.vectors_A.begin());
  for (int d = 0; d < 3; d++) box.periodic[d] = periodic[d] != 0;
  const quorum::Cells cells(given, box, reach);
  std::vector<int32_t> i, j, s;
  cells.pairs(0, int(n_atoms), i, j, s);
  if (int64_t(i.size()) > capacity) return int64_t(i.size());
  // to positions as they were given, which may lie outside the box
  const auto inv = quorum::inverse(box.vectors_A);
  std::vector<int32_t> away(given.size());
  for (size_t k = 0; k < given.size(); k += 3)
    for (int d = 0; d < 3; d++) {
      double f = 0.0;
      for (int e = 0; e < 3; e++) f += (given[k + e] - cells.positions_A()[k + e]) * inv[3 * e + d];
      away[k + d] = int32_t(std::lround(f));
    }
  for (size_t k = 0; k < i.size(); k++)
    for (int d = 0; d < 3; d++)
      shifts[3 * k + d] =
          s[3 * k + d] + away[3 * size_t(i[k]) + d] - away[3 * size_t(j[k]) + d];
  std::copy(i.begin(), i.end(), first);
  std::copy(j.begin(), j.end(), second);
  return int64_t(i.size());
}

int64_t quorum_order_pairs(int64_t n, const int32_t *first, const int32_t *second,
                           const int32_t *shifts, const double *positions, const double *cell,
                           double cutoff, int32_t *found_first, int32_t *found_second,
                           double *vectors, double *lengths)
{
  return quorum::order::pairs(n, first, second, shifts, positions, cell, cutoff, found_first,
                              found_second, vectors, lengths);
}

void quorum_order_fcc(int64_t n, const double *vectors, const double *lengths,
                      const double *weights, const double *weight_slopes, double alpha,
                      double *values, double *gradients)
{
  quorum::order::fcc(n, vectors, lengths, weights, weight_slopes, alpha, values, gradients);
}

void quorum_order_similarity(int64_t n, const double *vectors, const int32_t *first_kind,
                             const int32_t *second_kind, int n_references,
                             const double *references, const int32_t *environment,
                             const int32_t *kinds, int n_environments, int sides, double sigma,
                             double weight, double *at_first, double *at_second,
                             double *first_gradient, double *second_gradient)
{
  quorum::order::similarity(n, vectors, first_kind, second_kind, n_references, references,
                            environment, kinds, n_environments, sides, sigma, weight, at_first,
                            at_second, first_gradient, second_gradient);
}

void quorum_order_sums(int64_t n, const int32_t *first, const int32_t *second, int width,
                       const double *forward, const double *backward, const double *at_first,
                       const double *at_second, double *sums)
{
  quorum::order::sums(n, first, second, width, forward, backward, at_first, at_second, sums);
}

void quorum_order_pull(int64_t n, const int32_t *first, const int32_t *second, int width,
                       const double *forward, const double *backward, const double *per_atom,
                       const double *first_gradient, const double *second_gradient,
                       double *gradient)
{
  quorum::order::pull(n, first, second, width, forward, backward, per_atom, first_gradient,
                      second_gradient, gradient);
}

void quorum_order_forces(int64_t n, const int32_t *first, const int32_t *second,
                         const double *vectors, const double *gradient, double *forces,
                         double *virial)
{
  quorum::order::forces(n, first, second, vectors, gradient, forces, virial);
}
}
