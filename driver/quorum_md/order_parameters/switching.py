"""PLUMED's switching functions: 1 below D_0, 0 beyond D_MAX, stretched so that they end there."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .keywords import Keywords
from .words import Statement, words_of

Array = npt.NDArray[np.float64]
KINDS = ("CUBIC", "RATIONAL", "SMAP", "EXP", "GAUSSIAN", "TANH", "COSINUS")


@dataclass(frozen=True)
class Switch:
    """σ(x) of one kind, in the units of x.

    Attributes:
        kind: one of `KINDS`.
        d_0, r_0: σ is 1 up to d_0; y = (x − d_0)/r_0 beyond (r_0 = d_max − d_0 for CUBIC).
        d_max: beyond it 0; infinite if the input names none.
        n, m: powers of RATIONAL, a and b of SMAP.
        stretched: whether σ is scaled to reach 0 at d_max.
    """

    kind: str
    d_0: float
    r_0: float
    d_max: float = math.inf
    n: int = 0
    m: int = 0
    stretched: bool = True
    _scale: float = field(init=False, default=1.0)
    _shift: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        if self.stretched and math.isfinite(self.d_max):
            ends, _ = self.evaluate(np.array([0.0, self.d_max]))
            scale = 1 / (ends[0] - ends[1])
            object.__setattr__(self, "_shift", float(-ends[1] * scale))
            object.__setattr__(self, "_scale", float(scale))

    def evaluate(self, x: Array) -> tuple[Array, Array]:
        """σ and dσ/dx."""
        if self.kind == "CUBIC":  # smooth at both ends: no cases
            y = np.clip((x - self.d_0) / self.r_0, 0.0, 1.0)
            return (y - 1) ** 2 * (1 + 2 * y), (6 / self.r_0) * (y * (y - 1))
        y = (x - self.d_0) / self.r_0
        positive = np.maximum(y, 0.0)
        value, slope = self._plain(positive)
        flat = y <= 0
        if flat.any():
            value, slope = np.where(flat, 1.0, value), np.where(flat, 0.0, slope)
        value, slope = value * self._scale + self._shift, slope * (self._scale / self.r_0)
        if math.isfinite(self.d_max):
            beyond = x > self.d_max
            if beyond.any():
                value, slope = np.where(beyond, 0.0, value), np.where(beyond, 0.0, slope)
        return value, slope

    def _plain(self, y: Array) -> tuple[Array, Array]:
        if self.kind == "RATIONAL":
            return _rational(y, self.n, self.m)
        if self.kind == "SMAP":
            c, power = 2 ** (self.n / self.m) - 1, self.m / self.n
            grown = 1 + c * y**self.n
            value = grown**-power
            return value, -self.m * c * y ** (self.n - 1) * value / grown
        if self.kind == "EXP":
            return np.exp(-y), -np.exp(-y)
        if self.kind == "GAUSSIAN":
            return np.exp(-0.5 * y * y), -y * np.exp(-0.5 * y * y)
        if self.kind == "TANH":
            return 1 - np.tanh(y), np.tanh(y) ** 2 - 1
        inside = y <= 1
        return (
            np.where(inside, 0.5 * (np.cos(np.pi * y) + 1), 0.0),
            np.where(inside, -0.5 * np.pi * np.sin(np.pi * y), 0.0),
        )


def _rational(y: Array, n: int, m: int) -> tuple[Array, Array]:
    """(1 − yⁿ)/(1 − yᵐ), by its series at y = 1, where it is 0/0."""
    if m == 2 * n:
        value = 1 / (1 + y**n)
        return value, -n * y ** (n - 1) * value**2
    near = np.abs(y - 1) < 1e-5
    z = np.where(near, 0.5, y)
    lower = 1 / (1 - z**m)
    value = (1 - z**n) * lower
    slope = (m * value * z ** (m - 1) - n * z ** (n - 1)) * lower
    first = 0.5 * n * (n - m) / m
    second = n * (m * m - 3 * m * (n - 1) + n * (2 * n - 3)) / (6 * m)
    x = y - 1
    return (
        np.where(near, n / m + x * (first + 0.5 * x * second), value),
        np.where(near, first + x * second, slope),
    )


def switch_of(keywords: Keywords, key: str, text: str) -> Switch:
    """The function that ``{KIND KEY=… …}`` describes."""
    words = words_of(text)
    outer = keywords.statement
    if not words:
        raise keywords.error(key, "nothing", f"a kind of switching function: {', '.join(KINDS)}")
    kind = words[0]
    if kind in ("Q", "CUSTOM", "MATHEVAL"):
        raise keywords.needs_kernel(f"{key}={{{kind} …}}")
    if kind not in KINDS:
        raise keywords.error(key, repr(kind), f"one of {', '.join(KINDS)}, in capitals")
    inner = Keywords(
        Statement(outer.file, outer.line, "", f"{outer.action} {key}", tuple(words[1:]))
    )
    d_0 = inner.number("D_0", 0.0)
    d_max = inner.number("D_MAX", math.inf)
    inner.flag("STRETCH")
    stretched = not inner.flag("NOSTRETCH")
    n = m = 0
    if kind == "CUBIC":
        if not d_max > d_0:
            raise inner.error("D_MAX", f"{d_max:g}", f"a number above D_0 = {d_0:g}")
        r_0 = d_max - d_0
    else:
        r_0 = inner.number("R_0")
    if r_0 <= 0:
        raise inner.error("R_0", f"{r_0:g}", "a positive number")
    if kind == "RATIONAL":
        n, m = _whole(inner, "NN", 6), _whole(inner, "MM", 0)
        n, m = n, m or 2 * n
        if n < 1 or m < 1 or n == m:
            raise inner.error("MM", f"{m} beside NN = {n}", "two different positive numbers")
    if kind == "SMAP":
        n, m = _whole(inner, "A", None), _whole(inner, "B", None)
        if n < 1 or m < 1:
            raise inner.error("A", f"{n} beside B = {m}", "positive numbers")
    inner.finish()
    if math.isfinite(d_max) and d_max <= max(d_0, 0.0):
        raise inner.error("D_MAX", f"{d_max:g}", f"a number above D_0 = {d_0:g} and 0")
    return Switch(kind, d_0, r_0, d_max, n, m, stretched)


def rational_switch(keywords: Keywords) -> Switch:
    """The function of the keywords R_0, D_0, NN, MM beside the action, ending where it is 1e-5."""
    r_0, d_0 = keywords.number("R_0"), keywords.number("D_0", 0.0)
    n, m = _whole(keywords, "NN", 6), _whole(keywords, "MM", 0)
    m = m or 2 * n
    if r_0 <= 0:
        raise keywords.error("R_0", f"{r_0:g}", "a positive number, or SWITCH")
    if n < 1 or m <= n:
        raise keywords.error("MM", f"{m}", f"a number above NN = {n}, which is at least 1")
    return Switch("RATIONAL", d_0, r_0, d_0 + r_0 * 1e-5 ** (1 / (n - m)), n, m)


def _whole(keywords: Keywords, key: str, default: int | None) -> int:
    value = keywords.number(key, None if default is None else float(default))
    if value != int(value):
        raise keywords.error(key, f"{value:g}", "a whole number")
    return int(value)
