"""Δμ from the pinned mean: values and claimed errors against exact ones, members, signs, seeds."""

from dataclasses import replace

import numpy as np
import pytest
from two_phase_data import Model, bulk_job, pinned_job

from exact_series import ar1, assert_unit_normal
from quorum_md.pinning.bulk import bulk, levels, scaled_q
from quorum_md.pinning.pinned_mean import pinned_mean
from quorum_md.pinning.points import point
from quorum_md.pinning.refusals import Limits
from quorum_md.pinning.series import block_averages, kept

MEMBERS = (0.004, -0.003, 0.002, -0.003)


def exact_shifts(model, T):
    """δμ of Gaussian members: offsets to first order, and their variances to second."""
    solid, liquid = model.offsets()
    beta = 1 / (model.kappa(T) * (model.width * model.delta_q) ** 2)
    # noise is about the mean of the members: (K − 1)/K of its variance
    part = (len(solid) - 1) / len(solid) * beta / 2 / model.n_atoms
    second = -part * (model.noise[0] ** 2 - model.noise[1] ** 2)
    return solid - liquid, solid - liquid + second


def one(model, T, seed, n=1500, bulk_rows=300, **options):
    solid, liquid = (bulk(bulk_job(model, k, T, seed, n=bulk_rows), 0) for k in ("solid", "liquid"))
    job = pinned_job(model, T, seed, n=n, **options)
    return pinned_mean(kept(job, 0), solid, liquid)


@pytest.mark.parametrize("T", [960.0, 1050.0])
def test_values_and_errors(T):
    """z-scores over seeds, off the melting point on both sides, members by covariance too."""
    model = Model(members=MEMBERS, noise=(0.08, 0.12), tau=4.0)
    first, _ = exact_shifts(model, T)
    z, members = [], []
    for seed in range(300):
        found = one(model, T, seed)
        z.append((found.delta_mu_eV - model.delta_mu(T)) / found.error_eV)
        members.append((found.members_eV - first) / found.member_errors_eV)
        assert np.sign(found.delta_mu_eV) == np.sign(T - model.T_m)
    assert_unit_normal(z)
    assert_unit_normal(members, high=1.2)


def test_errors_of_few_independent_values():
    """Eight of them: the sample says too little of its own error, but var Q is known."""
    model, T, z, plain = Model(tau=100.0), 1000.0, [], []
    for seed in range(200):
        found = one(model, T, seed, n=1600, bulk_rows=100)
        z.append((found.delta_mu_eV - model.delta_mu(T)) / found.error_eV)
        plain.append(z[-1] / min(1, found.variance_ratio))
    assert_unit_normal(z)
    assert np.std(plain) > 1.25


def test_both_phases_make_the_error_far_from_melting():
    """Where Δμ is large, Q_s − Q_l of short bulk runs is what is uncertain."""
    model = Model(tau=0.51, width=0.02, h=0.5, n_atoms=300, q_noise=3.0)
    T, z = 1080.0, []
    for seed in range(150):
        found = one(model, T, seed, n=1000, bulk_rows=200)
        assert found.error_eV > 1.5 * found.own_error_eV
        z.append((found.delta_mu_eV - model.delta_mu(T)) / found.error_eV)
    assert_unit_normal(z, high=1.2)


def test_seeds_are_combined():
    model = Model(tau=4.0)
    T, z, errors = 1020.0, [], []
    for seed in range(40):
        solid, liquid = (bulk(bulk_job(model, k, T, seed, n=300), 0) for k in ("solid", "liquid"))
        # one is three times as long
        jobs = [pinned_job(model, T, seed, n=n, number=k) for k, n in enumerate((1500, 500, 500))]
        found = point(jobs, solid, liquid, [liquid], discard=0, limits=Limits())
        assert not found.refused
        z.append((found.delta_mu_eV - model.delta_mu(T)) / found.error_eV)
        errors.append(found.error_eV / found.runs[0].mean.error_eV)
    assert_unit_normal(z)
    assert np.mean(errors) == pytest.approx((1500 / 2500) ** 0.5, rel=0.03)


def test_seeds_that_disagree_are_doubtful():
    model, T = Model(), 1000.0
    solid, liquid = (bulk(bulk_job(model, k, T, 0), 0) for k in ("solid", "liquid"))
    jobs = [pinned_job(model, T, 0, number=k, delta_mu=mu) for k, mu in enumerate((0.0, 0.005))]
    found = point(jobs, solid, liquid, [liquid], discard=0, limits=Limits())
    assert found.verdict == "doubtful" and "scatter by" in found.reasons[0]
    assert found.error_eV > 3 * min(run.mean.error_eV for run in found.runs)


def test_members_from_bulk_runs_and_their_check():
    """δμ to second order from the bulk runs; the covariance agrees to first order."""
    model, T = Model(members=MEMBERS, noise=(0.3, 0.6)), 1010.0
    first, second = exact_shifts(model, T)
    z, against = [], []
    for seed in range(60):
        solid, liquid = (bulk(bulk_job(model, k, T, seed, n=400), 0) for k in ("solid", "liquid"))
        jobs = [pinned_job(model, T, seed, n=2000)]
        found = point(jobs, solid, liquid, [liquid], discard=0, limits=Limits())
        z.append((found.shift.members_eV - second) / found.shift.statistical_errors_eV)
        against.append(found.covariance_z())
        assert np.abs(found.shift_first_order.members_eV - first).max() < 1e-4
    assert_unit_normal(z, low=0.8, high=1.2)
    assert_unit_normal(against, low=0.8, high=1.25)
    assert np.abs(second - first).max() > 3 * found.shift.statistical_errors_eV.max()


def test_order_parameters_of_boxes_of_another_size():
    solid = bulk(bulk_job(Model(n_atoms=500), "solid", 1000.0, 0), 0)
    for words, factor in (("plumed.dat: cv.morethan", 4), ("rhok 10 0 0", 2), ("es.mean", 1)):
        job = replace(solid.job, order_parameter=words)
        q, _ = scaled_q(bulk(job, 0), 2000)
        assert q.value == pytest.approx(factor * solid.q.value)


def test_a_modulus_has_no_level_in_the_liquid():
    """|ρ_k|/√N of a crystal of f N atoms in a melt, by Monte Carlo: dQ/df at ½ is Q_s, not
    Q_s − Q_l, whose Q_l is the mean modulus of noise and does not grow with N."""
    rng, n_atoms, order, noise, draws = np.random.default_rng(2), 500, 0.8, 0.6, 400_000
    z = rng.normal(size=(draws, 2)) @ [1, 1j] * noise / 2**0.5

    def q(f):
        # of the solid's atoms in phase, and of both phases' noise; the same noise at each f
        return np.abs(f * order * n_atoms**0.5 + z)

    slope = (q(0.51) - q(0.49)) / 0.02
    exact, error = slope.mean(), slope.std() / draws**0.5
    bulk_runs = {}
    for kind, f in (("solid", 1.0), ("liquid", 0.0)):
        job = replace(
            bulk_job(Model(n_atoms=n_atoms), kind, 1000.0, 0), order_parameter="rhok 8 0 0"
        )
        series = {"q": q(f)[: job.n_frames]}
        bulk_runs[kind] = bulk(replace(job, columns=job.columns | series), 0)
    solid, liquid = bulk_runs["solid"], bulk_runs["liquid"]
    q_s, q_l = levels(solid, liquid, n_atoms)
    # the noise along the amplitude cancels in Q_s, that across adds noise²/(4 amplitude)
    across = noise**2 / (4 * order * n_atoms**0.5)
    assert abs(q_s.value - q_l.value - across - exact) < 4 * np.hypot(error, q_s.error) + 0.005
    assert liquid.q.value > 0.025 * exact and q_l.error == 0.0
    assert scaled_q(liquid, 4 * n_atoms)[0].value == pytest.approx(liquid.q.value)
    assert levels(solid, liquid, 4 * n_atoms)[0].value == pytest.approx(2 * solid.q.value)
    # and Δμ takes it
    job = pinned_job(Model(n_atoms=n_atoms), 1000.0, 0)
    found = pinned_mean(kept(replace(job, order_parameter="rhok 8 0 0"), 0), solid, liquid)
    assert found.delta_q == q_s.value and found.delta_q_error == q_s.error


def test_blocks_are_the_means_of_equal_parts():
    x = ar1(np.random.default_rng(0), 3.0, (1003, 1))[:, 0]
    blocks = block_averages(x, 10)
    assert [b.value for b in blocks] == pytest.approx(x[3:].reshape(10, 100).mean(axis=1))
    assert len(block_averages(x[:40], 10)) == 2
