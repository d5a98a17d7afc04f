"""``quorum i-pi`` with ``<motion mode='atomswap'>``: chains in place of i-PI's steps."""

from typing import Any

import numpy as np
from ipi.engine.forcefields import FFDirect
from ipi.engine.motion import AtomSwap
from ipi.engine.outputs import PropertyOutput
from ipi.utils.softexit import softexit

from .ipi_model import IpiModel
from .ipi_restart import OtherState
from .ipi_swap_check import exchangeable
from .ipi_swap_energies import LocalLogRatio, why_not_local
from .ipi_swap_options import SwapOptions, read_options
from .ipi_swap_output import SwapOutput
from .ipi_swaps import Counters, SwapChain
from .ipi_table import file_name
from .ipi_takeover import Found, find_motions, replace_step

DEFAULT_STRIDE = 100


class SwapRun:
    """What `quorum i-pi` does about the swaps of one input; a `Part` of `ipi_sampling_run`."""

    name = "chains"

    def __init__(self, path: str, text: str, models: dict[str, IpiModel]) -> None:
        self.path = path
        self.options: SwapOptions = read_options(path, text)
        self._stored: Any = None
        self._chains: list[tuple[Found, SwapChain]] = []
        self._seed = 0
        self._models = models

    def applies(self, simulation: Any) -> bool:
        """Whether the input has swaps."""
        return any(find_motions(simulation.syslist, AtomSwap))

    def take_over(self, simulation: Any, seed: int, stored: Any) -> None:
        """Between i-PI's parsing and its binding: the steps."""
        self._seed, self._stored = seed, stored
        for one in find_motions(simulation.syslist, AtomSwap):
            elements = exchangeable(simulation.syslist[one.system], one.motion)
            key = (seed, one.system, one.number)
            chain = SwapChain(one.motion, elements, key, self.options.neighbors_A)
            replace_step(one.motion, chain.step)
            self._chains.append((one, chain))
        if stored is not None:
            self._resume(stored)

    def after_binding(self, simulation: Any) -> str:
        """Output files; returns what was taken over."""
        stride = self.options.stride or _stride_of_properties(simulation)
        for index, system in enumerate(simulation.syslist):
            counters = [chain.counters for one, chain in self._chains if one.system == index]
            if counters:
                name = file_name(simulation, self.options.filename, system)
                output = SwapOutput(name, stride, system, counters, simulation.step)
                simulation.outputs.append(output)
                softexit.register_function(output.close)
        how = [self._choose_energies(simulation, *one) for one in self._chains]
        return f"{self._line(simulation)}; {'; '.join(dict.fromkeys(how))}"

    def _choose_energies(self, simulation: Any, found: Found, chain: SwapChain) -> str:
        """Let the chain use local energies where they can be had; a phrase on how it does."""
        system = simulation.syslist[found.system]
        # ffrotations averages over orientations, which one evaluation does not
        plain = {n: m for n, m in self._models.items() if type(simulation.fflist[n]) is FFDirect}
        why = why_not_local(system, found.motion, plain)
        if self.options.energies == "full":
            why = "asked for"
        if why:
            return f"every trial is evaluated by i-PI, with forces: {why}"
        models = [plain[component.ffield] for component in system.forces.mforces]
        chain.local = LocalLogRatio(found.motion, models)
        chain.local.freeze()
        return chain.local.how

    def state(self) -> list[dict[str, Any]]:
        """What a checkpoint holds of it."""
        return [
            {
                "system": one.system,
                "number": one.number,
                "blocks": chain.counters.blocks,
                "trials": chain.counters.trials,
                "attempted": dict(chain.counters.attempted),
                "accepted": dict(chain.counters.accepted),
            }
            for one, chain in self._chains
        ]

    def _resume(self, stored: list[dict[str, Any]]) -> None:
        here = [(one.system, one.number, list(c.counters.attempted)) for one, c in self._chains]
        there = [(c["system"], c["number"], list(c["attempted"])) for c in stored]
        if there != here:
            raise OtherState(self.path)
        for (_, chain), one in zip(self._chains, stored, strict=True):
            for key in vars(Counters()):
                setattr(chain.counters, key, one[key])

    def _line(self, simulation: Any) -> str:
        names = dict.fromkeys(name for _, chain in self._chains for name in chain.names)
        n_systems = len({one.system for one, _ in self._chains})
        begin = f"seed {self._seed}"
        if simulation.step > 0:
            trials = sum(chain.counters.trials for _, chain in self._chains)
            begin += (
                f", continued after {trials} trials"
                if self._stored is not None
                else f"; {self.path} holds no chain of quorum, so a new one begins"
            )
        return (
            f" @quorum: atomswap of {', '.join(names)} in {n_systems} system"
            f"{'s' if n_systems > 1 else ''} taken over, {begin}"
        )


def _stride_of_properties(simulation: Any) -> int:
    strides = [o.stride for o in simulation.outtemplate if type(o) is PropertyOutput]
    return int(np.min(strides)) if strides else DEFAULT_STRIDE
