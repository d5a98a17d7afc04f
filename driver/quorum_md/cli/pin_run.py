"""``quorum pin prepare | run``: bulk phases, bias and pinned runs, on a laptop or under MPI."""

import argparse
import contextlib
import sys
import time
from typing import TYPE_CHECKING, Any

from .parallel import end_all, world_of

if TYPE_CHECKING:
    from ..pinning.tasks import News

EPILOG = """\
run.toml (inputs/runs/pin.toml is one to copy, with comments; paths are relative to it):
  [crystal]
  structure = "fcc"               # as in ase.build.bulk; or file = "crystal.cif"
  formula = "Ar"
  lattice_A = 5.45
  [state]
  temperatures_K = [92, 96, 100]  # or "find" with guess_K
  pressure_GPa = 0.09
  [potential]
  script = "in.potential"         # pair_style, masses, timestep
  elements = ["Ar"]
  [run]
  production_steps = 100_000
What is done is on disk: start again to go on. SIGTERM, SIGUSR1 and [output] time_limit write a
checkpoint and end the run with code 3.
examples:
  quorum pin prepare run.toml --plan
  mpiexec -n 4 quorum pin run run.toml
  quorum pin run run.toml --list
  quorum pin run run.toml --only solid-0096.0K
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of both; the file itself is the dispatcher's."""
    add = parser.add_argument
    add("--plan", action="store_true", help="box, jobs and what they cost; runs some steps only")
    add("--check", action="store_true", help="check run.toml, do not run it")
    add("--list", action="store_true", help="all jobs, what has to be done of each")
    add("--status", action="store_true", help="the same as --list")
    add(
        "--only",
        metavar="JOB",
        help="this job alone, by its name or number in --list, as in an array of batch jobs",
    )
    add("--job", dest="only", metavar="NUMBER", help="the same as --only")


def run(args: argparse.Namespace) -> int:
    """`args.action` is prepare or run, `args.input` the run.toml; the exit code."""
    began = time.monotonic()
    from ..pinning.run_input import read_pin

    if args.list or args.status or args.check:
        file = read_pin(args.input)
        with contextlib.chdir(file.root):
            return _look(file, args)
    world = world_of("pin")
    try:
        file = read_pin(args.input)
        with contextlib.chdir(file.root):  # scripts have paths of their own
            return _run(file, args, world, began)
    except (Exception, KeyboardInterrupt) as error:  # other ranks would wait
        if world.size == 1:
            raise
        end_all(world, error, args.debug)
        return 2


def _look(file: Any, args: argparse.Namespace) -> int:
    from ..pinning.plan import describe, list_jobs
    from ..pinning.ready import make_ready

    if args.check:
        print(describe(make_ready(file)), end="")
    else:
        print(list_jobs(file), end="")
    return 0


def _run(file: Any, args: argparse.Namespace, world: Any, began: float) -> int:
    from ..engines.remd_layout import check_cores, choose_gpu, on_this_machine
    from ..pinning.ready import folder_of, make_ready
    from ..pinning.workflow import STOPPED, Workflow

    rank, n_ranks = on_this_machine(world)
    choose_gpu(rank)
    check_cores(rank, n_ranks)
    ready = make_ready(file)
    if args.plan:
        from ..pinning.plan import cost, describe

        text = describe(ready) + cost(ready, world)
        if world.rank == 0:
            print(text, end="")
        return 0
    folder_of(file)
    progress = _Progress(world.rank)
    workflow = Workflow(ready, world, progress.hear, began)
    try:
        if args.only is not None:
            code = workflow.only(args.only)
        else:
            code = workflow.prepare() if args.action == "prepare" else workflow.run()
    finally:
        progress.close()
    if world.rank == 0:
        if code == STOPPED:
            print(f"stopped; go on with `quorum pin {args.action} {args.input}`", flush=True)
        elif args.only is None and args.action == "run":
            print(f"done; look at it with `quorum pin analyse {args.input}`", flush=True)
    return code


class _Progress:
    """A bar for each job on a terminal, of the first rank; a line at its end elsewhere."""

    def __init__(self, rank: int) -> None:
        self._first = rank == 0
        self._bar: Any = None
        self._job = ""

    def hear(self, news: "News") -> None:
        """Show it."""
        if news.text:
            self.close()
            print(f"{news.job}: {news.text}" if news.job else news.text, flush=True)
        elif sys.stderr.isatty():
            if self._first:
                self._move(news)
        elif news.done == news.of:
            print(f"{news.job}: {news.of} steps", flush=True)

    def _move(self, news: "News") -> None:
        from tqdm import tqdm

        if news.job != self._job:
            self.close()
            self._job = news.job
            self._bar = tqdm(total=news.of, desc=news.job, unit="step", unit_scale=True)
        self._bar.update(news.done - self._bar.n)
        if news.done == news.of:
            self.close()

    def close(self) -> None:
        """No bar any more."""
        if self._bar is not None:
            self._bar.close()
        self._bar, self._job = None, ""
