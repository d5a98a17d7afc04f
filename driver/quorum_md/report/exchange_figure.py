"""Does a ladder work? Energies, acceptance, paths of replicas, round trips, in one figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..sampling.exchange import Mixing, replica_paths
from ..sampling.journal import Header, Rows
from .exchange_status import Array, mixing_of_rows, probabilities
from .figures import BLUE, DARK, ORANGE, check_figure_path, new_figure, save, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_POINTS = 2000  # of a path
_TRIPS, _FEW = 5, 100  # round trips that are shown, and the fewest attempts
_MOST_NUMBERS = 12  # states up to which the matrix has numbers in it


def draw(header: Header, rows: Rows, path: str | Path, *, title: str = "") -> None:
    """Draw a run of replica exchange.

    Args:
        header, rows: of its journal, at least one row.
        path: .png, .pdf or .svg.

    Raises:
        QuorumError: no matplotlib, or a file that cannot be written.
    """
    check_figure_path(path)
    save(figure(header, rows, title=title), path)


def figure(header: Header, rows: Rows, *, title: str = "") -> Figure:
    """The figure of `draw`."""
    mixing = mixing_of_rows(rows)
    kelvin = np.array(header.temperatures_K)
    with style():
        fig = new_figure(11.0, 6.4)
        axes = fig.subplots(2, 3)
        _energies(axes[0, 0], kelvin, rows)
        _acceptance(axes[0, 1], probabilities(header, rows))
        _mean_energies(axes[0, 2], kelvin, rows)
        _paths(axes[1, 0], kelvin, rows, mixing)
        _round_trips(axes[1, 1], mixing)
        _from_top(axes[1, 2], kelvin, mixing)
        words = f"{len(rows)} attempts, {header.steps} steps before each ({header.scheme})"
        fig.suptitle(f"{title}: {words}" if title else words, fontsize=10)
    return fig


def _energies(ax: Axes, kelvin: Array, rows: Rows) -> None:
    energies = rows["energy_eV"][len(rows) // 2 :]
    edges = np.histogram_bin_edges(energies, bins=min(80, max(10, len(rows) // 5)))
    for s, one in enumerate(energies.T):
        counts, _ = np.histogram(one, edges, density=True)
        ax.stairs(counts, edges, color=_color(s, len(kelvin)), lw=1.0, label=f"{kelvin[s]:g} K")
    ax.set(
        xlabel="potential energy / eV",
        ylabel="probability / eV⁻¹",
        title="energies of states, second half",
    )
    if len(kelvin) <= _MOST_NUMBERS:
        ax.legend(fontsize=6)


def _acceptance(ax: Axes, matrix: Array) -> None:
    shown = np.where(np.eye(len(matrix), dtype=bool), np.nan, matrix)
    ax.imshow(shown, cmap="Blues", vmin=0, vmax=1, origin="lower")
    if len(matrix) <= _MOST_NUMBERS:
        for (s, t), value in np.ndenumerate(matrix):
            if s != t:
                color = "white" if value > 0.6 else DARK
                ax.text(t, s, f"{value:.2f}", ha="center", va="center", fontsize=6, color=color)
    ax.set(xlabel="state", ylabel="state", title="mean probability of an exchange")
    _whole_numbers(ax.xaxis, ax.yaxis)


def _mean_energies(ax: Axes, kelvin: Array, rows: Rows) -> None:
    half = rows["energy_eV"][len(rows) // 2 :]
    spread = half.std(axis=0)
    mean = half.mean(axis=0)
    ax.fill_between(
        kelvin, mean - spread, mean + spread, color=BLUE, alpha=0.15, lw=0, label="fluctuation"
    )
    ax.plot(kelvin, mean, "o-", ms=3, color=BLUE, lw=1, label="mean, second half")
    ax.set(xlabel="temperature / K", ylabel="potential energy / eV", title="energy")
    ax.legend()


def _paths(ax: Axes, kelvin: Array, rows: Rows, mixing: Mixing) -> None:
    # some round trips at the end, not a band of colour
    one_trip = len(rows) * len(kelvin) / max(int(mixing.round_trips.sum()), 1)
    last = rows[-max(_FEW, int(_TRIPS * one_trip)) :]
    shown = last[:: -(-len(last) // _MOST_POINTS)]
    paths = replica_paths(shown["after"])
    for replica, color in ((0, BLUE), (paths.shape[1] - 1, ORANGE)):
        ax.plot(
            shown["attempt"], kelvin[paths[:, replica]], color=color, lw=1.0,
            drawstyle="steps-post", label=f"replica {replica}",
        )  # fmt: skip
    ax.set(xlabel="attempt", ylabel="temperature / K", title="paths of replicas")
    ax.legend(loc="upper right")


def _round_trips(ax: Axes, mixing: Mixing) -> None:
    trips = mixing.round_trips
    ax.bar(np.arange(len(trips)), trips, color=BLUE, width=0.7)
    _whole_numbers(ax.xaxis, ax.yaxis)
    ax.set(xlabel="replica", ylabel="round trips", title=f"{trips.sum()} round trips in all")


def _from_top(ax: Axes, kelvin: Array, mixing: Mixing) -> None:
    states = np.arange(len(kelvin))
    ax.plot(states, states / max(len(states) - 1, 1), color=DARK, lw=0.8, ls=":", label="ideal")
    ax.plot(states, mixing.fraction_from_top, "o-", ms=3, color=BLUE, lw=1, label="measured")
    ax.set(
        xlabel="state", ylabel="part that was last at the top", ylim=(-0.05, 1.05),
        title=f"mixing: eigenvalue {mixing.eigenvalue:.3f} over {mixing.lag} attempts\n"
        f"a replica forgets its state in {mixing.relaxation_attempts:.3g} attempts",
    )  # fmt: skip
    _whole_numbers(ax.xaxis)
    ax.legend()


def _whole_numbers(*axes: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    for axis in axes:
        axis.set_major_locator(MaxNLocator(integer=True))


def _color(state: int, n: int) -> tuple[float, float, float, float]:
    from matplotlib import colormaps

    return colormaps["viridis"](0.9 * state / max(n - 1, 1))
