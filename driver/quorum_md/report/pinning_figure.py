"""Δμ(T) with the members as thin lines and the melting point; the liquidus of a phase diagram."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..pinning.analysis import Report
from ..pinning.branch import Branch
from .figures import BLUE, DARK, GREY, ORANGE, check_figure_path, new_figure, save, style
from .pinning_text import both_errors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw(report: Report, path: str | Path) -> None:
    """Draw an analysis.

    Args:
        path: .png, .pdf or .svg.

    Raises:
        QuorumError: no matplotlib, or a file that cannot be written.
    """
    check_figure_path(path)
    save(figure(report), path)


def figure(report: Report) -> Figure:
    """The figure of `draw`: a panel for each melt, and the liquidus."""
    panels = len(report.branches) + (len(report.branches) > 1)
    # with nothing but controls an empty one, of which the title says so
    columns = max(1, min(panels, 3))
    rows = max(1, -(-panels // columns))
    with style():
        fig = new_figure(4.6 * columns, 3.6 * rows)
        axes = np.atleast_1d(fig.subplots(rows, columns, squeeze=False).ravel())
        if not panels:
            fig.suptitle("no pinned runs but controls")
        for ax, one in zip(axes, report.branches, strict=False):
            _branch(ax, report, one)
        if len(report.branches) > 1:
            _liquidus(axes[len(report.branches)], report)
        for ax in axes[panels:]:
            ax.remove()
    return fig


def _branch(ax: Axes, report: Report, one: Branch) -> None:
    used = [p for p in one.points if p.delta_mu_eV is not None]
    T = np.array([p.temperature_K for p in used])
    mu = 1e3 * np.array([p.delta_mu_eV for p in used], dtype=float)
    ax.axhline(0.0, color=GREY, lw=0.8)
    refused = [p.temperature_K for p in one.points if p.delta_mu_eV is None]
    found = one.melting
    if found is not None:
        ends = [*(p.temperature_K for p in one.points), found.temperature_K, *found.members_K]
        margin = 0.05 * max(np.ptp(ends), 0.01 * found.temperature_K)
        t = np.linspace(min(ends) - margin, max(ends) + margin, 2)
        slope = 1e3 * found.slope_eV_K
        for k, member in enumerate(found.members_K):
            label = f"{len(found.members_K)} members" if k == 0 else None
            ax.plot(t, slope * (t - member), color=BLUE, lw=0.4, alpha=0.5, label=label)
        ax.plot(t, slope * (t - found.temperature_K), color=DARK, lw=1.2)
        bars = [(found.statistical_error_K, 5, "± sampling")]
        if report.n_members:
            total = float(np.hypot(found.statistical_error_K, found.model_error_K))
            bars.append((total, 3, "± sampling and model"))
        for half, cap, label in bars:
            ax.errorbar(
                [found.temperature_K], [0.0], xerr=[half], color=ORANGE, lw=1.2, capsize=cap,
                label=label,
            )  # fmt: skip
        name = "$T_m$" if one.liquid_fraction is None else "$T_{liquidus}$"
        ax.set_title(f"{name} = {both_errors(found, report.n_members)}")
    else:
        ax.set_title("no melting point")
    error = 1e3 * np.array([p.error_eV for p in used], dtype=float)
    ax.errorbar(T, mu, yerr=error, fmt="o", ms=3.5, color=DARK, capsize=2, label="pinned runs")
    if refused:
        ax.plot(refused, np.zeros(len(refused)), "x", color="#b03030", label="refused")
    ax.set(xlabel="temperature / K", ylabel="$μ_s − μ_l$ / meV per atom")
    if one.liquid_fraction is not None:
        ax.text(0.02, 0.98, f"melt: {one.melt_fraction:.3f} {report.elements[0]}",
                transform=ax.transAxes, va="top")  # fmt: skip
    ax.legend(loc="lower right")


def _liquidus(ax: Axes, report: Report) -> None:
    fit = report.liquidus
    if fit is not None:
        for k, member in enumerate(fit.members_K):
            label = f"{len(fit.members_K)} members" if k == 0 else None
            ax.plot(fit.fractions, member, color=BLUE, lw=0.4, alpha=0.5, label=label)
        ax.plot(fit.fractions, fit.temperatures_K, color=DARK, lw=1.2, label="regular solution")
        model = np.nan_to_num(fit.model_errors_K)  # where there are no members
        for width, alpha in (
            (fit.statistical_errors_K, 0.35),
            (np.hypot(fit.statistical_errors_K, model), 0.15),
        ):
            ax.fill_between(
                fit.fractions, fit.temperatures_K - width, fit.temperatures_K + width,
                color=ORANGE, alpha=alpha, lw=0,
            )  # fmt: skip
    roots = [(b.melt_fraction, b.melting) for b in report.branches if b.melting is not None]
    if roots:
        x = [one for one, _ in roots]
        T = [m.temperature_K for _, m in roots]
        sampling = np.array([m.statistical_error_K for _, m in roots])
        model = np.array([m.model_error_K for _, m in roots])
        if report.n_members:
            ax.errorbar(x, T, yerr=np.hypot(sampling, model), fmt="none", color=ORANGE, capsize=3,
                        label="± sampling and model")  # fmt: skip
        ax.errorbar(x, T, yerr=sampling, fmt="o", ms=3.5, color=DARK, capsize=2, label="± sampling")
    ax.axvline(report.solid_fraction, color=GREY, lw=0.8, ls=":", label="crystal")
    ax.set(
        xlabel=f"fraction of {report.elements[0]} in the melt", ylabel="temperature / K",
        title="liquidus",
    )  # fmt: skip
    ax.legend()
