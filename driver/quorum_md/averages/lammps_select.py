"""Which tables of which logs form one run, and which columns are the members' energies.

A log may hold minimisations, equilibration, several temperatures, restarts. The last run decides;
tables with other settings are left out, and every decision is a note for the user.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import QuorumError
from .lammps_log import LammpsLog, ThermoTable
from .lammps_script import Ensemble, Script, follow
from .run import most_common_stride
from .tables import Array, current_branch, taken

_VECTOR = re.compile(r"([cfv]_\w+)\[(\d+)\]$")
_SAME_TEMPERATURE = 1e-3


@dataclass(frozen=True)
class Segment:
    """A thermo table with the state of the script it was written in; `number` counts from 1."""

    number: int
    table: ThermoTable
    script: Script
    ensemble: Ensemble

    @property
    def where(self) -> str:
        """For messages."""
        return f"run {self.number} ({self.table.path}, line {self.table.line})"

    def settings(self) -> tuple[object, ...]:
        """What two tables must share to be one run."""
        e = self.ensemble
        return (e.temperature_K, e.pressure, e.constant_volume, self.script.pair,
                self.script.system, self.script.units)  # fmt: skip

    def describe(self) -> str:
        """Its settings in words."""
        e = self.ensemble
        words = [f"{e.temperature_K:g} K" if e.temperature_K is not None else "no thermostat"]
        if e.pressure is not None:
            words.append(f"pressure {e.pressure:g}")
        elif e.constant_volume:
            words.append("constant volume")
        if self.script.pair_style:
            words.append("pair_style " + " ".join(self.script.pair_style[:2]))
        return ", ".join(words)


@dataclass(frozen=True)
class Selection:
    """Rows of one run, put together from its tables.

    Attributes:
        path: names of the logs.
        last: the segment that decides.
        values: column name -> (n,); those that all tables have.
        last_digits: column name -> size of the last printed digit.
        steps: (n,) increasing.
        stride: most common distance of the steps.
        n_atoms: None if it is not known.
        abandoned: rows whose steps a later run repeated (more than the first row of each run).
        notes: what was left out.
    """

    path: str
    last: Segment
    values: dict[str, Array]
    last_digits: dict[str, float]
    steps: NDArray[np.int64]
    stride: int
    n_atoms: int | None
    abandoned: int
    notes: tuple[str, ...]


def segments(logs: Sequence[LammpsLog]) -> list[Segment]:
    """All tables of several logs, in the order of their first steps."""
    found: list[Segment] = []
    state = Script()
    for log in sorted(logs, key=lambda one: int(one.tables[0].steps[0])):
        lines = [table.line for table in log.tables]
        for table, script in zip(log.tables, follow(log.commands, lines, state), strict=True):
            found.append(Segment(len(found) + 1, table, script, script.ensemble()))
            state = script
    return found


def select(
    all_segments: Sequence[Segment],
    members: str,
    *,
    temperature_K: float | None,
    numbers: Sequence[int] | None,
    commands: Sequence[str] = ("run", ""),
) -> Selection:
    """The rows of one run.

    Args:
        members: the vector that must be there, "c_members"; "" if none need be.
        temperature_K: takes only runs at this temperature, where the log says it.
        numbers: takes only these tables.
        commands: that wrote tables of interest.

    Raises:
        QuorumError: nothing is left, or what is left is not one run.
    """
    notes: list[str] = []
    chosen = list(all_segments)
    path = ", ".join(dict.fromkeys(s.table.path for s in chosen))
    if numbers is not None:
        absent = [n for n in numbers if not 1 <= n <= len(chosen)]
        if absent:
            raise QuorumError(
                f"{path}: has no run {absent[0]}, expected numbers from 1 to {len(chosen)}; choose "
                "others with --runs"
            )
        chosen = [s for s in chosen if s.number in numbers]
    chosen = _drop(chosen, lambda s: s.table.command in commands, "no molecular dynamics", notes,
                   lambda s: s.table.command)  # fmt: skip
    if not chosen:
        raise QuorumError(
            f"{path}: holds no molecular dynamics, only {notes[-1].split(': ')[-1]}; expected the "
            "log of a `run`"
        )
    if members:
        chosen = _drop(chosen, lambda s: f"{members}[1]" in s.table.names,
                       f"without {members}[1]", notes, lambda s: "")  # fmt: skip
    if temperature_K is not None:
        known = sorted({s.ensemble.temperature_K for s in chosen if s.ensemble.temperature_K})
        chosen = [s for s in chosen if _at(s, temperature_K)]
        if not chosen:
            raise QuorumError(
                f"{path}: temperature: got {temperature_K:g} K, but its runs are at "
                f"{', '.join(f'{value:g}' for value in known)} K; give one of these, or none"
            )
    # a last `run 0` is an evaluation, not a run
    deciding = [s for s in chosen if len(s.table.values) > 1] or chosen
    last = deciding[-1]
    same = [s for s in chosen if s.settings() == last.settings()]
    if len(same) < len(chosen):
        left = [s for s in chosen if s not in same]
        listed = "; ".join(dict.fromkeys(f"{s.describe()}" for s in left))
        notes.append(
            f"left out: {_runs(left)} with other settings ({listed}) than the last one "
            f"({last.describe()}); --runs or --temperature chooses others"
        )
    _check_independent(same)
    return _join(path, same, last, notes)


def member_vector(all_segments: Sequence[Segment], wanted: str | None) -> str:
    """The name of the vector with the members' energies, "c_members".

    One that the user names; that of a `compute … pair quorum`; or the only one whose mean is the
    potential energy; "" if there is none: no committee.

    Raises:
        QuorumError: not the one that was named, or several.
    """
    path = ", ".join(dict.fromkeys(s.table.path for s in all_segments))
    found: dict[str, list[Segment]] = {}
    for segment in all_segments:
        for name in segment.table.names:
            match = _VECTOR.match(name)
            if match:
                holders = found.setdefault(match[1], [])
                if segment not in holders:
                    holders.append(segment)
    if wanted is not None:
        name = wanted.removesuffix("[*]")
        for candidate in (name, f"c_{name}", f"f_{name}", f"v_{name}"):
            if candidate in found:
                return candidate
        raise QuorumError(
            f"{path}: has no columns {name}[1], {name}[2], …; it has the vectors "
            f"{', '.join(found) or '(none)'}; choose one of these with --members"
        )
    ours = [name for name, holders in found.items() if any(_is_ours(s, name) for s in holders)]
    likely = ours or [
        name for name, holders in found.items() if any(_mean_is_potential(s, name) for s in holders)
    ]
    if not likely:
        return ""
    if len(likely) == 1:
        return likely[0]
    raise QuorumError(
        f"{path}: has the vectors {', '.join(found)}, but several could be members; expected the "
        "energies of the members, choose with --members"
    )


def member_columns(selection: Selection, name: str) -> list[str]:
    """The columns of a vector, checked for gaps.

    Raises:
        QuorumError: a member is missing.
    """
    indices = sorted(
        int(match[2])
        for column in selection.values
        if (match := _VECTOR.match(column)) and match[1] == name
    )
    if indices != list(range(1, len(indices) + 1)):
        missing = next(k for k in range(1, max(indices, default=1) + 1) if k not in indices)
        raise QuorumError(
            f"{selection.path}: has members up to {name}[{max(indices, default=0)}], but not "
            f"{name}[{missing}]; expected all of them: write {name}[*] in thermo_style custom"
        )
    return [f"{name}[{k}]" for k in indices]


def potential_parts(columns: Sequence[str]) -> tuple[tuple[str, float], ...] | None:
    """Columns and factors whose sum is the potential energy; None if they are not there."""
    for parts in (
        (("PotEng", 1.0),),
        (("TotEng", 1.0), ("KinEng", -1.0)),
        (("E_pair", 1.0), ("E_mol", 1.0)),
    ):
        if all(name in columns for name, _ in parts):
            return parts
    return None


def _is_ours(segment: Segment, vector: str) -> bool:
    """Whether the log shows the vector to be that of our pair style, or of `fix external`."""
    if vector.startswith("f_"):
        return segment.script.is_external(vector[2:])
    compute = segment.script.computes.get(vector[2:], ()) if vector.startswith("c_") else ()
    return compute[:1] == ("pair",) and len(compute) > 1 and compute[1].startswith("quorum")


def _mean_is_potential(segment: Segment, vector: str) -> bool:
    table = segment.table
    parts = potential_parts(table.names)
    columns = [k for k, name in enumerate(table.names) if name.startswith(f"{vector}[")]
    if parts is None or len(columns) < 2:
        return False
    potential = sum((factor * table.column(name) for name, factor in parts), np.zeros(1))
    mean = table.values[:, columns].mean(axis=1)
    return bool(np.allclose(mean, potential, rtol=1e-6, atol=1e-6))


def _drop(
    chosen: list[Segment],
    keep: Callable[[Segment], bool],
    what: str,
    notes: list[str],
    detail: Callable[[Segment], str],
) -> list[Segment]:
    """Segments that `keep`; the others go into a note."""
    left = [s for s in chosen if not keep(s)]
    if left:
        details = ", ".join(dict.fromkeys(detail(s) for s in left if detail(s)))
        notes.append(f"left out: {_runs(left)}, {what}" + (f": {details}" if details else ""))
    return [s for s in chosen if keep(s)]


def _runs(left: Sequence[Segment]) -> str:
    numbers = ", ".join(str(s.number) for s in left)
    n_rows = sum(len(s.table.values) for s in left)
    return f"run{'s' if len(left) > 1 else ''} {numbers} ({n_rows} rows)"


def _at(segment: Segment, temperature_K: float) -> bool:
    known = segment.ensemble.temperature_K
    return known is None or abs(known / temperature_K - 1) <= _SAME_TEMPERATURE


def _check_independent(same: Sequence[Segment]) -> None:
    """Refuse runs that start again instead of continuing each other: they are not one series."""
    for before, after in zip(same, same[1:], strict=False):
        apart = (before.table.path, before.table.process) != (
            after.table.path,
            after.table.process,
        )
        overlap = after.table.steps[0] <= before.table.steps[-1]
        if apart and overlap and after.script.echoed and not after.script.continues:
            raise QuorumError(
                f"{after.where} starts at step {after.table.steps[0]} without read_restart, while "
                f"{before.where} goes to step {before.table.steps[-1]}; expected one run and its "
                "restarts: average independent runs one by one"
            )


def _join(path: str, same: Sequence[Segment], last: Segment, notes: list[str]) -> Selection:
    tables = [s.table for s in same]
    names = [
        name
        for name in dict.fromkeys(last.table.names)
        if all(name in table.names for table in tables)
    ]
    steps = np.concatenate([table.steps for table in tables])
    keep = current_branch(steps)
    # every `run` prints the last step of the one before it again
    repeated = sum(
        int(after.steps[0] == before.steps[-1])
        for before, after in zip(tables, tables[1:], strict=False)
    )
    abandoned = int((~keep).sum()) - repeated
    if abandoned > 0:
        notes.append(
            f"left out: {abandoned} rows whose steps a later run or restart repeated (it wins)"
        )
    strides = [most_common_stride(t.steps) for t in tables if len(t.steps) > 2]
    stride = max(strides, default=0)
    if stride:
        # output is at multiples of the interval, and at a run's first and last step besides
        phases, counts = np.unique(steps % stride, return_counts=True)
        anchor = phases[counts.argmax()]
        off = keep & (steps % stride != anchor)
        if off.any() and (keep & ~off).sum() >= 2:
            keep &= ~off
            notes.append(
                f"left out: {int(off.sum())} rows between the regular output every {stride} steps"
            )
    digits = {
        name: max(float(t.last_digits[t.names.index(name)]) for t in tables) for name in names
    }
    kept = steps[keep]
    if len(kept) < 2:
        raise QuorumError(
            f"{path}: {last.where} has {len(kept)} row(s) of thermo output, expected at least 2; "
            "run longer, or choose other runs with --runs"
        )
    n_atoms = {t.n_atoms for t in tables if t.n_atoms is not None}
    return Selection(
        path,
        last,
        {name: _kept(tables, name, keep) for name in names},
        digits,
        kept,
        most_common_stride(kept),
        n_atoms.pop() if len(n_atoms) == 1 else None,
        abandoned,
        tuple(notes),
    )


def _kept(tables: Sequence[ThermoTable], name: str, keep: NDArray[np.bool_]) -> Array:
    """A column through all tables; a view where that is one."""
    if len(tables) == 1:
        return taken(tables[0].column(name), keep)
    ends = np.cumsum([len(table.values) for table in tables])
    parts = np.split(keep, ends[:-1])
    return np.concatenate([t.column(name)[part] for t, part in zip(tables, parts, strict=True)])
