"""The stock fix sgcmc with energies of single atoms, against whole systems and exact isotherms."""

import subprocess

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from lammps_structures import structures
from lammps_tools import read_dump, run_lammps, write_data
from quorum_md.averages.timeseries import variance_of_mean
from quorum_md.engines import lammps_plugin
from quorum_md.models import load_potential
from quorum_md.units import BOLTZMANN_EV_K, KCAL_MOL_EV
from toy_models import LennardJones, LocalAlloy, export

pytestmark = pytest.mark.filterwarnings("ignore:.*interaction range")
SPECIES = ["Ar", "Kr"]
CUTOFF_A = 3.0
SITE, PAIR, ONE, TWO, _ = PARAMETERS = [0.05, -0.3, 0.1, 0.4, 0.0]  # eV
TEMPERATURE_K = 1000.0
# rings of 12 atoms through the boundaries, 2 Å between neighbours, out of each other's reach: the
# least box that fix sgcmc takes on two ranks
N_RING, STEP_A, WIDTH_A = 12, 2.0, 4.0


@pytest.fixture(scope="module")
def alloys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alloys")
    types, scales = [18, 36], [0.8, 1.0, 1.2]
    alloy = LocalAlloy(CUTOFF_A, PARAMETERS, 36, scales, "")
    ideal = LocalAlloy(CUTOFF_A, [SITE, 0.0, 0.0, 0.0, 0.0], 36, scales, "")
    halves = LennardJones(3.0, 0.1, 6.0, scales)  # half lists
    return {
        "alloy": export(alloy, folder / "alloy.pt", types, CUTOFF_A),
        "ideal": export(ideal, folder / "ideal.pt", types, CUTOFF_A),
        "half lists": export(halves, folder / "halves.pt", types, 6.0),
    }


@pytest.fixture(scope="module")
def trial_plugin(tmp_path_factory):
    """A compute that asks the pair style as fix sgcmc does."""
    tools = lammps_plugin.toolchain()
    library = tmp_path_factory.mktemp("trial") / "trial.so"
    flags = ["-std=c++17", "-O1", "-fPIC", "-shared", "-DLAMMPS_SMALLBIG"]
    flags += [f'-DQUORUM_LAMMPS_VERSION="{tools.lammps_date}"']
    flags += [f"-I{folder}" for folder in tools.lammps_includes]
    source = __file__.replace("test_sgcmc.py", "trial_energies.cpp")
    subprocess.run([*tools.compiler, *flags, source, "-o", library], check=True)
    return library


def trial_box(name):
    """Structures whose atoms have no image within two cutoffs of themselves."""
    if name == "nbmotaw":
        atoms = bulk("W", "bcc", 3.24, cubic=True) * (4, 4, 4)
        species = ["Nb", "Mo", "Ta", "W"]
    elif name == "half lists":
        atoms = bulk("Ar", "fcc", 5.0, cubic=True) * 3
        species = SPECIES
    else:
        atoms = structures(SPECIES)["box"]
        atoms.set_cell(np.asarray(atoms.cell) * 0.7, scale_atoms=True)  # neighbours at 2.5 Å
        return atoms, SPECIES
    rng = np.random.default_rng(7)
    atoms.positions += rng.uniform(-0.15, 0.15, atoms.positions.shape)
    atoms.symbols = rng.choice(species, len(atoms))
    return atoms, species


@pytest.mark.parametrize(
    ("model", "ranks", "units"),
    [("alloy", 1, "metal"), ("alloy", 4, "real"), ("half lists", 2, "metal")]
    + [("nbmotaw", 1, "metal"), ("nbmotaw", 2, "metal")],
)
def test_change_of_energy_is_that_of_the_whole(alloys, trial_plugin, model, ranks, units, tmp_path):
    atoms, species = trial_box(model)
    write_data(tmp_path / "box.data", atoms, species)
    path = alloys.get(model, model)
    script = f"""
plugin load {trial_plugin}
units {units}
atom_style atomic
read_data box.data
pair_style quorum {path} dtype float64
pair_coeff * * {" ".join(species)}
neighbor 0.7 bin
comm_modify cutoff {2 * load_potential(path).cutoff_A + 0.7}
compute t all trial/energies
compute e all pe/atom
dump d all custom 1 trial.dump id c_t[1] c_t[2] c_e
dump_modify d format float %.17g
run 0
"""
    run_lammps(script, tmp_path, ranks)
    got = read_dump(tmp_path / "trial.dump", 3) * (KCAL_MOL_EV if units == "real" else 1.0)
    potential = load_potential(path, dtype="float64")
    whole = potential.evaluate(atoms, forces=False)[0]
    np.testing.assert_allclose(got[:, 0], whole.atom_energies_eV, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(got[:, 0], got[:, 2], rtol=1e-10, atol=1e-12)
    trials = np.random.default_rng(1).permutation(len(atoms))[:12]
    others = []
    for i in trials:
        other = atoms.copy()
        other.symbols[i] = species[(species.index(other.symbols[i]) + 1) % len(species)]
        others.append(other)
    changed = potential.evaluate(others, forces=False)
    energies = [p.energy_eV for p in changed]
    scale = np.abs(whole.atom_energies_eV).sum() + 1.0
    np.testing.assert_allclose(
        got[trials, 1], np.array(energies) - whole.energy_eV, atol=1e-11 * scale
    )
    if model != "half lists":  # its energies know no elements
        assert np.abs(got[:, 1]).min() > 1e-6
        # what a trial does to the neighbours matters, not its own atom alone
        own = [p.atom_energies_eV[i] for p, i in zip(changed, trials, strict=True)]
        alone = np.array(own) - whole.atom_energies_eV[trials]
        assert np.abs(got[trials, 1] - alone).min() > 1e-6


def rings():
    cells = np.mgrid[0:N_RING, 0:3, 0:3].reshape(3, -1).T
    return Atoms(
        ["Ar", "Kr"] * (len(cells) // 2),
        positions=(cells + 0.25) * [STEP_A, WIDTH_A, WIDTH_A],
        cell=[N_RING * STEP_A, 3 * WIDTH_A, 3 * WIDTH_A],
        pbc=True,
    )


def script_of(path, delta_mu, steps, extra="atomic/energy yes", motion=""):
    return f"""
processors * 1 1
units metal
atom_style atomic
read_data box.data
pair_style quorum {path}
pair_coeff * * Ar Kr
neighbor 0.5 bin
timestep 0.001
fix mc all sgcmc 1 0.5 {TEMPERATURE_K} {delta_mu} randseed 324 {extra}
{motion}
thermo_style custom step pe f_mc[1] f_mc[2] f_mc[4]
thermo_modify norm no format float %.17g
thermo 1
run {steps}
"""


def ring_averages(parameters, delta_mu):
    """Fraction of the second species and energy (eV) per atom of a ring, by transfer matrix."""
    site, pair, one, two, _ = parameters
    f = (1 - (STEP_A / CUTOFF_A) ** 2) ** 3

    def log_partition(beta, beta_mu):
        matrix = np.zeros((4, 4))
        for left, s, right in np.ndindex(2, 2, 2):
            density = f * (2 + left + right)
            energy = site * s + (pair * s + one) * density + two * density**2
            matrix[2 * left + s, 2 * s + right] = np.exp(-beta * energy - beta_mu * s)
        return np.log(np.trace(np.linalg.matrix_power(matrix, N_RING))) / N_RING

    beta = 1 / (BOLTZMANN_EV_K * TEMPERATURE_K)
    mu, h = beta * delta_mu, 1e-5
    fraction = -(log_partition(beta, mu + h) - log_partition(beta, mu - h)) / (2 * h)
    energy = -(log_partition(beta + h, mu) - log_partition(beta - h, mu)) / (2 * h)
    return fraction, energy


def test_transfer_matrix_of_independent_sites():
    fraction, energy = ring_averages([SITE, 0.0, 0.0, 0.0, 0.0], -0.02)
    odds = np.exp(-(SITE - 0.02) / (BOLTZMANN_EV_K * TEMPERATURE_K))
    assert fraction == pytest.approx(odds / (1 + odds), rel=1e-8)
    assert energy == pytest.approx(SITE * fraction, rel=1e-6)


@pytest.mark.parametrize(
    ("model", "delta_mu", "ranks"),
    [("ideal", -0.15, 2), ("alloy", -0.2, 1), ("alloy", -0.13, 2)]
    + [pytest.param("alloy", -0.2, 2, marks=pytest.mark.slow)]
    + [pytest.param("ideal", 0.0, 1, marks=pytest.mark.slow)],
)
def test_isotherm(alloys, model, delta_mu, ranks, tmp_path):
    atoms = rings()
    write_data(tmp_path / "box.data", atoms, SPECIES)
    run = run_lammps(script_of(alloys[model], delta_mu, 800), tmp_path, ranks)
    assert "Using atomic energy method" in run.output
    table = run.thermo()
    parameters = PARAMETERS if model == "alloy" else [SITE, 0.0, 0.0, 0.0, 0.0]
    exact = ring_averages(parameters, delta_mu)
    for series, want in zip(
        (table["f_mc[4]"][50:], table["PotEng"][50:] / len(atoms)), exact, strict=True
    ):
        error = float(np.sqrt(variance_of_mean(series)))
        assert error < 0.03 * max(abs(want), 0.1)
        assert abs(series.mean() - want) / error < 4.0, (series.mean(), want, error)
    # moves are made: an isotherm of a frozen start would be no test
    assert table["f_mc[1]"].mean() > 5


def test_same_moves_as_with_the_energy_of_the_whole(alloys, tmp_path):
    """One rank, same seed, atoms off their places: every decision is the same."""
    atoms = rings()
    atoms.positions += np.random.default_rng(3).uniform(-0.3, 0.3, atoms.positions.shape)
    write_data(tmp_path / "box.data", atoms, SPECIES)
    runs = [
        run_lammps(script_of(alloys["alloy"], -0.15, 12, extra), tmp_path).thermo()
        for extra in ("atomic/energy yes", "atomic/energy no")
    ]
    assert runs[0]["f_mc[1]"].sum() > 50
    for name in ("f_mc[1]", "f_mc[2]", "f_mc[4]"):
        np.testing.assert_array_equal(runs[0][name], runs[1][name])


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("two hops", ["sees farther than the neighbours of an atom", "atomic/energy yes"]),
        ("weighted baseline", ["weighted baseline", "whole system", "atomic/energy yes"]),
    ],
)
def test_refused_where_energies_are_not_local(model_files, model, words, ranks, tmp_path):
    atoms = structures(["Ar"])["box"] * (2, 2, 3)
    write_data(tmp_path / "box.data", atoms, SPECIES)
    elements = "Ar Kr" if model == "two hops" else "Ar Ar"
    script = script_of(model_files[model][0], 0.0, 2).replace("* * Ar Kr", f"* * {elements}")
    run = run_lammps(script, tmp_path, ranks, check=False)
    assert run.code != 0 and len(run.errors) == 1, run.output
    for word in words:
        assert word in run.errors[0]


def test_one_rank_without_local_energies(model_files, tmp_path):
    """What is refused with atomic/energy runs without it."""
    atoms = structures(["Ar", "Kr"])["box"] * (2, 2, 2)
    write_data(tmp_path / "box.data", atoms, SPECIES)
    path = model_files["two hops"][0]
    script = script_of(path, 0.0, 1, "window_moves 1").replace("1 0.5", "1 0.004")
    run = run_lammps(script, tmp_path)
    assert "naive total energy" in run.output
