"""Averages with two errors, sampling and model. Needs numpy, scipy and pymbar, nothing else."""

from .functions import function_of_averages, heat_capacity
from .reweighting import Reweighted, reweight

__all__ = ["Reweighted", "function_of_averages", "heat_capacity", "reweight"]
