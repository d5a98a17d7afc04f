"""Δμ(T) as a polynomial through Δμ and enthalpies of fusion, and where it is zero."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# a shift of T_m beyond this part of it is no longer one in which Δh is constant
SHIFT_DOUBTFUL = 0.1
# the same of T, to which enthalpies of fusion carry Δμ(T) beyond the temperatures
_BEYOND = 0.05


class Curve:
    """Δμ(T) as a polynomial in T − center, by weighted least squares of Δμ and Δh.

    Attributes:
        coefficients, covariance: of the polynomial, highest power first.
        of_shifts: (degree + 1, n_T) what δμ of the members at the temperatures adds to them.
        chi2, freedom: of the fit.
        range_K: where roots may lie without a doubt.
        width_K: roots farther from center than three of these are none.
    """

    def __init__(
        self, T: Array, mu: Array, variance: Array, degree: int, fusion: tuple[Array, ...] | None
    ) -> None:
        self.center = float(T.mean())
        beyond = 0.0 if fusion is None else _BEYOND
        self.range_K = T.min() * (1 - beyond), T.max() * (1 + beyond)
        x = T - self.center
        rows, values, weight = np.vander(x, degree + 1), mu, 1 / variance
        # the members have no enthalpies of their own: a polynomial through their δμ alone, which
        # are small, and straight where the enthalpies make the curve
        least = min(degree if fusion is None else 1, len(np.unique(T)) - 1)
        plain = rows[:, degree - least :]
        self.of_shifts = np.zeros((degree + 1, len(T)))
        self.of_shifts[degree - least :] = _solve(plain, weight)[0]
        if fusion is not None:
            at, h, h_error = fusion
            x = at - self.center
            powers = np.arange(degree, -1, -1)
            tilt = powers * np.vander(x, degree + 1) / np.where(x, x, 1.0)[:, None]
            tilt[x == 0] = np.eye(degree + 1)[degree - 1]
            rows = np.vstack([rows, at[:, None] * tilt - np.vander(x, degree + 1)])
            values, weight = np.append(mu, h), np.append(weight, 1 / h_error**2)
        fit, self.covariance = _solve(rows, weight)
        self.coefficients: Array = fit @ values
        self.chi2 = float(weight @ (values - rows @ self.coefficients) ** 2)
        self.freedom = len(values) - degree - 1
        # with enthalpies the slope is known as far as these are nearly constant, however close the
        # temperatures are
        narrow = np.ptp(T) if fusion is None else max(np.ptp(T), SHIFT_DOUBTFUL * self.center)
        self.width_K = float(narrow) or SHIFT_DOUBTFUL * self.center

    def root(self, coefficients: Array) -> tuple[float, float] | None:
        """The root where Δμ rises, nearest to the temperatures, and the slope there."""
        steep = np.polyder(coefficients)
        roots = [float(r.real) for r in np.roots(coefficients) if abs(r.imag) < 1e-9]
        near = [r for r in roots if np.polyval(steep, r) > 0 and abs(r) < 3 * self.width_K]
        if not near:
            return None
        best = min(near, key=abs)
        return best + self.center, float(np.polyval(steep, best))


def _solve(rows: Array, weight: Array) -> tuple[Array, Array]:
    """What turns values into coefficients by weighted least squares, and their covariance."""
    covariance = np.asarray(np.linalg.inv(rows.T * weight @ rows), dtype=float)
    return covariance @ (rows.T * weight), covariance
