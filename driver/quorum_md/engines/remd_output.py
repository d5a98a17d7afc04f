"""Files of a run that grow: one table and one trajectory for each thermodynamic state.

A checkpoint remembers how long they were, and a run that is continued cuts them to that.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic import lock
from ..errors import QuorumError
from ..sampling.journal import Header, Journal, Rows, check_header, read_header
from .lammps_configuration import TYPE, Configuration, Facts, Sample, X
from .remd_input import RemdFile
from .remd_layout import Layout

_MADE_LATER = ("records.h5", "ladder.dat", "states.dat")


class Growing:
    """Files that are appended to, by name, of one rank."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: list[str] = []

    def begin(self, name: str, size: int, head: str = "") -> None:
        """Start a file, or cut it to `size` bytes; a new one gets its first lines.

        Raises:
            QuorumError: it cannot be written, or is shorter than that.
        """
        path = self.folder / name
        self._names.append(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            if path.stat().st_size < size:
                raise QuorumError(
                    f"{path}: is shorter than at the checkpoint ({size} bytes); put the file back, "
                    "or start anew in another folder"
                )
            os.truncate(path, size)
        except OSError as error:
            raise _cannot(path, error) from error
        if size == 0 and head:
            self.append(name, head)

    def append(self, name: str, text: str) -> None:
        """Raises `QuorumError` if there is no space."""
        path = self.folder / name
        try:
            with open(path, "a", encoding="utf-8") as stream:
                stream.write(text)
        except OSError as error:
            raise _cannot(path, error) from error

    def sizes(self) -> dict[str, int]:
        """Bytes of each, all of them on the disk."""
        found = {}
        for name in self._names:
            with open(self.folder / name, "rb") as stream:
                os.fsync(stream.fileno())
                found[name] = os.fstat(stream.fileno()).st_size
        return found


def trajectory_name(state: int) -> str:
    """Extended XYZ of a state."""
    return f"trajectories/state-{state:03d}.extxyz"


def frame(
    one: Configuration,
    sample: Sample,
    elements: Sequence[str],
    words: Mapping[str, object],
) -> str:
    """A configuration as extended XYZ; `quorum reweight` reads energies of members from it."""
    x_hi, xy, xz, yz = one.box[3:6] - one.box[:3], *one.box[6:]
    lattice = [x_hi[0], 0.0, 0.0, xy, x_hi[1], 0.0, xz, yz, x_hi[2]]
    info = [
        f'Lattice="{" ".join(f"{v:.10g}" for v in lattice)}"',
        "Properties=species:S:1:pos:R:3",
        f"energy={sample.energy_eV:.15g}",
        f"step={sample.step}",
        *(f"{key}={value}" for key, value in words.items()),
    ]
    if len(sample.members_eV):
        info.append(f'energy_ensemble="{" ".join(f"{v:.15g}" for v in sample.members_eV)}"')
    stream = io.StringIO()
    stream.write(f'{len(one.rows)}\n{" ".join(info)} pbc="T T T"\n')
    for kind, x in zip(one.rows[:, TYPE].astype(int), one.rows[:, X] - one.box[:3], strict=True):
        stream.write(f"{elements[kind - 1]:2s} {x[0]:.8f} {x[1]:.8f} {x[2]:.8f}\n")
    return stream.getvalue()


def table_name(state: int) -> str:
    """Columns of a state."""
    return f"tables/state-{state:03d}.dat"


def table_head(header: Header, state: int) -> str:
    """The first lines of a state's table."""
    pressure = header.pressures_GPa[state]
    where = "constant volume" if pressure is None else f"{pressure:g} GPa"
    names = ["attempt", "step", "replica", "energy_eV", "volume_A3", "kinetic_K", *header.columns]
    return (
        f"# state {state}: {header.temperatures_K[state]:g} K, {where}; before each attempt\n"
        f"# {' '.join(names)}\n"
    )


def table_rows(rows: Rows, state: int) -> str:
    """Rows of a journal as lines of a state's table."""
    stream = io.StringIO()
    for row in rows:
        numbers = [row["energy_eV"][state], row["volume_A3"][state], row["kinetic_K"][state]]
        words = [f"{row['attempt']:8d} {row['step']:10d} {row['replicas'][state]:4d}"]
        words += [f"{v:.15g}" for v in (*numbers, *row["columns"][state])]
        stream.write(" ".join(words) + "\n")
    return stream.getvalue()


PATHS_NAME = "tables/replicas.dat"
PATHS_HEAD = "# attempt step, and after it the replica in each state\n"


def path_rows(rows: Rows) -> str:
    """Rows of a journal as lines of the table of replicas."""
    stream = io.StringIO()
    np.savetxt(stream, np.column_stack([rows["attempt"], rows["step"], rows["after"]]), fmt="%d")
    return stream.getvalue()


class RunFiles:
    """The journal, tables and trajectories of a run, on the ranks that write them.

    Attributes:
        journal: on rank 0 only, once it is open.
    """

    def __init__(self, file: RemdFile, layout: Layout) -> None:
        self.settings, self.folder, self.layout = file.settings, file.folder, layout
        self.growing = Growing(file.folder)
        self.journal: Journal | None = None
        self._lock: Any = None
        self._n_rows = 0  # that are in the tables

    def header(self, n_members: int, timestep_fs: float) -> Header:
        """Of the journal."""
        exchange, states = self.settings.exchange, self.settings.states
        return Header(
            states.temperatures_K,
            states.pressures_GPa,
            n_members,
            self.settings.output.columns,
            exchange.steps,
            timestep_fs,
            exchange.seed,
            exchange.scheme,
            exchange.per_attempt,
            "mean" if n_members else "LAMMPS",
            states.variables,
        )

    def lock(self) -> None:
        """Raises `QuorumError` if another run writes here."""
        self._lock = lock(self.folder / "lock")

    def check(self) -> None:
        """Raises `QuorumError` if the run that is there began with other settings."""
        known = read_header(self.folder)
        check_header(self.folder, known, self.header(known.n_members, known.timestep_fs))

    def open(self, facts: Facts, attempt: int, sizes: Mapping[str, int]) -> None:
        """Begin all files, or cut them to what they were at the checkpoint of an attempt."""
        if self.layout.is_root:
            for s in self.layout.own:
                name = trajectory_name(s)
                # none are asked for now, but there were: they are kept, and cut alike
                if self.settings.output.trajectory or name in sizes:
                    self.growing.begin(name, sizes.get(name, 0))
        if self.layout.world.rank != 0:
            return
        header = self.header(facts.n_members, facts.timestep_fs)
        self.journal = Journal(self.folder, header)
        if attempt:
            self.journal.resume(attempt)
        else:
            for name in _MADE_LATER:  # of what was here before
                (self.folder / name).unlink(missing_ok=True)
            self.journal.begin()
        self._n_rows = attempt
        self.growing.begin(PATHS_NAME, sizes.get(PATHS_NAME, 0), PATHS_HEAD)
        for s in range(len(header.temperatures_K)):
            name = table_name(s)
            self.growing.begin(name, sizes.get(name, 0), table_head(header, s))

    def write_frame(
        self, state: int, one: Configuration, sample: Sample, words: Mapping[str, object]
    ) -> None:
        """A frame of a state of this group, by its first rank."""
        if self.layout.is_root:
            text = frame(one, sample, self.settings.lammps.elements, words)
            self.growing.append(trajectory_name(state), text)

    def write_tables(self) -> None:
        """What the journal has, and the tables not yet."""
        if self.journal is None:
            return
        self.journal.sync()
        rows = self.journal.rows(self._n_rows)
        self._n_rows = self.journal.n_rows
        self.growing.append(PATHS_NAME, path_rows(rows))
        for s in range(len(self.journal.header.temperatures_K)):
            self.growing.append(table_name(s), table_rows(rows, s))

    def sizes(self) -> dict[str, int]:
        """Of the files of this rank, in bytes, all of them on the disk."""
        return self.growing.sizes()

    def close(self) -> None:
        """No more rows."""
        if self.journal is not None:
            self.journal.close()
        if self._lock is not None:
            self._lock.close()


def _cannot(path: Path, error: OSError) -> QuorumError:
    return QuorumError(
        f"{path}: cannot be written ({error.strerror}); make space or write permission, then "
        "continue from the last checkpoint with --resume"
    )
