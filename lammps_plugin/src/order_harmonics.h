// Real spherical harmonics of directions, and the gradient of a sum of them; as in
// driver/quorum_md/order_parameters/harmonics.py.

#ifndef QUORUM_ORDER_HARMONICS_H
#define QUORUM_ORDER_HARMONICS_H

#include <cmath>
#include <vector>

namespace quorum::order {

class Harmonics {
 public:
  // Polynomials in z of m = 0 … l: N dᵐP_l/dzᵐ, from P_l = Σ_k (-1)ᵏ (2l - 2k)! z^(l - 2k) /
  // (2ˡ k! (l - k)! (l - 2k)!).
  explicit Harmonics(int degree) : degree(degree), of_m_(size_t(degree) + 1)
  {
    const double pi = 4.0 * std::atan(1.0);
    std::vector<double> p(size_t(degree) + 1, 0.0);
    for (int k = 0; 2 * k <= degree; k++)
      p[size_t(degree - 2 * k)] = (k % 2 ? -1.0 : 1.0) * factorial(2 * degree - 2 * k) /
          (std::pow(2.0, degree) * factorial(k) * factorial(degree - k) * factorial(degree - 2 * k));
    for (int m = 0; m <= degree; m++) {
      const double norm = std::sqrt((2 * degree + 1) / (4 * pi) * factorial(degree - m) /
                                    factorial(degree + m)) * (m ? std::sqrt(2.0) : 1.0);
      for (const double c : p) of_m_[size_t(m)].push_back(norm * c);
      p = derivative(p);
    }
    for (const auto &one : of_m_) slopes_.push_back(derivative(one));
    c_.resize(size_t(degree) + 1);
    s_.resize(size_t(degree) + 1);
  }

  int width() const { return 2 * degree + 1; }

  // m = 0, then cosine and sine of m = 1 … l. They turn into PLUMED's complex ones by a unitary
  // matrix: norms and scalar products are equal.
  void evaluate(const double *vector, double length, double *y)
  {
    const double z = vector[2] / length;
    azimuth(vector, length);
    y[0] = value(of_m_[0], z);
    for (int m = 1; m <= degree; m++) {
      const double q = value(of_m_[size_t(m)], z);
      y[2 * m - 1] = q * c_[size_t(m)];
      y[2 * m] = q * s_[size_t(m)];
    }
  }

  // Gradient of Σ_m weights[m] Y_m with respect to the vector.
  void gradient_of_sum(const double *vector, double length, const double *weights, double *gradient)
  {
    const double u[3] = {vector[0] / length, vector[1] / length, vector[2] / length};
    azimuth(vector, length);
    double slope[3] = {0.0, 0.0, weights[0] * value(slopes_[0], u[2])};
    for (int m = 1; m <= degree; m++) {
      const double q = value(of_m_[size_t(m)], u[2]), dq = value(slopes_[size_t(m)], u[2]);
      const double a = weights[2 * m - 1], b = weights[2 * m];
      const size_t k = size_t(m);
      slope[0] += m * q * (a * c_[k - 1] + b * s_[k - 1]);
      slope[1] += m * q * (b * c_[k - 1] - a * s_[k - 1]);
      slope[2] += dq * (a * c_[k] + b * s_[k]);
    }
    // along the sphere only
    const double along = slope[0] * u[0] + slope[1] * u[1] + slope[2] * u[2];
    for (int d = 0; d < 3; d++) gradient[d] = (slope[d] - along * u[d]) / length;
  }

  const int degree;

 private:
  static double factorial(int n) { return n < 2 ? 1.0 : n * factorial(n - 1); }
  static std::vector<double> derivative(const std::vector<double> &p)
  {
    std::vector<double> result;
    for (size_t k = 1; k < p.size(); k++) result.push_back(double(k) * p[k]);
    if (result.empty()) result.push_back(0.0);
    return result;
  }
  static double value(const std::vector<double> &p, double z)
  {
    double sum = 0.0;
    for (size_t k = p.size(); k-- > 0;) sum = sum * z + p[k];
    return sum;
  }
  // Real and imaginary parts of (x + iy)ᵐ.
  void azimuth(const double *vector, double length)
  {
    const double x = vector[0] / length, y = vector[1] / length;
    c_[0] = 1.0;
    s_[0] = 0.0;
    for (size_t m = 1; m < c_.size(); m++) {
      c_[m] = x * c_[m - 1] - y * s_[m - 1];
      s_[m] = x * s_[m - 1] + y * c_[m - 1];
    }
  }

  std::vector<std::vector<double>> of_m_, slopes_;
  std::vector<double> c_, s_;
};

}    // namespace quorum::order

#endif
