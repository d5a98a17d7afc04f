"""`temperatures_K = "find"`: next temperatures until the root is among them; jobs of each, once."""

import json

import pytest

from pin_tools import read
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
        monkeypatch.setattr(one, "_windows", lambda: None)
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
