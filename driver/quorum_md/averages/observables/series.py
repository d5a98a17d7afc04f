"""An observable frame by frame, with its steps, ready for `quorum_md.averages.reweight`."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import QuorumError
from .frames import Array, Frames, Integers


@dataclass(frozen=True)
class Axis:
    """What one dimension of an observable runs over.

    Attributes:
        name: "r", "shell", "pair".
        unit: of numbers ("Å"), empty for names.
        values: numbers (centres of bins) or names, one per entry.
    """

    name: str
    unit: str
    values: tuple[float, ...] | tuple[str, ...]


@dataclass(frozen=True)
class PerFrame:
    """An observable that each frame has by itself.

    Attributes:
        evaluate: F frames -> (F, …).
        unit, axes, notes: as in `Series`.
    """

    evaluate: Callable[[Frames], Array]
    unit: str
    axes: tuple[Axis, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Series:
    """An observable along a trajectory.

    Attributes:
        name: as asked for.
        steps: (n,) increasing.
        values: (n, …).
        unit: of the values, "1" for a pure number.
        axes: one per dimension after the first.
        notes: what a reader must know: conventions, choices made, what was left out.
    """

    name: str
    steps: Integers
    values: Array
    unit: str
    axes: tuple[Axis, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def match(self, steps: ArrayLike) -> tuple[NDArray[np.intp], Array]:
        """The frames that this series shares with a run.

        Args:
            steps: (N,) steps of the run's frames, none twice.

        Returns:
            rows (m,) of the run and values (m, …) of the observable, both in the order of steps:
            ``rows, a = series.match(run.steps)``, then ``reweight(a, run.energies_eV[rows], …)``.

        Raises:
            QuorumError: fewer than two steps in common.
        """
        wanted = np.asarray(steps, dtype=np.int64)
        if len(np.unique(wanted)) != len(wanted):
            raise QuorumError(
                "steps: a step of the run is there twice, expected each once; leave abandoned "
                "branches out"
            )
        shared, mine, rows = np.intersect1d(
            self.steps, wanted, assume_unique=True, return_indices=True
        )
        if len(shared) < 2:
            raise QuorumError(
                f"{self.name}: the trajectory (steps {_range(self.steps)}) and the member energies "
                f"(steps {_range(wanted)}) have {len(shared)} step(s) in common, expected at least "
                "2; give files of one run, with strides that share steps"
            )
        return rows, self.values[mine]


def _range(steps: Integers) -> str:
    if len(steps) < 2:
        return ", ".join(map(str, steps)) or "none"
    ordered = np.sort(steps)
    strides = np.unique(np.diff(ordered))
    every = f" every {strides[0]}" if len(strides) == 1 else ""
    return f"{ordered[0]} to {ordered[-1]}{every}"
