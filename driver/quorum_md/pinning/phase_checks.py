"""Are both phases there? Energy and volume against the bulk phases, and the pace of Q.

In a box of solid fraction f, U and V lie at f between the bulk values; interfaces add some per cent
(of 500 atoms of argon 20). Where they reach a bulk phase in any block of time, there was no
interface to be pinned.
"""

from __future__ import annotations

import numpy as np

from ..averages.timeseries import integrated_autocorrelation_time
from .bulk import Bulk, levels
from .refusals import Limits, Refusal
from .series import Array, Kept, block_averages

_BLOCKS = 10
_LAYERS = 3  # that both phases must be thick, in units of the cube root of the atomic volume
_NARROWEST, _WIDEST = 0.08, 0.25  # bounds of what that makes of a box
_DISAGREE = 0.25  # solid fraction by energy less that by Q, which interfaces make negative
_SIGMAS = 4.0  # sampling errors that a block must be beyond its limit
_VOLUME_RESOLVED = 0.01  # Δv/v from which the volume tells the phases apart
_ENERGY_RESOLVED = 0.25  # Δu/kT likewise
_COLLAPSE = 10.0  # fall of τ of Q


def least_fraction(run: Kept, solid: Bulk) -> float:
    """The fraction of the box below which a phase is too thin to be one."""
    length = float(run[("lx_A", "ly_A", "lz_A")[run.job.frozen_axis]].mean())
    layer = solid.volume_A3.value ** (1 / 3)
    return float(np.clip(_LAYERS * layer / length, _NARROWEST, _WIDEST))


def phases(run: Kept, solid: Bulk, liquid: Bulk, limits: Limits) -> Refusal | None:
    """ "froze", "melted", or "registry": frozen or melted while Q says two phases."""
    n = run.job.n_atoms
    least = least_fraction(run, solid)
    q_s, q_l = levels(solid, liquid, n)
    by_q = block_averages((run["q"] - q_l.value) / (q_s.value - q_l.value), _BLOCKS)
    measures = list(_measures(run, solid, liquid))
    energies = next((blocks for what, blocks, _ in measures if what == "energy"), None)
    for what, blocks, _ in measures:
        for k, (block, error) in enumerate(blocks):
            q = by_q[k].value
            # interfaces make a box seem more liquid than it is, in a small one by a layer each;
            # a box that melted has none, and Q sees it
            beyond = max(block - (1 - least), least / 2 - block)
            apart = max(block - q - _DISAGREE, q - block - max(_DISAGREE, 2 * least))
            if max(beyond, apart) <= _SIGMAS * error:
                continue
            # a length breathes: where it says another phase than Q, energy must go the same way, or
            # the length must stay there
            if what == "length" and energies is not None and abs(block - q) > _DISAGREE:
                stays = abs(
                    np.median([b - one.value for (b, _), one in zip(blocks, by_q, strict=True)])
                )
                if (energies[k][0] - q) * np.sign(block - q) < _DISAGREE / 3 and stays < _DISAGREE:
                    continue
            at = f"at {_time(run, k, len(blocks))}"
            numbers = {f"solid_fraction_{what}": block, "solid_fraction_q": q}
            seen = "; ".join(words(k) for _, _, words in measures)
            tau = _fall(run)
            seen += f"; τ of Q fell from {tau[0]:.3g} to {tau[1]:.3g} fs" if tau else ""
            if beyond <= _SIGMAS * error:
                kind = "registry"
                sentence = f"Q says {q:.2f} solid and the {what} {block:.2f} {at}"
            else:
                kind = "froze" if block > 0.5 else "melted"
                sentence = f"the box {kind} {at}"
                if least < q < 1 - least and block > 0.5:
                    kind = "registry"
                    sentence += f" into a crystal that Q does not see (Q says {q:.2f} solid)"
            return Refusal(kind, f"{sentence}: {seen}", numbers)
    for k, one in enumerate(by_q):
        if not least - _SIGMAS * one.error <= one.value <= 1 - least + _SIGMAS * one.error:
            kind = "froze" if one.value > 0.5 else "melted"
            sentence = (
                f"the box {kind} at {_time(run, k, len(by_q))}: Q says {one.value:.2f} solid, "
                f"expected {least:.2f} to {1 - least:.2f} so that both phases are {_LAYERS} "
                "layers thick"
            )
            return Refusal(kind, sentence, {"solid_fraction_q": one.value})
    return None


def _measures(run: Kept, solid: Bulk, liquid: Bulk):  # type: ignore[no-untyped-def]
    """(name, [(solid fraction, error) per block], words for a block) of energy and length."""
    n = run.job.n_atoms
    axis = ("lx_A", "ly_A", "lz_A")[run.job.frozen_axis]
    area = float((run["volume_A3"] / run[axis]).mean())
    energy = (run["potential_eV"] / n, solid.energy_eV, liquid.energy_eV, 1.0, "energy", "eV/atom")
    length = (run["volume_A3"] / n, solid.volume_A3, liquid.volume_A3, n / area, "length", "Å")
    # a melt of another composition may have the crystal's energy, many melts its volume
    least = {
        "energy": _ENERGY_RESOLVED * run.kT_eV,
        "length": _VOLUME_RESOLVED * solid.volume_A3.value,
    }
    for series, a, b, unit, what, symbol in (energy, length):
        span = a.value - b.value
        if not abs(span) >= least[what]:
            continue
        blocks = block_averages(series, _BLOCKS)
        found = []
        for one in blocks:
            x = (one.value - b.value) / span
            error = np.sqrt(one.error**2 + (x * a.error) ** 2 + ((1 - x) * b.error) ** 2)
            found.append((x, float(error / abs(span))))

        def words(k: int, blocks=blocks, a=a, b=b, unit=unit, what=what, symbol=symbol) -> str:  # type: ignore[no-untyped-def]
            name = "L_" + "xyz"[run.job.frozen_axis] if what == "length" else what
            return (
                f"{name} {blocks[k].value * unit:.5g} {symbol} (all solid {a.value * unit:.5g}, "
                f"all liquid {b.value * unit:.5g})"
            )

        yield what, found, words


def _time(run: Kept, block: int, n_blocks: int) -> str:
    """ "12 ps": the middle of a block."""
    rows = run.start + (block + 0.5) / n_blocks * run.n_frames
    return f"{rows * run.job.interval_fs / 1000:.3g} ps"


def _fall(run: Kept) -> tuple[float, float] | None:
    """(before, after) in fs where τ of Q fell for good, over the whole run, equilibration too."""
    tau = _paces(run.job["q"])
    best = None
    for k in range(1, len(tau)):
        before, after = float(np.median(tau[:k])), float(tau[k:].max())
        if before > _COLLAPSE * after and (best is None or before / after > best[0] / best[1]):
            best = before, after
    return best and (best[0] * run.job.interval_fs, best[1] * run.job.interval_fs)


def _paces(q: Array, n_blocks: int = 6) -> Array:
    """τ of Q in rows, in equal parts of at least 50 rows."""
    n_blocks = min(n_blocks, len(q) // 50)
    if n_blocks < 2:
        return np.empty(0)
    return np.array(
        [float(integrated_autocorrelation_time(one)) for one in np.array_split(q, n_blocks)]
    )


def collapse(run: Kept, solid: Bulk, liquid: Bulk, limits: Limits) -> Refusal | None:
    """Q that slowed crystal and melt alike, and then became a vibration."""
    tau = _paces(run["q"])
    for k in range(2, len(tau) - 1):
        before, after = float(tau[:k].min()), float(tau[k:].max())
        if before > _COLLAPSE * after:
            fs = run.job.interval_fs
            sentence = (
                f"τ of Q fell from {before * fs:.3g} to {after * fs:.3g} fs at "
                f"{_time(run, k, len(tau))}: what fluctuates is no longer an interface that moves"
            )
            return Refusal("collapse", sentence, {"before_fs": before * fs, "after_fs": after * fs})
    return None
