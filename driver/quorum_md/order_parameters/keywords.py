"""The keywords of a statement, taken one by one; what is left at the end is an error."""

from __future__ import annotations

import math
import re

from ..errors import QuorumError
from .words import Statement

_RANGE = re.compile(r"(\d+)-(\d+)(?::(-?\d+))?")


class NeedsKernel(QuorumError):
    """Something that PLUMED knows and the native backend does not."""


class Keywords:
    """Takes values out of the words of a statement.

    Attributes:
        statement: whose they are.
    """

    def __init__(self, statement: Statement):
        self.statement = statement
        self._left = list(statement.words)
        self._known: list[str] = []

    def text(self, key: str, default: str | None = None) -> str | None:
        """The value of ``KEY=value``; names are told apart without regard to case, as in PLUMED."""
        self._known.append(key)
        for word in self._left:
            if word[: len(key) + 1].upper() == key + "=":
                self._left.remove(word)
                value = word[len(key) + 1 :]
                if not value:
                    raise self.error(key, "nothing", "a value after the equals sign")
                if value.startswith("@replicas:"):
                    raise self.needs_kernel(f"{key}=@replicas")
                return value
        return default

    def needed(self, key: str, what: str) -> str:
        """The value of a keyword that must be there."""
        value = self.text(key)
        if value is None:
            raise self.error(key, "nothing", what)
        return value

    def flag(self, key: str) -> bool:
        """Whether the bare word is there."""
        self._known.append(key)
        for word in self._left:
            if word.upper() == key:
                self._left.remove(word)
                return True
        return False

    def numbers(
        self, key: str, count: int | None = None, default: float | None = None
    ) -> list[float]:
        """Numbers with commas between, `count` of them; the default as many times."""
        value = self.text(key)
        if value is None:
            if default is None:
                raise self.error(key, "nothing", f"{count or 'some'} number(s)")
            return [default] * (count or 1)
        found = [self._number(key, part) for part in re.split(r"[,\s]+", value) if part]
        if count is not None and len(found) != count:
            raise self.error(key, f"{len(found)} numbers", f"{count}, one for each argument")
        return found

    def number(self, key: str, default: float | None = None) -> float:
        """One number."""
        return self.numbers(key, 1, default)[0]

    def numbered(self, key: str) -> list[tuple[str, str]]:
        """Values of KEY and of KEY1, KEY2, …, each with its number as text."""
        found = []
        plain = self.text(key)
        if plain is not None:
            found.append(("", plain))
        number = 1
        while (value := self.text(f"{key}{number}")) is not None:
            found.append((str(number), value))
            number += 1
        self._known = [name for name in self._known if not name.startswith(key)] + [key]
        return found

    def names(self, key: str) -> list[str]:
        """Words with commas between; at least one."""
        value = self.needed(key, "names with commas between")
        found = [part for part in re.split(r"[,\s]+", value) if part]
        if not found:
            raise self.error(key, repr(value), "names with commas between")
        return found

    def ranges(self, key: str, words: list[str]) -> list[int | str]:
        """Atoms from 1 of ``1-108``, ``1-108:2``, ``7``; other words as they are."""
        atoms: list[int | str] = []
        for word in words:
            match = _RANGE.fullmatch(word)
            if match:
                first, last, step = int(match[1]), int(match[2]), int(match[3] or 1)
                if step == 0 or (step < 0) != (first > last):
                    raise self.error(key, word, "a range FIRST-LAST or FIRST-LAST:STEP")
                atoms += range(first, last + (1 if step > 0 else -1), step)
            else:
                atoms.append(int(word) if word.isdigit() else word)
        return atoms

    def finish(self) -> None:
        """Refuse what no one has taken."""
        if self._left:
            known = ", ".join(dict.fromkeys(self._known))
            key = self._left[0].split("=")[0]
            raise NeedsKernel(
                f"{self._where()}: [{self.statement.action}] {key}: got {self._left[0]!r}, "
                f"expected keywords of the native backend ({known}); if it is PLUMED's, it needs "
                "the PLUMED kernel; set PLUMED_KERNEL"
            )

    def error(self, key: str, found: str, expected: str) -> QuorumError:
        """See `Statement.error`."""
        return self.statement.error(key, found, expected)

    def needs_kernel(self, what: str, why: str = "") -> NeedsKernel:
        """The sentence for what only PLUMED does."""
        return NeedsKernel(
            f"{self._where()}: [{self.statement.action}] {what} needs the PLUMED kernel"
            f"{' (' + why + ')' if why else ''}; set PLUMED_KERNEL"
        )

    def _where(self) -> str:
        return f"{self.statement.file}, line {self.statement.line}"

    def _number(self, key: str, text: str) -> float:
        try:
            value = math.pi if text.lower() in ("pi", "+pi") else float(text)
        except ValueError as error:
            raise self.error(key, repr(text), "a number") from error
        if not math.isfinite(value):
            raise self.error(key, repr(text), "a finite number")
        return value
