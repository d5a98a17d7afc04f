"""Averages of the first frames, and what single frames contribute, against `reweight`."""

import numpy as np
import pytest

from exact_series import KT, ar1
from quorum_md.averages import known_weights, mbar_weights, reweight
from quorum_md.averages.checks import ensemble
from quorum_md.averages.expansion import array_values
from quorum_md.averages.influence import frame_influence
from quorum_md.averages.prefixes import prefix_averages
from quorum_md.averages.reweighting import paired_values

NAMES = ("mean", "members", "statistical_error", "model_error_uncorrected", "model_error_noise",
         "members_statistical_error")  # fmt: skip


def series(n, seed=0, K=5):
    rng = np.random.default_rng(seed)
    x = ar1(rng, 4, (n, 3)) * np.sqrt(KT)
    V = 0.5 * (x**2).sum(axis=1)
    return x, V[:, None] + x @ rng.normal(size=(3, K)) * 0.05, rng


@pytest.mark.parametrize("method, order", [("cumulant", 1), ("cumulant", 2), ("direct", 1)])
@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_every_prefix_is_the_average_of_its_frames(method, order, paired, weighted):
    x, energies, rng = series(900)
    weights = rng.uniform(0.2, 1, size=900) if weighted else None
    a = energies if paired else x[:, 0]
    run = ensemble(energies, KT, "mean", weights)
    source = paired_values(energies[:, :, None]) if paired else array_values(x[:, :1])
    ends, results = prefix_averages(source, run, method=method, order=order, points=7)
    assert ends.shape == (7, 1) and ends[-1] == 900 and ends[0] == 129
    for (n,), result in zip(ends, results, strict=True):
        whole = reweight(
            a[:n], energies[:n], kT_eV=KT, method=method, order=order,
            weights=None if weights is None else weights[:n],
            committee="paired" if paired else None,
        )  # fmt: skip
        for name in NAMES:
            found = getattr(result, name)
            # the cumulant expansion is about the same frames, whatever h is counted from
            np.testing.assert_allclose(
                np.squeeze(found), getattr(whole, name), rtol=1e-8, atol=1e-12, err_msg=name
            )


def test_series_advance_together():
    """A pool of a long and a short run: each prefix has the same part of both."""
    x, energies, _ = series(1200, seed=3)
    lengths = (900, 300)
    weights = known_weights(np.full(1200, 1 / 1200), lengths)
    run = ensemble(energies, KT, "mean", weights)
    ends, results = prefix_averages(array_values(x[:, :1]), run, method="cumulant", points=6)
    assert ends.tolist() == [[150 * k, 50 * k] for k in range(1, 7)]
    chosen = np.r_[0:300, 900:1000]
    part = reweight(
        x[chosen, 0], energies[chosen], kT_eV=KT,
        weights=known_weights(np.full(400, 1 / 400), (300, 100)),
    )  # fmt: skip
    for name in NAMES:
        np.testing.assert_allclose(
            np.squeeze(getattr(results[1], name)), getattr(part, name), rtol=1e-8, err_msg=name
        )


def test_the_last_prefix_of_pooled_temperatures():
    """MBAR weights: the noise of the weights is in the errors, and that of a shorter pool in those
    of a prefix: it falls with the root of the length."""
    rng = np.random.default_rng(1)
    n, temperatures = 1000, np.array([1.0, 1.4, 2.0]) * KT
    x = np.concatenate([ar1(rng, 4, (n, 2)) * np.sqrt(t) for t in temperatures])
    V = 0.5 * (x**2).sum(axis=1)
    energies = V[:, None] + x @ rng.normal(size=(2, 6)) * 0.05
    driving = energies.mean(axis=1)
    weights = mbar_weights(driving / temperatures[:, None], [n] * 3, 1)
    kT = float(temperatures[1])
    run = ensemble(energies, kT, "mean", weights)
    ends, results = prefix_averages(array_values(V[:, None]), run, method="cumulant", points=4)
    whole = reweight(V, energies, kT_eV=kT, weights=weights)
    for name in NAMES:
        found = np.squeeze(getattr(results[-1], name))
        np.testing.assert_allclose(found, getattr(whole, name), rtol=1e-6, err_msg=name)
    without = reweight(V, energies, kT_eV=kT, weights=known_weights(weights.values, [n] * 3))
    assert abs(without.statistical_error / whole.statistical_error - 1) > 0.01
    # as a pool of the first halves, solved by itself: to a per cent, the weights' noise is 7 %
    half = np.concatenate([np.arange(n // 2) + k * n for k in range(3)])
    pool = mbar_weights(driving[half] / temperatures[:, None], [n // 2] * 3, 1)
    part = reweight(V[half], energies[half], kT_eV=kT, weights=pool)
    assert results[1].mean == pytest.approx(part.mean, abs=0.3 * part.statistical_error)
    assert results[1].statistical_error == pytest.approx(part.statistical_error, rel=0.015)
    quarter = results[0].statistical_error / results[-1].statistical_error
    assert quarter == pytest.approx(2, rel=0.25)


def test_prefixes_without_weight_are_left_out():
    x, energies, _ = series(400)
    weights = np.r_[1.0, np.full(199, 1e-12), np.ones(200)]
    run = ensemble(energies, KT, "mean", weights)
    ends, results = prefix_averages(array_values(x[:, :1]), run, method="cumulant", points=8)
    assert ends[0, 0] > 200 and all(np.isfinite(r.mean).all() for r in results)


@pytest.mark.parametrize("method, order", [("cumulant", 1), ("cumulant", 2), ("direct", 1)])
@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_influences_sum_to_the_shifts(method, order, paired, weighted):
    """Exactly: their sums are the members' averages against each other."""
    x, energies, rng = series(700, seed=2)
    energies = energies + 0.3 * rng.normal(size=energies.shape[1])  # constants of the members
    weights = rng.uniform(0.2, 1, size=700) if weighted else None
    run = ensemble(energies, KT, 2, weights)
    whole = reweight(
        energies if paired else x[:, :2], energies, kT_eV=KT, reference=2, method=method,
        order=order, weights=weights, committee="paired" if paired else None,
    )  # fmt: skip
    source = paired_values(energies[:, :, None]) if paired else array_values(x[:, :2])
    found = frame_influence(source, run, method=method, order=order)
    members = whole.members.reshape(5, -1)
    np.testing.assert_allclose(found.members, members - members.mean(axis=0), atol=1e-12)


def test_second_order_of_single_frames():
    """The formula of the module, frame by frame: sums alone do not see what adds up to nothing."""
    x, energies, _ = series(60, seed=6)
    h = (energies - energies.mean(axis=1, keepdims=True)) / KT
    da, dh = x[:, :1] - x[:, 0].mean(), h - h.mean(axis=0)
    c = da * (-dh + 0.5 * (dh**2 - (dh**2).mean(axis=0))) / 59
    run = ensemble(energies, KT, "mean", None)
    found = frame_influence(array_values(x[:, :1]), run, method="cumulant", order=2)
    np.testing.assert_allclose(found.rms, c.std(axis=1, ddof=1), rtol=1e-9)


def test_one_frame_that_makes_the_model_error_is_seen():
    x, energies, _ = series(2000, seed=4)
    run = ensemble(energies, KT, "mean", None)
    plain = frame_influence(array_values(x[:, :1]), run, method="cumulant")
    # the reader is told that 15–30 % are nothing special: fluctuations that are Gaussian
    assert 0.08 < plain.share_of_top() < 0.35
    energies[1234] += np.array([1, -1, 0.5, -0.5, 0]) * 40 * KT
    x[1234, 0] = 10 * np.sqrt(KT)
    spoiled = frame_influence(
        array_values(x[:, :1]), ensemble(energies, KT, "mean", None), method="cumulant"
    )
    assert spoiled.rms.argmax() == 1234 and spoiled.share_of_top() > 0.95
    # one frame by hand: w δa (δh_i − mean) with ddof = 1
    h = (energies - energies.mean(axis=1, keepdims=True)) / KT
    dh = (h - h.mean(axis=0))[1234]
    c = (x[1234, 0] - x[:, 0].mean()) * (dh - dh.mean()) / (2000 - 1)
    assert spoiled.rms[1234] == pytest.approx(np.sqrt((c**2).sum() / 4), rel=1e-9)
