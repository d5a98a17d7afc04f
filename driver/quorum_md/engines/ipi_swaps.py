"""The step of i-PI's ``<motion mode='atomswap'>``: Monte Carlo swaps of unlike atoms, counted.

i-PI's atoms keep their elements, masses and momenta: a swap exchanges the positions of two atoms,
all beads together. The law that it keeps is that of i-PI's own ensemble: potential, bias, springs
of the ring polymers (which differ where masses do) and whatever a Suzuki-Chin integrator adds, at
the temperature that the ensemble has at that step. Momenta are independent of positions and cancel.

The chain is the one of `quorum_md.sampling`, a step of the motion being a block, so that counters
are all that a restart needs. The number of trials of a step is Poisson distributed with the mean
``nxc``, as in i-PI.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from ase import Atoms
from ipi.utils.depend import dstrip

from ..sampling.moves import CanonicalSwap, Eligible, Move, NeighborSwap, Trial
from ..sampling.streams import uniforms, words
from ..units import BOHR_A
from .ipi_swap_energies import FullLogRatio, LocalLogRatio, LogRatio, Swap
from .ipi_takeover import stream, stream_key

BLOCK_COUNTERS = 1 << 20  # more than one Poisson number consumes


@dataclass
class Counters:
    """All that a chain has to remember."""

    blocks: int = 0  # steps of the motion
    trials: int = 0
    attempted: dict[str, int] = field(default_factory=dict)  # by pair, for example "He-Xe"
    accepted: dict[str, int] = field(default_factory=dict)


class SwapChain:
    """The swaps of one motion of one system.

    *elements*: for each element its atoms. *key*: seed, system and number of the motion.
    *neighbors_A*: how far the two atoms may be, if they have to be near.
    """

    def __init__(
        self,
        motion: Any,
        elements: dict[str, np.ndarray],
        key: tuple[int, int, int],
        neighbors_A: float | None = None,
    ) -> None:
        self.motion = motion
        self.names = list(elements)
        self.key = key
        self.local: LocalLogRatio | None = None
        self._full = FullLogRatio(motion)
        # elements by their place in the list, because labels need not be chemical symbols
        self._kinds = np.zeros(sum(map(len, elements.values())), dtype=np.int64)
        self._atoms = np.sort(np.concatenate(list(elements.values())))
        for kind, atoms in enumerate(elements.values(), start=1):
            self._kinds[np.searchsorted(self._atoms, atoms)] = kind
        self._move: Move = CanonicalSwap() if neighbors_A is None else NeighborSwap(neighbors_A)
        pairs = combinations_with_replacement(self.names, 2)
        zeros = {f"{a}-{b}": 0 for a, b in pairs if a != b or neighbors_A is not None}
        self.counters = Counters(attempted=zeros, accepted=zeros.copy())

    def step(self, step: int | None = None) -> None:
        """What i-PI calls once per step: some trials, one after the other."""
        counters = self.counters
        n_trials = self._number_of_trials()
        counters.blocks += 1
        if n_trials == 0:
            return
        seed, system, number = self.key
        drawn = uniforms(words(stream_key(seed, system, 2 * number), counters.trials, n_trials))
        ratio = self.local if self.local is not None and self.local.applies() else self._full
        self.place()
        ratio.begin()
        self._run(ratio, drawn.tolist())
        self.motion.ealc -= ratio.end()

    def place(self) -> None:
        """Let the sites of the move be where the atoms are now.

        Raises `QuorumError` if no two atoms are neighbours.
        """
        n_atoms = self.motion.beads.natoms
        kinds = np.zeros(n_atoms, dtype=np.int64)
        kinds[self._atoms] = self._kinds
        if isinstance(self._move, NeighborSwap):
            centroids = dstrip(self.motion.beads.q).mean(axis=0).reshape(-1, 3)
            cell = dstrip(self.motion.cell.h).T
            self._move.place(Atoms(kinds, centroids * BOHR_A, cell=cell * BOHR_A, pbc=True))
        species = tuple(range(1, len(self.names) + 1))
        self._move.start(kinds, Eligible(self._atoms, species))
        self._atom_at = list(range(n_atoms))

    def _run(self, ratio: LogRatio, drawn: Sequence[Sequence[float]]) -> None:
        counters = self.counters
        for number, u in enumerate(drawn):
            trial = self._move.propose(u)
            pair = "-".join(self.names[kind - 1] for kind in trial.pair)
            counters.attempted[pair] += 1
            counters.trials += 1
            if not trial.change:
                continue
            swap = self._swap(trial)
            log_ratio = ratio.trial(swap, self._coming(drawn, number + 1))
            if log_ratio >= 0 or u[3] < math.exp(log_ratio):
                ratio.accept(swap)
                self._move.accepted(trial)
                self._atom_at[swap.i], self._atom_at[swap.j] = swap.b, swap.a
                counters.accepted[pair] += 1

    def _swap(self, trial: Trial) -> Swap:
        (i, _), (j, _) = trial.change
        return Swap(self._atom_at[i], self._atom_at[j], i, j)

    def _coming(self, drawn: Sequence[Sequence[float]], number: int) -> Iterator[Swap]:
        for u in drawn[number:]:
            trial = self._move.propose(u)
            if trial.change:
                yield self._swap(trial)

    def _number_of_trials(self) -> int:
        seed, system, number = self.key
        counter = self.counters.blocks * BLOCK_COUNTERS
        generator = np.random.Generator(stream(seed, system, 2 * number + 1, counter))
        return int(generator.poisson(float(self.motion.nxc)))
