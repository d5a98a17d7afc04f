"""quorum fit from the command line: a file that runs, a table, and input that cannot be used."""

import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from quorum_md.cli import main

QUICK = ["--members", "4", "--epochs", "2", "--radial", "4", "--channels", "6", "--hidden", "8"]
QUICK += ["--threads", "1", "--cutoff", "4"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    frames = []
    for k in range(48):
        atoms = bulk("Cu", "fcc", a=rng.uniform(3.5, 3.8), cubic=True)
        atoms.rattle(0.05 + 0.1 * (k % 2), rng=rng)
        atoms.calc = EMT()
        results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        atoms.calc = SinglePointCalculator(atoms, **results)
        atoms.info["config_type"] = f"group{k % 2}"
        frames.append(atoms)
    path = tmp_path_factory.mktemp("fit") / "data.extxyz"
    ase.io.write(path, frames)
    return path


def test_fit_writes_a_committee_and_prints_a_table(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model.pt"
    assert main(["fit", str(data), "-o", str(out), *QUICK]) == 0
    printed = capsys.readouterr()
    assert "rms z" in printed.out and "group0" in printed.out and "4 members" in printed.out
    # no progress bar off a terminal; a word on how little the calibration rests on
    assert all(line.startswith("warning: fit: α rests on") for line in printed.err.splitlines())
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]

    from quorum_md.models.potential import load_potential

    potential = load_potential(out)
    assert potential.n_members == 4 and potential.species == ("Cu",)
    prediction = potential.evaluate(ase.io.read(data, 0))[0]
    assert prediction.energy_eV == pytest.approx(prediction.member_energies_eV.mean())


def test_help_does_not_import_torch() -> None:
    code = (
        "import sys\n"
        "from quorum_md.cli import main\n"
        "try:\n    main(['fit', '--help'])\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules and 'ase' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "--held-out-fraction" in result.stdout


def spoiled(data: Path, folder: Path, spoil: str) -> Path:
    frames = ase.io.read(data, ":")
    atoms = frames[3]
    results = dict(atoms.calc.results)
    if spoil == "no forces":
        del results["forces"]
    elif spoil == "not finite":
        results["forces"] = np.full((4, 3), np.nan)
    elif spoil == "one structure":
        frames = frames[:1]
    elif spoil == "too few":
        frames = frames[:6]
    atoms.calc = SinglePointCalculator(atoms, **results)
    path = folder / "spoiled.extxyz"
    ase.io.write(path, frames)
    return path


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("no forces", "structure 3 (Cu4) has no forces"),
        ("not finite", "structure 3 (Cu4): its forces is not finite"),
        ("one structure", "got 1 structure"),
        ("too few", "6 structures are too few for 4 members"),
    ],
)
def test_bad_data_is_one_sentence_and_writes_nothing(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: str, message: str
) -> None:
    bad = spoiled(data, tmp_path, spoil)
    before = sorted(tmp_path.iterdir())
    assert main(["fit", str(bad), "-o", str(tmp_path / "model.pt"), *QUICK]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and message in error
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.extxyz", "-o", "m.pt"], "missing.extxyz: no such file"),
        (["DATA", "-o", "nowhere/m.pt"], "the folder nowhere does not exist"),
        (["DATA", "-o", "."], "cannot be written"),
        (["DATA", "-o", "DATA"], "is also an input"),
        (["DATA", "-o", "m.pt", "--members", "2"], "members: got 2; expected 4 or more"),
        (["DATA", "-o", "m.pt", "--cutoff", "-3"], "cutoff: got -3"),
        (["DATA", "-o", "m.pt", "--epochs", "0"], "epochs: got 0"),
        (["DATA", "-o", "m.pt", "--threads", "0"], "--threads: got 0"),
        (["DATA", "-o", "m.pt", "--held-out", "missing.xyz"], "missing.xyz: no such file"),
    ],
)
def test_bad_arguments_are_one_sentence_and_write_nothing(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *(str(data) if a == "DATA" else a for a in arguments)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and message in error
    assert not list(tmp_path.iterdir())


def test_output_is_checked_before_the_data_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "missing.extxyz", "-o", str(tmp_path / "no" / "m.pt")]) == 2
    assert "does not exist" in capsys.readouterr().err
