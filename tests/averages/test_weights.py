"""Biased frames, other temperatures, pooled runs: weights and the errors that come with them."""

import numpy as np
import pytest

from exact_series import KT, ar1, assert_unit_normal
from quorum_md.averages import (
    bias_weights,
    heat_capacity,
    known_weights,
    mbar_weights,
    reweight,
    temperature_weights,
)
from quorum_md.errors import QuorumError
from quorum_md.units import BOLTZMANN_EV_K

SLOPES = np.array([-0.05, 0.01, 0.04])
CHANGES = np.array([-0.04, 0.01, 0.03])


@pytest.mark.parametrize("method", ["cumulant", "direct"])
def test_a_biased_run_gives_the_unbiased_answer(method):
    """Row 11: V = ½x², bias ½ ¼ (x − 0.1)²; members V + a_i x have ⟨x⟩_i = −a_i."""
    z = []
    centred = SLOPES - SLOPES.mean()
    for seed in range(200):
        x = ar1(np.random.default_rng(seed), 4, (3000, 1))[:, 0] * np.sqrt(KT / 1.25) + 0.02
        bias = 0.125 * (x - 0.1) ** 2
        energies = 0.5 * x[:, None] ** 2 + centred * x[:, None]
        result = reweight(
            x, energies, kT_eV=KT, weights=bias_weights(bias, kT_eV=KT), method=method
        )
        z.append((result.members + centred) / result.members_statistical_error)
    assert_unit_normal(z)


@pytest.mark.parametrize("method", ["cumulant", "direct"])
def test_another_temperature(method):
    """Row 12: at kT', ⟨V⟩_i = ½ d kT'/(1 + e_i), to first order in e for the expansion."""
    dof, target, z = 20, 0.032, []
    for seed in range(200):
        x = ar1(np.random.default_rng(seed), 3, (1500, dof)) * np.sqrt(KT)
        V = 0.5 * (x**2).sum(axis=1)
        weights = temperature_weights(V, kT_eV=KT, target_kT_eV=target)
        result = reweight(
            V, V[:, None] * (1 + CHANGES), kT_eV=target, weights=weights, reference=V, method=method
        )
        exact = 1 - CHANGES if method == "cumulant" else 1 / (1 + CHANGES)
        z.append((result.members - dof / 2 * target * exact) / result.members_statistical_error)
    assert_unit_normal(z)


def temperature_series(seed, kTs, dof, n, tau):
    rng = np.random.default_rng(seed)
    x = np.concatenate([ar1(rng, tau, (n, dof)) * np.sqrt(kT) for kT in kTs])
    return 0.5 * (x**2).sum(axis=1)


def test_pooled_temperatures_and_the_noise_of_their_weights():
    """The errors know that MBAR's weights come from the same frames; without that they are far
    too small."""
    kTs, dof, n, target = np.array([0.024, 0.03, 0.038]), 20, 1000, 0.028
    z, ignorant = [], []
    for seed in range(200):
        V = temperature_series(seed, kTs, dof, n, 3)
        weights = mbar_weights(V / kTs[:, None], [n] * 3, V / target)
        energies = V[:, None] * (1 + CHANGES)
        exact = dof / 2 * target / (1 + CHANGES)

        def score(w, energies=energies, V=V, exact=exact):
            result = reweight(V, energies, kT_eV=target, weights=w, reference=V, method="direct")
            return (result.members - exact) / result.members_statistical_error

        z.append(score(weights))
        ignorant.append(score(known_weights(weights.values, weights.lengths)))
    assert_unit_normal(z)
    assert np.std(ignorant) > 1.25


def test_a_temperature_series_recombines_to_the_heat_capacity():
    """Row 11: ½ d k_B for harmonic oscillators at any temperature, sampled or not."""
    T = np.array([280.0, 350.0, 430.0])
    kTs, dof, n, target = BOLTZMANN_EV_K * T, 12, 2000, 385.0
    z = []
    for seed in range(100):
        V = temperature_series(seed, kTs, dof, n, 2)
        weights = mbar_weights(V / kTs[:, None], [n] * 3, V / (BOLTZMANN_EV_K * target))
        energies = V[:, None] + 1e-4 * np.array([-1, 0, 1])
        energies[:, 0] += 1e-3 * V
        energies[:, 2] -= 1e-3 * V
        result = heat_capacity(energies, temperature_K=target, weights=weights)
        z.append((result.mean - dof / 2) / result.statistical_error)
    assert_unit_normal(z, low=0.8, high=1.25)


def test_mbar_of_one_state_is_no_reweighting():
    V = temperature_series(1, [KT], 10, 500, 1)
    weights = mbar_weights(V[None] / KT, [500], 0)
    np.testing.assert_allclose(weights.values, 1.0)
    energies = V[:, None] * (1 + CHANGES)
    one = reweight(V, energies, kT_eV=KT, weights=weights)
    plain = reweight(V, energies, kT_eV=KT)
    assert one.mean == pytest.approx(plain.mean, rel=1e-12)
    np.testing.assert_allclose(one.members, plain.members, rtol=1e-10)
    assert one.statistical_error == pytest.approx(plain.statistical_error, rel=1e-6)


def test_empty_states_and_the_order_of_frames_do_not_matter():
    kTs = np.array([0.02, 0.03, 0.045])
    V = temperature_series(3, kTs, 10, 300, 1)
    u = V / kTs[:, None]
    full = mbar_weights(u, [300] * 3, V / 0.025)
    with_empty = mbar_weights(np.insert(u, 1, V / 0.6, axis=0), [300, 0, 300, 300], V / 0.025)
    np.testing.assert_allclose(with_empty.values, full.values, rtol=1e-8)
    shifted = mbar_weights(u + np.linspace(-500, 500, 900), [300] * 3,
                           V / 0.025 + np.linspace(-500, 500, 900))  # fmt: skip
    np.testing.assert_allclose(shifted.values, full.values, rtol=1e-6)


def test_two_runs_are_not_one():
    """No autocorrelation across the seam: errors of the pool are those of the parts combined."""
    rng = np.random.default_rng(8)
    x = np.concatenate([ar1(rng, 30, (4000, 1))[:, 0], ar1(rng, 30, (2000, 1))[:, 0] + 0.05])
    x *= np.sqrt(KT)
    energies = 0.5 * x[:, None] ** 2 + SLOPES * x[:, None]
    parts = [
        reweight(part_x, part_e, kT_eV=KT)
        for part_x, part_e in ((x[:4000], energies[:4000]), (x[4000:], energies[4000:]))
    ]
    pool = reweight(x, energies, kT_eV=KT, weights=known_weights(np.ones(6000), [4000, 2000]))
    combined = np.hypot(parts[0].statistical_error * 4 / 6, parts[1].statistical_error * 2 / 6)
    assert pool.statistical_error == pytest.approx(combined, rel=0.05)


def test_bad_weights_are_a_sentence():
    V = np.random.default_rng(0).normal(size=20)
    for make, message in [
        (lambda: bias_weights(np.full(20, np.nan), kT_eV=KT), "bias_eV: 20 value"),
        (lambda: bias_weights(V, kT_eV=300), "kT_eV: got 300"),
        (lambda: bias_weights(V, kT_eV=KT, lengths=[5, 5]), "lengths: got"),
        (lambda: mbar_weights(V[None], [19], 0), "counts: sum to 19"),
        (lambda: mbar_weights(V[None], [10, 10], 0), "reduced_energies: got shape"),
        (lambda: mbar_weights(V[None], [20], 1), "target: got 1"),
    ]:
        with pytest.raises(QuorumError, match=message):
            make()


def test_a_temperature_too_far_away_is_invalid():
    V = temperature_series(5, [KT], 60, 400, 1)
    energies = V[:, None] * (1 + 0.01 * CHANGES)
    far = temperature_weights(V, kT_eV=KT, target_kT_eV=0.5 * KT)
    result = reweight(V, energies, kT_eV=0.5 * KT, weights=far, reference=V)
    assert result.verdict == "invalid"
    assert "the weights of the frames leave" in " ".join(result.reasons)
    near = temperature_weights(V, kT_eV=KT, target_kT_eV=0.98 * KT)
    assert reweight(V, energies, kT_eV=0.98 * KT, weights=near, reference=V).verdict == "ok"
