"""Runs that lie, and what gives them away.

A pinned box can freeze into a second crystal that the order parameter does not see, melt, be
strained, or not feel its bias at all, and still give a ⟨Q⟩ with a tiny error bar. So nothing is
taken from a run before its energy and its volume agree with what Q says, block by block, and the
fluctuation of Q is the kT/κ of a bias that holds two phases apart. Every limit is meant to be far
from what two phases do: good runs are refused less than once in a hundred.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..errors import QuorumError
from .jobs_on_disk import Job

if TYPE_CHECKING:
    from .bulk import Bulk
    from .series import Kept


@dataclass(frozen=True)
class Refusal:
    """Why a run gives no Δμ.

    Attributes:
        kind: "failed", "mixed", "phase", "unpinned", "froze", "melted", "registry", "window",
            "variance", "collapse", "stress", "drift" or "short".
        evidence: one sentence with the numbers.
        numbers: the same numbers by name, for programs.
        of_bulk: whether a bulk run is at fault, so that nothing may be taken from the bulk runs.
    """

    kind: str
    evidence: str
    numbers: dict[str, float] = field(default_factory=dict)
    of_bulk: bool = False


@dataclass(frozen=True)
class Limits:
    """Where a run stops to be believed.

    Attributes:
        lateral_GPa: lateral stress beyond errors; None: what shifts T_m by 1/400 (see `stress`).
        independent: fewest independent values of Q.
    """

    lateral_GPa: float | None = None
    independent: float = 6.0

    def __post_init__(self) -> None:
        if self.lateral_GPa is not None and not 0 < self.lateral_GPa < math.inf:
            raise QuorumError(
                f"lateral stress: got {self.lateral_GPa!r} GPa, expected a positive finite number; "
                "leave it out for the limit that the stiffness of the crystal makes"
            )


# a check of a pinned run in equilibrium against the bulk phases: a sentence, or nothing
Check = Callable[["Kept", "Bulk", "Bulk", Limits], Refusal | None]


def refusals(
    pinned: Job,
    solid: Job,
    liquid: Job,
    melts: Sequence[Job] = (),
    *,
    discard: str | float = "auto",
    limits: Limits | None = None,
) -> list[Refusal]:
    """What speaks against a pinned run, the most telling first; empty for one that may be used.

    Args:
        pinned, solid, liquid: jobs at one temperature.
        melts: bulk liquids of all compositions there, without which energies say nothing of a melt
            that has not the crystal's composition.
        discard: as in `series.kept`.
    """
    from .bulk import bulk
    from .melts import at_box, usable
    from .series import kept

    crystal = bulk(solid, discard)
    others, _ = usable(crystal, [bulk(one, discard) for one in melts])
    both = at_box(pinned, crystal, bulk(liquid, discard), others)
    return judge(kept(pinned, discard), *both, limits or Limits())


def judge(run: Kept, solid: Bulk, liquid: Bulk, limits: Limits) -> list[Refusal]:
    """`refusals` of jobs whose equilibration is cut already, and phases as `melts.at_box` says."""
    from . import bulk_checks, phase_checks, run_checks

    # where one of these holds, the numbers that the others need mean nothing
    first: tuple[Check, ...] = (
        bulk_checks.runs,
        bulk_checks.phases,
        run_checks.failed,
        run_checks.mixed,
        run_checks.unpinned,
    )
    for check in first:
        found = check(run, solid, liquid, limits)
        if found is not None:
            return [replace(found, of_bulk=found.of_bulk or check in first[:2])]
    rest: tuple[Check, ...] = (
        phase_checks.phases,
        run_checks.variance,
        phase_checks.collapse,
        run_checks.window,
        run_checks.stress,
        run_checks.drift,
        run_checks.short,
    )
    found_all = [check(run, solid, liquid, limits) for check in rest]
    return [one for one in found_all if one is not None]
