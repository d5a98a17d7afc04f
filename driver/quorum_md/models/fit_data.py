"""Reference data as arrays for the fit: checks, neighbours, split, batches of constants.

Positions do not change during a fit, so everything that depends on them alone is computed once:
densities by element D, and the linear map from ∂E/∂D to forces and virial. A training step then
costs a small network and two batched products (`Batch.forces`), twice differentiable in ∂E/∂D.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import vesin
from ase import Atoms
from ase.data import chemical_symbols

from ..errors import QuorumError
from .basis import L_MAX, radial_basis, repulsion, repulsion_tables, spherical_harmonics
from .frames import groups_of, read_frames
from .potential import check_cell

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

# Voigt order of ASE: xx yy zz yz xz xy
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def read_data(paths: Sequence[str | Path]) -> list[Atoms]:
    """All structures of all files."""
    return [atoms for path in paths for atoms in read_frames(path)]


@dataclass
class Structure:
    """One structure of n atoms and E directed edges, sorted by centre.

    Attributes
    ----------
    species (n,): index into the list of elements
    energy_eV: minus references and repulsion; forces_eV_A (n, 3) and virial_eV (6,) (Voigt, NaN
        where not given or not periodic) minus repulsion
    first, second, slot, reverse (E,): atoms of an edge, its place among the edges of its centre,
        and the index of the edge seen from the other atom
    vectors_A (E, 3): from the first to the second atom
    group: config_type
    """

    species: Index
    energy_eV: float
    forces_eV_A: Array
    virial_eV: Array
    first: Index
    second: Index
    slot: Index
    reverse: Index
    vectors_A: Array
    group: str

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.species)


def check_frames(frames: Sequence[Atoms], n_members: int) -> None:
    """Raise QuorumError unless the frames can be fitted: at least two, finite positions, energies
    and forces in all of them, enough of them for the number of members."""
    if len(frames) < 2:
        raise QuorumError(
            f"fit: got {len(frames)} structure; expected many (hundreds for a useful potential)"
        )
    for index, atoms in enumerate(frames):
        results = atoms.calc.results if atoms.calc is not None else {}
        where = f"fit: structure {index} ({atoms.get_chemical_formula()})"
        for key in ("energy", "forces"):
            if key not in results:
                raise QuorumError(
                    f"{where} has no {key}; expected energy (eV) and forces (eV/Å) in extxyz "
                    "under these names; recompute or remove it"
                )
        numbers: dict[str, Any] = {
            "position": atoms.positions,
            "cell": np.asarray(atoms.cell),
            "energy": results["energy"],
            "forces": results["forces"],
            "stress": results.get("stress", 0.0),
        }
        for name, value in numbers.items():
            if not np.isfinite(np.asarray(value, dtype=float)).all():
                raise QuorumError(f"{where}: its {name} is not finite; remove the structure")
        check_cell(atoms, where)
    if len(frames) < 2 * n_members:
        raise QuorumError(
            f"fit: {len(frames)} structures are too few for {n_members} members on different "
            f"subsets; give at least {2 * n_members} structures or fewer --members"
        )


def split(
    groups: Sequence[str], fraction: float, rng: np.random.Generator
) -> tuple[list[int], list[int]]:
    """Indices to train on and to keep apart, ``fraction`` of each group: at least two of a group
    of eight or more, none of a group of fewer than four; none at all if ``fraction`` is 0."""
    members: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    kept: set[int] = set()
    for group in sorted(members):
        order = rng.permutation(members[group])
        n = round(fraction * len(order))
        if fraction > 0 and len(order) >= 4:
            n = max(n, 2 if len(order) >= 8 else 1)
        kept.update(int(i) for i in order[:n])
    return [i for i in range(len(groups)) if i not in kept], sorted(kept)


def atomic_references(frames: Sequence[Atoms], atomic_types: Sequence[int]) -> Array:
    """(S,) energies per element in eV: least squares over energies per atom; elements that the
    data cannot tell apart get the smallest solution."""
    counts = np.array([[np.sum(a.numbers == z) for z in atomic_types] for a in frames], dtype=float)
    energies = np.array([float(a.calc.results["energy"]) for a in frames])
    n = counts.sum(axis=1)
    return np.linalg.lstsq(counts / n[:, None], energies / n, rcond=1e-8)[0]


def structure(
    atoms: Atoms, atomic_types: Sequence[int], reference_eV: Array, cutoff_A: float
) -> Structure:
    """Arrays of one frame, references and repulsion subtracted."""
    box = np.where(np.asarray(atoms.pbc)[:, None], np.asarray(atoms.cell), 0.0)
    # one thread: tiny structures, and the order of edges must not depend on the machine
    neighbors = vesin.NeighborList(cutoff=cutoff_A, full_list=True, n_threads=1)
    i, j, shifts, vectors = neighbors.compute(atoms.positions, box, np.asarray(atoms.pbc), "ijSD")
    i, j, s = i.astype(np.int64), j.astype(np.int64), shifts.astype(np.int64)
    order = np.lexsort((s[:, 2], s[:, 1], s[:, 0], j, i))
    i, j, s, vectors = i[order], j[order], s[order], vectors[order]
    # sorting by (j, i, −S) lists the reverse edges in the order of the edges
    reverse = np.lexsort((-s[:, 2], -s[:, 1], -s[:, 0], i, j))
    n = len(atoms)
    counts = np.bincount(i, minlength=n)
    slot = np.arange(len(i)) - (np.cumsum(counts) - counts)[i]
    species = np.searchsorted(np.asarray(atomic_types), atoms.numbers)
    results = atoms.calc.results

    energy, edge_gradient = _repulsion(vectors, species[i], species[j], atomic_types, cutoff_A)
    forces = np.array(results["forces"], dtype=float)
    np.subtract.at(forces, i, 2 * edge_gradient)
    virial = np.full(6, np.nan)
    if "stress" in results and all(atoms.pbc):
        stress = np.asarray(results["stress"], dtype=float)
        if stress.shape == (3, 3):
            stress = np.array([stress[a, b] for a, b in VOIGT])
        core = vectors.T @ edge_gradient
        virial = -stress * atoms.cell.volume + np.array([core[a, b] for a, b in VOIGT])
    return Structure(
        species,
        float(results["energy"]) - float(reference_eV[species].sum()) - energy,
        forces,
        virial,
        i,
        j,
        slot,
        reverse,
        vectors,
        groups_of([atoms])[0],
    )


def _repulsion(
    vectors: Array, first: Index, second: Index, atomic_types: Sequence[int], cutoff_A: float
) -> tuple[float, Array]:
    """Repulsion of all edges, half a pair each, in eV, and its gradient (E, 3)."""
    strength, length, inner, outer = repulsion_tables(atomic_types, cutoff_A)
    r = torch.as_tensor(vectors).requires_grad_(True)
    a, b = torch.as_tensor(first), torch.as_tensor(second)
    d = r.norm(dim=1)
    energy = 0.5 * repulsion(d, strength[a, b], length[a, b], inner[a, b], outer[a, b]).sum()
    if len(vectors) == 0:
        return 0.0, np.zeros((0, 3))
    (gradient,) = torch.autograd.grad(energy, r)
    return float(energy.detach()), gradient.numpy()


class _Reverse(torch.autograd.Function):
    """x[..., reverse] for an involution, whose transpose is itself."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, reverse: torch.Tensor) -> torch.Tensor:
        ctx.reverse = reverse
        return x.index_select(1, reverse)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        return grad.index_select(1, ctx.reverse), None


class Batch:
    """Constants of B structures with N atoms, at most M neighbours each, and S elements.

    Attributes
    ----------
    density (16, N, S·n): D resolved by element
    centers (N,), owner (N,): element and structure of each atom
    n_atoms (B,), energy (B,), forces (3, N), virial (B, 6), has_virial (B,): in eV and Å
    weight (B,): weight of the structure in the loss
    indices: of the structures, in the list that the batch was made from
    """

    def __init__(
        self,
        structures: Sequence[Structure],
        indices: Sequence[int],
        weights: Array,
        n_species: int,
        cutoff_A: float,
        n_radial: int,
        dtype: torch.dtype = torch.float32,
    ):
        chosen = [structures[k] for k in indices]
        self.indices = list(indices)
        n = sum(s.n_atoms for s in chosen)
        m = max(1, *(int(s.slot.max(initial=-1)) + 1 for s in chosen))
        vectors = torch.zeros((n, m, 3), dtype=torch.float64)
        vectors[:, :, 0] = cutoff_A  # empty places: all basis functions vanish there
        neighbor = torch.zeros((n, m), dtype=torch.int64)
        reverse = torch.arange(n * m).reshape(n, m)
        start = 0
        for s in chosen:
            rows, slot = torch.as_tensor(s.first + start), torch.as_tensor(s.slot)
            vectors[rows, slot] = torch.as_tensor(s.vectors_A)
            neighbor[rows, slot] = torch.as_tensor(s.species[s.second])
            reverse[rows, slot] = (rows * m + slot)[torch.as_tensor(s.reverse)]
            start += s.n_atoms

        r = vectors.clone().requires_grad_(True)
        with torch.enable_grad():
            d = r.norm(dim=2)
            radial = radial_basis(d, cutoff_A, n_radial)
            slopes = [
                torch.autograd.grad(radial[:, k].sum(), d, retain_graph=True)[0]
                for k in range(n_radial)
            ]
            angular = spherical_harmonics(r / d.unsqueeze(2))
            tangents = [
                torch.autograd.grad(angular[:, k].sum(), r, retain_graph=True)[0]
                for k in range(1, (L_MAX + 1) ** 2)
            ]
        d, radial, angular = d.detach(), radial.detach(), angular.detach()
        one_hot = torch.nn.functional.one_hot(neighbor, n_species).transpose(1, 2).double()

        def by_element(values: torch.Tensor) -> torch.Tensor:
            return (one_hot.unsqueeze(2) * values.unsqueeze(1)).reshape(n, -1, m)

        values = by_element(radial)
        self._radial = torch.cat([values, by_element(torch.stack(slopes, 1))], 2).to(dtype)
        self._angular = angular.to(dtype)
        self._tangent = torch.stack(tangents, 1).permute(3, 0, 1, 2).to(dtype).contiguous()
        self._unit = (vectors / d.unsqueeze(2)).permute(2, 0, 1).to(dtype).contiguous()
        self._vectors = vectors.permute(2, 0, 1).to(dtype).contiguous()
        self._reverse = reverse.reshape(-1)
        density = torch.bmm(angular, values.transpose(1, 2)).permute(1, 0, 2)
        self.density = density.to(dtype).contiguous()

        def column(values: Sequence[Any] | Array) -> torch.Tensor:
            return torch.as_tensor(np.asarray(values), dtype=dtype)

        counts = [s.n_atoms for s in chosen]
        self.centers = torch.as_tensor(np.concatenate([s.species for s in chosen]))
        self.owner = torch.as_tensor(np.repeat(np.arange(len(chosen)), counts))
        self.n_atoms = column(counts)
        self.energy = column([s.energy_eV for s in chosen])
        self.forces = column(np.concatenate([s.forces_eV_A for s in chosen]).T).contiguous()
        virial = np.array([s.virial_eV for s in chosen])
        self.has_virial = column(np.isfinite(virial).all(axis=1))
        self.virial = column(np.nan_to_num(virial))
        self.weight = column(weights[list(indices)])

    def edge_gradients(self, gradient: torch.Tensor) -> torch.Tensor:
        """∂E/∂r (3, N, M) from ∂E/∂D (16, N, S·n), linear and differentiable."""
        m = self._angular.shape[2]
        both = torch.bmm(gradient.transpose(0, 1), self._radial)
        along = (both[:, :, m:] * self._angular).sum(1)
        return along * self._unit + (both[:, 1:, :m] * self._tangent).sum(2)

    def forces_of(self, edges: torch.Tensor) -> torch.Tensor:
        """(3, N) forces from edge gradients."""
        other = _Reverse.apply(edges.reshape(3, -1), self._reverse)
        return (edges - other.reshape(edges.shape)).sum(2)

    def virial_of(self, edges: torch.Tensor) -> torch.Tensor:
        """(B, 6) virials −Σ r ⊗ ∂E/∂r in Voigt order."""
        atomic = torch.stack([-(self._vectors[a] * edges[b]).sum(1) for a, b in VOIGT], dim=1)
        return self.sum(atomic)

    def sum(self, atomic: torch.Tensor) -> torch.Tensor:
        """Sum over the atoms of each structure, (N, …) → (B, …)."""
        zeros = atomic.new_zeros((len(self.n_atoms), *atomic.shape[1:]))
        return zeros.index_add(0, self.owner, atomic)


def batches(
    structures: Sequence[Structure],
    indices: Sequence[int],
    weights: Array,
    atoms_per_batch: int,
    n_species: int,
    cutoff_A: float,
    n_radial: int,
) -> list[Batch]:
    """The structures ``indices``, in this order, in batches of about so many atoms."""
    result: list[Batch] = []
    current: list[int] = []
    n = 0
    for place, k in enumerate(indices):
        current.append(int(k))
        n += structures[k].n_atoms
        if n >= atoms_per_batch or place == len(indices) - 1:
            result.append(Batch(structures, current, weights, n_species, cutoff_A, n_radial))
            current, n = [], 0
    return result


def symbols(atomic_types: Sequence[int]) -> list[str]:
    """Chemical symbols of atomic numbers."""
    return [chemical_symbols[z] for z in atomic_types]
