"""Options for which i-PI has no word: ``<?quorum-swaps stride="100"?>`` in its input."""

import difflib
import xml.etree.ElementTree as ET
from dataclasses import fields
from typing import Any

from ..errors import QuorumError
from .ipi_restart import instruction, read_instructions

# every instruction of this package, with an example; the last is written, not asked for
EXAMPLES = {"swaps": 'stride="100"', "remd": 'scheme="neighbors"', "state": ""}


def read_attributes(path: str, text: str, name: str, options: type) -> dict[str, str]:
    """What ``<?quorum-name …?>`` says in the input *text* of *path*; empty if it is not there.

    *options* is a dataclass whose fields are the names that may stand there. Raises `QuorumError`
    for other names, for what is no list of attributes, and for instructions that do not exist.
    """
    where = f"{path}: [?quorum-{name}]"
    found = []
    for target, data in read_instructions(text):
        if target == name:
            found.append(data)
        elif target not in EXAMPLES:
            near = difflib.get_close_matches(target, EXAMPLES, 1)
            meant = near[0] if near and EXAMPLES[near[0]] else "swaps"
            raise QuorumError(
                f"{path}: [?quorum-{target}] is no instruction of this package; write "
                f"<?quorum-{meant} {EXAMPLES[meant]}?>"
            )
    if len(found) > 1:
        raise QuorumError(f"{where} stands {len(found)} times; keep one")
    if not found:
        return {}
    try:
        given = dict(ET.fromstring(f"<options {found[0]}/>").attrib)
    except ET.ParseError as error:
        raise QuorumError(
            f"{where} got {found[0]!r}, expected attributes such as {EXAMPLES[name]}"
        ) from error
    known = [f.name for f in fields(options)]
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise QuorumError(f"{where} {key}: no such option; {hint}")
    return given


def write_attributes(name: str, options: Any) -> str:
    """*options* as they stand in an input; empty if they are the default ones."""
    given = {f.name: getattr(options, f.name) for f in fields(options)}
    changed = {k: v for k, v in given.items() if v != getattr(type(options)(), k)}
    if not changed:
        return ""
    return instruction(name, " ".join(f'{k}="{v}"' for k, v in changed.items()))


def positive_integer(where: str, key: str, given: dict[str, str], what: str) -> int | None:
    """The option *key*, or None if it is not given."""
    value = given.get(key)
    if value is None:
        return None
    if not (value.isdecimal() and int(value) > 0):
        raise QuorumError(f"{where} {key}: got {value!r}, expected a positive number of {what}")
    return int(value)


def file_name(where: str, given: dict[str, str], default: str) -> str:
    """The option ``filename``."""
    value = given.get("filename", default)
    if not value.strip() or "/" in value:
        raise QuorumError(f"{where} filename: got {value!r}, expected a name without a folder")
    return value
