"""Weights of frames that were not sampled where the average is wanted.

Frames of a biased run, of another temperature, or of several runs pooled stand for the ensemble of
interest with a weight each. Where the weights themselves are estimated from the frames (MBAR:
Shirts & Chodera, J. Chem. Phys. 129, 124105 (2008), doi:10.1063/1.2978177), their own sampling
noise enters the errors as well, which is what `states` and `counts` are for.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import QuorumError
from .inputs import finite, thermal_energy

Array = NDArray[np.float64]

_SOLVED = 1e-9  # deviation from one of the weights' sums in the states
_POLISH = 30  # Newton steps to get there from what pymbar gives


@dataclass(frozen=True)
class FrameWeights:
    """Weights of n frames and what their noise follows from.

    Attributes:
        values: (n,) non-negative, on any scale.
        lengths: frames of each uninterrupted series, in order; they sum to n.
        states: (n, S) MBAR weights of the frames in the S states that were sampled, each column
            summing to one; S = 0 where the weights are known functions of the frame.
        counts: (S,) frames sampled in each state.
    """

    values: Array
    lengths: tuple[int, ...]
    states: Array
    counts: Array

    def response(self) -> Array:
        """(S, S) change of −f, reduced free energies, per excess of the states' weights."""
        n_states = len(self.counts)
        overlap = self.states.T @ self.states * self.counts
        return np.asarray(np.linalg.pinv(np.eye(n_states) - overlap, rcond=1e-10))


def known_weights(values: Array, lengths: Sequence[int] | None = None) -> FrameWeights:
    """Weights that are known functions of the frame."""
    n_frames = len(values)
    return FrameWeights(
        values,
        (n_frames,) if lengths is None else tuple(int(n) for n in lengths),
        np.empty((n_frames, 0)),
        np.empty(0),
    )


def bias_weights(
    bias_eV: ArrayLike, *, kT_eV: float, lengths: Sequence[int] | None = None
) -> FrameWeights:
    """Weights e^{+V_bias/kT} that undo a bias.

    Args:
        bias_eV: (n,) energy of the bias in each frame (PLUMED's column ``….bias``), a function of
            the configuration alone: one that grew during the run is to be taken in its final form.
        kT_eV: of the run.
        lengths: frames of each run, if several were put one after another.

    Raises:
        QuorumError: not numbers, or lengths that do not sum to n.
    """
    bias = finite("bias_eV", bias_eV, "(frames,)") / thermal_energy(kT_eV)
    if bias.ndim != 1:
        raise QuorumError(f"bias_eV: got shape {bias.shape}, expected (frames,)")
    return _checked(known_weights(np.exp(bias - bias.max()), lengths))


def temperature_weights(
    reference_energies_eV: ArrayLike,
    *,
    kT_eV: float,
    target_kT_eV: float,
    volume_A3: ArrayLike | None = None,
    pressure_eV_A3: float = 0.0,
    lengths: Sequence[int] | None = None,
) -> FrameWeights:
    """Weights that carry frames from one temperature to another.

    Args:
        reference_energies_eV: (n,) of the potential that drove the run.
        kT_eV, target_kT_eV: where the frames come from and where the average is wanted.
        volume_A3, pressure_eV_A3: of a run at constant pressure.
        lengths: frames of each run, if several were put one after another.
    """
    energy = finite("reference_energies_eV", reference_energies_eV, "(frames,)")
    if volume_A3 is not None:
        energy = energy + pressure_eV_A3 * finite("volume_A3", volume_A3, "(frames,)")
    change = 1 / thermal_energy(target_kT_eV) - 1 / thermal_energy(kT_eV)
    exponent = -change * energy
    return _checked(known_weights(np.exp(exponent - exponent.max()), lengths))


def mbar_weights(
    reduced_energies: ArrayLike, counts: Sequence[int], target: ArrayLike | int
) -> FrameWeights:
    """Weights of frames pooled from several states (temperatures, pressures, biases).

    Args:
        reduced_energies: (S, n) u = (V_ref + V_bias + pΩ)/kT of every frame in every state; frames
            in the order of the states that sampled them.
        counts: (S,) frames that each state gave; 0 for a state without.
        target: (n,) u of every frame where the average is wanted, or the index of a state.

    Raises:
        QuorumError: arrays that do not fit together, states without overlap.
    """
    u = finite("reduced_energies", reduced_energies, "(states, frames)")
    number = np.asarray(counts, dtype=int)
    if u.ndim != 2 or number.shape != u.shape[:1] or (number < 0).any():
        raise QuorumError(
            f"reduced_energies: got shape {u.shape} and counts {list(counts)!r:.60}, expected "
            "(states, frames) and one count per state"
        )
    if number.sum() != u.shape[1]:
        raise QuorumError(
            f"counts: sum to {number.sum()}, but reduced_energies has {u.shape[1]} frames; "
            "expected the frames of all states, in order"
        )
    if np.ndim(target) == 0:
        index = int(np.asarray(target))
        if not 0 <= index < len(u):
            raise QuorumError(f"target: got {target!r}, expected the index of a state or (frames,)")
        wanted = u[index]
    else:
        wanted = finite("target", target, "(frames,)")
        if wanted.shape != u.shape[1:]:
            raise QuorumError(f"target: got shape {wanted.shape}, expected {u.shape[1:]}")
    sampled = number > 0
    u, counted = u[sampled], number[sampled].astype(float)
    # a shift of a frame changes nothing, one of a state its free energy alone; without both the
    # free energies would be large differences of large numbers
    shift = u.min(axis=0)
    u, wanted = u - shift, wanted - shift
    u = u - u.mean(axis=1, keepdims=True)
    free = _free_energies(u, number[sampled])
    states, log_mixture = _states(u, free, counted)
    for _ in range(_POLISH):
        excess = states.sum(axis=0) - 1
        if np.abs(excess).max() < _SOLVED:
            break
        weights = FrameWeights(wanted, (), states, counted)
        free = free - weights.response() @ excess
        states, log_mixture = _states(u, free, counted)
    else:
        raise QuorumError(
            "reduced_energies: MBAR found no free energies for these states; expected states whose "
            "energies overlap, put others between them"
        )
    exponent = -wanted - log_mixture
    return _checked(
        FrameWeights(
            np.exp(exponent - exponent.max()),
            tuple(int(n) for n in number if n),
            states,
            counted,
        )
    )


def _free_energies(u: Array, counts: NDArray[np.int_]) -> Array:
    """(S,) reduced free energies by pymbar."""
    import logging

    if len(u) == 1:
        free: Array = -_log_sum(-u.T - np.log(len(u.T)), np.ones(len(u.T)))
        return free
    logging.getLogger("pymbar").setLevel(logging.ERROR)  # its advice about jax
    from pymbar import MBAR

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it hands its solver options that scipy does not know
            solved: Any = MBAR(u, counts, relative_tolerance=1e-12)
    except Exception as error:
        raise QuorumError(
            f"reduced_energies: MBAR found no free energies ({type(error).__name__}); expected "
            "states whose energies overlap, put others between them"
        ) from error
    result: Array = np.asarray(solved.f_k, dtype=float)
    if not np.isfinite(result).all():
        raise QuorumError(
            "reduced_energies: the states do not overlap, so their free energies are not finite; "
            "put other states between them"
        )
    return result


def _states(u: Array, free: Array, counts: Array) -> tuple[Array, Array]:
    """Weights (n, S) of the frames in the states, and the logarithm of the mixture (n,)."""
    log_mixture = _log_sum(free[:, None] - u, counts)
    states: Array = np.exp(free[:, None] - u - log_mixture).T
    return states, log_mixture


def _log_sum(exponents: Array, factors: NDArray[Any]) -> Array:
    """log Σ_s factors[s] e^{exponents[s]}."""
    top = exponents.max(axis=0)
    total: Array = top + np.log(np.asarray(factors, dtype=float) @ np.exp(exponents - top))
    return total


def _checked(weights: FrameWeights) -> FrameWeights:
    if sum(weights.lengths) != len(weights.values) or min(weights.lengths) < 2:
        raise QuorumError(
            f"lengths: got {list(weights.lengths)!r:.60} for {len(weights.values)} frames, "
            "expected the frames of each series, at least 2, that sum to all"
        )
    return weights
