"""Averages with two errors, sampling and model. Needs numpy, scipy and pymbar, nothing else."""

from .free_energy import FreeEnergies, free_energies
from .functions import function_of_averages, heat_capacity
from .melting import MeltingPoint, melting_point, shifted_melting_point
from .reweighting import Reweighted, reweight
from .running import RunningAverage
from .weights import FrameWeights, bias_weights, known_weights, mbar_weights, temperature_weights

__all__ = [
    "FrameWeights",
    "FreeEnergies",
    "MeltingPoint",
    "Reweighted",
    "RunningAverage",
    "bias_weights",
    "free_energies",
    "function_of_averages",
    "heat_capacity",
    "known_weights",
    "mbar_weights",
    "melting_point",
    "reweight",
    "shifted_melting_point",
    "temperature_weights",
]
