"""The driver that i-PI loads by path: a committee in i-PI's own process.

::

    <ffdirect name='committee'>
      <pes>custom</pes> <pes_path>…/quorum_ipi_pes.py</pes_path>
      <parameters>{model: model.pt, template: start.xyz, device: cpu}</parameters>
    </ffdirect>

or ``i-pi-driver-py -u -a ADDRESS -m custom -P …/quorum_ipi_pes.py -o model=model.pt,template=…``.
`PesOptions` lists the parameters. With ``<batch_size>B</batch_size>`` B replicas go to the model
in one call.

i-PI imports this file under its stem, outside the package, hence absolute imports only and a name
that no other module has.
"""

import os
import sys
import threading
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from ipi.pes.dummy import Dummy_driver
from ipi.utils.softexit import softexit

from quorum_md.engines.ipi_exit import end_i_pi
from quorum_md.engines.ipi_model import IpiModel, PesOptions, Reply
from quorum_md.errors import QuorumError

__DRIVER_NAME__ = "quorum"
__DRIVER_CLASS__ = "QuorumDriver"

# programs in which nothing of ours stands between an exception and the user
_IPI_PROGRAMS = {"i-pi", "i-pi-driver-py", "i-pi-py_driver"}


class QuorumDriver(Dummy_driver):
    """A committee potential as a PES driver of i-PI 3.3; the arguments are those of `PesOptions`.

    Under ``i-pi`` and ``i-pi-driver-py`` an error ends the program with one sentence and exit code
    2; elsewhere it is raised as `QuorumError`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        try:
            if args:
                raise QuorumError(
                    f"got the parameter {args[0]!r} without a name; "
                    "write model=model.pt,template=structure.xyz"
                )
            self.model = IpiModel(PesOptions.from_parameters(kwargs, "quorum_ipi_pes"))
        except QuorumError as error:
            _leave(error)
        super().__init__(verbose=bool(kwargs.get("verbose", False)))

    def compute_structure(self, cell: np.ndarray, pos: np.ndarray) -> Reply:
        """One structure: *cell* (3, 3) with vectors as columns and *pos* (N, 3), both Bohr."""
        return self._compute([cell], [pos])[0]

    def compute(self, cell: Any, pos: Any) -> Reply | list[Reply]:
        """One structure, or a list of cells and a list of positions in one model call."""
        if isinstance(cell, list):
            return self._compute(cell, pos)
        return self.compute_structure(cell, pos)

    def _compute(self, cells: Sequence[np.ndarray], positions: Sequence[np.ndarray]) -> list[Reply]:
        try:
            return self.model.compute(cells, positions)
        except QuorumError as error:
            _leave(error)


def _leave(error: QuorumError) -> NoReturn:
    """End i-PI's programs with one sentence and code 2; raise *error* in any other.

    A plain exception would leave ``i-pi`` with a traceback, and in a polling thread (threaded
    force fields) it would end that thread only: i-PI would wait for it forever.
    """
    program = os.path.basename(sys.argv[0]) if sys.argv else ""
    running = softexit.hard_exit  # set once i-PI has read its input
    if program in _IPI_PROGRAMS or running:
        if running:
            end_i_pi(error)
        sys.stderr.write(f"error: {error}\n")
        sys.stderr.flush()
        raise SystemExit(2)
    if threading.current_thread() is not threading.main_thread():
        softexit.cleanup("bad", str(error))  # wakes the main thread, which waits for forces
    raise error
