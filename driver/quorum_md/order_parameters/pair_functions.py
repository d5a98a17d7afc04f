"""Sums over pairs, in numpy: what the compiled functions do, and what they are checked against."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int32]


class PairFunctions(Protocol):
    """The parts that cost; see `NumpyFunctions` for what each is."""

    def pairs(
        self, first: Index, second: Index, shifts: Index, positions: Array, cell: Array, cutoff: float
    ) -> tuple[Index, Index, Array, Array]: ...

    def fcc(self, vectors: Array, alpha: float) -> tuple[Array, Array]: ...

    def similarity(
        self, vectors: Array, kinds: tuple[Index, Index], references: References
    ) -> tuple[Array, Array, Array, Array]: ...

    def scatter(
        self, first: Index, second: Index, values: tuple[Array, Array], n_atoms: int
    ) -> Array: ...

    def forces(
        self, first: Index, second: Index, vectors: Array, gradient: Array, n_atoms: int
    ) -> tuple[Array, Array]: ...


class References:
    """Gaussians of ENVIRONMENTSIMILARITY.

    Attributes:
        vectors: (n, 3) centres; environment: (n,) whose; kinds: (n,) of the neighbour, −1 for any.
        n_environments: how many; sigma: width; weight: of each Gaussian.
    """

    def __init__(
        self, vectors: Array, environment: Index, kinds: Index, sigma: float, weight: float
    ):
        self.vectors = np.ascontiguousarray(vectors, dtype=np.float64)
        self.environment = np.ascontiguousarray(environment, dtype=np.int32)
        self.kinds = np.ascontiguousarray(kinds, dtype=np.int32)
        self.n_environments = int(environment.max()) + 1
        self.sigma, self.weight = sigma, weight


class NumpyFunctions:
    """Plain numpy."""

    def pairs(
        self, first: Index, second: Index, shifts: Index, positions: Array, cell: Array, cutoff: float
    ) -> tuple[Index, Index, Array, Array]:
        """Of listed pairs those not longer than the cutoff: atoms, vectors (E, 3), lengths (E,)."""
        vectors = positions[second] - positions[first] + shifts @ cell
        squared = np.einsum("ij,ij->i", vectors, vectors)
        keep = squared <= cutoff**2
        return first[keep], second[keep], vectors[keep], np.sqrt(squared[keep])

    def fcc(self, vectors: Array, alpha: float) -> tuple[Array, Array]:
        """FCCUBIC's function of the direction (E,) and its gradient (E, 3).

        a [(x⁴y⁴ + x⁴z⁴ + y⁴z⁴)/r⁸ − α x⁴y⁴z⁴/r¹²] + b, with a = 80080/(2717 + 16α) and
        b = 16(α − 143)/(2717 + 16α): 1 for an fcc crystal along the axes, 0 for random directions.
        """
        a, b = 80080 / (2717 + 16 * alpha), 16 * (alpha - 143) / (2717 + 16 * alpha)
        squared = np.einsum("ij,ij->i", vectors, vectors)
        p = vectors**2 / squared[:, None]  # squares of the direction cosines
        q = p**2
        sum_of_q = q.sum(axis=1)
        pairs = 0.5 * (sum_of_q**2 - (q**2).sum(axis=1))
        triple = q.prod(axis=1)
        others = np.stack([q[:, 1] * q[:, 2], q[:, 0] * q[:, 2], q[:, 0] * q[:, 1]], axis=1)
        slope = p * (sum_of_q[:, None] - q - alpha * others)
        slope -= (2 * pairs - 3 * alpha * triple)[:, None]  # along the direction nothing changes
        gradient = 4 * a * vectors / squared[:, None] * slope
        return a * (pairs - alpha * triple) + b, gradient

    def similarity(
        self, vectors: Array, kinds: tuple[Index, Index], references: References
    ) -> tuple[Array, Array, Array, Array]:
        """Gaussians at the neighbour, summed by environment.

        Args:
            vectors: (E, 3) from the first atom to the second.
            kinds: (E,) of the first atoms and of the second.

        Returns:
            (E, n) sums for the first atom as the centre, (E, n) for the second, which sees
            −vectors, and their gradients with respect to the vectors, (E, n, 3) each.
        """
        results: list[Array] = []
        gradients: list[Array] = []
        for sign, kind in ((1.0, kinds[1]), (-1.0, kinds[0])):
            sums = np.zeros((len(vectors), references.n_environments))
            slopes = np.zeros((len(vectors), references.n_environments, 3))
            for centre, owner, wanted in zip(
                references.vectors, references.environment, references.kinds, strict=True
            ):
                away = vectors - sign * centre
                value = references.weight * np.exp(
                    -np.einsum("ij,ij->i", away, away) / (4 * references.sigma**2)
                )
                if wanted >= 0:
                    value = np.where(kind == wanted, value, 0.0)
                sums[:, owner] += value
                slopes[:, owner] -= value[:, None] * away / (2 * references.sigma**2)
            results.append(sums)
            gradients.append(slopes)
        return results[0], results[1], gradients[0], gradients[1]

    def scatter(
        self, first: Index, second: Index, values: tuple[Array, Array], n_atoms: int
    ) -> Array:
        """Sums by atom (N,) of what each pair gives its first and its second."""
        total: Array = np.bincount(first, values[0], n_atoms)
        return total + np.bincount(second, values[1], n_atoms)

    def forces(
        self, first: Index, second: Index, vectors: Array, gradient: Array, n_atoms: int
    ) -> tuple[Array, Array]:
        """Forces (N, 3) and Σ x dV/dx (3, 3) of gradients (E, 3) with respect to the vectors."""
        forces = np.empty((n_atoms, 3))
        for k in range(3):
            forces[:, k] = np.bincount(first, gradient[:, k], n_atoms)
            forces[:, k] -= np.bincount(second, gradient[:, k], n_atoms)
        return forces, vectors.T @ gradient
