"""What a job does when it is started again: by its checkpoint, and only with what it was begun."""

import json

import pytest

from pin_tools import LJ, PLUMED, read
from quorum_md.errors import QuorumError
from quorum_md.pinning.job_folder import Checkpoint, JobFolder
from quorum_md.pinning.planned import Planned
from quorum_md.pinning.ready import make_ready
from quorum_md.pinning.tasks import Tasks

JOB = Planned("solid", 90.0)


class OneRank:
    rank, size = 0, 1

    def bcast(self, x):
        return x


def tasks_of(folder, script=None, **tables):
    file = read(folder, **{"box": {"repeats": [3, 3, 4]}} | tables)
    if script:
        (folder / "in.lj").write_text(script)
    return Tasks(make_ready(file), OneRank(), lambda _: False, lambda _: None)


def left(tasks, status="done", steps=100, rows=10):
    """The folder of a job that has ended, with so many rows."""
    folder = JobFolder(tasks.file.folder, JOB)
    folder.make()
    folder.write({**tasks._fixed(JOB), "status": status, "steps": steps})
    (folder.path / "state-000009.restart").write_text("state")
    at = Checkpoint(stage=2, block=9, state="state-000009.restart")
    folder.finish_block(at, [f"{k} 1.0\n" for k in range(rows)], "# head\n# time_fs q\n")
    return folder


@pytest.mark.parametrize(("status", "steps"), [("done", 100), ("running", 500), ("failed", 500)])
def test_an_extension_is_done_whatever_became_of_its_beginning(status, steps, tmp_path):
    """Killed or failed in its first block: job.json has the steps asked for, which are not done."""
    folder = left(tasks_of(tmp_path), status, steps)
    longer = tasks_of(tmp_path, run={"bulk_steps": 500})
    assert longer._look(folder)[0] == "running"
    at = longer._look(folder)[1]
    assert (at.stage, at.done, at.state) == (1, 100, "state-000009.restart")
    status_now, at = tasks_of(tmp_path)._look(folder)  # not longer: nothing is left but to judge
    assert (status_now, at.stage) == (status, 2)
    assert json.loads((folder.path / "checkpoint.json").read_text())["stage"] == 2


def refused(folder, tasks):
    with pytest.raises(QuorumError, match="was run with") as error:
        tasks._look(folder)
    return str(error.value)


def test_another_crystal_in_the_same_folder(tmp_path):
    """As many atoms of the same kinds elsewhere; a lattice constant is only a guess."""
    kinds = {"potential": {"elements": ["Ar", "Kr"]}}
    alloy = {"composition": {"Ar": 0.5, "Kr": 0.5}}
    folder = left(tasks_of(tmp_path, crystal=alloy, **kinds))
    assert tasks_of(tmp_path, crystal=alloy | {"lattice_A": 5.5}, **kinds)._look(folder)
    other = {"composition": {"Ar": 0.9, "Kr": 0.1}}
    said = refused(folder, tasks_of(tmp_path, crystal=other, **kinds))
    assert "was run with crystal fcc Ar, interface (100)" in said
    shuffled = tasks_of(tmp_path, crystal=alloy, run={"seeds": [2]}, **kinds)
    assert "was run with crystal" in refused(folder, shuffled)


def test_another_potential_under_the_same_name(tmp_path):
    """In a file that the script includes, or that its commands name."""
    script = "include pair.inc\npair_modify tail no table model.pt\n" + LJ
    (tmp_path / "pair.inc").write_text("pair_style zero 5.0\n")
    (tmp_path / "model.pt").write_bytes(b"weights")
    folder = left(tasks_of(tmp_path, script))
    assert tasks_of(tmp_path, script)._look(folder)[0] == "done"
    (tmp_path / "model.pt").write_bytes(b"others")
    assert "potential_files" in refused(folder, tasks_of(tmp_path, script))
    (tmp_path / "model.pt").write_bytes(b"weights")
    (tmp_path / "pair.inc").write_text("pair_style zero 6.0\n")
    assert "potential_files" in refused(folder, tasks_of(tmp_path, script))


def test_another_time_step_of_i_pi(tmp_path):
    (tmp_path / "ar.pt").write_bytes(b"weights")
    ipi = {"engine": "i-pi", "model": "ar.pt", "script": None, "timestep_fs": 2.0}
    folder = left(tasks_of(tmp_path, potential=ipi))
    assert "timestep_fs 2.0" in refused(folder, tasks_of(tmp_path, potential=ipi | {
        "timestep_fs": 4.0}))  # fmt: skip


def test_another_order_parameter_under_the_same_name(tmp_path):
    """Spaces, comments and what is printed do not matter."""
    order = {"order_parameter": {"plumed": "plumed.dat"}}
    path, good = tmp_path / "plumed.dat", PLUMED.replace("1-500", "1-144")
    path.write_text(good)
    folder = left(tasks_of(tmp_path, **order))
    path.write_text("# the same\n" + good + "PRINT ARG=cv.mean FILE=COLVAR\n")
    assert tasks_of(tmp_path, **order)._look(folder)[0] == "done"
    path.write_text(good.replace("ALPHA=27", "ALPHA=9"))
    assert "was run with plumed" in refused(folder, tasks_of(tmp_path, **order))
