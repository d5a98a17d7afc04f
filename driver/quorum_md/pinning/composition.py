"""Which atom is what: random alloys as crystals, melts of other composition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from .run_input import PinFile


def substitute(file: PinFile, atoms: Atoms, unit: Atoms) -> None:
    """A random alloy: exact numbers, in an order of the first seed.

    Args:
        unit: what was repeated.
    """
    kinds = list(dict.fromkeys(unit.symbols))
    if len(kinds) > 1:
        raise file.error(
            "crystal",
            f"composition: got it for a cell of {' '.join(kinds)}, whose sublattices it would "
            "mix; expected a lattice of one element, or give a file with the alloy, repeated "
            "as needed",
        )
    fractions = file.settings.crystal.composition
    numbers = {symbol: round(x * len(atoms)) for symbol, x in fractions.items()}
    last = list(numbers)[-1]
    numbers[last] += len(atoms) - sum(numbers.values())
    symbols = np.repeat(list(numbers), list(numbers.values()))
    np.random.default_rng([file.settings.run.seeds[0], 2]).shuffle(symbols)
    try:
        atoms.set_chemical_symbols([str(one) for one in symbols])
    except KeyError as error:
        raise file.error("crystal", f"composition: there is no element {error}") from error


def recomposed(
    atoms: Atoms, which: slice, element: str, fraction: float, elements: Sequence[str], seed: int
) -> None:
    """Make a fraction of some atoms this element, the fewest possible others changed at random.

    Args:
        elements: the others are those of these that the crystal has; if it has none, the first.
    """
    rng = np.random.default_rng([seed, 1])
    symbols = np.array(atoms.get_chemical_symbols(), dtype=object)
    part = symbols[which]
    wanted = round(fraction * len(part))
    have = np.flatnonzero(part == element)
    others = np.flatnonzero(part != element)
    if len(have) < wanted:
        part[rng.choice(others, wanted - len(have), replace=False)] = element
    elif len(have) > wanted:
        rest = [one for one in elements if one != element]
        rest = [one for one in rest if one in symbols] or rest[:1]
        chosen = rng.choice(have, len(have) - wanted, replace=False)
        part[chosen] = [rest[k % len(rest)] for k in range(len(chosen))]
    symbols[which] = part
    atoms.set_chemical_symbols(list(symbols))
