"""κ/2 (|ρ_k|/√N − a)² as a driver that i-PI loads by path, in ``<bias>``.

Its only parameter is a file in JSON that `pin_ipi` writes: structure, waves, κ and a. i-PI imports
it under its stem, outside the package, hence absolute imports only.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from ipi.pes.dummy import Dummy_driver

from quorum_md.engines.ipi_template import read_template
from quorum_md.order_parameters.pinned import Density, Restraint
from quorum_md.units import BOHR_A, HARTREE_EV

__DRIVER_NAME__ = "quorum-density"
__DRIVER_CLASS__ = "DensityDriver"


class DensityDriver(Dummy_driver):
    """The bias on a Fourier component of the density."""

    def __init__(self, file: str = "", *args: Any, **kwargs: Any) -> None:
        asked = json.loads(Path(file).read_text(encoding="utf-8"))
        self._atoms = read_template(asked["template"])
        self._atoms.pbc = True
        x, y, z = asked["waves"]
        variable = Density((x, y, z))
        self._restraint = Restraint(variable, asked["kappa_eV"], asked["center"], Path(file).parent)
        super().__init__(verbose=False)

    def compute_structure(
        self, cell: np.ndarray, pos: np.ndarray
    ) -> tuple[float, np.ndarray, np.ndarray, str]:
        """Energy, forces, virial in atomic units, and Q as extras."""
        self._atoms.cell = np.asarray(cell).T * BOHR_A
        self._atoms.positions = np.asarray(pos).reshape(-1, 3) * BOHR_A
        pull = self._restraint.evaluate(self._atoms)
        return (
            pull.energy_eV / HARTREE_EV,
            pull.forces_eV_A * (BOHR_A / HARTREE_EV),
            -pull.strain_eV.T / HARTREE_EV,
            json.dumps({"q": pull.q}),
        )
