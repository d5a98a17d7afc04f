"""Bond order: Q_l, LOCAL_Q_l and LOCAL_AVERAGE.

Steinhardt, Nelson & Ronchetti, PRB 28, 784 (1983); LOCAL_AVERAGE: Lechner & Dellago, JCP 129,
114707 (2008).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .actions import Component, LocalAverage, LocalSteinhardt, Steinhardt
from .evaluated import Array, Evaluated, inverse_or_zero
from .harmonics import gradient_of_sum, real_harmonics


class _Contacts(Evaluated):
    """Sums over neighbours with weights σ(r) that fall off with the distance."""

    def __init__(self, action: Any, *rest: Any):
        super().__init__(*rest)
        self.weights, self.weight_slopes = action.switch.evaluate(self.bonds.lengths)
        column = self.weights[:, None]
        self.coordination = self.by_atom(column, column)[:, 0]
        self.inverse = inverse_or_zero(self.coordination)


class EvaluatedSteinhardt(_Contacts):
    """s_i = |Σ_j σ Y_lm| / Σ_j σ; vectors q_i = Σ_j σ Y_lm / Σ_j σ."""

    def __init__(self, action: Steinhardt, *rest: Any):
        super().__init__(action, *rest)
        self.degree = action.degree
        self.harmonics = real_harmonics(self.degree, self.bonds.vectors, self.bonds.lengths)
        weighted = self.weights[:, None] * self.harmonics
        self.sums = self.by_atom(weighted, weighted)
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


class EvaluatedLocalSteinhardt(_Contacts):
    """s_i = Σ_j σ u_i·u_j / Σ_j σ, with u the unit vector along q."""

    def __init__(self, action: LocalSteinhardt, of: EvaluatedSteinhardt, *rest: Any):
        super().__init__(action, *rest)
        self.of = of
        bonds = self.bonds
        self.products = np.einsum("ij,ij->i", of.units[bonds.first], of.units[bonds.second])
        weighted = (self.weights * self.products)[:, None]
        self.values = self.by_atom(weighted, weighted)[:, 0] * self.inverse

    def backward(self) -> Array:
        c, of, bonds = self.slopes * self.inverse, self.of, self.bonds
        total = np.add(*self.both_ends(c))
        with_values = np.add(*self.both_ends(c * self.values))
        shared = (total * self.weights)[:, None]
        pair = shared * of.units[bonds.second], shared * of.units[bonds.first]
        to_units = self.functions.sums(bonds.first, bonds.second, None, pair, self.n_atoms)
        to_units -= np.einsum("ij,ij->i", to_units, of.units)[:, None] * of.units
        there = of.norms[:, None] > 0
        of.sum_slopes += np.divide(
            to_units, of.norms[:, None], out=np.zeros_like(to_units), where=there
        )
        return self.along((total * self.products - with_values) * self.weight_slopes)


class EvaluatedLocalAverage(_Contacts):
    """s_i = |v_i + Σ_j σ v_j| / (1 + Σ_j σ) of vectors, or the same of values, without the norm."""

    def __init__(self, action: LocalAverage, of: Evaluated, *rest: Any):
        super().__init__(action, *rest)
        self.of = of
        self.source = of.vectors if isinstance(of, EvaluatedSteinhardt) else of.values[:, None]
        bonds = self.bonds
        weights = self.weights[:, None]
        sums = self.by_atom(weights * self.source[bonds.second], weights * self.source[bonds.first])
        self.averages = (self.source + sums) / (1 + self.coordination)[:, None]
        self.directions = np.ones_like(self.averages)
        self.values = self.averages[:, 0].copy()
        if isinstance(of, EvaluatedSteinhardt):
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
        weights = self.weights[:, None]
        pair = weights * second, weights * first
        to_source = to_sums + self.functions.sums(
            bonds.first, bonds.second, None, pair, self.n_atoms
        )
        if isinstance(self.of, EvaluatedSteinhardt):
            self.of.vector_slopes += to_source
        else:
            self.of.slopes += to_source[:, 0]
        return self.along(slope * self.weight_slopes)
