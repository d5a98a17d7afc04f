"""Trajectories in pieces: i-PI's xyz, extxyz and LAMMPS text dumps, plain, gzip or xz.

A file is read a few megabytes at a time; only headers are looked at one by one. What a killed run
leaves is dropped with a note: a last frame cut short, or a broken frame before the ones that a
restart appended. A restart that repeats steps replaces the abandoned branch (`Trajectory.read` and
`compute` see to that; `Trajectory.chunks` gives the frames as they are in the file).
"""

import gzip
import lzma
import zlib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import BinaryIO, cast

import numpy as np

from ...errors import QuorumError
from ..tables import PathLike, current_branch
from .file_formats import Format, Lines
from .frame_reader import FrameReader, Piece, Stated
from .frames import Frames
from .lammps_format import LammpsFormat
from .xyz_format import XyzFormat

CHUNK_BYTES = 1 << 24  # of text; numpy needs several times that while it reads
_UNPACKED = 1 << 16  # at a time: what a truncated file loses at most


class Trajectory:
    """A trajectory file, read as often as one likes.

    Args:
        path: the file; its first lines say what it is.
        elements: the element of each LAMMPS type, in order; for other files, the order in which
            elements are reported (by default that of atomic numbers).
        units: LAMMPS's `units`, where a dump does not say.
        step_key: key of the step in the comments of extxyz.
        every: steps between frames, for a file that has no steps: frame k is step
            `first_step` + k·`every`.
        chunk_bytes: text read at a time.

    Attributes:
        path, notes: what was dropped, after reading.
    """

    def __init__(
        self,
        path: PathLike,
        *,
        elements: Sequence[str] | None = None,
        units: str | None = None,
        step_key: str = "step",
        every: int | None = None,
        first_step: int = 0,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        self.path = str(path)
        self.notes: list[str] = []
        names = tuple(elements) if elements is not None else None
        self._stated = Stated(names, step_key, every, first_step)
        self._units = units
        self._chunk_bytes = chunk_bytes
        self._first: Frames | None = None
        if every is not None and every < 1:
            raise QuorumError(
                f"{path}: every: got {every}, expected a positive number of steps between frames"
            )

    def first(self) -> Frames:
        """The frames at the start of the file, up to about a megabyte of it."""
        if self._first is None:
            self._first = next(self._read(min(self._chunk_bytes, 1 << 20)))
        return self._first

    def chunks(self) -> Iterator[Frames]:
        """All frames as they are in the file, in pieces.

        Raises:
            QuorumError: not a trajectory, damaged in the middle, another number of atoms, no steps,
                no units, unknown types.
        """
        return self._read(self._chunk_bytes)

    def read(self) -> Frames:
        """All frames at once, steps increasing: abandoned branches are left out."""
        pieces = list(self.chunks())
        frames = join(pieces)
        keep = current_branch(frames.steps)
        if not keep.all():
            frames = frames.part(keep)
        return frames

    def _read(self, size: int) -> Iterator[Frames]:
        self.notes = []
        reader = FrameReader(self.path, self._stated, self._note)
        for piece, line_number in self._pieces(size, reader):
            yield reader.frames(piece, line_number)
        if reader.n_frames == 0:
            raise QuorumError(
                f"{self.path}: holds no complete frame; the run has not written any yet"
            )

    def _pieces(self, size: int, reader: FrameReader) -> Iterator[tuple[Piece, int]]:
        """Pieces with whole frames, and the number of their first line."""
        rest, line_number, kind = b"", 1, None
        with closing(_open(self.path)) as stream:
            while True:
                data = _next(stream, size, self.path)
                text = rest + data
                if kind is None and text:
                    kind = _format(self.path, text, self._units, self._stated.step_key)
                if kind is None:
                    return
                lines = Lines(text)
                piece = reader.scan(lines, kind, line_number, at_end=not data)
                if piece.headers:
                    yield piece, line_number
                line_number += bisect_left(lines.ends, piece.rest)
                rest = text[piece.rest :]
                if not data:
                    if rest.strip():
                        self._note("the last frame is cut short and was left out")
                    return
                if len(rest) > size:
                    size *= 2  # frames larger than a piece

    def _note(self, sentence: str) -> None:
        note = f"{self.path}: {sentence}"
        if note not in self.notes:
            self.notes.append(note)


def first_structure(path: PathLike, elements: Sequence[str] | None = None) -> Frames:
    """The first frame of a file, which need not have a step."""
    trajectory = Trajectory(path, elements=elements, chunk_bytes=1 << 20)
    trajectory._stated = replace(trajectory._stated, structure=True)
    return trajectory.first().part(slice(0, 1))


def join(pieces: Sequence[Frames]) -> Frames:
    """Frames of one trajectory one after the other."""
    first = pieces[0]
    if len(pieces) == 1:
        return first
    rows = first.species[0]
    if all(p.constant_species and (p.species[0] == rows).all() for p in pieces):
        total = sum(len(p) for p in pieces)
        species = np.broadcast_to(rows, (total, len(rows)))
    else:
        species = np.concatenate([p.species for p in pieces])
    return replace(
        first,
        steps=np.concatenate([p.steps for p in pieces]),
        positions=np.concatenate([p.positions for p in pieces]),
        cells=np.concatenate([p.cells for p in pieces]),
        elements=pieces[-1].elements,
        species=species,
    )


def _open(path: str) -> BinaryIO:
    try:
        with open(path, "rb") as stream:
            magic = stream.read(6)
        if magic[:2] == b"\x1f\x8b":
            return cast(BinaryIO, gzip.open(path, "rb"))
        if magic == b"\xfd7zXZ\x00":
            return cast(BinaryIO, lzma.open(path, "rb"))
        return open(path, "rb")
    except OSError as error:
        raise QuorumError(
            f"{path}: cannot be read ({error.strerror}); expected a trajectory of i-PI or LAMMPS, "
            "or extxyz"
        ) from error


def _next(stream: BinaryIO, size: int, path: str) -> bytes:
    """The next `size` bytes, fewer at the end of the file."""
    if not isinstance(stream, (gzip.GzipFile, lzma.LZMAFile)):
        return stream.read(size)
    parts: list[bytes] = []
    while size > 0:
        try:
            part = stream.read1(min(size, _UNPACKED))
        except EOFError:
            break  # packed by a run that was killed: what is there is read
        except (OSError, lzma.LZMAError, zlib.error) as error:
            raise QuorumError(
                f"{path}: cannot be unpacked ({error}); the file is damaged, repair or cut it"
            ) from error
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _format(path: str, text: bytes, units: str | None, step_key: str) -> Format:
    first = text.lstrip().split(b"\n", 1)[0].strip()
    if first.startswith(b"ITEM:"):
        return LammpsFormat(path, units)
    if first.isdigit():
        return XyzFormat(path, step_key)
    raise QuorumError(
        f"{path}: starts with {first.decode(errors='replace')!r:.40}, expected a number of atoms "
        "(xyz of i-PI, extxyz) or ITEM: TIMESTEP (text dump of LAMMPS)"
    )
