"""Sums over short blocks of consecutive frames, from which averages and their errors follow.

Everything that the expansions and their sampling errors need is linear in w, w h, w h², w a, w a h
and w a h² (and w e^{−h}, w a e^{−h} for direct reweighting) of the frames, h the reduced energy
differences and a the observable. Kept as sums over blocks, 10⁶ frames of 64 members become a few
thousand rows, in one pass and whatever the length of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """Sums over B blocks; R potentials, m components.

    Attributes:
        w, ww: (B,) weights and their squares.
        h, hh: (B, R) w h and w h².
        a, aa: (B, 1 or R, m) w a and w a²; R where every potential has an observable of its own.
        ah, ahh: (B, R, m) w a h and w a h².
        e, ae: (B, R), (B, R, m) w e^{−h−top} and w a e^{−h−top}; R = 0 if not asked for.
        states: (B, S) weights in the S states of pooled frames; S = 0 otherwise.
        top: (R,) scale of e and ae.
    """

    w: Array
    ww: Array
    h: Array
    hh: Array
    a: Array
    aa: Array
    ah: Array
    ahh: Array
    e: Array
    ae: Array
    states: Array
    top: Array

    def __len__(self) -> int:
        return len(self.w)

    def coarser(self, factor: int) -> Sums:
        """Blocks of `factor` of these; `factor` divides their number."""
        return self._each(lambda x: x.reshape(len(x) // factor, factor, *x.shape[1:]).sum(axis=1))

    def total(self) -> Sums:
        """One block."""
        return self.coarser(len(self))

    def at(self, top: Array) -> Sums:
        """With exponentials on the scale `top`."""
        scale = np.exp(self.top - top)
        return replace(self, e=self.e * scale, ae=self.ae * scale[:, None], top=top)

    def scaled(self, factor: float) -> Sums:
        """With the weights of all frames multiplied by `factor`."""
        result = self._each(lambda x: x * factor)
        return replace(result, ww=result.ww * factor, states=self.states)

    def contracted(self, gradient: Array, point: Array) -> Sums:
        """The one component (a − point)·gradient of every potential; both are (R, m)."""
        offset = (point * gradient).sum(axis=1)

        def linear(sums: Array, weights: Array) -> Array:
            every = np.broadcast_to(sums, (len(sums), *gradient.shape))
            product = np.einsum("brm,rm->br", every, gradient) - weights * offset
            return np.asarray(product[:, :, None])

        a = linear(self.a, self.w[:, None])
        return replace(
            self,
            a=a,
            aa=np.full_like(a, np.nan),  # does not follow from the sums of squares
            ah=linear(self.ah, self.h),
            ahh=linear(self.ahh, self.hh),
            ae=linear(self.ae, self.e) if self.e.size else self.ae[:, :, :1],
        )

    def _each(self, change: Callable[[Array], Array]) -> Sums:
        summed = {name: change(getattr(self, name)) for name in _SUMMED}
        return Sums(top=self.top, **summed)


_SUMMED = tuple(f.name for f in fields(Sums) if f.name != "top")


def block_sums(w: Array, h: Array, a: Array, states: Array, length: int, direct: bool) -> Sums:
    """Sums of n frames in blocks of `length`, which divides n.

    Args:
        w: (n,) weights.
        h: (n, R).
        a: (n, m), or (n, R, m) where every potential has its own.
        states: (n, S).
        length: frames per block.
        direct: whether e^{−h} is wanted.
    """
    shape = (len(w) // length, length)
    w, h, a = w.reshape(shape), h.reshape(*shape, -1), a.reshape(*shape, *a.shape[1:])
    wh = w[:, :, None] * h
    whh = wh * h

    def products(factor: Array) -> Array:
        if a.ndim == 3:
            return np.asarray(factor.transpose(0, 2, 1) @ a)
        return np.einsum("blr,blrm->brm", factor, a)

    tilted, top = np.empty((*shape, 0)), np.empty(0)
    if direct:
        top = (-h).max(axis=(0, 1))
        tilted = w[:, :, None] * np.exp(-h - top)
    if a.ndim == 3:
        wa, waa = w[:, None, :] @ a, w[:, None, :] @ a**2
    else:
        wa, waa = np.einsum("bl,blrm->brm", w, a), np.einsum("bl,blrm->brm", w, a**2)
    return Sums(
        w=w.sum(axis=1),
        ww=(w * w).sum(axis=1),
        h=wh.sum(axis=1),
        hh=whh.sum(axis=1),
        a=wa,
        aa=waa,
        ah=products(wh),
        ahh=products(whh),
        e=tilted.sum(axis=1),
        ae=products(tilted) if direct else np.empty((shape[0], 0, a.shape[-1])),
        states=states.reshape(*shape, -1).sum(axis=1),
        top=top,
    )


def joined(parts: Sequence[Sums]) -> Sums:
    """Blocks one after another, their exponentials on one scale."""
    if len(parts) == 1:
        return parts[0]
    top = np.max([part.top for part in parts], axis=0)
    same = [part.at(top) for part in parts]
    summed = {name: np.concatenate([getattr(p, name) for p in same]) for name in _SUMMED}
    return Sums(top=top, **summed)


def added(parts: Sequence[Sums]) -> Sums:
    """Block by block the sum of parts with as many blocks and the same scale."""
    summed = {name: np.sum([getattr(p, name) for p in parts], axis=0) for name in _SUMMED}
    return Sums(top=parts[0].top, **summed)


def state_sums(w: Array, h: Array, a: Array, states: Array, direct: bool) -> Sums:
    """Sums over all frames of a chunk, one block for each state: weights w times (n, S) states."""
    none = np.empty((len(w), 0))
    return joined([block_sums(w * one, h, a, none, len(w), direct) for one in states.T])


@dataclass(frozen=True)
class Series:
    """One uninterrupted series of frames.

    Attributes:
        blocks: sums over blocks of `length` frames each.
        length: frames per block.
        n_frames: of the series, with those of an unfinished block.
        total: sums over all of them.
    """

    blocks: Sums
    length: int
    n_frames: int
    total: Sums


class Accumulator:
    """Sums of one uninterrupted series that comes in chunks of any size and number.

    Blocks double their length whenever there are more than twice `max_blocks`.
    """

    def __init__(self, max_blocks: int, direct: bool, length: int = 1) -> None:
        self.max_blocks = max_blocks
        self.direct = direct
        self.length = length
        self.n_frames = 0
        self._blocks: list[Sums] = []
        self._rest: tuple[Array, ...] | None = None

    def add(self, w: Array, h: Array, a: Array, states: Array) -> None:
        """The next frames: weights (c,), h (c, R), a (c, m) or (c, R, m), states (c, S)."""
        self.n_frames += len(w)
        frames: tuple[Array, ...] = (w, h, a, states)
        if self._rest is not None:
            frames = tuple(np.concatenate(pair) for pair in zip(self._rest, frames, strict=True))
        before, new = sum(map(len, self._blocks)), len(frames[0]) // self.length
        full = before + new > 2 * self.max_blocks
        if full and (before + new) % 2 and new:
            new -= 1  # an even number can be joined in pairs
        whole = new * self.length
        if whole:
            w, h, a, states = (one[:whole] for one in frames)
            self._blocks.append(block_sums(w, h, a, states, self.length, self.direct))
        left = len(frames[0]) > whole
        self._rest = tuple(one[whole:].copy() for one in frames) if left else None
        if full and (before + new) % 2 == 0:
            self._blocks = [joined(self._blocks).coarser(2)]
            self.length *= 2

    def rescale(self, factor: float) -> None:
        """Multiply the weights of all frames so far."""
        self._blocks = [part.scaled(factor) for part in self._blocks]
        if self._rest is not None:
            w, *others = self._rest
            self._rest = (w * factor, *others)

    def finish(self) -> Series:
        """What was added. Fewer frames than a block has are one block."""
        leftover = []
        if self._rest is not None:
            w, h, a, states = self._rest
            leftover.append(block_sums(w, h, a, states, len(w), self.direct))
        blocks = joined(self._blocks or leftover)
        total = joined([part.total() for part in (*self._blocks, *leftover)]).total()
        return Series(blocks, self.length, self.n_frames, total)
