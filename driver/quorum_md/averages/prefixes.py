"""How an average and its two errors grew with the run: those of its first frames, in one pass.

Series that were pooled advance together, each by the same part of itself, so that every prefix is
what shorter runs would have given. Weights stay those of all frames (the free energies of MBAR are
not solved again); their noise is that of a pool so much smaller.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .checks import CHUNK_FRAMES, Ensemble, chunks
from .expansion import OverlapSums, Values, evaluate, gathered
from .moments import Accumulator, Sums, state_sums
from .reweighting import Reweighted, summarise
from .weights import known_weights

Array = NDArray[np.float64]

_BLOCKS = 512  # of each series: enough for an error that is only drawn
_FEWEST = 8  # frames of a series in its first prefix
_FEWEST_EFFECTIVE = 3.0  # fewer weighted frames have no variance to speak of


def prefix_averages(
    values: Values, run: Ensemble, *, method: str, order: int = 1, points: int = 60
) -> tuple[NDArray[np.intp], list[Reweighted]]:
    """Averages of the first frames of a run, for about `points` lengths up to the whole.

    Args:
        values: observable of the frames in a slice, (c, m) or (c, K + 1, m) as in
            `expansion.estimate`; m is 1 for a scalar.
        run: all frames.
        method, order: as in `reweight`.
        points: number of prefixes, equally spaced.

    Returns:
        (P, S): frames of each of S series in each prefix, and one `Reweighted` (arrays of m) for
        each. Prefixes in which weights leave hardly a frame are left out.
    """
    direct = method == "direct"
    frame = run.weights
    lengths = np.array(frame.lengths)
    starts = np.cumsum(lengths) - lengths
    parts = np.linspace(0, 1, points + 1)[1:, None]
    ends = np.unique(
        np.clip(np.rint(parts * lengths), np.minimum(_FEWEST, lengths), lengths), axis=0
    )
    origin = values(slice(0, min(run.n_frames, 64))).mean(axis=0)
    sums = [Accumulator(_BLOCKS, direct) for _ in lengths]
    left = OverlapSums()
    by_state: list[Sums] = []
    response = frame.response()
    unweighted = known_weights(np.empty(0), ())
    done = np.zeros(len(lengths), dtype=np.intp)
    kept, results = [], []
    for end in ends.astype(np.intp):
        for one, start, begin, stop in zip(sums, starts, done, end, strict=True):
            for part in chunks(int(stop - begin), CHUNK_FRAMES):
                rows = slice(int(start + begin + part.start), int(start + begin + part.stop))
                w, h, states = frame.values[rows], run.reduced(rows), frame.states[rows]
                a = values(rows) - origin
                one.add(w, h, a, states)
                left.add(w, h[:, :-1])
                if states.shape[1]:
                    by_state.append(state_sums(w, h, a, states, direct))
        done = end
        n_frames = int(end.sum())
        moments = gathered(
            [one.finish() for one in sums], by_state, np.atleast_2d(origin), unweighted
        )
        by_state = [moments.by_state] if by_state else []
        total = moments.total
        if total.w[0] ** 2 < _FEWEST_EFFECTIVE * total.ww[0]:
            continue
        # a pool so much smaller: fewer frames per state, and columns of weights that sum to less
        moments = replace(
            moments, response=response, counts=frame.counts * (run.n_frames / n_frames)
        )
        result = evaluate(moments, method=method, order=order)
        kept.append(end)
        results.append(
            summarise(
                result, left.result(), run.kT_eV, n_frames, method, order,
                shape=(origin.shape[-1],),
            )
        )  # fmt: skip
    return np.array(kept, dtype=np.intp).reshape(-1, len(lengths)), results
