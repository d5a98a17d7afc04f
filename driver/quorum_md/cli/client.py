"""``quorum client``: a model behind a socket of i-PI."""

import argparse
import sys
from typing import TYPE_CHECKING

from ..errors import QuorumError

if TYPE_CHECKING:
    from ..engines.ipi_client import Address

_PREFIX = "/tmp/ipi_"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``quorum client``."""
    parser.epilog = (
        "i-PI's side is <ffsocket mode='unix'> <address>ADDRESS</address> </ffsocket>. Example:\n"
        "  quorum client --unix $SLURM_JOB_ID --model nbmotaw --template start.xyz"
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--unix", metavar="ADDRESS", help="UNIX socket, as in i-PI's <address>")
    where.add_argument("--inet", metavar="HOST:PORT", help="TCP socket")
    parser.add_argument("--model", required=True, help="metatomic file or name of a shipped model")
    parser.add_argument("--template", required=True, help="structure with the species, in order")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, …")
    parser.add_argument("--dtype", choices=("float32", "float64"), help="default: the model's own")
    parser.add_argument("--extensions", help="folder of the model's compiled extensions")
    parser.add_argument(
        "--wait", type=float, default=60.0, metavar="S", help="seconds to wait for i-PI (60)"
    )
    parser.add_argument(
        "--reconnect",
        nargs="?",
        const="lost",
        default="never",
        choices=("lost", "always"),
        help="come back to a server that vanished (lost), or that said EXIT too (always)",
    )
    parser.add_argument("--member-forces", action="store_true", help="send committee_force")
    parser.add_argument("--member-virials", action="store_true", help="send committee_virial")
    parser.add_argument("--no-pbc", action="store_true", help="ignore the cell")
    parser.add_argument(
        "--prefix",
        default=_PREFIX,
        help="what precedes ADDRESS in the file name of a UNIX socket, i-PI's sockets_prefix "
        f"({_PREFIX})",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until i-PI ends; 0 after EXIT or a closed socket, 128 + number after a signal."""
    import signal

    from ..engines.ipi_client import Interrupt, Stopped, run_client

    if args.wait < 0:
        raise QuorumError(f"--wait: got {args.wait:g}, expected seconds from 0")
    address = _address(args)
    interrupt = Interrupt()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, interrupt)

    def log(line: str) -> None:
        print(f"quorum client: {line}", file=sys.stderr, flush=True)

    try:
        from ..engines.ipi_model import IpiModel, PesOptions

        model = IpiModel(
            PesOptions(
                model=args.model,
                template=args.template,
                device=args.device,
                dtype=args.dtype,
                extensions=args.extensions,
                member_forces=args.member_forces,
                member_virials=args.member_virials,
                pbc=not args.no_pbc,
            )
        )
        log(f"{args.model}: {model.potential.n_members} members, {model.n_atoms} atoms")
        served = run_client(model.compute, address, args.wait, args.reconnect, interrupt, log)
    except Stopped:
        log("stopped")
        return 128 + (interrupt.signal or 0)
    mean_ms = 1e3 * served.evaluation_s / max(served.evaluations, 1)
    reason = {"exit": "i-PI has finished", "lost": "i-PI closed the socket", "stopped": "stopped"}
    log(f"{reason[served.ended]}; {served.evaluations} evaluations of {mean_ms:.3g} ms")
    if served.ended == "stopped":
        return 128 + (interrupt.signal or 0)
    return 0


def _address(args: argparse.Namespace) -> "Address":
    from ..engines.ipi_client import Address

    if args.unix:
        return Address(unix=args.prefix + args.unix)
    host, _, port = args.inet.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise QuorumError(f"--inet: got {args.inet!r}, expected HOST:PORT such as localhost:31415")
    return Address(host=host, port=int(port))
