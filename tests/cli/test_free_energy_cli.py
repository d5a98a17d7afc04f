"""``quorum free-energy`` on runs of which every member's free energy is known."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from quorum_md.cli import main

sys.path.insert(0, str(Path(__file__).parents[1] / "averages"))
from ipi_like import INPUT, harmonic_run, write_run

ATOMS = 20


def quorum(*arguments):
    return main(["free-energy", *map(str, arguments)])


def write_phase(folder, seed, temperature_K=300.0):
    """V_i − V = offset_i + a_i q with q of unit variance: F_i − F = offset_i − a_i²/2kT."""
    folder.mkdir()
    run = harmonic_run(3000, seed=seed, temperature_K=temperature_K, spread_eV=0.004)
    write_run(folder, run, stride=1, committee_stride=1)
    (folder / "input.xml").write_text(INPUT.replace(">300<", f">{temperature_K:g}<"))
    return run["offsets"] - run["slopes"] ** 2 / (2 * run["kT"])


@pytest.fixture
def phases(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_phase(tmp_path / "solid", 1), write_phase(tmp_path / "liquid", 2)


def numbers(*arguments):
    assert quorum(*arguments, "--json", "out.json") == 0
    return json.loads(Path("out.json").read_text())


@pytest.mark.parametrize("method", [[], ["--direct"]])
def test_one_run_and_two(phases, capsys, method):
    solid, liquid = phases
    one = numbers("solid/input.xml", *method)
    z = (np.array(one["members_eV"]) - solid) / one["statistical_errors_eV"]
    assert np.abs(z).max() < 3.5 and one["verdict"] == "ok" and one["mean_eV"] == 0
    two = numbers("solid/input.xml", "--minus", "liquid/input.xml", "--atoms", ATOMS, 10, *method)
    exact = solid / ATOMS - liquid / 10
    z = (np.array(two["members_eV"]) - exact) / two["statistical_errors_eV"]
    assert np.abs(z).max() < 3.5
    assert two["model_error_eV"] == pytest.approx(exact.std(ddof=1), rel=0.02)
    text = capsys.readouterr().out
    assert "F(member) − F(driving), eV" in text and "difference between the runs, eV per" in text


def test_melting_point_of_every_member(phases, capsys):
    solid, liquid = phases
    files = ["solid/input.xml", "--minus", "liquid/input.xml", "--atoms", ATOMS]
    found = numbers(*files, "--melting-point", 300, 4, "--enthalpy", 0.1, 0.01)
    exact = 300 * (1 - (solid - liquid) / ATOMS / 0.1)
    assert np.abs(np.array(found["members_K"]) - exact).max() < 0.5
    assert found["temperature_K"] == 300 and found["statistical_error_K"] == 4
    assert found["model_error_K"] == pytest.approx(exact.std(ddof=1), rel=0.03)
    assert "melting point 300.0 ± 4.0 (sampling) ± " in capsys.readouterr().out


def test_scan_of_temperatures(phases, tmp_path, capsys):
    """Δμ = s (T − T_m) + δμ_i, the same δμ_i at all temperatures."""
    rows, slope, shifts = ["# T Δμ error solid liquid\n"], 4e-4, []
    for k, T in enumerate((250.0, 300.0, 350.0)):
        names = [f"{T:g}-{phase}" for phase in ("solid", "liquid")]
        solid, liquid = (write_phase(tmp_path / name, k, T) for name in names)
        assert np.abs(solid - liquid).max() < 1e-12  # the same seed
        shifts.append(solid / ATOMS - liquid / (2 * ATOMS))
        paths = " ".join(f"{name}/input.xml" for name in names)
        rows.append(f"{T} {slope * (T - 310):.9f} 1e-5 {paths}\n")
    Path("points.txt").write_text("".join(rows))
    found = numbers("--scan", tmp_path / "points.txt", "--atoms", ATOMS, 2 * ATOMS)
    T = np.array([250.0, 300.0, 350.0])
    fits = [np.polyfit(T, slope * (T - 310) + d, 1) for d in np.array(shifts).T]
    np.testing.assert_allclose(found["members_K"], [-b / a for a, b in fits], atol=0.5)
    assert found["temperature_K"] == pytest.approx(310, abs=1e-6)
    assert found["slope_eV_K"] == pytest.approx(slope)


def test_bad_input_is_a_sentence(phases, capsys):
    Path("points.txt").write_text("300 0.1 x a b\n")
    Path("empty.txt").write_text("# nothing\n")
    two = ["solid/input.xml", "--minus", "liquid/input.xml"]
    for wrong, message in [
        ([], "RUN: got none"),
        (["solid/input.xml", "--atoms", 3, 4], "--atoms: got 2 numbers"),
        (["solid/input.xml", "--atoms", 0], "expected a positive number of atoms"),
        ([*two, "--melting-point", 300], "expected --melting-point and --enthalpy"),
        ([*two, "--melting-point", 300, "--enthalpy", 0.1], "and --atoms"),
        (["--scan", "points.txt"], "expected --atoms with it"),
        (["--scan", "points.txt", "--atoms", 3], "points.txt, line 1: got 300 0.1 x a b"),
        (["--scan", "empty.txt", "--atoms", 3], "holds no rows"),
        (["none.xml"], "cannot be read"),
    ]:
        assert quorum(*wrong) == 2
        error = capsys.readouterr().err
        assert message in error and len(error.splitlines()) == 1, error
