"""Warren–Cowley short-range order.

α_ij = (P_ij − c_j)/(δ_ij − c_j) for each shell, P_ij the fraction of species j among the neighbours
of species i. For i ≠ j that is 1 − P_ij/c_j: Cowley, Phys. Rev. 77, 669 (1950),
doi:10.1103/PhysRev.77.669; with δ_ij: de Fontaine, J. Appl. Cryst. 4, 15 (1971),
doi:10.1107/S0021889871006174. α = 0 in a random alloy (−1/(N − 1) on average at fixed
composition), negative for i ≠ j where unlike neighbours are preferred (−1 in the first shell of
B2), 1 where there are none. P_ij is taken from the pairs of the whole shell, so that α_ij = α_ji
also where thermal motion gives the species unlike numbers of neighbours.

Neighbours are found frame by frame by distance, in windows that follow the volume, or, where
vibrations blur the shells, on the sites of a reference lattice to which the atoms are assigned:
the neighbours of a site are found once, and a frame costs a look at the species only.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike
from scipy.signal import find_peaks

from ...errors import QuorumError
from .frames import Array, Codes, Frames, Integers
from .lattice_sites import SiteAssignment
from .neighbours import pairs_within
from .pair_counts import ALL, pair_counts
from .series import Axis, PerFrame

# lattice: conventional volume per atom in a³, squared shell radii in a²
_SHELLS: dict[str, tuple[float, tuple[float, ...]]] = {
    "sc": (1.0, (1, 2, 3, 4, 5, 6, 8)),
    "bcc": (1 / 2, (3 / 4, 1, 2, 11 / 4, 3, 4, 19 / 4)),
    "fcc": (1 / 4, (1 / 2, 1, 3 / 2, 2, 5 / 2, 3, 7 / 2)),
    "diamond": (1 / 8, (3 / 16, 1 / 2, 11 / 16, 1, 19 / 16, 3 / 2, 27 / 16)),
}
_PROFILE_FRAMES, _PROFILE_WIDTH_A = 50, 0.05
_VALLEY = 0.5  # of the lower of the two peaks beside it


def short_range_order(
    first: Frames,
    *,
    shells: int = 2,
    lattice: str | None = None,
    windows_A: Sequence[ArrayLike] | None = None,
    sites: str | None = None,
) -> PerFrame:
    """α per frame: (F, shells, pairs), pairs i ≤ j of all elements.

    Args:
        first: some frames of the trajectory.
        shells: how many.
        lattice: "bcc", "fcc", "sc" or "diamond": windows reach half way between its shells, at the
            volume of each frame.
        windows_A: (shells, 2) in place of it, smallest and largest distance in Å in the first
            frame; they follow the volume. With neither, windows are cut at the minima of g(r).
        sites: "first" (the first frame) or a file whose first frame is the ideal structure: count
            on its sites.

    Raises:
        QuorumError: fewer than two elements, shells that cannot be told apart, atoms that are not
            one to a site.
    """
    if len(first.elements) < 2:
        raise QuorumError(
            f"short-range order: the trajectory has only {', '.join(first.elements)}, expected two "
            "elements or more"
        )
    if not first.pbc.all():
        raise QuorumError(
            "short-range order: the trajectory is not periodic in all directions, expected a "
            "periodic cell"
        )
    volume = float(first.volumes_A3[0])
    assignment = None
    profile = first
    if sites is not None:
        assignment = SiteAssignment.of(first, sites)
        profile = assignment.frames
        volume = float(profile.volumes_A3[0])
    windows, origin = _windows(profile, shells, lattice, windows_A)
    edges, columns = _edges(windows)
    pairs = [(a, b) for a in range(len(first.elements)) for b in range(a, len(first.elements))]
    labels = tuple(f"{first.elements[a]}-{first.elements[b]}" for a, b in pairs)
    reference = pair_counts(profile.part(slice(0, 1)), edges, [ALL])[0, 0, columns]
    if (reference == 0).any():
        empty = int(np.argmin(reference))
        raise QuorumError(
            f"short-range order: no neighbours between {windows[empty, 0]:.3g} and "
            f"{windows[empty, 1]:.3g} Å (shell {empty + 1}), expected some; give other windows"
        )
    numbers = reference / first.n_atoms

    if assignment is None:

        def evaluate(frames: Frames) -> Array:
            scale = np.cbrt(frames.volumes_A3 / volume)
            counts = pair_counts(frames, edges, pairs, scale=scale)[:, :, columns]
            return _alpha(frames, counts, pairs, labels)

    else:
        neighbours = _site_pairs(assignment, windows)

        def evaluate(frames: Frames) -> Array:
            on_sites = assignment.species_on_sites(frames)
            counts = _count_on_sites(on_sites, neighbours, len(frames.elements), pairs)
            return _alpha(frames, counts, pairs, labels)

    notes = [
        f"shell {k + 1}: {low:.3f} to {high:.3f} Å at {volume / first.n_atoms:.3f} Å³ per atom "
        f"({origin}), {number:.2f} neighbours"
        for k, ((low, high), number) in enumerate(zip(windows, numbers, strict=True))
    ]
    notes.append(
        f"a random alloy of {first.n_atoms} atoms has −1/(N − 1) = {-1 / (first.n_atoms - 1):.4f}"
    )
    axes = (
        Axis("shell", "", tuple(str(k + 1) for k in range(len(windows)))),
        Axis("pair", "", labels),
    )
    return PerFrame(evaluate, "1", axes, tuple(notes))


def _alpha(
    frames: Frames, counts: Array | Integers, pairs: list[tuple[int, int]], labels: Sequence[str]
) -> Array:
    """(F, pairs, shells) directed counts -> (F, shells, pairs)."""
    total = np.zeros((len(frames), counts.shape[2]))
    for column, (a, b) in enumerate(pairs):
        total += counts[:, column] * (1 if a == b else 2)
    if (total == 0).any():
        row = int(np.argmin(total.min(axis=1)))
        raise QuorumError(
            f"short-range order: step {frames.steps[row]} has no neighbours in a shell, expected "
            "some; give other windows"
        )
    c = frames.counts / frames.n_atoms
    alpha = np.empty((len(frames), counts.shape[2], len(pairs)))
    for column, (a, b) in enumerate(pairs):
        if (c[:, [a, b]] == 0).any() or (a == b and (c[:, a] == 1).any()):
            row = int(np.argmin(c[:, [a, b]].min(axis=1)))
            raise QuorumError(
                f"short-range order: α of {labels[column]} is not defined at step "
                f"{frames.steps[row]}, where a species is missing; expected all of "
                f"{', '.join(frames.elements)} in every frame"
            )
        fraction = counts[:, column] / (c[:, a, None] * total)
        alpha[:, :, column] = (fraction - c[:, b, None]) / ((a == b) - c[:, b, None])
    return alpha


def _windows(
    first: Frames, shells: int, lattice: str | None, windows_A: Sequence[ArrayLike] | None
) -> tuple[Array, str]:
    """(shells, 2) Å in the first frame, and where they come from."""
    if lattice is not None and windows_A is not None:
        raise QuorumError("short-range order: got lattice and windows_A, expected one of them")
    if windows_A is not None:
        given = np.asarray(windows_A, dtype=float)
        if (
            given.ndim != 2
            or given.shape[1] != 2
            or (np.diff(given, axis=1) <= 0).any()
            or (given < 0).any()
            or (given[1:, 0] < given[:-1, 1]).any()
        ):
            raise QuorumError(
                f"windows_A: got {given.tolist()}, expected a smallest and a largest distance per "
                "shell, in order and not overlapping"
            )
        return given, "given"
    if shells != int(shells) or not 1 <= shells <= 6:
        raise QuorumError(f"shells: got {shells!r}, expected 1 to 6")
    if lattice is None:
        return _from_profile(first, int(shells)), "minima of g(r)"
    if lattice not in _SHELLS:
        raise QuorumError(f"lattice: got {lattice!r}, expected {', '.join(_SHELLS)}")
    per_atom, squares = _SHELLS[lattice]
    constant = np.cbrt(float(first.volumes_A3[0]) / first.n_atoms / per_atom)
    radii = constant * np.sqrt(squares)
    cuts = (radii[1:] + radii[:-1]) / 2
    lows = np.concatenate([[radii[0] - (cuts[0] - radii[0])], cuts])
    # below the first shell there is nothing but the closest of its neighbours
    lows[0] = radii[0] / 2
    return np.stack([lows[: int(shells)], cuts[: int(shells)]], axis=1), lattice


def _from_profile(first: Frames, shells: int) -> Array:
    """Windows between the minima of the radial distribution function of the first frames."""
    some = first.part(slice(0, _PROFILE_FRAMES))
    spacing = float(np.cbrt(some.volumes_A3[0] / some.n_atoms))
    edges = np.arange(0.0, spacing * (1.8 + 0.5 * shells), _PROFILE_WIDTH_A)
    scale = np.cbrt(some.volumes_A3 / some.volumes_A3[0])
    counts = pair_counts(some, edges, [ALL], scale=scale)[:, 0].sum(axis=0)
    profile = counts / np.diff(edges**3)
    kernel = np.exp(-0.5 * (np.arange(-4, 5) / 1.5) ** 2)
    smooth = np.convolve(profile, kernel / kernel.sum(), mode="same")
    peaks, _ = find_peaks(smooth, prominence=0.05 * smooth.max())
    lowest = [left + int(np.argmin(smooth[left:right])) for left, right in pairwise(peaks)]
    separate = 0
    for k, minimum in enumerate(lowest):
        if smooth[minimum] > _VALLEY * min(smooth[peaks[k]], smooth[peaks[k + 1]]):
            break
        separate += 1
    if separate < shells:
        raise QuorumError(
            f"short-range order: g(r) shows {separate} separate shell(s), expected {shells}; give "
            'the lattice (lattice="bcc"), windows_A, or sites="first"'
        )
    cuts = edges[lowest[:shells]] + _PROFILE_WIDTH_A / 2
    return np.stack([np.concatenate([[0.0], cuts[:-1]]), cuts], axis=1)


def _edges(windows: Array) -> tuple[Array, list[int]]:
    """Edges of a histogram and which of its intervals are the windows."""
    edges = np.unique(windows)
    return edges, [int(np.searchsorted(edges, low)) for low in windows[:, 0]]


def _site_pairs(assignment: SiteAssignment, windows: Array) -> list[tuple[Array, Array]]:
    """Pairs of sites in each shell of the reference structure."""
    ideal = assignment.frames
    found = list(
        pairs_within(ideal.positions[:1], ideal.cells[:1], ideal.pbc, float(windows[-1, 1]))
    )
    i = np.concatenate([pairs.first for pairs in found])
    j = np.concatenate([pairs.second for pairs in found])
    distance = np.concatenate([pairs.distance for pairs in found])
    shells = []
    for low, high in windows:
        inside = (distance >= low) & (distance < high)
        shells.append((i[inside], j[inside]))
    return shells


def _count_on_sites(
    species: Codes,
    shells: list[tuple[Array, Array]],
    n_elements: int,
    pairs: list[tuple[int, int]],
) -> Array:
    """(F, N) species on sites -> (F, pairs, shells) directed counts."""
    n_frames = len(species)
    table = np.empty((n_elements, n_elements), dtype=np.int64)
    for column, (a, b) in enumerate(pairs):
        table[a, b] = table[b, a] = column
    doubled = np.array([2 if a == b else 1 for a, b in pairs])
    counts = np.empty((n_frames, len(pairs), len(shells)))
    per_block = max(1, (1 << 20) // max(len(i) for i, _ in shells))
    for start in range(0, n_frames, per_block):
        rows = species[start : start + per_block]
        offsets = len(pairs) * np.arange(len(rows))[:, None]
        for k, (i, j) in enumerate(shells):
            flat = table[rows[:, i], rows[:, j]] + offsets
            piece = np.bincount(flat.ravel(), minlength=len(rows) * len(pairs))
            counts[start : start + len(rows), :, k] = piece.reshape(len(rows), -1) * doubled
    return counts
