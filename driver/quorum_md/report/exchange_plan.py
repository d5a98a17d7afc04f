"""``quorum remd --plan``: how many replicas a range of temperatures needs.

From the heat capacity of the potential energy, as short runs show it in the fluctuations of their
energies, or from the acceptance that a ladder was measured to have.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..averages.checks import reference_energies
from ..averages.ipi_files import read_properties
from ..averages.lammps_columns import UNITS
from ..averages.lammps_log import read_log
from ..averages.readers import is_lammps_log
from ..averages.records import is_record, read_records
from ..averages.tables import Array, energy_unit_eV
from ..averages.timeseries import frames_to_discard, variance_of_mean
from ..errors import QuorumError
from ..sampling.exchange import Plan, plan, plan_from_acceptance
from ..units import BOHR_A, ENERGY_EV, EV_A3_BAR, EV_A3_GPA, thermal_energy_eV

TARGETS = (0.2, 0.3, 0.4, 0.5, 0.6)
FEW_FRAMES = 20
_SAME_VOLUME = 1e-9  # relative
STATISTICS = "# replica exchange of "  # how a table of statistics begins

Ladder = Callable[[int | None, float], Plan]  # of a number of replicas, or of an acceptance


@dataclass(frozen=True)
class HeatCapacity:
    """Of the potential energy of a run (with P V, where it has a pressure), in k, and its error."""

    temperature_K: float
    value_kB: float
    error_kB: float
    path: str


def measured(
    path: str, temperature_K: float | None = None, pressure_GPa: float | None = None
) -> list[HeatCapacity]:
    """Of each run in a file: i-PI properties, a LAMMPS log, or a record.

    Raises:
        QuorumError: no such file, no potential energy in it, no temperature, too few frames, a
            volume that changes at a pressure that is not known.
    """
    if is_record(path):
        result = []
        for run in read_records(path, discard="auto"):
            driving = reference_energies(run.energies_eV, run.reference)
            pressure, volume = run.pressure_bar, run.words.volume
            if pressure is not None and run.table.has(volume):
                of_frames = run.table.column(volume).values[run.rows]
                driving = driving + pressure / EV_A3_BAR * of_frames
            result.append(_of(path, driving, run.temperature_K))
        return result
    series, volumes, kelvin = _lammps(path) if is_lammps_log(path) else _ipi(path)
    if temperature_K is not None:
        kelvin = temperature_K
    if kelvin is None:
        raise QuorumError(f"{path}: has no column of the temperature; give --temperature")
    if volumes is not None and np.ptp(volumes) > _SAME_VOLUME * volumes.mean():
        if pressure_GPa is None:
            raise QuorumError(
                f"{path}: its volume changes, so exchanges see energy and P V; give --pressure"
            )
        series = series + pressure_GPa / EV_A3_GPA * volumes
    return [_of(path, series[frames_to_discard("auto", series, n_frames=len(series)) :], kelvin)]


def _ipi(path: str) -> tuple[Array, Array | None, float | None]:
    table = read_properties(path)
    energy = table.column("potential")
    factor = energy_unit_eV(energy.unit)
    if factor is None:
        raise QuorumError(f"{path}: potential: the unit {energy.unit!r} is not one of energy")
    kelvin = None
    if table.has("temperature") and table.column("temperature").unit == "kelvin":
        kelvin = float(table.column("temperature").values.mean())
    if not table.has("volume"):
        return energy.values * factor, None, kelvin
    volume = table.column("volume")
    return (
        energy.values * factor,
        volume.values * (1.0 if volume.unit == "angstrom3" else BOHR_A**3),
        kelvin,
    )


def _lammps(path: str) -> tuple[Array, Array | None, float | None]:
    log = read_log(path)
    tables = [one for one in log.tables if one.command not in ("minimize", "rerun")]
    if not tables:
        raise QuorumError(f"{path}: has no thermo output of a run; give the log of one")
    units = [command.words[1] for command in log.commands if command.words[0] == "units"]
    if not units or units[-1] not in UNITS:
        raise QuorumError(
            f"{path}: expected `units metal` or `units real` in the log, got "
            f"{units[-1] if units else 'none'}; give such a log"
        )
    if any(c.words[0] == "thermo_modify" and "norm yes" in " ".join(c.words) for c in log.commands):
        raise QuorumError(
            f"{path}: energies are per atom (thermo_modify norm yes), expected those of the whole "
            "system; leave it out and run again"
        )
    table = tables[-1]
    kelvin = float(table.column("Temp").mean()) if "Temp" in table.names else None
    volumes = table.column("Volume") if "Volume" in table.names else None
    return table.column("PotEng") * ENERGY_EV[UNITS[units[-1]].energy], volumes, kelvin


def _of(path: str, energies_eV: Array, kelvin: float) -> HeatCapacity:
    if len(energies_eV) < FEW_FRAMES:
        raise QuorumError(
            f"{path}: has {len(energies_eV)} frames of the equilibrated run; expected "
            f"{FEW_FRAMES} or more for a heat capacity"
        )
    squares = ((energies_eV - energies_eV.mean()) / thermal_energy_eV(kelvin)) ** 2
    return HeatCapacity(
        kelvin, float(squares.mean()), float(np.sqrt(variance_of_mean(squares))), path
    )


def is_statistics(path: str) -> bool:
    """Whether a file is a table of `quorum_md.sampling.exchange.statistics_table`."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().startswith(STATISTICS)
    except (OSError, UnicodeDecodeError):
        return False


def ladder_of_statistics(path: str) -> tuple[Ladder, float, float]:
    """Plans for the range of a ladder whose acceptance was measured, and its ends in K."""
    table = np.loadtxt(path, ndmin=2)
    kelvin, shares = table[:, 1], table[:-1, 6]
    if not (np.isfinite(shares) & (shares > 0)).all():
        raise QuorumError(
            f"{path}: some neighbours were never exchanged, so it does not say how far apart they "
            "are; run longer, or with more replicas"
        )

    def ladder(n: int | None, acceptance: float) -> Plan:
        return plan_from_acceptance(kelvin, shares, n=n, acceptance=acceptance)

    return ladder, float(kelvin[0]), float(kelvin[-1])


def ladder_of_heat_capacity(low_K: float, high_K: float, found: Sequence[HeatCapacity]) -> Ladder:
    """Plans from one heat capacity, or from several, between which ln T is interpolated."""
    ordered = sorted(found, key=lambda one: one.temperature_K)
    log_T = np.log([one.temperature_K for one in ordered])
    values = [one.value_kB for one in ordered]

    def capacity(kelvin: Array) -> Array:
        return np.interp(np.log(kelvin), log_T, values)

    def ladder(n: int | None, acceptance: float) -> Plan:
        return plan(low_K, high_K, capacity, n=n, acceptance=acceptance)

    return ladder


def report(ladder: Ladder, n: int | None, acceptance: float) -> str:
    """What a user wants to know, with the temperatures to copy."""
    lines = [
        "# acceptance: mean of neighbours; attempts: of one replica for a round trip, at least; "
        "per_trip: attempts per round trip of any of them",
        f"#{'acceptance':>11} {'replicas':>9} {'attempts':>9} {'per_trip':>9}",
    ]
    for target in TARGETS:
        one = ladder(None, target)
        trip = one.round_trip_attempts
        lines.append(f"{one.acceptance[0]:12.2f} {one.n:9d} {trip:9.0f} {trip / one.n:9.1f}")
    best = ladder(n, acceptance)
    kelvin = ", ".join(f"{t:.1f}" for t in best.temperatures_K)
    lines += [
        f"# {best.n} replicas, acceptance {best.acceptance[0]:.2f}, a round trip of one in "
        f"{best.round_trip_attempts:.0f} attempts or more:",
        f"temperatures_K = [{kelvin}]",
    ]
    return "\n".join(lines) + "\n"


def check_files(paths: Sequence[str]) -> None:
    """Refuse what is not there, before anything else is said about it."""
    for path in paths:
        if not Path(path).is_file():
            raise QuorumError(f"{path}: no such file; give the output of a short run")
