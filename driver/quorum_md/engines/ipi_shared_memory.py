"""The memory segments of i-PI's ``<ffsocket mode='shm'>``, seen from the client.

i-PI makes six segments per client, sized for a full batch, and owns them.
"""

import sys
from collections.abc import Sequence
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory

import numpy as np

from ..errors import QuorumError


class SharedArrays:
    """Views of i-PI's segments for B structures of N atoms, in atomic units."""

    def __init__(self) -> None:
        self._segments: list[SharedMemory] = []
        self._views: dict[str, np.ndarray] = {}

    @property
    def attached(self) -> bool:
        """Whether the segments are known."""
        return bool(self._views)

    def attach(self, names: Sequence[str], batch: int, n_atoms: int) -> None:
        """Open the segments of positions, cells, inverse cells, energies, forces and virials.

        Raises `QuorumError` if one is not there, as from another machine.
        """
        shapes = {
            "positions": (batch, n_atoms, 3),
            "cells": (batch, 3, 3),
            "inverse_cells": (batch, 3, 3),
            "energies": (batch,),
            "forces": (batch, n_atoms * 3),
            "virials": (batch, 3, 3),
        }
        for (kind, shape), name in zip(shapes.items(), names, strict=True):
            try:
                segment = _open(name)
                self._segments.append(segment)
                self._views[kind] = np.ndarray(shape, np.float64, buffer=segment.buf)
            except (OSError, TypeError) as error:
                self.close()
                raise QuorumError(
                    f"i-PI's shared memory {name} cannot be used ({error}): client and i-PI must "
                    "run on one machine; use mode='unix' or mode='inet' in <ffsocket>"
                ) from error

    def check_atoms(self, n_atoms: int) -> None:
        """Check the number of atoms of a later message; raises `QuorumError` if it changed."""
        if n_atoms != self._views["positions"].shape[1]:
            raise QuorumError(
                f"the number of atoms changed from {self._views['positions'].shape[1]} to "
                f"{n_atoms} within a run; use one <ffsocket> per composition"
            )

    def structures(self) -> tuple[np.ndarray, np.ndarray]:
        """Copies of the cells (B, 3, 3) and positions (B, N, 3)."""
        return self._views["cells"].copy(), self._views["positions"].copy()

    def write(self, energies: np.ndarray, forces: np.ndarray, virials: np.ndarray) -> None:
        """Put the results where i-PI reads them, after the FORCEREADY that follows."""
        self._views["energies"][:] = energies
        self._views["forces"][:] = forces
        self._views["virials"][:] = virials

    def close(self) -> None:
        """Let go of the segments; i-PI removes them."""
        self._views.clear()
        while self._segments:
            self._segments.pop().close()


def _open(name: str) -> SharedMemory:
    if sys.version_info >= (3, 13):
        return SharedMemory(name=name, track=False)
    segment = SharedMemory(name=name)
    # attaching registers the segment for removal when this process ends, but i-PI owns it
    resource_tracker.unregister("/" + segment.name, "shared_memory")
    return segment
