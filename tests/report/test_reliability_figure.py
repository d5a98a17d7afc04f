"""The figure shows the numbers that it is given."""

import builtins
import sys
from pathlib import Path

import numpy as np
import pytest

from quorum_md.averages.reliability import reliability
from quorum_md.errors import QuorumError
from quorum_md.report.reliability_figure import draw, figure

sys.path.insert(0, str(Path(__file__).parents[1] / "averages"))
from test_reliability import committee


def two_results(n=400, n_groups=3):
    y, mean, s = committee(n, 8, 2.0, seed=1)
    groups = [f"group {k % n_groups}" for k in range(n)]
    return [
        ("as fitted", reliability(y, mean, s, 8, groups=groups)),
        ("calibrated", reliability(y, mean, 2 * s, 8, groups=groups, alpha=2.0)),
    ]


def test_content():
    results = two_results()
    curve, errors, groups = figure(results, title="a title", unit="meV").axes
    before, after = results[0][1], results[1][1]
    diagonal, *lines = curve.lines
    np.testing.assert_array_equal(diagonal.get_ydata(), [0, 1])
    for line, result in zip(lines, (before, after), strict=True):
        np.testing.assert_array_equal(line.get_xdata()[1:-1], result.expected)
        np.testing.assert_array_equal(line.get_ydata()[1:-1], result.observed)
    # seen without colour: one is dashed and thinner
    assert lines[0].get_linestyle() != lines[1].get_linestyle()
    assert "t, 7 degrees of freedom" in curve.get_xlabel()
    words = [text.get_text() for text in curve.get_legend().get_texts()]
    assert any(f"area {after.area:.3f}" in word for word in words)
    (points,) = [c for c in errors.collections if len(c.get_offsets()) == 400]
    np.testing.assert_allclose(points.get_offsets()[:, 1], np.abs(after.error))
    np.testing.assert_allclose(points.get_offsets()[:, 0], after.predicted)
    assert errors.get_xlabel() == "predicted error / meV"
    bars = errors.containers[0].lines[0]
    np.testing.assert_array_equal(bars.get_ydata(), after.bins_error)
    assert [t.get_text() for t in groups.get_yticklabels()] == [
        "all (400)", "group 0 (134)", "group 1 (133)", "group 2 (133)",
    ]  # fmt: skip
    z = groups.containers[0].lines[0].get_xdata()
    np.testing.assert_array_equal(z, [g.rms_z for g in after.groups])
    ends = np.array([s[:, 0] for s in groups.containers[0].lines[2][0].get_segments()])
    np.testing.assert_allclose(ends, [[g.low, g.high] for g in after.groups])


def test_many_groups_are_the_worst_ones():
    ax = figure(two_results(n=1200, n_groups=60)).axes[2]
    assert len(ax.get_yticklabels()) == 31
    assert "30 groups nearer to 1 are not shown" in ax.get_title()
    shown = ax.containers[0].lines[0].get_xdata()[1:]
    every = np.array([g.rms_z for g in two_results(1200, 60)[1][1].groups[1:]])
    least = np.sort(np.abs(np.log(every)))[-30]
    assert np.abs(np.log(shown)).min() == pytest.approx(least)


@pytest.mark.parametrize("suffix, start", [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xm")])
def test_files(tmp_path, suffix, start):
    path = tmp_path / f"figure.{suffix}"
    draw(two_results(100), path)
    content = path.read_bytes()
    assert content.startswith(start) and len(content) > 10_000
    draw(two_results(100), path)
    assert path.read_bytes() == content  # no dates, no random names
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_bad_paths(tmp_path, monkeypatch):
    with pytest.raises(QuorumError, match="expected a file name that ends in .png, .pdf, .svg"):
        draw(two_results(20), tmp_path / "figure.jpeg2000")
    with pytest.raises(QuorumError, match="the folder of .* does not exist"):
        draw(two_results(20), tmp_path / "none" / "figure.png")
    load = builtins.__import__

    def without(name, *rest):
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return load(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(QuorumError, match="quorum-md.plot."):
        draw(two_results(20), tmp_path / "figure.png")
