"""``quorum cv``: what it prints and writes."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase.io import read, write

from quorum_md.cli import main

REFERENCE = Path(__file__).parents[1] / "order_parameters" / "reference"
RECORDED = np.load(REFERENCE / "reference.npz")


@pytest.fixture(autouse=True)
def no_kernel(monkeypatch):
    monkeypatch.delenv("PLUMED_KERNEL", raising=False)


def cv(name, structure, *options):
    return main(["cv", str(REFERENCE / f"{name}.plumed.dat"), str(structure), *options])


def test_json_and_forces(tmp_path, capsys):
    out = tmp_path / "out.npz"
    options = ["--json", "--forces", str(out)]
    assert cv("envsim_zb_named", REFERENCE / "gaas.extxyz", *options) == 0
    (frame,) = json.loads(capsys.readouterr().out)
    case = "gaas/envsim_zb_named"
    assert set(frame) == {"values", "bias_eV"}
    assert list(frame["values"]) == ["cv.mean", "res.bias", "res.force2"]
    assert frame["values"]["cv.mean"] == pytest.approx(RECORDED[f"{case}/cv"][0], rel=1e-10)
    assert frame["bias_eV"] == pytest.approx(float(RECORDED[f"{case}/bias"]), rel=1e-10)
    with np.load(out) as arrays:
        assert set(arrays) == {"bias_forces", "bias_virial"}
        for key in arrays:
            np.testing.assert_allclose(arrays[key], RECORDED[f"{case}/{key}"], atol=1e-10)


def test_frames_in_natural_units(tmp_path, capsys):
    frames = [read(REFERENCE / f"{name}.extxyz") for name in ("lj_solid", "lj_liquid")]
    write(tmp_path / "both.extxyz", frames)
    out = tmp_path / "out.npz"
    assert cv("fccubic", tmp_path / "both.extxyz", "--json", "--forces", str(out)) == 0
    report = json.loads(capsys.readouterr().out)
    assert [set(frame) for frame in report] == [{"values", "bias"}] * 2
    with np.load(out) as arrays:
        assert arrays["bias_forces"].shape == (2, 108, 3)
        assert arrays["bias_virial"].shape == (2, 3, 3)
        np.testing.assert_allclose(
            arrays["bias_virial"][1], RECORDED["lj_liquid/fccubic/bias_virial"], atol=1e-6
        )
    assert cv("fccubic", tmp_path / "both.extxyz") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("# native backend") and lines[1] == "# frame 0"
    assert lines[2].split()[0] == "cv.mean" and lines[5].split()[0] == "bias"


def test_errors(tmp_path, capsys, monkeypatch):
    from quorum_md.order_parameters import kernel

    monkeypatch.setattr(kernel, "find_kernel", lambda: None)
    other = tmp_path / "plumed.dat"
    other.write_text("UNITS LENGTH=A\nd: DISTANCE ATOMS=1,2\n")
    structure = str(REFERENCE / "gaas.extxyz")
    for options in ([], ["--backend", "native"]):
        assert main(["cv", str(other), structure, *options]) == 2
        assert (
            f"{other}, line 2: action DISTANCE needs the PLUMED kernel; set PLUMED_KERNEL"
            in capsys.readouterr().err
        )
    assert cv("fccubic", structure, "--backend", "plumed") == 2
    assert "got no PLUMED kernel, expected one; set PLUMED_KERNEL" in capsys.readouterr().err
    out = tmp_path / "out.npz"
    assert cv("fccubic", structure, "--forces", str(out)) == 2
    assert "SPECIES: got atom 108, expected atoms from 1 to 64" in capsys.readouterr().err
    assert not out.exists()


def test_kernel_that_is_none(monkeypatch, capsys, tmp_path):
    pytest.importorskip("plumed")
    monkeypatch.setenv("PLUMED_KERNEL", str(tmp_path / "nothing.so"))
    assert cv("q6_gaas", REFERENCE / "gaas.extxyz", "--backend", "plumed") == 2
    assert "nothing.so cannot be loaded" in capsys.readouterr().err
