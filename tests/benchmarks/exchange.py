"""What an attempt of replica exchange costs, beside i-PI's `remd` and LAMMPS's `temper`.

    python tests/benchmarks/exchange.py [--quick] [--only i-pi|lammps]

i-PI: replicas of 108 atoms from 300 to 3000 K, an attempt in every step: free particles, of which
every exchange is accepted, and harmonic ones. Time of the processor, medians over attempts, in
turn, one thread.

LAMMPS: replicas of 108 atoms of CuNi (EAM), 300 to 600 K; the same steps with few attempts and
with many, as whole jobs under mpiexec; the difference is what attempts cost, journal and tables
included. `temper` needs a rank for each replica; of ours, several may share one. Then the time of
the same job on more ranks. Elapsed time, minima over repeats, in turn.
"""

import argparse
import contextlib
import io
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent  # has a lammps.py of its own
sys.path = [entry for entry in sys.path if Path(entry).resolve() != HERE]
sys.path.insert(0, str(HERE.parent))
# ruff: noqa: E402

import numpy as np
from ipi.engine.simulation import Simulation

from ipi_tools import simulation
from quorum_md.engines.ipi_sampling_run import SamplingRun
from quorum_md.sampling.exchange import geometric
from remd_tools import BIN, CUNI, THERMOSTATS, box, command, environment, write_run
from swap_tools import dynamics, remd, system, toy, write_start

N_ATOMS = 108
SPRINGS = {"free": 0.0, "harmonic": 0.02}  # Hartree/Bohr²
WARM_UP = 150  # steps


def load(n, k, ours):
    """A simulation of i-PI, and the milliseconds of its attempts as they are made."""
    states = "".join(
        system(dynamics(1, 20, thermostat="svr"), kelvin=t, prefix=f"S{i}")
        for i, t in enumerate(geometric(300, 3000, n))
    )
    text = simulation(
        force_field=toy(kind="traps", k1=k, k2=k, n1=N_ATOMS),
        systems=remd() + states,
        steps=10**6,
        stride=10**6,
        safe_stride=10**6,
        attributes="threading='false'",
        properties="step",
    ).replace("extra_type='committee_pot'", "extra_type='toy'")
    run = SamplingRun("input.xml", text, {})
    with contextlib.redirect_stdout(io.StringIO()):
        made = Simulation.load_from_xml(text, post_init_hook=run.hook if ours else None)
        if ours:
            run.after_binding(made)
    times, step = [], made.smotion.step

    def timed(number):
        start = time.thread_time()
        step(number)
        times.append(1e3 * (time.thread_time() - start))

    made.smotion.step = timed
    for _ in range(WARM_UP):
        for one in made.syslist:
            one.motion.step()
    return made, times, run


def steps(made, first, number):
    """Milliseconds per step, exchanges included."""
    start = time.thread_time()
    for step in range(first, first + number):
        made.step = step
        made.run_step(step)
    return 1e3 * (time.thread_time() - start) / number


def compare(n, kind, repeats):
    """One line of the table."""
    (ours, mine, run), (stock, theirs, _) = (load(n, SPRINGS[kind], o) for o in (True, False))
    per_step = []
    for turn in range(repeats):
        per_step.append((steps(ours, 4 * turn, 4), steps(stock, turn, 1)))
    exchange = run._parts[0]._exchange
    accepted = exchange.accepted.sum() / exchange.proposed.sum()
    step = np.median(per_step, axis=0)
    print(
        f"{kind:>10} {n:9d} {accepted:10.2f} {np.median(mine[4:]):10.2f} "
        f"{np.median(theirs[1:]):10.2f} {step[0]:12.2f} {step[1]:10.2f}",
        flush=True,
    )


TOTAL_STEPS, FEW, MANY = 4000, 10, 2000
TEMPER = """
variable temperature world {kelvin}
variable seed world {seeds}
variable number world {numbers}
{structure}
{script}
temper {steps} {every} ${{temperature}} bath 4 5
"""


def seconds(words, folder):
    """Of a job from start to end."""
    start = time.perf_counter()
    done = subprocess.run(words, cwd=folder, env=environment(), capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return time.perf_counter() - start


def script():
    return f"{CUNI}\ntimestep 0.002\n{THERMOSTATS['langevin']}\nthermo 100000\n"


def ours(folder, kelvin, attempts, ranks):
    """Seconds of `quorum remd`, with 1 + attempts attempts in all steps."""
    exchange = {"attempts": attempts, "steps": TOTAL_STEPS // attempts}
    write_run(
        folder,
        box(),
        script(),
        states={"temperatures_K": kelvin},
        exchange=exchange,
        checkpoint={"every": 10**6},
        output={"folder": tempfile.mkdtemp(dir=folder) + "/remd"},
    )
    return seconds(command(ranks), folder)


def temper(folder, kelvin, attempts):
    """Seconds of LAMMPS's own."""
    n = len(kelvin)
    text = TEMPER.format(
        kelvin=" ".join(f"{one:.6g}" for one in kelvin),
        seeds=" ".join(str(100 + k) for k in range(n)),
        numbers=" ".join(str(k) for k in range(n)),
        structure=box(),
        script=script(),
        steps=TOTAL_STEPS,
        every=TOTAL_STEPS // attempts,
    )
    (folder / "in.temper").write_text(text)
    words = [BIN / "mpiexec", "-n", n, BIN / "lmp", "-partition", f"{n}x1", "-in", "in.temper"]
    return seconds([*map(str, words), "-screen", "none"], folder)


def in_lammps(quick):
    """Cost of attempts, and scaling with ranks."""
    cores = len(os.sched_getaffinity(0))
    repeats = 2 if quick else 5
    print(f"\n# LAMMPS replicas on {cores} cores; milliseconds of an attempt of all states")
    print("# states  ours on ranks          ours   temper on ranks        temper")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for n in (2, 4) if quick else (2, 4, 16, 64):
            kelvin = geometric(300, 600, n).tolist()
            ranks, with_temper = min(n, cores), n <= 4
            times = []
            for _ in range(repeats if n <= 4 else 2):
                times.append(
                    [ours(folder, kelvin, k, ranks) for k in (FEW, MANY)]
                    + [temper(folder, kelvin, k) if with_temper else np.nan for k in (FEW, MANY)]
                )
            best = 1e3 * np.min(times, axis=0)
            mine, theirs = (best[k + 1] - best[k] for k in (0, 2))
            per = MANY - FEW
            print(f"{n:8d} {ranks:14d} {mine / per:13.2f} {n:17d} {theirs / per:13.2f}", flush=True)
        print("# ranks   seconds of 8 states   times as fast as one rank")
        kelvin, first = geometric(300, 600, 8).tolist(), 0.0
        for ranks in sorted({1, 2, min(8, cores)}):
            best = min(ours(folder, kelvin, 40, ranks) for _ in range(repeats))
            first = first or best
            print(f"{ranks:7d} {best:21.2f} {first / best:27.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few repeats")
    parser.add_argument("--only", choices=("i-pi", "lammps"))
    args = parser.parse_args()
    quick = args.quick
    warnings.simplefilter("ignore")
    if args.only != "i-pi":
        in_lammps(quick)
    if args.only == "lammps":
        return
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        write_start(Path(), ["He"] * N_ATOMS, np.zeros((N_ATOMS, 3)))
        print("# milliseconds; an attempt: ours, i-PI's; a step with it: ours, i-PI's")
        print("# particles replicas   accepted       ours       i-PI         ours       i-PI")
        for kind in SPRINGS:
            for n in (8, 32) if quick else (4, 8, 16, 32, 64):
                compare(n, kind, 5 if quick else 15)
        sys.stdout.flush()
        os._exit(0)  # i-PI's threads


if __name__ == "__main__":
    main()
