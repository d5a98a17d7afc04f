"""Two unlike atoms exchange their elements: composition stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, combinations

import numpy as np
from ase.data import atomic_numbers

from ...errors import QuorumError
from .base import Eligible, Move, Numbers, Trial, by_species, need_two


class CanonicalSwap(Move):
    """A pair of elements by weight, then one site of either by chance: no null moves.

    At fixed composition this is symmetric: the way back is proposed as often (log ratio 0).

    Parameters
    ----------
    pairs: pairs of symbols with relative weights, as {("Nb", "W"): 1.0}, or a list of pairs of
        equal weight; by default all pairs, weighted by the number of pairs of atoms n_a n_b
    """

    def __init__(
        self,
        pairs: Mapping[tuple[str, str], float] | Sequence[tuple[str, str]] | None = None,
    ):
        if pairs is not None and not isinstance(pairs, Mapping):
            pairs = dict.fromkeys(pairs, 1.0)
        self._given = None if pairs is None else {tuple(k): float(w) for k, w in pairs.items()}
        self._weights: list[float] = []
        for pair, weight in (self._given or {}).items():
            if len(pair) != 2 or pair[0] == pair[1] or not set(pair) <= set(atomic_numbers):
                raise QuorumError(
                    f"swaps: pair {pair}; expected two different chemical symbols, as (Nb, W)"
                )
            if not (np.isfinite(weight) and weight > 0):
                raise QuorumError(
                    f"swaps: pair {pair} has weight {weight}; expected a positive one"
                )

    def start(self, numbers: Numbers, eligible: Eligible) -> None:
        """See `Move`."""
        need_two(numbers, eligible)
        self._slots = by_species(numbers, eligible)
        self._species = eligible.species
        place = {z: k for k, z in enumerate(eligible.species)}
        chosen: list[tuple[int, int, float]] = []
        if self._given is None:
            for a, b in combinations(range(len(self._species)), 2):
                chosen.append((a, b, float(len(self._slots[a]) * len(self._slots[b]))))
        else:
            for (one, other), weight in self._given.items():
                x, y = atomic_numbers[one], atomic_numbers[other]
                if x not in place or y not in place:
                    raise QuorumError(
                        f"swaps: pair {one}-{other}, but these are not both among the species "
                        "that take part; correct pairs or species"
                    )
                a, b = sorted((place[x], place[y]))
                possible = self._slots[a] and self._slots[b]
                chosen.append((a, b, weight if possible else 0.0))
        self._pairs = [(a, b) for a, b, w in chosen if w > 0]
        if not self._pairs:
            raise QuorumError(
                "swaps: none of the listed pairs has atoms of both elements; correct pairs"
            )
        weights = [w for _, _, w in chosen if w > 0]
        total = sum(weights)
        self._cumulative = [w / total for w in accumulate(weights)]

    def propose(self, u: Sequence[float]) -> Trial:
        """See `Move`."""
        k = 0
        while k < len(self._pairs) - 1 and u[0] >= self._cumulative[k]:
            k += 1
        a, b = self._pairs[k]
        p, q = int(u[1] * len(self._slots[a])), int(u[2] * len(self._slots[b]))
        i, j = self._slots[a][p], self._slots[b][q]
        x, y = self._species[a], self._species[b]
        change = ((i, y), (j, x)) if i < j else ((j, x), (i, y))
        return Trial(change, (x, y), token=(a, p, b, q))

    def accepted(self, trial: Trial) -> None:
        """See `Move`: slots exchange their sites, so that later draws keep their meaning."""
        a, p, b, q = trial.token
        one, other = self._slots[a], self._slots[b]
        one[p], other[q] = other[q], one[p]

    def state(self) -> dict[str, list[int]]:
        """See `Move`: the order of the sites."""
        return {str(z): list(s) for z, s in zip(self._species, self._slots, strict=True)}

    def restore(self, state: dict[str, list[int]]) -> None:
        """See `Move`."""
        self._slots = [list(state[str(z)]) for z in self._species]
