"""Runs that differ by their seed alone: do they scatter as their sampling errors say?

What is slower than a run (defects that grew in, facets) is not in its autocorrelation: its error is
too small, and only other seeds show it. There are few of them at each temperature, but all runs of
a folder have the same interface, and are about as long: taken together they say how much too small.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..averages.melting import excess_scatter
from .points import Point, scattered


@dataclass(frozen=True)
class Scatter:
    """Of all seeds.

    Attributes:
        factor: by which the errors of single runs are too small; 1 unless beyond chance.
        chi2, freedom: of the runs of a point about their mean, over all points that agree with it.
    """

    factor: float
    chi2: float
    freedom: int


def scatter(points: Iterable[Point]) -> Scatter:
    """Of all points but those whose own seeds disagree by more than the others do."""
    every = [p for p in points if p.seeds_freedom]
    while True:
        chi2, freedom = sum(p.seeds_chi2 for p in every), sum(p.seeds_freedom for p in every)
        found = Scatter(excess_scatter(chi2, freedom), chi2, freedom)
        rest = [p for p in every if not _apart(p, found)]
        if len(rest) == len(every):
            return found
        every = rest


def _apart(point: Point, found: Scatter) -> bool:
    return excess_scatter(point.seeds_chi2 / found.factor**2, point.seeds_freedom) > 1


def widened(point: Point, found: Scatter) -> Point:
    """With the error that all seeds together ask for, where its own do not contradict them."""
    if point.error_eV is None or found.factor == 1 or _apart(point, found):
        return point
    reason = (
        f"{point.temperature_K:g} K: runs of different seeds scatter by {found.factor:.1f} times "
        f"their sampling errors, taken together (χ² = {found.chi2:.1f} for {found.freedom} degrees "
        "of freedom), by which each is multiplied; run longer"
    )
    others = [one for one in point.reasons if one != scattered(point)]
    return replace(
        point,
        error_eV=point.error_eV * found.factor / point.scatter,
        scatter=found.factor,
        verdict="doubtful",
        reasons=[*others, reason],
    )
