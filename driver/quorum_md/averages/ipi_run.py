"""The averages of one i-PI run: from its files to `reweight`, with names and units.

``load_run`` reads and matches the files; ``run.reweight("volume")`` is an average in the unit
``run.observable("volume").unit``, ``run.reweight("potential")`` that of each member's own energy,
and ``run.reweight("heat_capacity")`` the configurational heat capacity in k_B.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import QuorumError, warn
from ..units import BOHR_A, thermal_energy_eV
from .checks import reference_energies
from .frames import check_driving_potential, energy_column_eV, match_frames
from .functions import heat_capacity
from .ipi_files import Column, PropertyTable, energy_unit_eV, read_committee, read_properties
from .ipi_input import IpiInput, read_ipi_input
from .reweighting import Reweighted, reweight
from .timeseries import frames_to_discard, variance_of_mean

Array = NDArray[np.float64]
PathLike = str | os.PathLike[str]

DRIVING = "potential"  # i-PI's name of the energy that drove the run
HEAT_CAPACITY = "heat_capacity"  # not a column, but what its energies and volumes say
_NO_OBSERVABLE = ("step", "time", "conserved", "ensemble_", "bead_potentials", "pot_component")
_MOMENTA = ("temperature", "kinetic_md", "kinetic_tens", "kinetic_ij", "vcom", "atom_v", "atom_p")
_FORCES = ("pressure", "stress", "virial", "kinetic_cv", "kinetic_prsc", "forcemod", "atom_f")
_ENERGIES = (DRIVING, "conserved", "kinetic_md", "kinetic_cv", "enthalpy", "spring")
_COMPONENT = re.compile(r"(.*)\[(\d+)\]$")


@dataclass(frozen=True)
class Observable:
    """Frames of one observable.

    Attributes:
        name: of the column, with an index for one component of a vector, "cell_h[0]".
        unit: as i-PI spells it.
        values: (n,), or (n, K) if paired.
        paired: column i belongs to member i.
        note: what a reader should know of it, or "".
    """

    name: str
    unit: str
    values: Array
    paired: bool
    note: str


@dataclass(frozen=True)
class IpiRun:
    """Matched frames of one i-PI run.

    Attributes:
        table: property table, all rows.
        rows: (n,) rows of the table that are used.
        steps: (n,) their steps.
        stride: most common distance of the steps.
        energies_eV: (n, K) member energies.
        reference: "mean", index of a member, or (n,) energies in eV of the driving potential.
        temperature_K: of the run.
        n_discarded: matched frames left out at the start.
        committee_paths: files of the member energies, one per bead.
        checked: the reference was compared with the potential energy of the run.
        pressure_bar: of the input; None if it has none or no input was given.
        has_input: an input was given.
    """

    table: PropertyTable
    rows: NDArray[np.intp]
    steps: NDArray[np.int64]
    stride: int
    energies_eV: Array
    reference: str | int | Array
    temperature_K: float
    n_discarded: int
    committee_paths: tuple[str, ...]
    checked: bool
    pressure_bar: float | None
    has_input: bool

    @property
    def kT_eV(self) -> float:
        """Thermal energy of the run."""
        return thermal_energy_eV(self.temperature_K)

    def names(self) -> list[str]:
        """Columns that make sense as observables and fluctuate; vectors by component."""
        found = []
        for column in self.table.columns:
            base = column.name.split("(")[0]
            if base.startswith(_NO_OBSERVABLE + _MOMENTA + _FORCES):
                continue
            values = column.values[self.rows]
            for name, one in _components(column.name, values):
                if name not in found and not (one == one[0]).all():
                    found.append(name)
        return found

    def left_out(self) -> list[str]:
        """Columns that `names` leaves out, other than step and time."""
        chosen = set(self.names())
        every: list[str] = []
        for column in self.table.columns:
            if column.name not in ("step", "time"):
                parts = [name for name, _ in _components(column.name, column.values)]
                every += [column.name] if chosen.isdisjoint(parts) else []
        return [name for name in dict.fromkeys(every) if name not in chosen]

    def expand(self, name: str) -> list[str]:
        """The components of a vector column that fluctuate, or the name itself."""
        if name == HEAT_CAPACITY:
            return [name]
        column = self._column(name)[0]
        if column.values.ndim == 1 or _COMPONENT.match(name):
            return [name]
        parts = _components(column.name, column.values[self.rows])
        moving = [part for part, one in parts if not (one == one[0]).all()]
        return moving or [parts[0][0]]

    def observable(self, name: str, energy_unit: str | None = None) -> Observable:
        """Frames of a column, in its own unit or, for an energy, in `energy_unit`.

        The driving potential becomes the members' own energies: what member i says of the energy
        is ⟨V_i⟩ under V_i.
        """
        if name == HEAT_CAPACITY:
            note = f"{name}: of the positions only; classical momenta add 1.5 per atom, exactly"
            return Observable(name, "k_B", self.energies_eV, True, note)
        column, index = self._column(name)
        values = column.values[self.rows]
        if index is not None:
            values = values[:, index]
        unit = column.unit
        base = column.name.split("(")[0]
        own = energy_unit_eV(unit) if base in _ENERGIES else None
        if own is None and unit not in ("atomic_unit", "kelvin"):
            own = energy_unit_eV(unit)
        factor = 1.0
        if energy_unit is not None and own is not None:
            wanted = energy_unit_eV(energy_unit)
            if wanted is None:
                raise QuorumError(
                    f"units: got {energy_unit!r}, expected an energy unit such as electronvolt, "
                    "hartree or kj/mol"
                )
            factor, unit = own / wanted, energy_unit
        if column.name == DRIVING and own is not None:
            # `factor` leads from the column's unit to the one wanted, `own` from it to eV
            note = f"{DRIVING}: the average of each member's own energy"
            return Observable(name, unit, self.energies_eV * (factor / own), True, note)
        note = ""
        if base.startswith(_FORCES):
            note = (
                f"{name} is computed from forces of the driving potential; its model error holds "
                "only the change of the frames' weights, not that of the forces"
            )
        return Observable(name, unit, values * factor, False, note)

    def reweight(
        self,
        name: str,
        *,
        method: str = "cumulant",
        order: int = 1,
        energy_unit: str | None = None,
    ) -> Reweighted:
        """`reweight` of one column, or `heat_capacity` of the run; see there."""
        if name == HEAT_CAPACITY:
            return heat_capacity(
                self.energies_eV,
                temperature_K=self.temperature_K,
                reference=self.reference,
                method=method,
                order=order,
                **self._work(),
            )
        observable = self.observable(name, energy_unit)
        try:
            return reweight(
                observable.values,
                self.energies_eV,
                kT_eV=self.kT_eV,
                reference=self.reference,
                method=method,
                order=order,
                committee="paired" if observable.paired else None,
            )
        except QuorumError as error:
            sentence = str(error).replace("observable:", f"column {name}:", 1)
            raise QuorumError(f"{self.table.path}: {sentence}") from error

    def _work(self) -> dict[str, Any]:
        """Volume and pressure for a heat capacity; nothing at constant volume.

        Raises:
            QuorumError: several beads, or the files do not say whether the volume is constant, or
                at what pressure it is not.
        """
        path = self.table.path
        if len(self.committee_paths) > 1:
            raise QuorumError(
                f"{path}: {HEAT_CAPACITY} from energy fluctuations is classical, but this run has "
                f"{len(self.committee_paths)} beads; expected one bead, average potential at "
                "several temperatures in its place"
            )
        if not self.table.has("volume"):
            if self.has_input and self.pressure_bar is None:
                return {}
            raise QuorumError(
                f"{path}: has no column volume, so it is not known whether {HEAT_CAPACITY} is one "
                "at constant volume; add volume{angstrom3} to <properties>"
            )
        column = self.table.column("volume")
        values = column.values[self.rows]
        if np.ptp(values) <= 1e-7 * np.abs(values).max():
            return {}
        if self.pressure_bar is None:
            raise QuorumError(
                f"{path}: the volume fluctuates, but the pressure is not known; give --input with "
                "an input that has <ensemble><pressure>"
            )
        factor = {"angstrom3": 1.0, "atomic_unit": BOHR_A**3}.get(column.unit)
        if factor is None:
            raise QuorumError(
                f"{path}: column volume is in {column.unit}, expected angstrom3 or no unit (Bohr³) "
                f"for {HEAT_CAPACITY}"
            )
        return {"volume_A3": values * factor, "pressure_bar": self.pressure_bar}

    def _column(self, name: str) -> tuple[Column, int | None]:
        match = _COMPONENT.match(name)
        column = self.table.column(match[1] if match else name)
        if match is None:
            return column, None
        size = column.values.shape[1] if column.values.ndim == 2 else 0
        if int(match[2]) >= size:
            raise QuorumError(
                f"{self.table.path}: column {name!r}: {match[1]} has {size} components, expected "
                f"an index from 0 to {size - 1}"
            )
        return column, int(match[2])


def load_run(
    properties: PathLike,
    committee: PathLike | Sequence[PathLike],
    *,
    temperature_K: float | None = None,
    input_path: PathLike | None = None,
    reference: str | int = "mean",
    discard: str | float = 0,
    committee_unit: str = "hartree",
) -> IpiRun:
    """Read and match the files of one i-PI run.

    Args:
        properties: what <properties> wrote.
        committee: what <trajectory extra_type='committee_pot'> wrote, all beads of it.
        temperature_K: of the run; or
        input_path: i-PI's input, which has it and the time step.
        reference: what drove the run: "mean", the index of a member, or the name of a column of
            the properties with its energy (of a weighted baseline, say).
        discard: frames to leave out at the start: "auto", a number, or a fraction below 1.
        committee_unit: of the member energies; i-PI's extras are in Hartree.

    Raises:
        QuorumError: unreadable files, no common steps, a reference that is not the potential of
            the run, no temperature.
    """
    facts = None if input_path is None else read_ipi_input(input_path)
    system = None if facts is None else facts.system_of(properties)
    table = read_properties(properties)
    kelvin = _temperature(temperature_K, facts, properties)
    members = read_committee(committee, unit=committee_unit)
    if facts is not None and system is not None and system.n_beads is not None:
        _check_beads(members.paths, facts.path, system.n_beads)
    frames = match_frames(table, members, system.timestep_fs if system else None)
    lost = ~np.isfinite(frames.energies_eV).all(axis=1)
    if lost.any():
        raise QuorumError(
            f"{members.paths[0]}: step {frames.steps[lost][0]} holds a member energy that is not "
            "finite, expected numbers; the run broke down there, cut both files before that step"
        )
    kT_eV = thermal_energy_eV(kelvin)
    driving: str | int | Array = reference
    checked = False
    if isinstance(reference, str) and reference != "mean":
        driving = energy_column_eV(table, reference)[frames.rows]
    else:
        reference_energies(frames.energies_eV, reference)  # does that member exist
        if table.has(DRIVING):
            check_driving_potential(
                energy_column_eV(table, DRIVING)[frames.rows],
                frames.energies_eV,
                reference=reference,
                kT_eV=kT_eV,
                table=table.path,
                committee=members.paths,
            )
            checked = True
    skip = _discard(discard, table, frames.rows, frames.energies_eV)
    run = IpiRun(
        table,
        frames.rows[skip:],
        frames.steps[skip:],
        frames.stride,
        frames.energies_eV[skip:],
        driving[skip:] if isinstance(driving, np.ndarray) else driving,
        kelvin,
        skip,
        members.paths,
        checked,
        system.pressure_bar if system else None,
        facts is not None,
    )
    _compare_temperature(run)
    return run


def _components(name: str, values: Array) -> list[tuple[str, Array]]:
    if values.ndim == 1:
        return [(name, values)]
    return [(f"{name}[{k}]", values[:, k]) for k in range(values.shape[1])]


def _temperature(
    temperature_K: float | None, facts: IpiInput | None, properties: PathLike
) -> float:
    if temperature_K is None:
        if facts is None:
            raise QuorumError(
                "temperature: got none, expected that of the run; give --input with the input of "
                "i-PI, or --temperature in K"
            )
        return facts.temperature_K(properties)
    if not temperature_K > 0 or not np.isfinite(temperature_K):
        raise QuorumError(f"temperature: got {temperature_K:g} K, expected a positive number of K")
    if facts is not None:
        known = facts.system_of(properties).temperature_K
        if known is not None and abs(known / temperature_K - 1) > 1e-3:
            raise QuorumError(
                f"temperature: got {temperature_K:g} K, but {facts.path} has {known:g} K; give "
                "only one of the two"
            )
    return float(temperature_K)


def _check_beads(paths: Sequence[str], source: str, n_beads: int) -> None:
    if len(paths) != n_beads:
        raise QuorumError(
            f"{paths[0]}: got {len(paths)} file(s) of member energies, but {source} has "
            f"nbeads={n_beads}; give one file per bead after --committee"
        )


def _discard(
    discard: str | float, table: PropertyTable, rows: NDArray[np.intp], energies_eV: Array
) -> int:
    """Frames to leave out; "auto" looks at the energy and, if it fluctuates, the volume."""
    series = [energies_eV.mean(axis=1)]
    if discard == "auto" and table.has("volume"):
        series.append(table.column("volume").values[rows])
    return frames_to_discard(discard, *series, n_frames=len(rows))


def _compare_temperature(run: IpiRun) -> None:
    """The momenta know the temperature: a kT in the wrong unit or of another run shows here."""
    if not run.table.has("temperature"):
        return
    column = run.table.column("temperature")
    values = column.values[run.rows]
    if column.unit != "kelvin" or values.ndim != 1 or len(values) < 20:
        return
    found, error = values.mean(), np.sqrt(float(variance_of_mean(values)))
    off = abs(found - run.temperature_K)
    if off > 0.2 * run.temperature_K and off > 5 * error:
        warn(
            f"{run.table.path}: the column temperature averages to {found:.0f} ± {error:.0f} K, "
            f"but {run.temperature_K:g} K is used for the averages; give that of the run"
        )
