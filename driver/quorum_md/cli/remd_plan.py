"""``quorum remd --plan``: how many replicas a range of temperatures needs."""

import argparse

from ..errors import QuorumError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that belong to ``--plan``; the files are the command's own."""
    group = parser.add_argument_group(
        "plan a ladder",
        "from the heat capacity of the potential energy (of the enthalpy if the volume changes)",
    )
    add = group.add_argument
    add(
        "--plan",
        action="store_true",
        help="how many replicas; files: outputs of short runs (i-PI properties, LAMMPS logs, a "
        "record), or the statistics of a ladder",
    )
    add("--range", nargs=2, type=float, metavar=("LOW", "HIGH"), help="temperatures in K")
    add("--atoms", type=int, metavar="N", help="of a harmonic solid: heat capacity 3N/2 k")
    add("--heat-capacity", type=float, metavar="C", help="in k, of the whole system")
    add("--temperature", type=float, metavar="K", help="of the short run, if it does not say it")
    add("--pressure", type=float, metavar="GPA", help="of the short run, if its volume changes")
    add("--replicas", type=int, metavar="N", help="a ladder of so many")
    add("--acceptance", type=float, default=0.4, metavar="A", help="that neighbours shall have")


def run(args: argparse.Namespace, files: list[str]) -> int:
    """Print the plan."""
    from ..report.exchange_plan import (
        HeatCapacity,
        check_files,
        is_statistics,
        ladder_of_heat_capacity,
        ladder_of_statistics,
        measured,
        report,
    )

    given = [bool(files), args.atoms is not None, args.heat_capacity is not None]
    if sum(given) != 1:
        raise QuorumError(
            f"remd --plan: got {sum(given)} sources of the heat capacity; expected one: files of "
            "short runs, --atoms, or --heat-capacity"
        )
    check_files(files)
    if files and is_statistics(files[0]):
        if len(files) > 1 or args.range:
            raise QuorumError(
                f"{files[0]}: the statistics of a ladder say its range too; give them alone"
            )
        ladder, low, high = ladder_of_statistics(files[0])
        print(f"# {low:g} to {high:g} K, from the acceptance in {files[0]}")
        print(report(ladder, args.replicas, args.acceptance), end="")
        return 0
    if not args.range:
        raise QuorumError("remd --plan: --range is missing; give it as in --range 300 3000")
    low, high = args.range
    if files:
        found = [one for path in files for one in measured(path, args.temperature, args.pressure)]
        for one in found:
            print(
                f"# heat capacity {one.value_kB:.1f} +- {one.error_kB:.1f} k at "
                f"{one.temperature_K:.0f} K, {one.path}"
            )
    else:
        value = 1.5 * args.atoms if args.heat_capacity is None else args.heat_capacity
        found = [HeatCapacity(low, value, 0.0, "")]
        print(f"# heat capacity {value:g} k")
    print(f"# {low:g} to {high:g} K")
    ladder = ladder_of_heat_capacity(low, high, found)
    print(report(ladder, args.replicas, args.acceptance), end="")
    return 0
