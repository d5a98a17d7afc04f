"""What an attempt of replica exchange costs inside i-PI, beside i-PI's own, in the same run.

    python tests/benchmarks/exchange.py [--quick]

Replicas of 108 atoms from 300 to 3000 K, an attempt in every step: free particles, of which every
exchange is accepted, and harmonic ones. Time of the processor, medians over attempts, in turn, one
thread.
"""

import argparse
import contextlib
import io
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from ipi.engine.simulation import Simulation

from ipi_tools import simulation
from quorum_md.engines.ipi_sampling_run import SamplingRun
from quorum_md.sampling.exchange import geometric
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few repeats")
    quick = parser.parse_args().quick
    warnings.simplefilter("ignore")
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
