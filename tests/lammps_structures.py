"""Structures on which the pair style is tried, in the form of cells that LAMMPS has."""

import numpy as np
from ase import Atoms
from ase.build import bulk


def _rattled(atoms, species, seed):
    rng = np.random.default_rng(seed)
    atoms.positions += rng.uniform(-0.15, 0.15, atoms.positions.shape)
    atoms.symbols = rng.choice(species, len(atoms))
    return atoms


def structures(species):
    """Name and ase.Atoms: orthogonal, triclinic, smaller than the cutoffs, mostly empty."""
    lattice = 5.0
    triclinic = bulk("Ar", "fcc", lattice, cubic=True) * (3, 2, 2)
    h = np.asarray(triclinic.cell) + np.array([[0, 0, 0], [4.1, 0, 0], [-3.2, 2.4, 0]])
    triclinic.set_cell(h, scale_atoms=True)
    blob = bulk("Ar", "fcc", lattice, cubic=True) * (2, 1, 1)
    blob.positions += 3.0
    blob.cell = np.diag([40.0, 40.0, 40.0])
    return {
        "box": _rattled(bulk("Ar", "fcc", lattice, cubic=True) * (3, 3, 2), species, 1),
        "triclinic": _rattled(triclinic, species, 2),
        "small": _rattled(bulk("Ar", "fcc", lattice, cubic=True), species, 3),
        "blob": _rattled(blob, species, 4),
        "one": Atoms("Ar", positions=[[1.0, 2.0, 3.0]], cell=[5.1, 5.2, 5.3], pbc=True),
    }
