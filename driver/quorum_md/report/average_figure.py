"""Averages as a figure: how they grew, which frames make the model error, what is left of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..averages.checks import Ensemble, ensemble
from ..averages.expansion import Values, array_values
from ..averages.influence import Influence, frame_influence
from ..averages.prefixes import prefix_averages
from ..averages.reweighting import Reweighted, paired_values
from ..averages.run import HEAT_CAPACITY, Observable, Run, volumes_A3
from ..averages.verdict import EFFECTIVE_DOUBTFUL, EFFECTIVE_INVALID
from ..units import EV_A3_BAR
from .figures import BLUE, DARK, GREY, ORANGE, check_figure_path, new_figure, save, style
from .labels import label, unit_symbol

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Results = Sequence[tuple[Observable, Reweighted]]

_POINTS = 60  # lengths of the run at which its average is drawn
_MOST_DRAWN = 2000  # points of a panel
_MOST_CURVES = 6  # curves of one observable, as g(r) of every pair of elements
_QUIET = 0.2  # part of the run whose average is too noisy to set the scale


def draw(run: Run | Sequence[Run], results: Results, path: str | Path) -> None:
    """Draw averages with both errors, one row of three panels for each.

    Args:
        run: the frames; or one run for each observable, where some are known in fewer frames.
        results: observables and their averages, by `Run.reweight` or `Run.average`.
        path: .png, .pdf or .svg.

    Raises:
        QuorumError: no matplotlib, or a file that cannot be written.
    """
    check_figure_path(path)
    save(figure(run, results), path)


def figure(run: Run | Sequence[Run], results: Results) -> Figure:
    """The figure of `draw`."""
    runs = [run] * len(results) if isinstance(run, Run) else list(run)
    with style():
        # without a committee, the average and its sampling error are all there is
        alone = all(result.n_members == 1 for _, result in results)
        widths = (1.5,) if alone else (1.5, 1, 1)
        fig = new_figure(3.57 * sum(widths), 3.1 * len(results) + 0.4)
        axes = fig.subplots(len(results), len(widths), squeeze=False, width_ratios=widths)
        for row, one, (observable, result) in zip(axes, runs, results, strict=True):
            _row(row, _Item(one, observable, result))
        first = runs[0]
        kind = "direct reweighting" if results[0][1].method == "direct" else "cumulant expansion"
        words = (
            "no committee: no model error"
            if alone
            else f"{results[0][1].n_members} members, {kind}; sampling error and model error are "
            "one standard deviation each"
        )
        fig.suptitle(f"{first.temperature_K:g} K, {words}", fontsize=10)
    return fig


@dataclass(frozen=True)
class _Item:
    run: Run
    observable: Observable
    result: Reweighted

    @property
    def is_curve(self) -> bool:
        return np.ndim(self.result.mean) > 0

    @property
    def known_frames(self) -> bool:
        """Whether the frames of the run are those of the observable."""
        return len(self.observable.values) == len(self.run.steps)

    def ensemble(self) -> Ensemble:
        run = self.run
        return ensemble(run.energies_eV, run.kT_eV, run.reference, run.weights)

    def values(self, frames: Ensemble) -> Values:
        """(c, m) or (c, K + 1, m) of the frames in a slice."""
        values = self.observable.values
        if self.observable.name == HEAT_CAPACITY:
            return _squares(self.run, frames, direct=self.result.method == "direct")
        if self.observable.paired:
            return paired_values(values.reshape(*values.shape[:2], -1))
        return array_values(values.reshape(len(values), -1))


def _squares(run: Run, frames: Ensemble, *, direct: bool) -> Values:
    """What a heat capacity is the average of, about the averages of the whole run: squares of the
    deviations of V + pΩ over (kT)², of the members and of their mean."""
    work = np.zeros(len(run.steps))
    if run.pressure_bar is not None and run.table.has(run.words.volume):
        work = run.pressure_bar / EV_A3_BAR * volumes_A3(run)
    shift = run.energies_eV[0].mean() + work[0]

    def enthalpies(rows: slice) -> Array:
        part = run.energies_eV[rows]
        both = np.concatenate([part, part.mean(axis=1, keepdims=True)], axis=1)
        return np.asarray((both + work[rows, None] - shift) / run.kT_eV)

    whole = slice(None)
    w = frames.weights.values[:, None]
    if direct:
        h = frames.reduced(whole)
        w = w * np.exp(h.min(axis=0) - h)
    centre = (w * enthalpies(whole)).sum(axis=0) / w.sum(axis=0)
    return lambda rows: ((enthalpies(rows) - centre) ** 2)[:, :, None]


def _row(axes: Sequence[Axes], item: _Item) -> None:
    frames = item.ensemble()
    first = axes[0]
    if item.is_curve:
        first = _curves(first, item)
    else:
        _running(first, item, frames)
    first.set_title(f"{item.observable.name}: {_both_errors(item)}  [{item.result.verdict}]")
    if item.result.n_members == 1:
        return
    if item.known_frames:
        found = frame_influence(
            item.values(frames), frames, method=item.result.method, order=item.result.order
        )
        _influence(axes[1], item, found)
    else:
        axes[1].set_axis_off()
        axes[1].text(
            0.5, 0.5, f"{item.observable.name} is known in {len(item.observable.values)} of\n"
            f"{len(item.run.steps)} frames: no influence of frames",
            ha="center", va="center", transform=axes[1].transAxes,
        )  # fmt: skip
    _effective(axes[2], item)


def _both_errors(item: _Item) -> str:
    result, unit = item.result, unit_symbol(item.observable)
    if item.is_curve:
        return f"{np.size(result.mean)} values"
    if result.n_members == 1:
        decimals = 2
        if result.statistical_error > 0:
            decimals = int(np.clip(1 - np.floor(np.log10(result.statistical_error)), 0, 12))
        both = f"{result.mean:.{decimals}f} ± {result.statistical_error:.{decimals}f} (sampling)"
        return f"{both} {unit}".rstrip()
    resolved = result.model_error > 0
    model = result.model_error if resolved else result.model_error_noise
    errors = [e for e in (result.statistical_error, model) if e > 0]
    decimals = 2
    if errors:
        decimals = int(np.clip(1 - np.floor(np.log10(max(min(errors), max(errors) / 100))), 0, 12))
    return (
        f"{result.mean:.{decimals}f} ± {result.statistical_error:.{decimals}f} (sampling) ± "
        f"{'' if resolved else '< '}{model:.{decimals}f} (model) {unit}".rstrip()
    )


def _running(ax: Axes, item: _Item, frames: Ensemble) -> None:
    """Average of the first frames against their last step, members and both bands."""
    whole = item.result
    # the bend of a function of averages is none of the averages that are followed here
    order = 1 if item.observable.name == HEAT_CAPACITY else whole.order
    ends, found = prefix_averages(
        item.values(frames), frames, method=whole.method, order=order, points=_POINTS
    )
    # the whole run comes as it stands in the table, where errors rest on more blocks
    results = [*found[:-1], whole] if order == whole.order else found
    mean, sampling, model, noise = (
        np.array([np.squeeze(getattr(one, name)) for one in results])
        for name in ("mean", "statistical_error", "model_error", "model_error_noise")
    )
    members = np.array([one.members.reshape(-1) for one in results])
    if len(frames.weights.lengths) == 1:
        x = item.run.steps[ends[:, 0] - 1].astype(float)
        ax.set_xlabel("step up to which frames are averaged")
    else:
        x = 100 * ends.sum(axis=1) / frames.n_frames
        ax.set_xlabel(f"part of each of the {len(frames.weights.lengths)} runs averaged / %")
    if order != whole.order:
        ax.set_xlabel(f"{ax.get_xlabel()} (drawn to first order)")
    resolved = ~(model <= 0)  # without a committee there is no bound either
    _bands(ax, x, mean, members, sampling, np.where(resolved, model, np.nan))
    if not resolved.all():
        bound = np.where(resolved, np.nan, noise)
        for sign in (-1, 1):
            ax.plot(
                x, mean + sign * bound, color=ORANGE, lw=1.2, ls=":",
                label="bound of a model error below the noise" if sign > 0 else None,
            )  # fmt: skip
    late = x >= x[0] + _QUIET * (x[-1] - x[0])
    half = np.fmax(sampling, np.fmax(model, noise * ~resolved))[late]
    low = min((mean[late] - half).min(), members[late].min())
    high = max((mean[late] + half).max(), members[late].max())
    pad = 0.06 * (high - low) or 1.0
    ax.set_ylim(low - pad, high + pad)
    ax.set_ylabel(label(item.observable))
    ax.legend(loc="best", ncols=2)


def _bands(ax: Axes, x: Array, mean: Array, members: Array, sampling: Array, model: Array) -> None:
    """Light orange with a firm edge outside, dark blue inside: two shades of grey on paper."""
    if members.shape[1] > 1:
        lines = ax.plot(x, members, color=GREY, lw=0.5, alpha=0.6, zorder=1)
        lines[0].set_label("members")
        ax.fill_between(
            x, mean - model, mean + model, color=ORANGE, alpha=0.3, lw=0, zorder=2, label="± model"
        )
        for sign in (-1, 1):
            ax.plot(x, mean + sign * model, color=ORANGE, lw=1, zorder=4)
    ax.fill_between(
        x, mean - sampling, mean + sampling, color=BLUE, alpha=0.55, lw=0, zorder=3,
        label="± sampling",
    )  # fmt: skip
    ax.plot(x, mean, color=BLUE, lw=1.4, zorder=5, label="mean")


def _curves(ax: Axes, item: _Item) -> Axes:
    """A mean with bands and members over the last dimension, one curve for each of the others, and
    below the same less the mean, where the errors can be seen. Returns the upper panel."""
    result, axes = item.result, item.observable.axes
    size = np.shape(result.mean)[-1]
    place, fig = ax.get_subplotspec(), ax.figure
    assert place is not None  # `figure` made it
    parts = place.subgridspec(2, 1, height_ratios=(1.6, 1))
    ax.remove()
    upper = fig.add_subplot(parts[0])
    lower = fig.add_subplot(parts[1], sharex=upper)
    upper.tick_params(labelbottom=False)
    x = np.arange(size, dtype=float)
    name = "component"
    if axes and len(axes[-1].values) == size:
        name = f"{axes[-1].name} / {axes[-1].unit}" if axes[-1].unit else axes[-1].name
        if isinstance(axes[-1].values[0], str):
            lower.set_xticks(x, [str(value) for value in axes[-1].values])
        else:
            x = np.array(axes[-1].values, dtype=float)
    mean, sampling, model = (
        np.asarray(one).reshape(-1, size)[:_MOST_CURVES]
        for one in (result.mean, result.statistical_error, result.model_error)
    )
    members = result.members.reshape(result.n_members, -1, size)[:, :_MOST_CURVES]
    notes = []
    for panel, middle in ((upper, mean), (lower, 0 * mean)):
        every = members - mean + middle
        # curves on top of each other cannot be told apart: shift them
        step = 1.1 * float(np.ptp(every)) if len(mean) > 1 else 0.0
        for k in range(len(mean)):
            shift = k * step
            _bands(panel, x, middle[k] + shift, every[:, k].T + shift, sampling[k], model[k])
            if len(mean) > 1 and panel is upper:
                panel.annotate(
                    _curve_name(item, k), (1.0, middle[k, -1] + shift), fontsize=7,
                    xycoords=("axes fraction", "data"), va="center",
                )  # fmt: skip
        if step:
            notes.append(f"{step:.2g}")
    left_out = int(np.prod(np.shape(result.mean)[:-1])) - len(mean)
    words = [f"curves shifted by {' and '.join(notes)} each"] if notes else []
    words += [f"{left_out} more not shown"] if left_out else []
    lower.set_xlabel(name + (f"   ({'; '.join(words)})" if words else ""))
    upper.set_ylabel(label(item.observable))
    lower.set_ylabel("less the mean")
    handles, texts = upper.get_legend_handles_labels()
    unique = dict(zip(texts, handles, strict=True))
    upper.legend(unique.values(), unique.keys(), loc="best", ncols=2)
    return upper


def _curve_name(item: _Item, k: int) -> str:
    shape = np.shape(item.result.mean)[:-1]
    index = np.unravel_index(k, shape)
    axes = item.observable.axes
    if len(axes) != len(shape) + 1:
        return str(k)
    return " ".join(str(axis.values[i]) for axis, i in zip(axes, index, strict=False))


def _influence(ax: Axes, item: _Item, found: Influence) -> None:
    """Contribution of every frame; of long runs the largest of neighbours, so that none hides."""
    rms = found.rms
    n_frames = len(rms)
    length = -(-n_frames // _MOST_DRAWN)
    starts = np.arange(0, n_frames, length)
    top = np.maximum.reduceat(rms, starts)
    several = item.run.weights is not None and len(item.run.weights.lengths) > 1
    where = starts + np.array([rms[start : start + length].argmax() for start in starts])
    x = where.astype(float) if several else item.run.steps[where].astype(float)
    ax.vlines(x, 0, top, color=DARK, lw=0.6)
    mean_square = float(np.sqrt(np.mean(rms**2)))
    ax.axhline(mean_square, color=ORANGE, lw=1.2, ls="--", label="rms of all frames")
    ax.set_ylim(0, 1.25 * max(top.max(), 1.2 * mean_square))
    ax.set_xlabel("frame of all runs" if several else "step")
    unit = unit_symbol(item.observable)
    ax.set_ylabel("part in the spread" + (f" / {unit}" if unit else ""))
    drawn = "every frame" if length == 1 else f"largest of every {length} frames"
    ax.plot([], [], color=DARK, lw=1, label=drawn)
    share = f"largest 1 %: {100 * found.share_of_top():.0f} % of the squares (5–30 % is usual)"
    ax.set_title(f"influence of single frames\n{share}")
    ax.legend(loc="upper right")


def _effective(ax: Axes, item: _Item) -> None:
    """Effective samples, most first, against the run and the limits, and σ_h of these members."""
    result = item.result
    order = np.argsort(-result.effective_samples, kind="stable")
    place = np.arange(1, result.n_members + 1)
    ax.bar(
        place, result.effective_samples[order], color=BLUE, width=0.8, lw=0,
        label="effective samples",
    )  # fmt: skip
    # direct reweighting is judged by independent frames, the expansion by frames
    direct = result.method == "direct"
    inefficiency = float(np.max(result.statistical_inefficiency)) if direct else 1.0
    kind = " independent" if direct else ""
    ax.axhline(result.n_frames, color=DARK, lw=1, label=f"all {result.n_frames} frames")
    for limit, word, dash in (
        (EFFECTIVE_DOUBTFUL, "doubtful", "--"),
        (EFFECTIVE_INVALID, "invalid", ":"),
    ):
        if word == "invalid" and not direct:
            continue  # no limit of the expansion
        ax.axhline(
            limit * max(1.0, inefficiency), color=ORANGE, lw=1.2, ls=dash,
            label=f"{limit:.0f}{kind}: {word} below" if direct
            else f"{limit:.0f}: needed where 2nd order is unresolved",
        )  # fmt: skip
    least = min(1.0, 0.5 * float(result.effective_samples.min()))
    ax.set(yscale="log", ylim=(least, 1000 * result.n_frames), xlim=(0.2, result.n_members + 0.8))
    ax.set(xlabel="members, sorted", ylabel="effective samples")
    ax.locator_params(axis="x", integer=True)
    right = ax.twinx()
    right.spines["right"].set_visible(True)
    right.plot(place, result.sigma_h[order], "D", ms=3.5, mfc="white", color=DARK, label="σ(h)")
    right.set_ylabel("◇ σ(h) = std of (V$_i$ − V$_{ref}$)/kT")
    right.set_ylim(0, 1.6 * float(result.sigma_h.max()) or 1.0)
    title = f"what is left of the run for each member\nσ(h) ≤ {result.sigma_h.max():.2g}"
    if not item.is_curve:  # a component that hardly changes has no meaningful ratio
        title += f", second / first order {result.second_to_first_order:.2f}"
    ax.set_title(title)
    ax.legend(loc="upper right")
