"""The files of one job of interface pinning.

job.json            what it is, for the analysis
series.dat          rows of the production
checkpoint.json     where it goes on: stage, steps, length of series.dat, file of the state
state-000012.restart
refused-0/          what an attempt left that the analysis refused
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..atomic import lock, write_atomically
from ..errors import QuorumError
from .jobs_on_disk import JOB, SERIES
from .planned import Planned

CHECKPOINT = "checkpoint.json"
_FORMAT = "quorum-md pin"


@dataclass
class Checkpoint:
    """Where a job goes on.

    Attributes:
        stage, done: index, and steps done of it.
        block: number of blocks so far, from which noise takes its seed.
        bytes: length of series.dat.
        state: name of the file of the configuration.
        hotter: how often the present stage was done again because order was left.
        attempt: how often the analysis has refused it.
        refused: why, each time.
    """

    stage: int = 0
    done: int = 0
    block: int = 0
    bytes: int = 0
    state: str = ""
    hotter: int = 0
    attempt: int = 0
    refused: list[dict[str, Any]] = field(default_factory=list)


class JobFolder:
    """The files of a job; written by the first rank of its group."""

    def __init__(self, root: Path, job: Planned) -> None:
        self.path = root / job.name
        self.job = job

    def status(self) -> str:
        """ "new", "running", "done" or "failed"."""
        return str(self.content().get("status", "new"))

    def content(self) -> dict[str, Any]:
        """job.json; empty if there is none."""
        try:
            content = json.loads((self.path / JOB).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise QuorumError(
                f"{self.path / JOB}: cannot be read ({error}); remove this folder to run the job "
                "again"
            ) from error
        return dict(content)

    def write(self, content: dict[str, Any]) -> None:
        """Replace job.json."""
        write_atomically(self.path / JOB, json.dumps(content, indent=1) + "\n")

    def checkpoint(self) -> Checkpoint | None:
        """The last one, or None.

        Raises:
            QuorumError: it, or a file that it names, is damaged.
        """
        path = self.path / CHECKPOINT
        if not path.exists():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            digest = content.pop("sha256")
            if content.pop("format") != _FORMAT:
                raise ValueError("another format")
            found = Checkpoint(**content)
            same = not found.state or digest == _digest(self.path / found.state)
            series = self.path / SERIES
            enough = found.bytes == 0 or series.stat().st_size >= found.bytes
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise QuorumError(
                f"{path}: cannot be read ({error}); remove {self.path} to run the job again"
            ) from error
        if not found.state and found.attempt and (self.path / SERIES).exists():
            self._set_aside(found.attempt - 1)  # it was killed while it began again
        if not (same and enough):
            what = SERIES if same else found.state
            raise QuorumError(
                f"{self.path / what}: is not what it was at the checkpoint; put it back, or remove "
                f"{self.path} to run the job again"
            )
        return found

    def n_rows(self, at: Checkpoint) -> int:
        """Rows of series.dat that a checkpoint counts."""
        if at.bytes == 0:
            return 0
        with open(self.path / SERIES, "rb") as stream:
            lines = stream.read(at.bytes).splitlines()
        return sum(not line.startswith(b"#") for line in lines)

    def finish_block(self, new: Checkpoint, rows: list[str], head: str) -> None:
        """Rows first, then the checkpoint that counts them; the state file is there already."""
        try:
            if rows or (new.bytes == 0 and head):
                with open(self.path / SERIES, "a", encoding="utf-8") as stream:
                    stream.write((head if new.bytes == 0 else "") + "".join(rows))
                    stream.flush()
                    os.fsync(stream.fileno())
                    new.bytes = os.fstat(stream.fileno()).st_size
            digest = _digest(self.path / new.state)
        except OSError as error:
            raise self._cannot(error) from error
        self._write_checkpoint(new, digest)
        for old in self.path.glob("state-*"):
            if old.stem != Path(new.state).stem:  # an engine may have more than one file
                old.unlink(missing_ok=True)

    def begin_again(self, new: Checkpoint) -> None:
        """A new attempt; what the one before left goes out of the way of the analysis."""
        self._write_checkpoint(new, "")
        self._set_aside(new.attempt - 1)

    def _write_checkpoint(self, new: Checkpoint, digest: str) -> None:
        content = {"format": _FORMAT, **new.__dict__, "sha256": digest}
        write_atomically(self.path / CHECKPOINT, json.dumps(content, indent=1) + "\n")

    def cut(self, size: int) -> None:
        """Forget rows after a checkpoint."""
        path = self.path / SERIES
        try:
            if path.exists():
                os.truncate(path, size)
        except OSError as error:
            raise self._cannot(error) from error

    def make(self) -> None:
        """The folder."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._cannot(error) from error

    def _set_aside(self, attempt: int) -> None:
        place = self.path / f"refused-{attempt}"
        place.mkdir(exist_ok=True)
        for name in (JOB, SERIES):
            if (self.path / name).exists():
                os.replace(self.path / name, place / name)
        for old in self.path.glob("state-*"):
            old.unlink(missing_ok=True)

    def locked(self) -> Any:
        """Held until it is closed: one run at a time, where the file system has locks."""
        return lock(self.path / ".lock")

    def _cannot(self, error: OSError) -> QuorumError:
        return QuorumError(
            f"{self.path}: cannot be written ({error.strerror}); make space or write permission, "
            "then start again: it goes on from the last checkpoint"
        )


def _digest(path: Path) -> str:
    """SHA-256 of the files of a state, which are on the disk then."""
    digest = hashlib.sha256()
    path.stat()  # it is there
    for one in sorted(path.parent.glob(f"{path.stem}.*")):
        with open(one, "rb") as stream:
            os.fsync(stream.fileno())
            digest.update(stream.read())
    return digest.hexdigest()
