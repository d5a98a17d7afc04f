"""One job after the other on a group of ranks: from bulk runs to edges, bias and start, and again
where the analysis refuses what came out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import QuorumError
from .composition import recomposed
from .crystal import scaled
from .job_folder import Checkpoint, JobFolder
from .job_run import JobRun
from .jobs_on_disk import Job, read_job
from .planned import Planned, stages
from .ready import Ready
from .refusals import refusals
from .window import Window, choose, settled

# what a new start from the molten half may mend
_AGAIN = ("froze", "melted", "registry", "collapse")


@dataclass(frozen=True)
class News:
    """What the run tells the caller, on the first rank of each group.

    Attributes:
        job: name.
        done, of: steps of the job.
        text: a sentence, where there is something to say.
    """

    job: str
    done: int = 0
    of: int = 0
    text: str = ""


class Tasks:
    """Jobs on the ranks of a group.

    Args:
        stop: whether to leave at the next row (given the seconds that the last one took), the same
            on all ranks.
        report: called with `News`.
    """

    def __init__(
        self,
        ready: Ready,
        group: Any,
        stop: Callable[[float], bool],
        report: Callable[[News], None],
    ) -> None:
        self.ready, self.group, self.stop, self.report = ready, group, stop, report
        self.file, self.settings = ready.file, ready.file.settings
        self.root = group.rank == 0

    def run(self, job: Planned) -> bool:
        """Run a job, again if the analysis refuses it and there are attempts left."""
        folder = JobFolder(self.file.folder, job)
        if self.root:
            folder.make()
        # before anything is looked at, which another run might be changing
        with folder.locked() if self.root else contextlib.nullcontext():
            status, at = self.group.bcast(self._look(folder) if self.root else None)
            if status == "done":
                return True
            while True:
                if not self._run_job(folder, at):
                    return False
                at = self.group.bcast(self._judge(folder) if self.root else None)
                if at is None:
                    return True

    def _look(self, folder: JobFolder) -> tuple[str, Checkpoint | None]:
        """Whether it is done, and where it goes on, as one that is done does if more is asked for.

        Raises:
            QuorumError: what is there was run with something else.
        """
        content = folder.content()
        status = str(content.get("status", "new"))
        for key, asked in self._fixed(folder.job).items():
            if content and content.get(key, asked) != asked:
                raise QuorumError(
                    f"{folder.path}: was run with {key} {content.get(key)}, but {self.file.path} "
                    f"says {asked}; change it back, or give another folder in [output]"
                )
        at = folder.checkpoint()
        # by the checkpoint, whatever the status: an extension may have ended in its first block
        if at is not None and at.stage == self._n_stages(folder.job):
            done = folder.n_rows(at) * self.settings.run.interval_steps
            if done < self._steps(folder.job):
                at.stage, at.done = at.stage - 1, done
                return "running", at
        return status, at

    def _n_stages(self, job: Planned) -> int:
        return len(stages(self.file, job, self.ready.box, self.ready.values))

    def _steps(self, job: Planned) -> int:
        """Of the production."""
        run = self.settings.run
        return run.production_steps if job.kind == "pinned" else run.bulk_steps

    def _fixed(self, job: Planned) -> dict[str, Any]:
        """What a job cannot change on its way."""
        settings = self.settings
        fixed: dict[str, Any] = {
            "pressure_GPa": settings.state.pressure_GPa,
            "n_atoms": len(self.ready.box.atoms),
            "order_parameter": self.ready.variable.text,
            "elements": list(settings.potential.elements),
            "engine": settings.potential.engine,
            "potential": self.ready.potential,
            "interval_steps": settings.run.interval_steps,
            **self.ready.begun_with,
        }
        if job.kind == "pinned" and settings.pin.kappa_eV is not None:
            fixed["kappa_eV"] = job.factor * settings.pin.kappa_eV
        if job.kind == "pinned" and settings.pin.center is not None:
            fixed["center"] = settings.pin.center
        return fixed

    def _run_job(self, folder: JobFolder, at: Checkpoint | None) -> bool:
        job, run = folder.job, self.settings.run
        kappa, center = 0.0, 0.0
        bulk: list[Job] = []
        if job.kind == "pinned":
            bulk = self.bulk(job)
            known = folder.content() if self.root else {}
            if known.get("center") is None:
                window = self.window(job, bulk) if self.root else None
                known = {"kappa_eV": window.kappa_eV, "center": window.center} if window else {}
            kappa, center = self.group.bcast((known.get("kappa_eV"), known.get("center")))
        box = self.ready.box
        plan = stages(self.file, job, box, self.ready.values, kappa, center)
        total = sum(one.steps for one in plan)
        atoms = self._start(job, bulk)
        numbers = [
            int((np.array(atoms.symbols) == e).sum()) for e in self.settings.potential.elements
        ]
        pinned = job.kind == "pinned"
        about = {
            **self._fixed(job),
            "kind": job.kind,
            "temperature_K": job.temperature_K,
            "counts": dict(zip(self.settings.potential.elements, numbers, strict=True)),
            "kappa_eV": kappa if pinned else None,
            "center": center if pinned else None,
            "driven_by": "mean",
            "start": {"solid": "crystal", "liquid": "melt", "pinned": "half"}[job.kind],
            "frozen_axis": 2,
            "liquid_fraction": job.fraction,
            "control": f"kappa{job.factor:g}x" if job.factor != 1.0 else None,
            "steps": plan[-1].steps,
        }
        engine = self.engine(folder)
        tell = self._teller(job.name, total)
        seed = run.seeds[job.number]
        work = JobRun(
            folder, engine, self.group, stages=plan,
            begin=lambda number, path: engine.begin(atoms, job.temperature_K, number, path),
            about=about, seed=seed, interval=run.interval_steps, block=run.block_steps,
            stop=self.stop, tell=tell,
        )  # fmt: skip
        return work.run(at)

    def _judge(self, folder: JobFolder) -> Checkpoint | None:
        """None if the job is done; else where it begins again."""
        content = folder.content()
        attempt, refused = int(content["attempt"]), list(content["refused"])
        if folder.job.kind == "pinned":
            solid, liquid = self.bulk(folder.job)
            found = refusals(read_job(folder.path), solid, liquid, self._melts(folder.job))
            if found:
                reasons = "; ".join(one.evidence for one in found)
                self.report(News(folder.job.name, text=f"refused: {reasons}"))
                refused.append({"attempt": attempt, "kinds": [one.kind for one in found],
                                "evidence": reasons})  # fmt: skip
            again = any(one.kind in _AGAIN for one in found)
            if again and attempt + 1 < self.settings.run.attempts:
                folder.write({**content, "status": "failed", "reason": refused[-1]["evidence"]})
                at = Checkpoint(attempt=attempt + 1, refused=refused)
                folder.begin_again(at)
                self.report(News(folder.job.name, text="starts again from the molten half"))
                return at
        folder.write({**content, "status": "done", "refused": refused})
        return None

    def engine(self, folder: JobFolder) -> Any:
        """Of run.toml, closed."""
        if self.settings.potential.engine == "i-pi":
            from ..engines.pin_ipi import IpiEngine

            return IpiEngine(self.ready.setting, self.group, folder.path, folder.job.name)
        from ..engines.pin_lammps import LammpsEngine

        return LammpsEngine(self.ready.setting, self.group, folder.path, folder.job.name)

    def bulk(self, job: Planned) -> list[Job]:
        """Solid and liquid that a pinned job needs, both done."""
        found = []
        for one in job.needs:
            folder = JobFolder(self.file.folder, one)
            if folder.status() != "done":
                raise QuorumError(
                    f"{job.name}: needs {one.name}, which is {folder.status()}; run it first "
                    f"(--only {one.name}), or all of them with `quorum pin prepare`"
                )
            found.append(read_job(folder.path))
        return found

    def _melts(self, job: Planned) -> list[Job]:
        """Of all compositions at its temperature, as far as they are done, if it has one."""
        if job.fraction is None:
            return []
        places = [
            JobFolder(self.file.folder, Planned("liquid", job.temperature_K, fraction=x))
            for x in (None, *self.settings.liquid.fractions)
        ]
        return [read_job(one.path) for one in places if one.status() == "done"]

    def window(self, job: Planned, bulk: list[Job]) -> Window:
        """The bias of a pinned job, chosen from its bulk runs."""
        solid, liquid = bulk
        of_solid = JobFolder(self.file.folder, Planned("solid", job.temperature_K)).content()
        return choose(self.file, self.ready.box, self.ready.variable, solid, liquid,
                      float(of_solid["timestep_fs"]), job.factor)  # fmt: skip

    def _start(self, job: Planned, bulk: list[Job]) -> Any:
        """Atoms to begin with."""
        box, elements = self.ready.box, self.settings.potential.elements
        seed = self.settings.run.seeds[job.number]
        if job.kind != "pinned":
            atoms = box.atoms.copy()
            if job.fraction is not None:
                recomposed(atoms, slice(None), elements[0], job.fraction, elements, seed)
            return atoms
        solid, liquid = bulk
        lengths = [float(settled(solid, name).mean()) for name in ("lx_A", "ly_A", "lz_A")]
        stretch = settled(liquid, "volume_A3").mean() / settled(solid, "volume_A3").mean()
        atoms = scaled(box, lengths, float(stretch))
        if job.fraction is not None:
            upper = slice(box.n_held, None)
            recomposed(atoms, upper, elements[0], job.fraction, elements, seed)
        return atoms

    def _teller(self, name: str, total: int) -> Callable[[int], None]:
        if not self.root:
            return lambda _: None
        return lambda done: self.report(News(name, done, total))
