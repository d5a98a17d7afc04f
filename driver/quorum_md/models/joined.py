"""Potentials side by side: committees of several files or calculators, and weighted baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers

from ..errors import QuorumError
from .baseline import WeightedBaseline, offsets_table
from .frozen import Frozen, JoinedFrozen, ShiftedFrozen, near_rows
from .potential import Evaluation, Potential, load_potential

if TYPE_CHECKING:
    from ase import Atoms

Array = npt.NDArray[np.float64]


class _JoinedEvaluation(Evaluation):
    def __init__(self, parts: Sequence[Evaluation]):
        self._parts = parts
        self.energies_eV = np.concatenate([p.energies_eV for p in parts], axis=1)
        tables = [p.atom_energies_eV for p in parts]
        self.atom_energies_eV = None
        if all(t is not None for t in tables):
            self.atom_energies_eV = [
                np.concatenate(rows, axis=1) for rows in zip(*tables, strict=True)
            ]

    def gradient(self, cotangents: Array) -> tuple[list[Array], list[Array]]:
        forces: list[Array] = []
        virials: list[Array] = []
        start = 0
        for part in self._parts:
            stop = start + part.energies_eV.shape[1]
            own = cotangents[:, start:stop]
            start = stop
            if not np.any(own):
                continue
            f, w = part.gradient(own)
            forces = f if not forces else [a + b for a, b in zip(forces, f, strict=True)]
            virials = w if not virials else [a + b for a, b in zip(virials, w, strict=True)]
        return forces, virials


class JoinedPotential(Potential):
    """Several potentials side by side: their members together are the committee.

    With ``weighting``, the last potential is the baseline and must have one member.
    """

    def __init__(self, parts: Sequence[Potential], weighting: WeightedBaseline | None = None):
        for part in parts:
            if part.weighting is not None:
                raise QuorumError(
                    f"{part.name} has a weighted baseline already; it cannot be a member of "
                    "another committee: join its members first, then add the baseline"
                )
        self.parts = list(parts)
        self.weighting = weighting
        self.n_members = sum(p.n_members for p in parts)
        if weighting is not None:
            if parts[-1].n_members != 1:
                raise QuorumError(
                    f"baseline {parts[-1].name} has {parts[-1].n_members} members; expected a "
                    "single model"
                )
            self.n_members -= 1
        closed = [set(p.species) for p in parts if p.species]
        common = set.intersection(*closed) if closed else set()
        if closed and not common:
            raise QuorumError(
                "the members have no element in common: "
                + "; ".join(f"{p.name} knows {' '.join(p.species)}" for p in parts)
            )
        self.species = tuple(sorted(common, key=atomic_numbers.__getitem__))
        self.interaction_range_A = max(p.interaction_range_A for p in parts)
        self.name = " + ".join(p.name for p in parts)
        self.has_virial = all(p.has_virial for p in parts)

    def forward(
        self, structures: Sequence[Atoms], gradients: bool, centers: Sequence[Any] | None
    ) -> Evaluation:
        return _JoinedEvaluation([p.forward(structures, gradients, centers) for p in self.parts])

    def frozen(self, atoms: Atoms) -> Frozen | None:
        """See `Potential.frozen`."""
        parts = [part.frozen(atoms) for part in self.parts]
        local = [part for part in parts if part is not None]
        if len(local) < len(parts):
            return None
        return JoinedFrozen(self, local, near_rows(atoms, self.interaction_range_A))


class _ShiftedEvaluation(Evaluation):
    def __init__(self, inner: Evaluation, shifts: list[Array], per_structure: Array):
        self.energies_eV = inner.energies_eV + per_structure[:, None]
        self.atom_energies_eV = None
        if inner.atom_energies_eV is not None:
            self.atom_energies_eV = [
                table + shift[:, None]
                for table, shift in zip(inner.atom_energies_eV, shifts, strict=True)
            ]
        self._inner = inner

    def gradient(self, cotangents: Array) -> tuple[list[Array], list[Array]]:
        return self._inner.gradient(cotangents)


class ShiftedPotential(Potential):
    """A potential plus a constant energy per atom of each element."""

    def __init__(self, inner: Potential, offsets_eV: Mapping[str, float]):
        self.inner, self._table = inner, offsets_table(offsets_eV)
        self.species, self.n_members = inner.species, inner.n_members
        self.interaction_range_A, self.name = inner.interaction_range_A, inner.name
        self.weighting, self.has_virial = inner.weighting, inner.has_virial

    def forward(
        self, structures: Sequence[Atoms], gradients: bool, centers: Sequence[Any] | None
    ) -> Evaluation:
        """See `Potential.forward`."""
        shifts = [self._table[a.numbers] for a in structures]
        if centers is not None:
            shifts = [x[c] for x, c in zip(shifts, centers, strict=True)]
        totals = np.array([x.sum() for x in shifts])
        return _ShiftedEvaluation(
            self.inner.forward(structures, gradients, centers), shifts, totals
        )

    def frozen(self, atoms: Atoms) -> Frozen | None:
        """See `Potential.frozen`."""
        inner = self.inner.frozen(atoms)
        return None if inner is None else ShiftedFrozen(self, inner, self._table)


def with_baseline(
    committee: Any,
    baseline: Any,
    sigma_eV: float,
    *,
    correction: bool = False,
    offsets_eV: Mapping[str, float] | None = None,
) -> JoinedPotential:
    """The weighted baseline of a committee: see `quorum_md.models.baseline`.

    Parameters
    ----------
    committee, baseline: potentials, or anything `load_potential` takes (the baseline: one member)
    sigma_eV: expected error of the baseline's total energy
    correction: the committee predicts V − V_b
    offsets_eV: energy per atom of each element, added to the baseline so that both have the same
        zero (`composition_offsets` finds it)

    Raises
    ------
    QuorumError: sigma not positive, baseline with several members, no element in common.
    """
    base = baseline if isinstance(baseline, Potential) else _quiet_load(baseline)
    if offsets_eV:
        base = ShiftedPotential(base, offsets_eV)
    return JoinedPotential(
        [load_potential(committee), base], WeightedBaseline(sigma_eV, correction)
    )


def _quiet_load(source: Any) -> Potential:
    """A baseline is a single model by its nature: no warning about that."""
    import warnings

    from ..errors import QuorumWarning

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is a single model", category=QuorumWarning)
        return load_potential(source)
