"""The text of a PLUMED input as statements: comments, continuation lines, braces, labels.

The rules are those of PLUMED 2.10 (Tribello et al., Comput. Phys. Commun. 185, 604 (2014)): ``#``
starts a comment, ``...`` at the end of a line opens a statement of several lines and at the start
of one closes it, braces hold spaces together and the outer ones fall away.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import QuorumError


@dataclass(frozen=True)
class Statement:
    """One action.

    Attributes:
        file, line: where it starts.
        label: what precedes the colon, or LABEL=; empty if there is none.
        action: in capitals.
        words: keywords with their values, outer braces removed, in the order of the file.
    """

    file: str
    line: int
    label: str
    action: str
    words: tuple[str, ...]

    def error(self, keyword: str, found: str, expected: str) -> QuorumError:
        """What is wrong with a keyword, in one sentence."""
        return QuorumError(
            f"{self.file}, line {self.line}: [{self.action}] {keyword}: got {found}, expected "
            f"{expected}"
        )


def read_statements(path: str | Path) -> list[Statement]:
    """The statements of a file.

    Raises:
        QuorumError: no such file, braces that do not match, a statement that is not closed.
    """
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise QuorumError(
            f"{path}: cannot be read ({reason}); expected a PLUMED input file"
        ) from error
    return parse_statements(text, str(path))


def parse_statements(text: str, file: str) -> list[Statement]:
    """The statements of a text; `file` is for messages."""
    statements: list[Statement] = []
    words: list[str] = []
    start, level, open_dots = 0, 0, False
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.split("#", 1)[0].strip()
        if not line:
            continue
        if not words and not open_dots:
            start = number
        inside_braces = level > 0
        found, level = _split(line, level, f"{file}, line {number}")
        if open_dots and found and found[0] == "..." and not inside_braces:
            if len(found) > 2 or (len(found) == 2 and found[1] != words[0]):
                raise QuorumError(
                    f"{file}, line {number}: [{words[0]}] ...: got {' '.join(found[1:])!r}, "
                    f"expected nothing after the dots, or {words[0]!r}"
                )
            open_dots, found = False, []
        elif found and found[-1] == "...":
            open_dots, found = True, found[:-1]
        if inside_braces and words and found:
            words[-1] += " " + found.pop(0)
        words += found
        if open_dots:
            continue
        if level:
            raise QuorumError(
                f"{file}, line {start}: [{words[0]}] braces: got an opening brace without its "
                "closing one, expected both; a statement of several lines needs ... at its ends"
            )
        if words:
            statements.append(_statement(words, file, start))
        words = []
    if open_dots:
        raise QuorumError(
            f"{file}, line {start}: [{' '.join(words[:2])}] ...: got the end of the file, expected "
            "a line that starts with ... to close the statement"
        )
    return statements


def _split(line: str, level: int, where: str) -> tuple[list[str], int]:
    """Words at brace level 0, outer braces removed, and the level at the end of the line."""
    words: list[str] = []
    word, started = "", level > 0
    for letter in line:
        if letter == "}":
            level -= 1
            if level < 0:
                raise QuorumError(
                    f"{where}: [braces] }}: got a closing brace, expected an opening one before it"
                )
        outer = level == 0 and letter in "{}"
        if level == 0 and letter in " \t":
            if word or started:
                words.append(word)
            word, started = "", False
        elif not outer:
            word += letter
            started = True
        if letter == "{":
            level += 1
    if word or started:
        words.append(word)
    return words, level


def _statement(words: list[str], file: str, line: int) -> Statement:
    label, rest = "", list(words)
    if rest[0].endswith(":") and len(rest) > 1:
        label = rest.pop(0)[:-1]
    action = rest.pop(0).upper()
    for word in rest:
        if word.upper().startswith("LABEL="):
            if label:
                raise QuorumError(
                    f"{file}, line {line}: [{action}] LABEL: got {word!r} beside '{label}:', "
                    "expected one label"
                )
            label = word[len("LABEL=") :]
            rest.remove(word)
            break
    return Statement(file, line, label, action, tuple(rest))


def words_of(text: str) -> list[str]:
    """The words of a value, as of ``SWITCH={…}``."""
    return _split(text, 0, text)[0]
