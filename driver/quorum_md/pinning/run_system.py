"""Tables of run.toml that say what melts: crystal, box, temperatures, compositions of the melt."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from ..errors import QuorumError
from ..toml_input import at_least

FIND = "find"


@dataclass(frozen=True)
class Crystal:
    """The solid phase: a lattice by name, or a file of one cell."""

    structure: str = ""  # of ase.build.bulk: fcc, bcc, hcp, diamond, zincblende, rocksalt, …
    formula: str = ""
    lattice_A: float = 0.0  # a first guess; the runs find the one at T and P
    c_A: float = 0.0  # of hcp, wurtzite and what else has two
    file: str = ""  # any format of ase
    interface: str = "100"  # Miller indices of the plane that touches the melt; 4 in hcp
    # a random alloy on a lattice of one element: fractions
    composition: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if bool(self.structure) == bool(self.file):
            raise QuorumError(
                "structure: expected one of structure (with formula and lattice_A) and file"
            )
        if self.structure and not (self.formula and self.lattice_A > 0):
            raise QuorumError(
                f'lattice_A: got {self.lattice_A:g} and formula "{self.formula}", expected both, '
                'as in formula = "GaAs", lattice_A = 5.65'
            )
        if self.c_A < 0:
            raise QuorumError(f"c_A: got {self.c_A:g}, expected a length in Å")
        if self.composition and abs(sum(self.composition.values()) - 1) > 1e-6:
            raise QuorumError(
                f"composition: got a sum of {sum(self.composition.values()):g}, expected 1"
            )
        _fractions("composition", self.composition)
        _ = self.miller  # checks it

    @property
    def miller(self) -> tuple[int, int, int]:
        """Of the interface; the third of four indices is minus the sum of the first two."""
        words = re.findall(r"-?\d", self.interface.replace(" ", ""))
        numbers = [int(one) for one in words]
        good = "".join(words) == self.interface.replace(" ", "") and len(numbers) in (3, 4)
        if len(numbers) == 4:
            good = good and numbers[2] == -(numbers[0] + numbers[1])
            numbers = [numbers[0], numbers[1], numbers[3]]
        if not good or not any(numbers):
            raise QuorumError(
                f'interface: got "{self.interface}", expected Miller indices as in "100", "11-1", '
                '"0001"'
            )
        return numbers[0], numbers[1], numbers[2]


@dataclass(frozen=True)
class Box:
    """The box of both phases, elongated along z, the normal of the interface."""

    atoms: int = 2000  # at least
    aspect: float = 3.0  # of its length to its width, at least
    repeats: tuple[int, ...] = ()  # of the oriented cell, in place of both

    def __post_init__(self) -> None:
        at_least("atoms", self.atoms)
        if not self.aspect >= 1:
            raise QuorumError(f"aspect: got {self.aspect:g}, expected at least 1, better 3")
        if self.repeats and (len(self.repeats) != 3 or min(self.repeats) < 1):
            raise QuorumError(f"repeats: got {list(self.repeats)}, expected three whole numbers")


@dataclass(frozen=True)
class State:
    """Temperatures, and the pressure of all."""

    temperatures_K: tuple[float, ...] | str
    pressure_GPa: float = 0.0
    guess_K: float = 0.0  # of the melting point, for temperatures_K = "find"
    spread: float = 0.03  # the first temperatures are guess_K (1 ± spread)
    tolerance_K: float = (
        0.0  # "find" ends when the next one is so near to one that was run; 0: 0.5 %
    )
    at_most: int = 6  # temperatures of "find"

    def __post_init__(self) -> None:
        if isinstance(self.temperatures_K, str):
            if self.temperatures_K != FIND:
                raise QuorumError(
                    f'temperatures_K: got "{self.temperatures_K}", expected a list of K, or '
                    f'"{FIND}" and guess_K'
                )
            if not (self.guess_K > 0 and math.isfinite(self.guess_K)):
                raise QuorumError(
                    f"guess_K: got {self.guess_K:g}, expected about where it melts, in K"
                )
            if not 0 < self.spread < 0.3:
                raise QuorumError(f"spread: got {self.spread:g}, expected a fraction as 0.03")
        else:
            _temperatures(self.temperatures_K)
        if not math.isfinite(self.pressure_GPa):
            raise QuorumError(f"pressure_GPa: got {self.pressure_GPa}, expected a finite number")
        if not self.tolerance_K >= 0:
            raise QuorumError(f"tolerance_K: got {self.tolerance_K:g}, expected K, or 0 for 0.5 %")
        at_least("at_most", self.at_most, 2)

    @property
    def finds(self) -> bool:
        """Whether temperatures are chosen on the way."""
        return self.temperatures_K == FIND

    @property
    def first_K(self) -> tuple[float, ...]:
        """Temperatures that are known before anything has run."""
        if isinstance(self.temperatures_K, str):
            return tuple(round(self.guess_K * (1 + s * self.spread), 1) for s in (-1, 1))
        return self.temperatures_K


@dataclass(frozen=True)
class Liquid:
    """Melts of other composition than the crystal, for phase diagrams."""

    # of the first of [potential] elements in the melt; the rest are those of the crystal, or of a
    # crystal that has no others the second
    fractions: tuple[float, ...] = ()
    # of the pinned runs of each of them, where they melt; left out: those of [state]
    temperatures_K: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        if any(not 0 <= x <= 1 for x in self.fractions):
            raise QuorumError(f"fractions: got {list(self.fractions)}, expected parts of 1")
        if len({label_x(x) for x in self.fractions}) < len(self.fractions):
            raise QuorumError(
                f"fractions: got {list(self.fractions)}, expected different ones (folder names "
                "have three digits)"
            )
        if self.temperatures_K and len(self.temperatures_K) != len(self.fractions):
            raise QuorumError(
                f"temperatures_K: got {len(self.temperatures_K)} lists, expected one for each of "
                f"the {len(self.fractions)} fractions, or none for those of [state]"
            )
        for kelvin in self.temperatures_K:
            _temperatures(kelvin)

    def pinned_K(self, fraction: float) -> tuple[float, ...] | None:
        """Temperatures of the pinned runs of a melt; None for those of [state]."""
        if not self.temperatures_K:
            return None
        return self.temperatures_K[self.fractions.index(fraction)]


def label_x(fraction: float) -> str:
    """Of the composition of a melt in the name of a folder."""
    return f"x{fraction:.3f}"


def label_K(temperature_K: float) -> str:
    """Of a temperature in the name of a folder."""
    return f"{temperature_K:06.1f}K"


def _temperatures(kelvin: tuple[float, ...]) -> None:
    if not kelvin or not all(t > 0 and math.isfinite(t) for t in kelvin):
        raise QuorumError(f"temperatures_K: got {list(kelvin)}, expected positive numbers of K")
    if len({label_K(t) for t in kelvin}) < len(kelvin):
        raise QuorumError(f"temperatures_K: got {list(kelvin)}, expected different ones")


def _fractions(name: str, values: dict[str, float]) -> None:
    for key, value in values.items():
        if not 0 <= value <= 1:
            raise QuorumError(f"{name}: {key}: got {value:g}, expected a part of 1")
