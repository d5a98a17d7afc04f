"""What a run consists of: jobs, each a list of stages, in the order in which they depend.

    solid    the crystal: equilibrate, produce
    liquid   the crystal melted at constant volume, cooled at constant pressure: produce
    pinned   the crystal at the edges that the solid had; its upper half stretched to the volume of
             the liquid and melted while the lower is held; equilibrate and produce with the bias

All have the same atoms, so that values of an extensive order parameter compare.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..engines.pin_stage import Stage
from .crystal import Box
from .run_input import PinFile
from .run_system import label_K, label_x

_HELD_WARMTH = 0.5  # of melt_steps: the crystal gets warm before a half is held
# what may be left of a perfect crystal's order after melting all of it, and its upper half
_LEFT_OF_ALL, _LEFT_OF_HALF = 0.35, 0.6


@dataclass(frozen=True)
class Planned:
    """A job to run.

    Attributes:
        kind: solid, liquid or pinned.
        number: of the seed, for pinned runs.
        fraction: of the first element in the melt, if it is not that of the crystal.
        factor: of κ, for controls.
    """

    kind: str
    temperature_K: float
    number: int = 0
    fraction: float | None = None
    factor: float = 1.0

    @property
    def name(self) -> str:
        """Of its folder."""
        name = f"{self.kind}-{label_K(self.temperature_K)}"
        if self.fraction is not None:
            name += f"-{label_x(self.fraction)}"
        if self.kind == "pinned":
            name += f"-{self.number}"
            if self.factor != 1.0:
                name += f"-kappa{self.factor:g}x"
        return name

    @property
    def needs(self) -> tuple[Planned, ...]:
        """Bulk runs from which this one takes edges, volume and bias."""
        if self.kind != "pinned":
            return ()
        kelvin = self.temperature_K
        return Planned("solid", kelvin), Planned("liquid", kelvin, fraction=self.fraction)


def bulk_jobs(file: PinFile, temperatures_K: tuple[float, ...]) -> list[Planned]:
    """Solids and liquids: all melts wherever one of them is pinned, as each is compared with all.

    Args:
        temperatures_K: those of [state]; what the melts have of their own is added.
    """
    jobs = []
    for kelvin in _every(file, temperatures_K).values():
        jobs += [Planned("liquid", kelvin, fraction=x) for x in _melts(file)]
        jobs.append(Planned("solid", kelvin))
    return jobs


def pinned_jobs(file: PinFile, temperatures_K: tuple[float, ...]) -> list[Planned]:
    """Both phases in one box: seeds, and controls of the first seed."""
    settings = file.settings
    jobs = []
    for label, kelvin in _every(file, temperatures_K).items():
        for x in _melts(file):
            own = None if x is None else settings.liquid.pinned_K(x)
            if label not in map(label_K, temperatures_K if own is None else own):
                continue
            for number in range(len(settings.run.seeds)):
                jobs.append(Planned("pinned", kelvin, number, x))
            jobs += [Planned("pinned", kelvin, 0, x, one) for one in settings.pin.control_kappas]
    return jobs


def _every(file: PinFile, temperatures_K: tuple[float, ...]) -> dict[str, float]:
    """Temperatures at which anything runs, by their names in folders."""
    own = [t for one in file.settings.liquid.temperatures_K for t in one]
    return {label_K(t): t for t in (*temperatures_K, *own)}


def _melts(file: PinFile) -> tuple[float | None, ...]:
    """Compositions of the melt; None is that of the crystal."""
    return (None, *file.settings.liquid.fractions)


def stages(
    file: PinFile,
    job: Planned,
    box: Box,
    values: tuple[float, float],
    kappa_eV: float = 0.0,
    center: float = 0.0,
) -> list[Stage]:
    """What a job does, one after the other.

    Args:
        values: of the variable in the crystal, and without order.
    """
    n_held = box.n_held
    crystal, pieces = values

    run, kelvin = file.settings.run, job.temperature_K
    hot = run.melt_K or 2 * kelvin
    shape = "iso" if box.cubic else "aniso"

    def melting(part: float, held: int) -> Stage:
        order = pieces + part * (crystal - pieces)
        return Stage(
            "melt", run.melt_steps, hot, "fixed", held, fresh=True, order=order, order_from=crystal
        )

    if job.kind == "solid":
        return [
            Stage("equilibrate", run.bulk_equilibration_steps, kelvin, shape, fresh=True),
            Stage("produce", run.bulk_steps, kelvin, shape, recorded=True),
        ]
    if job.kind == "liquid":
        return [
            melting(_LEFT_OF_ALL, 0),
            # at the volume of the crystal it would freeze again
            Stage("cool", run.melt_steps, kelvin, "iso"),
            Stage("equilibrate", run.bulk_equilibration_steps, kelvin, "iso"),
            Stage("produce", run.bulk_steps, kelvin, "iso", recorded=True),
        ]
    every = run.interval_steps
    warm = max(every, int(_HELD_WARMTH * run.melt_steps) // every * every)
    last = Stage("produce", run.production_steps, kelvin, "z", 0, kappa_eV, center, True)
    return [
        Stage("warm", warm, kelvin, "fixed", fresh=True),
        melting(_LEFT_OF_HALF, n_held),
        Stage("cool", run.melt_steps, kelvin, "fixed", n_held),
        replace(
            last, name="equilibrate", steps=run.equilibration_steps, recorded=False, fresh=True
        ),
        last,
    ]
