// How columns of energies (members, then a baseline if there is one) combine to the energy that
// drives, and its derivatives, which one backward pass turns into forces.
//
// Weighted baseline: U = V_b + w (mean - V_b), w = sigma^2 / (sigma^2 + variance of the members), of
// energies of the whole system (Imbalzano et al., J. Chem. Phys. 154, 074102 (2021),
// doi:10.1063/5.0036522); the formulas are those of quorum_md.models.baseline.

#ifndef QUORUM_DRIVE_H
#define QUORUM_DRIVE_H

#include <cstddef>
#include <vector>

namespace quorum {

struct Drive {
  std::vector<double> cotangents;    // dU/d(column)
  double mixing = 1.0;               // w
};

inline Drive mean_of_members(int n_members)
{
  return {std::vector<double>(n_members, 1.0 / n_members), 1.0};
}

// totals_eV: energies of the members and of the baseline (last), of the whole system.
inline Drive weighted_baseline(const std::vector<double> &totals_eV, double sigma_eV)
{
  const size_t n_members = totals_eV.size() - 1;
  const double k = double(n_members);
  double mean = 0.0, variance = 0.0;
  for (size_t m = 0; m < n_members; m++) mean += totals_eV[m] / k;
  if (n_members > 1)
    for (size_t m = 0; m < n_members; m++)
      variance += (totals_eV[m] - mean) * (totals_eV[m] - mean) / (k - 1.0);
  const double sigma2 = sigma_eV * sigma_eV;
  const double sum2 = sigma2 + variance;
  Drive how;
  how.mixing = sigma2 / sum2;
  // w depends on the members as well, through their variance
  const double slope =
      n_members > 1 ? 2.0 * (mean - totals_eV.back()) * sigma2 / (sum2 * sum2 * (k - 1.0)) : 0.0;
  for (size_t m = 0; m < n_members; m++)
    how.cotangents.push_back(how.mixing / k - slope * (totals_eV[m] - mean));
  how.cotangents.push_back(1.0 - how.mixing);
  return how;
}

// The energy that drives, of totals as above.
inline double driving_energy(const std::vector<double> &totals_eV, double sigma_eV)
{
  const double n_members = double(totals_eV.size() - 1);
  double mean = 0.0;
  for (size_t m = 0; m + 1 < totals_eV.size(); m++) mean += totals_eV[m] / n_members;
  const double base = totals_eV.back();
  return base + weighted_baseline(totals_eV, sigma_eV).mixing * (mean - base);
}

}    // namespace quorum

#endif
