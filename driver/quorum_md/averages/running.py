"""An average that grows with the run: frames in, in chunks; a `Reweighted` out, at any time.

For runs longer than memory, and for drivers that watch their own errors. Nothing is kept but sums
over a few thousand blocks; the result is that of `reweight` on all frames at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import QuorumError
from .checks import check_method, check_reference_index, differences, plausible_kT
from .expansion import OverlapSums, evaluate, gathered
from .inputs import finite, thermal_energy
from .moments import Accumulator
from .reweighting import Reweighted, summarise
from .timeseries import MAX_BLOCKS
from .weights import known_weights

Array = NDArray[np.float64]


class RunningAverage:
    """The average of one observable under every member, of one uninterrupted series of frames.

    Args:
        kT_eV: thermal energy of the (weighted) frames.
        reference: what drove the run: "mean", the index of a member, or "given": its energies come
            with every chunk.
        method, order: as in `reweight`.
        paired: the observable has one value per member, as its energy has.
    """

    def __init__(
        self,
        *,
        kT_eV: float,
        reference: str | int = "mean",
        method: str = "cumulant",
        order: int = 1,
        paired: bool = False,
    ) -> None:
        check_method(method, order)
        if isinstance(reference, str) and reference not in ("mean", "given"):
            raise QuorumError(
                f'reference: got {reference!r}, expected "mean", the index of a member or "given"'
            )
        self.kT_eV = thermal_energy(kT_eV)
        self.reference = reference
        self.method, self.order, self.paired = method, order, paired
        self._sums = Accumulator(MAX_BLOCKS, direct=method == "direct")
        self._overlap = OverlapSums()
        self._driving = np.zeros(3)  # number of frames, sums of V_ref and V_ref² as sampled
        self._top = -np.inf  # of the logarithms of the weights
        self._shape: tuple[int, ...] = ()
        self._energy = 0.0
        self._offset: Array = np.empty(0)
        self._origin: Array = np.empty(0)
        self._agree = True

    @property
    def n_frames(self) -> int:
        """Frames so far."""
        return self._sums.n_frames

    def add(
        self,
        observable: ArrayLike,
        member_energies_eV: ArrayLike,
        *,
        reference_energies_eV: ArrayLike | None = None,
        log_weights: ArrayLike | None = None,
    ) -> None:
        """The next frames.

        Args:
            observable: (c,) or (c, …); (c, K) or (c, K, …) if paired.
            member_energies_eV: (c, K).
            reference_energies_eV: (c,) with reference="given".
            log_weights: (c,) logarithms of the weights of the frames, as +V_bias/kT; all or none.

        Raises:
            QuorumError: NaN, or arrays that do not fit together or to those before; nothing is
                added then.
        """
        energies = finite("member_energies_eV", member_energies_eV, "(frames, members)")
        values = finite("observable", observable, "(frames, …)")
        if energies.ndim != 2 or values.shape[:1] != energies.shape[:1]:
            raise QuorumError(
                f"observable: got shape {values.shape} and member energies {energies.shape}, "
                "expected the same frames in both, (frames, …) and (frames, members)"
            )
        if self.paired and values.shape[:2] != energies.shape:
            raise QuorumError(
                f"observable: got shape {values.shape}, expected {energies.shape} and more axes: "
                "one value per member"
            )
        if len(values) == 0:
            return
        driving = self._driving_energies(energies, reference_energies_eV)
        log_w = np.zeros(len(values))
        if log_weights is not None:
            log_w = finite("log_weights", log_weights, "(frames,)")
        if log_w.shape != (len(values),):
            raise QuorumError(f"log_weights: got shape {log_w.shape}, expected ({len(values)},)")
        part = values.reshape(len(values), *values.shape[1:2] * self.paired, -1)
        if self.paired:
            part = np.concatenate([part, part.mean(axis=1, keepdims=True)], axis=1)
        change = differences(energies, driving)
        if self._sums.n_frames == 0:
            self._shape = values.shape[1 + self.paired :]
            self._offset, self._origin = change.mean(axis=0), part.mean(axis=0)
            self._energy = float(driving.mean())
        elif change.shape[1:] != self._offset.shape or part.shape[1:] != self._origin.shape:
            raise QuorumError(
                f"observable: got shape {values.shape} with {energies.shape[1]} members, expected "
                f"(frames, …) of {self._shape} with {len(self._offset) - 1} members as before"
            )
        self._agree = self._agree and not np.ptp(energies, axis=1).any()
        w = self._weights(log_w)
        h = (change - self._offset) / self.kT_eV
        if self.reference == "mean":
            h[:, -1] = 0.0
        self._sums.add(w, h, part - self._origin, np.empty((len(w), 0)))
        self._overlap.add(w, h[:, :-1])
        moved = driving - self._energy
        self._driving += [len(moved), moved.sum(), moved @ moved]

    def result(self) -> Reweighted:
        """Mean, errors and verdict of all frames so far.

        Raises:
            QuorumError: fewer than two frames, members that are all alike, a constant observable,
                a kT that cannot be in eV.
        """
        n_frames, n_members = self.n_frames, len(self._offset) - 1
        if n_frames < 2:
            raise QuorumError(
                f"running average: got {n_frames} frame(s), expected at least 2; add more first"
            )
        if n_members > 1 and self._agree:
            raise QuorumError(
                "member_energies_eV: the members are identical in every frame; expected a "
                "committee whose members differ"
            )
        series = self._sums.finish()
        weights = known_weights(np.empty(n_frames))
        moments = gathered([series], [], np.atleast_2d(self._origin), weights)
        left = self._overlap.result()
        n, first, second = self._driving
        plausible_kT(
            self.kT_eV, second / n - (first / n) ** 2, float((left.sigma_h * self.kT_eV).max()) ** 2
        )
        estimate = evaluate(moments, method=self.method, order=self.order)
        if not (estimate.variance > 0).any():
            raise QuorumError(
                f"observable: has the same value in all {n_frames} frames; expected one that "
                "fluctuates, a constant needs no average"
            )
        return summarise(
            estimate, left, self.kT_eV, n_frames, self.method, self.order, shape=self._shape
        )

    def _driving_energies(self, energies: Array, given: ArrayLike | None) -> Array:
        if (given is not None) != (self.reference == "given"):
            raise QuorumError(
                'reference_energies_eV: expected with every chunk if reference is "given", and '
                f"only then; reference is {self.reference!r}"
            )
        if given is not None:
            driving = finite("reference_energies_eV", given, "(frames,)")
            if driving.shape != energies.shape[:1]:
                raise QuorumError(
                    f"reference_energies_eV: got shape {driving.shape}, expected "
                    f"{energies.shape[:1]}"
                )
            return driving
        if self.reference == "mean":
            mean: Array = energies.mean(axis=1)
            return mean
        return energies[:, check_reference_index(self.reference, energies.shape[1])]

    def _weights(self, log_w: Array) -> Array:
        """Weights on the scale of the largest so far."""
        top = float(log_w.max())
        if top > self._top:
            if self.n_frames:
                factor = float(np.exp(self._top - top))
                self._sums.rescale(factor)
                self._overlap.rescale(factor)
            self._top = top
        weights: Array = np.exp(log_w - self._top)
        return weights
