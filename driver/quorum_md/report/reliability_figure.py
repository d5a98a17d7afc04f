"""How far a committee's spread can be trusted: curve, errors against spreads, groups."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..averages.reliability import Group, Reliability
from .figures import BLUE, DARK, GREY, ORANGE, check_figure_path, new_figure, save, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_GROUPS = 30
_MOST_POINTS = 3000


def draw(
    results: Sequence[tuple[str, Reliability]], path: str | Path, *, title: str = "", unit: str = ""
) -> None:
    """Draw one reliability, or several of the same structures (before and after a calibration).

    Args:
        results: (what it is, `Reliability`); the last is the one that counts, the others are drawn
            thinner.
        path: .png, .pdf or .svg.
        title: of the figure.
        unit: of errors and spreads.

    Raises:
        QuorumError: no matplotlib, or a file that cannot be written.
    """
    check_figure_path(path)
    save(figure(results, title=title, unit=unit), path)


def figure(
    results: Sequence[tuple[str, Reliability]], *, title: str = "", unit: str = ""
) -> Figure:
    """The figure of `draw`."""
    groups = _shown_groups(results[-1][1])
    with style():
        fig = new_figure(11.0, max(3.6, 1.6 + 0.16 * len(groups)))
        axes = fig.subplots(1, 3)
        _curve(axes[0], results)
        _errors(axes[1], results[-1][1], unit)
        _groups(axes[2], results, groups)
        if title:
            fig.suptitle(title, fontsize=10)
    return fig


def _curve(ax: Axes, results: Sequence[tuple[str, Reliability]]) -> None:
    last = results[-1][1]
    ax.fill_between(
        last.expected, *last.band, color="0.85", lw=0,
        label=f"{100 * last.confidence:.0f} % by chance, each point by itself",
    )  # fmt: skip
    ax.plot([0, 1], [0, 1], color=DARK, lw=0.8, ls=":")
    for k, (name, result) in enumerate(results):
        main = k == len(results) - 1
        ax.plot(
            np.r_[0, result.expected, 1], np.r_[0, result.observed, 1],
            color=BLUE if main else ORANGE, lw=1.8 if main else 1.2, ls="-" if main else "--",
            label=f"{name}: area {result.area:.3f} ({result.chance_area:.3f} by chance)",
        )  # fmt: skip
    law = f"t, {last.n_members - 1} degrees of freedom" if last.student else "Gaussian"
    ax.set(
        xlabel=f"predicted probability ({law})",
        ylabel="part of the errors inside",
        xlim=(0, 1), ylim=(0, 1), aspect="equal",
        title="calibration curve: below the diagonal overconfident",
    )  # fmt: skip
    ax.legend(loc="upper left")


def _errors(ax: Axes, result: Reliability, unit: str) -> None:
    size = np.abs(result.error)
    step = -(-len(size) // _MOST_POINTS)
    shown = np.s_[::step]
    drawn = size[shown] > 0
    ax.scatter(
        result.predicted[shown][drawn], size[shown][drawn], s=3, color=GREY, alpha=0.5, lw=0,
        rasterized=True,
        label="structures" if step == 1 else f"structures (1 of {step})",
    )  # fmt: skip
    ends = np.array([result.predicted.min(), result.predicted.max()])
    ax.plot(ends, ends, color=DARK, lw=0.8, ls=":", label="error as predicted")
    ax.errorbar(
        result.bins_spread, result.bins_error,
        [result.bins_error - result.bins_low, result.bins_high - result.bins_error],
        fmt="o", ms=4, color=BLUE, capsize=2, lw=1,
        label="rms in bins of as many structures",
    )  # fmt: skip
    suffix = f" / {unit}" if unit else ""
    low = 0.1 * min(result.bins_error.min(), ends[0])
    ax.set(
        xscale="log", yscale="log", xlabel=f"predicted error{suffix}", ylabel=f"error{suffix}",
        ylim=(low, 2 * max(size.max(), ends[1])),
        title="errors against predictions",
    )  # fmt: skip
    ax.legend(loc="lower right")


def _groups(ax: Axes, results: Sequence[tuple[str, Reliability]], groups: Sequence[Group]) -> None:
    last = results[-1][1]
    places = np.arange(len(groups))
    names = [group.name for group in groups]
    for name, result in results[:-1]:
        known = {group.name: group for group in result.groups}
        ax.plot(
            [known[one].rms_z for one in names], places, "s", ms=4, mfc="white", color=ORANGE,
            label=name,
        )  # fmt: skip
    z = np.array([group.rms_z for group in groups])
    low, high = (np.array([getattr(g, end) for g in groups]) for end in ("low", "high"))
    ax.errorbar(
        z, places, xerr=[np.maximum(0, z - low), np.maximum(0, high - z)], fmt="o", ms=4,
        color=BLUE, capsize=2, lw=1, label=f"{results[-1][0]}, {100 * last.confidence:.0f} %",
    )  # fmt: skip
    ax.axvline(1, color=DARK, lw=0.8, ls=":")
    ax.set_yticks(places, [f"{g.name} ({g.n})" for g in groups])
    ax.set_ylim(len(groups) - 0.5, -0.5)
    left_out = len(last.groups) - len(groups)
    title = "rms z by group: 1 where the spread is right"
    if left_out:
        title += f"\n({left_out} groups nearer to 1 are not shown)"
    ax.set(xlabel="error / predicted error", title=title)
    if max(high.max(), z.max()) > 5:
        ax.set_xscale("symlog", linthresh=2)
    ax.set_xlim(left=0)
    ax.legend(loc="best")


def _shown_groups(result: Reliability) -> list[Group]:
    """All, or those that are furthest from 1, in their order."""
    whole, *others = result.groups
    if len(others) > _MOST_GROUPS:
        far = sorted(others, key=lambda g: -abs(np.log(max(g.rms_z, 1e-9))))[:_MOST_GROUPS]
        others = [group for group in others if group in far]
    return [whole, *others]
