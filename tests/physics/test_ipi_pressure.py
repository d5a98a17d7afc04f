"""Real i-PI at constant pressure: the pressure that our virial gives is the one asked for."""

import numpy as np
from ase.io import write

from ipi_tools import (
    argon,
    direct,
    mean_and_error,
    read_members,
    read_properties,
    run_input,
    simulation,
    system,
)

BAROSTAT = """<barostat mode='isotropic'> <tau units='femtosecond'> 200 </tau>
  <thermostat mode='langevin'> <tau units='femtosecond'> 200 </tau> </thermostat> </barostat>"""


def test_constant_pressure(tmp_path, lj_file):
    """⟨P⟩ = P for a Lennard-Jones crystal under 1 GPa, whose members scale one energy."""
    (tmp_path / "model.pt").symlink_to(lj_file)
    write(tmp_path / "start.xyz", argon(2, a_A=4.65))
    text = simulation(
        force_field=direct(),
        systems=system(
            kelvin=120,
            timestep_fs=3,
            tau_fs=100,
            mode="npt",
            barostat=BAROSTAT,
            ensemble="<pressure units='gigapascal'> 1 </pressure>",
        ),
        steps=3000,
        stride=5,
        flush=100,
        properties="step, potential, pressure_md{megapascal}, volume{angstrom3}",
    )
    run_input(tmp_path, text)
    table = read_properties(tmp_path / "simulation.out")
    mean, error = mean_and_error(table["pressure_md"][100:])
    assert error < 100, "the run is long enough"
    # kT/V, by which conventions of the ensemble differ, is 2 MPa
    assert abs(mean - 1000) < 4 * error + 2
    assert np.ptp(table["volume"]) > 5, "the cell breathes"
    members = read_members(tmp_path / "simulation.committee_pot_0")[1]
    np.testing.assert_allclose(
        members, np.outer(table["potential"], [0.8, 0.9, 1.0, 1.1, 1.2]), rtol=1e-12
    )
