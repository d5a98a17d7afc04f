// Forces and virials; see tally.h.

#include "tally.h"

#include <cmath>
#include <stdexcept>

namespace quorum {

namespace {

// Row and column of LAMMPS's components: the first six of a symmetric tensor, all nine of another.
constexpr int COMPONENTS[9][2] = {{0, 0}, {1, 1}, {2, 2}, {0, 1}, {0, 2},
                                  {1, 2}, {1, 0}, {2, 0}, {2, 1}};

void add_outer(Tensor &virial, double factor, const double *x, const double *g)
{
  for (int a = 0; a < 3; a++)
    for (int b = 0; b < 3; b++) virial[3 * a + b] -= factor * x[a] * g[b];
}

// What the edges of one list do to forces and virial. Sums are kept in variables of their own, which
// nothing that is written can alias; the edges of one atom follow each other mostly.
void add_edges(const EdgeList &list, const int *atom, const double *gradient, size_t n, double unit,
               double *forces, Tensor &virial)
{
  const int32_t *pairs = list.pairs.data();
  const double *vectors = list.vectors_A.data();
  double xx = 0.0, xy = 0.0, xz = 0.0, yx = 0.0, yy = 0.0, yz = 0.0, zx = 0.0, zy = 0.0, zz = 0.0;
  size_t k = 0;
  while (k < n) {
    const int32_t first = pairs[2 * k];
    double fx = 0.0, fy = 0.0, fz = 0.0;
    for (; k < n && pairs[2 * k] == first; k++) {
      const double *r = vectors + 3 * k, *g = gradient + 3 * k;
      double *f = forces + 3 * size_t(atom[pairs[2 * k + 1]]);
      const double gx = unit * g[0], gy = unit * g[1], gz = unit * g[2];
      fx += gx;
      fy += gy;
      fz += gz;
      f[0] -= gx;
      f[1] -= gy;
      f[2] -= gz;
      xx += r[0] * gx;
      xy += r[0] * gy;
      xz += r[0] * gz;
      yx += r[1] * gx;
      yy += r[1] * gy;
      yz += r[1] * gz;
      zx += r[2] * gx;
      zy += r[2] * gy;
      zz += r[2] * gz;
    }
    double *f = forces + 3 * size_t(atom[first]);
    f[0] += fx;
    f[1] += fy;
    f[2] += fz;
  }
  const double sums[9] = {xx, xy, xz, yx, yy, yz, zx, zy, zz};
  for (int c = 0; c < 9; c++) virial[c] -= sums[c];
}

// Calls work(first, second, vector, gradient) for every edge, with LAMMPS's indices of its atoms.
template <class Work>
void each_edge(const Layout &layout, const Gradient &gradient, Work &&work)
{
  for (size_t l = 0; l < gradient.edges_eV_A.size(); l++) {
    const auto &list = layout.cluster.edges[l];
    const auto &g = gradient.edges_eV_A[l];
    for (size_t k = 0; k < g.size() / 3; k++)
      work(layout.atom[list.pairs[2 * k]], layout.atom[list.pairs[2 * k + 1]],
           &list.vectors_A[3 * k], &g[3 * k]);
  }
}

}    // namespace

Tensor add_forces(const Layout &layout, const Gradient &gradient, double unit, double *forces)
{
  const auto &cluster = layout.cluster;
  Tensor virial{};
  const auto &g_positions = gradient.positions_eV_A;
  for (size_t c = 0; c < g_positions.size() / 3; c++) {
    const double *g = &g_positions[3 * c];
    double *f = forces + 3 * size_t(layout.atom[c]);
    for (int d = 0; d < 3; d++) f[d] -= unit * g[d];
    add_outer(virial, unit, &cluster.positions_A[3 * c], g);
  }
  for (int row = 0; row < 3; row++)
    add_outer(virial, unit, &cluster.cell_A[3 * row], &gradient.cell_eV_A[3 * row]);
  for (size_t l = 0; l < gradient.edges_eV_A.size(); l++) {
    const auto &g = gradient.edges_eV_A[l];
    add_edges(cluster.edges[l], layout.atom.data(), g.data(), g.size() / 3, unit, forces, virial);
  }
  // whatever is not finite in a gradient is not finite here
  double sum = 0.0;
  for (const double v : virial) sum += v;
  for (const double g : g_positions) sum += g;
  if (!std::isfinite(sum))
    throw std::runtime_error("its forces are not finite; atoms may be on top of each other");
  return virial;
}

std::array<double, 6> symmetrised(const Tensor &virial)
{
  std::array<double, 6> result{};
  for (int v = 0; v < 6; v++) {
    const int a = COMPONENTS[v][0], b = COMPONENTS[v][1];
    result[v] = 0.5 * (virial[3 * a + b] + virial[3 * b + a]);
  }
  return result;
}

void add_atom_virials(const Layout &layout, const Gradient &gradient, double unit, double *virials)
{
  each_edge(layout, gradient, [&](int i, int j, const double *r, const double *g) {
    for (int v = 0; v < 6; v++) {
      const int a = COMPONENTS[v][0], b = COMPONENTS[v][1];
      const double share = -0.25 * unit * (r[a] * g[b] + r[b] * g[a]);
      virials[6 * size_t(i) + v] += share;
      virials[6 * size_t(j) + v] += share;
    }
  });
}

void add_centroid_virials(const Layout &layout, const Gradient &gradient, double unit,
                          double *virials)
{
  each_edge(layout, gradient, [&](int, int j, const double *r, const double *g) {
    for (int v = 0; v < 9; v++)
      virials[9 * size_t(j) + v] -= unit * r[COMPONENTS[v][0]] * g[COMPONENTS[v][1]];
  });
}

}    // namespace quorum
