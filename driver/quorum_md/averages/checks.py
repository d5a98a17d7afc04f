"""Input of the averages, checked once and in one place; every message is one sentence.

Nothing here guesses: an array of the wrong shape or a kT that cannot be in eV is refused.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import QuorumError
from ..units import BOLTZMANN_EV_K

Array = NDArray[np.float64]

METHODS = ("cumulant", "direct")
_LARGEST_KT_EV = 10.0  # 116 000 K: a larger number is a temperature in K or an energy in meV
_SMALLEST_KT_EV = 1e-7  # 1 mK
# var(V)/kT² is a configurational heat capacity: ½ for one harmonic oscillator
_SMALLEST_HEAT_CAPACITY = 1e-3


@dataclass(frozen=True)
class Ensemble:
    """What a run says about its committee.

    Attributes:
        reduced: (n, K + 1) h = (V − V_ref)/kT of the K members and, last, of their mean, with the
            weighted mean over frames subtracted (a constant in an energy has no consequence).
        weights: (n,) normalised weights of the frames.
        kT_eV: thermal energy.
        uniform: all weights are equal.
    """

    reduced: Array
    weights: Array
    kT_eV: float
    uniform: bool

    @property
    def n_members(self) -> int:
        """K."""
        return self.reduced.shape[1] - 1


def finite(name: str, values: ArrayLike, axes: str) -> Array:
    """`values` as an array of finite numbers with at least the axes that `axes` names."""
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise QuorumError(f"{name}: expected an array {axes} of numbers, got {values!r:.60}") from (
            error
        )
    if not np.isfinite(array).all():
        where = tuple(int(k) for k in np.argwhere(~np.isfinite(array))[0])
        count = int((~np.isfinite(array)).sum())
        raise QuorumError(
            f"{name}: {count} value(s) are not finite, the first at index {where}; expected finite "
            "numbers, leave these frames out"
        )
    return array


def thermal_energy(kT_eV: float) -> float:
    """A kT that can be in eV."""
    try:
        value = float(kT_eV)
    except (TypeError, ValueError):
        value = math.nan
    if not value > 0 or math.isinf(value):
        raise QuorumError(
            f"kT_eV: got {kT_eV!r}, expected a positive thermal energy in eV "
            "(0.025852 at 300 K; quorum_md.units.thermal_energy_eV converts)"
        )
    if not _SMALLEST_KT_EV <= value <= _LARGEST_KT_EV:
        raise QuorumError(
            f"kT_eV: got {value:g}, that is {value / BOLTZMANN_EV_K:.3g} K; expected eV "
            "(0.025852 at 300 K), not K, meV or another unit; "
            "quorum_md.units.thermal_energy_eV converts"
        )
    return value


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
    weights: ArrayLike | None,
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
    if n_members < 2:
        raise QuorumError(
            f"member_energies_eV: got {n_members} member(s), expected at least 2; a committee of "
            "one has no model error"
        )
    if not np.ptp(energies, axis=1).any():
        raise QuorumError(
            "member_energies_eV: the members are identical in every frame (a spread scaled by "
            "α = 0, or one model copied?); such a committee has no model error to give: use one "
            "whose members differ"
        )
    driving = reference_energies(energies, reference)
    frame_weights, uniform = normalised_weights(weights, n_frames)
    # differences of nearly equal energies first, then the mean: no digits are lost
    differences = energies - driving[:, None]
    differences = np.column_stack([differences, differences.mean(axis=1)])
    differences -= frame_weights @ differences
    if isinstance(reference, str):
        differences[:, -1] = 0.0  # exactly: the mean drove the run
    _plausible(kT, driving, differences, frame_weights)
    return Ensemble(differences / kT, frame_weights, kT, uniform)


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
        index = int(np.asarray(reference))
        if index != np.asarray(reference) or not 0 <= index < n_members:
            raise QuorumError(
                f"reference: got {reference!r}, expected the index of a member, 0 … {n_members - 1}"
            )
        return energies[:, index]
    array = finite("reference", reference, "(frames,)")
    if array.shape != (n_frames,):
        raise QuorumError(
            f"reference: got shape {array.shape}, expected ({n_frames},): one energy per frame of "
            "member_energies_eV"
        )
    return array


def normalised_weights(weights: ArrayLike | None, n_frames: int) -> tuple[Array, bool]:
    """(n,) weights that sum to one, and whether they are all equal."""
    if weights is None:
        return np.full(n_frames, 1 / n_frames), True
    array = finite("weights", weights, "(frames,)")
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
    return array / array.sum(), bool(np.ptp(array) == 0)


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


def _plausible(kT_eV: float, driving: Array, differences: Array, weights: Array) -> None:
    """Energies that hardly fluctuate against kT betray a kT in another unit.

    Only where the reference fluctuates more than the members differ: a synthetic reference that is
    constant proves nothing.
    """
    mean = weights @ driving
    variance = float(weights @ (driving - mean) ** 2)
    spread = float((weights @ differences**2).max())
    heat_capacity = variance / kT_eV**2
    if variance > 9 * spread and 1e-20 < heat_capacity < _SMALLEST_HEAT_CAPACITY:
        raise QuorumError(
            f"kT_eV: got {kT_eV:g}, but the energy fluctuates by only "
            f"{math.sqrt(variance):.3g} eV, {math.sqrt(heat_capacity):.1e} kT; "
            "expected at least about 0.7 kT (one oscillator), so give kT and the energies in eV"
        )
