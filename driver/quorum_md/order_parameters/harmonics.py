"""Real spherical harmonics of directions, and the gradient of a sum of them."""

from __future__ import annotations

from functools import cache
from math import factorial, pi, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.polynomial import legendre, polynomial

Array = npt.NDArray[np.float64]


@cache
def _polynomials(degree: int) -> list[tuple[Any, Any]]:
    """Of m = 0 … l: N dᵐP_l/dzᵐ and its derivative, coefficients of rising powers of z."""
    plain = legendre.leg2poly([0.0] * degree + [1.0])
    found = []
    for m in range(degree + 1):
        norm = sqrt((2 * degree + 1) / (4 * pi) * factorial(degree - m) / factorial(degree + m))
        of_m = norm * (sqrt(2) if m else 1.0) * polynomial.polyder(plain, m)
        found.append((of_m, polynomial.polyder(of_m)))
    return found


def _azimuthal(degree: int, x: Array, y: Array) -> tuple[list[Array], list[Array]]:
    """Real and imaginary parts of (x + iy)ᵐ."""
    real, imaginary = [np.ones_like(x)], [np.zeros_like(x)]
    for _ in range(degree):
        c, s = real[-1], imaginary[-1]
        real.append(x * c - y * s)
        imaginary.append(x * s + y * c)
    return real, imaginary


def real_harmonics(degree: int, vectors: Array, lengths: Array) -> Array:
    """(E, 2l + 1): m = 0, then cosine and sine of m = 1 … l.

    They turn into PLUMED's complex ones by a unitary matrix: norms and scalar products are equal.
    """
    x, y, z = (vectors / lengths[:, None]).T
    c, s = _azimuthal(degree, x, y)
    result = np.empty((len(vectors), 2 * degree + 1))
    for m, (of_m, _) in enumerate(_polynomials(degree)):
        q = polynomial.polyval(z, of_m)
        if m == 0:
            result[:, 0] = q
        else:
            result[:, 2 * m - 1], result[:, 2 * m] = q * c[m], q * s[m]
    return result


def gradient_of_sum(degree: int, vectors: Array, lengths: Array, weights: Array) -> Array:
    """(E, 3): gradient of Σ_m weights[:, m] Y_m with respect to the vectors."""
    directions = vectors / lengths[:, None]
    x, y, z = directions.T
    c, s = _azimuthal(degree, x, y)
    slope = np.zeros_like(vectors)
    for m, (of_m, derivative) in enumerate(_polynomials(degree)):
        q, dq = polynomial.polyval(z, of_m), polynomial.polyval(z, derivative)
        if m == 0:
            slope[:, 2] += weights[:, 0] * dq
            continue
        a, b = weights[:, 2 * m - 1], weights[:, 2 * m]
        slope[:, 0] += m * q * (a * c[m - 1] + b * s[m - 1])
        slope[:, 1] += m * q * (b * c[m - 1] - a * s[m - 1])
        slope[:, 2] += dq * (a * c[m] + b * s[m])
    # along the sphere only
    slope -= np.einsum("ij,ij->i", slope, directions)[:, None] * directions
    slope /= lengths[:, None]
    return slope
