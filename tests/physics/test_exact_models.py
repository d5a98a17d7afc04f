"""Averages of a Morse oscillator, an Ising ring and a path integral, known to rounding."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "averages"))
from exact_series import KT, ar1, assert_unit_normal
from quorum_md.averages import free_energies, function_of_averages, reweight

N_SERIES = 200


def morse(r, depth, width):
    return depth * (1 - np.exp(-width * r)) ** 2


def morse_average(function, depth, width, kT=KT):
    """By quadrature, and the logarithm of the configuration integral."""
    r = np.linspace(-0.6, 1.2, 40_001)
    weight = np.exp(-morse(r, depth, width) / kT)
    return (function(r) * weight).sum() / weight.sum(), np.log(weight.sum() * (r[1] - r[0]))


def morse_series(seed, n, tau, depth, width):
    """Correlated frames: a Gaussian AR(1) series mapped to the Boltzmann distribution."""
    from scipy.special import ndtr

    r = np.linspace(-0.6, 1.2, 40_001)
    cumulative = np.cumsum(np.exp(-morse(r, depth, width) / KT))
    u = ndtr(ar1(np.random.default_rng(seed), tau, (n, 1))[:, 0])
    return np.interp(u, cumulative / cumulative[-1], r)


@pytest.mark.parametrize("method", ["direct", "cumulant"])
def test_morse_oscillator(method):
    """Members of other depths and widths: bond length, energy and free energy of each."""
    depth, width = 0.5, 2.0
    depths, widths = depth * np.array([0.97, 1.0, 1.02]), width * np.array([1.01, 0.99, 1.0])
    z, energy, free = [], [], []
    exact = [morse_average(lambda r: r, d, w)[0] for d, w in zip(depths, widths, strict=True)]
    own = [
        morse_average(lambda r, d=d, w=w: morse(r, d, w), d, w)[0]
        for d, w in zip(depths, widths, strict=True)
    ]
    shift = [-KT * morse_average(lambda r: r, d, w)[1] for d, w in zip(depths, widths, strict=True)]
    shift = np.array(shift) + KT * morse_average(lambda r: r, depth, width)[1]
    for seed in range(N_SERIES):
        r = morse_series(seed, 2000, 3, depth, width)
        energies = morse(r[:, None], depths, widths)
        driving = morse(r, depth, width)
        common = {"kT_eV": KT, "reference": driving, "method": method, "order": 2}
        result = reweight(r, energies, **common)
        z.append((result.members - exact) / result.members_statistical_error)
        result = reweight(energies, energies, committee="paired", **common)
        energy.append((result.members - own) / result.members_statistical_error)
        result = free_energies(energies, **common)
        free.append((result.members_eV - shift) / result.statistical_errors_eV)
    # what second order leaves out is a tenth of the sampling error here
    for scores in (z, energy, free):
        assert_unit_normal(scores, mean=5.0)


def ring_states(n_spins):
    return 1 - 2 * ((np.arange(2**n_spins)[:, None] >> np.arange(n_spins)) & 1)


def bonds(states):
    return (states * np.roll(states, 1, axis=-1)).sum(axis=-1)


def ring_frames(n_series, n_frames, n_spins, coupling, seed=0):
    """(n_series, n_frames) sums over bonds and magnetisations; sweeps of single-spin heat bath."""
    rng = np.random.default_rng(seed)
    states = ring_states(n_spins)
    weight = np.exp(coupling / KT * bonds(states))
    spins = states[rng.choice(len(states), size=n_series, p=weight / weight.sum())].copy()
    found = np.empty((2, n_series, n_frames))
    for t in range(n_frames):
        for k in rng.permutation(n_spins):
            field = spins[:, k - 1] + spins[:, (k + 1) % n_spins]
            up = 1 / (1 + np.exp(-2 * coupling / KT * field))
            spins[:, k] = np.where(rng.random(n_series) < up, 1, -1)
        found[:, :, t] = bonds(spins), spins.sum(axis=1)
    return found


@pytest.mark.parametrize("method", ["direct", "cumulant"])
def test_ising_ring(method):
    """Members of other couplings: energy and susceptibility of a ring of 8 by enumeration."""
    n_spins, coupling = 8, 0.6 * KT
    couplings = coupling * np.array([0.97, 1.0, 1.03])
    states = ring_states(n_spins)
    sums, m2 = bonds(states), states.sum(axis=1) ** 2
    exact_b, exact_m = [], []
    for J in couplings:
        weight = np.exp(J / KT * sums)
        exact_b.append(weight @ sums / weight.sum())
        exact_m.append(weight @ m2 / weight.sum())
    z_b, z_m = [], []
    for B, M in zip(*ring_frames(N_SERIES, 1000, n_spins, coupling), strict=True):
        energies = -B[:, None] * couplings
        common = {"kT_eV": KT, "reference": -B * coupling, "method": method, "order": 2}
        result = reweight(B, energies, **common)
        z_b.append((result.members - exact_b) / result.members_statistical_error)
        result = function_of_averages(lambda m2: m2 / n_spins, [M**2], energies, **common)
        z_m.append(
            (result.members * n_spins - exact_m) / result.members_statistical_error / n_spins
        )
    assert_unit_normal(z_b)
    assert_unit_normal(z_m)


def test_path_integral():
    """Row 13: h is the mean over the beads. A harmonic oscillator of P beads has exact averages
    for every member, from the normal modes of the ring."""
    P, omega, slopes = 8, 3.0, np.array([-0.05, 0.02, 0.03])
    spring = 40.0  # between neighbouring beads, in the units of omega
    k = np.arange(P)
    stiffness = (spring * 4 * np.sin(np.pi * k / P) ** 2 + omega / P) / KT
    changes = np.array([-0.06, 0.0, 0.06])
    modes = np.zeros((P, P))
    modes[:, 0] = 1 / np.sqrt(P)
    for j in range(1, P // 2):
        modes[:, 2 * j - 1] = np.sqrt(2 / P) * np.cos(2 * np.pi * j * k / P)
        modes[:, 2 * j] = np.sqrt(2 / P) * np.sin(2 * np.pi * j * k / P)
    modes[:, P - 1] = (-1.0) ** k / np.sqrt(P)
    order = [0, *np.repeat(np.arange(1, P // 2), 2), P // 2]
    z, wrong = [], []
    for seed in range(N_SERIES):
        normal = ar1(np.random.default_rng(seed), 2, (1500, P))
        q = normal / np.sqrt(stiffness[order]) @ modes.T
        V = 0.5 * omega * q**2  # of every bead; the weight of a path is e^{−mean(V)/kT}
        members = V[:, :, None] * (1 + changes) + slopes * q[:, :, None]
        energies = members.mean(axis=1)
        a = (q**2).mean(axis=1)
        common = {"kT_eV": KT, "reference": V.mean(axis=1), "method": "direct"}
        result = reweight(a, energies, **common)
        exact = []
        for change, slope in zip(changes, slopes, strict=True):
            soft = (spring * 4 * np.sin(np.pi * np.array(order) / P) ** 2
                    + omega * (1 + change) / P) / KT  # fmt: skip
            shift = slope / (omega * (1 + change))
            exact.append((1 / soft).mean() + shift**2)
        z.append((result.members - exact) / result.members_statistical_error)
        summed = reweight(a, members.sum(axis=1), **{**common, "reference": V.sum(axis=1)})
        wrong.append((summed.members - exact) / summed.members_statistical_error)
    assert_unit_normal(z)
    assert np.abs(np.mean(wrong, axis=0)).max() > 1
