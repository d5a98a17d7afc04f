"""The inputs to copy run as they are, also by the job scripts, submitted again and again."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lammps_tools import BIN, environment
from quorum_md.averages.records import read_records
from remd_tools import change, rows

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
