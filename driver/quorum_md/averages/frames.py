"""One run from its two files: rows matched by step, and proof that they belong together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import QuorumError
from ..units import HARTREE_EV, TIME_FS
from .ipi_files import HOW_TO_ADD, CommitteeEnergies
from .run import most_common_stride
from .tables import Table, energy_unit_eV, taken

Array = NDArray[np.float64]
Steps = NDArray[np.int64]

# i-PI prints 9 digits, its eV differs from CODATA by 9e-8, models may run in single precision
_RELATIVE_DIGITS = 3e-7
_ALLOWED_KT = 0.1  # a reference that is wrong by less changes no average visibly


@dataclass(frozen=True)
class MatchedFrames:
    """Frames that both files have.

    Attributes:
        steps: (n,) increasing.
        rows: (n,) rows of the property table.
        energies_eV: (n, K).
        stride: most common distance of the steps.
    """

    steps: Steps
    rows: NDArray[np.intp]
    energies_eV: Array

    @property
    def stride(self) -> int:
        """Most common distance between steps."""
        return most_common_stride(self.steps)


def table_steps(table: Table, timestep_fs: float | None = None) -> Steps:
    """(n,) steps of a properties file: its `step` column, or `time` over a known time step.

    Raises:
        QuorumError: neither is there, or the times are no multiples of the time step.
    """
    if table.has("step"):
        values = table.column("step").values
        steps = np.rint(values).astype(np.int64)
        if not (np.abs(values - steps) < 1e-6).all():
            raise QuorumError(
                f"{table.path}: column step holds {values[np.abs(values - steps) >= 1e-6][0]:g}, "
                "expected whole numbers; the file is damaged"
            )
        return steps
    advice = HOW_TO_ADD.format("step")
    if not table.has("time") or timestep_fs is None:
        raise QuorumError(
            f"{table.path}: has no column step, so its rows cannot be matched with the member "
            f"energies; {advice}, or give --input where it has a time column"
        )
    column = table.column("time")
    unit_fs = TIME_FS.get(column.unit)
    if unit_fs is None:
        raise QuorumError(
            f"{table.path}: column time is in {column.unit}, expected "
            f"one of {', '.join(TIME_FS)}; {advice}"
        )
    ratio = column.values * unit_fs / timestep_fs
    steps = np.rint(ratio).astype(np.int64)
    if np.abs(ratio - steps).max() > 0.05 or len(np.unique(steps)) != len(steps):
        raise QuorumError(
            f"{table.path}: column time is no multiple of the time step of {timestep_fs:g} fs, so "
            f"rows cannot be matched with the member energies; {advice}"
        )
    return steps


def match_frames(
    table: Table, committee: CommitteeEnergies, timestep_fs: float | None = None
) -> MatchedFrames:
    """The steps that a properties file and a committee file share.

    Raises:
        QuorumError: fewer than two, or the steps of the table cannot be established.
    """
    steps = table_steps(table, timestep_fs)
    shared, rows, frames = np.intersect1d(
        steps, committee.steps, assume_unique=True, return_indices=True
    )
    if len(shared) < 2:
        raise QuorumError(
            f"{table.path} (steps {_range(steps)}) and {committee.paths[0]} (steps "
            f"{_range(committee.steps)}) have {len(shared)} step(s) in common, expected at least 2 "
            "from one run; give files of the same run, with strides that share steps"
        )
    return MatchedFrames(shared, rows, taken(committee.energies_eV, frames))


def frames_alone(table: Table, driving: str, timestep_fs: float | None = None) -> MatchedFrames:
    """All rows with the energy of the one potential that there is.

    Raises:
        QuorumError: no such column, or the steps of the table cannot be established.
    """
    steps = table_steps(table, timestep_fs)
    return MatchedFrames(steps, np.arange(len(steps)), energy_column_eV(table, driving)[:, None])


def check_driving_potential(
    potential_eV: Array,
    energies_eV: Array,
    *,
    reference: str | int,
    kT_eV: float,
    table: str,
    committee: Sequence[str],
) -> None:
    """Refuse files in which the committee's reference is not the potential that drove the run.

    Args:
        potential_eV: (n,) i-PI's own potential energy in the matched frames.
        energies_eV: (n, K).
        reference: "mean" or the index of a member.
        kT_eV: of the run.
        table, committee: names of the files.
    """
    expected = energies_eV.mean(axis=1) if reference == "mean" else energies_eV[:, int(reference)]
    allowed = _ALLOWED_KT * kT_eV + _RELATIVE_DIGITS * np.abs(potential_eV).max()
    error = _rms(expected - potential_eV)
    if error <= allowed:
        return
    what = "mean of the members" if reference == "mean" else f"energy of member {reference}"
    advice = (
        "give the two files of one run (all beads of it), or --reference potential if another "
        "potential drove it, such as a weighted baseline"
    )
    n_members = energies_eV.shape[1]
    by_member = [_rms(energies_eV[:, i] - potential_eV) for i in range(n_members)]
    best = int(np.argmin(by_member))
    if _rms(expected / HARTREE_EV - potential_eV) <= allowed:
        advice = "the member energies seem to be in eV: give --committee-unit electronvolt"
    elif by_member[best] <= allowed:
        advice = f"member {best} drove this run: give --reference {best}"
    elif reference != "mean" and _rms(energies_eV.mean(axis=1) - potential_eV) <= allowed:
        advice = "the mean of the members drove this run: leave out --reference"
    raise QuorumError(
        f"{committee[0]}: the {what} differs from the column potential of {table} by {error:.3g} "
        f"eV (rms over {len(potential_eV)} frames), expected less than {allowed:.2g} eV; {advice}"
    )


def energy_column_eV(table: Table, name: str) -> Array:
    """(n,) a column of the table in eV.

    Raises:
        QuorumError: no such column, a vector, or not an energy.
    """
    column = table.column(name)
    factor = energy_unit_eV(column.unit)
    if factor is None or column.values.ndim != 1:
        raise QuorumError(
            f"{table.path}: column {name} is in {column.unit}, expected one energy per frame"
        )
    return column.values * factor


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _range(steps: Steps) -> str:
    if len(steps) == 1:
        return str(steps[0])
    stride = np.unique(np.diff(steps))
    every = f" every {stride[0]}" if len(stride) == 1 else ""
    return f"{steps[0]} to {steps[-1]}{every}"
