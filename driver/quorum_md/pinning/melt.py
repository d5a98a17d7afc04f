"""A crystal of fixed composition in a melt of another: what its atoms cost there.

The crystal takes its atoms from the melt in its own proportion x_s (fraction of the first element),
whatever the fraction x in the melt. Per atom moved this costs

    Δμ(x, T) = g_solid − [x_s μ_A(x) + (1 − x_s) μ_B(x)] ,

and the bracket is the tangent to g_melt at x, taken at x_s. The pinned mean measures just this Δμ:
its derivation asks only for dG/dQ at a fixed number of atoms in the box. But averages of bulk melts
(enthalpies, volumes, δμ of members) must be taken along the tangent too: a plain difference of
solid and melt would keep every offset of the energies of the elements that cancels in Δμ.
G. Imbalzano and M. Ceriotti, Phys. Rev. Mater. 5, 063804 (2021),
doi:10.1103/PhysRevMaterials.5.063804, have applied interface pinning to Ga-As so.

The box holds a fixed number of each element, so that the melt changes when the crystal grows: x is
what is left at the mean Q. G(Q) then curves, by `stiffening`, and var Q is kT/(κ + that).
"""

from __future__ import annotations

import numpy as np

from ..units import thermal_energy_eV
from .jobs_on_disk import Job
from .series import Array

# compositions that count as equal
SAME = 1e-3


def first_fraction(job: Job) -> float:
    """Fraction of the first element of the system in the box."""
    return job.counts.get(job.elements[0], 0) / job.n_atoms


def melt_fraction(box: Job, solid: Job, fraction: float) -> float:
    """Fraction of the first element in the melt beside a crystal that is `fraction` of the box."""
    return float((first_fraction(box) - fraction * first_fraction(solid)) / (1 - fraction))


def stiffening(box: Job, solid: Job, fraction: float, delta_q: float) -> float:
    """d²G/dQ² in eV of a melt that changes as the crystal grows, as an ideal solution would.

    With df of the box crystallised x changes by (x − x_s)/(1 − f) df, and Δμ by
    kT (x − x_s)/[x (1 − x)] dx.
    """
    if box.liquid_fraction is None or not 0 < fraction < 1:
        return 0.0
    x, x_s = melt_fraction(box, solid, fraction), first_fraction(solid)
    if not 0 < x < 1:
        return 0.0
    kT = thermal_energy_eV(box.temperature_K)
    return box.n_atoms / delta_q**2 * kT * (x - x_s) ** 2 / (x * (1 - x) * (1 - fraction))


def tangent(fractions: Array, x: float, x_s: float) -> Array | None:
    """(n,) shares with which bulk melts make up the tangent at x, taken at x_s.

    Args:
        fractions: (n,) compositions of the bulk melts.

    Returns:
        The share of each, from a parabola through them (least squares); a melt of composition x_s
        needs no tangent. None where there are less than three other melts to draw it.
    """
    if abs(x - x_s) < SAME:
        here = np.abs(np.asarray(fractions) - x_s) < SAME
        return here / here.sum() if here.any() else None
    return _parabola(fractions, np.array([x**2 + (x_s - x) * 2 * x, x_s, 1.0]))


def steepness(fractions: Array, x: float) -> Array | None:
    """(n,) shares that make up the slope of the tangent at x; None as in `tangent`."""
    return _parabola(fractions, np.array([2 * x, 1.0, 0.0]))


def _parabola(fractions: Array, at: Array) -> Array | None:
    """Shares of what is linear in the coefficients of a parabola, highest power first."""
    if len(np.unique(fractions)) < 3:
        return None
    shares: Array = at @ np.linalg.pinv(np.vander(np.asarray(fractions), 3))
    return shares
