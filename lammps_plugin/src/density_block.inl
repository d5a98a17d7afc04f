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

// --- memory ----------------------------------------------------------------------------------

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

// --- neighbours ------------------------------------------------------------------------------

// 1/√: a guess from the bits, and Newton's iteration, which doubles the digits each time
QUORUM_INLINE dvec inverse_root(const dvec &square)
{
  dvec y = (dvec) (0x5fe6eb50c7b537a9LL - ((livec) square >> 1));
#pragma GCC unroll 4
  for (int k = 0; k < 4; k++) y *= 1.5 - 0.5 * square * y * y;
  return y;
}

// Directions, R_n and dR_n/dd of all edges.
static void radial_functions(const Net &net, const Block<real> &block, const Memory &m, int capacity)
{
  const double pi = 3.14159265358979323846, inverse_cutoff = 1.0 / net.cutoff_A;
  const double norm = net.radial_norm;
  for (int e = 0; e < block.n_edges; e += DOUBLES) {
    const dvec x = *(const dvec *) (block.x_A + e), y = *(const dvec *) (block.y_A + e),
               z = *(const dvec *) (block.z_A + e);
    const dvec square = x * x + y * y + z * z;
    const dvec inverse = inverse_root(square), d = square * inverse;
    *(dvec *) (m.inverse_A + e) = inverse;
    const dvec ratio = d * inverse_cutoff;
    // sin πx = cos πt and cos πx = −sin πt, |πt| ≤ π/2, by their series
    const dvec t = pi * (ratio - 0.5), w = -t * t;
    dvec c = all_double(1.0 / 1124000727777607680000.0), s = all_double(1.0 / 51090942171709440000.0);
    const double of_cosine[] = {1.0 / 2432902008176640000.0, 1.0 / 6402373705728000.0,
                                1.0 / 20922789888000.0, 1.0 / 87178291200.0, 1.0 / 479001600.0,
                                1.0 / 3628800.0, 1.0 / 40320.0, 1.0 / 720.0, 1.0 / 24.0, 0.5, 1.0};
    const double of_sine[] = {1.0 / 121645100408832000.0, 1.0 / 355687428096000.0,
                              1.0 / 1307674368000.0, 1.0 / 6227020800.0, 1.0 / 39916800.0,
                              1.0 / 362880.0, 1.0 / 5040.0, 1.0 / 120.0, 1.0 / 6.0, 1.0};
#pragma GCC unroll 11
    for (int k = 0; k < 11; k++) c = c * w + of_cosine[k];
#pragma GCC unroll 10
    for (int k = 0; k < 10; k++) s = s * w + of_sine[k];
    const dvec sine = c, cosine = -s * t;
    dvec f = 1.0 - ratio * ratio;
    f = f > 0.0 ? f : dvec{};
    // A f³/d and its derivative
    const dvec envelope = norm * f * f * f * inverse;
    const dvec envelope_slope =
        -norm * f * f * inverse * (6.0 * ratio * inverse_cutoff + f * inverse);
    dvec sine_n = sine, cosine_n = cosine, sine_before{}, cosine_before = all_double(1.0);
    const dvec twice = 2.0 * cosine;
    for (int n = 0; n < net.n_radial; n++) {
      const dvec value = envelope * sine_n;
      const dvec slope =
          envelope * cosine_n * ((n + 1) * pi * inverse_cutoff) + envelope_slope * sine_n;
      real *r = m.radial + long(n) * capacity + e, *q = m.radial_slope + long(n) * capacity + e;
#pragma GCC unroll 8
      for (int i = 0; i < DOUBLES; i++) {
        r[i] = real(value[i]);
        q[i] = real(slope[i]);
      }
      const dvec next_sine = twice * sine_n - sine_before;
      const dvec next_cosine = twice * cosine_n - cosine_before;
      sine_before = sine_n;
      cosine_before = cosine_n;
      sine_n = next_sine;
      cosine_n = next_cosine;
    }
    const dvec ux = x * inverse, uy = y * inverse, uz = z * inverse;
#pragma GCC unroll 8
    for (int i = 0; i < DOUBLES; i++) {
      m.u[e + i] = real(ux[i]);
      m.u[capacity + e + i] = real(uy[i]);
      m.u[2 * capacity + e + i] = real(uz[i]);
    }
  }
}

// The harmonics as products of a = a_1 + a_x x + … and b = b_1 + b_y y + … (normalised in a).
#define QUORUM_S3 real(1.7320508075688772)
#define QUORUM_S15 real(3.872983346207417)
#define QUORUM_F3 real(2.091650066335189)
#define QUORUM_F2 real(10.246950765959598)
#define QUORUM_F1 real(1.6201851746019651)
static const real A_ONE[16] __attribute__((aligned(64))) = {
    1, 0, 0, 0, 0, 0, real(1.118033988749895), 0, real(1.9364916731037085)};
static const real A_X[16] __attribute__((aligned(64))) = {
    0, 0, 0, QUORUM_S3, QUORUM_S15, 0, 0, QUORUM_S15, 0, 0, 0, 0, 0, QUORUM_F1, 0, QUORUM_F3};
static const real A_Y[16] __attribute__((aligned(64))) = {
    0, QUORUM_S3, 0, 0, 0, QUORUM_S15, 0, 0, 0, QUORUM_F3, 0, QUORUM_F1};
static const real A_Z[16] __attribute__((aligned(64))) = {
    0, 0, QUORUM_S3, 0, 0, 0, 0, 0, 0, 0, QUORUM_F2, 0, real(1.3228756555322954), 0,
    real(5.123475382979799)};
static const real B_ONE[16] __attribute__((aligned(64))) = {
    1, 1, 1, 1, 0, 0, -1, 0, 0, 0, 0, -1, -3, -1};
static const real B_Y[16] __attribute__((aligned(64))) = {0, 0, 0, 0, 1};
static const real B_Z[16] __attribute__((aligned(64))) = {0, 0, 0, 0, 0, 1, 0, 1};
static const real B_XX[16] __attribute__((aligned(64))) = {
    0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 0, 0, 0, 0, 1, 1};
static const real B_YY[16] __attribute__((aligned(64))) = {
    0, 0, 0, 0, 0, 0, 0, 0, -1, -1, 0, 0, 0, 0, -1, -3};
static const real B_ZZ[16] __attribute__((aligned(64))) = {
    0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 5, 5, 5};
static const real B_XY[16] __attribute__((aligned(64))) = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

QUORUM_INLINE vec table(const real *values, int v)
{
  return ((const vec *) values)[v];
}

QUORUM_INLINE vec first_factor(int v, real x, real y, real z)
{
  return table(A_ONE, v) + x * table(A_X, v) + y * table(A_Y, v) + z * table(A_Z, v);
}

QUORUM_INLINE vec second_factor(int v, real x, real y, real z)
{
  return table(B_ONE, v) + y * table(B_Y, v) + z * table(B_Z, v) + (x * x) * table(B_XX, v) +
      (y * y) * table(B_YY, v) + (z * z) * table(B_ZZ, v) + (x * y) * table(B_XY, v);
}

// Density of one center into `own` (channels · radial, 16).
static void density_of(const Net &net, const Block<real> &block, const Memory &m, int capacity,
                       int center, vec *own)
{
  const int n_radial = net.n_radial, n_own = net.n_channels * n_radial;
  vec *sums = net.embedding ? m.by_species : own;
  const int n_sums = net.embedding ? net.n_species * n_radial : n_own;
  for (int k = 0; k < n_sums * HARMONIC_VECTORS; k++) sums[k] = vec{};
  for (int e = block.first_edge[center]; e < block.first_edge[center + 1]; e++) {
    const real x = m.u[e], y = m.u[capacity + e], z = m.u[2 * capacity + e];
    vec angular[HARMONIC_VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < HARMONIC_VECTORS; v++)
      angular[v] = first_factor(v, x, y, z) * second_factor(v, x, y, z);
    vec *sum = sums + block.neighbor_species[e] * n_radial * HARMONIC_VECTORS;
    for (int n = 0; n < n_radial; n++, sum += HARMONIC_VECTORS) {
      const real r = m.radial[long(n) * capacity + e];
#pragma GCC unroll 8
      for (int v = 0; v < HARMONIC_VECTORS; v++) sum[v] += r * angular[v];
    }
  }
  if (!net.embedding) return;
  const int row = n_radial * HARMONIC_VECTORS;
  for (int a = 0; a < net.n_channels; a++)
    for (int k = 0; k < row; k++) {
      vec sum{};
      for (int s = 0; s < net.n_species; s++)
        sum += net.embedding[s * net.n_channels + a] * sums[s * row + k];
      own[a * row + k] = sum;
    }
}

// Gradient with respect to the vectors of the edges of one center, from that with respect to its
// density.
static void edge_gradients(const Net &net, const Block<real> &block, const Memory &m, int capacity,
                           int center, const vec *own)
{
  const int n_radial = net.n_radial, row = n_radial * HARMONIC_VECTORS;
  const vec *all_species = own;
  if (net.embedding) {
    for (int s = 0; s < net.n_species; s++)
      for (int k = 0; k < row; k++) {
        vec sum{};
        for (int a = 0; a < net.n_channels; a++)
          sum += net.embedding[s * net.n_channels + a] * own[a * row + k];
        m.by_species[s * row + k] = sum;
      }
    all_species = m.by_species;
  }
  const int begin = block.first_edge[center], end = block.first_edge[center + 1];
  for (int e = begin; e < end; e++) {
    const real x = m.u[e], y = m.u[capacity + e], z = m.u[2 * capacity + e];
    vec of_angular[HARMONIC_VECTORS], slope[HARMONIC_VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < HARMONIC_VECTORS; v++) of_angular[v] = slope[v] = vec{};
    const vec *g = all_species + block.neighbor_species[e] * row;
    for (int n = 0; n < n_radial; n++, g += HARMONIC_VECTORS) {
      const real r = m.radial[long(n) * capacity + e];
      const real q = m.radial_slope[long(n) * capacity + e];
#pragma GCC unroll 8
      for (int v = 0; v < HARMONIC_VECTORS; v++) {
        of_angular[v] += r * g[v];
        slope[v] += q * g[v];
      }
    }
    vec along{}, to_x{}, to_y{}, to_z{};
#pragma GCC unroll 8
    for (int v = 0; v < HARMONIC_VECTORS; v++) {
      const vec a = first_factor(v, x, y, z), b = second_factor(v, x, y, z);
      const vec ga = of_angular[v] * a, gb = of_angular[v] * b;
      along += slope[v] * (a * b);
      to_x += gb * table(A_X, v) +
          ga * ((x + x) * table(B_XX, v) + y * table(B_XY, v));
      to_y += gb * table(A_Y, v) +
          ga * (table(B_Y, v) + (y + y) * table(B_YY, v) + x * table(B_XY, v));
      to_z += gb * table(A_Z, v) + ga * (table(B_Z, v) + (z + z) * table(B_ZZ, v));
    }
    sums_of_lanes(along, to_x, to_y, to_z, m.sums + 4 * e);
  }
  for (int e = begin; e < end; e++) {
    const real *s = m.sums + 4 * e;
    const double inverse = m.inverse_A[e];
    const double x = block.x_A[e] * inverse, y = block.y_A[e] * inverse, z = block.z_A[e] * inverse;
    const double outward = s[0] - inverse * (s[1] * x + s[2] * y + s[3] * z);
    double *g = block.gradient_eV_A + 3 * e;
    g[0] = outward * x + inverse * s[1];
    g[1] = outward * y + inverse * s[2];
    g[2] = outward * z + inverse * s[3];
  }
}

// --- from the density to the energies and back -----------------------------------------------

// The harmonics of WIDTH atoms around each other, to the atoms side by side, and back.
static void lanes_from_own(const Net &net, const Memory &m, int group)
{
  const int n_own = net.n_channels * net.n_radial;
  for (int k = 0; k < n_own; k++)
    for (int h = 0; h < HARMONIC_VECTORS; h++) {
      vec rows[WIDTH];
#pragma GCC unroll 16
      for (int a = 0; a < WIDTH; a++) rows[a] = m.own[(a * n_own + k) * HARMONIC_VECTORS + h];
      transpose(rows);
#pragma GCC unroll 16
      for (int i = 0; i < WIDTH; i++)
        m.density[((h * WIDTH + i) * n_own + k) * LANE_VECTORS + group] = rows[i];
    }
}

static void own_from_lanes(const Net &net, const Memory &m, int group)
{
  const int n_own = net.n_channels * net.n_radial;
  for (int k = 0; k < n_own; k++)
    for (int h = 0; h < HARMONIC_VECTORS; h++) {
      vec rows[WIDTH];
#pragma GCC unroll 16
      for (int i = 0; i < WIDTH; i++)
        rows[i] = m.density[((h * WIDTH + i) * n_own + k) * LANE_VECTORS + group];
      transpose(rows);
#pragma GCC unroll 16
      for (int a = 0; a < WIDTH; a++) m.own[(a * n_own + k) * HARMONIC_VECTORS + h] = rows[a];
    }
}

// Rows of a table (species, n), one lane per center.
QUORUM_INLINE void fill_table(const real *values, int n, const int *species, vec *rows)
{
  real *out = (real *) rows;
  for (int lane = 0; lane < LANES; lane++)
    for (int k = 0; k < n; k++) out[k * LANES + lane] = values[long(species[lane]) * n + k];
}

static void fill_tables(const Net &net, const int *species, const Memory &m, Workspace<real> &work)
{
  bool same = work.tables_filled;
  for (int lane = 0; lane < LANES; lane++) {
    same = same && work.tables_of[lane] == species[lane];
    work.tables_of[lane] = species[lane];
  }
  work.tables_filled = true;
  if (same) return;
  fill_table(net.scale, 4 * net.n_mixed, species, m.scale);
  fill_table(net.shift, net.n_mixed, species, m.shift);
  fill_table(net.gate, net.n_hidden_1, species, m.gate);
  fill_table(net.bias_1, net.n_hidden_1, species, m.bias);
}

static void mix(const Net &net, const Memory &m)
{
  const int n_own = net.n_channels * net.n_radial, n = net.n_mixed * LANE_VECTORS;
  for (int l = 0; l < 4; l++)
    for (int lm = l * l; lm < (l + 1) * (l + 1); lm++) {
      vec *c = m.mixed + lm * n;
      multiply(net.n_mixed, n_own, net.mixing + long(l) * n_own * net.n_mixed, 1, net.n_mixed,
               m.density + lm * n_own * LANE_VECTORS, c, false);
      for (int k = 0; k < n; k++) c[k] *= m.scale[l * n + k];
    }
  for (int k = 0; k < n; k++) m.mixed[k] += m.shift[k];
}

static void unmix(const Net &net, const Memory &m)
{
  const int n_own = net.n_channels * net.n_radial, n = net.n_mixed * LANE_VECTORS;
  for (int l = 0; l < 4; l++)
    for (int lm = l * l; lm < (l + 1) * (l + 1); lm++) {
      vec *g = m.mixed_gradient + lm * n;
      for (int k = 0; k < n; k++) g[k] *= m.scale[l * n + k];
      multiply(n_own, net.n_mixed, net.mixing + long(l) * n_own * net.n_mixed, net.n_mixed, 1, g,
               m.density + lm * n_own * LANE_VECTORS, false);
    }
}

// Products of c[lm, q] with one partner q′, q = q′ … Q − 1.
QUORUM_INLINE void products(const int l, int n_mixed, int partner, const vec *mixed, vec *features)
{
  const vec *c = mixed + l * l * n_mixed * LANE_VECTORS;
  const int row = n_mixed * LANE_VECTORS;
  for (int q = partner * LANE_VECTORS; q < row; q += LANE_VECTORS)
#pragma GCC unroll 2
    for (int v = 0; v < LANE_VECTORS; v++) {
      vec sum{};
#pragma GCC unroll 7
      for (int k = 0; k < 2 * l + 1; k++)
        sum += c[k * row + q + v] * c[k * row + partner * LANE_VECTORS + v];
      *features++ = sum;
    }
}

// Their gradient, added to that with respect to c.
QUORUM_INLINE void products_back(const int l, int n_mixed, int partner, const vec *mixed,
                                 const vec *of_features, vec *gradient)
{
  const int row = n_mixed * LANE_VECTORS, first = partner * LANE_VECTORS;
  const vec *c = mixed + l * l * row;
  vec *g = gradient + l * l * row;
  vec to_partner[7][LANE_VECTORS];
#pragma GCC unroll 7
  for (int k = 0; k < 2 * l + 1; k++)
#pragma GCC unroll 2
    for (int v = 0; v < LANE_VECTORS; v++) to_partner[k][v] = vec{};
  for (int q = first; q < row; q += LANE_VECTORS)
#pragma GCC unroll 2
    for (int v = 0; v < LANE_VECTORS; v++) {
      const vec d = of_features[q - first + v];
#pragma GCC unroll 7
      for (int k = 0; k < 2 * l + 1; k++) {
        g[k * row + q + v] += d * c[k * row + first + v];
        to_partner[k][v] += d * c[k * row + q + v];
      }
    }
#pragma GCC unroll 7
  for (int k = 0; k < 2 * l + 1; k++)
#pragma GCC unroll 2
    for (int v = 0; v < LANE_VECTORS; v++) g[k * row + first + v] += to_partner[k][v];
}

// The features of the power spectrum in chunks, each formed and multiplied with its weights; or their
// gradient, by the weights from that of the first layer, passed on to c.
static void first_layer(const Net &net, const Memory &m, bool backward)
{
  const int hidden = net.n_hidden_1, capacity = chunk_rows(net);
  const real *weights = net.products;
  for (int l = 0; l < 4; l++)
    for (int partner = 0; partner < net.n_partners;) {
      int last = partner, count = 0;
      while (last < net.n_partners && count + net.n_mixed - last <= capacity)
        count += net.n_mixed - last++;
      if (backward)
        multiply(count, hidden, weights, hidden, 1, m.gradient_1, m.features, false);
      vec *features = m.features;
      for (int p = partner; p < last; p++) {
        if (backward) {
          if (l == 0) products_back(0, net.n_mixed, p, m.mixed, features, m.mixed_gradient);
          if (l == 1) products_back(1, net.n_mixed, p, m.mixed, features, m.mixed_gradient);
          if (l == 2) products_back(2, net.n_mixed, p, m.mixed, features, m.mixed_gradient);
          if (l == 3) products_back(3, net.n_mixed, p, m.mixed, features, m.mixed_gradient);
        } else {
          if (l == 0) products(0, net.n_mixed, p, m.mixed, features);
          if (l == 1) products(1, net.n_mixed, p, m.mixed, features);
          if (l == 2) products(2, net.n_mixed, p, m.mixed, features);
          if (l == 3) products(3, net.n_mixed, p, m.mixed, features);
        }
        features += (net.n_mixed - p) * LANE_VECTORS;
      }
      if (!backward) multiply(hidden, count, weights, 1, hidden, m.features, m.hidden_1, true);
      weights += long(count) * hidden;
      partner = last;
    }
}

static void forward(const Net &net, const Memory &m, real *energies_eV)
{
  multiply(net.n_hidden_1, net.n_mixed, net.linear, 1, net.n_hidden_1, m.mixed, m.hidden_1, false);
  first_layer(net, m, false);
  for (int k = 0; k < net.n_hidden_1 * LANE_VECTORS; k++) {
    m.hidden_1[k] = m.bias[k] + m.gate[k] * m.hidden_1[k];
    activate(m.hidden_1[k], m.slope_1[k]);
  }
  for (int k = 0; k < net.n_hidden_2 * LANE_VECTORS; k++)
    m.hidden_2[k] = all(net.bias_2[k / LANE_VECTORS]);
  multiply(net.n_hidden_2, net.n_hidden_1, net.weight_2, 1, net.n_hidden_2, m.hidden_1, m.hidden_2,
           true);
  for (int k = 0; k < net.n_hidden_2 * LANE_VECTORS; k++) activate(m.hidden_2[k], m.slope_2[k]);
  multiply(net.n_columns, net.n_hidden_2, net.heads, 1, net.n_columns, m.hidden_2,
           (vec *) energies_eV, false);
}

// Gradient of Σ cotangent · last hidden layer with respect to the density, in its place.
static void backward(const Net &net, const Memory &m, const real *cotangent)
{
  for (int k = 0; k < net.n_hidden_2 * LANE_VECTORS; k++)
    m.hidden_2[k] = m.slope_2[k] * cotangent[k / LANE_VECTORS];
  multiply(net.n_hidden_1, net.n_hidden_2, net.weight_2, net.n_hidden_2, 1, m.hidden_2,
           m.gradient_1, false);
  for (int k = 0; k < net.n_hidden_1 * LANE_VECTORS; k++)
    m.gradient_1[k] *= m.slope_1[k] * m.gate[k];
  const int n = net.n_mixed * LANE_VECTORS;
  multiply(net.n_mixed, net.n_hidden_1, net.linear, net.n_hidden_1, 1, m.gradient_1,
           m.mixed_gradient, false);
  for (int k = n; k < HARMONICS * n; k++) m.mixed_gradient[k] = vec{};
  first_layer(net, m, true);
  unmix(net, m);
}

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
