"""``quorum free-energy``: free energies of the members, of two phases, and melting points."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..averages.free_energy import FreeEnergies
    from ..averages.melting import MeltingPoint

_EPILOG = """\
A run is its i-PI input, its LAMMPS logs, or a record of `quorum reweight --record`.
F is that of each member against the potential that drove the run; with --minus, the same of another
run is taken off, member by member. A file for --scan has rows of
  temperature/K  Δμ/eV  its error/eV  RUN of the solid  RUN of the liquid
with Δμ = μ(solid) − μ(liquid) per atom of the driving potential, by interface pinning, say.
examples:
  quorum free-energy log.lammps
  quorum free-energy solid.xml --minus liquid.xml --atoms 256 250
  quorum free-energy solid.xml --minus liquid.xml --atoms 256 --melting-point 1941 --enthalpy 0.58
  quorum free-energy --scan points.txt --atoms 256 250
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``quorum free-energy``."""
    parser.epilog = _EPILOG
    parser.usage = "quorum free-energy RUN [--minus RUN] [options]"
    add = parser.add_argument
    add("files", nargs="*", metavar="RUN", help="files of the run (the solid)")
    add("--minus", nargs="+", metavar="RUN", help="files of another run (the liquid)")
    add("--atoms", type=int, nargs="+", metavar="N", help="of the run and the other: per atom")
    add(
        "--melting-point",
        type=float,
        nargs="+",
        metavar="K",
        help="of the potential that drove the runs, and its error",
    )
    add(
        "--enthalpy",
        type=float,
        nargs="+",
        metavar="EV",
        help="of fusion per atom, h(liquid) − h(solid), and its error",
    )
    add("--scan", metavar="FILE", help="melting points from Δμ at several temperatures")
    add("--direct", action="store_true", help="direct reweighting, not the cumulant expansion")
    add("--order", type=int, default=2, choices=(1, 2), help="of the cumulant expansion (2)")
    add("--temperature", type=float, metavar="K", help="of the runs, where files do not say it")
    add("--reference", metavar="mean|INDEX|COLUMN", help="what drove the runs")
    add("--discard", default="0", metavar="auto|N|FRACTION", help="frames to leave out (0)")
    add("--lammps-units", metavar="U", help="metal or real, if the log is silent")
    add("--json", metavar="FILE", help="write all numbers to FILE, or - for the terminal")


def run(args: argparse.Namespace) -> int:
    """Read all runs, and only then print or write."""
    import json

    from ..atomic import write_atomically

    if args.scan is not None:
        lines, report = _melting(_scanned(args))
    else:
        found = _difference(args, args.files, args.minus)
        if args.melting_point is None and args.enthalpy is None:
            lines, report = _energies(found, args)
        else:
            lines, report = _melting(_shifted(found, args))
    if args.json is not None:
        text = json.dumps(report, indent=1, allow_nan=False) + "\n"
        if args.json == "-":
            print(text, end="")
            return 0
        write_atomically(args.json, text)
    print("\n".join(lines))
    return 0


def _difference(
    args: argparse.Namespace, files: list[str], minus: list[str] | None
) -> FreeEnergies:
    """F of a run, less that of the other, per atom if their number is known."""
    from ..errors import QuorumError

    if not files:
        raise QuorumError("RUN: got none, expected the files of a run: an i-PI input, or logs")
    atoms = args.atoms
    if atoms is not None and len(atoms) not in (1, 1 if minus is None else 2):
        raise QuorumError(
            f"--atoms: got {len(atoms)} numbers, expected one for each run, or one for both"
        )
    found = _of_run(args, files)
    found = found if atoms is None else found.per(atoms[0])
    if minus is None:
        return found
    other = _of_run(args, minus)
    return found.minus(other if atoms is None else other.per(atoms[-1]))


def _of_run(args: argparse.Namespace, files: list[str]) -> FreeEnergies:
    from ..averages.free_energy import free_energies
    from ..averages.pool import pooled
    from ..averages.readers import read_runs, request_of
    from .reweight import reference_of

    request = request_of(
        files,
        temperature_K=args.temperature,
        reference=reference_of(args.reference),
        discard=args.discard,
        lammps_units=args.lammps_units,
    )
    frames = pooled(read_runs(request))
    return free_energies(
        frames.energies_eV,
        kT_eV=frames.kT_eV,
        reference=frames.reference,
        method="direct" if args.direct else "cumulant",
        weights=frames.weights,
        order=args.order,
    )


def _shifted(shift: FreeEnergies, args: argparse.Namespace) -> MeltingPoint:
    from ..averages.melting import shifted_melting_point
    from ..errors import QuorumError

    given = (args.melting_point or [], args.enthalpy or [])
    if not all(0 < len(one) < 3 for one in given) or args.minus is None or args.atoms is None:
        raise QuorumError(
            "--melting-point: expected --melting-point and --enthalpy, each a number and its error "
            "if it is known, with RUN of the solid, --minus of the liquid, and --atoms"
        )
    (T, *T_error), (h, *h_error) = given
    return shifted_melting_point(
        T, h, shift, temperature_error_K=sum(T_error), enthalpy_error_eV=sum(h_error)
    )


def _scanned(args: argparse.Namespace) -> MeltingPoint:
    """The root over the temperatures in a file; files in it are beside it."""
    from ..averages.melting import melting_point
    from ..averages.text_rows import TextLines
    from ..errors import QuorumError

    if args.atoms is None or args.files or args.minus:
        raise QuorumError("--scan: expected --atoms with it, and no RUN but those in the file")
    folder = Path(args.scan).parent
    numbers, shifts = [], []
    for line, text in enumerate(TextLines(args.scan, "you: T, Δμ, error, two runs"), 1):
        words = text.split("#")[0].split()
        if not words:
            continue
        try:
            numbers.append([float(word) for word in words[:3]])
            solid, liquid = words[3:]
        except ValueError as error:
            raise QuorumError(
                f"{args.scan}, line {line}: got {text:.40s}, expected temperature/K, Δμ/eV, its "
                "error/eV, the run of the solid and that of the liquid"
            ) from error
        shifts.append(_difference(args, [str(folder / solid)], [str(folder / liquid)]))
    if not numbers:
        raise QuorumError(f"{args.scan}: holds no rows, expected one for each temperature")
    temperatures, delta_mu, errors = zip(*numbers, strict=True)
    return melting_point(temperatures, delta_mu, errors, shifts)


def _energies(found: FreeEnergies, args: argparse.Namespace) -> tuple[list[str], dict[str, Any]]:
    unit = "eV" if args.atoms is None else "eV per atom"
    what = "F(member) − F(driving)" if args.minus is None else "its difference between the runs"
    lines = [f"# {what}, {unit}", "member  free energy   ± sampling"]
    for k, (value, error) in enumerate(
        zip(found.members_eV, found.statistical_errors_eV, strict=True)
    ):
        lines.append(f"{k:6d} {value:12.6f} {error:12.6f}")
    if found.mean_eV:
        lines.append(f"  mean {found.mean_eV:12.6f}")
    samples = found.effective_samples
    lines += [
        f"model error {found.model_error_eV:.6f}, noise of {found.noise_eV:.6f} taken out; "
        f"effective samples {samples.min():.0f} … {samples.max():.0f}; {found.verdict}",
        *(f"  {reason}" for reason in found.reasons),
    ]
    return lines, _plain(found, per_atom=args.atoms is not None)


def _melting(found: MeltingPoint) -> tuple[list[str], dict[str, Any]]:
    members = found.members_K
    return [
        f"melting point {found.temperature_K:.1f} ± {found.statistical_error_K:.1f} (sampling) "
        f"± {found.model_error_K:.1f} (model) K, {found.verdict}",
        f"  members {members.min():.1f} … {members.max():.1f} K; entropy of fusion "
        f"{found.slope_eV_K:.3g} eV/K per atom",
        *(f"  {reason}" for reason in found.reasons),
    ], _plain(found)


def _plain(found: FreeEnergies | MeltingPoint, **more: bool) -> dict[str, Any]:
    from dataclasses import asdict

    numbers = {k: v.tolist() if hasattr(v, "tolist") else v for k, v in asdict(found).items()}
    return {**numbers, **more}
