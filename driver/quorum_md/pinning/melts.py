"""Bulk melts of several compositions: which may be used, and both phases as a box has them.

A box of given numbers of atoms, a part f of it a crystal of composition x_s in a melt of x, has

    u = f u_s + (1 − f) u_l(x)   and, as x changes with f,   du/df = u_s − u_l − (x_s − x) u_l′ .

The zeros of the energies of the elements cancel in the second, as they must, but not in u_s − u_l.
With u_l′ (x_box − x_s) added to u_s, and u_l′ (x_box − x) to u_l, the difference of the two is
du/df, and u lies between them at f. Enthalpies and volumes likewise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .bulk import Bulk
from .bulk_checks import changed, same_phase
from .job_checks import gave_up, unlike, untrue
from .jobs_on_disk import Job
from .melt import SAME, first_fraction, steepness
from .series import Mean


def at_box(box: Job, solid: Bulk, liquid: Bulk, melts: Sequence[Bulk]) -> tuple[Bulk, Bulk]:
    """Solid and liquid with the averages that they have in a box; see the module.

    Args:
        melts: of all compositions. Where less than three of these are known, energies and
            enthalpies are NaN for a melt that is not of the crystal's composition.
    """
    x, x_s, here = (first_fraction(job) for job in (liquid.job, solid.job, box))
    if abs(x - x_s) < SAME:
        return solid, liquid
    shares = steepness(np.array([first_fraction(one.job) for one in melts]), x)

    def moved(name: str, one: Bulk, by: float) -> Mean:
        own: Mean = getattr(one, name)
        if shares is None:
            return own if name == "volume_A3" else replace(own, value=np.nan)
        each = [getattr(melt, name) for melt in melts]
        slope = float(shares @ [mean.value for mean in each])
        error = float(np.sqrt(shares**2 @ np.array([mean.error for mean in each]) ** 2))
        return Mean(own.value + by * slope, float(np.hypot(own.error, by * error)), own.independent)

    def there(one: Bulk, by: float) -> Bulk:
        energy, enthalpy, volume = (
            moved(name, one, by) for name in ("energy_eV", "enthalpy_eV", "volume_A3")
        )
        return replace(one, energy_eV=energy, enthalpy_eV=enthalpy, volume_A3=volume)

    return there(solid, here - x_s), there(liquid, here - x)


def usable(solid: Bulk, melts: Sequence[Bulk]) -> tuple[list[Bulk], list[str]]:
    """The melts that are melts, beside this solid, and why each other is left out."""
    good, left = [], []
    for one in melts:
        found = gave_up(one.run) or unlike(one.run, solid.job) or untrue(one.run)
        found = found or same_phase(solid, one) or changed(one, solid, one, "q")
        if found is None:
            good.append(one)
        else:
            left.append(found.evidence)
    for one in list(good):
        # a melt that froze must not make the slope that it is judged by
        others = [other for other in good if other is not one]
        found = changed(one, *at_box(one.job, solid, one, others), "potential_eV")
        if found is not None:
            good = others
            left.append(found.evidence)
    return good, left
