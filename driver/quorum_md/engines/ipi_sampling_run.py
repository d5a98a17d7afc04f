"""What ``quorum i-pi`` takes over from i-PI, with what belongs to all parts of it.

That is the seed, the random numbers of each system, and the state in checkpoints.
"""

from typing import Any, Protocol

from ipi.utils.messages import info

from .ipi_exchange_run import ExchangeRun
from .ipi_model import IpiModel
from .ipi_restart import OtherState, keep_state, read_state
from .ipi_swap_run import SwapRun
from .ipi_takeover import (
    random_states,
    restore_random_states,
    seed_of,
    separate_random_numbers,
)

STATE = "state"
FORMAT = 1


class Part(Protocol):
    """Something of i-PI's that is taken over."""

    name: str  # of its state
    options: Any

    def applies(self, simulation: Any) -> bool:
        """Whether the input has it."""

    def take_over(self, simulation: Any, seed: int, stored: Any) -> None:
        """Between i-PI's parsing and its binding; *stored* is an earlier `state` or None."""

    def after_binding(self, simulation: Any) -> str:
        """Returns the line that says what was taken over."""

    def state(self) -> Any:
        """For a checkpoint, as JSON."""


class SamplingRun:
    """The parts of one input; nothing happens to an input without any."""

    def __init__(self, path: str, text: str, models: dict[str, IpiModel]) -> None:
        self.path = path
        self._stored = read_state(path, text, STATE)
        self._parts: list[Part] = [SwapRun(path, text, models), ExchangeRun(path, text, models)]
        self._seed = 0

    def hook(self, simulation: Any) -> None:
        """Between i-PI's parsing and its binding."""
        self._parts = [part for part in self._parts if part.applies(simulation)]
        if not self._parts:
            return
        stored = self._stored
        if stored:
            atoms = [system.beads.natoms for system in simulation.syslist]
            here = {part.name for part in self._parts}
            there = {name for name in ("chains", "exchange") if stored.get(name) is not None}
            if stored.get("format") != FORMAT or stored["atoms"] != atoms or here != there:
                raise OtherState(self.path)
        self._seed = stored["seed"] if stored else seed_of(simulation)
        separate_random_numbers(simulation, self._seed)
        for part in self._parts:
            part.take_over(simulation, self._seed, stored[part.name] if stored else None)
        if stored:
            restore_random_states(simulation, stored["random"])

    def after_binding(self, simulation: Any) -> None:
        """Output files, checkpoints, and the lines that say what was taken over."""
        if not self._parts:
            return
        lines = [part.after_binding(simulation) for part in self._parts]
        options = "".join(part.options.to_instruction() for part in self._parts)
        keep_state(simulation, STATE, lambda: self._state(simulation), options)
        for line in lines:
            info(line)

    def _state(self, simulation: Any) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "seed": self._seed,
            "atoms": [system.beads.natoms for system in simulation.syslist],
            **{part.name: part.state() for part in self._parts},
            "random": random_states(simulation),
        }
