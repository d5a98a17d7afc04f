"""``quorum reweight``: the averages of a run with both errors and a verdict."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..averages.reweighting import Reweighted
    from ..averages.run import Observable, Run

_EPILOG = """\
LAMMPS: log.lammps and the logs of its restarts. In the script:
  compute members all pair quorum
  thermo_style custom step temp pe vol c_members[*]
i-PI: properties with step (and potential, which proves that files belong together). In the input:
  <properties filename='out' stride='10'>[ step, potential{electronvolt}, volume{angstrom3} ]
  <trajectory filename='committee_pot' stride='10' extra_type='committee_pot'> extras
Extended XYZ: energy_ensemble, energy and step in every frame.
examples:
  quorum reweight log.lammps --discard auto
  quorum reweight simulation.out --committee simulation.committee_pot_0 --input input.xml
  quorum reweight --input 300K.xml --also 400K.xml --at-temperature 300 350 400
  quorum reweight --input input.xml --bias COLVAR:restraint.bias --bias-unit kj/mol
  quorum reweight --input input.xml --trajectory run.pos_0.xyz --observable rdf:Nb-Mo --plot g.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``quorum reweight``."""
    parser.epilog = _EPILOG
    parser.usage = "quorum reweight [FILE ...] [options]"
    add = parser.add_argument
    add(
        "files",
        nargs="*",
        metavar="FILE",
        help="LAMMPS logs, i-PI properties (or --input), extended XYZ, or a record",
    )
    add(
        "--committee",
        nargs="+",
        metavar="FILE",
        help="committee_pot extras, one per bead; or logs of a rerun",
    )
    add("--input", metavar="XML", help="i-PI input: temperature, time step and file names")
    add("--temperature", type=float, metavar="K", help="temperature of the run")
    add(
        "--observable",
        action="append",
        metavar="NAME",
        help="a column, heat_capacity, or along --trajectory rdf:Nb-Mo, steinhardt:6, …, "
        "my.py:function; repeatable (default: columns that fluctuate and depend on positions)",
    )
    add("--direct", action="store_true", help="direct reweighting, not the cumulant expansion")
    add("--order", type=int, default=1, choices=(1, 2), help="of the cumulant expansion (1)")
    add(
        "--reference",
        metavar="mean|INDEX|COLUMN",
        help="what drove the run: the mean, a member (from 0), or the energy in a column",
    )
    add(
        "--discard",
        default="0",
        metavar="auto|N|FRACTION",
        help="frames to leave out at the start (0)",
    )
    more = parser.add_argument_group("frames from elsewhere")
    also = more.add_argument
    also(
        "--also",
        nargs="+",
        action="append",
        metavar="FILE",
        help="a run to pool, at its own temperature: its i-PI input, or logs; repeatable",
    )
    also(
        "--at-temperature",
        type=float,
        nargs="+",
        metavar="K",
        help="where averages are wanted, if not at that of the (first) run",
    )
    also(
        "--bias", metavar="COLUMN|FILE:COLUMN", help="bias that acted: a column, or PLUMED's COLVAR"
    )
    also("--bias-unit", metavar="ENERGY[,TIME]", help="where the file has none: kj/mol,ps (PLUMED)")
    also("--timestep", type=float, metavar="FS", help="of the run, to match times with steps")
    also(
        "--trajectory",
        nargs="+",
        metavar="FILE",
        help="positions (one file per bead): i-PI or extended XYZ, LAMMPS dump",
    )
    also("--members", metavar="c_ID", help="LAMMPS: vector of the member energies, if not clear")
    also(
        "--runs", metavar="N[,N]", help="LAMMPS: runs of the logs to use, from 1 (as the last one)"
    )
    also("--lammps-units", metavar="U", help="metal or real, if the log is silent")
    also("--committee-unit", default="hartree", metavar="U", help="of extras (hartree)")
    output = parser.add_argument_group("output")
    also = output.add_argument
    also("--units", metavar="UNIT", help="print energies in electronvolt, hartree, kj/mol, …")
    also("--explain", action="store_true", help="say what the errors and the verdict mean here")
    also("--plot", metavar="FILE", help="draw averages, influence of frames, effective samples")
    also("--table", metavar="FILE", help="write curves (rdf, …) as columns with both errors")
    also("--record", metavar="FILE", help="write the frames used as HDF5, for later averages")
    also("--json", metavar="FILE", help="write all numbers to FILE, or - for the terminal")


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
    targets: list[float | None] = args.at_temperature or [None]
    method = "direct" if args.direct else "cumulant"
    sections: list[tuple[Run, list[tuple[Observable, Reweighted]]]] = []
    parts: list[list[Run]] = []
    for target in targets:
        frames = pooled(runs, target)
        chosen = _observables(frames, args)
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
    from ..averages.readers import Request, read_runs
    from ..errors import QuorumError

    common = {
        "reference": _reference(args.reference),
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
        if len(files) == 1 and files[0].endswith(".xml"):
            runs += read_runs(Request(files=(), input_path=files[0], **common))
        else:
            runs += read_runs(Request(files=tuple(files), **common))
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


def _observables(frames: Run, args: argparse.Namespace) -> list[tuple[Run, Observable]]:
    """Observables, each with the frames that it is known in."""
    from ..errors import QuorumError

    wanted = args.observable or []
    if not wanted and not args.trajectory:
        names = frames.names()
        if not names:
            raise QuorumError(
                f"{frames.table.path}: no column is an observable that fluctuates, expected "
                f"{frames.words.driving}, {frames.words.volume} or the like; "
                f"{frames.table.how_to_add.format('them')}, or name a column with --observable"
            )
        return [(frames, frames.observable(name, args.units)) for name in names]
    from ..averages.observables import RECIPES

    along = {
        name
        for name in wanted
        if not frames.table.has(name)
        and (name.partition(":")[0] in RECIPES or ".py:" in name or "." in name.partition(":")[0])
        and (args.trajectory or ":" in name)
    }
    computed = _along_trajectory(frames, [name for name in wanted if name in along], args)
    chosen = []
    for name in dict.fromkeys(wanted):
        if name in along:
            chosen.append(computed[name])
        else:
            chosen += [(frames, frames.observable(one, args.units)) for one in frames.expand(name)]
    return chosen


def _along_trajectory(
    frames: Run, names: list[str], args: argparse.Namespace
) -> dict[str, tuple[Run, Observable]]:
    from ..averages.observables import compute_many
    from ..averages.run import Observable
    from ..errors import QuorumError

    if not names:
        if args.trajectory:
            raise QuorumError(
                "--trajectory: no observable along it was asked for, expected --observable "
                "rdf:all, steinhardt:6 or the like; give one, or leave it out"
            )
        return {}
    if not args.trajectory:
        raise QuorumError(
            f"--observable {names[0]}: is computed from positions, but there is no --trajectory; "
            "give the file of the run"
        )
    if args.also:
        raise QuorumError(
            "--trajectory: belongs to one run, but --also pools others; expected columns as "
            "observables, or one run"
        )
    found = {}
    for name, series in zip(names, compute_many(names, args.trajectory), strict=True):
        rows, values = series.match(frames.steps)
        note = "; ".join(f"{name}: {note}" for note in series.notes)
        if len(rows) < len(frames.steps):
            share = f"{name}: {len(rows)} of {len(frames.steps)} frames have positions"
            note = "; ".join(filter(None, (note, share)))
        found[name] = (
            frames.part(rows),
            Observable(
                name, "" if series.unit == "1" else series.unit, values, False, note, series.axes
            ),  # fmt: skip
        )
    return found


def _reference(text: str | None) -> str | int | None:
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
