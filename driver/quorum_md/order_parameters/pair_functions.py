"""Sums over pairs, in numpy: what the compiled functions do, and what they are checked against."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int32]
# (E,) each: 1 if the first (second) atom is a centre and the other one its neighbour, 0 if not;
# None where all are
Ends = tuple[Array, Array] | None


class PairFunctions(Protocol):
    """The parts that cost; see `NumpyFunctions` for what each is."""

    def search(
        self, positions: Array, cell: Array, pbc: npt.NDArray[np.bool_], reach: float
    ) -> tuple[Index, Index, Index]: ...

    def pairs(
        self,
        first: Index,
        second: Index,
        shifts: Index,
        positions: Array,
        cell: Array,
        cutoff: float,
    ) -> tuple[Index, Index, Array, Array]: ...

    def fcc(
        self, vectors: Array, lengths: Array, weights: Array, weight_slopes: Array, alpha: float
    ) -> tuple[Array, Array]: ...

    def similarity(
        self, vectors: Array, kinds: tuple[Index, Index], references: References
    ) -> tuple[Array, Array, Array, Array]: ...

    def sums(
        self, first: Index, second: Index, ends: Ends, parts: tuple[Array, Array], n_atoms: int
    ) -> Array: ...

    def pull(
        self, first: Index, second: Index, ends: Ends, per_atom: Array, parts: tuple[Array, Array]
    ) -> Array: ...

    def forces(
        self, first: Index, second: Index, vectors: Array, gradient: Array, n_atoms: int
    ) -> tuple[Array, Array]: ...


class References:
    """Gaussians of ENVIRONMENTSIMILARITY.

    Attributes:
        vectors: (n, 3) centres; environment: (n,) whose; kinds: (n,) of the neighbour, −1 for any.
        n_environments: how many; sigma: width; weight: of each Gaussian.
        even: whether every environment is its own inverse, and so the same from either end.
    """

    def __init__(
        self, vectors: Array, environment: Index, kinds: Index, sigma: float, weight: float
    ):
        self.vectors = np.ascontiguousarray(vectors, dtype=np.float64)
        self.environment = np.ascontiguousarray(environment, dtype=np.int32)
        self.kinds = np.ascontiguousarray(kinds, dtype=np.int32)
        self.n_environments = int(environment.max()) + 1
        self.sigma, self.weight = sigma, weight
        rows = {(int(m), *v) for m, v in zip(environment, self.vectors.tolist(), strict=True)}
        self.even = bool((self.kinds < 0).all()) and all(
            (m, -x + 0.0, -y + 0.0, -z + 0.0) in rows for m, x, y, z in rows
        )


class NumpyFunctions:
    """Plain numpy, and vesin for the search."""

    def search(
        self, positions: Array, cell: Array, pbc: npt.NDArray[np.bool_], reach: float
    ) -> tuple[Index, Index, Index]:
        """Pairs of atoms and images within a reach, each once: atoms, shifts (E, 3) in cells."""
        import vesin

        finder = vesin.NeighborList(cutoff=reach, full_list=False, n_threads=1)
        i, j, shifts = finder.compute(positions, cell, pbc, "ijS")
        return i.astype(np.int32), j.astype(np.int32), shifts.astype(np.int32)

    def pairs(
        self,
        first: Index,
        second: Index,
        shifts: Index,
        positions: Array,
        cell: Array,
        cutoff: float,
    ) -> tuple[Index, Index, Array, Array]:
        """Of listed pairs those not longer than the cutoff: atoms, vectors (E, 3), lengths (E,)."""
        vectors = positions[second] - positions[first] + shifts @ cell
        squared = np.einsum("ij,ij->i", vectors, vectors)
        keep = squared <= cutoff**2
        return first[keep], second[keep], vectors[keep], np.sqrt(squared[keep])

    def fcc(
        self, vectors: Array, lengths: Array, weights: Array, weight_slopes: Array, alpha: float
    ) -> tuple[Array, Array]:
        """FCCUBIC's w f and w of pairs (E, 2), w being their weights, and the gradients (E, 2, 3).

        f = a [(x⁴y⁴ + x⁴z⁴ + y⁴z⁴)/r⁸ − α x⁴y⁴z⁴/r¹²] + b, with a = 80080/(2717 + 16α) and
        b = 16(α − 143)/(2717 + 16α): 1 for an fcc crystal along the axes, 0 for random directions.
        """
        a, b = 80080 / (2717 + 16 * alpha), 16 * (alpha - 143) / (2717 + 16 * alpha)
        squared = lengths[:, None] ** 2
        p = vectors**2 / squared  # squares of the direction cosines
        q = p**2
        others = np.stack([q[:, 1] * q[:, 2], q[:, 0] * q[:, 2], q[:, 0] * q[:, 1]], axis=1)
        pairs, triple = others.sum(axis=1), q[:, 0] * others[:, 0]
        slope = p * (q.sum(axis=1)[:, None] - q - alpha * others)
        slope -= (2 * pairs - 3 * alpha * triple)[:, None]  # along the pair nothing changes
        f = a * (pairs - alpha * triple) + b
        radial = (weight_slopes / lengths)[:, None] * vectors
        gradient = f[:, None] * radial + weights[:, None] * (4 * a * vectors / squared * slope)
        return np.stack([weights * f, weights], axis=1), np.stack([gradient, radial], axis=1)

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

    def sums(
        self, first: Index, second: Index, ends: Ends, parts: tuple[Array, Array], n_atoms: int
    ) -> Array:
        """(N, n): sums by centre of what its pairs give, parts (E, n) at their first and second."""
        forward, backward = (1.0, 1.0) if ends is None else ends
        columns = [
            np.bincount(first, forward * a, n_atoms) + np.bincount(second, backward * b, n_atoms)
            for a, b in zip(parts[0].T, parts[1].T, strict=True)
        ]
        return np.stack(columns, axis=1).astype(float)  # without pairs bincount counts

    def pull(
        self, first: Index, second: Index, ends: Ends, per_atom: Array, parts: tuple[Array, Array]
    ) -> Array:
        """(E, 3): gradient of Σ per_atom (N, n) × `sums`, from gradients (E, n, 3) of the parts."""
        at_first, at_second = per_atom[first], per_atom[second]
        if ends is not None:
            at_first, at_second = ends[0][:, None] * at_first, ends[1][:, None] * at_second
        gradient: Array = np.einsum("en,enk->ek", at_first, parts[0])
        return gradient + np.einsum("en,enk->ek", at_second, parts[1])

    def forces(
        self, first: Index, second: Index, vectors: Array, gradient: Array, n_atoms: int
    ) -> tuple[Array, Array]:
        """Forces (N, 3) and Σ x dV/dx (3, 3) of gradients (E, 3) with respect to the vectors."""
        forces = np.empty((n_atoms, 3))
        for k in range(3):
            forces[:, k] = np.bincount(first, gradient[:, k], n_atoms)
            forces[:, k] -= np.bincount(second, gradient[:, k], n_atoms)
        return forces, vectors.T @ gradient
