"""Does the ladder work? What the sequence of permutations says about it.

Counted as the run goes on, so that nothing but the counts has to be kept.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import QuorumError

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

NOWHERE, BOTTOM, TOP = 0, 1, 2


def replica_paths(permutations: npt.ArrayLike) -> Integers:
    """(T, R) state of each replica, from (T, S) replicas of each state."""
    return np.argsort(np.asarray(permutations, dtype=np.int64), axis=-1)


class Mixing:
    """Counts over the permutations (S,) given to `add`, of which the first is before any attempt.

    Attributes
    ----------
    round_trips: (R,) completed ways of each replica from the lowest state to the highest and back
    transitions: (S, S) how often a replica in state s was in state t `lag` attempts later, counted
        every `lag` attempts
    from_top, from_bottom: (S,) visits of replicas that were last in the highest, lowest state

    A lag of 2 is one turn of even and odd pairs, after which the chain is what it was: counting
    from odd attempts too would mix two chains whose eigenvalues are not those of their mean.
    """

    def __init__(self, n: int, lag: int = 2) -> None:
        self.n, self.lag = n, lag
        self.round_trips: Integers = np.zeros(n, dtype=np.int64)
        self.transitions: Integers = np.zeros((n, n), dtype=np.int64)
        self.from_top: Integers = np.zeros(n, dtype=np.int64)
        self.from_bottom: Integers = np.zeros(n, dtype=np.int64)
        self.attempts = -1  # the first permutation is that before any
        self._last: Integers = np.full(n, NOWHERE)
        self._turned: npt.NDArray[np.bool_] = np.zeros(n, dtype=bool)
        self._before: Integers = np.zeros(n, dtype=np.int64)

    def add(self, permutation: npt.ArrayLike) -> None:
        """The permutation after a further attempt."""
        replicas = np.asarray(permutation, dtype=np.int64)
        states = np.argsort(replicas)
        self.attempts += 1
        bottom, top = replicas[0], replicas[-1]
        # a trip is one that began at the bottom and was at the top since
        self.round_trips[bottom] += self._turned[bottom]
        self._turned[bottom] = False
        self._turned[top] |= self._last[top] == BOTTOM
        self._last[bottom], self._last[top] = BOTTOM, TOP
        last = self._last[replicas]
        self.from_top += last == TOP
        self.from_bottom += last == BOTTOM
        if self.attempts % self.lag == 0:
            if self.attempts > 0:
                self.transitions[self._before, states] += 1
            self._before = states

    @property
    def fraction_from_top(self) -> Array:
        """f(T): (S,) share of the visits whose replica was last at the top; nan without visits.

        Straight from 0 to 1 where no part of the ladder holds replicas back
        (Katzgraber et al., doi:10.1088/1742-5468/2006/03/P03018).
        """
        with np.errstate(invalid="ignore"):
            result: Array = self.from_top / (self.from_top + self.from_bottom)
        return result

    @property
    def eigenvalue(self) -> float:
        """Second largest modulus of the eigenvalues of the transition matrix over `lag` attempts.

        1 if replicas stay apart, 0 if the state is forgotten at once; nan before any transition.
        """
        sums = self.transitions.sum(axis=1, keepdims=True)
        if not sums.all():
            return float("nan")
        return float(np.sort(np.abs(np.linalg.eigvals(self.transitions / sums)))[-2])

    @property
    def relaxation_attempts(self) -> float:
        """Attempts after which the memory of a replica's state has fallen to 1/e, for eigenvalue
        λ: −lag/ln λ; inf if it never does."""
        value = self.eigenvalue
        if value >= 1.0 - 1e-12:
            return float("inf")
        return float(-self.lag / np.log(value)) if value > 0 else value

    def state(self) -> dict[str, Any]:
        """What a restart needs, for JSON."""
        arrays = {name: getattr(self, name).tolist() for name in _ARRAYS}
        return {"lag": self.lag, "attempts": self.attempts, **arrays}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`; raises `QuorumError` if it is one of another number of states."""
        if len(state["round_trips"]) != self.n:
            raise QuorumError(
                f"checkpoint of the exchanges: got counts for {len(state['round_trips'])} states; "
                f"expected {self.n}"
            )
        self.lag, self.attempts = int(state["lag"]), int(state["attempts"])
        for name in _ARRAYS:
            setattr(self, name, np.asarray(state[name], dtype=getattr(self, name).dtype))


_ARRAYS = ("round_trips", "transitions", "from_top", "from_bottom", "_last", "_turned", "_before")


def mixing_of(permutations: npt.ArrayLike, lag: int = 2) -> Mixing:
    """`Mixing` of recorded permutations (T, S)."""
    rows = np.asarray(permutations, dtype=np.int64)
    mixing = Mixing(rows.shape[1], lag)
    for row in rows:
        mixing.add(row)
    return mixing


def acceptance(proposed: npt.ArrayLike, accepted: npt.ArrayLike) -> Array:
    """(S − 1,) share of accepted exchanges of neighbouring states; nan where none was proposed.

    With `Attempt.probability` in place of the accepted ones, the same with less noise.
    """
    with np.errstate(invalid="ignore"):
        shares = np.asarray(accepted, dtype=float) / np.asarray(proposed, dtype=float)
    return np.diagonal(shares, offset=1).copy()
