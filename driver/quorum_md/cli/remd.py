"""``quorum remd``: replica exchange with LAMMPS replicas, on a laptop or under MPI."""

import argparse
import contextlib
import time

from ..errors import QuorumError
from . import remd_plan
from .parallel import end_all, world_of

_EPILOG = """\
run.toml (inputs/runs has one to copy, with the scripts; paths are relative to it):
  [states]
  temperatures_K = [600, 660, 726, 800]
  [lammps]
  structure = "in.structure"      # units, box, atoms, masses, velocities
  script = "in.run"               # pair style, fixes; uses ${temperature}, ${seed}; no run command
  elements = ["Nb", "Mo", "Ta", "W"]
  [exchange]
  attempts = 10000
  steps = 100
  seed = 4711
SIGTERM, SIGUSR1 and [checkpoint] time_limit write a checkpoint and end the run with code 3.
examples:
  mpiexec -n 4 quorum remd run.toml
  mpiexec -n 4 quorum remd run.toml --resume
  quorum remd run.toml --status
  quorum remd --plan --range 300 1200 --atoms 432
  quorum remd --plan remd/ladder.dat --replicas 12
  quorum reweight remd/records.h5 --at-temperature 700
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``quorum remd``."""
    parser.epilog = _EPILOG
    parser.usage = "quorum remd run.toml [options]\n       quorum remd --plan [FILE ...] [options]"
    parser.add_argument("input", nargs="*", metavar="FILE", help="run.toml: what to run")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint")
    parser.add_argument("--check", action="store_true", help="check run.toml, do not run it")
    parser.add_argument(
        "--status", action="store_true", help="acceptance, round trips, mixing; live or finished"
    )
    parser.add_argument(
        "--by-replica", action="store_true", help="trajectories of replicas from those of states"
    )
    remd_plan.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """The exit code; a run that fails on one rank ends all."""
    began = time.monotonic()
    if args.plan:
        return remd_plan.run(args, args.input)
    if len(args.input) != 1:
        raise QuorumError(f"remd: got {len(args.input)} files, expected one: run.toml")
    path = args.input[0]
    if not (args.check or args.status or args.by_replica):
        return _run(path, args, began)
    from ..engines.remd_input import read_remd
    from ..engines.remd_scripts import check_scripts

    file = read_remd(path)
    if args.check:
        check_scripts(file)
        states = file.settings.states.states
        print(f"{path}: {len(states)} states, {file.settings.exchange.attempts} attempts")
        return 0
    if args.status:
        from ..report.exchange_status import status

        print(status(file.folder, file.settings.exchange.attempts), end="")
        return 0
    from ..report.replica_trajectories import by_replica

    for path in by_replica(file.folder):
        print(path)
    return 0


def _run(path: str, args: argparse.Namespace, began: float) -> int:
    world = world_of("remd")
    from ..engines.remd_input import read_remd
    from ..engines.remd_run import Progress, run
    from ..engines.remd_scripts import check_scripts

    def report(progress: Progress) -> None:
        from ..averages.exchange_records import keep_records
        from ..report.exchange_status import write_summary

        if keep_records(progress.folder, now=progress.last):
            write_summary(progress.folder, progress.of)
        what = "" if progress.attempts < progress.of else ", the last"
        print(f"attempt {progress.attempts} of {progress.of}{what}: checkpoint", flush=True)
        if progress.last and not what:
            print(f"stopped; go on with `quorum remd {path} --resume`", flush=True)

    try:
        file = read_remd(path)
        check_scripts(file)
        with contextlib.chdir(file.root):  # scripts have paths of their own
            return run(file, world, resume=args.resume, report=report, began=began)
    except (Exception, KeyboardInterrupt) as error:  # other ranks would wait
        if world.size == 1:
            raise
        end_all(world, error, args.debug)
        return 2
