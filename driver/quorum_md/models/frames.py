"""Reading structures with reference energies, from extxyz or anything that ASE reads.

Compressed files (.xz, .gz, .bz2) are opened as they are.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import numpy.typing as npt
from ase import Atoms

from ..errors import QuorumError

OPENERS: dict[str, Any] = {".xz": lzma.open, ".gz": gzip.open, ".bz2": bz2.open}


def read_frames(path: str | Path, index: str = ":") -> list[Atoms]:
    """All structures of a file; QuorumError if it is missing, unreadable or empty."""
    path = Path(path)
    if not path.is_file():
        raise QuorumError(f"{path}: no such file; expected structures that ASE can read")
    opener = OPENERS.get(path.suffix)
    try:
        if opener is None:
            frames = ase.io.read(path, index)
        else:
            # unpacked in memory: readers seek, which starts a compressed file over each time
            with opener(path, "rt") as handle:
                text = io.StringIO(handle.read())
            suffix = Path(path.stem).suffix.lstrip(".")
            kind = "extxyz" if suffix in ("", "xyz", "extxyz") else suffix
            frames = ase.io.read(text, index, format=kind)
    # readers of ASE raise almost anything on a malformed file
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise QuorumError(
            f"{path}: ASE cannot read it ({reason}); expected extxyz or another known format"
        ) from error
    frames = frames if isinstance(frames, list) else [frames]
    if not frames:
        raise QuorumError(f"{path}: no structures in it; expected at least one")
    return frames


def reference_energies(
    frames: Sequence[Atoms], path: str | Path, key: str = "energy"
) -> npt.NDArray[np.float64]:
    """(n,) total energies in eV, from the results stored with each frame or its info[key]."""
    energies = []
    for i, atoms in enumerate(frames):
        stored = atoms.calc.results if atoms.calc is not None else {}
        value = stored.get(key, atoms.info.get(key))
        if value is None:
            raise QuorumError(
                f"{path}: structure {i} has no {key!r}; expected a total energy in eV in each "
                "comment line; name another key with --energy-key"
            )
        energies.append(float(value))
    result = np.array(energies)
    bad = np.flatnonzero(~np.isfinite(result))
    if bad.size:
        raise QuorumError(f"{path}: energy of structure {bad[0]} is {result[bad[0]]}; remove it")
    return result


def groups_of(frames: Sequence[Atoms]) -> list[str]:
    """``config_type`` of each frame, "ungrouped" where there is none."""
    return [str(a.info.get("config_type", "ungrouped")) for a in frames]
