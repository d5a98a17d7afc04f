"""FCCUBIC and ENVIRONMENTSIMILARITY, and the choice of the code for an action.

Angioletti-Uberti, Ceriotti, Lee & Finnis, PRB 81, 125416 (2010); Piaggi & Parrinello, JCP 150,
244119 (2019).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .actions import (
    FccCubic,
    LocalAverage,
    LocalSteinhardt,
    MultiColvar,
    Similarity,
    Steinhardt,
)
from .bonds import Bonds
from .evaluated import Array, Evaluated, Sites, inverse_or_zero
from .pair_functions import PairFunctions, References
from .steinhardt import (
    EvaluatedLocalAverage,
    EvaluatedLocalSteinhardt,
    EvaluatedSteinhardt,
)


class _FccCubic(Evaluated):
    """s_i = Σ_j σ f / Σ_j σ, with f an even function of the bond."""

    def __init__(self, action: FccCubic, *rest: Any):
        super().__init__(*rest)
        bonds = self.bonds
        weights = action.switch.evaluate(bonds.lengths)
        parts, self.gradients = self.functions.fcc(
            bonds.vectors, bonds.lengths, *weights, action.alpha
        )
        sums, coordination = self.by_atom(parts, parts).T
        self.inverse = inverse_or_zero(coordination)
        self.values = sums * self.inverse

    def backward(self) -> Array:
        c = self.slopes * self.inverse
        to_sums = np.stack([c, -c * self.values], axis=1)
        return self.pulled(to_sums, self.gradients, self.gradients)


class _Similarity(Evaluated):
    """s_i = log Σ_k exp(λ s_ik) / λ, with s_ik = Σ_j Σ_v exp(−|r_ij − v|²/4σ²) / n, v of k."""

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
        at_first, at_second, *self.gradients = found
        sums = self.by_atom(at_first, at_second)
        self.shares = np.ones((self.n_atoms, 1))
        self.values = sums[:, 0]
        if sums.shape[1] > 1:
            scaled = action.sharpness * sums
            most = scaled.max(axis=1)
            grown = np.exp(scaled - most[:, None])
            total = grown.sum(axis=1)
            self.values = (np.log(total) + most) / action.sharpness
            self.shares = grown / total[:, None]

    def backward(self) -> Array:
        return self.pulled(self.slopes[:, None] * self.shares, *self.gradients)


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
        return EvaluatedSteinhardt(action, *rest)
    if isinstance(action, LocalSteinhardt):
        of = before[action.of.label]
        assert isinstance(of, EvaluatedSteinhardt)
        return EvaluatedLocalSteinhardt(action, of, *rest)
    if isinstance(action, LocalAverage):
        return EvaluatedLocalAverage(action, before[action.of.label], *rest)
    assert isinstance(action, Similarity)
    return _Similarity(action, *rest)
