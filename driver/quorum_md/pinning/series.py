"""What every run of interface pinning is asked: where equilibrium starts, means, errors, blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..averages.timeseries import frames_to_discard, variance_of_mean
from ..units import EV_A3_GPA, thermal_energy_eV
from .jobs_on_disk import Job

Array = NDArray[np.float64]

# rows from which a mean with an error can be made at all
FEWEST_FRAMES = 32


@dataclass(frozen=True)
class Kept:
    """A job and the first row that counts.

    Attributes:
        job: as read.
        start: rows before it are equilibration.
    """

    job: Job
    start: int

    def __getitem__(self, column: str) -> Array:
        """(n,) of a column, in equilibrium."""
        return self.job[column][self.start :]

    @property
    def members_eV(self) -> Array:
        """(n, K) member energies, in equilibrium."""
        return self.job.members_eV[self.start :]

    @property
    def n_frames(self) -> int:
        """Rows in equilibrium."""
        return self.job.n_frames - self.start

    @property
    def kT_eV(self) -> float:
        """Of the temperature that was asked for."""
        return thermal_energy_eV(self.job.temperature_K)

    @property
    def enthalpy_eV(self) -> Array:
        """(n,) U + P V of the box; the kinetic part is the same in both phases."""
        return self["potential_eV"] + self.job.pressure_GPa / EV_A3_GPA * self["volume_A3"]


def kept(job: Job, discard: str | float = "auto") -> Kept:
    """The job without its equilibration.

    Args:
        discard: "auto" (the latest cut that order parameter, energy and volume ask for, at most
            half of the run), a number of rows, or a fraction.
    """
    if job.n_frames < FEWEST_FRAMES:
        return Kept(job, 0)
    series = (job[name] for name in ("q", "potential_eV", "volume_A3"))
    return Kept(job, frames_to_discard(discard, *series, n_frames=job.n_frames))


@dataclass(frozen=True)
class Mean:
    """A mean and its sampling error.

    Attributes:
        independent: frames that count as independent.
    """

    value: float
    error: float
    independent: float


def mean_of(series: Array) -> Mean:
    """The mean of one correlated series (n,)."""
    return _means(series[:, None])[0]


def block_averages(series: Array, n_blocks: int) -> list[Mean]:
    """Means of equal parts of a series, each at least 16 rows long; a rest of the start is left."""
    n_blocks = max(1, min(n_blocks, len(series) // 16))
    length = len(series) // n_blocks
    return _means(series[len(series) - n_blocks * length :].reshape(n_blocks, length).T)


def _means(columns: Array) -> list[Mean]:
    error2 = variance_of_mean(columns)
    variance = columns.var(axis=0, ddof=1)
    # of a constant every frame counts
    free = np.where(error2 > 0, variance / np.where(error2 > 0, error2, 1.0), len(columns))
    rows = zip(columns.mean(axis=0), np.sqrt(error2), free, strict=True)
    return [Mean(float(mean), float(error), float(n)) for mean, error, n in rows]
