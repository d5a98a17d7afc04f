"""Models trained by metatrain: PET and SOAP-BPNN with LLPR ensembles, the latter with extensions.

They are trained here for seconds: the files are real, their accuracy does not matter.
"""

import subprocess
import sys

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from ipi_tools import direct, read_members, read_properties, run_input, simulation, system
from lammps_tools import NKTV2P, read_dump, run_lammps, single_point, write_data
from quorum_md.cli import main
from quorum_md.errors import QuorumError
from quorum_md.models import load_potential
from quorum_md.models.check import finite_difference_forces, finite_difference_virial

pytest.importorskip("metatrain", reason="needs the extra [train]")
# metatrain's and metatensor's own, about which we can do nothing
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*_mts_buffer_names"),
    pytest.mark.filterwarnings("ignore:.*declares an interaction range"),
]

PET = """
  name: pet
  model: {cutoff: 4.0, d_pet: 16, d_head: 16, d_node: 16, d_feedforward: 16, num_heads: 2,
          num_attention_layers: 1, num_gnn_layers: 2}
"""
SOAP = """
  name: soap_bpnn
  model: {soap: {cutoff: {radius: 4.0, width: 0.5}, max_angular: 3, max_radial: 3},
          bpnn: {num_neurons_per_layer: 8}}
"""
DATA = """
training_set:
  systems: {read_from: data.xyz, length_unit: angstrom}
  targets: {energy: {key: energy, unit: eV}}
validation_set: 0.2
test_set: 0.1
"""
LLPR = """
  name: llpr
  training: {model_checkpoint: base.ckpt, batch_size: 4}
  model: {num_ensemble_members: {energy: 8}}
"""


def train(folder, architecture):
    """`mtt train` of the architecture, then of an LLPR ensemble on it."""
    short = "  training: {num_epochs: 40, batch_size: 8}\n"
    for name, text in (("base", architecture + short), ("llpr", LLPR)):
        options = folder / f"{name}.yaml"
        options.write_text("seed: 1\narchitecture:" + text + DATA)
        command = [sys.executable, "-m", "metatrain", "train", options.name, "-o", f"{name}.pt"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "llpr.pt"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(20):
        atoms = bulk("Cu", "fcc", 3.7, cubic=True)
        atoms.symbols[rng.integers(0, 4, 2)] = "Ni"
        atoms.rattle(0.1, rng=rng)
        copy = atoms.copy()
        copy.calc = EMT()
        energy, forces = copy.get_potential_energy(), copy.get_forces()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        frames.append(atoms)
    files = {}
    for name, architecture in (("pet", PET), ("soap", SOAP)):
        folder = tmp_path_factory.mktemp(name)
        ase.io.write(folder / "data.xyz", frames)
        files[name] = train(folder, architecture)
    return files


@pytest.fixture
def alloy():
    atoms = bulk("Cu", "fcc", 3.6, cubic=True)
    atoms.symbols[0] = "Ni"
    atoms.rattle(0.1, seed=7)
    return atoms


@pytest.mark.parametrize("name, reach", [("pet", 12.0), ("soap", 4.0)])
def test_energies_forces_virial_members(models, alloy, name, reach):
    potential = load_potential(models[name], dtype="float64")
    assert potential.n_members == 8 and potential.species == ("Ni", "Cu")
    assert potential.interaction_range_A == reach
    got = potential.evaluate([alloy, alloy[:3]], virial=True, member_forces=True)[0]
    assert got.energy_eV == pytest.approx(got.member_energies_eV.mean(), rel=1e-12)
    assert np.abs(got.forces_eV_A).max() > 1e-4
    numeric = finite_difference_forces(potential, alloy, np.arange(4), 1e-3)
    np.testing.assert_allclose(got.forces_eV_A, numeric, atol=1e-8)
    numeric = finite_difference_virial(potential, alloy, 1e-3)
    np.testing.assert_allclose(got.virial_eV, numeric, atol=1e-6)
    np.testing.assert_allclose(got.member_forces_eV_A.mean(axis=0), got.forces_eV_A, atol=1e-9)
    whole = potential.evaluate([alloy])[0]
    halves = potential.evaluate([alloy] * 2, centers=[[0, 2], [1, 3]])
    assert sum(h.energy_eV for h in halves) == pytest.approx(whole.energy_eV, rel=1e-12)
    np.testing.assert_allclose(sum(h.forces_eV_A for h in halves), whole.forces_eV_A, atol=1e-10)


def test_forces_agree_with_metatomics_own_calculator(models, alloy):
    from metatomic_ase import MetatomicCalculator

    got = load_potential(models["pet"]).evaluate([alloy])[0]
    alloy.calc = MetatomicCalculator(str(models["pet"]), uncertainty_threshold=None)
    np.testing.assert_allclose(alloy.get_forces(), got.forces_eV_A, atol=1e-6)


def test_calibrated_file_brings_its_extensions(models, alloy, tmp_path):
    """A file assembled from a model with extensions runs in a fresh process, forces included."""
    data = tmp_path / "held.extxyz"
    frames = ase.io.read(models["soap"].parent / "data.xyz", ":")
    ase.io.write(data, frames)
    out = tmp_path / "calibrated.pt"
    assert main(["calibrate", str(models["soap"]), str(data), "-o", str(out)]) == 0
    assert (tmp_path / "calibrated-extensions").is_dir()
    ase.io.write(tmp_path / "a.extxyz", alloy)
    command = [sys.executable, "-m", "quorum_md.cli", "check", str(out), "a.extxyz", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    import json

    report = json.loads(done.stdout)
    assert report["n_members"] == 8 and report["max_force_error_eV_A"] < 1e-6


def test_wrong_forces_of_an_extension_without_gradients_are_refused(models):
    """In a process where the extension's Python module is not loaded, backward is silently wrong
    (torch only warns); such a model must not be used."""
    code = (
        "import sys, importlib, warnings; warnings.simplefilter('ignore')\n"
        "importlib.import_module = lambda name: None\n"
        "from quorum_md.models.metatomic_model import MetatomicPotential\n"
        f"MetatomicPotential({str(models['soap'])!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "forces are not the gradient of its energy" in done.stderr


def test_committee_of_different_architectures(models, alloy, tmp_path):
    out = tmp_path / "both.pt"
    assert main(["committee", str(models["pet"]), str(models["soap"]), "-o", str(out)]) == 0
    got = load_potential(out, dtype="float64").evaluate([alloy])[0]
    parts = [load_potential(m, dtype="float64").evaluate([alloy])[0] for m in models.values()]
    energies = np.concatenate([p.member_energies_eV for p in parts])
    np.testing.assert_allclose(got.member_energies_eV, energies, rtol=1e-10)
    mean = np.mean([p.forces_eV_A for p in parts], axis=0)
    np.testing.assert_allclose(got.forces_eV_A, mean, atol=1e-10)


def test_i_pi_runs_them(models, alloy, tmp_path):
    """Real i-PI on PET and on a model with an extensions folder: members average to U."""
    from ipi.utils.units import unit_to_user

    for name, model in models.items():
        folder = tmp_path / name
        folder.mkdir()
        ase.io.write(folder / "start.xyz", alloy)
        text = simulation(
            force_field=direct(model=model), systems=system(kelvin=300), steps=5, safe_stride=5
        )
        run_input(folder, text)
        potential = read_properties(folder / "simulation.out")["potential"]
        members = read_members(folder / "simulation.committee_pot_0")[1]
        assert members.shape == (6, 8)
        mean = unit_to_user("energy", "electronvolt", members.mean(axis=1))
        np.testing.assert_allclose(mean, potential, rtol=1e-12)


def test_missing_extensions_say_what_to_do(models, tmp_path):
    import shutil

    alone = shutil.copy(models["soap"], tmp_path / "alone.pt")
    code = (
        "from quorum_md.models.metatomic_model import load_file; from pathlib import Path\n"
        "import quorum_md.models.metatomic_model as m\n"
        "m.importlib.import_module = lambda name: None\n"
        f"load_file(Path({str(alone)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and QuorumError.__name__ in done.stderr
    assert "--extensions" in done.stderr


@pytest.mark.parametrize("name", ["pet", "soap"])
def test_under_lammps(models, name, tmp_path):
    """PET passes messages beyond the range it declares and reads positions through cell shifts;
    the extension of SOAP-BPNN has gradients in Python only, and so from the plugin."""
    atoms = bulk("Cu", "fcc", 3.7, cubic=True) * 2
    atoms.symbols[::3] = "Ni"
    atoms.rattle(0.1, seed=3)
    write_data(tmp_path / "x.data", atoms, ["Cu", "Ni"])
    script = single_point(str(models[name]), "Cu Ni", "x.data", "x", "metal", "dtype float64")
    run = run_lammps(script, tmp_path, 2)
    want = load_potential(models[name], dtype="float64").evaluate([atoms], virial=True)[0]
    got = {column: values[0] for column, values in run.thermo().items()}
    assert got["PotEng"] == pytest.approx(want.energy_eV, rel=1e-10)
    members = [got[f"c_members[{k + 1}]"] for k in range(8)]
    np.testing.assert_allclose(members, want.member_energies_eV, rtol=1e-10)
    dump = read_dump(tmp_path / "x.dump", 5)
    scale = np.abs(want.forces_eV_A).max()
    np.testing.assert_allclose(dump[:, :3], want.forces_eV_A, atol=1e-10 * scale)
    virial = [got[c] * atoms.get_volume() / NKTV2P["metal"] for c in ("Pxx", "Pyy", "Pxy")]
    expected = want.virial_eV[[0, 1, 0], [0, 1, 1]]
    np.testing.assert_allclose(virial, expected, atol=1e-10 * np.abs(want.virial_eV).max())
