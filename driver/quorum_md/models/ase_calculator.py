"""Between ASE and us: any ASE calculator as a potential, any potential as a calculator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.calculators.calculator import (
    Calculator,
    PropertyNotImplementedError,
    all_changes,
)
from ase.stress import full_3x3_to_voigt_6_stress

from ..errors import QuorumError
from .potential import Evaluation, Potential

Array = npt.NDArray[np.float64]


class _AseEvaluation(Evaluation):
    def __init__(
        self,
        energies: list[float],
        atom_energies: list[Array] | None,
        forces: list[Array] | None,
        virials: list[Array | None],
    ):
        self.energies_eV = np.asarray(energies, dtype=float)[:, None]
        self.atom_energies_eV = atom_energies
        self._forces, self._virials = forces, virials

    def gradient(self, cotangents: Array) -> tuple[list[Array], list[Array]]:
        if self._forces is None:
            raise QuorumError("gradients of an evaluation that was made without them")
        c = cotangents[:, 0]
        forces = [x * f for x, f in zip(c, self._forces, strict=True)]
        # a calculator without stress (a molecule) contributes none; NaN says so if it is asked for
        virials = [
            x * (np.full((3, 3), np.nan) if w is None else w)
            for x, w in zip(c, self._virials, strict=True)
        ]
        return forces, virials


class AsePotential(Potential):
    """An ASE calculator as a single member or a baseline. Its range is unknown: infinite."""

    species = ()
    n_members = 1
    interaction_range_A = math.inf

    def __init__(self, calculator: Any):
        self.calculator_ = calculator
        self.name = type(calculator).__name__
        self.has_virial = "stress" in calculator.implemented_properties

    def calculator(self) -> Calculator:
        """The ASE calculator itself."""
        return self.calculator_

    def forward(
        self, structures: Sequence[Atoms], gradients: bool, centers: Sequence[Any] | None
    ) -> Evaluation:
        """See `Potential.forward`; structures are evaluated one after the other."""
        energies, atomic, forces, virials = [], [], [], []
        for s, given in enumerate(structures):
            atoms = Atoms(given.numbers, given.positions, cell=given.cell, pbc=given.pbc)
            calc = self.calculator_
            table = None
            if centers is not None or "energies" in calc.implemented_properties:
                try:
                    table = np.asarray(calc.get_property("energies", atoms), dtype=float)
                except (PropertyNotImplementedError, NotImplementedError):
                    table = None
            if centers is None:
                energies.append(float(calc.get_property("energy", atoms)))
            elif table is None:
                raise QuorumError(
                    f"{self.name} gives no energies per atom, so no selected centers; use a model "
                    "that does"
                )
            elif gradients:
                raise QuorumError(
                    f"{self.name}: an ASE calculator gives no forces of selected centers; "
                    "evaluate all atoms"
                )
            else:
                table = table[centers[s]]
                energies.append(float(table.sum()))
            atomic.append(table)
            if gradients:
                forces.append(np.array(calc.get_property("forces", atoms), dtype=float))
                virials.append(self._virial(atoms))
        tables = None if any(t is None for t in atomic) else [t[:, None] for t in atomic]  # type: ignore[index]
        return _AseEvaluation(energies, tables, forces if gradients else None, virials)

    def _virial(self, atoms: Atoms) -> Array | None:
        if "stress" not in self.calculator_.implemented_properties or not all(atoms.pbc):
            return None
        try:
            stress = np.asarray(self.calculator_.get_property("stress", atoms))
        except (PropertyNotImplementedError, NotImplementedError):
            return None
        xx, yy, zz, yz, xz, xy = stress
        return -atoms.get_volume() * np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


class QuorumCalculator(Calculator):
    """A committee as an ASE calculator.

    ``energy``, ``free_energy`` (equal: eV), ``forces`` (N, 3) eV/Å, ``stress`` (6,) eV/Å³ and
    ``energies`` (N,) are of the potential that drives. ``results["energy_ensemble"]`` (K,) and
    ``results["energy_uncertainty"]`` (eV; absent for a single model) hold the members. Both are
    also put into ``atoms.info`` of the structure that was computed, so that extxyz files keep the
    members.
    """

    implemented_properties: ClassVar[list[str]] = [
        "energy",
        "free_energy",
        "forces",
        "stress",
        "energies",
    ]

    def __init__(self, potential: Potential, **kwargs: Any):
        super().__init__(**kwargs)
        self.potential = potential

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute energies, and forces (with stress in a periodic cell) where asked for."""
        super().calculate(atoms, properties, system_changes)
        given = atoms if atoms is not None else self.atoms
        assert given is not None
        gradients = "forces" in properties or "stress" in properties
        periodic = bool(all(given.pbc))
        stress = periodic and self.potential.has_virial
        if "stress" in properties and not stress:
            raise PropertyNotImplementedError(
                "stress of a structure that is not periodic in three directions"
                if not periodic
                else f"{self.potential.name} gives no stress"
            )
        prediction = self.potential.evaluate(
            [given], forces=gradients, virial=gradients and stress
        )[0]
        self.results = {
            "energy": prediction.energy_eV,
            "free_energy": prediction.energy_eV,
            "energy_ensemble": prediction.member_energies_eV,
        }
        if prediction.atom_energies_eV is not None:
            self.results["energies"] = prediction.atom_energies_eV
        if len(prediction.member_energies_eV) > 1:
            self.results["energy_uncertainty"] = prediction.spread_eV
        if gradients:
            self.results["forces"] = prediction.forces_eV_A
            if prediction.virial_eV is not None:
                self.results["stress"] = full_3x3_to_voigt_6_stress(
                    -prediction.virial_eV / given.get_volume()
                )
        for key in ("energy_ensemble", "energy_uncertainty"):
            if key in self.results:
                given.info[key] = self.results[key]
