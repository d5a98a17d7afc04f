"""Observables along trajectories, frame by frame and with steps, for `quorum_md.averages.reweight`.

    series = compute("rdf:Nb-Mo", "simulation.pos_0.xyz")
    rows, values = series.match(run.steps)
    result = reweight(values, run.energies_eV[rows], kT_eV=run.kT_eV)

numpy and scipy only.
"""

from .frames import Frame, Frames
from .registry import RECIPES, compute, compute_many, parse
from .series import Axis, PerFrame, Series
from .trajectory import Trajectory

__all__ = [
    "RECIPES",
    "Axis",
    "Frame",
    "Frames",
    "PerFrame",
    "Series",
    "Trajectory",
    "compute",
    "compute_many",
    "parse",
]
