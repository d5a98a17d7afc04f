"""What every frame contributes to the differences between the members' averages.

An average under member i is a sum over frames; what is not the same for all members makes the model
error. In the notation of `expansion`, frame t contributes to the average of member i

    cumulant   w_t [a_t − ⟨a⟩ − δa_t δh_ti (+ ½ δa_t (δh²_ti − ⟨δh²_i⟩))]
    direct     w_t e^{−h_ti} (a_t − ⟨a⟩)/Σ w e^{−h_i}

and, less its mean over the members, this is the frame's part in member i's distance from the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .checks import CHUNK_FRAMES, Ensemble, chunks
from .expansion import Values

Array = NDArray[np.float64]
_CHUNK = 1 << 21  # numbers per array


@dataclass(frozen=True)
class Influence:
    """Of n frames on K members.

    Attributes:
        rms: (n,) standard deviation over the members of a frame's contributions, rms over the
            components of the observable.
        members: (K, m) sums over the frames: averages of the members less their mean.
    """

    rms: Array
    members: Array

    def share_of_top(self, part: float = 0.01) -> float:
        """Share of Σ rms² that the most influential `part` of the frames holds."""
        squares = np.sort(self.rms**2)[::-1]
        count = max(1, round(part * len(squares)))
        return float(squares[:count].sum() / squares.sum())


def frame_influence(values: Values, run: Ensemble, *, method: str, order: int = 1) -> Influence:
    """Contributions of all frames to the differences between the members' averages.

    Args:
        values: observable of the frames in a slice, (c, m) or (c, K + 1, m) (see
            `expansion.estimate`).
        run, method, order: as in `reweight`.

    Two passes over the frames; memory is that of the (n,) result.
    """
    w_all = run.weights.values
    K = run.n_members
    shape = values(slice(0, 1)).shape
    components = shape[-1]
    size = max(64, min(CHUNK_FRAMES, _CHUNK // (components * (K if len(shape) == 3 else 1) + K)))
    slices = list(chunks(run.n_frames, size))
    mean_a, mean_h, square_h = 0.0 * values(slice(0, 1))[0], np.zeros(K), np.zeros(K)
    lowest = np.full(K, np.inf)
    for rows in slices:
        w, h = w_all[rows], run.reduced(rows)[:, :-1]
        mean_a = mean_a + np.tensordot(w, values(rows), axes=1)
        mean_h += w @ h
        square_h += w @ h**2
        lowest = np.minimum(lowest, h.min(axis=0))
    square_h -= mean_h**2
    norm = np.zeros(K)
    if method == "direct":
        for rows in slices:
            norm += w_all[rows] @ np.exp(lowest - run.reduced(rows)[:, :-1])
    scale = 1 / (1 - float(w_all @ w_all))

    def factors(rows: slice) -> Array:
        """(c, K) what δa of a frame is multiplied with."""
        h = run.reduced(rows)[:, :-1]
        if method == "direct":
            return np.asarray(w_all[rows, None] * np.exp(lowest - h) / norm)
        dh = h - mean_h
        bracket = -dh + (0.5 * (dh**2 - square_h) if order == 2 else 0.0)
        return np.asarray(w_all[rows, None] * scale * bracket)

    rms = np.empty(run.n_frames)
    members = np.zeros((K, components))
    for rows in slices:
        g, a = factors(rows), values(rows)
        if a.ndim == 2:  # one observable for all: a product of its deviation and of the members'
            g = g - g.mean(axis=1, keepdims=True)
            da = a - mean_a
            members += g.T @ da
            rms[rows] = np.sqrt((g**2).sum(axis=1) / (K - 1) * (da**2).mean(axis=1))
            continue
        common = np.asarray(mean_a)[:-1].mean(axis=0)
        if method == "direct":
            c = g[:, :, None] * (a[:, :-1] - common)
        else:
            own = a[:, :-1]
            c = w_all[rows, None, None] * (own - common) + g[:, :, None] * (own - mean_a[:-1])
        c = c - c.mean(axis=1, keepdims=True)
        members += c.sum(axis=0)
        rms[rows] = np.sqrt((c**2).sum(axis=1).mean(axis=-1) / (K - 1))
    return Influence(rms, members)
