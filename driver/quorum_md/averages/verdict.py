"""Whether an uncertain average may be believed, in words.

The error of the cumulant expansion follows the change of the observable itself, not the spread of
the energies alone: a committee that differs by many kT in a large system can be fine, a small one
that changes a stiffness by 40 % is not. So the second order against the first decides, with the
effective samples and the length of the run beside it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SECOND_TO_FIRST_DOUBTFUL = 0.3
SECOND_TO_FIRST_INVALID = 1.0
EFFECTIVE_DOUBTFUL = 50.0
EFFECTIVE_INVALID = 10.0
INDEPENDENT_DOUBTFUL = 20.0
INDEPENDENT_INVALID = 5.0
# chance of runs that differ as much by sampling alone, below which they are said to disagree
DISAGREEMENT_CHANCE = 1e-3
_SEVERITY = {"ok": 0, "doubtful": 1, "invalid": 2}


@dataclass(frozen=True)
class Evidence:
    """What a verdict rests on; observables of many components enter by their root mean squares."""

    method: str
    order: int
    n_frames: int
    independent_frames: float
    effective_samples: Array  # (K,)
    sigma_h: Array  # (K,)
    first: float  # rms first-order change of the average from member to member
    second: float  # rms second-order change, sampling noise taken out
    second_noise: float  # sampling noise of the second order
    sampling: float  # sampling error of the average
    n_runs: int = 1  # uninterrupted series
    disagreement: float = 0.0  # χ² per degree of freedom between runs of one state
    weighted_frames: float = np.inf  # what unequal weights of the frames leave of them

    @property
    def ratio(self) -> float:
        """Second to first order."""
        return self.second / self.first if self.first > 0 else 0.0


def judge(evidence: Evidence) -> tuple[str, list[str]]:
    """ "ok", "doubtful" or "invalid", and the reasons with their numbers and what helps."""
    found: list[tuple[str, str]] = []
    found += _run_length(evidence)
    found += _runs(evidence)
    found += _weights(evidence)
    found += _expansion(evidence) if evidence.method == "cumulant" else _overlap(evidence)
    if not found:
        return "ok", []
    verdict = max((level for level, _ in found), key=_SEVERITY.__getitem__)
    return verdict, [sentence for _, sentence in found]


def _run_length(e: Evidence) -> list[tuple[str, str]]:
    if e.independent_frames >= INDEPENDENT_DOUBTFUL:
        return []
    level = "invalid" if e.independent_frames < INDEPENDENT_INVALID else "doubtful"
    sentence = (
        f"the {e.n_frames} frames hold only {e.independent_frames:.1f} independent ones (limit "
        f"{INDEPENDENT_DOUBTFUL:.0f}), so both errors are themselves uncertain; run longer"
    )
    return [(level, sentence)]


def _runs(e: Evidence) -> list[tuple[str, str]]:
    if e.n_runs < 2 or e.disagreement <= 1:
        return []
    from scipy.stats import chi2

    freedom = e.n_runs - 1
    if chi2.sf(e.disagreement * freedom, freedom) > DISAGREEMENT_CHANCE:
        return []
    sentence = (
        f"the {e.n_runs} runs disagree: their averages scatter by {np.sqrt(e.disagreement):.1f} "
        "times their sampling errors, so that not all of them are in equilibrium; discard more of "
        "the start, or run longer"
    )
    return [("doubtful", sentence)]


def _weights(e: Evidence) -> list[tuple[str, str]]:
    left = e.weighted_frames
    # equal weights, however few, are a matter of the length of the run
    if left >= EFFECTIVE_DOUBTFUL or left > 0.99 * e.n_frames:
        return []
    sentence = (
        f"the weights of the frames leave {left:.1f} of {e.n_frames} (limit "
        f"{EFFECTIVE_DOUBTFUL:.0f}): the run was sampled too far from where the average is wanted; "
        "take a nearer temperature or a weaker bias, or pool runs between"
    )
    return [("invalid" if left < EFFECTIVE_INVALID else "doubtful", sentence)]


def _expansion(e: Evidence) -> list[tuple[str, str]]:
    spread = f"members disagree by up to {e.sigma_h.max():.2g} kT"
    least = float(e.effective_samples.min())
    remedies = "calibrate the committee, take a smaller system or sample with the weighted baseline"
    # 2 sigma: the noise of the second order must not condemn an average
    if e.ratio > SECOND_TO_FIRST_DOUBTFUL and e.second > 2 * e.second_noise:
        if e.second <= 0.5 * e.sampling and e.ratio <= SECOND_TO_FIRST_INVALID:
            return []
        level = "invalid" if e.ratio > SECOND_TO_FIRST_INVALID else "doubtful"
        direct = (
            f"direct reweighting may serve ({least:.0f} effective samples)"
            if least >= EFFECTIVE_DOUBTFUL
            else f"direct reweighting is no better here ({least:.0f} effective samples)"
        )
        sentence = (
            f"cumulant expansion: the second order is {100 * e.ratio:.0f} % of the first (limit "
            f"{100 * SECOND_TO_FIRST_DOUBTFUL:.0f} %), {spread}; {remedies}; {direct}"
        )
        return [(level, sentence)]
    unresolved = e.second_noise > max(0.5 * e.first, e.sampling)
    if unresolved and least < EFFECTIVE_DOUBTFUL:
        sentence = (
            "cumulant expansion: its validity cannot be judged, as the second order is known only "
            f"to ± {100 * e.second_noise / max(e.first, 1e-300):.0f} % of the first, {spread} and "
            f"{least:.0f} effective samples are left; run longer, or {remedies}"
        )
        return [("doubtful", sentence)]
    return []


def _overlap(e: Evidence) -> list[tuple[str, str]]:
    if not e.sigma_h.any():  # nothing is reweighted
        return []
    inefficiency = max(1.0, e.n_frames / e.independent_frames)
    least = float(e.effective_samples.min()) / inefficiency
    if least >= EFFECTIVE_DOUBTFUL:
        return []
    level = "invalid" if least < EFFECTIVE_INVALID else "doubtful"
    sentence = (
        f"direct reweighting: for one member only {least:.1f} effective independent samples are "
        f"left of {e.independent_frames:.0f} (limit {EFFECTIVE_DOUBTFUL:.0f}), members disagree by "
        f"up to {e.sigma_h.max():.2g} kT; use the cumulant expansion, run longer, calibrate the "
        "committee or take a smaller system"
    )
    return [(level, sentence)]


def worst(*verdicts: str) -> str:
    """The most severe of several verdicts."""
    return max(verdicts, key=_SEVERITY.__getitem__)


def judge_free_energy(
    *,
    method: str,
    order: int,
    spread: float,
    beyond: float,
    sampling: float,
    effective_samples: Array,
    sigma_h: Array,
) -> tuple[str, list[str]]:
    """Verdict on free energies of members, everything in units of kT.

    Args:
        spread: standard deviation over the members of their free energies.
        beyond: the same of the first term that the expansion leaves out.
        sampling: rms sampling error of a member.
    """
    least = float(effective_samples.min())
    if method == "direct":
        if least >= EFFECTIVE_DOUBTFUL:
            return "ok", []
        sentence = (
            f"free energies: direct reweighting has only {least:.1f} effective samples for one "
            f"member (limit {EFFECTIVE_DOUBTFUL:.0f}), members disagree by up to "
            f"{sigma_h.max():.2g} kT; use the cumulant expansion or a smaller system"
        )
        return ("invalid" if least < EFFECTIVE_INVALID else "doubtful"), [sentence]
    ratio = beyond / spread if spread > 0 else 0.0
    if ratio <= SECOND_TO_FIRST_DOUBTFUL or beyond <= sampling:
        return "ok", []
    sentence = (
        f"free energies: the term of order {order + 1} that is left out is {100 * ratio:.0f} % of "
        f"the spread over the members (limit {100 * SECOND_TO_FIRST_DOUBTFUL:.0f} %), members "
        f"disagree by up to {sigma_h.max():.2g} kT; "
        + ("use order=2, or " if order == 1 else "")
        + "calibrate the committee or take a smaller system"
    )
    return ("invalid" if ratio > SECOND_TO_FIRST_INVALID else "doubtful"), [sentence]
