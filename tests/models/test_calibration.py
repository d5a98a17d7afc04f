"""α on synthetic truth, where it is known, and the scores that show whether it worked."""

import numpy as np
import pytest

from quorum_md.errors import QuorumError, QuorumWarning
from quorum_md.models.calibration import calibration_alpha, report, rescaled, scores


def synthetic(n, k, alpha, seed):
    """Errors and members drawn from one Gaussian per structure; errors α times as wide."""
    rng = np.random.default_rng(seed)
    width = rng.uniform(0.5, 2.0, n)
    members = width[:, None] * rng.normal(size=(n, k)) + rng.normal(size=(n, 1))
    # truth and members have the same centre: ȳ of K members is itself off by width/√K
    centre = members.mean(axis=1) - width * rng.normal(size=n) / np.sqrt(k)
    return centre + alpha * width * rng.normal(size=n), members


@pytest.mark.parametrize("k", [5, 8, 32])
def test_alpha_of_synthetic_truth(k):
    """Claimed within its statistical error at every K: the naive estimate is not."""
    estimates, naive = [], []
    for seed in range(40):
        y, members = synthetic(2000, k, 2.0, seed)
        estimates.append(calibration_alpha(y, members).alpha_squared)
        ratio = (y - members.mean(axis=1)) ** 2 / members.var(axis=1, ddof=1)
        naive.append(ratio.mean())
    error = np.std(estimates, ddof=1) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - 4.0) < 3.5 * error
    if k < 32:
        assert abs(np.mean(naive) - 4.0) > 10 * error


def test_alpha_at_four_members():
    """K = 4: the estimator's variance is infinite, its median is near; naive is 3.56."""
    estimates = [calibration_alpha(*synthetic(20000, 4, 2.0, s)).alpha for s in range(15)]
    assert np.median(estimates) == pytest.approx(1.99, abs=0.1)


def test_too_few_members_are_refused():
    with pytest.raises(QuorumError, match="committee of 3 cannot be calibrated"):
        calibration_alpha(*synthetic(100, 3, 1.0, 0))


def test_spread_without_relation_to_the_error_is_clamped():
    rng = np.random.default_rng(0)
    members = 30 * rng.normal(size=(200, 16))
    members -= members.mean(axis=1, keepdims=True)
    with pytest.warns(QuorumWarning, match="negative and is set to 0"):
        result = calibration_alpha(0.1 * rng.normal(size=200), members)
    assert result.alpha == 0.0 and result.clamped


@pytest.mark.parametrize(
    "y, members, message",
    [
        (np.zeros(5), np.ones((4, 8)), "reference energies"),
        (np.zeros(1), np.random.default_rng(0).normal(size=(1, 8)), "got 1 structure"),
        (np.array([0, np.nan]), np.random.default_rng(0).normal(size=(2, 8)), "not finite"),
        (np.zeros(3), np.ones((3, 8)), "agree exactly"),
    ],
)
def test_bad_input(y, members, message):
    with pytest.raises(QuorumError, match=message):
        calibration_alpha(y, members)


def test_scores_after_calibration_are_one():
    y, members = synthetic(5000, 32, 2.0, 3)
    # a group of that name is a group, not the whole
    named = scores(y, members, np.full(5000, 4), ["all"] * 10 + ["b"] * 4990)
    assert [s.n for s in named] == [5000, 10, 4990]
    groups = ["a"] * 2500 + ["b"] * 2500
    alpha = calibration_alpha(y, members).alpha
    before = scores(y, members, np.full(5000, 4), groups)
    after = scores(y, rescaled(members, alpha), np.full(5000, 4), groups)
    assert [s.group for s in after] == ["all", "a", "b"] and after[1].n == 2500
    # E z² = (α² + 1/K)(K−1)/(K−3)/α² of a Gaussian truth
    expected = np.sqrt((4 + 1 / 32) * 31 / 29 / 4)
    assert after[0].rms_z == pytest.approx(expected, rel=0.03)
    assert before[0].rms_z == pytest.approx(2 * expected, rel=0.05)
    assert after[0].rmse_meV == pytest.approx(before[0].rmse_meV)
    assert after[0].spread_meV == pytest.approx(alpha * before[0].spread_meV)
    error = (y - members.mean(axis=1)) / 4
    assert after[0].rmse_meV == pytest.approx(1e3 * np.sqrt(np.mean(error**2)))
    text = report(before, after, alpha)
    assert "alpha = " in text and len(text.splitlines()) == 5


@pytest.mark.parametrize("tail", [False, True])
def test_error_of_the_rms_z_score_is_what_it_scatters_by(tail):
    """Over 300 series of 100 structures; with errors that have heavy tails the Gaussian 1/√(2n)
    would be too small by half."""
    found, claimed = [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        y, members = synthetic(100, 64, 1.0, seed)
        if tail:
            centre = members.mean(axis=1)
            y = centre + (y - centre) * np.where(rng.random(100) < 0.1, 3.0, 1.0)
        whole = scores(y, members, np.ones(100), ["a"] * 100)[0]
        found.append(whole.rms_z)
        claimed.append(whole.rms_z_error)
    assert np.mean(claimed) == pytest.approx(np.std(found, ddof=1), rel=0.15)
    gaussian = np.mean(found) / np.sqrt(200)
    assert (np.mean(claimed) > 1.4 * gaussian) == tail


def test_few_structures_that_agree_by_chance_are_not_sure():
    members = np.random.default_rng(0).normal(size=(2, 8))
    y = members.mean(axis=1) + members.std(axis=1, ddof=1)
    assert scores(y, members, np.ones(2), ["a"] * 2)[0].rms_z_error == pytest.approx(0.5)
