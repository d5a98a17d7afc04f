"""Input of the averages, checked once and in one place; every message is one sentence.

Nothing here guesses: an array of the wrong shape or a kT that cannot be in eV is refused.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import QuorumError
from .inputs import finite, thermal_energy
from .weights import FrameWeights, known_weights

Array = NDArray[np.float64]

METHODS = ("cumulant", "direct")
CHUNK_FRAMES = 8192  # frames worked on at a time: a few MB whatever the length of the run
# var(V)/kT² is a configurational heat capacity: ½ for one harmonic oscillator
_SMALLEST_HEAT_CAPACITY = 1e-3


@dataclass(frozen=True)
class Ensemble:
    """What a run says about its committee.

    Attributes:
        energies_eV: (n, K) of the members; K = 1 is a potential without a committee.
        driving_eV: (n,) of the potential that drove the run.
        offset_eV: (K + 1,) weighted mean of V − V_ref of the members and, last, of their mean.
        weights: normalised weights of the frames.
        kT_eV: thermal energy.
        driven_by_mean: whether V_ref is the mean of the members.
    """

    energies_eV: Array
    driving_eV: Array
    offset_eV: Array
    weights: FrameWeights
    kT_eV: float
    driven_by_mean: bool

    @property
    def n_members(self) -> int:
        """K."""
        return self.energies_eV.shape[1]

    @property
    def n_frames(self) -> int:
        """n."""
        return self.energies_eV.shape[0]

    def reduced(self, rows: slice) -> Array:
        """(c, K + 1) h = (V − V_ref)/kT of the K members and, last, of their mean, without its
        weighted mean over the frames (a constant in an energy has no consequence)."""
        h = differences(self.energies_eV[rows], self.driving_eV[rows])
        h -= self.offset_eV
        if self.driven_by_mean:
            h[:, -1] = 0.0  # exactly
        h /= self.kT_eV
        return h


def differences(energies: Array, driving: Array) -> Array:
    """(n, K + 1) V − V_ref of the members and their mean; no digits of the energies are lost."""
    result = np.empty((len(energies), energies.shape[1] + 1))
    np.subtract(energies, driving[:, None], out=result[:, :-1])
    result[:, -1] = result[:, :-1].mean(axis=1)
    return result


def chunks(n_frames: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` frames."""
    for start in range(0, n_frames, size):
        yield slice(start, min(start + size, n_frames))


def check_method(method: str, order: int) -> None:
    """Method and order of the expansion that exist."""
    if method not in METHODS:
        raise QuorumError(f'method: got {method!r}, expected "cumulant" or "direct"')
    if order not in (1, 2):
        raise QuorumError(f"order: got {order!r}, expected 1 or 2 (of the cumulant expansion)")


def ensemble(
    member_energies_eV: ArrayLike,
    kT_eV: float,
    reference: str | int | ArrayLike,
    weights: ArrayLike | FrameWeights | None,
) -> Ensemble:
    """Member energies (n, K), the potential that drove the run and frame weights as h and w."""
    kT = thermal_energy(kT_eV)
    energies = finite("member_energies_eV", member_energies_eV, "(frames, members)")
    if energies.ndim != 2:
        raise QuorumError(
            f"member_energies_eV: got shape {energies.shape}, expected (frames, members)"
        )
    n_frames, n_members = energies.shape
    if n_frames < 2:
        raise QuorumError(
            f"member_energies_eV: got {n_frames} frame(s), expected at least 2; an average with "
            "errors needs a run"
        )
    if n_members < 1:
        raise QuorumError(
            "member_energies_eV: got no members, expected the energies of a committee, or of the "
            "one potential that there is, (frames, 1)"
        )
    if n_members > 1 and not np.ptp(energies, axis=1).any():
        raise QuorumError(
            "member_energies_eV: the members are identical in every frame (a spread scaled by "
            "α = 0, or one model copied?); such a committee has no model error to give: use one "
            "whose members differ"
        )
    driving = reference_energies(energies, reference)
    frame_weights = normalised_weights(weights, n_frames)
    w = frame_weights.values
    pilot = differences(energies[:1], driving[:1])[0]
    offset, squares = np.zeros(n_members + 1), np.zeros(n_members + 1)
    for rows in chunks(n_frames, CHUNK_FRAMES):
        change = differences(energies[rows], driving[rows]) - pilot
        offset += w[rows] @ change
        squares += w[rows] @ change**2
    # as sampled: weights may leave a frame or two
    plausible_kT(kT, float(driving.var()), float((squares - offset**2).max()))
    by_mean = isinstance(reference, str)
    return Ensemble(energies, driving, pilot + offset, frame_weights, kT, by_mean)


def check_committee(n_members: int) -> None:
    """Several members, for what only a committee has."""
    if n_members < 2:
        raise QuorumError(
            f"member_energies_eV: got {n_members} member, expected at least 2; one potential has "
            "no model error"
        )


def reference_energies(energies: Array, reference: str | int | ArrayLike) -> Array:
    """(n,) energies of the potential that drove the run."""
    n_frames, n_members = energies.shape
    if isinstance(reference, str):
        if reference != "mean":
            raise QuorumError(
                f'reference: got {reference!r}, expected "mean", the index of a member, or the '
                "energies in eV (frames,) of the potential that drove the run"
            )
        mean: Array = energies.mean(axis=1)
        return mean
    if np.ndim(reference) == 0:
        return energies[:, check_reference_index(reference, n_members)]
    array = finite("reference", reference, "(frames,)")
    if array.shape != (n_frames,):
        raise QuorumError(
            f"reference: got shape {array.shape}, expected ({n_frames},): one energy per frame of "
            "member_energies_eV"
        )
    return array


def check_reference_index(reference: ArrayLike, n_members: int) -> int:
    """The index of a member that exists."""
    index = int(np.asarray(reference))
    if index != np.asarray(reference) or not 0 <= index < n_members:
        raise QuorumError(
            f"reference: got {reference!r}, expected the index of a member, 0 … {n_members - 1}"
        )
    return index


def normalised_weights(weights: ArrayLike | FrameWeights | None, n_frames: int) -> FrameWeights:
    """Weights that sum to one."""
    if weights is None:
        return known_weights(np.full(n_frames, 1 / n_frames))
    known = weights if isinstance(weights, FrameWeights) else None
    array = finite("weights", known.values if known is not None else weights, "(frames,)")  # type: ignore[arg-type]
    if array.shape != (n_frames,):
        raise QuorumError(
            f"weights: got shape {array.shape}, expected ({n_frames},): one weight per frame"
        )
    if (array < 0).any() or not (array > 0).sum() >= 2:
        raise QuorumError(
            "weights: expected non-negative numbers of which at least two are positive, got a "
            f"smallest of {array.min():g} and {int((array > 0).sum())} positive"
        )
    array = array / array.max()
    array /= array.sum()
    return known_weights(array) if known is None else replace(known, values=array)


def observable_values(name: str, values: ArrayLike, n_frames: int) -> Array:
    """(n, …) observable that is finite, as long as the energies, and not constant."""
    array = finite(name, values, "(frames, …)")
    if array.ndim == 0 or len(array) != n_frames:
        length = 0 if array.ndim == 0 else len(array)
        raise QuorumError(
            f"{name}: got {length} frames, but member_energies_eV has {n_frames}; expected the "
            "same frames in both, matched by their step"
        )
    if array.size == 0 or (array == array[:1]).all():
        raise QuorumError(
            f"{name}: has the same value in all {n_frames} frames; expected an observable that "
            "fluctuates, a constant needs no average"
        )
    return array


def plausible_kT(kT_eV: float, variance: float, spread: float) -> None:
    """Energies that hardly fluctuate against kT betray a kT in another unit.

    Only where the reference fluctuates more than the members differ: a synthetic reference that is
    constant proves nothing.

    Args:
        variance: of the driving energy, eV².
        spread: largest variance of V_i − V_ref, eV².
    """
    heat_capacity = variance / kT_eV**2
    if variance > 9 * spread and 1e-20 < heat_capacity < _SMALLEST_HEAT_CAPACITY:
        raise QuorumError(
            f"kT_eV: got {kT_eV:g}, but the energy fluctuates by only "
            f"{math.sqrt(variance):.3g} eV, {math.sqrt(heat_capacity):.1e} kT; "
            "expected at least about 0.7 kT (one oscillator), so give kT and the energies in eV"
        )
