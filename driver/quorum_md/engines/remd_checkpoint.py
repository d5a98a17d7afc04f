"""Checkpoints of replica exchange: a folder each, complete or not there.

    checkpoints/000100/            after attempt 100
        state-000.restart          LAMMPS: atoms, thermostats, barostats, fix quorum/swap
        state-000.forces           of the last step, in the order of the atom IDs
        manifest.json              exchanges, sizes of files that grow, SHA-256 of each file

They are written under another name and renamed when every file is on the disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import QuorumError

# with which LAMMPS begins and ends a restart file
MAGIC = b"LammpS RestartT\0"
_FORMAT = "quorum-md checkpoint"
_VERSION = 1


class Checkpoints:
    """The checkpoints in a folder; `begin`, files of the states, `finish`."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep

    def part(self, attempt: int) -> Path:
        """Where the files of a checkpoint are written."""
        return self.folder / f".{attempt:06d}.part"

    def place(self, attempt: int) -> Path:
        """Where it is when it is complete."""
        return self.folder / f"{attempt:06d}"

    def begin(self, attempt: int) -> None:
        """Make room for one; raises `QuorumError` if that cannot be."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(self.part(attempt), ignore_errors=True)
            self.part(attempt).mkdir()
        except OSError as error:
            raise self._cannot(attempt, error.strerror) from error

    def finish(self, attempt: int, content: Mapping[str, Any], n_files: int) -> None:
        """Check what was written, put it in its place, and remove the oldest ones.

        Args:
            content: of the manifest.
            n_files: that were written, by all ranks.

        Raises:
            QuorumError: a file is not complete (no space); older checkpoints are as they were.
        """
        part = self.part(attempt)
        try:
            hashes = {}
            for path in sorted(part.iterdir()):
                data = path.read_bytes()
                if path.suffix == ".restart" and not data.endswith(MAGIC):
                    raise self._cannot(attempt, f"{path.name} is not complete")
                hashes[path.name] = hashlib.sha256(data).hexdigest()
                _sync(path)
            if len(hashes) != n_files:
                raise self._cannot(attempt, f"{len(hashes)} of {n_files} files are to be seen")
            manifest = {"format": _FORMAT, "version": _VERSION, "attempt": attempt}
            text = json.dumps({**manifest, **content, "sha256": hashes}, indent=1)
            with open(part / "manifest.json", "w", encoding="utf-8") as stream:
                stream.write(text + "\n")
                stream.flush()
                os.fsync(stream.fileno())
            place = self.place(attempt)
            if place.exists():  # of a run that was continued from before it
                shutil.rmtree(place)
            os.replace(part, place)
            _sync(self.folder)
        except OSError as error:
            raise self._cannot(attempt, error.strerror) from error
        for old in self.found()[: -self.keep]:
            shutil.rmtree(self.place(old), ignore_errors=True)

    def found(self) -> list[int]:
        """Attempts of the checkpoints that are there, oldest first."""
        if not self.folder.is_dir():
            return []
        return sorted(int(one.name) for one in self.folder.iterdir() if one.name.isdigit())

    def read(self) -> dict[str, Any]:
        """The newest one's manifest, once its files are what they were.

        Raises:
            QuorumError: there is none, or it is damaged; the sentence names the one before it.
        """
        found = self.found()
        if not found:
            raise QuorumError(f"{self.folder}: has no checkpoint; start the run without --resume")
        place = self.place(found[-1])
        problem = ""
        content: dict[str, Any] = {}
        try:
            content = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
            if content["format"] != _FORMAT or content["version"] != _VERSION:
                problem = "is of another version"
            for name, known in content["sha256"].items():
                if hashlib.sha256((place / name).read_bytes()).hexdigest() != known:
                    problem = f"{name} is damaged"
        except (OSError, ValueError, KeyError, TypeError) as error:
            problem = f"cannot be read ({error})"
        if problem:
            before = self.place(found[-2]) if len(found) > 1 else None
            advice = (
                f"remove this folder to continue from {before}" if before else "start the run anew"
            )
            raise QuorumError(f"{place}: {problem}; {advice}")
        return content

    def _cannot(self, attempt: int, why: str | None) -> QuorumError:
        kept = self.found()
        last = f"the last one is {self.place(kept[-1])}" if kept else "there is none yet"
        return QuorumError(
            f"{self.place(attempt)}: the checkpoint cannot be written ({why}), {last}; make space "
            "or write permission, then continue with --resume"
        )


def restart_name(state: int) -> str:
    """Of the file that LAMMPS writes."""
    return f"state-{state:03d}.restart"


def write_forces(folder: Path, state: int, forces: npt.NDArray[np.float64]) -> None:
    """Raises `QuorumError` if there is no space."""
    path = folder / f"state-{state:03d}.forces"
    try:
        path.write_bytes(np.ascontiguousarray(forces).tobytes())
    except OSError as error:
        raise QuorumError(
            f"{path}: cannot be written ({error.strerror}); make space, then continue from the "
            "last checkpoint with --resume"
        ) from error


def read_forces(folder: Path, state: int) -> npt.NDArray[np.float64]:
    """(n, 3); raises `QuorumError` if they are not there."""
    path = folder / f"state-{state:03d}.forces"
    try:
        return np.frombuffer(path.read_bytes()).reshape(-1, 3)
    except OSError as error:
        raise QuorumError(
            f"{path}: cannot be read ({error.strerror}); all machines of a job need the folder"
        ) from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
