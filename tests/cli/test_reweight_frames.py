"""``quorum reweight`` on frames from elsewhere: pooled, biased, with positions."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from quorum_md.cli import main
from quorum_md.units import BOLTZMANN_EV_K

sys.path.insert(0, str(Path(__file__).parents[1] / "averages"))
from test_pool import COLVAR, DOF, folder_of, write_colvar


def quorum(*arguments):
    return main(["reweight", *map(str, arguments)])


@pytest.fixture
def two_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for T in (280, 340):
        folder_of(tmp_path / f"{T}", T, seed=T, n=1000)


def test_several_temperatures(two_runs, capsys):
    options = ["--also", "340/input.xml", "--at-temperature", 280, 310, "--observable", "potential"]
    assert quorum("--input", "280/input.xml", *options, "--json", "out.json") == 0
    text = capsys.readouterr().out
    assert "T = 310 K" in text and "2 run(s) at 280, 340 K give" in text
    for report in json.loads(Path("out.json").read_text())["temperatures"]:
        T, energy = report["inputs"]["temperature_K"], report["observables"][0]
        exact = DOF / 2 * BOLTZMANN_EV_K * T - 40.0
        assert abs(energy["mean"] - exact) < 4 * energy["sampling_error"]


def test_plots_and_explanations(two_runs, tmp_path, capsys):
    run = folder_of(tmp_path / "t", 300, n=300, seed=4)
    write_positions(tmp_path / "pos.xyz", run)
    options = ["--observable", "potential", "--observable", "rdf:Ta-W,cutoff_A=5,bins=30"]
    arguments = ["--input", "t/input.xml", "--trajectory", "pos.xyz", *options]
    assert quorum(*arguments, "--plot", "a.svg", "--explain") == 0
    text = capsys.readouterr().out
    assert "<svg" in Path("a.svg").read_text()[:2000]
    assert "3 members" in text and "eV" in text.split("left out")[-1]
    options = ["--at-temperature", 290, 310, "--observable", "potential", "--plot", "b.png"]
    assert quorum("--input", "280/input.xml", "--also", "340/input.xml", *options) == 0
    assert Path("b-290K.png").stat().st_size > 1000 and Path("b-310K.png").exists()
    for wrong, message in [("c.txt", "ends in .png"), ("no/c.png", "does not exist")]:
        assert quorum(*arguments, "--plot", wrong) == 2
        assert message in capsys.readouterr().err


def test_bias(two_runs, tmp_path, capsys):
    run = folder_of(tmp_path / "b", 300, n=1000, seed=4, bias=0.5)
    write_colvar(tmp_path / "COLVAR", run, 0.5, range(1000))
    arguments = ["--input", "b/input.xml", "--bias", "COLVAR:restraint.bias"]
    assert quorum(*arguments, "--bias-unit", "kj/mol") == 0
    assert "freed of the bias COLVAR:restraint.bias" in capsys.readouterr().out
    Path("nothing").write_text(COLVAR)
    for wrong, message in [
        (arguments, "the file has no unit of energy for it"),
        ([*arguments, "--bias-unit", "apples"], "got apples, expected a unit of energy"),
        ([*arguments, "--bias-unit", "kj/mol,hours"], "time unit: got 'hours'"),
        ([*arguments[:3], "nothing:x", "--bias-unit", "kj/mol"], "holds no rows of numbers"),
        ([*arguments[:3], "COLVAR:y", "--bias-unit", "kj/mol"], "has no column 'y'"),
        ([*arguments, "--bias-unit", "kj/mol", "--also", "280/input.xml"], "expected one run"),
        (["--input", "b/input.xml", "--bias", "volume"], "angstrom3"),
    ]:
        code = quorum(*wrong)
        error = capsys.readouterr().err
        if message == "angstrom3":
            message = "no unit of energy"
        assert code == 2 and message in error and len(error.splitlines()) == 1, error


def write_positions(path, run, every=1):
    """i-PI's xyz of two atoms whose distance is 2 Å + x."""
    with open(path, "w") as file:
        for t, x in list(enumerate(run["x"]))[::every]:
            file.write(
                "2\n# CELL(abcABC):   12.0   12.0   12.0   90.0   90.0   90.0  Step: "
                f"{t:10d}  Bead:       0 positions{{angstrom}}  cell{{angstrom}}\n"
                f"W 1.0 1.0 1.0\nTa {3.0 + x:.8f} 1.0 1.0\n"
            )


def test_observables_along_a_trajectory(two_runs, tmp_path, capsys):
    run = folder_of(tmp_path / "t", 300, n=600, seed=4)
    write_positions(tmp_path / "pos.xyz", run)
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "def distance(frame):\n"
        "    return np.linalg.norm(frame.positions[1] - frame.positions[0])\n"
        "distance.unit = 'angstrom'\n"
    )
    arguments = ["--input", "t/input.xml", "--trajectory", "pos.xyz"]
    chosen = ["--observable", "mine.py:distance", "--observable", "rdf:Ta-W,cutoff_A=5,bins=100"]
    assert quorum(*arguments, *chosen, "--observable", "potential", "--json", "o.json",
                  "--table", "o.dat") == 0  # fmt: skip
    text = capsys.readouterr().out
    distance, rdf, potential = json.loads(Path("o.json").read_text())["observables"]
    exact = 2 - np.array([-0.004, 0.001, 0.003])
    z = (np.array(distance["members"]) - exact) / distance["members_sampling_error"]
    assert np.abs(z).max() < 4 and distance["unit"] == "angstrom"
    assert len(rdf["mean"]) == 100 and rdf["axes"][0]["unit"] == "Å"
    assert "rdf:Ta-W,cutoff_A=5,bins=100 (100 r)" in text and "a curve" in text
    assert isinstance(potential["mean"], float)
    columns = np.loadtxt("o.dat")
    curve = columns[columns[:, 0] == 1]
    np.testing.assert_allclose(curve[:, 3], rdf["mean"], rtol=1e-9)
    np.testing.assert_allclose(curve[:, 2], rdf["axes"][0]["values"], rtol=1e-9)

    for wrong, message in [
        ([*arguments], "no observable along it was asked for"),
        (["--input", "t/input.xml", "--observable", "rdf:all"], "there is no --trajectory"),
        ([*arguments, "--observable", "mine.py:nothing"], "nothing"),
        ([*arguments, "--observable", "rdf:Nb-W"], "Nb"),
        ([*arguments, "--observable", "rdf:all", "--also", "280/input.xml"], "got 1 for 2 run(s)"),
    ]:
        code = quorum(*wrong)
        error = capsys.readouterr().err
        assert code == 2 and message in error and len(error.splitlines()) == 1, error


def test_pooled_runs_have_a_trajectory_each(tmp_path, monkeypatch, capsys):
    """The distance is 2 Å + x with ⟨x⟩_i = −a_i at any temperature."""
    monkeypatch.chdir(tmp_path)
    options = []
    for k, T in enumerate((340, 280)):
        run = folder_of(tmp_path / f"{T}", T, seed=T, n=1500)
        write_positions(tmp_path / f"{T}.xyz", run, every=k + 1)
        options += ["--trajectory", f"{T}.xyz"]
    (tmp_path / "mine.py").write_text(
        "def distance(frame):\n    return frame.positions[1, 0] - frame.positions[0, 0]\n"
    )
    runs = ["--input", "340/input.xml", "--also", "280/input.xml", "--at-temperature", 310, 340]
    chosen = ["--observable", "mine.py:distance", "--observable", "rdf:Ta-W,cutoff_A=5,bins=50"]
    chosen += ["--observable", "potential", "--json", "o.json"]
    assert quorum(*runs, *options, *chosen) == 0
    text = capsys.readouterr().out
    assert "750 of 1500 frames have positions" in text
    for report in json.loads(Path("o.json").read_text())["temperatures"]:
        distance, rdf, potential = report["observables"]
        z = np.array(distance["members"]) - 2 - np.array([0.004, -0.001, -0.003])
        assert np.abs(z / distance["members_sampling_error"]).max() < 4
        # the members are told apart, so values and energies belong to the same frames
        spread = np.ptp(distance["members"]) - 0.007
        assert abs(spread) < 5e-4
        assert len(rdf["mean"]) == 50 and isinstance(potential["mean"], float)
    short = ["--observable", "rdf:Ta-W,bins=50"]
    text = Path("280.xyz").read_text().replace("   12.0 ", "   11.0 ")
    Path("280.xyz").write_text(text)
    assert quorum(*runs, *options, *short) == 2
    error = capsys.readouterr().err
    assert "expected the same in runs that are pooled" in error and len(error.splitlines()) == 1


def test_what_files_of_positions_do_not_say(two_runs, tmp_path, capsys):
    """Elements of LAMMPS types, steps of plain xyz, and the time step."""
    n = 400
    folder_of(tmp_path / "t", 300, n=n, seed=4)
    rng = np.random.default_rng(0)
    walk = np.cumsum(0.1 * rng.normal(size=(n, 2, 3)), axis=0)
    with open("a.dump", "w") as dump, open("a.xyz", "w") as xyz:
        for t in range(n):
            rows = [f"{k + 1} {k + 1} {x:.6f} {y:.6f} {z:.6f}\n"
                    for k, (x, y, z) in enumerate(walk[t])]  # fmt: skip
            dump.write(
                f"ITEM: UNITS\nmetal\nITEM: TIMESTEP\n{t}\nITEM: NUMBER OF ATOMS\n2\n"
                "ITEM: BOX BOUNDS pp pp pp\n0 20\n0 20\n0 20\n"
                "ITEM: ATOMS id type xu yu zu\n" + "".join(rows)
            )
            words = [f"{s} " + row.split(" ", 2)[2] for s, row in zip("WN", rows, strict=True)]
            xyz.write('2\nLattice="20 0 0 0 20 0 0 0 20" Properties=species:S:1:pos:R:3\n'
                      + "".join(words))  # fmt: skip
    window = "window_ps=(0.002,0.02)"
    found = []
    for options in (
        ["--trajectory", "a.dump", "--elements", "W", "N"],
        ["--trajectory", "a.xyz", "--every", 1],
        ["--trajectory", "a.xyz", "--every", 1, "--timestep", 2],
    ):
        chosen = ["--observable", f"diffusion:W,{window}", "--observable", "msd:N,lags=[2,4]"]
        assert quorum("--input", "t/input.xml", *options, *chosen, "--json", "o.json") == 0
        capsys.readouterr()
        diffusion, msd = json.loads(Path("o.json").read_text())["observables"]
        assert msd["axes"][0]["values"] == [0.004, 0.008] and msd["axes"][0]["unit"] == "ps"
        found.append([diffusion["mean"], *msd["mean"]])
    np.testing.assert_allclose(found[1:], [found[0]] * 2, rtol=1e-9)
    files = ["t/simulation.out", "--committee", "t/simulation.committee_pot_0"]
    options = ["--temperature", 300, "--trajectory", "a.xyz", "--every", 1]
    assert quorum(*files, *options, "--observable", "diffusion:W") == 2
    assert "give --timestep in fs" in capsys.readouterr().err
    assert quorum("--input", "t/input.xml", "--trajectory", "a.dump", "--observable", "msd") == 2
    assert "elements" in capsys.readouterr().err
