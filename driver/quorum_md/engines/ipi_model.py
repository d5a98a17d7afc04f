"""A committee potential as i-PI sees it: cells and positions in Bohr in, Hartree out.

The core that the driver loaded by path (`quorum_ipi_pes`) and the socket client (`ipi_client`)
share. It imports no i-PI. i-PI sends neither species nor periodicity, so the species come from a
template file.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ..errors import QuorumError
from ..models import load_potential
from ..units import BOHR_A, HARTREE_EV
from .ipi_extras import committee_extras
from .ipi_structures import IpiStructures, Reply, read_parameters


@dataclass(frozen=True)
class PesOptions:
    """The ``<parameters>`` of the driver, checked for form but not yet for content."""

    model: str  # a metatomic file, or the name of a shipped model
    template: str  # a structure file whose species, in order, are those of i-PI's atoms
    device: str = "cpu"
    dtype: str | None = None  # of the model's own unless given: float32 or float64
    extensions: str | None = None  # folder of compiled extensions of the model
    member_forces: bool = False  # put committee_force into the extras
    member_virials: bool = False  # put committee_virial into the extras
    pbc: bool = True  # i-PI always has a cell; False ignores it

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any], where: str = "i-PI") -> "PesOptions":
        """See `read_parameters`; *where* opens the errors."""
        example = "model: model.pt, template: structure.xyz"
        return read_parameters(cls, parameters, where, ("model", "template"), example)


@lru_cache(maxsize=8)
def _load(model: str, device: str, dtype: str | None, extensions: str | None, folder: str) -> Any:
    """One potential per file: several force fields, and the check before a run, share it.

    *folder* is that of the process, for paths that are relative to it.
    """
    more = {} if extensions is None else {"extensions": extensions}
    return load_potential(model, device=device, dtype=dtype, **more)


class IpiModel(IpiStructures):
    """Evaluates batches of structures of one composition for i-PI.

    Raises `QuorumError` if the model or template cannot be read, or if the template holds a species
    that the model does not know.
    """

    def __init__(self, options: PesOptions, potential: Any = None) -> None:
        super().__init__(options.template, options.pbc)
        self.options = options
        if potential is None:
            potential = _load(
                options.model, options.device, options.dtype, options.extensions, os.getcwd()
            )
        self.potential = potential
        known = set(potential.species)  # empty for a model that takes any species
        unknown = sorted(set(self.template.get_chemical_symbols()) - known)
        if known and unknown:
            raise QuorumError(
                f"{options.template}: species {', '.join(unknown)} not in {options.model}, which "
                f"knows {', '.join(potential.species)}; use a model that was fitted to them"
            )

    def compute(
        self, cells_bohr: Sequence[np.ndarray], positions_bohr: Sequence[np.ndarray]
    ) -> list[Reply]:
        """All structures in one model call.

        *cells_bohr*: B arrays (3, 3) with the cell vectors as columns, as i-PI has them.
        *positions_bohr*: B arrays (N, 3). Raises `QuorumError` if N is not the template's, if a
        position or a cell is not finite, or if the model returns what is not finite.
        """
        structures = [
            self.structure(cell, positions)
            for cell, positions in zip(cells_bohr, positions_bohr, strict=True)
        ]
        predictions = self.potential.evaluate(
            structures,
            forces=True,
            virial=True,
            member_forces=self.options.member_forces,
            member_virials=self.options.member_virials,
        )
        return [self._reply(prediction) for prediction in predictions]

    def _reply(self, prediction: Any) -> Reply:
        forces = np.asarray(prediction.forces_eV_A, dtype=float)
        return Reply(
            float(prediction.energy_eV) / HARTREE_EV,
            forces * (BOHR_A / HARTREE_EV),
            np.asarray(prediction.virial_eV, dtype=float) / HARTREE_EV,
            committee_extras(prediction),
        )
