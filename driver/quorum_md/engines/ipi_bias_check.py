"""What would stop a bias in an i-PI run, or let it run without one."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import QuorumError, QuorumWarning
from ..order_parameters.kernel import find_kernel
from .ipi_bias import IpiBias


def check_bias(where: str, system: Any, name: str, model: IpiBias) -> None:
    """Evaluate the force field *name* where *system* starts.

    Raises `QuorumError` if it is among the forces, if it cannot be evaluated, or if no atom has a
    neighbour, which is the sign of a wrong unit of length.
    """
    if any(component.ffield == name for component in system.fcomp):
        raise QuorumError(
            f"{where}: [forces] {name}: got a bias, expected a potential; name it in "
            "<ensemble> <bias> <force forcefield='…'/> </bias>, so that `potential` is without it"
        )
    positions = np.asarray(system.beads.q)[0].reshape(-1, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error", QuorumWarning)
        try:
            model.compute([np.asarray(system.cell.h)], [positions])
        except (QuorumError, QuorumWarning) as error:
            raise QuorumError(f"{where}: [bias] {name}: {error}") from error


def check_plumed(where: str, inputs: Any) -> None:
    """Raises `QuorumError` for i-PI's own ``<ffplumed>`` without a kernel or an input."""
    if find_kernel() is None:
        raise QuorumError(
            f"{where}: got no PLUMED kernel, expected one; set PLUMED_KERNEL to the path of "
            "libplumedKernel.so, or use this package's driver (`quorum i-pi --bias-path`)"
        )
    file = inputs.plumed_dat.fetch()
    if not Path(file).is_file():
        raise QuorumError(f"{where}: plumed_dat: got {file}, expected a PLUMED input file")
