// Vector registers and what density_block.inl does with them, for one kind of processor and one
// precision; see there.

namespace quorum {
namespace QUORUM_CODE {

typedef QUORUM_REAL real;
typedef QUORUM_INTEGER integer;
typedef real vec __attribute__((vector_size(QUORUM_BYTES)));
typedef integer ivec __attribute__((vector_size(QUORUM_BYTES)));
typedef double dvec __attribute__((vector_size(QUORUM_BYTES)));
typedef long long livec __attribute__((vector_size(QUORUM_BYTES)));

#define QUORUM_INLINE static inline __attribute__((always_inline))

enum : int {
  WIDTH = QUORUM_BYTES / sizeof(real),
  DOUBLES = QUORUM_BYTES / 8,
  LANE_VECTORS = 2,
  LANES = LANE_VECTORS * WIDTH
};
static_assert(LANES <= MOST_LANES, "");

// --- vectors ---------------------------------------------------------------------------------

QUORUM_INLINE vec all(real x)
{
  return vec{} + x;
}

QUORUM_INLINE dvec all_double(double x)
{
  return dvec{} + x;
}

// a0 b0 a1 b1 … of the lower and of the upper halves.
QUORUM_INLINE void interleave(const vec &a, const vec &b, vec &low, vec &high)
{
  vec l, h;
#if defined(__clang__)
  for (int i = 0; i < WIDTH / 2; i++) {
    l[2 * i] = a[i];
    l[2 * i + 1] = b[i];
    h[2 * i] = a[WIDTH / 2 + i];
    h[2 * i + 1] = b[WIDTH / 2 + i];
  }
#else
  ivec first;
#pragma GCC unroll 16
  for (int i = 0; i < WIDTH; i++) first[i] = i / 2 + (i % 2) * WIDTH;
  l = __builtin_shuffle(a, b, first);
  h = __builtin_shuffle(a, b, first + integer(WIDTH / 2));
#endif
  low = l;
  high = h;
}

// Rows to columns, in place.
QUORUM_INLINE void transpose(vec *rows)
{
  vec other[WIDTH];
#pragma GCC unroll 4
  for (int done = 1; done < WIDTH; done *= 2) {
#pragma GCC unroll 16
    for (int i = 0; i < WIDTH / 2; i++)
      interleave(rows[i], rows[WIDTH / 2 + i], other[2 * i], other[2 * i + 1]);
#pragma GCC unroll 16
    for (int i = 0; i < WIDTH; i++) rows[i] = other[i];
  }
}

// Sums over the lanes of four vectors.
QUORUM_INLINE void sums_of_lanes(const vec &a, const vec &b, const vec &c, const vec &d, real *sums)
{
  vec low, high;
  interleave(a, b, low, high);
  const vec ab = low + high;
  interleave(c, d, low, high);
  const vec cd = low + high;
  if (WIDTH == 2) {
    sums[0] = ab[0];
    sums[1] = ab[1];
    sums[2] = cd[0];
    sums[3] = cd[1];
    return;
  }
  interleave(ab, cd, low, high);
  vec s = low + high;    // a c b d a c b d …
  for (int period = WIDTH / 2; period >= 4; period /= 2) {
    vec t = s;
#pragma GCC unroll 16
    for (int i = 0; i < WIDTH; i++) t[i] = s[(i + period) % WIDTH];
    s += t;
  }
  sums[0] = s[0];
  sums[1] = s[2 % WIDTH];
  sums[2] = s[1];
  sums[3] = s[3 % WIDTH];
}

// eˣ to rounding, x inside the range of exponents: 2ᵏ eʳ with |r| < ln 2 / 2.
QUORUM_INLINE vec exponential(const vec &x)
{
  const bool single = sizeof(real) == 4;
  const int fraction = single ? 23 : 52, bias = single ? 127 : 1023;
  const real magic = single ? real(12582912.0) : real(6755399441055744.0);    // 1.5 · 2^fraction
  // ln 2 in two parts, the first with trailing zeros
  const real ln2_high = single ? real(0.693359375) : real(0.69314718036912381649);
  const real ln2_low = single ? real(-2.12194440054690583e-4) : real(1.9082149292705877e-10);
  const vec shifted = x * real(1.4426950408889634074) + magic;
  const vec k = shifted - magic;
  const vec r = (x - k * ln2_high) - k * ln2_low;
  vec e = all(single ? real(1.0 / 5040) : real(1.0 / 6227020800.0));
  if (!single) {
    e = e * r + real(1.0 / 479001600.0);
    e = e * r + real(1.0 / 39916800.0);
    e = e * r + real(1.0 / 3628800.0);
    e = e * r + real(1.0 / 362880.0);
    e = e * r + real(1.0 / 40320.0);
    e = e * r + real(1.0 / 5040.0);
  }
  e = e * r + real(1.0 / 720.0);
  e = e * r + real(1.0 / 120.0);
  e = e * r + real(1.0 / 24.0);
  e = e * r + real(1.0 / 6.0);
  e = e * r + real(0.5);
  e = e * r + real(1.0);
  e = e * r + real(1.0);
  // the lowest bits of `shifted` are k
  const ivec power = ((ivec) shifted + integer(bias)) << fraction;
  return e * (vec) power;
}

// silu(z) in place, and its derivative.
QUORUM_INLINE void activate(vec &z, vec &slope)
{
  const real limit = sizeof(real) == 4 ? real(85) : real(700);
  vec minus = -z;
  minus = minus > limit ? all(limit) : minus;
  minus = minus < -limit ? all(-limit) : minus;
  const vec sigmoid = real(1) / (real(1) + exponential(minus));
  slope = sigmoid * (real(1) + z * (real(1) - sigmoid));
  z *= sigmoid;
}

// --- products of matrices --------------------------------------------------------------------

// out[t] (+)= Σ_k a[t · step_t + k · step_k] x[k], rows of LANES, `rows` of them in registers
QUORUM_INLINE void tile(const int rows, int n_k, const real *a, long step_t, long step_k,
                        const vec *x, vec *out, bool add)
{
  vec sum[QUORUM_TILE][LANE_VECTORS];
#pragma GCC unroll 8
  for (int t = 0; t < rows; t++)
#pragma GCC unroll 2
    for (int v = 0; v < LANE_VECTORS; v++) sum[t][v] = add ? out[t * LANE_VECTORS + v] : vec{};
  for (int k = 0; k < n_k; k++) {
    const vec first = x[k * LANE_VECTORS], second = x[k * LANE_VECTORS + 1];
#pragma GCC unroll 8
    for (int t = 0; t < rows; t++) {
      const real weight = a[t * step_t + k * step_k];
      sum[t][0] += weight * first;
      sum[t][1] += weight * second;
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < rows; t++)
#pragma GCC unroll 2
    for (int v = 0; v < LANE_VECTORS; v++) out[t * LANE_VECTORS + v] = sum[t][v];
}

static void multiply(int n_out, int n_k, const real *a, long step_t, long step_k, const vec *x,
                     vec *out, bool add)
{
  int t = 0;
  for (; t + QUORUM_TILE <= n_out; t += QUORUM_TILE)
    tile(QUORUM_TILE, n_k, a + t * step_t, step_t, step_k, x, out + t * LANE_VECTORS, add);
  if (QUORUM_TILE > 4 && t + 4 <= n_out) {
    tile(4, n_k, a + t * step_t, step_t, step_k, x, out + t * LANE_VECTORS, add);
    t += 4;
  }
  for (; t < n_out; t++)
    tile(1, n_k, a + t * step_t, step_t, step_k, x, out + t * LANE_VECTORS, add);
}

}    // namespace QUORUM_CODE
}    // namespace quorum
