"""The ASE calculator: derivatives of the energy, with and without a potential, by both backends."""

import numpy as np
import pytest
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.lj import LennardJones
from ase.md.verlet import VelocityVerlet
from ase.optimize import FIRE

from order_tools import REFERENCE, ZINCBLENDE, cluster, shaken, skewed, structure
from quorum_md.errors import QuorumError
from quorum_md.order_parameters import BiasCalculator, open_variables
from quorum_md.order_parameters.kernel import find_kernel

CUBIC = "SWITCH={CUBIC D_0=1.2 D_MAX=1.5}"
INPUT = f"""UNITS NATURAL
cv: FCCUBIC SPECIES=1-108 {CUBIC} ALPHA=27 MEAN
q: Q6 SPECIES=1-108 {CUBIC} MEAN
res: RESTRAINT ARG=cv.mean,q.mean AT=0.5,0.3 KAPPA=500,200
"""
BACKENDS = [
    "native",
    pytest.param(
        "plumed",
        marks=[
            pytest.mark.plumed,
            pytest.mark.skipif(find_kernel() is None, reason="no PLUMED kernel"),
        ],
    ),
]


@pytest.fixture
def path(tmp_path):
    (tmp_path / "plumed.dat").write_text(INPUT)
    return tmp_path / "plumed.dat"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("with_potential", [False, True])
def test_forces_and_stress_are_derivatives(backend, with_potential, path):
    atoms = skewed(shaken(structure("lj_solid"), 0.03))
    potential = LennardJones(rc=1.9, smooth=True, ro=1.6) if with_potential else None
    atoms.calc = BiasCalculator(path, potential, backend)
    forces, stress = atoms.get_forces(), atoms.get_stress(voigt=False)
    rng, h = np.random.default_rng(2), 1e-5

    def energy(move, strain):
        moved = atoms.copy()
        moved.set_cell(np.array(atoms.cell) @ (np.eye(3) + strain), scale_atoms=True)
        moved.positions += move
        moved.calc = atoms.calc
        return moved.get_potential_energy()

    for _ in range(3):
        u = rng.normal(size=forces.shape)
        slope = (energy(h * u, 0.0) - energy(-h * u, 0.0)) / (2 * h)
        assert slope == pytest.approx(-(forces * u).sum(), rel=1e-6, abs=1e-5)
    for _ in range(3):
        e = rng.normal(size=(3, 3))
        e += e.T
        slope = (energy(0.0, h * e) - energy(0.0, -h * e)) / (2 * h)
        assert slope == pytest.approx((stress * e).sum() * atoms.get_volume(), rel=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_results(backend, path):
    """Values by name, the bias alone, and what the potential says of itself."""
    atoms, potential = structure("lj_solid"), LennardJones(rc=1.9)
    answer = open_variables(path).evaluate(atoms)
    atoms.calc = BiasCalculator(path, potential, backend)
    total, results = atoms.get_potential_energy(), atoms.calc.results
    assert results["order_parameters"] == pytest.approx(answer.values, rel=1e-10)
    assert results["bias"] == pytest.approx(answer.bias, rel=1e-10)
    assert total == results["free_energy"] == results["potential_energy"] + results["bias"]
    assert results["potential_energy"] == potential.get_potential_energy(atoms)
    assert atoms.get_potential_energy(force_consistent=True) == total
    assert "energies" not in results
    np.testing.assert_allclose(
        atoms.get_forces(), potential.get_forces(atoms) + answer.forces, atol=1e-9
    )


def test_units_of_the_input(tmp_path, monkeypatch):
    monkeypatch.chdir(REFERENCE)
    text = "cv: ENVIRONMENTSIMILARITY SPECIES=1-64 " + ZINCBLENDE.replace("0.4", "{}") + " MEAN\n"
    answers = []
    for line, sigma, kappa in (("LENGTH=A ENERGY=eV", 0.4, 100), ("", 0.04, 9648.530749925792)):
        path = tmp_path / "plumed.dat"
        path.write_text(
            f"UNITS LENGTH=nm {line}\n".replace("LENGTH=nm LENGTH=A", "LENGTH=A")
            + text.format(sigma)
            + f"res: RESTRAINT ARG=cv.mean AT=0.5 KAPPA={kappa}"
        )
        atoms = shaken(structure("gaas"), 0.05)
        atoms.calc = BiasCalculator(path)
        answers.append(np.concatenate([[atoms.get_potential_energy()], atoms.get_stress()]))
        answers[-1] = np.concatenate([answers[-1], atoms.get_forces().ravel()])
    np.testing.assert_allclose(answers[1], answers[0], rtol=1e-8, atol=1e-12)
    assert answers[0][0] > 1e-3


def test_in_dynamics_and_optimisation(path):
    """NVE keeps its energy; the bias alone is minimised to its centre."""
    atoms = structure("lj_solid")
    atoms.set_masses(np.ones(108))
    rng = np.random.default_rng(1)
    atoms.set_velocities(rng.normal(size=(108, 3)))
    atoms.calc = BiasCalculator(path, LennardJones(rc=1.9, smooth=True, ro=1.6))
    dynamics = VelocityVerlet(atoms, timestep=0.0015)
    energies, biases = [], []
    for _ in range(15):
        dynamics.run(6)
        energies.append(atoms.get_total_energy())
        biases.append(atoms.calc.results["bias"])
    assert np.ptp(biases) > 1 and np.ptp(energies) < 0.02 * np.ptp(biases)
    alone = structure("lj_liquid")
    alone.calc = BiasCalculator(path)
    start = alone.get_potential_energy()
    FIRE(alone, logfile=None, dt=0.02, maxstep=0.1).run(fmax=0.05, steps=100)
    assert alone.get_potential_energy() < 0.05 * start


def test_without_periodicity(path):
    """No stress, and none is invented."""
    path.write_text("UNITS NATURAL\nq: Q6 SPECIES=1-30 SWITCH={RATIONAL R_0=1} MEAN\n"
                    "r: RESTRAINT ARG=q.mean AT=0 KAPPA=9")  # fmt: skip
    atoms = cluster(structure("lj_solid").positions[:30])
    atoms.calc = BiasCalculator(path)
    assert atoms.get_forces().any() and "stress" not in atoms.calc.results
    with pytest.raises(PropertyNotImplementedError, match="not periodic in three directions"):
        atoms.get_stress()
    with pytest.raises(QuorumError, match=r"line 1: \[RESTRAINT\] ARG: got 'no'"):
        path.write_text("r: RESTRAINT ARG=no AT=1")
        BiasCalculator(path)
