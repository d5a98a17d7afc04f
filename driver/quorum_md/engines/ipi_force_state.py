"""Remember what i-PI has evaluated, to go back to it without evaluating it again."""

from copy import deepcopy
from typing import Any

from ipi.engine.forces import ForceComponent
from ipi.utils.depend import dstrip


class ForceState:
    """Energies, forces, virials and extras of all components of some of i-PI's ``Forces``.

    i-PI's own ``dump_state`` knows neither the components that scale others, which every bias has,
    nor those that were not evaluated, which it would declare valid. Positions are the caller's:
    set them first, then `restore`.
    """

    def __init__(self, *forces: Any) -> None:
        self._components = []
        for component in (c for f in forces for c in f.mforces if isinstance(c, ForceComponent)):
            # the positions of contracted ring polymers follow from the full ones
            positions = dstrip(component.beads.q).copy()
            replies = [
                None if bead._ufvx.tainted() else deepcopy(bead._ufvx._value)
                for bead in component._forces
            ]
            self._components.append((component, positions, replies))

    def restore(self) -> None:
        """Everything is valid again that was valid; what was not is evaluated when needed."""
        for component, positions, replies in self._components:
            component.beads._q.set(positions, manual=False)
            for bead, reply in zip(component._forces, replies, strict=True):
                if reply is not None:
                    bead._ufvx.set(reply, manual=False)
