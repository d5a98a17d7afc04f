// The built-in potential for one block of centers: energies, and the gradient with respect to the
// vectors to their neighbours. Formula and orders of tensors: quorum_md.models.density.
//
// Included by density_kernel.cpp once per kind of processor and precision, with these defined:
//   QUORUM_CODE   name of the namespace         QUORUM_REAL      float or double
//   QUORUM_BYTES  size of a vector register     QUORUM_INTEGER   integer as long as QUORUM_REAL
//   QUORUM_TILE   rows of a product that are kept in registers, times LANE_VECTORS
//
// Two arrangements: around one atom, the 16 harmonics lie side by side in registers; everything
// after the density has the atoms of the block side by side. Only the features of one l and a few q′
// are formed at a time, and used at once, so that they never leave the first cache, forward and
// backward.
//
// No functions of the standard library and no templates: they would be shared with code for other
// processors. Geometry and radial functions are in double precision always.

#include "density_vectors.inl"

namespace quorum {
namespace QUORUM_CODE {

typedef Network<real> Net;

enum : int {
  HARMONICS = 16,
  HARMONIC_VECTORS = HARMONICS / WIDTH,
  CHUNK = 64    // features at a time: they and their weights fit the first cache
};

struct Memory {
  // rows of LANES
  vec *density;                     // (16, channels · radial), then its gradient
  vec *mixed, *mixed_gradient;      // (16, Q)
  vec *features;                    // one chunk
  vec *hidden_1, *slope_1, *gradient_1;
  vec *hidden_2, *slope_2;
  vec *scale, *shift, *gate, *bias;    // constants of the elements in the lanes
  // of WIDTH atoms: (atom, channels · radial, 16)
  vec *own;
  vec *by_species;                     // of one atom: (species · radial, 16)
  // per edge
  double *inverse_A;                   // 1 / d
  real *radial, *radial_slope;         // (radial, capacity): R and dR/dd
  real *u;                             // (3, capacity): direction
  real *sums;                          // (capacity, 4)
};

QUORUM_INLINE int chunk_rows(const Net &net)
{
  return CHUNK > net.n_mixed ? CHUNK : net.n_mixed;
}

static unsigned long lay_out(const Net &net, long capacity, char *start, Memory &m)
{
  char *next = start;
  auto take = [&next](unsigned long size) {
    char *here = next;
    next += (size + 63) / 64 * 64;
    return here;
  };
  auto rows = [&take](long n) { return (vec *) take(n * LANE_VECTORS * sizeof(vec)); };
  const long channels = long(net.n_channels) * net.n_radial;
  m.density = rows(HARMONICS * channels);
  m.mixed = rows(HARMONICS * net.n_mixed);
  m.mixed_gradient = rows(HARMONICS * net.n_mixed);
  m.features = rows(chunk_rows(net));
  m.hidden_1 = rows(net.n_hidden_1);
  m.slope_1 = rows(net.n_hidden_1);
  m.gradient_1 = rows(net.n_hidden_1);
  m.hidden_2 = rows(net.n_hidden_2);
  m.slope_2 = rows(net.n_hidden_2);
  m.scale = rows(4 * net.n_mixed);
  m.shift = rows(net.n_mixed);
  m.gate = rows(net.n_hidden_1);
  m.bias = rows(net.n_hidden_1);
  m.own = (vec *) take(WIDTH * channels * HARMONICS * sizeof(real));
  m.by_species = (vec *) take(long(net.n_species) * net.n_radial * HARMONICS * sizeof(real));
  m.inverse_A = (double *) take(capacity * sizeof(double));
  m.radial = (real *) take(capacity * net.n_radial * sizeof(real));
  m.radial_slope = (real *) take(capacity * net.n_radial * sizeof(real));
  m.u = (real *) take(3 * capacity * sizeof(real));
  m.sums = (real *) take(4 * capacity * sizeof(real));
  return (unsigned long) (next - start);
}

static unsigned long bytes(const Net &net, int capacity)
{
  Memory m;
  return lay_out(net, capacity, nullptr, m);
}

}    // namespace QUORUM_CODE
}    // namespace quorum

#include "density_neighbors.inl"
#include "density_network.inl"

namespace quorum {
namespace QUORUM_CODE {

static void run(const Net &net, const Block<real> &block, Workspace<real> &work)
{
  Memory m;
  const int capacity = work.edge_capacity;
  lay_out(net, capacity, (char *) work.memory, m);
  const int n_own_vectors = net.n_channels * net.n_radial * HARMONIC_VECTORS;
  fill_tables(net, block.species, m, work);
  radial_functions(net, block, m, capacity);
  for (int group = 0; group < LANE_VECTORS; group++) {
    for (int a = 0; a < WIDTH; a++) {
      vec *own = m.own + a * n_own_vectors;
      if (group * WIDTH + a < block.n_centers)
        density_of(net, block, m, capacity, group * WIDTH + a, own);
      else
        for (int k = 0; k < n_own_vectors; k++) own[k] = vec{};
    }
    lanes_from_own(net, m, group);
  }
  mix(net, m);
  forward(net, m, block.energies_eV);
  if (!block.cotangent) return;
  backward(net, m, block.cotangent);
  for (int group = 0; group < LANE_VECTORS && group * WIDTH < block.n_centers; group++) {
    own_from_lanes(net, m, group);
    for (int a = 0; a < WIDTH && group * WIDTH + a < block.n_centers; a++)
      edge_gradients(net, block, m, capacity, group * WIDTH + a, m.own + a * n_own_vectors);
  }
}

}    // namespace QUORUM_CODE
}    // namespace quorum

#undef QUORUM_INLINE
#undef QUORUM_S3
#undef QUORUM_S15
#undef QUORUM_F3
#undef QUORUM_F2
#undef QUORUM_F1
