"""``quorum pin analyse``: Δμ(T), the melting point with both errors, and why a run is refused."""

from __future__ import annotations

import argparse
from pathlib import Path

INPUT = "run.toml, or the folder that it says ([output] folder)"
EPILOG = """\
Δμ = μ(solid) − μ(liquid) per atom, positive above the melting point. A run that froze, melted, is
strained, drifts or does not feel its bias is refused with the evidence, and gives nothing; the exit
code is 1 if no melting point is left. Members of a committee give ± model.
examples:
  quorum pin analyse run.toml
  quorum pin analyse pin --plot melting.pdf --json melting.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``quorum pin analyse``."""
    add = parser.add_argument
    add("--json", metavar="FILE", nargs="?", const="-", help="all numbers to FILE or the terminal")
    add("--plot", metavar="FILE", help="figure of Δμ(T) and of the liquidus: .png, .pdf or .svg")
    add("--discard", default="auto", metavar="auto|N|FRACTION", help="rows to leave out (auto)")
    add("--stress", type=float, metavar="GPA", help="largest lateral stress (from the stiffness)")


def run(args: argparse.Namespace) -> int:
    """Analyse, and only then print or write; 1 where no melting point is left."""
    import json

    from ..atomic import write_atomically
    from ..pinning.analysis import analyse
    from ..pinning.refusals import Limits
    from ..report.figures import check_figure_path
    from ..report.pinning_figure import draw
    from ..report.pinning_numbers import numbers
    from ..report.pinning_text import lines

    if args.plot is not None:
        check_figure_path(args.plot)
    limits = Limits(lateral_GPa=args.stress)
    report = analyse(folder_of(args.input), discard=args.discard, limits=limits)
    if args.plot is not None:
        draw(report, args.plot)
    text = json.dumps(numbers(report), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    if args.json == "-":
        print(text, end="")
    else:
        if args.json is not None:
            write_atomically(args.json, text)
        print("\n".join(lines(report)))
    return 0 if any(one.melting is not None for one in report.branches) else 1


def folder_of(path: str) -> Path:
    """The folder of the jobs: itself, or what run.toml says of it."""
    import tomllib

    from ..errors import QuorumError

    if Path(path).is_dir():
        return Path(path)
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise QuorumError(
            f"{path}: cannot be read ({error}); give run.toml or the output folder of pin run"
        ) from None
    return Path(path).parent / content.get("output", {}).get("folder", "pin")
