"""Pairs of atoms within a cutoff, all periodic images of them, in any cell.

Two ways to the same answer: all pairs of many frames at once (small systems, where a search per
frame would cost more than the distances), and a k-d tree per frame with the images near the cell
added (large ones). Directions without periodicity have no images.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ...errors import QuorumError
from .frames import Array, Codes, Integers, cell_volumes, complete_cells, perpendicular_widths

_BLOCK = 1 << 16  # numbers per array while distances are computed: they stay in the cache
_FRAMES_AT_ONCE = 256
_MOST_IMAGES = 100_000
_MOST_PAIRS = 4_000_000  # whose atoms are kept in memory
# nanoseconds, measured: only their ratios matter
_COST_PAIR, _COST_FRAME, _COST_IMAGE, _COST_HIT = 33.0, 5e5, 1200.0, 300.0


Between = tuple[Codes, NDArray[np.bool_]]


@dataclass(frozen=True)
class Pairs:
    """Pairs found; each pair and image once.

    Attributes:
        frame: (m,) row of the frame.
        first, second: (m,) atoms; equal where an atom meets its own image.
        distance: (m,) Å.
        vector: (m, 3) Å from first to the image of second, if asked for.
    """

    frame: Integers
    first: Integers
    second: Integers
    distance: Array
    vector: Array | None


def pairs_within(
    positions: Array,
    cells: Array,
    pbc: NDArray[np.bool_],
    cutoff_A: float,
    *,
    between: Between | None = None,
    want_vectors: bool = False,
    search: str = "auto",
) -> Iterator[Pairs]:
    """All pairs closer than the cutoff, a piece at a time.

    Args:
        positions: (F, N, 3) Å, wrapped or not.
        cells: (F, 3, 3) Å, rows are vectors.
        pbc: (3,) periodic directions.
        cutoff_A: may exceed half the cell, and the cell.
        between: the species of the atoms (N,) and which pairs of species matter (S, S), symmetric;
            all pairs if left out. An atom meets its own images if like atoms matter.
        search: "pairs", "tree" or the cheaper of the two ("auto").

    Raises:
        QuorumError: a periodic direction without a cell, a cutoff that is no positive number.
    """
    if not np.isfinite(cutoff_A) or cutoff_A <= 0:
        raise QuorumError(f"cutoff: got {cutoff_A:g} Å, expected a positive number of Å")
    if (np.asarray(pbc) & ~cells.any(axis=2)).any():
        raise QuorumError("cell: a periodic direction has no cell vector, expected one")
    whole = complete_cells(cells)
    # the volume of a cell against that of a cube of its sides
    sides = np.linalg.norm(whole, axis=2).prod(axis=1)
    if not (cell_volumes(whole) > 1e-9 * sides).all():
        raise QuorumError("cell: its vectors lie in a plane, expected a volume")
    widths = perpendicular_widths(whole)
    if search == "auto":
        search = _cheaper(positions.shape[1], widths, pbc, cutoff_A, between)
    if search == "tree":
        for row in range(len(positions)):
            yield _tree_pairs(row, positions[row], whole[row], pbc, cutoff_A, between)
        return
    candidates = None if between is None else _candidates(*between)
    for start in range(0, len(positions), _FRAMES_AT_ONCE):
        rows = slice(start, start + _FRAMES_AT_ONCE)
        yield from _all_pairs(
            start,
            positions[rows],
            whole[rows],
            widths[rows],
            pbc,
            cutoff_A,
            candidates,
            want_vectors,
        )


def both_ways(pairs: Pairs) -> Pairs:
    """Every pair from either side."""
    vector = None if pairs.vector is None else np.concatenate([pairs.vector, -pairs.vector])
    return Pairs(
        np.concatenate([pairs.frame, pairs.frame]),
        np.concatenate([pairs.first, pairs.second]),
        np.concatenate([pairs.second, pairs.first]),
        np.concatenate([pairs.distance, pairs.distance]),
        vector,
    )


def nearest(
    positions: Array, cell: Array, pbc: NDArray[np.bool_], count: int
) -> tuple[Integers, Array]:
    """The `count` nearest neighbours of every atom of one frame: atoms (N, count), vectors
    (N, count, 3) Å; images count.

    Raises:
        QuorumError: there are not that many (no periodicity and few atoms).
    """
    n_atoms = len(positions)
    if not pbc.any() and n_atoms <= count:
        raise QuorumError(
            f"neighbours: got {count}, but there are {n_atoms} atoms and no periodicity; expected "
            "fewer"
        )
    whole = complete_cells(cell[None])
    extent = float(np.linalg.norm(np.ptp(positions, axis=0))) + 1.0
    density = n_atoms / abs(np.linalg.det(whole[0])) if pbc.all() else n_atoms / extent**3
    margin = 1.3 * (3 * (count + 1) / (4 * np.pi * density)) ** (1 / 3)
    while True:
        home, images, source, _ = with_images(positions, whole[0], pbc, margin)
        if len(images) > count:
            distance, index = cKDTree(images).query(home, k=count + 1)
            # beyond the margin images are missing
            if distance.max() <= margin or not pbc.any():
                return source[index[:, 1:]], images[index[:, 1:]] - home[:, None, :]
        margin *= 1.4


def image_ranges(widths: Array, pbc: NDArray[np.bool_], cutoff_A: float, offset: float) -> Integers:
    """(3,) largest shift in each direction; `offset` is the largest wrapped difference."""
    most = np.floor(cutoff_A / widths.min(axis=0) + offset).astype(np.int64)
    return np.where(pbc, most, 0)


def _cheaper(
    n_atoms: int,
    widths: Array,
    pbc: NDArray[np.bool_],
    cutoff_A: float,
    between: Between | None,
) -> str:
    n_pairs = n_atoms * (n_atoms + 1) / 2
    if between is not None:
        species, wanted = between
        count = np.bincount(species, minlength=len(wanted))
        n_pairs = float(count @ wanted @ count + np.diag(wanted) @ count) / 2
    if n_pairs > _MOST_PAIRS:
        return "tree"
    shifts = float(np.prod(2.0 * image_ranges(widths, pbc, cutoff_A, 0.5) + 1))
    ratio = cutoff_A / widths.mean(axis=0)
    images = n_atoms * float(np.prod(np.where(pbc, 1 + 2 * ratio, 1.0)))
    # of a cube; what else there is changes little
    neighbours = min(n_atoms * 4.2 * float(np.prod(ratio)), float(images))
    tree = _COST_FRAME + _COST_IMAGE * images + _COST_HIT * n_atoms * neighbours
    return "pairs" if _COST_PAIR * n_pairs * shifts < tree else "tree"


def _candidates(species: Codes, wanted: NDArray[np.bool_]) -> tuple[Integers, Integers]:
    """Atoms (p,) and (p,) of the pairs that matter, first ≤ second, no pair twice."""
    atoms = [np.flatnonzero(species == kind) for kind in range(len(wanted))]
    parts = [np.zeros((2, 0), dtype=np.int64)]
    for a, b in np.argwhere(np.triu(wanted)):
        if a == b:
            parts.append(atoms[a][np.array(np.triu_indices(len(atoms[a])))])
        else:
            pair = np.array(np.meshgrid(atoms[a], atoms[b], indexing="ij")).reshape(2, -1)
            parts.append(np.sort(pair, axis=0))
    first, second = np.concatenate(parts, axis=1)
    return first, second


def _all_pairs(
    offset: int,
    positions: Array,
    cells: Array,
    widths: Array,
    pbc: NDArray[np.bool_],
    cutoff_A: float,
    candidates: tuple[Integers, Integers] | None,
    want_vectors: bool,
) -> Iterator[Pairs]:
    """Differences in fractions of the cell, wrapped into it, then every image that may be near.

    Arrays have pairs along the rows and frames along the columns, so that the atoms of a pair are
    two contiguous rows.
    """
    n_frames, n_atoms = positions.shape[:2]
    fractions = np.ascontiguousarray((positions @ np.linalg.inv(cells)).transpose(2, 1, 0))
    h = np.ascontiguousarray(cells.transpose(1, 2, 0))
    first, second = np.triu_indices(n_atoms, 1) if candidates is None else candidates
    own = np.arange(n_atoms) if candidates is None else first[first == second]
    if candidates is not None and len(own):
        first, second = first[first != second], second[candidates[0] != candidates[1]]
    limits = image_ranges(widths, pbc, cutoff_A, 0.5)
    shifts = list(product(*(range(-int(m), int(m) + 1) for m in limits)))
    if len(shifts) > _MOST_IMAGES:
        raise QuorumError(
            f"cutoff: got {cutoff_A:g} Å, {len(shifts)} images of a cell whose faces are "
            f"{widths.min():.3g} Å apart; expected a cutoff of a few cells"
        )
    per_block = max(1, _BLOCK // n_frames)
    for start in range(0, len(first), per_block):
        i, j = first[start : start + per_block], second[start : start + per_block]
        wrapped = []
        for k in range(3):
            difference = fractions[k][j] - fractions[k][i]
            if pbc[k]:
                difference -= np.rint(difference)
            wrapped.append(difference)
        for shift in shifts:
            vector, squared = _cartesian(wrapped, shift, h)
            hits = np.flatnonzero(squared.ravel() < cutoff_A**2)
            if len(hits):
                pair, frame = np.divmod(hits, n_frames)
                vectors = None
                if want_vectors:
                    vectors = np.stack([component.ravel()[hits] for component in vector], axis=1)
                distance = np.sqrt(squared.ravel()[hits])
                yield Pairs(frame + offset, i[pair], j[pair], distance, vectors)
    if len(own):
        yield from _own_images(offset, cells, widths, pbc, cutoff_A, own)


def _cartesian(
    fractions: list[Array], shift: tuple[int, ...], h: Array
) -> tuple[list[Array], Array]:
    """Å along x, y, z and the squared length of differences in fractions of the cell."""
    moved = [f + n if n else f for f, n in zip(fractions, shift, strict=True)]
    vector = []
    for axis in range(3):
        terms = [moved[k] * h[k, axis] for k in range(3) if h[k, axis].any()]
        total = terms[0]
        for term in terms[1:]:
            total += term
        vector.append(total)
    squared = vector[0] * vector[0]
    squared += vector[1] * vector[1]
    squared += vector[2] * vector[2]
    return vector, squared


def _own_images(
    offset: int,
    cells: Array,
    widths: Array,
    pbc: NDArray[np.bool_],
    cutoff_A: float,
    own: Integers,
) -> Iterator[Pairs]:
    """Atoms and their own images, of which one in each pair of opposite ones."""
    limits = image_ranges(widths, pbc, cutoff_A, 0.0)
    for shift in product(*(range(-int(m), int(m) + 1) for m in limits)):
        if shift <= (0, 0, 0):
            continue
        vectors = np.array(shift, dtype=float) @ cells
        length = np.linalg.norm(vectors, axis=1)
        frames = np.flatnonzero(length < cutoff_A)
        if len(frames):
            frame, atom = np.repeat(frames, len(own)), np.tile(own, len(frames))
            yield Pairs(frame + offset, atom, atom, length[frame], vectors[frame])


def with_images(
    positions: Array, cell: Array, pbc: NDArray[np.bool_], margin_A: float
) -> tuple[Array, Array, Integers, Integers]:
    """Atoms in the cell (N, 3), all images within the margin of the cell (the atoms first), whose
    images they are, and shifts (M, 3).
    """
    fractions = positions @ np.linalg.inv(cell)
    fractions -= np.where(pbc, np.floor(fractions), 0.0)
    home = fractions @ cell
    ratio = margin_A / perpendicular_widths(cell[None])[0]
    source = np.arange(len(positions))
    shifts = np.zeros((len(positions), 3), dtype=np.int64)
    for k in range(3):
        if not pbc[k]:
            continue
        most = int(np.ceil(ratio[k]))
        parts = [(source, shifts)]
        for n in [*range(-most, 0), *range(1, most + 1)]:
            moved = fractions[source, k] + n
            near = (moved >= -ratio[k]) & (moved <= 1 + ratio[k])
            there = shifts[near].copy()
            there[:, k] = n
            parts.append((source[near], there))
        source = np.concatenate([part[0] for part in parts])
        shifts = np.concatenate([part[1] for part in parts])
    images = (fractions[source] + shifts) @ cell
    return home, images, source, shifts


def _tree_pairs(
    row: int,
    positions: Array,
    cell: Array,
    pbc: NDArray[np.bool_],
    cutoff_A: float,
    between: Between | None,
) -> Pairs:
    home, images, source, shifts = with_images(positions, cell, pbc, cutoff_A)
    found = cKDTree(home).sparse_distance_matrix(cKDTree(images), cutoff_A, output_type="ndarray")
    i, image, distance = found["i"], found["j"], found["v"]
    j = source[image]
    # one of each pair; of opposite images of one atom that with the positive first shift
    code = shifts[image] @ np.array([1 << 40, 1 << 20, 1])
    keep = ((i < j) | ((i == j) & (code > 0))) & (distance < cutoff_A)
    if between is not None:
        species, wanted = between
        keep &= wanted[species[i], species[j]]
    i, j, image, distance = i[keep], j[keep], image[keep], distance[keep]
    return Pairs(np.full(len(i), row), i.astype(np.int64), j, distance, images[image] - home[i])
