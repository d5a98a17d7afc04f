"""What the errors and the verdict of one average mean, and what to do, in plain language.

Every sentence carries the average's own numbers; what does not apply is not said.
"""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass

import numpy as np

from .reweighting import Reweighted
from .verdict import (
    EFFECTIVE_DOUBTFUL,
    INDEPENDENT_DOUBTFUL,
    SECOND_TO_FIRST_DOUBTFUL,
    SECOND_TO_FIRST_INVALID,
)
from .weights import FrameWeights

WIDTH = 98
_MUCH = 2.0  # one error counts as dominant if it is so many times the other


@dataclass(frozen=True)
class _Numbers:
    """Scalars of an average; root mean squares over the components of a curve."""

    sampling: float
    model: float
    uncorrected: float
    noise: float
    ratio: float
    inefficiency: float
    resolved: bool
    alone: bool  # one potential: no model error


def explain(
    result: Reweighted,
    name: str,
    *,
    unit: str = "",
    reference: str = "mean",
    weights: FrameWeights | None = None,
    stride: int = 1,
) -> str:
    """Short paragraphs on one average: its two errors, which of them matters, what would help.

    Args:
        result: of `reweight`.
        name, unit: of the observable.
        reference: what drove the run, in words: "mean", "0" (a member), a column
            (`Run.reference_name`).
        weights: of the frames (`Run.weights`).
        stride: steps between frames.
    """
    one = _numbers(result)
    paragraphs = [
        _headline(result, one, name, unit),
        _sampling(result, one, unit, weights, stride),
    ]
    if one.alone:
        paragraphs.append(
            "Model error: not known. There is no committee, so that nothing here says how far the "
            "potential itself is wrong; it is not 0."
        )
    else:
        paragraphs += [
            _model(result, one, unit, reference),
            _validity(result, one),
            _remedy(result, one, unit),
        ]
    return "\n\n".join(
        textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)
        for text in paragraphs
        if text
    )


def _numbers(result: Reweighted) -> _Numbers:
    def rms(values: object) -> float:
        return float(np.sqrt(np.mean(np.square(np.asarray(values, dtype=float)))))

    model = rms(result.model_error)
    # components that hardly change have ratios without meaning: weigh them with their changes
    changes = np.asarray(result.model_error_uncorrected, dtype=float)
    second = np.asarray(result.second_to_first_order, dtype=float) * changes
    ratio = rms(second) / rms(changes) if rms(changes) > 0 else 0.0
    return _Numbers(
        sampling=rms(result.statistical_error),
        model=model,
        uncorrected=rms(result.model_error_uncorrected),
        noise=rms(result.model_error_noise),
        ratio=ratio,
        inefficiency=max(1.0, float(np.median(result.statistical_inefficiency))),
        resolved=model > 0,
        alone=result.n_members == 1,
    )


def _text(value: float, unit: str = "") -> str:
    """Two digits, without an exponent where people would not write one."""
    if value == 0:
        digits = "0"
    elif 1e-4 <= abs(value) < 1e6:
        decimals = max(0, 1 - math.floor(math.log10(abs(value))))
        digits = f"{value:.{decimals}f}"
    else:
        digits = f"{value:.1e}"
    return f"{digits} {unit}".rstrip()


def _times(factor: float) -> str:
    if factor < 10:
        return f"{factor:.1f}"
    return f"{float(f'{factor:.2g}'):.0f}" if factor < 1e5 else f"{factor:.0e}"


def _headline(result: Reweighted, one: _Numbers, name: str, unit: str) -> str:
    model = _text(one.model) if one.resolved else f"less than {_text(one.noise)}"
    if one.alone:
        model = "unknown"
    if np.ndim(result.mean):
        size = np.size(result.mean)
        lead = (
            f"{name}: {size} numbers; sampling errors of {_text(one.sampling, unit)} and model "
            f"errors of {model}{f' {unit}' if unit else ''}, root mean squares over all of them."
        )
    else:
        scale = min(x for x in (one.sampling, one.model or one.noise, math.inf) if x > 0)
        decimals = 6 if math.isinf(scale) else max(0, 1 - math.floor(math.log10(scale)))
        lead = (
            f"{name} = {result.mean:.{min(decimals, 12)}f} ± {_text(one.sampling)} (sampling) ± "
            f"{model} (model)".replace("± less than", "± <")
            + f"{f' {unit}' if unit else ''}."
        )
    meaning = {
        "ok": "Verdict ok: nothing speaks against either error.",
        "doubtful": "Verdict doubtful: the numbers may be right, but the run does not show it: ",
        "invalid": "Verdict invalid: do not use the model error: ",
    }[result.verdict]
    if result.reasons:
        meaning += "; ".join(result.reasons) + "."
    return f"{lead} {meaning}"


def _sampling(
    result: Reweighted, one: _Numbers, unit: str, weights: FrameWeights | None, stride: int
) -> str:
    n, g = result.n_frames, one.inefficiency
    sentences = [
        f"Sampling error, {_text(one.sampling, unit)}: what a run of this length leaves open, one "
        f"standard deviation; it falls with the square root of the length."
    ]
    # means of every k-th frame of a series whose correlation decays exponentially have a variance
    # k/2τ coth(k/2τ) times as large: 1.04 at k = τ = g/2
    if g >= 1.5:
        sentences.append(f"{n} frames hold {_text(n / g)} independent ones, one in {_text(g)}.")
    skip = math.floor(g / 2)
    if skip >= 2:
        every = f"every {skip * stride} steps" if stride > 1 else f"every {skip}th frame"
        sentences.append(
            f"Writing frames {every} in place of {'every ' + str(stride) if stride > 1 else 'all'} "
            f"would have lost hardly anything: {100 * (_thinned(skip, g) - 1):.0f} % of this error."
        )
    elif g < 1.5 and n / g > INDEPENDENT_DOUBTFUL:
        sentences.append(
            f"The {n} frames are practically independent: a run that writes more often would give "
            "more for the same steps."
        )
    if weights is not None:
        w = weights.values / weights.values.sum()
        left = 1 / float(w @ w)
        if left < 0.995 * n:
            kind = "MBAR over several states" if len(weights.counts) else "a bias or a temperature"
            sentences.append(
                f"Frames are weighted ({kind}): the weights leave {_text(left)} of {n} effective "
                "frames, and their unevenness is in this error"
                + (", as is the noise of the weights themselves." if len(weights.counts) else ".")
            )
        if len(weights.lengths) > 1:
            sentences.append(
                f"{len(weights.lengths)} runs are pooled; correlation is followed within each."
            )
    return " ".join(sentences)


def _thinned(skip: int, inefficiency: float) -> float:
    """Error of a mean of every skip-th frame over that of all, exponential correlation."""
    phi = (inefficiency - 1) / (inefficiency + 1)
    coarse = skip * (1 + phi**skip) / (1 - phi**skip)
    return math.sqrt(coarse / inefficiency)


def _model(result: Reweighted, one: _Numbers, unit: str, reference: str) -> str:
    K = result.n_members
    driver = {"mean": "the mean of the members"}.get(reference, reference)
    if reference.isdigit():
        driver = f"member {reference}"
    how = (
        "direct reweighting"
        if result.method == "direct"
        else f"a cumulant expansion to {'second' if result.order == 2 else 'first'} order"
    )
    known = 100 / math.sqrt(2 * (K - 1))
    spread = (
        f"the standard deviation of the {K} members' averages. The run was driven by {driver}; the "
        f"average of each member is from the same frames by {how}."
    )
    if one.resolved:
        text = f"Model error, {_text(one.model, unit)}: {spread}"
        if one.noise > 0.05 * one.uncorrected:
            text += (
                f" The averages scatter by {_text(one.uncorrected, unit)}, of which sampling noise "
                f"makes {_text(one.noise, unit)}; that is taken out (in squares)."
            )
    else:
        text = (
            f"Model error: below what this run resolves. It would be {spread} They scatter by "
            f"{_text(one.uncorrected, unit)}, and sampling noise alone makes "
            f"{_text(one.noise, unit)} of it."
        )
    text += (
        f" With {K} members a spread is itself known to {known:.0f} % (1/√(2(K − 1))), and it is "
        "an error of the model only as far as the committee is calibrated (quorum calibrate)."
    )
    return text


def _validity(result: Reweighted, one: _Numbers) -> str:
    samples = result.effective_samples
    least, most = float(samples.min()), float(samples.max())
    overlap = (
        f"Members differ from what drove the run by up to {_text(float(result.sigma_h.max()))} kT "
        f"(standard deviation), which leaves {_text(least)} to {_text(most)} of "
        f"{result.n_frames} frames as effective samples"
    )
    if result.method == "direct":
        independent = least / one.inefficiency
        return (
            f"{overlap}, {_text(independent)} independent ones for the worst member. Direct "
            f"reweighting needs {EFFECTIVE_DOUBTFUL:.0f}; with fewer it follows single frames."
        )
    return (
        f"{overlap}; the expansion does not live on them, direct reweighting would. What decides "
        f"is how the average bends: the second order is {100 * one.ratio:.0f} % of the first "
        f"(doubtful above {100 * SECOND_TO_FIRST_DOUBTFUL:.0f} %, invalid above "
        f"{100 * SECOND_TO_FIRST_INVALID:.0f} %, unless that is within the sampling error)."
    )


def _remedy(result: Reweighted, one: _Numbers, unit: str) -> str:
    if result.verdict == "invalid":
        return (
            "What helps first: what the verdict says. The average under the potential that drove "
            f"the run{_reference_mean(result, unit)} and its sampling error do not depend on it."
        )
    if not one.resolved:
        return _unresolved(one, unit)
    if one.sampling == 0:
        return ""
    ratio = one.model / one.sampling
    if ratio >= _MUCH:
        return (
            f"The model error is {_times(ratio)} times the sampling error: a longer run does not "
            "help, and one that is "
            f"{_times(ratio**2)} times shorter would have errors that are equal. What helps is a "
            "better model: references where the members disagree (structures of this run), more "
            "of them, and calibration, which tells whether the spread is right."
        )
    if ratio <= 1 / _MUCH:
        return (
            f"The sampling error is {_times(1 / ratio)} times the model error: a better model "
            f"would not show. A run {_times(1 / ratio**2)} times as long (or as many replicas) "
            "brings it down to the model error; beyond that length only the model counts."
        )
    both = math.hypot(one.sampling, one.model)
    longer = math.hypot(one.sampling / 2, one.model)
    return (
        f"Both errors are of one size, {_text(both, unit)} together. A run four times as long "
        f"would leave {_text(longer, unit)}; below {_text(one.model, unit)} only a better model "
        "leads."
    )


def _reference_mean(result: Reweighted, unit: str) -> str:
    if np.ndim(result.reference_mean):
        return ""
    return f", {result.reference_mean:.6g}{f' {unit}' if unit else ''},"


def _unresolved(one: _Numbers, unit: str) -> str:
    if one.noise <= 0:
        return ""
    half = one.noise / 2
    text = (
        f"The noise falls with the root of the length: a model error of {_text(half, unit)} "
        "would show in a run four times as long, one of "
        f"{_text(one.noise / 10, unit)} in one a hundred times as long."
    )
    if one.sampling > one.noise:
        text += (
            f" It hardly matters: the sampling error is {_times(one.sampling / one.noise)} times "
            "this bound."
        )
    elif one.sampling > 0:
        text += (
            f" Until then take {_text(one.noise, unit)} as a bound of the model error; it is "
            f"{_times(one.noise / one.sampling)} times the sampling error."
        )
    return text
