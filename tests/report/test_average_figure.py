"""Figures of averages by what is in them: numbers of the artists, units, words."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quorum_md.averages import bias_weights, known_weights
from quorum_md.averages.observables import Axis
from quorum_md.averages.readers import Request, read_run
from quorum_md.averages.run import HEAT_CAPACITY, Observable
from quorum_md.report.average_figure import draw, figure
from quorum_md.report.labels import label

sys.path.insert(0, str(Path(__file__).parents[1] / "averages"))
from ipi_like import harmonic_run, write_run

RUN = harmonic_run(4000)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    out, committee = write_run(folder, RUN)
    read = read_run(Request(files=(out,), committee=(committee,), input_path=folder / "input.xml"))
    return replace(read, pressure_bar=None, constant_volume=True)


def rows(fig):
    """Axes by row: running average, influence, effective samples, σ(h)."""
    return [fig.axes[:3] + fig.axes[-1:]] if len(fig.axes) == 4 else fig.axes


def line(ax, name):
    (found,) = [one for one in ax.lines if one.get_label() == name]
    return found


def band(ax, name):
    """Lower and upper edge of a filled band at its points, by x."""
    (found,) = [one for one in ax.collections if one.get_label() == name]
    vertices = found.get_paths()[0].vertices
    x = np.unique(vertices[:, 0])
    low = np.array([vertices[vertices[:, 0] == one, 1].min() for one in x])
    high = np.array([vertices[vertices[:, 0] == one, 1].max() for one in x])
    return x, low, high


def test_a_scalar(run):
    observable, result = run.observable("volume"), run.reweight("volume")
    running, influence, left, sigma = figure(run, [(observable, result)]).axes
    assert running.get_ylabel() == "volume / Å³" and "step" in running.get_xlabel()
    assert result.verdict in running.get_title() and "(model) Å³" in running.get_title()
    mean = line(running, "mean")
    assert len(mean.get_xdata()) == 60 and mean.get_xdata()[-1] == run.steps[-1]
    # the middle of the run is the average of its first half
    half = run.part(np.arange(200)).average(replace(observable, values=observable.values[:200]))
    k = 29
    assert mean.get_xdata()[k] == run.steps[199]
    assert mean.get_ydata()[k] == pytest.approx(half.mean, rel=1e-12)
    for name, error in (("± sampling", "statistical_error"), ("± model", "model_error")):
        x, low, high = band(running, name)
        assert (high - low)[-1] / 2 == pytest.approx(getattr(result, error), rel=1e-9)
        at = list(x).index(run.steps[199])
        assert (high - low)[at] / 2 == pytest.approx(getattr(half, error), rel=1e-6)
    members = [one for one in running.lines if len(one.get_xdata()) == 60][:6]
    np.testing.assert_allclose([one.get_ydata()[-1] for one in members], result.members)
    low, high = running.get_ylim()
    assert low < result.members.min() and high > result.members.max()

    h = (RUN["energies"] - RUN["energies"].mean(axis=1, keepdims=True))[::10] / RUN["kT"]
    part = (run.observable("volume").values - 800)[:, None] * (h - h.mean(axis=0)) / 400
    expected = part.std(axis=1, ddof=1)
    (bars,) = influence.collections
    heights = np.array([segment[1, 1] for segment in bars.get_segments()])
    assert len(heights) == 400 and "every frame" in influence.get_legend_handles_labels()[1]
    np.testing.assert_allclose(heights, expected, atol=0.05 * expected.max())
    assert influence.get_ylabel() == "part in the spread / Å³"

    np.testing.assert_allclose(
        [bar.get_height() for bar in left.patches], np.sort(result.effective_samples)[::-1]
    )
    assert left.get_yscale() == "log" and "all 400 frames" in left.get_legend_handles_labels()[1]
    assert np.sort(sigma.lines[0].get_ydata()).tolist() == np.sort(result.sigma_h).tolist()
    # in shades of grey, the model's band is light and the sampling's dark
    grey = {
        one.get_label(): 1 - one.get_alpha() * (1 - one.get_facecolor()[0, :3] @ (0.3, 0.6, 0.1))
        for one in running.collections
    }
    assert grey["± model"] - grey["± sampling"] > 0.2


@pytest.mark.parametrize("method", ["cumulant", "direct"])
def test_heat_capacity_ends_at_its_value(run, method):
    """Squares about the averages of the whole run are drawn; their average is the heat capacity."""
    run = replace(run, pressure_bar=5000.0, constant_volume=False)  # 0.6 kT per σ of the volume
    result = run.reweight(HEAT_CAPACITY, method=method)
    running, influence, *_ = figure(run, [(run.observable(HEAT_CAPACITY), result)]).axes
    assert running.get_ylabel() == "heat_capacity / k_B"
    y = line(running, "mean").get_ydata()
    assert y[-1] == result.mean
    # the last but one rests on 393 of 400 frames
    assert y[-2] == pytest.approx(result.mean, rel=0.02)
    members = [one for one in running.lines if len(one.get_xdata()) == 60][:6]
    for one, member in zip(members, result.members, strict=True):
        assert one.get_ydata()[-2] == pytest.approx(member, rel=0.03)


def test_second_order_of_a_heat_capacity_is_said_to_be_missing(run):
    run = replace(run, pressure_bar=0.0, constant_volume=False)
    result = run.reweight(HEAT_CAPACITY, order=2)
    running = figure(run, [(run.observable(HEAT_CAPACITY), result)]).axes[0]
    first = run.reweight(HEAT_CAPACITY)
    assert line(running, "mean").get_ydata()[-1] == pytest.approx(first.mean, rel=0.01)
    assert "drawn to first order" in running.get_xlabel()


def test_unresolved_model_errors_are_bounds(run):
    temperature = replace(run.observable("volume"), name="noise", unit="",
                          values=np.random.default_rng(1).normal(size=400))  # fmt: skip
    for seed in range(20):
        values = np.random.default_rng(seed).normal(size=400)
        observable = replace(temperature, values=values)
        result = run.average(observable)
        if result.model_error == 0:
            break
    running = figure(run, [(observable, result)]).axes[0]
    assert "< " in running.get_title()
    bound = line(running, "bound of a model error below the noise")
    assert bound.get_ydata()[-1] - result.mean == pytest.approx(result.model_error_noise)
    assert bound.get_linestyle() == ":"


def test_curves(run):
    v = run.observable("volume").values - 800
    r = np.linspace(1, 6, 40)
    g = np.exp(-((r - 3 - 0.02 * v[:, None]) ** 2))
    curve = Observable("rdf", "", g, False, "", (Axis("r", "Å", tuple(r)),))
    both = Observable(
        "rdf:all", "", np.stack([g, 2 * g], axis=1), False, "",
        (Axis("pair", "", ("Nb-Nb", "Nb-Mo")), Axis("r", "Å", tuple(r))),
    )  # fmt: skip
    results = [(curve, run.average(curve)), (both, run.average(both))]
    axes = figure(run, results).axes
    upper = [ax for ax in axes if ax.get_ylabel() == "rdf"][0]
    lower = [ax for ax in axes if ax.get_ylabel() == "less the mean"][0]
    result = results[0][1]
    np.testing.assert_allclose(line(upper, "mean").get_ydata(), result.mean)
    np.testing.assert_allclose(line(upper, "mean").get_xdata(), r)
    assert lower.get_xlabel() == "r / Å"
    _, low, high = band(lower, "± model")
    np.testing.assert_allclose((high - low) / 2, result.model_error, atol=1e-12)
    np.testing.assert_allclose(lower.lines[2].get_ydata(), result.members[2] - result.mean)
    pairs = [ax for ax in axes if ax.get_ylabel() == "rdf:all"][0]
    assert [text.get_text() for text in pairs.texts] == ["Nb-Nb", "Nb-Mo"]
    assert (
        "curves shifted by" in [ax for ax in axes if "shifted" in ax.get_xlabel()][0].get_xlabel()
    )


def test_pooled_and_biased_runs(run):
    pooled = replace(run, weights=known_weights(np.ones(400), (300, 100)))
    result = pooled.reweight("volume")
    running, influence, *_ = figure(pooled, [(pooled.observable("volume"), result)]).axes
    assert running.get_xlabel() == "part of each of the 2 runs averaged / %"
    assert line(running, "mean").get_xdata()[-1] == 100
    assert influence.get_xlabel() == "frame of all runs"
    bias = 0.05 * run.kT_eV * (run.observable("volume").values - 800)
    biased = replace(run, weights=bias_weights(bias, kT_eV=run.kT_eV))
    result = biased.reweight("volume", method="direct")
    fig = figure(biased, [(biased.observable("volume"), result)])
    assert line(fig.axes[0], "mean").get_ydata()[-2] == pytest.approx(result.mean, abs=0.3)
    assert "direct reweighting" in fig.get_suptitle()
    words = fig.axes[2].get_legend_handles_labels()[1]
    assert "50 independent: doubtful below" in words


def test_observables_known_in_fewer_frames(run, tmp_path):
    few = run.part(np.arange(0, 400, 4))
    observable = replace(run.observable("volume"), values=few.observable("volume").values)
    results = [(observable, few.average(observable)), (run.observable("potential"),
               run.reweight("potential"))]  # fmt: skip
    fig = figure([few, run], results)
    assert line(fig.axes[0], "mean").get_xdata()[-1] == few.steps[-1]
    draw([few, run], results, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_many_frames_are_thinned_but_no_peak_is_lost(run):
    n = 30_000
    rng = np.random.default_rng(0)
    x = rng.normal(size=n)
    energies = run.kT_eV * (0.5 * x**2 + 0.3 * rng.normal(size=(6, 1)) * x).T
    values = x.copy()
    values[12_350], energies[12_350, 0] = 30.0, energies[12_350, 0] + 5 * run.kT_eV
    long = replace(run, rows=np.arange(n), steps=np.arange(n), energies_eV=energies, weights=None)
    observable = Observable("x", "angstrom", values, False, "")
    fig = figure(long, [(observable, long.average(observable))])
    (bars,) = fig.axes[1].collections
    segments = bars.get_segments()
    assert len(segments) <= 2000
    top = max(segments, key=lambda one: one[1, 1])
    assert top[0, 0] == 12_350
    assert "largest of every 15 frames" in fig.axes[1].get_legend_handles_labels()[1]


def test_labels():
    def of(unit, paired=False):
        return label(Observable("x", unit, np.zeros(2), paired, ""))

    assert [of("angstrom3"), of(""), of("kelvin")] == ["x / Å³", "x", "x / K"]
    assert [of("atomic_unit"), of("atomic_unit", True)] == ["x / a.u.", "x / Ha"]
