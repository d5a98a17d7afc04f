"""Runs beside each other: pooled, carried to another temperature, freed of a bias.

Frames of every run get the weight they have in the ensemble that is asked for. With several
temperatures or pressures the weights are MBAR's (Shirts & Chodera, J. Chem. Phys. 129, 124105
(2008), doi:10.1063/1.2978177), and their own noise is part of the errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import QuorumError
from ..units import EV_A3_BAR, thermal_energy_eV
from .checks import reference_energies
from .run import Run, positive_temperature, volumes_A3
from .tables import Column, Table
from .weights import FrameWeights, bias_weights, known_weights, mbar_weights, temperature_weights

Array = NDArray[np.float64]


def driving_energies(run: Run) -> Array:
    """(n,) eV: of the potential that drove a run."""
    return reference_energies(run.energies_eV, run.reference)


def without_bias(run: Run, bias_eV: Array, name: str) -> Run:
    """The run as if a bias had not acted: its frames weigh e^{+V_bias/kT}.

    Args:
        bias_eV: (n,) in its frames.
        name: where it is from, for the report.

    Raises:
        QuorumError: the frames are weighted already, or the bias is no (n,) array of numbers.
    """
    if run.weights is not None:
        raise QuorumError(f"{run.table.path}: its frames are weighted already; give one bias")
    if bias_eV.shape != run.steps.shape:
        raise QuorumError(
            f"{name}: got {bias_eV.shape} values of the bias, expected {run.steps.shape}"
        )
    weights = bias_weights(bias_eV, kT_eV=run.kT_eV)
    left = weights.values.sum() ** 2 / (weights.values**2).sum()
    note = (
        f"freed of the bias {name} ({bias_eV.min():.3g} to {bias_eV.max():.3g} eV): "
        f"{left:.0f} of {len(bias_eV)} frames are left"
    )
    return replace(run, weights=weights, notes=(*run.notes, note))


def pooled(runs: Sequence[Run], temperature_K: float | None = None) -> Run:
    """One run from several of the same system, at one temperature (and pressure).

    Args:
        runs: at any temperatures; all at constant volume or all at constant pressure.
        temperature_K: where the averages are wanted; that of the first run if None.

    Raises:
        QuorumError: path integrals, biased runs among several, runs that do not belong together.
    """
    first = runs[0]
    target = first.temperature_K if temperature_K is None else positive_temperature(temperature_K)
    if len(runs) == 1 and target == first.temperature_K:
        return first
    _check(runs, {run.temperature_K for run in runs} == {target})
    runs = [runs[k] for k in pooled_order(runs)]
    states = sorted({_state(run) for run in runs})
    lengths = [len(run.steps) for run in runs]
    driving = np.concatenate([driving_energies(run) for run in runs])
    volume = None
    if _constant_pressure(first):
        volume = np.concatenate([volumes_A3(run) for run in runs])
    wanted = (target, first.pressure_bar or 0.0)
    if len(states) == 1:
        weights = _of_one_state(driving, volume, states[0], wanted, lengths)
        if first.weights is not None:
            weights = replace(weights, values=weights.values * first.weights.values)
    else:

        def reduced(state: tuple[float, float]) -> Array:
            work = 0.0 if volume is None else state[1] / EV_A3_BAR * volume
            result: Array = (driving + work) / thermal_energy_eV(state[0])
            return result

        counts = [sum(n for run, n in zip(runs, lengths, strict=True) if _state(run) == state)
                  for state in states]  # fmt: skip
        weights = mbar_weights(np.array([reduced(s) for s in states]), counts, reduced(wanted))
        weights = replace(weights, lengths=tuple(lengths))
    left = weights.values.sum() ** 2 / (weights.values**2).sum()
    temperatures = ", ".join(f"{state[0]:g}" for state in states)
    note = f"{len(runs)} run(s) at {temperatures} K give {left:.0f} frames at {target:g} K"
    if volume is not None:
        note += f" and {first.pressure_bar:g} bar"
    notes = [f"{run.table.path}: {one}" for run in runs for one in run.notes]
    return Run(
        table=_joined_table(runs),
        rows=np.arange(sum(lengths)),
        steps=np.concatenate([run.steps for run in runs]),
        stride=first.stride,
        energies_eV=np.concatenate([run.energies_eV for run in runs]),
        reference=_joined_reference(runs, driving),
        reference_name=first.reference_name,
        temperature_K=target,
        n_discarded=sum(run.n_discarded for run in runs),
        committee_paths=tuple(path for run in runs for path in run.committee_paths),
        checked=all(run.checked for run in runs),
        pressure_bar=first.pressure_bar,
        constant_volume=first.constant_volume,
        words=first.words,
        notes=(note, *notes),
        weights=weights,
    )


def pooled_order(runs: Sequence[Run]) -> list[int]:
    """The order that `pooled` puts runs in: by temperature and pressure."""
    return sorted(range(len(runs)), key=lambda k: (_state(runs[k]), k))


def _state(run: Run) -> tuple[float, float]:
    return run.temperature_K, run.pressure_bar or 0.0


def _constant_pressure(run: Run) -> bool:
    return run.pressure_bar is not None


def _of_one_state(
    driving: Array,
    volume: Array | None,
    state: tuple[float, float],
    wanted: tuple[float, float],
    lengths: Sequence[int],
) -> FrameWeights:
    if state[0] == wanted[0]:
        return known_weights(np.ones(len(driving)), lengths)
    return temperature_weights(
        driving,
        kT_eV=thermal_energy_eV(state[0]),
        target_kT_eV=thermal_energy_eV(wanted[0]),
        volume_A3=volume,
        pressure_eV_A3=state[1] / EV_A3_BAR,
        lengths=lengths,
    )


def _check(runs: Sequence[Run], one_state: bool) -> None:
    """That runs belong together; in one state no frame is carried to another temperature."""
    first = runs[0]
    for run in runs:
        path = run.table.path
        if run.n_beads > 1:
            raise QuorumError(
                f"{path}: is a path integral of {run.n_beads} beads, whose frames cannot be "
                "carried to another temperature or pooled; expected runs with one bead"
            )
        if run.weights is not None and len(runs) > 1:
            raise QuorumError(
                f"{path}: is biased, and other runs do not say what its bias is in their frames; "
                "expected runs without a bias, or average it alone"
            )
        if run.energies_eV.shape[1] != first.energies_eV.shape[1]:
            raise QuorumError(
                f"{path}: has {run.energies_eV.shape[1]} members, but {first.table.path} has "
                f"{first.energies_eV.shape[1]}; expected runs of one committee"
            )
        if _constant_pressure(run) != _constant_pressure(first):
            raise QuorumError(
                f"{path}: {first.table.path} and it are not both at constant pressure or both at "
                "constant volume; expected runs of one ensemble"
            )
        arrays = [isinstance(one.reference, np.ndarray) for one in (run, first)]
        if any(arrays) and (not all(arrays) or run.reference_name != first.reference_name):
            raise QuorumError(
                f"{path}: was driven by {run.reference_name}, {first.table.path} by "
                f"{first.reference_name}; expected runs driven by one potential"
            )
        if run.table.has(run.words.volume) and not _constant_pressure(run):
            _check_volume(run, first, one_state)


def _check_volume(run: Run, first: Run, one_state: bool) -> None:
    """Runs whose pressure is not known may be pooled at one temperature, or have one volume."""
    here, there = volumes_A3(run), volumes_A3(first)
    if np.ptp(here) > 1e-6 * here.mean():
        if one_state:
            return
        raise QuorumError(
            f"{run.table.path}: the volume fluctuates, but the pressure is not known, so its "
            f"frames cannot be carried to another temperature; {run.words.where_pressure}"
        )
    if abs(here.mean() / there.mean() - 1) > 1e-6:
        raise QuorumError(
            f"{run.table.path}: its volume is {here.mean():.6g} Å³, that of {first.table.path} "
            f"{there.mean():.6g} Å³; expected runs at one volume"
        )


def _joined_table(runs: Sequence[Run]) -> Table:
    """Rows that are used, of the columns that all runs have in the same unit."""
    first = runs[0].table
    columns = []
    for column in first.columns:
        parts = [run.table.column(column.name) for run in runs if run.table.has(column.name)]
        if len(parts) == len(runs) and len({part.unit for part in parts}) == 1:
            values = [part.values[run.rows] for part, run in zip(parts, runs, strict=True)]
            columns.append(Column(column.name, column.unit, np.concatenate(values)))
    return replace(
        first,
        path=", ".join(dict.fromkeys(run.table.path for run in runs)),
        columns=columns,
        abandoned=sum(run.table.abandoned for run in runs),
        truncated=any(run.table.truncated for run in runs),
    )


def _joined_reference(runs: Sequence[Run], driving: Array) -> str | int | Array:
    """What drove all runs: the same word or index, or the energies."""
    references = [run.reference for run in runs]
    first = references[0]
    if isinstance(first, np.ndarray) or any(one != first for one in references[1:]):
        return driving
    return first
