"""Logs of LAMMPS: every style of table, what a script says, restarts, and what is refused."""

import json
import os
import sys
from pathlib import Path

import lammps_like as like
import numpy as np
import pytest
from ipi_like import harmonic_run

from quorum_md.averages.lammps_log import read_log
from quorum_md.averages.lammps_run import load_run
from quorum_md.cli import main
from quorum_md.errors import QuorumError

sys.path.insert(0, str(Path(__file__).parent))
N = 2000
RUN = harmonic_run(N)
STEPS = range(0, N, 10)
DYNAMICS = f"run {N}\n"


def write(folder, *parts, name="log.lammps", **options):
    path = folder / name
    path.write_text(like.log(*parts, **options))
    return path


@pytest.fixture
def log(tmp_path):
    return write(tmp_path, DYNAMICS, like.one(RUN, STEPS))


@pytest.mark.parametrize("style", [like.one, like.yaml, like.multi])
def test_every_style_gives_the_same(style, tmp_path):
    run = load_run(write(tmp_path, DYNAMICS, style(RUN, STEPS)))
    np.testing.assert_allclose(run.energies_eV, RUN["energies"][::10], rtol=0, atol=1e-9)
    np.testing.assert_array_equal(run.steps, STEPS)
    assert run.stride == 10 and run.temperature_K == 300 and run.reference == "mean"
    assert run.checked and run.constant_volume and run.notes == ()
    assert run.names() == ["PotEng", "Volume"]
    volume = run.reweight("vol")
    # ⟨volume⟩_i = 800 − 5 a_i/kT
    exact = 800 - 5 * RUN["slopes"] / RUN["kT"]
    assert np.abs((volume.members - exact) / volume.members_statistical_error).max() < 4
    assert volume.model_error == pytest.approx(exact.std(ddof=1), rel=0.25)
    assert run.observable("potential").name == "PotEng"


def test_real_units_are_kcal(log, tmp_path):
    script = like.SCRIPT.replace("metal", "real")
    table = like.one(RUN, STEPS, factor=1 / like.KCAL_MOL_EV)
    real = load_run(write(tmp_path, DYNAMICS, table, name="log.real", script=script))
    np.testing.assert_allclose(real.energies_eV, RUN["energies"][::10], rtol=1e-12)
    assert real.observable("pe").unit == "kcal/mol"
    eV = load_run(log).reweight("pe").mean
    assert real.reweight("pe").mean == pytest.approx(eV / like.KCAL_MOL_EV, rel=1e-9)
    assert real.reweight("pe", energy_unit="electronvolt").mean == pytest.approx(eV, rel=1e-9)


def test_units_and_temperature_that_the_log_does_not_say(tmp_path):
    """What LAMMPS writes to the screen has no script."""
    path = tmp_path / "screen.txt"
    path.write_text("LAMMPS (22 Jul 2025)\n" + like.one(RUN, STEPS))
    with pytest.raises(QuorumError, match="give --temperature in K"):
        load_run(path)
    with pytest.raises(QuorumError, match="give --lammps-units"):
        load_run(path, temperature_K=300)
    run = load_run(path, temperature_K=300, units="metal")
    assert run.reference == "mean" and run.constant_volume is None
    np.testing.assert_array_equal(run.energies_eV, RUN["energies"][::10])


def test_lines_between_rows_and_a_row_cut_short(tmp_path):
    noise = (
        "WARNING: Dangerous builds (src/neighbor.cpp:1)\n\n0.25 of the way\nWARNING: 1 2 3 4 5 6\n"
    )
    text = like.log(DYNAMICS, like.one(RUN, STEPS, extra=noise))
    path = tmp_path / "log.lammps"
    end = text.index("Loop time")
    for cut in (1, 20, 60):  # without its end, within a number, within the row
        path.write_text(text[: end - cut])
        run = load_run(path)
        np.testing.assert_array_equal(run.steps, STEPS[:-1])
        np.testing.assert_array_equal(run.energies_eV, RUN["energies"][::10][:-1])


def test_messages_and_echoes_before_variables_are_no_commands(tmp_path):
    said = (
        "pair_style quorum: committee.pt runs in kernel\n"
        "pair_coeff * * ${a} Mo\npair_coeff * * Nb Mo\n"
    )
    path = write(tmp_path, said + DYNAMICS, like.one(RUN, STEPS))
    commands = [command.words for command in read_log(path).commands]
    assert [words[1] for words in commands if words[0] == "pair_style"] == ["quorum"]
    assert [words for words in commands if words[0] == "pair_coeff"] == [
        ("pair_coeff", "*", "*", "Nb", "Mo")
    ] * 2  # of the script, and again
    assert load_run(path).reference == "mean"


def test_restart_wins(tmp_path):
    """The steps after the checkpoint come twice; the abandoned branch has other energies."""
    wrong = {**RUN, "energies": RUN["energies"] + 1, "potential": RUN["potential"] + 1}
    wrong["energies"][:1000] -= 1
    wrong["potential"] = wrong["energies"].mean(axis=1)
    first = write(tmp_path, DYNAMICS, like.one(wrong, range(0, 1400, 10)), name="log.1")
    again = "read_restart r\n" + like.SCRIPT.split("\n", 2)[2]
    parts = (DYNAMICS, like.one(RUN, range(1000, N, 10)))
    second = write(tmp_path, *parts, name="log.2", script=again)
    for logs in ([first, second], [second, first]):
        run = load_run(logs)
        np.testing.assert_array_equal(run.steps, STEPS)
        np.testing.assert_array_equal(run.energies_eV, RUN["energies"][::10])
        assert any("40 rows whose steps a later run or restart repeated" in n for n in run.notes)
    # appended to the same file
    both = tmp_path / "log.lammps"
    both.write_text(first.read_text() + second.read_text())
    np.testing.assert_array_equal(load_run(both).energies_eV, RUN["energies"][::10])
    # the second alone does not know its units
    with pytest.raises(QuorumError, match="a restart file restores them without a word"):
        load_run(second)
    assert load_run(second, units="metal").steps[0] == 1000


def test_independent_runs_are_not_one(log, tmp_path):
    other = write(tmp_path, DYNAMICS, like.one(RUN, STEPS), name="log.seed2")
    with pytest.raises(QuorumError, match="without read_restart"):
        load_run([log, other])


def test_runs_with_other_settings_are_left_out(tmp_path):
    no_members = {k: v for k, v in like.columns(RUN).items() if not k.startswith("c_")}
    path = write(
        tmp_path,
        "minimize 0 1e-6 100 100\n" + like.one(RUN, range(5)) + "Minimization stats:\n",
        DYNAMICS + like.one(RUN, range(10, 200, 10), table=no_members),
        "fix nvt all nvt temp 900 900 0.1\n",
        DYNAMICS + like.one({**RUN, "temperature": 3 * RUN["temperature"]}, range(200, 400, 10)),
        "unfix nvt\nfix l all langevin 300 300 0.1 4711\nfix nve all nve\n",
        DYNAMICS + like.one(RUN, range(400, 1000, 10)),
        "run 0\n" + like.one(RUN, [990]),
        DYNAMICS + like.one(RUN, [990, *range(1000, 1500, 10), 1507]),
    )
    run = load_run(path)
    np.testing.assert_array_equal(run.steps, range(400, 1500, 10))
    text = "\n".join(run.notes)
    assert "run 1 (5 rows), no molecular dynamics: minimize" in text
    assert "run 2 (19 rows), without c_members[1]" in text
    assert "run 3 (20 rows) with other settings (900 K, constant volume" in text
    assert "1 rows between the regular output every 10 steps" in text
    hot = load_run(path, temperature_K=900)
    np.testing.assert_array_equal(hot.steps, range(200, 400, 10))
    assert hot.temperature_K == 900
    np.testing.assert_array_equal(load_run(path, runs=[3]).steps, hot.steps)
    with pytest.raises(QuorumError, match="its runs are at 300, 900 K"):
        load_run(path, temperature_K=600)


def test_equilibration_before_reset_timestep_is_left_out(tmp_path):
    path = write(
        tmp_path,
        DYNAMICS + like.one(RUN, range(0, 500, 10)) + "reset_timestep 0\n",
        DYNAMICS + like.one(RUN, range(0, 300, 10)),
    )
    run = load_run(path)
    np.testing.assert_array_equal(run.steps, range(0, 300, 10))


def test_energies_per_atom(tmp_path):
    table = like.one(RUN, STEPS, factor=1 / 216)
    path = write(tmp_path, "thermo_modify norm yes\n", DYNAMICS, table)
    run = load_run(path)
    np.testing.assert_allclose(run.energies_eV, RUN["energies"][::10], rtol=1e-12)
    np.testing.assert_allclose(run.observable("pe").values, run.energies_eV)
    assert "those of the 216 atoms" in run.notes[0]
    # a later thermo_style forgets it
    path.write_text(path.read_text().replace("norm yes\n", "norm yes\nthermo_style custom step\n"))
    assert load_run(path).energies_eV.mean() == pytest.approx(
        RUN["potential"].mean() / 216, rel=0.01
    )
    path.write_text(like.log("thermo_modify norm yes\n", DYNAMICS, table).replace("216 atoms", ""))
    with pytest.raises(QuorumError, match="does not say how many atoms"):
        load_run(path)


def test_energies_per_atom_are_seen_without_a_script(tmp_path):
    kinetic = 216 * 1.5 * RUN["kT"] * RUN["temperature"] / 300
    table = {**like.columns(RUN), "KinEng": kinetic}
    path = tmp_path / "screen.txt"
    for scale in (1, 1 / 216):
        scaled = {k: v * (1 if k in ("Temp", "Volume") else scale) for k, v in table.items()}
        path.write_text("LAMMPS (22 Jul 2025)\n" + like.one(RUN, STEPS, table=scaled))
        run = load_run(path, temperature_K=300, units="metal")
        np.testing.assert_allclose(run.energies_eV, RUN["energies"][::10], rtol=1e-12)
        assert bool(run.notes) == (scale < 1)


def test_pressure_of_npt_and_heat_capacity(tmp_path):
    npt = "fix npt all npt temp 300 300 0.1 iso 5000 5000 1.0\n"
    run = load_run(write(tmp_path, DYNAMICS, like.one(RUN, STEPS), thermostat=npt))
    assert run.pressure_bar == 5000 and run.constant_volume is False
    assert run.reweight("heat_capacity").mean > 0
    real = like.SCRIPT.replace("metal", "real")
    parts = (DYNAMICS, like.one(RUN, STEPS, factor=1 / like.KCAL_MOL_EV))
    run = load_run(write(tmp_path, *parts, thermostat=npt, script=real))
    assert run.pressure_bar == pytest.approx(5000 * 1.01325)
    drift = npt.replace("5000 5000", "0 5000")
    with pytest.raises(QuorumError, match="ramps the pressure from 0 to 5000"):
        load_run(write(tmp_path, DYNAMICS, like.one(RUN, STEPS), thermostat=drift))


def baseline_run():
    """A weighted baseline: what drives is not the mean."""
    drive = RUN["potential"] + 0.5 * np.random.default_rng(3).normal(size=N)
    return drive, {**RUN, "potential": drive}


def test_weighted_baseline(tmp_path):
    drive, run = baseline_run()
    found = load_run(write(tmp_path, DYNAMICS, like.one(run, STEPS)))
    np.testing.assert_allclose(found.reference, drive[::10])
    assert found.reference_name == "PotEng" and "weighted baseline" in found.notes[0]
    np.testing.assert_array_equal(found.energies_eV, RUN["energies"][::10])
    with pytest.raises(QuorumError, match="mean of the members differs from PotEng by 0.47"):
        load_run(tmp_path / "log.lammps", reference="mean")


@pytest.mark.parametrize("baseline", [False, True])
def test_other_styles_cancel(baseline, tmp_path):
    """hybrid/overlay: PotEng holds another style; c_members, the energy of ours, tells the rest."""
    script = like.SCRIPT.replace(
        "quorum committee.pt", "hybrid/overlay quorum committee.pt zbl 1 2"
    )
    drive = baseline_run()[0] if baseline else RUN["potential"]
    other = 3 + np.random.default_rng(4).normal(size=N)
    run = {**RUN, "potential": drive + other}
    path = write(tmp_path, DYNAMICS, like.one(run, STEPS), script=script)
    with pytest.raises(
        QuorumError, match="pair_style hybrid/overlay.*add c_members to thermo_style"
    ):
        load_run(path)
    table = {**like.columns(run), "c_members": drive}
    path = write(tmp_path, DYNAMICS, like.one(run, STEPS, table=table), script=script)
    found = load_run(path)
    alone = load_run(write(tmp_path, DYNAMICS, like.one({**RUN, "potential": drive}, STEPS)))
    assert found.reference_name == ("c_members" if baseline else "mean")
    ours, theirs = found.reweight("vol"), alone.reweight("vol")
    np.testing.assert_allclose(ours.members, theirs.members, rtol=1e-10)
    np.testing.assert_allclose(ours.sigma_h, theirs.sigma_h, rtol=1e-10)
    total = RUN["energies"][::10] + other[::10, None]
    np.testing.assert_allclose(found.observable("pe").values, total, rtol=1e-12)
    assert any("PotEng holds" in note for note in found.notes)
    # asked for, the mean is taken without c_members
    if not baseline:
        path = write(tmp_path, DYNAMICS, like.one(run, STEPS), script=script)
        np.testing.assert_allclose(
            load_run(path, reference="mean").reweight("vol").members, theirs.members, rtol=1e-10
        )


def test_potential_energy_from_other_columns(tmp_path):
    kinetic = 30 + RUN["temperature"]
    for names in ({"TotEng": RUN["potential"] + kinetic, "KinEng": kinetic},
                  {"E_pair": RUN["potential"] - 1, "E_mol": np.ones(N)}):  # fmt: skip
        table = {k: v for k, v in {**like.columns(RUN), **names}.items() if k != "PotEng"}
        run = load_run(write(tmp_path, DYNAMICS, like.one(RUN, STEPS, table=table)))
        assert run.checked and run.reference == "mean"
        np.testing.assert_allclose(run.observable("pe").values, RUN["energies"][::10])
    table = {k: v for k, v in like.columns(RUN).items() if k != "PotEng"}
    path = write(tmp_path, DYNAMICS, like.one(RUN, STEPS, table=table))
    with pytest.raises(QuorumError, match="add pe to thermo_style, or give --reference mean"):
        load_run(path)
    assert not load_run(path, reference="mean").checked


def test_members_are_found_or_chosen(tmp_path):
    script = like.SCRIPT.replace("compute members all pair quorum\n", "").replace("c_mem", "c_some")
    table = {**like.columns(RUN, "c_some"), **{f"c_x[{k}]": RUN["volume"] for k in (1, 2)}}
    path = write(tmp_path, DYNAMICS, like.one(RUN, STEPS, table=table), script=script)
    run = load_run(path)
    np.testing.assert_array_equal(run.energies_eV, RUN["energies"][::10])
    assert run.names() == ["PotEng", "Volume", "c_x[1]", "c_x[2]"]
    assert run.expand("c_x") == ["c_x[1]", "c_x[2]"]
    twice = {**table, **like.columns(RUN, "f_copy")}
    path = write(tmp_path, DYNAMICS, like.one(RUN, STEPS, table=twice), script=script)
    with pytest.raises(QuorumError, match="several could be members.*choose with --members"):
        load_run(path)
    for name in ("f_copy", "copy", "copy[*]"):
        assert load_run(path, members=name).energies_eV.shape == (200, 6)
    with pytest.raises(QuorumError, match=r"no columns mine\[1\]"):
        load_run(path, members="mine")


def test_coarse_digits_are_said(tmp_path):
    run = {**RUN, "energies": RUN["energies"] * 1e4, "potential": RUN["potential"] * 1e4}
    path = write(tmp_path, DYNAMICS, like.one(run, STEPS, number="{:.8g}"))
    assert any("printed to 0.1 eV (3.9 kT)" in note for note in load_run(path).notes)


def test_members_of_a_rerun(tmp_path):
    """A foreign potential drove; a rerun of its dump has the members."""
    drive = RUN["potential"] + 0.05 * np.random.default_rng(5).normal(size=N)
    table = {"Temp": RUN["temperature"], "PotEng": drive, "Volume": RUN["volume"]}
    eam = like.SCRIPT.replace("pair_style quorum committee.pt", "pair_style eam/alloy")
    first = write(tmp_path, DYNAMICS, like.one(RUN, STEPS, table=table), script=eam)
    steps = range(0, N, 20)
    second = write(tmp_path, "rerun d dump x y z\n", like.one(RUN, steps), name="log.rerun",
                   thermostat="")  # fmt: skip
    run = load_run(first, committee=[second])
    np.testing.assert_array_equal(run.steps, steps)
    np.testing.assert_allclose(run.reference, drive[::20])
    np.testing.assert_array_equal(run.energies_eV, RUN["energies"][::20])
    np.testing.assert_array_equal(run.observable("vol").values, RUN["volume"][::20])
    assert run.committee_paths == (str(second),)
    other = harmonic_run(N, seed=9)
    write(tmp_path, "rerun d dump x y z\n", like.one(other, steps), name="log.rerun")
    with pytest.raises(QuorumError, match="have a correlation of"):
        load_run(first, committee=[second])


THERMOSTATS = {
    "ramps the temperature from 300 to 600 K": "fix 1 all nvt temp 300 600 0.1\n",
    "was run at constant energy": "fix 1 all nve\nfix 2 all ave/time 1 1 1 c_thermo_temp\n",
    "echoes no thermostat": "fix 1 all nve\nfix 2 all langevin v_T v_T 0.1 1\n",
    "does not sample the canonical": "fix 1 all nve\nfix 2 all temp/berendsen 300 300 0.1\n",
    "fluctuations of the volume": (
        "fix 1 all nvt temp 300 300 1\nfix 2 all press/berendsen iso 0 0 1\n"
    ),
    "is at 300 K, but fix 2 .atom/swap. at 600 K": (
        "fix 1 all nvt temp 300 300 1\nfix 2 all atom/swap 10 1 29494 600 types 1 2\n"
    ),
    "drives the box": "fix 1 all nvt temp 300 300 1\nfix 2 all deform 1 x erate 0.1\n",
}


@pytest.mark.parametrize("match", THERMOSTATS)
def test_what_is_no_canonical_ensemble(match, tmp_path):
    path = write(tmp_path, DYNAMICS, like.one(RUN, STEPS), thermostat=THERMOSTATS[match])
    with pytest.raises(QuorumError, match=match):
        load_run(path)


@pytest.mark.parametrize(
    "thermostat",
    [
        "fix 1 all nve\nfix 2 all langevin 300 300.0 0.1 4711\n",
        "fix 1 all nvt/omp temp 300 300 0.1\n",
        "fix 1 all nph iso 0 0 1\nfix 2 all temp/csvr 300 300 0.1 1\n",
        "fix 1 all nve\nfix 2 all gle 6 300 300 31415 smart.A\n",
        "fix 1 all nvt temp 300 300 1\nfix 2 all atom/swap 10 1 29494 300 types 1 2\n",
    ],
)
def test_thermostats(thermostat, tmp_path):
    path = write(tmp_path, DYNAMICS, like.one(RUN, STEPS), thermostat=thermostat)
    assert load_run(path).temperature_K == 300


def bad_logs():
    """Name, text, and what the one sentence says."""
    good = like.log(DYNAMICS, like.one(RUN, STEPS))
    table = like.columns(RUN)
    nothing = {k: v for k, v in table.items() if not k.startswith(("c_", "PotEng"))}
    gap = {k: v for k, v in table.items() if k != "c_members[2]"}
    lost = {**table, "c_members[3]": np.where(np.arange(N) == 500, np.nan, RUN["energies"][:, 2])}
    two = {**table, "c_members[3]": RUN["energies"][:, 2] + 1}
    norm = "thermo_modify norm yes\n"

    def with_table(table):
        return like.log(DYNAMICS, like.one(RUN, STEPS, table=table))

    return {
        "empty": ("", "no thermo table"),
        "prose": ("Nothing of the kind.\n", "no thermo table"),
        "stopped before its first row": (
            good[: good.index("   Step ") + 300].rsplit("\n", 1)[0] + "\n",
            "no rows yet",
        ),
        "nothing": (with_table(nothing), "has neither energies of members nor PotEng"),
        "a member left out": (with_table(gap), "write c_members[*] in thermo_style"),
        "broken down": (with_table(lost), "step 500 holds a member energy that is not finite"),
        "units lj": (good.replace("units metal", "units lj"), "units: got lj, expected metal"),
        "minimised only": (good.replace(DYNAMICS, "minimize 0 0 9 9\n"), "no molecular dynamics"),
        "tempering": (good.replace(DYNAMICS, "temper 9 9 300 nvt 1 1\n"), "no molecular dynamics"),
        "no step": (good.replace("   Step  ", "   Cycle "), "no thermo table with a column Step"),
        "one row": (like.log(DYNAMICS, like.one(RUN, [0])), "1 row(s) of thermo output"),
        "per atom": (
            like.log(norm, DYNAMICS, like.one(RUN, STEPS)).replace("216 atoms", "atoms"),
            "does not say how many atoms there are",
        ),
        "not the mean": (
            with_table(two).replace("pair_style quorum", "pair_style deepmd"),
            "PotEng is not the mean of the members (pair_style deepmd)",
        ),
    }


@pytest.mark.parametrize("more", [{}, {"f_mc[1]": np.arange(N)}, {"c_members[1]": None}])
def test_without_a_committee(more, tmp_path):
    """A potential without members, or with a single one: the average, and no model error."""
    table = {k: v for k, v in like.columns(RUN).items() if not k.startswith("c_")}
    table |= {k: RUN["potential"] if v is None else v for k, v in more.items()}
    script = like.SCRIPT if "c_members[1]" in more else like.SCRIPT.replace("quorum", "eam")
    run = load_run(write(tmp_path, DYNAMICS, like.one(RUN, STEPS, table=table), script=script))
    np.testing.assert_array_equal(run.energies_eV[:, 0], RUN["potential"][::10])
    energy, volume = run.reweight("pe"), run.reweight("vol")
    assert energy.mean == pytest.approx(-250 + 30 * RUN["kT"], abs=4 * energy.statistical_error)
    assert volume.mean == pytest.approx(800, abs=4 * volume.statistical_error)
    assert np.isnan(energy.model_error) and np.isnan(volume.model_error)
    if not more:
        assert run.reference_name == "PotEng" and run.committee_paths == ()
        assert any("c_members[1]" in note for note in run.notes)


@pytest.mark.parametrize("name", bad_logs())
def test_bad_logs_are_one_sentence(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text, match = bad_logs()[name]
    Path("log.lammps").write_text(text)
    refused(capsys, match, "log.lammps")


def refused(capsys, match, *arguments):
    before = sorted(os.listdir())
    assert main(["reweight", *map(str, arguments), "--json", "out.json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
    assert match in captured.err
    assert sorted(os.listdir()) == before


def test_bad_arguments(log, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("log.binary").write_bytes(bytes(range(256)) * 10)
    refused(capsys, "log.binary: is not text", "log.binary")
    refused(capsys, "log.missing: cannot be read", "log.missing")
    refused(capsys, "its runs are at 300 K", "log.lammps", "--temperature", 400)
    refused(capsys, "expected a positive number", "log.lammps", "--temperature", -1)
    refused(capsys, "the log has `units metal`", "log.lammps", "--lammps-units", "real")
    refused(capsys, "has no run 3, expected numbers from 1 to 1", "log.lammps", "--runs", 3)
    refused(capsys, "--runs: got 'x'", "log.lammps", "--runs", "x")
    refused(capsys, "0 … 5", "log.lammps", "--reference", 6)
    refused(capsys, "energy of member 2 differs", "log.lammps", "--reference", 2)
    refused(capsys, "Volume is not an energy", "log.lammps", "--reference", "vol")
    refused(capsys, "has no column 'density'; it has Step, Temp, PotEng, Volume; add it to "
            "thermo_style custom", "log.lammps", "--observable", "density")  # fmt: skip
    refused(capsys, "is no LAMMPS log, but got --runs", "out", "--runs", 1)
    refused(capsys, "have 0 step(s) in common", "log.lammps", "--committee", shifted(tmp_path))


def shifted(folder):
    path = folder / "log.shifted"
    path.write_text(like.log(DYNAMICS, like.one(RUN, range(5, N, 10))))
    return path.name


def test_the_table_is_that_of_i_pi(log, tmp_path, monkeypatch, capsys):
    """The same numbers, from i-PI's files and from a log."""
    from ipi_like import write_run

    monkeypatch.chdir(tmp_path)
    write_run(tmp_path, RUN, stride=10, committee_stride=10)
    assert main(["reweight", "log.lammps", "--json", "a.json"]) == 0
    ours = capsys.readouterr().out.splitlines()
    i_pi = ["simulation.out", "--committee", "simulation.committee_pot_0"]
    i_pi += ["--temperature", "300", "--observable", "potential", "--observable", "volume"]
    assert main(["reweight", *i_pi, "--json", "b.json"]) == 0
    theirs = capsys.readouterr().out.splitlines()
    assert ours[0].split() == theirs[0].split()
    assert ours[1].split()[1:] == theirs[1].split()[1:] and ours[1].startswith("PotEng/eV")
    assert ours[2].split()[1:] == theirs[2].split()[1:] and ours[2].startswith("Volume/Å³")
    a, b = (json.loads(Path(name).read_text()) for name in ("a.json", "b.json"))
    assert a["inputs"].keys() == b["inputs"].keys()
    for x, y in zip(a["observables"], b["observables"], strict=True):
        assert x.keys() == y.keys() and x["unit"] == y["unit"]
        assert x["model_error"] == pytest.approx(y["model_error"], rel=1e-5)


def test_tables_know_where_they_are(log):
    (table,) = read_log(log).tables
    assert table.command == "run" and table.n_atoms == 216 and table.process == 1
    assert log.read_text().splitlines()[table.line - 1].split()[0] == "Step"
