"""Jobs of interface pinning on disk: a folder each, with what it is and what it recorded.

    job.json     what the job is, see `Job`
    series.dat   a row for every interval; the last line of its header names the columns:
                 time_fs temperature_K potential_eV volume_A3 lx_A ly_A lz_A
                 pxx_GPa pyy_GPa pzz_GPa q bias_eV, and member_0_eV … with a committee

potential_eV is the physical potential, without the bias; q the order parameter in its own unit.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import QuorumError

Array = NDArray[np.float64]

JOB, SERIES = "job.json", "series.dat"
KINDS = ("solid", "liquid", "pinned")
COLUMNS = (
    "time_fs", "temperature_K", "potential_eV", "volume_A3", "lx_A", "ly_A", "lz_A",
    "pxx_GPa", "pyy_GPa", "pzz_GPa", "q", "bias_eV",
)  # fmt: skip
_MEMBER = re.compile(r"member_(\d+)_eV")
_CONTROL = re.compile(r"K-\d+-(.+)$")


@dataclass(frozen=True)
class Job:
    """One run: what was asked for, and its series.

    Attributes:
        kind: "solid", "liquid" (bulk, at constant pressure) or "pinned" (two phases and a bias).
        counts: atoms of each element.
        kappa_eV, center: of the bias κ/2 (Q − a)², κ in eV over the square of the unit of Q; None
            for a bulk run.
        order_parameter: the variable, as its input says it; the same in all jobs of a folder.
        driven_by: "mean" of the members, or the index of one.
        status: "running", "done" or "failed" (then `reason` says why).
        liquid_fraction: of the first element in the melt, for a phase diagram; None otherwise.
        control: what a job varies for a control of its own ("kappa2x", "size2x"), or None.
        potential: identifies the model; compared where it is given.
        columns: name → (n,) numbers, in the units of the names.
        members_eV: (n, K) energies of the members; K = 0 without a committee.
    """

    folder: str
    kind: str
    temperature_K: float
    pressure_GPa: float
    counts: dict[str, int]
    n_atoms: int
    order_parameter: str
    interval_fs: float
    columns: dict[str, Array]
    members_eV: Array
    kappa_eV: float | None = None
    center: float | None = None
    n_members: int = 0
    driven_by: str | int = "mean"
    seed: int = 0
    elements: tuple[str, ...] = ()
    engine: str = ""
    status: str = "done"
    start: str = ""
    frozen_axis: int = 2
    attempt: int = 0
    reason: str | None = None
    liquid_fraction: float | None = None
    control: str | None = None
    potential: str | None = None

    def __getitem__(self, column: str) -> Array:
        return self.columns[column]

    @property
    def name(self) -> str:
        """Of its folder."""
        return Path(self.folder).name

    @property
    def n_frames(self) -> int:
        """Rows of the series."""
        return len(self.columns["q"])

    @property
    def composition(self) -> tuple[float, ...]:
        """Fractions of the elements, in the order of `counts`."""
        return tuple(n / self.n_atoms for n in self.counts.values())


_ASKED = {f.name for f in fields(Job)} - {"folder", "columns", "members_eV"}
_NEEDED = (
    "kind", "temperature_K", "pressure_GPa", "counts", "n_atoms", "order_parameter", "interval_fs",
)  # fmt: skip


def read_job(folder: str | Path) -> Job:
    """One job folder.

    Raises:
        QuorumError: no job there, or files that cannot be one.
    """
    asked = _asked(Path(folder) / JOB)
    names, numbers = _series(Path(folder) / SERIES, int(asked.get("n_members", 0)))
    finite = np.isfinite(numbers).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        column = int(np.argmin(np.isfinite(numbers[row])))
        asked["status"] = "failed"
        asked["reason"] = (
            f"{names[column]} of row {row + 1} is {numbers[row, column]}, expected finite numbers: "
            "this run blew up; run it again with a smaller time step"
        )
        numbers = numbers[:row]
    member = [k for k, name in enumerate(names) if _MEMBER.fullmatch(name)]
    columns = {name: numbers[:, k] for k, name in enumerate(names) if k not in member}
    members = numbers[:, member]
    found = _CONTROL.search(Path(folder).name)
    if asked.get("control") is None and found:
        asked["control"] = found[1]
    asked["elements"] = tuple(asked.get("elements", asked["counts"]))
    return Job(folder=str(folder), columns=columns, members_eV=members, **asked)


def read_jobs(folder: str | Path) -> list[Job]:
    """All jobs below a folder that have begun to record, by name.

    Raises:
        QuorumError: no folder, no job in it, or files that cannot be one.
    """
    root = Path(folder)
    if not root.is_dir():
        raise QuorumError(f"{folder}: there is no such folder; give the output folder of pin run")
    found = sorted(path.parent for path in root.glob(f"*/{JOB}"))
    if not found:
        raise QuorumError(
            f"{folder}: holds no job of interface pinning ({JOB} and {SERIES} in a folder each); "
            "run `quorum pin run` first, or give its output folder"
        )
    return [read_job(one) for one in found if _begun(one / SERIES)]


def _begun(path: Path) -> bool:
    """Whether a header is written, of one line at least."""
    try:
        return b"\n" in path.read_bytes()
    except OSError:
        return False


def _asked(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise QuorumError(f"{path}: cannot be read as JSON ({error}); run this job again") from None
    missing = [key for key in _NEEDED if key not in content]
    if missing:
        raise QuorumError(f"{path}: {missing[0]}: this key is missing; run this job again")
    if content["kind"] not in KINDS:
        raise QuorumError(f"{path}: kind: got {content['kind']!r}, expected {', '.join(KINDS)}")
    if content["kind"] == "pinned" and None in (content.get("kappa_eV"), content.get("center")):
        raise QuorumError(f"{path}: kappa_eV, center: expected both for a pinned run, got none")
    if sum(content["counts"].values()) != content["n_atoms"]:
        raise QuorumError(
            f"{path}: counts: add up to {sum(content['counts'].values())}, expected n_atoms = "
            f"{content['n_atoms']}"
        )
    return {key: value for key, value in content.items() if key in _ASKED}


def _series(path: Path, n_members: int) -> tuple[list[str], Array]:
    """Names and (n, names) numbers; a last row that is still being written is left."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise QuorumError(
            f"{path}: cannot be read ({error.strerror}); run this job again"
        ) from None
    lines = text[: text.rfind("\n") + 1].splitlines()
    header = [line for line in lines if line.startswith("#")]
    rows = [line for line in lines if line and not line.startswith("#")]
    names = header[-1].lstrip("# ").split() if header else []
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise QuorumError(
            f"{path}: has no column {missing[0]}; expected its last header line to name "
            f"{' '.join(COLUMNS)}"
        )
    try:
        numbers = np.loadtxt(rows, ndmin=2) if rows else np.empty((0, len(names)))
    except ValueError as error:
        raise QuorumError(f"{path}: is no table of numbers ({error})") from None
    if numbers.shape[1] != len(names):
        raise QuorumError(
            f"{path}: has {numbers.shape[1]} numbers in a row, expected the {len(names)} columns "
            "of its header"
        )
    n_found = sum(_MEMBER.fullmatch(name) is not None for name in names)
    if n_found != n_members:
        raise QuorumError(
            f"{path}: has {n_found} columns member_i_eV, expected {n_members} (n_members of {JOB})"
        )
    return names, numbers
