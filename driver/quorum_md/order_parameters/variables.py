"""A PLUMED input on ase.Atoms, by either backend, in eV and Å."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..errors import QuorumError
from .compiled import pair_functions
from .keywords import NeedsKernel
from .native import Answer, NativeProgram
from .reader import read_program

if TYPE_CHECKING:
    from ase import Atoms

BACKENDS = ("native", "plumed")


class Variables(Protocol):
    """What a PLUMED input computes.

    Attributes:
        backend: one of `BACKENDS`.
        natural: UNITS NATURAL: the structure's numbers are taken as they are, and bias, forces and
            virial are in the same units; otherwise Å, eV, eV/Å and eV.
    """

    backend: str
    natural: bool

    def evaluate(self, atoms: Atoms) -> Answer:
        """Values (in the input's units), bias, forces and virial."""
        ...


def open_variables(path: str | Path, backend: str | None = None) -> Variables:
    """The variables of a PLUMED input.

    Args:
        backend: native, plumed, or None: native, but PLUMED for what only PLUMED has, if there is a
            kernel.

    Raises:
        QuorumError: an input with an error; no kernel where one is needed.
    """
    if backend == "plumed":
        from .kernel import KernelVariables

        return KernelVariables(path)
    try:
        return NativeVariables(path)
    except NeedsKernel:
        from .kernel import KernelVariables, find_kernel

        if backend == "native" or find_kernel() is None:
            raise
        return KernelVariables(path)


class NativeVariables:
    """The native backend."""

    backend = "native"

    def __init__(self, path: str | Path):
        program = read_program(path)
        self._program = NativeProgram(program, pair_functions())
        self._units = program.units
        self.natural = program.units.natural
        self._file = str(path)

    def evaluate(self, atoms: Atoms) -> Answer:
        """See `Variables.evaluate`."""
        check_structure(atoms, self._file)
        length, energy = self._units.length_A, self._units.energy_eV
        cell = np.ascontiguousarray(atoms.cell.complete(), dtype=np.float64)
        positions = np.ascontiguousarray(atoms.positions, dtype=np.float64)
        found = self._program.evaluate(positions / length, cell / length, np.array(atoms.pbc))
        return replace(
            found,
            bias=found.bias * energy,
            forces=found.forces * (energy / length),
            virial=found.virial * energy,
        )


def check_structure(atoms: Atoms, file: str) -> None:
    """Refuse what no backend can compute on."""
    if not len(atoms):
        raise QuorumError(f"{file}: got a structure without atoms, expected some")
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise QuorumError(f"{file}: got positions or a cell that are not finite, expected numbers")
    if (atoms.pbc & ~atoms.cell.any(axis=1)).any():
        raise QuorumError(f"{file}: a periodic direction has no cell vector, expected one")
    if abs(np.linalg.det(atoms.cell.complete())) < 1e-9:
        raise QuorumError(f"{file}: got a cell without volume, expected three vectors in space")
