"""Tables beside i-PI's own outputs, one row per step, that a restart goes on with."""

import os
from pathlib import Path
from typing import Any

from ipi.utils.io import open_backup

from ..atomic import write_atomically


def belongs(line: str, last_step: int) -> bool:
    """Whether a row of a table stays when a run goes on from *last_step*.

    A row that a run killed in the middle of left unfinished, or of a later step, does not.
    """
    if line.startswith("#"):
        return True
    return line.endswith("\n") and int(line.split()[0]) <= last_step


def open_table(path: str, header: str, resumed_at: int) -> tuple[Any, bool]:
    """A table to append rows to that begin with a step, and whether it is a new one.

    A run that goes on from the step *resumed_at* keeps what the file has up to there.
    """
    if resumed_at and os.path.isfile(path):
        lines = Path(path).read_text(encoding="utf-8").splitlines(keepends=True)
        write_atomically(path, "".join(line for line in lines if belongs(line, resumed_at)))
        return open(path, "a", encoding="utf-8"), False
    file = open_backup(path, "w")
    file.write(header)
    return file, True


def file_name(simulation: Any, name: str, system: Any = None) -> str:
    """*name* with the prefixes that i-PI puts before its own files."""
    prefix = simulation.outtemplate.prefix
    name = f"{prefix}.{name}" if prefix else name
    return f"{system.prefix}_{name}" if system is not None and system.prefix else name
