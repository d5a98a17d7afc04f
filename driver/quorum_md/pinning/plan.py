"""What a run.toml amounts to before it runs: box, jobs, steps, hours; and what of it is done."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .crystal import nearest_distance
from .job_folder import JobFolder
from .planned import Planned, stages
from .ready import Ready
from .run_input import PinFile
from .tasks import Tasks
from .workflow import jobs, need_plugin

_STEPS = 100  # of the measurement


def describe(ready: Ready) -> str:
    """Box, variable and jobs, as text."""
    file, box = ready.file, ready.box
    settings, atoms = file.settings, box.atoms
    lengths = atoms.cell.lengths()
    counts = " ".join(f"{n} {e}" for e, n in Counter(atoms.get_chemical_symbols()).items())
    crystal = settings.crystal
    known = jobs(file)
    total = sum(_steps(ready, job) for job in known)
    kelvin = " ".join(f"{t:g}" for t in settings.state.first_K)
    more = f", then by Newton up to {settings.state.at_most}" if settings.state.finds else ""
    melts = "".join(
        f"melts      {x:g}: {' '.join(f'{t:g}' for t in settings.liquid.pinned_K(x) or ())} K\n"
        for x in settings.liquid.fractions
        if settings.liquid.temperatures_K
    )
    return (
        f"crystal    {crystal.file or crystal.structure + ' ' + crystal.formula}, interface "
        f"({crystal.interface}), {len(atoms)} atoms ({counts})\n"
        f"box        {_times(lengths, '.2f')} Å, {_times(box.repeats, 'd')} cells of "
        f"{_times(box.cell, '.3f')} Å; atoms at "
        f"{nearest_distance(atoms):.3f} Å; {box.n_held} stay solid\n"
        f"variable   {ready.variable.text}: {ready.values[0]:.4g} in the crystal, "
        f"{ready.values[1]:.4g} shaken to pieces\n"
        f"state      {kelvin} K{more}; {settings.state.pressure_GPa:g} GPa\n"
        f"{melts}"
        f"jobs       {len(known)}: {sum(j.kind != 'pinned' for j in known)} bulk, "
        f"{sum(j.kind == 'pinned' for j in known)} pinned; {total} steps\n"
    )


def cost(ready: Ready, world: Any) -> str:
    """Time by some steps of the crystal on the ranks of one job; the same text on all ranks."""
    need_plugin(ready)
    text = ""
    ranks = ready.file.settings.potential.ranks_per_job
    group = world.Split(world.rank // ranks, world.rank) if world.size > 1 else world
    number = world.rank // ranks
    if number == 0:
        text = _measured(ready, group, max(1, world.size // ranks))
    return str(world.bcast(text))


def list_jobs(file: PinFile) -> str:
    """A line for each job that is known: number, name, status, steps done."""
    lines = ["# number  job                                status    attempt"]
    for number, job in enumerate(jobs(file)):
        folder = JobFolder(file.folder, job)
        content = folder.content()
        lines.append(
            f"{number:8d}  {job.name:34s} {folder.status():8s}  {content.get('attempt', 0)}"
        )
    return "\n".join(lines) + "\n"


def _times(numbers: Iterable[float], form: str) -> str:
    return " × ".join(format(x, form) for x in numbers)


def _steps(ready: Ready, job: Planned) -> int:
    plan = stages(ready.file, job, ready.box, ready.values)
    return sum(one.steps for one in plan)


def _measured(ready: Ready, group: Any, n_groups: int) -> str:
    file, job = ready.file, Planned("solid", ready.file.settings.state.first_K[0])
    stage = stages(file, job, ready.box, ready.values)[0]
    name = tempfile.mkdtemp(prefix="quorum-pin-") if group.rank == 0 else None
    folder = JobFolder(Path(group.bcast(name)), job)
    if group.rank == 0:
        folder.make()
    group.Barrier()
    engine = Tasks(ready, group, lambda _: False, lambda _: None).engine(folder)
    state = folder.path / f"state{engine.suffix}"
    try:
        engine.begin(ready.box.atoms, job.temperature_K, 1, state)
        engine.open(stage, state, 1, True)
        engine.advance(_STEPS // 5)
        start = time.perf_counter()
        engine.advance(_STEPS)
        per_step = (time.perf_counter() - start) / _STEPS
    finally:
        engine.close()
        group.Barrier()
        if group.rank == 0:
            shutil.rmtree(folder.path.parent, ignore_errors=True)
    hours = sum(_steps(ready, one) for one in jobs(file)) * per_step / 3600
    return (
        f"cost       {1e3 * per_step:.2f} ms per step of the crystal on {group.size} rank(s) of a "
        f"job (a melt takes about twice that): {hours:.2f} h for all, {hours / n_groups:.2f} h on "
        f"{n_groups} job(s) at a time\n"
    )
