"""The inputs to copy run as they are, also by the job scripts, submitted again and again."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest

from lammps_tools import BIN, environment
from quorum_md.averages.records import read_records
from quorum_md.engines.remd_input import read_remd
from remd_tools import change, remd, rows
from toy_models import LocalAlloy, export

INPUTS = Path(__file__).parents[2] / "inputs"


@pytest.fixture
def folder(tmp_path):
    for name in ("run.toml", "in.structure", "in.remd"):
        shutil.copy(INPUTS / "runs" / name, tmp_path)
    for name in ("remd.sh", "chain.sh"):
        shutil.copy(INPUTS / "slurm" / name, tmp_path)
    for old, new in [
        ("n = 6 ", "n = 2 "),
        ("attempts = 1000", "attempts = 4"),
        ("every = 100", "every = 2"),
        ("trajectory = 10", "trajectory = 2"),
        ("trials = 100", "trials = 10"),
        ("steps = 20", "steps = 10"),
    ]:
        change(tmp_path, old, new)
    return tmp_path


def test_a_chain_of_jobs(folder):
    """The first job has time for a part; the second does the rest; a third finds nothing to do."""
    scripts = environment() | {"SLURM_NTASKS": "2", "PATH": f"{BIN}:{os.environ['PATH']}"}

    def job():
        done = subprocess.run(
            ["bash", "remd.sh"],
            cwd=folder,
            env=scripts,
            capture_output=True,
            text=True,
            timeout=180,
        )
        return done.returncode, done.stdout + done.stderr

    change(folder, '# time_limit = "23:50:00"', 'time_limit = "0:00:00"')
    code, output = job()
    assert code == 3 and "ended with code 3" in output, output
    change(folder, 'time_limit = "0:00:00"', 'time_limit = "1:00:00"')
    code, output = job()
    assert code == 0 and "# 4 attempts of 4" in output, output
    found = rows(folder)
    assert (found["attempt"] == [1, 2, 3, 4]).all()
    assert (found["columns"][:, :, 0] == 10 * found["attempt"][:, None]).all()
    assert job()[0] == 0
    np.testing.assert_array_equal(found, rows(folder))
    runs = read_records(folder / "remd" / "records.h5")
    assert runs[0].energies_eV.shape == (4, 32) and runs[1].temperature_K == 1200


def test_job_scripts():
    """They are scripts of bash, and every line of theirs is explained."""
    for path in (INPUTS / "slurm").glob("*.sh"):
        subprocess.run(["bash", "-n", str(path)], check=True)
        for line in path.read_text().splitlines():
            if re.match(r"#SBATCH|export", line) and "job-name=remd-" not in line:
                assert re.search(r"\s# |#.* # ", line) or line.count("#") > 1, (path, line)


def test_a_soup_of_all_elements(tmp_path):
    """102 elements, with a small model in place of the large one; the starts have one volume, and
    every element once."""
    folder = shutil.copytree(INPUTS / "runs" / "soup", tmp_path / "soup")
    done = subprocess.run(
        [sys.executable, "soup.py"], cwd=folder, env=environment(), capture_output=True, text=True
    )
    assert done.stdout.startswith("16 files of 102 atoms, 25.00"), done.stderr
    pairs = LocalAlloy(4.5, [0.1, 0.05, 0.1, 0.02, 0.01], 2, [0.9, 1.0, 1.1], "")
    numbers = list(range(1, 103))
    export(pairs.double(), folder / "toy.pt", numbers, 4.5)
    change(folder, '"pet-mad.pt", device = "cuda"', '"toy.pt", device = "cpu"')
    states = read_remd(str(folder / "run.toml")).settings.states.states
    kelvin = [one.temperature_K for one in states]
    assert len(kelvin) == 16 and kelvin[0] == 300 and kelvin[15] == pytest.approx(3000)
    assert np.divide(kelvin[1:], kelvin[:-1]) == pytest.approx(10 ** (1 / 15))
    assert "16 states, 200000 attempts" in remd(folder, 1, "--check")
    for old, new in [
        ("n = 16", "n = 3"),
        ("= 200000", "= 2"),
        ("trajectory = 100", "trajectory = 1"),
    ]:
        change(folder, old, new)
    remd(folder, 1)
    found = rows(folder)
    assert found["members_eV"].shape == (2, 3, 3) and np.ptp(found["volume_A3"]) < 1e-3
    assert (found["columns"][1, :, 1] == 1).all()  # trials
    frames = [
        ase.io.read(folder / "remd" / "trajectories" / f"state-{s:03d}.extxyz") for s in range(3)
    ]
    assert all(sorted(frame.numbers) == numbers for frame in frames)
    assert np.abs(frames[0].positions[0] - frames[1].positions[0]).max() > 0.1
