"""Order parameters and biases in PLUMED's input language, by a native backend or PLUMED itself."""

from .native import Answer
from .variables import Variables, open_variables

__all__ = ["Answer", "Variables", "open_variables"]
