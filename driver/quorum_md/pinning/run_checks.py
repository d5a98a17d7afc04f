"""Is the bias what it should be, and is the run long and steady enough? See `refusals`."""

from __future__ import annotations

import numpy as np
from scipy.stats import chi2
from scipy.stats import t as student

from ..averages.timeseries import variance_of_mean
from ..units import EV_A3_GPA
from .bulk import Bulk, levels
from .bulk_checks import same_phase
from .job_checks import gave_up, unlike, untrue
from .phase_checks import least_fraction
from .pinned_mean import pinned_q
from .refusals import Limits, Refusal
from .series import Array, Kept, mean_of

_VARIANCE_OFF = 0.3  # of var Q against kT/κ, and the chance that sampling alone makes it
_CHANCE = 1e-4
_BIAS_OFF = 1e-3  # of the bias on record against κ/2 (Q − a)²
_SHIFT = 1 / 400  # of T_m by lateral stress
_STRESS_GPA = 0.1  # where the solid's stiffness is not known
_WIDTHS = 4.0  # of Q that its mean keeps from the edge of the linear window
_DRIFT_FRACTION = 0.02  # of the box over the run


def failed(run: Kept, solid: Bulk, liquid: Bulk, limits: Limits) -> Refusal | None:
    """A job that says so itself, or has nearly nothing on record."""
    return gave_up(run)


def mixed(run: Kept, solid: Bulk, liquid: Bulk, limits: Limits) -> Refusal | None:
    """Jobs that do not belong together, or are not what they say."""
    found = unlike(run, solid.job) or unlike(run, liquid.job) or untrue(run)
    if found is not None:
        return found
    q, bias = run["q"], run["bias_eV"]
    assert run.job.kappa_eV is not None and run.job.center is not None
    expected = run.job.kappa_eV / 2 * (q - run.job.center) ** 2
    off = float(np.abs(bias - expected).max())
    if np.ptp(bias) > 0 and off > _BIAS_OFF * max(float(expected.max()), run.kT_eV):
        sentence = (
            f"the bias on record is up to {off:.3g} eV from κ/2 (Q − a)²: κ, a or Q are not what "
            "job.json says, or rows of different steps are paired"
        )
        return Refusal("mixed", sentence, {"off_eV": off})
    return None


def unpinned(run: Kept, solid: Bulk, liquid: Bulk, limits: Limits) -> Refusal | None:
    """An order parameter that does not tell the phases apart, or does not move."""
    apart = same_phase(solid, liquid)
    if apart is not None:
        return apart
    n = run.job.n_atoms
    q_s, q_l = levels(solid, liquid, n)
    spread = float(run["q"].std())
    if spread < 1e-6 * abs(q_s.value - q_l.value):
        sentence = f"Q stays at {float(run['q'].mean()):.5g}: no bias acts"
        return Refusal("unpinned", sentence, {"spread": spread})
    return None


def variance(run: Kept, solid: Bulk, liquid: Bulk, limits: Limits) -> Refusal | None:
    """var Q against kT/κ: an interface that moves freely under the bias, and nothing else, has it.

    The sum of squares of ν independent Gaussians is χ² of ν; ν from the error of the variance.
    """
    q = run["q"] - run["q"].mean()
    found = float((q**2).mean())
    mean, ratio = pinned_q(run, solid, liquid)
    ratio *= 1 + mean_of(q).error ** 2 / found  # what the sample mean takes
    error2 = float(variance_of_mean(q**2))
    # a run that hardly moves shows too small an error of its variance: that of slow Q bounds it
    freedom = 2 * found**2 / max(error2, 1e-300)
    freedom = max(1.0, min(freedom, mean.independent))
    chance = 2 * min(chi2.cdf(freedom * ratio, freedom), chi2.sf(freedom * ratio, freedom))
    if abs(ratio - 1) <= _VARIANCE_OFF or chance > _CHANCE:
        return None
    sentence = (
        f"var Q is {ratio:.2f} ± {(2 / freedom) ** 0.5 * ratio:.2f} of kT/κ, expected 1: Q is not "
        + ("free to move as an interface is" if ratio < 1 else "held by the bias alone")
    )
    return Refusal("variance", sentence, {"variance_ratio": ratio, "chance": float(chance)})


def window(run: Kept, solid: Bulk, liquid: Bulk, limits: Limits) -> Refusal | None:
    """Q must stay where the free energy is linear in it: both phases several layers thick."""
    q_s, q_l = levels(solid, liquid, run.job.n_atoms)
    span = q_s.value - q_l.value
    mean = (float(run["q"].mean()) - q_l.value) / span
    width = float(run["q"].std()) / abs(span)
    least = least_fraction(run, solid)
    if least <= mean - _WIDTHS * width and mean + _WIDTHS * width <= 1 - least:
        return None
    sentence = (
        f"Q at {mean:.2f} ± {width:.2f} of the way from liquid to solid leaves the linear window "
        f"({least:.2f} to {1 - least:.2f}); choose a in the middle, a larger κ or a longer box"
    )
    return Refusal("window", sentence, {"solid_fraction_q": mean, "width": width})


def stress(run: Kept, solid: Bulk, liquid: Bulk, limits: Limits) -> Refusal | None:
    """Lateral pressure against that asked for: a strained crystal has another chemical potential.

    A lateral stress σ in the crystal raises its μ by about σ²v/B; the limit is where that moves T_m
    by 1/400, i.e. σ²v/B = Δh/400. The box has σ in its solid part only. Stress of the interfaces
    themselves stays well below.
    """
    h = liquid.enthalpy_eV.value - solid.enthalpy_eV.value
    limit = limits.lateral_GPa
    if limit is None:
        limit = _STRESS_GPA
        if solid.modulus_GPa and h > 0:
            bulk_eV = solid.modulus_GPa / EV_A3_GPA
            limit = 0.5 * EV_A3_GPA * (_SHIFT * h * bulk_eV / solid.volume_A3.value) ** 0.5
    lateral = [k for k in range(3) if k != run.job.frozen_axis]
    for k in lateral:
        name = ("pxx_GPa", "pyy_GPa", "pzz_GPa")[k]
        found = mean_of(run[name])
        off = found.value - run.job.pressure_GPa
        if abs(off) > limit + 4 * found.error:
            sentence = (
                f"{name[:3]} is {found.value:.4g} ± {found.error:.2g} GPa, expected "
                f"{run.job.pressure_GPa:.4g} within {limit:.2g}: the crystal is strained; take the "
                "box from the bulk solid at this temperature"
            )
            return Refusal("stress", sentence, {"off_GPa": off, "limit_GPa": limit})
    return None


def drift(run: Kept, solid: Bulk, liquid: Bulk, limits: Limits) -> Refusal | None:
    """A trend of Q, or of energy or volume besides what follows Q, that sampling cannot make."""
    n = run.job.n_atoms
    q_s, q_l = levels(solid, liquid, n)
    assert run.job.kappa_eV is not None
    width = (run.kT_eV / run.job.kappa_eV) ** 0.5 / abs(q_s.value - q_l.value)
    energy = liquid.energy_eV.value - solid.energy_eV.value
    each = solid.volume_A3.value
    volume = liquid.volume_A3.value - each
    for name, span, least in (
        ("q", q_s.value - q_l.value, width * abs(q_s.value - q_l.value)),
        ("potential_eV", n * energy, _DRIFT_FRACTION * n * max(abs(energy), run.kT_eV / 4)),
        ("volume_A3", n * volume, _DRIFT_FRACTION * n * max(abs(volume), 0.01 * each)),
    ):
        if not np.isfinite(span):
            continue
        # energy and volume follow Q: what they do besides is what Q does not see
        follows = (run["q"] - q_l.value) / (q_l.value - q_s.value) * span if name != "q" else 0.0
        change, error, freedom = _trend(run[name] - follows)
        if name == "q":  # whose variance is known
            left = float(run[name].var()) - change**2 / 12
            error /= min(1.0, max(left / (width * span) ** 2, 1e-3))
        chance = 2 * student.sf(abs(change) / max(error, 1e-300), freedom)
        if abs(change) <= least or chance > _CHANCE / 3:
            continue
        first = float(run[name].mean()) - change / 2
        sentence = (
            f"{name} drifts from {first:.6g} to {first + change:.6g} over the run, by {change:.3g} "
            f"± {error:.2g}; run longer, or discard more of the start"
        )
        numbers = {"first": first, "last": first + change, "error": error}
        return Refusal("drift", sentence, numbers)
    return None


def _trend(series: Array) -> tuple[float, float, float]:
    """Change of a series along the line through it, its error, and degrees of freedom of that.

    The error is that of what is left without the line, which would seem a slow fluctuation; a
    series of even pace has √12 times the error of its mean.
    """
    t = (np.arange(len(series)) + 0.5) / len(series) - 0.5
    change = float((t * series).mean() / (t**2).mean())
    left = series - series.mean() - change * t
    rest = mean_of(left)
    error = float(np.sqrt(variance_of_mean(t * left))) / float((t**2).mean())
    return change, max(error, 12**0.5 * rest.error), max(1.0, rest.independent - 2)


def short(run: Kept, solid: Bulk, liquid: Bulk, limits: Limits) -> Refusal | None:
    """Too few autocorrelation times for a mean, let alone for its error."""
    q, _ = pinned_q(run, solid, liquid)
    if q.independent >= limits.independent:
        return None
    tau = run.n_frames / (2 * q.independent) * run.job.interval_fs
    sentence = (
        f"{run.n_frames * run.job.interval_fs / 1000:.3g} ps hold {q.independent:.1f} independent "
        f"values of Q (τ = {tau / 1000:.3g} ps), expected at least {limits.independent:g}; run "
        "longer, or take a larger κ"
    )
    return Refusal("short", sentence, {"independent": q.independent, "tau_fs": tau})
