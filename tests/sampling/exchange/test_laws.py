"""Averages of every state under exchange, where they are known: wells, volumes, springs."""

import warnings

import numpy as np
import pytest
from pymbar import MBAR

from quorum_md.sampling.exchange import SCHEMES, Exchange, State, reduced_energies
from quorum_md.units import BOLTZMANN_EV_K, EV_A3_GPA


def walk(step, start, states, n_attempts, scheme="neighbors", matrix=None, volumes=None):
    """Configurations (attempts, states); *step* moves those of all states, in their order."""
    exchange = Exchange(len(states), seed=2, scheme=scheme)
    by_replica = np.array(start, dtype=float)
    rows = []
    for _ in range(n_attempts):
        by_state = step(by_replica[exchange.permutation])
        by_replica[exchange.permutation] = by_state
        energies = matrix(by_replica)
        v = None if volumes is None else volumes(by_replica)
        exchange.attempt(reduced_energies(energies, states, v))
        rows.append(by_replica[exchange.permutation].copy())
    return np.array(rows), exchange


def z_of(series, exact, blocks=25):
    means = np.array_split(series, blocks)
    means = np.array([m.mean(axis=0) for m in means])
    return (means.mean(axis=0) - exact) / (means.std(axis=0, ddof=1) / np.sqrt(blocks))


def metropolis(log_weight, size, seed):
    rng = np.random.default_rng(seed)

    def step(x):
        for _ in range(3):
            trial = x + rng.normal(size=len(x)) * size
            accept = np.log(rng.uniform(size=len(x))) < log_weight(trial) - log_weight(x)
            x = np.where(accept, trial, x)
        return x

    return step


@pytest.mark.parametrize("scheme", SCHEMES)
def test_populations_of_two_wells(scheme):
    """A barrier of 12 kT at the lowest temperature: populations are those of the exact integral."""
    kelvin = np.array([300.0, 500.0, 850.0, 1500.0])
    kT = BOLTZMANN_EV_K * kelvin
    height = 12 * kT[0]

    def energy(x):
        return height * (x**2 - 1) ** 2 + 0.25 * kT[0] * x

    step = metropolis(lambda x: -energy(x) / kT, 0.25, 1)
    rows, _ = walk(step, [1.0] * 4, [State(t) for t in kelvin], 6000, scheme=scheme, matrix=energy)
    grid = np.linspace(-4, 4, 4001)
    weights = np.exp(-energy(grid)[:, None] / kT)
    exact = weights[grid > 0].sum(axis=0) / weights.sum(axis=0)
    z = z_of((rows > 0)[500:], exact)
    assert np.abs(z).max() < 4, (z, exact)
    means = np.average(energy(grid)[:, None] + 0 * kT, axis=0, weights=weights)
    assert np.abs(z_of(energy(rows)[500:], means)).max() < 4


def test_volumes_of_an_ideal_gas():
    """Temperatures and pressures both differ: ⟨V⟩ = (N + 1) kT/P, and the variance."""
    n = 12
    kelvin, pressure = np.array([300.0, 360.0, 420.0]), np.array([0.1, 0.14, 0.11])
    kT, work = BOLTZMANN_EV_K * kelvin, pressure / EV_A3_GPA

    def log_weight(v):
        return np.where(v > 0, n * np.log(np.abs(v)) - work * v / kT, -np.inf)

    states = [State(t, p) for t, p in zip(kelvin, pressure, strict=True)]
    exact = (n + 1) * kT / work
    rows, exchange = walk(
        metropolis(log_weight, exact / 8, 3),
        exact,
        states,
        8000,
        matrix=lambda v: np.zeros(3),
        volumes=lambda v: v,
    )
    assert np.abs(z_of(rows, exact)).max() < 4
    assert np.abs(z_of((rows - exact) ** 2, exact**2 / (n + 1))).max() < 4
    assert 0.2 < exchange.accepted.sum() / exchange.proposed.sum() < 0.95


def test_free_energy_of_two_springs():
    """Hamiltonian exchange: MBAR of what was recorded against ½ ln(k₂/k₁)."""
    constants, kT = np.array([1.0, 4.0]), BOLTZMANN_EV_K * 300

    def matrix(x):
        return 0.5 * constants * x[:, None] ** 2

    step = metropolis(lambda x: -0.5 * constants * x**2 / kT, np.sqrt(kT / constants) * 1.5, 4)
    rows, exchange = walk(step, [0.0, 0.0], [State(300.0)] * 2, 8000, matrix=matrix)
    assert np.abs(z_of(rows**2, kT / constants)).max() < 4
    kept = rows[::8].T.reshape(-1)
    u_kn = matrix(kept).T / kT
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymbar hands scipy options that it does not know
        mbar = MBAR(u_kn, [len(kept) // 2] * 2)
    result = mbar.compute_free_energy_differences()
    exact = 0.5 * np.log(4.0)
    assert abs(result["Delta_f"][0, 1] - exact) < 3 * result["dDelta_f"][0, 1]
    assert result["dDelta_f"][0, 1] < 0.05
    # the exact acceptance of exchanging two springs' positions
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200000, 2)) * np.sqrt(1 / constants)
    u = 0.5 * (constants[1] - constants[0]) * (x[:, 0] ** 2 - x[:, 1] ** 2)
    expected = np.exp(np.minimum(0, -u)).mean()
    assert exchange.accepted.sum() / exchange.proposed.sum() == pytest.approx(expected, abs=0.03)
