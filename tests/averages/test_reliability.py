"""Committees whose truth is known: calibrated exactly, half, twofold; of few and many members."""

import numpy as np
import pytest
from scipy import stats

from quorum_md.averages.reliability import (
    _mean_square_quantiles,
    group_table,
    reliability,
)
from quorum_md.errors import QuorumError


def committee(n, K, ratio=1.0, seed=0, spreads=None):
    """Members N(0, σ²) about a centre that is the truth's as well, with errors `ratio` times as
    wide; σ differs from structure to structure. -> reference, mean, spread"""
    rng = np.random.default_rng(seed)
    sigma = np.exp(rng.normal(size=n) * 0.7) if spreads is None else spreads
    members = sigma[:, None] * rng.normal(size=(n, K))
    truth = ratio * sigma * rng.normal(size=n)
    return truth, members.mean(axis=1), members.std(axis=1, ddof=1)


def z_of_curve(result, expected=None):
    """Deviations of the curve in its binomial standard errors."""
    p = result.expected if expected is None else expected
    return (result.observed - p) / np.sqrt(p * (1 - p) / result.n)


@pytest.mark.parametrize("K", [4, 8, 32])
def test_a_calibrated_committee_is_on_the_diagonal(K):
    """Over 60 sets; every probability's z-score unit normal. The Gaussian fails at K = 4 and 8."""
    z, gaussian, area = [], [], []
    for seed in range(60):
        data = committee(800, K, seed=seed)
        result = reliability(*data, K)
        z.append(z_of_curve(result))
        area.append(result.area / result.chance_area)
        gaussian.append(z_of_curve(reliability(*data, K, student=False)))
    z, gaussian = np.array(z), np.array(gaussian)
    assert np.abs(z.mean(axis=0)).max() < 4 / np.sqrt(60)
    assert z.std(axis=0).mean() == pytest.approx(1, abs=0.1)
    assert np.mean(area) == pytest.approx(1, abs=0.15)
    # without the correction the curve lies this many standard errors below the diagonal
    assert gaussian.mean(axis=0).min() < {4: -6, 8: -2.5, 32: -0.4}[K]


@pytest.mark.parametrize("K", [4, 12])
@pytest.mark.parametrize("ratio", [0.5, 2.0])
def test_over_and_underconfident_by_two(K, ratio):
    result = reliability(*committee(40_000, K, ratio), K)
    # (y − ȳ)/s is t times √(ratio² + 1/K), held against t times √(1 + 1/K)
    stretch = np.sqrt((ratio**2 + 1 / K) / (1 + 1 / K))
    law = stats.t(K - 1)
    exact = 2 * law.cdf(law.ppf((1 + result.expected) / 2) / stretch) - 1
    assert np.abs(z_of_curve(result, exact)).max() < 4.5
    p = np.linspace(0, 1, 20_001)
    curve = 2 * law.cdf(law.ppf((1 + p) / 2) / stretch) - 1
    area = np.trapezoid(np.abs(curve - p), p)
    assert result.area == pytest.approx(area, rel=0.05) and area > 0.1
    assert result.overconfident == (ratio > 1)
    (whole,) = reliability(*committee(40_000, K, ratio), K, confidence=0.99).groups
    if K > 5:  # ⟨z²⟩ of fewer members has no variance; the interval knows
        assert whole.rms_z == pytest.approx(ratio, rel=0.03)
    assert whole.low < ratio < whole.high and not whole.low < 1 < whole.high
    assert whole.outside == pytest.approx(2 * law.sf(law.ppf(0.975) / stretch), rel=0.1)
    text = group_table(result)
    assert ("overconfident" if ratio > 1 else "underconfident") in text
    assert f"{whole.rms_z:.2f}" in text.splitlines()[2]


@pytest.mark.parametrize("K, ratio", [(4, 1.0), (4, 2.0), (7, 1.0)])
def test_intervals_of_groups_cover(K, ratio):
    """200 sets of a group of 40: the 68 % and 95 % intervals hold the truth as often as they say,
    and an interval from χ² alone, as for a known spread, does not at K = 4."""
    inside, wide, plain = [], [], []
    for seed in range(200):
        data = committee(40, K, ratio, seed=1000 * K + seed)
        for found, confidence in ((inside, 0.683), (wide, 0.95)):
            (one,) = reliability(*data, K, confidence=confidence).groups
            found.append(one.low <= ratio <= one.high)
        if K == 4:
            (one,) = reliability(*data, K, student=False).groups
            plain.append(one.low <= ratio <= one.high)
    assert abs(np.mean(inside) - 0.683) < 3.5 * np.sqrt(0.683 * 0.317 / 200)
    assert abs(np.mean(wide) - 0.95) < 3.5 * np.sqrt(0.95 * 0.05 / 200)
    if K == 4:
        assert np.mean(plain) < 0.6


def test_ratio_is_that_of_calibration():
    """rms z = √(−1/K + (K − 3)/(K − 1) ⟨z²⟩), the estimate of α; and 1 after scaling by α."""
    y, mean, s = committee(500, 8, 1.7, seed=5)
    (before,) = reliability(y, mean, s, 8).groups
    alpha = np.sqrt(-1 / 8 + 5 / 7 * np.mean(((y - mean) / s) ** 2))
    assert before.rms_z == pytest.approx(alpha, rel=1e-12)
    after = reliability(y, mean, alpha * s, 8, alpha=alpha)
    assert after.groups[0].rms_z == pytest.approx(1, rel=1e-12)
    # the same errors are predicted whichever way the truth's own factor is said
    truth = reliability(*committee(20_000, 5, 2.0, seed=1), 5)
    y, mean, s = committee(20_000, 5, 2.0, seed=1)
    scaled = reliability(y, mean, 2 * s, 5, alpha=2.0)
    assert np.abs(z_of_curve(scaled)).max() < 4.5 < np.abs(z_of_curve(truth)).max()


def test_intervals_become_those_of_chi_squared():
    for n in (5, 50):
        found = _mean_square_quantiles(n, 100_000, (0.025, 0.16, 0.84, 0.975))
        exact = stats.chi2.ppf((0.025, 0.16, 0.84, 0.975), n) / n
        np.testing.assert_allclose(found, exact, rtol=0.05)
    one = _mean_square_quantiles(1, 5, (0.16, 0.5, 0.84))
    np.testing.assert_allclose(one, stats.f(1, 5).ppf((0.16, 0.5, 0.84)), rtol=0.1)


def test_a_group_that_is_wrong_shows():
    y, mean, s = committee(600, 16, seed=2)
    y[:60] = mean[:60] + 6 * (y[:60] - mean[:60])
    result = reliability(y, mean, s, 16, groups=["cracks"] * 60 + ["bulk"] * 540)
    whole, cracks, bulk = result.groups
    assert [g.name for g in result.groups] == ["all", "cracks", "bulk"]
    assert (whole.n, cracks.n, bulk.n) == (600, 60, 540)
    assert cracks.low > 4 and cracks.low < 6.3 < cracks.high + 1
    assert bulk.low < 1 < bulk.high
    assert cracks.outside > 0.6 and bulk.outside < 0.08
    text = group_table(result)
    assert text.splitlines()[3].split()[:2] == ["cracks", "60"]


def test_errors_against_spreads():
    """Spreads of many members are exact, so the errors of each bin follow them."""
    sigma = np.repeat(np.geomspace(0.01, 10, 10), 500)
    result = reliability(*committee(5000, 500, seed=3, spreads=sigma), 500)
    np.testing.assert_allclose(result.bins_spread, np.geomspace(0.01, 10, 10), rtol=0.01)
    z = (result.bins_error / result.bins_spread - 1) * np.sqrt(2 * 500)
    assert np.abs(z).max() < 3.5 and 0.4 < z.std() < 1.7
    inside = (result.bins_low < result.bins_spread) & (result.bins_spread < result.bins_high)
    assert inside.sum() >= 8
    assert len(reliability(*committee(35, 8), 8).bins_error) == 3


def test_area_is_exact():
    """Errors at given places: the area under the steps by hand."""
    K, places = 6, np.array([0.2, 0.9])
    z = stats.t(K - 1).ppf((1 + places) / 2) * np.sqrt(1 + 1 / K)
    result = reliability(z, np.zeros(2), np.ones(2), K)
    # F = 0, ½, 1: triangles 0.2²/2, 0.3²/2, 0.4²/2 and 0.1²/2
    assert result.area == pytest.approx((0.04 + 0.09 + 0.16 + 0.01) / 2)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"n_members": 3}, "got 3 members, expected 4 or more"),
        ({"reference": np.ones(3)}, "expected one of each per structure"),
        ({"spread": np.r_[0.0, np.ones(9)]}, "expected positive numbers"),
        ({"mean": np.full(10, np.nan)}, "mean: 10 value.s. are not finite"),
        ({"groups": ["a"]}, "groups: got 1, expected one for each of 10"),
        ({"alpha": 0.0}, "alpha: got 0, expected a positive factor"),
    ],
)
def test_bad_input(change, message):
    good = {"reference": np.arange(10.0), "mean": np.zeros(10), "spread": np.ones(10),
            "n_members": 8}  # fmt: skip
    with pytest.raises(QuorumError, match=message):
        reliability(**(good | change))
    with pytest.raises(QuorumError, match="got 1 structure"):
        reliability([1.0], [0.0], [1.0], 8)
