// Energies of single atoms from their neighbours alone, for trial moves of Monte Carlo: exact for
// models whose energies need no more than the edges of their own atom, wrong for others.
//
// A trial asks for the energies of an atom and of all its neighbours, one by one. So the neighbours
// are evaluated with the atom that is asked for first, in one call of the model, and are remembered
// under what their energy depends on: the elements and places of the atom and its neighbours. What
// is remembered is never out of date.

#ifndef QUORUM_LOCAL_ENERGIES_H
#define QUORUM_LOCAL_ENERGIES_H

#include "evaluator.h"

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace quorum {

// Atoms of one rank with a full list of neighbours; the first n_lists have one.
struct Neighbourhoods {
  int n_all = 0;
  int n_lists = 0;
  const double *const *x_A = nullptr;
  const int *type = nullptr;
  const int *atomic_number = nullptr;    // of a type, 0: not an atom of this pair style
  const int *numneigh = nullptr;
  int *const *firstneigh = nullptr;
};

class LocalEnergies {
 public:
  // Energy in eV of atom i, the mean of the columns. `select` as in Cluster.
  // Throws std::runtime_error.
  double energy_eV(int i, const Neighbourhoods &atoms, Evaluator &model, bool select);
  void forget() { known_.clear(); }

 private:
  struct Key {
    uint64_t a, b;
    bool operator==(const Key &o) const { return a == o.a && b == o.b; }
  };
  struct KeyHash {
    size_t operator()(const Key &k) const { return size_t(k.a); }
  };
  Key key(int i, const Neighbourhoods &atoms, double cutoff_A) const;
  void evaluate(const std::vector<int> &centers, const Neighbourhoods &atoms, Evaluator &model,
                bool select);

  std::unordered_map<Key, double, KeyHash> known_;
  std::vector<int> index_;    // of an atom in the cluster that is being built, -1
  Cluster cluster_;
};

}    // namespace quorum

#endif
