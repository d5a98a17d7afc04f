"""The averages of one LAMMPS run, from its logs: ``load_run`` reads, selects and matches.

What is not in the log is asked for, never guessed: units, temperature, and which potential drove.
The reference of the weights is the part of the potential energy that the members describe; what
other styles add to it is common to all members and cancels.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..errors import QuorumError
from ..units import thermal_energy_eV
from .lammps_columns import (
    DRIVING,
    UNITS,
    Units,
    is_energy,
    make_table,
    potential_energy,
    vocabulary,
)
from .lammps_log import read_log
from .lammps_reference import ALLOWED_KT, Reference
from .lammps_select import Selection, member_columns, member_vector, segments, select
from .run import Run, assemble, positive_temperature
from .tables import Array, PathLike, energy_unit_eV, taken

_BLOCK_ROWS = 4096


def load_run(
    logs: PathLike | Sequence[PathLike],
    *,
    committee: Sequence[PathLike] = (),
    members: str | None = None,
    temperature_K: float | None = None,
    units: str | None = None,
    reference: str | int | None = None,
    runs: Sequence[int] | None = None,
    discard: str | float = 0,
) -> Run:
    """Read the thermo output of one LAMMPS run, with its restarts.

    Args:
        logs: of the run; where steps overlap, the later run wins.
        committee: logs of a `rerun` with the member energies, if `logs` do not have them.
        members: the vector of the member energies, "c_members"; found where there is one only.
        temperature_K: where the log does not say it, or to choose among its runs.
        units: "metal" or "real", where the log does not say it.
        reference: what drove the run: "mean", the index of a member from 0, or a column with its
            energy; None: what the log says.
        runs: tables to use, counted from 1.
        discard: frames to leave out at the start: "auto", a number, or a fraction below 1.

    Raises:
        QuorumError: unreadable logs, neither member energies nor PotEng, settings that are no
            canonical ensemble, or facts that are not in the log and were not given.
    """
    paths = [logs] if isinstance(logs, (str, bytes)) or not isinstance(logs, Sequence) else logs
    found = segments([read_log(path) for path in paths])
    if temperature_K is not None:
        temperature_K = positive_temperature(temperature_K)
    vector = "" if committee else member_vector(found, members)
    selection = select(found, vector, temperature_K=temperature_K, numbers=runs)
    script, notes = selection.last.script, list(selection.notes)
    kelvin = _temperature(selection, temperature_K)
    system = _units(selection, units)
    factor = energy_unit_eV(system.energy)
    assert factor is not None
    selection = _totals(selection, vector, factor, notes)
    if committee:
        selection, energies_eV = _rerun(selection, committee, members, units, notes)
        n_members = energies_eV.shape[1]
    elif vector:
        names = member_columns(selection, vector)
        energies_eV = _stacked(selection, names, factor)
        n_members = len(names)
        _check_digits(selection, names, factor, kelvin, notes)
    else:
        energies_eV = _alone(selection, factor)
        n_members = 1
        notes.append(
            "a committee would be seen by columns such as c_members[1] … of `compute members all "
            "pair quorum` (thermo_style custom … c_members[*]), or those that --members names"
        )
    lost = ~np.isfinite(energies_eV).all(axis=1)
    if lost.any():
        raise QuorumError(
            f"{selection.path}: step {selection.steps[lost][0]} holds a member energy that is not "
            "finite, expected numbers; the run broke down there, cut the log before that step"
        )
    table = make_table(selection, vector, system, script)
    potential_eV = potential_energy(selection.values, factor)
    how = Reference(selection, script, vector, bool(committee), kelvin, factor, notes)
    driving, name, energies_eV, checked = how.decide(reference, energies_eV, potential_eV, table)
    if name == "mean" and not vector and not committee:
        name = DRIVING
    ensemble = selection.last.ensemble
    run = Run(
        table,
        np.arange(len(selection.steps)),
        selection.steps,
        selection.stride,
        energies_eV,
        driving,
        name,
        kelvin,
        0,
        tuple(str(path) for path in (committee or paths)) if vector or committee else (),
        checked,
        None if ensemble.pressure is None else ensemble.pressure * system.pressure_bar,
        ensemble.constant_volume,
        vocabulary(script),
        notes=tuple(notes),
    )
    assert energies_eV.shape[1] == n_members
    return assemble(run, discard)


def _alone(selection: Selection, factor: float) -> Array:
    """(n, 1) energy of the one potential that there is."""
    potential_eV = potential_energy(selection.values, factor)
    if potential_eV is None:
        raise QuorumError(
            f"{selection.path}: has neither energies of members nor PotEng; add pe to thermo_style "
            "custom and, of a committee, c_members[*] of `compute members all pair quorum`; or "
            "`rerun` a dump with it and give that log after --committee"
        )
    return potential_eV[:, None]


def _temperature(selection: Selection, given: float | None) -> float:
    """Of the run, with its ensemble checked."""
    last, ensemble = selection.last, selection.last.ensemble
    if ensemble.problem:
        raise QuorumError(
            f"{last.where}: {ensemble.problem}, expected a canonical ensemble at one temperature "
            "(and pressure); choose other runs of the log with --runs"
        )
    if ensemble.constant_energy:
        raise QuorumError(
            f"{last.where}: was run at constant energy (fix nve without a thermostat), expected a "
            "canonical ensemble: the expansion holds for fluctuations at constant temperature; run "
            "with fix nvt, npt or langevin"
        )
    kelvin = ensemble.temperature_K if given is None else given
    if kelvin is None:
        raise QuorumError(
            f"{last.where}: temperature: the log echoes no thermostat of fixed temperature (fix "
            "nvt, npt, langevin, temp/csvr, …), expected one; give --temperature in K"
        )
    return kelvin


def _units(selection: Selection, given: str | None) -> Units:
    known = selection.last.script.units
    if given is not None and known is not None and given != known:
        raise QuorumError(
            f"{selection.path}: units: got {given}, but the log has `units {known}`; leave out "
            "--lammps-units"
        )
    name = known or given
    if name is None:
        raise QuorumError(
            f"{selection.path}: the log echoes no `units` command (a restart file restores them "
            "without a word), expected metal or real; give --lammps-units"
        )
    if name not in UNITS:
        raise QuorumError(
            f"{selection.path}: units: got {name}, expected metal or real, whose energies and "
            "temperatures have units"
        )
    return UNITS[name]


def _totals(selection: Selection, vector: str, factor: float, notes: list[str]) -> Selection:
    """Energies of the whole system, where `thermo_modify norm yes` wrote them per atom."""
    if not _per_atom(selection, factor):
        return selection
    if selection.n_atoms is None:
        raise QuorumError(
            f"{selection.path}: energies are per atom (thermo_modify norm yes), but the log does "
            "not say how many atoms there are; expected a line 'Loop time of … with N atoms'; run "
            "with thermo_modify norm no"
        )
    scaled = {
        name: values * (selection.n_atoms if is_energy(name, vector) else 1)
        for name, values in selection.values.items()
    }
    digits = {
        name: size * (selection.n_atoms if is_energy(name, vector) else 1)
        for name, size in selection.last_digits.items()
    }
    notes.append(
        f"energies are those of the {selection.n_atoms} atoms; the log has them per atom "
        "(thermo_modify norm yes)"
    )
    return replace(selection, values=scaled, last_digits=digits)


def _per_atom(selection: Selection, factor: float) -> bool:
    """Whether energies are per atom: as the script says or, if it is silent, as KinEng does."""
    norm = selection.last.script.norm
    if norm is not None or selection.last.script.echoed:
        return bool(norm)
    values, n_atoms = selection.values, selection.n_atoms
    if n_atoms is None or n_atoms < 3 or "KinEng" not in values or "Temp" not in values:
        return False
    kT = thermal_energy_eV(float(values["Temp"].mean()))
    # 3/2 kT per atom: 1 or the number of atoms
    return factor * float(values["KinEng"].mean()) / (1.5 * kT) < np.sqrt(n_atoms)


def _check_digits(
    selection: Selection, names: Sequence[str], factor: float, kelvin: float, notes: list[str]
) -> None:
    """Say so if members are printed so coarsely that it changes their weights."""
    size = factor * max(selection.last_digits[name] for name in names)
    kT = thermal_energy_eV(kelvin)
    if size > ALLOWED_KT * kT:
        notes.append(
            f"member energies are printed to {size:.2g} eV ({size / kT:.2g} kT), which adds noise: "
            "use thermo_modify format float %.15g"
        )


def _rerun(
    selection: Selection,
    committee: Sequence[PathLike],
    members: str | None,
    units: str | None,
    notes: list[str],
) -> tuple[Selection, Array]:
    """Member energies in eV from the logs of a `rerun`, matched by step."""
    found = segments([read_log(path) for path in committee])
    vector = member_vector(found, members)
    if not vector:
        raise QuorumError(
            f"{committee[0]}: has no energies of members; expected columns such as c_members[1] … "
            "of `compute members all pair quorum` (thermo_style custom … c_members[*]), or the "
            "name of others after --members"
        )
    rerun = select(found, vector, temperature_K=None, numbers=None, commands=("rerun", "run", ""))
    factor = energy_unit_eV(_units(rerun, units or selection.last.script.units).energy)
    assert factor is not None
    rerun = _totals(rerun, vector, factor, notes)
    shared, rows, others = np.intersect1d(
        selection.steps, rerun.steps, assume_unique=True, return_indices=True
    )
    if len(shared) < 2:
        raise QuorumError(
            f"{selection.path} (steps {selection.steps[0]} to {selection.steps[-1]}) and "
            f"{rerun.path} (steps {rerun.steps[0]} to {rerun.steps[-1]}) have {len(shared)} "
            "step(s) in common, expected at least 2; rerun the dump of this run"
        )
    names = member_columns(rerun, vector)
    energies_eV = taken(_stacked(rerun, names, factor), others)
    values = {name: column[rows] for name, column in selection.values.items()}
    notes.append(f"members from {rerun.path}: {len(shared)} of {len(selection.steps)} steps")
    return replace(selection, steps=shared, values=values), energies_eV


def _stacked(selection: Selection, names: Sequence[str], factor: float) -> Array:
    """(n, K) columns times a factor, some rows at a time: whole columns would miss every cache."""
    columns = [selection.values[name] for name in names]
    stacked = np.empty((len(selection.steps), len(names)))
    for start in range(0, len(stacked), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        for k, column in enumerate(columns):
            np.multiply(column[rows], factor, out=stacked[rows, k])
    return stacked
