"""Interface pinning: what the runs wrote, chemical potentials, melting points, phase diagrams.

from mpi4py import MPI
run("run.toml", MPI.COMM_WORLD)
print(analyse("pin").melting.temperature_K)
"""

from .analysis import Report, analyse
from .workflow import run

__all__ = ["Report", "analyse", "run"]
