"""One structure whose positions stay while elements change: what Monte Carlo asks of a potential.

Neighbour lists are made once. A question names centres and the elements of some sites; many
questions are answered by one call of the model: the surroundings of every question are copied into
one system, whose edges never lead from one copy to another. What the model then sees at a centre
is to the last bit what it sees in the whole structure, periodic images included (edges carry their
cell shifts), whatever the size of the cell.

Surroundings are what the interaction range covers: for a range of one cutoff the edges of the
centres, for message passing all edges among the atoms within the range of a centre.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import QuorumError

if TYPE_CHECKING:
    from ase import Atoms

    from .potential import Potential

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Question:
    """Energies of ``centers`` (n,) if the atoms ``sites`` (m,) had the elements ``numbers``."""

    centers: Index
    sites: Sequence[int]
    numbers: Sequence[int]


@dataclass(frozen=True)
class Rows:
    """Lists of integers of different lengths, one per atom, in one array."""

    starts: Index
    values: Index

    def __getitem__(self, row: int) -> Index:
        return self.values[self.starts[row] : self.starts[row + 1]]

    def gather(self, rows: Index) -> Index:
        """The values of several rows, one after the other."""
        first = self.starts[rows]
        counts = self.starts[rows + 1] - first
        ends = np.cumsum(counts)
        places = np.arange(ends[-1] if len(ends) else 0)
        return self.values[places + np.repeat(first - (ends - counts), counts)]


def rows_of(owners: Index, values: Index, n_rows: int) -> Rows:
    """Values by owner, in ascending order of both."""
    order = np.lexsort((values, owners))
    counts = np.bincount(owners, minlength=n_rows)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Rows(starts, values[order])


class Frozen(ABC):
    """Energies of one structure for any elements at its positions.

    Attributes
    ----------
    potential: that it belongs to; M columns are its members, and V_b where it has a baseline
    n_atoms: N
    near: per atom, itself and all atoms whose energies depend on its element (equally: on whose
        elements its energy depends); None if only total energies can be had
    """

    potential: Potential
    n_atoms: int
    near: Rows | None

    @abstractmethod
    def totals(self, numbers: npt.NDArray[Any]) -> Array:
        """(B, M) energies in eV of the whole structure with elements (B, N)."""

    @abstractmethod
    def atom_energies(self, numbers: npt.NDArray[Any]) -> Array:
        """(N, M) energies per atom in eV with elements (N,)."""

    @abstractmethod
    def answers(self, numbers: npt.NDArray[Any], questions: Sequence[Question]) -> list[Array]:
        """Per question (n, M) energies of its centres in eV; elements are ``numbers`` (N,) but for
        the sites that it names."""


class Whole(Frozen):
    """Of any potential: total energies only."""

    near = None
    AT_ONCE = 16  # structures in one call

    def __init__(self, potential: Potential, atoms: Atoms):
        self.potential, self._atoms, self.n_atoms = potential, atoms.copy(), len(atoms)

    def totals(self, numbers: npt.NDArray[Any]) -> Array:
        """See `Frozen`."""
        structures = []
        for row in np.atleast_2d(numbers):
            copy = self._atoms.copy()
            copy.numbers = row
            structures.append(copy)
        self.potential.check(structures[:1])
        parts = [
            self.potential.forward(structures[k : k + self.AT_ONCE], False, None).energies_eV
            for k in range(0, len(structures), self.AT_ONCE)
        ]
        totals = np.concatenate(parts)
        self.potential.check_finite([totals])
        return totals

    def atom_energies(self, numbers: npt.NDArray[Any]) -> Array:
        """See `Frozen`."""
        copy = self._atoms.copy()
        copy.numbers = numbers
        tables = self.potential.forward([copy], False, None).atom_energies_eV
        if tables is None:
            raise QuorumError(f"{self.potential.name} gives no energies per atom")
        self.potential.check_finite(tables)
        return tables[0]

    def answers(self, numbers: npt.NDArray[Any], questions: Sequence[Question]) -> list[Array]:
        """See `Frozen`; not for this one."""
        raise QuorumError(f"{self.potential.name} gives total energies only")


def near_rows(atoms: Atoms, range_A: float) -> Rows:
    """Per atom, itself and all atoms with an image within ``range_A``."""
    import vesin

    box = np.where(np.asarray(atoms.pbc)[:, None], np.asarray(atoms.cell), 0.0)
    n = len(atoms)
    first, second = np.zeros(0, np.int64), np.zeros(0, np.int64)
    if range_A > 0.0:
        # the model's own cutoff may round the other way than ours
        finder = vesin.NeighborList(cutoff=range_A * (1 + 1e-9), full_list=True)
        first, second = finder.compute(atoms.positions, box, atoms.pbc, "ij")
    key = np.concatenate(
        [first.astype(np.int64) * n + second.astype(np.int64), np.arange(n) * (n + 1)]
    )
    key = np.unique(key)
    return rows_of(key // n, key % n, n)


def freeze(potential: Potential, atoms: Atoms) -> Frozen:
    """The structure with its positions frozen: local where the potential can be asked so."""
    potential.check([atoms])
    if math.isfinite(potential.interaction_range_A):
        local = potential.frozen(atoms)
        if local is not None:
            return local
    return Whole(potential, atoms)


class JoinedFrozen(Frozen):
    """Columns of several, side by side."""

    def __init__(self, potential: Potential, parts: Sequence[Frozen], near: Rows):
        self.potential, self._parts, self.near = potential, list(parts), near
        self.n_atoms = parts[0].n_atoms

    def totals(self, numbers: npt.NDArray[Any]) -> Array:
        """See `Frozen`."""
        return np.concatenate([p.totals(numbers) for p in self._parts], axis=1)

    def atom_energies(self, numbers: npt.NDArray[Any]) -> Array:
        """See `Frozen`."""
        return np.concatenate([p.atom_energies(numbers) for p in self._parts], axis=1)

    def answers(self, numbers: npt.NDArray[Any], questions: Sequence[Question]) -> list[Array]:
        """See `Frozen`."""
        tables = [p.answers(numbers, questions) for p in self._parts]
        return [np.concatenate(rows, axis=1) for rows in zip(*tables, strict=True)]


class ShiftedFrozen(Frozen):
    """Another, with constants (119,) by atomic number added to all columns."""

    def __init__(self, potential: Potential, inner: Frozen, table: Array):
        self.potential, self._inner, self._table = potential, inner, table
        self.near, self.n_atoms = inner.near, inner.n_atoms

    def totals(self, numbers: npt.NDArray[Any]) -> Array:
        """See `Frozen`."""
        shifts = self._table[np.atleast_2d(numbers)].sum(axis=1)
        return self._inner.totals(numbers) + shifts[:, None]

    def atom_energies(self, numbers: npt.NDArray[Any]) -> Array:
        """See `Frozen`."""
        return self._inner.atom_energies(numbers) + self._table[numbers][:, None]

    def answers(self, numbers: npt.NDArray[Any], questions: Sequence[Question]) -> list[Array]:
        """See `Frozen`."""
        tables = self._inner.answers(numbers, questions)
        result = []
        for table, question in zip(tables, questions, strict=True):
            elements = np.array(numbers)
            elements[list(question.sites)] = question.numbers
            result.append(table + self._table[elements[question.centers]][:, None])
        return result
