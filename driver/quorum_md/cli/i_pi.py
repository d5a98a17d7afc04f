"""``quorum i-pi``: i-PI on the user's own input, checked before anything is written."""

import argparse
from pathlib import Path

from ..errors import QuorumError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``quorum i-pi``."""
    parser.epilog = (
        "Runs as `i-pi input.xml` does and writes the same files. Example:\n"
        "  quorum i-pi input.xml -V low\n"
        "In the input (templates to copy are in inputs/ipi):\n"
        "  <ffdirect name='committee'> <pes>custom</pes> <pes_path>PATH</pes_path>\n"
        "    <parameters>{model: model.pt, template: start.xyz}</parameters> </ffdirect>\n"
        "with PATH from `quorum i-pi --pes-path`. Further parameters: device, dtype, extensions,\n"
        "member_forces, member_virials, pbc.\n"
        "A bias on order parameters of a PLUMED input, in <bias> of <ensemble>: the same with the\n"
        "path of --bias-path and <parameters>{plumed: plumed.dat, template: start.xyz}.\n"
        "<motion mode='atomswap'> is taken over: local energies, bias and springs in the\n"
        "acceptance, trials counted in PREFIX.swaps, the chain in RESTART. Anywhere in the input:\n"
        '  <?quorum-swaps stride="10" neighbors_A="3.0" filename="swaps" energies="full"?>\n'
        "<smotion mode='remd'> is taken over: files belong to states, any thermostat, one call of\n"
        "the model for all replicas, PREFIX.remd and PREFIX.remd_statistics:\n"
        '  <?quorum-remd scheme="neighbors" per_attempt="1" stride="100" filename="remd"?>'
    )
    parser.add_argument("input", nargs="?", help="i-PI input, XML or JSON")
    parser.add_argument(
        "--pes-path", action="store_true", help="print the path of the driver for <pes_path>"
    )
    parser.add_argument(
        "--bias-path", action="store_true", help="print the path of the driver of a bias"
    )
    parser.add_argument("--check", action="store_true", help="check the input, do not run it")
    parser.add_argument(
        "-V",
        "--verbosity",
        choices=("quiet", "low", "medium", "high", "debug"),
        help="i-PI's verbosity, in place of the input's",
    )
    parser.add_argument(
        "-S",
        "--sockets_prefix",
        "--sockets-prefix",
        help="prefix of UNIX sockets, in place of the input's",
    )


def run(args: argparse.Namespace) -> int:
    """Print the path, check, or run; a run ends the process as i-PI does."""
    for wanted, name in ((args.pes_path, "pes"), (args.bias_path, "bias")):
        if wanted:
            print(Path(__file__).resolve().parents[1] / "engines" / f"quorum_ipi_{name}.py")
            return 0
    if args.input is None:
        raise QuorumError("no input; give the path of an i-PI input, or --pes-path")
    try:
        from ..engines.ipi_run import check_input, run_ipi
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("ipi"):
            raise
        raise QuorumError("i-PI is not installed; run `pip install 'quorum-md[ipi]'`") from error
    if args.check:
        print(check_input(args.input))
        return 0
    run_ipi(args.input, args.verbosity, args.sockets_prefix)
