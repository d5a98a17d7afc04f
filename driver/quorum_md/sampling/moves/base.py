"""What a chain asks of a move."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...errors import QuorumError
from ..local_energy import Change

Numbers = npt.NDArray[np.int64]


class Trial(NamedTuple):
    """A proposed change.

    Attributes
    ----------
    change: empty for a null move (like atoms)
    pair: elements that it exchanges, the lower place in the list of species first; for a flip from
        and to
    log_ratio: ln of the probability of proposing the way back over that of the way there
    work_eV: what is added to ΔU: chemical potentials
    token: for the move itself
    """

    change: Change
    pair: tuple[int, int]
    log_ratio: float = 0.0
    work_eV: float = 0.0
    token: tuple[int, ...] = ()


@dataclass(frozen=True)
class Eligible:
    """Sites that may change, ascending, and the elements that take part, in their order."""

    sites: Numbers
    species: tuple[int, ...]


class Move(ABC):
    """Proposes trials from four uniform numbers; the last is kept for the decision."""

    @abstractmethod
    def start(self, numbers: Numbers, eligible: Eligible) -> None:
        """Begin with a structure; raises QuorumError if the move has nothing to do in it."""

    @abstractmethod
    def propose(self, u: Sequence[float]) -> Trial:
        """The trial of these numbers in the current state."""

    @abstractmethod
    def accepted(self, trial: Trial) -> None:
        """The trial has become the state."""

    def state(self) -> dict[str, list[int]]:
        """What a restart needs beyond the structure."""
        return {}

    def restore(self, state: dict[str, list[int]]) -> None:  # noqa: B027 - most have no state
        """Continue from `state`, after `start` with the structure."""


def by_species(numbers: Numbers, eligible: Eligible) -> list[list[int]]:
    """Eligible sites of every species, ascending."""
    mine = numbers[eligible.sites]
    return [eligible.sites[mine == z].tolist() for z in eligible.species]


def need_two(numbers: Numbers, eligible: Eligible) -> None:
    """Refuse a structure in which nothing can be exchanged."""
    from ase.data import chemical_symbols

    present = sorted(set(numbers[eligible.sites].tolist()) & set(eligible.species))
    if len(present) < 2:
        names = ", ".join(chemical_symbols[z] for z in present) or "none"
        raise QuorumError(
            f"swaps: of the species that take part, the eligible sites hold {names}; expected at "
            "least two, since exchanging like atoms changes nothing; choose other species or sites"
        )
