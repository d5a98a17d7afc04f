"""Sums over pairs in C++, compiled on this machine when they are wanted first, and kept.

``lammps_plugin/src/order_pairs.cpp`` does what `NumpyFunctions` does, some times faster. It is
compared with numpy once in every process; where it cannot be compiled or differs, numpy is used.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import QuorumError, warn
from ..native import cache_folder, open_library
from .pair_functions import Array, Ends, Index, NumpyFunctions, PairFunctions, References

SOURCES = ["order_pairs.cpp", "cells.cpp"]
_MADE_OF = ["order_pairs*", "cells*", "box.h"]
_AGREEMENT = 1e-12  # of numbers of the order of 1


class CompiledFunctions:
    """`PairFunctions` of the library."""

    def __init__(self, library: ctypes.CDLL):
        self._library = library
        library.quorum_order_pairs.restype = ctypes.c_int64
        library.quorum_order_search.restype = ctypes.c_int64
        self._room = 0

    def search(
        self, positions: Array, cell: Array, pbc: npt.NDArray[np.bool_], reach: float
    ) -> tuple[Index, Index, Index]:
        """See `NumpyFunctions.search`."""
        positions, cell = np.ascontiguousarray(positions), np.ascontiguousarray(cell)
        count = max(self._room, 16 * len(positions))
        while True:
            room = count
            first, second = np.empty(room, dtype=np.int32), np.empty(room, dtype=np.int32)
            shifts = np.empty((room, 3), dtype=np.int32)
            count = self._call("search", len(positions), positions, cell, pbc.astype(np.int32),
                               float(reach), room, first, second, shifts)  # fmt: skip
            if count <= room:
                self._room = count + count // 10
                return first[:count], second[:count], shifts[:count]

    def pairs(
        self,
        first: Index,
        second: Index,
        shifts: Index,
        positions: Array,
        cell: Array,
        cutoff: float,
    ) -> tuple[Index, Index, Array, Array]:
        """See `NumpyFunctions.pairs`."""
        n = len(first)
        found = np.empty(n, dtype=np.int32), np.empty(n, dtype=np.int32)
        vectors, lengths = np.empty((n, 3)), np.empty(n)
        count = self._call("pairs", n, first, second, shifts, positions, cell, cutoff, *found,
                           vectors, lengths)  # fmt: skip
        return found[0][:count], found[1][:count], vectors[:count], lengths[:count]

    def fcc(
        self, vectors: Array, lengths: Array, weights: Array, weight_slopes: Array, alpha: float
    ) -> tuple[Array, Array]:
        """See `NumpyFunctions.fcc`."""
        n = len(vectors)
        values, gradients = np.empty((n, 2)), np.empty((n, 2, 3))
        self._call("fcc", n, vectors, lengths, weights, weight_slopes, alpha, values, gradients)
        return values, gradients

    def similarity(
        self, vectors: Array, kinds: tuple[Index, Index], references: References
    ) -> tuple[Array, Array, Array, Array]:
        """See `NumpyFunctions.similarity`."""
        n, m = len(vectors), references.n_environments
        sums, slopes = [np.empty((n, m))], [np.empty((n, m, 3))]
        sides = 1 if references.even else 2
        if sides == 2:
            sums.append(np.empty((n, m)))
            slopes.append(np.empty((n, m, 3)))
        self._call(
            "similarity", n, vectors, *kinds, len(references.vectors), references.vectors,
            references.environment, references.kinds, m, sides, references.sigma,
            references.weight, sums[0], sums[-1], slopes[0], slopes[-1],
        )  # fmt: skip
        return sums[0], sums[-1], slopes[0], slopes[-1]

    def sums(
        self, first: Index, second: Index, ends: Ends, parts: tuple[Array, Array], n_atoms: int
    ) -> Array:
        """See `NumpyFunctions.sums`."""
        width = parts[0].shape[1]
        sums = np.zeros((n_atoms, width))
        at_first, at_second = (np.ascontiguousarray(part) for part in parts)
        forward, backward = (None, None) if ends is None else ends
        self._call("sums", len(first), first, second, width, forward, backward, at_first, at_second,
                   sums)  # fmt: skip
        return sums

    def pull(
        self, first: Index, second: Index, ends: Ends, per_atom: Array, parts: tuple[Array, Array]
    ) -> Array:
        """See `NumpyFunctions.pull`."""
        gradient = np.empty((len(first), 3))
        forward, backward = (None, None) if ends is None else ends
        self._call("pull", len(first), first, second, per_atom.shape[1], forward, backward,
                   np.ascontiguousarray(per_atom), *parts, gradient)  # fmt: skip
        return gradient

    def forces(
        self, first: Index, second: Index, vectors: Array, gradient: Array, n_atoms: int
    ) -> tuple[Array, Array]:
        """See `NumpyFunctions.forces`."""
        forces, virial = np.zeros((n_atoms, 3)), np.zeros((3, 3))
        gradient = np.ascontiguousarray(gradient)
        self._call("forces", len(first), first, second, vectors, gradient, forces, virial)
        return forces, virial

    def _call(self, name: str, count: int, *values: Any) -> int:
        """Arrays as pointers, whole numbers as int, others as double."""
        arguments: list[Any] = [ctypes.c_int64(count)]
        for value in values:
            if value is None:
                arguments.append(ctypes.c_void_p())
            elif isinstance(value, np.ndarray):
                assert value.flags.c_contiguous and value.dtype in (np.int32, np.float64)
                arguments.append(ctypes.c_void_p(value.ctypes.data))
            else:
                kind = ctypes.c_int if isinstance(value, int) else ctypes.c_double
                arguments.append(kind(value))
        return int(getattr(self._library, f"quorum_order_{name}")(*arguments) or 0)


@cache
def pair_functions() -> PairFunctions:
    """The compiled functions, or numpy's."""
    library = _library()
    if library is None:
        return NumpyFunctions()
    compiled = CompiledFunctions(library)
    difference = largest_difference(compiled)
    if difference > _AGREEMENT:
        warn(
            f"order parameters: the compiled functions differ from numpy by {difference:.1g}; "
            f"numpy is used, which is slower; delete {cache_folder()} if the compiler has changed"
        )
        return NumpyFunctions()
    return compiled


def largest_difference(compiled: PairFunctions) -> float:
    """Between functions and numpy's, on pairs made up."""
    plain, rng = NumpyFunctions(), np.random.default_rng(0)
    n_atoms, n = 7, 30
    first, second, kinds, more = rng.integers(0, n_atoms, (4, n)).astype(np.int32)
    shifts = rng.integers(-1, 2, (n, 3)).astype(np.int32)
    positions, cell = rng.normal(size=(n_atoms, 3)), rng.normal(size=(3, 3))
    vectors, per_atom = rng.normal(size=(n, 3)), rng.normal(size=(n_atoms, 2))
    per_pair, gradients = rng.normal(size=(2, n, 2)), rng.normal(size=(2, n, 2, 3))
    ends = rng.normal(size=n), rng.normal(size=n)
    references = References(
        rng.normal(size=(5, 3)), np.array([0, 0, 1, 1, 1]), np.array([-1, 2, 0, -1, 1]), 0.7, 0.5
    )
    half = rng.normal(size=(2, 3))
    opposite = References(
        np.concatenate([half, -half]), np.array([0, 1, 0, 1]), np.full(4, -1), 0.6, 0.5
    )
    calls: list[tuple[str, tuple[Any, ...]]] = [
        ("pairs", (first, second, shifts, positions, cell, 2.0)),
        ("fcc", (vectors, np.linalg.norm(vectors, axis=1), *rng.normal(size=(2, n)), 27.0)),
        ("similarity", (vectors, (kinds, more), references)),
        ("similarity", (vectors, (kinds, more), opposite)),
        ("sums", (first, second, None, (per_pair[0], per_pair[1]), n_atoms)),
        ("sums", (first, second, ends, (per_pair[0], per_pair[1]), n_atoms)),
        ("pull", (first, second, None, per_atom, (gradients[0], gradients[1]))),
        ("pull", (first, second, ends, per_atom, (gradients[0], gradients[1]))),
        ("forces", (first, second, vectors, rng.normal(size=(n, 3)), n_atoms)),
    ]
    positions = 3 * rng.normal(size=(40, 3))
    for sides, pbc in ((2.5, [True, True, True]), (9.0, [True, False, True])):
        place = positions, sides * np.eye(3) + 0.2 * cell, np.array(pbc), 3.0
        if _pairs_in_order(compiled, *place) != _pairs_in_order(plain, *place):
            return float("inf")
    most = 0.0
    for name, arguments in calls:
        ours, theirs = (_arrays(getattr(one, name)(*arguments)) for one in (compiled, plain))
        for a, b in zip(ours, theirs, strict=True):
            if a.shape != b.shape:
                return float("inf")
            most = max(most, float((np.abs(a - b) / (1 + np.abs(b))).max(initial=0.0)))
    return most


def _pairs_in_order(functions: PairFunctions, *place: Any) -> list[tuple[int, ...]]:
    """Pairs that were found, each from its lower end."""
    found = np.column_stack(functions.search(*place))
    turned = found[:, [1, 0, 2, 3, 4]] * np.array([1, 1, -1, -1, -1])
    return sorted(
        map(min, zip(map(tuple, found.tolist()), map(tuple, turned.tolist()), strict=True))
    )


def _arrays(result: Any) -> tuple[npt.NDArray[Any], ...]:
    return result if isinstance(result, tuple) else (result,)


def _library() -> ctypes.CDLL | None:
    """The library; None without a compiler, or where nothing can be written."""
    try:
        return open_library("order parameters", "order", SOURCES, _MADE_OF, ["-O3"])
    except (QuorumError, OSError):
        return None
