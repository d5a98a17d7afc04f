"""Averages under every member from frames of one run, and what each owes to the sampling.

With h_i = (V_i − V_ref)/kT, V_ref the potential that drove the run:

- direct      ⟨a⟩_i = ⟨a e^{−h_i}⟩/⟨e^{−h_i}⟩; Torrie & Valleau, J. Comput. Phys. 23, 187 (1977),
  doi:10.1016/0021-9991(77)90121-8
- cumulant    ⟨a⟩_i ≈ ⟨a⟩ − cov(a, h_i) [+ ½ cov(a, δh_i²)]; Ceriotti et al., Proc. R. Soc. A 468, 2
  (2012), doi:10.1098/rspa.2011.0413; Imbalzano et al., J. Chem. Phys. 154, 074102 (2021),
  doi:10.1063/5.0036522

Every estimate is, to first order in the noise, the mean of an influence series over the frames; the
autocorrelation of that series gives the sampling error of the estimate. Both follow from sums over
short blocks (`quorum_md.averages.moments`). Where weights are estimated from the frames (MBAR), the
influence of a frame on the weights of all is part of its influence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .checks import CHUNK_FRAMES, Ensemble, chunks
from .moments import Accumulator, Series, Sums, added, joined, state_sums
from .timeseries import MAX_BLOCKS, block_length, variance_of_mean
from .weights import FrameWeights

Array = NDArray[np.float64]
# observable of the frames in a slice: (c, m), or (c, K + 1, m)
Values = Callable[[slice], Array]

_CHUNK = 1 << 22  # numbers per influence array: 32 MB
_MANY_COMPONENTS, _FEWER_BLOCKS = 32, 512  # a histogram needs no finer series


@dataclass(frozen=True)
class Estimate:
    """K members and, as row K, their mean; m components.

    Attributes:
        reference: (m,) average under the potential that drove the run (of the members' mean, where
            each member has its own observable).
        values: (K + 1, m) averages under each potential.
        first: (K, m) first-order change of the member's average against that of the mean; where
            members have observables of their own this is more than −cov(a, h), and may nearly
            cancel.
        second: (K, m) second-order change, ½ cov(a, δh²).
        sampling: (K + 1, m) squared sampling errors of `values`.
        sampling_centred: (K, m) the same for the member minus the mean over the members.
        sampling_second: (K, m) the same for `second`.
        sampling_reference: (m,) the same for `reference`.
        variance: (m,) variance of the observable over the frames.
        disagreement: (m,) χ² per degree of freedom of the averages of several runs of one state
            about their common mean; 0 for a single run.
    """

    reference: Array
    values: Array
    first: Array
    second: Array
    sampling: Array
    sampling_centred: Array
    sampling_second: Array
    sampling_reference: Array
    variance: Array
    disagreement: Array


@dataclass(frozen=True)
class Moments:
    """A run and an observable, condensed.

    Attributes:
        series: sums of every uninterrupted series.
        by_state: sums over all frames with their weights times those in each of S pooled states.
        origin: (1 or K + 1, m) what was subtracted from the observable.
        response, counts: (S, S), (S,) of `FrameWeights`; S = 0 where weights are known.
    """

    series: Sequence[Series]
    by_state: Sums
    origin: Array
    response: Array
    counts: Array

    @property
    def n_frames(self) -> int:
        """Of all series."""
        return sum(one.n_frames for one in self.series)

    @property
    def total(self) -> Sums:
        """Sums over all frames."""
        return joined([one.total for one in self.series]).total()

    def means(self, *, direct: bool) -> Array:
        """(1 or K + 1, m) averages, of each potential if `direct`, else under V_ref."""
        total = self.total
        if direct:
            return np.asarray(self.origin + total.ae[0] / total.e[0, :, None])
        return np.asarray(self.origin + total.a[0] / total.w[0])

    def standard_errors(self) -> Array:
        """(1 or K + 1, m) standard deviations over √n, as if frames were independent."""
        total = self.total
        variance = total.aa[0] / total.w[0] - (total.a[0] / total.w[0]) ** 2
        return np.sqrt(np.maximum(variance, 0.0) / self.n_frames)

    def covariances(self) -> Array:
        """(K + 1, m) cov(a, h)."""
        total = self.total
        mean_a, mean_h = total.a[0] / total.w[0], total.h[0] / total.w[0]
        product: Array = total.ah[0] / total.w[0] - mean_a * mean_h[:, None]
        return unbias(total) * product

    def linearised(self, gradient: Array, point: Array, value: Array) -> Moments:
        """The one component value + (a − point)·gradient: (K + 1, m) twice, (K + 1,)."""
        inner = point - self.origin
        series = [
            replace(
                one,
                blocks=one.blocks.contracted(gradient, inner),
                total=one.total.contracted(gradient, inner),
            )
            for one in self.series
        ]
        by_state = self.by_state.contracted(gradient, inner)
        return replace(self, series=series, by_state=by_state, origin=value[:, None])


def condense(values: Values, run: Ensemble, *, direct: bool) -> Moments:
    """Sums over blocks of all frames of a run."""
    frame = run.weights
    origin = values(slice(0, min(run.n_frames, 64))).mean(axis=0)
    n_components = origin.shape[-1]
    many = n_components >= _MANY_COMPONENTS
    blocks = max(16, (_FEWER_BLOCKS if many else MAX_BLOCKS) // len(frame.lengths))
    # few components leave room for more frames at a time
    size = max(256, min(CHUNK_FRAMES, _CHUNK // max(n_components, run.n_members)))
    series, by_state, start = [], [], 0
    for n_frames in frame.lengths:
        length = block_length(n_frames, blocks)
        sums = Accumulator(n_frames, direct, length)
        for part in chunks(n_frames, -(-size // length) * length):
            rows = slice(start + part.start, start + part.stop)
            w, h, a, states = (
                frame.values[rows], run.reduced(rows), values(rows) - origin, frame.states[rows]
            )  # fmt: skip
            sums.add(w, h, a, states)
            if states.shape[1]:
                by_state.append(state_sums(w, h, a, states, direct))
        series.append(sums.finish())
        start += n_frames
    return gathered(series, by_state, np.atleast_2d(origin), frame)


def gathered(
    series: Sequence[Series], by_state: Sequence[Sums], origin: Array, weights: FrameWeights
) -> Moments:
    """`Moments` whose exponentials are all on one scale."""
    top = np.max([one.total.top for one in series], axis=0)
    same = [replace(one, blocks=one.blocks.at(top), total=one.total.at(top)) for one in series]
    pooled = added([one.at(top) for one in by_state] or [series[0].total.at(top)])
    return Moments(same, pooled, origin, weights.response(), weights.counts)


def array_values(observable: Array) -> Values:
    """(n, m) or (n, K + 1, m) as chunks."""
    return lambda rows: observable[rows]


def estimate(
    values: Values | Array, run: Ensemble, *, method: str, order: int, n_components: int = 1
) -> Estimate:
    """Reweight an observable of m components, or one for each member and their mean.

    Args:
        values: (n, m), (n, K + 1, m), or a function that gives them for a slice of frames.
        n_components: m, if it is a function.
    """
    direct = method == "direct"
    source: Values
    if isinstance(values, np.ndarray):
        source, n_components = array_values(values), values.shape[-1]
    else:
        source = values
    n_blocks = _FEWER_BLOCKS if n_components >= _MANY_COMPONENTS else MAX_BLOCKS
    per_chunk = max(1, _CHUNK // ((run.n_members + 1) * min(n_blocks, run.n_frames)))
    parts = []
    for start in range(0, n_components, per_chunk):
        columns = slice(start, start + per_chunk)
        moments = condense(_columns(source, columns), run, direct=direct)
        parts.append(evaluate(moments, method=method, order=order))
    return together(parts)


def _columns(source: Values, columns: slice) -> Values:
    return lambda rows: source(rows)[..., columns]


def together(parts: Sequence[Estimate]) -> Estimate:
    """Components beside each other."""
    names = Estimate.__dataclass_fields__
    return Estimate(
        **{name: np.concatenate([getattr(p, name) for p in parts], axis=-1) for name in names}
    )


def unbias(total: Sums) -> float:
    """n/(n − 1) for equal weights, and its generalisation (covariances have ddof = 1)."""
    return 1 / (1 - float(total.ww[0] / total.w[0] ** 2))


@dataclass(frozen=True)
class Overlap:
    """How much of a run is left for each member.

    Attributes:
        samples: (K,) (Σw)²/Σw², n e^{−var h} for a Gaussian h.
        sigma_h: (K,) standard deviation of h.
        frames: (Σw)²/Σw² of the frames' own weights, n where they are equal.
        n_runs: uninterrupted series.
    """

    samples: Array
    sigma_h: Array
    frames: float
    n_runs: int = 1


def overlap(run: Ensemble) -> Overlap:
    """`Overlap` of all frames of a run."""
    sums = OverlapSums()
    for rows in chunks(run.n_frames, CHUNK_FRAMES):
        sums.add(run.weights.values[rows], run.reduced(rows)[:, :-1])
    return replace(sums.result(), n_runs=len(run.weights.lengths))


class OverlapSums:
    """Sums for `Overlap`, in chunks."""

    def __init__(self) -> None:
        self._parts: list[Array] = []
        self._top: Array = np.empty(0)
        self._sums: Array = np.empty(0)

    def add(self, w: Array, h: Array) -> None:
        """Weights (c,) and h (c, K) of further frames."""
        top = (-h).max(axis=0)
        tilted = w[:, None] * np.exp(-h - top)
        wh = w[:, None] * h
        plain = [np.full_like(top, w.sum()), np.full_like(top, w @ w), wh.sum(0), (wh * h).sum(0)]
        new = np.array([tilted.sum(axis=0), (tilted**2).sum(axis=0), *plain])
        if not self._sums.size:
            self._top, self._sums = top, new
            return
        highest = np.maximum(top, self._top)
        for sums, scale in (
            (self._sums, np.exp(self._top - highest)),
            (new, np.exp(top - highest)),
        ):
            sums[0] *= scale
            sums[1] *= scale**2
        self._sums, self._top = self._sums + new, highest

    def rescale(self, factor: float) -> None:
        """Multiply the weights of all frames so far."""
        if self._sums.size:
            self._sums[[0, 2, 4, 5]] *= factor
            self._sums[[1, 3]] *= factor**2

    def result(self) -> Overlap:
        """Of all frames so far."""
        tilted, tilted2, w, ww, wh, whh = self._sums
        variance = (whh / w - (wh / w) ** 2) / (1 - ww / w**2)
        left = float(w[0] ** 2 / ww[0])
        return Overlap(tilted**2 / tilted2, np.sqrt(np.maximum(variance, 0.0)), left)


def evaluate(
    moments: Moments,
    *,
    method: str,
    order: int,
    curvature: Array | float = 0.0,
    variance: Array | None = None,
) -> Estimate:
    """Averages and squared errors.

    Of a linearised function of averages, `curvature` (K + 1, m) is added to the second order: what
    it has beyond the expansion of its linear part; and `variance` (m,) is that over the frames.
    """
    total, n_frames = moments.total, moments.n_frames
    scale = unbias(total)
    mean_w = total.w[0] / n_frames
    mean_a, mean_h = total.a[0] / total.w[0], total.h[0] / total.w[0]
    square_h = total.hh[0] / total.w[0] - mean_h**2

    def central(s: Sums) -> tuple[Array, Array, Array]:
        """Σ w δa, Σ w δa δh and Σ w δa (δh² − ⟨δh²⟩) of every block."""
        zeroth = s.a - mean_a * s.w[:, None, None]
        ah = s.ah - mean_a * s.h[:, :, None]
        ahh = s.ahh - mean_a * s.hh[:, :, None]
        one = ah - mean_h[:, None] * zeroth
        two = ahh - 2 * mean_h[:, None] * ah + (mean_h**2 - square_h)[:, None] * zeroth
        return zeroth, one, two

    _, one, two = (part[0] / total.w[0] for part in central(total))
    first = -scale * one
    second = 0.5 * scale * two + curvature
    tilt = 0.0
    if method == "direct":
        tilt = total.ae[0] / total.e[0, :, None]

    def influence(s: Sums, length: int) -> tuple[Array, ...]:
        """To the values, to the members against each other, to `second` and to ⟨a⟩."""
        unit = 1 / (mean_w * length)
        zeroth, c_one, c_two = central(s)
        of_second = 0.5 * scale * unit * (c_two - two * s.w[:, None, None])
        of_second += unit * (s.h - mean_h * s.w[:, None])[:, :, None] * first
        if method == "direct":
            of_values = (s.ae - tilt * s.e[:, :, None]) * (
                n_frames / (total.e[0, :, None] * length)
            )
        else:
            of_values = unit * (zeroth - scale * (c_one - one * s.w[:, None, None]))
            if order == 2:
                of_values = of_values + of_second
        members = of_values[:, :-1]
        against = members - members.mean(axis=1, keepdims=True)
        return of_values, against, of_second[:, :-1], unit * zeroth[:, -1]

    sampling, centred, of_second, of_mean = squared_errors(moments, influence)
    plain = np.broadcast_to(moments.origin + mean_a, first.shape)
    values = plain + first + (second if order == 2 else 0.0)
    if method == "direct":
        values = np.broadcast_to(moments.origin, first.shape) + tilt
    if variance is None:
        variance = total.aa[0, -1] / total.w[0] - mean_a[-1] ** 2
    return Estimate(
        reference=np.array(plain[-1]),
        values=np.array(values),
        first=(plain + first)[:-1] - (plain + first)[-1],
        second=second[:-1],
        sampling=sampling,
        sampling_centred=centred,
        sampling_second=of_second,
        sampling_reference=of_mean,
        variance=scale * np.maximum(variance, 0.0),
        disagreement=_disagreement(moments, mean_a[-1], mean_w),
    )


def _disagreement(moments: Moments, mean: Array, mean_w: float) -> Array:
    """(m,) χ² per degree of freedom between the series of a pool, see `Estimate`."""
    if len(moments.series) < 2 or len(moments.counts):
        return np.zeros(len(mean))
    chi2 = np.zeros(len(mean))
    for one in moments.series:
        total = one.total
        deviation = (total.a[0, -1] - mean * total.w[0]) / (mean_w * one.n_frames)
        blocks = one.blocks
        series = (blocks.a[:, -1] - mean * blocks.w[:, None]) / (mean_w * one.length)
        error2 = variance_of_mean(series) * (len(blocks) * one.length / one.n_frames)
        chi2 += np.where(error2 > 0, deviation**2 / np.where(error2 > 0, error2, 1.0), 0.0)
    return chi2 / (len(moments.series) - 1)


# means over blocks (of so many frames) of what a frame contributes to several estimates
Influence = Callable[[Sums, int], tuple[Array, ...]]


def squared_errors(moments: Moments, influence: Influence) -> list[Array]:
    """Squared sampling errors of estimates whose influence is linear in the sums."""
    n_frames = moments.n_frames
    respond = _response(moments, influence)
    squared: list[Array] = []
    for one in moments.series:
        direct = influence(one.blocks, one.length)
        through_weights = respond(one.blocks, one.length)
        # frames of no block count as the others; each series has its part in the whole
        part = one.n_frames / n_frames
        share = part**2 * len(one.blocks) * one.length / one.n_frames
        new = [
            share * variance_of_mean(a + b) for a, b in zip(direct, through_weights, strict=True)
        ]
        squared = [a + b for a, b in zip(squared, new, strict=True)] if squared else new
    return squared


def _response(
    moments: Moments, influence: Influence
) -> Callable[[Sums, int], tuple[Array | float, ...]]:
    """What a frame contributes through the weights of all frames.

    The reduced free energies f of the pooled states solve Σ_n W_nk = 1; noise of these sums moves f
    by −P Σ_n W_n (P: `FrameWeights.response`) and the weight of frame n by −Σ_k N_k W_nk δf_k.
    """
    n_frames = moments.n_frames
    slopes = influence(moments.by_state, n_frames)
    if not len(moments.counts):
        return lambda blocks, length: tuple(0.0 for _ in slopes)
    weighted = [
        np.tensordot(moments.response.T * moments.counts, slope, axes=1) for slope in slopes
    ]

    def respond(blocks: Sums, length: int) -> tuple[Array | float, ...]:
        states = blocks.states * (n_frames / length)
        return tuple(np.tensordot(states, slope, axes=1) for slope in weighted)

    return respond
