"""`quorum pin run` with i-PI and a committee: bulk phases, half a melt, pinned."""

import numpy as np
import pytest

from pin_tools import EPSILON_EV, SIGMA_A, pin, write_run
from quorum_md.pinning.jobs_on_disk import read_job

NAMES = ("solid-0100.0K", "liquid-0100.0K", "pinned-0100.0K-0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from toy_models import LennardJones, export

    folder = tmp_path_factory.mktemp("ipi")
    module = LennardJones(SIGMA_A, EPSILON_EV, 2.5 * SIGMA_A, [0.985, 1.015])
    export(module, folder / "ar.pt", [18], 2.5 * SIGMA_A)
    potential = {"engine": "i-pi", "model": "ar.pt", "script": None, "timestep_fs": 10.0}
    run = {
        "production_steps": 200, "equilibration_steps": 60, "bulk_steps": 160,
        "bulk_equilibration_steps": 100, "melt_steps": 80, "melt_K": 500.0,
        "interval_steps": 10, "block_steps": 80, "attempts": 1, "thermostat_steps": 20,
    }  # fmt: skip
    state = {"temperatures_K": [100.0]}
    write_run(folder, potential=potential, run=run, state=state, box={"repeats": [3, 3, 5]})
    return folder


def test_a_run_with_i_pi(folder):
    """All jobs, with the members of each row."""
    pin(folder, "run", "run.toml")
    assert pin(folder, "run", "run.toml", "--list").count(" done ") == 3
    solid, liquid, pinned = (read_job(folder / "pin" / name) for name in NAMES)
    for job in (solid, liquid, pinned):
        assert job.n_members == 2 and job.engine == "i-pi" and job.interval_fs == 100.0
        np.testing.assert_allclose(job.members_eV.mean(axis=1), job["potential_eV"], rtol=1e-6)
    assert np.ptp(pinned["lx_A"]) == 0 < np.ptp(pinned["lz_A"])
    assert np.ptp(solid["lx_A"]) > 0
    np.testing.assert_allclose(solid["lz_A"] / solid["lx_A"], 5 / 3, rtol=1e-6)
    assert solid["q"].mean() > 2 * liquid["q"].mean()
    assert abs(pinned["q"][10:].mean() - pinned.center) < 0.2 * pinned.center
