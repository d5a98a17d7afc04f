"""Swap Monte Carlo: the sequential Metropolis chain, its trials evaluated many at a time.

Trials are drawn from counters, so the coming ones are known: what they need is looked ahead for,
evaluated in one call of the model, and the trials are then decided one after the other. When one
needs what an acceptance has made stale, the next call begins there. Seed and number of trials
alone determine the chain, not how many were evaluated together.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from math import exp
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from ase.data import atomic_masses, atomic_numbers, chemical_symbols

from ..atomic import write_atomically
from ..errors import QuorumError
from ..models.frozen import freeze
from ..models.potential import load_potential
from ..units import BOLTZMANN_EV_K
from .local_energy import Change, LocalEnergies
from .moves import CanonicalSwap, Eligible, Move, NeighborSwap, Trial
from .streams import uniforms, words

if TYPE_CHECKING:
    from ase import Atoms

Array = npt.NDArray[np.float64]

# energy in eV that a bias adds if a change is made to a structure with these elements
Bias = Callable[[npt.NDArray[np.int64], Change], float]


class PairCount(NamedTuple):
    """Trials of a pair of elements, and how many of them were accepted."""

    attempts: int
    accepted: int


class Ahead:
    """How many differences are evaluated together: more while they are of use, fewer where
    acceptances make them stale first."""

    LEAST, MOST = 2, 512

    def __init__(self, batch: int | str):
        if batch != "auto" and not (isinstance(batch, int) and batch >= 1):
            raise QuorumError(f"batch: got {batch!r}; expected auto or a positive integer")
        self.fixed = batch if isinstance(batch, int) else None
        self.size = self.fixed or 32
        self._wasted = 0

    def adapt(self, learnt: int, wasted: int) -> None:
        """After a call for ``learnt`` differences; ``wasted`` counts all that went unused."""
        if not learnt:
            return
        fresh, self._wasted = wasted - self._wasted, wasted
        if self.fixed is None:
            if fresh > 0.3 * learnt:
                self.size = max(self.LEAST, self.size // 2)
            elif fresh < 0.1 * learnt:
                self.size = min(self.MOST, self.size * 2)


class SwapMonteCarlo:
    """A chain of trial moves at frozen positions.

    Parameters
    ----------
    atoms: structure; a copy is taken
    potential: anything `quorum_md.models.load_potential` takes
    temperature_K: T > 0; may be set between runs
    seed: 0 to 2¹²⁸ − 1
    species: symbols that take part, in the order in which trials draw them; by default those
        of the first structure, by atomic number
    batch: differences of energy evaluated together, or "auto"; the chain does not depend on it
    move: `CanonicalSwap` (default), `NeighborSwap` or `Flip`
    sites: indices of the atoms that may change; by default all
    bias: further energy, see `Bias`
    check_every: accepted moves between comparisons of the running totals with a full evaluation

    Raises
    ------
    QuorumError: what cannot be sampled, such as a single species.

    Momenta, where the structure has them, follow the masses: p → p √(m′/m), which keeps their
    distribution and the kinetic energy.
    """

    def __init__(
        self,
        atoms: Atoms,
        potential: Any,
        *,
        temperature_K: float,
        seed: int,
        species: Sequence[str] | None = None,
        batch: int | str = "auto",
        move: Move | None = None,
        sites: Sequence[int] | None = None,
        bias: Bias | None = None,
        check_every: int = 1000,
    ):
        self.potential = load_potential(potential)
        self.temperature_K = temperature_K
        if not 0 <= int(seed) < 2**128:
            raise QuorumError(f"seed: got {seed}; expected an integer from 0 to 2^128 - 1")
        if not check_every >= 1:
            raise QuorumError(f"check_every: got {check_every}; expected a positive integer")
        self.seed, self.check_every = int(seed), check_every
        self.move = CanonicalSwap() if move is None else move
        self._bias, self._sites = bias, sites
        # of the first structure, if none are given: one that has died out may come back
        self._species = None if species is None else self._known(species)
        self._ahead = Ahead(batch)
        self.attempts = 0
        self.accepted = 0
        self._counts: dict[tuple[int, int], list[int]] = {}
        self._since_check = 0
        self._drift = 0.0
        self._energies: LocalEnergies | None = None
        self.set_atoms(atoms)

    def set_atoms(self, atoms: Atoms) -> None:
        """Go on with other positions (or any other structure), such as after molecular dynamics;
        counters and stream go on."""
        first = self._energies is None
        self._atoms = atoms.copy()
        self._atoms.calc = None
        self._start = self._atoms.numbers.astype(np.int64)
        self._eligible = self._find_eligible()
        if isinstance(self.move, NeighborSwap):
            self.move.place(self._atoms)
        self.move.start(self._start, self._eligible)
        if self._energies is not None:
            self._drift = max(self._drift, self._energies.largest_drift_eV)
        frozen = freeze(self.potential, self._atoms)
        self._energies = LocalEnergies(frozen, self._start, verify=first)
        if first and not self._energies.local:
            logging.getLogger(__name__).warning("%s", self._energies.how)

    @property
    def energies(self) -> LocalEnergies:
        """The current state and its energies."""
        assert self._energies is not None
        return self._energies

    def _find_eligible(self) -> Eligible:
        numbers = self._start
        n = len(numbers)
        sites = np.arange(n) if self._sites is None else np.unique(np.asarray(self._sites, int))
        if not len(sites) or sites[0] < 0 or sites[-1] >= n:
            raise QuorumError(f"sites: expected indices from 0 to {n - 1}, at least one")
        if self._species is None:
            self._species = tuple(sorted(set(numbers[sites].tolist())))
        return Eligible(sites, self._species)

    def _known(self, species: Sequence[str]) -> tuple[int, ...]:
        """Atomic numbers of symbols; raises QuorumError for what the potential does not know."""
        known = self.potential.species
        strange = [s for s in species if s not in atomic_numbers or (known and s not in known)]
        if strange or len(set(species)) != len(species):
            raise QuorumError(
                f"species: got {' '.join(species)}; expected different symbols of elements that "
                f"{self.potential.name} knows" + (f" ({' '.join(known)})" if known else "")
            )
        return tuple(atomic_numbers[s] for s in species)

    @property
    def temperature_K(self) -> float:
        """T, which may be set between runs."""
        return self._temperature_K

    @temperature_K.setter
    def temperature_K(self, value: float) -> None:
        if not (np.isfinite(value) and value > 0):
            raise QuorumError(f"temperature_K = {value}; expected a positive number")
        self._temperature_K = float(value)

    def run(self, n_trials: int) -> None:
        """Do trials, one after the other."""
        if n_trials < 0:
            raise QuorumError(f"n_trials = {n_trials}; expected a number that is not negative")
        end = self.attempts + n_trials
        drawn: list[list[float]] = []
        first = self.attempts  # trial of the first row drawn
        while self.attempts < end:
            used = self.attempts - first
            if used == len(drawn):
                first = self.attempts
                n = min(end - first, 8 * self._ahead.size)
                drawn = uniforms(words(self.seed, first, n)).tolist()
                used = 0
            rows = drawn[used:]
            learnt = self._look_ahead(rows)
            self._decide(rows)
            self._ahead.adapt(learnt, self.energies.wasted)

    def _look_ahead(self, rows: Sequence[Sequence[float]]) -> int:
        """Evaluate what the coming trials need, were none of them accepted."""
        wanted: dict[Change, None] = {}
        for u in rows:
            change = self.move.propose(u).change
            if change:
                for part in self.energies.missing(change):
                    wanted[part] = None
                if len(wanted) >= self._ahead.size:
                    break
        self.energies.learn(list(wanted))
        return len(wanted)

    def _decide(self, rows: Sequence[Sequence[float]]) -> None:
        """Trials in order, until one needs a difference that is not known."""
        energies, propose = self.energies, self.move.propose
        beta = 1.0 / (BOLTZMANN_EV_K * self._temperature_K)
        linear = self.potential.weighting is None
        for u in rows:
            trial = propose(u)
            if not trial.change:
                self._count(trial.pair, False)
                continue
            if linear:
                known = energies.mean_difference_eV(trial.change)
                if known is None:
                    return
                difference = known
            else:
                if energies.missing(trial.change):
                    return
                difference = self._driving_difference(trial.change)
            difference += trial.work_eV
            if self._bias is not None:
                difference += self._bias(energies.numbers, trial.change)
            x = trial.log_ratio - beta * difference
            accept = x >= 0.0 or u[3] < exp(x)
            self._count(trial.pair, accept)
            if accept:
                self._accept(trial)

    def _driving_difference(self, change: Change) -> float:
        energies = self.energies
        before = energies.totals_eV
        both = np.stack([before, before + energies.difference_eV(change)])
        driving = self.potential.driving_eV(both)
        return float(driving[1] - driving[0])

    def _count(self, pair: tuple[int, int], accept: bool) -> None:
        count = self._counts.get(pair)
        if count is None:
            count = self._counts[pair] = [0, 0]
        count[0] += 1
        self.attempts += 1
        if accept:
            count[1] += 1
            self.accepted += 1

    def _accept(self, trial: Trial) -> None:
        self.energies.apply(trial.change)
        self.move.accepted(trial)
        self._since_check += 1
        if self._since_check >= self.check_every:
            self.energies.check()
            self._since_check = 0

    @property
    def atoms(self) -> Atoms:
        """(a copy of) the structure in its current state, momenta included."""
        return self._with(self.energies.numbers)

    def _with(self, numbers: npt.NDArray[np.int64]) -> Atoms:
        atoms = self._atoms.copy()
        before = atoms.get_masses()
        if atoms.has("masses"):  # those that were set go with the elements that they were set for
            table = {int(z): atomic_masses[z] for z in numbers}
            table.update(zip(self._start.tolist(), before, strict=True))
            moved = np.array([table[int(z)] for z in numbers])
            atoms.set_masses(np.where(numbers == self._start, before, moved))
        atoms.numbers = numbers
        if atoms.has("momenta"):
            scale = np.sqrt(atoms.get_masses() / before)
            atoms.set_momenta(atoms.get_momenta() * scale[:, None])
        return atoms

    @property
    def energy_eV(self) -> float:
        """Energy that drives, of the current state."""
        return float(self.potential.driving_eV(self.energies.totals_eV[None])[0])

    @property
    def member_energies_eV(self) -> Array:
        """(K,) energies of the members in the current state."""
        return self.potential.members_eV(self.energies.totals_eV)

    @property
    def pair_statistics(self) -> dict[tuple[str, str], PairCount]:
        """Trials and acceptances by pair of symbols (for flips: from, to)."""
        return {
            (chemical_symbols[a], chemical_symbols[b]): PairCount(*count)
            for (a, b), count in sorted(self._counts.items())
            if a != b
        }

    @property
    def energy_drift_eV(self) -> float:
        """Largest difference of a running total from a full evaluation, which is made now."""
        self.energies.check()
        return max(self._drift, self.energies.largest_drift_eV)

    @property
    def how(self) -> str:
        """A sentence on how differences of energy are found."""
        return self.energies.how

    @property
    def _symbols(self) -> list[str]:
        return [chemical_symbols[z] for z in self._species or ()]

    def save(self, path: str | Path) -> None:
        """Write what `restore` needs, beside the positions; whole or not at all."""
        record = {
            "quorum_swaps": 1,
            "seed": self.seed,
            "species": self._symbols,
            "attempts": self.attempts,
            "accepted": self.accepted,
            "since_check": self._since_check,
            "numbers": self.energies.numbers.tolist(),
            "totals_eV": [float(x) for x in self.energies.totals_eV],
            "counts": [[*pair, *count] for pair, count in self._counts.items()],
            "move": self.move.state(),
        }
        write_atomically(path, json.dumps(record))

    def restore(self, path: str | Path) -> None:
        """Continue a chain that `save` wrote, on the same positions with the same settings.

        Raises QuorumError if the file is of another chain, or no such file.
        """
        try:
            record = json.loads(Path(path).read_text())
            numbers = np.array(record["numbers"], dtype=np.int64)
            seed, species = record["seed"], record.get("species", self._symbols)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise QuorumError(
                f"{path}: cannot be read as a checkpoint of swaps ({error}); start anew"
            ) from error
        same = np.array_equal(np.sort(numbers), np.sort(self._start))
        canonical = isinstance(self.move, (CanonicalSwap, NeighborSwap))
        if seed != self.seed or len(numbers) != len(self._start) or (canonical and not same):
            raise QuorumError(
                f"{path}: is of another chain (seed {seed}, {len(numbers)} atoms); expected seed "
                f"{self.seed} and the same composition; give the settings of that run"
            )
        if species != self._symbols:
            raise QuorumError(
                f"{path}: its chain draws from the species {' '.join(species)}, this one from "
                f"{' '.join(self._symbols)}; give species=[{', '.join(map(repr, species))}]"
            )
        self.set_atoms(self._with(numbers))
        self.move.restore(record["move"])
        self.attempts, self.accepted = record["attempts"], record["accepted"]
        self._since_check = record["since_check"]
        self._counts = {(a, b): [n, k] for a, b, n, k in record["counts"]}
        self.energies.totals_eV = np.array(record["totals_eV"])
