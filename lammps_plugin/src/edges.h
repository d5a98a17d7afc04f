// From LAMMPS's atoms and neighbour lists to the atoms and edges of a model.

#ifndef QUORUM_EDGES_H
#define QUORUM_EDGES_H

#include "box.h"
#include "evaluator.h"
#include "lmptype.h"

#include <vector>

namespace quorum {

// Atoms of one rank: local ones first, then ghosts; and the lists of LAMMPS.
struct AtomsView {
  int n_local = 0;
  int n_all = 0;
  const double *const *x_A = nullptr;
  const LAMMPS_NS::tagint *tag = nullptr;
  std::vector<int> atomic_number;    // 0: not an atom of this pair style
  int n_lists = 0;                   // atoms with a list: inum, or inum + gnum
  const int *ilist = nullptr;
  const int *numneigh = nullptr;
  int *const *firstneigh = nullptr;
};

struct Layout {
  Cluster cluster;
  std::vector<int> atom;    // per atom of the cluster, the index LAMMPS gives it
};

// Ghosts are atoms like others, in open space; edges of local atoms only. For models whose energies
// need no more than the edges of their own atom. Both write over `layout`, whose memory is kept.
void ghosts_as_atoms(const AtomsView &atoms, const std::vector<Request> &requests, Layout &layout);

// Images of one atom are one atom, edges carry cell shifts, and both directions of every edge are
// decided at once. For models that pass messages or read positions through the shifts.
void folded(const AtomsView &atoms, const Box &box, const std::vector<Request> &requests,
            Layout &layout);

}    // namespace quorum

#endif
