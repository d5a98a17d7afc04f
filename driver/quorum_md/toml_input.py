"""Input files in TOML: every table a dataclass, every key checked before anything starts.

A dataclass is the whole description of a table: names, types and defaults. What is unknown, of
another type or missing is a `QuorumError` with file, table, key and the nearest name that exists.
"""

import dataclasses
import difflib
import math
import re
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from .errors import QuorumError

T = TypeVar("T")

_TIME = re.compile(r"(?:(\d+)-)?(\d+):(\d\d):(\d\d)$")

_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "a text in quotes",
    bool: "true or false",
}


@dataclasses.dataclass(frozen=True)
class InputFile(typing.Generic[T]):
    """An input that was read.

    Attributes:
        path: as it was given, for errors.
        settings: its tables.
        root: its folder, from which its paths are taken.
    """

    path: str
    settings: T
    root: Path

    def place(self, name: str) -> Path:
        """A path that the input names."""
        return self.root / name

    def error(self, table: str, text: str) -> QuorumError:
        """About a table of this file."""
        return QuorumError(f"{self.path}: [{table}]: {text}")


def at_least(name: str, value: int, least: int = 1) -> None:
    """Raises `QuorumError` for a smaller number."""
    if value < least:
        raise QuorumError(f"{name}: got {value}, expected a whole number of at least {least}")


def duration_s(name: str, text: str) -> float:
    """Seconds of "23:50:00" or "1-12:00:00"; infinite if there is no text.

    Raises:
        QuorumError: another text.
    """
    if not text:
        return math.inf
    match = _TIME.match(text)
    if match is None:
        raise QuorumError(f'{name}: got "{text}", expected "HH:MM:SS" or "D-HH:MM:SS"')
    days, hours, minutes, seconds = (int(one or 0) for one in match.groups())
    return float(((24 * days + hours) * 60 + minutes) * 60 + seconds)


def read_toml(path: str | Path, kind: type[T]) -> T:
    """The dataclass `kind`, whose fields are the tables of the file.

    Raises:
        QuorumError: no such file, not TOML, or keys and values that `kind` has not.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise QuorumError(
            f"{path}: cannot be read ({error.strerror}); give the path of an input in TOML"
        ) from error
    except UnicodeDecodeError as error:
        raise QuorumError(f"{path}: is no text; give the path of an input in TOML") from error
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise QuorumError(f"{path}: is no TOML ({error}); correct it there") from error
    return _table(str(path), kind, content)


def nearest(word: str, known: typing.Iterable[str]) -> str:
    """'; did you mean "x"?', or what there is."""
    names = list(known)
    close = difflib.get_close_matches(word, names, 1, 0.6)
    return f'did you mean "{close[0]}"?' if close else f"expected one of {', '.join(names)}"


def _table(where: str, kind: type[T], content: Mapping[str, Any]) -> T:
    fields = {f.name: f for f in dataclasses.fields(typing.cast(Any, kind))}
    hints = typing.get_type_hints(kind)
    found: dict[str, Any] = {}
    for key, value in content.items():
        if key not in fields:
            raise QuorumError(f"{where}: {key}: there is no such key; {nearest(key, fields)}")
        if dataclasses.is_dataclass(hints[key]):
            if not isinstance(value, dict):
                raise QuorumError(f"{where}: {key}: got {value!r}, expected a table [{key}]")
            found[key] = _table(f"{where}: [{key}]", typing.cast(type, hints[key]), value)
        else:
            found[key] = _value(f"{where}: {key}", hints[key], value)
    for name, field in fields.items():
        no_default = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        if name not in found and no_default:
            what = "table" if dataclasses.is_dataclass(hints[name]) else "key"
            raise QuorumError(f"{where}: {name}: this {what} is missing; add it")
    try:
        return kind(**found)
    except QuorumError as error:  # a rule of the dataclass itself begins with the key
        raise QuorumError(f"{where}: {error}") from error


def _value(where: str, hint: Any, value: Any) -> Any:
    try:
        return _first(hint, value)
    except TypeError:
        pass
    words = " or ".join(_describe(one) for one in _alternatives(hint) if one is not type(None))
    raise QuorumError(f"{where}: got {value!r:.60}, expected {words}")


def _first(hint: Any, value: Any) -> Any:
    """The value as the first of several types that it is; TypeError if it is none of them."""
    for one in _alternatives(hint):
        try:
            return _as(one, value)
        except TypeError:
            continue
    raise TypeError


def _alternatives(hint: Any) -> tuple[Any, ...]:
    if isinstance(hint, types.UnionType):
        return typing.get_args(hint)
    return (hint,)


def _as(hint: Any, value: Any) -> Any:
    """The value as a type, if it is one without loss; TypeError otherwise."""
    origin = typing.get_origin(hint)
    if origin is tuple and isinstance(value, list):
        return tuple(_as(typing.get_args(hint)[0], one) for one in value)
    if origin is dict and isinstance(value, dict):
        return {key: _first(typing.get_args(hint)[1], one) for key, one in value.items()}
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and type(value) is hint:
        return value
    raise TypeError


def _describe(hint: Any) -> str:
    if typing.get_origin(hint) is tuple:
        return f"a list, each {_describe(typing.get_args(hint)[0])}"
    if typing.get_origin(hint) is dict:
        values = _alternatives(typing.get_args(hint)[1])
        return f"a table, each {' or '.join(map(_describe, values))}"
    return _WORDS[hint]
