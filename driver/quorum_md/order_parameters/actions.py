"""The actions of a PLUMED input that the native backend knows, as plain data.

What they compute is in the manual of PLUMED and in the modules of the same names here. PLUMED's own
words are kept: labels, keywords, components.
"""

from __future__ import annotations

from dataclasses import dataclass

from .environments import Environments
from .switching import Switch
from .words import Statement


@dataclass(frozen=True)
class Units:
    """What the numbers of a file are in.

    Attributes:
        length_A: Å per unit of length, 1 if natural.
        energy_eV: eV per unit of energy, 1 if natural.
        natural: whether the structure's own numbers are meant, whatever they are in.
    """

    length_A: float
    energy_eV: float
    natural: bool = False


@dataclass(frozen=True)
class Selection:
    """Atoms, counted from 0; all of them if there are no indices."""

    indices: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Component:
    """One number made of the values of all centres.

    Attributes:
        name: ``label.mean`` and so on.
        kind: mean, sum, lessthan, morethan, vmean or vsum.
        switch: of lessthan and morethan.
    """

    name: str
    kind: str
    switch: Switch | None = None


@dataclass(frozen=True)
class MultiColvar:
    """One value for every centre, from its neighbours.

    Attributes:
        centres, neighbours: atoms; the same ones for SPECIES.
        cutoff: beyond it nothing counts; infinite for a switch without D_MAX.
    """

    statement: Statement
    label: str
    centres: Selection
    neighbours: Selection
    components: tuple[Component, ...]
    cutoff: float


@dataclass(frozen=True)
class FccCubic(MultiColvar):
    """FCCUBIC."""

    switch: Switch
    alpha: float


@dataclass(frozen=True)
class Steinhardt(MultiColvar):
    """Q4 or Q6."""

    switch: Switch
    degree: int


@dataclass(frozen=True)
class LocalSteinhardt(MultiColvar):
    """LOCAL_Q4 or LOCAL_Q6 of the vectors of an earlier action."""

    switch: Switch
    of: Steinhardt


@dataclass(frozen=True)
class LocalAverage(MultiColvar):
    """LOCAL_AVERAGE of the vectors (Q4, Q6) or values of an earlier action."""

    switch: Switch
    of: MultiColvar


@dataclass(frozen=True)
class Similarity(MultiColvar):
    """ENVIRONMENTSIMILARITY.

    Attributes:
        names: of the neighbours, in the order of their selection; empty if they do not matter.
    """

    environments: Environments
    sigma: float
    sharpness: float
    inner_cutoff: float
    names: tuple[str, ...]


@dataclass(frozen=True)
class Combine:
    """COMBINE: Σ c (x − p)ⁿ, named by its label."""

    statement: Statement
    label: str
    arguments: tuple[str, ...]
    coefficients: tuple[float, ...]
    parameters: tuple[float, ...]
    powers: tuple[float, ...]


@dataclass(frozen=True)
class Restraint:
    """RESTRAINT: Σ κ/2 (x − a)² + m (x − a)."""

    statement: Statement
    label: str
    arguments: tuple[str, ...]
    at: tuple[float, ...]
    kappa: tuple[float, ...]
    slope: tuple[float, ...]


@dataclass(frozen=True)
class Wall:
    """UPPER_WALLS (`side` 1) or LOWER_WALLS (−1): Σ κ [(side (x − a) + o)/ε]ᵉ where positive."""

    statement: Statement
    label: str
    side: int
    arguments: tuple[str, ...]
    at: tuple[float, ...]
    kappa: tuple[float, ...]
    offset: tuple[float, ...]
    power: tuple[float, ...]
    epsilon: tuple[float, ...]


Action = MultiColvar | Combine | Restraint | Wall


@dataclass(frozen=True)
class Program:
    """A whole input.

    Attributes:
        file: for messages.
        actions: in the order of the file, which is that of evaluation.
        names: of all values, label.component or label.
    """

    file: str
    units: Units
    actions: tuple[Action, ...]
    names: tuple[str, ...]
