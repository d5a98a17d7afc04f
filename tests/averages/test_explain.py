"""The texts of --explain say the numbers of the average, and what they advise comes true."""

import re

import numpy as np
import pytest

from exact_series import KT, ar1
from quorum_md.averages import bias_weights, known_weights, reweight
from quorum_md.averages.explain import _thinned, explain


def oscillator(n=4000, slope=0.02, tau=5, seed=0, K=8, noise=1.0):
    """⟨x⟩ of member i is shifted by −slope_i/kT."""
    rng = np.random.default_rng(seed)
    x = noise * ar1(rng, tau, (n, 2)) * np.sqrt(KT)
    V = 0.5 * (x**2).sum(axis=1)
    slopes = rng.normal(size=K)
    slopes *= slope / slopes.std(ddof=1)
    return x[:, 0], V[:, None] + x[:, :1] * slopes, rng


def flat(text):
    assert max(map(len, text.splitlines())) <= 98
    assert len(text) < 2600
    return " ".join(text.split())


def number(pattern, text):
    found = re.search(pattern, text)
    assert found, (pattern, text)
    return float(found[1])


def test_a_dominant_model_error():
    x, energies, _ = oscillator(20_000)
    result = reweight(x, energies, kT_eV=KT)
    text = flat(explain(result, "x", unit="Å", stride=10))
    assert result.verdict == "ok" and "Verdict ok" in text
    assert number(r"Model error, ([\d.]+) Å", text) == pytest.approx(result.model_error, rel=0.05)
    assert number(r"Sampling error, ([\d.]+) Å", text) == pytest.approx(
        result.statistical_error, rel=0.05
    )
    ratio = result.model_error / result.statistical_error
    assert number(r"The model error is ([\d.]+) times", text) == pytest.approx(ratio, rel=0.05)
    shorter = number(r"one that is ([\d.]+) times shorter", text)
    assert shorter == pytest.approx(ratio**2, rel=0.1)
    assert "better model" in text and "does not help" in text
    # 8 members: 1/√14
    assert "known to 27 %" in text
    assert "driven by the mean of the members" in text and "to first order" in text
    g = result.statistical_inefficiency
    assert number(r"one in ([\d.]+)", text) == pytest.approx(g, rel=0.1)
    assert f"every {10 * int(g / 2)} steps in place of every 10" in text
    least = result.effective_samples.min()
    assert number(r"leaves (\d+) to", text) == pytest.approx(least, rel=0.01)


def test_the_promised_length_equals_the_errors():
    """A short run says how much longer a run must be; that run has equal errors."""
    x, energies, _ = oscillator(800, slope=0.02 / 5, seed=3, tau=20)
    result = reweight(x, energies, kT_eV=KT)
    text = flat(explain(result, "x"))
    factor = number(r"A run ([\d.]+) times as long", text)
    ratio = result.statistical_error / result.model_error
    assert ratio > 2 and factor == pytest.approx(ratio**2, rel=0.05)
    x, energies, _ = oscillator(round(800 * factor), slope=0.02 / 5, seed=3, tau=20)
    longer = reweight(x, energies, kT_eV=KT)
    # the short run knew both errors, and its own model error, to some 30 %
    assert longer.statistical_error / longer.model_error == pytest.approx(1, abs=0.5)
    assert "better model would not show" in text


def test_errors_of_one_size():
    x, energies, _ = oscillator(4000, slope=0.009, seed=1)
    result = reweight(x, energies, kT_eV=KT)
    assert 0.5 < result.model_error / result.statistical_error < 2
    text = flat(explain(result, "x"))
    together = np.hypot(result.model_error, result.statistical_error)
    assert number(r"one size, ([\d.]+) together", text) == pytest.approx(together, rel=0.05)
    left = np.hypot(result.model_error, result.statistical_error / 2)
    assert number(r"would leave ([\d.]+)", text) == pytest.approx(left, rel=0.05)


def test_a_model_error_below_the_noise():
    """Noise of the members' averages falls as promised."""
    for seed in range(10):  # half of such runs have a scatter below their noise
        x, energies, rng = oscillator(4 * 1000, slope=0.0, seed=seed)
        energies = energies + 0.3 * KT * rng.normal(size=energies.shape)  # nothing to do with x
        short, long = (reweight(x[:n], energies[:n], kT_eV=KT) for n in (1000, 4000))
        if short.model_error == 0:
            break
    text = flat(explain(short, "x", unit="Å"))
    assert "(sampling) ± < " in text and "below what this run resolves" in text
    half = number(r"a model error of ([\d.]+) Å would show in a run four times as long", text)
    assert half == pytest.approx(long.model_error_noise, rel=0.15)
    assert "It hardly matters" in text


def test_an_invalid_expansion_and_direct_reweighting():
    # ⟨x²⟩ changes with the square of the slopes only
    x, energies, _ = oscillator(4000, slope=0.3, seed=2)
    driving = energies.mean(axis=1)
    result = reweight(x**2, energies, kT_eV=KT, reference=driving)
    text = flat(explain(result, "x2", reference="PotEng"))
    assert result.verdict == "invalid" and "do not use the model error" in text
    assert result.reasons[0] in text and "driven by PotEng" in text
    assert f"{result.reference_mean:.6g}" in text
    ratio = number(r"second order is (\d+) % of the first \(doubtful", text)
    assert ratio == pytest.approx(100 * result.second_to_first_order, abs=1)
    direct = reweight(x**2, energies, kT_eV=KT, reference=0, method="direct")
    text = flat(explain(direct, "x2", reference="0"))
    assert "by direct reweighting" in text and "driven by member 0" in text
    worst = direct.effective_samples.min() / max(1, direct.statistical_inefficiency)
    assert number(r"([\d.]+) independent ones for the worst", text) == pytest.approx(worst, rel=0.1)


def test_weights_and_pools():
    x, energies, _ = oscillator(2000)
    weights = bias_weights(0.2 * x**2, kT_eV=KT, lengths=(1000, 1000))
    text = flat(explain(reweight(x, energies, kT_eV=KT, weights=weights), "x", weights=weights))
    w = weights.values / weights.values.sum()
    left = 1 / (w @ w)
    assert number(r"the weights leave ([\d.]+) of 2000", text) == pytest.approx(left, rel=0.05)
    assert "2 runs are pooled" in text and "noise of the weights themselves" not in text
    even = known_weights(np.ones(2000))
    assert "Frames are weighted" not in explain(
        reweight(x, energies, kT_eV=KT, weights=even), "x", weights=even
    )


def test_curves_and_independent_frames():
    x, energies, rng = oscillator(3000, tau=0.5)
    curve = x[:, None] * np.array([1.0, 0.1]) + 0.01 * rng.normal(size=(3000, 2))
    result = reweight(curve, energies, kT_eV=KT)
    text = flat(explain(result, "rdf"))
    assert text.startswith("rdf: 2 numbers")
    rms = np.sqrt(np.mean(result.model_error**2))
    assert number(r"Model error, ([\d.]+):", text) == pytest.approx(rms, rel=0.05)
    assert "practically independent" in text and "hardly anything" not in text


@pytest.mark.parametrize("tau", [5, 20])
def test_what_thinning_loses(tau):
    """Means of every (g/2)-th frame of many AR(1) series against means of all: a few per cent."""
    x = ar1(np.random.default_rng(7), tau, (4000, 4000))
    skip = tau  # g/2 = τ
    ratio = x[::skip].mean(axis=0).std() / x.mean(axis=0).std()
    assert _thinned(skip, 2 * tau) == pytest.approx(ratio, abs=0.02)
    assert 1.01 < _thinned(skip, 2 * tau) < 1.09
