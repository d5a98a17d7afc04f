"""An average, its sampling error and its model error, from one run and its committee.

A run driven by one potential is reweighted to every member of the committee; the spread of the
members' averages is the model error. G. Imbalzano et al., J. Chem. Phys. 154, 074102 (2021),
doi:10.1063/5.0036522. All variances over members and frames have ddof = 1. Of a single potential
(K = 1) the model error is not known, NaN; its average and sampling error come the same way.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import QuorumError
from .checks import Ensemble, check_method, ensemble, observable_values
from .expansion import Estimate, Overlap, Values, estimate, overlap
from .verdict import Evidence, judge
from .weights import FrameWeights

Array = NDArray[np.float64]
COMMITTEES = (None, "paired", "independent")


@dataclass(frozen=True)
class Reweighted:
    """An average with its two errors; "…" is the shape of the observable in one frame.

    Attributes:
        mean: (…) average under the mean of the members.
        members: (K, …) average under each member; (K, K_a, …) for an independent committee of
            observables.
        model_error: (…) standard deviation over the members, the part due to sampling noise
            taken out (0 where the run cannot resolve it); like the next two, NaN without a
            committee.
        model_error_uncorrected: (…) the same with the noise left in.
        model_error_noise: (…) what sampling noise alone contributes to the uncorrected error.
        statistical_error: (…) sampling error of `mean`, correlated frames taken into account.
        members_statistical_error: shape of `members`, the same for each of them.
        reference_mean: (…) average under the potential that drove the run.
        effective_samples: (K,) (Σw)²/Σw² of the frames reweighted to each member.
        sigma_h: (K,) standard deviation of (V_i − V_ref)/kT.
        second_to_first_order: (…) second against first order of the cumulant expansion, rms over
            the members, the noise of the second taken out.
        statistical_inefficiency: (…) frames per independent frame.
        verdict: "ok", "doubtful" or "invalid".
        reasons: why not ok, with the numbers and what helps; empty if ok.
        notes: what else to know, e.g. a model error too small for this run.
        n_frames, n_members, kT_eV, method, order: what the numbers were made from.
    """

    mean: Any
    members: Array
    model_error: Any
    model_error_uncorrected: Any
    model_error_noise: Any
    statistical_error: Any
    members_statistical_error: Array
    reference_mean: Any
    effective_samples: Array
    sigma_h: Array
    second_to_first_order: Any
    statistical_inefficiency: Any
    verdict: str
    reasons: list[str]
    notes: list[str]
    n_frames: int
    n_members: int
    kT_eV: float
    method: str
    order: int


def reweight(
    observable: ArrayLike,
    member_energies_eV: ArrayLike,
    *,
    kT_eV: float,
    reference: str | int | ArrayLike = "mean",
    method: str = "cumulant",
    weights: ArrayLike | FrameWeights | None = None,
    order: int = 1,
    committee: str | None = None,
) -> Reweighted:
    """Average of an observable with its sampling error, its model error and a verdict.

    Args:
        observable: (n,) or (n, …); with `committee`, (n, K) or (n, K, …).
        member_energies_eV: (n, K) energies of the members in the same frames; (n, 1) of one
            potential without a committee.
        kT_eV: thermal energy of the run.
        reference: the potential that drove the run: "mean" of the members, the index of one of
            them, or its energies in eV (n,), e.g. of a weighted baseline.
        method: "cumulant" expansion, which stands large systems, or "direct" reweighting, exact
            but with n e^{−var h} effective samples.
        weights: (n,) weights of the frames, equal if None; or `FrameWeights`, which know of several
            runs and of weights estimated from the frames: `bias_weights`, `temperature_weights`,
            `mbar_weights`. kT_eV is that of the weighted frames.
        order: 1, or 2 to add the second order of the cumulant expansion.
        committee: None: one observable. "paired": observable[:, i] belongs to member i, as its
            energy does. "independent": observable[:, j] is member j of another committee, and the
            two errors are combined (equations 26–28 of the source).

    Raises:
        QuorumError: arrays of unlike length, NaN, fewer than two frames, no member, a constant
            observable, a kT that is not positive or cannot be in eV.

    Source: doi:10.1063/5.0036522; the correction for noise and the sampling errors are described in
    `quorum_md.averages.expansion`.
    """
    check_method(method, order)
    if committee not in COMMITTEES:
        raise QuorumError(f'committee: got {committee!r}, expected None, "paired" or "independent"')
    run = ensemble(member_energies_eV, kT_eV, reference, weights)
    values = observable_values("observable", observable, run.n_frames)
    left = overlap(run)
    if committee is None:
        flat = values.reshape(len(values), -1)
        return summarise(estimate(flat, run, method=method, order=order), left, run.kT_eV,
                         run.n_frames, method, order, shape=values.shape[1:])  # fmt: skip
    if values.ndim < 2:
        raise QuorumError(
            f"observable: got shape {values.shape}, but a {committee} committee of observables "
            "has one value per member: expected (frames, members, …)"
        )
    if committee == "independent":
        return _independent(values, run, left, method, order)
    if values.shape[1] != run.n_members:
        raise QuorumError(
            f"observable: got {values.shape[1]} members, but member_energies_eV has "
            f"{run.n_members}; a paired committee needs one observable for each of them"
        )
    own = values.reshape(len(values), run.n_members, -1)
    result = estimate(
        paired_values(own), run, method=method, order=order, n_components=own.shape[-1]
    )
    return summarise(result, left, run.kT_eV, run.n_frames, method, order, shape=values.shape[2:])


def paired_values(values: Array) -> Values:
    """(n, K, …) -> chunks (c, K + 1, …) of the members and their mean."""

    def chunk(rows: slice) -> Array:
        part = values[rows]
        return np.concatenate([part, part.mean(axis=1, keepdims=True)], axis=1)

    return chunk


def summarise(
    result: Estimate,
    left: Overlap,
    kT_eV: float,
    n_frames: int,
    method: str,
    order: int,
    *,
    shape: tuple[int, ...],
) -> Reweighted:
    """Errors, verdict and the observable's own shape for an estimate with m components."""
    noise, uncorrected = _spread(result.values[:-1], result.sampling_centred)
    model = np.maximum(0.0, uncorrected - noise)
    first2 = (result.first**2).mean(axis=0)
    noise2 = result.sampling_second.mean(axis=0)
    second2 = np.maximum(0.0, (result.second**2).mean(axis=0) - noise2)
    inefficiency = _inefficiency(result, n_frames)
    fluctuating = result.variance > 0
    evidence = Evidence(
        method=method,
        order=order,
        n_frames=n_frames,
        independent_frames=float(
            result.variance.sum() / max(result.sampling_reference.sum(), 1e-300)
        ),
        effective_samples=left.samples,
        sigma_h=left.sigma_h,
        first=float(np.sqrt(first2.mean())),
        second=float(np.sqrt(second2.mean())),
        second_noise=float(np.sqrt(noise2.mean())),
        sampling=float(np.sqrt(result.sampling[-1].mean())),
        n_runs=left.n_runs,
        weighted_frames=left.frames,
        disagreement=float(result.disagreement.mean()),
    )
    verdict, reasons = judge(evidence)
    notes = []
    if not model[fluctuating].any():
        notes.append(
            "the model error is smaller than this run resolves "
            f"(sampling noise alone gives {np.sqrt(noise.mean()):.2g}); run longer to see it"
        )

    def shaped(values: Array) -> Any:
        reshaped = values.reshape((*values.shape[:-1], *shape))
        return float(reshaped) if reshaped.ndim == 0 else reshaped

    return Reweighted(
        mean=shaped(result.values[-1]),
        members=shaped(result.values[:-1]),
        model_error=shaped(np.sqrt(model)),
        model_error_uncorrected=shaped(np.sqrt(uncorrected)),
        model_error_noise=shaped(np.sqrt(noise)),
        statistical_error=shaped(np.sqrt(result.sampling[-1])),
        members_statistical_error=shaped(np.sqrt(result.sampling[:-1])),
        reference_mean=shaped(result.reference),
        effective_samples=left.samples,
        sigma_h=left.sigma_h,
        second_to_first_order=shaped(np.sqrt(_ratio(second2, first2))),
        statistical_inefficiency=shaped(inefficiency),
        verdict=verdict,
        reasons=reasons,
        notes=notes,
        n_frames=n_frames,
        n_members=len(left.samples),
        kT_eV=kT_eV,
        method=method,
        order=order,
    )


def _spread(members: Array, sampling_centred: Array) -> tuple[Array, Array]:
    """Variance over the members (axis 0), as (part due to sampling noise, whole).

    The noise of what all members have in common does not spread them, hence the centred series;
    for independent noise this is the mean over members of their squared sampling errors. One
    potential has no spread, which is not a spread of 0.
    """
    if len(members) == 1:
        unknown: Array = np.full(members.shape[1:], np.nan)
        return unknown, unknown
    noise: Array = sampling_centred.sum(axis=0) / (len(members) - 1)
    whole: Array = members.var(axis=0, ddof=1)
    return noise, whole


def _ratio(above: Array, below: Array) -> Array:
    """above/below, 0 where nothing changes at all."""
    ratio: Array = np.where(below > 0, above / np.where(below > 0, below, 1.0), 0.0)
    return ratio


def _inefficiency(result: Estimate, n_frames: int) -> Array:
    ratio = _ratio(n_frames * result.sampling_reference, result.variance)
    return np.where(result.variance > 0, ratio, 1.0)


def _independent(
    values: Array, run: Ensemble, left: Overlap, method: str, order: int
) -> Reweighted:
    """Observables and potentials of two committees: equations 26–28 of doi:10.1063/5.0036522."""
    n_frames, n_observables = values.shape[:2]
    shape = values.shape[2:]
    if n_observables < 2:
        raise QuorumError(
            "observable: got 1 member, expected at least 2 in a committee of observables; "
            "leave out committee= for a single one"
        )
    single = estimate(values.mean(axis=1).reshape(n_frames, -1), run, method=method, order=order)
    summary = summarise(single, left, run.kT_eV, n_frames, method, order, shape=shape)
    every = estimate(values.reshape(n_frames, -1), run, method=method, order=order)
    grid = (n_observables, -1)
    n_V, n_a = run.n_members, n_observables

    noise_V, whole_V = _spread(every.values[:-1], every.sampling_centred)
    noise_V, whole_V = (part.reshape(grid).mean(axis=0) for part in (noise_V, whole_V))
    centred = (values - values.mean(axis=1, keepdims=True)).reshape(n_frames, -1)
    noise_of_difference = estimate(centred, run, method=method, order=order).sampling_reference
    noise_a = noise_of_difference.reshape(grid).sum(axis=0) / (n_a - 1)
    whole_a = every.reference.reshape(grid).var(axis=0, ddof=1)

    if n_V == 1:  # the potential has no spread; that of the observables remains
        noise_V, whole_V = np.zeros_like(noise_V), np.zeros_like(whole_V)

    def combine(error_a: Array, error_V: Array) -> Any:
        total = (n_V * (n_a - 1) * error_a + n_a * (n_V - 1) * error_V) / (n_a * n_V - 1)
        root = np.sqrt(total).reshape(shape)
        return float(root) if root.ndim == 0 else root

    changed: dict[str, Any] = {
        "members": every.values[:-1].reshape(n_V, n_a, *shape),
        "members_statistical_error": np.sqrt(every.sampling[:-1]).reshape(n_V, n_a, *shape),
        "model_error": combine(
            np.maximum(0.0, whole_a - noise_a), np.maximum(0.0, whole_V - noise_V)
        ),
        "model_error_uncorrected": combine(whole_a, whole_V),
        "model_error_noise": combine(noise_a, noise_V),
    }
    if np.any(changed["model_error"]):
        changed["notes"] = []
    return replace(summary, **changed)
