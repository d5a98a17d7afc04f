"""Radial distribution functions and coordination numbers.

g_ab(r) = n_ab(r) V/(N_a N_b' v(r)): n_ab neighbours of species b in a shell of volume v around the
atoms of species a. N_b' = N_b − δ_ab (an atom is not its own neighbour) makes g = 1 exactly for
independent atoms at any N; N_b' = N_b is the density of a crystal, whose g does not change when the
cell is repeated. Allen & Tildesley, Computer Simulation of Liquids (2017), section 2.6,
doi:10.1093/oso/9780198803195.001.0001.

Distances beyond half the cell count with all images; beyond the shortest lattice vector an atom
meets its own images, which are counted as neighbours.
"""

import numpy as np

from ...errors import QuorumError
from .frames import Array, Frames, perpendicular_widths
from .pair_counts import ALL, channels_of, pair_counts
from .series import Axis, PerFrame

_LARGEST_DEFAULT_A = 10.0


def rdf(
    first: Frames,
    pair: str | None = None,
    *,
    cutoff_A: float | None = None,
    bins: int = 200,
    normalisation: str = "pairs",
) -> PerFrame:
    """g(r) per frame: (F, bins), or (F, pairs, bins) for "all".

    Args:
        first: some frames of the trajectory.
        pair: "Nb-Mo", "all" (every pair of elements), or None for all atoms alike.
        cutoff_A: largest distance; half the smallest width of the cell, at most 10 Å, if left out.
        bins: intervals of equal width from 0 to the cutoff.
        normalisation: "pairs" (N_b − δ_ab) or "density" (N_b).

    Raises:
        QuorumError: an unknown element or option, no volume, one atom of a species.
    """
    edges = np.linspace(0.0, _cutoff(first, cutoff_A), _positive(bins, "bins") + 1)
    channels, labels = channels_of(first, pair)
    if normalisation not in ("pairs", "density"):
        raise QuorumError(f'normalisation: got {normalisation!r}, expected "pairs" or "density"')
    _need_volume(first)
    shells = 4 / 3 * np.pi * np.diff(edges**3)

    def evaluate(frames: Frames) -> Array:
        counts = pair_counts(frames, edges, channels)
        here, there = _populations(frames, channels, labels)
        if normalisation == "pairs":
            there = there - np.array([a == b for a, b in channels])
            if (there == 0).any():
                raise QuorumError(
                    f"rdf: one atom of {labels[int(np.argmin(there.min(axis=0)))]} has no other to "
                    'pair with; expected two, or normalisation="density"'
                )
        ideal = here * there / frames.volumes_A3[:, None]
        g = counts / (ideal[..., None] * shells)
        return g if pair == "all" else g[:, 0]

    centres = tuple(float(r) for r in (edges[1:] + edges[:-1]) / 2)
    axes: tuple[Axis, ...] = (Axis("r", "Å", centres),)
    if pair == "all":
        axes = (Axis("pair", "", tuple(labels)), *axes)
    what = "N_b − 1 others of its own species" if normalisation == "pairs" else "N_b"
    return PerFrame(evaluate, "1", axes, (f"g(r) relative to the density of {what}",))


def coordination(first: Frames, pair: str | None = None, *, cutoff_A: float) -> PerFrame:
    """Mean number of neighbours within a cutoff per frame: (F,), or (F, pairs) for "all".

    Args:
        first, pair: as in `rdf`; "Nb-Mo" counts the Mo around Nb. "all" gives every ordered pair.
        cutoff_A: largest distance of a neighbour.
    """
    edges = np.array([0.0, cutoff_A])
    if pair == "all":
        names = first.elements
        channels = [(a, b) for a in range(len(names)) for b in range(len(names))]
        labels = [f"{names[a]}-{names[b]}" for a, b in channels]
    else:
        channels, labels = channels_of(first, pair)
    unordered = sorted({(min(c), max(c)) for c in channels})
    index = [unordered.index((min(c), max(c))) for c in channels]

    def evaluate(frames: Frames) -> Array:
        counts = pair_counts(frames, edges, unordered)[:, index, 0]
        here, _ = _populations(frames, channels, labels)
        numbers = counts / here
        return numbers if pair == "all" else numbers[:, 0]

    axes = (Axis("pair", "", tuple(labels)),) if pair == "all" else ()
    return PerFrame(evaluate, "1", axes, (f"neighbours within {cutoff_A:g} Å",))


def _populations(
    frames: Frames, channels: list[tuple[int, int]], labels: list[str]
) -> tuple[Array, Array]:
    """(F, C) atoms of the first and of the second species of each channel."""
    counts = frames.counts
    total = counts.sum(axis=1)
    here = np.stack([total if c == ALL else counts[:, c[0]] for c in channels], axis=1)
    there = np.stack([total if c == ALL else counts[:, c[1]] for c in channels], axis=1)
    empty = (here == 0) | (there == 0)
    if empty.any():
        row, column = (int(k) for k in np.argwhere(empty)[0])
        raise QuorumError(
            f"pair {labels[column]}: step {frames.steps[row]} has no atoms of one of the two, "
            "expected some in every frame"
        )
    return here.astype(float), there.astype(float)


def _cutoff(first: Frames, cutoff_A: float | None) -> float:
    if cutoff_A is None:
        _need_volume(first)
        return min(_LARGEST_DEFAULT_A, float(perpendicular_widths(first.cells[:1]).min()) / 2)
    if not np.isfinite(cutoff_A) or cutoff_A <= 0:
        raise QuorumError(f"cutoff_A: got {cutoff_A!r}, expected a positive number of Å")
    return float(cutoff_A)


def _need_volume(first: Frames) -> None:
    if not first.pbc.all():
        raise QuorumError(
            "rdf: the trajectory is not periodic in all directions, so it has no density; expected "
            "a periodic cell, or use coordination"
        )


def _positive(number: int, name: str) -> int:
    if int(number) != number or number < 1:
        raise QuorumError(f"{name}: got {number!r}, expected a positive whole number")
    return int(number)
