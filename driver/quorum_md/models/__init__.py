"""What an energy is: one model file, all members.

Importing this package does not import torch; loading a model file does.
"""

from .potential import Potential, Prediction, load_potential

__all__ = ["Potential", "Prediction", "load_potential"]
