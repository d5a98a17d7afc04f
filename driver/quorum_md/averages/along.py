"""Observables along the trajectories of runs, matched by step, and pooled as the runs are.

Every run has its own trajectory; the frames that have positions form a run of their own, and these
runs are pooled with the weights that they then have.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import numpy as np

from ..errors import QuorumError
from .observables import RECIPES, Series, Trajectory, compute_many, parse
from .pool import pooled, pooled_order
from .run import Observable, Run

_TIMESTEP = "timestep_fs"


class Along:
    """Some observables in the frames of some runs.

    Args:
        runs: as they were read.
        names: of observables along trajectories (`observables.RECIPES`), or functions.
        trajectories: of each run, one file per bead.
        timestep_fs: of all runs; what is known of each if None.

    Raises:
        QuorumError: as `observables.compute_many`; not one trajectory per run, fewer than two
            frames in common, observables that differ in shape between runs.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        names: Sequence[str],
        trajectories: Sequence[Sequence[Trajectory]],
        timestep_fs: float | None = None,
    ) -> None:
        if len(trajectories) != len(runs):
            raise QuorumError(
                f"--trajectory: got {len(trajectories)} for {len(runs)} run(s), expected one for "
                "each: give --trajectory again for every run of --also, in their order"
            )
        self._found: dict[str, list[tuple[Run, Series]]] = {name: [] for name in names}
        for run, files in zip(runs, trajectories, strict=True):
            known = run.timestep_fs if timestep_fs is None else timestep_fs
            requests = [_request(name, known) for name in names]
            for name, series in zip(names, compute_many(requests, list(files)), strict=True):
                rows, values = series.match(run.steps)
                note = "; ".join(f"{name}: {note}" for note in series.notes)
                if len(rows) < len(run.steps):
                    share = f"{name}: {len(rows)} of {len(run.steps)} frames have positions"
                    note = "; ".join(filter(None, (note, share)))
                matched = Series(name, run.steps[rows], values, series.unit, series.axes, (note,))
                self._found[name].append((run.part(rows), matched))
        for name, parts in self._found.items():
            _check_alike(name, parts, [files[0].path for files in trajectories])
        self._pooled: dict[tuple[float | None, bytes], Run] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def pooled(self, name: str, temperature_K: float | None = None) -> tuple[Run, Observable]:
        """One observable in the frames of all runs that have positions; see `pool.pooled`."""
        parts = self._found[name]
        runs = [run for run, _ in parts]
        # observables of the same frames share their weights
        key = temperature_K, b"|".join(run.steps.tobytes() for run in runs)
        if key not in self._pooled:
            self._pooled[key] = pooled(runs, temperature_K)
        ordered = [parts[k][1] for k in pooled_order(runs)]
        values = np.concatenate([one.values for one in ordered])
        notes = dict.fromkeys(note for one in ordered for note in one.notes if note)
        unit = "" if ordered[0].unit == "1" else ordered[0].unit
        return self._pooled[key], Observable(
            name, unit, values, False, "; ".join(notes), ordered[0].axes
        )


def _request(name: str, timestep_fs: float | None) -> tuple[str, dict[str, float]]:
    """An observable, with the time step where it needs one and none is stated."""
    recipe, stated = parse(name)
    parameters = inspect.signature(RECIPES[recipe].build).parameters if recipe in RECIPES else {}
    if _TIMESTEP not in parameters or _TIMESTEP in stated:
        return name, {}
    if timestep_fs is not None:
        return name, {_TIMESTEP: timestep_fs}
    if parameters[_TIMESTEP].default is inspect.Parameter.empty:
        raise QuorumError(
            f"{name}: the time step of the run is not known, expected one to turn steps into time; "
            "give --timestep in fs"
        )
    return name, {}


def _check_alike(name: str, parts: Sequence[tuple[Run, Series]], paths: Sequence[str]) -> None:
    first = parts[0][1]
    for (_, series), path in zip(parts[1:], paths[1:], strict=True):
        same = first.values.shape[1:] == series.values.shape[1:] and all(
            one.unit == other.unit and _same(one.values, other.values)
            for one, other in zip(first.axes, series.axes, strict=True)
        )
        if not same or first.unit != series.unit:
            ends = [
                ", ".join(f"{axis.name} up to {axis.values[-1]}" for axis in one.axes)
                for one in (first, series)
            ]
            raise QuorumError(
                f"{name}: in {path} it has {ends[1] or 'another shape'}, in {paths[0]} "
                f"{ends[0] or 'another'}, expected the same in runs that are pooled; state its "
                "options (such as cutoff_A=5,bins=100)"
            )


def _same(one: Sequence[float] | Sequence[str], other: Sequence[float] | Sequence[str]) -> bool:
    if len(one) and isinstance(one[0], str):
        return tuple(one) == tuple(other)
    return np.shape(one) == np.shape(other) and bool(np.allclose(one, other, rtol=1e-9))
