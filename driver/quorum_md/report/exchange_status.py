"""``quorum remd --status``: does the ladder work? From the files of a run, live or finished."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..atomic import write_atomically
from ..averages.timeseries import variance_of_mean
from ..sampling.exchange import Exchange, Mixing, State, mixing_of, statistics_table
from ..sampling.journal import Header, Rows, read_rows, reduced_matrix
from ..units import EV_A3_GPA, thermal_energy_eV

Array = npt.NDArray[np.float64]
NAMES = ("ladder.dat", "states.dat")
# momenta further from the temperature than this and than their noise are pointed at; LAMMPS
# counts 3 N - 3 of them, fix langevin moves 3 N
_OFF_RELATIVE, _OFF_SIGMA = 0.05, 5.0
_FEW = 20
_ROWS = 1000  # at a time


@dataclass(frozen=True)
class Exchanged:
    """Exchanges of a run, and what they say of the ladder."""

    header: Header
    rows: Rows
    exchange: Exchange
    mixing: Mixing


def exchanged(header: Header, rows: Rows, state: dict[str, object] | None = None) -> Exchanged:
    """Count exchanges by deciding them again: decisions are a function of the journal.

    Args:
        state: of a checkpoint; only the rows after it are decided again.
    """
    n = len(header.temperatures_K)
    exchange = Exchange(n, header.seed, header.scheme, header.per_attempt)
    mixing = Mixing(n)
    if state is None:
        mixing.add(exchange.permutation)
    else:
        exchange.restore(state["exchange"])  # type: ignore[arg-type]
        mixing.restore(state["mixing"])  # type: ignore[arg-type]
    for row in rows[exchange.number :]:
        exchange.attempt(reduced_matrix(header, row)[np.argsort(row["replicas"])])
        mixing.add(row["after"])
    return Exchanged(header, rows, exchange, mixing)


def of_folder(folder: str | os.PathLike[str]) -> Exchanged:
    """From the journal and the newest checkpoint of a run.

    Raises:
        QuorumError: no run there.
    """
    header, rows = read_rows(folder)
    checkpoints = Path(folder) / "checkpoints"
    newest = sorted(checkpoints.glob("[0-9]*/manifest.json"))
    state = None
    if newest:
        try:
            state = json.loads(newest[-1].read_text(encoding="utf-8"))
        except (OSError, ValueError):
            state = None  # of a run that goes on and has just removed it: count all
    if state is not None and state["exchange"]["number"] > len(rows):
        state = None
    return exchanged(header, rows, state)


def mixing_of_rows(rows: Rows) -> Mixing:
    """From the first permutation, before any attempt, on."""
    return mixing_of(np.concatenate([rows["replicas"][:1], rows["after"]]))


def probabilities(header: Header, rows: Rows) -> Array:
    """(S, S) mean probability with which states s and t would exchange; nan if not known."""
    beta = np.array([1.0 / thermal_energy_eV(kelvin) for kelvin in header.temperatures_K])
    work = np.array([p or 0.0 for p in header.pressures_GPa]) / EV_A3_GPA
    total, count = np.zeros((len(beta), len(beta))), np.zeros((len(beta), len(beta)))
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS]
        # of the configuration in state s (second axis) in state t (third)
        energies = part["crossed_eV"] if header.parameters else part["energy_eV"][:, :, None]
        u = beta * (energies + work * part["volume_A3"][:, :, None])
        own = np.diagonal(u, axis1=1, axis2=2)
        crossed = u + u.transpose(0, 2, 1)
        ratio = own[:, :, None] + own[:, None, :] - crossed
        total += np.nansum(np.exp(np.minimum(0.0, ratio)), axis=0)
        count += (~np.isnan(ratio)).sum(axis=0)
    with np.errstate(invalid="ignore"):
        mean: Array = total / count
    return mean


def status(folder: str | os.PathLike[str], attempts: int | None = None) -> str:
    """Both tables of a run: how the ladder works, and what its states have sampled.

    Args:
        attempts: of the whole run.

    Raises:
        QuorumError: no run there.
    """
    return "\n".join(_tables(folder, attempts))


def write_summary(folder: str | os.PathLike[str], attempts: int) -> None:
    """The tables of `status` as files of the run."""
    for name, text in zip(NAMES, _tables(folder, attempts), strict=True):
        write_atomically(Path(folder) / name, text)


def _tables(folder: str | os.PathLike[str], attempts: int | None) -> tuple[str, str]:
    found = of_folder(folder)
    header = found.header
    states = tuple(map(State, header.temperatures_K, header.pressures_GPa))
    ladder = statistics_table(found.exchange, found.mixing, states)
    return ladder, sampled(header, found.rows, attempts)


def sampled(header: Header, rows: Rows, attempts: int | None = None) -> str:
    """A table of the states, for numpy.loadtxt: temperature of the momenta, energy, volume."""
    done = f"{len(rows)} attempts" + (f" of {attempts}" if attempts else "")
    lines = [f"# {done}, {header.steps} steps before each; means over the second half"]
    if not len(rows):
        return f"{lines[0]}\n# no attempt yet\n"
    lines.append("# state temperature_K kinetic_K error energy_eV error volume_A3 error")
    half = rows[len(rows) // 2 :]
    notes = []
    for s, kelvin in enumerate(header.temperatures_K):
        (kinetic, noise), energy, volume = (
            _mean(half[name][:, s]) for name in ("kinetic_K", "energy_eV", "volume_A3")
        )
        lines.append(
            f"{s:4d} {kelvin:9.2f} {kinetic:9.2f} {noise:7.2f} {energy[0]:15.6f} {energy[1]:9.2g} "
            f"{volume[0]:12.4f} {volume[1]:9.2g}"
        )
        off = abs(kinetic - kelvin)
        if (
            len(half) >= _FEW
            and kinetic > 0
            and off > max(_OFF_RELATIVE * kelvin, _OFF_SIGMA * noise)
        ):
            notes.append(
                f"# state {s}: momenta have {kinetic:.1f} K, expected {kelvin:g} K: the thermostat "
                "does not keep the temperature of its state, or has not yet reached it"
            )
    return "\n".join([*lines, *notes]) + "\n"


def _mean(values: Array) -> tuple[float, float]:
    if len(values) < 4 or not np.ptp(values):
        return float(values.mean()), 0.0
    return float(values.mean()), float(np.sqrt(variance_of_mean(values)))
