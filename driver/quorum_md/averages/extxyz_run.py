"""The averages of frames in an extended XYZ file that carries ``energy_ensemble``.

ASE writes eV, and so does every calculator of this package. Frames need ``step`` (or, said
explicitly, are numbered); the temperature must be given, and the potential that drove the frames is
known where ``energy`` agrees with the mean of the members.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import QuorumError
from ..units import thermal_energy_eV
from .checks import reference_energies
from .run import Run, Vocabulary, assemble, most_common_stride, positive_temperature
from .tables import Array, Column, PathLike, Table, current_branch

MEMBERS = "energy_ensemble"
DRIVING = "energy"
WORDS = Vocabulary(
    driving=DRIVING,
    temperature="temperature",
    volume="volume",
    no_observable=("step", "time"),
    momenta=("temperature", "kinetic"),
    forces=("pressure", "stress", "virial"),
    energies=(DRIVING,),
    where_pressure="average energy and volume in its place",
)
# key=value, key="…", key={…}; a key alone is a flag
_PAIR = re.compile(r'([A-Za-z_][\w./:-]*)\s*=\s*(?:"([^"]*)"|\{([^}]*)\}|(\S+))')
_ALLOWED_KT = 0.01
_ALLOWED_RELATIVE = 1e-7  # single precision models of large systems


def load_run(
    path: PathLike,
    *,
    temperature_K: float | None = None,
    reference: str | int | None = None,
    discard: str | float = 0,
) -> Run:
    """Read the energies of all frames; positions are passed over.

    Args:
        path: extended XYZ with ``energy_ensemble`` and ``step`` in every frame.
        temperature_K: of the frames.
        reference: what drove them: "mean", the index of a member, or the name of a number in the
            frames; None: the mean, if ``energy`` proves it.
        discard: as in `assemble`.

    Raises:
        QuorumError: no such file, frames without these, members that change in number, a
            temperature or reference that is not known.
    """
    frames = _comments(path)
    steps = _steps(path, frames)
    members = [_numbers(path, k, frame, MEMBERS) for k, frame in enumerate(frames)]
    if len({len(one) for one in members}) != 1:
        raise QuorumError(
            f"{path}: {MEMBERS} has {min(map(len, members))} to {max(map(len, members))} values, "
            "expected the same members in all frames"
        )
    energies_eV = np.array(members)
    if not np.isfinite(energies_eV).all():
        raise QuorumError(f"{path}: {MEMBERS} holds values that are not finite; cut the file there")
    if temperature_K is None:
        raise QuorumError(f"{path}: temperature: got none, expected --temperature in K")
    kelvin = positive_temperature(temperature_K)
    keep = current_branch(steps)
    table = Table(
        str(path),
        [Column("step", "", steps.astype(float)), *_columns(frames)],
        int((~keep).sum()),
        False,
        how_to_add="add {} to the frames (atoms.info in ASE)",
    )
    rows = np.flatnonzero(keep)
    driving, name, checked = _reference(path, table, rows, energies_eV[rows], reference, kelvin)
    volume = table.column("volume").values[rows] if table.has("volume") else None
    constant = volume is not None and bool(np.ptp(volume) <= 1e-9 * volume.mean())
    run = Run(
        table,
        rows,
        steps[rows],
        most_common_stride(steps[rows]) if len(rows) > 1 else 1,
        energies_eV[rows],
        driving,
        name,
        kelvin,
        0,
        (str(path),),
        checked,
        None,
        constant or None,
        WORDS,
        notes=("energies of extended XYZ are in eV, lengths in Å",),
    )
    return assemble(run, discard)


def is_extxyz(path: PathLike) -> bool:
    """By its first two lines: a number of atoms, and Properties= or Lattice=."""
    try:
        with open(path, "rb") as file:
            head = file.read(1 << 16).decode("utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return len(head) > 1 and head[0].strip().isdigit() and "Properties=" in head[1]


def _comments(path: PathLike) -> list[dict[str, str]]:
    """Pairs of the second line of every frame; a last frame cut short is left out."""
    frames: list[dict[str, str]] = []
    try:
        with open(path, encoding="utf-8") as file:
            number = 0
            while line := file.readline():
                number += 1
                if not line.strip():
                    continue
                if not line.strip().isdigit():
                    raise QuorumError(
                        f"{path}, line {number}: got {line.strip():.40s}, expected the number of "
                        "atoms of a frame; repair or cut the file there"
                    )
                n_atoms, comment = int(line), file.readline()
                last = ""
                for _ in range(n_atoms):
                    last = file.readline()
                if n_atoms and not last.endswith("\n"):
                    break
                number += n_atoms + 1
                frames.append(
                    {m[1]: next(v for v in m.groups()[1:] if v is not None)
                     for m in _PAIR.finditer(comment)}
                )  # fmt: skip
    except OSError as error:
        raise QuorumError(
            f"{path}: cannot be read ({error.strerror}); expected extended XYZ"
        ) from error
    except UnicodeDecodeError as error:
        raise QuorumError(f"{path}: is not text; expected extended XYZ") from error
    if not frames:
        raise QuorumError(f"{path}: holds no complete frame; the run has not written any yet")
    return frames


def _steps(path: PathLike, frames: Sequence[dict[str, str]]) -> NDArray[np.int64]:
    missing = [k for k, frame in enumerate(frames) if not frame.get("step", "").isdigit()]
    if missing:
        raise QuorumError(
            f"{path}: frame {missing[0]} has no whole number `step`, so frames cannot be told from "
            "repeated ones; write atoms.info['step'] with each frame"
        )
    return np.array([int(frame["step"]) for frame in frames], dtype=np.int64)


def _numbers(path: PathLike, index: int, frame: dict[str, str], key: str) -> Array:
    text = frame.get(key)
    if text is None:
        raise QuorumError(
            f"{path}: frame {index} has no {key}, expected the member energies in eV; write it "
            "with a committee as calculator (atoms.info['energy_ensemble'])"
        )
    try:
        return np.array(text.replace(",", " ").strip("[] ").split(), dtype=float)
    except ValueError as error:
        raise QuorumError(
            f"{path}: frame {index}: {key} is {text:.40s}, expected numbers in eV"
        ) from error


def _columns(frames: Sequence[dict[str, str]]) -> list[Column]:
    """Numbers that every frame has, and the volume of the cell."""
    columns = []
    for key in frames[0]:
        if key in (MEMBERS, "step", "Lattice", "Properties", "pbc"):
            continue
        try:
            values = np.array([float(frame[key]) for frame in frames])
        except (KeyError, ValueError):
            continue
        if np.isfinite(values).all():
            columns.append(Column(key, "electronvolt" if key.startswith(DRIVING) else "", values))
    try:
        cells = np.array([[float(x) for x in frame["Lattice"].split()] for frame in frames])
        volume = np.abs(np.linalg.det(cells.reshape(-1, 3, 3)))
        if not any(column.name == "volume" for column in columns):
            columns.append(Column("volume", "angstrom3", volume))
    except (KeyError, ValueError):
        pass
    return columns


def _reference(
    path: PathLike,
    table: Table,
    rows: NDArray[np.intp],
    energies_eV: Array,
    reference: str | int | None,
    kelvin: float,
) -> tuple[str | int | Array, str, bool]:
    """What drove the frames, in words, and whether ``energy`` proves it."""
    if isinstance(reference, str) and reference != "mean":
        return table.column(reference).values[rows], reference, False
    known = table.column(DRIVING).values[rows] if table.has(DRIVING) else None
    chosen: str | int = "mean" if reference is None else reference
    expected = reference_energies(energies_eV, chosen)
    if known is None:
        if reference is None:
            raise QuorumError(
                f"{path}: has no {DRIVING} in every frame, so it is not known what drove them; "
                "give --reference mean, the index of a member, or the name of a number in them"
            )
        return chosen, str(chosen), False
    allowed = _ALLOWED_KT * thermal_energy_eV(kelvin)
    allowed += _ALLOWED_RELATIVE * np.abs(known).max()
    # a constant between the two has no consequence
    off = float(np.std(expected - known))
    if off > allowed:
        raise QuorumError(
            f"{path}: {DRIVING} fluctuates by {off:.3g} eV against "
            f"{'the mean of the members' if chosen == 'mean' else f'member {chosen}'}, expected "
            f"less than {allowed:.2g} eV; say what drove the frames: --reference energy if the "
            "number in the frames did, or the index of a member"
        )
    return chosen, str(chosen), True
