"""Numbers from outside: arrays that are finite, a kT that can be in eV."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import QuorumError
from ..units import BOLTZMANN_EV_K

Array = NDArray[np.float64]

_LARGEST_KT_EV = 10.0  # 116 000 K: a larger number is a temperature in K or an energy in meV
_SMALLEST_KT_EV = 1e-7  # 1 mK


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
