"""A PLUMED input as an ASE calculator: the bias alone, or a potential and the bias."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from ase import Atoms
from ase.calculators.calculator import (
    Calculator,
    PropertyNotImplementedError,
    all_changes,
)
from ase.stress import full_3x3_to_voigt_6_stress

from .variables import open_variables

# of a potential's results what is no longer true with a bias
_OF_POTENTIAL_ONLY = ("energies", "stresses")


class BiasCalculator(Calculator):
    """The bias of a PLUMED input, added to a potential if there is one.

    ``energy``, ``free_energy`` (eV), ``forces`` (N, 3) eV/Å and ``stress`` (6,) eV/Å³ are of both
    together; with UNITS NATURAL the bias counts in the structure's own units. Further results:
    ``order_parameters``, values by name in the input's units; ``bias``; ``potential_energy``, and
    whatever else the potential says of itself (``energy_ensemble``). The stress is that of
    symmetric strains, ASE's only ones: a variable that knows directions (FCCUBIC) has a torque too.

    With the plumed backend actions with a memory (METAD) see every structure that is computed.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress"]

    def __init__(
        self,
        path: str | Path,
        potential: Calculator | None = None,
        backend: str | None = None,
        **kwargs: Any,
    ):
        """Reads the input.

        Args:
            path: the PLUMED input.
            potential: any ASE calculator.
            backend: native, plumed or None; see `open_variables`.

        Raises:
            QuorumError: an input with an error; no kernel where one is needed.
        """
        super().__init__(**kwargs)
        self.variables = open_variables(path, backend)
        self.potential = potential

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute values and bias, and what is asked for of the potential.

        Raises:
            QuorumError: a structure that the variables cannot be computed on.
        """
        super().calculate(atoms, properties, system_changes)
        given = self.atoms
        assert given is not None
        periodic = bool(all(given.pbc))
        if "stress" in properties and not periodic:
            raise PropertyNotImplementedError(
                "stress of a structure that is not periodic in three directions"
            )
        results: dict[str, Any] = {"energy": 0.0, "forces": 0.0, "stress": 0.0}
        if self.potential is not None:
            wanted = {"energy", *properties} - {"free_energy"}
            for name in sorted(wanted):
                self.potential.get_property(name, given)
            kept = {k: v for k, v in self.potential.results.items() if k not in _OF_POTENTIAL_ONLY}
            results = {**kept, "potential_energy": kept["energy"]}
        answer = self.variables.evaluate(given)
        results["energy"] = results["energy"] + answer.bias
        results["free_energy"] = results["energy"]
        if "forces" in results:
            results["forces"] = results["forces"] + answer.forces
        if "stress" in results and periodic:
            symmetric = (answer.virial + answer.virial.T) / (2 * given.get_volume())
            results["stress"] = results["stress"] + full_3x3_to_voigt_6_stress(symmetric)
        elif "stress" in results:
            del results["stress"]
        self.results = {**results, "bias": answer.bias, "order_parameters": answer.values}
