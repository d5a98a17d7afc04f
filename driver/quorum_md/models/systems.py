"""Structures as metatomic takes them: systems with neighbour lists, and leaves for gradients."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import vesin
from metatensor.torch import Labels, TensorBlock
from metatomic.torch import NeighborListOptions, System

if TYPE_CHECKING:
    from ase import Atoms


class Neighbours:
    """Neighbour lists, kept between calls for the first structures of a batch.

    In dynamics structure s of one call is that of the last one, moved a little: a list with a skin
    is then found without a new search, which would cost a tenth of a step. vesin checks for itself
    whether a list still holds (moved atoms, changed cells, other structures).
    """

    SKIN_A = 1.0
    KEPT = 64  # replicas; others are searched anew

    def __init__(self, requests: Sequence[NeighborListOptions]):
        self.requests = requests
        self._kept: dict[tuple[int, int], vesin.NeighborList] = {}
        self._lock = threading.Lock()  # the lists have a state

    def compute(self, slot: int, number: int, positions: Any, box: Any, pbc: Any) -> Any:
        """Pairs (n, 2), cell shifts (n, 3) and vectors (n, 3) for request ``number``."""
        request = self.requests[number]
        with self._lock:
            finder = self._kept.get((slot, number))
            if finder is None:
                finder = vesin.NeighborList(
                    cutoff=request.engine_cutoff("angstrom"),
                    full_list=request.full_list,
                    skin=self.SKIN_A if slot < self.KEPT else 0.0,
                    n_threads=torch.get_num_threads(),
                )
                if slot < self.KEPT:
                    self._kept[slot, number] = finder
            return finder.compute(positions, box, pbc, "PSD")


class Batch:
    """Systems with leaves for the gradients, built from ase.Atoms."""

    def __init__(
        self,
        structures: Sequence[Atoms],
        neighbours: Neighbours,
        dtype: torch.dtype,
        device: torch.device,
        gradients: bool,
    ):
        self.systems: list[System] = []
        self.positions: list[torch.Tensor] = []
        self.cells: list[torch.Tensor] = []
        self.edges: list[list[tuple[torch.Tensor, torch.Tensor]]] = []
        components = Labels("xyz", torch.arange(3, dtype=torch.int32).reshape(-1, 1))
        components = components.to(device)
        properties = Labels("distance", torch.zeros((1, 1), dtype=torch.int32)).to(device)
        names = ["first_atom", "second_atom", "cell_shift_a", "cell_shift_b", "cell_shift_c"]

        def leaf(values: Any) -> torch.Tensor:
            tensor = torch.as_tensor(values, dtype=dtype, device=device)
            return tensor.clone().requires_grad_(gradients)

        for slot, atoms in enumerate(structures):
            pbc = np.asarray(atoms.pbc)
            # metatomic wants zero vectors along directions that are not periodic
            box = np.where(pbc[:, None], np.asarray(atoms.cell), 0.0)
            positions, cell = leaf(atoms.positions), leaf(box)
            system = System(
                torch.as_tensor(atoms.numbers, dtype=torch.int32, device=device),
                positions,
                cell,
                torch.as_tensor(pbc, device=device),
            )
            edges = []
            for number, request in enumerate(neighbours.requests):
                pairs, shifts, vectors = neighbours.compute(slot, number, atoms.positions, box, pbc)
                samples = np.concatenate([pairs.astype(np.int32), shifts], axis=1)
                labels = torch.as_tensor(samples, dtype=torch.int32, device=device)
                r = leaf(vectors.reshape(-1, 3, 1))
                block = TensorBlock(
                    r, Labels(names, labels, assume_unique=True), [components], properties
                )
                system.add_neighbor_list(request, block)
                edges.append((r, labels))
            self.systems.append(system)
            self.positions.append(positions)
            self.cells.append(cell)
            self.edges.append(edges)

    def leaves(self) -> list[torch.Tensor]:
        edges = [r for per_system in self.edges for r, _ in per_system]
        return [*self.positions, *self.cells, *edges]
