"""Functions of averages: heat capacities of harmonic committees are known exactly."""

import numpy as np
import pytest
from scipy.signal import lfilter

from quorum_md.averages import function_of_averages, heat_capacity, reweight
from quorum_md.errors import QuorumError
from quorum_md.units import BOLTZMANN_EV_K, EV_A3_BAR

T = 400.0
KT = BOLTZMANN_EV_K * T


def normal_modes(rng, n, dof, tau=None):
    """(n, dof) unit normals, correlated in time on request."""
    noise = rng.normal(size=(n, dof))
    if tau is None:
        return noise
    phi = (2 * tau - 1) / (2 * tau + 1)
    noise[0] /= np.sqrt(1 - phi**2)
    return lfilter([np.sqrt(1 - phi**2)], [1, -phi], noise, axis=0)


def test_heat_capacity_and_its_sampling_error():
    """½ k_B per degree of freedom, whatever the zero of energy; z-scores are unit normal."""
    dof, z = 8, []
    for seed in range(250):
        q = normal_modes(np.random.default_rng(seed), 1500, dof, tau=3)
        V = KT / 2 * (q**2).sum(axis=1) - 1e5
        energies = V[:, None] + 1e-3 * np.array([-1, 1]) * q[:, :1]
        result = heat_capacity(energies, temperature_K=T)
        z.append((result.mean - dof / 2) / result.statistical_error)
    z = np.array(z)
    assert 0.60 < np.mean(np.abs(z) < 1) < 0.76
    assert 0.85 < z.std() < 1.2
    assert abs(z.mean()) < 0.35  # skewed at this length, and low by 1/(independent frames)


def test_plain_variance_without_committee_effects():
    rng = np.random.default_rng(1)
    x = rng.normal(size=4000)
    result = function_of_averages(
        lambda m1, m2: m2 - m1**2,
        [x],
        rng.normal(size=(4000, 3)) * 1e-6,
        kT_eV=KT,
        averaged=lambda x: (x, x * x),
    )
    assert result.mean == pytest.approx(x.var(), rel=1e-12)
    fourth = np.mean((x - x.mean()) ** 4)
    expected = np.sqrt((fourth - x.var() ** 2) / len(x))
    assert result.statistical_error == pytest.approx(expected, rel=0.1)


GRID = np.linspace(-8, 8, 20001)


def quartic(strength):
    return GRID**2 / 2 + (0.1 + strength) * GRID**4 / 4


def exact_heat_capacity(strength):
    V = quartic(strength)
    w = np.exp(-V) / np.exp(-V).sum()
    return w @ V**2 - (w @ V) ** 2


def anharmonic_frames(uniform, strengths):
    """Frames of the mean potential, by inversion of its distribution, and member energies."""
    cumulative = np.cumsum(np.exp(-quartic(0.0)))
    cumulative -= cumulative[0] / 2 + np.exp(-quartic(0.0)) / 2  # midpoints
    x = np.interp(uniform, cumulative / cumulative[-1], GRID)
    V = x**2 / 2 + 0.1 * x**4 / 4
    return KT * (V[:, None] + np.asarray(strengths) * x[:, None] ** 4 / 4) - 5e3


def test_member_heat_capacities_of_an_anharmonic_committee():
    strengths = np.array([-0.04, 0.04, 0.015, -0.015])
    energies = anharmonic_frames(np.random.default_rng(2).random(60_000), strengths)
    exact = np.array([exact_heat_capacity(s) for s in strengths])
    direct = heat_capacity(energies, temperature_K=T, method="direct")
    assert np.all(np.abs(direct.members - exact) < 4 * direct.members_statistical_error)
    assert direct.members_statistical_error.max() < 0.01
    assert direct.verdict == "ok"
    # no first-order change is left for the expansion to be large against: it must say so
    linear = heat_capacity(energies, temperature_K=T)
    assert linear.mean == pytest.approx(exact_heat_capacity(0.0), abs=4 * linear.statistical_error)


def test_linear_response_of_a_heat_capacity():
    """Without sampling noise (a grid with Boltzmann weights) the first order is the derivative."""
    step = 0.004
    strengths = np.array([-step, step])
    energies = KT * (quartic(0.0)[:, None] + strengths * GRID[:, None] ** 4 / 4)
    weights = np.exp(-quartic(0.0))
    result = heat_capacity(energies, temperature_K=T, weights=weights)
    exact = np.array([exact_heat_capacity(s) for s in strengths])
    assert result.mean == pytest.approx(exact_heat_capacity(0.0), rel=1e-9)
    # covariances over about 3000 effective points have a factor n/(n - 1)
    assert np.diff(result.members) == pytest.approx(np.diff(exact), rel=0.003)
    second = heat_capacity(energies, temperature_K=T, weights=weights, order=2)
    first_error, second_error = (np.abs(r.members - exact).max() for r in (result, second))
    assert second_error < 0.1 * first_error


def test_size_consistency():
    """A shift of the energy that grows with the system must not enter its variance."""
    rng = np.random.default_rng(3)
    n, dof = 20_000, 2000
    V = KT / 2 * rng.chisquare(dof, size=n)
    change = 0.05 * np.array([-1, 1])
    result = heat_capacity(V[:, None] * (1 + change), temperature_K=T)
    # (1 + e) V at kT has the heat capacity of V: ½ per mode for every member, up to e²
    assert np.all(
        np.abs(result.members - dof / 2) < 4 * result.members_statistical_error + 0.02 * dof
    )
    # inserting first-order averages in m2 - m1² would miss the square of a shift of 50 kT
    assert (change[0] * dof / 2) ** 2 > dof / 2
    assert result.verdict == "ok"


def test_constant_pressure_adds_the_work():
    rng = np.random.default_rng(4)
    V = KT / 2 * rng.chisquare(20, size=5000)
    energies = V[:, None] * (1 + 0.01 * np.array([-1, 1]))
    volume = 1000 + rng.normal(size=5000)
    pressure = 20_000.0
    result = heat_capacity(energies, temperature_K=T, volume_A3=volume, pressure_bar=pressure)
    enthalpy = energies.mean(axis=1) + pressure / EV_A3_BAR * volume
    assert result.mean == pytest.approx(enthalpy.var() / KT**2, rel=1e-10)
    with pytest.raises(QuorumError, match="volume_A3: got shape"):
        heat_capacity(energies, temperature_K=T, volume_A3=volume[:10])


def test_a_linear_function_is_reweight():
    rng = np.random.default_rng(5)
    x = rng.normal(size=1000)
    energies = KT * rng.normal(size=5) * 0.2 * x[:, None] + KT * rng.normal(size=(1000, 5)) * 0.2
    for method in ("cumulant", "direct"):
        plain = reweight(2 * x + 1, energies, kT_eV=KT, method=method)
        function = function_of_averages(lambda m: 2 * m + 1, [x], energies, kT_eV=KT, method=method)
        np.testing.assert_allclose(function.members, plain.members, rtol=1e-9, atol=1e-9)
        assert function.model_error == pytest.approx(plain.model_error, rel=1e-6)
        assert function.statistical_error == pytest.approx(plain.statistical_error, rel=1e-6)


def test_bad_functions():
    rng = np.random.default_rng(6)
    x, energies = rng.normal(size=100), rng.normal(size=(100, 3)) * KT
    with pytest.raises(QuorumError, match="series: expected a list"):
        function_of_averages(lambda m: m, x, energies, kT_eV=KT)
    with pytest.raises(QuorumError, match="one column per member"):
        function_of_averages(lambda m: m, [np.stack([x, x], 1)], energies, kT_eV=KT)
    with pytest.raises(QuorumError, match="function: is nan"):
        function_of_averages(lambda m: np.nan, [x], energies, kT_eV=KT)
    with pytest.raises(QuorumError, match="same value"):
        function_of_averages(lambda m: m, [np.ones(100)], energies, kT_eV=KT)
