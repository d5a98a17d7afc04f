"""From pieces of text to arrays: which lines are frames, and what must not change among them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import QuorumError
from .elements import symbol_of_number
from .file_formats import BadHeader, Columns, Format, Header, Incomplete, Lines
from .frames import Array, Codes, Frames, Integers, cells_from_lengths_and_angles
from .text_tables import BadRow, read_table, text_codes


@dataclass(frozen=True)
class Stated:
    """What the user says about a file; see `Trajectory`."""

    elements: tuple[str, ...] | None
    step_key: str
    every: int | None
    first_step: int
    structure: bool = False  # one frame, whatever its step


@dataclass
class Piece:
    """Whole frames found in a piece of text: their headers and the lines of their atoms."""

    headers: list[Header]
    first_lines: list[int]
    rows: list[bytes]
    rest: int  # offset of what is left over


class FrameReader:
    """What must be the same in all frames of one pass over a file."""

    def __init__(self, path: str, stated: Stated, note: Callable[[str], None]) -> None:
        self.path = path
        self.stated = stated
        self.note = note
        self.n_frames = 0
        self.n_atoms: int | None = None
        self.pbc: tuple[bool, bool, bool] | None = None
        self.bead: int | None = None
        self.identities: Integers | None = None
        self.names: tuple[str, ...] = ()  # as in the file
        self.elements: tuple[str, ...] = ()

    def scan(self, lines: Lines, kind: Format, line_number: int, *, at_end: bool) -> Piece:
        """Find the whole frames of a piece of text."""
        headers: list[Header] = []
        firsts: list[int] = []
        rows: list[bytes] = []
        at, rest = 0, 0
        while at < len(lines):
            if not lines[at].strip():
                at += 1
                rest = lines.start(at)
                continue
            try:
                header = kind.header(lines, at)
            except Incomplete:
                break
            except BadHeader as error:
                raise QuorumError(
                    f"{self.path}, line {line_number + at}: {error}; the file is damaged there, "
                    "repair or cut it"
                ) from error
            end = at + header.lines + header.n_atoms
            if end >= len(lines) and not at_end:
                break  # whether a frame is whole shows in the line that follows
            broken = end < len(lines) and (
                (lines[end].strip() and not kind.starts_frame(lines[end]))
                or len(lines[end - 1].split()) < header.columns.count
            )
            if broken or end > len(lines):
                # cut short; where the run went on, another frame starts before long
                last = end + header.lines + header.n_atoms
                again = self._resume(lines, kind, at + 1, min(last, len(lines) - 1))
                if again is None and (end > len(lines) or (last >= len(lines) and not at_end)):
                    break
                if again is None:
                    raise QuorumError(
                        f"{self.path}, line {line_number + end}: "
                        f"{lines[end].decode(errors='replace').strip()!r:.40} after a frame of "
                        f"{header.n_atoms} atoms; the file is damaged there, repair or cut it"
                    )
                self.note(
                    f"a broken frame at line {line_number + at} was left out, as a killed run "
                    "leaves it"
                )
                at = again
                rest = lines.start(at)
                continue
            self._check(header, line_number + at)
            headers.append(header)
            firsts.append(at + header.lines)
            rows.append(lines.data[lines.start(at + header.lines) : lines.start(end)])
            at = end
            rest = lines.start(at)
        return Piece(headers, firsts, rows, rest)

    def _resume(self, lines: Lines, kind: Format, begin: int, end: int) -> int | None:
        """A line between `begin` and `end` at which another frame starts."""
        for k in range(begin, end + 1):
            if kind.starts_frame(lines[k]):
                try:
                    kind.header(lines, k)
                except (Incomplete, BadHeader):
                    continue
                return k
        return None

    def _check(self, header: Header, line_number: int) -> None:
        where = f"{self.path}, line {line_number}"
        if self.n_atoms is None:
            self.n_atoms, self.pbc, self.bead = header.n_atoms, header.pbc, header.bead
            if header.n_atoms < 1:
                raise QuorumError(f"{where}: a frame of {header.n_atoms} atoms, expected atoms")
        if header.n_atoms != self.n_atoms:
            raise QuorumError(
                f"{where}: a frame of {header.n_atoms} atoms after frames of {self.n_atoms}, "
                "expected the same number in all frames; give a trajectory of one system"
            )
        if header.pbc != self.pbc:
            raise QuorumError(
                f"{where}: periodic in {header.pbc} after {self.pbc}, expected the same in all "
                "frames; give a trajectory of one system"
            )
        if header.bead != self.bead:
            raise QuorumError(
                f"{where}: bead {header.bead} after bead {self.bead}, expected one file per bead "
                "as i-PI writes them"
            )

    def frames(self, piece: Piece, line_number: int) -> Frames:
        """Arrays from the frames of a piece."""
        same = piece.headers[0].columns
        if any(header.columns is not same and header.columns != same for header in piece.headers):
            raise QuorumError(
                f"{self.path}: the columns of the atoms change within the file, expected the same "
                "in all frames; give files of one kind"
            )
        n_frames, n_atoms = len(piece.headers), piece.headers[0].n_atoms
        numeric = [*same.position, *(same.image or ())]
        numeric += [
            c for c in (same.kind if same.symbol is None else None, same.identity) if c is not None
        ]
        text = [] if same.symbol is None else [same.symbol]
        try:
            table, words = read_table(
                b"".join(piece.rows), n_frames * n_atoms, same.count, numeric, text
            )
        except BadRow as error:
            line = line_number + piece.first_lines[error.row // n_atoms] + error.row % n_atoms
            raise QuorumError(
                f"{self.path}, line {line}: {error}; the file is damaged there, repair or cut it"
            ) from error
        table = table.reshape(n_frames, n_atoms, -1)
        if not np.isfinite(table).all():
            row = int(np.argmax(~np.isfinite(table).all(axis=(1, 2))))
            raise QuorumError(
                f"{self.path}: step {piece.headers[row].step} has positions that are not finite; "
                "the run broke down there, cut the file before that step"
            )
        species = self._species(same, table, words)
        if same.identity is not None:
            table, species = self._by_identity(table, species)
        steps = self._steps(piece.headers)
        cells = _cells(piece.headers)
        positions = _positions(piece.headers, same, table, cells)
        self.n_frames += n_frames
        return Frames(
            steps,
            positions,
            cells,
            np.array(self.pbc),
            self.elements,
            species,
            tracked=same.tracked,
            continuous=same.unwrapped,
            bead=self.bead or 0,
        )

    def _species(self, columns: Columns, table: Array, words: list[NDArray[np.uint8]]) -> Codes:
        stated = self.stated.elements
        if columns.symbol is not None:
            before = self.names or stated or ()
            codes, names = text_codes(words[0], len(table), before)
            if before and len(names) > len(before):
                raise QuorumError(
                    f"{self.path}: has {', '.join(names[len(before) :])} in a later frame, or not "
                    f"as stated; expected {', '.join(before)}; state all elements (elements=…)"
                )
            self.names = names
            self.elements = tuple(
                symbol_of_number(int(name)) if name.isdigit() else name for name in names
            )
            return codes
        if columns.kind is None:
            raise QuorumError(
                f"{self.path}: has no column with the species of the atoms, expected element or "
                "type (LAMMPS), species (extxyz) or symbols"
            )
        if stated is None:
            raise QuorumError(
                f"{self.path}: has LAMMPS types and no column element, expected the elements of "
                "the types: state them in order (elements=['Nb', 'Mo'])"
            )
        kinds = table[..., 3 + (3 if columns.image else 0)].astype(np.int16) - np.int16(1)
        if kinds.min() < 0 or kinds.max() >= len(stated):
            raise QuorumError(
                f"{self.path}: has LAMMPS types from {kinds.min() + 1} to {kinds.max() + 1}, but "
                f"{len(stated)} elements were stated ({', '.join(stated)}); state one per type"
            )
        self.elements = _merged(stated)
        lookup = np.array([self.elements.index(name) for name in stated], dtype=np.int16)
        codes = lookup[kinds]
        if (codes == codes[0]).all():
            codes = np.broadcast_to(codes[0], codes.shape)
        return codes

    def _by_identity(self, table: Array, species: Codes) -> tuple[Array, Codes]:
        """Atoms in the order of their numbers."""
        identity = table[..., -1].astype(np.int64)
        if self.identities is None:
            self.identities = np.sort(identity[0])
        if (identity == self.identities).all():
            return table, species
        order = np.argsort(identity, axis=1, kind="stable")
        if (np.take_along_axis(identity, order, axis=1) != self.identities).any():
            raise QuorumError(
                f"{self.path}: the numbers (id) of the atoms change, expected the same atoms in "
                "all frames; dump a group that stays the same"
            )
        table = np.take_along_axis(table, order[..., None], axis=1)
        codes = np.take_along_axis(np.asarray(species), order, axis=1)
        if (codes == codes[0]).all():
            codes = np.broadcast_to(codes[0], codes.shape)
        return table, codes

    def _steps(self, headers: list[Header]) -> Integers:
        stated = self.stated
        if stated.structure:
            return np.zeros(len(headers), dtype=np.int64)
        if stated.every is not None:
            if headers[0].step is not None:
                raise QuorumError(
                    f"{self.path}: has steps of its own, but every={stated.every} was stated; "
                    "leave that out"
                )
            start = stated.first_step + stated.every * self.n_frames
            return start + stated.every * np.arange(len(headers), dtype=np.int64)
        if any(header.step is None for header in headers):
            raise QuorumError(
                f"{self.path}: has frames without a step, so they cannot be matched with the "
                f"member energies; expected {stated.step_key}=… in every comment, or say how many "
                "steps lie between frames (every=…)"
            )
        return np.array([header.step for header in headers], dtype=np.int64)


def _merged(names: tuple[str, ...]) -> tuple[str, ...]:
    """Several LAMMPS types may be one element."""
    return tuple(dict.fromkeys(names))


def _cells(headers: list[Header]) -> Array:
    numbers = np.array([header.cell for header in headers])
    if numbers.shape[1] == 6:
        cells = cells_from_lengths_and_angles(numbers[:, :3], numbers[:, 3:])
    else:
        cells = numbers.reshape(-1, 3, 3)
    factors = np.array([header.cell_A for header in headers])
    return cells * factors[:, None, None]


def _positions(headers: list[Header], columns: Columns, table: Array, cells: Array) -> Array:
    positions = table[..., :3] * np.array([header.length_A for header in headers])[:, None, None]
    if columns.scaled:
        origins = np.array([header.origin for header in headers])
        factors = np.array([header.cell_A for header in headers])
        positions = positions @ cells + (origins * factors[:, None])[:, None, :]
    if columns.image is not None:
        positions += table[..., 3:6] @ cells
    return np.ascontiguousarray(positions)
