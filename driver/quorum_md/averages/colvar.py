"""What PLUMED's PRINT writes: columns by name, and a clock.

    #! FIELDS time q6 restraint.bias
    #! SET min_x -pi
     0.000000 0.351 0.0021

A run that was restarted writes its header again and repeats times; the later branch counts. PLUMED
prints no units: time and energies are in those of its input (by default ps and kJ/mol), which the
user has to say.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import QuorumError
from ..units import TIME_FS
from .tables import Array, Column, PathLike, Table, current_branch
from .text_rows import NumberRows, TextLines


def read_colvar(path: PathLike) -> Table:
    """Columns of a COLVAR file; their units are not known ("").

    Raises:
        QuorumError: no such file, no `#! FIELDS`, a restart with other columns, a row of the wrong
            length (other than the last), no rows.
    """
    lines = TextLines(path, "PLUMED")
    names: list[str] = []
    rows = NumberRows(path, "columns as in its header")
    for number, line in enumerate(lines, 1):
        words = line.split() if "#" in line else []
        if words[:2] == ["#!", "FIELDS"]:
            if names and words[2:] != names:
                raise QuorumError(
                    f"{path}, line {number}: a restart has the columns {' '.join(words[2:])}, "
                    f"expected {' '.join(names)} as above; split the file there"
                )
            names = words[2:]
            rows.expect(len(names))
        elif (text := line.strip()) and not text.startswith("#"):
            rows.add(text, number)
    if not names:
        raise QuorumError(
            f"{path}: has no line '#! FIELDS time …'; expected a file that PRINT of PLUMED wrote"
        )
    values, truncated = rows.finish()
    abandoned = 0
    if "time" in names:
        keep = current_branch(values[:, names.index("time")])
        abandoned = int((~keep).sum())
        values = values[keep]
    columns = [Column(name, "", values[:, k]) for k, name in enumerate(names)]
    return Table(
        str(path), columns, abandoned, lines.cut or truncated, how_to_add="add {} to ARG of PRINT"
    )


def is_colvar(path: PathLike) -> bool:
    """By its first line."""
    try:
        with open(path, "rb") as file:
            return file.read(9) == b"#! FIELDS"
    except OSError:
        return False


def at_steps(
    table: Table, name: str, steps: NDArray[np.int64], *, timestep_fs: float, time_unit: str
) -> tuple[NDArray[np.intp], Array]:
    """Values of a column at the steps of a run, matched by time.

    Args:
        steps: (n,) of the run.
        timestep_fs: of the run.
        time_unit: of the file, see `units.TIME_FS`.

    Returns:
        Indices into `steps` of those that the file has, and the values there.

    Raises:
        QuorumError: no clock, an unknown unit, times between steps, hardly any step in common.
    """
    unit_fs = TIME_FS.get(time_unit.lower())
    if unit_fs is None:
        raise QuorumError(
            f"time unit: got {time_unit!r}, expected one of {', '.join(sorted(TIME_FS))}"
        )
    if not table.has("time"):
        raise QuorumError(
            f"{table.path}: has no column time, so its rows cannot be matched with steps; add it "
            "with PRINT of PLUMED"
        )
    ratio = table.column("time").values * (unit_fs / timestep_fs)
    clock = np.rint(ratio).astype(np.int64)
    if np.abs(ratio - clock).max() > 0.05:
        worst = int(np.abs(ratio - clock).argmax())
        raise QuorumError(
            f"{table.path}: time {table.column('time').values[worst]:g} {time_unit} is no multiple "
            f"of the time step of {timestep_fs:g} fs; give the unit of time of its PLUMED input "
            "(--bias-unit kj/mol,fs), or print more digits (FMT)"
        )
    _, here, there = np.intersect1d(steps, clock, assume_unique=False, return_indices=True)
    if len(here) < 2 or len(here) < 0.5 * min(len(steps), len(clock)):
        raise QuorumError(
            f"{table.path}: has times of steps {clock[0]} to {clock[-1]}, of which {len(here)} are "
            f"among the {len(steps)} steps {steps[0]} to {steps[-1]} of the run; expected the "
            "files of one run, printed at strides that meet"
        )
    return here, table.column(name).values[there]
