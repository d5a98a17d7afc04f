"""quorum committee: independent models become one committee file."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("models", nargs="+", metavar="MODEL.pt", help="two metatomic files or more")
    parser.add_argument("-o", "--output", required=True, metavar="OUT.pt", help="file to write")
    parser.add_argument("--extensions", metavar="FOLDER", help="TorchScript extensions they need")
    parser.epilog = (
        "Members of all files together form the committee (a file may bring several). The result "
        "runs in every metatomic engine.\n\nExample:\n  quorum committee a.pt b.pt c.pt -o all.pt"
    )


def run(args: argparse.Namespace) -> None:
    """Write the committee and say what it is."""
    from pathlib import Path

    from ..errors import QuorumError
    from ..models.committee import assemble, check_output, finite_range, read_part
    from ..models.potential import find_model

    if len(args.models) < 2:
        raise QuorumError(
            f"committee: got one model ({args.models[0]}); expected at least two; to scale the "
            "spread of a committee use `quorum calibrate`"
        )
    out = Path(args.output)
    paths = [find_model(m) for m in args.models]
    check_output(out, paths)
    extensions = Path(args.extensions) if args.extensions else None
    parts = [read_part(p, extensions) for p in paths]
    assemble(parts, out, description=f"committee of {', '.join(p.name for p in paths)}")
    n = sum(p.facts.n_members for p in parts)
    reach = finite_range(max(p.facts.interaction_range_A for p in parts))
    print(f"{out}: {n} members from {len(parts)} files, interaction range {reach}")
    print("next: quorum calibrate", out, "heldout.extxyz -o calibrated.pt")
