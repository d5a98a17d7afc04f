"""Programs from text, structures, and finite differences."""

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read

from quorum_md.order_parameters.native import NativeProgram
from quorum_md.order_parameters.pair_functions import NumpyFunctions
from quorum_md.order_parameters.reader import build_program
from quorum_md.order_parameters.words import parse_statements

REFERENCE = Path(__file__).parent / "reference"


def program(text, functions=None, file=REFERENCE / "plumed.dat"):
    """A native program; PDB files are found in the folder of the reference."""
    built = build_program(parse_statements(text, str(file)), str(file))
    return NativeProgram(built, functions or NumpyFunctions())


def evaluate(made, atoms):
    """In the units of the input."""
    cell = np.array(atoms.cell.complete())
    return made.evaluate(np.array(atoms.positions), cell, np.array(atoms.pbc))


def structure(name):
    return read(REFERENCE / f"{name}.extxyz")


def shaken(atoms, amplitude, seed=0):
    atoms = atoms.copy()
    atoms.positions += amplitude * np.random.default_rng(seed).normal(size=atoms.positions.shape)
    return atoms


def skewed(atoms):
    """Sheared, so that nothing is orthogonal."""
    atoms = atoms.copy()
    shear = np.array([[1.0, 0.06, -0.04], [0.0, 0.97, 0.05], [0.0, 0.0, 1.02]])
    atoms.set_cell(np.array(atoms.cell) @ shear, scale_atoms=True)
    return atoms


def assert_gradients(made, atoms, step=1e-5, tolerance=1e-7):
    """Forces and virial are the derivatives of the bias along random displacements and strains."""
    rng = np.random.default_rng(1)
    answer = evaluate(made, atoms)
    assert np.abs(answer.forces).max() > 1e-3  # of something
    scale = np.linalg.norm(answer.forces)
    np.testing.assert_allclose(answer.forces.sum(axis=0), 0, atol=1e-10 * scale)

    def bias(displacement, strain):
        moved = atoms.copy()
        moved.positions = (atoms.positions + displacement) @ (np.eye(3) + strain).T
        moved.cell = np.array(atoms.cell) @ (np.eye(3) + strain).T
        return evaluate(made, moved).bias

    zero = np.zeros((3, 3))
    for _ in range(3):
        u = rng.normal(size=atoms.positions.shape)
        u /= np.linalg.norm(u)
        slope = (bias(step * u, zero) - bias(-step * u, zero)) / (2 * step)
        assert abs(slope + (answer.forces * u).sum()) < tolerance * scale
    for a in range(3):
        for b in range(3):
            # x_b → x_b + ε x_a: dV/dε = Σ x_a dV/dx_b
            e = zero.copy()
            e[b, a] = 1.0
            slope = (bias(0.0, step * e) - bias(0.0, -step * e)) / (2 * step)
            assert abs(slope - answer.virial[a, b]) < 10 * tolerance * scale


def cluster(positions):
    """Atoms without periodicity."""
    return Atoms("Ar" * len(positions), positions=positions)
