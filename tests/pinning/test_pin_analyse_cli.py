"""`quorum pin analyse`: what is printed, numbers, figures, exit codes."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from regular_melt_data import Melt, bulk_melt, pinned_melt
from two_phase_data import Model, bulk_job, changed, pinned_job, write

from quorum_md.averages.melting import MeltingPoint
from quorum_md.cli import main
from quorum_md.report.pinning_text import both_errors, rounded

MODEL = Model(members=(0.004, -0.003, 0.002, -0.003), noise=(0.08, 0.12))


def frozen(job):
    """Energy and volume of the solid, though Q says half."""
    solid = bulk_job(MODEL, "solid", job.temperature_K, 3, n=job.n_frames)
    shift = job.members_eV - job["potential_eV"][:, None]
    columns = {k: solid[k] for k in ("potential_eV", "volume_A3", "lz_A")}
    members = solid["potential_eV"][:, None] + shift
    return replace(job, columns=job.columns | columns, members_eV=members)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three temperatures of two seeds; one seed froze."""
    root = tmp_path_factory.mktemp("runs")
    for T in (980.0, 1000.0, 1020.0):
        for kind in ("solid", "liquid"):
            write(bulk_job(MODEL, kind, T, 0), root / "pin")
        for number in (0, 1):
            job = pinned_job(MODEL, T, 0, number=number)
            write(frozen(job) if (T, number) == (980.0, 1) else job, root / "pin")
    job = pinned_job(MODEL, 1000.0, 4, kappa=2 * MODEL.kappa(1000.0), control="kappa2x")
    write(job, root / "pin")
    (root / "run.toml").write_text('[potential]\nelements = ["Ar"]\n')
    return root


def test_table_and_melting_point(folder, capsys):
    """With both errors, the members by both routes, and what was refused."""
    assert main(["pin", "analyse", str(folder / "run.toml"), "--discard", "0"]) == 0
    out = capsys.readouterr().out
    for words in ("T_m = ", "(sampling) ± ", "(model) K", "Δh = 0.", "Δs = 1.1", "dT/dP = ",
                  "from bulk differences; by covariance in the pinned runs", "1 of 2", "2 of 2",
                  "agrees with the enthalpies", "κ   1000.0", "standard errors"):  # fmt: skip
        assert words in out, words
    assert "pinned-0980.0K-1: refused: the box froze at" in out and "all solid" in out
    assert max(map(len, out.splitlines())) <= 140


def test_numbers_and_figures(folder, tmp_path, capsys):
    """JSON is complete, and strict; figures of all kinds."""
    arguments = ["pin", "analyse", str(folder / "pin"), "--discard", "0.1"]
    target = tmp_path / "all.json"
    assert main([*arguments, "--json", str(target), "--plot", str(tmp_path / "a.png")]) == 0
    assert "T_m" in capsys.readouterr().out and (tmp_path / "a.png").stat().st_size > 10_000
    found = json.loads(target.read_text(), parse_constant=pytest.fail)
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found
    assert found["melting"] == found["branches"][0]["melting"]
    assert len(found["melting"]["members_K"]) == 4 and found["melting"]["model_error_K"] > 10
    assert found["branches"][0]["members_by_covariance"]["model_error_K"] > 10
    cold = found["branches"][0]["points"][0]
    assert cold["temperature_K"] == 980.0 and cold["delta_mu_eV"] < 0
    good, bad = cold["runs"]
    assert good["refused"] == [] and good["n_discarded"] == 400
    assert good["q_variance_over_kT_kappa"] == pytest.approx(1, abs=0.4)
    assert bad["refused"][0]["kind"] == "registry" and bad["delta_mu_eV"] is None
    assert bad["refused"][0]["numbers"]["solid_fraction_energy"] > 0.9
    assert len(cold["members"]["members_eV"]) == len(cold["members_z"]) == 4
    assert cold["fusion"]["enthalpy_eV"]["value"] == pytest.approx(0.1, rel=0.02)
    assert found["controls"][0]["varies"] == "κ"


def test_no_melting_point_is_an_exit_code(tmp_path, capsys):
    """All refused: the reasons, no T_m, and a code for scripts."""
    for kind in ("solid", "liquid"):
        write(bulk_job(MODEL, kind, 1000.0, 0), tmp_path)
    write(frozen(pinned_job(MODEL, 1000.0, 0)), tmp_path)
    figure = tmp_path / "a.svg"
    assert main(["pin", "analyse", str(tmp_path), "--discard", "0", "--plot", str(figure)]) == 1
    out = capsys.readouterr().out
    assert "T_m" not in out and "no melting point: every pinned run is refused" in out
    assert "froze" in out and "refused" in figure.read_text()
    assert main(["pin", "analyse", str(tmp_path), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (
        found["melting"] is None and "every pinned run" in found["branches"][0]["no_melting_point"]
    )


def test_without_a_committee(tmp_path, capsys):
    for kind in ("solid", "liquid"):
        write(bulk_job(Model(), kind, 1000.0, 0), tmp_path)
    job = pinned_job(Model(), 1000.0, 0)
    write(job, tmp_path)
    assert main(["pin", "analyse", str(tmp_path)]) == 0
    assert "(sampling) K, no committee: no model error" in capsys.readouterr().out
    assert main(["pin", "analyse", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["melting"]["model_error_K"] is None
    # a limit of one's own
    write(changed(replace(job, folder="pinned-1000.0K-1"), pxx_GPa=lambda p: p + 0.1), tmp_path)
    assert main(["pin", "analyse", str(tmp_path), "--stress", "0.05"]) == 0
    assert "pinned-1000.0K-1: refused: pxx is 1.1" in capsys.readouterr().out


def test_liquidus(tmp_path, capsys):
    melt = Melt(members=((0.01, 0.5, -0.3, 0.0), (-0.01, -0.5, 0.3, 0.0)))
    for T in (1450.0, 1500.0):
        write(bulk_melt(melt, None, T, 0), tmp_path)
        for x in (0.3, 0.5, 0.7):
            write(bulk_melt(melt, x, T, 0), tmp_path)
            write(pinned_melt(melt, x, T, 0), tmp_path)
    figure = tmp_path / "liquidus.svg"
    arguments = ["pin", "analyse", str(tmp_path), "--discard", "0", "--plot", str(figure)]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert out.count("T_liquidus = ") == 3 and "# liquidus of A" in out
    assert "regular solution: Ω = -0." in out and "# melt: 0.3" in out
    assert "liquidus" in figure.read_text() and "fraction of A in the melt" in figure.read_text()
    assert main([*arguments[:-2], "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["liquidus"]
    assert len(found["members_K"]) == 2 and found["omega_eV"] < 0


def test_liquidus_without_a_committee(tmp_path, capsys):
    """What is not known is no zero."""
    for T in (1450.0, 1500.0):
        write(bulk_melt(Melt(), None, T, 0), tmp_path)
        for x in (0.3, 0.5, 0.7):
            write(bulk_melt(Melt(), x, T, 0), tmp_path)
            write(pinned_melt(Melt(), x, T, 0), tmp_path)
    figure = tmp_path / "liquidus.svg"
    arguments = ["pin", "analyse", str(tmp_path), "--discard", "0"]
    assert main([*arguments, "--plot", str(figure)]) == 0
    table = capsys.readouterr().out.split("± model\n")[1].splitlines()
    assert len(table[0].split()) == 4 and table[0].split()[-1] == "-"
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["liquidus"]
    assert set(found["model_errors_K"]) == {None} and found["members_K"] == []


def test_a_model_error_below_the_noise():
    """Members whose spread sampling alone would make: a bound, not a zero."""
    one = MeltingPoint(
        1000.0, np.array([990.0, 1010.0]), 5.0, 0.0, 14.1421, 1e-4, 1e-6, "ok", []
    )  # fmt: skip
    assert both_errors(one, 2) == "1000.0 ± 5.0 (sampling), < 14 (model) K"
    assert both_errors(replace(one, model_error_K=12.0), 2).endswith("± 12.0 (model) K")


def test_controls_alone(tmp_path, capsys):
    """No pinned run is left to compare with; a figure has nothing to show."""
    for kind in ("solid", "liquid"):
        write(bulk_job(MODEL, kind, 1000.0, 0), tmp_path)
    write(pinned_job(MODEL, 1000.0, 0, control="kappa2x"), tmp_path)
    figure = tmp_path / "a.svg"
    assert main(["pin", "analyse", str(tmp_path), "--plot", str(figure)]) == 1
    assert "# controls" in capsys.readouterr().out
    assert "no pinned runs but controls" in figure.read_text()


def test_what_cannot_be_analysed_is_a_sentence(tmp_path, capsys):
    for arguments, words in (
        (["pin", "analyse", str(tmp_path / "no.toml")], "cannot be read"),
        (["pin", "analyse", str(tmp_path)], "holds no job of interface pinning"),
        (["pin", "analyse", str(tmp_path), "--stress", "nan"], "expected a positive finite"),
        (["pin", "analyse", str(tmp_path), "--stress", "inf"], "expected a positive finite"),
        (["pin", "analyse", str(tmp_path), "--plot", "a.doc"], "expected a file name that ends in"),
    ):
        assert main(arguments) == 2
        assert words in capsys.readouterr().err


def test_help_needs_no_torch():
    """Nor LAMMPS."""
    code = (
        "import sys\nfrom quorum_md.cli import main\n"
        "for words in (['--help'], ['pin', '--help'], ['pin', 'analyse', '--help']):\n"
        "    try:\n        main(words)\n    except SystemExit:\n        pass\n"
        "assert not {'torch', 'lammps', 'scipy'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "quorum pin STEP" in done.stdout and "quorum pin analyse run.toml" in done.stdout


def test_rounded():
    assert rounded(1941.234, 12.34, 38.1) == ["1941", "12", "38"]
    assert rounded(0.04151, 0.0040) == ["0.0415", "0.0040"]
    assert rounded(1.0, 0.0) == ["1", "0"]


def test_sentences_of_one_kind_are_one():
    """Eight melts with the same doubt are one line, that of the largest number."""
    from quorum_md.report.pinning_text import _collapsed

    many = ["the term is 44 % (limit 30 %)", "other", "the term is 68 % (limit 30 %)"]
    assert _collapsed(many) == ["the term is 68 % (limit 30 %) (2 of this kind)", "other"]
