"""``quorum plot``: figures of what has been recorded."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``quorum plot``."""
    parser.epilog = (
        "Energies, acceptance, paths of replicas, round trips and mixing of replica exchange.\n"
        "Example:\n  quorum plot remd/records.h5 -o remd.png"
    )
    parser.add_argument("record", help="records.h5, or the folder of a run of quorum remd")
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help=".png, .pdf or .svg to write"
    )


def run(args: argparse.Namespace) -> None:
    """Draw."""
    from ..averages.exchange_records import read_exchange
    from ..errors import QuorumError
    from ..report.exchange_figure import draw
    from ..report.figures import check_figure_path

    check_figure_path(args.output)
    header, rows = read_exchange(args.record)
    if not len(rows):
        raise QuorumError(f"{args.record}: has no attempt yet; wait for the first one")
    draw(header, rows, args.output, title=args.record)
    print(args.output)
