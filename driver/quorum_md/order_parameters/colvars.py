"""Order parameters of all atoms: values, and how their gradients go back to pairs of atoms.

Sources: FCCUBIC: Angioletti-Uberti, Ceriotti, Lee & Finnis, PRB 81, 125416 (2010); Q_l: Steinhardt,
Nelson & Ronchetti, PRB 28, 784 (1983); LOCAL_AVERAGE: Lechner & Dellago, JCP 129, 114707 (2008);
ENVIRONMENTSIMILARITY: Piaggi & Parrinello, JCP 150, 244119 (2019).

Where PLUMED divides 0 by 0, for an atom without neighbours, the value is 0 and has no gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .actions import (
    Component,
    FccCubic,
    LocalAverage,
    LocalSteinhardt,
    MultiColvar,
    Similarity,
    Steinhardt,
)
from .bonds import Bonds
from .harmonics import gradient_of_sum, real_harmonics
from .pair_functions import PairFunctions, References

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sites:
    """Which atoms an action is about.

    Attributes:
        centres: (n,) atoms, in the order of the input.
        forward, backward: of every bond, 1 if the first (second) atom is a centre and the other one
            its neighbour, 0 if not; the number 1 if all are.
        kinds: (N,) what a neighbour is, for ENVIRONMENTSIMILARITY with names.
    """

    centres: npt.NDArray[np.int64]
    forward: Array | float
    backward: Array | float
    kinds: npt.NDArray[np.int32] | None = None


class Evaluated:
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
            self.slopes[centres] += sign * slope * component.switch.evaluate(self.values[centres])[1]

    def backward(self) -> Array:
        """(E, 3) gradient of the bias with respect to the vectors of the bonds."""
        raise NotImplementedError

    def by_atom(self, forward: Array, backward: Array) -> Array:
        """Sums by centre of what its bonds give, as seen from either end."""
        sites, bonds = self.sites, self.bonds
        parts = (sites.forward * forward, sites.backward * backward)
        return self.functions.scatter(bonds.first, bonds.second, parts, self.n_atoms)

    def both_ends(self, per_atom: Array) -> tuple[Array, Array]:
        """What centres have, at the first and at the second atom of each bond."""
        first, second = per_atom[self.bonds.first], per_atom[self.bonds.second]
        forward, backward = self.sites.forward, self.sites.backward
        if per_atom.ndim > 1 and not isinstance(forward, float):
            assert not isinstance(backward, float)
            return forward[:, None] * first, backward[:, None] * second
        return forward * first, backward * second

    def along(self, slope: Array) -> Array:
        """(E, 3) vectors of these lengths along the bonds."""
        return (slope / self.bonds.lengths)[:, None] * self.bonds.vectors


class _Contacts(Evaluated):
    """Sums over neighbours with weights σ(r) that fall off with the distance."""

    def __init__(self, action: Any, *rest: Any):
        super().__init__(*rest)
        self.weights, self.weight_slopes = action.switch.evaluate(self.bonds.lengths)
        self.coordination = self.by_atom(self.weights, self.weights)
        self.inverse = np.zeros(self.n_atoms)
        np.divide(1.0, self.coordination, out=self.inverse, where=self.coordination > 0)


class _FccCubic(_Contacts):
    """s_i = Σ_j σ f / Σ_j σ, with f an even function of the bond."""

    def __init__(self, action: FccCubic, *rest: Any):
        super().__init__(action, *rest)
        self.f, self.f_gradient = self.functions.fcc(self.bonds.vectors, action.alpha)
        weighted = self.weights * self.f
        self.values = self.by_atom(weighted, weighted) * self.inverse

    def backward(self) -> Array:
        c = self.slopes * self.inverse
        at_first, at_second = self.both_ends(c)
        c_first, c_second = self.both_ends(c * self.values)
        total = at_first + at_second
        gradient = self.along((total * self.f - (c_first + c_second)) * self.weight_slopes)
        gradient += (total * self.weights)[:, None] * self.f_gradient
        return gradient


class _Steinhardt(_Contacts):
    """s_i = |Σ_j σ Y_lm| / Σ_j σ; vectors q_i = Σ_j σ Y_lm / Σ_j σ."""

    def __init__(self, action: Steinhardt, *rest: Any):
        super().__init__(action, *rest)
        self.degree = action.degree
        self.harmonics = real_harmonics(self.degree, self.bonds.vectors, self.bonds.lengths)
        weighted = self.weights[:, None] * self.harmonics
        columns = [self.by_atom(column, column) for column in weighted.T]
        self.sums = np.stack(columns, axis=1)
        self.norms = np.linalg.norm(self.sums, axis=1)
        self.units = np.zeros_like(self.sums)
        there = self.norms[:, None] > 0
        np.divide(self.sums, self.norms[:, None], out=self.units, where=there)
        self.values = self.norms * self.inverse
        self.vectors = self.sums * self.inverse[:, None]
        self.sum_slopes = np.zeros_like(self.sums)
        self.vector_slopes = np.zeros_like(self.sums)

    def component(self, component: Component) -> float:
        if component.kind not in ("vmean", "vsum"):
            return super().component(component)
        return float(np.linalg.norm(self._together(component)))

    def pull(self, component: Component, slope: float) -> None:
        if component.kind not in ("vmean", "vsum"):
            super().pull(component, slope)
            return
        together, centres = self._together(component), self.sites.centres
        norm = np.linalg.norm(together)
        if norm > 0:
            share = 1 / len(centres) if component.kind == "vmean" else 1.0
            self.vector_slopes[centres] += slope * share / norm * together

    def _together(self, component: Component) -> Array:
        vectors = self.vectors[self.sites.centres]
        result: Array = vectors.mean(axis=0) if component.kind == "vmean" else vectors.sum(axis=0)
        return result

    def backward(self) -> Array:
        to_sums = self.sum_slopes + self.inverse[:, None] * (
            self.slopes[:, None] * self.units + self.vector_slopes
        )
        to_coordination = -self.inverse * (
            self.slopes * self.values + np.einsum("ij,ij->i", self.vector_slopes, self.vectors)
        )
        weights = np.add(*self.both_ends(to_sums))
        slope = np.einsum("ij,ij->i", weights, self.harmonics)
        slope += np.add(*self.both_ends(to_coordination))
        bonds = self.bonds
        gradient = self.along(slope * self.weight_slopes)
        gradient += self.weights[:, None] * gradient_of_sum(
            self.degree, bonds.vectors, bonds.lengths, weights
        )
        return gradient


class _LocalSteinhardt(_Contacts):
    """s_i = Σ_j σ u_i·u_j / Σ_j σ, with u the unit vector along q."""

    def __init__(self, action: LocalSteinhardt, of: _Steinhardt, *rest: Any):
        super().__init__(action, *rest)
        self.of = of
        bonds = self.bonds
        self.products = np.einsum("ij,ij->i", of.units[bonds.first], of.units[bonds.second])
        weighted = self.weights * self.products
        self.values = self.by_atom(weighted, weighted) * self.inverse

    def backward(self) -> Array:
        c, of, bonds = self.slopes * self.inverse, self.of, self.bonds
        total = np.add(*self.both_ends(c))
        with_values = np.add(*self.both_ends(c * self.values))
        shared = (total * self.weights)[:, None]
        to_units = np.zeros_like(of.units)
        for k in range(to_units.shape[1]):
            pair = (shared[:, 0] * of.units[bonds.second, k], shared[:, 0] * of.units[bonds.first, k])
            to_units[:, k] = self.functions.scatter(bonds.first, bonds.second, pair, self.n_atoms)
        to_units -= np.einsum("ij,ij->i", to_units, of.units)[:, None] * of.units
        there = of.norms[:, None] > 0
        of.sum_slopes += np.divide(
            to_units, of.norms[:, None], out=np.zeros_like(to_units), where=there
        )
        return self.along((total * self.products - with_values) * self.weight_slopes)


class _LocalAverage(_Contacts):
    """s_i = |v_i + Σ_j σ v_j| / (1 + Σ_j σ) of vectors, or the same of values, without the norm."""

    def __init__(self, action: LocalAverage, of: Evaluated, *rest: Any):
        super().__init__(action, *rest)
        self.of = of
        self.source = of.vectors if isinstance(of, _Steinhardt) else of.values[:, None]
        bonds = self.bonds
        sums = [
            self.by_atom(self.weights * column[bonds.second], self.weights * column[bonds.first])
            for column in self.source.T
        ]
        self.averages = (self.source + np.stack(sums, axis=1)) / (1 + self.coordination)[:, None]
        self.directions = np.ones_like(self.averages)
        self.values = self.averages[:, 0].copy()
        if isinstance(of, _Steinhardt):
            self.values = np.linalg.norm(self.averages, axis=1)
            self.directions = np.zeros_like(self.averages)
            there = self.values[:, None] > 0
            np.divide(self.averages, self.values[:, None], out=self.directions, where=there)
        outside = np.ones(self.n_atoms, dtype=bool)
        outside[self.sites.centres] = False
        self.values[outside] = 0

    def backward(self) -> Array:
        bonds = self.bonds
        to_sums = (self.slopes / (1 + self.coordination))[:, None] * self.directions
        to_coordination = -np.einsum("ij,ij->i", to_sums, self.averages)
        first, second = self.both_ends(to_sums)
        slope = np.einsum("ij,ij->i", first, self.source[bonds.second])
        slope += np.einsum("ij,ij->i", second, self.source[bonds.first])
        slope += np.add(*self.both_ends(to_coordination))
        to_source = to_sums.copy()
        for k in range(to_sums.shape[1]):
            pair = (self.weights * second[:, k], self.weights * first[:, k])
            to_source[:, k] += self.functions.scatter(
                bonds.first, bonds.second, pair, self.n_atoms
            )
        if isinstance(self.of, _Steinhardt):
            self.of.vector_slopes += to_source
        else:
            self.of.slopes += to_source[:, 0]
        return self.along(slope * self.weight_slopes)


class _Similarity(Evaluated):
    """s_i = log Σ_k exp(λ s_ik) / λ, s_ik = Σ_j Σ_v exp(−|r_ij − v|²/4σ²) / n over environment k."""

    def __init__(self, action: Similarity, *rest: Any):
        super().__init__(*rest)
        kinds = self.sites.kinds
        bonds, environments = self.bonds, action.environments
        order = {name: k for k, name in enumerate(dict.fromkeys(action.names))}
        wanted = np.array([order.get(name, -1) for name in environments.names], dtype=np.int32)
        references = References(
            environments.vectors,
            environments.environment.astype(np.int32),
            wanted,
            action.sigma,
            1 / environments.neighbours,
        )
        if kinds is None:
            kinds = np.zeros(self.n_atoms, dtype=np.int32)
        found = self.functions.similarity(
            bonds.vectors, (kinds[bonds.first], kinds[bonds.second]), references
        )
        at_first, at_second, self.first_gradient, self.second_gradient = found
        sums = [self.by_atom(*ends) for ends in zip(at_first.T, at_second.T, strict=True)]
        self.shares = np.ones((self.n_atoms, 1))
        self.values = sums[0]
        if len(sums) > 1:
            scaled = action.sharpness * np.stack(sums, axis=1)
            most = scaled.max(axis=1)
            grown = np.exp(scaled - most[:, None])
            total = grown.sum(axis=1)
            self.values = (np.log(total) + most) / action.sharpness
            self.shares = grown / total[:, None]

    def backward(self) -> Array:
        first, second = self.both_ends(self.slopes[:, None] * self.shares)
        gradient = np.einsum("en,enk->ek", first, self.first_gradient)
        gradient += np.einsum("en,enk->ek", second, self.second_gradient)
        return gradient


def evaluate_colvar(
    action: MultiColvar,
    bonds: Bonds,
    sites: Sites,
    n_atoms: int,
    functions: PairFunctions,
    before: dict[str, Evaluated],
) -> Evaluated:
    """An action on a structure; `before` holds those above it, by label."""
    rest = (bonds, sites, n_atoms, functions)
    if isinstance(action, FccCubic):
        return _FccCubic(action, *rest)
    if isinstance(action, Steinhardt):
        return _Steinhardt(action, *rest)
    if isinstance(action, LocalSteinhardt):
        of = before[action.of.label]
        assert isinstance(of, _Steinhardt)
        return _LocalSteinhardt(action, of, *rest)
    if isinstance(action, LocalAverage):
        return _LocalAverage(action, before[action.of.label], *rest)
    assert isinstance(action, Similarity)
    return _Similarity(action, *rest)
