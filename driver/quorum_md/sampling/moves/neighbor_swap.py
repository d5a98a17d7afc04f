"""Atoms that are neighbours exchange their elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...errors import QuorumError
from ...models.frozen import near_rows
from .base import Eligible, Move, Numbers, Trial, need_two

if TYPE_CHECKING:
    from ase import Atoms


class NeighborSwap(Move):
    """A site by chance, then one of its neighbours; like pairs are null moves.

    A pair is proposed with probability (1/z_i + 1/z_j)/n whatever its elements are, z being the
    numbers of neighbours: the way back is proposed as often (log ratio 0). Nearby exchanges follow
    how atoms diffuse, and are accepted more often than distant ones in strongly ordered alloys.

    Parameters
    ----------
    distance_A: how far neighbours may be, Å
    """

    def __init__(self, distance_A: float):
        if not (np.isfinite(distance_A) and distance_A > 0):
            raise QuorumError(f"swaps: distance_A = {distance_A}; expected a positive length in Å")
        self.distance_A = float(distance_A)
        self._atoms: Atoms | None = None

    def place(self, atoms: Atoms) -> None:
        """Positions, from which the neighbours are found; before `start`."""
        self._atoms = atoms

    def start(self, numbers: Numbers, eligible: Eligible) -> None:
        """See `Move`."""
        need_two(numbers, eligible)
        assert self._atoms is not None
        rows = near_rows(self._atoms, self.distance_A)
        mine = np.isin(numbers[eligible.sites], eligible.species)
        sites = eligible.sites[mine].tolist()
        allowed = set(sites)
        self._sites = sites
        self._near = [[j for j in rows[i].tolist() if j != i and j in allowed] for i in sites]
        if not any(self._near):
            raise QuorumError(
                f"swaps: no two eligible atoms are within {self.distance_A:g} Å; give a longer "
                "distance"
            )
        self._numbers = numbers.tolist()
        self._order = {z: k for k, z in enumerate(eligible.species)}

    def propose(self, u: Sequence[float]) -> Trial:
        """See `Move`."""
        k = int(u[0] * len(self._sites))
        i, others = self._sites[k], self._near[k]
        x = self._numbers[i]
        if not others:
            return Trial((), (x, x))
        j = others[int(u[1] * len(others))]
        y = self._numbers[j]
        if x == y:
            return Trial((), (x, x))
        change = ((i, y), (j, x)) if i < j else ((j, x), (i, y))
        return Trial(change, (x, y) if self._order[x] < self._order[y] else (y, x))

    def accepted(self, trial: Trial) -> None:
        """See `Move`."""
        for site, element in trial.change:
            self._numbers[site] = element
