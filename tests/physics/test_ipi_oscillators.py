"""Real i-PI on independent oscillators: canonical averages against their exact values.

The integrator's own error is part of the exact answer. With a thermostat that acts on momenta at
both ends of a velocity-Verlet step, momenta are distributed exactly, and a harmonic mode whose step
is the matrix [[a, b], [c, a]] on (q, p) has ⟨q²⟩ = −(b/c) ⟨p²⟩ because the step keeps
p² − (c/b) q². For one bead this is kT/k / (1 − (ω dt/2)²).
"""

import numpy as np
import pytest
from ase.io import write

from ipi_tools import (
    AMU_A2_FS2_EV,
    HBAR_EV_FS,
    angular_frequency_per_fs,
    direct,
    export_oscillators,
    half_kT_eV,
    oscillators,
    read_members,
    read_properties,
    run_input,
    simulation,
    system,
    z_score,
)

CONSTANT_EV_A2 = 2.0
SCALES = [0.7, 1.0, 1.3]
MASS = float(oscillators().get_masses()[0])
OMEGA = angular_frequency_per_fs(CONSTANT_EV_A2, MASS)
N_ATOMS = len(oscillators())
# the centre of mass starts on its site and i-PI keeps it there
FREE = 3 * N_ATOMS - 3


@pytest.fixture
def folder(tmp_path):
    export_oscillators(tmp_path, CONSTANT_EV_A2, SCALES)
    write(tmp_path / "start.xyz", oscillators())
    return tmp_path


def check_members(folder, prefix, table):
    """Every member is its own multiple of the mean energy."""
    members = read_members(folder / f"{prefix}simulation.committee_pot_0")[1]
    expected = np.outer(table["potential"], SCALES)
    np.testing.assert_allclose(members[1:], expected[1:], rtol=1e-12)


def test_canonical_energies(folder):
    """⟨V⟩ and ⟨K⟩ at three temperatures, in one run with one model call per step."""
    kelvins = (60, 200, 500)
    step_fs = 0.25 / OMEGA
    systems = "\n".join(
        system(kelvin=t, timestep_fs=step_fs, tau_fs=1 / OMEGA, prefix=f"T{t}") for t in kelvins
    )
    text = simulation(
        force_field=direct(len(kelvins)),
        systems=systems,
        steps=2000,
        stride=5,
        flush=100,
        properties="step, potential, kinetic_md{electronvolt}, temperature{kelvin}",
        attributes="threading='true'",
    )
    run_input(folder, text)
    scores = []
    for t in kelvins:
        table = read_properties(folder / f"T{t}_simulation.out")
        check_members(folder, f"T{t}_", table)
        hartree_eV = 27.211386
        exact_V = FREE * half_kT_eV(t) / (1 - 0.25**2 / 4) / hartree_eV
        scores.append(z_score(table["potential"][20:], exact_V))
        scores.append(z_score(table["kinetic_md"][20:], FREE * half_kT_eV(t)))
    # the systems share one stream of random numbers, so the run is not the same twice: limits for
    # six independent scores, exceeded once in 10 000 runs
    assert np.abs(scores).max() < 4.5, scores
    assert np.square(scores).sum() < 35, scores


def path_integral_potential_eV(kelvin, beads, step_fs):
    """⟨V⟩ of all oscillators on P beads, for i-PI's step: kick, free ring polymer, kick.

    Normal mode l has spring frequency ω_l = 2 P kT/ħ sin(lπ/P) and momenta at temperature PT.
    """
    kT = 2 * half_kT_eV(kelvin)
    mass = MASS * AMU_A2_FS2_EV
    total = 0.0
    for mode in range(beads):
        spring = 2 * beads * kT / HBAR_EV_FS * np.sin(mode * np.pi / beads)
        if spring == 0:
            free = np.array([[1, step_fs / mass], [0, 1]])
        else:
            c, s = np.cos(spring * step_fs), np.sin(spring * step_fs)
            free = np.array([[c, s / (mass * spring)], [-mass * spring * s, c]])
        kick = np.array([[1, 0], [-CONSTANT_EV_A2 * step_fs / 2, 1]])
        step = kick @ free @ kick
        q2 = -(step[0, 1] / step[1, 0]) * mass * beads * kT
        count = FREE if mode == 0 else 3 * N_ATOMS
        total += count * 0.5 * CONSTANT_EV_A2 * q2 / beads
    return total


def test_finite_step_formula():
    """The formula has the two limits that are known otherwise."""
    t = 150.0
    classical = path_integral_potential_eV(t, 1, 0.25 / OMEGA)
    assert classical == pytest.approx(FREE * half_kT_eV(t) / (1 - 0.25**2 / 4), rel=1e-12)
    quantum = HBAR_EV_FS * OMEGA / 4 / np.tanh(HBAR_EV_FS * OMEGA / (4 * half_kT_eV(t)))
    no_centre = quantum * 3 * N_ATOMS - 3 * half_kT_eV(t)
    assert path_integral_potential_eV(t, 256, 1e-4) == pytest.approx(no_centre, rel=1e-4)


def test_path_integrals(folder):
    """⟨V⟩ of a ring polymer, two thirds of it zero-point energy, against its finite-P value."""
    kelvin, beads = 40.0, 4
    step_fs = 0.25 / OMEGA
    text = simulation(
        force_field=direct(beads),
        systems=system(
            kelvin=kelvin, timestep_fs=step_fs, beads=beads, thermostat="pile_l", tau_fs=1 / OMEGA
        ),
        steps=1600,
        stride=5,
        flush=100,
        properties="step, potential{electronvolt}, kinetic_cv{electronvolt}",
    )
    run_input(folder, text)
    table = read_properties(folder / "simulation.out")
    exact = path_integral_potential_eV(kelvin, beads, step_fs)
    assert exact > 1.5 * FREE * half_kT_eV(kelvin), "a test of quantum nuclei needs some"
    assert abs(z_score(table["potential"][20:], exact)) < 4
    members = [read_members(folder / f"simulation.committee_pot_{b}")[1] for b in range(beads)]
    potential = np.mean(members, axis=0).mean(axis=1) * 27.211386
    np.testing.assert_allclose(potential, table["potential"], rtol=1e-6)
