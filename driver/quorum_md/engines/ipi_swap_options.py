"""What i-PI has no word for in its ``atomswap``: ``<?quorum-swaps stride="100"?>`` in the input."""

import difflib
import xml.etree.ElementTree as ET
from dataclasses import dataclass, fields

from ..errors import QuorumError
from .ipi_restart import instruction, read_instructions

NAME = "swaps"


@dataclass(frozen=True)
class SwapOptions:
    """The attributes of ``<?quorum-swaps …?>``, for all ``atomswap`` motions of the input."""

    stride: int | None = None  # of the output file; the properties' own unless given
    filename: str = "swaps"  # i-PI puts its prefixes in front
    neighbors_A: float | None = None  # how far the two atoms may be; any distance unless given
    energies: str = "auto"  # "full": never from local energies

    def to_instruction(self) -> str:
        """As it stands in an input; empty for no options."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        changed = {k: v for k, v in given.items() if v != getattr(SwapOptions(), k)}
        if not changed:
            return ""
        return instruction(NAME, " ".join(f'{k}="{v}"' for k, v in changed.items()))


def read_options(path: str, text: str) -> SwapOptions:
    """The options in the input *text* of *path*; raises `QuorumError` for what it cannot be."""
    where = f"{path}: [?quorum-swaps]"
    found = []
    for name, data in read_instructions(text):
        if name == NAME:
            found.append(data)
        elif name not in ("state",):
            raise QuorumError(
                f"{path}: [?quorum-{name}] is no instruction of this package; write "
                '<?quorum-swaps stride="100"?>'
            )
    if len(found) > 1:
        raise QuorumError(f"{where} stands {len(found)} times; keep one")
    if not found:
        return SwapOptions()
    try:
        given = ET.fromstring(f"<options {found[0]}/>").attrib
    except ET.ParseError as error:
        raise QuorumError(
            f'{where} got {found[0]!r}, expected attributes such as stride="100"'
        ) from error
    known = [f.name for f in fields(SwapOptions)]
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise QuorumError(f"{where} {key}: no such option; {hint}")
    stride = given.pop("stride", None)
    if stride is not None and not (stride.isdecimal() and int(stride) > 0):
        raise QuorumError(f"{where} stride: got {stride!r}, expected a positive number of steps")
    distance = given.pop("neighbors_A", None)
    if distance is not None and not _positive(distance):
        raise QuorumError(f"{where} neighbors_A: got {distance!r}, expected a length in Å")
    options = SwapOptions(
        stride=None if stride is None else int(stride),
        neighbors_A=None if distance is None else float(distance),
        **given,
    )
    if options.energies not in ("auto", "full"):
        raise QuorumError(f"{where} energies: got {options.energies!r}, expected auto or full")
    if not options.filename.strip() or "/" in options.filename:
        raise QuorumError(
            f"{where} filename: got {options.filename!r}, expected a name without a folder"
        )
    return options


def _positive(text: str) -> bool:
    try:
        return 0 < float(text) < float("inf")
    except ValueError:
        return False
