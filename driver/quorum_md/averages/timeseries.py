"""Sampling errors of correlated series, and where a run starts to be in equilibrium.

The variance of a mean is n⁻¹ Σ Γ(t), the autocovariance summed over all lags. The sum is taken with
a flat-top lag window (Politis & Romano, J. Time Ser. Anal. 16, 67 (1995),
doi:10.1111/j.1467-9892.1995.tb00223.x) whose width is that beyond which the autocorrelation is
noise (Politis, J. Nonparam. Stat. 15, 517 (2003), doi:10.1080/10485250310001604659). Looking at a
range of lags, not at the first that seems small, matters for molecular dynamics: volumes and
energies ring, and their autocorrelation crosses zero long before it has decayed.

Long series are first averaged over short blocks (Flyvbjerg & Petersen, J. Chem. Phys. 91, 461
(1989), doi:10.1063/1.457480): that changes nothing in the variance of the mean and bounds the work.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import QuorumError

Array = NDArray[np.float64]

MAX_BLOCKS = 4096  # points that enter the autocorrelation function
_NOISE = 2.5  # standard errors within which an autocorrelation counts as noise
_STRETCH = 3  # width of the window in units of the lag where noise starts


def block_length(n_frames: int, max_blocks: int = MAX_BLOCKS) -> int:
    """Frames per block so that at most about `max_blocks` blocks remain."""
    return max(1, -(-n_frames // max_blocks))


def block_means(series: Array, length: int) -> Array:
    """Means over consecutive blocks, (n, …) -> (n // length, …); an unfinished one is left out."""
    if length == 1:
        return series
    n_blocks = len(series) // length
    return series[: n_blocks * length].reshape(n_blocks, length, *series.shape[1:]).mean(axis=1)


def variance_of_mean(series: ArrayLike) -> Array:
    """Variance of the mean of correlated series.

    Args:
        series: (n, …), n ≥ 2; every column is one series, equally spaced in time.

    Returns:
        (…): the squared standard error of the mean of each column; 0 for a constant column.

    Source: see the module.
    """
    values = np.asarray(series, dtype=float)
    n_frames = len(values)
    if n_frames < 2:
        raise QuorumError(
            f"a series of {n_frames} frame(s) has no sampling error; expected at least 2"
        )
    values = block_means(values, block_length(n_frames))
    n = len(values)
    shape = values.shape[1:]
    values = values.reshape(n, -1)
    values = values - values.mean(axis=0)
    if n < 8:  # no lag to speak of
        return np.asarray((values**2).sum(axis=0) / (n * (n - 1))).reshape(shape)
    gamma = _autocovariance(values)
    flat = gamma[0] <= 0
    scale = np.where(flat, 1.0, gamma[0])
    rho = gamma[1:] / scale
    lag = np.arange(1, len(gamma))[:, None] / (_window(rho, n) + 1)
    top = np.clip(2 * (1 - lag), 0, 1)  # 1 up to half its width: no bias for a quick decay
    triangle = np.clip(1 - lag, 0, None)  # biased, but never negative
    # the biased autocovariance, n in place of n - t, is what keeps the triangle positive
    damped = rho * (1 - np.arange(1, len(gamma)) / n)[:, None]
    # subtracting the sample mean lowers every Gamma(t) by the variance of that mean
    total = np.maximum(
        (1 + 2 * (top * rho).sum(axis=0)) * (1 + (1 + 2 * top.sum(axis=0)) / n),
        (1 + 2 * (triangle * damped).sum(axis=0)) * (1 + (1 + 2 * triangle.sum(axis=0)) / n),
    )
    variance: Array = np.where(flat, 0.0, scale * total / n).reshape(shape)
    return variance


def _window(rho: Array, n: int) -> Array:
    """(columns,) widths: thrice the lag m after which, up to 2m + 5, nothing exceeds the noise.

    The noise of an estimated autocorrelation is Bartlett's, √(Σ ρ²/n).
    """
    noise = _NOISE * np.sqrt((1 + 2 * np.cumsum(rho**2, axis=0)) / n)
    size = np.abs(rho)
    width = np.full(rho.shape[1], len(rho))
    open_ = np.ones(rho.shape[1], dtype=bool)
    m = 1
    while m < len(rho) and open_.any():
        quiet = open_ & (size[m : 2 * m + 6].max(axis=0) < noise[m - 1])
        width[quiet] = min(len(rho), _STRETCH * m)
        open_ &= ~quiet
        m = max(m + 1, int(1.15 * m))
    return width


def _autocovariance(centred: Array) -> Array:
    """Gamma(t) for t = 0 … n/2, columns of (n, m) with zero mean, by FFT (no wrap-around)."""
    n = len(centred)
    size = 1 << (2 * n - 1).bit_length()
    spectrum = np.fft.rfft(centred, n=size, axis=0)
    gamma = np.fft.irfft(np.abs(spectrum) ** 2, n=size, axis=0)[: max(2, n // 2 + 1)]
    result: Array = gamma / (n - np.arange(len(gamma)))[:, None]
    # rounding of the transform must not make a constant column fluctuate
    result[0] = np.mean(centred**2, axis=0)
    return result


def statistical_inefficiency(series: ArrayLike) -> Array:
    """Frames per independent frame, g = 1 + 2 Σ ρ(t) = 2 τ_int, of every column of (n, …).

    1 for independent frames and for a constant column.
    """
    values = np.asarray(series, dtype=float)
    variance = values.var(axis=0, ddof=1)
    mean_variance = variance_of_mean(values)
    constant = variance <= 0
    ratio: Array = len(values) * mean_variance / np.where(constant, 1.0, variance)
    return np.where(constant, 1.0, ratio)


def integrated_autocorrelation_time(series: ArrayLike) -> Array:
    """τ_int = ½ + Σ ρ(t), in frames, of every column of (n, …): ½ for independent frames.

    An AR(1) series x_t = φ x_{t−1} + noise has τ_int = ½ (1 + φ)/(1 − φ).
    """
    return statistical_inefficiency(series) / 2


def transient(series: ArrayLike) -> int:
    """Number of frames to leave out at the start of one series (n,), at most half of it.

    The cut d after which the variance over n − d, the squared error that frames without correlation
    would have, is least: White, Simulation 69, 323 (1997), doi:10.1177/003754979706900601. It asks
    for no autocorrelation time, unlike the cut that leaves the most independent frames (Chodera, J.
    Chem. Theory Comput. 12, 1799 (2016), doi:10.1021/acs.jctc.5b00784): tails of short series seem
    free of correlation by chance, and that one may keep nothing but such a tail, with an error
    several times too small.
    """
    values = np.asarray(series, dtype=float)
    length = block_length(len(values), 1000)
    coarse = block_means(values, length)
    n = len(coarse)
    if n < 10:
        return 0
    tail = np.arange(n, n // 2, -1)  # lengths that may be left
    reverse = (coarse - coarse.mean())[::-1]
    sums, squares = np.cumsum(reverse)[tail - 1], np.cumsum(reverse**2)[tail - 1]
    return int(np.argmin((squares - sums**2 / tail) / tail**2)) * length


def frames_to_discard(discard: str | float, *series: ArrayLike, n_frames: int) -> int:
    """Translate "auto", a number of frames or a fraction below 1 into a number of frames.

    Args:
        discard: "auto" (the latest `transient` of the given series), N, or a fraction.
        series: (n,) series that "auto" looks at.
        n_frames: length of the run.
    """
    if discard == "auto":
        return max((transient(one) for one in series), default=0)
    try:
        number = float(discard)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf or (number >= 1 and number != int(number)):
        raise QuorumError(
            f"discard: got {discard!r}, expected auto, a number of frames or a fraction below 1"
        )
    frames = int(number * n_frames) if number < 1 else int(number)
    if n_frames - frames < 2:
        raise QuorumError(
            f"discard: got {discard!r}, which leaves {max(0, n_frames - frames)} of {n_frames} "
            "frames, expected at least 2 to be left; discard fewer"
        )
    return frames
