"""Lennard-Jones, cut at 2.5 σ and shifted, at P* = 2.185 melts at T* = 0.80: the whole workflow.

The files are those of examples/05-melting-lj, with fewer atoms and steps.
"""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from lammps_tools import environment as with_plugin
from pin_tools import EPSILON_EV, KELVIN, LJ, PRESSURE_GPA, pin, write_run

EXAMPLE = Path(__file__).parents[2] / "examples" / "05-melting-lj"
MELTING = 0.80  # of the literature, in ε/k
ENTROPY = 1.40  # of fusion, in k


def example(folder, plugin, **values):
    """Its files, other numbers in run.toml."""
    folder.mkdir(exist_ok=True)
    for name in ("run.toml", "in.lj", "plumed.dat"):
        shutil.copy(EXAMPLE / name, folder)
    toml = (folder / "run.toml").read_text()
    for key, value in values.items():
        toml, n = re.subn(rf"^{key} = [^#\n]*", f"{key} = {value} ", toml, flags=re.M)
        assert n == 1, key
    (folder / "run.toml").write_text(toml)
    return folder


@pytest.fixture(autouse=True)
def plugin(monkeypatch):
    """fix quorum/bias, built once."""
    monkeypatch.setenv("LAMMPS_PLUGIN_PATH", with_plugin()["LAMMPS_PLUGIN_PATH"])


def test_the_melting_point_in_small(tmp_path, plugin):
    """Below T_m the crystal is stable, above it the melt; T_m lies within its error."""
    folder = example(
        tmp_path / "lj", plugin, repeats="[4, 4, 9]", production_steps=10000, bulk_steps=2400,
        melt_steps=600, temperatures_K=[0.73 * KELVIN, 0.87 * KELVIN],
    )  # fmt: skip
    plumed = (folder / "plumed.dat").read_text()
    (folder / "plumed.dat").write_text(plumed.replace("1-768", "1-576"))
    pin(folder, "run", "run.toml", timeout_s=900)
    said = pin(folder, "analyse", "run.toml", "--json", "report.json")
    report = json.loads((folder / "report.json").read_text())
    assert "T_m =" in said and "refused" not in said, said
    below, above = report["branches"][0]["points"]
    for point, sign in ((below, -1), (above, 1)):
        expected = sign * 0.07 * ENTROPY
        found = point["delta_mu_eV"] / EPSILON_EV
        error = point["error_eV"] / EPSILON_EV
        assert sign * found > 3 * error, point  # the sign itself
        # finite size and curvature are below a tenth of the value
        assert abs(found - expected) < 3 * np.hypot(error, 0.1 * abs(expected)), point
    melting = report["melting"]
    reduced = melting["temperature_K"] / KELVIN
    error = melting["statistical_error_K"] / KELVIN
    assert error < 0.02 and abs(reduced - MELTING) < 3 * error + 0.005, (reduced, error)


@pytest.mark.slow
def test_a_melting_point_that_is_not_known(tmp_path, plugin):
    """ "find" from a guess 7 % too low: Newton's steps reach T_m and end there."""
    find = '"find"\nguess_K = 89.0\nspread = 0.02\ntolerance_K = 2.0'
    folder = example(
        tmp_path / "lj", plugin, repeats="[4, 4, 9]", production_steps=10000, bulk_steps=2400,
        melt_steps=600, temperatures_K=find,
    )  # fmt: skip
    plumed = (folder / "plumed.dat").read_text()
    (folder / "plumed.dat").write_text(plumed.replace("1-768", "1-576"))
    said = pin(folder, "run", "run.toml", ranks=2, timeout_s=1800)
    assert "next temperature" in said, said
    pin(folder, "analyse", "run.toml", "--json", "report.json")
    report = json.loads((folder / "report.json").read_text())
    kelvin = [point["temperature_K"] for point in report["branches"][0]["points"]]
    assert kelvin[:2] == [87.2, 90.8] and 3 <= len(kelvin) <= 6
    found, error = (report["melting"][k] for k in ("temperature_K", "statistical_error_K"))
    # the root is among the temperatures, one of them near it
    assert min(kelvin) < found < max(kelvin) + error
    assert min(abs(np.array(kelvin) - found)) < 2.0 + error
    assert error < 0.02 * KELVIN and abs(found - MELTING * KELVIN) < 3 * error + 0.005 * KELVIN


LONG = {
    "box": {"repeats": [6, 6, 16]},
    "run": {"production_steps": 60000, "equilibration_steps": 6000, "bulk_steps": 10000,
            "melt_steps": 2000, "interval_steps": 50, "attempts": 1},
}  # fmt: skip


@pytest.mark.slow
def test_the_melting_point_by_density(tmp_path):
    """2304 atoms pinned by fix rhok, an independent variable: Δμ at T* 0.80 and 0.83."""
    kappa = 12 * EPSILON_EV
    state = {"temperatures_K": [0.80 * KELVIN, 0.83 * KELVIN], "pressure_GPa": PRESSURE_GPA}
    folder = write_run(tmp_path / "lj", state=state, pin={"kappa_eV": kappa}, **LONG)
    pin(folder, "run", "run.toml", ranks=2, timeout_s=3600)
    said = pin(folder, "analyse", "run.toml", "--json", "report.json")
    report = json.loads((folder / "report.json").read_text())
    points = report["branches"][0]["points"]
    for point, kelvin in zip(points, (0.80, 0.83), strict=True):
        found = point["delta_mu_eV"] / EPSILON_EV
        error = point["error_eV"] / EPSILON_EV
        assert error < 0.02 and abs(found - ENTROPY * (kelvin - MELTING)) < 3 * error, said


@pytest.mark.slow
def test_a_box_that_freezes_is_refused(tmp_path):
    """T* = 0.77, κ = 4 ε: a second crystal out of registry keeps Q at its centre."""
    state = {"temperatures_K": [0.77 * KELVIN], "pressure_GPa": PRESSURE_GPA}
    pinned = {"kappa_eV": 4 * EPSILON_EV}
    folder = write_run(tmp_path / "lj", state=state, pin=pinned, **LONG)
    assert "froze" in pin(folder, "run", "run.toml", timeout_s=3600)
    said = pin(folder, "analyse", "run.toml", code=1)
    assert "refused" in said and "T_m =" not in said


def test_files_of_the_example():
    """What the test and the example are about is in them."""
    assert LJ.split()[3] in (EXAMPLE / "in.lj").read_text()
    assert f"pressure_GPa = {PRESSURE_GPA:.7f}" in (EXAMPLE / "run.toml").read_text()
