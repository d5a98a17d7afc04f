"""Frames and member energies of runs in one HDF5 file, with units and the potential that drove.

    /                      attributes: format = "quorum-md records", version
    /runs/0, /runs/1, …    one uninterrupted series each, in one thermodynamic state
        attributes         temperature_K, pressure_bar (NaN at constant volume), n_beads,
                           timestep_fs (NaN if not known), driven_by, notes
        step               (n,) whole numbers, increasing
        member_energies    (n, K), attribute unit = "eV"
        driving_energy     (n,), unit = "eV": of the potential that drove the run
        columns/NAME       (n,) or (n, m), attribute unit; all else that was recorded
    /exchange              of replica exchange (`exchange_records`): run s is that of state s

The reference potential is part of the record, so that averages need not ask for it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import QuorumError
from .checks import reference_energies
from .run import Run, Vocabulary, assemble, most_common_stride
from .tables import Array, Column, PathLike, Table

if TYPE_CHECKING:
    import h5py

FORMAT = "quorum-md records"
VERSION = 1
SIGNATURE = b"\x89HDF\r\n\x1a\n"


def write_records(
    path: PathLike, runs: Sequence[Run], more: Callable[[h5py.File], None] | None = None
) -> None:
    """Write runs as they are (frames left out are not there), all or nothing.

    Args:
        path: replaced if it exists.
        runs: not pooled ones, whose weights are no property of a frame.
        more: adds groups of its own, which `read_records` passes over.

    Raises:
        QuorumError: h5py is missing, the file cannot be written, weighted frames.
    """
    h5 = h5py_module()
    for run in runs:
        if run.weights is not None:
            raise QuorumError(
                f"{run.table.path}: its frames are weighted (a bias, or a pool), which a record "
                "does not hold; write the runs as they were sampled"
            )
    target = Path(path)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with h5.File(part, "w") as file:
            file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
            for number, run in enumerate(runs):
                _write(file.create_group(f"runs/{number}"), run)
            if more is not None:
                more(file)
        with open(part, "rb") as written:
            os.fsync(written.fileno())
        part.replace(target)
    except OSError as error:
        raise QuorumError(
            f"{path}: cannot be written ({_reason(error)}); make space, or choose another place"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def read_records(path: PathLike, *, discard: str | float = 0) -> list[Run]:
    """The runs of a record.

    Args:
        discard: frames to leave out at the start of each, as in `assemble`.

    Raises:
        QuorumError: no such file, not a record of this version, lengths that do not agree.
    """
    h5 = h5py_module()
    try:
        with h5.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise QuorumError(f"{path}: is no record of quorum-md; expected one, or text files")
            if file.attrs.get("version") != VERSION:
                raise QuorumError(
                    f"{path}: is a record of version {file.attrs.get('version')}, expected "
                    f"{VERSION}; use the quorum-md that wrote it"
                )
            groups = sorted(file["runs"], key=int)
            runs = [assemble(_read(path, file["runs"][name], name), discard) for name in groups]
    except (OSError, KeyError, ValueError) as error:
        raise QuorumError(f"{path}: cannot be read as a record ({error})") from error
    if not runs:
        raise QuorumError(f"{path}: holds no runs")
    return runs


def is_record(path: PathLike) -> bool:
    """By the signature of HDF5."""
    try:
        with open(path, "rb") as file:
            return file.read(len(SIGNATURE)) == SIGNATURE
    except OSError:
        return False


def _write(group: h5py.Group, run: Run) -> None:
    group.attrs["temperature_K"] = run.temperature_K
    group.attrs["pressure_bar"] = np.nan if run.pressure_bar is None else run.pressure_bar
    if run.constant_volume is not None:
        group.attrs["constant_volume"] = run.constant_volume
    group.attrs["n_beads"] = run.n_beads
    group.attrs["timestep_fs"] = np.nan if run.timestep_fs is None else run.timestep_fs
    group.attrs["driven_by"] = run.reference_name
    group.attrs["checked"] = run.checked
    group.attrs["notes"] = list(run.notes)
    group.attrs["driving_column"] = run.words.driving
    group.attrs["volume_column"] = run.words.volume
    for name in ("no_observable", "momenta", "forces", "energies"):
        group.attrs[name] = list(getattr(run.words, name))
    write_dataset(group, "step", run.steps, "")
    write_dataset(group, "member_energies", run.energies_eV, "eV")
    write_dataset(group, "driving_energy", reference_energies(run.energies_eV, run.reference), "eV")
    for column in run.table.columns:
        if "/" not in column.name:
            write_dataset(group, f"columns/{column.name}", column.values[run.rows], column.unit)


def write_dataset(group: h5py.Group, name: str, values: NDArray[Any], unit: str) -> None:
    """Compressed, with its unit."""
    created = group.create_dataset(
        name, data=values, compression="gzip", compression_opts=1, shuffle=True
    )
    created.attrs["unit"] = unit


def _read(path: PathLike, group: h5py.Group, name: str) -> Run:
    steps = np.asarray(group["step"], dtype=np.int64)
    energies = np.asarray(group["member_energies"], dtype=float)
    driving = np.asarray(group["driving_energy"], dtype=float)
    columns = [
        Column(key, str(data.attrs.get("unit", "")), np.asarray(data, dtype=float))
        for key, data in group.get("columns", {}).items()
    ]
    for what, array in (("member_energies", energies), ("driving_energy", driving)):
        if len(array) != len(steps) or not np.isfinite(array).all():
            raise QuorumError(
                f"{path}: runs/{name}/{what} has {len(array)} frames, some not finite or not as "
                f"many as step ({len(steps)}); the record is damaged"
            )
    attributes = group.attrs
    pressure = float(attributes["pressure_bar"])
    timestep = float(attributes["timestep_fs"])
    constant = attributes.get("constant_volume")
    words = Vocabulary(
        driving=str(attributes["driving_column"]),
        temperature="",  # the ensemble is stated
        volume=str(attributes["volume_column"]),
        no_observable=_strings(attributes, "no_observable"),
        momenta=_strings(attributes, "momenta"),
        forces=_strings(attributes, "forces"),
        energies=_strings(attributes, "energies"),
        where_pressure="the record holds no pressure",
    )
    where = f"{path}" if name == "0" else f"{path} (run {name})"
    driven_by = str(attributes["driven_by"])
    reference: str | int | Array = driving
    if driven_by == "mean" and _same(energies.mean(axis=1), driving):
        reference = "mean"
    return Run(
        Table(where, columns, 0, False, how_to_add="record {} with the run"),
        np.arange(len(steps)),
        steps,
        most_common_stride(steps) if len(steps) > 1 else 1,
        energies,
        reference,
        driven_by,
        float(attributes["temperature_K"]),
        0,
        (str(path),),
        True,
        None if np.isnan(pressure) else pressure,
        None if constant is None else bool(constant),
        words,
        n_beads=int(attributes["n_beads"]),
        notes=_strings(attributes, "notes"),
        timestep_fs=None if np.isnan(timestep) else timestep,
    )


def _reason(error: OSError) -> str:
    """What the system said, which HDF5 puts between details of its own."""
    found = re.search(r"error message = '([^']*)'", str(error))
    return found[1] if found else error.strerror or str(error)


def _strings(attributes: Any, name: str) -> tuple[str, ...]:
    return tuple(str(one) for one in attributes.get(name, ()))


def _same(one: Array, other: Array) -> bool:
    return bool(np.abs(one - other).max() <= 1e-12 * np.abs(other).max())


def h5py_module() -> Any:
    """Imported when it is needed; raises `QuorumError` where it is missing."""
    try:
        import h5py
    except ImportError as error:
        raise QuorumError("records: h5py is not installed; run `pip install h5py`") from error
    return h5py
