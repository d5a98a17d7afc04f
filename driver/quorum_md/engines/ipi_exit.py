"""End i-PI for an error of the user's, with what can be saved."""

import os
import sys
import threading
from typing import NoReturn

from ipi.utils.softexit import softexit

from ..errors import QuorumError

# programs in which nothing of ours stands between an exception and the user
_IPI_PROGRAMS = {"i-pi", "i-pi-driver-py", "i-pi-py_driver"}


def end_i_pi(error: QuorumError) -> NoReturn:
    """Print the sentence, write RESTART of the last complete step, end the process with code 2.

    An exception would end only the thread that it is raised in, and not in every case i-PI.
    """
    sys.stderr.write(f"error: {error}\n")
    sys.stderr.flush()
    softexit.cleanup("bad", str(error))
    sys.stdout.flush()
    os._exit(2)


def leave(error: QuorumError) -> NoReturn:
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
