"""End a running i-PI for an error of the user's, with what can be saved."""

import os
import sys
from typing import NoReturn

from ipi.utils.softexit import softexit

from ..errors import QuorumError


def end_i_pi(error: QuorumError) -> NoReturn:
    """Print the sentence, write RESTART of the last complete step, end the process with code 2.

    An exception would end only the thread that it is raised in, and not in every case i-PI.
    """
    sys.stderr.write(f"error: {error}\n")
    sys.stderr.flush()
    softexit.cleanup("bad", str(error))
    sys.stdout.flush()
    os._exit(2)
