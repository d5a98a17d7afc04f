"""``quorum reweight``: the table, the JSON file, and one sentence for everything else."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from quorum_md.atomic import write_atomically
from quorum_md.cli import main
from quorum_md.errors import QuorumError

sys.path.insert(0, str(Path(__file__).parents[1] / "averages"))
from ipi_like import extras_rows, harmonic_run, write_run

RUN = harmonic_run(4000)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path, RUN)
    return "simulation.out", "--committee", "simulation.committee_pot_0"


def quorum(*arguments):
    return main(["reweight", *map(str, arguments)])


def test_table(files, capsys):
    assert quorum(*files, "--input", "input.xml") == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert captured.err == ""
    assert lines[0].split() == [
        *["observable", "mean", "±", "sampling", "±", "model"],
        *["eff.", "samples", "verdict"],
    ]
    assert lines[1].startswith("potential/eV") and lines[1].endswith("ok")
    assert lines[2].startswith("volume/Å³")
    assert [line.split("/")[0] for line in lines[3:6]] == ["cell_h[0]", "cell_h[1]", "cell_h[2]"]
    text = captured.out
    assert "400 frames, steps 0 to 3990 every 10, 0 discarded; T = 300 K" in text
    assert "6 members: the model error is itself known to 32 %" in text
    assert "left out: conserved, temperature" in text


def test_json_numbers(files, capsys):
    options = ["--temperature", 300, "--observable", "volume", "--observable", "potential"]
    assert quorum(*files, *options, "--json", "out.json") == 0
    table = capsys.readouterr().out
    report = json.loads(Path("out.json").read_text())
    volume, potential = report["observables"]
    assert report["inputs"]["n_frames"] == 400 and report["inputs"]["reference_checked"]
    assert (volume["unit"], potential["unit"]) == ("angstrom3", "electronvolt")
    # ⟨volume⟩_i = 800 − 5 a_i/kT
    exact = 800 - 5 * RUN["slopes"] / RUN["kT"]
    z = (np.array(volume["members"]) - exact) / volume["members_sampling_error"]
    assert np.abs(z).max() < 4
    assert volume["model_error"] == pytest.approx(exact.std(ddof=1), rel=0.25)
    assert potential["paired"] and not volume["paired"]
    assert potential["mean"] == pytest.approx(30 * RUN["kT"] - 250, abs=0.05)
    assert f"{volume['mean']:.2f}" in table
    assert quorum(*files, *options, "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["observables"] == report["observables"]


def test_units_reference_and_method(files, capsys):
    def one(*options):
        options = (*options, "--temperature", 300, "--observable", "potential", "--json", "-")
        assert quorum(*files, *options) == 0
        return json.loads(capsys.readouterr().out)["observables"][0]

    eV, kj = one(), one("--units", "kj/mol")
    assert kj["unit"] == "kj/mol"
    assert kj["model_error"] == pytest.approx(eV["model_error"] * 96.48533212, rel=1e-8)
    column = one("--reference", "potential")
    assert column["mean"] == pytest.approx(eV["mean"], rel=1e-6)
    direct = one("--direct")
    assert direct["model_error"] != eV["model_error"]
    assert direct["model_error"] == pytest.approx(RUN["offsets"].std(ddof=1), rel=0.1)
    assert eV["model_error"] == pytest.approx(RUN["offsets"].std(ddof=1), rel=0.1)
    assert one("--order", 2)["members"] != eV["members"]
    assert one("--discard", "0.5")["mean"] != eV["mean"]
    one("--discard", "auto")


def test_files_from_the_input(files, capsys):
    assert quorum("--input", "input.xml") == 0
    first = capsys.readouterr().out
    assert quorum(*files, "--input", "input.xml") == 0
    assert capsys.readouterr().out == first


def test_heat_capacity(files, capsys):
    text = Path("input.xml").read_text()
    Path("input.xml").write_text(
        text.replace("<ensemble>", "<ensemble><pressure units='bar'> 0 </pressure>")
    )
    options = ["--input", "input.xml", "--observable", "heat_capacity"]
    assert quorum(*files, *options, "--json", "out.json") == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("heat_capacity/k_B")
    (heat,) = json.loads(Path("out.json").read_text())["observables"]
    assert heat["unit"] == "k_B"
    assert heat["mean"] == pytest.approx(30, abs=4 * heat["sampling_error"])


def test_files_of_one_of_several_systems(files, capsys):
    text = Path("input.xml").read_text()
    second = text[text.index("<system>") : text.index("</simulation>")]
    second = second.replace("<system>", "<system prefix='hot'>").replace(">300<", ">900<")
    first = text.replace("<system>", "<system prefix='cold'>")
    Path("input.xml").write_text(first.replace("</simulation>", second + "</simulation>"))
    for name in ("simulation.out", "simulation.committee_pot_0"):
        Path(name).rename(f"cold_{name}")
    assert quorum("cold_simulation.out", "--input", "input.xml") == 0
    assert "T = 300 K" in capsys.readouterr().out
    refused(capsys, "2 systems, expected one of each", "--input", "input.xml")


def test_a_bad_committee_is_doubted(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = harmonic_run(4000, seed=2)
    # members that differ by ± 60 % in the stiffness of ten modes
    change = 0.6 * np.array([-1, 1, -0.5, 0.5, 0.2, -0.2])
    soft = run["kT"] / 2 * np.random.default_rng(3).chisquare(10, size=4000)
    run["volume"] = 800 + 200 * soft
    run["energies"] = run["potential"][:, None] + change * soft[:, None]
    write_run(tmp_path, run)
    arguments = ["simulation.out", "--committee", "simulation.committee_pot_0"]
    assert quorum(*arguments, "--temperature", 300, "--observable", "volume") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].endswith("doubtful")
    reason = " ".join(line.strip() for line in lines[2 : lines.index("")])
    assert "second order is" in reason and "(limit 30 %)" in reason
    assert "calibrate the committee" in reason
    assert max(map(len, lines[1 : lines.index("")])) <= 98


def refused(capsys, match, *arguments):
    before = sorted(os.listdir())
    assert quorum(*arguments, "--json", "out.json") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
    assert match in captured.err
    assert sorted(os.listdir()) == before


def test_without_a_committee(files, capsys):
    """An input that asks for no member energies: sampling errors alone."""
    text = Path("input.xml").read_text()
    Path("plain.xml").write_text(re.sub(r"<trajectory filename='committee_pot'.*\n", "", text))
    assert quorum("--input", "plain.xml", "--json", "out.json") == 0
    assert capsys.readouterr().out.startswith("no committee, hence no model error")
    report = json.loads(Path("out.json").read_text())
    assert report["inputs"]["reference"] == "potential" and report["inputs"]["committee"] == []
    assert report["inputs"]["n_frames"] == 2000
    energy = report["observables"][0]
    assert energy["model_error"] is None and energy["name"] == "potential"
    exact = -250 + 30 * RUN["kT"]
    assert energy["mean"] == pytest.approx(exact, abs=4 * energy["sampling_error"])
    text = Path("plain.xml").read_text().replace("nbeads='1'", "nbeads='4'")
    Path("plain.xml").write_text(text)
    refused(capsys, "path integral of 4 beads", "--input", "plain.xml", "--at-temperature", 310)


def test_bad_input(files, capsys):
    refused(capsys, "missing.out: cannot be read", "missing.out", *files[1:], "--temperature", 300)
    refused(capsys, "give --input", *files)
    refused(capsys, "expected a positive number", *files, "--temperature", 0)
    refused(capsys, "expected a positive number", *files, "--temperature", -300)
    refused(capsys, "has no column 'density'", *files, "--temperature", 300,
            "--observable", "density")  # fmt: skip
    refused(capsys, "leaves 1 of 400", *files, "--temperature", 300, "--discard", 399)
    refused(capsys, "has no column 'median'", *files, "--temperature", 300,
            "--reference", "median")  # fmt: skip
    refused(capsys, "expected one energy per frame", *files, "--temperature", 300,
            "--reference", "volume")  # fmt: skip
    refused(capsys, "units: got 'furlong'", *files, "--temperature", 300, "--units", "furlong")
    refused(capsys, "--committee: got none", "simulation.out", "--temperature", 300)
    other = harmonic_run(4000, seed=5)
    Path("simulation.committee_pot_0").write_text(extras_rows(other["energies"], range(0, 4000, 5)))
    refused(capsys, "files of one run", *files, "--temperature", 300)
    Path("simulation.committee_pot_0").write_text(extras_rows(RUN["energies"], range(1, 4000, 10)))
    refused(capsys, "0 step(s) in common", *files, "--temperature", 300)
    bad = RUN["energies"].copy()
    bad[100] = np.nan
    Path("simulation.committee_pot_0").write_text(extras_rows(bad, range(0, 4000, 5)))
    refused(capsys, "not finite", *files, "--temperature", 300)


def test_unwritable_json_is_a_sentence(files, capsys):
    assert quorum(*files, "--temperature", 300, "--json", "no/such/folder/out.json") == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "cannot be written" in captured.err


def test_help_is_light():
    code = (
        "import sys\n"
        "from quorum_md.cli import main\n"
        "try:\n    main(['reweight', '--help'])\n"
        "except SystemExit:\n    pass\n"
        "assert not {'numpy', 'torch', 'scipy'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "quorum reweight simulation.out --committee" in done.stdout
    assert len(done.stdout.splitlines()) < 70


def test_write_atomically(tmp_path):
    path = tmp_path / "a.txt"
    write_atomically(path, "α\n")
    assert path.read_bytes() == b"\xce\xb1\n"
    path.chmod(0o640)
    write_atomically(path, b"\x00")
    assert path.read_bytes() == b"\x00" and path.stat().st_mode & 0o777 == 0o640
    (tmp_path / "link").symlink_to(path)
    write_atomically(tmp_path / "link", "through")
    assert path.read_text() == "through" and (tmp_path / "link").is_symlink()
    with pytest.raises(QuorumError, match="cannot be written"):
        write_atomically(tmp_path / "none" / "b", "x")
    with pytest.raises(TypeError):
        write_atomically(path, 3)
    assert path.read_text() == "through"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "link"]
