"""Δμ at one temperature: pinned runs of several seeds against the bulk phases, and the members.

Runs are combined with the weights that their lengths and κ make, not with their own errors, which
are estimates; the error of Q_s − Q_l is common to them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..averages.free_energy import FreeEnergies, combined, free_energies
from ..averages.melting import excess_scatter
from ..averages.verdict import INDEPENDENT_DOUBTFUL
from .bulk import Bulk, Fusion, fusion
from .jobs_on_disk import Job
from .melt import SAME, first_fraction, melt_fraction, tangent
from .melts import at_box, usable
from .pinned_mean import PinnedMean, pinned_mean
from .refusals import Limits, Refusal, judge
from .series import Array, Kept, kept

# what is left of energies per atom in files
_ROUNDED_EV = 1e-8


@dataclass(frozen=True)
class Run:
    """One pinned run: its Δμ, or why there is none.

    Attributes:
        mean: also of a refused run, as it shows what it would have said; None without bulk runs.
    """

    job: Job
    mean: PinnedMean | None
    refused: list[Refusal]

    def sentences(self) -> list[str]:
        """Name and evidence."""
        return [f"{self.job.name}: refused: {one.evidence}" for one in self.refused]


@dataclass(frozen=True)
class Point:
    """Δμ = μ_solid − μ_liquid per atom at one temperature, seeds combined.

    Attributes:
        liquid_fraction: of the first element, as asked for; None where the melt has the crystal's
            composition.
        melt_fraction: of the first element, as left in the melt by the crystal.
        delta_mu_eV, error_eV: and its sampling error; None where every run was refused.
        refused: a sentence for each reason of each refused run.
        kinds: of these refusals ("froze", "melted", …: see `refusals.Refusal`).
        runs: all of them.
        fusion: what melting changes, from the bulk runs; None if these are refused or too few.
        shift: δμ of the members from the bulk runs, to second order; None without a committee.
        shift_noise_eV: (K,) of each bulk run, by its folder: the sampling error that it gives to
            the members about their mean, with the sign of its share. Points have runs in common.
        shift_first_order: the same to first order, as the covariances below are.
        covariance_eV, covariance_errors_eV: (K,) δμ of the members about their mean, from the
            pinned runs.
        covariance_mean_eV, covariance_mean_error_eV: δμ of that mean; 0 where it drove the runs.
        seeds_chi2, seeds_freedom: of the runs about their mean, in units of their own errors.
        scatter: factor in `error_eV` for runs that scatter by more than these.
        verdict, reasons: "ok" or "doubtful".
    """

    temperature_K: float
    liquid_fraction: float | None
    melt_fraction: float
    delta_mu_eV: float | None
    error_eV: float | None
    refused: list[str]
    kinds: list[str]
    runs: list[Run]
    fusion: Fusion | None = None
    shift: FreeEnergies | None = None
    shift_noise_eV: dict[str, Array] = field(default_factory=dict)
    shift_first_order: FreeEnergies | None = None
    covariance_eV: Array | None = None
    covariance_errors_eV: Array | None = None
    covariance_mean_eV: float = 0.0
    covariance_mean_error_eV: float = 0.0
    seeds_chi2: float = 0.0
    seeds_freedom: int = 0
    scatter: float = 1.0
    verdict: str = "ok"
    reasons: list[str] = field(default_factory=list)

    def covariance_z(self) -> Array | None:
        """(K,) covariances less bulk differences, both to first order, over their errors."""
        bulk = self.shift_first_order
        if self.covariance_eV is None or self.covariance_errors_eV is None or bulk is None:
            return None
        error = np.hypot(self.covariance_errors_eV, bulk.centred_errors_eV)
        error = np.maximum(error, _ROUNDED_EV)
        z: Array = (self.covariance_eV - (bulk.members_eV - bulk.members_eV.mean())) / error
        return z

    def delta_q_part(self) -> float:
        """Error of Q_s − Q_l over itself, which makes that part of Δμ uncertain."""
        means = [run.mean for run in self.runs if run.mean is not None and not run.refused]
        return means[0].delta_q_error / abs(means[0].delta_q) if means else 0.0


def point(
    jobs: list[Job], solid: Bulk | None, liquid: Bulk | None, melts: list[Bulk], *,
    discard: str | float, limits: Limits,
) -> Point:  # fmt: skip
    """Combine the pinned runs of one temperature (and one melt).

    Args:
        jobs: pinned runs of the same size.
        solid, liquid: bulk runs, the liquid with the melt's nominal composition.
        melts: bulk liquids of all compositions at this temperature.
    """
    first = jobs[0]
    left: list[str] = []
    if solid is not None:
        melts, left = usable(solid, melts)
    runs = [_run(job, solid, liquid, melts, discard, limits) for job in jobs]
    good = [run.mean for run in runs if run.mean is not None and not run.refused]
    refused = [one for run in runs for one in run.sentences()]
    kinds = [one.kind for run in runs for one in run.refused]
    fraction = float(np.mean([m.solid_fraction for m in good])) if good else 0.5
    x = melt_fraction(first, solid.job, fraction) if solid else first_fraction(first)
    bare = Point(first.temperature_K, first.liquid_fraction, x, None, None, refused, kinds, runs)
    # where no run belongs to the bulk runs, these may be of another potential than all the rest
    wrong = any(one.of_bulk for run in runs for one in run.refused)
    wrong = wrong or (not good and "mixed" in kinds)
    if solid is None or liquid is None or wrong:
        return bare
    parts = _melt_parts(solid, liquid, melts, x)
    bulk = fusion(solid, parts) if parts else None
    bare = replace(bare, fusion=bulk)
    if parts and first.n_members > 1:
        bare = replace(bare, **_shifts(solid, parts))
    if not good:
        return bare
    mu, error, weights = _combine(good)
    chi2 = sum(((m.delta_mu_eV - mu) / m.own_error_eV) ** 2 for m in good if m.own_error_eV > 0)
    scatter = excess_scatter(chi2, len(good) - 1)
    bare = replace(
        bare, delta_mu_eV=mu, error_eV=error * scatter, scatter=scatter, seeds_chi2=chi2,
        seeds_freedom=len(good) - 1,
    )  # fmt: skip
    reasons = _doubts(bare, good)
    if abs(first_fraction(liquid.job) - first_fraction(solid.job)) >= SAME:
        reasons += [f"{first.temperature_K:g} K: a melt is left out: {one}" for one in left]
    cov = cov_error = None
    if first.n_members > 1:
        cov = sum(w * m.members_eV for w, m in zip(weights, good, strict=True))
        squares = [(w * m.member_errors_eV) ** 2 for w, m in zip(weights, good, strict=True)]
        cov_error = np.sqrt(np.sum(squares, axis=0))
    shift, errors = (np.array([getattr(m, k) for m in good]) for k in ("mean_eV", "mean_error_eV"))
    return replace(
        bare, covariance_eV=cov, covariance_errors_eV=cov_error,
        covariance_mean_eV=float(weights @ shift),
        covariance_mean_error_eV=float(np.sqrt(weights**2 @ errors**2)),
        verdict="doubtful" if reasons else "ok", reasons=reasons,
    )  # fmt: skip


def _run(
    job: Job, solid: Bulk | None, liquid: Bulk | None, melts: list[Bulk],
    discard: str | float, limits: Limits,
) -> Run:  # fmt: skip
    if solid is None or liquid is None:
        which = "solid" if solid is None else "liquid"
        missing = f"there is no bulk {which} at {job.temperature_K:g} K to compare with"
        return Run(job, None, [Refusal("failed", missing, of_bulk=True)])
    run: Kept = kept(job, discard)
    both = at_box(job, solid, liquid, melts)
    found = judge(run, *both, limits)
    return Run(job, pinned_mean(run, *both) if job.n_frames > 1 else None, found)


def _combine(good: list[PinnedMean]) -> tuple[float, float, Array]:
    weights = np.array([m.weight for m in good])
    weights = weights / weights.sum()
    mu = float(weights @ [m.delta_mu_eV for m in good])
    own = float(np.sqrt(weights**2 @ np.array([m.own_error_eV for m in good]) ** 2))
    common = mu * good[0].delta_q_error / good[0].delta_q
    return mu, float(np.hypot(own, common)), weights


def scattered(one: Point) -> str | None:
    """A sentence about seeds of one temperature that disagree."""
    if one.scatter == 1:
        return None
    return (
        f"{one.temperature_K:g} K: the {one.seeds_freedom + 1} runs scatter by {one.scatter:.1f} "
        "times their sampling errors, by which that of their mean is multiplied; run longer"
    )


def _doubts(one: Point, good: list[PinnedMean]) -> list[str]:
    reasons = []
    independent = sum(m.q.independent for m in good)
    if independent < INDEPENDENT_DOUBTFUL:
        reasons.append(
            f"{one.temperature_K:g} K: only {independent:.1f} independent values of Q in all runs "
            f"(limit {INDEPENDENT_DOUBTFUL:.0f}), so that the error is itself uncertain; run longer"
        )
    sentence = scattered(one)
    return [*reasons, sentence] if sentence else reasons


def _melt_parts(
    solid: Bulk, liquid: Bulk, melts: list[Bulk], x: float
) -> list[tuple[Bulk, float]] | None:
    """Bulk melts and shares that stand for the melt at the crystal's composition."""
    x_s = first_fraction(solid.job)
    if abs(first_fraction(liquid.job) - x_s) < SAME:
        return [(liquid, 1.0)]
    shares = tangent(np.array([first_fraction(one.job) for one in melts]), x, x_s)
    return None if shares is None else list(zip(melts, map(float, shares), strict=True))


def _shifts(solid: Bulk, melt: list[tuple[Bulk, float]]) -> dict[str, Any]:
    """δμ of the members per atom, to second and to first order, and its noise."""
    parts = [(solid, 1.0), *((one, -share) for one, share in melt)]
    second, first = (
        [(_free_energies(one.run, order).per(one.job.n_atoms), s) for one, s in parts]
        for order in (2, 1)
    )
    noise = {
        one.job.folder: share * own.centred_errors_eV
        for (one, _), (own, share) in zip(parts, second, strict=True)
    }
    return {
        "shift": combined(second),
        "shift_first_order": combined(first),
        "shift_noise_eV": noise,
    }


def _free_energies(run: Kept, order: int) -> FreeEnergies:
    return free_energies(run.members_eV, kT_eV=run.kT_eV, reference=run.job.driven_by, order=order)
