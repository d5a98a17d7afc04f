// Part of density_block.inl: from the density to the energies and back.

namespace quorum {
namespace QUORUM_CODE {

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

}    // namespace QUORUM_CODE
}    // namespace quorum
