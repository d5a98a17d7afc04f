"""What the drivers that i-PI loads by path have in common."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from ipi.pes.dummy import Dummy_driver

from ..errors import QuorumError
from .ipi_exit import leave
from .ipi_structures import Reply


class Computes(Protocol):
    """What a driver asks: see `IpiModel.compute`."""

    def compute(
        self, cells_bohr: Sequence[np.ndarray], positions_bohr: Sequence[np.ndarray]
    ) -> list[Reply]:
        """All structures of a batch."""


class PathDriver(Dummy_driver, ABC):
    """A PES driver of i-PI 3.3, one structure or a batch at a time.

    Under ``i-pi`` and ``i-pi-driver-py`` an error ends the program with one sentence and exit code
    2; elsewhere it is raised as `QuorumError`.
    """

    example: ClassVar[str]  # of parameters

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        try:
            if args:
                raise QuorumError(
                    f"got the parameter {args[0]!r} without a name; write {self.example}"
                )
            self.model: Any = self.open(kwargs)
        except QuorumError as error:
            leave(error)
        super().__init__(verbose=bool(kwargs.get("verbose", False)))

    @abstractmethod
    def open(self, parameters: Mapping[str, Any]) -> Computes:
        """What computes, from i-PI's ``<parameters>``."""

    def compute_structure(self, cell: np.ndarray, pos: np.ndarray) -> Reply:
        """One structure: *cell* (3, 3) with vectors as columns and *pos* (N, 3), both Bohr."""
        return self._compute([cell], [pos])[0]

    def compute(self, cell: Any, pos: Any) -> Reply | list[Reply]:
        """One structure, or a list of cells and a list of positions in one call."""
        if isinstance(cell, list):
            return self._compute(cell, pos)
        return self.compute_structure(cell, pos)

    def _compute(self, cells: Sequence[np.ndarray], positions: Sequence[np.ndarray]) -> list[Reply]:
        try:
            replies: list[Reply] = self.model.compute(cells, positions)
        except QuorumError as error:
            leave(error)
        return replies
