"""quorum baseline: a committee and its weighted baseline in one metatomic file."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("model", metavar="COMMITTEE.pt", help="calibrated committee")
    parser.add_argument("baseline", metavar="BASELINE.pt", help="single metatomic model")
    parser.add_argument(
        "--sigma",
        type=float,
        required=True,
        metavar="EV",
        help="error of its total energy, eV",
    )
    parser.add_argument("-o", "--output", required=True, metavar="OUT.pt", help="file to write")
    parser.add_argument(
        "--correction", action="store_true", help="the committee predicts the difference"
    )
    parser.add_argument("--offsets", metavar="Nb=E,…", help="eV per atom added to the baseline")
    parser.add_argument(
        "--align", metavar="FILE", help="structures that set the offsets by least squares"
    )
    parser.add_argument("--extensions", metavar="FOLDER", help="TorchScript extensions they need")
    parser.epilog = (
        "U = V_b + w (mean - V_b), w = sigma^2/(sigma^2 + spread^2): the baseline takes over where "
        "the committee is unsure.\n\nExample:\n"
        "  quorum baseline committee.pt repulsion.pt --sigma 2 --align data.extxyz -o safe.pt"
    )


def run(args: argparse.Namespace) -> None:
    """Write the combined model."""
    from pathlib import Path

    import numpy as np

    from ..errors import QuorumError
    from ..models.baseline import WeightedBaseline, composition_offsets, parse_offsets
    from ..models.committee import assemble, check_output, read_part
    from ..models.frames import read_frames
    from ..models.potential import find_model

    weighting = WeightedBaseline(args.sigma, args.correction)
    if args.offsets and args.align:
        raise QuorumError("baseline: got --offsets and --align; expected one of them")
    paths = [find_model(args.model), find_model(args.baseline)]
    out = Path(args.output)
    check_output(out, paths)
    extensions = Path(args.extensions) if args.extensions else None
    committee, base = (read_part(p, extensions) for p in paths)
    offsets = parse_offsets(args.offsets or "")
    if args.align:
        frames = read_frames(args.align)
        committee.facts.check(frames)
        species = tuple(s for s in committee.facts.species if any(s in a.symbols for a in frames))
        counts = np.array([[a.symbols.count(s) for s in species] for a in frames], dtype=float)
        differences = [
            committee.facts.evaluate([a], forces=False)[0].energy_eV
            - base.facts.evaluate([a], forces=False)[0].energy_eV
            for a in frames
        ]
        offsets = composition_offsets(counts, np.array(differences), species)
    assemble(
        [committee],
        out,
        description=f"{paths[0].name} with weighted baseline {paths[1].name}",
        baseline=base,
        weighting=weighting,
        offsets_eV=offsets,
    )
    print(f"{out}: {committee.facts.n_members} members, baseline error {args.sigma:g} eV")
    if offsets:
        print("offsets/eV per atom: " + ",".join(f"{s}={x:.6f}" for s, x in offsets.items()))
