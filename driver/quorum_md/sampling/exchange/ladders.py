"""Ladders of temperatures, and what to expect of them.

The law behind: the overlap of the energies at T₁ and T₂ depends on a length that adds up along the
ladder, ℓ = ½ ∫ √(C/k) d ln T with the heat capacity C = dE/dT (of the enthalpy if the volume
changes), and the mean acceptance of a pair is erfc ℓ where the energies are Gaussian. Round trips
are those of an exchange at which energies are drawn afresh: a lower bound of the time
(Syed et al., doi:10.1111/rssb.12464).
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import erfc
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from ...errors import QuorumError

Array = npt.NDArray[np.float64]

# beyond this, acceptance is too small for anyone to have measured it
LEAST_ACCEPTANCE = 1e-12


def geometric(low_K: float, high_K: float, n: int) -> Array:
    """n temperatures with one ratio, from the lowest to the highest."""
    if not (n >= 2 and 0 < low_K < high_K < float("inf")):
        raise QuorumError(
            f"ladder: got {n} temperatures from {low_K} to {high_K} K; expected two or more, from "
            "a positive temperature to a higher one"
        )
    result: Array = low_K * (high_K / low_K) ** (np.arange(n) / (n - 1))
    result[-1] = high_K
    return result


def length(acceptance: float) -> float:
    """ℓ of a pair with this mean acceptance."""
    half = min(max(acceptance, LEAST_ACCEPTANCE), 1.0) / 2
    return max(0.0, -NormalDist().inv_cdf(half) / 2**0.5)


def equal_rejection(temperatures_K: npt.ArrayLike, rejections: npt.ArrayLike) -> Array:
    """A ladder with the same ends and number whose pairs are all rejected equally often.

    Parameters
    ----------
    temperatures_K: (S,) ascending
    rejections: (S − 1,) mean rejection of each pair of neighbours, 0 to 1

    Lengths are found from the rejections and spread evenly in ln T between neighbours. Repeat with
    the new rejections until nothing moves; where hardly anything is accepted the first steps are
    coarse.
    """
    temperatures, rejected = _ascending(temperatures_K), np.asarray(rejections, dtype=float)
    n = len(temperatures)
    if rejected.shape != (n - 1,) or not ((rejected >= 0) & (rejected <= 1)).all():
        raise QuorumError(
            f"rejections: expected {n - 1} numbers from 0 to 1 for {n} temperatures, got "
            f"{np.round(rejected, 3).tolist()}"
        )
    lengths = [length(1 - r) for r in rejected]
    total = np.concatenate([[0.0], np.cumsum(lengths)])
    return _evenly(np.log(temperatures), total, n)


def _ascending(temperatures_K: npt.ArrayLike) -> Array:
    temperatures = np.asarray(temperatures_K, dtype=float)
    if temperatures.ndim != 1 or not (
        len(temperatures) >= 2 and temperatures[0] > 0 and (np.diff(temperatures) > 0).all()
    ):
        raise QuorumError(
            f"temperatures_K: got {temperatures.tolist()}; expected two or more that rise from a "
            "positive one"
        )
    return temperatures


def _evenly(log_T: Array, total: Array, n: int) -> Array:
    """n temperatures at equal steps of the length, of which *total* is the sum up to each log T."""
    if not total[-1] > 0:  # nothing is ever rejected
        return np.exp(np.linspace(log_T[0], log_T[-1], n))
    result: Array = np.exp(np.interp(np.linspace(0, total[-1], n), total, log_T))
    result[[0, -1]] = np.exp(log_T[[0, -1]])
    return result


@dataclass(frozen=True)
class Plan:
    """A ladder and what to expect of it.

    Attributes
    ----------
    temperatures_K: (S,)
    acceptance: (S − 1,) mean of each pair of neighbours
    round_trip_attempts: attempts that one replica needs for a round trip, with the default scheme,
        if energies are forgotten from one attempt to the next: a lower bound
    """

    temperatures_K: Array
    acceptance: Array
    round_trip_attempts: float

    @property
    def n(self) -> int:
        """Number of replicas."""
        return len(self.temperatures_K)


def round_trip_attempts(acceptance: npt.ArrayLike, scheme: str = "neighbors") -> float:
    """Mean attempts between two arrivals of one replica at the bottom by way of the top.

    *acceptance*: (S − 1,) of the pairs of neighbours; *scheme*: "neighbors" or "random_neighbors".
    """
    accepted = np.asarray(acceptance, dtype=float)
    if not (accepted > 0).all():
        return float("inf")
    n = len(accepted) + 1
    if n == 2:  # the one pair is tried each time
        return float(2 / accepted[0])
    waits = ((1 - accepted) / accepted).sum()
    if scheme == "random_neighbors":
        return float(2 * n * (n - 1 + waits))
    return float(2 * n * (1 + waits))


def plan(
    low_K: float,
    high_K: float,
    heat_capacity_kB: float | Callable[[Array], Array],
    *,
    n: int | None = None,
    acceptance: float = 0.4,
) -> Plan:
    """A ladder of equal acceptance from the heat capacity.

    Parameters
    ----------
    low_K, high_K: ends
    heat_capacity_kB: of the potential energy (3N/2 in a harmonic solid), of the enthalpy without
        its kinetic part if the volume changes; in units of Boltzmann's constant: a number, or a
        function of temperatures in K
    n: number of replicas; else as few as give `acceptance`

    Raises
    ------
    QuorumError: a range or a heat capacity that is not positive, an acceptance outside (0, 1).
    """
    log_T = np.log(geometric(low_K, high_K, 2001))
    given = heat_capacity_kB(np.exp(log_T)) if callable(heat_capacity_kB) else heat_capacity_kB
    capacity = np.broadcast_to(np.asarray(given, dtype=float), log_T.shape)
    if not (np.isfinite(capacity) & (capacity > 0)).all():
        raise QuorumError("heat_capacity_kB: expected a number above 0 at every temperature")
    slope = 0.5 * np.sqrt(capacity)
    steps = 0.5 * (slope[1:] + slope[:-1]) * np.diff(log_T)
    return _from_lengths(log_T, np.concatenate([[0.0], np.cumsum(steps)]), n, acceptance)


def plan_from_acceptance(
    temperatures_K: npt.ArrayLike,
    measured: npt.ArrayLike,
    *,
    n: int | None = None,
    acceptance: float = 0.4,
) -> Plan:
    """As `plan`, from the acceptance (S − 1,) that a ladder was measured to have."""
    temperatures = _ascending(temperatures_K)
    lengths = [length(a) for a in np.asarray(measured, dtype=float)]
    total = np.concatenate([[0.0], np.cumsum(lengths)])
    return _from_lengths(np.log(temperatures), total, n, acceptance)


def _from_lengths(log_T: Array, total: Array, n: int | None, acceptance: float) -> Plan:
    if n is None:
        if not 0 < acceptance < 1:
            raise QuorumError(f"acceptance: got {acceptance}; expected a number between 0 and 1")
        n = 1 + max(1, int(np.ceil(total[-1] / length(acceptance) - 1e-9)))
    if n < 2:
        raise QuorumError(f"replicas: got {n}; expected two or more")
    each = erfc(total[-1] / (n - 1))
    accepted = np.full(n - 1, each)
    return Plan(_evenly(log_T, total, n), accepted, round_trip_attempts(accepted))
