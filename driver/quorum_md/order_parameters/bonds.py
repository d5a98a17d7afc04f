"""Pairs of atoms within a cutoff, from a list that is kept while it holds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .pair_functions import PairFunctions

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int32]
# of the cutoff: wider lists hold longer and cost more at every step
_SKIN = 0.18


@dataclass(frozen=True)
class Bonds:
    """Pairs, each once.

    Attributes:
        first, second: (E,) atoms.
        vectors: (E, 3) from the first to the second.
        lengths: (E,) of the vectors.
    """

    first: Index
    second: Index
    vectors: Array
    lengths: Array

    def within(self, cutoff: float) -> Bonds:
        """Those not longer than a cutoff."""
        keep = self.lengths <= cutoff
        if keep.all():
            return self
        return Bonds(self.first[keep], self.second[keep], self.vectors[keep], self.lengths[keep])


class BondFinder:
    """Pairs of structures that follow one another.

    A list is kept that reaches a little further, but for the first one: most often there is only
    one structure. It holds as long as no pair outside it can have come within the cutoff: with
    x = x₀F + u for a cell that changed by F, distances shrink by no more than F's smallest singular
    value and twice the largest u.
    """

    def __init__(self, cutoff: float, functions: PairFunctions):
        self.cutoff = cutoff
        self._functions = functions
        self._reach = (1 + 1e-9) * cutoff  # pairs at the cutoff are within it
        self._kept: tuple[Any, ...] | None = None

    def find(self, positions: Array, cell: Array, pbc: npt.NDArray[np.bool_]) -> Bonds:
        """All pairs and images not further apart than the cutoff.

        Args:
            positions: (N, 3).
            cell: (3, 3), rows are vectors, of full rank even where nothing is periodic.
            pbc: (3,).
        """
        if self._kept is None or not self._holds(positions, cell, pbc):
            if self._kept is not None:
                self._reach = (1 + _SKIN) * self.cutoff
            pairs = self._functions.search(positions, cell, pbc, self._reach)
            self._kept = (*pairs, positions.copy(), cell.copy(), pbc.copy())
        i, j, shifts = self._kept[:3]
        return Bonds(*self._functions.pairs(i, j, shifts, positions, cell, self.cutoff))

    def _holds(self, positions: Array, cell: Array, pbc: npt.NDArray[np.bool_]) -> bool:
        assert self._kept is not None
        before, old_cell, old_pbc = self._kept[3:]
        if before.shape != positions.shape or (old_pbc != pbc).any():
            return False
        shrink = 1.0
        if (old_cell != cell).any():
            change = np.linalg.solve(old_cell, cell)
            shrink = float(np.linalg.svd(change, compute_uv=False)[-1])
            before = before @ change
        moved = positions - before
        most = math.sqrt(float(np.einsum("ij,ij->i", moved, moved).max(initial=0.0)))
        return shrink * self._reach - 2 * most > self.cutoff


def images_apart(cell: Array, pbc: npt.NDArray[np.bool_], distance: float) -> bool:
    """Whether no two images of an atom are closer than the distance."""
    if not pbc.any():
        return True
    widths = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    if widths[pbc].min() >= distance:
        return True
    # skewed: a lattice vector within the distance has coefficients below distance over width
    most = [int(distance / width) if p else 0 for width, p in zip(widths, pbc, strict=True)]
    if math.prod(2 * n + 1 for n in most) > 1_000_000:
        return False
    grid = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in most)), axis=-1).reshape(-1, 3)
    return bool((np.linalg.norm(grid[grid.any(axis=1)] @ cell, axis=1) >= distance).all())
