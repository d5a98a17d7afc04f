"""COMBINE and the biases: numbers of numbers, and their derivatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .actions import Combine, Restraint, Wall


@dataclass(frozen=True)
class Outcome:
    """Of one action.

    Attributes:
        values: by name.
        slopes: derivatives with respect to the arguments, in their order: of the bias, or of
            COMBINE's value.
        bias: 0 for COMBINE.
    """

    values: dict[str, float]
    slopes: tuple[float, ...]
    bias: float = 0.0


def evaluate_function(action: Combine | Restraint | Wall, known: Mapping[str, float]) -> Outcome:
    """An action on the values above it."""
    arguments = [known[name] for name in action.arguments]
    if isinstance(action, Combine):
        return _combine(action, arguments)
    if isinstance(action, Restraint):
        rows = zip(arguments, action.at, action.kappa, action.slope, strict=True)
        terms = [
            (0.5 * kappa * (x - at) ** 2 + slope * (x - at), kappa * (x - at) + slope)
            for x, at, kappa, slope in rows
        ]
    else:
        terms = _wall_terms(action, arguments)
    bias = sum(term[0] for term in terms)
    slopes = tuple(term[1] for term in terms)
    force2 = sum(slope * slope for slope in slopes)
    return Outcome({f"{action.label}.bias": bias, f"{action.label}.force2": force2}, slopes, bias)


def _combine(action: Combine, arguments: list[float]) -> Outcome:
    total, slopes = 0.0, []
    rows = zip(arguments, action.coefficients, action.parameters, action.powers, strict=True)
    for x, coefficient, parameter, power in rows:
        away = x - parameter
        if (away < 0 and power != int(power)) or (away == 0 and power < 1 and power != 0):
            raise action.statement.error(
                "POWERS", f"{power:g} of {away:g}", "a power that this number has, with a slope"
            )
        total += coefficient * away**power
        slopes.append(coefficient * power * away ** (power - 1) if power else 0.0)
    return Outcome({action.label: total}, tuple(slopes))


def _wall_terms(action: Wall, arguments: list[float]) -> list[tuple[float, float]]:
    terms = []
    rows = zip(
        arguments,
        action.at,
        action.kappa,
        action.offset,
        action.power,
        action.epsilon,
        strict=True,
    )
    for x, at, kappa, offset, power, epsilon in rows:
        beyond = (action.side * (x - at) + offset) / epsilon
        if beyond <= 0:
            terms.append((0.0, 0.0))
            continue
        energy = kappa * beyond**power
        terms.append((energy, action.side * power * energy / (beyond * epsilon)))
    return terms
