"""Programs from text, structures, and finite differences."""

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read

from quorum_md.order_parameters.native import NativeProgram
from quorum_md.order_parameters.pair_functions import NumpyFunctions
from quorum_md.order_parameters.reader import build_program
from quorum_md.order_parameters.words import parse_statements

REFERENCE = Path(__file__).parent / "order_parameters" / "reference"


CUBIC = "SWITCH={CUBIC D_0=1.1 D_MAX=1.6}"
ZINCBLENDE = (
    "CRYSTAL_STRUCTURE=CUSTOM REFERENCE_1=env_ga.pdb REFERENCE_2=env_as.pdb "
    "ATOM_NAMES_FILE=gaas_names.pdb SIGMA=0.4"
)
LJ = {
    "fccubic": f"cv: FCCUBIC SPECIES=1-108 {CUBIC} ALPHA=27 MEAN",
    "more than": f"cv: FCCUBIC SPECIES=1-108 {CUBIC} MORE_THAN={{SMAP R_0=0.45 A=8 B=8}}",
    "less than": f"cv: Q4 SPECIES=1-108 {CUBIC} LESS_THAN={{RATIONAL R_0=0.3 D_MAX=0.9}} SUM",
    "two sets": f"cv: FCCUBIC SPECIESA=1-40 SPECIESB=31-108 {CUBIC} SUM",
    "q4": f"cv: Q4 SPECIES=1-108 {CUBIC} MEAN",
    "q6": f"cv: Q6 SPECIESA=1-40 SPECIESB=31-108 {CUBIC} MEAN",
    "vmean": f"cv: Q6 SPECIES=1-108 {CUBIC} VMEAN",
    "vsum": f"cv: Q6 SPECIES=1-60 {CUBIC} VSUM",
    "local q6": f"q: Q6 SPECIES=1-108 {CUBIC}\ncv: LOCAL_Q6 SPECIES=q {CUBIC} MEAN",
    "local q4": f"q: Q4 SPECIES=1-80 {CUBIC} MEAN\ncv: LOCAL_Q4 SPECIES=q "
    "SWITCH={RATIONAL R_0=1.0 D_0=0.3 NN=8 MM=18 D_MAX=1.9} SUM",
    "average": f"q: Q6 SPECIESA=1-60 SPECIESB=1-108 {CUBIC} SUM\ncv: LOCAL_AVERAGE SPECIES=q "
    "SWITCH={COSINUS D_0=1.0 R_0=0.7 D_MAX=1.7} MEAN",
    "average of values": "e: ENVIRONMENTSIMILARITY SPECIES=1-108 LATTICE_CONSTANTS=1.6 SIGMA=0.2\n"
    f"cv: LOCAL_AVERAGE SPECIES=e {CUBIC} SUM",
    "rational": "cv: Q6 SPECIES=1-108 R_0=0.8 D_0=0.2 NN=12 MM=24 MEAN",
    "tanh": "cv: FCCUBIC SPECIES=1-108 SWITCH={TANH R_0=0.4 D_0=1.1 D_MAX=2.0} MEAN",
    "exp": "cv: FCCUBIC SPECIES=1-108 SWITCH={EXP R_0=0.2 D_0=1.1 D_MAX=2.0 NOSTRETCH} MEAN",
    "gaussian": "cv: FCCUBIC SPECIES=1-108 SWITCH={GAUSSIAN R_0=0.3 D_0=0.9 D_MAX=2.0} MEAN",
    "inner cutoff": "cv: ENVIRONMENTSIMILARITY SPECIES=1-108 LATTICE_CONSTANTS=1.6 SIGMA=0.2 "
    "LCUTOFF=1.1 CUTOFF=2 MEAN",
    "hcp": "cv: ENVIRONMENTSIMILARITY SPECIES=1-108 CRYSTAL_STRUCTURE=HCP "
    "LATTICE_CONSTANTS=1.13,1.85 SIGMA=0.15 LAMBDA=20 MEAN",
    "one sided": "cv: ENVIRONMENTSIMILARITY SPECIESA=1-50 SPECIESB=40-108 "
    "CRYSTAL_STRUCTURE=BCC LATTICE_CONSTANTS=1.2 SIGMA=0.15 MEAN",
}


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


def restrained(text):
    """An input with a bias on the one component of its last line."""
    name = text.splitlines()[-1]
    for key in ("SUM", "VMEAN", "VSUM", "MEAN", "MORE_THAN", "LESS_THAN"):
        if f" {key}" in name:
            component = key.lower().replace("_", "")
    return f"UNITS NATURAL\n{text}\nres: RESTRAINT ARG=cv.{component} AT=0.3 KAPPA=50 SLOPE=2"
