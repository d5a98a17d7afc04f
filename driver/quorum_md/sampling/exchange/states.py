"""Thermodynamic states, and how probable a configuration is in each.

u[replica, state] = (E + P V)/kT is minus the logarithm of the weight that a state gives to a
replica's configuration; decisions know nothing else. E is all that the state's law holds: bias,
weighted baseline and the springs of ring polymers too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import QuorumError
from ...units import BOLTZMANN_EV_K, EV_A3_GPA

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class State:
    """A thermodynamic state: *pressure_GPa* where the volume changes, *parameters* for the rest."""

    temperature_K: float
    pressure_GPa: float | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (np.isfinite(self.temperature_K) and self.temperature_K > 0):
            raise QuorumError(f"temperature_K: got {self.temperature_K}; expected a number above 0")
        if self.pressure_GPa is not None and not np.isfinite(self.pressure_GPa):
            raise QuorumError(f"pressure_GPa: got {self.pressure_GPa}; expected a number")


def reduced_energies(
    energies_eV: npt.ArrayLike, states: Sequence[State], volumes_A3: npt.ArrayLike | None = None
) -> Array:
    """u[replica, state], without unit.

    Parameters
    ----------
    energies_eV: (R,) if all states have the same energy function, or (R, S): of every replica in
        every state; +inf where a state forbids a configuration
    states: S = R states
    volumes_A3: (R,), needed where the states have pressures

    Raises
    ------
    QuorumError: shapes that do not fit, an energy that is not a number, pressures without volumes
        or only in some of the states.
    """
    energies = np.asarray(energies_eV, dtype=float)
    n = len(states)
    if energies.shape not in ((n,), (n, n)):
        raise QuorumError(
            f"energies_eV: got the shape {energies.shape}; expected ({n},) or ({n}, {n}) for "
            f"{n} states"
        )
    replicas = np.flatnonzero(np.isnan(energies.reshape(n, -1)).any(axis=1))
    if replicas.size:
        raise QuorumError(
            f"the energy of replica {replicas[0]} is not a number; its potential has failed: "
            "look at its structure, or shorten the timestep"
        )
    energies = energies.reshape(n, -1)
    with_pressure = [state.pressure_GPa is not None for state in states]
    if any(with_pressure):
        if not all(with_pressure):
            raise QuorumError(
                f"pressure_GPa: state {with_pressure.index(False)} has none, others have; a "
                "configuration's volume would then never change in it: give all states a pressure "
                "or none"
            )
        volumes = np.asarray(np.nan if volumes_A3 is None else volumes_A3, dtype=float)
        if volumes.shape != (n,) or not np.isfinite(volumes).all():
            raise QuorumError(f"volumes_A3: expected {n} numbers, for the states have pressures")
        pressures = np.array([state.pressure_GPa for state in states], dtype=float)
        energies = energies + volumes[:, None] * (pressures / EV_A3_GPA)
    kT = np.array([BOLTZMANN_EV_K * state.temperature_K for state in states])
    result: Array = energies / kT
    return result


def velocity_factor(from_K: float | Array, to_K: float | Array) -> Any:
    """By which momenta are multiplied when a configuration goes to another temperature."""
    return np.sqrt(np.asarray(to_K) / np.asarray(from_K))[()]
