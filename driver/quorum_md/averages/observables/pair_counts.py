"""How many neighbours of each species lie in each interval of distances: what radial distribution
functions, coordination numbers and short-range order are made of.
"""

from collections.abc import Sequence

import numpy as np

from ...errors import QuorumError
from .frames import Array, Frames, Integers
from .neighbours import pairs_within

ALL = (-1, -1)  # in place of a pair of species: all atoms


def pair_counts(
    frames: Frames,
    edges_A: Array,
    channels: Sequence[tuple[int, int]],
    *,
    scale: Array | None = None,
) -> Integers:
    """Neighbours counted from the first species of each channel.

    Args:
        frames: F of them.
        edges_A: (B + 1,) increasing; an interval holds its lower edge.
        channels: pairs of indices into `frames.elements`, or `ALL`.
        scale: (F,) factors on the edges, frame by frame; 1 if left out.

    Returns:
        (F, C, B): pairs (atom of the first species, atom of the second, image). A pair of atoms of
        one species counts twice, once from either end; an atom is a neighbour of its own images.
    """
    n_frames, n_bins, n_channels = len(frames), len(edges_A) - 1, len(channels)
    table, factors = _channel_table(len(frames.elements), channels)
    counts = np.zeros(n_frames * n_channels * n_bins, dtype=np.int64)
    fixed = frames.constant_species
    species = frames.species[0] if fixed else frames.species
    stretch = 1.0 if scale is None else float(scale.max())
    for pairs in pairs_within(
        frames.positions,
        frames.cells,
        frames.pbc,
        float(edges_A[-1]) * stretch,
        between=(species, table >= 0) if fixed else None,
    ):
        distance = pairs.distance if scale is None else pairs.distance / scale[pairs.frame]
        if fixed:
            channel = table[species[pairs.first], species[pairs.second]]
        else:
            channel = table[species[pairs.frame, pairs.first], species[pairs.frame, pairs.second]]
        interval = _interval(distance, edges_A)
        inside = (channel >= 0) & (interval >= 0) & (interval < n_bins)
        flat = (pairs.frame * n_channels + channel) * n_bins + interval
        if not inside.all():
            flat = flat[inside]
        if len(flat):
            # pairs come frame by frame or in blocks of frames: count within their range only
            low = int(flat.min())
            piece = np.bincount(flat - low)
            counts[low : low + len(piece)] += piece
    shaped = counts.reshape(n_frames, n_channels, n_bins)
    return shaped * factors[None, :, None]


def channels_of(frames: Frames, pair: str | None) -> tuple[list[tuple[int, int]], list[str]]:
    """Channels and their labels from "Nb-Mo", "all" (every pair) or None (all atoms alike).

    Raises:
        QuorumError: an element that the trajectory does not have.
    """
    elements = frames.elements
    if pair is None:
        return [ALL], ["all"]
    if pair == "all":
        indices = [(a, b) for a in range(len(elements)) for b in range(a, len(elements))]
        return indices, [f"{elements[a]}-{elements[b]}" for a, b in indices]
    names = pair.split("-")
    if len(names) != 2 or any(name not in elements for name in names):
        raise QuorumError(
            f"pair: got {pair!r}, expected two of the elements {', '.join(elements)} joined by a "
            "hyphen, such as "
            f"{elements[0]}-{elements[-1]}, or all"
        )
    return [(elements.index(names[0]), elements.index(names[1]))], [pair]


def _channel_table(
    n_species: int, channels: Sequence[tuple[int, int]]
) -> tuple[Integers, Integers]:
    """(S, S) channel of each pair of species or −1, and (C,) how often a pair counts."""
    table = np.full((n_species, n_species), -1, dtype=np.int64)
    factors = np.ones(len(channels), dtype=np.int64)
    for index, (a, b) in enumerate(channels):
        if (a, b) == ALL:
            table[:] = index
        else:
            table[a, b] = table[b, a] = index
        factors[index] = 2 if a == b else 1
    return table, factors


def _interval(distance: Array, edges: Array) -> Integers:
    """Index of the interval of each distance; −1 below the first."""
    width = (edges[-1] - edges[0]) / (len(edges) - 1)
    if len(edges) > 16 and np.allclose(np.diff(edges), width, rtol=1e-9, atol=0):
        return np.floor((distance - edges[0]) / width).astype(np.int64)
    return np.searchsorted(edges, distance, side="right") - 1
