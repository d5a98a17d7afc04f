"""`quorum reweight` on logs that the real LAMMPS wrote, against averages that are known exactly."""

import json
from pathlib import Path

import numpy as np
import pytest

from lammps_structures import structures
from lammps_tools import run_lammps, write_data
from quorum_md.averages.lammps_log import read_log
from quorum_md.averages.lammps_run import load_run
from quorum_md.cli import main
from quorum_md.errors import QuorumError
from quorum_md.units import BOLTZMANN_EV_K, KCAL_MOL_EV
from toy_models import export
from toy_oscillators import Oscillators

pytestmark = pytest.mark.filterwarnings("ignore:.*interaction range")
INPUTS = Path(__file__).parents[2] / "inputs" / "lammps"
SPACING = 4.0  # Å
KELVIN = 300.0
CONSTANTS = 2.0 * np.array([0.96, 0.985, 1.0, 1.02, 1.035])  # eV/Å²
OSCILLATORS = """
log log.lammps
units metal
atom_modify map yes
lattice sc 4.0
region box block 0 4 0 4 0 4
create_box 1 box
create_atoms 1 box
mass 1 39.948
variable T index 300
pair_style quorum oscillators.pt
pair_coeff * * Ar
neighbor 1.0 bin
velocity all create $(2*v_T) 4711
compute members all pair quorum
compute msd all msd
fix move all nve
fix bath all langevin ${T} ${T} 0.05 4711
timestep 0.005
thermo_style custom step temp pe press c_members[*] c_msd[4]
thermo_modify norm no format float %.15g
thermo 10
"""


@pytest.fixture(scope="module")
def crystal(tmp_path_factory):
    """The log of 64 oscillators, 15 ps, the first of them in another run."""
    folder = tmp_path_factory.mktemp("oscillators")
    module = Oscillators(SPACING, CONSTANTS.tolist(), 1.9)
    export(module, folder / "oscillators.pt", [18], SPACING)
    run_lammps(OSCILLATORS + "run 300\nrun 3000\n", folder)
    return folder


def test_exact_averages(crystal):
    """⟨|r − site|²⟩ = 3 kT/k_i and ⟨V_i⟩ = 3/2 N kT under member i."""
    run = load_run(crystal / "log.lammps", discard=30)
    assert run.steps.tolist() == list(range(300, 3301, 10)) and run.temperature_K == KELVIN
    assert run.reference == "mean" and run.checked and run.constant_volume and run.notes == ()
    assert run.names() == ["PotEng", "c_msd[4]"]
    kT = BOLTZMANN_EV_K * KELVIN
    # velocity Verlet at step h samples k (1 − (ωh)²/4)
    omega2 = CONSTANTS.mean() / 39.948 * 9648.533  # ps⁻²
    exact = 3 * kT / CONSTANTS / (1 - omega2 * 0.005**2 / 4)
    square = run.reweight("c_msd[4]")
    z = (square.members - exact) / square.members_statistical_error
    assert np.abs(z).max() < 4
    assert square.mean == pytest.approx(exact.mean(), rel=0.03)
    assert square.model_error == pytest.approx(exact.std(ddof=1), rel=0.25)
    assert square.verdict == "ok"
    energy = run.reweight("pe", method="direct")
    z = (energy.members - 1.5 * 64 * kT) / energy.members_statistical_error
    assert np.abs(z).max() < 4
    # the energy of a harmonic crystal does not depend on its stiffness
    assert energy.model_error < 0.5 * square.model_error / square.mean * energy.mean


def test_command(crystal, capsys):
    log = str(crystal / "log.lammps")
    options = ["--observable", "c_msd", "--observable", "press", "--json", "-"]
    assert main(["reweight", log, "--discard", "auto", *options[:2]]) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[1].startswith("c_msd[4]") and "T = 300 K" in text
    assert main(["reweight", log, *options]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["observables"][-1]["unit"] == "bar"
    assert "computed from forces" in report["observables"][-1]["notes"][-1]
    assert report["inputs"]["n_members"] == 5 and report["inputs"]["reference"] == "mean"


def test_temperature_of_the_momenta_is_compared(crystal):
    with pytest.raises(QuorumError, match="its runs are at 300 K"):
        load_run(crystal / "log.lammps", temperature_K=301)


HEAD = """
units {units}
atom_style atomic
atom_modify map yes
"""
STYLE = """
pair_style quorum {path}
pair_coeff * * Ar
neighbor 0.5 bin
compute members all pair quorum
timestep {step}
fix nvt all nvt temp 40 40 {damp}
thermo_style custom step temp pe vol c_members[*]
thermo_modify norm no format float %.17g
thermo 5
"""


def start(folder, model_files, model="lj", units="metal"):
    path, species = model_files[model]
    write_data(folder / "box.data", structures(species)["small"], species)
    # ps or fs
    scale = 1 if units == "metal" else 1000
    head = f"log log.1\n{HEAD.format(units=units)}read_data box.data\n"
    style = STYLE.format(path=path, step=0.002 * scale, damp=0.1 * scale)
    return head, style + "velocity all create 40 4711\n", style


def test_restarts_and_every_table_style(model_files, tmp_path):
    head, style, again = start(tmp_path, model_files)
    script = f"{head}{style}run 30\nwrite_restart half\nrun 30\n"
    first = run_lammps(script, tmp_path).thermo()
    rest = f"log log.2\nread_restart half\n{again}"
    for line in ("one", "yaml", "multi"):
        rest += f"thermo_modify line {line}\nrun 20\n"
    run_lammps(rest, tmp_path)
    logs = [tmp_path / "log.1", tmp_path / "log.2"]
    names = [table.names for table in read_log(logs[1]).tables]
    assert [set(n) - {"CPU"} for n in names] == [set(names[0])] * 3
    run = load_run(logs)
    assert run.steps.tolist() == list(range(0, 91, 5)) and run.table.abandoned == 7
    assert run.checked and run.reference == "mean"
    # both went the same way from step 30 to 60
    np.testing.assert_allclose(run.observable("pe").values.mean(axis=1)[6:13], first["PotEng"],
                               rtol=1e-4)  # fmt: skip


def test_real_units(model_files, tmp_path):
    energies = []
    for units in ("metal", "real"):
        head, style, _ = start(tmp_path, model_files, units=units)
        run_lammps(f"{head}{style}run 5\n", tmp_path)
        run = load_run(tmp_path / "log.1")
        energies.append(run.energies_eV[0])
        if units == "real":
            table = read_log(tmp_path / "log.1").tables[0]
            assert table.column("c_members[1]")[0] * KCAL_MOL_EV == pytest.approx(energies[1][0])
    np.testing.assert_allclose(*energies, rtol=1e-6)


def test_per_atom_energies(model_files, tmp_path):
    head, style, _ = start(tmp_path, model_files)
    energies = []
    for norm in ("no", "yes"):
        run_lammps(f"{head}{style}thermo_modify norm {norm}\nrun 10\n", tmp_path)
        energies.append(load_run(tmp_path / "log.1").energies_eV)
    np.testing.assert_allclose(*energies, rtol=1e-12)


def test_weighted_baseline_and_overlay(model_files, tmp_path):
    head, style, _ = start(tmp_path, model_files, "weighted baseline")
    run_lammps(f"{head}{style}run 50\n", tmp_path)
    run = load_run(tmp_path / "log.1")
    table = read_log(tmp_path / "log.1").tables[0]
    np.testing.assert_allclose(run.reference, table.column("PotEng"))
    assert np.ptp(run.energies_eV.mean(axis=1) - run.reference) > 1e-4
    # with another style on top, c_members tells its energy from the rest
    path, _ = model_files["weighted baseline"]
    overlay = style.replace(f"quorum {path}", f"hybrid/overlay quorum {path} lj/cut 5.0")
    overlay = overlay.replace("* * Ar", "* * quorum Ar\npair_coeff * * lj/cut 0.005 3.0")
    run_lammps(f"{head}{overlay}run 50\n", tmp_path)
    with pytest.raises(QuorumError, match="add c_members to thermo_style"):
        load_run(tmp_path / "log.1")
    overlay = overlay.replace("vol c_mem", "vol c_members c_mem")
    run_lammps(f"{head}{overlay}run 50\n", tmp_path)
    run = load_run(tmp_path / "log.1")
    (table,) = read_log(tmp_path / "log.1").tables
    assert run.reference_name == "c_members"
    np.testing.assert_allclose(run.reference, table.column("PotEng"))
    own = table.column("c_members[2]") - table.column("c_members")
    np.testing.assert_allclose(run.energies_eV[:, 1] - run.reference, own, atol=1e-9)


def test_members_of_a_foreign_trajectory(model_files, tmp_path):
    """Lennard-Jones of LAMMPS drives; a rerun of its dump gives the members."""
    head, style, _ = start(tmp_path, model_files)
    path, _ = model_files["lj"]
    plain = style.replace(f"pair_style quorum {path}\npair_coeff * * Ar",
                          "pair_style lj/cut 6.5\npair_coeff 1 1 0.1 3.0")  # fmt: skip
    plain = plain.replace("compute members all pair quorum\n", "").replace(" c_members[*]", "")
    dump = "dump d all custom 10 path.dump id type x y z\ndump_modify d format float %.17g\n"
    run_lammps(f"{head}{plain}{dump}run 300\n", tmp_path)
    rerun = style.replace("velocity all create 40 4711\n", "").replace("thermo 5", "thermo 1")
    run_lammps(f"{head.replace('log.1', 'log.2')}{rerun}rerun path.dump dump x y z box yes\n",
               tmp_path)  # fmt: skip
    run = load_run(tmp_path / "log.1", committee=[tmp_path / "log.2"])
    assert run.steps.tolist() == list(range(0, 301, 10))
    driven = read_log(tmp_path / "log.1").tables[0].column("PotEng")[::2]
    np.testing.assert_allclose(run.reference, driven, rtol=1e-9)
    # the members are wells of one form and other depths
    depth = run.energies_eV / run.reference[:, None]
    np.testing.assert_allclose(depth, np.broadcast_to(depth[0], depth.shape), rtol=3e-3)
    alone = load_run(tmp_path / "log.1")  # without them it is one potential, and no committee
    assert alone.energies_eV.shape == (61, 1)


def test_input_rerun(tmp_path):
    """inputs/lammps/in.rerun gives the members that the run itself had."""
    text = (INPUTS / "in.nvt").read_text().replace("0 6 0 6 0 6", "0 2 0 2 0 2")
    text = text.replace("custom 1000", "custom 100").replace("x y z f_spread", "x y z")
    text += "dump_modify atoms format float %.17g\n"
    text = text.replace("run             ", "#")
    run_lammps(f"log log.lammps\n{text}run 500\n", tmp_path, 2)
    rerun = f"log log.rerun\n{(INPUTS / 'in.rerun').read_text()}"
    run_lammps(rerun, tmp_path, 2)
    run = load_run(tmp_path / "log.lammps")
    again = load_run(tmp_path / "log.lammps", committee=[tmp_path / "log.rerun"])
    assert again.steps.tolist() == run.steps.tolist() == list(range(0, 501, 100))
    assert again.reference == "mean" and again.checked
    np.testing.assert_allclose(again.energies_eV, run.energies_eV, rtol=2e-6)
