"""Real i-PI at constant pressure: the pressure that our virial gives is the one asked for."""

import numpy as np
import pytest
from ase.io import write
from scipy.optimize import minimize_scalar

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
from quorum_md.models import load_potential

BAROSTAT = """<barostat mode='isotropic'> <tau units='femtosecond'> 600 </tau>
  <thermostat mode='langevin'> <tau units='femtosecond'> 600 </tau> </thermostat> </barostat>"""


def static_volume_A3(potential, crystal, pressure_GPa):
    """Where E(V) + PV of the unmoved crystal is least, from energies alone."""

    def enthalpy_eV(scale):
        atoms = crystal.copy()
        atoms.set_cell(crystal.cell * scale, scale_atoms=True)
        energy = potential.evaluate([atoms], forces=False)[0].energy_eV
        return energy + pressure_GPa / 160.2176634 * atoms.get_volume()

    scale = minimize_scalar(enthalpy_eV, bounds=(0.95, 1.05), options={"xatol": 1e-6}).x
    return crystal.get_volume() * scale**3


def test_constant_pressure(tmp_path, lj_file):
    """A cold Lennard-Jones crystal under 1 GPa: its mean pressure, and its volume from energies.

    The reported pressure alone would not show a wrong virial: the barostat feels the same one.
    """
    crystal = argon(2, a_A=4.65)
    (tmp_path / "model.pt").symlink_to(lj_file)
    write(tmp_path / "start.xyz", crystal)
    text = simulation(
        force_field=direct(),
        systems=system(
            kelvin=20,
            timestep_fs=3,
            tau_fs=100,
            mode="npt",
            barostat=BAROSTAT,
            ensemble="<pressure units='gigapascal'> 1 </pressure>",
        ),
        steps=3000,
        stride=5,
        flush=100,
        properties="step, potential, pressure_md{gigapascal}, volume{angstrom3}",
    )
    run_input(tmp_path, text)
    table = read_properties(tmp_path / "simulation.out")
    mean, error = mean_and_error(table["pressure_md"][100:])
    assert error < 0.01, "the run is long enough"
    # kT/V, by which conventions of the ensemble differ, is 0.0004 GPa
    assert abs(mean - 1) < 4 * error + 0.001
    volume_A3 = static_volume_A3(load_potential(lj_file), crystal, 1.0)
    # thermal expansion: Grüneisen 3, thermal energy 3kT per atom, bulk modulus 40 GPa: 0.2 %
    assert table["volume"][100:].mean() == pytest.approx(1.002 * volume_A3, rel=0.002)
    assert np.ptp(table["volume"]) > 1, "the cell breathes"
    members = read_members(tmp_path / "simulation.committee_pot_0")[1]
    np.testing.assert_allclose(
        members, np.outer(table["potential"], [0.8, 0.9, 1.0, 1.1, 1.2]), rtol=1e-12
    )
