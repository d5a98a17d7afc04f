"""Energy differences of trials that change the elements of a few sites, positions staying.

Changing site i alters the energies of the centres within the potential's range R of it, and these
depend on the elements within R of them. So the differences of two sites whose centres do not meet
(sites farther than 2R apart, images included) add up exactly:

    ΔE(swap of i and j) = ΔE(i → element of j) + ΔE(j → element of i),

and each of them holds until a site is changed whose centres it shares. Such single differences are
evaluated many at a time and kept: in a large system nearly every trial at low acceptance is then
two look-ups. Sites that are nearer are evaluated together, and kept likewise.

Nothing here is approximate: what has become stale is dropped, and evaluated anew when asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from ..errors import warn
from ..models.frozen import Array, Frozen, Question

# sites and their new elements, in ascending order of the sites
Change = tuple[tuple[int, int], ...]


class LocalEnergies:
    """Energies of all columns of one structure, and what changes of elements would make of them.

    Attributes
    ----------
    numbers: (N,) elements of the current state
    totals_eV: (M,) running totals of the current state
    local: whether differences come from the centres that a change touches
    how: a sentence on that, for logs
    evaluated: energies of centres asked of the model so far
    largest_drift_eV: largest difference between running totals and full evaluations seen
    """

    KEPT = 400_000  # differences in memory, of about 0.5 kB each
    DIGITS = {"float32": 1e-5, "float64": 1e-9}

    def __init__(self, frozen: Frozen, numbers: npt.NDArray[np.int64], verify: bool = True):
        self.frozen = frozen
        self.potential = frozen.potential
        self.numbers = np.array(numbers, dtype=np.int64)
        self.evaluated = 0
        self.largest_drift_eV = 0.0
        self._applied = 0  # changes since the last check
        self._known: dict[Change, tuple[float, Array]] = {}
        self._unused: set[Change] = set()
        self.wasted = 0  # differences that went stale before they were of use
        self._of_site: dict[int, set[Change]] = {}
        self._parts: dict[tuple[int, ...], bool] = {}  # pairs of sites: do they meet
        self._near: list[frozenset[int] | None] = [None] * frozen.n_atoms
        self._stale: set[int] = set()  # centres whose energies are not those of the state
        self.local, self.how = True, ""
        near = frozen.near
        name = self.potential.name
        if near is None:
            self._whole(f"{name} has no finite range or gives no energies per atom")
        elif int(np.diff(near.starts).min()) == frozen.n_atoms:
            self._whole("the cell is so small that every change touches every atom")
        else:
            self._rows = self._atom_energies()
            self.totals_eV: Array = self._rows.sum(axis=0)
            mean = float(np.diff(near.starts).mean())
            self.how = (
                f"differences of energies from {mean:.0f} of {frozen.n_atoms} atoms per site "
                f"(range {self.potential.interaction_range_A:g} Å)"
            )
            if verify:
                self._verify()

    def _whole(self, why: str) -> None:
        self.local = False
        self.how = f"every trial is a full evaluation of {self.frozen.n_atoms} atoms: {why}"
        self.totals_eV = self.frozen.totals(self.numbers)[0]
        self.evaluated += self.frozen.n_atoms
        self._known.clear()
        self._of_site.clear()

    def _atom_energies(self) -> Array:
        self.evaluated += self.frozen.n_atoms
        return self.frozen.atom_energies(self.numbers)

    def _verify(self) -> None:
        """One difference against a full evaluation: a model may do what its range hides."""
        present = np.unique(self.numbers)
        site = self.frozen.n_atoms // 2
        others = present[present != self.numbers[site]]
        if not len(others):
            return
        change: Change = ((site, int(others[0])),)
        self.learn([change])
        known = self._known[change][1]
        full = self.frozen.totals(self._changed(change))[0] - self.totals_eV
        residual = float(np.abs(known - full).max())
        if residual > self._rounding_eV:
            warn(
                f"{self.potential.name}: local energies miss the full ones by {residual:.2g} eV, "
                "so that trials are evaluated in full; its measured range may be too short for "
                "this structure"
            )
            self._whole(f"local energies miss the full ones by {residual:.2g} eV")

    @property
    def _rounding_eV(self) -> float:
        """What rounding may do to a difference of energies."""
        n_touched = len(self.near(self.frozen.n_atoms // 2)) if self.local else self.frozen.n_atoms
        digits = self.DIGITS.get(getattr(self.potential, "dtype", "float64"), 1e-5)
        return float(digits * (self.frozen.n_atoms * n_touched) ** 0.5)

    def near(self, site: int) -> frozenset[int]:
        """Centres whose energies depend on the element of a site."""
        found = self._near[site]
        if found is None:
            assert self.frozen.near is not None
            found = self._near[site] = frozenset(self.frozen.near[site].tolist())
        return found

    def parts(self, change: Change) -> Iterable[Change]:
        """What a change falls into: groups of sites that share no centre."""
        if not self.local or len(change) == 1:
            return (change,)
        if len(change) == 2:
            (i, _), (j, _) = change
            meet = self._parts.get((i, j))
            if meet is None:
                meet = self._parts[i, j] = not self.near(i).isdisjoint(self.near(j))
                if len(self._parts) > 4 * self.KEPT:
                    self._parts.clear()
            return (change,) if meet else (change[:1], change[1:])
        groups: list[tuple[list[tuple[int, int]], set[int]]] = []
        for pair in change:
            touched = set(self.near(pair[0]))
            members = [pair]
            for group in [g for g in groups if not touched.isdisjoint(g[1])]:
                members += group[0]
                touched |= group[1]
                groups.remove(group)
            groups.append((members, touched))
        return [tuple(sorted(members)) for members, _ in groups]

    def missing(self, change: Change) -> list[Change]:
        """Parts of a change that would have to be evaluated.

        Here, before it is said what is known, what is too much to keep is forgotten.
        """
        if len(self._known) > self.KEPT:
            self._known.clear()
            self._of_site.clear()
            self._unused.clear()
        return [part for part in self.parts(change) if part not in self._known]

    def mean_difference_eV(self, change: Change) -> float | None:
        """Difference of the mean of the columns; None if a part is not known."""
        total = 0.0
        for part in self.parts(change):
            found = self._known.get(part)
            if found is None:
                return None
            total += found[0]
            if self._unused:
                self._unused.discard(part)
        return total

    def difference_eV(self, change: Change) -> Array:
        """(M,) differences of all columns, evaluated if need be."""
        self.learn(self.missing(change))
        total = np.zeros_like(self.totals_eV)
        for part in self.parts(change):
            total += self._known[part][1]
        return total

    def learn(self, parts: Sequence[Change]) -> None:
        """Evaluate parts (`missing` tells which) together."""
        if not parts:
            return
        if not self.local:
            structures = np.stack([self._changed(part) for part in parts])
            self.evaluated += structures.size
            differences = self.frozen.totals(structures) - self.totals_eV
            for part, values in zip(parts, differences, strict=True):
                self._known[part] = float(values.mean()), values
            self._unused.update(parts)
            return
        questions = []
        for part in parts:
            sites, numbers = zip(*part, strict=True)
            touched = frozenset().union(*(self.near(site) for site in sites))
            centers = np.array(sorted(touched), dtype=np.int64)
            questions.append(Question(centers, sites, numbers))
        if self._stale:
            stale = np.array(sorted(self._stale), dtype=np.int64)
            questions.append(Question(stale, (), ()))
        answers = self.frozen.answers(self.numbers, questions)
        self.evaluated += sum(len(q.centers) for q in questions)
        if self._stale:
            self._rows[stale] = answers[-1]
            self._stale.clear()
        for part, question, rows in zip(parts, questions, answers, strict=False):
            values = (rows - self._rows[question.centers]).sum(axis=0)
            self._known[part] = float(values.mean()), values
            for site in question.sites:
                self._of_site.setdefault(site, set()).add(part)
        self._unused.update(parts)

    def _changed(self, change: Change) -> npt.NDArray[np.int64]:
        numbers = self.numbers.copy()
        for site, element in change:
            numbers[site] = element
        return numbers

    def apply(self, change: Change) -> None:
        """Make a change."""
        self._applied += 1
        self.totals_eV = self.totals_eV + self.difference_eV(change)
        for part in self.parts(change):
            self._unused.discard(part)
        for site, element in change:
            self.numbers[site] = element
        if not self.local:
            self.wasted += len(self._unused)
            self._unused.clear()
            self._known.clear()
            return
        touched = frozenset().union(*(self.near(site) for site, _ in change))
        self._stale |= touched
        for site in frozenset().union(*(self.near(center) for center in touched)):
            for part in self._of_site.pop(site, ()):
                self._known.pop(part, None)
                if part in self._unused:
                    self._unused.discard(part)
                    self.wasted += 1

    def check(self) -> Array:
        """Compare the running totals with a full evaluation, and go on from that.

        Warns the first time that they are off by more than rounding explains.

        Returns:
            (M,) full minus running, eV.
        """
        full = self.frozen.totals(self.numbers)[0]
        self.evaluated += self.frozen.n_atoms
        drift: Array = full - self.totals_eV
        self.totals_eV = full
        largest = float(np.abs(drift).max())
        # errors of rounding add up as the root of their number
        allowed = self._rounding_eV * max(1.0, self._applied / 1000) ** 0.5
        self._applied = 0
        if largest > allowed >= self.largest_drift_eV:
            warn(
                f"{self.potential.name}: energies that were added up trial by trial are off by "
                f"{largest:.2g} eV, more than rounding explains; the trials so far had wrong "
                "energies, so do not use their averages"
            )
        self.largest_drift_eV = max(self.largest_drift_eV, largest)
        return drift
