"""Mean-square displacements and diffusion.

A displacement belongs to a pair of frames. To be reweighted it is kept per origin: a_t(τ) = |r(t +
τ) − r(t)|², averaged over the atoms, belongs to the frame t and gets its energies. Such weights
turn the distribution of initial conditions into that of another member; between t and t + τ the
atoms move under the potential that drove the run. The notes of every series say so.

Atoms are followed through boundaries (`followed`), a block of them at a time. Sums over all origins
by FFT: Calandrini et al., École thématique de
la SFN 12, 201 (2011), doi:10.1051/sfn/201112010.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from ...errors import QuorumError
from ...units import BOLTZMANN_EV_K, EV_A3_GPA
from ..timeseries import variance_of_mean
from .followed import Followed, followed_atoms, unwrapped
from .frames import Array, Frames, Integers
from .series import Axis, Series
from .whole import Whole, whole_of

__all__ = [
    "diffusion",
    "finite_size_correction",
    "followed_atoms",
    "mean_square_displacement",
    "msd",
    "per_origin",
    "unwrapped",
]
_FIT_POINTS = 16
_WINDOW_END = 0.2  # of the run
_WINDOW_STARTS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)  # of the window's end
_CURVATURE = 2.0  # standard errors
_NEGLIGIBLE = 0.02  # relative curvature that no one minds
_PS_FS, _GPA_FS_PER_PA_S = 1e3, 1e6
_YEH_HUMMER = 2.837297  # of a cubic cell
_DYNAMICS = (
    "reweighting changes the distribution of initial conditions only: the motion from there on "
    "remains that of the potential that drove the run, so this model error leaves out how members "
    "differ in their dynamics"
)


def mean_square_displacement(positions_A: ArrayLike) -> Array:
    """(F, n, 3) -> (F,) Å²: mean over atoms and all origins at lags 0 … F − 1, by FFT."""
    r = np.asarray(positions_A, dtype=float)
    n_frames, n_atoms = r.shape[:2]
    r = r - r.mean(axis=0)  # far from the origin digits would be lost
    size = 1 << (2 * n_frames - 1).bit_length()
    overlap = np.zeros(n_frames)
    for atom in range(n_atoms):
        spectrum = np.fft.rfft(r[:, atom], n=size, axis=0)
        overlap += np.fft.irfft((np.abs(spectrum) ** 2).sum(axis=1), n=size)[:n_frames]
    squares = (r**2).sum(axis=(1, 2))
    # Σ_t |r(t)|² over the first and over the last F − τ frames
    ahead = np.cumsum(squares)[::-1]
    behind = np.cumsum(squares[::-1])[::-1]
    result: Array = (ahead + behind - 2 * overlap) / (n_atoms * (n_frames - np.arange(n_frames)))
    return result


def per_origin(positions_A: Array, lags: Integers) -> Array:
    """(F, n, 3) Å and lags (m,) in frames -> (F − max lag, m) Å²: the mean over atoms of
    |r(t + τ) − r(t)|² for every origin t.
    """
    return np.maximum(_squares_per_origin(positions_A, lags), 0.0) / positions_A.shape[1]


def _per_origin(followed: Followed, lags: Integers) -> Array:
    """The same of atoms that come in blocks."""
    total = sum(_squares_per_origin(block, lags) for block in followed)
    result: Array = np.maximum(total, 0.0) / followed.n_atoms
    return result


def _squares_per_origin(positions_A: Array, lags: Integers) -> Array:
    """The sum over atoms; rounding may leave it below zero."""
    r = positions_A - positions_A.mean(axis=0)  # far from the origin digits would be lost
    r = np.ascontiguousarray(r.reshape(len(r), -1))
    squares = np.einsum("fk,fk->f", r, r)
    n_origins = len(r) - int(max(lags))
    origins = r[:n_origins]
    result = np.empty((n_origins, len(lags)))
    for k, lag in enumerate(lags):
        later = slice(int(lag), int(lag) + n_origins)
        overlap = np.einsum("fk,fk->f", origins, r[later])
        result[:, k] = squares[:n_origins] + squares[later] - 2 * overlap
    return result


def msd(
    frames: Frames | Whole,
    element: str | None = None,
    *,
    max_lag: int | None = None,
    lags: int | Sequence[int] = 32,
    timestep_fs: float | None = None,
    masses: Mapping[str, float] | None = None,
) -> Series:
    """Mean-square displacement per origin: (origins, lags) Å².

    Args:
        frames: the whole trajectory, equally spaced; in memory, or laid down (`whole.Layer`).
        element: atoms of one element; all if left out.
        max_lag: largest lag in frames; a fifth of the run if left out.
        lags: how many, equally spaced up to `max_lag`; or the lags themselves, in frames.
        timestep_fs: of the run, to give lags in ps and not in steps.
        masses: of elements in Da, for the centre of mass.

    Raises:
        QuorumError: unequal steps between frames, a run that is too short, atoms that cannot be
            followed.
    """
    stride = _stride(frames)
    if np.ndim(lags) == 0:
        longest = max(1, int(_WINDOW_END * len(frames))) if max_lag is None else int(max_lag)
        chosen = _spread(1, longest, int(np.asarray(lags)))
    else:
        chosen = np.unique(np.asarray(lags, dtype=np.int64))
    _enough(frames, chosen)
    followed = Followed(whole_of(frames), element, masses)
    values = _per_origin(followed, chosen)
    if timestep_fs is None:
        axis = Axis("lag", "steps", tuple(float(lag * stride) for lag in chosen))
    else:
        unit = stride * timestep_fs / _PS_FS
        axis = Axis("lag", "ps", tuple(float(lag * unit) for lag in chosen))
    name = "msd" if element is None else f"msd:{element}"
    notes = (_DYNAMICS, *followed.notes)
    return Series(name, frames.steps[: len(values)], values, "Å²", (axis,), notes)


def diffusion(
    frames: Frames | Whole,
    element: str | None = None,
    *,
    timestep_fs: float,
    window_ps: Sequence[float] | None = None,
    masses: Mapping[str, float] | None = None,
) -> Series:
    """Diffusion coefficient per origin: (origins,) Å²/ps (1 Å²/ps = 10⁻⁴ cm²/s).

    A sixth of the slope of a straight line through a_t(τ) in a window of τ; the slope is linear in
    a_t, so the mean over origins is that of the mean-square displacement, and its sampling error
    that of this series.

    Args:
        frames, element, masses: as in `msd`.
        timestep_fs: of the run.
        window_ps: smallest and largest τ. If left out, up to a fifth of the run from the smallest
            at which the slopes of the two halves of the window agree within their error.

    Raises:
        QuorumError: as in `msd`; no window in which the displacement grows linearly.
    """
    if not np.isfinite(timestep_fs) or timestep_fs <= 0:
        raise QuorumError(f"timestep_fs: got {timestep_fs!r}, expected a positive number of fs")
    unit_ps = _stride(frames) * timestep_fs / _PS_FS
    if window_ps is None:
        end = int(_WINDOW_END * len(frames))
        starts = sorted({max(1, int(fraction * end)) for fraction in _WINDOW_STARTS})
        windows = [(start, end) for start in starts]
    else:
        low, high = (int(round(float(edge) / unit_ps)) for edge in window_ps)
        windows = [(max(low, 1), high)]
    for low, high in windows:
        if high - low < 3:
            raise QuorumError(
                f"diffusion: the window from {low * unit_ps:g} to {high * unit_ps:g} ps holds "
                f"{max(0, high - low + 1)} lag(s), expected at least 4; give a longer run or window"
            )
        _enough(frames, np.array([high]))
    followed = Followed(whole_of(frames), element, masses)
    for low, high in windows:
        lags = _spread(low, high, _FIT_POINTS)
        tau = np.asarray(lags * unit_ps, dtype=np.float64)
        origins = _per_origin(followed, lags)
        values = origins @ _slope(tau) / 6
        half = len(lags) // 2
        halves = [
            origins[:, part] @ _slope(tau[part]) / 6
            for part in (slice(0, half + 1), slice(half, None))
        ]
        curvature = halves[1] - halves[0]
        error = float(np.sqrt(variance_of_mean(curvature)))
        bend, slope = float(curvature.mean()), float(values.mean())
        straight = abs(bend) < max(_CURVATURE * error, _NEGLIGIBLE * abs(slope))
        if straight:
            break
    mean = origins.mean(axis=0)
    power = np.nan
    if (mean > 0).all():
        power = float(np.polyfit(np.log(tau), np.log(mean), 1)[0])
    found = (
        f"between {tau[0]:g} and {tau[-1]:g} ps the displacement grows as τ^{power:.2f} and its "
        f"slope changes by {6 * bend:.2g} ± {6 * error:.2g} Å²/ps from the first half to the second"
    )
    if not straight and window_ps is None:
        raise QuorumError(
            f"diffusion: {found}, expected a straight line; run longer, or state window_ps"
        )
    notes = [found if straight else f"not diffusive: {found}", _DYNAMICS, *followed.notes]
    name = "diffusion" if element is None else f"diffusion:{element}"
    return Series(name, frames.steps[: len(values)], values, "Å²/ps", (), tuple(notes))


def finite_size_correction(*, temperature_K: float, viscosity_Pa_s: float, box_A: float) -> float:
    """What to add to a diffusion coefficient of a liquid in a cubic cell, Å²/ps.

    ξ kT/(6π η L) with ξ = 2.837297: Yeh & Hummer, J. Phys. Chem. B 108, 15873 (2004),
    doi:10.1021/jp0477147.
    """
    viscosity = viscosity_Pa_s * _GPA_FS_PER_PA_S / EV_A3_GPA  # eV fs/Å³
    correction = _YEH_HUMMER * BOLTZMANN_EV_K * temperature_K / (6 * np.pi * viscosity * box_A)
    return float(correction * _PS_FS)


def _spread(low: int, high: int, count: int) -> Integers:
    return np.unique(np.rint(np.linspace(low, high, max(1, count))).astype(np.int64))


def _slope(tau: Array) -> Array:
    """Weights of the least-squares slope."""
    centred = tau - tau.mean()
    weights: Array = centred / (centred @ centred)
    return weights


def _stride(frames: Frames | Whole) -> int:
    strides = np.diff(frames.steps)
    if len(strides) == 0 or (strides != strides[0]).any():
        where = (
            ""
            if len(strides) == 0
            else (f" (after step {frames.steps[int(np.argmax(strides != strides[0]))]})")
        )
        raise QuorumError(
            f"displacement: the frames are not equally spaced{where}, expected the same number of "
            "steps between all; give the whole trajectory of one run"
        )
    return int(strides[0])


def _enough(frames: Frames | Whole, lags: Integers) -> None:
    if lags.min() < 1 or lags.max() > len(frames) - 2:
        raise QuorumError(
            f"lags: got {lags.min()} to {lags.max()} frames, expected 1 to {len(frames) - 2} in a "
            f"run of {len(frames)} frames"
        )
