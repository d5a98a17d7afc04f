"""Free energies of members and melting points against exact answers."""

import numpy as np
import pytest

from exact_series import KT, ar1, assert_unit_normal
from quorum_md.averages import (
    bias_weights,
    free_energies,
    mbar_weights,
    melting_point,
    shifted_melting_point,
)
from quorum_md.errors import QuorumError

SLOPES = np.array([-0.12, -0.03, 0.05, 0.10])


def linear(seed, n=2000, tau=3, slopes=SLOPES, stiffness=1.0):
    """V = ½kx² and V_i = V + a_i x: F_i − F = −a_i²/2k; the mean of the slopes is 0."""
    x = ar1(np.random.default_rng(seed), tau, (n, 1))[:, 0] * np.sqrt(KT / stiffness)
    return x, 0.5 * stiffness * x[:, None] ** 2 + (slopes - np.mean(slopes)) * x[:, None]


@pytest.mark.parametrize(("method", "order"), [("cumulant", 2), ("direct", 1)])
def test_linear_members(method, order):
    """Row 14, value and claimed error; exact to second order, since ΔV is Gaussian."""
    z = []
    for seed in range(200):
        _, energies = linear(seed)
        result = free_energies(energies, kT_eV=KT, method=method, order=order)
        exact = -((SLOPES - SLOPES.mean()) ** 2) / 2
        z.append((result.members_eV - exact) / result.statistical_errors_eV)
    assert result.mean_eV == 0.0 and result.verdict == "ok"
    assert_unit_normal(z)


def test_first_order_is_the_mean_difference():
    _, centred = linear(3)
    energies = centred + np.array([0.1, -0.2, 0.3, -0.2])
    result = free_energies(energies, kT_eV=KT, order=1)
    difference = (energies - energies.mean(axis=1, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(result.members_eV, difference, atol=1e-14)
    assert result.verdict == "ok"
    # without the offsets the second order is all there is
    without = free_energies(centred, kT_eV=KT, order=1)
    assert without.verdict == "invalid" and "order 2 that is left out" in without.reasons[0]


def test_stiffness_at_another_temperature_and_with_a_bias():
    """F_i − F_ref = ½ d kT ln(k_i/k), from frames of another temperature and of a biased run."""
    dof, target, change = 10, 0.034, np.array([-0.06, 0.02, 0.05])
    z, biased = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        y = ar1(rng, 2, (1500, dof))
        V = 0.5 * (y**2).sum(axis=1) * KT
        exact = dof / 2 * np.log1p(change)
        weights = mbar_weights(V[None] / KT, [1500], V / target)
        result = free_energies(
            V[:, None] * (1 + change), kT_eV=target, weights=weights, reference=V, method="direct"
        )
        z.append((result.members_eV - target * exact) / result.statistical_errors_eV)
        V = 0.5 * (y**2).sum(axis=1) * KT / 1.1  # sampled with a bias of 0.1 V
        result = free_energies(
            V[:, None] * (1 + change),
            kT_eV=KT,
            weights=bias_weights(0.1 * V, kT_eV=KT),
            reference=V,
            method="direct",
        )
        biased.append((result.members_eV - KT * exact) / result.statistical_errors_eV)
    assert_unit_normal(z)
    assert_unit_normal(biased)


def test_differences_are_formed_member_by_member():
    """What members say of both phases alike cancels; errors of the two runs add."""
    _, solid = linear(1, n=4000)
    x, liquid = linear(2, n=4000)
    offset = np.array([5.0, -3.0, 1.0, -3.0])
    a = free_energies(solid + offset, kT_eV=KT).per(10)
    b = free_energies(liquid + offset, kT_eV=KT).per(10)
    difference = a.minus(b)
    assert a.model_error_eV > 0.1 and difference.model_error_eV < 1e-4
    np.testing.assert_allclose(
        difference.statistical_errors_eV,
        np.hypot(a.statistical_errors_eV, b.statistical_errors_eV),
    )
    assert a.members_eV[0] == pytest.approx(0.1 * free_energies(solid + offset, kT_eV=KT)
                                            .members_eV[0])  # fmt: skip
    with pytest.raises(QuorumError, match="4 and 3 members"):
        a.minus(free_energies(liquid[:, :3], kT_eV=KT).per(10))


def test_model_error_without_the_noise():
    """A spread of the free energies that only sampling makes must not pass for a model error."""
    excess = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        V = rng.normal(size=(500, 1))
        result = free_energies(V + 0.01 * rng.normal(size=(500, 16)), kT_eV=KT, order=1)
        excess.append(result.model_error_uncorrected_eV**2 / result.noise_eV**2)
    assert np.mean(excess) == pytest.approx(1.0, abs=4 * np.std(excess) / 10)


def test_verdicts():
    rng = np.random.default_rng(0)
    V = rng.chisquare(400, size=5000)[:, None] / 2 * KT
    wide = V * (1 + np.array([-0.4, 0.1, 0.3]))
    first = free_energies(wide + np.array([2.4, -0.6, -1.8]), kT_eV=KT, order=1)
    assert first.verdict == "invalid" and "use order=2" in first.reasons[0]
    direct = free_energies(wide, kT_eV=KT, method="direct")
    assert direct.verdict == "invalid" and "effective samples" in direct.reasons[0]
    narrow = free_energies(V * (1 + np.array([-0.01, 0.0, 0.01])), kT_eV=KT)
    assert narrow.verdict == "ok"


def shift_of(offsets, seed=0, n=2000):
    """δμ = offsets per atom of one atom, with little noise."""
    rng = np.random.default_rng(seed)
    V = rng.normal(size=(n, 1))
    offsets = np.asarray(offsets) - np.mean(offsets)
    solid = free_energies(V + offsets + 1e-5 * rng.normal(size=(n, len(offsets))), kT_eV=KT)
    liquid = free_energies(V + 1e-5 * rng.normal(size=(n, len(offsets))), kT_eV=KT)
    return solid.minus(liquid)


def test_members_with_known_melting_points():
    """Row 15: a member whose solid is higher by δμ melts Tm δμ/Δh lower."""
    offsets = np.array([0.004, -0.004, 0.001, -0.001])
    result = shifted_melting_point(1000.0, 0.1, shift_of(offsets), temperature_error_K=3.0)
    np.testing.assert_allclose(result.members_K, 1000 - offsets * 1e4, atol=0.02)
    assert result.model_error_K == pytest.approx(1e4 * offsets.std(ddof=1), rel=1e-3)
    assert result.statistical_error_K == pytest.approx(3.0)
    assert result.verdict == "ok"
    far = shifted_melting_point(1000.0, 0.01, shift_of(4 * offsets))
    assert far.verdict == "doubtful" and "several temperatures" in far.reasons[-1]


def test_root_of_a_scan_with_its_errors():
    """Δμ = Δs (T − Tm) + noise: Tm and its claimed error over 300 scans; members' shifts."""
    T, entropy, T_m = np.array([900.0, 960, 1020, 1080]), 1e-4, 1000.0
    offsets = np.array([0.002, -0.003, 0.0, 0.001])
    shifts = [shift_of(offsets, seed) for seed in range(4)]
    error = np.array([1e-3, 5e-4, 5e-4, 1e-3])
    rng = np.random.default_rng(0)
    z = []
    for _ in range(300):
        mu = entropy * (T - T_m) + error * rng.normal(size=4)
        result = melting_point(T, mu, error, shifts)
        z.append((result.temperature_K - T_m) / result.statistical_error_K)
        slope = result.slope_eV_K
        np.testing.assert_allclose(
            result.members_K - result.temperature_K, -offsets / slope, atol=0.5
        )
    assert_unit_normal(z, high=1.2)
    assert result.model_error_K == pytest.approx(offsets.std(ddof=1) / slope, rel=0.02)
    curved = entropy * (T - T_m) - 2e-7 * (T - T_m) ** 2
    exact = melting_point(T, curved, 1e-7 * np.ones(4), shifts, degree=2)
    assert exact.temperature_K == pytest.approx(T_m, abs=1e-3)
    straight = melting_point(T, curved, 1e-5 * np.ones(4), shifts)
    assert straight.verdict == "doubtful" and "χ²" in straight.reasons[0]


def test_errors_that_are_too_small_are_found_by_the_scatter():
    """Points that scatter by eight times what they claim, as those of short runs may."""
    T, entropy, T_m = np.linspace(900.0, 1100.0, 8), 1e-4, 1000.0
    rng = np.random.default_rng(1)
    z = []
    for _ in range(300):
        mu = entropy * (T - T_m) + 8e-4 * rng.normal(size=8)
        result = melting_point(T, mu, np.full(8, 1e-4), None)
        z.append((result.temperature_K - T_m) / result.statistical_error_K)
        assert result.verdict == "doubtful" and "multiplied by" in result.reasons[0]
    # an error from eight points has Student's t, of variance 6/4
    assert_unit_normal(np.array(z) / 1.5**0.5, high=1.2)


def test_no_melting_is_a_sentence():
    T, shifts = np.array([900.0, 1000.0, 1100.0]), [shift_of([0.001, -0.001])] * 3
    errors = np.full(3, 1e-4)
    for mu, kwargs, message in [
        (1e-4 * (1000 - T), {}, "has no melting point near"),
        (1e-4 * (T - 9000), {}, "has no melting point near"),
        (1e-4 * (T - 1000), {"degree": 3}, "degree: got 3"),
        (1e-4 * (T - 1000)[:2], {}, "expected one of each per temperature"),
    ]:
        with pytest.raises(QuorumError, match=message):
            melting_point(T, mu, errors, shifts, **kwargs)
    with pytest.raises(QuorumError, match="errors_eV: expected positive"):
        melting_point(T, 1e-4 * (T - 1000), 0 * errors, shifts)
    outside = melting_point(T, 1e-4 * (T - 1200), errors, shifts)
    assert outside.verdict == "doubtful" and "add runs there" in outside.reasons[0]
    with pytest.raises(QuorumError, match="enthalpy_of_fusion_eV: got -0.1"):
        shifted_melting_point(1000.0, -0.1, shifts[0])
