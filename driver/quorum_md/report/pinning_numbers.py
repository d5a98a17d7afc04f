"""An analysis of interface pinning as plain numbers, for JSON: complete, NaN is null."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from ..averages.free_energy import FreeEnergies
from ..averages.melting import MeltingPoint
from ..pinning.analysis import Report
from ..pinning.branch import Branch
from ..pinning.points import Point, Run


def numbers(report: Report) -> dict[str, Any]:
    """Everything; energies per atom, Δμ = μ_solid − μ_liquid."""
    liquidus = report.liquidus
    found = {
        "folder": report.folder,
        "elements": report.elements,
        "solid_fraction": report.solid_fraction,
        "n_members": report.n_members,
        "melting": _melting(report.melting, report.n_members),
        "branches": [_branch(one, report.n_members) for one in report.branches],
        "liquidus": None if liquidus is None else asdict(liquidus),
        "controls": [
            {"varies": c.name, "kappa_eV": c.kappa_eV, "n_atoms": c.n_atoms, "z": c.z,
             "point": _point(c.point)}
            for c in report.controls
        ],
        "large_box_limits": [asdict(one) for one in report.limits],
        "refused": report.refused,
    }  # fmt: skip
    return _plain(found)


def _branch(one: Branch, n_members: int) -> dict[str, Any]:
    return {
        "liquid_fraction": one.liquid_fraction,
        "melt_fraction": one.melt_fraction,
        "melting": _melting(one.melting, n_members),
        "no_melting_point": one.reason,
        "members_by": one.members_by if n_members else None,
        "members_by_covariance": _melting(one.by_covariance, n_members),
        "at_melting": None if one.at_melting is None else asdict(one.at_melting),
        "slope_z": one.slope_z,
        "points": [
            {**_point(p), "delta_mu_by_bulk_eV": by_bulk}
            for p, by_bulk in zip(one.points, one.by_bulk_eV, strict=True)
        ],
    }


def _melting(found: MeltingPoint | None, n_members: int) -> dict[str, Any] | None:
    if found is None:
        return None
    content = asdict(found)
    if not n_members or not len(found.members_K):  # unknown, not zero
        content |= {"model_error_K": None, "model_error_uncorrected_K": None}
    return content


def _point(p: Point) -> dict[str, Any]:
    return {
        "temperature_K": p.temperature_K,
        "liquid_fraction": p.liquid_fraction,
        "melt_fraction": p.melt_fraction,
        "delta_mu_eV": p.delta_mu_eV,
        "error_eV": p.error_eV,
        "verdict": p.verdict,
        "reasons": p.reasons,
        "fusion": None if p.fusion is None else asdict(p.fusion),
        "members": _shift(p.shift),
        "members_first_order": _shift(p.shift_first_order),
        "members_by_covariance_eV": p.covariance_eV,
        "members_by_covariance_errors_eV": p.covariance_errors_eV,
        "members_z": p.covariance_z(),
        "runs": [_run(one) for one in p.runs],
    }


def _shift(one: FreeEnergies | None) -> dict[str, Any] | None:
    return None if one is None else asdict(one)


def _run(one: Run) -> dict[str, Any]:
    job, m = one.job, one.mean
    content: dict[str, Any] = {
        "name": job.name,
        "seed": job.seed,
        "status": job.status,
        "kappa_eV": job.kappa_eV,
        "center": job.center,
        "n_atoms": job.n_atoms,
        "n_frames": job.n_frames,
        "interval_fs": job.interval_fs,
        "refused": [asdict(reason) for reason in one.refused],
    }
    if m is not None:
        content |= {
            "n_discarded": m.run.start,
            "q": m.q.value,
            "q_error": m.q.error,
            "q_independent": m.q.independent,
            "q_tau_fs": m.run.n_frames / (2 * m.q.independent) * job.interval_fs,
            "q_variance_over_kT_kappa": m.variance_ratio,
            "q_solid_minus_liquid": m.delta_q,
            "q_solid_minus_liquid_error": m.delta_q_error,
            "solid_fraction_q": m.solid_fraction,
            "solid_fraction_energy": m.energy_fraction,
            "delta_mu_eV": None if one.refused else m.delta_mu_eV,
            "delta_mu_if_believed_eV": m.delta_mu_eV,
            "error_eV": m.error_eV,
            "members_eV": m.members_eV,
            "member_errors_eV": m.member_errors_eV,
        }
    return content


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
