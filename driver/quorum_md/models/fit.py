"""Fit of the built-in potential: data in, a calibrated committee in one metatomic file out.

Steps: references per element by least squares; part of each group kept apart; shared features
trained (`quorum_md.models.fit_train`); K heads in closed form, their spread levelled group by group
within the training data (`quorum_md.models.heads`); the spread scaled to the errors on the
structures kept apart (`quorum_md.models.calibration`). The form of the potential is in
`quorum_md.models.density`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from ase import Atoms
from metatomic.torch import ModelMetadata
from tqdm import tqdm

from .. import __version__
from ..errors import QuorumError, warn
from .calibration import Score, calibration_alpha, rescaled, scores
from .committee import check_output, save
from .density import DensityNet, DensityPotential, export
from .fit_data import (
    Batch,
    Structure,
    atomic_references,
    batches,
    check_frames,
    split,
    structure,
    symbols,
)
from .fit_train import Trainee, Training, train
from .frames import groups_of
from .heads import Refit, energy_features, refit
from .metatomic_model import ALPHA_KEY, quiet_metatomic

Array = npt.NDArray[np.float64]

# keys of the file's metadata
FIT_KEY = "quorum:fit"
REPORT_KEY = "quorum:held_out"

# rounding of an energy per atom that a file may have
ROUNDING_MAX_EV = 1e-4

# structures kept apart below which α is a rough figure
CALIBRATION_MIN = 20

# weight of a rare group over a common one, at most
GROUP_WEIGHT_MAX = 20.0
ATOMS_PER_BATCH = 1500
BATCHES_PER_EPOCH_MIN = 20

REFERENCES = {
    "architecture": [
        "https://doi.org/10.1103/PhysRevMaterials.7.045802",
        "https://doi.org/10.1088/2632-2153/ad594a",
    ],
    "implementation": ["quorum-md"],
}


@dataclass(frozen=True)
class FitOptions:
    """What `fit_potential` was asked for; see there."""

    n_members: int = 32
    cutoff_A: float = 5.0
    seed: int = 0
    held_out_fraction: float = 0.1
    stress: bool = True
    n_radial: int = 8
    n_alchemical: int = 4
    n_mixed: int = 24
    n_partners: int = 8
    n_hidden: int = 64
    balance: float = 0.7
    training: Training = field(default_factory=Training)
    heads: Refit = field(default_factory=Refit)


@dataclass(frozen=True)
class GroupReport:
    """Errors on the structures of one group that were kept apart, after calibration.

    Energies per atom; ``rms_z`` is the root mean square of error over spread, 1 where the spread
    says how wrong the potential is, and ``rms_z_error`` its standard error with so few structures.
    """

    group: str
    n: int
    energy_rmse_meV: float
    force_rmse_eV_A: float
    spread_meV: float
    rms_z: float
    rms_z_error: float


@dataclass
class FitResult:
    """A fitted potential.

    Attributes
    ----------
    potential: the module, in single precision, calibrated
    atomic_types: its elements
    options: how it was fitted
    alpha: scale that calibration gave the deviations of the members
    report: one entry for all structures kept apart ("all") and one per group
    n_train, n_held_out: number of structures
    duration_s: of the fit
    """

    potential: DensityPotential
    atomic_types: list[int]
    options: FitOptions
    alpha: float
    report: list[GroupReport]
    n_train: int
    n_held_out: int
    duration_s: float

    def table(self) -> str:
        """The held-out report as text; a table with a ``#`` header."""
        if not self.report:
            return "# no structures were kept apart: no errors, no calibration"
        width = max(5, *(len(r.group) for r in self.report))
        lines = [
            f"# structures kept apart; members' spread scaled by alpha = {self.alpha:.3f}; "
            "rms z = 1 where the spread is right",
            f"# {'group':{width}}      n    energy     force    spread   rms z  error",
            f"# {'':{width}}         meV/atom      eV/Å  meV/atom",
        ]
        lines += [
            f"  {r.group:{width}}  {r.n:5d}  {r.energy_rmse_meV:8.2f}  {r.force_rmse_eV_A:8.4f}  "
            f"{r.spread_meV:8.2f}  {r.rms_z:6.2f} {r.rms_z_error:6.2f}"
            for r in self.report
        ]
        return "\n".join(lines)

    @property
    def dtype(self) -> str:
        """Precision of the file: single, unless energies per atom are so large (all-electron
        references) that their rounding in it would show."""
        largest = max(map(abs, self.potential.reference_eV))
        return "float32" if largest * np.finfo(np.float32).eps < ROUNDING_MAX_EV else "float64"

    def notes(self) -> dict[str, Any]:
        """Options, sizes, versions and errors, as they go into the file and its provenance."""
        return {
            "options": asdict(self.options),
            "elements": symbols(self.atomic_types),
            "structures_train": self.n_train,
            "structures_held_out": self.n_held_out,
            "alpha": self.alpha,
            "duration_s": round(self.duration_s),
            "versions": {
                "quorum-md": __version__,
                "torch": str(torch.__version__),
                "numpy": np.__version__,
            },
            "held_out": [asdict(r) for r in self.report],
        }

    def save(self, path: str | Path, description: str = "") -> None:
        """Write the metatomic file, whole or not at all; QuorumError if it cannot be written."""
        path = Path(path)
        check_output(path)
        notes = self.notes()
        report = notes.pop("held_out")
        elements = " ".join(symbols(self.atomic_types))
        metadata = ModelMetadata(
            name=path.stem,
            description=description
            or f"Density correlations for {elements}: {self.options.n_members} linear heads on "
            "shared features, calibrated on structures kept apart.",
            references=REFERENCES,
            extra={
                ALPHA_KEY: repr(self.alpha),
                FIT_KEY: json.dumps(notes),
                REPORT_KEY: json.dumps(report),
            },
        )
        with quiet_metatomic():
            model = export(self.potential, self.atomic_types, metadata, self.dtype)
        save(model, path)


def group_weights(groups: Sequence[str], indices: Sequence[int], balance: float) -> Array:
    """(n,) weights of structures in the loss: (median size of the groups in ``indices`` over the
    size of its own group) to the power ``balance``, between 1 and GROUP_WEIGHT_MAX."""
    sizes: dict[str, int] = {}
    for k in indices:
        sizes[groups[k]] = sizes.get(groups[k], 0) + 1
    middle = float(np.median(list(sizes.values())))
    ratio = np.array([middle / sizes.get(g, 1) for g in groups])
    return np.clip(ratio**balance, 1.0, GROUP_WEIGHT_MAX)


def fit_potential(
    frames: Sequence[Atoms],
    *,
    held_out: Sequence[Atoms] | None = None,
    threads: int | None = None,
    progress: bool = False,
    options: FitOptions | None = None,
    **changes: Any,
) -> FitResult:
    """Fit a committee to structures with energies (eV), forces (eV/Å) and stress (eV/Å³, optional).

    Parameters
    ----------
    frames: ase.Atoms with their results stored; ``info["config_type"]`` names the group
    held_out: structures to keep apart; if None, ``held_out_fraction`` of every group of ``frames``
    threads: of torch during the fit (those it has, if None). The same seed gives the same result
        for the same number of threads on the same machine.
    progress: show a bar on a terminal
    options, changes: a `FitOptions`, or its fields by name: ``n_members`` K ≥ 4, ``cutoff_A``,
        ``seed``, ``held_out_fraction``, ``stress`` (use it where given), the sizes ``n_radial``,
        ``n_alchemical``, ``n_mixed``, ``n_partners``, ``n_hidden``, ``balance`` (power with which
        rare groups weigh more), ``training``, ``heads``

    Raises
    ------
    QuorumError: data that cannot be fitted (see `check_frames`), options out of range.
    """
    options = FitOptions(**changes) if options is None else options
    check_options(options)
    pool = [*frames, *(held_out or [])]
    check_frames(frames, options.n_members)
    if held_out is not None:
        check_frames(held_out, 1)
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        return _fit(pool, len(frames), held_out is not None, options, progress)
    finally:
        torch.set_num_threads(before)


def check_options(options: FitOptions) -> None:
    """Raise QuorumError where an option is out of range."""
    if options.n_members < 4:
        raise QuorumError(
            f"members: got {options.n_members}; expected 4 or more: with fewer the spread of a "
            "committee cannot be calibrated"
        )
    if not 1.0 < options.cutoff_A < 20.0:
        raise QuorumError(f"cutoff: got {options.cutoff_A:g} Å; expected between 1 and 20 Å")
    if not 0.0 <= options.held_out_fraction < 0.9:
        raise QuorumError(
            f"held-out fraction: got {options.held_out_fraction:g}; expected 0 to 0.9"
        )
    sizes = ("n_radial", "n_alchemical", "n_mixed", "n_partners", "n_hidden")
    for name in sizes:
        if getattr(options, name) < 1:
            raise QuorumError(f"{name}: got {getattr(options, name)}; expected 1 or more")
    if options.n_partners > options.n_mixed:
        raise QuorumError(
            f"n_partners: got {options.n_partners}; expected at most n_mixed = {options.n_mixed}"
        )
    if options.heads.folds < 2:
        raise QuorumError(f"folds: got {options.heads.folds}; expected 2 or more")
    if options.training.epochs < 1:
        raise QuorumError(f"epochs: got {options.training.epochs}; expected 1 or more")


def _fit(
    pool: Sequence[Atoms], n_given: int, separate: bool, options: FitOptions, progress: bool
) -> FitResult:
    begun = time.monotonic()
    seeds = np.random.SeedSequence(options.seed).spawn(3)
    groups = groups_of(pool)
    if separate:
        training, kept = list(range(n_given)), list(range(n_given, len(pool)))
    else:
        training, kept = split(groups, options.held_out_fraction, np.random.default_rng(seeds[0]))
    atomic_types = sorted({int(z) for k in training for z in pool[k].numbers})
    unknown = {int(z) for k in kept for z in pool[k].numbers} - set(atomic_types)
    if unknown:
        raise QuorumError(
            f"fit: {', '.join(symbols(sorted(unknown)))} occurs only in structures kept apart; "
            "give more structures with it or another --held-out file"
        )
    reference_eV = atomic_references([pool[k] for k in training], atomic_types)
    structures = [structure(a, atomic_types, reference_eV, options.cutoff_A) for a in pool]

    rng = np.random.default_rng(seeds[1])
    generator = torch.Generator().manual_seed(int(seeds[1].generate_state(1)[0]))
    weights = group_weights(groups, training, options.balance)
    data = _batches(structures, [int(k) for k in rng.permutation(training)], weights, options)
    apart = _batches(structures, kept, np.ones(len(pool)), options)

    net = DensityNet(
        len(atomic_types),
        options.n_radial,
        min(options.n_alchemical, len(atomic_types)),
        options.n_mixed,
        options.n_partners,
        (options.n_hidden, options.n_hidden),
    )
    model = Trainee(net)
    model.initialise(data[:10], generator)
    steps = options.training.epochs * len(data)
    # None: shown on a terminal only
    with tqdm(total=steps, desc="fit", unit="step", disable=None if progress else True) as bar:

        def show(step: int, value: float) -> None:
            bar.update(1)
            if step % 20 == 0:
                bar.set_postfix_str(f"loss {value:.4f}")

        settings = options.training
        if not options.stress:
            settings = Training(**{**asdict(settings), "virial_weight": 0.0})
        train(model, data, settings, rng, show)
    if not all(bool(torch.isfinite(p).all()) for p in model.parameters()):
        raise QuorumError("fit: the training diverged; lower --learning-rate")

    members = refit(
        model, data, groups, options.n_members, np.random.default_rng(seeds[2]), options.heads
    )
    alpha, report = _judge(model, members, apart, groups)
    potential = _assemble(model, members, alpha, atomic_types, reference_eV, options)
    return FitResult(
        potential,
        atomic_types,
        options,
        alpha,
        report,
        len(training),
        len(kept),
        time.monotonic() - begun,
    )


def _batches(
    structures: Sequence[Structure], indices: Sequence[int], weights: Array, options: FitOptions
) -> list[Batch]:
    n_species = 1 + max(int(s.species.max()) for s in structures)
    n_atoms = sum(structures[k].n_atoms for k in indices)
    size = max(1, min(ATOMS_PER_BATCH, n_atoms // BATCHES_PER_EPOCH_MIN))
    return batches(
        structures, indices, weights, size, n_species, options.cutoff_A, options.n_radial
    )


def _judge(
    model: Trainee, members: Array, apart: Sequence[Batch], groups: Sequence[str]
) -> tuple[float, list[GroupReport]]:
    """α and the errors per group on structures kept apart; leaves the members' mean as the head
    of the model."""
    mean = members.mean(axis=0)
    n_hidden = len(model.head)
    with torch.no_grad():
        model.head.copy_(torch.as_tensor(mean[:n_hidden]))
        model.shift.copy_(torch.as_tensor(mean[n_hidden:]))
    if not apart:
        warn(
            "no structures were kept apart, so the members' spread is not calibrated; use "
            "--held-out-fraction or --held-out, or `quorum calibrate` later"
        )
        return 1.0, []
    truth, energies, counts, labels, squares = [], [], [], [], []
    for batch in apart:
        _, forces, _ = model(batch, training=False)
        error = ((forces - batch.forces).detach().double() ** 2).sum(0)
        squares.append(batch.sum(error).numpy())
        energies.append(energy_features(model, batch) @ members.T)
        truth.append(batch.energy.double().numpy())
        counts.append(batch.n_atoms.double().numpy())
        labels += [groups[k] for k in batch.indices]
    y, v, n = np.concatenate(truth), np.concatenate(energies), np.concatenate(counts)
    square = np.concatenate(squares)
    calibration = calibration_alpha(y, v, warn_clamped=False)
    alpha = calibration.alpha
    if calibration.clamped:
        warn(
            f"fit: α from {len(y)} structures kept apart is negative, so the spread of the members "
            "is left as it is, not calibrated; give more structures"
        )
        alpha = 1.0
    elif len(y) < CALIBRATION_MIN:
        warn(
            f"fit: α rests on {len(y)} structures kept apart (a rough figure below "
            f"{CALIBRATION_MIN}); give more structures, or `quorum calibrate` with others"
        )
    table: list[Score] = scores(y, rescaled(v, alpha), n, labels)
    names = np.array(labels, dtype=object)
    report = []
    for number, score in enumerate(table):
        chosen = np.ones(len(y), bool) if number == 0 else names == score.group
        force = float(np.sqrt(square[chosen].sum() / (3 * n[chosen].sum())))
        report.append(
            GroupReport(
                score.group,
                score.n,
                score.rmse_meV,
                force,
                score.spread_meV,
                score.rms_z,
                score.rms_z_error,
            )
        )
    return alpha, [report[0], *sorted(report[1:], key=lambda r: r.group)]


def _assemble(
    model: Trainee,
    members: Array,
    alpha: float,
    atomic_types: list[int],
    reference_eV: Array,
    options: FitOptions,
) -> DensityPotential:
    mean = members.mean(axis=0)
    deviation = alpha * (members - mean).T
    n = len(model.head)

    def tensor(values: Array) -> torch.Tensor:
        return torch.as_tensor(np.ascontiguousarray(values)).float()

    return DensityPotential(
        model.folded(),
        atomic_types,
        [float(e) for e in reference_eV],
        options.cutoff_A,
        tensor(mean[:n]),
        tensor(mean[n:]),
        tensor(deviation[:n]),
        tensor(deviation[n:]),
    )
