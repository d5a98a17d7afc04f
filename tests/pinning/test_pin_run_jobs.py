"""`quorum pin prepare | run` as a job: shared out, killed, continued, stopped, repeated."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from pin_tools import command, environment, pin, series, write_run
from quorum_md.pinning.jobs_on_disk import COLUMNS, read_job
from quorum_md.units import EV_A3_GPA, thermal_energy_eV

KELVIN = 100.0
NAMES = ("solid-0100.0K", "liquid-0100.0K", "pinned-0100.0K-0")
SMALL = {
    "box": {"repeats": [4, 4, 6]},
    "state": {"temperatures_K": [KELVIN]},
    "run": {
        "production_steps": 400, "equilibration_steps": 100, "bulk_steps": 400,
        "bulk_equilibration_steps": 150, "melt_steps": 150, "melt_K": 300.0,
        "interval_steps": 10, "block_steps": 100, "attempts": 1,
    },
}  # fmt: skip


def small(folder, **tables):
    """Quick jobs, too short to mean anything."""
    content = {name: dict(table) for name, table in SMALL.items()}
    for name, table in tables.items():
        content.setdefault(name, {}).update(table)
    return write_run(folder, **content)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that was not interrupted, on one rank."""
    folder = small(tmp_path_factory.mktemp("whole"))
    output = pin(folder, "run", "run.toml")
    assert "quorum pin analyse" in output and "rhok 8 0 0" in output
    return folder


def text(folder, name):
    return (folder / "pin" / name / "series.dat").read_bytes()


def test_what_is_written(whole):
    """Jobs that the analysis reads: columns, times, the bias of what is on record."""
    for name in NAMES:
        job = read_job(whole / "pin" / name)
        asked = json.loads((whole / "pin" / name / "job.json").read_text())
        assert job.status == "done" and job.kind == name.split("-")[0]
        assert job.counts == {"Ar": 384} and job.n_atoms == 384 and job.interval_fs == 100.0
        np.testing.assert_allclose(job["time_fs"], 100.0 * np.arange(1, job.n_frames + 1))
        assert set(COLUMNS) == set(job.columns) and asked["timestep_fs"] == 10.0
        lengths = job["lx_A"] * job["ly_A"] * job["lz_A"]
        np.testing.assert_allclose(lengths, job["volume_A3"], rtol=1e-6)
        assert abs(job["temperature_K"].mean() / KELVIN - 1) < 0.2
        assert len(list((whole / "pin" / name).glob("state-*.restart"))) == 1
    solid, liquid, pinned = (read_job(whole / "pin" / name) for name in NAMES)
    assert solid.n_frames == liquid.n_frames == pinned.n_frames == 40
    assert liquid["volume_A3"].mean() > 1.05 * solid["volume_A3"].mean()
    assert solid["q"].mean() > 10 > 4 > liquid["q"].mean()
    assert (solid["bias_eV"] == 0).all() and solid.center is None
    bias = 0.5 * pinned.kappa_eV * (pinned["q"] - pinned.center) ** 2
    np.testing.assert_allclose(pinned["bias_eV"], bias, rtol=1e-6, atol=1e-9)
    # the centre lies in the middle of the bulk values, a width is 1 % of their difference
    q_s, q_l = (one["q"][len(one["q"]) // 5 :].mean() for one in (solid, liquid))
    assert pinned.center == pytest.approx((q_s + q_l) / 2)
    kT = thermal_energy_eV(KELVIN)
    assert np.sqrt(kT / pinned.kappa_eV) == pytest.approx(0.01 * (q_s - q_l), rel=1e-9)
    # a harmonic bias holds Q where it is asked to
    assert abs(pinned["q"].mean() - pinned.center) < 0.1 * (q_s - q_l)


def test_only_lz_moves(whole):
    """The cross-section is that of the solid on average, at this temperature and pressure."""
    solid, _, pinned = (series(whole / "pin" / name) for name in NAMES)
    for edge in ("lx_A", "ly_A"):
        assert np.ptp(pinned[edge]) == 0 and np.ptp(solid[edge]) > 0
        mean = solid[edge][len(solid[edge]) // 5 :].mean()
        assert pinned[edge][0] == pytest.approx(mean, rel=1e-9)
    assert np.ptp(pinned["lz_A"]) > 0.01
    np.testing.assert_allclose(solid["lz_A"] / solid["lx_A"], 6 / 4, rtol=1e-6)  # isotropic
    assert pinned["lz_A"].mean() > 1.005 * solid["lz_A"].mean()


def test_enthalpy_units(whole):
    """Energies in eV of Lennard-Jones at this density; pressures of the barostat in GPa."""
    solid = read_job(whole / "pin" / NAMES[0])
    per_atom = solid["potential_eV"].mean() / solid.n_atoms
    assert -0.08 < per_atom < -0.05
    pv = solid.pressure_GPa / EV_A3_GPA * solid["volume_A3"].mean() / solid.n_atoms
    assert 0.01 < pv < 0.05
    assert abs(solid["pxx_GPa"].mean() - solid.pressure_GPa) < 0.15


def test_two_ranks_write_the_same(whole, tmp_path):
    """Jobs are shared out; each is what one rank alone makes of it, in a folder of any name."""
    folder = small(tmp_path / "two ranks, 100 K")
    pin(folder, "run", "run.toml", ranks=2)
    for name in NAMES:
        assert text(folder, name) == text(whole, name), name
    assert (folder / "pin" / "prepared.dat").read_bytes() == (
        whole / "pin" / "prepared.dat").read_bytes()  # fmt: skip


def test_two_ranks_for_each_job(whole, tmp_path):
    """Other noise, the same physics; a number of ranks that cannot be shared is refused."""
    folder = small(tmp_path, potential={"ranks_per_job": 2})
    pin(folder, "run", "run.toml", ranks=2)
    jobs = [read_job(folder / "pin" / name) for name in NAMES]
    assert [job.status for job in jobs] == ["done"] * 3
    for job, name in zip(jobs, NAMES, strict=True):
        alone = read_job(whole / "pin" / name)
        assert job.n_frames == alone.n_frames
        assert job["volume_A3"].mean() == pytest.approx(alone["volume_A3"].mean(), rel=0.02)
    assert np.ptp(jobs[2]["lx_A"]) == 0
    assert "does not divide the 1 ranks" in pin(folder, "run", "run.toml", code=2)


def test_a_melt_of_other_composition(tmp_path):
    """For phase diagrams: its own liquid, and a box whose upper half alone has changed."""
    names = ("solid-0100.0K", "liquid-0100.0K-x0.800", "pinned-0100.0K-x0.800-0")
    liquid = {"fractions": [0.8]}
    folder = small(tmp_path, potential={"elements": ["Ar", "Kr"]}, liquid=liquid)
    script = (folder / "in.lj").read_text().replace("pair_coeff 1 1", "pair_coeff * *")
    (folder / "in.lj").write_text(script)
    listed = pin(folder, "run", "run.toml", "--list")
    assert all(name in listed for name in names) and listed.count("pinned") == 2
    for name in names:
        pin(folder, "run", "run.toml", "--only", name)
    solid, melt, pinned = (read_job(folder / "pin" / name) for name in names)
    assert solid.counts == {"Ar": 384, "Kr": 0} and solid.liquid_fraction is None
    assert melt.counts == {"Ar": 307, "Kr": 77} and melt.liquid_fraction == 0.8
    assert pinned.counts == {"Ar": 192 + 154, "Kr": 38} and pinned.liquid_fraction == 0.8
    data = (folder / "pin" / names[2] / "start.data").read_text()
    rows = [line.split() for line in data.split("Atoms")[1].splitlines()[1:] if line.strip()]
    kinds = {int(row[0]): int(row[1]) for row in rows}
    assert {kinds[k] for k in range(1, 193)} == {1}
    assert sum(kinds[k] == 2 for k in range(193, 385)) == 38


def start(folder, *arguments, ranks=1):
    return subprocess.Popen(
        command(ranks, *arguments),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for_block(path, block, process, seconds=120.0):
    """Until a job has so many blocks."""
    end = time.monotonic() + seconds
    while True:
        try:
            if json.loads(path.read_text())["block"] >= block:
                return
        except (OSError, ValueError):
            pass
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.01)


def test_killed_is_uninterrupted(whole, tmp_path):
    """kill -9 in a bulk run and in the production: a second start goes on, nothing is different."""
    folder = small(tmp_path)
    for name, block in ((NAMES[1], 4), (NAMES[2], 5)):
        process = start(folder, "run", "run.toml")
        try:
            wait_for_block(folder / "pin" / name / "checkpoint.json", block, process)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    path = folder / "pin" / NAMES[2] / "series.dat"
    with open(path, "a") as stream:
        stream.write("400.0 1.0 2.0")  # of a block that was not finished
    pin(folder, "run", "run.toml")
    for name in NAMES:
        assert text(folder, name) == text(whole, name), name
    before = {name: (folder / "pin" / name / "job.json").stat().st_mtime_ns for name in NAMES}
    pin(folder, "run", "run.toml")  # nothing is left to do
    after = {name: (folder / "pin" / name / "job.json").stat().st_mtime_ns for name in NAMES}
    assert before == after


def test_a_killed_rank_ends_all(tmp_path):
    """One of two ranks dies: so does the job, and it goes on from where it was."""
    from remd_ranks import ranks_of

    folder = small(tmp_path, run={"production_steps": 30000})
    process = start(folder, "run", "run.toml", ranks=2)
    try:
        wait_for_block(folder / "pin" / NAMES[0] / "checkpoint.json", 2, process)
        os.kill(ranks_of(process.pid)[-1], signal.SIGKILL)
        process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode != 0
    assert "solid-0100.0K" in pin(folder, "run", "run.toml", "--list")


def test_a_signal_leaves_a_checkpoint(tmp_path):
    """SIGTERM: code 3 with whole rows; a limit of no time at all as well."""
    folder = small(tmp_path, run={"production_steps": 200000, "block_steps": 200000})
    process = start(folder, "run", "run.toml")
    path = folder / "pin" / NAMES[2] / "checkpoint.json"
    try:
        wait_for_block(path, 4, process)  # in the production, whose only block is long
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        output = process.communicate(timeout=60)[0]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 3 and "go on with `quorum pin run run.toml`" in output, output
    job = read_job(folder / "pin" / NAMES[2])
    asked = json.loads(path.read_text())
    assert job.status == "running" and job.n_frames == asked["done"] / 10 > 0
    toml = (folder / "run.toml").read_text()
    (folder / "run.toml").write_text(toml + '[output]\ntime_limit = "0:00:00"\n')
    pin(folder, "run", "run.toml", code=3)
    assert read_job(folder / "pin" / NAMES[2]).n_frames == job.n_frames + 1


def test_jobs_by_themselves(whole, tmp_path):
    """--list, --only by name and by number, in an order in which they can run; --check, --plan."""
    folder = small(tmp_path)
    said = pin(folder, "run", "run.toml", "--only", NAMES[2], code=2)
    assert f"needs {NAMES[0]}, which is new; run it first" in said
    assert "there is no job" in pin(folder, "run", "run.toml", "--only", "solid", code=2)
    lines = pin(folder, "run", "run.toml", "--list").splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [
        ["0", NAMES[1], "new"], ["1", NAMES[0], "new"], ["2", NAMES[2], "new"],
    ]  # fmt: skip
    for number in ("0", "1"):
        pin(folder, "run", "run.toml", "--job", number)
    for name in NAMES[:2]:
        assert text(folder, name) == text(whole, name)
    assert "done" in pin(folder, "run", "run.toml", "--list").splitlines()[1]
    plan = pin(folder, "prepare", "run.toml", "--plan")
    assert "384 Ar" in plan and "rhok 8 0 0" in plan and "ms per step" in plan
    shutil.rmtree(folder / "pin" / NAMES[1])
    pin(folder, "prepare", "run.toml", "--check")
    assert not (folder / "pin" / NAMES[1]).exists()


def test_damaged_and_unwritable(whole, tmp_path):
    """Sentences that say what to do; nothing is lost."""
    folder = small(tmp_path, output={"folder": "in.lj/pin"})
    assert "cannot be made" in pin(folder, "run", "run.toml", code=2)
    small(tmp_path)
    shutil.copytree(whole / "pin", tmp_path / "pin")
    job = tmp_path / "pin" / NAMES[0]
    content = json.loads((job / "job.json").read_text())
    (job / "job.json").write_text(json.dumps(content | {"status": "running"}))
    state = next(job.glob("state-*.restart"))
    state.write_bytes(state.read_bytes()[:-100])
    said = pin(tmp_path, "run", "run.toml", code=2)
    assert f"{state.name}: is not what it was at the checkpoint" in said


def test_longer_and_other(whole, tmp_path):
    """More steps continue what is there; another pressure or potential is another run."""
    folder = small(tmp_path)
    shutil.copytree(whole / "pin", tmp_path / "pin")
    small(tmp_path, run={"production_steps": 600})
    pin(folder, "run", "run.toml")
    longer = series(folder / "pin" / NAMES[2])
    np.testing.assert_allclose(longer["time_fs"], 100.0 * np.arange(1, 61))
    assert text(folder, NAMES[2]).startswith(text(whole, NAMES[2]))
    assert text(folder, NAMES[0]) == text(whole, NAMES[0])
    for tables, what in (
        ({"state": {"pressure_GPa": 0.5}}, "pressure_GPa"),
        ({"pin": {"kappa_eV": 0.05}}, "kappa_eV"),
        ({"run": {"interval_steps": 20}}, "interval_steps"),
    ):
        small(tmp_path, **tables)
        assert f"was run with {what}" in pin(folder, "run", "run.toml", code=2)
    small(tmp_path)
    (folder / "in.lj").write_text((folder / "in.lj").read_text() + "# another\n")
    assert "was run with potential" in pin(folder, "run", "run.toml", code=2)


WATCHED = """
import json, sys
import quorum_md.pinning.tasks as tasks

seen = {}

def refusals(pinned, solid, liquid, melts):
    ours = [one.liquid_fraction for one in melts if one.temperature_K == pinned.temperature_K]
    seen[pinned.name] = [solid.name, liquid.name, len(melts), sorted(x or 1.0 for x in ours)]
    return []

tasks.refusals = refusals
from mpi4py import MPI
from quorum_md.pinning import run
code = run("run.toml", MPI.COMM_WORLD)
print(json.dumps(seen))
sys.exit(code)
"""


def test_melts_where_they_melt(tmp_path):
    """Temperatures of their own for the pinned runs; bulk melts everywhere, as each pinned run in
    another melt is judged by all melts of its temperature."""
    short = {"production_steps": 100, "equilibration_steps": 20, "bulk_steps": 100,
             "bulk_equilibration_steps": 50, "melt_steps": 50, "block_steps": 100}  # fmt: skip
    folder = small(
        tmp_path, potential={"elements": ["Ar", "Kr"]}, run=short,
        liquid={"fractions": [0.8, 0.6], "temperatures_K": [[90.0, KELVIN], [90.0]]},
    )  # fmt: skip
    script = (folder / "in.lj").read_text().replace("pair_coeff 1 1", "pair_coeff * *")
    (folder / "in.lj").write_text(script)
    said = pin(folder, "prepare", "run.toml", "--plan")
    assert "melts      0.8: 90 100 K\nmelts      0.6: 90 K\n" in said and "8 bulk, 4 pinned" in said
    done = subprocess.run(
        [sys.executable, "-c", WATCHED], cwd=folder, env=environment(),
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    every = [0.6, 0.8, 1.0]
    assert json.loads(done.stdout.splitlines()[-1]) == {
        NAMES[2]: [NAMES[0], NAMES[1], 0, []],
        "pinned-0090.0K-x0.800-0": ["solid-0090.0K", "liquid-0090.0K-x0.800", 3, every],
        "pinned-0090.0K-x0.600-0": ["solid-0090.0K", "liquid-0090.0K-x0.600", 3, every],
        "pinned-0100.0K-x0.800-0": [NAMES[0], "liquid-0100.0K-x0.800", 3, every],
    }


REFUSE_ONCE = """
import sys
import quorum_md.pinning.tasks as tasks
from quorum_md.pinning.refusals import Refusal

def refuse(pinned, solid, liquid, melts):
    return [Refusal("froze", "the box froze at 7 ps")] if pinned.attempt < 1 else []

tasks.refusals = refuse
from mpi4py import MPI
from quorum_md.pinning import run
sys.exit(run("run.toml", MPI.COMM_WORLD, report=lambda news: print(news.text)))
"""


def test_a_refused_run_starts_again(whole, tmp_path):
    """From the molten half with other noise; what was refused is kept, with the reason."""
    folder = small(tmp_path, run={"attempts": 3})
    shutil.copytree(whole / "pin", tmp_path / "pin")
    shutil.rmtree(tmp_path / "pin" / NAMES[2])
    done = subprocess.run(
        [sys.executable, "-c", REFUSE_ONCE], cwd=folder, env=environment(),
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the box froze at 7 ps" in done.stdout and "starts again" in done.stdout
    job = tmp_path / "pin" / NAMES[2]
    content = json.loads((job / "job.json").read_text())
    assert content["status"] == "done" and content["attempt"] == 1
    assert content["refused"][0]["kinds"] == ["froze"]
    first = read_job(job / "refused-0")
    assert first.status == "failed" and "froze" in first.reason and first.n_frames == 40
    assert (job / "refused-0" / "series.dat").read_bytes() == text(whole, NAMES[2])
    again = read_job(job)
    assert again.n_frames == 40 and abs(again["q"][0] - first["q"][0]) > 1e-6
