"""What a run of replica exchange has done, attempt by attempt, while it runs.

Two files: ``journal.json`` says what a row is, ``journal.bin`` has rows of one size, appended. A
crash costs at most the last row, a checkpoint remembers how many rows there were, and a reader may
look at any time. Energies, volumes and columns of a row are those of the stretch of dynamics before
the attempt, `replicas` the permutation during it, `after` the one that the attempt led to.
"""

from __future__ import annotations

import errno
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..atomic import write_atomically
from ..errors import QuorumError
from .exchange.states import State, reduced_energies

Rows = npt.NDArray[np.void]
FORMAT = "quorum-md journal"
VERSION = 1


@dataclass(frozen=True)
class Header:
    """What the rows of a journal are.

    Attributes:
        temperatures_K, pressures_GPa: of the states; pressures are None at constant volume.
        n_members: of the committee; 0 without one.
        columns: further quantities of every state.
        steps: of dynamics between attempts.
        timestep_fs: of the dynamics.
        seed, scheme, per_attempt: of the exchanges.
        driven_by: what the forces were from.
        parameters: by which the potentials of the states differ, one number for each state.
    """

    temperatures_K: tuple[float, ...]
    pressures_GPa: tuple[float | None, ...]
    n_members: int
    columns: tuple[str, ...]
    steps: int
    timestep_fs: float
    seed: int
    scheme: str
    per_attempt: int
    driven_by: str
    parameters: dict[str, tuple[float, ...]] = field(default_factory=dict)

    def dtype(self) -> np.dtype[np.void]:
        """Of a row."""
        n = len(self.temperatures_K)
        return np.dtype(
            [
                ("attempt", "<i8"),
                ("step", "<i8"),
                ("energy_eV", "<f8", (n,)),
                ("volume_A3", "<f8", (n,)),
                ("kinetic_K", "<f8", (n,)),
                ("members_eV", "<f8", (n, self.n_members)),
                ("columns", "<f8", (n, len(self.columns))),
                # of the configuration of each state in every state, nan where nobody asked
                ("crossed_eV", "<f8", (n, n) if self.parameters else (0, 0)),
                ("replicas", "<i4", (n,)),
                ("after", "<i4", (n,)),
            ]
        )


class Journal:
    """Appends rows; `open` continues after `n_rows` and forgets what was written later."""

    def __init__(self, folder: str | os.PathLike[str], header: Header) -> None:
        self.folder, self.header = Path(folder), header
        self._dtype = header.dtype()
        self._file: Any = None
        self.n_rows = 0

    def begin(self) -> None:
        """Make both files, or raise `QuorumError`."""
        content = {"format": FORMAT, "version": VERSION, **asdict(self.header)}
        write_atomically(self.folder / "journal.json", json.dumps(content, indent=1) + "\n")
        self._open(0)

    def resume(self, n_rows: int) -> None:
        """Go on after so many rows.

        Raises:
            QuorumError: another header, fewer rows than that.
        """
        check_header(self.folder, read_header(self.folder), self.header)
        path = self.folder / "journal.bin"
        if not path.exists() or path.stat().st_size < n_rows * self._dtype.itemsize:
            raise QuorumError(
                f"{path}: has fewer than the {n_rows} rows of the checkpoint; put it back, or "
                "start anew in another folder"
            )
        self._open(n_rows)

    def row(self) -> Rows:
        """An empty row to fill."""
        return np.zeros(1, dtype=self._dtype)

    def append(self, row: Rows) -> None:
        """Write rows; raises `QuorumError` if there is no space."""
        self._do(lambda: self._write(row.tobytes()))
        self.n_rows += len(row)

    def rows(self, start: int) -> Rows:
        """From row `start` on, in memory."""
        count = self.n_rows - start
        offset = start * self._dtype.itemsize
        return np.fromfile(self.folder / "journal.bin", self._dtype, count, offset=offset)

    def sync(self) -> None:
        """Make sure that all rows are on the disk."""
        self._do(lambda: os.fsync(self._file.fileno()))

    def close(self) -> None:
        """No more rows."""
        if self._file is not None:
            self._file.close()

    def _open(self, n_rows: int) -> None:
        def act() -> None:
            path = self.folder / "journal.bin"
            path.touch()
            self._file = open(path, "r+b", buffering=0)
            self._file.truncate(n_rows * self._dtype.itemsize)
            self._file.seek(0, os.SEEK_END)

        self._do(act)
        self.n_rows = n_rows

    def _write(self, data: bytes) -> None:
        if self._file.write(data) < len(data):  # the last that a disk has room for
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _do(self, act: Any) -> None:
        try:
            act()
        except OSError as error:
            raise QuorumError(
                f"{self.folder / 'journal.bin'}: cannot be written ({error.strerror}); make space, "
                "then continue from the checkpoint with --resume"
            ) from error


def reduced_matrix(header: Header, row: Rows) -> npt.NDArray[np.float64]:
    """(S, S) u of the configuration of each state in every state; inf where nobody asked."""
    states = tuple(map(State, header.temperatures_K, header.pressures_GPa))
    energies = row["energy_eV"]
    if header.parameters:
        energies = np.where(np.isnan(row["crossed_eV"]), np.inf, row["crossed_eV"])
    return reduced_energies(energies, states, row["volume_A3"])


def read_header(folder: str | os.PathLike[str]) -> Header:
    """What the rows are.

    Raises:
        QuorumError: no journal there, or one of another version.
    """
    path = Path(folder) / "journal.json"
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise QuorumError(
            f"{path}: cannot be read ({error.strerror}); give the run.toml, or the folder, of a "
            "run of `quorum remd`"
        ) from error
    except ValueError as error:
        raise QuorumError(f"{path}: is damaged ({error}); no journal of quorum remd") from error
    if content.pop("format", None) != FORMAT or content.pop("version", None) != VERSION:
        raise QuorumError(f"{path}: is no journal of this version of quorum remd")
    return header_of(content)


def check_header(folder: str | os.PathLike[str], known: Header, header: Header) -> None:
    """Raises `QuorumError` if a run is not continued with what it began with."""
    different = [k for k, v in asdict(known).items() if v != getattr(header, k)]
    if different:
        raise QuorumError(
            f"{Path(folder) / 'journal.json'}: was written with other {', '.join(different)}; a "
            "run is continued with what it began with: change run.toml back, or start anew in "
            "another folder"
        )


def header_of(content: dict[str, Any]) -> Header:
    """From what JSON has of it."""
    lists = ("temperatures_K", "pressures_GPa", "columns")
    parameters = {name: tuple(values) for name, values in content["parameters"].items()}
    changed = {name: tuple(content[name]) for name in lists}
    return Header(**{**content, **changed, "parameters": parameters})


def read_rows(folder: str | os.PathLike[str]) -> tuple[Header, Rows]:
    """The rows that are complete, not in memory but on the disk."""
    header = read_header(folder)
    dtype = header.dtype()
    path = Path(folder) / "journal.bin"
    n = path.stat().st_size // dtype.itemsize if path.exists() else 0
    if not n:
        return header, np.zeros(0, dtype=dtype)
    return header, np.memmap(path, dtype=dtype, mode="r", shape=(n,))
