"""``quorum pin prepare | run``: bulk phases, bias, pinned runs, next temperatures; or one job.

Jobs of a phase are shared out among groups of ranks; each job can as well be run by itself, in a
batch job of its own (`only`). What is done is on disk and is not done again, so that a run that was
stopped, killed or extended by more temperatures goes on when it is started again.
"""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from ..atomic import write_atomically
from ..errors import QuorumError
from ..toml_input import nearest
from .planned import Planned, bulk_jobs, pinned_jobs
from .ready import Ready, folder_of, make_ready
from .run_input import PinFile, read_pin
from .tasks import News, Tasks
from .window import Window

STOPPED = 3  # exit code of a run that left a checkpoint before its end
TEMPERATURES = "temperatures.json"
PREPARED = "prepared.dat"
_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
_NEAR = 0.005  # of a temperature: "find" ends there if nothing else is said


class Workflow:
    """A run on the ranks of `world`.

    Args:
        began: of the job, by time.monotonic.
        report: called with `News`.
    """

    def __init__(
        self,
        ready: Ready,
        world: Any,
        report: Callable[[News], None] = lambda _: None,
        began: float | None = None,
    ) -> None:
        self.ready, self.world, self.report = ready, world, report
        self.began = time.monotonic() if began is None else began
        self.file, self.settings = ready.file, ready.file.settings
        need_plugin(ready)
        ranks = self.settings.potential.ranks_per_job
        if world.size % ranks:
            raise self.file.error(
                "potential",
                f"ranks_per_job: {ranks} does not divide the {world.size} ranks of this job; start "
                "it with a multiple of it",
            )
        self.n_groups = world.size // ranks
        self.number = world.rank // ranks
        self.group = world.Split(self.number, world.rank) if world.size > 1 else world
        self.tasks = Tasks(ready, self.group, self._must_stop, report)
        self._signal = 0
        self._slowest_s = 0.0

    # --- what the user asks for ---------------------------------------------------------------

    def prepare(self) -> int:
        """Bulk runs and the bias of the temperatures that are known; the exit code."""
        with self._signals():
            if not self._phase(bulk_jobs(self.file, temperatures(self.file))):
                return STOPPED
        self._windows()
        return 0

    def run(self) -> int:
        """Everything that is not done yet; the exit code."""
        with self._signals():
            while True:
                known = temperatures(self.file)
                if not self._phase(bulk_jobs(self.file, known)):
                    return STOPPED
                refused = self._windows()
                wanted = pinned_jobs(self.file, known)
                if not self._phase(
                    [job for job in wanted if replace(job, number=0) not in refused]
                ):
                    return STOPPED
                if not self.settings.state.finds or not self._next(known, refused):
                    return 0

    def only(self, name: str) -> int:
        """One job, by name or by its number in `jobs` (from 0); the exit code."""
        if self.n_groups > 1:
            raise self.file.error(
                "potential",
                f"ranks_per_job: got {self.group.size} of the {self.world.size} ranks of this job, "
                "expected all of them for one job alone; start it with that many ranks",
            )
        known = jobs(self.file)
        names = [job.name for job in known]
        if name.isdigit() and self.settings.state.finds:
            raise QuorumError(
                f'pin: {name}: with temperatures_K = "find" numbers change as temperatures are '
                "found; give the name of the job (--list has them)"
            )
        if name.isdigit() and int(name) < len(known):
            job = known[int(name)]
        elif name in names:
            job = known[names.index(name)]
        else:
            raise QuorumError(f'pin: there is no job "{name}"; {nearest(name, names)}')
        with self._signals():
            return 0 if self.tasks.run(job) else STOPPED

    # --- phases -------------------------------------------------------------------------------

    def _phase(self, jobs: list[Planned]) -> bool:
        """All jobs, shared out; False if a signal or the time limit came first."""
        whole = True
        # equal jobs in turn: solids and liquids of one temperature go to different groups
        for job in jobs[self.number :: self.n_groups]:
            whole = whole and self.tasks.run(job)
        return bool(self.world.allreduce(int(not whole)) == 0)

    def _windows(self) -> list[Planned]:
        """The table of what was chosen; jobs of the first seed for which nothing can be.

        Raises:
            QuorumError: there are no others.
        """
        refused: list[Planned] = self.world.bcast(self._choose() if self.world.rank == 0 else None)
        return refused

    def _choose(self) -> list[Planned]:
        lines = [f"# {self.ready.variable.text}", Window.HEAD]
        refused: list[Planned] = []
        problem = None
        wanted = [job for job in pinned_jobs(self.file, temperatures(self.file)) if not job.number]
        for job in wanted:
            try:
                lines.append(self.tasks.window(job, self.tasks.bulk(job)).row())
            except QuorumError as error:
                refused.append(job)
                problem = problem or error
                lines.append(f"# left out: {job.name}: {error}{self._way_out()}")
        if problem and len(refused) == len(wanted):
            raise QuorumError(f"{problem}{self._way_out()}")
        text = "\n".join(lines) + "\n"
        path = self.file.folder / PREPARED
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_atomically(path, text)
            self.report(News("", text=text))
        return refused

    def _way_out(self) -> str:
        path = self.file.folder / TEMPERATURES
        if not self.settings.state.finds or not path.exists():
            return ""
        return f"; {path} has the temperatures that were found, from which one may be removed"

    def _next(self, known: tuple[float, ...], refused: list[Planned]) -> bool:
        """Choose another temperature; False if the melting point is found, or cannot be."""
        chosen = self.world.bcast(self._newton(known, refused) if self.world.rank == 0 else None)
        if chosen is None:
            return False
        if self.world.rank == 0:
            write_atomically(
                self.file.folder / TEMPERATURES, json.dumps(sorted([*known, chosen])) + "\n"
            )
        self.world.Barrier()
        return True

    def _newton(self, known: tuple[float, ...], refused: list[Planned]) -> float | None:
        from .analysis import analyse

        state = self.settings.state
        kelvin = analyse(self.file.folder).next_temperature_K()
        if kelvin is None:
            self.report(News("", text="no further temperature can be chosen; see pin analyse"))
            return None
        kelvin = round(kelvin, 1)
        nearest_K = min(known, key=lambda one: abs(kelvin - one))
        near = abs(kelvin - nearest_K)
        inside = min(known) <= kelvin <= max(known)
        if inside and near <= (state.tolerance_K or _NEAR * kelvin):
            if any(job.temperature_K == nearest_K for job in refused):
                text = f"the next temperature would be {kelvin:g} K, near one that was left out"
                self.report(News("", text=f"{text}: see {PREPARED}{self._way_out()}"))
            return None
        if len(known) >= state.at_most:
            self.report(
                News("", text=f"at_most = {state.at_most} temperatures are done, the next would be "
                              f"{kelvin:g} K")
            )  # fmt: skip
            return None
        self.report(News("", text=f"next temperature {kelvin:g} K"))
        return kelvin

    # --- the end ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._hear) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hear(self, number: int, _: object) -> None:
        self._signal = number

    def _must_stop(self, took_s: float) -> bool:
        """A signal on any rank of the group, or no time for more than a checkpoint."""
        self._slowest_s = max(self._slowest_s, took_s)
        late = time.monotonic() - self.began + 3 * self._slowest_s + 5.0
        stop = bool(self._signal) or late > self.settings.output.time_limit_s
        return bool(self.group.allreduce(int(stop)))


def need_plugin(ready: Ready) -> None:
    """Raises `QuorumError` where LAMMPS needs our plugin and has it not."""
    if ready.file.settings.potential.engine == "lammps":
        from ..engines.pin_lammps import check_plugin

        check_plugin(ready.variable)


def jobs(file: PinFile) -> list[Planned]:
    """Of all temperatures that are known, in an order in which they can run."""
    known = temperatures(file)
    return [*bulk_jobs(file, known), *pinned_jobs(file, known)]


def temperatures(file: PinFile) -> tuple[float, ...]:
    """Those of run.toml; of "find", those that were chosen so far."""
    state = file.settings.state
    path = file.folder / TEMPERATURES
    if not state.finds or not path.exists():
        return state.first_K
    try:
        known = tuple(map(float, json.loads(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError, TypeError) as error:
        raise QuorumError(f"{path}: cannot be read ({error}); remove it") from error
    if not set(known) & set(state.first_K):
        raise file.error(
            "state",
            f"guess_K: got {state.guess_K:g}, but {path} has {' '.join(f'{t:g}' for t in known)} K "
            "of another guess; remove it to begin with the new one, or put the old one back",
        )
    return known


def run(
    path: str,
    world: Any,
    *,
    prepare: bool = False,
    report: Callable[[News], None] = lambda _: None,
) -> int:
    """`quorum pin run` (or `prepare`) from Python.

    Args:
        path: of run.toml.
        world: mpi4py communicator, `MPI.COMM_WORLD`; all its ranks call this.
        report: called with `News`.

    Returns:
        0 if all is done, `STOPPED` if a signal or the time limit came first.

    Raises:
        QuorumError: on one rank or several; the caller must end the others (MPI_Abort).
    """
    file = read_pin(path)
    with contextlib.chdir(file.root):  # scripts have paths of their own
        workflow = Workflow(make_ready(file), world, report)
        folder_of(file)
        return workflow.prepare() if prepare else workflow.run()
