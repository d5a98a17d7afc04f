// Part of density_block.inl: from the vectors to the neighbours to the density of each center, and
// from the gradient with respect to that density back to the vectors.

namespace quorum {
namespace QUORUM_CODE {

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

}    // namespace QUORUM_CODE
}    // namespace quorum
