"""Records of replica exchange: the journal of a run as HDF5, one run for each thermodynamic state.

    /runs/s                as in `records`: what state s has sampled, one frame for each attempt
    /exchange              attributes: header (JSON, as in `sampling.journal.Header`)
        attempt, step      (n,)
        replicas           (n, S) replica in each state before the attempt, whose frames these are
        after              (n, S) and after it
        crossed_eV         (n, S, S) where potentials differ: energy of the configuration of each
                           state in every state, NaN where no decision needed it

So ``quorum reweight records.h5`` pools the states by MBAR, and any other program can.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import QuorumError
from ..sampling.journal import Header, Rows, header_of, read_rows
from ..units import EV_A3_BAR, EV_A3_GPA, thermal_energy_eV
from .records import FORMAT, h5py_module, write_dataset, write_records
from .run import Run, Vocabulary
from .tables import Column, PathLike, Table

if TYPE_CHECKING:
    import h5py

NAME = "records.h5"
# the file is written anew when the journal has grown by this, so that a run writes each row a few
# times at most
_GROWTH = 1.25
_WORDS = Vocabulary(
    driving="potential",
    temperature="temperature",
    volume="volume",
    no_observable=("replica",),
    momenta=("temperature", "press", "Press", "etotal", "TotEng", "ke", "KinEng", "enthalpy"),
    forces=("press", "Press", "pxx", "pyy", "pzz", "pxy", "pxz", "pyz", "Pxx", "Pyy", "Pzz"),
    energies=("potential",),
    where_pressure="the record holds no pressure",
)


def keep_records(folder: PathLike, *, now: bool) -> bool:
    """Write records.h5 of a run that goes on: now, or if it has grown enough; was it written?"""
    path = Path(folder) / NAME
    header, rows = read_rows(folder)
    before = _n_frames(path) if path.exists() else 0
    grown = not before or len(rows) >= _GROWTH * before or len(rows) < before
    if not len(rows) or not (now or grown):
        return False
    write_exchange_records(path, header, rows)
    return True


def write_exchange_records(path: PathLike, header: Header, rows: Rows) -> None:
    """Write a journal as a record, all or nothing.

    Raises:
        QuorumError: as `write_records`.
    """

    def more(file: h5py.File) -> None:
        group = file.create_group("exchange")
        group.attrs["header"] = json.dumps(asdict(header))
        for name in ("attempt", "step", "replicas", "after"):
            write_dataset(group, name, np.asarray(rows[name]), "")
        if header.parameters:
            write_dataset(group, "crossed_eV", np.asarray(rows["crossed_eV"]), "eV")

    runs = [state_run(path, header, rows, s) for s in range(len(header.temperatures_K))]
    write_records(path, runs, more)


def state_run(path: PathLike, header: Header, rows: Rows, state: int) -> Run:
    """What one state has sampled; without a committee, one member stands for the potential."""
    driving = np.array(rows["energy_eV"][:, state])
    members = np.array(rows["members_eV"][:, state]) if header.n_members else driving[:, None]
    columns = [
        Column("potential", "electronvolt", driving),
        Column("volume", "angstrom3", np.array(rows["volume_A3"][:, state])),
        Column("temperature", "kelvin", np.array(rows["kinetic_K"][:, state])),
        Column("replica", "", np.array(rows["replicas"][:, state], dtype=float)),
    ]
    for k, name in enumerate(header.columns):
        columns.append(Column(name, "", np.array(rows["columns"][:, state, k])))
    pressure = header.pressures_GPa[state]
    where = f"{path}" if state == 0 else f"{path} (run {state})"
    name = "potential"
    if header.parameters:  # states of other potentials are not pooled with this one
        words = [f"{key} = {values[state]:g}" for key, values in header.parameters.items()]
        name = f"potential with {', '.join(words)}"
    # the committee drives unless a potential or bias of the script's own adds to it
    off = members.mean(axis=1) - driving
    kT = thermal_energy_eV(header.temperatures_K[state])
    rounded = np.ptp(off) <= 0.01 * kT + 1e-9 * np.abs(driving).max()
    rounded &= np.abs(off).max() <= 1e-6 * np.abs(driving).max()
    mean = header.n_members and not header.parameters and rounded
    return Run(
        Table(where, columns, 0, False, how_to_add="add {} to [output] columns of run.toml"),
        np.arange(len(rows)),
        np.array(rows["step"]),
        header.steps,
        members,
        "mean" if mean else driving,
        "mean" if mean else name,
        header.temperatures_K[state],
        0,
        (str(path),),
        True,
        None if pressure is None else pressure * EV_A3_BAR / EV_A3_GPA,
        pressure is None,
        _WORDS,
        timestep_fs=header.timestep_fs,
    )


def read_exchange(path: PathLike) -> tuple[Header, Rows]:
    """Header and rows from a record, or from the folder of a run.

    Raises:
        QuorumError: neither; a record without exchanges.
    """
    if os.path.isdir(path):
        return read_rows(path)
    h5 = h5py_module()
    try:
        with h5.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT or "exchange" not in file:
                raise QuorumError(
                    f"{path}: is no record of replica exchange; give records.h5 or the folder of a "
                    "run of `quorum remd`"
                )
            group = file["exchange"]
            header = header_of(json.loads(group.attrs["header"]))
            rows = np.zeros(len(group["attempt"]), dtype=header.dtype())
            for name in ("attempt", "step", "replicas", "after"):
                rows[name] = group[name]
            if header.parameters:
                rows["crossed_eV"] = group["crossed_eV"]
            for s in range(len(header.temperatures_K)):
                run = file[f"runs/{s}"]
                rows["energy_eV"][:, s] = run["columns/potential"]
                rows["volume_A3"][:, s] = run["columns/volume"]
                rows["kinetic_K"][:, s] = run["columns/temperature"]
                if header.n_members:
                    rows["members_eV"][:, s] = run["member_energies"]
                for k, name in enumerate(header.columns):
                    rows["columns"][:, s, k] = run[f"columns/{name}"]
    except (OSError, KeyError, ValueError) as error:
        if isinstance(error, QuorumError):
            raise
        raise QuorumError(f"{path}: cannot be read as a record ({error})") from error
    return header, rows


def _n_frames(path: Path) -> int:
    h5 = h5py_module()
    try:
        with h5.File(path, "r") as file:
            return len(file["exchange/attempt"])
    except (OSError, KeyError):
        return 0
