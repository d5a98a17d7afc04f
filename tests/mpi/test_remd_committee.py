"""quorum remd with pair_style quorum and fix quorum/swap: members recorded, swaps continued."""

import shutil

import ase.io
import h5py
import numpy as np
import pytest

from lammps_tools import environment, write_data
from quorum_md.averages.records import read_records
from quorum_md.models import load_potential
from remd_tools import remd, rows, write_run
from swap_chain import crystal
from toy_models import LocalAlloy, export

pytestmark = pytest.mark.filterwarnings("ignore:.*interaction range")
SPECIES = ["Ar", "Kr"]
STRUCTURE = """
units metal
atom_style atomic
read_data box.data
velocity all create ${temperature} ${seed}
"""
SCRIPT = """
pair_style quorum MODEL
pair_coeff * * Ar Kr
neighbor 1.0 bin
timestep 0.002
fix move all nvt temp ${temperature} ${temperature} 0.1
fix mc all quorum/swap 5 ${trials} ${chain_seed} NULL temperature move
thermo 100
"""


def alloy(folder, model, **exchange):
    """A toy alloy in which elements feel each other, with swaps of the plugin."""
    write_run(
        folder,
        STRUCTURE,
        SCRIPT.replace("MODEL", str(model)),
        states={"temperatures_K": [500, 560, 630]},
        lammps={"elements": SPECIES, "variables": {"trials": 20}},
        exchange={"steps": 10} | exchange,
        output={"trajectory": 2, "columns": ["f_mc[1]", "f_mc[2]", "f_mc[3]", "press"]},
    )
    write_data(folder / "box.data", crystal((3, 3, 2), SPECIES, lattice_A=2.9), SPECIES)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    toy = LocalAlloy(3.4, [0.05, -0.3, 0.1, 0.4, 0.0], 36, [0.6, 1.0, 1.4], "")
    return export(toy, tmp_path_factory.mktemp("model") / "alloy.pt", [18, 36], 3.4)


def test_members_and_swaps(model, tmp_path, monkeypatch):
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    whole = alloy(tmp_path / "whole", model)
    remd(whole)
    parts = tmp_path / "parts"
    shutil.copytree(whole, parts)
    shutil.rmtree(parts / "remd" / "checkpoints" / "000020")  # goes on from 10
    remd(parts, 2, "--resume")
    found = rows(whole)
    np.testing.assert_array_equal(found, rows(parts))

    # swaps: at the temperature of the state, counted on and on, whatever configuration is there
    assert (found["columns"][:, :, 2] == [500, 560, 630]).all()
    assert (found["columns"][:, :, 0] == 40 * found["attempt"][:, None]).all()
    assert (np.diff(found["columns"][:, :, 1], axis=0) >= 0).all()
    assert (found["columns"][-1, :, 1] > 0).all()

    # members are those of the model, for the configuration that the trajectory has
    np.testing.assert_allclose(found["members_eV"].mean(axis=2), found["energy_eV"], rtol=1e-10)
    frames = ase.io.read(whole / "remd" / "trajectories" / "state-001.extxyz", ":")
    assert [one.info["attempt"] for one in frames] == list(range(2, 21, 2))
    assert {one.info["replica"] for one in frames} == set(found["replicas"][1::2, 1])
    assert all(sorted(one.symbols) == sorted(frames[0].symbols) for one in frames)
    predicted = load_potential(model).evaluate(frames, forces=False)
    for one, prediction, row in zip(frames, predicted, found[1::2], strict=True):
        np.testing.assert_allclose(prediction.member_energies_eV, row["members_eV"][1], rtol=1e-5)
        assert one.info["step"] == row["step"]
    runs = read_records(whole / "remd" / "records.h5")
    assert [run.reference for run in runs] == ["mean"] * 3
    assert runs[1].table.column("f_mc[3]").values[0] == 560
    with h5py.File(whole / "remd" / "records.h5") as file:
        assert file["runs/0/member_energies"].shape == (20, 3)
