"""Tables of numbers with named columns and units, and what all readers of text files share.

Whatever program wrote them: a run that was restarted appends to its files and repeats the steps
since the checkpoint, so rows of the abandoned branch are dropped; a last line cut short by a kill
is dropped as well.
"""

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import QuorumError
from ..units import ENERGY_EV

Array = NDArray[np.float64]
PathLike = str | os.PathLike[str]

_PREFIXES = {"milli": 1e-3, "kilo": 1e3, "micro": 1e-6, "mega": 1e6, "m": 1e-3, "k": 1e3}


@dataclass(frozen=True)
class Column:
    """One column, or several that form a vector.

    Attributes:
        name: as the program calls it, without the unit: "potential", "cell_h", "PotEng".
        unit: as i-PI spells it; "atomic_unit" for its own, "" if it is not known.
        values: (n,), or (n, m) for a vector.
    """

    name: str
    unit: str
    values: Array


@dataclass(frozen=True)
class Table:
    """The rows of one run.

    Attributes:
        path: of the file, or the files.
        columns: in the order of the file.
        abandoned: rows left out because a restart repeated their steps.
        truncated: a last line was cut short and left out.
        how_to_add: what to do where a column is missing, "add {} to …".
        aliases: other names of columns.
    """

    path: str
    columns: list[Column]
    abandoned: int
    truncated: bool
    how_to_add: str = ""
    aliases: Mapping[str, str] = field(default_factory=dict)

    def column(self, name: str) -> Column:
        """The column called `name`, with or without its unit: the first of several.

        Arguments may be left out where that is unambiguous: "atom_x" finds "atom_x(0)".

        Raises:
            QuorumError: there is none; the sentence lists what there is.
        """
        exact = self._exact(name)
        if exact is not None:
            return exact
        similar = [column for column in self.columns if column.name.split("(")[0] == name]
        if len(similar) == 1:
            return similar[0]
        known = ", ".join(dict.fromkeys(column.name for column in self.columns))
        raise QuorumError(
            f"{self.path}: has no column {name!r}; it has {known}; {self.how_to_add.format('it')} "
            "or choose one of these"
        )

    def has(self, name: str) -> bool:
        """Whether there is a column called `name`."""
        return self._exact(name) is not None

    def _exact(self, name: str) -> Column | None:
        wanted = {name, self.aliases.get(name, name)}
        for column in self.columns:
            if not wanted.isdisjoint((column.name, f"{column.name}{{{column.unit}}}")):
                return column
        return None


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


def text_lines(path: PathLike, writer: str) -> tuple[list[str], bool]:
    """Lines of a file, and whether a last one without its end was left out: it may be cut within
    a number and then look complete.

    Raises:
        QuorumError: no such file, or not text; the sentence names the program that should have
            written it.
    """
    try:
        text = Path(path).read_text()
    except OSError as error:
        raise QuorumError(
            f"{path}: cannot be read ({error.strerror}); expected a file written by {writer}"
        ) from error
    except UnicodeDecodeError as error:
        raise QuorumError(f"{path}: is not text; expected a file written by {writer}") from error
    lines = text.splitlines()
    cut = bool(lines) and not text.endswith("\n")
    return (lines[:-1] if cut else lines), cut


def number_rows(
    path: PathLike, rows: list[str], numbers: list[int], width: int, meaning: str
) -> tuple[Array, bool]:
    """Rows of `width` numbers as an array; only the last row may be incomplete."""
    if not rows:
        raise QuorumError(f"{path}: holds no rows of numbers; the run has not written any yet")
    table, bad = parse_rows(rows, width)
    if table is not None:
        return table, False
    if bad == len(rows) - 1 and bad > 0:
        table, _ = parse_rows(rows[:-1], width)
        if table is not None:
            return table, True
    found = len(rows[bad].split())
    what = f"{found} numbers" if found != width else f"{rows[bad]:.40s}"
    raise QuorumError(
        f"{path}, line {numbers[bad]}: got {what}, expected {width} numbers, {meaning}; repair or "
        "cut the file there"
    )


def parse_rows(rows: list[str], width: int) -> tuple[Array | None, int]:
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


def current_branch(clock: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Rows that a later restart did not repeat: strictly below every later clock reading."""
    values = np.asarray(clock, dtype=float)
    least_later = np.minimum.accumulate(values[::-1])[::-1]
    keep = np.ones(len(values), dtype=bool)
    keep[:-1] = values[:-1] < least_later[1:]
    return keep
