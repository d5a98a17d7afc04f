"""The real kernel of PLUMED against its recorded values and against the native backend."""

import numpy as np
import pytest

from order_tools import LJ, REFERENCE, ZINCBLENDE, restrained, shaken, skewed, structure
from quorum_md.errors import QuorumError
from quorum_md.order_parameters.kernel import find_kernel
from quorum_md.order_parameters.variables import open_variables

pytestmark = [
    pytest.mark.plumed,
    pytest.mark.skipif(
        find_kernel() is None, reason="no PLUMED kernel: set PLUMED_KERNEL to libplumedKernel.so"
    ),
]
RECORDED = np.load(REFERENCE / "reference.npz")
CASES = sorted({key.rsplit("/", 1)[0] for key in RECORDED})


def assert_same(one, other, tolerance=1e-10):
    assert list(one.values) == list(other.values)
    for name, value in one.values.items():
        assert value == pytest.approx(other.values[name], rel=tolerance, abs=1e-13)
    assert one.bias == pytest.approx(other.bias, rel=tolerance)
    for a, b in ((one.forces, other.forces), (one.virial, other.virial)):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max())


@pytest.mark.parametrize("case", CASES)
def test_recorded(case, monkeypatch):
    where, name = case.split("/")
    monkeypatch.chdir(REFERENCE)
    answer = open_variables(f"{name}.plumed.dat", "plumed").evaluate(structure(where))
    assert next(iter(answer.values.values())) == pytest.approx(RECORDED[f"{case}/cv"][0], rel=1e-10)
    for found, key in ((answer.forces, "bias_forces"), (answer.virial, "bias_virial")):
        expected = RECORDED[f"{case}/{key}"]
        np.testing.assert_allclose(found, expected, atol=1e-10 * np.abs(expected).max(), rtol=0)


@pytest.mark.parametrize("case", LJ)
def test_native_is_the_same(case, tmp_path):
    """Inputs of the finite differences, in a skewed cell."""
    # an atom of both sets makes the forces of ENVIRONMENTSIMILARITY nan
    text = LJ[case].replace("SPECIESB=40-108", "SPECIESB=51-108")
    path = tmp_path / "plumed.dat"
    path.write_text(restrained(text))
    atoms = skewed(shaken(structure("lj_solid"), 0.03))
    native, kernel = (open_variables(path, name) for name in ("native", "plumed"))
    for _ in range(2):
        assert_same(native.evaluate(atoms), kernel.evaluate(atoms))
        atoms = shaken(atoms, 0.01)


def test_units_names_functions_and_walls(tmp_path):
    path = tmp_path / "plumed.dat"
    zincblende = ZINCBLENDE
    for name in ("env_ga.pdb", "env_as.pdb", "gaas_names.pdb"):
        zincblende = zincblende.replace(name, str(REFERENCE / name))
    path.write_text(f"""UNITS LENGTH=A ENERGY=kcal/mol
cv: ENVIRONMENTSIMILARITY ...
   SPECIES=1-64 {zincblende} MEAN MORE_THAN={{CUBIC D_0=0.4 D_MAX=0.9}} # comment
...
q: Q4 SPECIES=1-64 SWITCH={{CUBIC D_0=2.8 D_MAX=3.4}} SUM
c: COMBINE ARG=cv.mean,q.sum COEFFICIENTS=2,-0.01 PARAMETERS=0.1,0 POWERS=2,3 PERIODIC=NO
up: UPPER_WALLS ARG=c,cv.mean AT=-9,0.2 KAPPA=0.1,20 EXP=2,3 OFFSET=0.05,0 EPS=1,0.5
low: LOWER_WALLS ARG=q.sum,c AT=900,5 KAPPA=0.03,1 EXP=2,4 EPS=70,20 OFFSET=0.1,0
res: RESTRAINT ARG=c,cv.morethan AT=0,50 KAPPA=0.003,4 SLOPE=1,0
PRINT ARG=cv.mean,res.bias FILE=COLVAR
""")
    native, kernel = (open_variables(path, name) for name in ("native", "plumed"))
    assert_same(native.evaluate(structure("gaas")), kernel.evaluate(structure("gaas")))
    assert not (tmp_path / "COLVAR").exists()


def test_what_only_the_kernel_has(tmp_path):
    path = tmp_path / "plumed.dat"
    path.write_text(
        "UNITS LENGTH=A ENERGY=eV\nd: DISTANCE ATOMS=1,2\n"
        "res: RESTRAINT ARG=d AT=2 KAPPA=3\nPRINT ARG=d,res.bias FILE=COLVAR\n"
    )
    variables = open_variables(path)
    assert variables.backend == "plumed"
    atoms = structure("gaas")
    answer = variables.evaluate(atoms)
    distance = atoms.get_distance(0, 1, mic=True)
    assert answer.values["d"] == pytest.approx(distance, rel=1e-12)
    assert answer.bias == pytest.approx(1.5 * (distance - 2) ** 2, rel=1e-10)
    path.write_text("d: DISTANCE ATOMS=1,2,3")
    with pytest.raises(QuorumError, match=r"line 1: \[DISTANCE\]: PLUMED refuses readInputLine"):
        open_variables(path).evaluate(atoms)


def test_masses_and_charges_are_those_of_the_structure(tmp_path):
    """And charges that are not there are not zero."""
    path = tmp_path / "plumed.dat"
    path.write_text(
        "UNITS LENGTH=A ENERGY=eV\nd: DIPOLE GROUP=1-6\ng: GYRATION ATOMS=1-6 MASS_WEIGHTED\n"
        "PRINT ARG=d,g FILE=COLVAR\n"
    )
    atoms = structure("gaas")[:6]
    atoms.pbc = False
    with pytest.raises(QuorumError, match="not passed to plumed; give the structures"):
        open_variables(path).evaluate(atoms)
    atoms.set_initial_charges(np.linspace(-1, 1.5, 6))
    answer = open_variables(path).evaluate(atoms)
    masses, charges = atoms.get_masses(), atoms.get_initial_charges()
    from_centre = atoms.positions - atoms.get_center_of_mass()
    radius = np.sqrt((masses * (from_centre**2).sum(axis=1)).sum() / masses.sum())
    assert answer.values["g"] == pytest.approx(radius, rel=1e-10)
    # of a group with a charge: by the mean charge taken off
    dipole = np.linalg.norm((charges - charges.mean()) @ atoms.positions)
    assert answer.values["d"] == pytest.approx(dipole, rel=1e-10)


def test_cutoff_beyond_half_the_cell_is_refused(tmp_path):
    path = tmp_path / "plumed.dat"
    path.write_text("UNITS NATURAL\ncv: Q6 SPECIES=1-108 SWITCH={CUBIC D_0=1 D_MAX=2.5} MEAN")
    with pytest.raises(QuorumError, match=r"line 2: \[Q6\] cutoff: got 2.5 in a cell of lengths"):
        open_variables(path, "plumed").evaluate(structure("lj_solid"))


def test_lone_atoms_are_refused(tmp_path):
    path = tmp_path / "plumed.dat"
    path.write_text("UNITS NATURAL\ncv: FCCUBIC SPECIES=1-109 SWITCH={CUBIC D_0=1 D_MAX=1.2} MEAN")
    atoms = structure("lj_solid")
    atoms.set_cell([4.806, 4.806, 12.0])
    atoms.append("Ar")
    atoms.positions[-1] = [2.0, 2.0, 8.0]
    assert np.isfinite(open_variables(path, "native").evaluate(atoms).values["cv.mean"])
    with pytest.raises(QuorumError, match=r"cv.mean: PLUMED says nan or inf, expected a finite"):
        open_variables(path, "plumed").evaluate(atoms)
