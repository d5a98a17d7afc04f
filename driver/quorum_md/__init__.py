"""Uncertain thermodynamics from committees of machine-learning potentials.

Heavy parts (torch, i-PI, LAMMPS) are imported by the subpackages that need them, never here.
"""

__version__ = "0.1.0"
