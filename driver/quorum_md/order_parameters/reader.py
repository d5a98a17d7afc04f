"""From the statements of a PLUMED input to the actions of the native backend.

Anything that only PLUMED knows is a `NeedsKernel`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ..units import PLUMED_ENERGY_KJ_MOL, PLUMED_LENGTH_NM
from .actions import (
    Action,
    Combine,
    MultiColvar,
    Program,
    Restraint,
    Units,
    Wall,
)
from .colvar_reader import COLVARS
from .keywords import Keywords, NeedsKernel
from .words import Statement, read_statements

# outputs, which an evaluation of one structure does not write
_SILENT = ("FLUSH",)


def read_program(path: str | Path) -> Program:
    """The actions of a file.

    Raises:
        NeedsKernel: an action or a keyword that only PLUMED has.
        QuorumError: an input that PLUMED would not take either.
    """
    return build_program(read_statements(path), str(path))


def build_program(statements: Sequence[Statement], file: str) -> Program:
    """See `read_program`."""
    builder = _Builder(file)
    for statement in statements:
        if statement.action == "ENDPLUMED":
            break
        builder.add(statement)
    units = builder.units or _units(None)
    return Program(file, units, tuple(builder.actions), tuple(builder.names))


def read_units(path: str | Path) -> Units:
    """What the numbers of a file are in; needs no action to be known."""
    found = [one for one in read_statements(path) if one.action == "UNITS"]
    return _units(found[0] if found else None)


def find_beside(file: str) -> Callable[[str], Path]:
    """Files that an input names: from the working folder, as in PLUMED, or beside the input."""

    def find(name: str) -> Path:
        beside = Path(file).parent / name
        return beside if not Path(name).exists() and beside.exists() else Path(name)

    return find


class _Builder:
    def __init__(self, file: str):
        self.file = file
        self.units: Units | None = None
        self.actions: list[Action] = []
        self._colvars: dict[str, MultiColvar] = {}
        self.names: list[str] = []
        self._labels: set[str] = set()

    def add(self, statement: Statement) -> None:
        """One statement."""
        name = statement.action
        if name == "UNITS":
            if self.units is not None or self.actions:
                raise statement.error("UNITS", "it after other actions", "it first, and once")
            self.units = _units(statement)
        elif name == "PRINT":
            self._print(statement)
        elif name in COLVARS:
            label = self._new_label(statement)
            units = self.units or _units(None)
            keywords = Keywords(statement)
            made = COLVARS[name](keywords, label, self._colvars, units, find_beside(self.file))
            keywords.finish()
            self._colvars[label] = made
            self.actions.append(made)
            self.names += [component.name for component in made.components]
        elif name in _FUNCTIONS:
            self._function(statement)
        elif name not in _SILENT:
            raise NeedsKernel(
                f"{statement.file}, line {statement.line}: action {name} needs the PLUMED kernel; "
                "set PLUMED_KERNEL"
            )

    def _new_label(self, statement: Statement) -> str:
        label = statement.label or f"@{len(self.actions)}"
        if label in self._labels:
            raise statement.error("LABEL", repr(label), "a label that no other action has")
        if "." in label or " " in label:
            raise statement.error("LABEL", repr(label), "a label without dots and spaces")
        self._labels.add(label)
        return label

    def _function(self, statement: Statement) -> None:
        label = self._new_label(statement)
        keywords = Keywords(statement)
        arguments = tuple(
            name for word in keywords.names("ARG") for name in self._matching(keywords, word, False)
        )
        made, names = _FUNCTIONS[statement.action](keywords, label, arguments)
        keywords.finish()
        self.actions.append(made)
        self.names += names

    def _print(self, statement: Statement) -> None:
        keywords = Keywords(statement)
        for word in keywords.names("ARG"):
            self._matching(keywords, word, True)
        for key in ("STRIDE", "FILE", "FMT", "RESTART", "UPDATE_FROM", "UPDATE_UNTIL"):
            keywords.text(key)
        keywords.finish()

    def _matching(self, keywords: Keywords, word: str, several: bool) -> list[str]:
        """Values that an argument means: a name, ``label.*`` or ``*``."""
        if word == "*":
            found = list(self.names)
        elif word.endswith(".*"):
            found = [name for name in self.names if name.startswith(word[:-1])]
        else:
            # PLUMED 2.10 calls label.mean label_mean as well
            found = [name for name in self.names if word in (name, name.replace(".", "_", 1))]
        if not found and word in self._colvars:
            raise keywords.needs_kernel(f"ARG={word}", "the values of all atoms")
        if not found:
            known = ", ".join(self.names) or "none yet"
            raise keywords.error("ARG", repr(word), f"one of the values above: {known}")
        if len(found) > 1 and not several:
            raise keywords.error(
                "ARG", repr(word), "names: versions of PLUMED differ in the order of a wildcard"
            )
        return found


def _units(statement: Statement | None) -> Units:
    """PLUMED's own, nm and kJ/mol, or those of the statement."""
    per_eV = PLUMED_ENERGY_KJ_MOL["eV"]
    if statement is None:
        return Units(10.0, 1 / per_eV)
    keywords = Keywords(statement)
    natural = keywords.flag("NATURAL")
    length_nm = _unit(keywords, "LENGTH", PLUMED_LENGTH_NM)
    energy = _unit(keywords, "ENERGY", PLUMED_ENERGY_KJ_MOL)
    for key, known in (
        ("TIME", ("ps", "ns", "fs", "atomic")),
        ("MASS", ("amu",)),
        ("CHARGE", ("e",)),
    ):
        _unit(keywords, key, dict.fromkeys(known, 1.0))
    keywords.finish()
    # an exact 1 for A and eV: no rounding where nothing is converted
    return (
        Units(1.0, 1.0, True)
        if natural
        else Units(1.0 if length_nm == PLUMED_LENGTH_NM["A"] else 10 * length_nm, energy / per_eV)
    )


def _unit(keywords: Keywords, key: str, table: dict[str, float]) -> float:
    text = keywords.text(key)
    if text is None:
        return 1.0
    if text in table:
        return table[text]
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise keywords.error(key, repr(text), f"{', '.join(table)} or a positive number")
    return value


_Made = tuple[Action, list[str]]


def _combine(keywords: Keywords, label: str, arguments: tuple[str, ...]) -> _Made:
    n = len(arguments)
    periodic = keywords.needed("PERIODIC", "PERIODIC=NO")
    if periodic.upper() != "NO":
        raise keywords.needs_kernel(f"PERIODIC={periodic}")
    coefficients = keywords.numbers("COEFFICIENTS", n, 1.0)
    if keywords.flag("NORMALIZE"):
        total = sum(coefficients)
        if total == 0:
            raise keywords.error("NORMALIZE", "coefficients of sum 0", "another sum")
        coefficients = [value / total for value in coefficients]
    parameters, powers = keywords.numbers("PARAMETERS", n, 0.0), keywords.numbers("POWERS", n, 1.0)
    made = Combine(
        keywords.statement,
        label,
        arguments,
        tuple(coefficients),
        tuple(parameters),
        tuple(powers),
    )
    return made, [label]


def _restraint(keywords: Keywords, label: str, arguments: tuple[str, ...]) -> _Made:
    _every_step(keywords)
    n = len(arguments)
    columns = [keywords.numbers("AT", n)]
    columns += [keywords.numbers(key, n, 0.0) for key in ("KAPPA", "SLOPE")]
    made = Restraint(keywords.statement, label, arguments, *map(tuple, columns))
    return made, [f"{label}.bias", f"{label}.force2"]


def _wall(side: int) -> Callable[[Keywords, str, tuple[str, ...]], _Made]:
    def build(keywords: Keywords, label: str, arguments: tuple[str, ...]) -> _Made:
        _every_step(keywords)
        n = len(arguments)
        columns = [keywords.numbers(key, n) for key in ("AT", "KAPPA")]
        columns += [
            keywords.numbers(key, n, default)
            for key, default in (("OFFSET", 0.0), ("EXP", 2.0), ("EPS", 1.0))
        ]
        if 0 in columns[-1]:
            raise keywords.error("EPS", "0", "another number")
        made = Wall(keywords.statement, label, side, arguments, *map(tuple, columns))
        return made, [f"{label}.bias", f"{label}.force2"]

    return build


def _every_step(keywords: Keywords) -> None:
    if keywords.number("STRIDE", 1) != 1:
        raise keywords.needs_kernel("STRIDE other than 1")


_FUNCTIONS: dict[str, Callable[[Keywords, str, tuple[str, ...]], _Made]] = {
    "COMBINE": _combine,
    "RESTRAINT": _restraint,
    "UPPER_WALLS": _wall(1),
    "LOWER_WALLS": _wall(-1),
}
