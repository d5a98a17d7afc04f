"""Averages under every member from frames of one run, and what each owes to the sampling.

With h_i = (V_i − V_ref)/kT, V_ref the potential that drove the run:

- direct      ⟨a⟩_i = ⟨a e^{−h_i}⟩/⟨e^{−h_i}⟩; Torrie & Valleau, J. Comput. Phys. 23, 187 (1977),
  doi:10.1016/0021-9991(77)90121-8
- cumulant    ⟨a⟩_i ≈ ⟨a⟩ − cov(a, h_i) [+ ½ cov(a, δh_i²)]; Ceriotti et al., Proc. R. Soc. A 468, 2
  (2012), doi:10.1098/rspa.2011.0413; Imbalzano et al., J. Chem. Phys. 154, 074102 (2021),
  doi:10.1063/5.0036522

Every estimate is, to first order in the noise, the mean of an influence series over the frames; the
autocorrelation of that series gives the sampling error of the estimate. Series are kept as means
over short blocks, which suffices for that and keeps a histogram of 500 bins × 64 members small.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .checks import Ensemble
from .timeseries import MAX_BLOCKS, block_length, block_means, variance_of_mean

Array = NDArray[np.float64]

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


def estimate(
    observable: Array, run: Ensemble, *, method: str, order: int, curvature: Array | None = None
) -> Estimate:
    """Reweight (n, m), or (n, K + 1, m) where each member and their mean have an own observable.

    `curvature` (K + 1, m) is added to the second order: what a function of averages has beyond
    the expansion of its linear part.
    """
    n_frames, rows = run.reduced.shape
    n_components = observable.shape[-1]
    length = block_length(
        n_frames, MAX_BLOCKS if n_components < _MANY_COMPONENTS else _FEWER_BLOCKS
    )
    per_chunk = max(1, _CHUNK // (rows * -(-n_frames // length)))
    tilt = direct_weights(run) if method == "direct" else None
    parts = []
    for start in range(0, n_components, per_chunk):
        columns = slice(start, start + per_chunk)
        extra = 0.0 if curvature is None else curvature[:, columns]
        parts.append(_chunk(observable[..., columns], run, tilt, order, extra, length))
    return Estimate(*(np.concatenate(fields, axis=-1) for fields in zip(*parts, strict=True)))


def direct_weights(run: Ensemble) -> Array:
    """(n, K + 1) weights w e^{−h}/Σ w e^{−h}, by log-sum-exp."""
    with np.errstate(divide="ignore"):  # a frame of weight 0 stays at weight 0
        exponent = np.log(run.weights)[:, None] - run.reduced
    exponent -= exponent.max(axis=0)
    weights: Array = np.exp(exponent)
    weights /= weights.sum(axis=0)
    return weights


def effective_samples(run: Ensemble) -> Array:
    """(K,) (Σw)²/Σw² of the frames reweighted to each member, n e^{−var h} for a Gaussian h."""
    samples: Array = 1 / (direct_weights(run)[:, :-1] ** 2).sum(axis=0)
    return samples


def unbias(weights: Array) -> float:
    """n/(n − 1) for equal weights, and its generalisation (covariances have ddof = 1)."""
    return 1 / (1 - float(weights @ weights))


def covariance(values: Array, run: Ensemble) -> Array:
    """cov(a, h): (n, m) -> (K + 1, m); (n, K + 1, m) -> (K + 1, m), member with member."""
    deviation = values - np.tensordot(run.weights, values, axes=1)
    return unbias(run.weights) * _contract(deviation, run.weights[:, None] * run.reduced)


def _contract(values: Array, factors: Array) -> Array:
    """Σ_t values factors: (n, m) or (n, K + 1, m) with (n, K + 1) -> (K + 1, m)."""
    if values.ndim == 2:
        product: Array = factors.T @ values
        return product
    summed: Array = np.einsum("tk,tkm->km", factors, values)
    return summed


def _block_products(values: Array, factors: Array, length: int) -> Array:
    """Block means of values × factors, (blocks, K + 1, m), without the (n, K + 1, m) array."""
    if values.ndim == 3:
        return block_means(values * factors[:, :, None], length)
    blocks = len(values) // length
    left = factors[: blocks * length].reshape(blocks, length, -1).transpose(0, 2, 1)
    right = values[: blocks * length].reshape(blocks, length, -1)
    product: Array = left @ right / length
    return product


def _chunk(
    observable: Array,
    run: Ensemble,
    tilt: Array | None,
    order: int,
    curvature: Array | float,
    length: int,
) -> tuple[Array, ...]:
    n_frames = len(observable)
    weights, h = run.weights, run.reduced
    scale = unbias(weights)
    plain = np.tensordot(weights, observable, axes=1)  # (m,) or (K + 1, m)
    deviation = observable - plain
    delta = h**2
    delta -= weights @ delta
    first = -scale * _contract(deviation, weights[:, None] * h)
    second = 0.5 * scale * _contract(deviation, weights[:, None] * delta) + curvature

    frame = n_frames * weights[:, None]
    own = deviation if deviation.ndim == 3 else deviation[:, None, :]
    zeroth = block_means(own * frame[:, :, None], length)  # (blocks, 1 or K + 1, m)
    h_blocks = block_means(frame * h, length)[:, :, None]
    square = _block_products(deviation, frame * delta, length)
    influence_second = 0.5 * scale * square + h_blocks * first
    if tilt is None:
        values = plain + first + (second if order == 2 else 0.0)
        influence = zeroth - scale * _block_products(deviation, frame * h, length)
        if order == 2:
            influence = influence + influence_second
    else:
        shift = _contract(deviation, tilt)
        values = plain + shift
        tilted = n_frames * tilt
        influence = _block_products(deviation, tilted, length)
        influence -= block_means(tilted, length)[:, :, None] * shift

    members = influence[:, :-1]
    centred = members - members.mean(axis=1, keepdims=True)
    whole = (len(influence) * length) / n_frames  # an unfinished block was left out

    def sampling(series: Array) -> Array:
        return whole * variance_of_mean(series)

    return (
        plain if plain.ndim == 1 else plain[-1],
        values,
        (plain + first)[:-1] - (plain + first)[-1],
        second[:-1],
        sampling(influence),
        sampling(centred),
        sampling(influence_second[:, :-1]),
        sampling(zeroth[:, -1]),
        scale * np.tensordot(weights, own[:, -1] ** 2, axes=1),
    )
