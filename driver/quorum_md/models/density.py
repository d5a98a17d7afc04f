"""Built-in potential: alchemical density correlations of body order three, K linear heads.

What it computes, so that a kernel in another language can follow. For a centre i of element Z_i
and its neighbours j at r_ij = d u inside the cutoff r_c:

1. density by neighbour element, with a smooth Bessel basis and real spherical harmonics:
       D_i[lm, a n] = Σ_j ε[Z_j, a] R_n(d_ij) Y_lm(u_ij)
       R_n(d) = √(2/r_c) sin(n π d/r_c)/d · f(d/r_c),   f(x) = (1 − x²)³ for x < 1, else 0
   ε embeds elements into a few pseudo-elements: "alchemical" channels, Willatt, Musil, Ceriotti,
   Phys. Chem. Chem. Phys. 20, 29661 (2018), doi:10.1039/C8CP05921G; Lopanitsyna et al., Phys. Rev.
   Mater. 7, 045802 (2023), doi:10.1103/PhysRevMaterials.7.045802 (arXiv:2212.13254);
2. mixing of radial and species channels, one small matrix for every l, and a scale per centre
   element:
       c_i[lm, q] = γ[Z_i, l, q] Σ_an D_i[lm, a n] V_l[a n, q]   (+ β[Z_i, q] for l = 0)
   so that the product ε V is one radial function per (neighbour element, l, q), which can be
   tabulated;
3. invariants, the power spectrum of the mixed density with its first Q₂ channels:
       p_i = { c_i[00, q] } ∪ { Σ_m c_i[lm, q] c_i[lm, q′] :  q < Q, q′ < Q₂, each l }
4. a perceptron h¹ = silu(g[Z_i] ⊙ (W¹ p̂) + b¹[Z_i]), h² = silu(W² h¹ + b²), where p̂ = p
   standardised over the training data, which the stored W¹ and b¹ already contain;
5. heads E_i^k = E₀[Z_i] + e[Z_i] + w̄·h² + (δw^k·h² + δe^k[Z_i]), Σ_k δw^k = 0: shared features and
   linear heads, Kellner and Ceriotti, Mach. Learn.: Sci. Technol. 5, 035006 (2024),
   doi:10.1088/2632-2153/ad594a. The mean is evaluated on its own, so that it does not depend on
   the number of members;
6. a screened nuclear repulsion (Ziegler, Biersack, Littmark 1985) at short distance, half of it
   to each atom of a pair, switched off smoothly between two fractions of the sum of the covalent
   radii (`repulsion`), so that atoms never fall into each other where there are no data.

All of it depends on neighbour vectors alone. Units: eV, Å. Orders, for a kernel that reads the
file's tensors: lm = l² + l + m as in `quorum_md.models.basis`; channel a n at a·n_radial + n − 1;
features are c[00, :], then for l = 0…3 the products at q·Q₂ + q′.
"""

from collections.abc import Sequence
from typing import Dict, List, Optional, Tuple

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

from .basis import L_MAX, radial_basis, repulsion, repulsion_tables, spherical_harmonics


class DensityNet(torch.nn.Module):
    """Density of each centre → last hidden layer: steps 2 to 4 of the module's formula.

    Parameters
    ----------
    n_species: number of elements S
    n_radial: radial functions per element and l
    n_alchemical: pseudo-elements A
    n_mixed: channels Q after mixing
    n_partners: channels Q₂ that a power spectrum is formed with
    n_hidden: widths of the two hidden layers
    """

    def __init__(
        self,
        n_species: int,
        n_radial: int = 8,
        n_alchemical: int = 4,
        n_mixed: int = 24,
        n_partners: int = 8,
        n_hidden: Tuple[int, int] = (64, 64),
    ):
        super().__init__()
        self.n_radial = n_radial
        self.n_mixed = n_mixed
        self.n_partners = n_partners
        n_in = n_alchemical * n_radial
        self.embedding = torch.nn.Parameter(torch.zeros(n_species, n_alchemical))
        self.mixing = torch.nn.Parameter(torch.zeros(L_MAX + 1, n_in, n_mixed))
        self.scale = torch.nn.Parameter(torch.ones(n_species, L_MAX + 1, n_mixed))
        self.shift = torch.nn.Parameter(torch.zeros(n_species, n_mixed))
        self.n_features = n_mixed + (L_MAX + 1) * n_mixed * n_partners
        self.weight_1 = torch.nn.Parameter(torch.zeros(self.n_features, n_hidden[0]))
        self.gate = torch.nn.Parameter(torch.ones(n_species, n_hidden[0]))
        self.bias_1 = torch.nn.Parameter(torch.zeros(n_species, n_hidden[0]))
        self.weight_2 = torch.nn.Parameter(torch.zeros(n_hidden[0], n_hidden[1]))
        self.bias_2 = torch.nn.Parameter(torch.zeros(n_hidden[1]))

    def features(
        self, density: torch.Tensor, mixing: torch.Tensor, centers: torch.Tensor
    ) -> torch.Tensor:
        """Invariants p (N, n_features) of densities (16, N, C), mixed by (4, C, Q); C is A·n for
        the embedded density, or S·n for the density by element and embedded mixing matrices."""
        n_atoms = density.shape[1]
        scale = self.scale[centers]
        parts: List[torch.Tensor] = []
        # split and unbind rather than slices: the backward of each slice fills a whole tensor
        by_l = torch.split(density, [1, 3, 5, 7])
        scales = torch.unbind(scale, dim=1)
        for l in range(mixing.shape[0]):  # noqa: E741
            c = torch.matmul(by_l[l], mixing[l]) * scales[l]
            if l == 0:
                c = c + self.shift[centers]
                parts.append(c[0])
            c = c.permute(1, 2, 0)
            partners = c[:, : self.n_partners].transpose(1, 2)
            products = torch.bmm(c, partners)
            parts.append(products.reshape(n_atoms, self.n_mixed * self.n_partners))
        return torch.cat(parts, dim=1)

    def hidden(
        self,
        features: torch.Tensor,
        weight_1: torch.Tensor,
        bias_1: torch.Tensor,
        centers: torch.Tensor,
    ) -> torch.Tensor:
        """Last hidden layer (N, n_hidden[1]) of features (N, n_features); the first layer's
        weights are given because training standardises the features through them."""
        h = torch.addcmul(bias_1[centers], torch.matmul(features, weight_1), self.gate[centers])
        h = torch.nn.functional.silu(h)
        return torch.nn.functional.silu(torch.addmm(self.bias_2, h, self.weight_2))

    def embedded_mixing(self) -> torch.Tensor:
        """ε V: mixing matrices (4, S·n, Q) for densities resolved by element."""
        n_alchemical = self.embedding.shape[1]
        v = self.mixing.reshape(L_MAX + 1, n_alchemical, self.n_radial, self.n_mixed)
        mixed = torch.einsum("sa,lanq->lsnq", self.embedding, v)
        return mixed.reshape(L_MAX + 1, -1, self.n_mixed)


class DensityPotential(torch.nn.Module):
    """The whole potential as a metatomic module; see the module's docstring for the formula.

    Outputs ``energy`` (mean of the members), and with K > 1 ``energy_ensemble`` (K columns) and
    ``energy_uncertainty`` (standard deviation, ddof = 1), each per atom or per system. With
    ``selected_atoms`` only these centres and their neighbours are worked on; outputs come in the
    order of systems and atoms.

    Parameters
    ----------
    net: features shared by the members; its first layer takes features as they are
    atomic_types: S atomic numbers, in the order of the network's elements
    reference_eV: E₀ per element, kept in double precision whatever the module is converted to
    cutoff_A: r_c
    mean_weight, mean_shift_eV: w̄ (H,) and e (S,)
    deviation_weight, deviation_shift_eV: δw (H, K) and δe (S, K); each row sums to zero
    """

    def __init__(
        self,
        net: DensityNet,
        atomic_types: Sequence[int],
        reference_eV: Sequence[float],
        cutoff_A: float,
        mean_weight: torch.Tensor,
        mean_shift_eV: torch.Tensor,
        deviation_weight: torch.Tensor,
        deviation_shift_eV: torch.Tensor,
    ):
        super().__init__()
        self.net = net
        self.cutoff_A = cutoff_A
        self.reference_eV: List[float] = [float(e) for e in reference_eV]
        # files without this word, of earlier versions, round the references to single precision
        self.references_in_double: bool = True
        self.n_members: int = deviation_weight.shape[1]
        index = torch.zeros(max(atomic_types) + 1, dtype=torch.int64)
        index[torch.tensor(list(atomic_types))] = torch.arange(len(atomic_types))
        self.register_buffer("species_of_type", index)
        self.register_buffer("mean_weight", mean_weight)
        self.register_buffer("mean_shift", mean_shift_eV)
        self.register_buffer("deviation_weight", deviation_weight)
        self.register_buffer("deviation_shift", deviation_shift_eV)
        strength, length, inner, outer = repulsion_tables(atomic_types, cutoff_A)
        self.longest_repulsion_A = float(outer.max())
        self.register_buffer("pair_strength", strength.flatten())
        self.register_buffer("pair_length", length.flatten())
        self.register_buffer("pair_inner", inner.flatten())
        self.register_buffer("pair_outer", outer.flatten())
        self.request = NeighborListOptions(cutoff=cutoff_A, full_list=True, strict=True)

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        """One full list."""
        return [self.request]

    def environments(
        self, vectors: torch.Tensor, row: torch.Tensor, n_rows: int
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """Neighbours of each centre side by side: index (n_rows, M) into vectors (E, 3), with E
        for an empty place, and the vectors (n_rows, M, 3), r_c along x in an empty place, where
        everything vanishes. ``row`` (E,) is the centre of each edge."""
        n_edges = row.shape[0]
        order = torch.arange(n_edges, device=row.device)
        if n_edges > 1 and not bool((row[1:] >= row[:-1]).all()):
            row, order = torch.sort(row)
        counts = torch.bincount(row, minlength=n_rows)
        width = max(int(counts.max()) if n_rows > 0 else 0, 1)
        starts = torch.cumsum(counts, 0) - counts
        slot = torch.arange(n_edges, device=row.device) - starts[row]
        index = torch.full((n_rows * width,), n_edges, dtype=torch.int64, device=row.device)
        index[row * width + slot] = order
        padding = torch.zeros((1, 3), dtype=vectors.dtype, device=vectors.device)
        padding[0, 0] = self.cutoff_A
        padded = torch.index_select(torch.cat([vectors, padding]), 0, index)
        return index.reshape(n_rows, width), padded.reshape(n_rows, width, 3)

    def atomic(
        self,
        vectors: torch.Tensor,
        row: torch.Tensor,
        neighbor_species: torch.Tensor,
        species: torch.Tensor,
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """Last hidden layer (N, H) and repulsion in eV (N,) of N centres of given ``species``,
        from the edges ``vectors`` (E, 3), their centres ``row`` and ``neighbor_species`` (E,)."""
        n_rows = species.shape[0]
        index, padded = self.environments(vectors, row, n_rows)
        width = index.shape[1]
        d = torch.sqrt((padded * padded).sum(dim=2))
        first = torch.zeros(1, dtype=torch.int64, device=row.device)
        neighbor = torch.cat([neighbor_species, first])[index]

        radial = radial_basis(d, self.cutoff_A, self.net.n_radial)
        embedded = self.net.embedding[neighbor].transpose(1, 2)
        n_channels = self.net.mixing.shape[1]
        weighted = embedded.unsqueeze(2) * radial.unsqueeze(1)
        weighted = weighted.reshape(n_rows, n_channels, width)
        angular = spherical_harmonics(padded / d.unsqueeze(2))
        density = torch.bmm(angular, weighted.transpose(1, 2)).transpose(0, 1)
        features = self.net.features(density, self.net.mixing, species)
        hidden = self.net.hidden(features, self.net.weight_1, self.net.bias_1, species)

        core = torch.zeros(n_rows, dtype=d.dtype, device=d.device)
        close = torch.nonzero(d.flatten() < self.longest_repulsion_A).flatten()
        if close.shape[0] > 0:
            center = torch.div(close, width, rounding_mode="floor")
            n_species = self.net.embedding.shape[0]
            pair = species[center] * n_species + neighbor.flatten()[close]
            energy = repulsion(
                d.flatten()[close],
                self.pair_strength[pair],
                self.pair_length[pair],
                self.pair_inner[pair],
                self.pair_outer[pair],
            )
            core = core.index_add(0, center, 0.5 * energy)
        return hidden, core

    def forward(
        self,
        systems: List[System],
        outputs: Dict[str, ModelOutput],
        selected_atoms: Optional[Labels],
    ) -> Dict[str, TensorMap]:
        """metatomic's interface: named outputs of the systems, in eV."""
        device = self.mean_weight.device
        firsts: List[int] = []
        n_atoms = 0
        edges: List[torch.Tensor] = []
        ends: List[torch.Tensor] = []
        types: List[torch.Tensor] = []
        owners: List[torch.Tensor] = []
        for s, system in enumerate(systems):
            block = system.get_neighbor_list(self.request)
            edges.append(block.values.reshape(-1, 3))
            ends.append(block.samples.values[:, :2].to(torch.int64) + n_atoms)
            types.append(system.types)
            owners.append(torch.full((len(system),), s, dtype=torch.int64, device=device))
            firsts.append(n_atoms)
            n_atoms += len(system)

        results: Dict[str, TensorMap] = {}
        if len(systems) == 0:
            return results
        dtype = edges[0].dtype
        vectors = torch.cat(edges)
        pairs = torch.cat(ends)
        owner = torch.cat(owners)
        first = torch.tensor(firsts, dtype=torch.int64, device=device)
        species = self.species_of_type[torch.cat(types).to(torch.int64)]
        row, second = pairs[:, 0], pairs[:, 1]
        centers = torch.arange(n_atoms, device=device)
        if selected_atoms is not None:
            chosen = selected_atoms.values.to(device=device, dtype=torch.int64)
            mask = torch.zeros(n_atoms, dtype=torch.bool, device=device)
            mask[first[chosen[:, 0]] + chosen[:, 1]] = True
            centers = torch.nonzero(mask).flatten()
            kept = torch.nonzero(mask[row]).flatten()
            row_of_atom = torch.cumsum(mask.to(torch.int64), 0) - 1
            row, second, vectors = row_of_atom[row[kept]], second[kept], vectors[kept]
        center_species = species[centers]
        system_of_row = owner[centers]
        hidden, core = self.atomic(vectors, row, species[second], center_species)

        # references of many eV and sums over many atoms would lose digits in single precision
        # (TorchScript makes a tensor of a list in the default precision, and only then converts it)
        reference = torch.cat(
            [torch.full((1,), e, dtype=torch.float64, device=device) for e in self.reference_eV]
        )
        mean = (torch.mv(hidden, self.mean_weight) + self.mean_shift[center_species] + core).to(
            torch.float64
        )
        mean = (mean + reference[center_species]).unsqueeze(1)
        spread = mean
        if "energy_ensemble" in outputs or "energy_uncertainty" in outputs:
            spread = torch.matmul(hidden, self.deviation_weight)
            spread = (spread + self.deviation_shift[center_species]).to(torch.float64)

        for name, output in outputs.items():
            per_atom = output.sample_kind == "atom"
            table = mean
            deviation = spread
            if not per_atom:
                zeros = torch.zeros((len(systems), 1), dtype=torch.float64, device=device)
                table = zeros.index_add(0, system_of_row, mean)
            if name != "energy":
                if not per_atom:
                    zeros = torch.zeros(
                        (len(systems), self.n_members), dtype=torch.float64, device=device
                    )
                    deviation = zeros.index_add(0, system_of_row, spread)
                if name == "energy_ensemble":
                    table = table + deviation
                elif name == "energy_uncertainty":
                    total = (deviation * deviation).sum(dim=1, keepdim=True)
                    # the floor keeps the gradient finite where all members agree
                    table = torch.sqrt(torch.clamp(total / (self.n_members - 1), min=1e-24))
                else:
                    raise ValueError("this model has no output '" + name + "'")
            if per_atom:
                atom = centers - first[system_of_row]
                values = torch.stack([system_of_row, atom], dim=1).to(torch.int32)
                samples = Labels(["system", "atom"], values)
            else:
                rows = torch.arange(len(systems), dtype=torch.int32, device=device)
                samples = Labels(["system"], rows.reshape(-1, 1))
            member = torch.arange(table.shape[1], dtype=torch.int32, device=device)
            block = TensorBlock(
                table.to(dtype),
                samples,
                torch.jit.annotate(List[Labels], []),
                Labels(["energy"], member.reshape(-1, 1)),
            )
            keys = Labels(["_"], torch.zeros((1, 1), dtype=torch.int32, device=device))
            results[name] = TensorMap(keys, [block])
        return results


def export(
    potential: DensityPotential,
    atomic_types: Sequence[int],
    metadata: ModelMetadata,
    dtype: str = "float32",
) -> AtomisticModel:
    """The potential as a metatomic model that declares its elements, range, units and outputs."""
    names = ["energy"]
    if potential.n_members > 1:
        names += ["energy_ensemble", "energy_uncertainty"]
    capabilities = ModelCapabilities(
        outputs={n: ModelOutput(unit="eV", sample_kind="atom") for n in names},
        atomic_types=[int(t) for t in atomic_types],
        interaction_range=potential.cutoff_A,
        length_unit="angstrom",
        supported_devices=["cuda", "cpu"],
        dtype=dtype,
    )
    module = potential.to(getattr(torch, dtype)).eval()
    return AtomisticModel(module, metadata, capabilities)
