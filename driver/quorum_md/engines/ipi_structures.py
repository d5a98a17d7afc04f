"""What drivers of i-PI have in common: parameters, structures from a template, replies."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple, TypeVar

import numpy as np
from ase import Atoms

from ..errors import QuorumError
from ..units import BOHR_A
from .ipi_template import read_template

# i-PI adds this one to the parameters of every driver
_PARAMETERS_OF_IPI = ("verbosity", "verbose")
_Options = TypeVar("_Options")


class Reply(NamedTuple):
    """What i-PI wants for one structure of N atoms, in atomic units."""

    energy_hartree: float
    forces_hartree_bohr: np.ndarray  # (N, 3)
    virial_hartree: np.ndarray  # (3, 3), minus stress times volume
    extras: str  # a JSON object


def read_parameters(
    cls: type[_Options],
    parameters: Mapping[str, Any],
    where: str,
    needed: Sequence[str],
    example: str,
) -> _Options:
    """The dataclass *cls* from the dictionary that i-PI made of ``{key: value, …}``.

    *where* opens the errors. Raises `QuorumError` for a key that is unknown or missing, and for a
    flag that is neither true nor false.
    """
    given = {k: v for k, v in parameters.items() if k not in _PARAMETERS_OF_IPI}
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    for key, value in given.items():
        if key not in known:
            raise QuorumError(
                f"{where}: [parameters] {key}: no such parameter; known are {', '.join(known)}"
            )
        if known[key].type is bool and not isinstance(value, bool):
            raise QuorumError(f"{where}: [parameters] {key}: got {value!r}, expected true or false")
    for key in needed:
        if key not in given or not str(given[key]).strip():
            raise QuorumError(
                f"{where}: [parameters] {key}: missing; write "
                f"<parameters>{{{example}}}</parameters>"
            )
    # i-PI reads `model: 7` as a number
    values: dict[str, Any] = {k: v if isinstance(v, bool) else str(v) for k, v in given.items()}
    return cls(**values)


class IpiStructures:
    """Atoms of a template with i-PI's cells and positions.

    i-PI sends neither species nor periodicity. Raises `QuorumError` if the template cannot be read.
    """

    def __init__(self, template_file: str, pbc: bool) -> None:
        self.template_file, self.pbc = template_file, pbc
        self.template = read_template(template_file)

    @property
    def n_atoms(self) -> int:
        """The number of atoms of the template."""
        return len(self.template)

    def structure(self, cell_bohr: np.ndarray, positions_bohr: np.ndarray) -> Atoms:
        """The template with i-PI's cell and positions; Bohr, vectors as columns.

        Raises `QuorumError` if the number of atoms is another one, or if anything is not finite.
        """
        positions = np.asarray(positions_bohr, dtype=float).reshape(-1, 3)
        if len(positions) != self.n_atoms:
            raise QuorumError(
                f"{self.template_file}: the template has {self.n_atoms} atoms but i-PI sent "
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
        atoms.pbc = self.pbc
        return atoms
