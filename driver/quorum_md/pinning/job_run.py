"""One job: its stages one after the other, in blocks that end with a checkpoint.

Every block begins from the file that the one before it wrote, so that a job that is continued does
what one does that was not interrupted.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..engines.pin_stage import COLUMNS, Engine, EngineFacts, Stage
from ..errors import QuorumError
from .job_folder import Checkpoint, JobFolder

_Q = COLUMNS.index("q")
# a crystal that withstands its superheating is heated by this factor, so often
_HOTTER, _AT_MOST = 1.3, 4


class JobRun:
    """A job on the ranks of a group.

    Args:
        engine: closed.
        stages: of the job.
        begin: writes the state to start from, given the attempt's seed and the path.
        about: of job.json, but for what the engine knows.
        stop: whether to leave at the next row, the same on all ranks.
        tell: called with the number of steps done.
    """

    def __init__(self, folder: JobFolder, engine: Engine, comm: Any, *, stages: list[Stage],
                 begin: Callable[[int, Path], None], about: dict[str, Any], seed: int,
                 interval: int, block: int, stop: Callable[[float], bool],
                 tell: Callable[[int], None]) -> None:  # fmt: skip
        self.folder, self.engine, self.comm = folder, engine, comm
        self.stages, self.begin, self.about, self.seed = stages, begin, about, seed
        self.interval, self.block, self.stop, self.tell = interval, block, stop, tell
        self.root = comm.rank == 0

    def run(self, at: Checkpoint | None) -> bool:
        """Go on to the end; False if it was stopped before.

        Args:
            at: where it is, the same on all ranks; None or without a state: its beginning.
        """
        at = at or Checkpoint()
        if not at.state:
            at.state = f"state-000000{self.engine.suffix}"
            if self.root:
                self.folder.cut(0)
            self.begin(self.seed_of(at, 0), self.folder.path / at.state)
        elif self.root:
            self.folder.cut(at.bytes)
        try:
            while at.stage < len(self.stages):
                if not self._block(at):
                    return False
        except QuorumError as error:
            if self.root and self.folder.content():
                self.folder.write(
                    {**self.folder.content(), "status": "failed", "reason": str(error)}
                )
            raise
        finally:
            self.engine.close()
        return True

    def seed_of(self, at: Checkpoint, number: int) -> int:
        """Of velocities and noise: another one for each job, attempt and block."""
        name = zlib.crc32(self.folder.job.name.encode())
        words = np.random.SeedSequence([self.seed, name, at.attempt, number]).generate_state(1)
        return int(words[0] % 900_000_000) + 1

    def _block(self, at: Checkpoint) -> bool:
        """Some steps of a stage, and a checkpoint."""
        stage = self.stages[at.stage]
        stage = replace(stage, temperature_K=stage.temperature_K * _HOTTER**at.hotter)
        place = self.folder.path
        facts = self.engine.open(
            stage, place / at.state, self.seed_of(at, at.block + 1), at.done == 0
        )
        if self.root:
            self._write_job(at, facts)
        wanted = min(self.block, stage.steps - at.done)
        before = sum(one.steps for one in self.stages[: at.stage])
        rows, done, stopped = [], 0, False
        while done < wanted and not stopped:
            start = time.monotonic()
            self.engine.advance(self.interval)
            done += self.interval
            if stage.recorded:
                row = self.engine.row()
                time_fs = (at.done + done) * facts.timestep_fs
                rows.append(f"{time_fs:.10g} {' '.join(f'{x:.12g}' for x in row)}\n")
            self.tell(before + at.done + done)
            stopped = self.stop(time.monotonic() - start)
        at.block += 1
        at.done += done
        if at.done >= stage.steps:
            self._after(stage, at)
        at.state = f"state-{at.block:06d}{self.engine.suffix}"
        self.engine.save(place / at.state)
        if self.root:
            head = _head(facts, self.about) if stage.recorded else ""
            self.folder.finish_block(at, rows, head)
        self.comm.Barrier()
        return not stopped or at.stage == len(self.stages)

    def _after(self, stage: Stage, at: Checkpoint) -> None:
        """The next stage, or this one again, hotter."""
        at.done = 0
        if stage.order is None or stage.molten(q := float(self.engine.row()[_Q])):
            at.stage, at.hotter = at.stage + 1, 0
            return
        at.hotter += 1
        if at.hotter > _AT_MOST:
            raise QuorumError(
                f"{self.folder.job.name}: is not molten after {stage.steps} steps at "
                f"{stage.temperature_K:.0f} K (the order parameter is {q:.4g}, "
                f"{stage.order_from:.4g} in the crystal, expected it beyond {stage.order:.4g}); "
                "give a higher melt_K or more melt_steps in [run]"
            )

    def _write_job(self, at: Checkpoint, facts: EngineFacts) -> None:
        content = {
            **self.about,
            "interval_fs": self.interval * facts.timestep_fs,
            "timestep_fs": facts.timestep_fs,
            "n_members": facts.n_members,
            "seed": self.seed,
            "status": "running",
            "attempt": at.attempt,
            "reason": None,
            "refused": at.refused,
        }
        if content != self.folder.content():
            self.folder.write(content)


def _head(facts: EngineFacts, about: dict[str, Any]) -> str:
    members = [f"member_{k}_eV" for k in range(facts.n_members)]
    return (
        f"# {about['kind']}, {about['temperature_K']:g} K, {about['pressure_GPa']:g} GPa; "
        f"q: {about['order_parameter']}\n"
        "# potential_eV is without the bias; pressures are those that the barostat sees\n"
        f"# time_fs {' '.join((*COLUMNS, *members))}\n"
    )
