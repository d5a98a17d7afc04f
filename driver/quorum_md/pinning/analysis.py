"""From folders of jobs to Δμ(T) and the melting point, or to the reasons why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..averages.melting import MeltingPoint


@dataclass(frozen=True)
class Point:
    """Δμ = μ_solid − μ_liquid per atom at one temperature, seeds combined.

    Attributes:
        delta_mu_eV, error_eV: and its sampling error; None where every run was refused.
        refused: a sentence for each refused run: its name, and the evidence.
        kinds: of these refusals ("froze", "melted", …: see `refusals.Refusal`).
    """

    temperature_K: float
    delta_mu_eV: float | None
    error_eV: float | None
    refused: list[str]
    kinds: list[str]


@dataclass(frozen=True)
class Report:
    """All that a folder of jobs says.

    Attributes:
        points: by temperature.
        melting: None where no temperature is left.
    """

    points: list[Point]
    melting: MeltingPoint | None

    def next_temperature_K(self) -> float | None:
        """Where to run next: the root by Newton, no further than 5 % from what was run.

        Where every run was refused, a step up if the boxes froze, down if they melted; None if
        nothing is known.
        """
        raise NotImplementedError


def analyse(folder: str | Path) -> Report:
    """Analyse the output folder of pinned runs and of their bulk phases.

    Raises:
        QuorumError: no jobs, or no bulk runs beside the pinned ones.
    """
    raise NotImplementedError
