"""From folders of jobs to Δμ(T) and the melting point, or to the reasons why there is none."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from ..averages.melting import MeltingPoint
from ..errors import QuorumError
from .branch import Branch, branch
from .bulk import Bulk, Fusion, bulk, fusion
from .bulk_checks import phases, runs
from .controls import Control, Limit, compare, infinite
from .jobs_on_disk import Job, read_jobs
from .liquidus import Liquidus, liquidus
from .melt import SAME, first_fraction
from .points import Point, point
from .refusals import Limits
from .seeds import scatter, widened
from .series import FEWEST_FRAMES

# a step in T no larger than this part of it, and one where only the way is known
_TRUST, _STEP = 0.05, 0.03


@dataclass(frozen=True)
class Report:
    """All that a folder of jobs says.

    Attributes:
        folder: of the jobs.
        branches: one for each melt; a melting point has one, a phase diagram several.
        n_members: of the committee; 0 without.
        elements: of the system; fractions are those of the first.
        solid_fraction: composition of the crystal.
        liquidus: from three or more melts; None otherwise.
        controls, limits: runs with another κ or size, and the limits of large boxes.
    """

    folder: str
    branches: list[Branch]
    n_members: int
    elements: tuple[str, ...]
    solid_fraction: float
    liquidus: Liquidus | None
    controls: list[Control]
    limits: list[Limit]

    @property
    def points(self) -> list[Point]:
        """Of all melts, each by temperature."""
        return [p for one in self.branches for p in one.points]

    @property
    def melting(self) -> MeltingPoint | None:
        """Of the crystal in its own melt; None where no temperature is left, or no such melt."""
        own = [b for b in self.branches if _of_crystal(b, self.solid_fraction)]
        return own[0].melting if own else None

    @property
    def refused(self) -> list[str]:
        """A sentence for each reason of each refused run, controls too."""
        controls = [s for c in self.controls for s in c.point.refused]
        return [s for p in self.points for s in p.refused] + controls

    def next_temperature_K(self, liquid_fraction: float | None = None) -> float | None:
        """Where to run next: the root by Newton, no further than 5 % from what was run.

        Where every run was refused, 3 % up if boxes froze, down if they melted; None if nothing is
        known.

        Args:
            liquid_fraction: of the melt, as asked for.
        """
        found = [b for b in self.branches if b.liquid_fraction == liquid_fraction]
        if not found:
            return None
        return _next(found[0])


def _of_crystal(one: Branch, x_s: float) -> bool:
    """Whether the melt has the crystal's composition, asked for or as it comes."""
    return one.liquid_fraction is None or abs(one.liquid_fraction - x_s) < SAME


def _next(one: Branch) -> float | None:
    used = [p for p in one.points if p.delta_mu_eV is not None]
    if not used:
        kinds = {p.temperature_K: p.kinds for p in one.points}
        froze = [T for T, k in kinds.items() if {"froze", "registry"} & set(k)]
        melted = [T for T, k in kinds.items() if "melted" in k]
        if froze and melted and max(froze) < min(melted):
            return (max(froze) + min(melted)) / 2
        if froze and not melted:
            return max(froze) * (1 + _STEP)
        return min(melted) * (1 - _STEP) if melted and not froze else None
    nearest = min(used, key=lambda p: abs(p.delta_mu_eV or 0.0))
    wanted = None
    if one.melting is not None:
        wanted = one.melting.temperature_K
    elif nearest.fusion is not None and nearest.fusion.enthalpy_eV.value > 0:
        mu = nearest.delta_mu_eV or 0.0
        slope = (nearest.fusion.enthalpy_eV.value + mu) / nearest.temperature_K
        wanted = nearest.temperature_K - mu / slope if slope > 0 else None
    if wanted is None:
        return None
    lowest = min(p.temperature_K for p in used) * (1 - _TRUST)
    highest = max(p.temperature_K for p in used) * (1 + _TRUST)
    return min(max(wanted, lowest), highest)


def analyse(
    folder: str | Path, *, discard: str | float = "auto", limits: Limits | None = None
) -> Report:
    """Analyse the output folder of pinned runs and of their bulk phases.

    Args:
        discard: "auto", or rows (a fraction of them) to leave out at the start of every run.
        limits: where a run is refused.

    Raises:
        QuorumError: no jobs, or none that is pinned.
    """
    jobs = read_jobs(folder)
    limits = limits or Limits()
    pinned = [job for job in jobs if job.kind == "pinned"]
    if not pinned:
        raise QuorumError(
            f"{folder}: holds no pinned run, only bulk ones; go on with `quorum pin run`"
        )
    table = _Bulks([job for job in jobs if job.kind != "pinned"], discard)
    usual: dict[float | None, dict[float, list[Job]]] = defaultdict(lambda: defaultdict(list))
    varied: dict[tuple[float | None, float, float, int], list[Job]] = defaultdict(list)
    for job in pinned:
        if job.control:
            key = job.liquid_fraction, job.temperature_K, job.kappa_eV or 0.0, job.n_atoms
            varied[key].append(job)
        else:
            usual[job.liquid_fraction][job.temperature_K].append(job)

    def one_point(group: list[Job]) -> Point:
        solid, liquid, melts = table.beside(group[0])
        return point(group, solid, liquid, melts, discard=discard, limits=limits)

    n_members = max(job.n_members for job in pinned)
    melts = sorted(usual, key=lambda x: -1.0 if x is None else x)
    points = {x: [one_point(usual[x][T]) for T in sorted(usual[x])] for x in melts}
    found = scatter(p for of_melt in points.values() for p in of_melt)
    branches = [
        branch([widened(p, found) for p in points[x]], has_committee=n_members > 1) for x in melts
    ]
    at = {(p.liquid_fraction, p.temperature_K): p for b in branches for p in b.points}
    controls = [
        compare(widened(one_point(group), found), at.get(key[:2])) for key, group in varied.items()
    ]
    solids = [job for job in jobs if job.kind == "solid"]
    x_s = first_fraction(solids[0] if solids else pinned[0])
    known = {p.temperature_K for b in branches if _of_crystal(b, x_s) for p in b.points}
    size = pinned[0].n_atoms
    others = sorted({p.temperature_K for b in branches for p in b.points} - known)
    fusions = [one for T in others if (one := table.fusion(T, size, limits)) is not None]
    return Report(
        folder=str(folder),
        branches=branches,
        n_members=n_members if n_members > 1 else 0,
        elements=pinned[0].elements,
        solid_fraction=x_s,
        liquidus=liquidus(branches, x_s, fusions),
        controls=controls,
        limits=infinite(controls),
    )


class _Bulks:
    """Bulk runs by temperature; each is averaged once."""

    def __init__(self, jobs: list[Job], discard: str | float) -> None:
        self.jobs = [job for job in jobs if job.n_frames >= 2]
        self.discard = discard
        self._done: dict[str, Bulk] = {}

    def beside(self, pinned: Job) -> tuple[Bulk | None, Bulk | None, list[Bulk]]:
        """Solid, liquid of the nominal composition, and liquids of all compositions."""
        solid, melts = self._at(pinned.temperature_K, pinned.n_atoms)
        return solid, melts.get(pinned.liquid_fraction), list(melts.values())

    def fusion(self, temperature_K: float, n_atoms: int, limits: Limits) -> Fusion | None:
        """Of the crystal in a melt of its own composition; None where one is missing or wrong."""
        solid, melts = self._at(temperature_K, n_atoms)
        for melt in melts.values():
            if solid is None or abs(first_fraction(melt.job) - first_fraction(solid.job)) >= SAME:
                continue
            if not (runs(melt.run, solid, melt, limits) or phases(melt.run, solid, melt, limits)):
                return fusion(solid, [(melt, 1.0)])
        return None

    def _at(
        self, temperature_K: float, n_atoms: int
    ) -> tuple[Bulk | None, dict[float | None, Bulk]]:
        """Solid, and liquids by the composition asked for."""
        here = [job for job in self.jobs if job.temperature_K == temperature_K]
        # as many atoms as the pinned box, if there are such; then the longest, least refused
        here.sort(key=lambda job: (
            job.n_atoms != n_atoms, job.status == "failed", job.n_frames < FEWEST_FRAMES,
            -job.n_frames,
        ))  # fmt: skip
        melts: dict[float | None, Job] = {}
        for job in here:
            if job.kind == "liquid":
                melts.setdefault(job.liquid_fraction, job)
        solid = next((job for job in here if job.kind == "solid"), None)
        return (
            None if solid is None else self._bulk(solid),
            {x: self._bulk(job) for x, job in melts.items()},
        )

    def _bulk(self, job: Job) -> Bulk:
        if job.folder not in self._done:
            self._done[job.folder] = bulk(job, self.discard)
        return self._done[job.folder]
