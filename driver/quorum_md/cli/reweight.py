"""``quorum reweight``: the averages of an i-PI run with both errors and a verdict."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..averages.ipi_run import IpiRun, Observable
    from ..averages.reweighting import Reweighted

_EPILOG = """\
The properties need the column step (and potential, which proves that the files belong together).
In the i-PI input:
  <properties filename='out' stride='10'>[ step, potential{electronvolt}, volume{angstrom3} ]
  <trajectory filename='committee_pot' stride='10' extra_type='committee_pot'> extras

example:
  quorum reweight simulation.out --committee simulation.committee_pot_0 --input input.xml
"""
_SYMBOLS = {
    "electronvolt": "eV",
    "millielectronvolt": "meV",
    "kelvin": "K",
    "angstrom": "Å",
    "angstrom3": "Å³",
    "hartree": "Ha",
    "g/cm3": "g/cm³",
    "megapascal": "MPa",
    "gigapascal": "GPa",
    "kj/mol": "kJ/mol",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``quorum reweight``."""
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("properties", nargs="?", help="properties file of i-PI (default: the one in --input)")
    add("--committee", nargs="+", metavar="FILE", help="committee_pot extras, one per bead")
    add("--input", metavar="XML", help="i-PI input: temperature, time step and file names")
    add("--temperature", type=float, metavar="K", help="temperature of the run")
    add(
        "--observable",
        action="append",
        metavar="COLUMN",
        help="a column, or heat_capacity; repeatable (default: all columns that fluctuate and "
        "depend on positions or cell)",
    )
    add("--direct", action="store_true", help="direct reweighting, not the cumulant expansion")
    add("--order", type=int, default=1, choices=(1, 2), help="of the cumulant expansion (1)")
    add(
        "--reference",
        default="mean",
        metavar="mean|INDEX|COLUMN",
        help="what drove the run: the mean, a member (from 0), or the energy in a column",
    )
    add(
        "--discard",
        default="0",
        metavar="auto|N|FRACTION",
        help="frames to leave out at the start (0)",
    )
    add("--units", metavar="UNIT", help="print energies in electronvolt, hartree, kj/mol, …")
    add("--committee-unit", default="hartree", metavar="UNIT", help="of member energies (hartree)")
    add("--json", metavar="FILE", help="write all numbers to FILE, or - for the terminal")


def run(args: argparse.Namespace) -> int:
    """Read, reweight, and only then print or write."""
    import json

    from ..atomic import write_atomically
    from ..averages.ipi_run import load_run

    properties, committee = _files(args)
    frames = load_run(
        properties,
        committee,
        temperature_K=args.temperature,
        input_path=args.input,
        reference=_reference(args.reference),
        discard=args.discard,
        committee_unit=args.committee_unit,
    )
    names = _observables(frames, args.observable)
    method = "direct" if args.direct else "cumulant"
    results = [
        (
            frames.observable(name, args.units),
            frames.reweight(name, method=method, order=args.order, energy_unit=args.units),
        )
        for name in names
    ]
    if args.json is not None:
        report = {
            "inputs": _inputs(frames, args, method),
            "observables": [_numbers(observable, result) for observable, result in results],
        }
        text = json.dumps(report, indent=1, allow_nan=False) + "\n"
        if args.json == "-":
            print(text, end="")
            return 0
        write_atomically(args.json, text)
    print("\n".join(_table(results) + _footer(frames, results, default=not args.observable)))
    return 0


def _files(args: argparse.Namespace) -> tuple[Any, list[Any]]:
    """Properties and committee files, from the command line or the i-PI input."""
    from pathlib import Path

    from ..averages.ipi_input import read_ipi_input
    from ..errors import QuorumError

    properties, committee = args.properties, args.committee
    if properties is not None and committee:
        return properties, committee
    if args.input is None:
        missing = "properties file" if properties is None else "--committee"
        raise QuorumError(
            f"{missing}: got none, expected the files of one run; give "
            "`quorum reweight simulation.out --committee simulation.committee_pot_0`, or --input"
        )
    facts = read_ipi_input(args.input)
    if properties is None:
        if len(facts.properties) != 1 or len(facts.systems) != 1:
            raise QuorumError(
                f"{args.input}: has {len(facts.properties)} <properties> and "
                f"{len(facts.systems)} systems, expected one of each; name the file on the command "
                "line"
            )
        properties = facts.file(facts.properties[0])
    if not committee:
        if len(facts.committee) != 1:
            raise QuorumError(
                f"{args.input}: has {len(facts.committee)} <trajectory "
                "extra_type='committee_pot'>extras</trajectory>, expected one; add it, or name "
                "the files with --committee"
            )
        # the members of one system lie beside its properties, with the same prefix
        name = Path(properties).name
        prefix = facts.system_of(properties).prefix
        stem = Path(properties).parent / (
            f"{prefix}_{facts.committee[0]}"
            if prefix and name.startswith(f"{prefix}_")
            else facts.committee[0]
        )
        committee = sorted(
            path
            for path in stem.parent.glob(f"{stem.name}_*")
            if path.name[len(stem.name) + 1 :].isdigit()
        )
        if not committee:
            raise QuorumError(
                f"{stem}_0: is not there, although {args.input} asks for it; expected the member "
                "energies of the run, name the files with --committee"
            )
    return properties, committee


def _reference(text: str) -> str | int:
    return int(text) if text.lstrip("-").isdigit() else text


def _observables(frames: IpiRun, wanted: list[str] | None) -> list[str]:
    from ..errors import QuorumError

    if wanted:
        return list(dict.fromkeys(part for name in wanted for part in frames.expand(name)))
    names = frames.names()
    if not names:
        raise QuorumError(
            f"{frames.table.path}: no column is an observable that fluctuates, expected potential, "
            "volume or the like; add them to <properties>, or name a column with --observable"
        )
    return names


def _label(observable: Observable) -> str:
    unit = observable.unit
    if unit == "atomic_unit":
        unit = "hartree" if observable.paired else "a.u."
    return f"{observable.name}/{_SYMBOLS.get(unit.lower(), unit)}"


def _table(results: list[tuple[Observable, Reweighted]]) -> list[str]:
    import textwrap

    rows = [["observable", "mean", "± sampling", "± model", "eff. samples", "verdict"]]
    reasons: list[list[str]] = [[]]
    for observable, result in results:
        samples = result.effective_samples
        mean, sampling, model = _rounded(result)
        rows.append(
            [
                _label(observable),
                mean,
                sampling,
                model,
                f"{samples.min():.0f} … {samples.max():.0f}",
                result.verdict,
            ]
        )
        reasons.append(result.reasons)
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = []
    for row, why in zip(rows, reasons, strict=True):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:5], widths[1:5], strict=True)]
        lines.append("   ".join([*cells, row[5]]))
        for sentence in why:
            lines += textwrap.wrap(sentence, 98, initial_indent="  ", subsequent_indent="    ")
    return lines


def _rounded(result: Reweighted) -> tuple[str, str, str]:
    """Mean and errors to the second digit of the smaller error, if that is worth printing."""
    import math

    resolved = result.model_error > 0
    model = result.model_error if resolved else result.model_error_noise
    largest, smallest = sorted((result.statistical_error, model), reverse=True)
    scale = max(smallest, largest / 100)
    decimals = 1 - math.floor(math.log10(scale)) if scale > 0 else 6
    decimals = min(max(decimals, 0), 12)

    def text(value: float) -> str:
        digits = f"{value:.{decimals}f}"
        return digits if value == 0 or float(digits) != 0 else f"{value:.1g}"

    bound = "" if resolved else "< "
    return f"{result.mean:.{decimals}f}", text(result.statistical_error), bound + text(model)


def _footer(
    frames: IpiRun, results: list[tuple[Observable, Reweighted]], *, default: bool
) -> list[str]:
    import math

    first = results[0][1]
    how = "direct reweighting" if first.method == "direct" else "cumulant expansion"
    largest = max(result.second_to_first_order for _, result in results)
    if first.method == "cumulant":
        how += " to second order" if first.order == 2 else ""
        how += f", 2nd/1st order ≤ {largest:.2f}"
    relative = 100 / math.sqrt(2 * (first.n_members - 1))
    lines = [
        "",
        f"{how}; {first.n_frames} frames, steps {frames.steps[0]} "
        f"to {frames.steps[-1]} every {frames.stride}, {frames.n_discarded} discarded; "
        f"T = {frames.temperature_K:g} K",
        f"{first.n_members} members: the model error is itself known to {relative:.0f} %",
    ]
    lines += [observable.note for observable, _ in results if observable.note]
    lines += [
        f"{observable.name}: {note}" for observable, result in results for note in result.notes
    ]
    if not frames.checked and isinstance(frames.reference, str):
        lines.append(
            "not checked: the properties have no column potential to compare the member energies "
            "with"
        )
    left_out = frames.left_out() if default else []
    if left_out:
        lines.append(
            f"left out: {', '.join(left_out)} (constant, or not a function of positions and cell "
            "alone; --observable takes them)"
        )
    return lines


def _inputs(frames: IpiRun, args: argparse.Namespace, method: str) -> dict[str, Any]:
    return {
        "properties": frames.table.path,
        "committee": list(frames.committee_paths),
        "input": args.input,
        "temperature_K": frames.temperature_K,
        "kT_eV": frames.kT_eV,
        "reference": args.reference,
        "reference_checked": frames.checked,
        "method": method,
        "order": args.order,
        "n_frames": len(frames.steps),
        "n_discarded": frames.n_discarded,
        "first_step": int(frames.steps[0]),
        "last_step": int(frames.steps[-1]),
        "stride": frames.stride,
        "n_members": frames.energies_eV.shape[1],
        "n_beads": len(frames.committee_paths),
        "committee_unit": args.committee_unit,
    }


def _numbers(observable: Observable, result: Reweighted) -> dict[str, Any]:
    return {
        "name": observable.name,
        "unit": observable.unit,
        "paired": observable.paired,
        "mean": result.mean,
        "sampling_error": result.statistical_error,
        "model_error": result.model_error,
        "model_error_uncorrected": result.model_error_uncorrected,
        "model_error_noise": result.model_error_noise,
        "reference_mean": result.reference_mean,
        "members": result.members.tolist(),
        "members_sampling_error": result.members_statistical_error.tolist(),
        "effective_samples": result.effective_samples.tolist(),
        "sigma_h": result.sigma_h.tolist(),
        "second_to_first_order": result.second_to_first_order,
        "statistical_inefficiency": float(result.statistical_inefficiency),
        "verdict": result.verdict,
        "reasons": result.reasons,
        "notes": result.notes + ([observable.note] if observable.note else []),
    }
