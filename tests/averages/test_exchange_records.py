"""Records of replica exchange: the journal comes back, and the states pool to known averages."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest

from exact_series import ar1, assert_unit_normal
from exchange_rows import FREEDOM, KELVIN, harmonic_rows, write_journal
from quorum_md.averages.exchange_records import NAME, keep_records, read_exchange, state_run
from quorum_md.averages.pool import pooled
from quorum_md.averages.records import read_records
from quorum_md.cli import main
from quorum_md.errors import QuorumError
from quorum_md.units import BOLTZMANN_EV_K


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("remd")
    header, rows, _ = harmonic_rows()
    write_journal(folder, header, rows)
    keep_records(folder, now=True)
    return folder


def test_round_trip(folder):
    header, rows = read_exchange(folder)
    again, same = read_exchange(folder / NAME)
    assert again == header
    np.testing.assert_array_equal(rows, same)
    with h5py.File(folder / NAME) as file:
        assert file["runs/2"].attrs["temperature_K"] == KELVIN[2]
        assert file["runs/2/columns/volume"].attrs["unit"] == "angstrom3"
        assert file["exchange/after"].shape == (2000, 4)


def test_averages_at_any_temperature(folder):
    """MBAR over the states: ⟨U⟩ = f/2 kT of the springs, and of every member with its own."""
    runs = read_records(folder / NAME)
    assert [run.temperature_K for run in runs] == list(KELVIN)
    assert all(run.reference == "mean" and run.constant_volume for run in runs)
    for kelvin in (310.0, 350.0):
        result = pooled(runs, kelvin).reweight("potential")
        exact = FREEDOM / 2 * BOLTZMANN_EV_K * kelvin
        assert abs(result.mean - exact) < 4 * result.statistical_error
        assert result.statistical_error < 0.01 * exact
        # a spring has f/2 kT whatever its stiffness
        assert abs(result.model_error) < 0.01 * exact


def test_on_the_command_line(folder, capsys):
    assert main(["reweight", str(folder / NAME), "--at-temperature", "350"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line]
    assert "potential/eV" in names and "volume/Å³" not in names and "temperature/K" not in names


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Of a potential without members, as EAM or MEAM are."""
    folder = tmp_path_factory.mktemp("alone")
    header, rows, _ = harmonic_rows(n=2000, n_members=0)
    write_journal(folder, header, rows)
    keep_records(folder, now=True)
    return folder, rows


def test_without_a_committee(alone):
    """One potential: the record has it as the only member."""
    folder, rows = alone
    run = read_records(folder / NAME)[1]
    np.testing.assert_array_equal(run.energies_eV[:, 0], rows["energy_eV"][:, 1])
    np.testing.assert_array_equal(read_exchange(folder / NAME)[1], rows)


def test_sampling_errors_without_a_committee():
    """⟨U⟩ = f/2 kT and C_V = f/2 by MBAR over the states, at a temperature of none of them, from
    correlated frames: claimed errors are right, and the model error is not known."""
    header = replace(harmonic_rows(n=2, n_members=0)[0], columns=("f_x",))
    z, n, kelvin = [], 400, 345.0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        rows = np.zeros(n, dtype=header.dtype())
        modes = ar1(rng, 3, (n, 4, FREEDOM))
        kT = BOLTZMANN_EV_K * np.array(KELVIN)
        rows["energy_eV"] = kT / 2 * (modes**2).sum(axis=2)
        rows["columns"][:, :, 0] = kT * modes[:, :, 0] ** 2  # of one spring: k x²
        rows["volume_A3"], rows["step"] = 1000.0, 10 * np.arange(n)
        frames = pooled([state_run("records.h5", header, rows, s) for s in range(4)], kelvin)
        kT = BOLTZMANN_EV_K * kelvin
        exact = {"potential": FREEDOM / 2 * kT, "heat_capacity": FREEDOM / 2, "f_x": kT}
        found = {name: frames.reweight(name) for name in exact}
        assert all(np.isnan(one.model_error) for one in found.values())
        z.append([(found[k].mean - exact[k]) / found[k].statistical_error for k in exact])
    assert_unit_normal(z)


def test_tables_without_a_committee(alone, capsys, tmp_path):
    folder, _ = alone
    paths = [tmp_path / name for name in ("out.json", "out.dat", "out.png")]
    options = [
        f"--{one}={path}" for one, path in zip(("json", "table", "plot"), paths, strict=True)
    ]
    what = ["--observable", "potential", "--observable", "heat_capacity", "--explain"]
    assert main(["reweight", str(folder / NAME), "--at-temperature", "350", *what, *options]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].startswith("no committee, hence no model error") and captured.err == ""
    for line in lines[2:4]:
        words = line.split()
        assert words[3] == "–" and words[-1] == "ok" and float(words[2]) > 0
    assert "2nd/1st order" not in captured.out and "members:" not in captured.out
    assert "Model error: not known." in captured.out and "nan" not in captured.out
    report = json.loads(paths[0].read_text())
    assert report["inputs"]["n_members"] == 1
    for one in report["observables"]:
        assert one["model_error"] is None and one["members"] is None and one["sampling_error"] > 0
    table = np.loadtxt(paths[1])
    assert np.isnan(table[:, 5]).all() and (table[:, 4] > 0).all()
    assert paths[2].stat().st_size > 10_000


def test_constant_pressure(tmp_path):
    header, rows, _ = harmonic_rows(n=100)
    rows["volume_A3"] += np.random.default_rng(1).normal(size=(100, 4))
    write_journal(tmp_path, replace(header, pressures_GPa=(0.1,) * 4), rows)
    keep_records(tmp_path, now=True)
    run = read_records(tmp_path / NAME)[3]
    assert run.pressure_bar == pytest.approx(1000.0) and run.constant_volume is False
    assert "volume" in run.names() and "press" not in run.names()


def test_written_anew_when_it_has_grown(tmp_path):
    header, rows, _ = harmonic_rows(n=200)
    write_journal(tmp_path, header, rows[:100])
    keep_records(tmp_path, now=False)
    for n, expected in ((120, 100), (130, 130)):
        write_journal(tmp_path, header, rows[:n])
        keep_records(tmp_path, now=False)
        assert len(read_exchange(tmp_path / NAME)[1]) == expected


def test_potentials_that_differ_are_not_pooled(tmp_path):
    header, rows, _ = harmonic_rows(n=100)
    header = replace(header, parameters={"k": (1.0, 2.0, 3.0, 4.0)})
    more = np.zeros(100, dtype=header.dtype())
    for name in rows.dtype.names:
        if name != "crossed_eV":
            more[name] = rows[name]
    more["crossed_eV"] = np.nan
    write_journal(tmp_path, header, more)
    keep_records(tmp_path, now=True)
    again, same = read_exchange(tmp_path / NAME)
    assert again == header
    for name in more.dtype.names:  # NaN is equal to itself here
        np.testing.assert_array_equal(same[name], more[name])
    runs = read_records(tmp_path / NAME)
    assert runs[1].reference_name == "potential with k = 2"
    with pytest.raises(QuorumError, match="expected runs driven by one potential"):
        pooled(runs, 300.0)


def test_refused(folder, tmp_path):
    with pytest.raises(QuorumError, match="journal.json: cannot be read"):
        read_exchange(tmp_path)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["format"] = "something else"
    with pytest.raises(QuorumError, match="is no record of replica exchange"):
        read_exchange(tmp_path / "other.h5")
    whole = (folder / NAME).read_bytes()
    (tmp_path / "half.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(QuorumError, match="cannot be read as a record"):
        read_exchange(tmp_path / "half.h5")
