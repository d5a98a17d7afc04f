// The box of a system.

#ifndef QUORUM_BOX_H
#define QUORUM_BOX_H

#include <array>

namespace quorum {

struct Box {
  std::array<double, 9> vectors_A{};    // row per vector
  std::array<bool, 3> periodic{};
};

// Inverse of the box by cofactors: fraction d of r is Σ_e r[e] inverse[3 e + d].
inline std::array<double, 9> inverse(const std::array<double, 9> &h)
{
  std::array<double, 9> m{};
  const double det = h[0] * (h[4] * h[8] - h[5] * h[7]) - h[1] * (h[3] * h[8] - h[5] * h[6]) +
      h[2] * (h[3] * h[7] - h[4] * h[6]);
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) {
      const int a = (j + 1) % 3, b = (j + 2) % 3, c = (i + 1) % 3, d = (i + 2) % 3;
      m[3 * i + j] = (h[3 * a + c] * h[3 * b + d] - h[3 * a + d] * h[3 * b + c]) / det;
    }
  return m;
}

}    // namespace quorum

#endif
