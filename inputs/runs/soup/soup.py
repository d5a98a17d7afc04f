"""Random starts: one atom of each element of run.toml on fcc sites, one file per state.

    python soup.py                          25 Å³ per atom
    python soup.py --model pet-mad.pt       the volume at which the first of them has no pressure

All states have one volume, as a canonical ensemble has.
"""

import argparse
import tomllib
from pathlib import Path

import numpy as np
from ase.build import bulk
from ase.data import atomic_masses, atomic_numbers
from ase.filters import FrechetCellFilter
from ase.io import write
from ase.optimize import BFGS


def soup(elements, volume_A3, rng):
    """Every element once, at random on the sites of a cubic fcc box that has enough of them."""
    cells = int(np.ceil((len(elements) / 4) ** (1 / 3)))
    atoms = bulk("Al", "fcc", a=(volume_A3 * len(elements)) ** (1 / 3) / cells, cubic=True)
    atoms *= (cells,) * 3
    atoms = atoms[rng.permutation(len(atoms))[: len(elements)]]
    atoms.symbols = elements
    atoms.set_masses([atomic_masses[atomic_numbers[x]] for x in elements])
    return atoms


def relaxed(atoms, calculator, *, cell):
    """Nearer to a minimum; velocities do the rest."""
    atoms.calc = calculator
    what = FrechetCellFilter(atoms, hydrostatic_strain=True) if cell else atoms
    BFGS(what, logfile=None, maxstep=0.1).run(fmax=0.5, steps=100)
    atoms.calc = None
    return atoms


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", help="metatomic file to relax them with")
    parser.add_argument("--volume", type=float, default=25.0, help="per atom in Å³ [25]")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    run = tomllib.loads(Path("run.toml").read_text())
    elements, rng = run["lammps"]["elements"], np.random.default_rng(args.seed)
    volume, calculator = args.volume, None
    if args.model is not None:
        from quorum_md.models import load_potential

        calculator = load_potential(args.model).calculator()
        first = relaxed(soup(elements, volume, rng), calculator, cell=True)
        volume = first.get_volume() / len(first)
    for state in range(run["states"]["n"]):
        atoms = soup(elements, volume, rng)
        if calculator is not None:
            atoms = relaxed(atoms, calculator, cell=False)
        atoms.wrap()
        write(f"soup-{state}.data", atoms, format="lammps-data", specorder=elements, masses=True)
    print(f"{state + 1} files of {len(elements)} atoms, {volume:.2f} Å³ per atom")


if __name__ == "__main__":
    main()
