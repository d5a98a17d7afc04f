"""Independent oscillators as a metatomic model, for any number of atoms."""

# metatomic compares the annotations of forward() with those of typing
# ruff: noqa: UP006, UP035, UP045

from typing import Dict, List, Optional

import torch
from metatensor.torch import Labels, TensorMap
from metatomic.torch import ModelOutput, System

from toy_models import _blocks


class Oscillators(torch.nn.Module):
    """V_k = ½ k_k Σ_i |r_i − nearest site|²: independent oscillators, for any number of atoms.

    Beyond *cliff* from a site the energy is NaN, as of a run that blows up.
    """

    def __init__(self, spacing: float, constants: list[float], cliff: float):
        super().__init__()
        self.spacing, self.cliff = spacing, cliff
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
            r = system.positions
            sites = self.spacing * torch.round(r.detach() / self.spacing)
            d2 = ((r - sites) ** 2).sum(dim=1)
            d2 = d2 + 0 * torch.sqrt(self.cliff**2 - d2)
            energies.append(0.5 * d2[:, None] * self.constants.to(d2.dtype)[None, :])
            atom = torch.arange(len(system), dtype=torch.int32, device=d2.device)
            labels.append(torch.stack([torch.full_like(atom, s), atom], dim=1))
        return _blocks(
            torch.cat(energies), torch.cat(labels), len(systems), outputs, selected_atoms
        )
