"""What i-PI has no word for in its ``remd``: ``<?quorum-remd scheme="gibbs"?>`` in the input."""

from dataclasses import dataclass

from ..errors import QuorumError
from ..sampling.exchange import SCHEMES
from .ipi_attributes import file_name, positive_integer, read_attributes, write_attributes

NAME = "remd"


@dataclass(frozen=True)
class ExchangeOptions:
    """The attributes of ``<?quorum-remd …?>``."""

    scheme: str = "neighbors"  # which states may exchange, see `quorum_md.sampling.exchange`
    per_attempt: int = 1  # how often in one attempt
    filename: str = "remd"  # of permutations; that of statistics has _statistics behind it
    stride: int = 100  # attempts from one writing of the statistics to the next

    def to_instruction(self) -> str:
        """As it stands in an input; empty for no options."""
        return write_attributes(NAME, self)


def read_exchange_options(path: str, text: str) -> ExchangeOptions:
    """The options in the input *text* of *path*; raises `QuorumError` for what it cannot be."""
    where = f"{path}: [?quorum-{NAME}]"
    given = read_attributes(path, text, NAME, ExchangeOptions)
    scheme = given.get("scheme", ExchangeOptions.scheme)
    if scheme not in SCHEMES:
        raise QuorumError(f"{where} scheme: got {scheme!r}, expected {', '.join(SCHEMES)}")
    per_attempt = positive_integer(where, "per_attempt", given, "exchanges")
    stride = positive_integer(where, "stride", given, "attempts")
    return ExchangeOptions(
        scheme,
        per_attempt or ExchangeOptions.per_attempt,
        file_name(where, given, ExchangeOptions.filename),
        stride or ExchangeOptions.stride,
    )
