"""Are the bulk runs the phases that they claim to be? See `refusals`."""

from __future__ import annotations

import numpy as np

from .bulk import Bulk, scaled_q
from .job_checks import gave_up, unlike, untrue
from .melt import SAME, first_fraction
from .refusals import Limits, Refusal
from .series import Kept, block_averages

_BLOCKS = 8
SEPARATION = 6.0  # of the bulk distributions of Q, in their own widths
_CHANGED = 0.4  # of the way to the other phase, from one part of the run to another
_LEAST_ENTROPY = 0.25  # of fusion, in k_B per atom: simple metals have 0.8, semiconductors 3.5


def runs(run: Kept, solid: Bulk, liquid: Bulk, limits: Limits) -> Refusal | None:
    """Bulk runs that failed, are of different things, or not what they say."""
    return (
        gave_up(solid.run)
        or gave_up(liquid.run)
        or unlike(solid.run, liquid.job)
        or untrue(solid.run)
        or untrue(liquid.run)
    )


def phases(run: Kept, solid: Bulk, liquid: Bulk, limits: Limits) -> Refusal | None:
    """A solid that melted or a liquid that froze, by Q and energy, at once or on the way."""
    for one in (solid, liquid):
        found = changed(one, solid, liquid, "q") or changed(one, solid, liquid, "potential_eV")
        if found is not None:
            return found
    h = liquid.enthalpy_eV.value - solid.enthalpy_eV.value
    error = float(np.hypot(liquid.enthalpy_eV.error, solid.enthalpy_eV.error))
    other = abs(first_fraction(liquid.job) - first_fraction(solid.job)) >= SAME
    if other or h > _LEAST_ENTROPY * run.kT_eV - 4 * error:
        return None
    q_s, q_l = (scaled_q(one, run.job.n_atoms)[0] for one in (solid, liquid))
    center = run.job.center or 0.0
    same = "no phase"
    if same_phase(solid, liquid):
        # Q that falls with order: then it rises with the energy
        falls = float(np.cov(run["q"], run["potential_eV"])[0, 1]) > 0
        same = "the solid melted" if (q_s.value < center) != falls else "the liquid froze"
    elif h < _LEAST_ENTROPY * run.kT_eV:
        same = "the liquid froze into another crystal"
    sentence = (
        f"bulk runs of one and the same phase ({same}): h_liquid − h_solid = {h:.4f} ± {error:.4f} "
        f"eV/atom, {h / run.kT_eV:.2f} kT, expected more than {_LEAST_ENTROPY:g} kT; Q is "
        f"{q_s.value:.5g} in {solid.job.name} and {q_l.value:.5g} in {liquid.job.name}"
    )
    return Refusal(
        "phase", sentence, {"enthalpy_eV": h, "q_solid": q_s.value, "q_liquid": q_l.value}
    )


def same_phase(solid: Bulk, liquid: Bulk) -> Refusal | None:
    """Bulk runs that the order parameter does not tell apart."""
    n = solid.job.n_atoms
    (q_s, wide_s), (q_l, wide_l) = scaled_q(solid, n), scaled_q(liquid, n)
    if abs(q_s.value - q_l.value) > SEPARATION * float(np.hypot(wide_s, wide_l)):
        return None
    sentence = (
        f"Q does not tell the phases apart: {q_s.value:.5g} ± {wide_s:.2g} in {solid.job.name}, "
        f"{q_l.value:.5g} ± {wide_l:.2g} in {liquid.job.name}; check its units and cut-offs"
    )
    numbers = {"q_solid": q_s.value, "q_liquid": q_l.value}
    return Refusal("unpinned", sentence, numbers, of_bulk=True)


def changed(one: Bulk, solid: Bulk, liquid: Bulk, name: str) -> Refusal | None:
    """Parts of the run, without the first, as far from each other as the phases are.

    Args:
        name: "q" or "potential_eV"; energies that `melts.at_box` does not know say nothing.
    """
    what, energy = one.job.kind, name == "potential_eV"
    parts = {}
    for other in (solid, liquid):
        scale, moved = 1 / other.job.n_atoms, other.moved_eV if energy else 0.0
        series = other.job[name] * scale + moved
        parts[other.job.kind] = block_averages(series, _BLOCKS)[1:]
    mine = [part.value for part in parts[what]]
    every = [part.value for both in parts.values() for part in both]
    if len(mine) < 2 or not np.isfinite(every).all():
        return None
    # the part in which it changes has a large error of its own
    noise = 5 * float(np.median([part.error for part in parts[what]]))
    if np.ptp(mine) <= _CHANGED * np.ptp(every) + noise:
        return None
    unit = " eV/atom" if energy else " per atom"
    word = "melted" if what == "solid" else "froze"
    sentence = (
        f"{one.job.name} is not all {what} ({word} on the way?): {name} goes from "
        f"{mine[0]:.5g} to {mine[-1]:.5g}{unit}, the phases are {np.ptp(every):.3g} apart"
    )
    return Refusal("phase", sentence, {"first": mine[0], "last": mine[-1]})
