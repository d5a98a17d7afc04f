"""Bulk solid and bulk liquid at one temperature, and what lies between them.

h = (U + P V)/N without the kinetic part, which is 3/2 kT in both phases. The order parameter of a
box with other than the N atoms of the pinned one is scaled to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..averages.timeseries import variance_of_mean
from ..units import EV_A3_GPA
from .jobs_on_disk import Job
from .series import Array, Kept, Mean, kept, mean_of


@dataclass(frozen=True)
class Bulk:
    """Averages of one bulk run, per atom but for the order parameter.

    Attributes:
        run: the job in equilibrium.
        energy_eV, enthalpy_eV, volume_A3: per atom.
        q: order parameter of the box.
        q_spread: standard deviation of its fluctuation.
        modulus_GPa: isothermal bulk modulus from the fluctuation of the volume; None at constant
            volume.
    """

    run: Kept
    energy_eV: Mean
    enthalpy_eV: Mean
    volume_A3: Mean
    q: Mean
    q_spread: float
    modulus_GPa: float | None

    @property
    def job(self) -> Job:
        """Of this run."""
        return self.run.job

    @property
    def moved_eV(self) -> float:
        """What `melts.at_box` has added to the energy per atom."""
        return self.energy_eV.value - float(self.run["potential_eV"].mean()) / self.job.n_atoms


def bulk(job: Job, discard: str | float = "auto") -> Bulk:
    """Averages of a bulk run."""
    run = kept(job, discard)
    n = job.n_atoms
    volume = run["volume_A3"]
    variance = float(volume.var())
    modulus = run.kT_eV * float(volume.mean()) / variance * EV_A3_GPA if variance > 0 else None
    return Bulk(
        run,
        mean_of(run["potential_eV"] / n),
        mean_of(run.enthalpy_eV / n),
        mean_of(volume / n),
        mean_of(run["q"]),
        float(run["q"].std()),
        modulus,
    )


@dataclass(frozen=True)
class Difference:
    """Liquid less solid, with its sampling error."""

    value: float
    error: float


@dataclass(frozen=True)
class Fusion:
    """What melting changes at one temperature, per atom.

    Attributes:
        enthalpy_eV: h_liquid − h_solid.
        volume_A3: v_liquid − v_solid.
        dT_over_T_dP: Δv/Δh in 1/GPa; its error knows that both come from the same runs.
    """

    temperature_K: float
    enthalpy_eV: Difference
    volume_A3: Difference
    dT_over_T_dP: Difference


def fusion(solid: Bulk, melt: list[tuple[Bulk, float]]) -> Fusion:
    """Differences between a crystal and a melt.

    Args:
        melt: bulk liquids and their shares, which add up to 1: one liquid with share 1, or what
            `liquidus.tangent` says.
    """
    parts = [(solid, -1.0), *melt]

    def difference(values: list[Mean]) -> Difference:
        value = sum(share * one.value for one, (_, share) in zip(values, parts, strict=True))
        error2 = sum(
            (share * one.error) ** 2 for one, (_, share) in zip(values, parts, strict=True)
        )
        return Difference(float(value), float(error2) ** 0.5)

    h = difference([one.enthalpy_eV for one, _ in parts])
    v = difference([one.volume_A3 for one, _ in parts])
    scale = 1 / EV_A3_GPA
    ratio = scale * v.value / h.value if h.value else np.nan
    error2 = 0.0
    for one, share in parts:
        run, n = one.run, one.job.n_atoms
        response: Array = scale * run["volume_A3"] / n - ratio * run.enthalpy_eV / n
        error2 += (share / h.value) ** 2 * float(variance_of_mean(response)) if h.value else np.inf
    return Fusion(solid.job.temperature_K, h, v, Difference(float(ratio), float(error2) ** 0.5))


def scaled_q(one: Bulk, n_atoms: int) -> tuple[Mean, float]:
    """Order parameter and its spread as a box of `n_atoms` atoms would have it.

    Counters grow with N; LAMMPS's rhok, a sum over √N, with √N in a crystal and not at all in a
    liquid, where it is noise; a mean not at all.
    """
    ratio = n_atoms / one.job.n_atoms
    words = one.job.order_parameter.lower()
    if _is_modulus(one):
        factor, wide = (1.0 if one.job.kind == "liquid" else ratio**0.5), 1.0
    elif words.rstrip().endswith("mean"):
        factor, wide = 1.0, ratio**-0.5
    else:
        factor, wide = ratio, ratio**0.5
    q = Mean(one.q.value * factor, one.q.error * factor, one.q.independent)
    return q, one.q_spread * wide


def levels(solid: Bulk, liquid: Bulk, n_atoms: int) -> tuple[Mean, Mean]:
    """Q_s and Q_l between which Q of `n_atoms` atoms goes with the solid fraction.

    A liquid adds noise to the amplitude that the crystal gives to rhok, the modulus of a sum: in
    quadrature, which is next to nothing beside half a crystal. The mean modulus of that noise alone
    is no part of Q_s − Q_l, and Q_l is 0.
    """
    q_s, q_l = scaled_q(solid, n_atoms)[0], scaled_q(liquid, n_atoms)[0]
    return q_s, Mean(0.0, 0.0, q_l.independent) if _is_modulus(liquid) else q_l


def _is_modulus(one: Bulk) -> bool:
    return one.job.order_parameter.lower().startswith("rhok")
