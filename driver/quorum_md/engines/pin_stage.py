"""What interface pinning asks of an engine, and what it gets: stages of dynamics, rows of numbers.

A job is a list of stages. An engine takes a configuration with its velocities from a file, goes on
with a stage for some steps, gives a row whenever asked, and writes the configuration again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..order_parameters.pinned import PinnedVariable

Array = npt.NDArray[np.float64]

# of a row; energies of the members come behind. Pressures are those that the barostat sees
COLUMNS = (
    "temperature_K", "potential_eV", "volume_A3", "lx_A", "ly_A", "lz_A",
    "pxx_GPa", "pyy_GPa", "pzz_GPa", "q", "bias_eV",
)  # fmt: skip
BOXES = ("fixed", "iso", "aniso", "z")  # which edges the barostat moves


@dataclass(frozen=True)
class Stage:
    """A stretch of dynamics under the same conditions.

    Attributes:
        name: of it, for files and messages.
        steps: of dynamics, whole intervals.
        temperature_K: of the thermostat.
        box: one of `BOXES`.
        n_held: so many atoms, the first ones, do not move.
        kappa_eV, center: of the bias; kappa_eV = 0: the variable is only measured.
        recorded: whether its rows are kept.
        fresh: begins with new velocities.
        order: if given, the variable must be beyond it at the end, away from its value `order_from`
            in the crystal; else the stage is done again, hotter.
    """

    name: str
    steps: int
    temperature_K: float
    box: str
    n_held: int = 0
    kappa_eV: float = 0.0
    center: float = 0.0
    recorded: bool = False
    fresh: bool = False
    order: float | None = None
    order_from: float = 0.0

    def molten(self, q: float) -> bool:
        """Whether the order that must go has gone."""
        if self.order is None:
            return True
        return (q - self.order) * (self.order_from - self.order) < 0


@dataclass(frozen=True)
class Setting:
    """What all jobs of a run share.

    Attributes:
        root: folder of run.toml, for paths in it.
        elements: of the atom types.
        pressure_GPa: of the barostat.
        thermostat: "langevin" or "nose-hoover"; both relaxation times in steps.
        script, units, arguments, atom_style: of LAMMPS.
        model, timestep_fs: of i-PI.
    """

    root: Path
    elements: tuple[str, ...]
    variable: PinnedVariable
    pressure_GPa: float
    interval_steps: int
    thermostat: str
    thermostat_steps: int
    barostat_steps: int
    script: str = ""
    units: str = "metal"
    atom_style: str = "atomic"
    arguments: tuple[str, ...] = ()
    model: str = ""
    timestep_fs: float = 0.0


@dataclass(frozen=True)
class EngineFacts:
    """Of an engine that has begun a stage."""

    n_members: int
    timestep_fs: float


class Engine(Protocol):
    """One configuration that moves, on the ranks of a communicator."""

    suffix: str  # of the files that hold a configuration

    def begin(self, atoms: Any, temperature_K: float, seed: int, path: Path) -> None:
        """Write a configuration to start from, with velocities."""
        ...

    def open(self, stage: Stage, path: Path, seed: int, first: bool) -> EngineFacts:
        """Make ready to go on from a file.

        Args:
            seed: of noise, another one for every block.
            first: the stage begins here.
        """
        ...

    def advance(self, steps: int) -> None:
        """Go on."""
        ...

    def row(self) -> Array:
        """`COLUMNS` and members as they are now, on all ranks."""
        ...

    def save(self, path: Path) -> None:
        """Write the configuration; `open` follows before it moves again."""
        ...

    def close(self) -> None:
        """End it."""
        ...
