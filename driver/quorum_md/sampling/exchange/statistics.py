"""How the ladder works, as a table for the eye and for ``numpy.loadtxt``."""

from collections.abc import Sequence

import numpy as np

from .decisions import Exchange
from .mixing import Mixing, acceptance
from .states import State

COLUMNS = (
    "state",
    "temperature_K",
    "pressure_GPa",
    "proposed",
    "accepted",
    "acceptance",
    "probability",
    "from_top",
    "round_trips",
)


def statistics_table(exchange: Exchange, mixing: Mixing, states: Sequence[State]) -> str:
    """One row per state; what belongs to a pair stands in the row of its lower state."""
    relaxation = mixing.relaxation_attempts
    lines = [
        f"# replica exchange of {exchange.n} states: {exchange.number} attempts, "
        f"{int(mixing.round_trips.sum())} round trips of all replicas",
        f"# mixing: eigenvalue {mixing.eigenvalue:.4f} of {mixing.lag} attempts, so that a replica "
        f"forgets its state in {relaxation:.4g} attempts",
        "# proposed, accepted, acceptance: exchanges with the next state; probability: the mean "
        "with which they were accepted, the same with less noise",
        "# from_top: share of the replicas here that were last in the highest state, 0 to 1 in "
        "even steps where nothing holds them back",
        "# round_trips: of the replica that started here, from the lowest state to the highest and "
        "back",
        "# " + " ".join(f"{name:>13}" for name in COLUMNS).removeprefix("  "),
    ]
    shares = np.append(acceptance(exchange.proposed, exchange.accepted), np.nan)
    means = np.append(acceptance(exchange.proposed, exchange.probability), np.nan)
    proposed = np.append(np.diagonal(exchange.proposed, 1), 0)
    accepted = np.append(np.diagonal(exchange.accepted, 1), 0)
    from_top = mixing.fraction_from_top
    for number, state in enumerate(states):
        pressure = np.nan if state.pressure_GPa is None else state.pressure_GPa
        words = [
            f"{number:13d}",
            f"{state.temperature_K:13.4f}",
            f"{pressure:13.6g}",
            f"{proposed[number]:13d}",
            f"{accepted[number]:13d}",
            f"{shares[number]:13.4f}",
            f"{means[number]:13.4f}",
            f"{from_top[number]:13.4f}",
            f"{mixing.round_trips[number]:13d}",
        ]
        lines.append(" ".join(words))
    return "\n".join(lines) + "\n"
