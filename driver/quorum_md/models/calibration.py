"""Calibration: scale a committee's spread until it predicts the committee's errors.

V_i ← V̄ + α (V_i − V̄) with the estimator for finite K of Imbalzano et al. (J. Chem. Phys. 154,
074102 (2021), doi:10.1063/5.0036522), after Musil et al. (J. Chem. Theory Comput. 15, 906 (2019),
doi:10.1021/acs.jctc.8b00959):

    α² = −1/K + (K − 3)/(K − 1) · ⟨(y − ȳ)² / s²⟩

over structures that no member was trained on; s² is the members' variance (ddof = 1). The naive
⟨(y − ȳ)²/s²⟩ overestimates α because s² of a few members is often small by chance (α = 3.56 in
place of 2 at K = 4).

One α serves energies and forces, so that every member's forces stay the gradient of its energy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import QuorumError, warn

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Result of `calibration_alpha`.

    Attributes
    ----------
    alpha: scale of the deviations from the mean; 0 if the estimate of α² was negative
    alpha_squared: the estimate itself
    clamped: whether it was negative
    n_structures, n_members: what it rests on
    """

    alpha: float
    alpha_squared: float
    clamped: bool
    n_structures: int
    n_members: int


@dataclass(frozen=True)
class Score:
    """Errors and spread of one group of structures, energies per atom in meV.

    ``rms_z`` is the root mean square of (y − ȳ)/s over structures: 1 for a committee whose spread
    says how wrong it is, larger where it is overconfident. For a Gaussian truth and K members its
    expectation is √((1 + 1/K) (K − 1)/(K − 3)), 1.05 at K = 32. ``rms_z_error`` is its standard
    error with n structures: from the scatter of their z², or 1/√(2n) of it where that is more (few
    structures may agree by chance).
    """

    group: str
    n: int
    rmse_meV: float
    spread_meV: float
    rms_z: float
    rms_z_error: float


def calibration_alpha(
    reference_eV: Array, member_energies_eV: Array, *, warn_clamped: bool = True
) -> Calibration:
    """α of a committee of K > 3 members from n structures kept apart.

    Parameters
    ----------
    reference_eV: (n,) true energies
    member_energies_eV: (n, K) predictions
    warn_clamped: warn if the estimate of α² is negative

    Raises
    ------
    QuorumError: K ≤ 3 (the estimator has no finite expectation), fewer than two structures,
        shapes that do not match, numbers that are not finite, members that all agree.
    """
    y = np.asarray(reference_eV, dtype=float)
    members = np.asarray(member_energies_eV, dtype=float)
    if members.ndim != 2 or y.shape != members.shape[:1]:
        raise QuorumError(
            f"calibration: {y.shape} reference energies and {members.shape} member energies; "
            "expected (n,) and (n, K)"
        )
    n, k = members.shape
    if k <= 3:
        raise QuorumError(
            f"calibration: a committee of {k} cannot be calibrated (its variance estimate has no "
            "finite inverse moment); use 4 members or more"
        )
    if n < 2:
        raise QuorumError(f"calibration: got {n} structure; expected at least 2, better 100")
    if not (np.isfinite(y).all() and np.isfinite(members).all()):
        raise QuorumError("calibration: an energy is not finite; check the held-out structures")
    variance = members.var(axis=1, ddof=1)
    if not (variance > 0).all():
        raise QuorumError(
            f"calibration: the members agree exactly on structure {int(np.argmin(variance))}; "
            "a committee without spread cannot be calibrated: its members must differ"
        )
    ratio = float(np.mean((y - members.mean(axis=1)) ** 2 / variance))
    squared = -1.0 / k + (k - 3) / (k - 1) * ratio
    clamped = squared < 0
    if clamped and warn_clamped:
        warn(
            f"calibration: α² = {squared:.3g} is negative and is set to 0: the members spread far "
            "more than they err, so their spread says nothing of the error; refit them on "
            "different subsets of the data"
        )
    return Calibration(float(np.sqrt(max(0.0, squared))), squared, clamped, n, k)


def rescaled(member_energies_eV: Array, alpha: float) -> Array:
    """(…, K) members with deviations from their mean times α."""
    mean = member_energies_eV.mean(axis=-1, keepdims=True)
    return mean + alpha * (member_energies_eV - mean)


def scores(
    reference_eV: Array, member_energies_eV: Array, n_atoms: Array, groups: Sequence[str]
) -> list[Score]:
    """One `Score` for all structures ("all") and one per group, in order of first appearance.

    reference_eV (n,), member_energies_eV (n, K), n_atoms (n,), groups (n,).
    """
    y, members = np.asarray(reference_eV), np.asarray(member_energies_eV)
    counts = np.asarray(n_atoms, dtype=float)
    labels = np.asarray(groups, dtype=object)
    error = (y - members.mean(axis=1)) / counts
    spread = members.std(axis=1, ddof=1) / counts
    table = []
    whole = np.ones(len(y), bool)
    # the whole comes first; a group of that name would be another
    selections = [("all", whole), *((g, labels == g) for g in dict.fromkeys(groups))]
    for group, chosen in selections:
        with np.errstate(divide="ignore", invalid="ignore"):
            z2 = (error[chosen] / spread[chosen]) ** 2
            rms = float(np.sqrt(np.mean(z2)))
            scatter = float(np.std(z2) / np.mean(z2)) if rms > 0 else 0.0
        table.append(
            Score(
                str(group),
                int(chosen.sum()),
                1e3 * float(np.sqrt(np.mean(error[chosen] ** 2))),
                1e3 * float(np.sqrt(np.mean(spread[chosen] ** 2))),
                rms,
                # δ√q = δq/(2√q); 2 is the variance of z² over its squared mean if z is Gaussian
                0.5 * rms * max(scatter, np.sqrt(2.0)) / np.sqrt(chosen.sum()),
            )
        )
    return table


def report(before: Sequence[Score], after: Sequence[Score], alpha: float) -> str:
    """Table of RMSE, mean spread and rms z-score, before and after scaling by α."""
    width = max(5, *(len(s.group) for s in before))
    lines = [
        f"# alpha = {alpha:.4f}; energies per atom in meV; rms z = 1 where the spread is right",
        f"# {'group':{width}}  {'n':>5}  {'rmse':>8}  {'spread':>8} -> {'':8}  "
        f"{'rms z':>7} -> {'':7}  {'error':>5}",
    ]
    for b, a in zip(before, after, strict=True):
        lines.append(
            f"  {b.group:{width}}  {b.n:5d}  {b.rmse_meV:8.3f}  {b.spread_meV:8.3f} -> "
            f"{a.spread_meV:8.3f}  {b.rms_z:7.2f} -> {a.rms_z:7.2f}  {a.rms_z_error:5.2f}"
        )
    return "\n".join(lines)
