// The functions of order_pairs.h as a library of their own, called through ctypes.

#include "order_pairs.h"

extern "C" {

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
