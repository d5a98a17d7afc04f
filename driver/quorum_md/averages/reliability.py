"""How far a committee's spread can be trusted: predicted errors against those that were made.

If members and truth scatter alike about a common centre, with variance σ² and α² σ², the error of
the mean of K members has the variance (α² + 1/K) σ², and with σ known only by its estimate s from
the same K members

    (y − ȳ)/(s √(α² + 1/K))  follows Student's t with K − 1 degrees of freedom,

a Gaussian only for large K: at K = 4 one error in 7, not one in 22, is beyond twice what is
predicted by right, and ⟨z²⟩ = (α² + 1/K)(K − 1)/(K − 3) (Imbalzano et al., J. Chem. Phys. 154,
074102 (2021), doi:10.1063/5.0036522, whose estimate of α this is). A committee whose spread was
multiplied by α is held against the same, so that calibration makes the ratio below one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ..errors import QuorumError
from .inputs import finite

Array = NDArray[np.float64]

_DRAWS = 2_000_000  # random numbers for the interval of a group
_FEWEST_SETS, _MOST_SETS = 500, 20_000


@dataclass(frozen=True)
class Group:
    """One kind of structure.

    Attributes:
        name: of the group; n: structures in it.
        rms_z: errors over what the spread predicts, 1 where it is right, 2 where errors are twice
            as large; chance correlations of few members are taken out. 0 if errors are smaller
            than even an exact spread of 0 would leave them.
        low, high: confidence interval of it.
        outside: part of the structures outside their own central 95 %.
    """

    name: str
    n: int
    rms_z: float
    low: float
    high: float
    outside: float


@dataclass(frozen=True)
class Reliability:
    """Predicted against actual errors of n structures.

    Attributes:
        n, n_members: structures and K.
        student: held against Student's t and not against a Gaussian.
        expected: (P,) central probabilities.
        observed: (P,) part of the structures inside the central interval of each.
        band: (2, P) where `observed` of a perfect committee is with the confidence below, each
            probability by itself.
        area: ∫ |observed − expected|, 0 for a perfect committee and ½ at worst.
        chance_area: its expectation for a perfect committee, 0.313/√n.
        bins_spread, bins_error: (B,) root mean squares of predicted and actual errors of structures
            sorted by predicted error, as many in each bin.
        bins_low, bins_high: (B,) confidence interval of `bins_error`.
        predicted, error: (n,) predicted standard deviations of the errors, and the errors.
        groups: "all" first, then in order of first appearance.
        confidence: of all intervals.
    """

    n: int
    n_members: int
    student: bool
    expected: Array
    observed: Array
    band: Array
    area: float
    chance_area: float
    bins_spread: Array
    bins_error: Array
    bins_low: Array
    bins_high: Array
    predicted: Array
    error: Array
    groups: tuple[Group, ...]
    confidence: float

    @property
    def overconfident(self) -> bool:
        """Errors are larger than predicted, on the whole."""
        return self.groups[0].rms_z > 1


def reliability(
    reference: ArrayLike,
    mean: ArrayLike,
    spread: ArrayLike,
    n_members: int,
    *,
    groups: Sequence[str] | None = None,
    alpha: float = 1.0,
    student: bool = True,
    confidence: float = 0.95,
    n_bins: int = 10,
) -> Reliability:
    """Calibration curve, errors against spreads and z-scores of a committee.

    Args:
        reference: (n,) true values of structures that no member was trained on.
        mean, spread: (n,) mean and standard deviation (ddof = 1) of the members, in the same unit;
            per atom, if structures differ in size.
        n_members: K.
        groups: (n,) kind of each structure.
        alpha: what the spread was multiplied with already, by a calibration. It tells how much of
            the error the mean has from there being K members only, (spread/α)²/K.
        student: hold errors against Student's t, as is right; False: against a Gaussian of the
            spread alone, as is often done, which makes any small committee look overconfident.
        confidence: of intervals.
        n_bins: of errors against spreads; fewer if a bin would have less than 10 structures.

    Raises:
        QuorumError: K ≤ 3, fewer than two structures, unequal lengths, numbers that are not
            finite, spreads that are not positive.
    """
    y, centre, s = (
        finite(name, one, "(structures,)")
        for name, one in (("reference", reference), ("mean", mean), ("spread", spread))
    )
    _check(y, centre, s, n_members, alpha)
    n, K = len(y), n_members
    own_noise = 1 / (K * alpha**2)  # variance of the mean over s²
    predicted = s * np.sqrt(1 + own_noise) if student else s
    error = y - centre
    z = error / predicted
    law = stats.t(K - 1) if student else stats.norm()
    inside = np.sort(law.cdf(np.abs(z)) * 2 - 1)  # least central interval that holds the error
    expected = np.arange(1, 100) / 100
    observed = np.searchsorted(inside, expected, side="right") / n
    tail = (1 - confidence) / 2
    band = np.array([stats.binom.ppf(q, n, expected) / n for q in (tail, 1 - tail)])
    names = ["all"] * n if groups is None else [str(name) for name in groups]
    if len(names) != n:
        raise QuorumError(f"groups: got {len(names)}, expected one for each of {n} structures")
    labels = np.array(names, dtype=object)
    selections = [("all", np.ones(n, dtype=bool))]
    if groups is not None:
        selections += [(name, labels == name) for name in dict.fromkeys(names)]
    width = float(law.ppf(0.975))
    table = [
        _group(name, z[chosen], K, own_noise, student, confidence, width)
        for name, chosen in selections
    ]
    bins = _bins(predicted, error, n_bins, confidence)
    return Reliability(
        n=n,
        n_members=K,
        student=student,
        expected=expected,
        observed=observed,
        band=band,
        area=_area(inside),
        # E|N(0, p(1 − p)/n)| over all p: √(2/π) π/8
        chance_area=float(np.sqrt(2 / np.pi) * np.pi / 8 / np.sqrt(n)),
        bins_spread=bins[0],
        bins_error=bins[1],
        bins_low=bins[2],
        bins_high=bins[3],
        predicted=predicted,
        error=error,
        groups=tuple(table),
        confidence=confidence,
    )


def group_table(result: Reliability) -> str:
    """One line per group: rms z with its interval, and how many errors are beyond theirs."""
    width = max(5, *(len(one.name) for one in result.groups))
    interval = f"{100 * result.confidence:.0f} % interval"
    lines = [
        f"# rms z: errors over what the spread of {result.n_members} members predicts, 1 where it "
        "is right",
        f"# {'group':{width}}  {'n':>5}  {'rms z':>6}  {interval:>15}  outside own 95 %",
    ]
    for one in result.groups:
        lines.append(
            f"  {one.name:{width}}  {one.n:5d}  {one.rms_z:6.2f}  "
            f"{f'{one.low:.2f} … {one.high:.2f}':>15}  {100 * one.outside:13.1f} %"
        )
    word = "over" if result.overconfident else "under"
    verdict = (
        f"{word}confident"
        if not result.groups[0].low <= 1 <= result.groups[0].high
        else "as wide as the errors on the whole"
    )
    lines.append(
        f"the spread is {verdict}; miscalibration area {result.area:.3f}, "
        f"{result.chance_area:.3f} by chance with {result.n} structures"
    )
    return "\n".join(lines)


def _check(y: Array, centre: Array, s: Array, n_members: int, alpha: float) -> None:
    if y.ndim != 1 or not y.shape == centre.shape == s.shape:
        raise QuorumError(
            f"reliability: got {y.shape} references, {centre.shape} means and {s.shape} spreads, "
            "expected one of each per structure"
        )
    if len(y) < 2:
        raise QuorumError(f"reliability: got {len(y)} structure, expected at least 2, better 100")
    if n_members <= 3:
        raise QuorumError(
            f"reliability: got {n_members} members, expected 4 or more: the spread of fewer does "
            "not predict a mean square error"
        )
    if not (s > 0).all():
        raise QuorumError(
            f"spread: got {s.min():g} for structure {int(s.argmin())}, expected positive numbers: "
            "members that agree exactly predict no error"
        )
    if not alpha > 0 or not np.isfinite(alpha):
        raise QuorumError(f"alpha: got {alpha:g}, expected a positive factor of the spread")


def _group(
    name: str,
    z: Array,
    K: int,
    own_noise: float,
    student: bool,
    confidence: float,
    width: float,
) -> Group:
    """From ⟨z²⟩ of errors over predicted errors."""
    square = float(np.mean(z**2))
    tail = (1 - confidence) / 2
    if student:
        scaled = square * (K - 3) / (K - 1)
        quantiles = _mean_square_quantiles(len(z), K - 1, (tail, 1 - tail))
    else:
        scaled, own_noise = square, 0.0
        quantiles = stats.chi2.ppf((tail, 1 - tail), len(z)) / len(z)

    def ratio(variance: float) -> float:
        # error² over s²(1 + own noise) -> without the part that the mean of few members has itself
        return float(np.sqrt(max(0.0, variance * (1 + own_noise) - own_noise)))

    return Group(
        name,
        len(z),
        ratio(scaled),
        ratio(square / float(quantiles[1])),
        ratio(square / float(quantiles[0])),
        float(np.mean(np.abs(z) > width)),
    )


def _mean_square_quantiles(n: int, freedom: int, probabilities: tuple[float, ...]) -> Array:
    """Quantiles of the mean of n squared t variables.

    χ²/n for many members. For few there is no closed form, and the mean of so long-tailed a
    variable is far from Gaussian, so it is drawn; the seed is fixed: the same data, the same
    interval.
    """
    return np.quantile(_mean_squares(n, freedom), probabilities)


@lru_cache(maxsize=256)  # groups of one size, and before and after a calibration
def _mean_squares(n: int, freedom: int) -> Array:
    rng = np.random.default_rng(20210823)
    sets = int(np.clip(_DRAWS // n, _FEWEST_SETS, _MOST_SETS))
    block = max(1, _DRAWS // n)
    means = [
        (rng.standard_t(freedom, size=(min(block, sets - start), n)) ** 2).mean(axis=1)
        for start in range(0, sets, block)
    ]
    return np.concatenate(means)


def _area(inside: Array) -> float:
    """∫ |F(p) − p| dp of the empirical distribution F of sorted values in [0, 1], exactly."""
    n = len(inside)
    edges = np.concatenate([[0.0], inside, [1.0]])
    level = np.arange(n + 1) / n
    low, high = edges[:-1] - level, edges[1:] - level
    # ∫ |x| from low to high: a difference where x keeps its sign, a sum where it changes
    return float((0.5 * (high * np.abs(high) - low * np.abs(low))).sum())


def _bins(predicted: Array, error: Array, n_bins: int, confidence: float) -> tuple[Array, ...]:
    count = max(1, min(n_bins, len(error) // 10))
    parts = np.array_split(np.argsort(predicted, kind="stable"), count)
    spread = np.array([np.sqrt(np.mean(predicted[part] ** 2)) for part in parts])
    actual = np.array([np.sqrt(np.mean(error[part] ** 2)) for part in parts])
    freedom = np.array([len(part) for part in parts])
    tail = (1 - confidence) / 2
    low = actual * np.sqrt(freedom / stats.chi2.ppf(1 - tail, freedom))
    high = actual * np.sqrt(freedom / stats.chi2.ppf(tail, freedom))
    return spread, actual, low, high
