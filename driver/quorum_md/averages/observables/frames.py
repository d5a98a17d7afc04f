"""Frames of a trajectory as arrays, and the geometry of their cells. Lengths in Å, rows of a cell
are its vectors."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Codes = NDArray[np.int16]


@dataclass(frozen=True)
class Frame:
    """One structure, as a user's function gets it.

    Attributes:
        step: of the run.
        positions: (N, 3) Å.
        cell: (3, 3) Å, rows are vectors, zero where there is none.
        pbc: (3,) periodic directions.
        symbols: (N,) element of each atom.
        bead: index of the bead, 0 in a classical run.
    """

    step: int
    positions: Array
    cell: Array
    pbc: NDArray[np.bool_]
    symbols: NDArray[np.str_]
    bead: int = 0

    @property
    def volume_A3(self) -> float:
        """Of the cell."""
        return float(abs(np.linalg.det(self.cell)))

    def neighbours(self, cutoff_A: float) -> tuple[Integers, Integers, Array]:
        """Every pair within the cutoff, once from either side, all images included.

        Returns:
            i (m,), j (m,) and the vectors (m, 3) in Å from i to j.
        """
        from .neighbours import both_ways, pairs_within

        found = list(
            pairs_within(
                self.positions[None], self.cell[None], self.pbc, cutoff_A, want_vectors=True
            )
        )
        parts = [both_ways(pairs) for pairs in found]
        if not parts:
            empty = np.zeros(0, dtype=np.int64)
            return empty, empty, np.zeros((0, 3))
        return (
            np.concatenate([part.first for part in parts]),
            np.concatenate([part.second for part in parts]),
            np.concatenate([part.vector for part in parts if part.vector is not None]),
        )


@dataclass(frozen=True)
class Frames:
    """Consecutive frames with the same number of atoms.

    Attributes:
        steps: (F,) steps of the run, in the order of the file.
        positions: (F, N, 3) Å.
        cells: (F, 3, 3) Å, rows are vectors, zero where there is none.
        pbc: (3,) periodic directions.
        elements: names that `species` points to.
        species: (F, N) index into `elements`; a view of one row where nothing is exchanged.
        tracked: atom k is the same atom in all frames.
        continuous: positions do not jump when an atom leaves the cell.
        bead: index of the bead.
    """

    steps: Integers
    positions: Array
    cells: Array
    pbc: NDArray[np.bool_]
    elements: tuple[str, ...]
    species: Codes
    tracked: bool = True
    continuous: bool = False
    bead: int = 0

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def n_atoms(self) -> int:
        """N."""
        return self.positions.shape[1]

    @property
    def volumes_A3(self) -> Array:
        """(F,) volumes of the cells."""
        return cell_volumes(self.cells)

    @property
    def constant_species(self) -> bool:
        """Every atom keeps its species in these frames."""
        return bool(self.species.strides[0] == 0 or (self.species == self.species[:1]).all())

    @property
    def counts(self) -> Integers:
        """(F, S) atoms of each element."""
        if self.constant_species:
            once = np.bincount(self.species[0], minlength=len(self.elements))
            return np.broadcast_to(once, (len(self), len(self.elements)))
        codes = self.species + np.int64(len(self.elements)) * np.arange(len(self))[:, None]
        flat = np.bincount(codes.ravel(), minlength=len(self) * len(self.elements))
        return flat.reshape(len(self), len(self.elements))

    def part(self, rows: slice | Integers | NDArray[np.bool_]) -> "Frames":
        """Some of the frames."""
        return Frames(
            self.steps[rows],
            self.positions[rows],
            self.cells[rows],
            self.pbc,
            self.elements,
            self.species[rows],
            self.tracked,
            self.continuous,
            self.bead,
        )

    def frame(self, row: int) -> Frame:
        """One frame."""
        names = np.array(self.elements)
        return Frame(
            int(self.steps[row]),
            self.positions[row],
            self.cells[row],
            self.pbc,
            names[self.species[row]],
            self.bead,
        )


def cell_volumes(cells: Array) -> Array:
    """(F, 3, 3) -> (F,) Å³, positive."""
    volumes: Array = np.abs(np.linalg.det(cells))
    return volumes


def complete_cells(cells: Array) -> Array:
    """Cells whose missing (zero) vectors are replaced by unit vectors normal to the others."""
    missing: NDArray[np.bool_] = (cells == 0).all(axis=2)
    if not missing.any():
        return cells
    completed = cells.copy()
    for row in np.flatnonzero(missing.any(axis=1)):
        present = cells[row][~missing[row]]
        # the last right singular vectors span what the present vectors leave
        _, _, basis = np.linalg.svd(np.vstack([present, np.zeros((1, 3))]))
        completed[row][missing[row]] = basis[len(present) :]
    return completed


def perpendicular_widths(cells: Array) -> Array:
    """(F, 3, 3) -> (F, 3): distances between opposite faces, Å."""
    widths: Array = 1 / np.linalg.norm(np.linalg.inv(cells), axis=1)
    return widths


def cells_from_lengths_and_angles(lengths_A: Array, angles_deg: Array) -> Array:
    """(F, 3) and (F, 3) -> (F, 3, 3) with a along x and b in the xy plane."""
    # cos(90°) is not 0 in floating point, and a right angle should be one
    cosines = np.where(angles_deg == 90, 0.0, np.cos(np.radians(angles_deg)))
    alpha, beta, gamma = np.moveaxis(cosines, -1, 0)
    sine = np.where(angles_deg[..., 2] == 90, 1.0, np.sin(np.radians(angles_deg[..., 2])))
    cells = np.zeros((*lengths_A.shape[:-1], 3, 3))
    cells[..., 0, 0] = 1.0
    cells[..., 1, 0], cells[..., 1, 1] = gamma, sine
    cells[..., 2, 0] = beta
    cells[..., 2, 1] = (alpha - beta * gamma) / sine
    cells[..., 2, 2] = np.sqrt(1 - cells[..., 2, 0] ** 2 - cells[..., 2, 1] ** 2)
    cells *= lengths_A[..., None]
    return cells


def lengths_and_angles(cells: Array) -> Array:
    """(F, 3, 3) -> (F, 6): a, b, c in Å and α, β, γ in degrees."""
    lengths = np.linalg.norm(cells, axis=2)
    cosines = [
        (cells[:, i] * cells[:, j]).sum(axis=1) / (lengths[:, i] * lengths[:, j])
        for i, j in ((1, 2), (0, 2), (0, 1))
    ]
    angles = np.degrees(np.arccos(np.clip(np.stack(cosines, axis=1), -1, 1)))
    return np.concatenate([lengths, angles], axis=1)
