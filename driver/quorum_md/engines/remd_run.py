"""``mpiexec -n N quorum remd run.toml``: dynamics, exchange, records, checkpoints.

Every attempt: all states move; their energies go to rank 0, which decides; configurations travel;
the attempt is written. Decisions depend on the seed, the number of the attempt and the energies, so
that any number of ranks takes the same ones for the same energies.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import QuorumError
from ..sampling.exchange import Exchange, Mixing, reduced_energies
from .lammps_configuration import Array, Facts, Sample
from .remd_checkpoint import Checkpoints
from .remd_ensemble import Ensemble
from .remd_input import RemdFile
from .remd_layout import check_cores, choose_gpu, on_this_machine
from .remd_output import RunFiles
from .remd_scripts import script_identity

STOPPED = 3  # exit code of a run that left a checkpoint before its last attempt
_SAME_VOLUME = 1e-9  # relative
_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


@dataclass
class Progress:
    """What `run` tells the caller at every checkpoint, on rank 0."""

    folder: Path
    attempts: int
    of: int
    last: bool  # the run ends here, for whatever reason


def run(
    file: RemdFile,
    world: Any,
    *,
    resume: bool,
    report: Callable[[Progress], None] = lambda _: None,
    began: float | None = None,
) -> int:
    """Run all attempts, or those that are left.

    Args:
        world: mpi4py communicator.
        resume: from the newest checkpoint of the output folder.
        report: called on rank 0 after every checkpoint.
        began: of the job, by time.monotonic; now by default.

    Returns:
        0 if the last attempt is done, `STOPPED` if a signal or the time limit came first.

    Raises:
        QuorumError: on one rank or several; the caller must end the others (MPI_Abort).
    """
    began = time.monotonic() if began is None else began
    rank, n_ranks = on_this_machine(world)
    choose_gpu(rank)
    check_cores(rank, n_ranks)
    return _Run(file, world, began, report).go(resume)


class _Run:
    def __init__(
        self, file: RemdFile, world: Any, began: float, report: Callable[[Progress], None]
    ) -> None:
        self.file, self.began, self.report = file, began, report
        self.settings = file.settings
        self.states = self.settings.states.states
        n = len(self.states)
        self.ensemble = Ensemble(file, world)
        self.world = world
        self.folder = file.folder
        exchange = self.settings.exchange
        self.exchange = Exchange(n, exchange.seed, exchange.scheme, exchange.per_attempt)
        self.mixing = Mixing(n)
        self.checkpoints = Checkpoints(self.folder / "checkpoints", self.settings.checkpoint.keep)
        self.files = RunFiles(file, self.ensemble.layout)
        self._identity: dict[str, str] = {}
        self.attempt = 0
        self._signal = 0
        self._slowest_s = self._slowest_checkpoint_s = 0.0

    # --- the run ------------------------------------------------------------------------------

    def go(self, resume: bool) -> int:
        before = {number: signal.signal(number, self._hear) for number in _SIGNALS}
        try:
            return self._go(resume)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self.ensemble.close()
            self.files.close()

    def _go(self, resume: bool) -> int:
        sizes: dict[str, int] = {}
        if self.world.rank == 0:
            if not resume:
                self._make_folder()
            self.files.lock()
            self._identity = script_identity(self.file)
        self.world.Barrier()
        if resume:
            sizes = self._find()
            if self.attempt >= self.settings.exchange.attempts:
                if self.world.rank == 0:
                    self.report(Progress(self.folder, self.attempt, self.attempt, True))
                return 0
        else:
            if self.world.rank == 0:
                self._refuse_a_second_run()
                self.checkpoints.begin(0)
            self.world.Barrier()
            self.ensemble.begin(self.checkpoints.part(0))
            self.mixing.add(self.exchange.permutation)
            self._finish(0, {}, False)
        facts = self._build()
        self.files.open(facts, self.attempt, sizes)
        return self._loop()

    def _loop(self) -> int:
        last = self.settings.exchange.attempts
        every = self.settings.checkpoint.every
        while self.attempt < last:
            start = time.monotonic()
            self._one()
            done = self.attempt
            stop = self._must_stop(time.monotonic() - start)
            if done % every == 0 or done == last or stop:
                start = time.monotonic()
                self._checkpoint(last=done == last or stop)
                if done == last or stop:
                    break
                self._build()
                self._slowest_checkpoint_s = max(
                    self._slowest_checkpoint_s, time.monotonic() - start
                )
        return 0 if self.attempt >= last else STOPPED

    def _one(self) -> None:
        """One attempt."""
        samples = self.ensemble.advance(self.settings.exchange.steps)
        self.attempt += 1
        every = self.settings.output.trajectory
        if every and self.attempt % every == 0:
            self._write_frames(samples)
        wanted = None
        if self.settings.states.variables:
            # of replicas, in the order of their states
            of_states = self.exchange.wanted(self.attempt - 1)[self.exchange.permutation]
            wanted = self.world.bcast(of_states)
        energies = self.ensemble.crossed(samples, wanted)
        self.ensemble.exchange(self._decide(samples, energies), energies)

    def _decide(self, samples: list[Sample], crossed: Array) -> npt.NDArray[np.int64]:
        """(S,) state from which each state's configuration comes, on all ranks."""
        sources = np.arange(len(self.states))
        journal = self.files.journal
        if journal is not None:  # rank 0
            row = journal.row()
            before = self.exchange.permutation.copy()
            place = np.argsort(before)  # state of each replica
            volumes = np.array([one.volume_A3 for one in samples])
            self._check_volumes(volumes)
            row["crossed_eV"] = crossed if self.settings.states.variables else np.empty((0, 0))
            # what is not known is not read
            known = np.where(np.isnan(crossed), np.inf, crossed)
            u = reduced_energies(known[place], self.states, volumes[place])
            after = self.exchange.attempt(u, self.attempt - 1).permutation
            self.mixing.add(after)
            sources = place[after]
            row["attempt"], row["step"] = self.attempt, samples[0].step
            row["replicas"], row["after"] = before, after
            row["energy_eV"], row["volume_A3"] = np.diagonal(crossed), volumes
            row["kinetic_K"] = [one.kinetic_K for one in samples]
            row["members_eV"] = [one.members_eV for one in samples]
            row["columns"] = [one.columns for one in samples]
            journal.append(row)
        self.world.Bcast(sources)
        return sources

    def _check_volumes(self, volumes: Array) -> None:
        """Without a pressure, decisions leave out the work of a volume that changes."""
        constant = self.settings.states.pressure_GPa is None
        if constant and np.ptp(volumes) > _SAME_VOLUME * volumes[0]:
            raise QuorumError(
                f"{self.file.path}: [states]: pressure_GPa is missing, but the volume changes "
                f"({volumes.min():.6g} to {volumes.max():.6g} Å³); give it, and ${{pressure}} to "
                "the barostat of the script, or leave out what changes the box"
            )

    # --- begin, build, checkpoint -------------------------------------------------------------

    def _make_folder(self) -> None:
        for name in ("logs", "tables", "trajectories", "checkpoints"):
            try:
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise QuorumError(
                    f"{self.folder / name}: cannot be made ({error.strerror}); give an [output] "
                    f"folder that you may write to in {self.file.path}"
                ) from error

    def _refuse_a_second_run(self) -> None:
        # a start that failed before the first attempt is no run
        if any(self.checkpoints.found()):
            raise QuorumError(
                f"{self.folder}: has a run already; continue it with --resume, or give another "
                f"[output] folder in {self.file.path}"
            )

    def _find(self) -> dict[str, int]:
        """Go on where the newest checkpoint is; sizes of the files at that time."""
        content = self.world.bcast(self.checkpoints.read() if self.world.rank == 0 else None)
        if len(content["exchange"]["permutation"]) != len(self.states):
            raise QuorumError(
                f"{self.file.path}: [states]: temperatures_K: got {len(self.states)}, but the "
                f"checkpoint has {len(content['exchange']['permutation'])} states; change it back, "
                "or start anew in another folder"
            )
        if self.world.rank == 0:
            self._compare_scripts(content.get("scripts", {}))
        self.attempt = int(content["attempt"])
        if self.attempt and self.world.rank == 0:  # before LAMMPS starts
            self.files.check()
        self.exchange.restore(content["exchange"])
        self.mixing.restore(content["mixing"])
        return dict(content["sizes"])

    def _compare_scripts(self, known: dict[str, str]) -> None:
        """Raises `QuorumError` if what decides the laws of the states is not what it was."""
        changed = [name for name, digest in known.items() if self._identity.get(name) != digest]
        if changed:
            raise QuorumError(
                f"{self.file.path}: [lammps]: {', '.join(changed)} changed since the checkpoint in "
                "more than what it reports, and a run has one law for each state; change it back, "
                "or start anew in another folder"
            )

    def _build(self) -> Facts:
        return self.ensemble.build(self.checkpoints.place(self.attempt), self.attempt)

    def _checkpoint(self, last: bool) -> None:
        if self.world.rank == 0:
            self.checkpoints.begin(self.attempt)
        self.world.Barrier()
        self.ensemble.save(self.checkpoints.part(self.attempt))
        self.files.write_tables()
        parts = self.world.gather(self.files.sizes())
        sizes = {k: v for part in parts or [] for k, v in part.items()}
        self._finish(self.attempt, sizes, last)

    def _finish(self, attempt: int, sizes: dict[str, int], last: bool) -> None:
        self.world.Barrier()  # all files are there
        if self.world.rank == 0:
            self.checkpoints.finish(
                attempt,
                {
                    "exchange": self.exchange.state(),
                    "mixing": self.mixing.state(),
                    "sizes": sizes,
                    "scripts": self._identity,
                },
                2 * len(self.states) if attempt else len(self.states),
            )
            if attempt:
                self.report(Progress(self.folder, attempt, self.settings.exchange.attempts, last))
        self.world.Barrier()

    def _write_frames(self, samples: list[Sample]) -> None:
        replicas = self.world.bcast(self.exchange.permutation)
        for s, one in self.ensemble.configurations().items():
            about = {"attempt": self.attempt, "state": s, "replica": replicas[s]}
            self.files.write_frame(s, one, samples[s], about)

    # --- the end ------------------------------------------------------------------------------

    def _hear(self, number: int, _: object) -> None:
        if self._signal == number == signal.SIGINT:
            raise KeyboardInterrupt
        self._signal = number

    def _must_stop(self, took_s: float) -> bool:
        """A signal on any rank, or no time for another attempt and its checkpoint."""
        self._slowest_s = max(self._slowest_s, took_s)
        elapsed = time.monotonic() - self.began
        needed = 2 * (self._slowest_s + self._slowest_checkpoint_s)
        late = elapsed + needed > self.settings.checkpoint.time_limit_s
        return bool(self.world.allreduce(int(bool(self._signal) or late)))
