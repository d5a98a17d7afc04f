"""`temperatures_K = "find"`: next temperatures until the root is among them; jobs of each, once."""

import json

import pytest

from pin_tools import read
from quorum_md.errors import QuorumError
from quorum_md.pinning import workflow
from quorum_md.pinning.ready import make_ready


class World:
    """One rank."""

    rank, size = 0, 1

    def allreduce(self, x):
        return x

    def bcast(self, x):
        return x

    def Barrier(self):
        pass


@pytest.fixture
def found(tmp_path, monkeypatch):
    """Runs a search whose jobs are done at once and whose analysis knows the melting point."""

    def search(melting_K, most_K=5.0, **state):
        state = {"temperatures_K": "find", "guess_K": 100.0, "spread": 0.02} | state
        file = read(tmp_path, state=state)
        file.folder.mkdir(exist_ok=True)
        done, said = [], []

        class Report:
            def next_temperature_K(self):
                known = workflow.temperatures(file)
                near = min(known, key=lambda t: abs(t - melting_K))
                return max(near - most_K, min(near + most_K, melting_K))

        monkeypatch.setattr("quorum_md.pinning.analysis.analyse", lambda _: Report())
        one = workflow.Workflow(make_ready(file), World(), lambda news: said.append(news.text))
        monkeypatch.setattr(one.tasks, "run", lambda job: done.append(job.name) or True)
        monkeypatch.setattr(one, "_windows", lambda: [])
        assert one.run() == 0
        return workflow.temperatures(file), done, said

    return search


def test_the_root_is_enclosed(found):
    """From below: one step towards it, one onto it, and there it ends."""
    known, done, said = found(106.0)
    assert known == (98.0, 102.0, 106.0)
    assert sum(name == "pinned-0106.0K-0" for name in done) == 1
    assert said == ["next temperature 106 K"]
    assert done.index("solid-0106.0K") < done.index("pinned-0106.0K-0")


def test_far_from_the_guess(found):
    known, _, said = found(90.0, at_most=8)
    assert known == (90.0, 93.0, 98.0, 102.0)
    assert [text.split()[2] for text in said] == ["93", "90"]


def test_an_end_to_the_search(found, tmp_path):
    """At most so many temperatures; what was chosen is kept for the next start."""
    known, _, said = found(300.0, at_most=4)
    assert len(known) == 4 and "at_most = 4" in said[-1]
    assert json.loads((tmp_path / "pin" / "temperatures.json").read_text()) == list(known)
    again, done, _ = found(300.0, at_most=5)
    assert len(again) == 5 and set(known) < set(again)
    assert "pinned-0112.0K-0" in done


def test_near_enough(found):
    """A root between two temperatures is run once; one that is within the tolerance is not."""
    assert found(100.0)[0] == (98.0, 100.0, 102.0)


def test_within_the_tolerance(found):
    assert found(101.0, tolerance_K=1.5)[0] == (98.0, 102.0)


def workflow_of(folder, world=None, **tables):
    file = read(folder, **tables)
    file.folder.mkdir(exist_ok=True)
    said = []
    one = workflow.Workflow(make_ready(file), world or World(), lambda news: said.append(news.text))
    return one, said


def test_another_guess(found, tmp_path):
    """Is not passed over in silence where temperatures of the old one are on disk."""
    found(106.0)
    state = {"temperatures_K": "find", "guess_K": 70.0}
    file = read(tmp_path, state=state)
    with pytest.raises(QuorumError, match=r"guess_K: got 70, but .*temperatures.json has 98 102"):
        workflow.temperatures(file)


def test_one_job_is_for_all_ranks(tmp_path):
    """Or each group of them would run it; numbers of a search change."""

    class Two(World):
        size = 2

        def Split(self, color, key):
            return World()

    one, _ = workflow_of(tmp_path, Two())
    with pytest.raises(QuorumError, match="got 1 of the 2 ranks of this job, expected all"):
        one.only("solid-0090.0K")
    one, _ = workflow_of(tmp_path, state={"temperatures_K": "find", "guess_K": 100.0})
    with pytest.raises(QuorumError, match=r'pin: 1: with temperatures_K = "find" numbers change'):
        one.only("1")


@pytest.mark.parametrize("bad", [{90.0}, {90.0, 100.0}])
def test_a_temperature_that_will_not_do(bad, tmp_path, monkeypatch):
    """Is left out, with the reason; the others go on. Where all are, it is an error."""
    one, said = workflow_of(
        tmp_path, state={"temperatures_K": [90.0, 100.0]}, run={"seeds": [1, 2]}
    )
    done = []

    class Row:
        def row(self):
            return "a row"

    def window(job, bulk):
        if job.temperature_K in bad:
            raise QuorumError(f"both bulk runs are in one phase at {job.temperature_K:g} K")
        return Row()

    monkeypatch.setattr(one.tasks, "run", lambda job: done.append(job.name) or True)
    monkeypatch.setattr(one.tasks, "bulk", lambda job: [])
    monkeypatch.setattr(one.tasks, "window", window)
    if len(bad) == 2:
        with pytest.raises(QuorumError, match="in one phase at 90 K"):
            one.run()
        return
    assert one.run() == 0
    assert [name for name in done if "pinned" in name] == ["pinned-0100.0K-0", "pinned-0100.0K-1"]
    assert "# left out: pinned-0090.0K-0: both bulk runs are in one phase" in said[0]
    assert (tmp_path / "pin" / "prepared.dat").read_text() == said[0]
