"""How states are visited: Monte Carlo on any potential; numpy, no engine inside."""

from .moves import CanonicalSwap, Flip, Move, NeighborSwap
from .swaps import PairCount, SwapMonteCarlo

__all__ = ["CanonicalSwap", "Flip", "Move", "NeighborSwap", "PairCount", "SwapMonteCarlo"]
