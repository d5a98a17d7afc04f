"""Rows of text as numbers, many frames at once and without a loop over rows.

Rows of one width with numbers in fixed columns (i-PI, extxyz) are read digit by digit with array
arithmetic, correctly rounded (an integer below 2⁵³ times or over an exact power of ten is one
rounding); all others by numpy's own parser.
"""

import re
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .elements import place_of

Array = NDArray[np.float64]
Bytes = NDArray[np.uint8]

_NEWLINE, _SPACE, _POINT, _ZERO, _MINUS, _PLUS = b"\n .0-+"
_EXPONENTS = b"eE"
_DIGITS = 15  # always below 2**53
_LARGEST_POWER = 22  # 10**22 is exact
_POWERS = 10.0 ** np.arange(_LARGEST_POWER + 1)


class BadRow(ValueError):
    """A row that cannot be read: `row` is its index, the message says what it holds."""

    def __init__(self, row: int, found: str):
        super().__init__(found)
        self.row = row


def read_table(
    data: bytes, n_rows: int, n_columns: int, numeric: Sequence[int], text: Sequence[int]
) -> tuple[Array, list[Bytes]]:
    """Read `n_rows` lines of `n_columns` fields separated by blanks.

    Args:
        data: the lines, each with its newline.
        numeric, text: columns wanted as numbers and as text; others are ignored.

    Returns:
        (n_rows, len(numeric)) numbers, and per text column (n_rows, width) characters.

    Raises:
        BadRow: another number of fields, or something that is not a number.
    """
    buffer = np.frombuffer(data, dtype=np.uint8)
    width = data.find(b"\n") + 1
    if width and len(data) == n_rows * width:
        lines = buffer.reshape(n_rows, width)
        if (lines[:, -1] == _NEWLINE).all():
            table = _fixed_columns(lines, n_columns, numeric, text)
            if table is not None:
                return table
    return _free_columns(data, buffer, n_rows, n_columns, numeric, text)


def _fixed_columns(
    lines: Bytes, n_columns: int, numeric: Sequence[int], text: Sequence[int]
) -> tuple[Array, list[Bytes]] | None:
    """Fields between columns that are blank in every line; None if they are not `n_columns`."""
    ink = np.flatnonzero(lines.max(axis=0) > _SPACE)
    if not len(ink) or (lines == 9).any():  # a tab may stand anywhere
        return None
    gaps = np.flatnonzero(np.diff(ink) > 1)
    starts = np.concatenate([ink[:1], ink[gaps + 1]])
    ends = np.concatenate([ink[gaps], ink[-1:]]) + 1
    if len(starts) != n_columns:
        return None
    numbers = np.empty((len(lines), len(numeric)))
    for k, column in enumerate(numeric):
        values = _fixed_numbers(lines[:, starts[column] : ends[column]])
        if values is None:
            return None
        numbers[:, k] = values
    words = [lines[:, starts[column] : ends[column]] for column in text]
    # a blank inside a field means that it is two fields in some lines, or none
    if any(not _one_word(field) for field in words):
        return None
    return numbers, words


def _one_word(field: Bytes) -> bool:
    ink = field > _SPACE
    # blank to ink at most once
    rises = ink[:, 0].astype(int) + (ink[:, 1:] & ~ink[:, :-1]).sum(axis=1)
    return bool((rises == 1).all())


def _fixed_numbers(field: Bytes) -> Array | None:
    """(n, width) characters -> (n,) numbers, if point and exponent stand in one column each."""
    first = field[0].tobytes()
    exponent_at = next((k for k, c in enumerate(first) if c in _EXPONENTS), len(first))
    point_at = first.find(b".")
    if point_at < 0:
        point_at = exponent_at
    elif not (field[:, point_at] == _POINT).all():
        return None
    decimals = max(0, exponent_at - point_at - 1)
    mantissa, sign = _signed_integer(field[:, :point_at], field[:, point_at + 1 : exponent_at])
    if mantissa is None or sign is None:
        return None
    powers: NDArray[np.int64] | int = -decimals
    if exponent_at < len(first):
        if not ((field[:, exponent_at] == 101) | (field[:, exponent_at] == 69)).all():
            return None
        exponent, exponent_sign = _signed_integer(
            np.ascontiguousarray(field[:, exponent_at + 1 :]), field[:, :0]
        )
        if exponent is None or exponent_sign is None:
            return None
        powers = np.where(exponent_sign, -exponent, exponent).astype(np.int64) - decimals
        if np.abs(powers).max() > _LARGEST_POWER:
            return None
        scale = _POWERS[np.abs(powers)]
        values = np.where(powers < 0, mantissa / scale, mantissa * scale)
    elif decimals > _LARGEST_POWER:
        return None
    else:
        values = mantissa / _POWERS[decimals]
    np.negative(values, out=values, where=sign)
    return values


def _signed_integer(
    whole: Bytes, fraction: Bytes
) -> tuple[Array, NDArray[np.bool_]] | tuple[None, None]:
    """Digits of `whole`, which may start with blanks and a sign, followed by those of `fraction`.

    Returns (n,) integers as floats and (n,) whether a minus was there; (None, None) if there is
    anything else, or too many digits.
    """
    n_digits = whole.shape[1] + fraction.shape[1]
    if n_digits == 0 or n_digits > _DIGITS + 4:
        return None, None
    total = np.zeros(len(whole))
    negative = np.zeros(len(whole), dtype=bool)
    begun = np.zeros(len(whole), dtype=bool)  # a sign or digit was seen
    digits_seen = np.zeros(len(whole), dtype=bool)
    for k in range(whole.shape[1]):
        column = whole[:, k]
        digit = column - np.uint8(_ZERO)  # wraps around below "0"
        is_digit = digit < 10
        if is_digit.all():
            total = 10 * total + digit
            begun[:] = digits_seen[:] = True
            continue
        minus = column == _MINUS
        sign = minus | (column == _PLUS)
        blank = column == _SPACE
        if not (is_digit | ((sign | blank) & ~begun)).all():
            return None, None
        total = np.where(is_digit, 10 * total + digit, total)
        negative |= minus
        begun |= sign | is_digit
        digits_seen |= is_digit
    for k in range(fraction.shape[1]):
        digit = fraction[:, k] - np.uint8(_ZERO)
        if not (digit < 10).all():
            return None, None
        total = 10 * total + digit
    if not (digits_seen.all() or fraction.shape[1]) or total.max() >= 10.0**_DIGITS:
        return None, None
    return total, negative


def _free_columns(
    data: bytes,
    buffer: Bytes,
    n_rows: int,
    n_columns: int,
    numeric: Sequence[int],
    text: Sequence[int],
) -> tuple[Array, list[Bytes]]:
    """Fields anywhere in the line; columns that are not numbers are blanked for numpy."""
    ink = buffer > _SPACE
    rises = ink.copy()
    rises[1:] &= ~ink[:-1]
    starts = np.flatnonzero(rises)
    line_ends = np.flatnonzero(buffer == _NEWLINE)
    fields = np.diff(np.searchsorted(starts, line_ends), prepend=0)
    if len(line_ends) != n_rows or (fields != n_columns).any():
        row = int(np.argmax(fields != n_columns))
        raise BadRow(row, f"{int(fields[row])} fields where {n_columns} are expected")
    falls = ink.copy()
    falls[:-1] &= ~ink[1:]
    ends = np.flatnonzero(falls) + 1
    words = [_gather(buffer, starts[c::n_columns], ends[c::n_columns]) for c in text]
    other = sorted(set(range(n_columns)) - set(numeric))
    left = n_columns - len(other)
    if not left:
        return np.empty((n_rows, 0)), words
    writable = buffer.copy()
    for column in other:
        begin, end = starts[column::n_columns], ends[column::n_columns]
        for k in range(int((end - begin).max())):
            writable[np.minimum(begin + k, end - 1)] = _SPACE
    flat = _numbers(writable.tobytes())
    if flat is None or flat.size != left * n_rows:
        raise _not_a_number(data, numeric)
    order = np.argsort(np.argsort(numeric))  # position of each wanted column among those left
    return flat.reshape(n_rows, left)[:, order], words


def _gather(buffer: Bytes, starts: NDArray[np.intp], ends: NDArray[np.intp]) -> Bytes:
    width = int((ends - starts).max())
    words = np.full((len(starts), width), _SPACE, dtype=np.uint8)
    for k in range(width):
        inside = starts + k < ends
        words[inside, k] = buffer[starts[inside] + k]
    return words


def _numbers(text: bytes) -> Array | None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # numpy's word for "no number"
        try:
            return np.fromstring(text, sep=" ")
        except (DeprecationWarning, ValueError):
            return None


def _not_a_number(data: bytes, numeric: Sequence[int]) -> BadRow:
    for row, line in enumerate(data.splitlines()):
        words = line.split()
        for column in numeric:
            try:
                float(words[column])
            except ValueError:
                found = words[column].decode(errors="replace")
                return BadRow(row, f"{found!r:.30} where a number is expected")
    return BadRow(0, "something that is not a number")


def text_codes(
    words: Bytes, n_frames: int, known: Sequence[str]
) -> tuple[NDArray[np.int16], tuple[str, ...]]:
    """(F·N, width) characters as (F, N) indices into names: `known` first, then those found.

    The names found come in the order of atomic numbers, whatever that of the atoms: columns of
    one alloy are the same in every file of it.

    Where all frames are alike the result is a view of one row.
    """
    per_frame = words.reshape(n_frames, -1, words.shape[1])
    alike = n_frames > 1 and bool((per_frame == per_frame[0]).all())
    distinct = per_frame[0] if alike else words
    width = words.shape[1]
    padded = np.zeros((len(distinct), -(-width // 8) * 8), dtype=np.uint8)
    padded[:, :width] = distinct
    keys = padded.view(np.uint64)
    if keys.shape[1] == 1:
        unique, index = np.unique(keys[:, 0], return_inverse=True)
        found = [key.tobytes() for key in unique]
    else:
        rows, index = np.unique(padded, axis=0, return_inverse=True)
        found = [row.tobytes() for row in rows]
    names = [re.sub(rb"[\0 ]", b"", word).decode(errors="replace") for word in found]
    elements = list(known)
    elements += sorted(set(names) - set(elements), key=place_of)
    lookup = np.array([elements.index(name) for name in names], dtype=np.int16)
    codes = lookup[index.ravel()].reshape(-1, per_frame.shape[1])
    if alike:
        codes = np.broadcast_to(codes, (n_frames, codes.shape[1]))
    return codes, tuple(elements)
