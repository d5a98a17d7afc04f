"""How probable a swap of i-PI's atoms is: by i-PI's own evaluation, or by local energies.

i-PI's law is exp(−(ΣV + Σbias + springs)/(P kT)) for P beads, sums over beads.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Any, NamedTuple, Protocol

import numpy as np
from ipi.engine.forces import ForceComponent
from ipi.utils.depend import dstrip
from ipi.utils.messages import info
from ipi.utils.units import Constants

from ..models.frozen import freeze
from ..sampling.local_energy import Change, LocalEnergies
from ..sampling.swaps import Ahead
from ..units import HARTREE_EV
from .ipi_force_state import ForceState
from .ipi_model import IpiModel


class Swap(NamedTuple):
    """Atoms a and b, which are at the sites i and j: the atoms' places at the block's start."""

    a: int
    b: int
    i: int
    j: int


class LogRatio(Protocol):
    """How ln(p(swapped)/p(current)) is found, in blocks of trials at frozen positions."""

    def begin(self) -> None:
        """A block starts from i-PI's current state."""

    def trial(self, swap: Swap, coming: Iterable[Swap]) -> float:
        """Of a swap; *coming* are the following ones, were it rejected."""

    def accept(self, swap: Swap) -> None:
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

    def trial(self, swap: Swap, coming: Iterable[Swap]) -> float:
        """See `LogRatio`."""
        self.motion.beads.q[:] = swapped(self._positions, swap)
        self._stands = False
        return float(self.motion.ensemble.lpens - self._log_p)

    def accept(self, swap: Swap) -> None:
        """See `LogRatio`."""
        self._current()

    def end(self) -> float:
        """See `LogRatio`."""
        if not self._stands:
            self.motion.beads.q[:] = self._positions
            self._state.restore()
        return float(self.motion.ensemble.econs - self._before)


def swapped(positions: np.ndarray, swap: Swap) -> np.ndarray:
    """*positions* (beads, 3N) with those of two atoms exchanged in every bead."""
    result = positions.copy()
    first, second = slice(3 * swap.a, 3 * swap.a + 3), slice(3 * swap.b, 3 * swap.b + 3)
    result[:, first], result[:, second] = positions[:, second], positions[:, first]
    return result


class LocalLogRatio:
    """By `LocalEnergies` of each bead, where every force component is this package's driver.

    Bias is evaluated by i-PI, the springs' change follows from the normal modes of the two atoms.
    i-PI evaluates the state at the end of a block once, and the sum of the changes is compared
    with what it finds. *models*: per force component.
    """

    def __init__(self, motion: Any, models: list[IpiModel]) -> None:
        self.motion = motion
        self.models = models
        self.how = ""
        self._ahead = Ahead("auto")
        self._verified = False
        self._trusted = True

    def applies(self) -> bool:
        """Whether it can be used for a block; weights of the Hamiltonian may change in a run."""
        return self._trusted and bool(np.all(dstrip(self.motion.ensemble.hweights) == 1))

    def freeze(self) -> None:
        """Local energies at i-PI's current positions."""
        motion = self.motion
        self._energies: list[tuple[Any, float, list[LocalEnergies]]] = []
        for component, model in zip(motion.forces.mforces, self.models, strict=True):
            beads = []
            for bead in dstrip(motion.beads.q):
                atoms = model.structure(dstrip(motion.cell.h), bead)
                with component.ff._threadlock:  # threads share the model
                    frozen = freeze(model.potential, atoms)
                    beads.append(LocalEnergies(frozen, atoms.numbers, verify=not self._verified))
                self._verified = True
            factor = component.weight * component.mts_weights.sum() / HARTREE_EV
            self._energies.append((component.ff._threadlock, float(factor), beads))
        self.how = self._energies[0][2][0].how

    def begin(self) -> None:
        """See `LogRatio`."""
        motion = self.motion
        self._before = motion.ensemble.econs
        self._start_pot = motion.forces.pot
        self._positions = dstrip(motion.beads.q).copy()
        self._state = ForceState(motion.forces, motion.ensemble.bias)
        self._biased = bool(motion.ensemble.bcomp)
        self._bias = motion.ensemble.bias.pot if self._biased else 0.0
        self._rings = _ring_energies(motion)
        self._masses = dstrip(motion.beads.m).copy()
        self._kT = Constants.kb * motion.ensemble.temp * motion.beads.nbeads
        self._sum = 0.0
        # what goes unused is counted from the block's start
        size, self._ahead = self._ahead.size, Ahead("auto")
        self._ahead.size = size
        self._accepted = self._touched = False
        self.freeze()

    def trial(self, swap: Swap, coming: Iterable[Swap]) -> float:
        """See `LogRatio`."""
        self._learn(swap, coming)
        self._potential = self._difference(swap)
        springs = self._masses[swap.a] - self._masses[swap.b]
        springs *= 0.5 * (self._rings[swap.b] - self._rings[swap.a])
        self._trial_bias = self._bias
        if self._biased:
            self._touched = True
            self.motion.beads.q[:] = swapped(self._positions, swap)
            self._trial_bias = self.motion.ensemble.bias.pot
        change = self._potential + springs + self._trial_bias - self._bias
        return -float(change) / self._kT

    def _learn(self, swap: Swap, coming: Iterable[Swap]) -> None:
        """Evaluate what the swap needs, and with it what the coming ones will."""
        learnt = wasted = 0
        for lock, _, beads in self._energies:
            if not any(_missing(energies, swap) for energies in beads):
                continue
            swaps = [swap, *islice(coming, self._ahead.size)]
            for energies in beads:
                wanted: dict[Change, None] = {}
                for one in swaps:
                    wanted.update(dict.fromkeys(_missing(energies, one)))
                # the first two parts at most are those of the swap itself
                parts = list(wanted)[: max(2, self._ahead.size)]
                with lock:
                    energies.learn(parts)
                learnt += len(parts)
        for _, _, beads in self._energies:
            wasted += sum(energies.wasted for energies in beads)
        self._ahead.adapt(learnt, wasted)

    def _difference(self, swap: Swap) -> float:
        """Of the sum over beads, Hartree."""
        total = 0.0
        for _, factor, beads in self._energies:
            for energies in beads:
                change = _change(energies, swap)
                if not change:
                    continue
                potential = energies.potential
                if potential.weighting is None:
                    difference = energies.mean_difference_eV(change)
                    assert difference is not None
                else:
                    before = energies.totals_eV
                    both = np.stack([before, before + energies.difference_eV(change)])
                    difference = float(np.diff(potential.driving_eV(both))[0])
                total += factor * difference
        return total

    def accept(self, swap: Swap) -> None:
        """See `LogRatio`."""
        self._positions = swapped(self._positions, swap)
        self._accepted = True
        self._sum += self._potential
        self._bias = self._trial_bias
        self._rings[[swap.a, swap.b]] = self._rings[[swap.b, swap.a]]
        for lock, _, beads in self._energies:
            for energies in beads:
                change = _change(energies, swap)
                if change:
                    with lock:
                        energies.apply(change)

    def end(self) -> float:
        """See `LogRatio`."""
        motion = self.motion
        if self._accepted:
            motion.beads.q[:] = self._positions
            self._compare(float(motion.forces.pot - self._start_pot))
        elif self._touched:
            motion.beads.q[:] = self._positions
            self._state.restore()
        return float(motion.ensemble.econs - self._before)

    def _compare(self, expected: float) -> None:
        off_eV = abs(self._sum - expected) * HARTREE_EV / self.motion.beads.nbeads
        size_eV = abs(self._start_pot) * HARTREE_EV / self.motion.beads.nbeads
        single = any(getattr(m.potential, "dtype", "") == "float32" for m in self.models)
        if off_eV > (1e-3 + 1e-5 * size_eV if single else 1e-6 + 1e-11 * size_eV):
            self._trusted = False
            info(
                f" @quorum: local energies of a block of swaps miss the forces' energies by "
                f"{off_eV:.2g} eV; trials are evaluated in full from now on"
            )


def _change(energies: LocalEnergies, swap: Swap) -> Change:
    """What the swap is to the elements of the sites; nothing for isotopes of one element."""
    x, y = int(energies.numbers[swap.i]), int(energies.numbers[swap.j])
    if x == y:
        return ()
    return ((swap.i, y), (swap.j, x)) if swap.i < swap.j else ((swap.j, x), (swap.i, y))


def _missing(energies: LocalEnergies, swap: Swap) -> list[Change]:
    change = _change(energies, swap)
    return energies.missing(change) if change else []


def _ring_energies(motion: Any) -> np.ndarray:
    """(N,) twice the spring energy per mass of each atom's ring polymer."""
    if motion.beads.nbeads == 1:
        return np.zeros(motion.beads.natoms)
    modes = dstrip(motion.nm.qnm).reshape(motion.beads.nbeads, -1, 3)
    squares: np.ndarray = (modes**2).sum(axis=2)
    rings: np.ndarray = dstrip(motion.nm.omegak2) @ squares
    return rings


def why_not_local(system: Any, motion: Any, models: dict[str, IpiModel]) -> str:
    """Why `LocalLogRatio` cannot serve; empty if it can. *models*: by force field, plain ones."""
    for component in system.forces.mforces:
        field = component.ffield
        if field not in models:
            return f"force field {field} is not this package's driver"
        if component.ff.active[0] != -1:
            return f"force field {field} acts on some atoms only"
        if isinstance(component, ForceComponent) and component.nbeads != motion.beads.nbeads:
            return f"force field {field} contracts the ring polymers"
    if not system.forces.mforces:
        return "there are no force fields"
    if len(system.nm.open_paths) or len(system.nm.bosons):
        return "paths are open or bosonic"
    if any(term is system.forces._potsc for term in system.ensemble._xlpot):
        return "the integrator adds Suzuki-Chin terms"
    return ""
