"""Seeds that scatter by more than their errors: what all of them together say about each."""

import shutil

import numpy as np
import pytest
from two_phase_data import Model, bulk_job, pinned_job, write

from quorum_md.averages.melting import excess_scatter
from quorum_md.pinning.analysis import analyse
from quorum_md.pinning.bulk import bulk
from quorum_md.pinning.points import Point, point, scattered
from quorum_md.pinning.refusals import Limits
from quorum_md.pinning.seeds import scatter, widened

ERROR, VALUES = 4e-3, 14  # of a run, and independent values that its own estimate is from


def drawn(rng, times, seeds=2):
    """Ten points as `point` makes them; runs scatter by `times` their errors."""
    points = []
    for number in range(10):
        mu = ERROR * times * rng.normal(size=seeds)
        # runs know their errors to a fifth
        own = ERROR * np.sqrt(rng.chisquare(VALUES - 1, size=seeds) / (VALUES - 1))
        chi2 = float((((mu - mu.mean()) / own) ** 2).sum())
        alone = excess_scatter(chi2, seeds - 1)
        error = float(np.sqrt((own**2).sum())) / seeds * alone
        points.append(
            Point(1700.0 + number, None, 0.5, float(mu.mean()), error, [], [], [], scatter=alone,
                  seeds_chi2=chi2, seeds_freedom=seeds - 1)
        )  # fmt: skip
    return points


@pytest.mark.parametrize(
    ("times", "seeds", "before", "after"),
    # a test that decides by chance leaves some as they are: 1.2 with one degree of freedom a point
    [(1.0, 2, 0.9, 1.1), (2.0, 3, 1.5, 1.1), (2.0, 2, 1.7, 1.3), (3.0, 2, 2.2, 1.25)],
)
def test_errors_of_runs_slower_than_they_show(times, seeds, before, after):
    """Δμ over its claimed error (exact: 0): right with all seeds together, too small with those of
    each point alone."""
    rng = np.random.default_rng(3)
    alone, z, factors = [], [], []
    for _ in range(200):
        points = drawn(rng, times, seeds)
        found = scatter(points)
        factors.append(found.factor)
        alone += [p.delta_mu_eV / p.error_eV for p in points]
        z += [p.delta_mu_eV / p.error_eV for p in (widened(p, found) for p in points)]
    assert 0.9 < np.std(z) < after and np.std(alone) > before
    assert np.mean(factors) == pytest.approx(times, rel=0.1)
    if times == 1.0:
        assert np.mean(np.array(factors) > 1) < 0.06


def test_one_point_that_disagrees():
    """Is its own affair: the others keep their errors."""
    points = drawn(np.random.default_rng(5), 1.0)
    bad = points[3]
    points[3] = Point(
        bad.temperature_K, None, 0.5, 0.0, 10 * ERROR, [], [], [], scatter=10.0,
        seeds_chi2=100.0, seeds_freedom=1,
    )  # fmt: skip
    found = scatter(points)
    assert found.factor == 1 and found.freedom == 9
    assert [widened(p, found) for p in points] == points
    assert "the 2 runs scatter by 10.0 times" in scattered(points[3])


def test_what_is_said():
    """One sentence, in place of that about the point's own seeds."""
    points = drawn(np.random.default_rng(6), 3.0)
    own = next(k for k, p in enumerate(points) if p.scatter > 1)
    p = points[own]
    points[own] = p = Point(
        p.temperature_K, None, 0.5, p.delta_mu_eV, p.error_eV, [], [], [], scatter=p.scatter,
        seeds_chi2=p.seeds_chi2, seeds_freedom=1, verdict="doubtful",
        reasons=["something else", scattered(p)],
    )  # fmt: skip
    found = scatter(points)
    one = widened(p, found)
    assert one.scatter == found.factor > 1 and one.verdict == "doubtful"
    assert one.error_eV / one.scatter == pytest.approx(p.error_eV / p.scatter)
    assert one.reasons[0] == "something else" and len(one.reasons) == 2
    assert "taken together (χ² = " in one.reasons[1] and "for 10 degrees" in one.reasons[1]
    assert scatter([]).factor == 1


def test_a_folder(tmp_path):
    """Two seeds at each of six temperatures, 2.2 errors to either side: no point is beyond chance,
    all are."""
    model = Model(tau=4.0)
    kelvin = 980.0 + 8 * np.arange(6)
    own = 2.2 * one_error(model, kelvin[0])
    for T in kelvin:
        for kind in ("solid", "liquid"):
            write(bulk_job(model, kind, T, 0), tmp_path)
        for number, sign in enumerate((-1, 1)):
            mu = model.delta_mu(T) + sign * own / 2**0.5
            write(pinned_job(model, T, 0, n=2000, number=number, delta_mu=mu), tmp_path)
    report = analyse(tmp_path, discard=0)
    points = report.branches[0].points
    assert len({p.scatter for p in points}) == 1 and 1.5 < points[0].scatter < 3
    assert all(p.seeds_freedom == 1 and "taken together" in p.reasons[-1] for p in points)
    assert report.melting.verdict == "doubtful"
    few = analyse_two(tmp_path, kelvin[2:])
    assert [p.scatter for p in few.branches[0].points] == [1.0, 1.0]


def one_error(model, T):
    jobs = [bulk(bulk_job(model, kind, T, 0), 0) for kind in ("solid", "liquid")]
    run = pinned_job(model, T, 0, n=2000)
    return point([run], *jobs, [jobs[1]], discard=0, limits=Limits()).error_eV


def analyse_two(folder, left_out):
    """The same without the runs of most temperatures."""
    for T in left_out:
        for path in folder.glob(f"*{T:06.1f}K*"):
            shutil.rmtree(path)
    return analyse(folder, discard=0)
