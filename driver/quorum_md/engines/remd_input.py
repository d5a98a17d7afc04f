"""``run.toml``: replica exchange with LAMMPS replicas, as `quorum remd` reads it.

    [states]
    temperatures_K = [600, 660, 726, 800]
    pressure_GPa = 0.0              # leave out at constant volume

    [lammps]
    structure = "in.structure"      # units, box, atoms, masses, velocities
    script = "in.run"               # pair style, fixes, computes; no run command
    elements = ["Nb", "Mo", "Ta", "W"]

    [exchange]
    attempts = 10000
    steps = 100
    seed = 4711

Relative paths are those of the folder of run.toml.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import QuorumError
from ..sampling.exchange.decisions import SCHEMES
from ..sampling.exchange.ladders import geometric
from ..sampling.exchange.states import State
from ..toml_input import InputFile, at_least, duration_s, nearest, read_toml

# what every script may use; [lammps] variables add to them. `seed` is another one after every
# checkpoint, for noise that is not continued (fix langevin), `chain_seed` always the same
VARIABLES = ("temperature", "pressure", "replica", "replicas", "seed", "chain_seed")


def check_variable(name: str) -> None:
    """Raises `QuorumError` if LAMMPS or we cannot have a variable of this name."""
    if name in VARIABLES:
        raise QuorumError(f"variables: {name} is set for every state by quorum remd; leave it out")
    if not re.fullmatch(r"\w+", name):
        raise QuorumError(f"variables: {name}: LAMMPS has names of letters, digits and _ only")


@dataclass(frozen=True)
class States:
    """Thermodynamic states: temperatures one by one, or n with one ratio between two."""

    temperatures_K: tuple[float, ...] = ()
    lowest_K: float = 0.0
    highest_K: float = 0.0
    n: int = 0
    pressure_GPa: float | tuple[float, ...] | None = None  # None: constant volume
    # of the scripts, a number for each state, by which their potentials differ
    variables: dict[str, tuple[float, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ends = (self.lowest_K, self.highest_K, self.n)
        if bool(self.temperatures_K) == any(ends) or (any(ends) and not all(ends)):
            raise QuorumError(
                "temperatures_K: expected temperatures_K, or in its place lowest_K, highest_K and n"
            )
        if self.n:
            ladder = geometric(self.lowest_K, self.highest_K, self.n)
            object.__setattr__(self, "temperatures_K", tuple(ladder.tolist()))
        kelvin = np.array(self.temperatures_K)
        if len(kelvin) < 2:
            raise QuorumError(
                f"temperatures_K: got {len(kelvin)}, expected two or more states to exchange"
            )
        if not (np.isfinite(kelvin) & (kelvin > 0)).all():
            raise QuorumError(
                f"temperatures_K: got {kelvin.tolist()}, expected positive numbers of K"
            )
        if isinstance(self.pressure_GPa, tuple) and len(self.pressure_GPa) != len(kelvin):
            raise QuorumError(
                f"pressure_GPa: got {len(self.pressure_GPa)} for {len(kelvin)} temperatures_K, "
                "expected one number for all, or one for each"
            )
        for name, values in self.variables.items():
            if len(values) != len(kelvin) or not np.isfinite(values).all():
                raise QuorumError(
                    f"variables: {name}: got {list(values)}, expected a number for each of the "
                    f"{len(kelvin)} states"
                )
            check_variable(name)
        pressures = [p for p in self.pressures_GPa if p is not None]
        if not np.isfinite(pressures).all():
            raise QuorumError(f"pressure_GPa: got {pressures}, expected finite numbers of GPa")

    @property
    def states(self) -> tuple[State, ...]:
        """As decisions know them."""
        parameters = [
            {name: values[s] for name, values in self.variables.items()}
            for s in range(len(self.temperatures_K))
        ]
        return tuple(map(State, self.temperatures_K, self.pressures_GPa, parameters))

    @property
    def pressures_GPa(self) -> tuple[float | None, ...]:
        """One for each state."""
        if isinstance(self.pressure_GPa, tuple):
            return self.pressure_GPa
        return (self.pressure_GPa,) * len(self.temperatures_K)


@dataclass(frozen=True)
class Lammps:
    """What each LAMMPS runs."""

    structure: str
    script: str
    elements: tuple[str, ...]  # of the atom types, in order
    ranks_per_replica: int = 1
    variables: dict[str, float | str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()  # of LAMMPS's command line, ["-sf", "gpu"]
    members: str = ""  # vector of member energies; found by itself with pair_style quorum

    def __post_init__(self) -> None:
        at_least("ranks_per_replica", self.ranks_per_replica, 1)
        for name in self.variables:
            check_variable(name)


@dataclass(frozen=True)
class Exchanges:
    """How often, and in what way."""

    attempts: int  # of the whole run, restarts included
    steps: int  # of dynamics before each
    seed: int
    scheme: str = "neighbors"
    per_attempt: int = 1

    def __post_init__(self) -> None:
        for name in ("attempts", "steps", "per_attempt"):
            at_least(name, getattr(self, name), 1)
        at_least("seed", self.seed, 0)
        if self.scheme not in SCHEMES:
            raise QuorumError(f'scheme: got "{self.scheme}"; {nearest(self.scheme, SCHEMES)}')


@dataclass(frozen=True)
class Output:
    """What is written, and where."""

    folder: str = "remd"
    trajectory: int = 0  # attempts between frames of a state; 0: no trajectory
    columns: tuple[str, ...] = ()  # further quantities, as in thermo_style: "press", "c_msd[4]"

    def __post_init__(self) -> None:
        at_least("trajectory", self.trajectory, 0)
        for name in self.columns:
            if len(name.split()) != 1 or "/" in name:
                raise QuorumError(f'columns: got "{name}", expected one word of thermo_style')


@dataclass(frozen=True)
class Checkpoints:
    """When the run can be continued."""

    every: int = 100  # attempts
    time_limit: str = ""  # of the job, "23:50:00" or "1-12:00:00"
    keep: int = 2

    def __post_init__(self) -> None:
        at_least("every", self.every, 1)
        at_least("keep", self.keep, 1)
        duration_s("time_limit", self.time_limit)

    @property
    def time_limit_s(self) -> float:
        """Infinite if there is none."""
        return duration_s("time_limit", self.time_limit)


@dataclass(frozen=True)
class RemdInput:
    """All of run.toml."""

    states: States
    lammps: Lammps
    exchange: Exchanges
    output: Output = field(default_factory=Output)
    checkpoint: Checkpoints = field(default_factory=Checkpoints)


class RemdFile(InputFile[RemdInput]):
    """A run.toml that was read."""

    @property
    def folder(self) -> Path:
        """Of the output."""
        return self.place(self.settings.output.folder)


def read_remd(path: str) -> RemdFile:
    """Read and check run.toml.

    Raises:
        QuorumError: as `read_toml`.
    """
    return RemdFile(path, read_toml(path, RemdInput), Path(path).absolute().parent)
