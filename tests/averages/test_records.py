"""Records give back what was written: frames, units, and the potential that drove the run."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_pool import folder_of, read

from quorum_md.averages.pool import pooled, without_bias
from quorum_md.averages.readers import Request, read_runs
from quorum_md.averages.records import is_record, read_records, write_records
from quorum_md.cli import main
from quorum_md.errors import QuorumError

h5py = pytest.importorskip("h5py")


@pytest.fixture
def runs(tmp_path):
    for T in (280, 340):
        folder_of(tmp_path / f"{T}", T, seed=T, n=400)
    return [read(tmp_path / "280"), read(tmp_path / "340")]


def test_round_trip(runs, tmp_path):
    path = tmp_path / "record.h5"
    write_records(path, runs)
    assert is_record(path) and not is_record(tmp_path / "280" / "input.xml")
    again = read_records(path)
    for run, one in zip(runs, again, strict=True):
        assert one.reference == "mean" and one.temperature_K == run.temperature_K
        assert one.timestep_fs == run.timestep_fs and one.constant_volume == run.constant_volume
        assert one.names() == run.names()
        np.testing.assert_array_equal(one.energies_eV, run.energies_eV)
        np.testing.assert_array_equal(one.steps, run.steps)
        for name in ("potential", "x", "heat_capacity"):
            assert one.reweight(name).model_error == run.reweight(name).model_error
    first, second = pooled(runs, 310.0), pooled(again, 310.0)
    assert first.reweight("potential").mean == second.reweight("potential").mean
    shorter = read_records(path, discard=100)
    assert [len(one.steps) for one in shorter] == [300, 300]


def test_other_references_are_kept(runs, tmp_path):
    path = tmp_path / "record.h5"
    driving = runs[0].energies_eV.mean(axis=1) + 0.01 * np.sin(np.arange(400))
    baseline = replace(runs[0], reference=driving, reference_name="weighted baseline")
    member = replace(runs[1], reference=1, reference_name="1")
    write_records(path, [baseline, member])
    for run, one in zip((baseline, member), read_records(path), strict=True):
        assert one.reference_name == run.reference_name
        np.testing.assert_allclose(one.reweight("x").members, run.reweight("x").members, rtol=1e-12)


def test_on_the_command_line(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["--input", "280/input.xml", "--also", "340/input.xml"]
    assert main(["reweight", *arguments, "--record", "both.h5", "--at-temperature", "300"]) == 0
    direct = capsys.readouterr().out
    assert main(["reweight", "both.h5", "--at-temperature", "300"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == direct.splitlines()[1]
    for wrong, message in [
        (["both.h5", "--temperature", "300"], "leave out --temperature"),
        (["both.h5", "280/simulation.out"], "give it alone"),
    ]:
        assert main(["reweight", *wrong]) == 2
        assert message in capsys.readouterr().err


def test_bad_records_are_a_sentence(runs, tmp_path, monkeypatch):
    path = tmp_path / "record.h5"
    with pytest.raises(QuorumError, match="frames are weighted"):
        write_records(path, [without_bias(runs[0], np.zeros(400), "b")])
    with pytest.raises(QuorumError, match="cannot be written"):
        write_records(tmp_path / "no" / "folder.h5", runs)
    assert not path.exists() and not list(tmp_path.glob(".*part"))
    write_records(path, runs)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(QuorumError, match="cannot be read as a record"):
        read_runs(Request(files=(path,)))
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "something else"
    with pytest.raises(QuorumError, match="no record of quorum-md"):
        read_records(path)
    path.write_bytes(whole)
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = 99
    with pytest.raises(QuorumError, match="version 99"):
        read_records(path)
    path.write_bytes(whole)
    with h5py.File(path, "r+") as file:
        file["runs/1/member_energies"][3, 0] = np.nan
    with pytest.raises(QuorumError, match="runs/1/member_energies"):
        read_records(path)
    # a write that fails leaves the old record
    path.write_bytes(whole)
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space")))
    with pytest.raises(QuorumError, match="cannot be written"):
        write_records(path, runs)
    assert path.read_bytes() == whole


def test_importing_averages_needs_no_hdf5():
    assert "quorum_md.averages.records" in sys.modules  # imported above, and yet lazily
    import quorum_md.averages.records as module

    assert "h5py" not in vars(module)
