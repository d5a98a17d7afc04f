"""The step of i-PI's ``<smotion mode='remd'>``: exchanges of configurations, counted.

i-PI's systems are the thermodynamic states. Positions, cell, momenta and what was evaluated for
them go to another system; temperature, pressure, weights, thermostat and barostat with all their
variables, random numbers and files stay. Momenta are multiplied by √(T′/T), which is right for
every thermostat that samples the canonical law, for at equilibrium its own variables do not depend
on the momenta that it finds.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from ipi.engine.forces import ForceComponent
from ipi.utils.depend import dstrip
from ipi.utils.units import Constants

from ..sampling.exchange import Attempt, Exchange, Mixing, velocity_factor
from .ipi_exchange_energies import Energies, Signature, barostat, launch
from .ipi_force_state import ForceState


class Configuration(NamedTuple):
    """What goes from one system to another."""

    positions: np.ndarray
    momenta: np.ndarray  # of the normal modes
    masses: np.ndarray | None  # theirs for paths, as they depend on the temperature in some methods
    cell: np.ndarray | None  # where it moves
    forces: ForceState

    def place(self, system: Any, forces: list[Any], factor: float | None) -> None:
        """Let *system* have it; *factor* of the momenta, None where they go along unscaled."""
        if self.cell is not None:
            system.cell.h[:] = self.cell
        system.beads.q[:] = self.positions
        momenta = self.momenta if factor is None else self.momenta * factor
        if self.masses is None:  # the only mode is the bead itself
            system.beads.p[:] = momenta
        else:
            if factor is not None:
                momenta *= np.sqrt(dstrip(system.nm.dynm3) / self.masses)
            system.nm.pnm[:] = momenta
        self.forces.restore(*forces)


class ExchangeStep:
    """Exchanges of one ``remd``, over bound *systems* in the order of the ladder.

    *stride*: steps of i-PI per attempt, a whole number or not; *rescale*: i-PI's ``krescale``;
    *report*: called with i-PI's step and each attempt.
    """

    def __init__(
        self,
        systems: list[Any],
        exchange: Exchange,
        mixing: Mixing,
        stride: float,
        rescale: bool,
        report: Callable[[int, Attempt], None],
    ) -> None:
        self.systems, self.exchange, self.mixing = systems, exchange, mixing
        self._stride, self._rescale, self._report = stride, rescale, report
        self._energies = Energies(systems, momenta=not rescale)
        signatures = [Signature.of(system) for system in systems]
        # forces that differ cannot take over what was evaluated for others
        same_forces = len({one.forces for one in signatures}) == 1
        same_bias = len({one.bias for one in signatures}) == 1
        self._taken: list[list[Any]] = []
        self._evaluated: list[list[Any]] = []
        for system in systems:
            both = [(system.forces, same_forces)]
            both += [(system.ensemble.bias, same_bias)] if system.ensemble.bcomp else []
            self._taken.append([forces for forces, same in both if same])
            self._evaluated.append([forces for forces, same in both if not same])
        self._cells_move = barostat(systems[0]) is not None
        self._simple = not self._cells_move and systems[0].beads.nbeads == 1

    def step(self, step: int | None = None) -> None:
        """What i-PI calls once per step, after all systems have moved."""
        now = 0 if step is None else step
        if self._stride <= 0 or (now + 1) // self._stride == now // self._stride:
            return
        holders = self.exchange.permutation  # replica in each state
        energies = self._energies.matrix(lambda: self.exchange.wanted()[holders])
        kelvin = np.array([system.ensemble.temp for system in self.systems])
        u = np.empty((len(holders), len(holders)))
        u[holders] = energies / (Constants.kb * self.systems[0].beads.nbeads * kelvin)
        attempt = self.exchange.attempt(u)
        # the state in which the configuration was that a state has now
        source = np.argsort(holders)[attempt.permutation]
        self._move(source, energies, kelvin)
        self.mixing.add(attempt.permutation)
        self._report(now + 1, attempt)

    def _move(self, source: np.ndarray, energies: np.ndarray, kelvin: np.ndarray) -> None:
        systems = self.systems
        moved = np.flatnonzero(source != np.arange(len(source))).tolist()
        before = {state: self._conserved(state) for state in moved}
        configurations = {state: self._configuration(state) for state in moved}
        factors = velocity_factor(kelvin[source], kelvin).tolist()
        for state in moved:
            factor = factors[state] if self._rescale else None
            configurations[int(source[state])].place(systems[state], self._taken[state], factor)
        self._evaluate_together(moved)
        for state in moved:
            # the conserved energy of a state goes on where it was
            ensemble = systems[state].ensemble
            if self._simple:
                origin = int(source[state])
                change = float(energies[origin, state] - energies[state, state])
                if self._rescale:  # else the energies hold it
                    change += factors[state] ** 2 * before[origin] - before[state]
                ensemble.eens -= change
            else:
                ensemble.eens += before[state] - ensemble.econs

    def _conserved(self, state: int) -> float:
        """i-PI's conserved energy; the kinetic energy where the rest of its change is known."""
        system = self.systems[state]
        if not self._simple:
            return float(system.ensemble.econs)
        p = dstrip(system.beads.p)
        return 0.5 * float(np.vdot(p, p / dstrip(system.beads.m3)))

    def _configuration(self, state: int) -> Configuration:
        system = self.systems[state]
        single = system.beads.nbeads == 1
        return Configuration(
            dstrip(system.beads.q).copy(),
            dstrip(system.beads.p if single else system.nm.pnm).copy(),
            None if single else dstrip(system.nm.dynm3).copy(),
            dstrip(system.cell.h).copy() if self._cells_move else None,
            ForceState(*self._taken[state], copy=False),
        )

    def _evaluate_together(self, moved: list[int]) -> None:
        """What could not be taken along, before anything waits for one of them alone."""
        forces = [f for state in moved for f in self._evaluated[state]]
        for one in forces:
            one.queue()
        launch(c for one in forces for c in one.mforces if isinstance(c, ForceComponent))
