"""Claimed sampling errors against series whose errors are known."""

import numpy as np
import pytest
from scipy.signal import lfilter

from quorum_md.averages.timeseries import (
    block_means,
    frames_to_discard,
    integrated_autocorrelation_time,
    statistical_inefficiency,
    transient,
    variance_of_mean,
)
from quorum_md.errors import QuorumError


def ar1(tau, n, columns, seed):
    """Stationary AR(1), unit variance, integrated autocorrelation time tau."""
    phi = (2 * tau - 1) / (2 * tau + 1)
    noise = np.random.default_rng(seed).normal(size=(n, columns))
    noise[0] /= np.sqrt(1 - phi**2)
    return lfilter([np.sqrt(1 - phi**2)], [1, -phi], noise, axis=0)


# the last is longer than the number of points kept, so it is averaged over blocks first
@pytest.mark.parametrize(("tau", "n"), [(0.5, 500), (5, 1000), (20, 2000), (30, 20000)])
def test_claimed_errors_of_ar1(tau, n):
    series = ar1(tau, n, 400, seed=int(tau))
    variance = variance_of_mean(series)
    z = series.mean(axis=0) / np.sqrt(variance)
    assert 0.60 < np.mean(np.abs(z) < 1) < 0.76
    assert 0.9 < z.std() < 1.15
    phi = (2 * tau - 1) / (2 * tau + 1)
    exact = (2 * tau - 2 * phi * (1 - phi**n) / (n * (1 - phi) ** 2)) / n
    assert variance.mean() == pytest.approx(exact, rel=0.04)


def test_integrated_time_of_ar1():
    times = integrated_autocorrelation_time(ar1(10, 4000, 100, seed=1))
    assert times.mean() == pytest.approx(10, rel=0.05)
    assert statistical_inefficiency(ar1(10, 4000, 3, seed=1)).shape == (3,)


def test_anticorrelated_series_has_a_smaller_error():
    noise = np.random.default_rng(2).normal(size=(2001, 50))
    series = noise[1:] - 0.5 * noise[:-1]  # exact variance of the mean: (1 - 0.5)²/n
    ratio = variance_of_mean(series).mean() / (0.25 / 2000)
    assert 0.9 < ratio < 2.3  # rather too large than too small; uncorrelated frames would give 5


@pytest.mark.parametrize(
    ("period", "decay"), [(8, 30), (20, 10), (20, 50), (60, 60), (4, 100), (150, 100)]
)
def test_claimed_errors_of_ringing_series(period, decay):
    """Volumes and energies ring: damped oscillations, AR(2), whose fluctuations cancel in the mean.

    A window that closes at the first zero of the autocorrelation is wrong by up to 30 sigma here.
    """
    n = 4000
    radius, angle = np.exp(-1 / decay), 2 * np.pi / period
    first, second = 2 * radius * np.cos(angle), -(radius**2)
    noise = np.random.default_rng(period).normal(size=(n + 20 * decay, 400))
    series = lfilter([1], [1, -first, -second], noise, axis=0)[20 * decay :]
    z = series.mean(axis=0) / np.sqrt(variance_of_mean(series))
    assert 0.60 < np.mean(np.abs(z) < 1) < 0.78
    assert 0.85 < z.std() < 1.15


def test_constant_and_tiny_series():
    assert variance_of_mean(np.ones((50, 2))).tolist() == [0, 0]
    assert statistical_inefficiency(np.ones(50)) == 1
    assert variance_of_mean(np.array([1.0, 2.0])) == pytest.approx(0.25)
    with pytest.raises(QuorumError, match="at least 2"):
        variance_of_mean(np.ones(1))


def test_block_means_leave_out_the_rest():
    assert block_means(np.arange(7.0), 3).tolist() == [1, 4]


def test_transient_keeps_half_and_finds_a_drift():
    """Also of series that ring, whose tails seem free of correlation; the errors stay right."""
    series = ar1(3, 3000, 1, seed=3)[:, 0]
    drifting = series.copy()
    drifting[:300] += np.linspace(20, 0, 300)
    assert 200 <= transient(drifting) <= 400
    assert transient(np.ones(100)) == 0 and transient(series[:9]) == 0
    assert transient(np.arange(1000.0)) == 499
    z, cuts = [], []
    rng = np.random.default_rng(0)
    decay = np.exp(-1 / 40) * np.exp(2j * np.pi / 25)  # a barostat that rings
    for one in ar1(5, 600, 200, seed=1).T:
        ringing = lfilter([1.0], [1, -2 * decay.real, abs(decay) ** 2], rng.normal(size=800))[200:]
        cuts += [transient(one), transient(ringing)]
        left = one[cuts[-2] :]
        z.append(left.mean() / np.sqrt(variance_of_mean(left)))
    assert max(cuts) <= 300 and np.median(cuts) < 100
    assert 0.9 < np.std(z) < 1.2


def test_discard():
    assert frames_to_discard("0.25", n_frames=100) == 25
    assert frames_to_discard(7, n_frames=100) == 7
    assert frames_to_discard("auto", ar1(1, 500, 1, seed=4)[:, 0], n_frames=500) < 200
    for wrong in ("-1", "some", "99", "1.5", "nan", "inf"):
        with pytest.raises(QuorumError, match="discard"):
            frames_to_discard(wrong, n_frames=100)
