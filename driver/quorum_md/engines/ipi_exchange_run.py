"""``quorum i-pi`` with ``<smotion mode='remd'>``: our exchanges in place of i-PI's step."""

from typing import Any

import numpy as np
from ipi.engine.forcefields import FFDirect
from ipi.engine.motion import Dynamics
from ipi.engine.smotion import ReplicaExchange
from ipi.utils.softexit import softexit
from ipi.utils.units import unit_to_user

from ..errors import QuorumError
from ..sampling.exchange import Exchange, Mixing, State, statistics_table
from .ipi_exchange import ExchangeStep
from .ipi_exchange_energies import barostat
from .ipi_exchange_options import ExchangeOptions, read_exchange_options
from .ipi_exchange_output import ExchangeOutput
from .ipi_model import IpiModel
from .ipi_restart import OtherState
from .ipi_table import file_name
from .ipi_takeover import EXCHANGES, flatten, replace_step, stream_key

# rounds of polling, a tenth of a millisecond or more each, after which i-PI stops to wait
PATIENCE = 30


def ladder(systems: list[Any]) -> list[int]:
    """Systems in the order in which they are neighbours.

    By temperature if that alone makes the states different, else that of the input.
    """
    temperatures = [system.ensemble.temp for system in systems]
    others = {
        (
            np.asarray(system.ensemble.pext).tobytes(),  # nan where there is none
            np.asarray(system.ensemble.stressext).tobytes(),
            np.asarray(system.ensemble.bweights).tobytes(),
            np.asarray(system.ensemble.hweights).tobytes(),
            *((c.ffield, float(c.weight)) for c in [*system.fcomp, *(system.ensemble.bcomp or [])]),
        )
        for system in systems
    }
    order = list(range(len(systems)))
    return order if len(others) > 1 else sorted(order, key=temperatures.__getitem__)


class ExchangeRun:
    """What `quorum i-pi` does about ``remd``; a `Part` of `ipi_sampling_run`."""

    name = "exchange"

    def __init__(self, path: str, text: str, models: dict[str, IpiModel]) -> None:
        self.path, self._models = path, models
        self.options: ExchangeOptions = read_exchange_options(path, text)
        self._begin = ""

    def applies(self, simulation: Any) -> bool:
        """Whether the input has an exchange."""
        return bool(find_exchanges(simulation.smotion))

    def take_over(self, simulation: Any, seed: int, stored: Any) -> None:
        """Between i-PI's parsing and its binding: decisions, batches."""
        (smotion,) = find_exchanges(simulation.smotion)
        n = len(simulation.syslist)
        if stored is None and not np.array_equal(
            smotion.repindex, np.arange(len(smotion.repindex))
        ):
            raise QuorumError(
                f"{self.path}: [remd] repindex: plain i-PI has exchanged the temperatures of its "
                "systems, so its files belong to replicas; those of `quorum i-pi` belong to "
                "states: start from the last structures with an input of your own"
            )
        self._smotion = smotion
        self._exchange = Exchange(
            n, stream_key(seed, 0, EXCHANGES), self.options.scheme, self.options.per_attempt
        )
        self._mixing = Mixing(n)
        if stored is None:
            self._mixing.add(self._exchange.permutation)
            self._begin = f"seed {seed}"
        else:
            try:
                self._exchange.restore(stored["decisions"])
                self._mixing.restore(stored["mixing"])
            except (QuorumError, KeyError, TypeError, ValueError) as error:
                raise OtherState(self.path) from error
            self._begin = f"continued after {self._exchange.number} attempts"
        self._batched = _batch(simulation, self._models)

    def after_binding(self, simulation: Any) -> str:
        """Steps and files; returns what was taken over."""
        smotion = self._smotion
        self._order = ladder(simulation.syslist)
        systems = [simulation.syslist[index] for index in self._order]
        names = [s.prefix or f"state{i}" for i, s in zip(self._order, systems, strict=True)]
        output = ExchangeOutput(
            file_name(simulation, self.options.filename),
            names,
            self._exchange,
            self.options.stride,
            simulation.step,
            lambda: statistics_table(self._exchange, self._mixing, [_state(s) for s in systems]),
        )
        softexit.register_function(output.close)
        step = ExchangeStep(
            systems, self._exchange, self._mixing, smotion.stride, smotion.rescalekin, output
        )
        replace_step(smotion, step.step)
        return (
            f" @quorum: remd of {len(systems)} states ({', '.join(names)}) taken over, scheme "
            f"{self.options.scheme}, {self._begin}; files belong to states{self._batched}"
        )

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {"decisions": self._exchange.state(), "mixing": self._mixing.state()}


def find_exchanges(smotion: Any) -> list[Any]:
    """Those in i-PI's *smotion*, inside ``multi`` too."""
    return [one for one in flatten(smotion) if type(one) is ReplicaExchange]


def _state(system: Any) -> State:
    ensemble = system.ensemble
    pressure = None
    if barostat(system) is not None:
        pext = float(ensemble.pext)
        if np.isnan(pext):  # a stress was given
            pext = float(np.trace(ensemble.stressext)) / 3
        pressure = float(unit_to_user("pressure", "gigapascal", pext))
    return State(float(unit_to_user("temperature", "kelvin", ensemble.temp)), pressure)


def _batch(simulation: Any, models: dict[str, IpiModel]) -> str:
    """Let force fields of ours take all systems in one call, unless the input has batches.

    Where systems do not all ask equally often, as with swaps, an incomplete batch is done when
    nothing has arrived for a while.
    """
    motions = [list(flatten(system.motion)) for system in simulation.syslist]
    alike = all(len(one) == 1 for one in motions) and 1 == len(
        {tuple(np.asarray(one[0].nmts).tolist()) for one in motions if type(one[0]) is Dynamics}
    )
    done = []
    for name in models:
        field = simulation.fflist[name]
        users = [[c for c in s.fcomp if c.ffield == name] for s in simulation.syslist]
        if type(field) is not FFDirect or field.batch_size > 1 or not all(users):
            continue
        size = sum(
            min(c.nbeads or s.beads.nbeads, s.beads.nbeads)
            for s, components in zip(simulation.syslist, users, strict=True)
            for c in components
        )
        field.batch_size = size
        field._batch_idle_threshold = max(size, PATIENCE)
        field.threaded = field.threaded or not alike
        simulation.threading = True
        done.append(f"{size} structures in one call of {name}")
    return "".join(f", {one}" for one in done)
