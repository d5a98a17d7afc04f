"""Free energies of the members against the potential that drove a run, and what follows from them.

    F_i − F_ref = −kT ln⟨e^{−h_i}⟩ ≈ ⟨ΔV_i⟩ − (β/2) var ΔV_i ,   ΔV_i = V_i − V_ref

Between two phases the differences are formed member by member and only then spread: what a member
says of both phases alike cancels. A melting point T_m found with V_ref moves, for member i, to

    T_m^(i) = T_m (1 − δμ_i/Δh) ,   δμ_i = [(F_i − F_ref)/N]_solid − [(F_i − F_ref)/N]_liquid ,

Δh the enthalpy of fusion per atom. G. Imbalzano and M. Ceriotti, Phys. Rev. Mater. 5, 063804
(2021), doi:10.1103/PhysRevMaterials.5.063804.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import QuorumError
from .checks import CHUNK_FRAMES, Ensemble, check_committee, check_method, chunks, ensemble
from .expansion import condense, overlap, squared_errors, unbias
from .moments import Sums
from .verdict import judge_free_energy, worst
from .weights import FrameWeights

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FreeEnergies:
    """F_i − F_ref of the members, or a difference of such between two runs; in eV.

    Attributes:
        members_eV: (K,) of each member.
        mean_eV: of the potential that is the mean of the members; 0 where it drove the run.
        statistical_errors_eV: (K,) sampling errors of `members_eV`.
        model_error_eV: standard deviation over the members, the part due to sampling noise taken
            out.
        model_error_uncorrected_eV: with the noise left in.
        noise_eV: what sampling noise alone contributes to it.
        centred_errors_eV: (K,) sampling errors of each member against the mean over the members.
        effective_samples, sigma_h: (K,) as in `Reweighted`; the worse of two runs.
        verdict, reasons: as in `Reweighted`.
    """

    members_eV: Array
    mean_eV: float
    statistical_errors_eV: Array
    model_error_eV: float
    model_error_uncorrected_eV: float
    noise_eV: float
    centred_errors_eV: Array
    effective_samples: Array
    sigma_h: Array
    verdict: str
    reasons: list[str]

    def per(self, n: int) -> FreeEnergies:
        """Divided by a number of atoms."""
        if n < 1:
            raise QuorumError(f"n: got {n}, expected a positive number of atoms")
        return _scaled(self, 1 / n)

    def minus(self, other: FreeEnergies) -> FreeEnergies:
        """The same of this phase less those of another, member by member, from another run.

        Raises:
            QuorumError: committees of unlike size.
        """
        return combined([(self, 1.0), (other, -1.0)])


def combined(parts: Sequence[tuple[FreeEnergies, float]]) -> FreeEnergies:
    """Sum of multiples, member by member, from runs that are independent of each other.

    Raises:
        QuorumError: committees of unlike size.
    """
    sizes = {len(one.members_eV) for one, _ in parts}
    if len(sizes) > 1:
        raise QuorumError(
            f"free energies: got {' and '.join(str(len(one.members_eV)) for one, _ in parts)} "
            "members, expected the same committee in both runs"
        )

    def hypot(errors: str) -> Array:
        squares = [(share * getattr(one, errors)) ** 2 for one, share in parts]
        return np.asarray(np.sqrt(np.sum(squares, axis=0)))

    members = np.sum([share * one.members_eV for one, share in parts], axis=0)
    centred = hypot("centred_errors_eV")
    model, whole, noise = _spread(members, centred)
    return FreeEnergies(
        members_eV=members,
        mean_eV=sum(share * one.mean_eV for one, share in parts),
        statistical_errors_eV=hypot("statistical_errors_eV"),
        model_error_eV=model,
        model_error_uncorrected_eV=whole,
        noise_eV=noise,
        centred_errors_eV=centred,
        effective_samples=np.min([one.effective_samples for one, _ in parts], axis=0),
        sigma_h=np.max([one.sigma_h for one, _ in parts], axis=0),
        verdict=worst(*(one.verdict for one, _ in parts)),
        reasons=[reason for one, _ in parts for reason in one.reasons],
    )


def shifts_with_errors(
    members_eV: ArrayLike, errors_eV: ArrayLike, mean_eV: float = 0.0, mean_error_eV: float = 0.0
) -> FreeEnergies:
    """Shifts of the members, found by other means.

    Args:
        members_eV, errors_eV: (K,) shifts about their mean, and their sampling errors.
        mean_eV, mean_error_eV: that mean, about the potential that drove the run, and its error; 0
            where the mean of the members drove it.
    """
    members, errors = np.asarray(members_eV, dtype=float), np.asarray(errors_eV, dtype=float)
    model, whole, noise = _spread(members, errors)
    unknown = np.full(len(members), np.nan)
    return FreeEnergies(
        members + mean_eV,
        mean_eV,
        np.hypot(errors, mean_error_eV),
        model,
        whole,
        noise,
        errors,
        unknown,
        unknown,
        "ok",
        [],
    )


def free_energies(
    member_energies_eV: ArrayLike,
    *,
    kT_eV: float,
    reference: str | int | ArrayLike = "mean",
    method: str = "cumulant",
    weights: ArrayLike | FrameWeights | None = None,
    order: int = 2,
) -> FreeEnergies:
    """F_i − F_ref of every member from one run.

    Args:
        member_energies_eV: (n, K) of the whole system.
        kT_eV, reference, weights: as in `reweight`.
        method: "cumulant", or "direct", exact but for few effective samples.
        order: of the cumulant expansion: 1 (⟨ΔV_i⟩) or 2 (exact where ΔV_i is Gaussian).

    Raises:
        QuorumError: as `reweight`.

    Source: R. W. Zwanzig, J. Chem. Phys. 22, 1420 (1954), doi:10.1063/1.1740409.
    """
    check_method(method, order)
    run = ensemble(member_energies_eV, kT_eV, reference, weights)
    check_committee(run.n_members)
    moments = condense(_nothing, run, direct=method == "direct")
    total, n_frames = moments.total, moments.n_frames
    mean_w = total.w[0] / n_frames
    mean_h = total.h[0] / total.w[0]
    variance = total.hh[0] / total.w[0] - mean_h**2
    # the weighted means of h were set aside as offsets: they are the first cumulants
    first = run.offset_eV / run.kT_eV + mean_h
    second = -0.5 * unbias(total) * variance
    if method == "direct":
        mean_e = total.e[0] / total.w[0]
        values = run.offset_eV / run.kT_eV - np.log(mean_e) - total.top
    else:
        values = first + (second if order == 2 else 0.0)

    def influence(s: Sums, length: int) -> tuple[Array, ...]:
        unit = 1 / (mean_w * length)
        if method == "direct":
            of = -unit * (s.e / mean_e - s.w[:, None])
        else:
            linear = s.h - mean_h * s.w[:, None]
            of = unit * linear
            if order == 2:
                square = s.hh - 2 * mean_h * s.h + (mean_h**2 - variance) * s.w[:, None]
                of = of - 0.5 * unit * square
        members = of[:, :-1]
        return members, members - members.mean(axis=1, keepdims=True)

    kT = run.kT_eV
    own, centred = (kT * np.sqrt(np.maximum(x, 0.0)) for x in squared_errors(moments, influence))
    members = kT * values[:-1]
    model, whole, noise = _spread(members, centred)
    left = overlap(run)
    beyond = second if order == 1 else _third(run, mean_h)
    verdict, reasons = judge_free_energy(
        method=method,
        order=order,
        spread=float(np.std(values[:-1], ddof=1)),
        beyond=float(np.std(beyond[:-1], ddof=1)),
        sampling=float(np.sqrt((own**2).mean())) / kT,
        effective_samples=left.samples,
        sigma_h=left.sigma_h,
    )
    return FreeEnergies(
        members_eV=members,
        mean_eV=0.0 if run.driven_by_mean else float(kT * values[-1]),
        statistical_errors_eV=own,
        model_error_eV=model,
        model_error_uncorrected_eV=whole,
        noise_eV=noise,
        centred_errors_eV=centred,
        effective_samples=left.samples,
        sigma_h=left.sigma_h,
        verdict=verdict,
        reasons=reasons,
    )


def _nothing(rows: slice) -> Array:
    return np.empty((rows.stop - rows.start, 0))


def _third(run: Ensemble, mean_h: Array) -> Array:
    """(K + 1,) third-order term of the expansion, ⟨δh³⟩/6."""
    total = np.zeros(len(mean_h))
    for rows in chunks(run.n_frames, CHUNK_FRAMES):
        total += run.weights.values[rows] @ (run.reduced(rows) - mean_h) ** 3
    return total / 6


def _spread(members: Array, centred: Array) -> tuple[float, float, float]:
    """Standard deviation over members without noise, with it, and that of the noise."""
    whole = members.var(ddof=1)
    noise = (centred**2).sum() / (len(members) - 1)
    return float(np.sqrt(max(0.0, whole - noise))), float(np.sqrt(whole)), float(np.sqrt(noise))


def _scaled(one: FreeEnergies, factor: float) -> FreeEnergies:
    from dataclasses import fields, replace

    energies = {f.name: getattr(one, f.name) * factor for f in fields(one) if "_eV" in f.name}
    return replace(one, **energies)
