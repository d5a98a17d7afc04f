"""``quorum i-pi`` with ``<motion mode='atomswap'>``: chains in place of i-PI's steps."""

from typing import Any

import numpy as np
from ipi.engine.forcefields import FFDirect
from ipi.engine.motion import AtomSwap
from ipi.engine.outputs import PropertyOutput
from ipi.utils.messages import info
from ipi.utils.softexit import softexit

from ..errors import QuorumError
from .ipi_model import IpiModel
from .ipi_restart import keep_state, read_state
from .ipi_swap_check import exchangeable
from .ipi_swap_energies import LocalLogRatio, why_not_local
from .ipi_swap_options import SwapOptions, read_options
from .ipi_swap_output import SwapOutput
from .ipi_swaps import Counters, SwapChain
from .ipi_takeover import (
    Found,
    find_motions,
    random_states,
    replace_step,
    restore_random_states,
    seed_of,
    separate_random_numbers,
)

STATE = "state"
FORMAT = 1
DEFAULT_STRIDE = 100


class SwapRun:
    """What `quorum i-pi` does about the swaps of one input; nothing if it has none."""

    def __init__(self, path: str, text: str, models: dict[str, IpiModel]) -> None:
        self.path = path
        self.options: SwapOptions = read_options(path, text)
        self._stored = read_state(path, text, STATE)
        self._chains: list[tuple[Found, SwapChain]] = []
        self._seed = 0
        self._models = models

    def hook(self, simulation: Any) -> None:
        """Between i-PI's parsing and its binding: the steps and the random numbers."""
        found = list(find_motions(simulation.syslist, AtomSwap))
        if not found:
            return
        self._seed = self._stored["seed"] if self._stored else seed_of(simulation)
        separate_random_numbers(simulation, self._seed)
        for one in found:
            elements = exchangeable(simulation.syslist[one.system], one.motion)
            key = (self._seed, one.system, one.number)
            chain = SwapChain(one.motion, elements, key, self.options.neighbors_A)
            replace_step(one.motion, chain.step)
            self._chains.append((one, chain))
        if self._stored:
            self._resume(simulation, self._stored)

    def after_binding(self, simulation: Any) -> None:
        """Output files, checkpoints, and the line that says what was taken over."""
        if not self._chains:
            return
        stride = self.options.stride or _stride_of_properties(simulation)
        for index, system in enumerate(simulation.syslist):
            counters = [chain.counters for one, chain in self._chains if one.system == index]
            if counters:
                name = self._file_name(simulation, system)
                output = SwapOutput(name, stride, system, counters, simulation.step)
                simulation.outputs.append(output)
                softexit.register_function(output.close)
        how = [self._choose_energies(simulation, *one) for one in self._chains]
        keep_state(
            simulation, STATE, lambda: self._state(simulation), self.options.to_instruction()
        )
        info(f"{self._line(simulation)}; {'; '.join(dict.fromkeys(how))}")

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

    def _file_name(self, simulation: Any, system: Any) -> str:
        prefix = simulation.outtemplate.prefix
        name = f"{prefix}.{self.options.filename}" if prefix else self.options.filename
        return f"{system.prefix}_{name}" if system.prefix else name

    def _state(self, simulation: Any) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "seed": self._seed,
            "atoms": [system.beads.natoms for system in simulation.syslist],
            "chains": [
                {
                    "system": one.system,
                    "number": one.number,
                    "blocks": chain.counters.blocks,
                    "trials": chain.counters.trials,
                    "attempted": dict(chain.counters.attempted),
                    "accepted": dict(chain.counters.accepted),
                }
                for one, chain in self._chains
            ],
            "random": random_states(simulation),
        }

    def _resume(self, simulation: Any, stored: dict[str, Any]) -> None:
        atoms = [system.beads.natoms for system in simulation.syslist]
        here = [(one.system, one.number, list(c.counters.attempted)) for one, c in self._chains]
        there = [(c["system"], c["number"], list(c["attempted"])) for c in stored["chains"]]
        if stored.get("format") != FORMAT or stored["atoms"] != atoms or there != here:
            raise QuorumError(
                f"{self.path}: [?quorum-state] belongs to other swaps: systems, numbers of atoms "
                "or pairs of elements differ from the input's; undo the change, or remove the "
                "line to start a new chain"
            )
        for (_, chain), one in zip(self._chains, stored["chains"], strict=True):
            for key in vars(Counters()):
                setattr(chain.counters, key, one[key])
        restore_random_states(simulation, stored["random"])

    def _line(self, simulation: Any) -> str:
        names = dict.fromkeys(name for _, chain in self._chains for name in chain.names)
        n_systems = len({one.system for one, _ in self._chains})
        begin = f"seed {self._seed}"
        if simulation.step > 0:
            trials = sum(chain.counters.trials for _, chain in self._chains)
            begin += (
                f", continued after {trials} trials"
                if self._stored
                else f"; {self.path} holds no chain of quorum, so a new one begins"
            )
        return (
            f" @quorum: atomswap of {', '.join(names)} in {n_systems} system"
            f"{'s' if n_systems > 1 else ''} taken over, {begin}"
        )


def _stride_of_properties(simulation: Any) -> int:
    strides = [o.stride for o in simulation.outtemplate if type(o) is PropertyOutput]
    return int(np.min(strides)) if strides else DEFAULT_STRIDE
