"""Chemical potentials from the mean of a pinned order parameter.

Under the bias κ/2 (Q − a)² a box of two phases has G(Q) linear in Q, of slope N Δμ/(Q_s − Q_l), so
that ⟨G′⟩ = −κ (⟨Q⟩ − a) gives

    Δμ = μ_s − μ_l = −κ (⟨Q⟩ − a)(Q_s − Q_l)/N ,    var Q = kT/κ ,

Δμ positive above the melting point. U. R. Pedersen et al., Phys. Rev. B 88, 094101 (2013),
doi:10.1103/PhysRevB.88.094101. Member k of a committee whose mean V̄ drove the run moves ⟨Q⟩ by
−β cov(Q, V_k − V̄) to first order, hence Δμ by κβ cov(Q, V_k − V̄)(Q_s − Q_l)/N. With var Q = kT/κ
put in, that is the slope of V_k − V̄ against Q times (Q_s − Q_l)/N, which is less noisy.

That var Q is known beforehand helps the error too: a run of few autocorrelation times finds too
small a variance, and from it too small an error (by 1.8 at five independent values). Their product
with (kT/κ)/var Q, where that is above 1, is right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..averages.checks import reference_energies
from ..averages.timeseries import variance_of_mean
from .bulk import Bulk, levels
from .melt import stiffening
from .series import Array, Kept, Mean, mean_of


@dataclass(frozen=True)
class PinnedMean:
    """Δμ per atom of one pinned run.

    Attributes:
        run: the job in equilibrium.
        delta_q, delta_q_error: Q_s − Q_l for its N atoms (`bulk.levels`).
        solid_fraction: (⟨Q⟩ − Q_l)/(Q_s − Q_l).
        energy_fraction: the same by the energy.
        variance_ratio: var Q over what it should be.
        delta_mu_eV: μ_s − μ_l.
        own_error_eV: the part of its error from this run alone.
        error_eV: all of it.
        weight: inverse of the variance that a run of this length and κ can be expected to have.
        members_eV, member_errors_eV: (K,) Δμ_k less that of the mean of the members, by covariance;
            None without a committee.
        mean_eV, mean_error_eV: Δμ of that mean less Δμ; 0 where it drove the run.
    """

    run: Kept
    q: Mean
    delta_q: float
    delta_q_error: float
    solid_fraction: float
    energy_fraction: float
    variance_ratio: float
    delta_mu_eV: float
    own_error_eV: float
    error_eV: float
    weight: float
    members_eV: Array | None
    member_errors_eV: Array | None
    mean_eV: float = 0.0
    mean_error_eV: float = 0.0


def pinned_mean(run: Kept, solid: Bulk, liquid: Bulk) -> PinnedMean:
    """Δμ of a pinned run, whether or not it may be believed (see `refusals`)."""
    job = run.job
    kappa, center = float(job.kappa_eV or 0.0), float(job.center or 0.0)
    q_s, q_l = levels(solid, liquid, job.n_atoms)
    delta_q = q_s.value - q_l.value
    q, ratio = pinned_q(run, solid, liquid)
    delta_q_error = float(np.hypot(q_s.error, q_l.error))
    per_q = kappa * delta_q / job.n_atoms
    mu = -per_q * (q.value - center)
    own = abs(per_q) * q.error
    common = abs(kappa * (q.value - center) / job.n_atoms) * delta_q_error
    members, errors, shift, shift_error = _by_covariance(run, delta_q / job.n_atoms)
    return PinnedMean(
        run=run,
        q=q,
        delta_q=delta_q,
        delta_q_error=delta_q_error,
        solid_fraction=(q.value - q_l.value) / delta_q if delta_q else np.nan,
        energy_fraction=energy_fraction(run, solid, liquid),
        variance_ratio=ratio,
        delta_mu_eV=mu,
        own_error_eV=own,
        error_eV=float(np.hypot(own, common)),
        weight=run.n_frames * job.interval_fs / max(abs(per_q * delta_q / job.n_atoms), 1e-300),
        members_eV=members,
        member_errors_eV=errors,
        mean_eV=shift,
        mean_error_eV=shift_error,
    )


def energy_fraction(run: Kept, solid: Bulk, liquid: Bulk) -> float:
    """Solid fraction by the mean energy; NaN where the phases have the same."""
    span = solid.energy_eV.value - liquid.energy_eV.value
    mean = float(run["potential_eV"].mean()) / run.job.n_atoms
    return (mean - liquid.energy_eV.value) / span if span else np.nan


def pinned_q(run: Kept, solid: Bulk, liquid: Bulk) -> tuple[Mean, float]:
    """⟨Q⟩ with an error that knows var Q beforehand, and var Q over kT/κ.

    A melt that changes as the crystal grows adds to κ (`melt.stiffening`).
    """
    job = run.job
    q_s, q_l = levels(solid, liquid, job.n_atoms)
    span = q_s.value - q_l.value
    mean = mean_of(run["q"])
    own = stiffening(job, solid.job, (mean.value - q_l.value) / span, span) if span else 0.0
    ratio = float(run["q"].var()) * (float(job.kappa_eV or 0.0) + own) / run.kT_eV
    less = min(1.0, max(ratio, 1e-3))
    return Mean(mean.value, mean.error / less, mean.independent * less), ratio


def _by_covariance(run: Kept, per_atom: float) -> tuple[Array | None, Array | None, float, float]:
    """Slopes of energies against Q times (Q_s − Q_l)/N, with errors: see `PinnedMean`."""
    if not run.job.n_members:
        return None, None, 0.0, 0.0
    mean = run.members_eV.mean(axis=1)
    driving = reference_energies(run.members_eV, run.job.driven_by)
    # the members about their mean, and last the mean about what drove the run
    shift = np.column_stack([run.members_eV - mean[:, None], mean - driving])
    shift = shift - shift.mean(axis=0)
    q = run["q"] - run["q"].mean()
    variance = max(float((q**2).mean()), 1e-300)
    slope = q @ shift / len(q) / variance
    left = q[:, None] * (shift - q[:, None] * slope)
    errors = abs(per_atom) * np.sqrt(variance_of_mean(left)) / variance
    slope = per_atom * slope
    if run.job.driven_by == "mean":
        return slope[:-1], errors[:-1], 0.0, 0.0
    return slope[:-1], errors[:-1], float(slope[-1]), float(errors[-1])
