"""Code that is compiled where it runs, once, and kept.

Libraries lie in ``$XDG_CACHE_HOME/quorum-md`` (default ~/.cache) under names that contain a key of
all they depend on, so that what is there is never out of date. Standard library only: LAMMPS asks
for its plugin at every start.
"""

from __future__ import annotations

import fcntl
import importlib.metadata
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import QuorumError


def source_folder() -> Path:
    """Where the C++ sources are: in the package (wheel) or beside it (source tree)."""
    package = Path(__file__).resolve().parent
    for folder in (
        package / "engines" / "lammps_plugin_src",
        package.parents[1] / "lammps_plugin" / "src",
    ):
        if (folder / "plugin.cpp").is_file():
            return folder
    raise QuorumError("the C++ sources are missing from this installation; reinstall quorum-md")


def cache_folder() -> Path:
    """Where libraries are kept; it need not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")) / "quorum-md"


def installed_version(distribution: str) -> str | None:
    """Version of a distribution, None if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def find_compiler() -> str | None:
    """``$CXX`` or g++, None if there is none."""
    return shutil.which(os.environ.get("CXX") or "g++")


def compile_once(
    what: str,
    target: Path,
    is_built: Callable[[], bool],
    commands: Callable[[Path], list[list[str]]],
    force: bool = False,
) -> None:
    """Fill the folder ``target`` by compiler calls, run in the folder of the sources.

    Args:
        what: for messages, "LAMMPS plugin".
        is_built: whether the target is complete.
        commands: the calls that put the libraries into a folder.
        force: even if it is complete.

    Of several processes one compiles and the others wait; where files cannot be locked each
    compiles in a folder of its own, and the first that is done is kept.

    Raises:
        QuorumError: the folder cannot be written, or the compiler fails.
    """
    if is_built() and not force:
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f"{target.name[:6]}-building-", dir=target.parent))
    except OSError as error:
        raise QuorumError(
            f"{target.parent}: cannot be written ({error.strerror}); set XDG_CACHE_HOME to a "
            "folder that can"
        ) from error
    try:
        with _alone(target.with_suffix(".lock")):
            if not is_built() or force:
                for command in commands(scratch):
                    _run(what, command, target.parent)
                _keep(scratch, target, is_built, force)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Holds the lock of a file, if the file system has locks."""
    with path.open("w") as stream:
        with suppress(OSError):
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _run(what: str, command: list[str], log_folder: Path) -> None:
    done = subprocess.run(command, cwd=source_folder(), capture_output=True, text=True)
    if done.returncode != 0:
        log = log_folder / f"{what.lower().replace(' ', '-')}-build.log"
        log.write_text(" ".join(command) + "\n" + done.stderr)
        raise QuorumError(
            f"{what}: {command[0]} failed; its messages are in {log}; a compiler of C++17 is "
            "needed (g++ 9 or later)"
        )


def _keep(scratch: Path, target: Path, is_built: Callable[[], bool], force: bool) -> None:
    scratch.chmod(0o755)
    if force and target.exists():
        shutil.rmtree(target)
    try:
        scratch.replace(target)
    except OSError:
        if not is_built():
            raise
