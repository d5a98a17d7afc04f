"""Remember what i-PI has evaluated, to go back to it without evaluating it again."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from ipi.engine.forces import ForceComponent
from ipi.utils.depend import dstrip


class ForceState:
    """Energies, forces, virials and extras of all components of some of i-PI's ``Forces``.

    i-PI's own ``dump_state`` knows neither the components that scale others, which every bias has,
    nor those that were not evaluated, which it would declare valid. Positions are the caller's:
    set them first, then `restore`. Without *copy* the replies are those that i-PI holds, which it
    replaces and does not change.
    """

    def __init__(self, *forces: Any, copy: bool = True) -> None:
        self._forces = forces
        self._values = []
        for component in _evaluated(forces):
            # the positions of contracted ring polymers follow from the full ones
            positions = dstrip(component.beads.q).copy()
            replies = [
                None if bead._ufvx.tainted() else bead._ufvx._value for bead in component._forces
            ]
            self._values.append((positions, deepcopy(replies) if copy else replies))

    def restore(self, *forces: Any) -> None:
        """Everything is valid again that was valid; what was not is evaluated when needed.

        *forces*: others with the same components, to which it is to go.
        """
        components = _evaluated(forces or self._forces)
        for component, (positions, replies) in zip(components, self._values, strict=True):
            component.beads._q.set(positions, manual=False)
            for bead, reply in zip(component._forces, replies, strict=True):
                if reply is not None:
                    bead._ufvx.set(reply, manual=False)


def _evaluated(forces: Any) -> Iterator[Any]:
    return (c for f in forces for c in f.mforces if isinstance(c, ForceComponent))
