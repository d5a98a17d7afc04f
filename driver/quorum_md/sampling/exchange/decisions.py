"""Which replica is in which state: decisions on u[replica, state] alone.

An attempt is a number of rounds. A round proposes to exchange the configurations of disjoint pairs
of states, each decided by Metropolis on its own, so that every round, and with it every sequence of
rounds, keeps the joint law of all states.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...errors import QuorumError
from ..streams import WORDS, uniforms, words

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

SCHEMES = ("neighbors", "random_neighbors", "all_pairs", "gibbs")
# counters that belong to one attempt: more than any attempt needs
ATTEMPT_COUNTERS = 1 << 40


class Attempt(NamedTuple):
    """What one attempt has done.

    Attributes
    ----------
    permutation: (S,) the replica in each state, afterwards
    proposed, accepted: (S, S) numbers of exchanges of states s < t
    probability: (S, S) sums of the probabilities with which the proposed ones are accepted
    """

    permutation: Integers
    proposed: Integers
    accepted: Integers
    probability: Array


@dataclass
class Exchange:
    """Exchanges between *n* states.

    Parameters
    ----------
    n: number of states, and of replicas
    seed: 0 to 2¹²⁸ − 1
    scheme: "neighbors": pairs (0, 1), (2, 3), … in one round, (1, 2), (3, 4), … in the next;
        "random_neighbors": one of both by chance; "all_pairs": every pair once, in the rounds of a
        tournament with random places; "gibbs": n such tournaments, after which the permutation is
        close to one drawn independently (Chodera and Shirts, doi:10.1063/1.3660669)
    per_attempt: how often this is done in one attempt

    An attempt depends on seed, number, u and the permutation alone. The numbers of attempt k are
    the uniforms of the counters k·2⁴⁰, k·2⁴⁰ + 1, … one after the other; a round takes n of them,
    of which a pair uses the one of its lower state.
    """

    n: int
    seed: int
    scheme: str = "neighbors"
    per_attempt: int = 1

    def __post_init__(self) -> None:
        if self.n < 2:
            raise QuorumError(f"replica exchange: got {self.n} states; expected two or more")
        if not 0 <= int(self.seed) < 2**128:
            raise QuorumError(f"seed: got {self.seed}; expected an integer from 0 to 2^128 - 1")
        if self.scheme not in SCHEMES:
            raise QuorumError(f"scheme: got {self.scheme!r}; expected one of {', '.join(SCHEMES)}")
        if self.per_attempt < 1:
            raise QuorumError(f"per_attempt: got {self.per_attempt}; expected 1 or more")
        self.permutation: Integers = np.arange(self.n)
        self.proposed: Integers = np.zeros((self.n, self.n), dtype=np.int64)
        self.accepted: Integers = np.zeros((self.n, self.n), dtype=np.int64)
        self.probability: Array = np.zeros((self.n, self.n))
        self.number = 0

    def attempt(self, u: npt.ArrayLike, number: int | None = None) -> Attempt:
        """Do attempt *number*, by default the one after the last, on u[replica, state].

        Raises `QuorumError` if u is not (n, n) or not a number somewhere.
        """
        matrix = np.asarray(u, dtype=float)
        if matrix.shape != (self.n, self.n) or np.isnan(matrix).any():
            bad = np.flatnonzero(np.isnan(matrix).reshape(len(matrix), -1).any(axis=1)).tolist()
            raise QuorumError(
                f"reduced energies: got the shape {matrix.shape}"
                f"{f', and no number for the replicas {bad}' if bad else ''}; expected "
                f"({self.n}, {self.n}) numbers: look at the structures, or shorten the timestep"
            )
        number = self.number if number is None else number
        permutation = self.permutation.copy()
        proposed, accepted = np.zeros_like(self.proposed), np.zeros_like(self.accepted)
        probability = np.zeros_like(self.probability)
        for low, high, drawn in self._rounds(number):
            a, b = permutation[low], permutation[high]
            with np.errstate(invalid="ignore"):  # inf - inf: never accepted
                log_ratio = matrix[a, low] + matrix[b, high] - matrix[a, high] - matrix[b, low]
                p = np.exp(np.minimum(0.0, log_ratio))
            yes = drawn < p
            permutation[low] = np.where(yes, b, a)
            permutation[high] = np.where(yes, a, b)
            # pairs of one round are disjoint, so no element is met twice
            proposed[low, high] += 1
            accepted[low, high] += yes
            probability[low, high] += np.nan_to_num(p)
        self.permutation = permutation
        self.proposed += proposed
        self.accepted += accepted
        self.probability += probability
        self.number = number + 1
        return Attempt(permutation.copy(), proposed, accepted, probability)

    def wanted(self, number: int | None = None) -> npt.NDArray[np.bool_]:
        """(R, S) elements of u that `attempt` will read, for whom the others cost something."""
        rounds = list(self._rounds(self.number if number is None else number))
        result = np.full((self.n, self.n), len(rounds) > 1)
        for low, high, _ in rounds:
            for replicas in (self.permutation[low], self.permutation[high]):
                result[replicas, low] = result[replicas, high] = True
        return result

    def _rounds(self, number: int) -> Iterator[tuple[Integers, Integers, Array]]:
        """Lower and upper states of the pairs of each round, and their random numbers."""
        if self.scheme in ("neighbors", "random_neighbors"):
            rows = self._uniforms(number, self.per_attempt)
            for index, row in enumerate(rows):
                parity = (number * self.per_attempt + index) % 2
                if self.scheme == "random_neighbors":
                    parity = int(row[-1] < 0.5)  # no pair has the last state as its lower one
                # of two states there is one pair, and every round has it
                low = np.arange(parity if self.n > 2 else 0, self.n - 1, 2)
                yield low, low + 1, row[low]
            return
        n_rounds = self.n - 1 + self.n % 2
        tournaments = self.per_attempt * (self.n if self.scheme == "gibbs" else 1)
        all_rows = self._uniforms(number, tournaments * (n_rounds + 1))
        for rows in all_rows.reshape(tournaments, n_rounds + 1, self.n):
            places = np.argsort(rows[0], kind="stable")
            for one, other, row in zip(*_tournament(self.n), rows[1:], strict=True):
                low = np.minimum(places[one], places[other])
                yield low, np.maximum(places[one], places[other]), row[low]

    def _uniforms(self, number: int, rows: int) -> Array:
        n_words = rows * self.n
        drawn = words(self.seed, number * ATTEMPT_COUNTERS, -(-n_words // WORDS))
        return uniforms(drawn).reshape(-1)[:n_words].reshape(rows, self.n)

    def state(self) -> dict[str, Any]:
        """What a restart needs, for JSON."""
        return {
            "number": self.number,
            "permutation": self.permutation.tolist(),
            "proposed": self.proposed.tolist(),
            "accepted": self.accepted.tolist(),
            "probability": self.probability.tolist(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`; raises `QuorumError` if it is one of another number of states."""
        permutation = np.asarray(state["permutation"], dtype=np.int64)
        if sorted(permutation.tolist()) != list(range(self.n)):
            raise QuorumError(
                f"checkpoint of the exchanges: got the permutation {permutation.tolist()}; "
                f"expected one of {self.n} replicas"
            )
        self.number = int(state["number"])
        self.permutation = permutation
        self.proposed = np.asarray(state["proposed"], dtype=np.int64)
        self.accepted = np.asarray(state["accepted"], dtype=np.int64)
        self.probability = np.asarray(state["probability"], dtype=float)


@lru_cache(maxsize=8)
def _tournament(n: int) -> tuple[Integers, Integers]:
    """Two arrays of rounds × pairs in which everyone of n meets everyone else once."""
    even = n + n % 2
    ones, others = [], []
    for turn in range(even - 1):
        # all but the last go round a table
        table = np.append((np.arange(even - 1) + turn) % (even - 1), even - 1)
        one, other = table[: even // 2], table[: even // 2 - 1 : -1]
        here = (one < n) & (other < n)  # who meets the empty chair waits
        ones.append(one[here])
        others.append(other[here])
    return np.array(ones), np.array(others)
