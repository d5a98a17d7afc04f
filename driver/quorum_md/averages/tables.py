"""Tables of numbers with named columns and units, whatever program wrote them.

A run that was restarted appends to its files and repeats the steps since the checkpoint, so rows of
the abandoned branch are dropped.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

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


def current_branch(clock: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Rows that a later restart did not repeat: strictly below every later clock reading."""
    values = np.asarray(clock, dtype=float)
    least_later = np.minimum.accumulate(values[::-1])[::-1]
    keep = np.ones(len(values), dtype=bool)
    keep[:-1] = values[:-1] < least_later[1:]
    return keep


def taken(values: Array, rows: NDArray[np.generic]) -> Array:
    """``values[rows]``, but no copy where these are all rows in order."""
    if rows.dtype == bool:
        return values if rows.all() else values[rows]
    every = len(rows) == len(values) and bool((rows == np.arange(len(rows))).all())
    return values if every else values[rows]
