"""What a LAMMPS instance gives and takes between stretches of dynamics: samples, configurations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# columns of `Configuration.rows`; more come for atoms that have more
TYPE, IMAGE, X, V, F, MORE = 0, 1, slice(2, 5), slice(5, 8), slice(8, 11), 11


@dataclass(frozen=True)
class Sample:
    """What a state is at the end of a stretch of dynamics.

    Attributes:
        energy_eV, volume_A3: potential energy (fixes with energy included) and volume.
        kinetic_K: temperature by the momenta, as in thermo output.
        step: of LAMMPS.
        members_eV: (K,), empty without a committee.
        columns: (C,) of the quantities asked for.
    """

    energy_eV: float
    volume_A3: float
    kinetic_K: float
    step: int
    members_eV: Array
    columns: Array


@dataclass
class Configuration:
    """All that goes with a configuration from state to state; rows in the order of atom IDs.

    Attributes:
        rows: (n, M) type, image flags, positions, velocities, forces, and what else atoms have.
        box: (9,) lower and upper corner, xy, xz, yz.
    """

    rows: Array
    box: Array

    def to_buffer(self) -> Array:
        """One array of numbers to send."""
        return np.concatenate([self.box, self.rows.ravel()])

    @classmethod
    def from_buffer(cls, buffer: Array, n_atoms: int) -> Configuration:
        """What `to_buffer` made."""
        return cls(buffer[9:].reshape(n_atoms, -1), buffer[:9])


@dataclass(frozen=True)
class Facts:
    """What the scripts have made: of all instances alike.

    Attributes:
        atoms_of_type: how many there are of each.
        groups: a digest of which atoms (by ID) are in which groups.
        box: (9,) as in `Configuration` at constant volume; else empty.
    """

    atoms_of_type: tuple[int, ...]
    groups: str
    box: tuple[float, ...]
    n_members: int
    timestep_fs: float

    @property
    def n_types(self) -> int:
        """Of atoms."""
        return len(self.atoms_of_type)
