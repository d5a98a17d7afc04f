"""The averages of frames in an extended XYZ file that carries ``energy_ensemble``.

ASE writes eV, and so does every calculator of this package. Frames need ``step`` (or, said
explicitly, are numbered); the temperature must be given, and the potential that drove the frames is
known where ``energy`` agrees with the mean of the members.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from ..errors import QuorumError
from ..units import thermal_energy_eV
from .checks import reference_energies
from .run import Run, Vocabulary, assemble, most_common_stride, positive_temperature
from .tables import Array, Column, PathLike, Table, current_branch, taken
from .text_rows import GrownArray

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
_CHUNK_FRAMES = 1000  # parsed at once
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
    frames = _Frames(path)
    for comment in _comments(path):
        frames.add({m[1]: next(v for v in m.groups()[1:] if v is not None)
                    for m in _PAIR.finditer(comment)})  # fmt: skip
    steps, energies_eV = frames.steps(), frames.members()
    if not np.isfinite(energies_eV).all():
        raise QuorumError(f"{path}: {MEMBERS} holds values that are not finite; cut the file there")
    if temperature_K is None:
        raise QuorumError(f"{path}: temperature: got none, expected --temperature in K")
    kelvin = positive_temperature(temperature_K)
    keep = current_branch(steps)
    energies_eV = taken(energies_eV, keep)
    table = Table(
        str(path),
        [Column("step", "", steps.astype(float)), *frames.columns()],
        int((~keep).sum()),
        False,
        how_to_add="add {} to the frames (atoms.info in ASE)",
    )
    rows = np.flatnonzero(keep)
    driving, name, checked = _reference(path, table, rows, energies_eV, reference, kelvin)
    volume = table.column("volume").values[rows] if table.has("volume") else None
    constant = volume is not None and bool(np.ptp(volume) <= 1e-9 * volume.mean())
    run = Run(
        table,
        rows,
        steps[rows],
        most_common_stride(steps[rows]) if len(rows) > 1 else 1,
        energies_eV,
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


def _comments(path: PathLike) -> Iterator[str]:
    """The second line of every frame; a last frame cut short is left out."""
    n_frames = 0
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
                n_frames += 1
                yield comment
    except OSError as error:
        raise QuorumError(
            f"{path}: cannot be read ({error.strerror}); expected extended XYZ"
        ) from error
    except UnicodeDecodeError as error:
        raise QuorumError(f"{path}: is not text; expected extended XYZ") from error
    if not n_frames:
        raise QuorumError(f"{path}: holds no complete frame; the run has not written any yet")


class _Frames:
    """Numbers of all frames, put together from the pairs of one after the other."""

    def __init__(self, path: PathLike) -> None:
        self._path = path
        self._n_frames = 0
        self._problems: dict[str, str] = {}  # the first of its kind; told when all frames are read
        self._steps = array("q")
        self._numbers: dict[str, array[float]] = {}  # those that every frame has
        self._cells: array[float] | None = array("d")
        self._texts: list[str] = []  # members that are not parsed yet
        self._members: GrownArray | None = None
        self._widths: set[int] = set()

    def add(self, pairs: Mapping[str, str]) -> None:
        """One frame."""
        index = self._n_frames
        self._n_frames += 1
        members = pairs.get(MEMBERS)
        if not pairs.get("step", "").isdigit():
            self._problems.setdefault(
                "step",
                f"{self._path}: frame {index} has no whole number `step`, so frames cannot be told "
                "from repeated ones; write atoms.info['step'] with each frame",
            )
        elif members is None:
            self._problems.setdefault(
                "members",
                f"{self._path}: frame {index} has no {MEMBERS}, expected the member energies in "
                "eV; write it with a committee as calculator (atoms.info['energy_ensemble'])",
            )
        if self._problems or members is None:
            return
        if not index:
            other = (MEMBERS, "step", "Lattice", "Properties", "pbc")
            self._numbers = {key: array("d") for key in pairs if key not in other}
        for key, values in list(self._numbers.items()):
            try:
                values.append(float(pairs[key]))
            except (KeyError, ValueError):
                del self._numbers[key]
        if self._cells is not None:
            try:
                cell = [float(x) for x in pairs["Lattice"].split()]
            except (KeyError, ValueError):
                cell = []
            self._cells.extend(cell)
            if len(cell) != 9:
                self._cells = None
        self._steps.append(int(pairs["step"]))
        self._texts.append(members.replace(",", " ").strip("[] "))
        if len(self._texts) == _CHUNK_FRAMES:
            self._parse()

    def steps(self) -> NDArray[np.int64]:
        """(n,) steps.

        Raises:
            QuorumError: frames without steps or members, members that are not numbers.
        """
        self._parse()
        for kind in ("step", "members", "numbers"):
            if kind in self._problems:
                raise QuorumError(self._problems[kind])
        return np.array(self._steps, dtype=np.int64)

    def members(self) -> Array:
        """(n, K) member energies in eV.

        Raises:
            QuorumError: not equally many in all frames.
        """
        if len(self._widths) != 1:
            raise QuorumError(
                f"{self._path}: {MEMBERS} has {min(self._widths)} to {max(self._widths)} values, "
                "expected the same members in all frames"
            )
        assert self._members is not None
        return self._members.values()

    def columns(self) -> list[Column]:
        """Finite numbers that every frame has, and the volume of the cell."""
        columns = []
        for key, found in self._numbers.items():
            values = np.array(found)
            if np.isfinite(values).all():
                unit = "electronvolt" if key.startswith(DRIVING) else ""
                columns.append(Column(key, unit, values))
        if self._cells is not None and not any(column.name == "volume" for column in columns):
            cells = np.array(self._cells).reshape(-1, 3, 3)
            columns.append(Column("volume", "angstrom3", np.abs(np.linalg.det(cells))))
        return columns

    def _parse(self) -> None:
        texts, self._texts = self._texts, []
        if not texts:
            return
        try:
            block = np.loadtxt(texts, comments=None, ndmin=2)
        except ValueError:
            block = np.empty((0, 0))
        if len(block) == len(texts):
            self._widths.add(block.shape[1])
        else:
            for index, text in enumerate(texts, len(self._steps) - len(texts)):
                self._check(index, text)
        if self._members is None:
            self._members = GrownArray(block.shape[1])
        if len(self._widths) == 1:
            self._members.extend(block)

    def _check(self, index: int, text: str) -> None:
        try:
            self._widths.add(len(np.array(text.split(), dtype=float)))
        except ValueError:
            self._problems.setdefault(
                "numbers",
                f"{self._path}: frame {index}: {MEMBERS} is {text:.40s}, expected numbers in eV",
            )


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
