"""Order parameters and biases in PLUMED's input language, by a native backend or PLUMED itself."""

from .calculator import BiasCalculator
from .native import Answer
from .variables import Variables, open_variables

__all__ = ["Answer", "BiasCalculator", "Variables", "open_variables"]
