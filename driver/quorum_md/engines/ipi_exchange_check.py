"""``<smotion mode='remd'>`` before the run: states between which configurations may go."""

from typing import Any

import numpy as np
from ipi.engine.motion import AtomSwap, Dynamics
from ipi.engine.thermostats import Thermostat

from ..errors import QuorumError
from .ipi_exchange_run import find_exchanges
from .ipi_takeover import flatten

# of i-PI's dynamics, those whose law is known here
ENSEMBLES = ("nvt", "nvt-cc", "npt", "nst")


def check_exchange(path: str, smotion: Any, systems: list[tuple[str, Any]]) -> bool:
    """Whether *smotion* exchanges replicas; *systems* have names.

    Raises `QuorumError` if configurations of one system cannot be those of another.
    """
    found = find_exchanges(smotion)
    if not found:
        return False
    if len(found) > 1:
        raise QuorumError(f"{path}: [smotion] holds {len(found)} remd; keep one")
    if len(systems) < 2:
        raise QuorumError(
            f"{path}: [remd] there is one system and nothing to exchange it with; write one "
            "<system> per state, or a <system_template>"
        )
    if not np.isfinite(found[0].stride):
        raise QuorumError(f"{path}: [remd] stride: got {found[0].stride}; expected steps")
    first, reference = systems[0]
    for label, system in systems:
        where = f"{path}: [system] {label}"
        _check_motion(where, system)
        if not system.ensemble.temp > 0:
            raise QuorumError(
                f"{where}: [ensemble] temperature is missing but remd needs it; add "
                "<temperature units='kelvin'> 300 </temperature>"
            )
        bosons = system.nm.bosons
        if len(bosons[0] if isinstance(bosons, tuple) else bosons):
            raise QuorumError(f"{where}: bosons cannot be exchanged by remd; take it out")
        if np.any(np.asarray(system.ensemble.hweights) != 1):
            raise QuorumError(
                f"{where}: [ensemble] hamiltonian_weights other than 1 do not act on the forces of "
                "i-PI 3.3, so what it samples is not what they say; use bias_weights, or weight of "
                "<force>"
            )
        for what, here, there in [
            ("beads", system.beads.nbeads, reference.beads.nbeads),
            ("atoms", system.beads.natoms, reference.beads.natoms),
            ("names of the atoms", list(system.beads.names), list(reference.beads.names)),
            ("masses", list(system.beads.m), list(reference.beads.m)),
            ("barostat", _cell(system), _cell(reference)),
            ("fixed atoms", _fixed(system), _fixed(reference)),
            ("cell, which nothing moves,", _frozen_cell(system), _frozen_cell(reference)),
        ]:
            if here != there:
                detail = f": {here} and {there}" if not isinstance(here, list) else ""
                raise QuorumError(
                    f"{where}: {what} differ from {first}{detail}; remd exchanges "
                    "configurations, so all systems must have the same"
                )
    return True


def _check_motion(where: str, system: Any) -> None:
    dynamics = 0
    for motion in flatten(system.motion):
        if type(motion) is AtomSwap:
            continue
        dynamics += 1
        kind = type(motion).__name__
        if type(motion) is Dynamics and motion.enstype in ENSEMBLES:
            if type(motion.thermostat) is Thermostat:
                raise QuorumError(
                    f"{where}: [dynamics] has no thermostat, so that nothing keeps the temperature "
                    "to which remd brings a configuration; add one"
                )
            continue
        mode = f"mode='{motion.enstype}'" if type(motion) is Dynamics else f"the motion {kind}"
        raise QuorumError(
            f"{where}: {mode} does not sample a law that remd could keep; take dynamics of the "
            f"modes {', '.join(ENSEMBLES)}, and atomswap"
        )
    if dynamics > 1 and _cell(system) != "none":
        raise QuorumError(
            f"{where}: more than one dynamics, and one of them moves the cell; keep one"
        )


def _fixed(system: Any) -> list[list[int]]:
    """Atoms that each motion holds."""
    return [np.asarray(m.fixatoms_dof).tolist() for m in _dynamics(system)]


def _dynamics(system: Any) -> list[Any]:
    return [m for m in flatten(system.motion) if type(m) is Dynamics]


def _cell(system: Any) -> str:
    """By what the cell of a system moves: none, pressure or stress."""
    kinds = {"npt": "pressure", "nst": "stress"}
    modes = [m.enstype for m in _dynamics(system)]
    return next((kinds[mode] for mode in modes if mode in kinds), "none")


def _frozen_cell(system: Any) -> list[list[float]]:
    return np.asarray(system.cell.h).tolist() if _cell(system) == "none" else []
