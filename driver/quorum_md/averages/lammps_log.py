"""What LAMMPS writes into its log: thermo tables, and the script lines that it echoes.

Formats of LAMMPS 22 Jul 2025, as found in real logs:

- one line per step (``thermo_style one``, ``custom``): a header of names, rows of as many numbers;
- ``multi``: ``------------ Step  10 ----- CPU = 0.1 (sec) ------`` and lines of ``Name = number``;
- ``yaml``: ``keywords: ['Step', …, ]`` and rows ``  - [10, …, ]``.

Lines in between (warnings, `fix print`) are no rows. A command with variables is echoed twice,
before and after they are filled in; only the latter is kept.
"""

import re
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..errors import QuorumError
from .tables import Array, PathLike
from .text_rows import NumberRows, TextLines

# commands whose echo is kept; what a program prints itself rarely starts with these and a blank
COMMANDS = frozenset(
    "units clear read_restart read_data create_box create_atoms delete_atoms change_box replicate "
    "read_dump set pair_style pair_coeff bond_style angle_style dihedral_style improper_style "
    "kspace_style fix unfix fix_modify compute uncompute thermo_style thermo_modify".split()
)
# commands that write a table
RUNS = frozenset(
    "run minimize rerun temper temper/npt temper/grem neb neb/spin prd tad hyper".split()
)
STARTED = "LAMMPS ("  # how a process announces itself
_NAME = re.compile(r"[A-Za-z][\w/.:\[\]{}*+-]*$")
_NUMBER_START = frozenset("-+.0123456789n")  # n: nan
_MULTI = re.compile(r"-+ Step\s+(\d+) -+ CPU =\s*(\S+) \(sec\)")
_PAIR = re.compile(r"\s*(\S+)\s*=\s*(\S+)")
_KEYWORDS = re.compile(r"keywords:\s*\[(.*)\]")
_LOOP = re.compile(r"Loop time of \S+ on \d+ procs for \d+ steps with (\d+) atoms")
_SAMPLES = 20  # rows at least, to see how many digits are printed
_ATOMS = re.compile(r"(?:\s+|Created )(\d+) atoms$")


@dataclass(frozen=True)
class Command:
    """One echoed script line, comments removed, variables filled in."""

    line: int
    words: tuple[str, ...]


@dataclass(frozen=True)
class ThermoTable:
    """The thermo output of one `run`, `minimize`, …

    Attributes:
        path, line: the file, and the line of the header in it.
        command: that wrote it, "run", "minimize", …; "" if it is not echoed.
        names: of the columns, as in the header.
        values: (n, m).
        last_digits: (m,) size of the last printed digit, the coarsest of some rows.
        n_atoms: None if it is not known.
        process: counts the times that LAMMPS started in this log, from 1.
    """

    path: str
    line: int
    command: str
    names: tuple[str, ...]
    values: Array
    last_digits: Array
    n_atoms: int | None
    process: int

    def column(self, name: str) -> Array:
        """(n,) values of the first column of that name."""
        return self.values[:, self.names.index(name)]

    @property
    def steps(self) -> NDArray[np.int64]:
        """(n,) steps."""
        return np.rint(self.column("Step")).astype(np.int64)


@dataclass(frozen=True)
class LammpsLog:
    """One log: tables and commands, both with their lines.

    Attributes:
        path: of the file.
        tables: in order; those without a column Step or without rows are left out.
        commands: echoed ones of `COMMANDS`, and those that start LAMMPS anew as ("LAMMPS",).
        truncated: the last line was cut short and left out.
    """

    path: str
    tables: list[ThermoTable]
    commands: list[Command]
    truncated: bool


@dataclass
class _Open:
    """A table being read."""

    kind: str  # "one", "multi" or "yaml"
    line: int
    names: tuple[str, ...]
    command: str
    process: int
    path: str
    record: dict[str, str] = field(default_factory=dict)  # of multi
    n_atoms: int | None = None
    n_rows: int = 0

    def __post_init__(self) -> None:
        self.rows = NumberRows(self.path, f"columns as in the header at line {self.line}")
        self.samples: list[str] = []  # every `spacing`-th row
        self.spacing = 1

    def add(self, row: str, number: int) -> None:
        """One row, and the number of its line."""
        if self.n_rows % self.spacing == 0:
            if len(self.samples) == 2 * _SAMPLES:
                self.samples, self.spacing = self.samples[::2], 2 * self.spacing
            if self.n_rows % self.spacing == 0:
                self.samples.append(row)
        if not self.n_rows:
            self.rows.expect(len(self.names))
        self.rows.add(row, number)
        self.n_rows += 1


def looks_like_a_log(text: str) -> bool:
    """Whether the first part of a file is that of a LAMMPS log."""
    return text.startswith(STARTED) or any(
        mark in text
        for mark in ("\nLAMMPS (", "Per MPI rank memory allocation", "\nkeywords: ['Step'")
    )


def read_log(path: PathLike) -> LammpsLog:
    """Read a log, or what LAMMPS wrote to the screen.

    Raises:
        QuorumError: no such file, not text, or without a thermo table.
    """
    lines = TextLines(path, "LAMMPS")
    reader = _Reader(str(path))
    number, line = 0, ""
    for number, following in enumerate(lines):
        if number:
            reader.take(number, line, following)
        line = following
    reader.take(number + 1, line, "")
    reader.close()
    if not reader.tables:
        if reader.has_header:
            why = "has a thermo header but no rows yet"
        else:
            why = "has no thermo table with a column Step"
        raise QuorumError(
            f"{path}: {why}, expected a log of LAMMPS (log.lammps) whose thermo_style has step; "
            "give the log of the run"
        )
    return LammpsLog(str(path), reader.tables, reader.commands, lines.cut)


class _Reader:
    def __init__(self, path: str) -> None:
        self.path = path
        self.tables: list[ThermoTable] = []
        self.commands: list[Command] = []
        self.open: _Open | None = None
        self.run = ""
        self.process = 1
        self.n_atoms: int | None = None
        self.last_line = ""
        self.has_header = False

    def take(self, number: int, line: str, following: str) -> None:
        """One line, with the one after it."""
        table = self.open
        if table is not None and self._row(table, number, line):
            return
        self.has_header = self.has_header or "Step" in line
        words = line.split()
        if not words:
            return
        if line.startswith(STARTED):
            self.close()
            self.process += bool(self.tables)
            self.run, self.n_atoms = "", None
            self.commands.append(Command(number, ("LAMMPS",)))
        elif match := _LOOP.match(line):
            if table is not None:
                table.n_atoms = int(match[1])
            self.close()
        elif words[0] == "Minimization" and words[1:2] == ["stats:"]:
            if self.tables and not self.tables[-1].command:
                last = self.tables.pop()
                self.tables.append(ThermoTable(**{**vars(last), "command": "minimize"}))
        elif match := _ATOMS.match(line):
            created = int(match[1]) + (self.n_atoms or 0) if line[0] == "C" else int(match[1])
            self.n_atoms = created
        elif words[0] in COMMANDS or words[0] in RUNS:
            self._command(number, line)
        else:
            self._header(number, line, words, following)
        self.last_line = line

    def _row(self, table: _Open, number: int, line: str) -> bool:
        """Whether the line belongs to the rows of the open table; keeps it if so."""
        if table.kind == "one":
            words = line.split()
            if len(words) != len(table.names) or words[0][0] not in _NUMBER_START:
                return False
            table.add(line, number)
            return True
        if table.kind == "yaml":
            text = line.strip()
            if not (text.startswith("- [") and text.endswith("]")):
                return False
            row = text[3:-1].replace(",", " ")
            if len(row.split()) == len(table.names):
                table.add(row, number)
            return True
        match = _MULTI.match(line)
        if match:
            self._finish_record(table, number)
            table.record = {"Step": match[1], "CPU": match[2]}
            return True
        pairs = _PAIR.findall(line)
        if not pairs or _PAIR.sub("", line).strip() or not table.record:
            return False
        table.record.update(pairs)
        return True

    def _finish_record(self, table: _Open, number: int) -> None:
        record = table.record
        table.record = {}
        if not record:
            return
        if not table.names:
            table.names = tuple(record)
        if tuple(record) == table.names:  # the last of a killed run may be incomplete
            table.add(" ".join(record.values()), number)

    def _header(self, number: int, line: str, words: list[str], following: str) -> None:
        keywords = _KEYWORDS.match(line)
        multi = _MULTI.match(line)
        if keywords:
            names = tuple(word.strip(" '\"") for word in keywords[1].split(",") if word.strip())
            kind = "yaml"
        elif multi:
            names, kind = (), "multi"
        elif "Step" in words and all(_NAME.match(word) for word in words):
            after_memory = self.last_line.startswith("Per MPI rank memory")
            next_words = following.split()
            row_follows = len(next_words) == len(words) and next_words[0][0] in _NUMBER_START
            if not (after_memory or row_follows):
                return
            names, kind = tuple(words), "one"
        else:
            return
        self.close()
        self.open = _Open(kind, number, names, self.run, self.process, self.path)
        if multi:
            self.open.record = {"Step": multi[1], "CPU": multi[2]}

    def _command(self, number: int, line: str) -> None:
        words = tuple(line.split("#")[0].split())
        if any("$" in word for word in words) or not words:
            return
        if words[1:] and words[1].endswith(":"):  # a message that names the command; no ID or style
            return
        if words[0] in RUNS:
            self.run = words[0]
        if words[0] in COMMANDS:
            self.commands.append(Command(number, words))

    def close(self) -> None:
        """Ends the open table."""
        table, self.open = self.open, None
        if table is None:
            return
        self._finish_record(table, table.line)
        if not table.n_rows or "Step" not in table.names:
            return
        values, _ = table.rows.finish(strict=True)
        self.tables.append(
            ThermoTable(
                self.path,
                table.line,
                table.command,
                table.names,
                values,
                _last_digits(table.samples),
                table.n_atoms or self.n_atoms,
                table.process,
            )
        )


def _last_digits(rows: list[str]) -> Array:
    """(m,) size of the last digit of each column, the finest of some rows: printf's %g drops zeros
    at the end, so that a single number may look coarser than it is.
    """
    sizes = [[_last_digit(word) for word in row.split()] for row in rows]
    return np.min(np.asarray(sizes), axis=0)


def _last_digit(number: str) -> float:
    mantissa, _, exponent = number.lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    try:
        return float(10.0 ** ((int(exponent) if exponent else 0) - decimals))
    except ValueError:  # inf and the like
        return 0.0
