"""Run i-PI on the user's own input, as ``i-pi input.xml`` does, once `ipi_check` has passed it.

Its ``atomswap`` motions and its ``remd`` are taken over, see `ipi_sampling_run`.
"""

from typing import NoReturn

from ipi.engine.simulation import Simulation
from ipi.utils.softexit import softexit

from ..errors import QuorumError
from .ipi_check import CheckedInput, check_input
from .ipi_exit import end_i_pi
from .ipi_input import IPI_INPUT_ERRORS, ipi_error, read_input
from .ipi_sampling_run import SamplingRun


def run_ipi(path: str, verbosity: str | None = None, sockets_prefix: str | None = None) -> NoReturn:
    """Check the input *path*, run it, and end the process as i-PI does, with code 0.

    *verbosity* and *sockets_prefix* override the input, as i-PI's options -V and -S do. Raises
    `QuorumError` before anything is written if the input cannot be used.
    """
    checked = check_input(path)
    text = read_input(path)
    sampling = SamplingRun(path, text, {ff.name: ff.model for ff in checked.force_fields})
    try:
        simulation = Simulation.load_from_xml(
            text,
            request_banner=True,
            custom_verbosity=verbosity,
            sockets_prefix=sockets_prefix,
            post_init_hook=sampling.hook,
        )
    except QuorumError:
        raise
    except IPI_INPUT_ERRORS as error:
        raise ipi_error(path, error) from error
    sampling.after_binding(simulation)
    # i-PI's own program does so: threads of libraries may crash a finalising interpreter
    softexit.hard_exit = True
    try:
        simulation.run()
    except QuorumError as error:
        end_i_pi(error)
    softexit.trigger(status=simulation.exit_status, message=simulation.exit_message)
    raise AssertionError("i-PI's soft exit came back")


__all__ = ["CheckedInput", "check_input", "run_ipi"]
