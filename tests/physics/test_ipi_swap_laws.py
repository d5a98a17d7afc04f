"""Swaps inside real i-PI against laws that are known exactly; stock i-PI beside it (peer)."""

import numpy as np
import pytest

from ipi_tools import mean_and_error, read_properties, run_input, simulation, z_score
from swap_tools import OURS, dynamics, swaps, system, toy, write_start

KELVIN_HARTREE = 3.166811563e-6
AMU = 1822.888486
MASSES = {"He": 4.002602, "Li": 6.94, "Xe": 131.293}


def acceptance(folder):
    """Accepted per trial over the whole chain."""
    _, trials, accepted = np.loadtxt(folder / "simulation.swaps")[-1, :3]
    return accepted / trials


def normal_mode_variances(mass_amu, k, kelvin, beads):
    """⟨q²⟩ (Bohr²) of the normal modes of a ring polymer in a trap, and k_j of its springs."""
    kT = KELVIN_HARTREE * kelvin * beads
    springs = mass_amu * AMU * (2 * kT * np.sin(np.pi * np.arange(beads) / beads)) ** 2
    return kT / (springs + k), springs


def exact_kinetic(mass_amu, k, kelvin, beads):
    """Of one atom in three dimensions, Hartree, with this number of beads."""
    variances, _ = normal_mode_variances(mass_amu, k, kelvin, beads)
    return 1.5 * (KELVIN_HARTREE * kelvin + k * variances[1:].sum() / beads)


def exact_acceptance(masses_amu, k, kelvin, beads, n=200_000):
    """Mean and error of min(1, p'/p) over independent paths from the exact distribution."""
    rng = np.random.default_rng(1)
    energy = np.zeros(n)
    squares, springs = [], []
    for mass in masses_amu:
        variances, spring = normal_mode_variances(mass, k, kelvin, beads)
        q = rng.normal(size=(n, beads, 3)) * np.sqrt(variances)[:, None]
        squares.append((q**2).sum(axis=2))
        springs.append(spring)
    energy = 0.5 * ((springs[0] - springs[1]) * (squares[1] - squares[0])).sum(axis=1)
    accepted = np.exp(np.minimum(0, -energy / (KELVIN_HARTREE * kelvin * beads)))
    return accepted.mean(), accepted.std() / np.sqrt(n)


# in the first the springs forbid nearly every swap, in the second they allow a quarter
RINGS = [
    (("He", "Xe"), 0.05, 100, 2000, (0.001746, 0.000553)),
    (("He", "Li"), 0.002, 100, 2000, None),
]


def run_rings(folder, program, names, k, kelvin, steps):
    n = 6
    write_start(folder, [names[0]] * n + [names[1]] * n, np.zeros((2 * n, 3)))
    period_fs = 2 * np.pi * np.sqrt(4 * AMU / k) * 0.0241888
    text = simulation(
        force_field=toy(kind="traps", k1=k, k2=k, n1=n, batch=8),
        systems=system(
            dynamics(period_fs / 40, period_fs / 12, thermostat="pile_l"),
            swaps(names, 2),
            kelvin=kelvin,
            beads=8,
        ),
        steps=steps,
        stride=4,
        flush=1000,
        properties=f"step, conserved, kinetic_cv({names[0]}), kinetic_cv({names[1]})",
    ).replace("extra_type='committee_pot'", "extra_type='toy'")
    run_input(folder, text, program)
    table = read_properties(folder / "simulation.out")
    return table, [table[f"kinetic_cv({name})"][steps // 40 :] / n for name in names]


@pytest.mark.parametrize(("names", "k", "kelvin", "steps", "known"), RINGS)
def test_springs_of_ring_polymers(tmp_path, names, k, kelvin, steps, known):
    """Atoms of unequal masses in one trap: kinetic energies, acceptance, conserved energy."""
    table, kinetic = run_rings(tmp_path, OURS, names, k, kelvin, steps)
    exact = [exact_kinetic(MASSES[name], k, kelvin, 8) for name in names]
    if known:
        np.testing.assert_allclose(exact, known, rtol=5e-4)
    scores = [z_score(series, value) for series, value in zip(kinetic, exact, strict=True)]
    assert np.abs(scores).max() < 4, scores
    for series in kinetic:
        mean, error = mean_and_error(series)
        assert error < 0.03 * mean, "the run is long enough"
    expected, error = exact_acceptance([MASSES[name] for name in names], k, kelvin, 8)
    trials = np.loadtxt(tmp_path / "simulation.swaps")[-1, 1]
    # trials of one step are nearly independent, steps are not
    error = np.hypot(error, 3 * np.sqrt(expected * (1 - expected) / trials))
    assert abs(acceptance(tmp_path) - expected) < 4 * error, (acceptance(tmp_path), expected)
    drift = table["conserved"][-1] - table["conserved"][0]
    assert abs(drift) < 0.1 * KELVIN_HARTREE * kelvin * 8 * 12


@pytest.mark.peer
def test_stock_i_pi_without_the_springs(tmp_path):
    names, k, kelvin, steps, (exact, _) = RINGS[0]
    _, kinetic = run_rings(tmp_path, ("i-pi",), names, k, kelvin, steps)
    mean, error = mean_and_error(kinetic[0])
    assert mean < 0.8 * exact and (exact - mean) / error > 10


def run_biased_site(folder, program):
    write_start(folder, ["Nb", "Mo"], [(-1.0, 0.0, 0.0), (1.0, 0.0, 0.0)])
    height = float(3 * KELVIN_HARTREE * 300)
    text = simulation(
        force_field=toy(kind="site", height=0) + toy("bias", kind="site", height=height),
        systems=system(
            swaps(["Nb", "Mo"], 4),
            kelvin=300,
            ensemble="<bias> <force forcefield='bias'/> </bias>",
        ),
        steps=1500,
        flush=1000,
        properties="step, conserved, ensemble_bias, atom_x(0)",
    ).replace("extra_type='committee_pot'", "extra_type='toy'")
    run_input(folder, text, program)
    return read_properties(folder / "simulation.out")


EXACT_OCCUPANCY = np.exp(-3) / (1 + np.exp(-3))  # 0.047


def test_a_biased_site(tmp_path):
    """The bias counts in the acceptance and in the conserved energy."""
    table = run_biased_site(tmp_path, OURS)
    occupied = table["atom_x(0)"] < 0
    assert abs(z_score(occupied[1:], EXACT_OCCUPANCY)) < 4
    np.testing.assert_allclose(table["ensemble_bias"] > 0, occupied)
    np.testing.assert_allclose(table["conserved"], table["conserved"][0], atol=1e-12)
    # from the biased site always, to it with exp(-3)
    expected = 2 * EXACT_OCCUPANCY
    trials = np.loadtxt(tmp_path / "simulation.swaps")[-1, 1]
    assert abs(acceptance(tmp_path) - expected) < 4 * np.sqrt(2 * expected / trials)


@pytest.mark.peer
def test_stock_i_pi_without_the_bias(tmp_path):
    occupied = run_biased_site(tmp_path, ("i-pi",))["atom_x(0)"] < 0
    assert abs(z_score(occupied[1:], 0.5)) < 4 and z_score(occupied[1:], EXACT_OCCUPANCY) > 20


VOLUME = {"k": 0.5, "V0": 1000.0, "V1": 1000.0, "wall": 2e-7, "slope": 1e-5}
PRESSURE = 2e-6  # Hartree/Bohr³


def exact_volumes(kelvin):
    """⟨V⟩ (Bohr³) with the first atom at the first site and without, and how often it is there."""
    V = np.linspace(600, 1500, 20001)
    energy = PRESSURE * V + 0.5 * VOLUME["wall"] * (V - VOLUME["V0"]) ** 2
    beta = 1 / (KELVIN_HARTREE * kelvin)
    weights = [
        np.exp(-beta * (energy - energy.min() + extra))
        for extra in (VOLUME["slope"] * (V - VOLUME["V1"]), 0 * V)
    ]
    means = [(w * V).sum() / w.sum() for w in weights]
    return *means, weights[0].sum() / (weights[0].sum() + weights[1].sum())


def test_constant_pressure(tmp_path):
    """Where the atoms are depends on the volume, and the volume on where they are."""
    kelvin, length = 300, 10.0
    bohr_A = 0.529177
    places = [(length * bohr_A * f, 0.0, 0.0) for f in (0.25, 0.75)]
    write_start(tmp_path, ["Nb", "Mo"], places, length * bohr_A)
    barostat = """<barostat mode='isotropic'> <tau units='femtosecond'> 100 </tau>
      <thermostat mode='langevin'> <tau units='femtosecond'> 50 </tau> </thermostat> </barostat>"""
    text = simulation(
        force_field=toy(kind="volume", **VOLUME),
        systems=system(
            dynamics(1, 50, mode="npt", more=barostat),
            swaps(["Nb", "Mo"], 1),
            kelvin=kelvin,
            ensemble=f"<pressure> {PRESSURE} </pressure>",
        ),
        steps=5000,
        stride=4,
        flush=1000,
        properties="step, volume, conserved, atom_x(0)",
    ).replace("extra_type='committee_pot'", "extra_type='toy'")
    run_input(tmp_path, text, OURS)
    table = {k: v[100:] for k, v in read_properties(tmp_path / "simulation.out").items()}
    first = table["atom_x(0)"] < 0.5 * np.cbrt(table["volume"])
    *means, occupancy = exact_volumes(kelvin)
    scores = [z_score(first, occupancy)]
    scores += [z_score(table["volume"][x], v) for x, v in zip((first, ~first), means, strict=True)]
    assert np.abs(scores).max() < 4, scores


def test_langevin_dynamics(tmp_path):
    """Species in traps of their own: each keeps its canonical potential and kinetic energy.

    Velocity Verlet itself makes potential energies 1/(1 − (ω dt/2)²) too large.
    """
    n, k1, k2, kelvin = 6, 0.02, 0.05, 300
    write_start(tmp_path, ["He"] * n + ["Xe"] * n, np.zeros((2 * n, 3)))
    omega = np.sqrt(k2 / (4 * AMU))
    step_fs = 0.2 / omega * 0.0241888
    text = simulation(
        force_field=toy(kind="traps", k1=k1, k2=k2, n1=n),
        systems=system(dynamics(step_fs, 5 * step_fs), swaps(["He", "Xe"], 2), kelvin=kelvin),
        steps=4000,
        stride=4,
        flush=1000,
        properties="step, potential, kinetic_md(He), kinetic_md(Xe)",
    ).replace("extra_type='committee_pot'", "extra_type='toy'")
    run_input(tmp_path, text, OURS)
    table = {k: v[50:] for k, v in read_properties(tmp_path / "simulation.out").items()}
    half_kT = 0.5 * KELVIN_HARTREE * kelvin
    scores = [z_score(table[f"kinetic_md({name})"], 3 * n * half_kT) for name in ("He", "Xe")]
    scores.append(z_score(table["potential"], 6 * n * half_kT * 1.004))
    assert np.abs(scores).max() < 4, scores
    assert 0.2 < acceptance(tmp_path) < 0.95
