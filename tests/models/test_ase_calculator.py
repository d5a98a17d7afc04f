"""The ASE calculator: results, dynamics, files."""

import ase.io
import numpy as np
import pytest
from ase import units
from ase.build import bulk
from ase.calculators.lj import LennardJones as AseLennardJones
from ase.filters import FrechetCellFilter
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS

from quorum_md.errors import QuorumError
from quorum_md.models import load_potential


@pytest.fixture
def argon(lj_file):
    atoms = bulk("Ar", "fcc", 4.5, cubic=True) * 2
    atoms.rattle(0.05, seed=4)
    atoms.calc = load_potential(lj_file).calculator()
    return atoms


def test_results(argon):
    energy, forces, stress = (
        argon.get_potential_energy(),
        argon.get_forces(),
        argon.get_stress(),
    )
    members = argon.calc.results["energy_ensemble"]
    assert members.mean() == pytest.approx(energy, rel=1e-14)
    assert argon.calc.results["energy_uncertainty"] == pytest.approx(members.std(ddof=1))
    assert argon.get_potential_energies().sum() == pytest.approx(energy)
    assert argon.get_potential_energy(force_consistent=True) == energy
    argon.calc = AseLennardJones(sigma=3.0, epsilon=0.1, rc=6.5)
    np.testing.assert_allclose(forces, argon.get_forces(), atol=1e-12)
    np.testing.assert_allclose(stress, argon.get_stress(), atol=1e-14)


def test_relaxation_of_cell_finds_the_reference_minimum(argon):
    reference = argon.copy()
    reference.calc = AseLennardJones(sigma=3.0, epsilon=0.1, rc=6.5)
    for atoms in (argon, reference):
        BFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=1e-4, steps=100)
    assert argon.get_volume() == pytest.approx(reference.get_volume(), rel=1e-6)


def test_dynamics_equal_the_reference_trajectory(argon):
    reference = argon.copy()
    reference.calc = AseLennardJones(sigma=3.0, epsilon=0.1, rc=6.5)
    for atoms in (argon, reference):
        VelocityVerlet(atoms, 2 * units.fs).run(50)
    np.testing.assert_allclose(argon.positions, reference.positions, atol=1e-9)
    assert argon.get_total_energy() == pytest.approx(reference.get_total_energy(), rel=1e-12)


def test_extxyz_keeps_the_members(argon, tmp_path):
    argon.get_forces()
    ase.io.write(tmp_path / "a.extxyz", argon)
    read = ase.io.read(tmp_path / "a.extxyz")
    np.testing.assert_allclose(
        read.info["energy_ensemble"], argon.calc.results["energy_ensemble"], rtol=1e-7
    )
    assert read.info["energy_uncertainty"] == pytest.approx(
        argon.calc.results["energy_uncertainty"], rel=1e-7
    )
    np.testing.assert_allclose(read.get_forces(), argon.get_forces(), atol=1e-7)


def test_molecules_have_no_stress(lj_file):
    from ase import Atoms
    from ase.calculators.calculator import PropertyNotImplementedError

    pair = Atoms("Ar2", [[0, 0, 0], [0, 0, 3.4]], calculator=load_potential(lj_file).calculator())
    assert pair.get_forces().shape == (2, 3)
    with pytest.raises(PropertyNotImplementedError):
        pair.get_stress()


def test_a_member_without_stress_gives_none(lj_file):
    """Neither NaN nor a wrong number: the result is not there, and asking for it says why."""
    from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes

    class NoStress(Calculator):
        implemented_properties = ["energy", "forces"]

        def calculate(self, atoms=None, properties=None, system_changes=all_changes):
            self.results = {"energy": 1.0, "forces": np.zeros((len(atoms), 3))}

    potential = load_potential([lj_file, NoStress()])
    atoms = bulk("Ar", "fcc", 4.5, cubic=True)
    atoms.calc = potential.calculator()
    assert atoms.get_forces().shape == (4, 3) and "stress" not in atoms.calc.results
    with pytest.raises(PropertyNotImplementedError, match="gives no stress"):
        atoms.get_stress()
    with pytest.raises(QuorumError, match="gives no stress, so no virial"):
        potential.evaluate([atoms], virial=True)
