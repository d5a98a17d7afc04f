"""quorum remd: what the states sample, against exact answers, with real LAMMPS replicas."""

import numpy as np
import pytest

from quorum_md.averages.timeseries import variance_of_mean
from quorum_md.units import BOLTZMANN_EV_K
from remd_tools import THERMOSTATS, box, remd, rows, write_run

KELVIN = np.array([300.0, 330.0, 360.0, 400.0])
N = 32  # atoms of a box of 2 × 2 × 2 cells


def z_scores(series: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Of the means over the first axis."""
    errors = [np.sqrt(variance_of_mean(one)) for one in series.T]
    return (series.mean(axis=0) - exact) / errors


# all 3 N momenta count: nothing here conserves that of the centre of mass
COUNT = """
compute_modify thermo_temp extra/dof 0
compute_modify {fix}_temp extra/dof 0
"""


def thermostat(name: str, damping_ps: float) -> str:
    words = THERMOSTATS[name].replace(" 0.1", f" {damping_ps}")
    if name == "langevin":
        return f"{words}\ncompute_modify thermo_temp extra/dof 0\n"
    return words + COUNT.format(fix="move" if name == "nvt" else "bath")


IDEAL = """
pair_style zero 3.0
pair_coeff * *
neighbor 0.5 bin
timestep 0.002
{thermostat}
thermo 1000000
"""


@pytest.mark.parametrize("name", ["langevin", "csvr"])
def test_ideal_gas(name, tmp_path):
    """Energies are all alike, so every attempt exchanges: momenta are right only if they are
    scaled, whatever little the thermostat has done since."""
    write_run(
        tmp_path,
        box("2 2 2"),
        IDEAL.format(thermostat=thermostat(name, 0.5)),
        states={"temperatures_K": list(KELVIN)},
        exchange={"attempts": 1500, "steps": 20},
        checkpoint={"every": 500},
    )
    remd(tmp_path)
    found = rows(tmp_path)[100:]
    assert (found["replicas"] != found["after"]).any(axis=1).all()
    momenta = found["kinetic_K"]
    assert np.abs(z_scores(momenta, KELVIN)).max() < 4.0
    errors = np.sqrt([variance_of_mean(one) for one in momenta.T])
    assert (errors < 0.02 * KELVIN).all()


SPRINGS = """
pair_style zero 3.0
pair_coeff * *
neighbor 0.5 bin
timestep 0.002
fix tether all spring/self 0.5
fix_modify tether energy yes
{thermostat}
thermo 1000000
"""


@pytest.mark.parametrize("name", ["langevin", "nvt", "csvr"])
def test_harmonic_crystal(name, tmp_path):
    """Atoms on springs: ⟨U⟩ = 3/2 N kT, and its fluctuation, in every state."""
    words = thermostat(name, 0.2)
    if name != "langevin":  # oscillators of one frequency would not be ergodic
        words += "fix stir all langevin ${temperature} ${temperature} 1.0 ${seed}\n"
    write_run(
        tmp_path,
        box("2 2 2"),
        SPRINGS.format(thermostat=words),
        states={"temperatures_K": list(KELVIN)},
        exchange={"attempts": 1500, "steps": 25},
        checkpoint={"every": 500},
    )
    remd(tmp_path)
    found = rows(tmp_path)[100:]
    kT = BOLTZMANN_EV_K * KELVIN
    u = found["energy_eV"]
    assert np.abs(z_scores(u, 1.5 * N * kT)).max() < 4.0
    assert np.abs(z_scores((u / (1.5 * N * kT) - 1) ** 2, 1 / (1.5 * N))).max() < 4.0
    assert np.abs(z_scores(found["kinetic_K"], KELVIN)).max() < 4.0
    accepted = (found["replicas"] != found["after"]).any(axis=1).mean()
    assert 0.2 < accepted < 1.0
