"""What ``quorum reweight`` prints and writes: tables, footers, numbers for JSON."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from ..report.labels import unit_symbol

if TYPE_CHECKING:
    import argparse

    from ..averages.reweighting import Reweighted
    from ..averages.run import Observable, Run

_MANY = 12  # numbers of one observable that a table shows
UNKNOWN = "–"  # a model error without a committee: not 0
NO_COMMITTEE = "no committee, hence no model error (–); the sampling errors stand"


def _label(observable: Observable) -> str:
    unit = unit_symbol(observable)
    return f"{observable.name}/{unit}" if unit else observable.name


def table(results: list[tuple[Observable, Reweighted]]) -> list[str]:
    """One line per number, with the reasons of a verdict below."""
    rows = [["observable", "mean", "± sampling", "± model", "eff. samples", "verdict"]]
    reasons: list[list[str]] = [[]]
    for observable, result in results:
        samples = result.effective_samples
        several = f"{samples.min():.0f} … " if result.n_members > 1 else ""
        rest = [f"{several}{samples.max():.0f}", result.verdict]
        for name, values in _lines(observable, result):
            rows.append([name, *(values or ("a curve", "", "")), *rest])
            reasons.append([])
        reasons[-1] = result.reasons
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = [NO_COMMITTEE] if all(result.n_members == 1 for _, result in results) else []
    for row, why in zip(rows, reasons, strict=True):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:5], widths[1:5], strict=True)]
        lines.append("   ".join([*cells, row[5]]))
        for sentence in why:
            lines += textwrap.wrap(sentence, 98, initial_indent="  ", subsequent_indent="    ")
    return lines


def _lines(
    observable: Observable, result: Reweighted
) -> list[tuple[str, tuple[str, str, str] | None]]:
    """Labels and rounded numbers; a curve is one line without numbers."""
    mean = np.asarray(result.mean)
    label = _label(observable)
    if mean.size > _MANY:
        axes = " × ".join(f"{len(axis.values)} {axis.name}" for axis in observable.axes)
        return [(f"{label} ({axes or mean.size})", None)]
    fields = (result.mean, result.statistical_error, result.model_error, result.model_error_noise)
    arrays = [np.asarray(field) for field in fields]
    lines: list[tuple[str, tuple[str, str, str] | None]] = []
    for index in np.ndindex(mean.shape):
        where = [
            axis.values[k] if isinstance(axis.values[k], str) else f"{axis.name}={axis.values[k]:g}"
            for axis, k in zip(observable.axes, index, strict=False)
        ] or list(map(str, index))
        name = f"{label} {' '.join(map(str, where))}" if index else label
        lines.append((name, _rounded(*(float(one[index]) for one in arrays))))
    return lines


def _rounded(mean: float, sampling: float, model: float, noise: float) -> tuple[str, str, str]:
    """Mean and errors to the second digit of the smaller error, if that is worth printing."""
    resolved = not model <= 0
    model = model if resolved else noise
    known = sampling if math.isnan(model) else model
    largest, smallest = sorted((sampling, known), reverse=True)
    scale = max(smallest, largest / 100)
    decimals = 1 - math.floor(math.log10(scale)) if scale > 0 else 6
    decimals = min(max(decimals, 0), 12)

    def text(value: float) -> str:
        if math.isnan(value):
            return UNKNOWN
        digits = f"{value:.{decimals}f}"
        return digits if value == 0 or float(digits) != 0 else f"{value:.1g}"

    bound = "" if resolved else "< "
    return f"{mean:.{decimals}f}", text(sampling), bound + text(model)


def curves(sections: list[tuple[Run, list[tuple[Observable, Reweighted]]]]) -> str:
    """Columns for `numpy.loadtxt`: every value of every observable with its errors; a model error
    that is not known is nan."""
    lines = ["# observable  temperature/K  position  mean  sampling_error  model_error"]
    blocks: list[str] = []
    number = 0
    for frames, results in sections:
        for observable, result in results:
            mean = np.asarray(result.mean)
            sampling = np.asarray(result.statistical_error)
            model = np.asarray(result.model_error)
            axes = ", ".join(f"{axis.name}/{axis.unit or 1}" for axis in observable.axes)
            lines.append(f"# {number}: {_label(observable)}" + (f" against {axes}" if axes else ""))
            for k, index in enumerate(np.ndindex(mean.shape)):
                place: float = k
                if len(index) == 1 and observable.axes:
                    one = observable.axes[0].values[index[0]]
                    place = float(one) if not isinstance(one, str) else k
                blocks.append(
                    f"{number} {frames.temperature_K:.10g} {place:.10g} {mean[index]:.12g} "
                    f"{sampling[index]:.6g} {model[index]:.6g}"
                )
            number += 1
    return "\n".join([*lines, *blocks]) + "\n"


def footer(
    frames: Run, results: list[tuple[Observable, Reweighted]], *, default: bool
) -> list[str]:
    """How the numbers were made, and what was assumed or left out."""
    first = results[0][1]
    how = "direct reweighting" if first.method == "direct" else "cumulant expansion"
    largest = max(float(np.max(result.second_to_first_order)) for _, result in results)
    if first.method == "cumulant":
        how += " to second order" if first.order == 2 else ""
        how += f", 2nd/1st order ≤ {largest:.2f}"
    if first.n_members == 1:
        how = "one potential"
    lines = [
        "",
        f"{how}; {first.n_frames} frames, steps {frames.steps[0]} "
        f"to {frames.steps[-1]} every {frames.stride}, {frames.n_discarded} discarded; "
        f"T = {frames.temperature_K:g} K",
    ]
    if first.n_members > 1:
        relative = 100 / math.sqrt(2 * (first.n_members - 1))
        lines.append(
            f"{first.n_members} members: the model error is itself known to {relative:.0f} %"
        )
    lines += [observable.note for observable, _ in results if observable.note]
    lines += [
        f"{observable.name}: {note}" for observable, result in results for note in result.notes
    ]
    if not frames.checked and isinstance(frames.reference, str):
        lines.append(
            f"not checked: there is no column {frames.words.driving} to compare the member "
            "energies with"
        )
    lines += frames.notes
    left_out = frames.left_out() if default else []
    if left_out:
        lines.append(
            f"left out: {', '.join(left_out)} (constant, or not a function of positions and cell "
            "alone; --observable takes them)"
        )
    return lines


def inputs(frames: Run, args: argparse.Namespace, method: str) -> dict[str, Any]:
    """What the numbers were made from, for JSON."""
    return {
        "properties": frames.table.path,
        "committee": list(frames.committee_paths),
        "input": args.input,
        "temperature_K": frames.temperature_K,
        "kT_eV": frames.kT_eV,
        "reference": frames.reference_name,
        "reference_checked": frames.checked,
        "method": method,
        "order": args.order,
        "n_frames": len(frames.steps),
        "n_discarded": frames.n_discarded,
        "first_step": int(frames.steps[0]),
        "last_step": int(frames.steps[-1]),
        "stride": frames.stride,
        "n_members": frames.energies_eV.shape[1],
        "n_beads": frames.n_beads,
        "committee_unit": args.committee_unit,
    }


def numbers(observable: Observable, result: Reweighted) -> dict[str, Any]:
    """One observable for JSON; without a committee, what only members have is null."""
    alone = result.n_members == 1

    def plain(value: Any) -> Any:
        return np.asarray(value).tolist()

    def spread(value: Any) -> Any:
        return None if alone else plain(value)

    return {
        "name": observable.name,
        "unit": observable.unit,
        "paired": observable.paired,
        "axes": [
            {"name": axis.name, "unit": axis.unit, "values": list(axis.values)}
            for axis in observable.axes
        ],
        "mean": plain(result.mean),
        "sampling_error": plain(result.statistical_error),
        "model_error": spread(result.model_error),
        "model_error_uncorrected": spread(result.model_error_uncorrected),
        "model_error_noise": spread(result.model_error_noise),
        "reference_mean": plain(result.reference_mean),
        "members": spread(result.members),
        "members_sampling_error": spread(result.members_statistical_error),
        "effective_samples": result.effective_samples.tolist(),
        "sigma_h": spread(result.sigma_h),
        "second_to_first_order": spread(result.second_to_first_order),
        "statistical_inefficiency": plain(result.statistical_inefficiency),
        "verdict": result.verdict,
        "reasons": result.reasons,
        "notes": result.notes + ([observable.note] if observable.note else []),
    }
