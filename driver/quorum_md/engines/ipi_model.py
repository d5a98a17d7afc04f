"""A committee potential as i-PI sees it: cells and positions in Bohr in, Hartree out.

The core that the driver loaded by path (`quorum_ipi_pes`) and the socket client (`ipi_client`)
share. It imports no i-PI. i-PI sends neither species nor periodicity, so the species come from a
template file.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms

from ..errors import QuorumError
from ..models import load_potential
from ..units import BOHR_A, HARTREE_EV
from .ipi_extras import committee_extras
from .ipi_template import read_template

# i-PI adds this one to the parameters of every driver
_PARAMETERS_OF_IPI = ("verbosity", "verbose")


class Reply(NamedTuple):
    """What i-PI wants for one structure of N atoms, in atomic units."""

    energy_hartree: float
    forces_hartree_bohr: np.ndarray  # (N, 3)
    virial_hartree: np.ndarray  # (3, 3), minus stress times volume
    extras: str  # JSON, see `committee_extras`


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
        """From the dictionary that i-PI made of ``{key: value, …}``; *where* opens its errors.

        Raises `QuorumError` for a key that is unknown or missing, and for a flag that is neither
        true nor false.
        """
        given = {k: v for k, v in parameters.items() if k not in _PARAMETERS_OF_IPI}
        known = {f.name: f for f in fields(cls)}
        for key, value in given.items():
            if key not in known:
                raise QuorumError(
                    f"{where}: [parameters] {key}: no such parameter; known are {', '.join(known)}"
                )
            if known[key].type is bool and not isinstance(value, bool):
                raise QuorumError(
                    f"{where}: [parameters] {key}: got {value!r}, expected true or false"
                )
        for key in ("model", "template"):
            if key not in given or not str(given[key]).strip():
                raise QuorumError(
                    f"{where}: [parameters] {key}: missing; write "
                    "<parameters>{model: model.pt, template: structure.xyz}</parameters>"
                )
        # i-PI reads `model: 7` as a number
        values: dict[str, Any] = {k: v if isinstance(v, bool) else str(v) for k, v in given.items()}
        return cls(**values)


@lru_cache(maxsize=8)
def _load(model: str, device: str, dtype: str | None, extensions: str | None, folder: str) -> Any:
    """One potential per file: several force fields, and the check before a run, share it.

    *folder* is that of the process, for paths that are relative to it.
    """
    more = {} if extensions is None else {"extensions": extensions}
    return load_potential(model, device=device, dtype=dtype, **more)


class IpiModel:
    """Evaluates batches of structures of one composition for i-PI.

    Raises `QuorumError` if the model or template cannot be read, or if the template holds a species
    that the model does not know.
    """

    def __init__(self, options: PesOptions, potential: Any = None) -> None:
        self.options = options
        self.template = read_template(options.template)
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

    @property
    def n_atoms(self) -> int:
        """The number of atoms of the template."""
        return len(self.template)

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

    def structure(self, cell_bohr: np.ndarray, positions_bohr: np.ndarray) -> Atoms:
        """The template with i-PI's cell and positions; raises as `compute` does."""
        positions = np.asarray(positions_bohr, dtype=float).reshape(-1, 3)
        if len(positions) != self.n_atoms:
            raise QuorumError(
                f"{self.options.template}: the template has {self.n_atoms} atoms but i-PI sent "
                f"{len(positions)}; make the template from the structure that i-PI starts from"
            )
        if not np.isfinite(positions).all():
            atom = int(np.flatnonzero(~np.isfinite(positions).all(axis=1))[0])
            symbol = self.template.get_chemical_symbols()[atom]
            raise QuorumError(
                f"i-PI sent a non-finite position for atom {atom} ({symbol}): the dynamics has "
                "blown up; check the start structure and shorten the time step"
            )
        if not np.isfinite(cell_bohr).all():
            raise QuorumError(
                "i-PI sent a non-finite cell: the dynamics has blown up; check the pressure and "
                "the barostat, and shorten the time step"
            )
        atoms = self.template.copy()
        atoms.positions = positions * BOHR_A
        atoms.cell = np.asarray(cell_bohr, dtype=float).T * BOHR_A
        atoms.pbc = self.options.pbc
        return atoms

    def _reply(self, prediction: Any) -> Reply:
        forces = np.asarray(prediction.forces_eV_A, dtype=float)
        return Reply(
            float(prediction.energy_eV) / HARTREE_EV,
            forces * (BOHR_A / HARTREE_EV),
            np.asarray(prediction.virial_eV, dtype=float) / HARTREE_EV,
            committee_extras(prediction),
        )
