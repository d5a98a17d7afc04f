"""What a job does when it is started again: by its checkpoint, and only with what it was begun."""

import json

import pytest

from pin_tools import read
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
