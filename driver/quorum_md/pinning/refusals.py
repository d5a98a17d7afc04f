"""Runs that lie, and what gives them away."""

from __future__ import annotations

from dataclasses import dataclass, field

from .jobs_on_disk import Job


@dataclass(frozen=True)
class Refusal:
    """Why a run gives no Δμ.

    Attributes:
        kind: "froze", "melted", "registry", "variance", "stress", "drift", "unpinned", "short",
            "window", "phase", "mixed", "failed".
        evidence: one sentence with the numbers.
        numbers: the same numbers by name, for programs.
    """

    kind: str
    evidence: str
    numbers: dict[str, float] = field(default_factory=dict)


def refusals(pinned: Job, solid: Job, liquid: Job) -> list[Refusal]:
    """What speaks against a pinned run, the worst first; empty for a run that may be used."""
    raise NotImplementedError
