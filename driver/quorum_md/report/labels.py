"""Names of observables and their units as people write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..averages.run import Observable

_SYMBOLS = {
    "electronvolt": "eV",
    "millielectronvolt": "meV",
    "kelvin": "K",
    "angstrom": "Å",
    "angstrom3": "Å³",
    "hartree": "Ha",
    "g/cm3": "g/cm³",
    "megapascal": "MPa",
    "gigapascal": "GPa",
    "kj/mol": "kJ/mol",
    "atmosphere": "atm",
}


def unit_symbol(observable: Observable) -> str:
    """ "Å³"; "" where there is none, or it is not known."""
    unit = observable.unit
    if unit == "atomic_unit":
        return "Ha" if observable.paired else "a.u."
    return _SYMBOLS.get(unit.lower(), unit)


def label(observable: Observable) -> str:
    """ "volume / Å³"."""
    unit = unit_symbol(observable)
    return f"{observable.name} / {unit}" if unit else observable.name
