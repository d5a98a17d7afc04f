"""Melting points of the members, from one temperature or from a scan.

Δμ(T) = μ_solid − μ_liquid is negative below the melting point. Found for the potential that drove
the runs (by interface pinning, say), it is Δμ_ref(T) + δμ_i(T) for member i, with δμ_i from
`free_energies` of runs of both phases. G. Imbalzano and M. Ceriotti, Phys. Rev. Mater. 5, 063804
(2021), doi:10.1103/PhysRevMaterials.5.063804.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import QuorumError
from .free_energy import FreeEnergies
from .inputs import finite
from .verdict import worst

Array = NDArray[np.float64]

# a shift of T_m beyond this part of it is no longer one in which Δh is constant
_SHIFT_DOUBTFUL = 0.1
# chance of a χ² as large or larger below which Δμ(T) is not the assumed polynomial
_CHI2_CHANCE = 0.01


@dataclass(frozen=True)
class MeltingPoint:
    """A melting point with both errors, in K.

    Attributes:
        temperature_K: of the mean of the members.
        members_K: (K,) of each member.
        statistical_error_K: sampling error of `temperature_K`.
        model_error_K: standard deviation over the members, sampling noise taken out.
        model_error_uncorrected_K: with the noise left in.
        slope_eV_K: dΔμ/dT per atom, the entropy of fusion.
        verdict, reasons: as in `Reweighted`.
    """

    temperature_K: float
    members_K: Array
    statistical_error_K: float
    model_error_K: float
    model_error_uncorrected_K: float
    slope_eV_K: float
    verdict: str
    reasons: list[str]


def shifted_melting_point(
    temperature_K: float,
    enthalpy_of_fusion_eV: float,
    shift: FreeEnergies,
    *,
    temperature_error_K: float = 0.0,
    enthalpy_error_eV: float = 0.0,
) -> MeltingPoint:
    """T_m^(i) = T_m (1 − δμ_i/Δh) from a melting point that is known for the driving potential.

    Args:
        temperature_K, temperature_error_K: T_m of the driving potential and its sampling error.
        enthalpy_of_fusion_eV, enthalpy_error_eV: h_liquid − h_solid per atom at T_m.
        shift: δμ per atom: `free_energies(solid).per(N).minus(free_energies(liquid).per(N))`.

    Raises:
        QuorumError: temperatures or enthalpies that are not positive.
    """
    for name, value in (
        ("temperature_K", temperature_K),
        ("enthalpy_of_fusion_eV", enthalpy_of_fusion_eV),
    ):
        if not value > 0 or not np.isfinite(value):
            raise QuorumError(f"{name}: got {value!r}, expected a positive number")
    slope = enthalpy_of_fusion_eV / temperature_K
    members = temperature_K - shift.members_eV / slope
    mean = temperature_K - shift.mean_eV / slope
    # noise that all members share moves the melting point, the rest was taken out of their spread
    common = float(np.mean(shift.statistical_errors_eV**2)) if shift.mean_eV else 0.0
    by_enthalpy = shift.mean_eV / slope * enthalpy_error_eV / enthalpy_of_fusion_eV
    reasons = list(shift.reasons)
    verdict = shift.verdict
    largest = float(np.abs(members - temperature_K).max())
    if largest > _SHIFT_DOUBTFUL * temperature_K:
        verdict = worst(verdict, "doubtful")
        reasons.append(
            f"a member melts {largest:.0f} K away from {temperature_K:.0f} K, too far for a "
            "constant enthalpy of fusion; take runs at several temperatures (melting_point)"
        )
    return MeltingPoint(
        temperature_K=mean,
        members_K=members,
        statistical_error_K=float(
            np.sqrt(temperature_error_K**2 + common / slope**2 + by_enthalpy**2)
        ),  # fmt: skip
        model_error_K=shift.model_error_eV / slope,
        model_error_uncorrected_K=shift.model_error_uncorrected_eV / slope,
        slope_eV_K=slope,
        verdict=verdict,
        reasons=reasons,
    )


def melting_point(
    temperatures_K: ArrayLike,
    delta_mu_eV: ArrayLike,
    delta_mu_errors_eV: ArrayLike,
    shifts: Sequence[FreeEnergies],
    *,
    degree: int = 1,
) -> MeltingPoint:
    """Root of Δμ_ref(T) + δμ_i(T) over several temperatures, for every member.

    Args:
        temperatures_K: (n_T,).
        delta_mu_eV, delta_mu_errors_eV: (n_T,) Δμ_ref = μ_solid − μ_liquid per atom of the driving
            potential, and its sampling errors.
        shifts: δμ per atom at each temperature.
        degree: of the polynomial in T, 1 or 2.

    Raises:
        QuorumError: too few temperatures, errors that are not positive, no melting (Δμ does not
            rise with T, or has no root near the temperatures).
    """
    T = finite("temperatures_K", temperatures_K, "(temperatures,)")
    mu = finite("delta_mu_eV", delta_mu_eV, "(temperatures,)")
    error = finite("delta_mu_errors_eV", delta_mu_errors_eV, "(temperatures,)")
    if not (T.shape == mu.shape == error.shape == (len(shifts),)):
        raise QuorumError(
            f"melting_point: got {T.shape}, {mu.shape}, {error.shape} and {len(shifts)} shifts, "
            "expected one of each per temperature"
        )
    if degree not in (1, 2) or len(np.unique(T)) <= degree:
        raise QuorumError(
            f"degree: got {degree} for {len(np.unique(T))} temperatures, expected 1 or 2 and more "
            "temperatures than that"
        )
    if not (error > 0).all():
        raise QuorumError("delta_mu_errors_eV: expected positive sampling errors, got 0 or less")
    center = T.mean()
    design = np.vander(T - center, degree + 1)
    own = np.array([shift.members_eV for shift in shifts])  # (n_T, K)
    mean_shift = np.array([shift.mean_eV for shift in shifts])
    shared = np.array([np.mean(s.statistical_errors_eV**2) if s.mean_eV else 0.0 for s in shifts])
    weight = 1 / (error**2 + shared)
    normal = np.linalg.inv(design.T * weight @ design)
    fit = normal @ (design.T * weight)  # (degree + 1, n_T): linear in Δμ
    coefficients = fit @ (mu + mean_shift)
    root, slope = _root(coefficients, T, center)
    at_root = np.vander([root - center], degree + 1)[0]
    members = np.array([_root(fit @ (mu + column), T, center)[0] for column in own.T])
    reasons, verdict = [], "ok"
    for shift in shifts:
        verdict = worst(verdict, shift.verdict)
        reasons += [one for one in shift.reasons if one not in reasons]
    verdict, reasons = _judge(T, mu + mean_shift, weight, design, coefficients, root, members,
                              verdict, reasons)  # fmt: skip
    # δμ at the root is a weighted sum of those at the temperatures, and so is its noise
    share = at_root @ fit
    centred = np.array([shift.centred_errors_eV for shift in shifts])  # (n_T, K)
    noise = (share**2 @ centred**2).sum() / (own.shape[1] - 1) / slope**2
    whole = members.var(ddof=1)
    return MeltingPoint(
        temperature_K=root,
        members_K=members,
        statistical_error_K=float(np.sqrt(at_root @ normal @ at_root) / slope),
        model_error_K=float(np.sqrt(max(0.0, whole - noise))),
        model_error_uncorrected_K=float(np.sqrt(whole)),
        slope_eV_K=slope,
        verdict=verdict,
        reasons=reasons,
    )


def _root(coefficients: Array, T: Array, center: float) -> tuple[float, float]:
    """Melting point and slope there: the root where Δμ rises, nearest to the temperatures."""
    roots = np.roots(coefficients)
    slope = np.polyder(coefficients)
    rising = [float(r.real) for r in roots if abs(r.imag) < 1e-9 and np.polyval(slope, r.real) > 0]
    width = max(np.ptp(T), 1e-12)
    near = [r for r in rising if abs(r) < 3 * width]
    if not near:
        raise QuorumError(
            "delta_mu_eV: has no melting point near "
            f"{T.min():g} … {T.max():g} K; expected Δμ = μ_solid − μ_liquid that rises with T "
            "through zero, choose other temperatures (or check the sign)"
        )
    best = min(near, key=abs)
    return best + center, float(np.polyval(slope, best))


def _judge(
    T: Array,
    mu: Array,
    weight: Array,
    design: Array,
    coefficients: Array,
    root: float,
    members: Array,
    verdict: str,
    reasons: list[str],
) -> tuple[str, list[str]]:
    from scipy.stats import chi2

    freedom = len(T) - len(coefficients)
    found = float(weight @ (mu - design @ coefficients) ** 2)
    if freedom > 0 and chi2.sf(found, freedom) < _CHI2_CHANCE:
        verdict = worst(verdict, "doubtful")
        reasons.append(
            f"Δμ(T) is not a polynomial of degree {len(coefficients) - 1} within its errors "
            f"(χ² = {found:.1f} for {freedom} degrees of freedom); use degree=2 or a narrower range"
        )
    outside = [x for x in (root, *members) if not T.min() <= x <= T.max()]
    if outside:
        farthest = max(outside, key=lambda x: max(T.min() - x, x - T.max()))
        verdict = worst(verdict, "doubtful")
        reasons.append(
            f"a melting point of {farthest:.0f} K lies outside the temperatures "
            f"{T.min():g} … {T.max():g} K; add runs there"
        )
    return verdict, reasons
