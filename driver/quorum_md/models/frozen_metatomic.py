"""A metatomic model at frozen positions: see `quorum_md.models.frozen`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
import vesin
from metatensor.torch import Labels, TensorBlock
from metatomic.torch import NeighborListOptions, System

from .frozen import Array, Frozen, Index, Question, Rows, Whole, near_rows, rows_of

if TYPE_CHECKING:
    from ase import Atoms

    from .metatomic_model import MetatomicPotential

# centres in one call: what keeps the arrays of a model in the caches of the processor
CENTERS_AT_ONCE = 2048


class Edges:
    """The neighbour list of one request: edges, and which of them an atom is an end of.

    Attributes
    ----------
    first, second (E,): atoms, in the direction in which the list has them
    shifts (E, 3), vectors (E, 3, 1): as metatomic wants them, tensors
    of_atom: edges per atom: those that begin there in a full list, those of both ends in a half one
    """

    def __init__(
        self, request: NeighborListOptions, atoms: Atoms, box: Array, kind: dict[str, Any]
    ):
        finder = vesin.NeighborList(
            cutoff=request.engine_cutoff("angstrom"), full_list=request.full_list
        )
        pairs, shifts, vectors = finder.compute(atoms.positions, box, atoms.pbc, "PSD")
        self.full = request.full_list
        self.first = pairs[:, 0].astype(np.int64)
        self.second = pairs[:, 1].astype(np.int64)
        self.shifts = torch.as_tensor(shifts.astype(np.int32), device=kind["device"])
        self.vectors = torch.as_tensor(vectors.reshape(-1, 3, 1), **kind)
        number = np.arange(len(pairs))
        if self.full:
            self.of_atom = rows_of(self.first, number, len(atoms))
        else:
            ends = np.concatenate([self.first, self.second])
            self.of_atom = rows_of(ends, np.tile(number, 2), len(atoms))
        self._vectors_A = vectors.reshape(-1, 3)

    @cached_property
    def by_atom(self) -> tuple[Index, Index, Array]:
        """Of a full list, for every atom from where its edges begin in what follows: the atoms at
        their other end, and the vectors to them in double precision."""
        order = self.of_atom.values
        return (
            np.ascontiguousarray(self.of_atom.starts),
            np.ascontiguousarray(self.second[order]),
            np.ascontiguousarray(self._vectors_A[order], dtype=np.float64),
        )

    def around(self, atoms: Index) -> Index:
        """Edges that the energies of these atoms need, if no messages are passed."""
        edges = self.of_atom.gather(atoms)
        return edges if self.full else np.unique(edges)


class FrozenMetatomic(Frozen):
    """A metatomic model that gives energies per atom, its range finite."""

    def __init__(self, potential: MetatomicPotential, atoms: Atoms):
        self.potential: MetatomicPotential = potential
        self.n_atoms = len(atoms)
        self.near: Rows = near_rows(atoms, potential.interaction_range_A)
        self._whole = Whole(potential, atoms)
        self._one_hop = potential.interaction_range_A <= potential.cutoff_A + 1e-6
        kind = {"dtype": potential.torch_dtype, "device": potential.device}
        pbc = np.asarray(atoms.pbc)
        box = np.where(pbc[:, None], np.asarray(atoms.cell), 0.0)
        self._edges = [Edges(request, atoms, box, kind) for request in potential.requests]
        self._positions = torch.as_tensor(atoms.positions, **kind)
        self._cell = torch.as_tensor(box, **kind)
        self._pbc = torch.as_tensor(pbc, device=potential.device)
        self._place = np.full(self.n_atoms, -1, dtype=np.int64)  # scratch: atom → place in a copy
        device = potential.device
        self._components = Labels("xyz", torch.arange(3, dtype=torch.int32).reshape(-1, 1))
        self._components = self._components.to(device)
        self._distance = Labels("distance", torch.zeros((1, 1), dtype=torch.int32)).to(device)
        self._kernel = potential.kernel if self._one_hop else None

    def _kernel_answers(
        self, numbers: npt.NDArray[Any], questions: Sequence[Question]
    ) -> list[Array]:
        assert self._kernel is not None
        tables = self._kernel.answers(self._edges[0].by_atom, numbers, questions)
        self.potential.check_finite([np.concatenate(tables)])
        return tables

    def totals(self, numbers: npt.NDArray[Any]) -> Array:
        """See `Frozen`."""
        return self._whole.totals(numbers)

    def atom_energies(self, numbers: npt.NDArray[Any]) -> Array:
        """See `Frozen`."""
        if self._kernel is not None:
            everything = [Question(np.arange(self.n_atoms), (), ())]
            return self._kernel_answers(numbers, everything)[0]
        return self._whole.atom_energies(numbers)

    def answers(self, numbers: npt.NDArray[Any], questions: Sequence[Question]) -> list[Array]:
        """See `Frozen`."""
        if self._kernel is not None:
            return self._kernel_answers(numbers, questions) if questions else []
        result: list[Array] = []
        start = count = 0
        for k, question in enumerate(questions):
            if k > start and count + len(question.centers) > CENTERS_AT_ONCE:
                result += self._call(numbers, questions[start:k])
                start, count = k, 0
            count += len(question.centers)
        if start < len(questions):
            result += self._call(numbers, questions[start:])
        return result

    def _call(self, numbers: npt.NDArray[Any], questions: Sequence[Question]) -> list[Array]:
        """One call of the model: the surroundings of all questions as one system."""
        atoms: list[Index] = []
        types: list[npt.NDArray[Any]] = []
        chosen: list[list[Index]] = [[] for _ in self._edges]
        ends: list[list[Index]] = [[] for _ in self._edges]
        n_atoms = 0
        centers: list[Index] = []
        for question in questions:
            mine, edges = self._surroundings(question.centers)
            place = self._place
            place[mine] = np.arange(n_atoms, n_atoms + len(mine))
            for number, some in enumerate(edges):
                table = self._edges[number]
                chosen[number].append(some)
                ends[number].append(np.stack([place[table.first[some]], place[table.second[some]]]))
            kinds = numbers[mine]
            for site, element in zip(question.sites, question.numbers, strict=True):
                if place[site] >= 0:
                    kinds[place[site] - n_atoms] = element
            place[mine] = -1
            atoms.append(mine)
            types.append(kinds)
            centers.append(np.arange(n_atoms, n_atoms + len(question.centers)))
            n_atoms += len(mine)
        system = self._system(np.concatenate(atoms), np.concatenate(types), chosen, ends)
        rows = self.potential.rows_of_system(system, np.concatenate(centers))
        stops = np.cumsum([len(question.centers) for question in questions])
        return np.split(rows, stops[:-1])

    def _surroundings(self, centers: Index) -> tuple[Index, list[Index]]:
        """Atoms (the centres first) and, per request, edges that the centres' energies need."""
        seen = np.zeros(self.n_atoms, dtype=bool) if self.n_atoms < 4096 else None
        if self._one_hop:
            edges = [table.around(centers) for table in self._edges]
            others = [t.second[e] for t, e in zip(self._edges, edges, strict=True)]
            others += [t.first[e] for t, e in zip(self._edges, edges, strict=True) if not t.full]
            around = np.concatenate([*others, centers])
        else:
            around = self.near.gather(centers)
        if seen is None:
            found = np.unique(around)
            outside = found[~np.isin(found, centers, assume_unique=True)]
        else:
            seen[around] = True
            seen[centers] = False
            outside = np.flatnonzero(seen)
        atoms = np.concatenate([centers, outside])
        if not self._one_hop:
            edges = []
            inside = self._place  # scratch again: marks the atoms of this question
            inside[atoms] = 0
            for table in self._edges:
                some = table.around(atoms)
                within = (inside[table.first[some]] == 0) & (inside[table.second[some]] == 0)
                edges.append(some[within])
            inside[atoms] = -1
        return atoms, edges

    def _system(
        self,
        atoms: Index,
        types: npt.NDArray[Any],
        chosen: list[list[Index]],
        ends: list[list[Index]],
    ) -> System:
        device = self.potential.device
        system = System(
            torch.as_tensor(types.astype(np.int32), device=device),
            self._positions[torch.as_tensor(atoms, device=device)],
            self._cell,
            self._pbc,
        )
        names = ["first_atom", "second_atom", "cell_shift_a", "cell_shift_b", "cell_shift_c"]
        for number, request in enumerate(self.potential.requests):
            table = self._edges[number]
            edges = torch.as_tensor(np.concatenate(chosen[number]), device=device)
            pairs = np.concatenate(ends[number], axis=1).astype(np.int32)
            samples = torch.empty((len(edges), 5), dtype=torch.int32, device=device)
            samples[:, :2] = torch.as_tensor(pairs, device=device).T
            samples[:, 2:] = table.shifts[edges]
            block = TensorBlock(
                table.vectors[edges],
                Labels(names, samples, assume_unique=True),
                [self._components],
                self._distance,
            )
            system.add_neighbor_list(request, block)
        return system
