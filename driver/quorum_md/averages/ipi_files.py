"""What i-PI writes: property tables and committee energies, with their steps and units.

Formats of i-PI 3.3 (`ipi/engine/outputs.py`), as found in real files:

- properties: ``# column   4     --> potential{electronvolt} : help`` and ``# cols.    8-13  -->
  cell_h{angstrom} : help``, then rows of numbers; no unit means atomic units.
- extras: `` #EXTRAS(committee_pot)# Step:         5`` (older versions add ``Bead: 0``), then the K
  energies in Hartree; one file per bead, ``…committee_pot_0``, ``…_1``, ….

Restarts and files cut short: see `tables`.
"""

import os
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import QuorumError
from .tables import (
    Array,
    Column,
    PathLike,
    Table,
    current_branch,
    energy_unit_eV,
    taken,
)
from .text_rows import NumberRows, TextLines

Steps = NDArray[np.int64]

_COLUMN = re.compile(
    r"#\s*(?:column|cols\.)\s+(\d+)(?:\s*-\s*(\d+))?\s*-->\s*(.*?)\s*(?:\s:\s.*)?$"
)
_UNIT = re.compile(r"\{([^}]*)\}")
_EXTRAS = re.compile(r"\s*#(EXTRAS\w*)(?:\(([^)]*)\))?#\s*Step:\s*(\d+)(?:\s+Bead:\s*(\d+))?")
HOW_TO_ADD = "add {} to <properties> in the i-PI input"


@dataclass(frozen=True)
class CommitteeEnergies:
    """Member energies of one run.

    Attributes:
        paths: of the files, one per bead.
        steps: (n,) increasing.
        energies_eV: (n, K), averaged over the beads.
        abandoned, truncated: as in `tables.Table`.
    """

    paths: tuple[str, ...]
    steps: Steps
    energies_eV: Array
    abandoned: int
    truncated: bool


def read_properties(path: PathLike) -> Table:
    """Read an i-PI properties file.

    Raises:
        QuorumError: no such file, no i-PI header, a row of the wrong length (other than the last),
            something that is not a number, no complete row.
    """
    lines = TextLines(path, "i-PI")
    header: list[tuple[str, str, int, int]] = []
    rows = NumberRows(path, "columns as in its header")
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text.startswith("#"):
            match = _COLUMN.match(text)
            if match:
                entry = _header_entry(match)
                if entry not in header:  # a restart may write the header again
                    header.append(entry)
                    rows.expect(max(last for *_, last in header))
        elif text:
            rows.add(text, number)
    if not header:
        raise QuorumError(
            f"{path}: has no header of the form '# column 1 --> step'; expected a properties file "
            "of i-PI, give the file that <properties> wrote"
        )
    table, truncated = rows.finish()
    columns = [
        Column(name, unit, table[:, first - 1] if first == last else table[:, first - 1 : last])
        for name, unit, first, last in header
    ]
    abandoned = 0
    clock = next((c for c in columns if c.name == "step"), None)
    if clock is None:
        clock = next((c for c in columns if c.name == "time"), None)
    if clock is not None:
        keep = current_branch(clock.values)
        abandoned = int((~keep).sum())
        columns = [Column(c.name, c.unit, taken(c.values, keep)) for c in columns]
    return Table(str(path), columns, abandoned, truncated or lines.cut, HOW_TO_ADD)


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
    steps, total, abandoned, truncated = _read_extras(several[0])
    n_members = total.shape[1]
    for path in several[1:]:
        more, energies, left_out, cut = _read_extras(path)
        if energies.shape[1] != n_members:
            raise QuorumError(
                f"{path}: has {energies.shape[1]} members, but {several[0]} has {n_members}; "
                "expected the beads of one run"
            )
        steps, here, there = np.intersect1d(steps, more, assume_unique=True, return_indices=True)
        total = taken(total, here)
        total += taken(energies, there)
        abandoned, truncated = max(abandoned, left_out), truncated or cut
    if len(steps) == 0:
        raise QuorumError(
            f"{', '.join(map(str, several))}: have no step in common; expected the beads of one run"
        )
    total /= len(several)
    total *= factor
    return CommitteeEnergies(
        tuple(str(path) for path in several), steps, total, abandoned, truncated
    )


def _read_extras(path: PathLike) -> tuple[Steps, Array, int, bool]:
    """Steps (n,), energies (n, K) averaged over rows of a step, abandoned rows, truncated."""
    steps, owner = array("q"), array("q")  # of blocks, and the block of each row
    rows = NumberRows(path, "members as in its first row")
    beads: set[str] = set()
    lines = TextLines(path, "i-PI")
    for number, line in enumerate(lines, 1):
        match = _EXTRAS.match(line) if "#" in line else None
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
            rows.add(line.strip(), number)
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
    if not owner:
        raise QuorumError(f"{path}: holds no energies, expected a row of K numbers per step")
    table, truncated = rows.finish()
    block = np.asarray(owner)[: len(table)]
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
    energies = table[: n_whole * per_step]
    if per_step > 1:
        energies = energies.reshape(n_whole, per_step, -1).mean(axis=1)
    order = np.array(steps[:n_whole], dtype=np.int64)
    keep = current_branch(order)
    truncated = lines.cut or truncated or n_whole < len(steps)
    return order[keep], taken(energies, keep), int((~keep).sum()), truncated


def _header_entry(match: re.Match[str]) -> tuple[str, str, int, int]:
    first, last, text = int(match[1]), int(match[2] or match[1]), match[3].strip()
    unit = _UNIT.search(text)
    name = _UNIT.sub("", text).strip()
    return name, (unit[1].strip() if unit and unit[1].strip() else "atomic_unit"), first, last
