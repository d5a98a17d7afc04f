"""Files that are either complete or not there, and folders in which one run writes at a time."""

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path
from typing import Any

from .errors import QuorumError


def write_atomically(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write `content` (text as UTF-8) to `path`, replacing what was there only when complete.

    A reader never sees half a file, and a crash leaves the old one. Symbolic links are followed;
    an existing file keeps its permissions.

    Raises:
        QuorumError: the folder does not exist or may not be written to.
    """
    target = Path(path).resolve()
    data = content.encode() if isinstance(content, str) else content
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise QuorumError(
            f"{path}: cannot be written ({error.strerror}); give a path in a folder that exists "
            "and that you may write to"
        ) from error
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, _mode(target))
        os.replace(name, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(name)
        if isinstance(error, OSError):
            raise QuorumError(
                f"{path}: cannot be written ({error.strerror}); free some space or give another "
                "path"
            ) from error
        raise


def lock(path: Path) -> Any:
    """Hold a file until it is closed: one run at a time, where the file system has locks.

    Raises:
        QuorumError: another run holds it, or it cannot be made.
    """
    try:
        file = open(path, "a")
    except OSError as error:
        raise QuorumError(
            f"{path}: cannot be made ({error.strerror}); give the folder of a run that you may "
            "write to"
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise QuorumError(
            f"{path.parent}: another run is writing here; wait until it ends, or give another "
            "folder"
        ) from error
    except OSError:  # no locks here
        pass
    return file


def _mode(target: Path) -> int:
    """mkstemp makes private files; give what an ordinary open() would have given."""
    if target.exists():
        return target.stat().st_mode & 0o7777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
