"""The averages of one run: frames, members and units from any program, to `reweight`.

A reader (`ipi_run`, `lammps_run`) makes a `Run`; ``run.reweight("volume")`` is an average in the
unit ``run.observable("volume").unit``, ``run.reweight("potential")`` that of each member's own
energy, and ``run.reweight("heat_capacity")`` the configurational heat capacity in k_B.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import QuorumError, warn
from ..units import BOHR_A, thermal_energy_eV
from .functions import heat_capacity
from .reweighting import Reweighted, reweight
from .tables import Array, Column, Table, energy_unit_eV, taken
from .timeseries import frames_to_discard, variance_of_mean
from .weights import FrameWeights, known_weights

if TYPE_CHECKING:  # its package imports much of scipy
    from .observables.series import Axis

HEAT_CAPACITY = "heat_capacity"  # not a column, but what its energies and volumes say
_COMPONENT = re.compile(r"(.*)\[(\d+)\]$")


@dataclass(frozen=True)
class Observable:
    """Frames of one observable.

    Attributes:
        name: of the column, with an index for one component of a vector, "cell_h[0]".
        unit: as in `tables.Column`.
        values: (n,), or (n, …) of one along a trajectory, or (n, K) if paired.
        paired: column i belongs to member i.
        note: what a reader should know of it, or "".
        axes: of each dimension after the first: name, unit and values.
    """

    name: str
    unit: str
    values: Array
    paired: bool
    note: str
    axes: tuple[Axis, ...] = ()


@dataclass(frozen=True)
class Vocabulary:
    """What the columns of a program are; tuples hold how their names begin.

    Attributes:
        driving: the potential energy, of the potential that drove the run.
        temperature, volume: their columns.
        no_observable: clocks, and what depends on the thermostat.
        momenta: depend on momenta (too).
        forces: depend on forces of the driving potential.
        energies: are energies even where they have no unit.
        where_pressure: where the pressure of the run can be said, "give --input …".
    """

    driving: str
    temperature: str
    volume: str
    no_observable: tuple[str, ...]
    momenta: tuple[str, ...]
    forces: tuple[str, ...]
    energies: tuple[str, ...]
    where_pressure: str


@dataclass(frozen=True)
class Run:
    """Frames of one run with the energies of its committee, whatever program wrote them.

    Attributes:
        table: all rows.
        rows: (n,) rows of the table that are used.
        steps: (n,) their steps.
        stride: most common distance of the steps.
        energies_eV: (n, K) member energies; (n, 1) of one potential without a committee.
        reference: "mean", index of a member, or (n,) energies in eV of the driving potential.
        reference_name: in words, for reports.
        temperature_K: of the run.
        n_discarded: frames left out at the start.
        committee_paths: files of the member energies.
        checked: the reference was compared with the potential energy of the run.
        pressure_bar: None at constant volume, or where it is not known.
        constant_volume: what the input says; None if it is not known.
        words: what the columns are.
        n_beads: of a path integral.
        notes: what was assumed or left out on reading, for the reader of a report.
        weights: of the frames, where they were not sampled at `temperature_K` without a bias.
        timestep_fs: of the run; None if it is not known.
    """

    table: Table
    rows: NDArray[np.intp]
    steps: NDArray[np.int64]
    stride: int
    energies_eV: Array
    reference: str | int | Array
    reference_name: str
    temperature_K: float
    n_discarded: int
    committee_paths: tuple[str, ...]
    checked: bool
    pressure_bar: float | None
    constant_volume: bool | None
    words: Vocabulary
    n_beads: int = 1
    notes: tuple[str, ...] = ()
    weights: FrameWeights | None = None
    timestep_fs: float | None = None

    @property
    def kT_eV(self) -> float:
        """Thermal energy of the run."""
        return thermal_energy_eV(self.temperature_K)

    def part(self, frames: NDArray[np.intp]) -> Run:
        """Only these of its frames, in the order of the run.

        Raises:
            QuorumError: runs are pooled by MBAR, whose weights belong to all frames.
        """
        weights = self.weights
        if weights is not None and len(frames) < len(self.steps):
            if len(weights.counts):
                raise QuorumError(
                    f"{self.table.path}: {len(frames)} of {len(self.steps)} frames were chosen, "
                    "but weights of pooled temperatures belong to all of them; pool the runs with "
                    "frames at these steps only"
                )
            ends = np.cumsum(weights.lengths)
            lengths = np.bincount(np.searchsorted(ends, frames, side="right"),
                                  minlength=len(ends))  # fmt: skip
            weights = known_weights(weights.values[frames], [int(n) for n in lengths if n])
        reference = self.reference
        return replace(
            self,
            rows=self.rows[frames],
            steps=self.steps[frames],
            energies_eV=taken(self.energies_eV, frames),
            reference=reference[frames] if isinstance(reference, np.ndarray) else reference,
            weights=weights,
        )

    def average(
        self, observable: Observable, *, method: str = "cumulant", order: int = 1
    ) -> Reweighted:
        """`reweight` of an observable in the frames of this run."""
        try:
            return reweight(
                observable.values,
                self.energies_eV,
                kT_eV=self.kT_eV,
                reference=self.reference,
                method=method,
                weights=self.weights,
                order=order,
                committee="paired" if observable.paired else None,
            )
        except QuorumError as error:
            sentence = str(error).replace("observable:", f"column {observable.name}:", 1)
            raise QuorumError(f"{self.table.path}: {sentence}") from error

    def names(self) -> list[str]:
        """Columns that make sense as observables and fluctuate; vectors by component."""
        found = []
        for column in self.table.columns:
            base = column.name.split("(")[0]
            words = self.words
            if base.startswith(words.no_observable + words.momenta + words.forces):
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
            if column.name.lower() not in ("step", "time"):
                parts = [name for name, _ in _components(column.name, column.values)]
                every += [column.name] if chosen.isdisjoint(parts) else []
        return [name for name in dict.fromkeys(every) if name not in chosen]

    def expand(self, name: str) -> list[str]:
        """The components of a vector column that fluctuate, or the name itself."""
        if name == HEAT_CAPACITY:
            return [name]
        if not self.table.has(name):  # a program may write a vector as columns name[1], name[2]
            found = [c.name for c in self.table.columns if c.name.startswith(f"{name}[")]
            if found:
                return found
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
        own = energy_unit_eV(unit) if base in self.words.energies else None
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
        if column.name == self.words.driving and own is not None:
            # `factor` leads from the column's unit to the one wanted, `own` from it to eV
            several = self.energies_eV.shape[1] > 1
            note = f"{column.name}: the average of each member's own energy" if several else ""
            scale = factor / own
            energies = self.energies_eV if scale == 1 else self.energies_eV * scale
            return Observable(column.name, unit, energies, True, note)
        label = column.name if index is None else f"{column.name}[{index}]"
        note = ""
        if base.startswith(self.words.forces):
            note = (
                f"{label} is computed from forces of the driving potential; its model error holds "
                "only the change of the frames' weights, not that of the forces"
            )
        return Observable(label, unit, values * factor, False, note)

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
                weights=self.weights,
                order=order,
                **self._work(),
            )
        return self.average(self.observable(name, energy_unit), method=method, order=order)

    def _work(self) -> dict[str, Any]:
        """Volume and pressure for a heat capacity; nothing at constant volume.

        Raises:
            QuorumError: several beads, or the files do not say whether the volume is constant, or
                at what pressure it is not.
        """
        path = self.table.path
        if self.n_beads > 1:
            raise QuorumError(
                f"{path}: {HEAT_CAPACITY} from energy fluctuations is classical, but this run has "
                f"{self.n_beads} beads; expected one bead, average potential at "
                "several temperatures in its place"
            )
        if not self.table.has(self.words.volume):
            if self.constant_volume:
                return {}
            raise QuorumError(
                f"{path}: has no column {self.words.volume}, so it is not known whether "
                f"{HEAT_CAPACITY} is one at constant volume; "
                + self.table.how_to_add.format(self.words.volume)
            )
        column = self.table.column(self.words.volume)
        values = column.values[self.rows]
        if np.ptp(values) <= 1e-7 * np.abs(values).max():
            return {}
        if self.pressure_bar is None:
            raise QuorumError(
                f"{path}: the volume fluctuates, but the pressure is not known; "
                f"{self.words.where_pressure}"
            )
        return {"volume_A3": volumes_A3(self), "pressure_bar": self.pressure_bar}

    def _column(self, name: str) -> tuple[Column, int | None]:
        match = None if self.table.has(name) else _COMPONENT.match(name)
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


def volumes_A3(run: Run) -> Array:
    """(n,) of its frames.

    Raises:
        QuorumError: there is no such column, or it has an unknown unit.
    """
    column = run.table.column(run.words.volume)
    factor = {"angstrom3": 1.0, "atomic_unit": BOHR_A**3}.get(column.unit)
    if factor is None:
        raise QuorumError(
            f"{run.table.path}: column {column.name} is in {column.unit}, expected angstrom3 or no "
            "unit (Bohr³)"
        )
    return column.values[run.rows] * factor


def assemble(run: Run, discard: str | float) -> Run:
    """A run without the frames to leave out; a temperature that cannot be its own is warned of.

    Args:
        discard: "auto" (looks at the energy and, if it fluctuates, the volume), a number of frames,
            or a fraction below 1.

    Raises:
        QuorumError: fewer than two frames are left.
    """
    series = [run.energies_eV.mean(axis=1)]
    if discard == "auto" and run.table.has(run.words.volume):
        series.append(run.table.column(run.words.volume).values[run.rows])
    skip = frames_to_discard(discard, *series, n_frames=len(run.rows))
    reference = run.reference
    shorter = replace(
        run,
        rows=run.rows[skip:],
        steps=run.steps[skip:],
        energies_eV=run.energies_eV[skip:],
        reference=reference[skip:] if isinstance(reference, np.ndarray) else reference,
        n_discarded=skip,
    )
    _compare_temperature(shorter)
    return shorter


def most_common_stride(steps: NDArray[np.int64]) -> int:
    """Most common distance between steps."""
    distances, counts = np.unique(np.diff(steps), return_counts=True)
    return int(distances[counts.argmax()])


def _compare_temperature(run: Run) -> None:
    """The momenta know the temperature: a kT in the wrong unit or of another run shows here."""
    if not run.table.has(run.words.temperature):
        return
    column = run.table.column(run.words.temperature)
    values = column.values[run.rows]
    if column.unit != "kelvin" or values.ndim != 1 or len(values) < 20:
        return
    found, error = values.mean(), np.sqrt(float(variance_of_mean(values)))
    off = abs(found - run.temperature_K)
    if off > 0.2 * run.temperature_K and off > 5 * error:
        warn(
            f"{run.table.path}: the column {column.name} averages to {found:.0f} ± {error:.0f} K, "
            f"but {run.temperature_K:g} K is used for the averages; give that of the run"
        )


def positive_temperature(temperature_K: float) -> float:
    """The temperature, if it can be one.

    Raises:
        QuorumError: not a positive, finite number.
    """
    if not temperature_K > 0 or not np.isfinite(temperature_K):
        raise QuorumError(f"temperature: got {temperature_K:g} K, expected a positive number of K")
    return float(temperature_K)


def _components(name: str, values: Array) -> list[tuple[str, Array]]:
    if values.ndim == 1:
        return [(name, values)]
    return [(f"{name}[{k}]", values[:, k]) for k in range(values.shape[1])]
