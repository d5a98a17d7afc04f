"""A weighted baseline drives i-PI: energy conserved, and the recorded parts add up to U."""

import numpy as np
import pytest
from ase.io import write
from ipi.utils.units import unit_to_internal

from ipi_tools import (
    argon,
    direct,
    read_members,
    read_properties,
    run,
    run_input,
    simulation,
    system,
)
from quorum_md.cli import main
from toy_models import LennardJones, export

# no cutoff is crossed in so short a run of so cold a crystal
SIGMA_EV = 0.5


@pytest.fixture
def folder(tmp_path, lj_file):
    baseline = LennardJones(3.1, 0.08, 6.5, [1.0])
    export(baseline, tmp_path / "baseline.pt", [18], 6.5, ensemble=False)
    files = [str(lj_file), str(tmp_path / "baseline.pt"), "-o", str(tmp_path / "model.pt")]
    assert main(["baseline", *files, "--sigma", str(SIGMA_EV)]) == 0
    write(tmp_path / "start.xyz", argon(2, a_A=4.6, rattle_A=0.05))
    return tmp_path


def test_nve_conserves_and_the_parts_add_up(folder):
    extras = "".join(
        f"<trajectory filename='{name}' stride='1' extra_type='{name}'> extras </trajectory>"
        for name in ("baseline_pot", "wb_mixing")
    )
    text = simulation(
        force_field=direct(),
        systems=system(mode="nve", kelvin=20, timestep_fs=2),
        steps=100,
        properties="step, potential{electronvolt}, conserved{electronvolt}",
        outputs=extras,
    )
    run_input(folder, text)
    table = read_properties(folder / "simulation.out")
    members = read_members(folder / "simulation.committee_pot_0")[1]
    base = read_members(folder / "simulation.baseline_pot_0")[1][:, 0]
    mixing = read_members(folder / "simulation.wb_mixing_0")[1][:, 0]
    mean, variance = members.mean(axis=1), members.var(axis=1, ddof=1)
    sigma = SIGMA_EV / 27.211386245988
    np.testing.assert_allclose(mixing, sigma**2 / (sigma**2 + variance), rtol=1e-12)
    assert mixing.max() < 0.9 and np.ptp(mixing) > 1e-4
    potential = unit_to_internal("energy", "electronvolt", table["potential"])
    np.testing.assert_allclose(base + mixing * (mean - base), potential, rtol=1e-11)
    moved = np.ptp(table["potential"])
    assert moved > 0.01
    # forces without the derivative of w would drift by a good part of the energy that moved
    assert np.ptp(table["conserved"]) < 0.01 * moved


def test_averages_ask_for_the_driving_potential(folder):
    """The mean of the members did not drive this run: it is refused as reference, U is taken."""
    text = simulation(
        force_field=direct(),
        systems=system(kelvin=50, timestep_fs=4),
        steps=400,
        properties="step, potential{electronvolt}, volume{angstrom3}, kinetic_md{electronvolt}",
        stride=2,
        flush=100,
    )
    run_input(folder, text)
    command = ["quorum", "reweight", "--input", "input.xml", "--observable", "potential"]
    code, _, error = run(folder, *command)
    assert code == 2 and "potential" in error and "--reference" in error
    code, output, error = run(folder, *command, "--reference", "potential")
    assert code == 0 and "potential" in output, error
