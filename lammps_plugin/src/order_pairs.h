// Sums over pairs of atoms for order parameters: what driver/quorum_md/order_parameters/
// pair_functions.py does in numpy, where each function is described. Arrays are C-contiguous, and
// the caller has sized them. For the library of order_pairs.cpp and for fix quorum/bias.

#ifndef QUORUM_ORDER_PAIRS_H
#define QUORUM_ORDER_PAIRS_H

#include <cmath>
#include <cstdint>
#include <vector>

namespace quorum::order {

// Gaussians of several centres are products of one factor for each axis, of which a crystal has
// few: 9 for fcc against 12 centres, and the same ones serve the opposite direction.
class AxisFactors {
 public:
  AxisFactors(int n, const double *vectors, double sigma) : exponent_(-0.25 / (sigma * sigma)) {
    for (int axis = 0; axis < 3; ++axis) {
      index_[axis].resize(2 * n);
      for (int sign = 0; sign < 2; ++sign)
        for (int k = 0; k < n; ++k)
          index_[axis][sign * n + k] =
              place(axis, (sign == 0 ? 1.0 : -1.0) * vectors[3 * k + axis] + 0.0);
      factor_[axis].resize(value_[axis].size());
    }
  }

  void set(const double *x)
  {
    for (int axis = 0; axis < 3; ++axis)
      for (std::size_t k = 0; k < value_[axis].size(); ++k) {
        const double away = x[axis] - value_[axis][k];
        factor_[axis][k] = std::exp(exponent_ * away * away);
      }
  }

  // Adds Σ g and Σ g v of centre k (k + n: of its opposite) to four numbers.
  void add(int k, double *moments) const
  {
    const int x = index_[0][k], y = index_[1][k], z = index_[2][k];
    const double value = factor_[0][x] * factor_[1][y] * factor_[2][z];
    moments[0] += value;
    moments[1] += value * value_[0][x];
    moments[2] += value * value_[1][y];
    moments[3] += value * value_[2][z];
  }

 private:
  int place(int axis, double value)
  {
    auto &known = value_[axis];
    for (std::size_t k = 0; k < known.size(); ++k)
      if (known[k] == value) return static_cast<int>(k);
    known.push_back(value);
    return static_cast<int>(known.size()) - 1;
  }

  double exponent_;
  std::vector<double> value_[3], factor_[3];
  std::vector<int> index_[3];
};

inline int64_t pairs(int64_t n, const int32_t *first, const int32_t *second,
                     const int32_t *shifts, const double *positions, const double *cell,
                     double cutoff, int32_t *found_first, int32_t *found_second,
                     double *vectors, double *lengths)
{
  int64_t count = 0;
  const double most = cutoff * cutoff;
  for (int64_t e = 0; e < n; ++e) {
    const double *a = positions + 3 * static_cast<int64_t>(first[e]);
    const double *b = positions + 3 * static_cast<int64_t>(second[e]);
    const int32_t *s = shifts + 3 * e;
    double d[3];
    for (int k = 0; k < 3; ++k)
      d[k] = b[k] - a[k] + (s[0] * cell[k] + s[1] * cell[3 + k] + s[2] * cell[6 + k]);
    const double squared = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
    if (squared > most) continue;
    found_first[count] = first[e];
    found_second[count] = second[e];
    for (int k = 0; k < 3; ++k) vectors[3 * count + k] = d[k];
    lengths[count] = std::sqrt(squared);
    ++count;
  }
  return count;
}

inline void fcc(int64_t n, const double *vectors, const double *lengths,
                const double *weights, const double *weight_slopes, double alpha,
                double *values, double *gradients)
{
  const double a = 80080 / (2717 + 16 * alpha), b = 16 * (alpha - 143) / (2717 + 16 * alpha);
  for (int64_t e = 0; e < n; ++e) {
    const double *d = vectors + 3 * e;
    const double inverse = 1 / (lengths[e] * lengths[e]), w = weights[e];
    double p[3], q[3];
    for (int k = 0; k < 3; ++k) {
      p[k] = d[k] * d[k] * inverse;
      q[k] = p[k] * p[k];
    }
    const double sum = q[0] + q[1] + q[2];
    const double others[3] = {q[1] * q[2], q[0] * q[2], q[0] * q[1]};
    const double pairs = others[0] + others[1] + others[2], triple = q[0] * others[0];
    const double along = 2 * pairs - 3 * alpha * triple;
    const double f = a * (pairs - alpha * triple) + b, radial = weight_slopes[e] / lengths[e];
    values[2 * e] = w * f;
    values[2 * e + 1] = w;
    for (int k = 0; k < 3; ++k) {
      const double slope = 4 * a * inverse * (p[k] * (sum - q[k] - alpha * others[k]) - along);
      gradients[6 * e + k] = d[k] * (w * slope + f * radial);
      gradients[6 * e + 3 + k] = d[k] * radial;
    }
  }
}

// Of one direction only (sides 1) where the centres are symmetric by inversion.
inline void similarity(int64_t n, const double *vectors, const int32_t *first_kind,
                       const int32_t *second_kind, int n_references,
                       const double *references, const int32_t *environment,
                       const int32_t *kinds, int n_environments, int sides, double sigma,
                       double weight, double *at_first, double *at_second,
                       double *first_gradient, double *second_gradient)
{
  AxisFactors factors(n_references, references, sigma);
  const double slope = -0.5 / (sigma * sigma);
  std::vector<double> moments(4 * n_environments);
  for (int64_t e = 0; e < n; ++e) {
    const double *d = vectors + 3 * e;
    factors.set(d);
    for (int side = 0; side < sides; ++side) {
      const int32_t kind = side == 0 ? second_kind[e] : first_kind[e];
      for (double &moment : moments) moment = 0;
      for (int k = 0; k < n_references; ++k) {
        if (kinds[k] >= 0 && kinds[k] != kind) continue;
        factors.add(side * n_references + k, &moments[4 * environment[k]]);
      }
      for (int m = 0; m < n_environments; ++m) {
        const double *moment = &moments[4 * m];
        const int64_t place = e * n_environments + m;
        (side == 0 ? at_first : at_second)[place] = weight * moment[0];
        double *gradient = (side == 0 ? first_gradient : second_gradient) + 3 * place;
        for (int axis = 0; axis < 3; ++axis)
          gradient[axis] = slope * weight * (d[axis] * moment[0] - moment[1 + axis]);
      }
    }
  }
}

// forward and backward may be null: all ones.
inline void sums(int64_t n, const int32_t *first, const int32_t *second, int width,
                 const double *forward, const double *backward, const double *at_first,
                 const double *at_second, double *sums)
{
  for (int64_t e = 0; e < n; ++e) {
    double *a = sums + static_cast<int64_t>(width) * first[e];
    double *b = sums + static_cast<int64_t>(width) * second[e];
    const double ahead = forward ? forward[e] : 1, back = backward ? backward[e] : 1;
    for (int k = 0; k < width; ++k) {
      a[k] += ahead * at_first[e * width + k];
      b[k] += back * at_second[e * width + k];
    }
  }
}

inline void pull(int64_t n, const int32_t *first, const int32_t *second, int width,
                 const double *forward, const double *backward, const double *per_atom,
                 const double *first_gradient, const double *second_gradient,
                 double *gradient)
{
  for (int64_t e = 0; e < n; ++e) {
    const double *a = per_atom + static_cast<int64_t>(width) * first[e];
    const double *b = per_atom + static_cast<int64_t>(width) * second[e];
    const double ahead = forward ? forward[e] : 1, back = backward ? backward[e] : 1;
    double total[3] = {0, 0, 0};
    for (int k = 0; k < width; ++k) {
      const double *g = first_gradient + 3 * (e * width + k);
      const double *h = second_gradient + 3 * (e * width + k);
      for (int axis = 0; axis < 3; ++axis)
        total[axis] += ahead * a[k] * g[axis] + back * b[k] * h[axis];
    }
    for (int axis = 0; axis < 3; ++axis) gradient[3 * e + axis] = total[axis];
  }
}

inline void forces(int64_t n, const int32_t *first, const int32_t *second,
                   const double *vectors, const double *gradient, double *forces,
                   double *virial)
{
  for (int64_t e = 0; e < n; ++e) {
    const double *d = vectors + 3 * e, *g = gradient + 3 * e;
    double *a = forces + 3 * static_cast<int64_t>(first[e]);
    double *b = forces + 3 * static_cast<int64_t>(second[e]);
    for (int k = 0; k < 3; ++k) {
      a[k] += g[k];
      b[k] -= g[k];
      for (int l = 0; l < 3; ++l) virial[3 * k + l] += d[k] * g[l];
    }
  }
}
}    // namespace quorum::order

#endif
