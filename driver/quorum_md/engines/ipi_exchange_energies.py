"""How probable the configuration of one of i-PI's systems is in the states of the others.

i-PI's law of a state, for P beads: exp(−(ΣV + Σbias + springs + enthalpy of the cell)/(P kT)),
sums over beads; springs stiffen with the temperature. Where states differ in the weights of the
same components, nothing is evaluated; where they have other components, copies of their forces are
evaluated for the pairs that an attempt may exchange.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from ipi.engine.barostats import BaroRGB
from ipi.engine.beads import Beads
from ipi.engine.cell import Cell
from ipi.engine.forces import ForceComponent
from ipi.engine.motion import Dynamics
from ipi.utils.depend import dstrip

from .ipi_takeover import flatten

CELL_MOVES = ("npt", "nst")  # at constant pressure, at constant stress


class Signature(NamedTuple):
    """Equal for systems whose components are the same but for their weights."""

    forces: tuple[Any, ...]
    bias: tuple[Any, ...]

    @classmethod
    def of(cls, system: Any) -> "Signature":
        """That of *system*, bound or not."""
        lists = (system.fcomp, system.ensemble.bcomp or [])
        return cls(
            *(tuple((c.ffield, c.nbeads, tuple(c.mts_weights)) for c in one) for one in lists)
        )


def barostat(system: Any) -> Any:
    """The barostat that moves the cell of *system*, or None."""
    for motion in flatten(system.motion):
        if type(motion) is Dynamics and motion.enstype in CELL_MOVES:
            return motion.barostat
    return None


class Energies:
    """E[holder, state] in Hartree: of the configuration that system *holder* has, in another state.

    Sums over beads, so that it is to be divided by P kT. *systems* are bound. *momenta*: whether
    momenta go along unscaled, so that they count.
    """

    def __init__(self, systems: list[Any], momenta: bool) -> None:
        self._systems, self._momenta = systems, momenta
        self._beads = systems[0].beads.nbeads
        self._barostats = [barostat(system) for system in systems]
        self._signatures = [Signature.of(system) for system in systems]
        self._same = len(set(self._signatures)) == 1
        self._components = [_components(system) for system in systems]
        self._counts = [
            [float(c.mts_weights.sum() * self._beads / c.nbeads) for c in components]
            for components in self._components
        ]
        self._copies: dict[int, tuple[Any, Any, list[Any]]] = {}

    def matrix(self, wanted: Callable[[], np.ndarray]) -> np.ndarray:
        """(S, S); entries that are not *wanted* (S, S) and would have to be evaluated are inf."""
        energies = self._potentials(wanted)
        if self._beads > 1:
            energies = energies + self._springs()
        if self._barostats[0] is not None:
            energies = energies + self._enthalpies()
        if self._momenta:
            energies = energies + self._kinetic()
        return np.broadcast_to(energies, (len(self._systems),) * 2)

    def _potentials(self, wanted: Callable[[], np.ndarray]) -> np.ndarray:
        n = len(self._systems)
        factors = [
            [float(c.weight) * count for c, count in zip(components, counts, strict=True)]
            for components, counts in zip(self._components, self._counts, strict=True)
        ]
        own = [_sum(*one) for one in zip(self._components, factors, strict=True)]
        if self._same and all(one == factors[0] for one in factors):
            return np.array(own)[:, None]
        energies = np.full((n, n), np.inf)
        for holder, state in np.ndindex(n, n):
            if holder == state:
                energies[holder, state] = own[holder]
            elif self._signatures[holder] == self._signatures[state]:
                energies[holder, state] = _sum(self._components[holder], factors[state])
        if not self._same:
            self._evaluate(energies, wanted(), factors)
        return energies

    def _evaluate(
        self, energies: np.ndarray, wanted: np.ndarray, factors: list[list[float]]
    ) -> None:
        """Fill what is missing, one configuration per state at a time, all states together."""
        missing = {
            state: [h for h in np.flatnonzero(wanted[:, state]) if energies[h, state] == np.inf]
            for state in range(len(factors))
        }
        while any(missing.values()):
            now = {state: holders.pop() for state, holders in missing.items() if holders}
            for state, holder in now.items():
                beads, cell, components = self._copy(state)
                cell.h[:] = dstrip(self._systems[holder].cell.h)
                beads.q[:] = dstrip(self._systems[holder].beads.q)
                for component, factor in zip(components, factors[state], strict=True):
                    if factor:
                        component.queue()
            launch(c for state in now for c in self._copies[state][2])
            for state, holder in now.items():
                energies[holder, state] = _sum(self._copies[state][2], factors[state])

    def _copy(self, state: int) -> tuple[Any, Any, list[Any]]:
        """Beads, a cell and forces of *state* that belong to no system."""
        if state not in self._copies:
            system = self._systems[state]
            beads, cell = Beads(system.beads.natoms, self._beads), Cell()
            beads.m[:], beads.names[:] = dstrip(system.beads.m), dstrip(system.beads.names)
            forces = [system.forces.clone(beads, cell)]
            if system.ensemble.bcomp:
                forces.append(system.ensemble.bias.clone(beads, cell))
            self._copies[state] = beads, cell, [c for one in forces for c in one.mforces]
        return self._copies[state]

    def _springs(self) -> np.ndarray:
        """Of each path with the springs of each state."""
        systems = self._systems
        if any(len(s.nm.open_paths) for s in systems):  # i-PI allows Trotter's springs only
            omega2 = np.array([s.nm.omegan2 for s in systems])
            energies = np.array([s.nm.vspring for s in systems])
            return (energies / omega2)[:, None] * omega2
        squares = [dstrip(s.nm.qnm) ** 2 * dstrip(s.beads.m3) for s in systems]
        constants = np.array([dstrip(s.nm.omegak2) for s in systems])
        result: np.ndarray = 0.5 * np.array([one.sum(axis=1) for one in squares]) @ constants.T
        return result

    def _enthalpies(self) -> np.ndarray:
        """Of each cell under each state's pressure or stress, times the number of beads."""
        result = np.empty((len(self._systems), len(self._systems)))
        for holder, system in enumerate(self._systems):
            for state, one in enumerate(self._barostats):
                if type(one) is BaroRGB:
                    strain = np.dot(dstrip(system.cell.h), dstrip(one.h0.ih))
                    strain = 0.5 * (strain.T @ strain - np.identity(3))
                    work = one.h0.V * np.trace(dstrip(one.stressext) @ strain)
                else:
                    work = one.pext * system.cell.V
                result[holder, state] = work * self._beads
        return result

    def _kinetic(self) -> np.ndarray:
        momenta = [dstrip(s.nm.pnm) for s in self._systems]
        masses = [dstrip(s.nm.dynm3) for s in self._systems]
        return np.array([[0.5 * (p**2 / m).sum() for m in masses] for p in momenta])


def _components(system: Any) -> list[Any]:
    """What makes up the potential and the bias of *system*.

    i-PI's bias holds scaled copies of the forces too, whose weights do not act on its dynamics.
    """
    both = [*system.forces.mforces, *system.ensemble.bias.mforces]
    return [component for component in both if isinstance(component, ForceComponent)]


def _sum(components: list[Any], factors: list[float]) -> float:
    """Over components and beads; what i-PI has evaluated is read past its layers of sums."""
    total = 0.0
    for component, factor in zip(components, factors, strict=True):
        if factor:
            beads = [bead._ufvx for bead in component._forces]
            if any(one.tainted() for one in beads):
                total += factor * float(component.pot)
            else:
                total += factor * sum(float(one._value[0]) for one in beads)
    return total


def launch(components: Iterable[Any]) -> None:
    """Let force fields that wait for a full batch do what is there."""
    for field in {id(c.ff): c.ff for c in components}.values():
        if getattr(field, "request_batch", None):
            with field._threadlock:
                if field.request_batch:
                    field.launch_batch()
