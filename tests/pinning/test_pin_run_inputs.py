"""The inputs to copy run as they are, also by the job scripts, submitted again."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lammps_tools import BIN
from lammps_tools import environment as with_plugin
from pin_tools import pin
from quorum_md.pinning.jobs_on_disk import read_jobs
from quorum_md.pinning.run_input import read_pin

INPUTS = Path(__file__).parents[2] / "inputs"
SHORT = [
    ("repeats = [4, 4, 12]", "repeats = [4, 4, 6]"),
    ("[92.2, 95.8, 99.4]", "[95.8]"),
    ("production_steps = 30000", "production_steps = 400"),
    ("bulk_steps = 8000", "bulk_steps = 400"),
    ("melt_steps = 1000", "melt_steps = 200"),
    ("# melt_K = 200", "melt_K = 300"),
    ("interval_steps = 20", "interval_steps = 10"),
    ("attempts = 3", "attempts = 1"),
]


@pytest.fixture
def folder(tmp_path):
    for name in ("pin.toml", "in.pin", "plumed.dat"):
        shutil.copy(INPUTS / "runs" / name, tmp_path)
    for name in ("pin.sh", "pin_array.sh"):
        shutil.copy(INPUTS / "slurm" / name, tmp_path)
    return tmp_path


def change(path, *pairs):
    text = path.read_text()
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    path.write_text(text)


def test_as_it_is(folder):
    said = pin(folder, "prepare", "pin.toml", "--check")
    assert "768 atoms" in said and "9: 6 bulk, 3 pinned" in said
    # every key that is commented out is a key
    text = (folder / "pin.toml").read_text()
    before = read_pin(str(folder / "pin.toml")).settings
    others = ('atom_style = "charge"', 'backend = "plumed"', 'time_limit = "23:50:00"')
    for line in ("equilibration_steps = 6000", "block_steps = 3000", *others):
        assert f"# {line}" in text
        change(folder / "pin.toml", (f"# {line}", line))
    after = read_pin(str(folder / "pin.toml")).settings
    # and what they say is the default
    assert after.potential.atom_style == "charge" and after.order_parameter.backend == "plumed"
    assert after.run == before.run and after.output.time_limit_s == 85800
    uncommented = [("# [pin]", "[pin]"), ("# kappa_eV", "kappa_eV"), ("# center", "center")]
    change(folder / "pin.toml", *uncommented)
    assert read_pin(str(folder / "pin.toml")).settings.pin.center == 380.0


def test_job_scripts(folder):
    """An array job for a bulk run; then all jobs, stopped by the limit, and the rest."""
    change(folder / "pin.toml", *SHORT)
    change(folder / "plumed.dat", ("1-768", "1-384"))
    scripts = with_plugin() | {"SLURM_NTASKS": "1", "PATH": f"{BIN}:{os.environ['PATH']}"}

    def job(script, **more):
        done = subprocess.run(
            ["bash", script],
            cwd=folder,
            env=scripts | more,
            capture_output=True,
            text=True,
            timeout=240,
        )
        return done.returncode, done.stdout + done.stderr

    code, output = job("pin_array.sh", SLURM_ARRAY_TASK_ID="1")
    assert code == 0, output
    assert [one.name for one in read_jobs(folder / "pin")] == ["solid-0095.8K"]
    change(folder / "pin.toml", ('# time_limit = "23:50:00"', 'time_limit = "0:00:00"'))
    code, output = job("pin.sh", SLURM_NTASKS="2")
    assert code == 3 and "ended with code 3" in output, output
    change(folder / "pin.toml", ("0:00:00", "1:00:00"))
    code, output = job("pin.sh", SLURM_NTASKS="2")
    assert code == 0 and "cv.morethan" in output, output
    jobs = read_jobs(folder / "pin")
    assert [one.status for one in jobs] == ["done"] * 3 and jobs[1].n_frames == 40
    solid, liquid = jobs[2]["q"].mean(), jobs[0]["q"].mean()
    assert solid > 330 > 120 > liquid
    assert abs(jobs[1]["q"].mean() - jobs[1].center) < 30
