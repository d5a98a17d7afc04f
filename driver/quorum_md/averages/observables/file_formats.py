"""What a trajectory format must tell about one frame, and how its atoms are read.

A frame is a header of a few lines and one line per atom. Headers are read one by one (there are few
lines), the lines of atoms of many frames at once.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...errors import QuorumError

Array = NDArray[np.float64]


class BadHeader(ValueError):
    """The lines here do not start a frame; the message says what is wrong."""


class Incomplete(Exception):
    """The header is not complete yet: more of the file must be read."""


@dataclass(frozen=True)
class Columns:
    """Where things stand in a line of an atom.

    Attributes:
        count: fields per line.
        position: the three columns of the coordinates.
        scaled: coordinates are fractions of the cell.
        unwrapped: coordinates do not jump at the boundary.
        image: the three columns of the image flags.
        symbol: column with the name of the element.
        kind: column with a LAMMPS type.
        identity: column with the number of the atom.
        tracked: atoms can be followed from line to line, or by their numbers.
    """

    count: int
    position: tuple[int, int, int]
    scaled: bool = False
    unwrapped: bool = False
    image: tuple[int, int, int] | None = None
    symbol: int | None = None
    kind: int | None = None
    identity: int | None = None
    tracked: bool = True


@dataclass
class Header:
    """One frame's header.

    Attributes:
        lines: of the header.
        n_atoms: lines of atoms that follow.
        step: None where the file has none.
        cell: nine numbers (rows are vectors) or six (lengths and angles) in the unit of the file.
        origin: corner of the cell in the unit of the file.
        pbc: periodic directions.
        columns: of the lines of atoms.
        length_A, cell_A: Å per unit of the coordinates and of the cell.
        bead: index of the bead, None where the file has none.
    """

    lines: int
    n_atoms: int
    step: int | None
    cell: tuple[float, ...]
    pbc: tuple[bool, bool, bool]
    columns: Columns
    length_A: float = 1.0
    cell_A: float = 1.0
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    bead: int | None = None


class Format(Protocol):
    """A kind of trajectory file."""

    name: str

    def starts_frame(self, line: bytes) -> bool:
        """Whether a line can be the first of a frame."""

    def header(self, lines: "Lines", first: int) -> Header:
        """The header that starts at line `first`.

        Raises:
            Incomplete, BadHeader, QuorumError
        """


@dataclass
class Lines:
    """The lines of a piece of a file."""

    data: bytes
    ends: list[int] = field(init=False)

    def __post_init__(self) -> None:
        # a list: single numbers are what is asked for
        self.ends = np.flatnonzero(np.frombuffer(self.data, dtype=np.uint8) == 10).tolist()

    def __len__(self) -> int:
        return len(self.ends)

    def start(self, index: int) -> int:
        """Offset of the first character of a line."""
        return 0 if index == 0 else self.ends[index - 1] + 1

    def __getitem__(self, index: int) -> bytes:
        if index >= len(self.ends):
            raise Incomplete
        return self.data[0 if index == 0 else self.ends[index - 1] + 1 : self.ends[index]]


@lru_cache(maxsize=16)  # most cells are like the one before
def numbers(text: bytes, count: int, what: str) -> tuple[float, ...]:
    """`count` finite numbers, or `BadHeader`."""
    try:
        values = tuple(map(float, text.split()))
    except ValueError:
        values = ()
    if len(values) != count or not np.isfinite(values).all():
        raise BadHeader(
            f"{what} is {text.decode(errors='replace').strip()!r:.60}, expected {count} numbers"
        )
    return values


def unknown_unit(path: str, unit: str, known: str) -> QuorumError:
    """The sentence for a unit of length that is none."""
    return QuorumError(f"{path}: lengths are in {unit!r}, expected one of {known}")
