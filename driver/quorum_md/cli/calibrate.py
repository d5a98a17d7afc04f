"""quorum calibrate: α from structures kept apart, written into the file."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..models.calibration import Array


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("model", metavar="MODEL.pt", help="committee of 4 members or more")
    parser.add_argument(
        "heldout", metavar="HELDOUT.extxyz", help="structures that no member was trained on"
    )
    parser.add_argument("-o", "--output", required=True, metavar="OUT.pt", help="file to write")
    parser.add_argument("--energy-key", default="energy", help="key of the energies [energy]")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, … [cpu]")
    parser.add_argument("--extensions", metavar="FOLDER", help="its TorchScript extensions")
    parser.add_argument(
        "--plot", metavar="FILE", help="draw how far the spread can be trusted (.png, .pdf, .svg)"
    )
    parser.epilog = (
        "Prints RMSE, spread and rms z-score before and after, overall and per config_type; with\n"
        "--plot also intervals of the z-scores.\n\n"
        "Example:\n  quorum calibrate committee.pt heldout.extxyz -o calibrated.pt"
    )


def run(args: argparse.Namespace) -> None:
    """Calibrate and write."""
    from pathlib import Path

    import numpy as np
    from tqdm import tqdm

    from ..errors import QuorumError
    from ..models.calibration import calibration_alpha, report, rescaled, scores
    from ..models.committee import assemble, check_output, read_part
    from ..models.frames import groups_of, read_frames, reference_energies
    from ..models.metatomic_model import MetatomicPotential
    from ..models.potential import find_model

    path, out = find_model(args.model), Path(args.output)
    check_output(out, [path])
    if args.plot is not None:
        from ..report.figures import check_figure_path

        check_figure_path(args.plot)
    extensions = Path(args.extensions) if args.extensions else None
    potential = MetatomicPotential(path, args.device, extensions=extensions)
    if potential.n_members <= 3:
        raise QuorumError(
            f"{path} has {potential.n_members} member(s); expected 4 or more: with so few the "
            "spread of a committee cannot be calibrated"
        )
    if potential.weighting is not None:
        raise QuorumError(
            f"{path} has a weighted baseline already; calibrate the committee first and add the "
            "baseline last"
        )
    frames = read_frames(args.heldout)
    energies = reference_energies(frames, args.heldout, args.energy_key)
    potential.check(frames)
    members = np.array(
        [
            potential.evaluate([atoms], forces=False)[0].member_energies_eV
            for atoms in tqdm(frames, desc="held-out structures", disable=None, leave=False)
        ]
    )
    counts = np.array([len(a) for a in frames])
    groups = groups_of(frames)
    result = calibration_alpha(energies, members)
    before = scores(energies, members, counts, groups)
    after = scores(energies, rescaled(members, result.alpha), counts, groups)
    assemble(
        [read_part(path, extensions)],
        out,
        description=f"{path.name} with its spread scaled by {result.alpha:.4f}",
        alpha=result.alpha,
        extra={
            "quorum:calibration_structures": str(result.n_structures),
            "quorum:calibration_file": Path(args.heldout).name,
        },
    )
    print(report(before, after, result.alpha))
    print(f"{out}: {result.n_members} members, calibrated on {result.n_structures} structures")
    if args.plot is not None:
        _plot(args.plot, energies / counts, members / counts[:, None], groups, result.alpha)


def _plot(path: str, energies: Array, members: Array, groups: list[str], alpha: float) -> None:
    """Figure and table of the reliability, before and after; energies in eV per atom."""
    from ..averages.reliability import group_table, reliability
    from ..report.reliability_figure import draw

    mean, spread = 1e3 * members.mean(axis=1), 1e3 * members.std(axis=1, ddof=1)
    n_members = members.shape[1]
    stages = [("as given", 1.0), (f"calibrated, α = {alpha:.3g}", alpha)]
    if alpha == 0:  # said already: such a spread predicts nothing
        stages.pop()
    results = [
        (name, reliability(1e3 * energies, mean, factor * spread, n_members, groups=groups,
                           alpha=factor))
        for name, factor in stages
    ]  # fmt: skip
    title = f"{len(mean)} structures, {n_members} members"
    draw(results, path, title=title, unit="meV per atom")
    print(f"\n{group_table(results[-1][1])}\n{path}: figure")
