"""``run.toml`` of interface pinning, as `quorum pin` reads it.

    [crystal]
    structure = "fcc"               # as in ase.build.bulk; or file = "crystal.cif"
    formula = "Ar"
    lattice_A = 5.45
    interface = "100"               # the plane that touches the melt

    [state]
    temperatures_K = [92, 96, 100]  # or "find" with guess_K
    pressure_GPa = 0.0

    [potential]
    engine = "lammps"
    script = "in.potential"         # pair style, masses, time step
    elements = ["Ar"]               # of its atom types

    [run]
    production_steps = 100_000

Relative paths are those of the folder of run.toml. What is left out has a default or is chosen and
said by `quorum pin prepare`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..errors import QuorumError
from ..order_parameters.variables import BACKENDS
from ..toml_input import InputFile, at_least, duration_s, nearest, read_toml
from .run_system import Box, Crystal, Liquid, State

ENGINES = ("lammps", "i-pi")
THERMOSTATS = ("langevin", "nose-hoover")
UNITS = ("metal", "real")
ATOM_STYLES = ("atomic", "charge")


@dataclass(frozen=True)
class Potential:
    """What the energy is, and who moves the atoms."""

    elements: tuple[str, ...]  # of the atom types of the script, in order; of the model
    engine: str = "lammps"
    script: str = ""  # of LAMMPS: pair style, masses, time step; no box and no fixes
    units: str = "metal"
    atom_style: str = "atomic"  # charge: the script gives charges (set type 1 charge 1.0)
    model: str = ""  # of i-PI: a model file
    timestep_fs: float = 0.0  # of i-PI; LAMMPS has it in its script
    arguments: tuple[str, ...] = ()  # of LAMMPS's command line, ["-sf", "omp"]
    ranks_per_job: int = 1

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise QuorumError(f'engine: got "{self.engine}"; {nearest(self.engine, ENGINES)}')
        needed = "script" if self.engine == "lammps" else "model"
        if not getattr(self, needed):
            raise QuorumError(
                f'{needed}: this key is missing; engine "{self.engine}" needs it for the potential'
            )
        if self.engine == "i-pi" and not self.timestep_fs > 0:
            raise QuorumError(f"timestep_fs: got {self.timestep_fs:g}, expected one for i-PI in fs")
        if self.units not in UNITS:
            raise QuorumError(f'units: got "{self.units}"; {nearest(self.units, UNITS)}')
        if self.atom_style not in ATOM_STYLES:
            raise QuorumError(
                f'atom_style: got "{self.atom_style}"; {nearest(self.atom_style, ATOM_STYLES)}'
            )
        if len(set(self.elements)) < len(self.elements) or not self.elements:
            raise QuorumError(f"elements: got {list(self.elements)}, expected different ones")
        at_least("ranks_per_job", self.ranks_per_job)


@dataclass(frozen=True)
class OrderVariable:
    """What is pinned: a value of a PLUMED input, or a Fourier component of the density."""

    plumed: str = ""  # input file of PLUMED, without a restraint; empty: rhok
    value: str = ""  # of that file, "cv.morethan"; left out if it has one only
    backend: str = ""  # native or plumed (the kernel); left out: plumed for what only PLUMED has
    rhok: tuple[int, ...] = ()  # waves along the edges of the box; found if left out

    def __post_init__(self) -> None:
        if self.value and not self.plumed:
            raise QuorumError(f'value: got "{self.value}" without plumed, the file that has it')
        if self.backend and self.backend not in BACKENDS:
            raise QuorumError(f'backend: got "{self.backend}"; {nearest(self.backend, BACKENDS)}')
        if self.backend and not self.plumed:
            raise QuorumError(f'backend: got "{self.backend}" without plumed, the file it is for')
        if self.rhok and (len(self.rhok) != 3 or not any(self.rhok)):
            raise QuorumError(f"rhok: got {list(self.rhok)}, expected three whole numbers")
        if self.rhok and self.plumed:
            raise QuorumError("rhok: got it beside plumed, expected one of them")


@dataclass(frozen=True)
class Pin:
    """The bias κ/2 (Q − a)²; chosen from the bulk runs where it is left out."""

    kappa_eV: float | None = None  # per square of the variable
    center: float | None = None  # a, in the variable's own value
    window: float = 0.01  # √(kT/κ) as a part of Q_solid − Q_liquid, where κ is chosen
    control_kappas: tuple[float, ...] = ()  # further runs with κ times these

    def __post_init__(self) -> None:
        if self.kappa_eV is not None and not self.kappa_eV > 0:
            raise QuorumError(f"kappa_eV: got {self.kappa_eV:g}, expected a positive number")
        if not 0 < self.window <= 0.1:
            raise QuorumError(f"window: got {self.window:g}, expected a part as 0.01")
        if any(not one > 0 or one == 1 for one in self.control_kappas):
            raise QuorumError(
                f"control_kappas: got {list(self.control_kappas)}, expected factors as 2.0"
            )
        if len({f"{one:g}" for one in self.control_kappas}) < len(self.control_kappas):
            raise QuorumError(
                f"control_kappas: got {list(self.control_kappas)}, expected different ones"
            )


@dataclass(frozen=True)
class Run:
    """How long, how often."""

    production_steps: int  # of each pinned run
    equilibration_steps: int = 0  # before it; 0: a fifth of it
    bulk_steps: int = 0  # of each bulk run; 0: a half of the pinned one
    bulk_equilibration_steps: int = 0  # before it; 0: a fifth of it
    melt_steps: int = 0  # of melting, and of cooling; 0: a tenth of the pinned run
    melt_K: float = 0.0  # 0: twice the temperature
    interval_steps: int = 50  # between rows of series.dat
    block_steps: int = 0  # between checkpoints; 0: a tenth of the pinned run
    seeds: tuple[int, ...] = (1,)  # a pinned run of each temperature for each of them
    attempts: int = 3  # of a pinned run that the analysis refuses
    thermostat: str = "langevin"
    thermostat_steps: int = 200  # relaxation times
    barostat_steps: int = 1000

    def __post_init__(self) -> None:
        for name in ("production_steps", "interval_steps", "attempts"):
            at_least(name, getattr(self, name))
        if not self.melt_K >= 0:
            raise QuorumError(f"melt_K: got {self.melt_K:g}, expected K, or 0 for a choice")
        for name in ("thermostat_steps", "barostat_steps"):
            at_least(name, getattr(self, name), 10)
        if self.thermostat not in THERMOSTATS:
            raise QuorumError(
                f'thermostat: got "{self.thermostat}"; {nearest(self.thermostat, THERMOSTATS)}'
            )
        defaults = {
            "production_steps": self.production_steps,
            "equilibration_steps": self.production_steps // 5,
            "bulk_steps": self.production_steps // 2,
            "melt_steps": self.production_steps // 10,
            "block_steps": self.production_steps // 10,
        }
        for name, value in defaults.items():
            self._default(name, value)
        self._default("bulk_equilibration_steps", self.bulk_steps // 5)
        if self.interval_steps * 10 > min(self.production_steps, self.bulk_steps):
            raise QuorumError(
                f"interval_steps: got {self.interval_steps}, expected at most a tenth of "
                f"bulk_steps {self.bulk_steps} and production_steps {self.production_steps}"
            )
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise QuorumError(f"seeds: got {list(self.seeds)}, expected different whole numbers")

    def _default(self, name: str, value: int) -> None:
        """Whole intervals, so that stages and blocks end with one."""
        given = getattr(self, name)
        if given < 0:
            raise QuorumError(f"{name}: got {given}, expected a positive whole number")
        whole = -(-(given or value) // self.interval_steps) * self.interval_steps
        object.__setattr__(self, name, max(whole, self.interval_steps))


@dataclass(frozen=True)
class Output:
    """What is written, and where."""

    folder: str = "pin"
    time_limit: str = ""  # of the job, "23:50:00" or "1-12:00:00": a checkpoint before, code 3

    def __post_init__(self) -> None:
        duration_s("time_limit", self.time_limit)

    @property
    def time_limit_s(self) -> float:
        """Infinite if there is none."""
        return duration_s("time_limit", self.time_limit)


@dataclass(frozen=True)
class PinInput:
    """All of run.toml."""

    crystal: Crystal
    state: State
    potential: Potential
    run: Run
    box: Box = field(default_factory=Box)
    order_parameter: OrderVariable = field(default_factory=OrderVariable)
    pin: Pin = field(default_factory=Pin)
    liquid: Liquid = field(default_factory=Liquid)
    output: Output = field(default_factory=Output)


class PinFile(InputFile[PinInput]):
    """A run.toml that was read."""

    @property
    def folder(self) -> Path:
        """Of the output."""
        return self.place(self.settings.output.folder)


def read_pin(path: str) -> PinFile:
    """Read and check run.toml; raises `QuorumError` as `read_toml`."""
    return PinFile(path, read_toml(path, PinInput), Path(path).absolute().parent)
