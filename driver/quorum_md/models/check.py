"""Is a model file what it claims: forces and virial against finite differences, range, speed."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ase import Atoms

from .potential import Potential

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CheckReport:
    """What `check_model` found; max_virial_error_eV is NaN where the cell is not periodic."""

    n_atoms: int
    n_members: int
    interaction_range_A: float
    energy_eV: float
    spread_eV: float
    max_force_error_eV_A: float
    max_virial_error_eV: float
    time_per_atom_us: float

    def as_json(self) -> dict[str, float | int | None]:
        """Fields by name, with null for numbers that do not exist."""
        return {k: v if math.isfinite(v) else None for k, v in vars(self).items()}


def finite_difference_forces(
    potential: Potential, atoms: Atoms, indices: npt.NDArray[np.intp], step_A: float
) -> Array:
    """(len(indices), 3) forces on the chosen atoms by central differences of the energy, error
    O(step⁴): two step lengths are combined (Richardson)."""
    displaced = []
    for i in indices:
        for axis in range(3):
            for shift in (step_A, -step_A, 2 * step_A, -2 * step_A):
                copy = atoms.copy()
                copy.positions[i, axis] += shift
                displaced.append(copy)
    e = _energies(potential, displaced).reshape(len(indices), 3, 4)
    slope = (8 * (e[..., 0] - e[..., 1]) - (e[..., 2] - e[..., 3])) / (12 * step_A)
    return -slope


def finite_difference_virial(potential: Potential, atoms: Atoms, step: float) -> Array:
    """(3, 3) −dE/dε by central differences over symmetric strains of size ``step``."""
    virial = np.zeros((3, 3))
    for a in range(3):
        for b in range(a, 3):
            strained = []
            for shift in (step, -step, 2 * step, -2 * step):
                strain = np.zeros((3, 3))
                strain[a, b] += shift / 2
                strain[b, a] += shift / 2
                copy = atoms.copy()
                copy.set_cell(copy.cell.array @ (np.eye(3) + strain), scale_atoms=True)
                strained.append(copy)
            e = _energies(potential, strained)
            slope = (8 * (e[0] - e[1]) - (e[2] - e[3])) / (12 * step)
            virial[a, b] = virial[b, a] = -slope
    return virial


def _energies(potential: Potential, structures: list[Atoms]) -> Array:
    batch = max(1, 4096 // max(1, len(structures[0])))
    energies: list[float] = []
    for start in range(0, len(structures), batch):
        chunk = structures[start : start + batch]
        energies += [p.energy_eV for p in potential.evaluate(chunk, forces=False)]
    return np.array(energies)


def check_model(
    potential: Potential,
    reference: Potential,
    atoms: Atoms,
    *,
    max_atoms: int = 20,
    repeats: int = 5,
    seed: int = 0,
) -> CheckReport:
    """Check a potential on one structure.

    Parameters
    ----------
    potential: as it will be used; its speed is measured
    reference: the same model in double precision, whose differences are taken: in float32 a finite
        difference is mostly rounding
    atoms: the structure; forces are checked on ``max_atoms`` of its atoms, drawn with ``seed``
    repeats: timed evaluations of energy and forces after two to warm up; the fastest counts
    """
    periodic = bool(all(atoms.pbc))
    exact = reference.evaluate([atoms], virial=periodic)[0]
    assert exact.forces_eV_A is not None
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(atoms))[:max_atoms])
    numeric = finite_difference_forces(reference, atoms, chosen, 1e-3)
    force_error = float(np.abs(numeric - exact.forces_eV_A[chosen]).max())
    virial_error = math.nan
    if periodic:
        assert exact.virial_eV is not None
        numeric = finite_difference_virial(reference, atoms, 1e-3)
        virial_error = float(np.abs(numeric - exact.virial_eV).max())
    times = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        prediction = potential.evaluate([atoms])[0]
        times.append(time.perf_counter() - start)
    return CheckReport(
        n_atoms=len(atoms),
        n_members=potential.n_members,
        interaction_range_A=potential.interaction_range_A,
        energy_eV=prediction.energy_eV,
        spread_eV=prediction.spread_eV,
        max_force_error_eV_A=force_error,
        max_virial_error_eV=virial_error,
        time_per_atom_us=1e6 * min(times[2:]) / len(atoms),
    )
