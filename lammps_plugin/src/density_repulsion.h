// The screened nuclear repulsion of the built-in potential, in double precision; formula and numbers
// are those of quorum_md.models.basis. Few pairs ever come so close.

#ifndef QUORUM_DENSITY_REPULSION_H
#define QUORUM_DENSITY_REPULSION_H

#include "density_kernel.h"

#include <algorithm>
#include <cmath>

namespace quorum {

struct Repulsion {
  explicit Repulsion(const DensityParameters &p) :
      longest_A(*std::max_element(p.pair_outer.begin(), p.pair_outer.end())), p_(p)
  {
  }

  // Half of the energy of a pair at `r_A`, and half of its gradient times `weight` added to
  // `gradient_eV_A`, unless that is null.
  double add(int species, int neighbor, const double *r_A, double weight,
             double *gradient_eV_A) const
  {
    const size_t pair = size_t(species) * p_.n_species + neighbor;
    const double d = std::sqrt(r_A[0] * r_A[0] + r_A[1] * r_A[1] + r_A[2] * r_A[2]);
    const double inner = p_.pair_inner[pair], outer = p_.pair_outer[pair];
    if (d >= outer) return 0.0;
    constexpr double share[] = {0.18175, 0.50986, 0.28022, 0.02817};
    constexpr double decay[] = {3.19980, 0.94229, 0.40290, 0.20162};
    const double x = d / p_.pair_length[pair];
    double screening = 0.0, slope = 0.0;
    for (int k = 0; k < 4; k++) {
      const double term = share[k] * std::exp(-decay[k] * x);
      screening += term;
      slope -= decay[k] / p_.pair_length[pair] * term;
    }
    const double t = std::max((d - inner) / (outer - inner), 0.0);
    const double off = 1.0 - t * t * t * (10.0 - 15.0 * t + 6.0 * t * t);
    const double off_slope = -30.0 * t * t * (1.0 - t) * (1.0 - t) / (outer - inner);
    const double half = 0.5 * p_.pair_strength[pair] / d;
    if (gradient_eV_A) {
      const double of_d =
          half * (slope * off + screening * off_slope - screening * off / d) * weight / d;
      for (int k = 0; k < 3; k++) gradient_eV_A[k] += of_d * r_A[k];
    }
    return half * screening * off;
  }

  double longest_A;

 private:
  const DensityParameters &p_;
};

}    // namespace quorum

#endif
