"""Averages that grow with the run equal those of the whole run."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exact_series import KT, ar1
from quorum_md.averages import RunningAverage, reweight
from quorum_md.averages import running as running_module
from quorum_md.errors import QuorumError


def run(n, seed=0):
    rng = np.random.default_rng(seed)
    x = ar1(rng, 5, (n, 3)) * np.sqrt(KT)
    V = 0.5 * (x**2).sum(axis=1) - 300.0
    energies = V[:, None] + x @ rng.normal(size=(3, 4)) * 0.03
    return x, energies, rng


@given(
    seed=st.integers(0, 1000),
    cuts=st.lists(st.integers(0, 700), max_size=6),
    method=st.sampled_from(["cumulant", "direct"]),
    order=st.sampled_from([1, 2]),
    reference=st.sampled_from(["mean", 2, "given"]),
    weighted=st.booleans(),
    paired=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_equals_the_whole(seed, cuts, method, order, reference, weighted, paired):
    x, energies, rng = run(700, seed)
    observable = energies if paired else x.reshape(700, 3, 1)
    driving = energies.mean(axis=1) + 0.01 * x[:, 0] ** 2
    log_w = 8 * rng.normal(size=700) if weighted else np.zeros(700)
    log_w *= 0.1
    log_w += 400 * np.linspace(0, 1, 700) * 0 if not weighted else 300.0
    whole = reweight(
        observable, energies, kT_eV=KT, reference=driving if reference == "given" else reference,
        method=method, order=order, weights=np.exp(log_w - log_w.max()),
        committee="paired" if paired else None,
    )  # fmt: skip
    growing = RunningAverage(
        kT_eV=KT, reference=reference, method=method, order=order, paired=paired
    )
    edges = [0, *sorted(cuts), 700]
    for start, stop in zip(edges, edges[1:], strict=False):
        part = slice(start, stop)
        growing.add(
            observable[part], energies[part],
            reference_energies_eV=driving[part] if reference == "given" else None,
            log_weights=log_w[part] if weighted else None,
        )  # fmt: skip
    result = growing.result()
    for name in ("mean", "members", "model_error_uncorrected", "statistical_error", "sigma_h",
                 "effective_samples", "members_statistical_error", "reference_mean"):  # fmt: skip
        np.testing.assert_allclose(
            getattr(result, name), getattr(whole, name), rtol=1e-7, atol=1e-10, err_msg=name
        )
    assert result.verdict == whole.verdict


def test_a_long_run_is_kept_short(monkeypatch):
    """Blocks double; what they give stays within a few per cent of the series itself."""
    monkeypatch.setattr(running_module, "MAX_BLOCKS", 256)
    x, energies, _ = run(30_001, 5)
    growing = RunningAverage(kT_eV=KT)
    rng = np.random.default_rng(1)
    start = 0
    while start < len(x):
        stop = start + int(rng.integers(1, 97))
        growing.add(x[start:stop, 0], energies[start:stop])
        start = stop
    series = growing._sums.finish()
    assert len(series.blocks) <= 2 * 256 + 1
    assert series.n_frames == len(x) and series.length > 1
    whole, result = reweight(x[:, 0], energies, kT_eV=KT), growing.result()
    np.testing.assert_allclose(result.members, whole.members, rtol=1e-9)
    np.testing.assert_allclose(
        result.members_statistical_error, whole.members_statistical_error, rtol=0.25
    )


def test_results_on_the_way():
    x, energies, _ = run(400)
    growing = RunningAverage(kT_eV=KT)
    for part in (slice(0, 150), slice(150, 400)):
        growing.add(x[part, 0], energies[part])
        whole = reweight(x[: part.stop, 0], energies[: part.stop], kT_eV=KT)
        np.testing.assert_allclose(growing.result().members, whole.members, atol=1e-12)


def test_growing_weights():
    """A bias that rises by hundreds of kT during the run must not overflow."""
    x, energies, _ = run(300)
    log_w = np.linspace(-900, 900, 300)
    growing = RunningAverage(kT_eV=KT)
    for k in range(0, 300, 50):
        part = slice(k, k + 50)
        growing.add(x[part, 0], energies[part], log_weights=log_w[part])
    whole = reweight(x[:, 0], energies, kT_eV=KT, weights=np.exp(log_w - log_w.max()))
    np.testing.assert_allclose(growing.result().members, whole.members, rtol=1e-9)


def test_bad_chunks_change_nothing():
    x, energies, _ = run(100)
    growing = RunningAverage(kT_eV=KT)
    growing.add(x[:50, 0], energies[:50])
    for bad, message in [
        (lambda: growing.add(x[:5, 0], energies[:6]), "expected the same frames in both"),
        (lambda: growing.add(x[:5, 0] * np.nan, energies[:5]), "observable: 5 value"),
        (lambda: growing.add(x[:5, 0], energies[:5, :2]), "with 4 members as before"),
        (
            lambda: growing.add(x[:5, 0], energies[:5], reference_energies_eV=x[:5, 0]),
            "reference_energies_eV: expected with every chunk",
        ),
    ]:
        with pytest.raises(QuorumError, match=message):
            bad()
    assert growing.n_frames == 50
    with pytest.raises(QuorumError, match="running average: got 0 frame"):
        RunningAverage(kT_eV=KT).result()
    with pytest.raises(QuorumError, match="identical in every frame"):
        same = RunningAverage(kT_eV=KT)
        same.add(x[:, 0], energies[:, :1].repeat(3, axis=1))
        same.result()
