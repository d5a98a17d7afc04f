"""The command ``quorum``: one module per subcommand, imported only when it is called.

A subcommand module defines ``add_arguments(parser)`` and ``run(args) -> int | None`` and imports
torch, i-PI and the rest inside ``run``, so that ``--help`` answers at once.
"""

import argparse
import importlib
import sys
import warnings
from collections.abc import Sequence

from .. import __version__
from ..errors import QuorumError, QuorumWarning

COMMANDS = {
    "check": "check a model on a structure: range, spread, forces by finite differences, speed",
    "fit": "fit the built-in potential to DFT data: a committee in one metatomic file",
    "committee": "make one committee file of several models",
    "calibrate": "scale a committee's spread to its errors on structures kept apart",
    "baseline": "combine a committee with a baseline potential that takes over where it is unsure",
    "i-pi": "run i-PI, or print the path of the driver to put into its input",
    "client": "serve a model to a running i-PI over a socket",
    "lammps": "build the LAMMPS plugin (pair_style quorum), and say what is missing",
    "free-energy": "free energies of the members, between phases too, and their melting points",
    "cv": "order parameters and biases of a PLUMED input on structures, with or without PLUMED",
    "pin": "melting points and phase diagrams by interface pinning: prepare, run, analyse",
    "plot": "figures of records: does a ladder of replica exchange work",
    "remd": "replica exchange with LAMMPS replicas: run, continue, and does the ladder work",
    "reweight": "averages with sampling error, model error and a verdict",
}


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:  # type: ignore[no-untyped-def]
    """Our own warnings are for the user: one line, without the place in the source."""
    if issubclass(category, QuorumWarning):
        print(f"warning: {message}", file=sys.stderr)
    else:
        _python_showwarning(message, category, filename, lineno, file, line)


_python_showwarning = warnings.showwarning


def _module(command: str):  # type: ignore[no-untyped-def]
    return importlib.import_module("." + command.replace("-", "_"), __name__)


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    parser = argparse.ArgumentParser(
        prog="quorum",
        description="Uncertain thermodynamics from committees of machine-learning potentials.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="commands:\n"
        + "\n".join(f"  {name:{width}}  {text}" for name, text in COMMANDS.items())
        + "\n\n`quorum COMMAND --help` says more. Example:\n  quorum check nbmotaw structure.xyz",
    )
    parser.add_argument("--version", action="version", version=f"quorum-md {__version__}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="see below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit code (0 done, 2 input that cannot be used)."""
    top = _parser().parse_args(argv)
    module = _module(top.command)
    parser = argparse.ArgumentParser(
        prog=f"quorum {top.command}",
        description=COMMANDS[top.command][0].upper() + COMMANDS[top.command][1:] + ".",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    module.add_arguments(parser)
    args = parser.parse_args(top.arguments)
    warnings.showwarning = _show_warning
    warnings.simplefilter("always", QuorumWarning)
    try:
        return module.run(args) or 0
    except QuorumError as error:
        if args.debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
