"""Reading LAMMPS scripts of the user: commands one by one, and what a run depends on of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import QuorumError

# what may be written otherwise when a run is continued: it moves nothing
_REPORTS = (
    *("thermo", "thermo_style", "thermo_modify", "dump", "dump_modify", "undump", "print", "log"),
    *("echo", "info", "timer", "balance", "processors", "suffix", "package", "shell"),
)

# what LAMMPS refuses once there is a box
BEFORE_BOX = ("newton", "processors", "atom_modify", "dimension", "package")


@dataclass(frozen=True)
class Line:
    """A command: words, and where it stands."""

    file: str
    number: int
    text: str

    @property
    def words(self) -> list[str]:
        """Of the command."""
        return self.text.split()


def read_script(place: Callable[[str], Path], name: str, where: str) -> list[Line]:
    """Commands of a script, those of files that it includes among them.

    Args:
        place: where a file is that a script names.
        where: of the name of the script, for errors.

    Raises:
        QuorumError: it cannot be read.
    """
    return list(_lines(place, name, where, ()))


def read_text(place: Callable[[str], Path], name: str, where: str) -> str:
    """A script as it is; raises `QuorumError`."""
    try:
        return place(name).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise QuorumError(
            f"{where}: {name} cannot be read ({error.strerror}); give the path of a LAMMPS script, "
            "relative to the file that names it"
        ) from error


def before_box(text: str) -> tuple[list[str], str]:
    """Commands of a script that must come before the box, and the script without them."""
    early, rest, joined = [], [], False
    for line in text.splitlines():
        words = _without_comment(line).split()
        goes_on = line.rstrip().endswith("&")
        if words and words[0] in BEFORE_BOX and not (joined or goes_on):
            early.append(" ".join(words))
            line = f"# before the box: {line}"
        rest.append(line)
        joined = goes_on
    return early, "\n".join(rest) + "\n"


def law_of(lines: Iterable[Line]) -> str:
    """What moves something, without comments and spaces."""
    return "\n".join(" ".join(one.words) for one in lines if one.words[0] not in _REPORTS)


def named_files(place: Callable[[str], Path], lines: Iterable[Line]) -> dict[str, str]:
    """SHA-256 of the files that commands name: models, tables, what is included."""
    found = {}
    kept = (one for one in lines if one.words[0] not in _REPORTS)
    for word in sorted({word.strip("\"'") for one in kept for word in one.words[1:]}):
        path = place(word)
        if word and "$" not in word and path.is_file():
            with open(path, "rb") as stream:
                found[word] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found


def _lines(
    place: Callable[[str], Path], name: str, where: str, above: tuple[str, ...]
) -> Iterator[Line]:
    """Commands without comments, continued lines joined, those in quotes after `if` as well."""
    start, joined = 1, ""
    for number, line in enumerate(read_text(place, name, where).splitlines(), 1):
        start = start if joined else number
        if line.rstrip().endswith("&"):
            joined += line.rstrip()[:-1] + " "
            continue
        command = _without_comment(joined + line)
        joined = ""
        if not command.strip():
            continue
        yield Line(name, start, command)
        words = command.split()
        if words[0] == "if":
            _, _, commands = command.partition(" then ")
            for quoted in re.findall(r"\"([^\"]+)\"|'([^']+)'", commands):
                if "".join(quoted).strip():
                    yield Line(name, start, "".join(quoted))
        if words[0] == "include" and len(words) > 1:
            other = words[1].strip("\"'")
            if other not in (name, *above) and "$" not in other and place(other).is_file():
                yield from _lines(place, other, where, (name, *above))


def _without_comment(line: str) -> str:
    """Up to the first # that is not in quotes."""
    quote = ""
    for k, letter in enumerate(line):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter == "#":
            return line[:k]
    return line
