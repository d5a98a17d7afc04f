"""The native backend: values, bias, forces and virial of a program on structures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import QuorumError, warn
from .actions import Combine, MultiColvar, Program, Restraint, Selection, Similarity, Wall
from .bonds import BondFinder, Bonds, images_apart
from .colvars import evaluate_colvar
from .evaluated import Evaluated, Sites
from .functions import Outcome, evaluate_function
from .pair_functions import PairFunctions

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Answer:
    """What a program says about a structure.

    Attributes:
        values: by name (label.component, or label), in the input's own units.
        bias: sum of all biases.
        forces: (N, 3) of the bias.
        virial: (3, 3), [a, b] = Σ_i x_ia dV/dx_ib, the derivative by the strain of x → (1 + ε)x
            (PLUMED's sign).
        per_atom: values of the centres of an action, by label; empty with the kernel.
    """

    values: dict[str, float]
    bias: float
    forces: Array
    virial: Array
    per_atom: dict[str, Array]


class NativeProgram:
    """A program that is evaluated again and again."""

    def __init__(self, program: Program, functions: PairFunctions):
        self.program = program
        self._functions = functions
        self._finder: BondFinder | None = None
        self._lonely: set[str] = set()

    def evaluate(self, positions: Array, cell: Array, pbc: npt.NDArray[np.bool_]) -> Answer:
        """On a structure, all numbers in the input's units.

        Args:
            positions: (N, 3); cell: (3, 3) rows, of full rank; pbc: (3,).

        Raises:
            QuorumError: a cutoff beyond half the cell, atoms that are not there or in one place,
                a number that is not finite.
        """
        n_atoms = len(positions)
        bonds = self._bonds(positions, cell, pbc)
        evaluated: dict[str, Evaluated] = {}
        outcomes: dict[str, Outcome] = {}
        values: dict[str, float] = {}
        for action in self.program.actions:
            if isinstance(action, MultiColvar):
                near = bonds.within(action.cutoff)
                if isinstance(action, Similarity):
                    near = _beyond(near, action.inner_cutoff)
                near, sites = _sites(action, near, n_atoms)
                if not len(near.lengths) and n_atoms > 1:
                    self._warn_of_none(action)
                found = evaluate_colvar(action, near, sites, n_atoms, self._functions, evaluated)
                evaluated[action.label] = found
                for part in action.components:
                    values[part.name] = found.component(part)
            else:
                outcome = evaluate_function(action, values)
                outcomes[action.label] = outcome
                values.update(outcome.values)
        for name, value in values.items():
            if not math.isfinite(value):
                raise QuorumError(
                    f"{self.program.file}: {name}: got {value}, expected a finite number; look at "
                    "its parameters"
                )
        bias = sum(outcome.bias for outcome in outcomes.values())
        forces, virial = self._backward(evaluated, outcomes, n_atoms)
        per_atom = {label: one.values[one.sites.centres].copy() for label, one in evaluated.items()}
        return Answer(values, bias, forces, virial, per_atom)

    def _warn_of_none(self, action: MultiColvar) -> None:
        """Once: most likely the unit of length is wrong, and the bias is without forces."""
        if action.label not in self._lonely:
            self._lonely.add(action.label)
            where = action.statement
            warn(
                f"{where.file}, line {where.line}: [{where.action}] no atom has a neighbour within "
                f"{action.cutoff:g} (the input's unit): there are no forces; check LENGTH in UNITS"
            )

    def _backward(
        self, evaluated: dict[str, Evaluated], outcomes: dict[str, Outcome], n_atoms: int
    ) -> tuple[Array, Array]:
        """Derivatives go back through the actions in the opposite order."""
        forces, virial = np.zeros((n_atoms, 3)), np.zeros((3, 3))
        slopes: dict[str, float] = {}
        touched: set[str] = set()
        for action in reversed(self.program.actions):
            if isinstance(action, (Restraint, Wall, Combine)):
                outer = slopes.get(action.label, 0.0) if isinstance(action, Combine) else 1.0
                rows = zip(action.arguments, outcomes[action.label].slopes, strict=True)
                for name, slope in rows:
                    if outer * slope:
                        slopes[name] = slopes.get(name, 0.0) + outer * slope
                continue
            pulled = [part for part in action.components if slopes.get(part.name)]
            for part in pulled:
                evaluated[action.label].pull(part, slopes[part.name])
            if not pulled and action.label not in touched:
                continue
            if (of := getattr(action, "of", None)) is not None:
                touched.add(of.label)
            one = evaluated[action.label]
            more = self._functions.forces(
                one.bonds.first, one.bonds.second, one.bonds.vectors, one.backward(), n_atoms
            )
            forces += more[0]
            virial += more[1]
        return forces, virial

    def _bonds(self, positions: Array, cell: Array, pbc: npt.NDArray[np.bool_]) -> Bonds:
        """Of the longest cutoff."""
        colvars = [action for action in self.program.actions if isinstance(action, MultiColvar)]
        if not colvars:
            empty = np.zeros(0, dtype=np.int32)
            return Bonds(empty, empty, np.zeros((0, 3)), np.zeros(0))
        refuse_large_cutoffs(self.program, cell, pbc)
        longest = max(colvars, key=lambda action: action.cutoff)
        cutoff = longest.cutoff
        if math.isinf(cutoff):
            if pbc.any():
                raise longest.statement.error(
                    "SWITCH", "no D_MAX", "D_MAX, which ends the sum over periodic images"
                )
            cutoff = float(np.linalg.norm(np.ptp(positions, axis=0))) + 1.0
        if self._finder is None or self._finder.cutoff != cutoff:
            self._finder = BondFinder(cutoff, self._functions)
        bonds = self._finder.find(positions, cell, pbc)
        if len(bonds.lengths) and not bonds.lengths.min() > 0:
            k = int(np.argmin(bonds.lengths))
            raise QuorumError(
                f"{self.program.file}: got atoms {bonds.first[k] + 1} and {bonds.second[k] + 1} in "
                "the same place, expected a distance between them"
            )
        return bonds


def refuse_large_cutoffs(program: Program, cell: Array, pbc: npt.NDArray[np.bool_]) -> None:
    """Refuse cutoffs beyond half the distance of images, of which PLUMED counts one silently.

    Raises:
        QuorumError: with the action of the longest finite one.
    """
    colvars = [one for one in program.actions if isinstance(one, MultiColvar)]
    finite = [one for one in colvars if math.isfinite(one.cutoff)]
    longest = max(finite, key=lambda action: action.cutoff, default=None)
    if longest is not None and not images_apart(cell, pbc, 2 * longest.cutoff):
        lengths = " ".join(f"{length:.6g}" for length in np.linalg.norm(cell, axis=1))
        raise longest.statement.error(
            "cutoff",
            f"{longest.cutoff:g} in a cell of lengths {lengths} (the input's unit)",
            "at most half the distance of an atom from its images, beyond which PLUMED counts "
            "one image where there are more; take a larger cell, or check LENGTH in UNITS",
        )


def _beyond(bonds: Bonds, inner: float) -> Bonds:
    """Without those that are shorter."""
    if not len(bonds.lengths) or bonds.lengths.min() >= inner:
        return bonds
    keep = bonds.lengths >= inner
    return Bonds(bonds.first[keep], bonds.second[keep], bonds.vectors[keep], bonds.lengths[keep])


def _sites(action: MultiColvar, bonds: Bonds, n_atoms: int) -> tuple[Bonds, Sites]:
    """Who sees whom, and the bonds without those that no one sees."""
    centres = _atoms(action, action.centres, n_atoms)
    neighbours = _atoms(action, action.neighbours, n_atoms)
    kinds = None
    if isinstance(action, Similarity) and action.names:
        kinds = _kinds(action, centres, neighbours, n_atoms)
    if len(centres) == n_atoms == len(neighbours):
        return bonds, Sites(centres, None, kinds)
    is_centre, is_neighbour = np.zeros(n_atoms, dtype=bool), np.zeros(n_atoms, dtype=bool)
    is_centre[centres], is_neighbour[neighbours] = True, True
    forward = is_centre[bonds.first] & is_neighbour[bonds.second]
    backward = is_centre[bonds.second] & is_neighbour[bonds.first]
    seen = forward | backward
    part = Bonds(bonds.first[seen], bonds.second[seen], bonds.vectors[seen], bonds.lengths[seen])
    ends = forward[seen].astype(float), backward[seen].astype(float)
    return part, Sites(centres, ends, kinds)


def _atoms(action: MultiColvar, selection: Selection, n_atoms: int) -> npt.NDArray[np.int64]:
    if selection.indices is None:
        return np.arange(n_atoms)
    atoms = np.array(selection.indices, dtype=np.int64)
    if atoms.max() >= n_atoms:
        raise action.statement.error(
            "SPECIES", f"atom {atoms.max() + 1}", f"atoms from 1 to {n_atoms} of the structure"
        )
    return atoms


def _kinds(
    action: Similarity,
    centres: npt.NDArray[np.int64],
    neighbours: npt.NDArray[np.int64],
    n_atoms: int,
) -> npt.NDArray[np.int32]:
    """What each atom is, as a number; names are of the neighbours, after those of SPECIESA."""
    one_set = action.centres == action.neighbours
    skipped = 0 if one_set else len(centres)
    if len(action.names) != skipped + len(neighbours):
        raise action.statement.error(
            "ATOM_NAMES_FILE",
            f"{len(action.names)} atoms",
            f"{skipped + len(neighbours)}, those of SPECIES, or of SPECIESA and then SPECIESB",
        )
    order = {name: k for k, name in enumerate(dict.fromkeys(action.names))}
    kinds = np.full(n_atoms, len(order), dtype=np.int32)
    kinds[neighbours] = [order[name] for name in action.names[skipped:]]
    return kinds
