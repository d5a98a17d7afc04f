"""Displacements: random walks, Langevin particles and wrapped trajectories, all known exactly."""

from dataclasses import replace

import numpy as np
import pytest
from observable_tools import ideal_gas
from scipy.signal import lfilter

from quorum_md.averages import reweight
from quorum_md.averages.observables.displacement import (
    diffusion,
    finite_size_correction,
    followed_atoms,
    mean_square_displacement,
    msd,
    per_origin,
    unwrapped,
)
from quorum_md.averages.timeseries import variance_of_mean
from quorum_md.errors import QuorumError

BOX = 12 * np.eye(3) + np.array([[0, 0, 0], [2.0, 0, 0], [0, -3.0, 0]])


def walk(rng, n_frames, counts, step_A, cell=BOX, *, wrap=False):
    """Independent Gaussian steps: MSD = 3 step² τ, less 1/N of it without the centre of mass."""
    frames = ideal_gas(rng, n_frames, counts, cell)
    n_atoms = frames.n_atoms
    steps = step_A * rng.normal(size=(n_frames, n_atoms, 3))
    positions = frames.positions[0] + np.cumsum(steps, axis=0)
    if wrap:
        fractions = positions @ np.linalg.inv(frames.cells[0])
        positions = (fractions - np.floor(fractions)) @ frames.cells[0]
    return replace(frames, positions=positions, continuous=not wrap, steps=5 * np.arange(n_frames))


def test_sums_over_origins():
    """By FFT, by the products per origin, and by the definition."""
    rng = np.random.default_rng(1)
    r = np.cumsum(rng.normal(size=(40, 3, 3)), axis=0) + 1e4
    expected = [((r[lag:] - r[: 40 - lag]) ** 2).sum(axis=2).mean() for lag in range(40)]
    np.testing.assert_allclose(mean_square_displacement(r), expected, rtol=1e-9, atol=1e-9)
    lags = np.array([1, 4, 13])
    series = per_origin(r, lags)
    assert series.shape == (27, 3)
    for k, lag in enumerate(lags):
        direct = ((r[lag : lag + 27] - r[:27]) ** 2).sum(axis=2).mean(axis=1)
        np.testing.assert_allclose(series[:, k], direct, rtol=1e-9)


def test_walks_through_boundaries():
    """Wrapped into a skewed cell and followed again, also where the cell breathes."""
    rng = np.random.default_rng(2)
    exact = walk(rng, 300, {"H": 3, "O": 2}, 0.4)
    fractions = exact.positions @ np.linalg.inv(exact.cells)
    wrapped = replace(
        exact, positions=(fractions - np.floor(fractions)) @ exact.cells, continuous=False
    )
    moved = unwrapped(wrapped) - unwrapped(wrapped)[0]
    np.testing.assert_allclose(moved, exact.positions - exact.positions[0], atol=1e-9)
    assert np.abs(moved).max() > 12
    # images flagged in the file say the same
    np.testing.assert_array_equal(unwrapped(exact), exact.positions)
    # a cell that breathes does not blow up the way that atoms far out have gone
    scale = 1 + 0.03 * np.sin(np.arange(300))[:, None, None]
    breathing = replace(wrapped, positions=wrapped.positions * scale, cells=wrapped.cells * scale)
    followed = followed_atoms(breathing)
    per_step = np.diff(followed, axis=0) - np.diff(followed_atoms(wrapped), axis=0)
    assert np.abs(per_step).max() < 0.06 * 12 * np.sqrt(3)
    far = replace(breathing, positions=breathing.positions.copy(), continuous=True)
    far.positions[:, 0] += 50 * breathing.cells[:, 1]
    np.testing.assert_allclose(np.diff(followed_atoms(far), axis=0), np.diff(followed, axis=0),
                               atol=1e-9)  # fmt: skip
    open_box = replace(exact, pbc=np.zeros(3, dtype=bool), continuous=False)
    np.testing.assert_array_equal(unwrapped(open_box), exact.positions)


def test_drift_is_that_of_all_masses():
    rng = np.random.default_rng(3)
    frames = walk(rng, 50, {"H": 2, "O": 1}, 0.1)
    drift = np.cumsum(rng.normal(size=(50, 1, 3)), axis=0)
    adrift = replace(frames, positions=frames.positions + drift)
    np.testing.assert_allclose(followed_atoms(adrift), followed_atoms(frames), atol=1e-9)
    masses = np.array([1.008, 1.008, 15.999])
    centre = np.einsum("n,fnk->fk", masses, followed_atoms(frames))
    np.testing.assert_allclose(centre, 0, atol=1e-9)
    np.testing.assert_array_equal(followed_atoms(frames, "O"), followed_atoms(frames)[:, 2:])
    # two atoms apart at constant velocity: (v τ)², to rounding
    line = np.arange(50)[:, None, None] * np.array([[[0.1, 0, 0], [-0.1, 0, 0]]])
    pair = replace(ideal_gas(rng, 50, {"H": 2}, BOX), positions=line, continuous=True)
    series = msd(pair, lags=[1, 3, 10], timestep_fs=2.0)
    np.testing.assert_allclose(series.values, np.tile([0.01, 0.09, 1.0], (40, 1)), atol=1e-12)
    assert series.axes[0].values == (0.002, 0.006, 0.02) and series.axes[0].unit == "ps"


def test_diffusion_of_walkers_and_its_error():
    """D = step²/(2 Δt) (1 − 1/N); z-scores of 120 walks with the error of the series."""
    n_atoms, step, timestep_fs = 4, 0.3, 2.0
    exact = step**2 / (2 * 5 * timestep_fs * 1e-3) * (1 - 1 / n_atoms)
    z = []
    for seed in range(120):
        frames = walk(np.random.default_rng(seed), 3000, {"Li": n_atoms}, step, wrap=seed % 2 == 0)
        series = diffusion(frames, timestep_fs=timestep_fs, window_ps=(0.02, 0.3))
        error = np.sqrt(variance_of_mean(series.values))
        z.append((series.values.mean() - exact) / error)
        assert len(series.values) == 3000 - 30 and series.steps[1] == 5
    z = np.array(z)
    assert abs(z.mean()) < 0.35 and 0.85 < z.std() < 1.25
    assert 0.6 < np.mean(np.abs(z) < 1) < 0.78


def langevin(rng, n_frames, n_atoms, gamma_dt, sigma_v):
    """Free Langevin particles at unit time intervals, exact: velocity and displacement together."""
    c = np.exp(-gamma_dt)
    a = (1 - c) / gamma_dt
    # covariance of the noises of velocity and displacement (Gillespie, PRE 54, 2084 (1996))
    vv = sigma_v**2 * (1 - c**2)
    xv = sigma_v**2 * (1 - c) ** 2 / gamma_dt
    xx = sigma_v**2 / gamma_dt**2 * (2 * gamma_dt - 3 + 4 * c - c**2)
    noise = rng.multivariate_normal([0, 0], [[vv, xv], [xv, xx]], size=(n_frames, n_atoms, 3))
    noise[0, ..., 0] = sigma_v * rng.normal(size=(n_atoms, 3))
    v = lfilter([1], [1, -c], noise[..., 0], axis=0)
    x = np.zeros_like(v)
    x[1:] = np.cumsum(a * v[:-1] + noise[1:, ..., 1], axis=0)
    return x


def test_langevin_particles():
    """MSD = 6 D [τ − (1 − e^{−γτ})/γ]: z-scores at all lags; the window starts after the memory."""
    gamma, sigma, n_atoms = 0.05, 0.1, 20
    D = sigma**2 / gamma
    lags = np.array([1, 5, 20, 60, 200])
    exact = 6 * D * (lags - (1 - np.exp(-gamma * lags)) / gamma) * (1 - 1 / n_atoms)
    z, starts = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        x = langevin(rng, 2000, n_atoms, gamma, sigma)
        frames = replace(ideal_gas(rng, 2000, {"Ar": n_atoms}, BOX), positions=x, continuous=True)
        series = msd(frames, lags=lags)
        z.append((series.values.mean(axis=0) - exact) / np.sqrt(variance_of_mean(series.values)))
        found = diffusion(frames, timestep_fs=1000.0)
        starts.append(float(found.notes[0].split()[1]))
        error = np.sqrt(variance_of_mean(found.values))
        assert abs(found.values.mean() - D * (1 - 1 / n_atoms)) < 4 * error + 0.03 * D
    z = np.array(z)
    assert np.abs(z.mean(axis=0)).max() < 4 / np.sqrt(30)
    assert 0.75 < z.std(axis=0).min() and z.std(axis=0).max() < 1.35
    assert len(set(starts)) > 1  # the data choose
    early = diffusion(frames, timestep_fs=1000.0, window_ps=(1, 30))
    assert early.notes[0].startswith("not diffusive: between 1 and 30 ps the displacement grows as")


def test_weights_belong_to_the_origins():
    """Harmonic particles started afresh every other frame: the distribution of x changes with the
    member's stiffness, the motion and the velocities do not.
    """
    rng = np.random.default_rng(5)
    n, k, omega, tau, kT = 60_000, 1.0, 1.3, 0.7, 0.025
    x = np.sqrt(kT / k) * rng.normal(size=n)
    v = np.sqrt(kT / k) * omega * rng.normal(size=n)
    later = x * np.cos(omega * tau) + v / omega * np.sin(omega * tau)
    positions = np.stack([x, later], axis=1).reshape(2 * n, 1, 1) * np.array([1.0, 0, 0])
    origins = per_origin(positions, np.array([1]))[::2, 0]
    stiffness = np.array([0.95, 1.05])
    energies = 0.5 * stiffness * x[: len(origins), None] ** 2
    result = reweight(origins, energies, kT_eV=kT, reference=energies.mean(axis=1),
                      method="direct")  # fmt: skip
    exact = kT * ((np.cos(omega * tau) - 1) ** 2 / stiffness + np.sin(omega * tau) ** 2 / k)
    z = (result.members - exact) / result.members_statistical_error
    assert np.abs(z).max() < 3
    # the difference of the members is resolved, and is not that of members that also move apart
    difference = np.diff(result.members)[0]
    assert difference == pytest.approx(np.diff(exact)[0], rel=0.1)


def test_finite_size_correction_of_water():
    """Yeh & Hummer: 2.837297 kT/(6πηL) by SI units, with k_B = 1.380649e-23 J/K."""
    eta, length, T = 8.9e-4, 18.6, 298.0
    si = 2.837297 * 1.380649e-23 * T / (6 * np.pi * eta * length * 1e-10)  # m²/s
    found = finite_size_correction(temperature_K=T, viscosity_Pa_s=eta, box_A=length)
    assert found == pytest.approx(si * 1e20 / 1e12, rel=1e-9)


def test_what_cannot_be_followed():
    rng = np.random.default_rng(6)
    frames = walk(rng, 200, {"H": 3, "O": 2}, 0.3)
    fast = walk(rng, 200, {"H": 3}, 3.0, wrap=True)
    with pytest.raises(QuorumError, match="of the cell, so it is not known which way"):
        msd(fast)
    with pytest.raises(QuorumError, match="without the column id"):
        msd(replace(frames, tracked=False))
    swapped = replace(frames, species=rng.permuted(frames.species, axis=1))
    with pytest.raises(QuorumError, match="change their species"):
        msd(swapped, "O")
    with pytest.raises(QuorumError, match="element: got 'C', expected one of H, O"):
        msd(frames, "C")
    steps = frames.steps.copy()
    steps[100:] += 5
    with pytest.raises(QuorumError, match=r"not equally spaced \(after step 495\)"):
        msd(replace(frames, steps=steps))
    with pytest.raises(QuorumError, match="lags: got 1 to 300 frames"):
        msd(frames, max_lag=300)
    with pytest.raises(QuorumError, match="timestep_fs: got 0"):
        diffusion(frames, timestep_fs=0)
    with pytest.raises(QuorumError, match="holds 2 lag"):
        diffusion(frames, timestep_fs=1.0, window_ps=(0.02, 0.025))
    # accelerated: nowhere a straight line
    t = np.arange(200.0)[:, None, None]
    flying = replace(frames, positions=frames.positions + t**2 * rng.normal(size=(1, 5, 3)))
    with pytest.raises(QuorumError, match="expected a straight line; run longer, or state window"):
        diffusion(flying, timestep_fs=1.0)
