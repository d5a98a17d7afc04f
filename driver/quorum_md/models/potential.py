"""What an energy is: one interface for every committee, and `load_potential`, which finds it.

A potential turns structures into *columns* of energies, one per committee member (and one for the
baseline where there is one), and can pull any linear combination of the columns back to forces and
virial in one backward pass. What drives the dynamics is such a combination: the mean of the
members, or the weighted baseline (`quorum_md.models.baseline`). So everything below is written
once, whatever the model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import QuorumError, warn
from .baseline import WeightedBaseline

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from .frozen import Frozen

Array = npt.NDArray[np.float64]

# Models that come with the package: data/<name>.pt
DATA = Path(__file__).resolve().parent.parent / "data"


@dataclass(frozen=True)
class Prediction:
    """What a potential says about one structure of N atoms, for a committee of K members.

    Attributes
    ----------
    energy_eV: energy of the potential that drives: the mean of the members, or with a weighted
        baseline U = V_b + w (mean − V_b). Sum over ``centers`` where these were given.
    member_energies_eV: (K,)
    forces_eV_A: (N, 3), the exact gradient −∂energy/∂positions, or None if not asked for
    virial_eV: (3, 3), −∂energy/∂strain, symmetric; stress (ASE's sign) is −virial/volume
    member_forces_eV_A: (K, N, 3) or None
    member_virials_eV: (K, 3, 3) or None
    atom_energies_eV: (N,) or (len(centers),), None where the model has no per-atom energies
    atom_member_energies_eV: the same with K columns
    baseline_energy_eV: V_b of a weighted baseline, else None
    mixing: w of a weighted baseline, else None
    """

    energy_eV: float
    member_energies_eV: Array
    forces_eV_A: Array | None = None
    virial_eV: Array | None = None
    member_forces_eV_A: Array | None = None
    member_virials_eV: Array | None = None
    atom_energies_eV: Array | None = None
    atom_member_energies_eV: Array | None = None
    baseline_energy_eV: float | None = None
    mixing: float | None = None

    @property
    def spread_eV(self) -> float:
        """Standard deviation of the member energies (ddof = 1); NaN for a single model, which
        has no model error. Its own relative error is 1/√(2(K−1))."""
        if len(self.member_energies_eV) < 2:
            return float("nan")
        return float(np.std(self.member_energies_eV, ddof=1))


# Å; below it a cell is an accident, and searching its neighbours would not end
LEAST_HEIGHT_A = 0.5


def check_cell(atoms: Atoms, where: str) -> None:
    """Raise QuorumError unless the periodic directions of a structure span something."""
    cell, periodic = np.asarray(atoms.cell), np.asarray(atoms.pbc)
    if not np.isfinite(cell).all():
        raise QuorumError(f"{where}: the cell is not finite; check the file or the run")
    if not periodic.any():
        return
    vectors = cell[periodic]
    gram = vectors @ vectors.T
    flat = np.linalg.det(gram) <= 1e-10 * np.prod(np.diag(gram))
    # heights within what the periodic vectors span
    heights = np.zeros(1) if flat else 1 / np.sqrt(np.diag(np.linalg.inv(gram)))
    if heights.min() < LEAST_HEIGHT_A:
        letters = "".join("TF"[int(not p)] for p in periodic)
        raise QuorumError(
            f"{where}: periodic directions {letters}, but the cell is flat or shorter than "
            f"{LEAST_HEIGHT_A} Å along them; expected independent vectors in Å; set the cell, or "
            "pbc to false"
        )


class Evaluation(ABC):
    """Energies of S structures in M columns, and gradients of their linear combinations."""

    energies_eV: Array  # (S, M)
    atom_energies_eV: list[Array] | None  # per structure (n, M)

    @abstractmethod
    def gradient(self, cotangents: Array) -> tuple[list[Array], list[Array]]:
        """Forces (N, 3) and virials (3, 3) per structure of Σ_m cotangents[s, m] · column m.

        cotangents: (S, M). Raises QuorumError if the evaluation was made without gradients.
        """


class Potential(ABC):
    """Anything with member energies. Subclasses give columns (`forward`); the rest is here.

    Attributes
    ----------
    species: chemical symbols it knows; empty if it takes any
    n_members: K
    interaction_range_A: distance beyond which atoms do not influence each other's energies,
        infinite if unknown
    weighting: the weighted baseline in use (the last column is then the baseline), or None
    name: for messages
    has_virial: whether it gives virials (some ASE calculators do not)
    """

    species: tuple[str, ...]
    n_members: int
    interaction_range_A: float
    weighting: WeightedBaseline | None = None
    name: str
    has_virial: bool = True
    _offsets_seen: bool = False

    @abstractmethod
    def forward(
        self, structures: Sequence[Atoms], gradients: bool, centers: Sequence[Array] | None
    ) -> Evaluation:
        """Energies of all columns for all structures, in one call of the model."""

    def frozen(self, atoms: Atoms) -> Frozen | None:
        """The structure with its positions frozen (`quorum_md.models.frozen.freeze` asks for it),
        or None if this potential gives total energies only."""
        return None

    def driving_eV(self, columns: Array) -> Array:
        """(…) energies that drive, from (…, M) columns of whole structures."""
        if self.weighting is None:
            return columns.mean(axis=-1)
        flat = columns.reshape(-1, columns.shape[-1])
        return self.weighting.drive(flat)[0].reshape(columns.shape[:-1])

    def members_eV(self, columns: Array) -> Array:
        """(…, K) energies of the members, from (…, M) columns."""
        return columns if self.weighting is None else self.weighting.members(columns)

    def check(self, structures: Sequence[Atoms]) -> None:
        """Raise QuorumError if a structure cannot be evaluated; the message says which and why."""
        known = set(self.species)
        for index, atoms in enumerate(structures):
            where = f"structure {index}" if len(structures) > 1 else "the structure"
            if len(atoms) == 0:
                raise QuorumError(f"{where} has no atoms; expected at least one")
            bad = np.flatnonzero(~np.isfinite(atoms.positions).all(axis=1))
            if bad.size:
                raise QuorumError(
                    f"{where}: position of atom {bad[0]} is {atoms.positions[bad[0]]}; "
                    "expected finite numbers; check the file or the time step of the run"
                )
            check_cell(atoms, where)
            unknown = sorted(set(atoms.get_chemical_symbols()) - known) if known else []
            if unknown:
                raise QuorumError(
                    f"{where}: element {', '.join(unknown)} is not in {self.name} "
                    f"(it knows {' '.join(self.species)}); use a model trained for it"
                )

    def evaluate(
        self,
        structures: Sequence[Atoms] | Atoms,
        forces: bool = True,
        virial: bool = False,
        member_forces: bool = False,
        member_virials: bool = False,
        centers: Sequence[Sequence[int]] | None = None,
    ) -> list[Prediction]:
        """Evaluate structures in one batched call of the model.

        Parameters
        ----------
        structures: S ase.Atoms
        forces, virial: of the energy that drives, by one backward whatever K is
        member_forces, member_virials: of every member, by K backwards: ask only where needed
        centers: per structure the indices of the atoms whose energies are summed (all if None);
            forces are then the gradient of that sum, on all atoms. With a weighted baseline the
            mixing depends on the whole structure: energy_eV is then NaN and forces are refused.

        Raises
        ------
        QuorumError: unknown species, non-finite positions, no volume, indices out of range, or
            ``centers`` for a model without per-atom energies.
        """
        from ase import Atoms

        if isinstance(structures, Atoms):
            structures = [structures]
        structures = list(structures)
        if not structures:
            return []
        self.check(structures)
        selections = None if centers is None else _check_centers(structures, centers)
        wants_mean = forces or virial
        wants_members = member_forces or member_virials
        if selections is not None and self.weighting is not None and wants_mean:
            raise QuorumError(
                f"{self.name}: forces of selected centers are not defined with a weighted "
                "baseline, whose mixing depends on the whole structure; evaluate all atoms"
            )
        if (virial or member_virials) and not self.has_virial:
            raise QuorumError(
                f"{self.name} gives no stress, so no virial; use a calculator with stress, or "
                "keep the cell fixed"
            )
        evaluation = self.forward(structures, wants_mean or wants_members, selections)

        columns = evaluation.energies_eV
        self.check_finite(columns)
        mixing: Array | None = None
        if self.weighting is None:
            members = columns
            energies = members.mean(axis=1)
            cotangents = np.full(columns.shape, 1.0 / self.n_members)
        else:
            members = self.weighting.members(columns)
            energies, cotangents, mixing = self.weighting.drive(columns)
            if selections is None:
                self._check_offsets(structures, members.mean(axis=1) - columns[:, -1])
            if selections is not None:
                energies = np.full_like(energies, np.nan)
                mixing = np.full_like(mixing, np.nan)

        mean_forces, mean_virials = evaluation.gradient(cotangents) if wants_mean else (None, None)
        if mean_forces is not None:
            self.check_finite(mean_forces)
        per_member = []
        if wants_members:
            for k in range(self.n_members):
                one = np.zeros_like(columns)
                one[:, k] = 1.0
                if self.weighting is not None:
                    one[:, -1] = self.weighting.baseline_in_member
                per_member.append(evaluation.gradient(one))

        predictions = []
        for s in range(len(structures)):
            atom_members = atom_energies = None
            if evaluation.atom_energies_eV is not None:
                table = evaluation.atom_energies_eV[s]
                if self.weighting is None:
                    atom_members, atom_energies = table, table.mean(axis=1)
                else:
                    assert mixing is not None
                    atom_members = self.weighting.members(table)
                    atom_energies = self.weighting.split(table, float(mixing[s]))
            predictions.append(
                Prediction(
                    energy_eV=float(energies[s]),
                    member_energies_eV=members[s],
                    forces_eV_A=mean_forces[s] if forces and mean_forces else None,
                    virial_eV=mean_virials[s] if virial and mean_virials else None,
                    member_forces_eV_A=(
                        np.stack([f[s] for f, _ in per_member]) if member_forces else None
                    ),
                    member_virials_eV=(
                        np.stack([v[s] for _, v in per_member]) if member_virials else None
                    ),
                    atom_energies_eV=atom_energies,
                    atom_member_energies_eV=atom_members,
                    baseline_energy_eV=None if mixing is None else float(columns[s, -1]),
                    mixing=None if mixing is None else float(mixing[s]),
                )
            )
        return predictions

    def check_finite(self, arrays: Iterable[Array]) -> None:
        """Refuse numbers that are none; one array per structure."""
        bad = [k for k, array in enumerate(arrays) if not np.isfinite(array).all()]
        if bad:
            raise QuorumError(
                f"{self.name}: energy or forces are not finite for structure {bad[0]}; look for "
                "atoms on top of each other and, in dynamics, shorten the time step"
            )

    def _check_offsets(self, structures: Sequence[Atoms], difference_eV: Array) -> None:
        """Warn once if committee and baseline have different zeros of energy."""
        per_atom = float(np.abs(difference_eV / [len(a) for a in structures]).max())
        if per_atom > 1.0 and not self._offsets_seen:
            self._offsets_seen = True
            warn(
                f"{self.name}: committee and baseline differ by {per_atom:.1f} eV per atom: their "
                "zeros of energy are not aligned, and the mixing would switch these; give offsets "
                "(`quorum baseline --align`, or offsets_eV=)"
            )

    def __deepcopy__(self, memo: dict[int, Any]) -> Potential:
        return self  # nothing in it changes but caches

    def calculator(self) -> Calculator:
        """This potential as an ASE calculator: see `quorum_md.models.ase_calculator`."""
        from .ase_calculator import QuorumCalculator

        return QuorumCalculator(self)


def _check_centers(
    structures: Sequence[Atoms], centers: Sequence[Sequence[int]]
) -> list[npt.NDArray[Any]]:
    if len(centers) != len(structures):
        raise QuorumError(
            f"centers: got {len(centers)} lists for {len(structures)} structures; expected one "
            "list of atom indices per structure"
        )
    selections = []
    for index, (atoms, chosen) in enumerate(zip(structures, centers, strict=True)):
        indices = np.asarray(chosen, dtype=np.int64).reshape(-1)
        if indices.size and (indices.min() < 0 or indices.max() >= len(atoms)):
            raise QuorumError(
                f"centers of structure {index}: indices from {indices.min()} to {indices.max()}; "
                f"expected 0 to {len(atoms) - 1}"
            )
        if len(np.unique(indices)) != len(indices):
            raise QuorumError(f"centers of structure {index}: an index appears twice")
        selections.append(indices)
    return selections


def find_model(path: str | Path) -> Path:
    """The file behind ``path``: itself, or a model that comes with the package by that name."""
    given = Path(path)
    if given.is_file():
        return given
    shipped = DATA / f"{given.name}.pt"
    if str(path) == given.name and shipped.is_file():
        return shipped
    names = ", ".join(sorted(p.stem for p in DATA.glob("*.pt")))
    raise QuorumError(
        f"{path}: no such model file; give the path of a metatomic .pt file"
        + (f", or the name of a shipped model ({names})" if names else "")
    )


def load_potential(
    source: Any,
    device: str = "cpu",
    dtype: str | None = None,
    extensions: str | Path | None = None,
) -> Potential:
    """Load a committee.

    Parameters
    ----------
    source: path of a metatomic ``.pt`` file; the name of a shipped model ("nbmotaw"); an ASE
        calculator; or a list of these, whose members together form one committee
    device: "cpu", "cuda", "cuda:1", …
    dtype: "float32" or "float64"; by default what the file declares
    extensions: folder of TorchScript extensions of the model; by default ``<stem>-extensions`` or
        ``extensions`` beside the file, where there is one

    Raises
    ------
    QuorumError: missing file, file that is no metatomic model, model without an energy, device
        or dtype that is not there.

    A model with a single energy is a committee of one: `Prediction.spread_eV` is then NaN, and a
    QuorumWarning says that it has no model error.
    """
    if isinstance(source, Potential):
        return source
    if isinstance(source, (list, tuple)):
        if not source:
            raise QuorumError("an empty list of models; expected at least one")
        parts = [_load_one(item, device, dtype, extensions) for item in source]
        if len(parts) > 1:
            from .joined import JoinedPotential

            potential: Potential = JoinedPotential(parts)
        else:
            potential = parts[0]
    else:
        potential = _load_one(source, device, dtype, extensions)
    if potential.n_members == 1:
        warn(
            f"{potential.name} is a single model: it has no model error; make a committee of "
            "several with `quorum committee` or train one with an energy ensemble"
        )
    return potential


def _load_one(
    source: Any, device: str, dtype: str | None, extensions: str | Path | None
) -> Potential:
    if isinstance(source, Potential):
        return source
    if isinstance(source, (str, Path)):
        from .metatomic_model import MetatomicPotential

        return MetatomicPotential(find_model(source), device, dtype, extensions)
    if hasattr(source, "get_property"):
        from .ase_calculator import AsePotential

        return AsePotential(source)
    raise QuorumError(
        f"a model of type {type(source).__name__}; expected the path of a .pt file, the name of "
        "a shipped model, or an ASE calculator"
    )
