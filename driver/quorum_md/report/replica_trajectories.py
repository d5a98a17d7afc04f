"""Trajectories of replicas, which wander through the states, from those of the states."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from ..errors import QuorumError

_REPLICA = re.compile(r"\breplica=(\d+)\b")
_ATTEMPT = re.compile(r"\battempt=(\d+)\b")


def by_replica(folder: str | os.PathLike[str]) -> list[Path]:
    """Write ``replica-NNN.extxyz`` beside the trajectories of the states.

    Args:
        folder: of a run of `quorum remd`.

    Returns:
        What was written.

    Raises:
        QuorumError: there are no trajectories, or their frames are not of the same attempts.
    """
    place = Path(folder) / "trajectories"
    states = sorted(place.glob("state-*.extxyz"))
    if not states:
        raise QuorumError(
            f"{place}: has no trajectories of states; set trajectory = 10 (attempts between "
            "frames) in [output] of run.toml"
        )
    targets = [place / one.name.replace("state", "replica") for one in states]
    parts = [one.with_name(f".{one.name}.part") for one in targets]
    try:
        with contextlib.ExitStack() as stack:
            sources = [stack.enter_context(open(one, encoding="utf-8")) for one in states]
            writers = [stack.enter_context(open(one, "w", encoding="utf-8")) for one in parts]
            # the last frames of a run that goes on may not be there yet in all states
            for frames in zip(*map(_frames, sources), strict=False):
                numbers = [int(_REPLICA.findall(text)[0]) for text in frames]
                attempts = sorted({int(_ATTEMPT.findall(text)[0]) for text in frames})
                if sorted(numbers) != list(range(len(states))) or len(attempts) > 1:
                    raise QuorumError(
                        f"{place}: frames of the states do not belong together (attempts "
                        f"{attempts}, replicas {numbers}); they are not of one run"
                    )
                for number, text in zip(numbers, frames, strict=True):
                    writers[number].write(text)
        for part, target in zip(parts, targets, strict=True):
            part.replace(target)
    except OSError as error:
        raise QuorumError(f"{place}: cannot be written ({error.strerror}); make space") from error
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    return targets


def _frames(stream: TextIO) -> Iterator[str]:
    """Frames that are complete, as they stand in the file."""
    while first := stream.readline():
        lines = [first, *(stream.readline() for _ in range(int(first) + 1))]
        if not lines[-1].endswith("\n"):
            return
        yield "".join(lines)
