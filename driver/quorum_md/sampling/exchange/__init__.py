"""Replica exchange: decisions, ladders and their statistics; no engine inside.

Configurations (positions, cell, elements, momenta) move between thermodynamic states; states, with
their thermostats, biases, random numbers and files, stay. A momentum that comes along is multiplied
by `velocity_factor`.
"""

from .decisions import SCHEMES, Attempt, Exchange
from .ladders import (
    Plan,
    equal_rejection,
    geometric,
    plan,
    plan_from_acceptance,
    round_trip_attempts,
)
from .mixing import Mixing, acceptance, mixing_of, replica_paths
from .states import State, reduced_energies, velocity_factor
from .statistics import statistics_table

__all__ = [
    "SCHEMES",
    "Attempt",
    "Exchange",
    "Mixing",
    "Plan",
    "State",
    "acceptance",
    "equal_rejection",
    "geometric",
    "mixing_of",
    "plan",
    "plan_from_acceptance",
    "reduced_energies",
    "replica_paths",
    "round_trip_attempts",
    "statistics_table",
    "velocity_factor",
]
