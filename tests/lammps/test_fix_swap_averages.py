"""fix quorum/swap: states of a small cell, and what moving atoms do, against exact answers."""

import re

import numpy as np
import pytest

from lammps_tools import read_dump, run_lammps, write_data
from quorum_md.averages.timeseries import variance_of_mean
from quorum_md.models import load_potential
from swap_chain import BOLTZMANN, crystal
from toy_models import LocalAlloy, export

pytestmark = pytest.mark.filterwarnings("ignore:.*interaction range")
ALLOY = ["Nb", "Mo", "Ta", "W"]


SIX = crystal((3, 1, 1), ["Nb", "Ta", "W"], seed=5)
KELVIN = 4000.0
EXCHANGES = ["", "pairs 1 2 1.0 2 3 3.0", "neighbors 3.1"]
FLIPS = {
    "sgc -10.03 -11.79 -12.93": 0.0,
    "sgc -10.03 -11.79 -12.93 vcsgc 0.4 0.5 0.25 0.25": 0.4,
}


@pytest.fixture(scope="module")
def six_atoms(tmp_path_factory):
    """States of six atoms of three elements, next to their own images, in many short blocks."""
    folder = tmp_path_factory.mktemp("six")
    species = ["Nb", "Ta", "W"]
    write_data(folder / "six.data", SIX, species)
    script = ""
    for k, keywords in enumerate([*EXCHANGES, *FLIPS]):
        script += f"""
clear
units metal
atom_style atomic
read_data six.data
pair_style quorum nbmotaw
pair_coeff * * Nb Ta W
neighbor 0.5 bin
fix mc all quorum/swap 1 8 {k} {KELVIN} {keywords}
dump d all custom 1 six.{k} id type
dump_modify d sort id
thermo 100000
run 1500
"""
    run_lammps(script, folder)
    visits = []
    for k in range(5):
        lines = (folder / f"six.{k}").read_text().splitlines()
        rows = np.array([line[2] for line in lines if re.fullmatch(r"[1-6] [1-3] ?", line)], int)
        visits.append(rows.reshape(-1, 6)[50:] - 1)
    return visits


@pytest.fixture(scope="module")
def six_energies():
    """Energy of every state of six atoms and three elements, in eV."""
    potential = load_potential("nbmotaw")
    states = np.array(list(np.ndindex(*[3] * 6)))
    structures = []
    for state in states:
        atoms = SIX.copy()
        atoms.symbols = [["Nb", "Ta", "W"][s] for s in state]
        structures.append(atoms)
    return states, np.array([p.energy_eV for p in potential.evaluate(structures, forces=False)])


def chi_square(visited, expected):
    """Per degree of freedom; states that are hardly ever met together."""
    visited, expected = np.asarray(visited, float), np.asarray(expected, float)
    often = expected > 5.0
    assert often.sum() > 10
    rest = [visited[~often].sum() - expected[~often].sum(), expected[~often].sum()]
    terms = (visited - expected)[often] ** 2 / expected[often]
    return (terms.sum() + rest[0] ** 2 / max(rest[1], 1.0)) / often.sum()


@pytest.mark.parametrize("case", range(5))
def test_states_of_six_atoms(six_atoms, six_energies, case):
    states, energies = six_energies
    counts = np.array([(states == s).sum(axis=1) for s in range(3)]).T
    work = np.zeros(len(states))
    if case < len(EXCHANGES):
        possible = (counts == 2).all(axis=1)
    else:
        possible = np.ones(len(states), bool)
        work -= counts @ [-10.03, -11.79, -12.93]
        kappa = list(FLIPS.values())[case - len(EXCHANGES)]
        work += kappa * 6 * ((counts / 6 - [0.5, 0.25, 0.25]) ** 2).sum(axis=1)
    u = np.where(possible, energies + work, np.inf)
    weights = np.exp(-(u - u.min()) / (BOLTZMANN * KELVIN))
    visits = six_atoms[case]
    numbers = visits @ 3 ** np.arange(5, -1, -1)
    visited = np.bincount(numbers, minlength=3**6)
    expected = weights / weights.sum() * len(visits)
    assert (visited[~possible] == 0).all()
    assert 0.3 < chi_square(visited, expected) < 1.7
    # and it tells apart: with the energies of other states
    order = np.random.default_rng(1).permutation(np.flatnonzero(possible))
    expected[possible] = expected[order]
    assert chi_square(visited, expected) > 2.0


# --- molecular dynamics ---------------------------------------------------------------------

MOVING = """
units metal
atom_style atomic
read_data box.data
mass 1 5.0
mass 2 80.0
pair_style quorum {model}
pair_coeff * * Ar Kr
neighbor 1.0 bin
velocity all create {temperature} 91 dist gaussian
timestep 0.002
fix nve all nve
fix tether all spring/self 1.0
fix bath all langevin {temperature} {temperature} 0.05 37
fix mc all quorum/swap 1 {trials} 5 {temperature} {keywords}
compute ke all ke/atom
variable light atom c_ke*(type==1)
variable heavy atom c_ke*(type==2)
variable kr atom type==2
compute sums all reduce sum v_light v_heavy v_kr
thermo_style custom step pe c_sums[*] f_mc[9] f_mc[8]
thermo_modify norm no format float %.10g
thermo 1
run {steps}
"""


def z_score(series, exact):
    return (series.mean() - exact) / np.sqrt(variance_of_mean(series))


@pytest.mark.parametrize("velocities", ["rescale", "keep"])
def test_momenta_and_composition_of_moving_atoms(velocities, tmp_path):
    """Sites that do not feel each other: the share of either element and the kinetic energy of
    either mass are known. Atoms that keep their velocities fail."""
    ideal = LocalAlloy(3.4, [0.05, 0.0, 0.0, 0.0, 0.0], 36, [1.0], "")
    export(ideal, tmp_path / "ideal.pt", [18, 36], 3.4)
    atoms = crystal((7, 7, 7), ["Ar", "Kr"], rattle=0.0, lattice_A=4.4)
    write_data(tmp_path / "box.data", atoms, ["Ar", "Kr"])
    keywords = f"sgc 0.0 -0.05 velocities {velocities}"
    words = {"model": "ideal.pt", "temperature": 900.0, "trials": 70, "steps": 300}
    run = run_lammps(MOVING.format(**words, keywords=keywords), tmp_path, 2)
    table = run.thermo()
    table = {name: values[60:] for name, values in table.items()}
    np.testing.assert_array_equal(table["c_sums[3]"], table["f_mc[9]"])
    beta = 1.0 / (BOLTZMANN * 900.0)
    fraction = 1.0 / (1.0 + np.exp(beta * (0.05 + 0.05)))
    assert abs(z_score(table["c_sums[3]"] / len(atoms), fraction)) < 4.0
    light = table["c_sums[1]"] / table["f_mc[8]"] * beta / 1.5
    heavy = table["c_sums[2]"] / table["f_mc[9]"] * beta / 1.5
    if velocities == "rescale":
        assert abs(z_score(light, 1.0)) < 4.0 and abs(z_score(heavy, 1.0)) < 4.0
        assert np.sqrt(variance_of_mean(heavy)) < 0.03
    else:
        assert heavy.mean() > 2.0


def test_total_energy_and_restart(tmp_path):
    """Energies belong to the new types; a run that is continued is the same."""
    atoms = crystal((4, 3, 3), ALLOY, rattle=0.02)
    write_data(tmp_path / "box.data", atoms, ALLOY)
    head = """
units metal
atom_style atomic
"""
    pair = """
pair_style quorum nbmotaw dtype float64
pair_coeff * * Nb Mo Ta W
neighbor 1.0 bin
timestep 0.001
fix nve all nve
fix mc all quorum/swap 4 40 77 1500.0 check 10
thermo_style custom step pe etotal f_mc[*] f_mc[2][3] f_mc[2][4]
thermo_modify norm no format float %.17g
thermo 4
"""
    alone = "unfix mc\nthermo_style custom step pe\n"
    alone += "thermo_modify norm no format float %.17g\nrun 0\n"
    whole = f"{head}read_data box.data\n{pair}velocity all create 300 1\nrun 20\n"
    again = f"clear\n{head}read_data end.data\n{pair}{alone}"
    first = (
        f"{head}read_data box.data\n{pair}velocity all create 300 1\nrun 10\nwrite_restart half\n"
    )
    second = f"clear\n{head}read_restart half\n{pair}run 10\n"
    dump = "write_dump all custom {}.dump id type x vx modify format float %.17g\n"
    script = whole + dump.format("whole") + "write_data end.data\n" + alone + again
    script += f"clear\n{first}{second}{dump.format('parts')}"
    run = run_lammps(script, tmp_path, 2)
    table, fresh, read, _, parts = run.tables()
    assert table["f_mc[2]"][-1] > 40 and table["f_mc[4]"][-1] < 1e-8
    assert table["PotEng"][-1] == pytest.approx(fresh["PotEng"][0], abs=1e-9)
    assert table["PotEng"][-1] == pytest.approx(read["PotEng"][0], abs=1e-9)
    # between blocks, energy is conserved; a block changes it
    steps = np.diff(table["TotEng"])
    assert np.abs(steps).max() > 0.1
    for name in ("f_mc[1]", "f_mc[2]", "f_mc[3]", "f_mc[2][3]", "f_mc[2][4]", "f_mc[9]"):
        assert table[name][-1] == parts[name][-1], name
    got = [read_dump(tmp_path / f"{name}.dump", 3) for name in ("whole", "parts")]
    np.testing.assert_array_equal(got[0][:, 0], got[1][:, 0])
    np.testing.assert_allclose(got[0], got[1], rtol=1e-9, atol=1e-9)
