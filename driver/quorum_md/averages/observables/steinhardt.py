"""Steinhardt's bond order parameters.

q_l(i) = [4π/(2l + 1) Σ_m |q_lm(i)|²]^½ with q_lm(i) the mean of Y_lm over the bonds of atom i, and
Q_l the same with the mean over all bonds: Steinhardt, Nelson & Ronchetti, Phys. Rev. B 28, 784
(1983), doi:10.1103/PhysRevB.28.784. q̄_l(i) takes the mean of q_lm over the atom and its neighbours:
Lechner & Dellago, J. Chem. Phys. 129, 114707 (2008), doi:10.1063/1.2977970.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import QuorumError
from .frames import Array, Frames, Integers
from .neighbours import nearest, pairs_within
from .series import Axis, PerFrame

Complex = NDArray[np.complex128]
KINDS = ("atoms", "bonds")
_ATOMS_AT_ONCE = 1 << 14
_LARGEST_L = 32


@dataclass(frozen=True)
class _Bonds:
    """Bonds of all atoms of some frames, atoms numbered through."""

    owner: Integers
    other: Integers
    vector: Array


def steinhardt(
    first: Frames,
    l: int | Sequence[int] = (4, 6),  # noqa: E741
    *,
    cutoff_A: float | None = None,
    neighbours: int | None = None,
    averaged: bool = False,
    over: str = "atoms",
    per_atom: bool = False,
    element: str | None = None,
) -> PerFrame:
    """Q_l per frame: (F, l), or per atom (F, N, l).

    Args:
        first: some frames of the trajectory.
        l: degrees.
        cutoff_A: bonds are pairs closer than this; or
        neighbours: bonds go to that many nearest neighbours.
        averaged: Lechner & Dellago's q̄_l.
        over: "atoms", the mean of q_l(i); "bonds", the global Q_l.
        per_atom: every atom's own value.
        element: mean over atoms of this element only; bonds go to all.

    Raises:
        QuorumError: neither or both of cutoff_A and neighbours, or options that exclude each other.
    """
    degrees = np.atleast_1d(np.asarray(l))
    if (
        degrees.ndim != 1
        or not np.issubdtype(degrees.dtype, np.integer)
        or not len(degrees)
        or (degrees < 0).any()
        or (degrees > _LARGEST_L).any()
    ):
        raise QuorumError(f"l: got {l!r}, expected whole numbers from 0 to {_LARGEST_L}")
    if (cutoff_A is None) == (neighbours is None):
        raise QuorumError(
            f"steinhardt: got cutoff_A={cutoff_A!r} and neighbours={neighbours!r}, expected one of "
            "them (neighbours=12 for close packings, 8 or 14 for bcc)"
        )
    if neighbours is not None and (int(neighbours) != neighbours or neighbours < 1):
        raise QuorumError(f"neighbours: got {neighbours!r}, expected a positive whole number")
    if over not in KINDS or (over == "bonds" and (averaged or per_atom or element)):
        raise QuorumError(
            f'over: got {over!r}, expected "atoms", or "bonds" without averaged, per_atom and '
            "element"
        )
    if element is not None and element not in first.elements:
        raise QuorumError(f"element: got {element!r}, expected one of {', '.join(first.elements)}")

    def evaluate(frames: Frames) -> Array:
        per_block = max(1, _ATOMS_AT_ONCE // frames.n_atoms)
        blocks = []
        for start in range(0, len(frames), per_block):
            some = frames.part(slice(start, start + per_block))
            bonds = _bonds(some, cutoff_A, neighbours)
            columns = [_order(some, bonds, int(d), averaged, over) for d in degrees]
            blocks.append(np.stack(columns, axis=-1))
        values: Array = np.concatenate(blocks)
        if per_atom or over == "bonds":
            return values
        if element is None:
            return values.mean(axis=1)
        chosen = frames.species == frames.elements.index(element)
        if not chosen.any(axis=1).all():
            raise QuorumError(f"element: a frame has no {element}, expected some in every frame")
        return (values * chosen[..., None]).sum(axis=1) / chosen.sum(axis=1)[:, None]

    axes: tuple[Axis, ...] = (Axis("l", "", tuple(float(d) for d in degrees)),)
    if per_atom:
        axes = (Axis("atom", "", tuple(float(k) for k in range(first.n_atoms))), *axes)
    who = f"{neighbours} nearest neighbours" if neighbours else f"neighbours within {cutoff_A:g} Å"
    how = "averaged q̄_l of Lechner and Dellago" if averaged else "q_l"
    note = f"global Q_l, {who}" if over == "bonds" else f"{how}, {who}"
    return PerFrame(evaluate, "1", axes, (note,))


def spherical_harmonics(degree: int, vectors: Array) -> Complex:
    """Y_lm of directions for m = 0 … l: (n, 3) -> (n, l + 1); Y_l,−m = (−1)^m conj Y_lm.

    By the recursion of the normalised Legendre functions in z and (x + iy)^m, without angles, so
    that the poles are points as any other.
    """
    x, y, z = (vectors / np.linalg.norm(vectors, axis=1)[:, None]).T
    result = np.empty((degree + 1, len(vectors)), dtype=complex)
    sectoral = np.full(len(vectors), np.sqrt(0.25 / np.pi), dtype=complex)
    for m in range(degree + 1):
        if m:
            sectoral = -np.sqrt(1 + 0.5 / m) * (x + 1j * y) * sectoral
        below, current = np.zeros_like(sectoral), sectoral
        for k in range(m + 1, degree + 1):
            upper = np.sqrt((4.0 * k * k - 1) / (k * k - m * m))
            lower = np.sqrt(((k - 1.0) ** 2 - m * m) / (4 * (k - 1.0) ** 2 - 1))
            below, current = current, upper * (z * current - lower * below)
        result[m] = current
    return result.T


def _bonds(frames: Frames, cutoff_A: float | None, neighbours: int | None) -> _Bonds:
    n_atoms = frames.n_atoms
    owners, others, vectors = [], [], []
    if neighbours is not None:
        for row in range(len(frames)):
            other, vector = nearest(
                frames.positions[row], frames.cells[row], frames.pbc, int(neighbours)
            )
            owners.append(np.repeat(np.arange(n_atoms), neighbours) + row * n_atoms)
            others.append(other.ravel() + row * n_atoms)
            vectors.append(vector.reshape(-1, 3))
    else:
        assert cutoff_A is not None
        for pairs in pairs_within(
            frames.positions, frames.cells, frames.pbc, cutoff_A, want_vectors=True
        ):
            assert pairs.vector is not None
            first = pairs.first + pairs.frame * n_atoms
            second = pairs.second + pairs.frame * n_atoms
            owners += [first, second]
            others += [second, first]
            vectors += [pairs.vector, -pairs.vector]
    if not owners:
        empty = np.zeros(0, dtype=np.int64)
        return _Bonds(empty, empty, np.zeros((0, 3)))
    return _Bonds(np.concatenate(owners), np.concatenate(others), np.concatenate(vectors))


def _order(frames: Frames, bonds: _Bonds, degree: int, averaged: bool, over: str) -> Array:
    """(F, N) q_l of the atoms, or (F,) of all bonds; 0 for an atom without neighbours."""
    n_frames, n_atoms = len(frames), frames.n_atoms
    harmonics = spherical_harmonics(degree, bonds.vector)
    if over == "bonds":
        frame = bonds.owner // n_atoms
        number = np.bincount(frame, minlength=n_frames)
        return _norm(_sums(harmonics, frame, n_frames) / np.maximum(number, 1)[:, None], degree)
    number = np.bincount(bonds.owner, minlength=n_frames * n_atoms)
    q = _sums(harmonics, bonds.owner, n_frames * n_atoms) / np.maximum(number, 1)[:, None]
    if averaged:
        q = (q + _sums(q[bonds.other], bonds.owner, n_frames * n_atoms)) / (number + 1)[:, None]
    return _norm(q, degree).reshape(n_frames, n_atoms)


def _sums(values: Complex, owner: Integers, n_owners: int) -> Complex:
    """Sum the rows of (n, m) by owner -> (n_owners, m)."""
    result = np.empty((n_owners, values.shape[1]), dtype=complex)
    for m in range(values.shape[1]):
        result[:, m].real = np.bincount(owner, values[:, m].real, n_owners)
        result[:, m].imag = np.bincount(owner, values[:, m].imag, n_owners)
    return result


def _norm(q: Complex, degree: int) -> Array:
    """[4π/(2l + 1) Σ_m |q_lm|²]^½ from m ≥ 0."""
    squared = np.abs(q) ** 2
    total = squared[:, 0] + 2 * squared[:, 1:].sum(axis=1)
    norm: Array = np.sqrt(4 * np.pi / (2 * degree + 1) * total)
    return norm
