"""examples/06-gaas: inputs that can start, data that the committee knows."""

import importlib.util
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from lammps_tools import environment as with_plugin
from pin_tools import pin
from quorum_md.models import load_potential

EXAMPLE = Path(__file__).parents[2] / "examples" / "06-gaas"
INPUTS = sorted(path.name for path in EXAMPLE.glob("*.toml"))


@pytest.fixture
def plugin(monkeypatch):
    """pair_style quorum and fix quorum/bias, built once."""
    monkeypatch.setenv("LAMMPS_PLUGIN_PATH", with_plugin()["LAMMPS_PLUGIN_PATH"])


@pytest.mark.parametrize("name", INPUTS)
def test_inputs(name, tmp_path):
    """Each passes all checks that come before a run, boxes and order parameters too."""
    folder = tmp_path / "gaas"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("run"))
    said = pin(folder, "prepare", name, "--check")
    assert "in the crystal" in said and " pinned" in said
    assert not (folder / "run").exists()


@pytest.fixture(scope="module")
def generate():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("generate_gaas", EXAMPLE / "generate.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize("kind", ["solid", "defect", "liquid_ga", "liquid_as", "interface"])
def test_data(kind, generate, plugin):
    """A frame of the committee's own dynamics, with the bond-order potential's numbers: these are
    what the committee was fitted to, and it says how wrong it is."""
    (atoms,) = generate.perform(generate.Task(kind, 1, 77, EXAMPLE / "gaas.pt"))
    assert atoms.info["config_type"] == kind and len(atoms) >= 60
    potential = load_potential(str(EXAMPLE / "gaas.pt"))
    ours = potential.evaluate([atoms], forces=True, virial=True)[0]
    n = len(atoms)
    energy = atoms.get_potential_energy() / n
    error = np.std(ours.member_energies_eV, ddof=1) / n
    assert -3.4 < energy < -2.0
    assert abs(ours.energy_eV / n - energy) < 4 * error + 0.005
    forces = atoms.get_forces()
    assert np.abs(forces.sum(axis=0)).max() < 1e-6 * n
    assert np.sqrt(np.mean((ours.forces_eV_A - forces) ** 2)) < 0.5
    # ASE's stress is minus the pressure
    pressure = np.trace(ours.virial_eV) / 3 / atoms.get_volume()
    assert pressure == pytest.approx(-atoms.get_stress()[:3].mean(), abs=0.01)


def test_plans(generate):
    """Every plan says how often each kind is run."""
    for plan in generate.PLANS.values():
        assert plan.keys() == generate.KINDS.keys() == generate.FRAMES.keys()
