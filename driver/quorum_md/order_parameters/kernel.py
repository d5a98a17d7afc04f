"""The plumed backend: PLUMED's own kernel through its Python wrapper."""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import QuorumError
from ..units import PLUMED_ENERGY_KJ_MOL, PLUMED_LENGTH_NM
from .actions import Program
from .keywords import Keywords, NeedsKernel
from .native import Answer, refuse_large_cutoffs
from .reader import build_program, find_beside
from .variables import check_structure
from .words import Statement, read_statements

if TYPE_CHECKING:
    from ase import Atoms

_LIBRARY = "libplumedKernel.so"
_NOT_RUN = ("PRINT", "FLUSH")
_FILES = ("REFERENCE", "ATOM_NAMES_FILE")


def find_kernel() -> str | None:
    """PLUMED_KERNEL, or the library that the system's loader finds; None without either."""
    given = os.environ.get("PLUMED_KERNEL")
    if given:
        return given
    try:
        ctypes.CDLL(_LIBRARY)
    except OSError:
        return None
    return _LIBRARY


class KernelVariables:
    """PLUMED on one input. Actions with a memory (METAD, …) see the structures in order.

    PRINT and FLUSH are left out. Values that come back are all of the actions, if the native reader
    knows them, and otherwise those that PRINT names.
    """

    backend = "plumed"

    def __init__(self, path: str | Path):
        self._file = str(path)
        statements = read_statements(path)
        units = [one for one in statements if one.action == "UNITS"]
        self.natural = any(
            word.upper() == "NATURAL" for statement in units for word in statement.words
        )
        self._statements = [
            one
            for one in statements
            if one.action not in _NOT_RUN and not (self.natural and one.action == "UNITS")
        ]
        self._program = _program(statements, self._file)
        self._names = _names(self._program, statements)
        self._kernel = find_kernel()
        if self._kernel is None:
            raise QuorumError(
                "plumed: got no PLUMED kernel, expected one; set PLUMED_KERNEL to the path of "
                f"{_LIBRARY}, or put its folder on the library path"
            )
        self._plumed: Any = None
        self._n_atoms = -1
        self._step = 0
        try:
            ctypes.CDLL(self._kernel)
        except OSError as error:
            raise QuorumError(
                f"PLUMED_KERNEL: {self._kernel} cannot be loaded ({error}); expected the path of "
                f"{_LIBRARY}"
            ) from error
        self._folder = Path(tempfile.mkdtemp(prefix="quorum-plumed-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def evaluate(self, atoms: Atoms) -> Answer:
        """See `Variables.evaluate`."""
        check_structure(atoms, self._file)
        if atoms.pbc.any() and not atoms.pbc.all():
            raise QuorumError(
                f"{self._file}: got a structure that is periodic in some directions, expected all "
                "or none; the native backend takes any"
            )
        if self._program is not None:
            length = self._program.units.length_A
            refuse_large_cutoffs(self._program, atoms.cell.complete() / length, atoms.pbc)
        if len(atoms) != self._n_atoms:
            self._start(len(atoms))
        forces, virial = np.zeros((len(atoms), 3)), np.zeros((3, 3))
        positions = np.ascontiguousarray(atoms.positions, dtype=np.float64)
        cell = np.array(atoms.cell.array) if atoms.pbc.all() else np.zeros((3, 3))
        bias = np.zeros(1)
        self._run("setStep", self._step)
        masses = atoms.get_masses()
        self._run("setMasses", masses)
        if atoms.has("initial_charges"):
            charges = atoms.get_initial_charges()
            self._run("setCharges", charges)
        self._run("setPositions", positions)
        self._run("setForces", forces)
        self._run("setBox", cell)
        self._run("setVirial", virial)
        self._run("calc")
        self._run("getBias", bias)
        self._step += 1
        values = self._values()
        wrong = [name for name, value in values.items() if not np.isfinite(value)]
        if wrong or not np.isfinite(forces).all():
            raise QuorumError(
                f"{self._file}: {wrong[0] if wrong else 'forces'}: PLUMED says nan or inf, "
                "expected a finite number; an atom without neighbours does that, which the native "
                "backend counts as 0"
            )
        return Answer(values, float(bias[0]), forces, virial, {})

    def _start(self, n_atoms: int) -> None:
        try:
            import plumed
        except ImportError as error:
            raise QuorumError(
                "plumed: the Python wrapper is missing; pip install 'quorum-md[plumed]'"
            ) from error
        self._plumed = plumed.Plumed(kernel=self._kernel)
        self._n_atoms, self._step = n_atoms, 0
        self._run("setRealPrecision", 8)
        if self.natural:
            self._run("setNaturalUnits")
        else:
            self._run("setMDEnergyUnits", PLUMED_ENERGY_KJ_MOL["eV"])
            self._run("setMDLengthUnits", PLUMED_LENGTH_NM["A"])
        self._run("setMDTimeUnits", 1.0)
        self._run("setMDEngine", "quorum")
        self._run("setNatoms", n_atoms)
        self._run("setTimestep", 1.0)
        self._run("setLogFile", os.devnull)
        self._run("init")
        for statement in self._statements:
            self._run("readInputLine", self._line(statement), where=statement)
        if self._names:
            output = self._folder / "values"
            output.unlink(missing_ok=True)
            wanted = ",".join(self._names)
            self._run("readInputLine", f"PRINT ARG={wanted} STRIDE=1 FMT=%.17g FILE={output}")
            self._run("readInputLine", "FLUSH STRIDE=1")

    def _line(self, statement: Statement) -> str:
        find = find_beside(self._file)
        words = [f"{statement.label}:"] if statement.label else []
        words.append(statement.action)
        for word in statement.words:
            key, equals, value = word.partition("=")
            if equals and key.upper().rstrip("0123456789_") in _FILES:
                value = str(find(value))
            braced = any(letter in value for letter in " \t{}")
            words.append(
                f"{key}={{{value}}}" if braced else word if not equals else f"{key}={value}"
            )
        return " ".join(words)

    def _run(self, command: str, *value: Any, where: Statement | None = None) -> None:
        try:
            self._plumed.cmd(command, *value)
        # the wrapper maps exceptions of C++ on many classes
        except Exception as error:
            place = f"{where.file}, line {where.line}: [{where.action}]" if where else self._file
            inner: BaseException = error  # what went wrong, within where it was called
            while inner.__cause__ is not None:
                inner = inner.__cause__
            reason = " ".join(str(inner).split())[-300:]
            if "charges were not passed" in reason:
                reason += "; give the structures initial_charges"
            raise QuorumError(f"{place}: PLUMED refuses {command}: {reason}") from error

    def _values(self) -> dict[str, float]:
        """The last row of what PRINT has written, under the names asked for if they are plain."""
        if not self._names:
            return {}
        names: list[str] = []
        row: list[str] = []
        for line in (self._folder / "values").read_text().splitlines():
            if line.startswith("#! FIELDS"):
                names = line.split()[3:]  # after the time
            elif not line.startswith("#"):
                row = line.split()[1:]
        if len(names) == len(self._names):
            names = self._names  # PLUMED 2.10 calls label.mean label_mean
        return {name: float(text) for name, text in zip(names, row, strict=True)}


def _program(statements: list[Statement], file: str) -> Program | None:
    """As the native reader has it; None if it does not know an action."""
    try:
        return build_program(statements, file)
    except NeedsKernel:
        return None


def _names(program: Program | None, statements: list[Statement]) -> list[str]:
    """All values, if the native reader knows them, and otherwise those that PRINT names."""
    if program is not None:
        return [name for name in program.names if name[0] != "@"]
    printed = [Keywords(one).names("ARG") for one in statements if one.action == "PRINT"]
    return list(dict.fromkeys(name for names in printed for name in names))
