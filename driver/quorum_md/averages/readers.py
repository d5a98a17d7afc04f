"""Every kind of file that averages can be made from, behind one call.

A reader says by the first lines of a file whether it is its own, and turns a `Request` into a
`Run`; another kind of file is another entry of `read_run`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import QuorumError
from . import extxyz_run, ipi_run, lammps_run, records
from .lammps_log import looks_like_a_log
from .run import Run
from .tables import PathLike


@dataclass(frozen=True)
class Request:
    """What the user asks for; what a reader does not know, it refuses.

    Attributes:
        files: of one run, in the order of its restarts.
        committee: files of the member energies where they are apart.
        input_path: i-PI's input.
        temperature_K: of the run, where the files do not say it.
        reference: what drove the run: "mean", a member, the name of a column; None: as the files
            say, or the mean.
        discard: frames to leave out at the start: "auto", a number, or a fraction below 1.
        committee_unit: of member energies in i-PI's extras.
        members, lammps_units, runs: `members`, `units` and `runs` of `lammps_run.load_run`.
    """

    files: tuple[PathLike, ...]
    committee: tuple[PathLike, ...] = ()
    input_path: PathLike | None = None
    temperature_K: float | None = None
    reference: str | int | None = None
    discard: str | float = 0
    committee_unit: str = "hartree"
    members: str | None = None
    lammps_units: str | None = None
    runs: tuple[int, ...] | None = None


def read_run(request: Request) -> Run:
    """The run in the files of a request.

    Raises:
        QuorumError: as the readers (`ipi_run.load_run`, `lammps_run.load_run`,
            `extxyz_run.load_run`).
    """
    if request.files and request.input_path is None and extxyz_run.is_extxyz(request.files[0]):
        if len(request.files) > 1 or request.committee:
            raise QuorumError(
                f"{request.files[0]}: extended XYZ has frames and members in one file, but got "
                f"{len(request.files) + len(request.committee)}; give one (--also pools others)"
            )
        return extxyz_run.load_run(
            request.files[0],
            temperature_K=request.temperature_K,
            reference=request.reference,
            discard=request.discard,
        )
    if request.files and request.input_path is None and is_lammps_log(request.files[0]):
        return lammps_run.load_run(
            request.files,
            committee=request.committee,
            members=request.members,
            temperature_K=request.temperature_K,
            units=request.lammps_units,
            reference=request.reference,
            runs=request.runs,
            discard=request.discard,
        )
    for option, value in (
        ("--members", request.members),
        ("--lammps-units", request.lammps_units),
        ("--runs", request.runs),
    ):
        if value is not None:
            what = request.files[0] if request.files else request.input_path
            raise QuorumError(f"{what}: is no LAMMPS log, but got {option}; leave it out")
    if len(request.files) > 1:
        raise QuorumError(
            f"{request.files[1]}: i-PI appends to one properties file, but got "
            f"{len(request.files)} files; give one, and the extras after --committee"
        )
    properties, committee = ipi_run.files_of(
        request.files[0] if request.files else None, request.committee, request.input_path
    )
    return ipi_run.load_run(
        properties,
        committee,
        temperature_K=request.temperature_K,
        input_path=request.input_path,
        reference="mean" if request.reference is None else request.reference,
        discard=request.discard,
        committee_unit=request.committee_unit,
    )


def request_of(files: Sequence[PathLike], **options: Any) -> Request:
    """The request for one run by its files alone: an i-PI input, or what `Request.files` takes."""
    if len(files) == 1 and str(files[0]).endswith(".xml"):
        return Request(files=(), input_path=files[0], **options)
    return Request(files=tuple(files), **options)


def read_runs(request: Request) -> list[Run]:
    """The runs of a request: those of a record, or the one of other files.

    Raises:
        QuorumError: as `read_run` and `records.read_records`.
    """
    if not request.files or not records.is_record(request.files[0]):
        return [read_run(request)]
    if len(request.files) > 1 or request.committee or request.input_path is not None:
        raise QuorumError(
            f"{request.files[0]}: a record has everything of its runs, but other files were given "
            "with it; give it alone (--also pools others)"
        )
    if request.temperature_K is not None or request.reference is not None:
        raise QuorumError(
            f"{request.files[0]}: a record says the temperature and what drove its runs; leave out "
            "--temperature and --reference"
        )
    return records.read_records(request.files[0], discard=request.discard)


def is_lammps_log(path: PathLike) -> bool:
    """By its first part; a file without marks of any program, by its name."""
    try:
        with open(path, "rb") as file:
            text = file.read(1 << 20).decode("utf-8", errors="replace")
    except OSError:
        text = ""
    name = Path(path).name
    return looks_like_a_log(text) or (
        not text.startswith("#") and (name.startswith("log.") or name.endswith((".log", ".lammps")))
    )
