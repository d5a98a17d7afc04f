"""LAMMPS and i-PI as engines of pinned runs: the same numbers, the bias that is asked for."""

from pathlib import Path

import numpy as np
import pytest

from lammps_tools import environment
from pin_tools import EPSILON_EV, LJ, PLUMED, SIGMA_A, read
from quorum_md.engines.pin_stage import COLUMNS, Setting, Stage
from quorum_md.errors import QuorumError
from quorum_md.order_parameters.kernel import find_kernel
from quorum_md.order_parameters.pinned import Density, Restraint, named
from quorum_md.pinning.crystal import build_box
from quorum_md.units import EV_A3_GPA

needs_kernel = pytest.mark.skipif(find_kernel() is None, reason="no PLUMED kernel")
KELVIN = 100.0
ENGINES = ("lammps", "i-pi")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Argon of `pin_tools.LJ` with two members that are 3 % apart."""
    from toy_models import LennardJones, export

    module = LennardJones(SIGMA_A, EPSILON_EV, 2.5 * SIGMA_A, [0.985, 1.015])
    return export(module, tmp_path_factory.mktemp("models") / "ar.pt", [18], 2.5 * SIGMA_A)


@pytest.fixture
def engine(tmp_path, model):
    """A maker of engines by name, with the same potential."""
    from mpi4py import MPI

    opened = []

    def make(name, variable, thermostat="langevin", where="job", **more):
        from quorum_md.engines.pin_ipi import IpiEngine
        from quorum_md.engines.pin_lammps import LammpsEngine

        folder = tmp_path / f"{where}-{name}"
        folder.mkdir(exist_ok=True)
        setting = Setting(
            root=tmp_path, variable=variable, pressure_GPa=0.1, interval_steps=10,
            thermostat=thermostat, thermostat_steps=50, barostat_steps=200, model=str(model),
            timestep_fs=10.0,
            **{"elements": ("Ar",), "script": str(tmp_path / "in.lj"), **more},
        )  # fmt: skip
        kind = {"lammps": LammpsEngine, "i-pi": IpiEngine}[name]
        opened.append(kind(setting, MPI.COMM_SELF, folder, name))
        return opened[-1], folder

    yield make
    for one in opened:
        one.close()


def shaken(tmp_path):
    atoms = build_box(read(tmp_path)).atoms
    atoms.rattle(0.2, seed=3)
    return atoms


def column(row, name):
    return row[COLUMNS.index(name)]


def test_the_same_numbers(tmp_path, engine):
    """One structure, two engines: potential, pressures, edges, Q, bias; members with i-PI."""
    atoms = shaken(tmp_path)
    variable = Density((8, 0, 0))
    stage = Stage("one", 0, 1e-6, "z", kappa_eV=0.04, center=9.0)
    rows = {}
    for name in ENGINES:
        one, folder = engine(name, variable)
        state = folder / f"state{one.suffix}"
        one.begin(atoms, 1e-6, 1, state)
        facts = one.open(stage, state, 2, True)
        rows[name] = one.row()
        assert facts.timestep_fs == pytest.approx(10.0)
        assert facts.n_members == (2 if name == "i-pi" else 0)
        one.close()
    ipi, lammps = rows["i-pi"], rows["lammps"]
    n = len(COLUMNS)
    np.testing.assert_allclose(ipi[1:n], lammps[1:n], rtol=2e-6)
    assert column(ipi, "q") == pytest.approx(variable.evaluate(atoms)[0])
    np.testing.assert_allclose(ipi[n:] / column(ipi, "potential_eV"), [0.985, 1.015], rtol=1e-6)


def test_real_units(tmp_path, engine):
    """LAMMPS in kcal/mol, fs and atm: the same eV, fs and GPa, and the same bias."""
    from quorum_md.units import KCAL_MOL_EV

    atoms = shaken(tmp_path)
    script = LJ.replace(f"{EPSILON_EV:.10g}", f"{EPSILON_EV / KCAL_MOL_EV:.10g}")
    (tmp_path / "in.real").write_text(script.replace("timestep 0.010", "timestep 10.0"))
    stage = Stage("one", 20, KELVIN, "z", kappa_eV=0.2, center=15.0)
    rows = []
    for units, name in (("metal", "in.lj"), ("real", "in.real")):
        more = {"units": units, "script": str(tmp_path / name)}
        one, folder = engine("lammps", Density((8, 0, 0)), where=units, **more)
        state = folder / "state.restart"
        one.begin(atoms, KELVIN, 1, state)
        assert one.open(stage, state, 2, True).timestep_fs == pytest.approx(10.0)
        rows.append(one.row())
        one.advance(20)
        rows.append(one.row())
    np.testing.assert_allclose(rows[2], rows[0], rtol=1e-5)
    # 20 steps with the same noise and the same bias; LAMMPS has other factors in either unit
    np.testing.assert_allclose(rows[3], rows[1], rtol=2e-3)
    assert abs(column(rows[1], "q") - column(rows[0], "q")) > 0.1


@pytest.mark.parametrize("name", ENGINES)
def test_pulled_to_the_center(name, tmp_path, engine):
    """A crystal under a bias towards less order loses it; L_x and L_y stay, L_z moves."""
    one, folder = engine(name, Density((8, 0, 0)))
    atoms = build_box(read(tmp_path)).atoms
    states = [folder / f"state-{k}{one.suffix}" for k in range(2)]
    one.begin(atoms, KELVIN, 1, states[0])
    stage = Stage("pull", 60, KELVIN, "z", kappa_eV=0.2, center=17.0)
    one.open(stage, states[0], 2, True)
    rows = []
    for _ in range(6):
        one.advance(10)
        rows.append(one.row())
    one.save(states[1])
    rows = np.array(rows).T
    q = rows[COLUMNS.index("q")]
    assert abs(q[-3:].mean() - 17.0) < 0.3  # 19.6 at the start, and above 18.5 without a bias
    for edge in ("lx_A", "ly_A"):
        np.testing.assert_allclose(rows[COLUMNS.index(edge)], 4 * 5.45, rtol=1e-12)
    assert np.ptp(rows[COLUMNS.index("lz_A")]) > 0.01
    # it goes on from the file as it was
    one.open(stage, states[1], 3, False)
    again = one.row()
    np.testing.assert_allclose(again[1:], rows[1:, -1], rtol=1e-9, atol=1e-9)
    assert again[0] == pytest.approx(rows[0, -1], rel=1e-9)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("thermostat", ["langevin", "nose-hoover"])
def test_half_is_held(name, thermostat, tmp_path, engine):
    """While the upper half is heated the lower does not move, nor does the box."""
    one, folder = engine(name, Density((8, 0, 0)), thermostat)
    box = build_box(read(tmp_path))
    states = [folder / f"state-{k}{one.suffix}" for k in range(2)]
    one.begin(box.atoms, KELVIN, 1, states[0])
    stage = Stage("melt", 60, 4 * KELVIN, "fixed", n_held=box.n_held, fresh=True)
    one.open(stage, states[0], 2, True)
    before = column(one.row(), "q")
    one.advance(60)
    row = one.row()
    assert column(row, "lz_A") == pytest.approx(6 * 5.45, rel=1e-12)
    now = _positions(one)
    moved = np.linalg.norm(now - box.atoms.positions, axis=1)
    assert moved[: box.n_held].max() < 1e-9 < 0.1 < np.median(moved[box.n_held :])
    assert column(row, "q") < 0.9 * before


def _positions(one):
    if hasattr(one, "_atoms"):
        return one._atoms().positions
    found = one._replica.configuration()
    return found.rows[:, 2:5]


def test_restraint_on_both_kinds_of_variables(tmp_path):
    """κ/2 (Q − a)² and its forces by finite differences; the strain of a FCCUBIC too."""
    atoms = shaken(tmp_path)
    path = tmp_path / "plumed.dat"
    path.write_text(PLUMED.replace("1-500", "1-384"))
    for variable, kappa, center in ((Density((8, 0, 0)), 0.1, 5.0), (named(path), 3.0, 0.9)):
        restraint = Restraint(variable, kappa, center, tmp_path)
        pull = restraint.evaluate(atoms)
        assert pull.energy_eV == pytest.approx(0.5 * kappa * (pull.q - center) ** 2)
        assert pull.q == pytest.approx(variable.evaluate(atoms)[0])
        rng = np.random.default_rng(1)
        direction = rng.normal(size=(len(atoms), 3))
        strain = rng.normal(size=(3, 3))
        for kind in ("positions", "strain"):
            found = []
            for step in (1e-5, -1e-5):
                moved = atoms.copy()
                if kind == "positions":
                    moved.positions += step * direction
                else:
                    deformation = np.eye(3) + step * np.diag(np.diagonal(strain))
                    moved.set_cell(np.array(atoms.cell) @ deformation.T, scale_atoms=True)
                found.append(restraint.evaluate(moved).energy_eV)
            slope = (found[0] - found[1]) / 2e-5
            expected = (
                -(pull.forces_eV_A * direction).sum()
                if kind == "positions"
                else (np.diagonal(pull.strain_eV) * np.diagonal(strain)).sum()
            )
            assert slope == pytest.approx(expected, rel=1e-5, abs=1e-7), (variable.text, kind)


def test_a_value_of_plumed(tmp_path, engine, monkeypatch):
    """fix quorum/bias: Q as the native backend says, the potential without the bias; as in i-PI."""
    monkeypatch.setenv("LAMMPS_PLUGIN_PATH", environment()["LAMMPS_PLUGIN_PATH"])
    atoms = shaken(tmp_path)
    path = tmp_path / "plumed.dat"
    other = "d: FCCUBIC SPECIES=1-9 SWITCH={RATIONAL R_0=3 D_MAX=6} ALPHA=27 SUM\n"
    rest = PLUMED.split("\n", 1)[1].replace("1-500", "1-384")
    path.write_text("UNITS LENGTH=A ENERGY=kj/mol\n" + other + rest)
    variable = named(path, "cv.mean")
    rows = []
    for kappa in (0.0, 500.0):
        one, folder = engine("lammps", variable, where=f"k {kappa:g}")
        state = Path(folder / "state.restart")
        one.begin(atoms, 1e-6, 1, state)
        one.open(Stage("one", 0, 1e-6, "z", kappa_eV=kappa, center=0.5), state, 2, True)
        rows.append(one.row())
    free, biased = rows
    q = variable.evaluate(atoms)[0]
    assert column(free, "q") == pytest.approx(q, rel=1e-9) == column(biased, "q")
    assert column(free, "potential_eV") == column(biased, "potential_eV")
    assert column(biased, "bias_eV") == pytest.approx(250.0 * (q - 0.5) ** 2) and q > 0.6
    # the barostat feels the bias
    assert abs(column(free, "pzz_GPa") - column(biased, "pzz_GPa")) > 1e-4
    strain = Restraint(variable, 500.0, 0.5, tmp_path).evaluate(atoms).strain_eV
    shift = -strain[2, 2] / atoms.get_volume() * EV_A3_GPA
    assert column(biased, "pzz_GPa") - column(free, "pzz_GPa") == pytest.approx(shift, rel=1e-4)
    for kappa, row in ((0.0, free), (500.0, biased)):
        one, folder = engine("i-pi", variable, where=f"k {kappa:g}")
        state = folder / "state.npz"
        one.begin(atoms, 1e-6, 1, state)
        one.open(Stage("one", 0, 1e-6, "z", kappa_eV=kappa, center=0.5), state, 2, True)
        np.testing.assert_allclose(one.row()[1 : len(COLUMNS)], row[1:], rtol=5e-6)


def test_a_file_that_ends_i_pi(tmp_path, engine, monkeypatch):
    """EXIT in the folder: not an interval of one step."""
    monkeypatch.chdir(tmp_path)
    one, folder = engine("i-pi", Density((8, 0, 0)), where="with a space")
    state = folder / "state.npz"
    one.begin(build_box(read(tmp_path)).atoms, KELVIN, 1, state)
    one.open(Stage("one", 100, KELVIN, "z", kappa_eV=0.01, center=15.0), state, 2, True)
    one.advance(3)
    (tmp_path / "EXIT").touch()
    with pytest.raises(QuorumError, match="ended after 4 of 8 steps, .* a file named EXIT"):
        one.advance(5)


@pytest.mark.plumed
@needs_kernel
@pytest.mark.parametrize("name", ENGINES)
def test_the_kernel_pins_as_the_native_backend_does(name, tmp_path, engine, monkeypatch):
    """backend = "plumed": the same run, row by row, and a log of PLUMED's in the job's folder."""
    monkeypatch.setenv("LAMMPS_PLUGIN_PATH", environment()["LAMMPS_PLUGIN_PATH"])
    atoms = build_box(read(tmp_path)).atoms
    path = tmp_path / "plumed.dat"
    # three values, the one that is pinned is the last; the kernel has none without a label
    words = "FCCUBIC SPECIES=1-9 SWITCH={RATIONAL R_0=3 D_MAX=6} ALPHA=27 SUM\n"
    other = f"{words}d: {words}"
    units, rest = PLUMED.replace("1-500", "1-384").split("\n", 1)
    path.write_text(f"{units}\n{other}{rest}")
    stage = Stage("pull", 60, KELVIN, "z", kappa_eV=300.0, center=0.5)
    rows = []
    for backend in ("native", "plumed"):
        one, folder = engine(name, named(path, "cv.mean", backend), where=backend)
        state = folder / f"state{one.suffix}"
        one.begin(atoms, KELVIN, 1, state)
        one.open(stage, state, 2, True)
        for _ in range(3):
            one.advance(20)
            rows.append(one.row())
    np.testing.assert_allclose(rows[3:], rows[:3], rtol=2e-6, atol=1e-7)
    assert named(path, "cv.mean").evaluate(atoms)[0] > 0.9 > 0.6 > column(rows[2], "q")
    assert (folder / "plumed.log").exists() == (name == "lammps")


def test_charges(tmp_path, engine):
    """atom_style charge: energies by Coulomb's law, after every start."""
    from ase.build import bulk
    from ase.neighborlist import neighbor_list

    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True) * 3
    atoms.rattle(0.1, seed=1)
    (tmp_path / "in.nacl").write_text(
        "set type 1 charge 0.9\nset type 2 charge -0.9\n"
        "pair_style coul/cut 7.0\npair_coeff * *\nneighbor 1.0 bin\ntimestep 0.001\n"
    )
    more = {"script": str(tmp_path / "in.nacl"), "elements": ("Na", "Cl"), "atom_style": "charge"}
    one, folder = engine("lammps", Density((6, 0, 0)), **more)
    states = [folder / f"state{k}{one.suffix}" for k in range(2)]
    one.begin(atoms, KELVIN, 1, states[0])
    one.open(Stage("one", 0, KELVIN, "z"), states[0], 2, True)
    charges = np.where(atoms.symbols == "Na", 0.9, -0.9)
    i, j, r = neighbor_list("ijd", atoms, 7.0)
    energy = 0.5 * 14.399645 * (charges[i] * charges[j] / r).sum()
    assert abs(energy) > 50
    assert column(one.row(), "potential_eV") == pytest.approx(energy, rel=1e-6)
    one.save(states[1])
    one.open(Stage("two", 0, KELVIN, "z"), states[1], 2, False)
    assert column(one.row(), "potential_eV") == pytest.approx(energy, rel=1e-6)
