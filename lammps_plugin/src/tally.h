// From the gradient of a model to forces and virials of LAMMPS's atoms.
//
// Arrays of LAMMPS are flat here: 3, 6 or 9 numbers per atom, local atoms and ghosts; what ghosts get
// goes home by LAMMPS's reverse communication. `unit` converts from eV.

#ifndef QUORUM_TALLY_H
#define QUORUM_TALLY_H

#include "edges.h"

#include <array>

namespace quorum {

using Tensor = std::array<double, 9>;    // row by row

// Adds the forces to `forces`, and returns the virial -Σ r ⊗ gradient of the energies of the local
// atoms, not symmetrised. Throws std::runtime_error if they are not finite.
Tensor add_forces(const Layout &layout, const Gradient &gradient, double unit, double *forces);

// LAMMPS's order xx yy zz xy xz yz; symmetrised, because some models (PET) are not exactly rotation
// invariant.
std::array<double, 6> symmetrised(const Tensor &virial);

// Half of the virial of every edge to either end, 6 numbers per atom.
void add_atom_virials(const Layout &layout, const Gradient &gradient, double unit, double *virials);

// The virial of every edge to its second atom, 9 numbers per atom (xx yy zz xy xz yz yx zx zy): the
// force on that atom by the energy of the first, about the first. For models whose energies need no
// more than the edges of their own atom, -Σ_i S_i v_i is the exact current of energies that belong
// to their atoms (Fan et al., Phys. Rev. B 92, 094301 (2015), doi:10.1103/PhysRevB.92.094301).
void add_centroid_virials(const Layout &layout, const Gradient &gradient, double unit,
                          double *virials);

}    // namespace quorum

#endif
