"""What one job of any kind must be: done, alike to the others, and what it says. See `refusals`."""

from __future__ import annotations

import numpy as np

from .jobs_on_disk import Job
from .refusals import Refusal
from .series import FEWEST_FRAMES, Kept, mean_of

_TEMPERATURE_OFF = 0.01
# what jobs of one temperature have in common
_SHARED = ("temperature_K", "pressure_GPa", "order_parameter", "n_members", "driven_by", "elements",
           "potential")  # fmt: skip


def gave_up(run: Kept) -> Refusal | None:
    """A job that says so itself, or has nearly nothing on record."""
    job = run.job
    if job.status == "failed":
        return Refusal("failed", f"{job.name} failed: {job.reason or 'it gives no reason'}")
    if job.n_frames < FEWEST_FRAMES:
        sentence = f"{job.name} has {job.n_frames} rows, expected at least {FEWEST_FRAMES}"
        return Refusal("short", sentence, {"rows": job.n_frames})
    return None


def unlike(run: Kept, other: Job) -> Refusal | None:
    """Jobs of another temperature, potential, …"""
    for key in _SHARED:
        mine, its = getattr(run.job, key), getattr(other, key)
        if mine != its and None not in (mine, its):
            sentence = f"{key} is {mine} in {run.job.name} and {its} in {other.name}"
            return Refusal("mixed", sentence)
    return None


def untrue(one: Kept) -> Refusal | None:
    """A job at another temperature than it says, or with energies that are not its members'."""
    job = one.job
    kelvin = mean_of(one["temperature_K"])
    off = abs(kelvin.value - job.temperature_K)
    if off > _TEMPERATURE_OFF * job.temperature_K + 5 * kelvin.error:
        sentence = (
            f"{job.name} is at {kelvin.value:.1f} ± {kelvin.error:.1f} K, expected "
            f"{job.temperature_K:g} K"
        )
        return Refusal("mixed", sentence, {"temperature_K": kelvin.value})
    if job.n_members and job.driven_by == "mean":
        off = float(np.abs(one.members_eV.mean(axis=1) - one["potential_eV"]).max())
        if off > 1e-4 + 1e-6 * float(np.abs(one["potential_eV"]).max()):
            sentence = (
                f"the energy of {job.name} is up to {off:.3g} eV from the mean of its members, "
                "which is said to have driven it"
            )
            return Refusal("mixed", sentence, {"off_eV": off})
    return None
