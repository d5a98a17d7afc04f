// PLUMED's switching functions: 1 below D_0, 0 beyond D_MAX, stretched so that they end there. As in
// driver/quorum_md/order_parameters/switching.py.

#ifndef QUORUM_ORDER_SWITCH_H
#define QUORUM_ORDER_SWITCH_H

#include "order_words.h"

#include <limits>

namespace quorum::order {

struct Switch {
  enum Kind { CUBIC, RATIONAL, SMAP, EXP, GAUSSIAN, TANH, COSINUS };
  Kind kind = CUBIC;
  double d_0 = 0.0, r_0 = 1.0;    // r_0 = d_max - d_0 for CUBIC
  double d_max = std::numeric_limits<double>::infinity();
  int n = 0, m = 0;               // powers of RATIONAL, a and b of SMAP
  double scale = 1.0, shift = 0.0;

  // Scales σ to reach 0 at d_max.
  void stretch();
  // σ and dσ/dx.
  std::pair<double, double> at(double x) const;
  void evaluate(const std::vector<double> &x, std::vector<double> &value,
                std::vector<double> &slope) const;
};

// The function that {KIND KEY=… …} describes.
Switch switch_of(const Keywords &keywords, const std::string &key, const std::string &text);
// That of the keywords R_0, D_0, NN, MM beside the action, ending where it is 1e-5.
Switch rational_switch(Keywords &keywords);

}    // namespace quorum::order

#endif
