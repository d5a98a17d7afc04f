"""``quorum reweight``: the averages of a run with both errors and a verdict."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .reweight_arguments import add_arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..averages.along import Along
    from ..averages.reweighting import Reweighted
    from ..averages.run import Observable, Run


__all__ = ["add_arguments", "run"]


def run(args: argparse.Namespace) -> int:
    """Read, reweight, and only then print or write."""
    import json

    from ..atomic import write_atomically
    from ..averages.pool import pooled
    from .reweight_report import curves, footer, inputs, numbers, table

    if args.plot is not None:
        from ..report.figures import check_figure_path

        check_figure_path(args.plot)
    runs = _runs(args)
    along = _along_trajectories(runs, args)
    targets: list[float | None] = args.at_temperature or [None]
    method = "direct" if args.direct else "cumulant"
    sections: list[tuple[Run, list[tuple[Observable, Reweighted]]]] = []
    parts: list[list[Run]] = []
    for target in targets:
        frames = pooled(runs, target)
        chosen = _observables(frames, along, target, args)
        results = [(one, _average(part, one, method, args.order)) for part, one in chosen]
        sections.append((frames, results))
        parts.append([part for part, _ in chosen])
    if args.record is not None:
        from ..averages.records import write_records

        write_records(args.record, runs)
    if args.json is not None:
        reports = [
            {
                "inputs": inputs(frames, args, method),
                "observables": [numbers(observable, result) for observable, result in results],
            }
            for frames, results in sections
        ]
        report = reports[0] if len(reports) == 1 else {"temperatures": reports}
        text = json.dumps(report, indent=1, allow_nan=False) + "\n"
        if args.json == "-":
            print(text, end="")
            return 0
        write_atomically(args.json, text)
    if args.table is not None:
        write_atomically(args.table, curves(sections))
    if args.plot is not None:
        from ..report.average_figure import draw

        for (frames, results), part in zip(sections, parts, strict=True):
            draw(part, results, _plot_path(args.plot, frames, len(sections)))
    for (frames, results), part in zip(sections, parts, strict=True):
        if len(sections) > 1:
            print(f"T = {frames.temperature_K:g} K")
        lines = table(results) + footer(frames, results, default=not args.observable)
        if args.explain:
            lines += _explained(results, part)
        print("\n".join(lines) + ("\n" if len(sections) > 1 else ""))
    return 0


def _plot_path(path: str, frames: Run, n_temperatures: int) -> str:
    """The file asked for; of several temperatures, one with each in its name."""
    from pathlib import Path

    if n_temperatures == 1:
        return path
    return str(Path(path).with_stem(f"{Path(path).stem}-{frames.temperature_K:g}K"))


def _explained(results: list[tuple[Observable, Reweighted]], parts: list[Run]) -> list[str]:
    from ..averages.explain import explain
    from ..report.labels import unit_symbol

    lines = []
    for (observable, result), run in zip(results, parts, strict=True):
        text = explain(
            result,
            observable.name,
            unit=unit_symbol(observable),
            reference=run.reference_name,
            weights=run.weights,
            stride=run.stride,
        )
        lines += ["", text]
    return lines


def _runs(args: argparse.Namespace) -> list[Run]:
    """The run of the command line, and those to pool with it."""
    from ..averages.readers import Request, read_runs, request_of
    from ..errors import QuorumError

    common = {
        "reference": reference_of(args.reference),
        "discard": args.discard,
        "committee_unit": args.committee_unit,
        "members": args.members,
        "lammps_units": args.lammps_units,
    }
    first = Request(
        files=tuple(args.files),
        committee=tuple(args.committee or ()),
        input_path=args.input,
        temperature_K=args.temperature,
        runs=_numbers_of_runs(args.runs),
        **common,
    )
    runs = read_runs(first)
    for files in args.also or ():
        runs += read_runs(request_of(files, **common))
    if args.bias is None:
        return runs
    if len(runs) > 1:
        raise QuorumError(
            "--bias: other runs (--also) do not say what the bias is in their frames, expected one "
            "run; average it alone"
        )
    return [_without_bias(runs[0], args)]


def _without_bias(frames: Run, args: argparse.Namespace) -> Run:
    import numpy as np

    from ..averages.colvar import at_steps, read_colvar
    from ..averages.pool import without_bias
    from ..averages.tables import energy_unit_eV
    from ..errors import QuorumError

    path, colon, name = args.bias.rpartition(":")
    given, _, time_unit = (args.bias_unit or "").partition(",")
    if colon:
        timestep_fs = frames.timestep_fs if args.timestep is None else args.timestep
        if timestep_fs is None:
            raise QuorumError(
                f"{path}: its times cannot be matched with steps, as the time step of the run is "
                "not known; give --timestep in fs"
            )
        source = read_colvar(path)
        unit, column = "", source.column(name)
        found, values = at_steps(
            source,
            column.name,
            frames.steps,
            timestep_fs=timestep_fs,
            time_unit=time_unit or "ps",
        )
        frames = frames.part(found)
    else:
        column = frames.table.column(args.bias)
        unit, values = column.unit, column.values[frames.rows]
    factor = energy_unit_eV(given or unit)
    if factor is None:
        problem = f"got {given}" if given else "the file has no unit of energy for it"
        raise QuorumError(
            f"--bias {args.bias}: {problem}, expected a unit of energy; give --bias-unit (kj/mol, "
            "unless UNITS in the PLUMED input says otherwise)"
        )
    return without_bias(frames, np.asarray(values * factor, dtype=float), args.bias)


def _average(frames: Run, observable: Observable, method: str, order: int) -> Reweighted:
    from ..averages.run import HEAT_CAPACITY

    if observable.name == HEAT_CAPACITY:
        return frames.reweight(HEAT_CAPACITY, method=method, order=order)
    return frames.average(observable, method=method, order=order)


def _observables(
    frames: Run, along: Along | None, target: float | None, args: argparse.Namespace
) -> list[tuple[Run, Observable]]:
    """Observables, each with the frames that it is known in."""
    from ..errors import QuorumError

    wanted = args.observable or []
    if not wanted:
        names = frames.names()
        if not names:
            raise QuorumError(
                f"{frames.table.path}: no column is an observable that fluctuates, expected "
                f"{frames.words.driving}, {frames.words.volume} or the like; "
                f"{frames.table.how_to_add.format('them')}, or name a column with --observable"
            )
        return [(frames, frames.observable(name, args.units)) for name in names]
    chosen = []
    for name in dict.fromkeys(wanted):
        if along is not None and name in along:
            chosen.append(along.pooled(name, target))
        else:
            chosen += [(frames, frames.observable(one, args.units)) for one in frames.expand(name)]
    return chosen


def _along_trajectories(runs: Sequence[Run], args: argparse.Namespace) -> Along | None:
    """What is to be computed from positions, in the frames of every run."""
    from ..averages.observables import RECIPES, Trajectory
    from ..errors import QuorumError

    names = [
        name
        for name in dict.fromkeys(args.observable or ())
        if not runs[0].table.has(name)
        and (name.partition(":")[0] in RECIPES or ".py:" in name or "." in name.partition(":")[0])
        and (args.trajectory or ":" in name)
    ]
    if not names:
        if args.trajectory:
            raise QuorumError(
                "--trajectory: no observable along it was asked for, expected --observable "
                "rdf:all, steinhardt:6 or the like; give one, or leave it out"
            )
        return None
    if not args.trajectory:
        raise QuorumError(
            f"--observable {names[0]}: is computed from positions, but there is no --trajectory; "
            "give the file of the run"
        )
    from ..averages.along import Along

    trajectories = [
        [
            Trajectory(path, elements=args.elements, every=args.every, units=args.lammps_units)
            for path in files
        ]
        for files in args.trajectory
    ]
    return Along(runs, names, trajectories, args.timestep)


def reference_of(text: str | None) -> str | int | None:
    """What --reference says: a member, or a name."""
    if text is None:
        return None
    return int(text) if text.lstrip("-").isdigit() else text


def _numbers_of_runs(text: str | None) -> tuple[int, ...] | None:
    from ..errors import QuorumError

    if text is None:
        return None
    words = text.split(",")
    if not all(word.strip().isdigit() for word in words):
        raise QuorumError(f"--runs: got {text!r}, expected numbers such as 2 or 2,3")
    return tuple(int(word) for word in words)
