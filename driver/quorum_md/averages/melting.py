"""Melting points of the members, from one temperature or from a scan.

Δμ(T) = μ_solid − μ_liquid is negative below the melting point. Found for the potential that drove
the runs (by interface pinning, say), it is Δμ_ref(T) + δμ_i(T) for member i, with δμ_i from
`free_energies` of runs of both phases. Enthalpies of fusion fix the slope where points are few:
Δh = T dΔμ/dT − Δμ is linear in Δμ(T) and independent of the points. G. Imbalzano and M. Ceriotti,
Phys. Rev. Mater. 5, 063804 (2021), doi:10.1103/PhysRevMaterials.5.063804.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import QuorumError
from .free_energy import FreeEnergies
from .inputs import finite
from .melting_curve import SHIFT_DOUBTFUL, Curve
from .verdict import worst

Array = NDArray[np.float64]

# chance of a χ² as large or larger below which Δμ(T) is not the assumed polynomial within errors
_CHI2_CHANCE = 0.01


@dataclass(frozen=True)
class MeltingPoint:
    """A melting point with both errors, in K.

    Attributes:
        temperature_K: of the mean of the members.
        members_K: (K,) of each member.
        statistical_error_K: sampling error of `temperature_K`; larger than the errors of the points
            make it where these scatter more than chance allows about the curve, by √(χ²/freedom).
        model_error_K: standard deviation over the members, sampling noise taken out.
        model_error_uncorrected_K: with the noise left in.
        slope_eV_K, slope_error_eV_K: dΔμ/dT per atom at `temperature_K`, the entropy of fusion, and
            its sampling error.
        verdict, reasons: as in `Reweighted`.
    """

    temperature_K: float
    members_K: Array
    statistical_error_K: float
    model_error_K: float
    model_error_uncorrected_K: float
    slope_eV_K: float
    slope_error_eV_K: float
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
    if largest > SHIFT_DOUBTFUL * temperature_K:
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
        slope_error_eV_K=float(
            np.hypot(enthalpy_error_eV, slope * temperature_error_K) / temperature_K
        ),
        verdict=verdict,
        reasons=reasons,
    )


def melting_point(
    temperatures_K: ArrayLike,
    delta_mu_eV: ArrayLike,
    delta_mu_errors_eV: ArrayLike,
    shifts: Sequence[FreeEnergies] | None,
    *,
    degree: int = 1,
    enthalpies_eV: ArrayLike | None = None,
    enthalpy_errors_eV: ArrayLike | None = None,
    enthalpy_temperatures_K: ArrayLike | None = None,
) -> MeltingPoint:
    """Root of Δμ_ref(T) + δμ_i(T) over several temperatures, for every member.

    Args:
        temperatures_K: (n_T,).
        delta_mu_eV, delta_mu_errors_eV: (n_T,) Δμ_ref = μ_solid − μ_liquid per atom of the driving
            potential, and its sampling errors.
        shifts: δμ per atom at each temperature; None without a committee: then there are no
            members, and no model error.
        degree: of the polynomial in T, 1 or 2.
        enthalpies_eV, enthalpy_errors_eV: (n_h,) h_liquid − h_solid per atom of the driving
            potential: with one of them one temperature will do for degree 1, with two for 2.
        enthalpy_temperatures_K: (n_h,) of these; `temperatures_K` if not given.

    Raises:
        QuorumError: too few temperatures, errors that are not positive, no melting (Δμ does not
            rise with T, or has no root near the temperatures). A member without a root is a doubt.
    """
    T = finite("temperatures_K", temperatures_K, "(temperatures,)")
    mu = finite("delta_mu_eV", delta_mu_eV, "(temperatures,)")
    error = finite("delta_mu_errors_eV", delta_mu_errors_eV, "(temperatures,)")
    n_shifts = len(T) if shifts is None else len(shifts)
    if not (T.shape == mu.shape == error.shape == (n_shifts,)):
        raise QuorumError(
            f"melting_point: got {T.shape}, {mu.shape}, {error.shape} and {n_shifts} shifts, "
            "expected one of each per temperature"
        )
    fusion = None
    if enthalpies_eV is not None:
        fusion = _checked(
            T if enthalpy_temperatures_K is None else enthalpy_temperatures_K,
            enthalpies_eV, enthalpy_errors_eV,
        )  # fmt: skip
    known = len(np.unique(T)) + (0 if fusion is None else min(degree, len(np.unique(fusion[0]))))
    if degree not in (1, 2) or known <= degree:
        raise QuorumError(
            f"degree: got {degree} for {len(np.unique(T))} temperatures, expected 1 or 2 and more "
            "temperatures than that (less where enthalpies of fusion are given)"
        )
    if not (error > 0).all():
        raise QuorumError("delta_mu_errors_eV: expected positive sampling errors, got 0 or less")
    shifts = shifts or []
    own = np.array([shift.members_eV for shift in shifts] or np.empty((len(T), 0)))  # (n_T, K)
    mean_shift = np.array([shift.mean_eV for shift in shifts] or np.zeros(len(T)))
    shared = np.array([np.mean(s.statistical_errors_eV**2) if s.mean_eV else 0.0 for s in shifts]
                      or np.zeros(len(T)))  # fmt: skip
    curve = Curve(T, mu, error**2 + shared, degree, fusion)
    coefficients = curve.coefficients + curve.of_shifts @ mean_shift
    found = curve.root(coefficients)
    if found is None:
        raise QuorumError(
            "delta_mu_eV: has no melting point near "
            f"{T.min():g} … {T.max():g} K; expected Δμ = μ_solid − μ_liquid that rises with T "
            "through zero, choose other temperatures (or check the sign)"
        )
    root, slope = found
    at_root = np.vander([root - curve.center], degree + 1)[0]
    # δμ at the root is a weighted sum of those at the temperatures, and so is its noise
    share = at_root @ curve.of_shifts
    members, without = _members(curve, own, root - share @ (own - mean_shift[:, None]) / slope)
    reasons, verdict = [], "ok"
    for shift in shifts:
        verdict = worst(verdict, shift.verdict)
        reasons += [one for one in shift.reasons if one not in reasons]
    if without:
        verdict = worst(verdict, "doubtful")
        reasons.append(
            f"{without} of {len(members)} members have no melting point near {T.min():g} … "
            f"{T.max():g} K; theirs is T_m − δμ/Δs at {root:.0f} K: add runs, or longer ones"
        )
    verdict, reasons = _judge(T, curve, root, members, verdict, reasons)
    whole = noise = 0.0
    if shifts:
        centred = np.array([shift.centred_errors_eV for shift in shifts])  # (n_T, K)
        noise = (share**2 @ centred**2).sum() / (own.shape[1] - 1) / slope**2
        whole = members.var(ddof=1)
    scatter = excess_scatter(curve.chi2, curve.freedom)
    # dΔμ/dT at a root that moves with the coefficients
    steepness = np.array([2 * (root - curve.center), 1.0, 0.0])[2 - degree :]
    bend = 2 * coefficients[0] if degree == 2 else 0.0
    steepness = steepness - bend / slope * at_root
    return MeltingPoint(
        temperature_K=root,
        members_K=members,
        statistical_error_K=scatter * float(np.sqrt(at_root @ curve.covariance @ at_root) / slope),
        model_error_K=float(np.sqrt(max(0.0, whole - noise))),
        model_error_uncorrected_K=float(np.sqrt(whole)),
        slope_eV_K=slope,
        slope_error_eV_K=scatter * float(np.sqrt(steepness @ curve.covariance @ steepness)),
        verdict=verdict,
        reasons=reasons,
    )


def excess_scatter(chi2: float, freedom: int) -> float:
    """√(χ²/freedom), by which errors are too small, where chance does not make it; else 1."""
    from scipy.stats import chi2 as distribution

    if freedom <= 0 or distribution.sf(chi2, freedom) >= _CHI2_CHANCE:
        return 1.0
    return float((chi2 / freedom) ** 0.5)


def _checked(*fusion: ArrayLike | None) -> tuple[Array, ...]:
    """Temperatures, enthalpies and their errors, as many of each."""
    names = ("enthalpy_temperatures_K", "enthalpies_eV", "enthalpy_errors_eV")
    found = tuple(finite(n, x, "(n,)") for n, x in zip(names, fusion, strict=True))  # type: ignore[arg-type]
    if len({one.shape for one in found}) > 1 or not (found[2] > 0).all():
        raise QuorumError(
            f"enthalpies_eV: got {found[1].shape}, errors {found[2].shape} and temperatures "
            f"{found[0].shape}, expected as many of each, with positive errors"
        )
    return found


def _members(curve: Curve, own: Array, by_slope: Array) -> tuple[Array, int]:
    """(K,) roots, those to first order in place of what has none, and how many these are."""
    found = [curve.root(curve.coefficients + curve.of_shifts @ k) for k in own.T]
    roots = [one[0] if one else by_slope[k] for k, one in enumerate(found)]
    return np.array(roots), found.count(None)


def _judge(
    T: Array, curve: Curve, root: float, members: Array, verdict: str, reasons: list[str]
) -> tuple[str, list[str]]:
    scatter = excess_scatter(curve.chi2, curve.freedom)
    if scatter > 1:
        verdict = worst(verdict, "doubtful")
        reasons.append(
            f"Δμ(T) is not a polynomial of degree {len(curve.coefficients) - 1} within its errors "
            f"(χ² = {curve.chi2:.1f} for {curve.freedom} degrees of freedom), so that its sampling "
            f"error is multiplied by {scatter:.1f}; run longer, for the errors of short runs are "
            "uncertain themselves, or over a narrower range"
        )
    low, high = curve.range_K
    outside = [x for x in (root, *members) if not low <= x <= high]
    if outside:
        farthest = max(outside, key=lambda x: max(T.min() - x, x - T.max()))
        verdict = worst(verdict, "doubtful")
        reasons.append(
            f"a melting point of {farthest:.0f} K lies outside the temperatures "
            f"{T.min():g} … {T.max():g} K; add runs there"
        )
    return verdict, reasons
