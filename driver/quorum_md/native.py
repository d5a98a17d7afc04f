"""Code that is compiled where it runs, once, and kept.

Libraries lie in ``$XDG_CACHE_HOME/quorum-md`` (default ~/.cache) under names that contain a key of
all they depend on, so that what is there is never out of date. Standard library only: LAMMPS asks
for its plugin at every start.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import os
import platform
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ctypes

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
    given = os.environ.get("XDG_CACHE_HOME")
    if given:
        return Path(given) / "quorum-md"
    try:
        return Path.home() / ".cache" / "quorum-md"
    except RuntimeError:  # neither HOME nor an entry of the user, as in some containers
        folder = Path(tempfile.gettempdir()) / f"quorum-md-{os.getuid()}"
    # everybody may write where this is: what is not our own is not to be loaded
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o022 or not folder.is_dir():
        raise QuorumError(
            f"{folder}: belongs to somebody else, or others may write to it; set XDG_CACHE_HOME to "
            "a folder of your own for compiled code"
        )
    return folder


def machine() -> str:
    """What a library is tied to that is compiled here, for keys."""
    return " ".join([sysconfig.get_platform(), *platform.libc_ver()])


def installed_version(distribution: str) -> str | None:
    """Version of a distribution, None if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def find_compiler() -> list[str] | None:
    """``$CXX``, which may have arguments (ccache g++), or g++; None if there is none."""
    program, *arguments = shlex.split(os.environ.get("CXX", "")) or ["g++"]
    found = shutil.which(program)
    return None if found is None else [found, *arguments]


def need_compiler(what: str) -> list[str]:
    """`find_compiler`; raises QuorumError without one."""
    compiler = find_compiler()
    if compiler is None:
        raise QuorumError(
            f"{what}: no C++ compiler ({os.environ.get('CXX') or 'g++'}); install one "
            "(apt install g++, module load gcc) or set CXX"
        )
    return compiler


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


def open_library(
    what: str, name: str, sources: Sequence[str], made_of: Sequence[str], options: Sequence[str]
) -> ctypes.CDLL:
    """A library of C functions, compiled if it is not there, or cannot be loaded as it is.

    Args:
        what: for messages.
        name: of the library, for files.
        sources: that are compiled.
        made_of: patterns of the files that it is made of, for its key.
        options: of the compiler, beyond what any library needs.

    Raises:
        QuorumError: there is no compiler, or `compile_once` fails.
        OSError: it cannot be loaded although it was compiled just now.
    """
    import ctypes

    folder = kept_folder(name, made_of)
    path = folder / f"libquorum_{name}.so"

    def commands(target: Path) -> list[list[str]]:
        compiler = need_compiler(what)
        common = ["-std=c++17", "-fPIC", "-shared", *options, *sources, *_static_runtime(compiler)]
        return [[*compiler, *common, "-o", str(target / path.name)]]

    compile_once(what, folder, path.is_file, commands)
    try:
        return ctypes.CDLL(str(path))
    except OSError:  # compiled with what is not here now, or damaged
        compile_once(what, folder, path.is_file, commands, force=True)
        return ctypes.CDLL(str(path))


def kept_folder(name: str, made_of: Sequence[str]) -> Path:
    """Where `open_library` keeps a library."""
    digest = hashlib.sha256(machine().encode())
    for source in sorted(path for one in made_of for path in source_folder().glob(one)):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return cache_folder() / f"{name}-{digest.hexdigest()[:24]}"


def _static_runtime(compiler: list[str]) -> list[str]:
    """Options that put the runtime of C++ into a library, which then loads where the module of the
    compiler is not; none where that runtime is not installed."""
    asked = [*compiler, "-print-file-name=libstdc++.a"]
    found = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    if not Path(found).is_absolute():
        return []
    # its names are not to meet those of other libraries in the process
    return ["-static-libstdc++", "-static-libgcc", "-Wl,--exclude-libs,ALL"]


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
    if target.exists() and (force or not is_built()):
        shutil.rmtree(target)
    try:
        scratch.replace(target)
    except OSError:
        if not is_built():
            raise
