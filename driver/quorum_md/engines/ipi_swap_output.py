"""The file of the swaps of one system: trials, acceptances, members of the current state."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ipi.engine.forces import ForceComponent

from ..units import HARTREE_EV
from .ipi_swaps import Counters
from .ipi_table import open_table


class SwapOutput:
    """One of i-PI's outputs: i-PI calls `active` and `write` where it writes its own.

    Numbers count from the beginning of the chain. The members' energies (eV, mean over beads) are
    those of the state that i-PI's other outputs of the same step show. *resumed_at* is the step of
    the RESTART; later rows in the file belong to a run that went on beyond it.
    """

    def __init__(
        self, path: str, stride: int, system: Any, chains: Sequence[Counters], resumed_at: int
    ) -> None:
        self.path, self.stride = path, stride
        self._system, self._chains = system, chains
        self._file: Any = None
        self._resumed_at = resumed_at

    def active(self) -> bool:
        """Whether i-PI's current step is one of ours."""
        return (self._system.simul.step + 1) % self.stride == 0

    def write(self) -> None:
        """Append a row, after the header if it is the first."""
        if not self.active():
            return
        members_eV = current_members_eV(self._system)
        if self._file is None:
            self._open(len(members_eV))
        row: list[int] = [self._system.simul.step + 1]
        row += [sum(c.trials for c in self._chains)]
        row += [sum(sum(c.accepted.values()) for c in self._chains)]
        for pair in self._pairs():
            row += [sum(c.attempted.get(pair, 0) for c in self._chains)]
            row += [sum(c.accepted.get(pair, 0) for c in self._chains)]
        words = [f"{number:12d}" for number in row] + [f"{e:23.15e}" for e in members_eV]
        self._file.write(" ".join(words) + "\n")
        self._file.flush()

    def close(self) -> None:
        """At the end of i-PI."""
        if self._file is not None:
            self._file.close()

    def _pairs(self) -> list[str]:
        return list(dict.fromkeys(pair for chain in self._chains for pair in chain.attempted))

    def _open(self, n_members: int) -> None:
        names = ["step", "trials", "accepted"]
        for pair in self._pairs():
            names += [f"{pair}_trials", f"{pair}_accepted"]
        names += [f"member_{k}_eV" for k in range(n_members)]
        header = (
            "# atom swaps counted from the start of the chain, in all and per pair of elements, "
            "and energies of the members for the state after the step\n"
            f"# {' '.join(names)}\n"
        )
        self._file, _ = open_table(self.path, header, self._resumed_at)


def current_members_eV(system: Any) -> np.ndarray:
    """Energies (K,) of the members, mean over beads; empty unless one component sends them."""
    found = []
    for component in system.forces.mforces:
        if isinstance(component, ForceComponent) and component.weight != 0:
            members = component.extras.get("committee_pot")
            if members is not None:
                found.append(np.asarray(members, dtype=float).reshape(component.nbeads, -1))
    return found[0].mean(axis=0) * HARTREE_EV if len(found) == 1 else np.empty(0)
