"""An equiatomic NbMoTaW crystal on the bcc lattice, relaxed with the committee: alloy.xyz."""

import ase.io
import numpy as np
from ase.build import bulk
from ase.filters import UnitCellFilter
from ase.optimize import BFGS

from quorum_md.models import load_potential


def random_alloy(repeats: int, seed: int):
    """bcc, repeats³ primitive cells, equal numbers of Nb, Mo, Ta, W in random order."""
    atoms = bulk("W", "bcc", a=3.24) * ((repeats,) * 3)
    # i-PI wants the first vector along x and the second in the xy plane
    atoms.set_cell(atoms.cell.standard_form()[0], scale_atoms=True)
    elements = np.resize(["Nb", "Mo", "Ta", "W"], len(atoms))
    atoms.symbols = np.random.default_rng(seed).permutation(elements)
    return atoms


def prepare(path, *, model="nbmotaw", repeats=4, seed=2020):
    """Write the relaxed crystal (shape of the cell kept) to ``path`` and return it."""
    atoms = random_alloy(repeats, seed)
    atoms.calc = load_potential(model, dtype="float64").calculator()
    BFGS(UnitCellFilter(atoms, hydrostatic_strain=True), logfile=None).run(fmax=0.01, steps=200)
    ase.io.write(path, atoms)
    return atoms


if __name__ == "__main__":
    prepare("alloy.xyz")
