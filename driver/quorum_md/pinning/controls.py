"""Does Δμ depend on κ or on the size of the box? Jobs that vary one of them, beside the others.

The finite size of a pinned box shifts Δμ as 1/N: a line through the sizes gives the limit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .points import Point


@dataclass(frozen=True)
class Control:
    """Δμ of jobs with one κ and one N, beside those of the same temperature with the usual ones.

    Attributes:
        name: what is varied, "κ" or "N".
        point, usual: with and without.
        z: their difference over its error; None where one of them is refused.
    """

    name: str
    kappa_eV: float
    n_atoms: int
    point: Point
    usual: Point | None
    z: float | None


@dataclass(frozen=True)
class Limit:
    """Δμ at one temperature for 1/N → 0, and by how much it moves T_m if its slope is given."""

    temperature_K: float
    delta_mu_eV: float
    error_eV: float
    shift_eV: float
    shift_error_eV: float


def compare(control: Point, usual: Point | None) -> Control:
    """One control against the usual point of its temperature."""
    job = control.runs[0].job
    other = usual.runs[0].job if usual else None
    z = None
    if usual and usual.delta_mu_eV is not None and control.delta_mu_eV is not None:
        error = float(np.hypot(control.error_eV or 0.0, usual.error_eV or 0.0))
        z = (control.delta_mu_eV - usual.delta_mu_eV) / error
    size = other is not None and other.n_atoms != job.n_atoms
    return Control("N" if size else "κ", job.kappa_eV or 0.0, job.n_atoms, control, usual, z)


def infinite(controls: list[Control]) -> list[Limit]:
    """Lines in 1/N through two or more sizes at each temperature."""
    limits = []
    for T in sorted({c.point.temperature_K for c in controls if c.name == "N"}):
        sizes = {}
        for c in controls:
            if c.name == "N" and c.point.temperature_K == T and c.z is not None:
                sizes[c.n_atoms] = c.point
                if c.usual is not None:
                    sizes[c.usual.runs[0].job.n_atoms] = c.usual
        if len(sizes) < 2:
            continue
        usual = next(c.usual for c in controls if c.name == "N" and c.point.temperature_K == T)
        assert usual is not None
        mu = np.array([p.delta_mu_eV for p in sizes.values()], dtype=float)
        error = np.array([p.error_eV for p in sizes.values()], dtype=float)
        rows = np.vander(1 / np.array(list(sizes)), 2)
        # columns of like size: 1/N is tiny
        scale = np.array([np.abs(rows[:, 0]).max(), 1.0])
        rows = rows / scale
        covariance = np.linalg.inv(rows.T / error**2 @ rows)
        fit = covariance @ (rows.T / error**2)
        here = np.array([float(p is usual) for p in sizes.values()])
        shift = fit[1] - here
        limits.append(
            Limit(
                T,
                float(fit[1] @ mu),
                float(covariance[1, 1]) ** 0.5,
                float(shift @ mu),
                float(np.sqrt(shift**2 @ error**2)),
            )  # fmt: skip
        )
    return limits
