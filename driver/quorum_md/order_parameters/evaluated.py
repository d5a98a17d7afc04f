"""An order parameter of all atoms on one structure: values, and the way back of gradients.

Where PLUMED divides 0 by 0, for an atom without neighbours, the value is 0 and has no gradient.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .actions import Component
from .bonds import Bonds
from .pair_functions import Ends, PairFunctions

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sites:
    """Which atoms an action is about.

    Attributes:
        centres: (n,) atoms, in the order of the input.
        ends: of every bond, which of its atoms are centres with the other one for a neighbour.
        kinds: (N,) what a neighbour is, for ENVIRONMENTSIMILARITY with names.
    """

    centres: npt.NDArray[np.int64]
    ends: Ends
    kinds: npt.NDArray[np.int32] | None = None


class Evaluated(ABC):
    """An action on one structure.

    Attributes:
        values: (N,) of every atom; 0 where it is not a centre.
        slopes: (N,) of the bias with respect to the values, summed up before `backward`.
    """

    def __init__(self, bonds: Bonds, sites: Sites, n_atoms: int, functions: PairFunctions):
        self.bonds, self.sites, self.n_atoms, self.functions = bonds, sites, n_atoms, functions
        self.values = np.zeros(n_atoms)
        self.slopes = np.zeros(n_atoms)

    def component(self, component: Component) -> float:
        """A number made of the values of the centres."""
        values = self.values[self.sites.centres]
        if component.kind == "mean":
            return float(values.mean())
        if component.kind == "sum":
            return float(values.sum())
        assert component.switch is not None
        below = component.switch.evaluate(values)[0]
        return float(below.sum() if component.kind == "lessthan" else (1 - below).sum())

    def pull(self, component: Component, slope: float) -> None:
        """Adds the gradient of slope × the number to `slopes`."""
        centres = self.sites.centres
        if component.kind == "mean":
            self.slopes[centres] += slope / len(centres)
        elif component.kind == "sum":
            self.slopes[centres] += slope
        else:
            assert component.switch is not None
            sign = 1 if component.kind == "lessthan" else -1
            self.slopes[centres] += (
                sign * slope * component.switch.evaluate(self.values[centres])[1]
            )

    @abstractmethod
    def backward(self) -> Array:
        """(E, 3) gradient of the bias with respect to the vectors of the bonds."""

    def by_atom(self, forward: Array, backward: Array) -> Array:
        """(N, n) sums by centre of what its bonds give (E, n), as seen from either end."""
        bonds, ends = self.bonds, self.sites.ends
        return self.functions.sums(
            bonds.first, bonds.second, ends, (forward, backward), self.n_atoms
        )

    def pulled(self, per_atom: Array, forward: Array, backward: Array) -> Array:
        """(E, 3) gradient of Σ per_atom (N, n) × `by_atom`, from those of the parts (E, n, 3)."""
        bonds, ends = self.bonds, self.sites.ends
        return self.functions.pull(bonds.first, bonds.second, ends, per_atom, (forward, backward))

    def both_ends(self, per_atom: Array) -> tuple[Array, Array]:
        """(E, …) of what centres have (N, …), at the first and the second atom of each bond."""
        first, second = per_atom[self.bonds.first], per_atom[self.bonds.second]
        if self.sites.ends is None:
            return first, second
        forward, backward = self.sites.ends
        shape = (-1,) + (1,) * (per_atom.ndim - 1)
        return forward.reshape(shape) * first, backward.reshape(shape) * second

    def along(self, slope: Array) -> Array:
        """(E, 3) vectors of these lengths along the bonds."""
        return (slope / self.bonds.lengths)[:, None] * self.bonds.vectors


def inverse_or_zero(coordination: Array) -> Array:
    """1/x, and 0 of 0."""
    result = np.zeros_like(coordination)
    return np.divide(1.0, coordination, out=result, where=coordination > 0)
