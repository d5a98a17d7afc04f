"""The liquidus of a crystal of fixed composition: T at which Δμ(x, T) = 0, over melts x.

Every melt has a root of its own (`branch`), with no model of the melt. Between them, Δμ of a
regular solution is fitted to all points at once,

    Δμ(x, T) = p(T) − kT [x_s ln(x/x_s) + (1 − x_s) ln((1 − x)/(1 − x_s))] − Ω (x − x_s)² ,

p(T) = Δμ of the crystal in a melt of its own composition x_s; for x_s = ½ the bracket is
½ ln[4x(1 − x)]. What is assumed: the crystal takes up no excess of either element; Ω depends on
neither T nor x (χ² of the fit says if it does); what the interface adsorbs is small against the
melt, a shift of x by 1/N. `melt` says what is done about a melt that changes as the crystal grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import xlogy

from ..averages.melting import excess_scatter
from ..units import BOLTZMANN_EV_K
from .branch import Branch
from .bulk import Fusion
from .melt import SAME
from .points import Point
from .series import Array

_GRID = 61


@dataclass(frozen=True)
class Liquidus:
    """A regular solution through all points of all melts.

    Attributes:
        solid_fraction: x_s.
        omega_eV, omega_error_eV: Ω per atom and its sampling error; Ω > 0 for unlike elements that
            shun each other.
        fractions, temperatures_K: (n,) the curve, over the melts that were run.
        statistical_errors_K, model_errors_K: (n,) of the curve; the second NaN without members.
        members_K: (K, n) curves of the members.
        chi2, freedom: of the fit.
        reasons: what speaks against it.
    """

    solid_fraction: float
    omega_eV: float
    omega_error_eV: float
    fractions: Array
    temperatures_K: Array
    statistical_errors_K: Array
    model_errors_K: Array
    members_K: Array
    chi2: float
    freedom: int
    reasons: list[str]


def ideal(x: Array, x_s: float) -> Array:
    """x_s ln(x/x_s) + (1 − x_s) ln((1 − x)/(1 − x_s)), never positive."""
    own = xlogy(x_s, x_s) + xlogy(1 - x_s, 1 - x_s)
    value: Array = xlogy(x_s, x) + xlogy(1 - x_s, 1 - x) - own
    return value


def liquidus(
    branches: Sequence[Branch], x_s: float, fusions: Sequence[Fusion] = ()
) -> Liquidus | None:
    """Fit of a regular solution; None for less than three melts or too few points.

    Args:
        fusions: of the crystal in a melt of its own composition, at further temperatures than those
            at which it is pinned.
    """
    points = [p for b in branches for p in b.points if p.delta_mu_eV is not None]
    if len({p.liquid_fraction for p in points}) < 3:
        return None
    fit = _Fit(points, x_s, fusions)
    if fit.freedom < 0:
        return None
    x = np.linspace(
        min(p.melt_fraction for p in points), max(p.melt_fraction for p in points), _GRID
    )
    x = np.unique(np.append(x, x_s)) if x.min() < x_s < x.max() else x
    T = fit.curve(x, fit.coefficients)
    rows = fit.rows(x, T)
    step = 1e-4 * T
    above, below = (fit.value(x, T + sign * step, fit.coefficients) for sign in (1, -1))
    slope = (above - below) / (2 * step)
    scatter = excess_scatter(fit.chi2, fit.freedom)
    error = scatter * np.sqrt(np.einsum("nc,cd,nd->n", rows, fit.covariance, rows)) / slope
    members, model = np.empty((0, len(x))), np.full(len(x), np.nan)
    if all(p.shift is not None for p in points):
        shifts = [p.shift for p in points if p.shift is not None]
        own = np.array([one.members_eV for one in shifts])
        members = np.array([fit.curve(x, fit.coefficients + fit.of_shifts @ k) for k in own.T])
        noise = _noise(points, rows @ fit.of_shifts) / (own.shape[1] - 1) / slope**2
        model = np.sqrt(np.maximum(members.var(axis=0, ddof=1) - noise, 0.0))
    reasons = []
    if scatter > 1:
        reasons.append(
            f"the melt is not a regular solution within the errors (χ² = {fit.chi2:.1f} for "
            f"{fit.freedom} degrees of freedom), so that the sampling errors are multiplied by "
            f"{scatter:.1f}; trust the melts that were run, not the curve"
        )
    omega, omega_error = fit.coefficients[-1], scatter * fit.covariance[-1, -1] ** 0.5
    return Liquidus(
        x_s, float(omega), float(omega_error), x, T, error, model, members, fit.chi2, fit.freedom,
        reasons,
    )  # fmt: skip


def _noise(points: list[Point], shares: Array) -> Array:
    """(n,) sum over the members of the variances that sampling alone makes.

    Points of one temperature have the crystal in common and its melts: what each run gives to all
    of them is added up before it is squared.

    Args:
        shares: (n, points) with which the points make up the curve.
    """
    of_runs: dict[str, Array] = {}
    for k, p in enumerate(points):
        assert p.shift is not None
        own = p.shift_noise_eV or {f"of point {k} alone": p.shift.centred_errors_eV}
        for run, noise in own.items():
            of_runs[run] = of_runs.get(run, 0.0) + shares[:, k, None] * noise
    total: Array = np.sum([(one**2).sum(axis=1) for one in of_runs.values()], axis=0)
    return total


class _Fit:
    """Weighted least squares of p(T) and Ω; enthalpies of a melt of composition x_s steady p."""

    def __init__(self, points: list[Point], x_s: float, fusions: Sequence[Fusion]) -> None:
        self.x_s = x_s
        x, T, mu, error = (
            np.array([getattr(p, name) for p in points], dtype=float)
            for name in ("melt_fraction", "temperature_K", "delta_mu_eV", "error_eV")
        )
        self.center = float(T.mean())
        own = [
            p.fusion for p in points if abs(p.melt_fraction - x_s) < SAME and p.fusion is not None
        ]
        own += fusions
        bent = len({one.temperature_K for one in own}) > 1
        self.degree = 2 if bent else 1
        rows = self.rows(x, T)
        values = mu + BOLTZMANN_EV_K * T * ideal(x, x_s)
        weight = 1 / error**2
        self.of_shifts = np.zeros((rows.shape[1], len(T)))
        plain = [k for k in range(rows.shape[1]) if not (bent and k == 0)]
        root = np.sqrt(weight)
        self.of_shifts[plain] = np.linalg.pinv(rows[:, plain] * root[:, None]) * root
        for one in own:
            t = one.temperature_K
            tilt = np.array([2 * (t - self.center), 1.0, 0.0, 0.0])[2 - self.degree :]
            of_h = t * tilt - self.rows(np.array([x_s]), np.array([t]))[0]
            rows, values = np.vstack([rows, of_h]), np.append(values, one.enthalpy_eV.value)
            weight = np.append(weight, 1 / one.enthalpy_eV.error**2)
        self.freedom = len(values) - rows.shape[1]
        if (
            self.freedom < 0
            or np.linalg.matrix_rank(rows / np.abs(rows).max(axis=0)) < rows.shape[1]
        ):
            self.freedom = -1
            return
        covariance = np.asarray(np.linalg.inv(rows.T * weight @ rows), dtype=float)
        self.covariance = covariance
        self.coefficients: Array = covariance @ (rows.T * weight) @ values
        self.chi2 = float(weight @ (values - rows @ self.coefficients) ** 2)

    def rows(self, x: Array, T: Array) -> Array:
        """(n, degree + 2) what p's coefficients, highest first, and Ω add to Δμ."""
        return np.column_stack(
            [np.vander(T - self.center, self.degree + 1), -((x - self.x_s) ** 2)]
        )

    def value(self, x: Array, T: Array, coefficients: Array) -> Array:
        """Δμ(x, T)."""
        value: Array = self.rows(x, T) @ coefficients - BOLTZMANN_EV_K * T * ideal(x, self.x_s)
        return value

    def curve(self, x: Array, coefficients: Array) -> Array:
        """(n,) roots in T; NaN where there is none between half and twice the mean temperature."""
        roots = np.full(len(x), np.nan)
        grid = self.center * np.linspace(0.5, 2.0, 301)
        for k, one in enumerate(x):
            values = self.value(np.full(len(grid), one), grid, coefficients)
            rising = np.flatnonzero((values[:-1] < 0) & (values[1:] >= 0))
            if len(rising):
                near = rising[np.argmin(np.abs(grid[rising] - self.center))]
                roots[k] = brentq(
                    lambda T, one=one: self.value(np.array([one]), np.array([T]), coefficients)[0],
                    grid[near], grid[near + 1],
                )  # fmt: skip
        return roots
