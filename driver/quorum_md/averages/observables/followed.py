"""Atoms followed through the boundaries of the cell.

By the shortest displacement from frame to frame in the cell of the time, which remains right where
the cell fluctuates: von Bülow, Bullerjahn & Hummer, J. Chem. Phys. 153, 021101 (2020),
doi:10.1063/5.0008316.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from ...errors import QuorumError
from .elements import mass_Da
from .frames import Array, Frames, complete_cells
from .whole import Whole, whole_of

_LARGEST_JUMP = 1 / 3  # of the cell between frames: beyond, the way an atom took is not known
_SWAPS = b"# atom swaps counted from the start of the chain"  # how the file of `quorum i-pi` begins
_SWAPPING = re.compile(rb"<atomswap[\s>]")
_OUTPUT = re.compile(rb"""<output[^>]*\bprefix\s*=\s*["']\s*([^"']*?)\s*["']""")


def unwrapped(frames: Frames) -> Array:
    """(F, N, 3) Å: positions of atoms followed through the boundaries.

    Raises:
        QuorumError: atoms that cannot be followed (no numbers, frames too far apart, swaps).
    """
    if not frames.tracked:
        raise QuorumError(
            "displacement: the file does not tell which atom is which from frame to frame (a dump "
            "of LAMMPS without the column id), or where they cross the cell (dump xyz); write it "
            "with `dump … custom … id type xu yu zu`"
        )
    rigid = bool((frames.cells == frames.cells[:1]).all())
    if not frames.pbc.any() or (frames.continuous and rigid):
        return frames.positions
    followed = np.empty_like(frames.positions)
    followed[0] = frames.positions[0]
    inverse = np.linalg.inv(frames.cells)
    fractions = frames.positions @ inverse
    home = (fractions - np.where(frames.pbc, np.floor(fractions), 0.0)) @ frames.cells
    jumps = (home[1:] - home[:-1]) @ inverse[1:]
    jumps -= np.where(frames.pbc, np.rint(jumps), 0.0)
    longest = np.abs(jumps * frames.pbc).max(initial=0.0)
    if longest > _LARGEST_JUMP:
        row = int(np.abs(jumps * frames.pbc).max(axis=(1, 2)).argmax())
        raise QuorumError(
            f"displacement: between steps {frames.steps[row]} and {frames.steps[row + 1]} an atom "
            f"moves by {longest:.2f} of the cell, so it is not known which way; expected less than "
            f"{_LARGEST_JUMP:.2f}: write frames more often, write unwrapped positions, or leave "
            "out runs that exchange atoms"
        )
    followed[1:] = jumps @ frames.cells[1:]
    np.cumsum(followed, axis=0, out=followed)
    return followed


def _largest_jump(positions: Array, frames: Frames) -> float:
    """Along periodic directions, in cells."""
    jumps = np.diff(positions, axis=0) @ np.linalg.inv(complete_cells(frames.cells))[1:]
    return float(np.abs(jumps * frames.pbc).max(initial=0.0))


def followed_atoms(
    frames: Frames | Whole, element: str | None = None, masses: Mapping[str, float] | None = None
) -> Array:
    """(F, n, 3) Å: `unwrapped` positions of one element, or of all atoms, without the drift of the
    centre of mass of all atoms.
    """
    return np.concatenate(list(Followed(whole_of(frames), element, masses)), axis=1)


def refuse_exchanges(trajectory: str) -> None:
    """Refuse a trajectory of i-PI beside which a file says that the run exchanges atoms: i-PI lets
    them keep their elements and exchanges their positions, by any distance.

    Raises:
        QuorumError: there is an input or RESTART with atomswap that writes such files, or a file of
            swaps.
    """
    path = Path(trajectory)
    for other in sorted(path.parent.iterdir()):
        prefix = None
        with suppress(OSError):  # what cannot be read says nothing
            prefix = _exchanging_output(other)
        # the prefix of a system comes before that of the output
        if prefix is not None and (not prefix or f"_{prefix}." in f"_{path.name}"):
            raise QuorumError(
                f"displacement: {other} says that the run of {path.name} exchanges atoms "
                "(atomswap), which is not motion, so no atom has a displacement; expected a run "
                "without swaps"
            )


def _exchanging_output(file: Path) -> str | None:
    """Prefix of the files of a run that exchanges atoms, None if `file` tells of no such run."""
    if not file.is_file():
        return None
    if file.suffix == ".xml" or file.name.startswith("RESTART"):
        text = file.read_bytes()
        if not _SWAPPING.search(text):
            return None
        stated = _OUTPUT.search(text)
        return "i-pi" if stated is None else stated[1].decode(errors="replace")
    with file.open("rb") as stream:
        return file.name.rpartition(".")[0] if stream.read(len(_SWAPS)) == _SWAPS else None


class Followed:
    """`followed_atoms`, a block of atoms at a time, as often as one likes."""

    def __init__(
        self, whole: Whole, element: str | None, masses: Mapping[str, float] | None
    ) -> None:
        if element is not None:
            if element not in whole.elements:
                raise QuorumError(
                    f"element: got {element!r}, expected one of {', '.join(whole.elements)}"
                )
            if not whole.constant_species:
                raise QuorumError(
                    "displacement: atoms change their species along the trajectory, so no species "
                    "has a displacement; expected a run without swaps of types"
                )
        self._whole = whole
        self._chosen = np.ones(whole.n_atoms, dtype=bool)
        if element is not None:
            self._chosen = whole.species == whole.elements.index(element)
        self.n_atoms = int(self._chosen.sum())
        weights = np.array([mass_Da(name, masses) for name in whole.elements])[whole.species]
        weights /= weights.sum()
        self._centre = np.zeros((len(whole), 3))
        self.notes: tuple[str, ...] = ()  # what may be wrong with the ways of atoms
        largest = 0.0
        for atoms, block in whole.blocks():
            positions = unwrapped(block)
            self._centre += np.einsum("n,fnk->fk", weights[atoms], positions)
            largest = max(largest, _largest_jump(positions, block))
        if largest > _LARGEST_JUMP:
            self.notes = (
                f"an atom moves by {largest:.2f} of the cell from one frame to the next: if the "
                "run exchanges atoms (atomswap of i-PI), that counts as motion here",
            )

    def __iter__(self) -> Iterator[Array]:
        for atoms, block in self._whole.blocks():
            chosen = self._chosen[atoms]
            if chosen.any():
                yield unwrapped(block)[:, chosen] - self._centre[:, None, :]
