"""Weighted baseline: one backward against the K-backward formula, finite differences, limits."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.lj import LennardJones as AseLennardJones

from quorum_md.errors import QuorumError
from quorum_md.models import load_potential
from quorum_md.models.baseline import WeightedBaseline, composition_offsets
from quorum_md.models.check import finite_difference_forces, finite_difference_virial
from quorum_md.models.joined import with_baseline
from toy_models import LennardJones, export


@pytest.fixture
def argon():
    atoms = bulk("Ar", "fcc", 4.4, cubic=True)
    atoms.rattle(0.15, seed=2)
    return atoms


def k_backward_forces(prediction, base_energy, base_forces, sigma):
    """Formula as i-PI's ffcommittee has it: every member's forces, then the weights."""
    v, f = prediction.member_energies_eV, prediction.member_forces_eV_A
    k = len(v)
    delta = v - base_energy
    mean, s2 = delta.mean(), delta.var(ddof=1)
    w = sigma**2 / (sigma**2 + s2)
    f_delta = f - base_forces
    coupling = np.einsum("k,kna->na", delta - mean, f_delta - f_delta.mean(axis=0))
    slope = 2 * mean * sigma**2 / ((sigma**2 + s2) ** 2 * (k - 1))
    return base_forces + w * f_delta.mean(axis=0) - slope * coupling


@pytest.mark.parametrize("sigma", [0.03, 0.3, 3.0])
def test_one_backward_equals_the_k_backward_formula(lj_file, argon, sigma):
    committee = load_potential(lj_file)
    baseline = AseLennardJones(sigma=3.1, epsilon=0.08, rc=6.0)
    potential = with_baseline(committee, baseline, sigma)
    got = potential.evaluate([argon], virial=True, member_forces=True)[0]
    argon.calc = baseline
    base_energy, base_forces = argon.get_potential_energy(), argon.get_forces()
    expected = k_backward_forces(got, base_energy, base_forces, sigma)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(got.forces_eV_A, expected, atol=1e-12 * max(1, scale))
    s2 = got.member_energies_eV.var(ddof=1)
    assert got.mixing == pytest.approx(sigma**2 / (sigma**2 + s2), rel=1e-13)
    assert got.baseline_energy_eV == pytest.approx(base_energy)
    numeric = finite_difference_forces(potential, argon, np.arange(4), 1e-3)
    np.testing.assert_allclose(got.forces_eV_A, numeric, atol=1e-8)
    # so short that no pair crosses the cutoff, where the slope jumps
    numeric = finite_difference_virial(potential, argon, 1e-5)
    np.testing.assert_allclose(got.virial_eV, numeric, atol=1e-6)
    argon.calc = None


def test_limits_of_certainty(lj_file, argon):
    committee, baseline = load_potential(lj_file), AseLennardJones(sigma=3.1, epsilon=0.08, rc=6.0)
    mean = committee.evaluate([argon])[0]
    trusted = with_baseline(committee, baseline, 1e6).evaluate([argon])[0]
    assert trusted.energy_eV == pytest.approx(mean.energy_eV, rel=1e-9)
    np.testing.assert_allclose(trusted.forces_eV_A, mean.forces_eV_A, atol=1e-8)
    fallback = with_baseline(committee, baseline, 1e-6).evaluate([argon])[0]
    argon.calc = baseline
    assert fallback.energy_eV == pytest.approx(argon.get_potential_energy(), rel=1e-9)
    np.testing.assert_allclose(fallback.forces_eV_A, argon.get_forces(), atol=1e-8)


def test_a_committee_of_corrections(lj_file, argon):
    """Members that predict V − V_b are reported as V, and U is the same function of them."""
    baseline = AseLennardJones(sigma=3.1, epsilon=0.08, rc=6.0)
    potential = with_baseline(load_potential(lj_file), baseline, 0.3, correction=True)
    got = potential.evaluate([argon], member_forces=True)[0]
    argon.calc = baseline
    base_energy, base_forces = argon.get_potential_energy(), argon.get_forces()
    corrections = load_potential(lj_file).evaluate([argon])[0].member_energies_eV
    np.testing.assert_allclose(got.member_energies_eV, base_energy + corrections)
    expected = k_backward_forces(got, base_energy, base_forces, 0.3)
    np.testing.assert_allclose(got.forces_eV_A, expected, atol=1e-12 * np.abs(expected).max())
    argon.calc = None
    numeric = finite_difference_forces(potential, argon, np.arange(4), 1e-3)
    np.testing.assert_allclose(got.forces_eV_A, numeric, atol=1e-8)


@pytest.fixture
def base_file(tmp_path):
    module = LennardJones(3.1, 0.08, 5.0, [1.0])
    return export(module, tmp_path / "base.pt", [18], 5.0, ensemble=False)


@pytest.mark.parametrize("correction", [False, True])
def test_exported_file_equals_the_python_combination(lj_file, base_file, argon, correction):
    from metatomic_ase import MetatomicCalculator

    from quorum_md.cli import main

    out = base_file.parent / "safe.pt"
    options = ["--offsets", "Ar=0.1", *(["--correction"] if correction else [])]
    files = [str(lj_file), str(base_file), "-o", str(out)]
    assert main(["baseline", *files, "--sigma", "0.3", *options]) == 0
    with pytest.warns(match="single model"):
        base = load_potential(base_file)
    python = with_baseline(lj_file, base, 0.3, correction=correction, offsets_eV={"Ar": 0.1})
    file = load_potential(out)
    assert file.interaction_range_A == 6.5 and file.weighting.sigma_eV == 0.3
    one = file.evaluate([argon], virial=True, member_forces=True)[0]
    two = python.evaluate([argon], virial=True, member_forces=True)[0]
    for field in (f for f in vars(one) if getattr(two, f) is not None):
        np.testing.assert_allclose(getattr(one, field), getattr(two, field), atol=1e-11)
    # the standard output of the file, in an engine that knows nothing of us
    argon.calc = MetatomicCalculator(str(out), uncertainty_threshold=None)
    assert argon.get_potential_energy() == pytest.approx(one.energy_eV, rel=1e-12)
    np.testing.assert_allclose(argon.get_forces(), one.forces_eV_A, atol=1e-11)
    halves = file.evaluate([argon] * 2, forces=False, centers=[[0, 1], [2, 3]])
    assert np.isnan(halves[0].energy_eV)
    np.testing.assert_allclose(
        sum(h.member_energies_eV for h in halves), one.member_energies_eV, rtol=1e-12
    )
    with pytest.raises(QuorumError, match="not defined with a weighted baseline"):
        file.evaluate([argon], centers=[[0]])


def test_alignment_offsets_by_least_squares():
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 8, (20, 2)).astype(float)
    offsets = composition_offsets(counts, counts @ [-9.5, 3.25], ("Nb", "Mo"))
    assert offsets == pytest.approx({"Nb": -9.5, "Mo": 3.25})


def test_bad_baselines(lj_file):
    for sigma in (0.0, -1.0, np.nan):
        with pytest.raises(QuorumError, match="expected a positive number"):
            WeightedBaseline(sigma)
    with pytest.raises(QuorumError, match="has 5 members; expected a single model"):
        with_baseline(lj_file, load_potential(lj_file), 1.0)


def test_different_zeros_of_energy_are_pointed_out(lj_file, argon):
    from quorum_md.errors import QuorumWarning

    baseline = AseLennardJones(sigma=3.1, epsilon=0.08, rc=6.0)
    far = with_baseline(lj_file, baseline, 1.0, offsets_eV={"Ar": -9.0})
    with pytest.warns(QuorumWarning, match="zeros of energy are not aligned"):
        far.evaluate([argon])
    far.evaluate([argon])  # once is enough
    with_baseline(lj_file, baseline, 1.0).evaluate([argon])
