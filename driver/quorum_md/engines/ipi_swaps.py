"""The step of i-PI's ``<motion mode='atomswap'>``: Monte Carlo swaps of unlike atoms, counted.

i-PI's atoms keep their elements, masses and momenta: a swap exchanges the positions of two atoms,
all beads together. The law that it keeps is that of i-PI's own ensemble: potential, bias, springs
of the ring polymers (which differ where masses do) and whatever a Suzuki-Chin integrator adds, at
the temperature that the ensemble has at that step. Momenta are independent of positions and cancel.

Trial t of a chain uses the four words of its stream at counter t: the pair of elements, one atom of
each, the decision. Nothing but counters is needed to continue. i-PI's ``nxc`` is the mean of a
Poisson distribution, as in i-PI.
"""

import math
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Protocol

import numpy as np
from ipi.utils.depend import dstrip

from .ipi_force_state import ForceState
from .ipi_takeover import stream

UNIFORM = 2.0**-53  # times the upper 53 bits of a word
BLOCK_COUNTERS = 1 << 20  # more than one Poisson number consumes


class LogRatio(Protocol):
    """How the logarithm of the ratio of probabilities of a swap is found."""

    def begin(self) -> None:
        """A block of trials starts from i-PI's current state."""

    def trial(self, i: int, j: int) -> float:
        """ln p(swapped) − ln p(current) for atoms *i* and *j*."""

    def accept(self) -> None:
        """The last trial is the current state."""

    def end(self) -> float:
        """i-PI's state is the chain's; returns the change of i-PI's conserved energy, Hartree."""


class FullLogRatio:
    """By i-PI's own evaluation of the swapped configuration: right for everything, and slow."""

    def __init__(self, motion: Any) -> None:
        self.motion = motion

    def begin(self) -> None:
        """See `LogRatio`."""
        self._before = self.motion.ensemble.econs
        self._current()

    def _current(self) -> None:
        motion = self.motion
        self._log_p = motion.ensemble.lpens
        self._positions = dstrip(motion.beads.q).copy()
        self._state = ForceState(motion.forces, motion.ensemble.bias)
        self._stands = True

    def trial(self, i: int, j: int) -> float:
        """See `LogRatio`."""
        self.motion.beads.q[:] = swapped(self._positions, i, j)
        self._stands = False
        return float(self.motion.ensemble.lpens - self._log_p)

    def accept(self) -> None:
        """See `LogRatio`."""
        self._current()

    def end(self) -> float:
        """See `LogRatio`."""
        if not self._stands:
            self.motion.beads.q[:] = self._positions
            self._state.restore()
        return float(self.motion.ensemble.econs - self._before)


def swapped(positions: np.ndarray, i: int, j: int) -> np.ndarray:
    """*positions* (beads, 3N) with those of two atoms exchanged in every bead."""
    result = positions.copy()
    result[:, 3 * i : 3 * i + 3] = positions[:, 3 * j : 3 * j + 3]
    result[:, 3 * j : 3 * j + 3] = positions[:, 3 * i : 3 * i + 3]
    return result


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
    """

    def __init__(
        self, motion: Any, elements: dict[str, np.ndarray], key: tuple[int, int, int]
    ) -> None:
        self.motion = motion
        self.elements = elements
        self.key = key
        self.log_ratio: LogRatio = FullLogRatio(motion)
        names = list(elements)
        self._pairs = [(f"{a}-{b}", elements[a], elements[b]) for a, b in combinations(names, 2)]
        self._cumulative = np.cumsum([len(a) * len(b) for _, a, b in self._pairs])
        zeros = {name: 0 for name, _, _ in self._pairs}
        self.counters = Counters(attempted=zeros, accepted=zeros.copy())

    def step(self, step: int | None = None) -> None:
        """What i-PI calls once per step: some trials, one after the other."""
        counters = self.counters
        n_trials = self._number_of_trials()
        counters.blocks += 1
        if n_trials == 0:
            return
        seed, system, number = self.key
        words = stream(seed, system, 2 * number, counters.trials).random_raw(4 * n_trials)
        self.log_ratio.begin()
        for row in (words.reshape(-1, 4) >> np.uint64(11)) * UNIFORM:
            name, i, j = self._draw(row)
            counters.attempted[name] += 1
            counters.trials += 1
            log_ratio = self.log_ratio.trial(i, j)
            if log_ratio >= 0 or row[3] < math.exp(log_ratio):
                self.log_ratio.accept()
                counters.accepted[name] += 1
        self.motion.ealc -= self.log_ratio.end()

    def _number_of_trials(self) -> int:
        seed, system, number = self.key
        counter = self.counters.blocks * BLOCK_COUNTERS
        generator = np.random.Generator(stream(seed, system, 2 * number + 1, counter))
        return int(generator.poisson(float(self.motion.nxc)))

    def _draw(self, uniforms: np.ndarray) -> tuple[str, int, int]:
        total = self._cumulative[-1]
        index = int(np.searchsorted(self._cumulative, uniforms[0] * total, side="right"))
        name, first, second = self._pairs[index]
        i = first[int(uniforms[1] * len(first))]
        return name, int(i), int(second[int(uniforms[2] * len(second))])
