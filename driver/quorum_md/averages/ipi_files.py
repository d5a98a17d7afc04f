"""What i-PI writes: property tables and committee energies, with their steps and units.

Formats of i-PI 3.3 (`ipi/engine/outputs.py`), as found in real files:

- properties: ``# column   4     --> potential{electronvolt} : help`` and ``# cols.    8-13  -->
  cell_h{angstrom} : help``, then rows of numbers; no unit means atomic units.
- extras: `` #EXTRAS(committee_pot)# Step:         5`` (older versions add ``Bead: 0``), then the K
  energies in Hartree; one file per bead, ``…committee_pot_0``, ``…_1``, ….

A run that was restarted appends to its files and repeats the steps since the checkpoint: rows of
the abandoned branch are dropped. A last line cut short by a kill is dropped as well.
"""

import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import QuorumError
from ..units import ENERGY_EV

Array = NDArray[np.float64]
Steps = NDArray[np.int64]
PathLike = str | os.PathLike[str]

_COLUMN = re.compile(
    r"#\s*(?:column|cols\.)\s+(\d+)(?:\s*-\s*(\d+))?\s*-->\s*(.*?)\s*(?:\s:\s.*)?$"
)
_UNIT = re.compile(r"\{([^}]*)\}")
_EXTRAS = re.compile(r"\s*#(EXTRAS\w*)(?:\(([^)]*)\))?#\s*Step:\s*(\d+)(?:\s+Bead:\s*(\d+))?")
_PREFIXES = {"milli": 1e-3, "kilo": 1e3, "micro": 1e-6, "mega": 1e6, "m": 1e-3, "k": 1e3}


@dataclass(frozen=True)
class Column:
    """One entry of the properties list.

    Attributes:
        name: as in i-PI, without the unit: "potential", "cell_h", "potential(bead=0)".
        unit: as in the header; "atomic_unit" where the header has none.
        values: (n,), or (n, m) for a vector.
    """

    name: str
    unit: str
    values: Array


@dataclass(frozen=True)
class PropertyTable:
    """The rows of one properties file.

    Attributes:
        path: of the file.
        columns: in the order of the file.
        abandoned: rows left out because a restart repeated their steps.
        truncated: a last line was cut short and left out.
    """

    path: str
    columns: list[Column]
    abandoned: int
    truncated: bool

    def column(self, name: str) -> Column:
        """The column called `name`, with or without its unit: the first of several.

        Arguments may be left out where that is unambiguous: "atom_x" finds "atom_x(0)".

        Raises:
            QuorumError: there is none; the sentence lists what there is.
        """
        for column in self.columns:
            if name in (column.name, _with_unit(column)):
                return column
        similar = [column for column in self.columns if column.name.split("(")[0] == name]
        if len(similar) == 1:
            return similar[0]
        known = ", ".join(dict.fromkeys(column.name for column in self.columns))
        raise QuorumError(
            f"{self.path}: has no column {name!r}; it has {known}; add it to <properties> in the "
            "i-PI input or choose one of these"
        )

    def has(self, name: str) -> bool:
        """Whether there is a column called `name`."""
        return any(name in (column.name, _with_unit(column)) for column in self.columns)


@dataclass(frozen=True)
class CommitteeEnergies:
    """Member energies of one run.

    Attributes:
        paths: of the files, one per bead.
        steps: (n,) increasing.
        energies_eV: (n, K), averaged over the beads.
        abandoned, truncated: as in `PropertyTable`.
    """

    paths: tuple[str, ...]
    steps: Steps
    energies_eV: Array
    abandoned: int
    truncated: bool


def energy_unit_eV(unit: str) -> float | None:
    """eV per `unit` as i-PI spells it, prefixes included; None if it is not an energy."""
    name = unit.strip().lower()
    if name in ENERGY_EV:
        return ENERGY_EV[name]
    if name == "cal/mol":
        return ENERGY_EV["kcal/mol"] / 1000
    for prefix, factor in _PREFIXES.items():
        if name.startswith(prefix) and len(name) > len(prefix):
            base = energy_unit_eV(name[len(prefix) :])
            if base is not None:
                return factor * base
    return None


def read_properties(path: PathLike) -> PropertyTable:
    """Read an i-PI properties file.

    Raises:
        QuorumError: no such file, no i-PI header, a row of the wrong length (other than the last),
            something that is not a number, no complete row.
    """
    lines, cut = _lines(path)
    header: list[tuple[str, str, int, int]] = []
    rows: list[str] = []
    numbers: list[int] = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text.startswith("#"):
            match = _COLUMN.match(text)
            if match:
                entry = _header_entry(match)
                if entry not in header:  # a restart may write the header again
                    header.append(entry)
        elif text:
            rows.append(text)
            numbers.append(number)
    if not header:
        raise QuorumError(
            f"{path}: has no header of the form '# column 1 --> step'; expected a properties file "
            "of i-PI, give the file that <properties> wrote"
        )
    width = max(last for *_, last in header)
    table, truncated = _number_rows(path, rows, numbers, width, "columns as in its header")
    columns = [
        Column(name, unit, table[:, first - 1] if first == last else table[:, first - 1 : last])
        for name, unit, first, last in header
    ]
    abandoned = 0
    clock = next((c for c in columns if c.name == "step"), None)
    if clock is None:
        clock = next((c for c in columns if c.name == "time"), None)
    if clock is not None:
        keep = _current_branch(clock.values)
        abandoned = int((~keep).sum())
        columns = [Column(c.name, c.unit, c.values[keep]) for c in columns]
    return PropertyTable(str(path), columns, abandoned, truncated or cut)


def read_committee(
    paths: PathLike | Sequence[PathLike], *, unit: str = "hartree"
) -> CommitteeEnergies:
    """Read the member energies of an extras file, or of one per bead (averaged over the beads).

    Args:
        paths: ``<trajectory extra_type='committee_pot'>extras</trajectory>`` writes them.
        unit: of the energies; i-PI's extras are in Hartree.

    Raises:
        QuorumError: no such file, no steps, another kind of extras, rows of unlike length.
    """
    factor = energy_unit_eV(unit)
    if factor is None:
        raise QuorumError(
            f"committee unit: got {unit!r}, expected an energy unit such as hartree or electronvolt"
        )
    several: list[PathLike] = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    beads = [_read_extras(path) for path in several]
    steps = beads[0][0]
    for path, bead in zip(several[1:], beads[1:], strict=True):
        if bead[1].shape[1] != beads[0][1].shape[1]:
            raise QuorumError(
                f"{path}: has {bead[1].shape[1]} members, but {several[0]} has "
                f"{beads[0][1].shape[1]}; expected the beads of one run"
            )
        steps = np.intersect1d(steps, bead[0], assume_unique=True)
    if len(steps) == 0:
        raise QuorumError(
            f"{', '.join(map(str, several))}: have no step in common; expected the beads of one run"
        )
    energies = np.mean([bead[1][np.isin(bead[0], steps)] for bead in beads], axis=0)
    return CommitteeEnergies(
        tuple(str(path) for path in several),
        steps,
        energies * factor,
        max(bead[2] for bead in beads),
        any(bead[3] for bead in beads),
    )


def _read_extras(path: PathLike) -> tuple[Steps, Array, int, bool]:
    """Steps (n,), energies (n, K) averaged over rows of a step, abandoned rows, truncated."""
    steps: list[int] = []
    rows: list[str] = []
    numbers: list[int] = []
    owner: list[int] = []
    beads: set[str] = set()
    lines, cut = _lines(path)
    for number, line in enumerate(lines, 1):
        match = _EXTRAS.match(line)
        if match:
            kind, extra_type, step, bead = match.groups()
            if extra_type not in (None, "committee_pot"):
                raise QuorumError(
                    f"{path}, line {number}: holds the extras {extra_type!r}, expected "
                    "'committee_pot'; write them with <trajectory filename='committee_pot' "
                    "extra_type='committee_pot'>extras</trajectory>"
                )
            if bead is not None and not kind.endswith("_RAW"):
                beads.add(bead)
            steps.append(int(step))
        elif line.strip() and not line.lstrip().startswith("#"):
            rows.append(line.strip())
            numbers.append(number)
            owner.append(len(steps) - 1)
    if not steps or (owner and owner[0] < 0):
        raise QuorumError(
            f"{path}: has no lines of the form '#EXTRAS(committee_pot)# Step: 10'; expected the "
            "file that <trajectory extra_type='committee_pot'>extras</trajectory> writes, as rows "
            "are matched by their step"
        )
    if len(beads) > 1:
        raise QuorumError(
            f"{path}: holds beads {', '.join(sorted(beads))} in one file, expected one file per "
            "bead as i-PI writes them"
        )
    if not rows:
        raise QuorumError(f"{path}: holds no energies, expected a row of K numbers per step")
    width = len(rows[0].split())
    table, truncated = _number_rows(path, rows, numbers, width, "members as in its first row")
    block = np.asarray(owner[: len(table)])
    counts = np.bincount(block, minlength=len(steps))
    per_step = counts[0]
    whole = counts == per_step
    # only the last step may lack rows: the run was cut short while writing it
    if not whole[:-1].all():
        bad = int(np.argmin(whole))
        raise QuorumError(
            f"{path}: step {steps[bad]} has {counts[bad]} rows of energies, expected {per_step} as "
            f"at step {steps[0]}; the file is damaged there"
        )
    n_whole = len(steps) if whole[-1] else len(steps) - 1
    energies = table[: n_whole * per_step].reshape(n_whole, per_step, width).mean(axis=1)
    order = np.asarray(steps[:n_whole], dtype=np.int64)
    keep = _current_branch(order)
    return order[keep], energies[keep], int((~keep).sum()), cut or truncated or n_whole < len(steps)


def _lines(path: PathLike) -> tuple[list[str], bool]:
    """Lines of a file, and whether a last one without its end was left out: it may be cut within
    a number and then look complete.
    """
    try:
        text = Path(path).read_text()
    except OSError as error:
        raise QuorumError(
            f"{path}: cannot be read ({error.strerror}); expected a file written by i-PI"
        ) from error
    except UnicodeDecodeError as error:
        raise QuorumError(f"{path}: is not text; expected a file written by i-PI") from error
    lines = text.splitlines()
    cut = bool(lines) and not text.endswith("\n")
    return (lines[:-1] if cut else lines), cut


def _header_entry(match: re.Match[str]) -> tuple[str, str, int, int]:
    first, last, text = int(match[1]), int(match[2] or match[1]), match[3].strip()
    unit = _UNIT.search(text)
    name = _UNIT.sub("", text).strip()
    return name, (unit[1].strip() if unit and unit[1].strip() else "atomic_unit"), first, last


def _with_unit(column: Column) -> str:
    return f"{column.name}{{{column.unit}}}"


def _number_rows(
    path: PathLike, rows: list[str], numbers: list[int], width: int, meaning: str
) -> tuple[Array, bool]:
    """Rows of `width` numbers as an array; only the last row may be incomplete."""
    if not rows:
        raise QuorumError(f"{path}: holds no rows of numbers; the run has not written any yet")
    table, bad = _parse(rows, width)
    if table is not None:
        return table, False
    if bad == len(rows) - 1 and bad > 0:
        table, _ = _parse(rows[:-1], width)
        if table is not None:
            return table, True
    found = len(rows[bad].split())
    what = f"{found} numbers" if found != width else f"{rows[bad]:.40s}"
    raise QuorumError(
        f"{path}, line {numbers[bad]}: got {what}, expected {width} numbers, {meaning}; repair or "
        "cut the file there"
    )


def _parse(rows: list[str], width: int) -> tuple[Array | None, int]:
    """(n, width) numbers, or None and the index of the first row that is not `width` numbers."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # older numpy's word for "no number"
        try:
            flat = np.fromstring("\n".join(rows), sep=" ")
        except (DeprecationWarning, ValueError):
            flat = np.empty(0)
    # a row too short and one too long would make up for each other
    if flat.size == width * len(rows) and all(len(row.split()) == width for row in rows):
        return flat.reshape(len(rows), width), -1
    for index, row in enumerate(rows):
        fields = row.split()
        if len(fields) != width or not all(_is_number(field) for field in fields):
            return None, index
    return np.array([row.split() for row in rows], dtype=float), -1


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _current_branch(clock: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Rows that a later restart did not repeat: strictly below every later clock reading."""
    values = np.asarray(clock, dtype=float)
    least_later = np.minimum.accumulate(values[::-1])[::-1]
    keep = np.ones(len(values), dtype=bool)
    keep[:-1] = values[:-1] < least_later[1:]
    return keep
