"""A whole trajectory, some atoms at a time, for observables that follow atoms through all of it.

What belongs to an atom (its way through the boundaries, the products of its positions at two times)
needs the atom in all frames, but no other atom. So the frames, which come a few at a time, are laid
down atom by atom in a file that lives in memory while it is small and then on disk, and read back
in blocks of atoms: memory stays bounded whatever the length, results are those of the whole, and
the text is parsed once.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..tables import current_branch
from .frames import Array, Codes, Frames, Integers

BLOCK_BYTES = 1 << 25  # of the positions in a block of atoms
_IN_MEMORY_BYTES = 1 << 28  # of positions that are laid down
_ATOM_FRAME_BYTES = 3 * 8


@dataclass(frozen=True)
class Whole:
    """A trajectory of F frames and N atoms.

    Attributes:
        steps, cells, pbc, elements, tracked, continuous: as in `Frames`.
        species: (N,) in the first frame.
        constant_species: no atom changes its species.
        read: first and last atom -> (F, n, 3) Å, positions as in the file.
    """

    steps: Integers
    cells: Array
    pbc: NDArray[np.bool_]
    elements: tuple[str, ...]
    tracked: bool
    continuous: bool
    species: Codes
    constant_species: bool
    read: Callable[[int, int], Array]

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def n_atoms(self) -> int:
        """N."""
        return len(self.species)

    def blocks(self) -> Iterator[tuple[slice, Frames]]:
        """All atoms, as many at a time as fit: which they are, and all their frames."""
        size = max(1, BLOCK_BYTES // (_ATOM_FRAME_BYTES * max(1, len(self))))
        for begin in range(0, self.n_atoms, size):
            atoms = slice(begin, min(begin + size, self.n_atoms))
            species = np.broadcast_to(self.species[atoms], (len(self), atoms.stop - begin))
            yield atoms, Frames(
                self.steps, self.read(begin, atoms.stop), self.cells, self.pbc, self.elements,
                species, self.tracked, self.continuous,
            )  # fmt: skip


def whole_of(frames: Frames | Whole) -> Whole:
    """Frames in memory as a `Whole`."""
    if isinstance(frames, Whole):
        return frames
    return Whole(
        frames.steps, frames.cells, frames.pbc, frames.elements, frames.tracked, frames.continuous,
        frames.species[0], frames.constant_species,
        lambda begin, end: frames.positions[:, begin:end],
    )  # fmt: skip


class Layer:
    """Lays down the frames of a trajectory as they come; `whole` can be read while it is open."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)
        self._pieces: list[Frames] = []  # without their positions
        self._starts: list[int] = []
        self._kinds: list[int] = []  # a number for the species in each frame
        self._first_step: int | None = None
        self._species: Codes | None = None

    def __enter__(self) -> "Layer":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, frames: Frames) -> None:
        """The frames that follow in the file."""
        self._starts.append(self._file.tell())
        self._file.write(np.ascontiguousarray(frames.positions.transpose(1, 0, 2)).tobytes())
        self._kinds += (
            [hash(frames.species[0].tobytes())] * len(frames)
            if frames.constant_species
            else [hash(row.tobytes()) for row in frames.species]
        )
        # a restart may replace all frames before it
        lowest = int(np.flatnonzero(frames.steps == frames.steps.min())[-1])
        if self._first_step is None or frames.steps[lowest] <= self._first_step:
            self._first_step = int(frames.steps[lowest])
            self._species = frames.species[lowest].copy()
        empty = np.broadcast_to(np.zeros(1), frames.positions.shape)
        row = np.broadcast_to(frames.species[0][:1], frames.species.shape)
        self._pieces.append(
            Frames(frames.steps, empty, frames.cells, frames.pbc, frames.elements, row,
                   frames.tracked, frames.continuous)
        )  # fmt: skip

    def whole(self) -> Whole:
        """All of them, without the branches that restarts replaced."""
        first, last = self._pieces[0], self._pieces[-1]
        steps = np.concatenate([piece.steps for piece in self._pieces])
        keep = current_branch(steps)
        assert self._species is not None
        return Whole(
            steps[keep],
            np.concatenate([piece.cells for piece in self._pieces])[keep],
            first.pbc,
            last.elements,
            first.tracked,
            first.continuous,
            self._species,
            len(set(np.array(self._kinds)[keep].tolist())) == 1,
            lambda begin, end: self._read(begin, end, keep),
        )

    def _read(self, begin: int, end: int, keep: NDArray[np.bool_]) -> Array:
        positions = np.empty((len(keep), end - begin, 3))
        row = 0
        for start, piece in zip(self._starts, self._pieces, strict=True):
            per_atom = len(piece) * _ATOM_FRAME_BYTES
            self._file.seek(start + begin * per_atom)
            data = np.frombuffer(self._file.read((end - begin) * per_atom))
            tile = data.reshape(end - begin, len(piece), 3)
            positions[row : row + len(piece)] = tile.transpose(1, 0, 2)
            row += len(piece)
        return positions if keep.all() else positions[keep]
