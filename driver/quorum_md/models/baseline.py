"""Weighted baseline: a safe potential takes over, smoothly, where the committee is unsure.

U = V_b + w (V̄ − V_b) with w = σ_b² / (σ_b² + s²), where V̄ and s² (ddof = 1) are mean and
variance of the K calibrated member energies, and σ_b is the error expected of the baseline V_b
(Imbalzano, Zhuang, Kapil, Rossi, Engel, Grasselli & Ceriotti, J. Chem. Phys. 154, 074102 (2021),
doi:10.1063/5.0036522).

Because U is a function of the K + 1 energies alone, its forces need one backward, with cotangents
∂U/∂V_i, whatever K is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import QuorumError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class WeightedBaseline:
    """How K member columns and one baseline column (the last) are combined.

    Attributes
    ----------
    sigma_eV: σ_b, expected error of the baseline's total energy of the structures at hand
    correction: the committee predicts V − V_b rather than V
    """

    sigma_eV: float
    correction: bool = False

    def __post_init__(self) -> None:
        if not (np.isfinite(self.sigma_eV) and self.sigma_eV > 0):
            raise QuorumError(
                f"baseline error sigma_b = {self.sigma_eV} eV; expected a positive number"
            )

    @property
    def baseline_in_member(self) -> float:
        """∂(member energy)/∂(baseline column): 1 if members are corrections to it."""
        return 1.0 if self.correction else 0.0

    def members(self, columns: Array) -> Array:
        """(…, K) energies that the members predict, from (…, K + 1) columns."""
        return columns[..., :-1] + self.baseline_in_member * columns[..., -1:]

    def split(self, columns: Array, mixing: float) -> Array:
        """(…) share of every row in U at the given w: rows sum to U."""
        base = columns[..., -1]
        return base + mixing * (self.members(columns).mean(axis=-1) - base)

    def drive(self, columns: Array) -> tuple[Array, Array, Array]:
        """U (S,), its cotangents ∂U/∂column (S, K + 1) and w (S,), from (S, K + 1) columns.

        A committee of one has no spread: w = 1, and U is that model.
        """
        members, base = self.members(columns), columns[:, -1]
        k = members.shape[1]
        mean = members.mean(axis=1)
        delta = mean - base
        variance = members.var(axis=1, ddof=1) if k > 1 else np.zeros_like(mean)
        sigma2 = self.sigma_eV**2
        w = sigma2 / (sigma2 + variance)
        per_member = np.repeat((w / k)[:, None], k, axis=1)
        if k > 1:
            slope = 2 * delta * sigma2 / ((sigma2 + variance) ** 2 * (k - 1))
            per_member = per_member - slope[:, None] * (members - mean[:, None])
        # the member columns enter U only through the members; the baseline's own column carries
        # 1 − w, and the shift of all members with it where these are corrections (whose
        # deviations from their mean it leaves alone)
        on_base = 1 - w + self.baseline_in_member * w
        return base + w * delta, np.concatenate([per_member, on_base[:, None]], axis=1), w


def composition_offsets(
    compositions: Array, difference_eV: Array, species: tuple[str, ...]
) -> dict[str, float]:
    """Energies per atom of each element that align a baseline with a committee.

    Least squares of ``difference_eV`` (S,), committee mean minus baseline of S structures, on
    ``compositions`` (S, len(species)), counts of atoms. Without them V̄ − V_b is of the order of
    the DFT atomic energies, and w would switch those instead of the interaction.
    """
    solution, *_ = np.linalg.lstsq(compositions, difference_eV, rcond=None)
    return {s: float(x) for s, x in zip(species, solution, strict=True)}


def parse_offsets(text: str) -> dict[str, float]:
    """``Nb=-9.1,Mo=-10.2`` (eV per atom) as a mapping."""
    offsets = {}
    for part in filter(None, text.replace(" ", "").split(",")):
        name, sep, value = part.partition("=")
        try:
            offsets[name] = float(value)
        except ValueError:
            sep = ""
        if not sep:
            raise QuorumError(f"offsets: got {part!r}; expected SYMBOL=ENERGY_IN_EV, as Nb=-9.1")
    return offsets


def offsets_table(offsets: Mapping[str, float]) -> Array:
    """(119,) offsets by atomic number, zero where none is given."""
    from ase.data import atomic_numbers

    table = np.zeros(119)
    for symbol, value in offsets.items():
        if symbol not in atomic_numbers:
            raise QuorumError(f"offsets: {symbol!r} is no chemical element")
        table[atomic_numbers[symbol]] = value
    return table
