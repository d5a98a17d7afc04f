"""quorum remd: what the states sample, against exact answers, with real LAMMPS replicas.

On one rank, whose run is bit for bit that of several (test_remd_runs).
"""

import itertools

import ase.io
import numpy as np
import pytest

from quorum_md.averages.timeseries import variance_of_mean
from quorum_md.units import BOLTZMANN_EV_K, EV_A3_GPA
from remd_tools import CUNI, THERMOSTATS, box, remd, rows, write_run

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
    if name in ("langevin", "gle"):
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


@pytest.mark.parametrize("name", ["langevin", "csvr", "gle"])
def test_ideal_gas(name, tmp_path):
    """Energies are all alike, so every attempt exchanges: momenta are right only if they are
    scaled, whatever little the thermostat has done since. Coloured noise of fix gle stays with the
    state, where it knows nothing of the momenta at one time."""
    (tmp_path / "gle.A").write_text("0 8\n-8 10\n")  # 1/ps: friction 64/10, memory 0.1 ps
    write_run(
        tmp_path,
        box("2 2 2"),
        IDEAL.format(thermostat=thermostat(name, 0.5)),
        states={"temperatures_K": list(KELVIN)},
        exchange={"attempts": 1000, "steps": 20},
        checkpoint={"every": 500},
    )
    remd(tmp_path, 1)
    found = rows(tmp_path)[100:]
    assert (found["replicas"] != found["after"]).any(axis=1).all()
    momenta = found["kinetic_K"]
    assert np.abs(z_scores(momenta, KELVIN)).max() < 4.0
    errors = np.sqrt([variance_of_mean(one) for one in momenta.T])
    assert (errors < 0.02 * KELVIN).all()


@pytest.mark.parametrize(("attempts", "every"), [(2500, 1000), (350, 2)])
def test_exchange_every_other_step(attempts, every, tmp_path):
    """fix langevin draws new noise when LAMMPS is set up, for an exchange or after a checkpoint:
    without the forces of the step before, the momenta have 0.77 of the temperature."""
    kelvin = np.array([300.0, 450.0])
    write_run(
        tmp_path,
        box("2 2 2"),
        IDEAL.format(thermostat=thermostat("langevin", 0.05)),
        states={"temperatures_K": list(kelvin)},
        exchange={"attempts": attempts, "steps": 2},
        checkpoint={"every": every},
    )
    remd(tmp_path, 1)
    momenta = rows(tmp_path)["kinetic_K"][100:]
    assert np.abs(z_scores(momenta, kelvin)).max() < 4.0
    assert (np.sqrt([variance_of_mean(one) for one in momenta.T]) < 0.04 * kelvin).all()


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
        exchange={"attempts": 1000, "steps": 25},
        checkpoint={"every": 500},
    )
    remd(tmp_path, 1)
    found = rows(tmp_path)[100:]
    kT = BOLTZMANN_EV_K * KELVIN
    u = found["energy_eV"]
    assert np.abs(z_scores(u, 1.5 * N * kT)).max() < 4.0
    assert np.abs(z_scores((u / (1.5 * N * kT) - 1) ** 2, 1 / (1.5 * N))).max() < 4.0
    assert np.abs(z_scores(found["kinetic_K"], KELVIN)).max() < 4.0
    accepted = (found["replicas"] != found["after"]).any(axis=1).mean()
    assert 0.2 < accepted < 1.0


def test_springs_that_differ(tmp_path):
    """Hamiltonian exchange: ⟨U⟩ is the same for springs of any stiffness, displacements are not,
    and free energies differ by 3/2 N kT ln of the ratio."""
    stiffness = np.array([0.5, 0.7, 1.0])  # eV/Å²
    words = thermostat("csvr", 0.2)
    words += "fix stir all langevin ${temperature} ${temperature} 0.5 ${seed}\n"
    write_run(
        tmp_path,
        box("1 1 1"),
        SPRINGS.format(thermostat=words).replace("self 0.5", "self ${stiffness}"),
        states={"temperatures_K": [300] * 3, "variables": {"stiffness": list(stiffness)}},
        exchange={"attempts": 1000, "steps": 50},
        checkpoint={"every": 500},
    )
    remd(tmp_path, 1)
    found = rows(tmp_path)[100:]
    kT = BOLTZMANN_EV_K * 300
    n = 4  # atoms
    u = found["energy_eV"]
    assert np.abs(z_scores(u, np.full(3, 1.5 * n * kT))).max() < 4.0
    crossed = found["crossed_eV"]
    for s, t in ((0, 1), (1, 0), (1, 2)):
        asked = ~np.isnan(crossed[:, s, t])
        assert 0.4 < asked.mean() < 0.6  # pairs take turns
        ratio = crossed[asked, s, t] / crossed[asked, s, s]
        np.testing.assert_allclose(ratio, stiffness[t] / stiffness[s], rtol=1e-6)
        # what the energies of one state say of the other: exp of −ΔF/kT
        weights = np.exp(-(crossed[asked, s, t] - crossed[asked, s, s]) / kT)
        exact = (stiffness[s] / stiffness[t]) ** (1.5 * n)
        assert abs(z_scores(weights[:, None], np.array([exact]))[0]) < 4.0
    assert 0.2 < (found["replicas"] != found["after"]).any(axis=1).mean() < 1.0


ALLOY_KELVIN = np.array([80.0, 110.0, 160.0])
# Monte Carlo on frozen sites at the temperature of the state
SWAPS = (
    CUNI
    + """
thermo 1000000
fix swap all atom/swap 1 5 ${seed} ${temperature} types 1 2 ke no
"""
)


def every_arrangement(folder) -> np.ndarray:
    """Energies of the 924 arrangements of 6 Cu and 6 Ni on 12 sites, from LAMMPS itself."""
    from lammps_tools import run_lammps

    lines = [box("3 1 1").replace("${temperature}", "300").replace("${seed}", "7"), CUNI]
    lines += ["thermo_style custom step pe", "thermo_modify norm no format float %.12g"]
    # types of ghosts come with a new list; a set-up for each would take a minute
    lines += ["neigh_modify every 1 delay 0 check no", "run 0 post no"]
    for chosen in itertools.combinations(range(1, 13), 6):
        lines += [f"group a id {' '.join(map(str, chosen))}", "set group all type 1"]
        lines += ["set group a type 2", "run 1 pre no post no", "group a delete"]
    table = run_lammps("\n".join(lines) + "\n", folder)
    return np.array([one["PotEng"][-1] for one in table.tables()[1:]])


def test_swaps_and_exchange_of_an_alloy(tmp_path):
    """CuNi (EAM) on frozen sites: arrangements of either temperature, counted one by one. With
    swaps at a temperature that goes along with the configuration this fails."""
    energies = every_arrangement(tmp_path)
    assert len(energies) == 924
    weights = np.exp(-(energies - energies.min())[:, None] / (BOLTZMANN_EV_K * ALLOY_KELVIN))
    weights /= weights.sum(axis=0)
    exact = energies @ weights
    structure = box("3 1 1", more="set atom 1*6 type 1\nset atom 7*12 type 2\n")
    write_run(
        tmp_path,
        structure,
        SWAPS,
        states={"temperatures_K": list(ALLOY_KELVIN)},
        exchange={"attempts": 1500, "steps": 2},
        checkpoint={"every": 2000},
    )
    remd(tmp_path, 1)
    found = rows(tmp_path)[100:]
    u = found["energy_eV"]
    assert np.abs(z_scores(u, exact)).max() < 4.0
    spread = energies**2 @ weights - exact**2
    assert np.abs(z_scores((u - exact) ** 2, spread)).max() < 4.0
    errors = np.sqrt([variance_of_mean(one) for one in u.T])
    assert (errors < 0.1 * np.diff(exact).min()).all()
    assert (found["replicas"] != found["after"]).any(axis=1).mean() > 0.2


PRESSURE_GPA = 0.05
GAS = """
pair_style zero 3.0
pair_coeff * *
neighbor 0.5 bin
timestep 0.002
fix move all npt temp ${temperature} ${temperature} 0.05 iso ${pressure} ${pressure} 0.3
fix bath all langevin ${temperature} ${temperature} 0.2 ${seed}
compute_modify move_temp extra/dof 0
compute_modify thermo_temp extra/dof 0
thermo 1000000
"""


def test_volumes_of_an_ideal_gas(tmp_path):
    """Constant pressure: ⟨V⟩ = (N + 1) kT/P, and P V in the acceptance."""
    lattice_A = (4 * BOLTZMANN_EV_K * 340 / (PRESSURE_GPA / EV_A3_GPA)) ** (1 / 3)
    write_run(
        tmp_path,
        box("2 2 2", lattice_A),
        GAS,
        states={"temperatures_K": list(KELVIN), "pressure_GPa": PRESSURE_GPA},
        exchange={"attempts": 1000, "steps": 50},
        checkpoint={"every": 1000},
    )
    remd(tmp_path, 1)
    found = rows(tmp_path)[100:]
    exact = (N + 1) * BOLTZMANN_EV_K * KELVIN / (PRESSURE_GPA / EV_A3_GPA)
    assert np.abs(z_scores(found["volume_A3"], exact)).max() < 4.0
    errors = np.sqrt([variance_of_mean(one) for one in found["volume_A3"].T])
    assert (errors < 0.03 * exact).all()
    accepted = (found["replicas"] != found["after"]).any(axis=1).mean()
    assert 0.2 < accepted < 1.0


CHARGED = """
units real
atom_style charge
lattice fcc 5.3
region b prism 0 3 0 3 0 3 0.3 0.2 -0.1
create_box 2 b
create_atoms 1 box
set type 1 type/subset 2 54 ${seed}
mass 1 40.0
mass 2 84.0
set type 1 charge 0.3
set type 2 charge -0.3
velocity all create ${temperature} ${seed} loop all
"""
MOVING = """
pair_style lj/cut/coul/cut 8.0
pair_coeff 1 1 0.24 3.4
pair_coeff 2 2 0.30 3.6
timestep 2.0
fix move all npt temp ${temperature} ${temperature} 100 tri ${pressure} ${pressure} 1000
fix swap all atom/swap 10 5 ${chain_seed} ${temperature} types 1 2 ke yes
thermo 1000
"""


def test_everything_goes_along(tmp_path):
    """Charges, elements, a box that is no rectangle and changes its shape, units real, two ranks
    for each: a configuration has the same energy in every state, or the run would end."""
    write_run(
        tmp_path,
        CHARGED,
        MOVING,
        states={"temperatures_K": [60, 66, 73], "pressure_GPa": 0.01},
        lammps={"ranks_per_replica": 2, "elements": ["Ar", "Kr"]},
        exchange={"attempts": 40, "steps": 10},
        output={"trajectory": 1, "columns": ["xy", "press"]},
    )
    remd(tmp_path, 2)
    found = rows(tmp_path)
    accepted = (found["replicas"] != found["after"]).any(axis=1)
    assert accepted.sum() > 5
    per_atom_eV = found["energy_eV"] / 108
    assert ((-1.0 < per_atom_eV) & (per_atom_eV < 0.0)).all()
    frames = [
        ase.io.read(tmp_path / "remd" / "trajectories" / f"state-00{s}.extxyz", ":")
        for s in range(3)
    ]
    for s in range(3):
        for one, row in zip(frames[s], found, strict=True):
            assert one.get_volume() == pytest.approx(row["volume_A3"][s], rel=1e-6)
            assert one.cell[1, 0] == pytest.approx(row["columns"][s, 0], abs=1e-6)
    changed = np.ptp([one.cell[1, 0] for one in frames[0]])
    assert changed > 0.01
    assert frames[0][0].symbols.get_chemical_formula() == "Ar54Kr54"
