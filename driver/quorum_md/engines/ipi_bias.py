"""The bias of a PLUMED input as i-PI sees it: cells and positions in Bohr in, Hartree out.

The core of the driver loaded by path (`quorum_ipi_bias`); it imports no i-PI and no torch.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import QuorumError
from ..order_parameters import Answer, open_variables
from ..units import BOHR_A, HARTREE_EV
from .ipi_structures import IpiStructures, Reply, read_parameters

_BACKENDS = {"native": "native", "plumed": "plumed", "kernel": "plumed"}


@dataclass(frozen=True)
class BiasOptions:
    """The ``<parameters>`` of the driver, checked for form but not yet for content."""

    plumed: str  # the PLUMED input
    template: str  # a structure file with i-PI's atoms
    backend: str | None = None  # native or plumed; native unless only PLUMED will do
    pbc: bool = True  # i-PI always has a cell; False ignores it

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any], where: str = "i-PI") -> "BiasOptions":
        """See `read_parameters`; *where* opens the errors."""
        example = "plumed: plumed.dat, template: structure.xyz"
        return read_parameters(cls, parameters, where, ("plumed", "template"), example)


class IpiBias(IpiStructures):
    """Evaluates a PLUMED input for i-PI.

    Raises `QuorumError` if input or template cannot be read, for a backend that is not there, and
    for UNITS NATURAL, since i-PI's own numbers are not the user's.
    """

    def __init__(self, options: BiasOptions) -> None:
        super().__init__(options.template, options.pbc)
        self.options = options
        if options.backend is not None and options.backend not in _BACKENDS:
            raise QuorumError(
                f"quorum_ipi_bias: [parameters] backend: got {options.backend!r}, expected native "
                "or plumed"
            )
        self.variables = open_variables(options.plumed, _BACKENDS.get(options.backend or ""))
        if self.variables.natural:
            raise QuorumError(
                f"{options.plumed}: [UNITS] NATURAL: i-PI has no units of its own for an input; "
                "write UNITS LENGTH=A ENERGY=eV"
            )

    def compute(
        self, cells_bohr: Sequence[np.ndarray], positions_bohr: Sequence[np.ndarray]
    ) -> list[Reply]:
        """One structure after the other; see `IpiStructures.structure` for what is refused."""
        return [
            reply(self.variables.evaluate(self.structure(cell, positions)))
            for cell, positions in zip(cells_bohr, positions_bohr, strict=True)
        ]


def reply(answer: Answer) -> Reply:
    """The extras hold all values by name, in the input's units, and ``bias`` in Hartree.

    i-PI's cells have vectors as columns, above the diagonal: the component xy of its virial moves
    x with y, which is the component [y, x] of ours. The two are not the same for a variable that
    knows directions (FCCUBIC).
    """
    bias = answer.bias / HARTREE_EV
    return Reply(
        bias,
        answer.forces * (BOHR_A / HARTREE_EV),
        -answer.virial.T / HARTREE_EV,
        json.dumps({**answer.values, "bias": bias}),
    )
