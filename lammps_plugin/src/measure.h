// What a model file really does, measured when it is loaded.
//
// Files declare their interaction range wrongly (a PET model declares 5 Å and reaches 10), and a
// domain decomposition that believed them would be silently wrong. The measurement runs on a small
// rod of atoms; it needs no Python in the LAMMPS process and takes a few model calls.

#ifndef QUORUM_MEASURE_H
#define QUORUM_MEASURE_H

#include "evaluator.h"

namespace quorum {

struct Facts {
  int n_columns = 0;
  double cutoff_A = 0.0;            // longest neighbour list
  double range_A = 0.0;             // atoms farther away do not matter; infinite if no end was found
  bool honours_selection = false;
  bool local_lists_suffice = false;    // energies of centers need only the edges of centers
  bool environments_suffice = false;   // … and no more of other atoms than their elements
  bool reads_positions = true;         // not only the vectors of edges
};

// Throws std::runtime_error if the model does not run, or if its backward is not its gradient.
Facts measure(Evaluator &model);

}    // namespace quorum

#endif
