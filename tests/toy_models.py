"""Small metatomic models with exactly known energies, exported to files for the tests."""

from pathlib import Path
from typing import Dict, List, Optional

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap
from metatomic.torch import (
    AtomisticModel,
    ModelCapabilities,
    ModelMetadata,
    ModelOutput,
    NeighborListOptions,
    System,
)

# members of the Lennard-Jones committee of conftest.py
LJ_SCALES = [0.8, 0.9, 1.0, 1.1, 1.2]


def _blocks(
    members: torch.Tensor,
    labels: torch.Tensor,
    n_systems: int,
    outputs: Dict[str, ModelOutput],
    selected_atoms: Optional[Labels],
) -> Dict[str, TensorMap]:
    """Energies (atoms, K) with labels (atoms, 2) to metatomic's blocks."""
    if selected_atoms is not None:
        keep = torch.zeros(labels.shape[0], dtype=torch.bool, device=labels.device)
        for i in range(selected_atoms.values.shape[0]):
            same = (labels == selected_atoms.values[i].to(labels.dtype)).all(dim=1)
            keep = torch.logical_or(keep, same)
        members, labels = members[keep], labels[keep]
    result: Dict[str, TensorMap] = {}
    for name, output in outputs.items():
        if name == "energy":
            values = members.mean(dim=1, keepdim=True)
        elif name == "energy_uncertainty":
            values = members.std(dim=1, keepdim=True)
        else:
            values = members
        if output.sample_kind == "atom":
            samples = Labels(["system", "atom"], labels)
        else:
            total = torch.zeros(
                (n_systems, values.shape[1]), dtype=values.dtype, device=values.device
            )
            values = total.index_add(0, labels[:, 0].long(), values)
            samples = Labels(
                ["system"],
                torch.arange(n_systems, dtype=torch.int32, device=values.device).reshape(-1, 1),
            )
        block = TensorBlock(
            values,
            samples,
            torch.jit.annotate(List[Labels], []),
            Labels(
                ["energy"],
                torch.arange(values.shape[1], dtype=torch.int32, device=values.device).reshape(
                    -1, 1
                ),
            ),
        )
        keys = Labels(["_"], torch.zeros((1, 1), dtype=torch.int32, device=values.device))
        result[name] = TensorMap(keys, [block])
    return result


class LennardJones(torch.nn.Module):
    """V_k = scale_k · shifted Lennard-Jones; half of each pair's energy on either atom.

    All lengths and energies in the units the model is exported in.
    """

    def __init__(self, sigma: float, epsilon: float, cutoff: float, scales: list[float]):
        super().__init__()
        self.sigma, self.epsilon, self.cutoff = sigma, epsilon, cutoff
        self.register_buffer("scales", torch.tensor(scales, dtype=torch.float64))

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(cutoff=self.cutoff, full_list=False, strict=True)]

    def forward(
        self,
        systems: List[System],
        outputs: Dict[str, ModelOutput],
        selected_atoms: Optional[Labels],
    ) -> Dict[str, TensorMap]:
        energies: List[torch.Tensor] = []
        labels: List[torch.Tensor] = []
        for s, system in enumerate(systems):
            pairs = system.get_neighbor_list(self.requested_neighbor_lists()[0])
            r2 = (pairs.values.reshape(-1, 3) ** 2).sum(dim=1)
            x6 = (self.sigma**2 / r2) ** 3
            c6 = (self.sigma / self.cutoff) ** 6
            v = 4 * self.epsilon * (x6 * x6 - x6 - (c6 * c6 - c6))
            e = torch.zeros(len(system), dtype=v.dtype, device=v.device)
            e = e.index_add(0, pairs.samples.column("first_atom").long(), 0.5 * v)
            e = e.index_add(0, pairs.samples.column("second_atom").long(), 0.5 * v)
            energies.append(e)
            atom = torch.arange(len(system), dtype=torch.int32, device=v.device)
            labels.append(torch.stack([torch.full_like(atom, s), atom], dim=1))
        members = torch.cat(energies)[:, None] * self.scales.to(energies[0].dtype)[None, :]
        return _blocks(members, torch.cat(labels), len(systems), outputs, selected_atoms)


class TwoHops(torch.nn.Module):
    """E_i = Σ_j f(r_ij) (1 + ρ_j)²: the density ρ_j of a neighbour reaches twice the cutoff.

    It ignores ``selected_atoms`` and reads positions through shifts where ``use_positions``.
    """

    def __init__(self, cutoff: float, scales: list[float], use_positions: bool):
        super().__init__()
        self.cutoff, self.use_positions = cutoff, use_positions
        self.register_buffer("scales", torch.tensor(scales, dtype=torch.float64))

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(cutoff=self.cutoff, full_list=True, strict=True)]

    def forward(
        self,
        systems: List[System],
        outputs: Dict[str, ModelOutput],
        selected_atoms: Optional[Labels],
    ) -> Dict[str, TensorMap]:
        energies: List[torch.Tensor] = []
        labels: List[torch.Tensor] = []
        for s, system in enumerate(systems):
            pairs = system.get_neighbor_list(self.requested_neighbor_lists()[0])
            first = pairs.samples.column("first_atom").long()
            second = pairs.samples.column("second_atom").long()
            if self.use_positions:
                shifts = torch.stack(
                    [
                        pairs.samples.column("cell_shift_a"),
                        pairs.samples.column("cell_shift_b"),
                        pairs.samples.column("cell_shift_c"),
                    ],
                    dim=1,
                ).to(system.positions.dtype)
                r = system.positions[second] - system.positions[first] + shifts @ system.cell
            else:
                r = pairs.values.reshape(-1, 3)
            f = (1 - (r**2).sum(dim=1) / self.cutoff**2) ** 3
            zero = torch.zeros(len(system), dtype=f.dtype, device=f.device)
            density = zero.index_add(0, first, f * system.types.to(f.dtype)[second] / 50)
            energies.append(zero.index_add(0, first, f * (1 + density[second]) ** 2))
            atom = torch.arange(len(system), dtype=torch.int32, device=f.device)
            labels.append(torch.stack([torch.full_like(atom, s), atom], dim=1))
        members = torch.cat(energies)[:, None] * self.scales.to(energies[0].dtype)[None, :]
        return _blocks(members, torch.cat(labels), len(systems), outputs, None)


class LocalAlloy(torch.nn.Module):
    """One-hop many-body alloy of two elements, s_i = 1 for the second and 0 for the first:

    E_i = site s_i + (pair s_i + one) ρ_i + two ρ_i² + angle |p_i|², ρ_i = Σ_j (1 + s_j) f(r_ij),
    p_i = Σ_j f(r_ij) r_ij, with f(r) = (1 − r²/cutoff²)³. V_k = scale_k · E.

    ``trap``: what goes wrong where an atom comes to y or z above 35 Å: "raise", "nan" (energy),
    "slope" (forces alone), or "" for nothing.
    """

    def __init__(
        self, cutoff: float, parameters: list[float], second: int, scales: list[float], trap: str
    ):
        super().__init__()
        self.cutoff, self.second, self.trap = cutoff, second, trap
        self.site, self.pair, self.one, self.two, self.angle = parameters
        self.register_buffer("scales", torch.tensor(scales, dtype=torch.float64))

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(cutoff=self.cutoff, full_list=True, strict=True)]

    def forward(
        self,
        systems: List[System],
        outputs: Dict[str, ModelOutput],
        selected_atoms: Optional[Labels],
    ) -> Dict[str, TensorMap]:
        energies: List[torch.Tensor] = []
        labels: List[torch.Tensor] = []
        for s, system in enumerate(systems):
            pairs = system.get_neighbor_list(self.requested_neighbor_lists()[0])
            first = pairs.samples.column("first_atom").long()
            second = pairs.samples.column("second_atom").long()
            r = pairs.values.reshape(-1, 3)
            f = (1 - (r**2).sum(dim=1) / self.cutoff**2) ** 3
            kind = (system.types == self.second).to(f.dtype)
            zero = torch.zeros(len(system), dtype=f.dtype, device=f.device)
            density = zero.index_add(0, first, f * (1 + kind[second]))
            linear = (self.pair * kind + self.one) * density
            polar = torch.zeros((len(system), 3), dtype=f.dtype, device=f.device)
            polar = polar.index_add(0, first, f[:, None] * r)
            energy = self.site * kind + linear + self.two * density**2
            energy = energy + self.angle * (polar**2).sum(dim=1)
            if bool((system.positions.detach()[:, 1:] > 35.0).any()):
                if self.trap == "raise":
                    raise ValueError("an atom went astray")
                if self.trap == "nan":
                    energy = energy * float("nan")
                if self.trap == "slope":
                    total = energy.sum()
                    energy = energy + torch.sqrt(total - total.detach())
            energies.append(energy)
            atom = torch.arange(len(system), dtype=torch.int32, device=f.device)
            labels.append(torch.stack([torch.full_like(atom, s), atom], dim=1))
        members = torch.cat(energies)[:, None] * self.scales.to(energies[0].dtype)[None, :]
        return _blocks(members, torch.cat(labels), len(systems), outputs, selected_atoms)


class OneLongElement(torch.nn.Module):
    """Pairs within ``short`` count for every centre, pairs within ``long`` for one element's; two
    members."""

    def __init__(self, short: float, long: float, element: int):
        super().__init__()
        self.short, self.long, self.element = short, long, element

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [
            NeighborListOptions(cutoff=self.short, full_list=True, strict=True),
            NeighborListOptions(cutoff=self.long, full_list=True, strict=True),
        ]

    def forward(
        self,
        systems: List[System],
        outputs: Dict[str, ModelOutput],
        selected_atoms: Optional[Labels],
    ) -> Dict[str, TensorMap]:
        energies: List[torch.Tensor] = []
        labels: List[torch.Tensor] = []
        for s, system in enumerate(systems):
            total = torch.zeros(len(system), dtype=system.positions.dtype)
            for n, cutoff in enumerate([self.short, self.long]):
                pairs = system.get_neighbor_list(self.requested_neighbor_lists()[n])
                first = pairs.samples.column("first_atom").long()
                f = (1 - (pairs.values.reshape(-1, 3) ** 2).sum(dim=1) / cutoff**2) ** 3
                if n == 1:
                    f = f[system.types[first] == self.element]
                    first = first[system.types[first] == self.element]
                total = total.index_add(0, first, f)
            energies.append(torch.stack([total, 1.3 * total], dim=1))
            atom = torch.arange(len(system), dtype=torch.int32)
            labels.append(torch.stack([torch.full_like(atom, s), atom], dim=1))
        return _blocks(
            torch.cat(energies), torch.cat(labels), len(systems), outputs, selected_atoms
        )


class EinsteinCrystal(torch.nn.Module):
    """V_k = ½ k_k Σ_i |r_i − site_i|² on fixed sites, without neighbours: moments known exactly."""

    def __init__(self, sites: torch.Tensor, constants: list[float]):
        super().__init__()
        self.register_buffer("sites", sites.to(torch.float64))
        self.register_buffer("constants", torch.tensor(constants, dtype=torch.float64))

    def forward(
        self,
        systems: List[System],
        outputs: Dict[str, ModelOutput],
        selected_atoms: Optional[Labels],
    ) -> Dict[str, TensorMap]:
        energies: List[torch.Tensor] = []
        labels: List[torch.Tensor] = []
        for s, system in enumerate(systems):
            d2 = ((system.positions - self.sites.to(system.positions.dtype)) ** 2).sum(dim=1)
            energies.append(0.5 * d2[:, None] * self.constants.to(d2.dtype)[None, :])
            atom = torch.arange(len(system), dtype=torch.int32, device=d2.device)
            labels.append(torch.stack([torch.full_like(atom, s), atom], dim=1))
        return _blocks(
            torch.cat(energies), torch.cat(labels), len(systems), outputs, selected_atoms
        )


class SiteEnergy(torch.nn.Module):
    """V_k = scale_k · Σ_i Z_i / 100, without neighbours: nothing but the composition counts."""

    def __init__(self, scales: list[float]):
        super().__init__()
        self.register_buffer("scales", torch.tensor(scales, dtype=torch.float64))

    def forward(
        self,
        systems: List[System],
        outputs: Dict[str, ModelOutput],
        selected_atoms: Optional[Labels],
    ) -> Dict[str, TensorMap]:
        energies: List[torch.Tensor] = []
        labels: List[torch.Tensor] = []
        for s, system in enumerate(systems):
            energies.append(
                system.types.to(self.scales.dtype)[:, None] / 100 * self.scales[None, :]
            )
            atom = torch.arange(len(system), dtype=torch.int32, device=system.types.device)
            labels.append(torch.stack([torch.full_like(atom, s), atom], dim=1))
        return _blocks(
            torch.cat(energies), torch.cat(labels), len(systems), outputs, selected_atoms
        )


def export(
    module: torch.nn.Module,
    path: Path,
    types: list[int],
    interaction_range: float,
    length_unit: str = "angstrom",
    energy_unit: str = "eV",
    dtype: str = "float64",
    ensemble: bool = True,
) -> Path:
    """Write a toy as a metatomic file and return its path."""
    names = ["energy", "energy_ensemble", "energy_uncertainty"] if ensemble else ["energy"]
    capabilities = ModelCapabilities(
        outputs={n: ModelOutput(unit=energy_unit, sample_kind="atom") for n in names},
        atomic_types=types,
        interaction_range=interaction_range,
        length_unit=length_unit,
        supported_devices=["cpu", "cuda"],
        dtype=dtype,
    )
    model = AtomisticModel(module.eval(), ModelMetadata(name="toy"), capabilities)
    model.save(str(path))
    return path
