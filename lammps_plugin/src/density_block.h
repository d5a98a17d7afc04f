// Plain data that pass between density_kernel.cpp and the code for one processor (density_block.inl):
// no functions here, so that none can end up compiled for a processor that the machine has not.

#ifndef QUORUM_DENSITY_BLOCK_H
#define QUORUM_DENSITY_BLOCK_H

namespace quorum {

constexpr int MOST_LANES = 64;

// Tensors of the network, in the precision of the arithmetic; orders as in
// quorum_md.models.density, lm = l² + l + m, l = 0…3.
template <class Real> struct Network {
  int n_species, n_radial;
  int n_channels;      // species or pseudo-elements that densities are resolved by, fewer of both
  int n_mixed;         // Q
  int n_partners;      // Q₂
  int n_hidden_1, n_hidden_2, n_columns;
  double cutoff_A;
  double radial_norm;       // √(2/r_c)
  const Real *embedding;    // (species, channels); null where channels are species
  const Real *mixing;       // (4, channels · radial, Q), of channels
  const Real *scale;        // (species, 4, Q)
  const Real *shift;        // (species, Q)
  const Real *linear;       // (Q, hidden 1): weights of c[00, q]
  const Real *products;     // (4, pairs, hidden 1): of q′ < Q₂, q′ ≤ q < Q, q′ outer
  const Real *gate;         // (species, hidden 1)
  const Real *bias_1;       // (species, hidden 1)
  const Real *weight_2;     // (hidden 1, hidden 2)
  const Real *bias_2;       // (hidden 2)
  const Real *heads;        // (hidden 2, columns): the mean, then deviations of the members
};

// Some centers side by side, one per lane, and what comes out for them.
template <class Real> struct Block {
  int n_centers;
  const int *species;             // per lane; of lanes without a center any
  const int *first_edge;          // (centers + 1)
  int n_edges;                    // room is for as many as vectors hold more
  double *x_A, *y_A, *z_A;        // from the center
  const int *neighbor_species;    // per edge
  const Real *cotangent;          // (hidden 2) weight of the last hidden layer; null: no gradients
  Real *energies_eV;              // (columns, lanes) heads · last hidden layer
  double *gradient_eV_A;          // 3 per edge
};

// Memory of one thread.
template <class Real> struct Workspace {
  void *memory;                // aligned to 64 bytes, of the length that BlockCode::bytes gives
  int edge_capacity;           // a multiple of 8
  bool tables_filled;          // constants of the elements in the lanes, kept while those are the same
  int tables_of[MOST_LANES];
};

// The code for one kind of processor and one precision.
template <class Real> struct BlockCode {
  const char *processor;
  int lanes;
  unsigned long (*bytes)(const Network<Real> &, int edge_capacity);
  void (*run)(const Network<Real> &, const Block<Real> &, Workspace<Real> &);
};

}    // namespace quorum

#endif
