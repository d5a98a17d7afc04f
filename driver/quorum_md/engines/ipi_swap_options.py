"""What i-PI has no word for in its ``atomswap``: ``<?quorum-swaps stride="100"?>`` in the input."""

from dataclasses import dataclass

from ..errors import QuorumError
from .ipi_attributes import file_name, positive_integer, read_attributes, write_attributes

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
        return write_attributes(NAME, self)


def read_options(path: str, text: str) -> SwapOptions:
    """The options in the input *text* of *path*; raises `QuorumError` for what it cannot be."""
    where = f"{path}: [?quorum-{NAME}]"
    given = read_attributes(path, text, NAME, SwapOptions)
    distance = given.get("neighbors_A")
    if distance is not None and not _positive(distance):
        raise QuorumError(f"{where} neighbors_A: got {distance!r}, expected a length in Å")
    energies = given.get("energies", SwapOptions.energies)
    if energies not in ("auto", "full"):
        raise QuorumError(f"{where} energies: got {energies!r}, expected auto or full")
    return SwapOptions(
        stride=positive_integer(where, "stride", given, "steps"),
        filename=file_name(where, given, SwapOptions.filename),
        neighbors_A=None if distance is None else float(distance),
        energies=energies,
    )


def _positive(text: str) -> bool:
    try:
        return 0 < float(text) < float("inf")
    except ValueError:
        return False
