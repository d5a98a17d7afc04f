"""Rows of numbers from text files of any length: lines are parsed a megabyte at a time, so that a
file takes the memory of its numbers and not that of its text.
"""

from collections.abc import Iterator

import numpy as np

from ..errors import QuorumError
from .tables import Array, PathLike

_CHUNK_CHARACTERS = 1 << 20
_GROWTH = 1.125  # arrays are grown in place; what is grown too far is memory for nothing


class TextLines:
    """Lines of a file, one by one, without their ends.

    A last one without its end is left out, as it may be cut within a number and then look complete.

    Args:
        path: of the file.
        writer: the program that should have written it, for messages.

    Attributes:
        cut: the last line was left out; known at the end.

    Raises:
        QuorumError: no such file, or not text.
    """

    def __init__(self, path: PathLike, writer: str) -> None:
        self._path, self._writer = path, writer
        self.cut = False

    def __iter__(self) -> Iterator[str]:
        try:
            with open(self._path) as file:
                for line in file:
                    if not line.endswith("\n"):
                        self.cut = True
                        return
                    yield line[:-1]
        except OSError as error:
            raise QuorumError(
                f"{self._path}: cannot be read ({error.strerror}); expected a file written by "
                f"{self._writer}"
            ) from error
        except UnicodeDecodeError as error:
            raise QuorumError(
                f"{self._path}: is not text; expected a file written by {self._writer}"
            ) from error


class GrownArray:
    """An array (n, width) that blocks of rows are added to."""

    def __init__(self, width: int) -> None:
        self._values = np.empty((0, width))
        self.n_rows = 0

    def extend(self, block: Array) -> None:
        """Add (m, width) rows."""
        end = self.n_rows + len(block)
        if end > len(self._values):
            self._resize(max(end, int(_GROWTH * len(self._values))))
        self._values[self.n_rows : end] = block
        self.n_rows = end

    def values(self) -> Array:
        """All rows; nothing may be added any more."""
        self._resize(self.n_rows)
        return self._values

    def _resize(self, n_rows: int) -> None:
        self._values.resize((n_rows, self._values.shape[1]), refcheck=False)


class NumberRows:
    """Rows of equally many numbers, given as text.

    Args:
        path: of the file, for messages.
        meaning: of the width, "columns as in its header".
        width: numbers in a row; that of the first row if it is not known.
    """

    def __init__(self, path: PathLike, meaning: str, width: int | None = None) -> None:
        self._path, self._meaning, self.width = path, meaning, width
        self._first: tuple[str, int] | None = None
        self._rows: list[str] = []
        self._numbers: list[int] = []
        self._limit = 0
        self._done: GrownArray | None = None

    def add(self, row: str, number: int) -> None:
        """One row, and the number of its line.

        Raises:
            QuorumError: a row before it is not `width` numbers.
        """
        if self._first is None:
            self._first = (row, number)
            self._limit = 2 + _CHUNK_CHARACTERS // (len(row) + 1)
        self._rows.append(row)
        self._numbers.append(number)
        if len(self._rows) == self._limit:
            # the last row may be incomplete, and it is not known yet whether this is it
            self._parse(len(self._rows) - 1)

    def expect(self, width: int) -> None:
        """Say how many numbers a row has, as a header does.

        Raises:
            QuorumError: rows before were of another width.
        """
        if self._done is not None and self._first is not None and width != self.width:
            self.width = width
            raise self._error(*self._first)
        self.width = width

    def finish(self, *, strict: bool = False) -> tuple[Array, bool]:
        """All rows, and whether the last was incomplete and left out.

        Raises:
            QuorumError: no rows, or one that is not `width` numbers; only the last of several may
                be, unless `strict`.
        """
        if self._first is None:
            raise QuorumError(
                f"{self._path}: holds no rows of numbers; the run has not written any yet"
            )
        truncated = False
        rows = self._rows
        if not strict and (self._done is not None or len(rows) > 1):
            truncated = _parsed(rows[-1:], self._known_width())[0] is None
        self._parse(len(rows) - truncated)
        assert self._done is not None
        return self._done.values(), truncated

    def _known_width(self) -> int:
        if self.width is None:
            assert self._first is not None
            self.width = len(self._first[0].split())
        return self.width

    def _parse(self, count: int) -> None:
        """Turn the first `count` rows that are left into numbers."""
        width = self._known_width()
        if self._done is None:
            self._done = GrownArray(width)
        block, bad = _parsed(self._rows[:count], width)
        if block is None:
            raise self._error(self._rows[bad], self._numbers[bad])
        self._done.extend(block)
        del self._rows[:count], self._numbers[:count]

    def _error(self, row: str, number: int) -> QuorumError:
        found = len(row.split())
        what = f"{found} numbers" if found != self.width else f"{row:.40s}"
        return QuorumError(
            f"{self._path}, line {number}: got {what}, expected {self.width} numbers, "
            f"{self._meaning}; repair or cut the file there"
        )


def _parsed(rows: list[str], width: int) -> tuple[Array | None, int]:
    """(n, width) numbers, or None and the index of the first row that is not `width` numbers."""
    if not rows:
        return np.empty((0, width)), -1
    try:
        block = np.loadtxt(rows, comments=None, ndmin=2)
    except ValueError:
        block = np.empty((0, 0))
    if block.shape == (len(rows), width):
        return block, -1
    for index, row in enumerate(rows):
        fields = row.split()
        if len(fields) != width or not all(_is_number(field) for field in fields):
            return None, index
    return np.array([row.split() for row in rows], dtype=float), -1


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
