"""Δμ(T) of one crystal in one melt: its root, what melting changes there, and a check of its slope.

By bulk differences alone, d(Δμ/T)/dT = Δh/T² (Gibbs and Helmholtz), so that the enthalpies of the
bulk runs say what Δμ is elsewhere once it is known anywhere: the slope of the pinned points must
agree with them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..averages.free_energy import FreeEnergies, shifts_with_errors
from ..averages.melting import MeltingPoint, melting_point
from ..errors import QuorumError
from .bulk import Difference
from .points import Point
from .series import Array

# beyond this the slope of the points and that of the enthalpies disagree
_SLOPE_Z = 4.0


@dataclass(frozen=True)
class AtMelting:
    """What melting changes at T_m, per atom, from the bulk runs.

    Attributes:
        entropy_eV_K: Δh/T_m.
        dT_dP_K_GPa: T_m Δv/Δh (Clausius and Clapeyron).
    """

    enthalpy_eV: Difference
    entropy_eV_K: Difference
    volume_A3: Difference
    dT_dP_K_GPa: Difference


@dataclass(frozen=True)
class Branch:
    """Everything about one melt.

    Attributes:
        liquid_fraction: as asked for; None for a melt of the crystal's composition.
        points: by temperature.
        melting: None where there is no Δμ, or no root; `reason` says which.
        at_melting: None if bulk runs are missing.
        by_covariance: the same root with the members' δμ from the pinned runs: a check of the
            members, not a better answer; None without.
        by_bulk_eV: (n,) Δμ at the temperatures from the enthalpies alone, with the root as fitted;
            NaN without.
        members_by: where the members of `melting` are from.
        slope_z: slope of the pinned points less that of the enthalpies over their error; None for
            fewer than two temperatures.
    """

    liquid_fraction: float | None
    points: list[Point]
    melting: MeltingPoint | None
    reason: str | None
    at_melting: AtMelting | None
    by_covariance: MeltingPoint | None
    by_bulk_eV: Array
    slope_z: float | None
    members_by: str = "bulk differences"

    @property
    def melt_fraction(self) -> float:
        """Of the first element in the melt, over the points that count."""
        used = [p.melt_fraction for p in self.points if p.delta_mu_eV is not None]
        return float(np.mean(used or [p.melt_fraction for p in self.points]))


def branch(points: list[Point], *, has_committee: bool) -> Branch:
    """The root over the points of one melt."""
    x = points[0].liquid_fraction
    nothing = np.full(len(points), np.nan)
    used = [p for p in points if p.delta_mu_eV is not None and p.error_eV]
    if not used:
        why = "every pinned run is refused, so that there is no Δμ"
        return Branch(x, points, None, why, None, None, nothing, None)
    bulk = [p.shift for p in used if p.shift is not None]
    pinned = [
        shifts_with_errors(
            p.covariance_eV,
            p.covariance_errors_eV,
            p.covariance_mean_eV,
            p.covariance_mean_error_eV,
        )
        for p in used
        if p.covariance_eV is not None and p.covariance_errors_eV is not None
    ]
    note = ["members by covariance alone: the tangent to the melts needs three compositions"]
    # the check is then the result, and there is none besides
    alone = has_committee and len(bulk) < len(used) and len(pinned) == len(used)
    try:
        if alone:
            melting = _melting(used, points, pinned, note)
        else:
            melting = _melting(used, points, bulk or None, [])
    except QuorumError as error:
        return Branch(x, points, None, str(error), None, None, nothing, None)
    covariance = None
    if not alone and len(pinned) == len(used):
        try:  # a check, which noise may leave without a root for one of the members
            covariance = _melting(used, points, pinned, [])
        except QuorumError as error:
            why = f"members by covariance, the check, give no melting point: {error}"
            melting = replace(melting, reasons=[*melting.reasons, why])
    at, by_bulk, z = _bulk(points, used, melting)
    members_by = "covariance in the pinned runs" if alone else "bulk differences"
    return Branch(x, points, melting, None, at, covariance, by_bulk, z, members_by)


def _melting(
    used: list[Point], points: list[Point], shifts: list[FreeEnergies] | None, note: list[str]
) -> MeltingPoint:
    """Bulk runs serve also where the pinned runs beside them are refused."""
    T, mu, error = (np.array([getattr(p, name) for p in used])
                    for name in ("temperature_K", "delta_mu_eV", "error_eV"))  # fmt: skip
    fusion = [p.fusion for p in points if p.fusion is not None and p.fusion.enthalpy_eV.error > 0]
    if not fusion and len(np.unique(T)) < 2:
        raise QuorumError(
            f"only one temperature, {T[0]:g} K, has a Δμ, and no enthalpy of fusion belongs to it; "
            "run another temperature"
        )
    found = melting_point(
        T, mu, error, shifts,
        degree=2 if len({one.temperature_K for one in fusion}) > 1 else 1,
        enthalpies_eV=[one.enthalpy_eV.value for one in fusion] if fusion else None,
        enthalpy_errors_eV=[one.enthalpy_eV.error for one in fusion],
        enthalpy_temperatures_K=[one.temperature_K for one in fusion],
    )  # fmt: skip
    doubts = [reason for p in used for reason in p.reasons]
    verdict = "doubtful" if found.verdict == "ok" and doubts else found.verdict
    return replace(found, verdict=verdict, reasons=[*found.reasons, *doubts, *note])


def _bulk(
    points: list[Point], used: list[Point], melting: MeltingPoint
) -> tuple[AtMelting | None, Array, float | None]:
    known = [p.fusion for p in points if p.fusion is not None]
    if not known:
        return None, np.full(len(points), np.nan), None
    T_m = melting.temperature_K
    T = np.array([one.temperature_K for one in known])
    h, _ = _line(T, [one.enthalpy_eV for one in known])
    at_h, at_v, at_r = (
        _at(T_m, T, [getattr(one, name) for one in known])
        for name in ("enthalpy_eV", "volume_A3", "dT_over_T_dP")
    )
    s = Difference(at_h.value / T_m, at_h.error / T_m)
    steep = T_m * at_r.value
    slope = Difference(
        steep, float(np.hypot(T_m * at_r.error, steep / T_m * melting.statistical_error_K))
    )
    kelvin = np.array([p.temperature_K for p in points])
    # Δh = A + B T
    A, B = h[-1] - (h[0] * T.mean() if len(h) > 1 else 0.0), h[0] if len(h) > 1 else 0.0
    by_bulk = A * (kelvin / T_m - 1) + B * kelvin * np.log(kelvin / T_m)
    z = None
    if len({p.temperature_K for p in used}) > 1:
        rest = np.array([p.delta_mu_eV for p in used]) - by_bulk[[points.index(p) for p in used]]
        errors = [Difference(r, p.error_eV or 0.0) for r, p in zip(rest, used, strict=True)]
        (tilt, _), covariance = _line(np.array([p.temperature_K for p in used]), errors)
        z = float(tilt / np.hypot(covariance[0, 0] ** 0.5, s.error))
    return AtMelting(at_h, s, at_v, slope), by_bulk, z


def _line(T: Array, values: list[Difference]) -> tuple[Array, Array]:
    """Line in T − T̄ (a constant for one temperature), highest power first, and its covariance."""
    rows = np.vander(T - T.mean(), min(2, len(np.unique(T))))
    weight = 1 / np.array([max(one.error, 1e-300) for one in values]) ** 2
    weight = np.ones(len(T)) if not np.isfinite(weight).all() else weight
    covariance = np.asarray(np.linalg.inv(rows.T * weight @ rows), dtype=float)
    return covariance @ (rows.T * weight) @ [one.value for one in values], covariance


def _at(T_m: float, T: Array, values: list[Difference]) -> Difference:
    """Interpolated to T_m."""
    line, covariance = _line(T, values)
    at = np.vander([T_m - T.mean()], len(line))[0]
    return Difference(float(at @ line), float(at @ covariance @ at) ** 0.5)


def slope_disagrees(one: Branch) -> bool:
    """Whether pinned points and enthalpies tell different entropies of fusion."""
    return one.slope_z is not None and abs(one.slope_z) > _SLOPE_Z
