"""Does Δμ depend on κ or on the size of the box? Jobs that vary one of them, beside the others.

The finite size of a pinned box shifts Δμ as 1/N: a line through the sizes gives the limit.
"""

from __future__ import annotations

from collections import defaultdict
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
    liquid_fraction: float | None
    delta_mu_eV: float
    error_eV: float
    shift_eV: float
    shift_error_eV: float


def compare(control: Point, usual: Point | None) -> Control:
    """One control against the usual point of its temperature."""
    job = control.runs[0].job
    other = usual.runs[0].job if usual else None
    size = other is not None and other.n_atoms != job.n_atoms
    z = None
    if usual and usual.delta_mu_eV is not None and control.delta_mu_eV is not None:
        squared = (control.error_eV or 0.0) ** 2 + (usual.error_eV or 0.0) ** 2
        if not size:  # the error of Q_s − Q_l is that of the same bulk runs
            part = usual.delta_q_part()
            squared -= 2 * part**2 * control.delta_mu_eV * usual.delta_mu_eV
        z = (control.delta_mu_eV - usual.delta_mu_eV) / float(np.sqrt(squared))
    return Control("N" if size else "κ", job.kappa_eV or 0.0, job.n_atoms, control, usual, z)


def infinite(controls: list[Control]) -> list[Limit]:
    """Lines in 1/N through two or more sizes of one melt at each temperature."""
    groups: dict[tuple[float, float | None], list[Control]] = defaultdict(list)
    for c in controls:
        if c.name == "N" and c.z is not None and c.usual is not None:
            groups[c.point.temperature_K, c.point.liquid_fraction].append(c)
    limits = []
    for T, x in sorted(groups, key=lambda key: (key[0], key[1] or 0.0)):
        usual = groups[T, x][0].usual
        assert usual is not None
        sizes = {c.n_atoms: c.point for c in groups[T, x]}
        sizes[usual.runs[0].job.n_atoms] = usual
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
                x,
                float(fit[1] @ mu),
                float(covariance[1, 1]) ** 0.5,
                float(shift @ mu),
                float(np.sqrt(shift**2 @ error**2)),
            )  # fmt: skip
        )
    return limits
