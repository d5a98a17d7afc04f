"""Moves of Monte Carlo: each proposes changes of elements, with its log proposal ratio."""

from .base import Eligible, Move, Trial
from .flip import Flip
from .neighbor_swap import NeighborSwap
from .swap import CanonicalSwap

__all__ = ["CanonicalSwap", "Eligible", "Flip", "Move", "NeighborSwap", "Trial"]
