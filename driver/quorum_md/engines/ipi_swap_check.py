"""``<motion mode='atomswap'>`` before the run: elements that are there, and atoms that may move."""

import difflib
from types import SimpleNamespace
from typing import Any

import numpy as np
from ipi.engine.motion import AtomSwap

from ..errors import QuorumError
from .ipi_swap_options import SwapOptions
from .ipi_swaps import SwapChain
from .ipi_takeover import find_motions, flatten


def exchangeable(system: Any, motion: Any) -> dict[str, np.ndarray]:
    """The atoms that *motion* may swap, by element in the order of its ``names``.

    Atoms in ``<fixatoms>`` of the motion itself are left out.
    """
    names = np.array([str(name) for name in system.beads.names])
    free = np.ones(len(names), dtype=bool)
    free[fixed_atoms(motion)] = False
    wanted = dict.fromkeys(str(name) for name in motion.names)
    return {name: np.flatnonzero((names == name) & free) for name in wanted}


def fixed_atoms(motion: Any) -> np.ndarray:
    """Atoms of which i-PI holds a coordinate."""
    return np.unique(np.asarray(motion.fixatoms_dof, dtype=int) // 3)


def check_swaps(where: str, system: Any, options: SwapOptions) -> bool:
    """Whether *system* has swaps; *where* opens the `QuorumError` if one cannot be done."""
    found = list(find_motions([system], AtomSwap))
    for _, _, motion in found:
        _check(f"{where}: [atomswap]", system, motion)
        if options.neighbors_A is not None:
            bare = SimpleNamespace(beads=system.beads, cell=system.cell)
            try:
                chain = SwapChain(
                    bare, exchangeable(system, motion), (0, 0, 0), options.neighbors_A
                )
                chain.place()
            except QuorumError as error:
                raise QuorumError(f"{where}: [atomswap] {error}") from error
    return bool(found)


def _check(where: str, system: Any, motion: Any) -> None:
    present = sorted({str(name) for name in system.beads.names})
    elements = exchangeable(system, motion)
    if len(elements) < 2:
        raise QuorumError(
            f"{where} names: got {', '.join(elements) or 'none'}, expected two elements or more; "
            f"write <names> [ {', '.join(present)} ] </names>"
        )
    for name, atoms in elements.items():
        if name not in present:
            near = difflib.get_close_matches(name, present, 1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(present)}"
            others = [n for n in elements if n in present]
            alone = f", so that {others[0]} has no partner" if len(others) == 1 else ""
            raise QuorumError(f"{where} names: no atom is called {name}{alone}; {hint}")
        if not len(atoms):
            raise QuorumError(
                f"{where} fixatoms: leaves no atom of {name} to swap; take {name} out of the names "
                "or free some of its atoms"
            )
    if not (np.isfinite(motion.nxc) and motion.nxc >= 0):
        raise QuorumError(
            f"{where} nxc: got {motion.nxc}, expected a number of trials per step, 0 or more"
        )
    swapped = np.concatenate(list(elements.values()))
    for other in flatten(system.motion):
        held = np.intersect1d(fixed_atoms(other), swapped)
        if held.size:
            raise QuorumError(
                f"{where} would move atom {held[0]}, which another motion holds fixed; write the "
                "same <fixatoms> into the atomswap motion too"
            )
