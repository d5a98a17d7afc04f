"""A metatomic ``.pt`` file as a `Potential`: one forward for all members and structures.

The interface follows the metatomic documentation (https://docs.metatensor.org/metatomic): systems
with neighbour lists go in, energies per atom come out as labelled blocks. Gradients are taken with
respect to three sets of leaves, positions, cell and neighbour vectors r, which covers models that
read any of them:

    F = −∂E/∂x − scatter(∂E/∂r)        virial = −Σ (x ⊗ ∂E/∂x + h ⊗ ∂E/∂h + r ⊗ ∂E/∂r)

symmetrised, since some models (PET) are not exactly rotation invariant.

Energies are taken per atom and summed in double precision: totals of a float32 model would lose
10 meV at 2000 atoms.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from ase.data import atomic_numbers, chemical_symbols
from metatensor.torch import Labels, TensorBlock
from metatomic.torch import (
    AtomisticModel,
    ModelCapabilities,
    ModelEvaluationOptions,
    ModelOutput,
    System,
    load_atomistic_model,
)

from ..errors import QuorumError, warn
from .baseline import WeightedBaseline
from .density_kernel import DensityKernel, KernelEvaluation, open_kernel
from .frozen import Frozen
from .potential import DATA, Evaluation, Potential
from .probe import BASELINE_OUTPUT, check_gradient, probe
from .systems import Batch, Neighbours

if TYPE_CHECKING:
    from ase import Atoms

Array = npt.NDArray[np.float64]

DTYPES = {"float32": torch.float32, "float64": torch.float64}

# keys of ModelMetadata.extra that this package writes and reads
ALPHA_KEY = "quorum:alpha"
SIGMA_KEY = "quorum:baseline_sigma_eV"


@contextmanager
def quiet_metatomic() -> Iterator[None]:
    """Silences warnings of metatomic and metatensor to themselves, about which a user can do
    nothing: models inside models, and buffers of modules that were exported earlier."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*requested_inputs.*is deprecated")
        warnings.filterwarnings("ignore", message=".*_mts_buffer_names")
        yield


def load_file(path: Path, extensions: str | Path | None = None) -> AtomisticModel:
    """The metatomic model in ``path`` on the CPU; QuorumError if the file is anything else."""
    if extensions is None:
        for folder in (path.parent / f"{path.stem}-extensions", path.parent / "extensions"):
            if folder.is_dir():
                extensions = folder
                break
    if not zipfile.is_zipfile(path):
        raise QuorumError(
            f"{path}: not a metatomic model (no torch archive); expected a .pt file exported by "
            "metatomic, for example with `mtt export` or `quorum fit`"
        )
    # Some extensions (sphericart 2) register the gradients of their operators in Python only: a
    # file loaded without that module runs, and gives wrong forces without an error.
    for name in extension_names(path):
        module = name.replace("_torch", ".torch")
        if importlib.util.find_spec(module.split(".")[0]) is not None:
            importlib.import_module(module)
    try:
        with quiet_metatomic():
            return load_atomistic_model(str(path), extensions_directory=extensions)
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        hint = (
            "give the folder of its extensions (extensions=, --extensions)"
            if "xtension" in str(error)
            else "expected a .pt file exported by metatomic"
        )
        raise QuorumError(
            f"{path}: cannot be loaded as a metatomic model ({reason}); {hint}"
        ) from (error)


def extension_names(path: Path) -> list[str]:
    """Names of the TorchScript extensions that the model file needs, as it declares them."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith("extra/extensions"):
                return [entry["name"] for entry in json.loads(archive.read(name))]
    return []


def with_dtype(model: AtomisticModel, dtype: str) -> AtomisticModel:
    """The same model computing in another precision."""
    old = model.capabilities()
    capabilities = ModelCapabilities(
        outputs=old.outputs,
        atomic_types=old.atomic_types,
        interaction_range=old.interaction_range,
        length_unit=old.length_unit,
        supported_devices=old.supported_devices,
        dtype=dtype,
    )
    with quiet_metatomic():
        return AtomisticModel(model, model.metadata(), capabilities).to(DTYPES[dtype])


class _TorchEvaluation(Evaluation):
    def __init__(
        self,
        batch: Batch,
        columns: torch.Tensor,
        atom_energies: list[Array] | None,
        gradients: bool,
    ):
        self._batch, self._columns, self._gradients = batch, columns, gradients
        self.energies_eV = columns.detach().cpu().numpy()
        self.atom_energies_eV = atom_energies

    def gradient(self, cotangents: Array) -> tuple[list[Array], list[Array]]:
        if not self._gradients:
            raise QuorumError("gradients of an evaluation that was made without them")
        batch, columns = self._batch, self._columns
        n = len(batch.systems)
        grads: Sequence[torch.Tensor | None] = [None] * len(batch.leaves())
        if columns.requires_grad:
            grads = torch.autograd.grad(
                columns,
                batch.leaves(),
                torch.as_tensor(cotangents, dtype=columns.dtype, device=columns.device),
                retain_graph=True,
                allow_unused=True,
            )
        g_positions, g_cells, rest = grads[:n], grads[n : 2 * n], list(grads[2 * n :])
        forces, virials = [], []
        for s in range(n):
            x, h = batch.positions[s].detach().double(), batch.cells[s].detach().double()
            force, virial = torch.zeros_like(x), torch.zeros_like(h)
            for value, grad in ((x, g_positions[s]), (h, g_cells[s])):
                if grad is not None:
                    virial -= value.T @ grad.double()
            if g_positions[s] is not None:
                force -= g_positions[s].double()  # type: ignore[union-attr]
            for r, labels in batch.edges[s]:
                g_edge = rest.pop(0)
                if g_edge is None:
                    continue
                g_edge = g_edge.reshape(-1, 3).double()
                for axis, g in enumerate(g_edge.unbind(dim=1)):
                    # bincount sums ten times faster than index_add_ into rows of three
                    force[:, axis] += torch.bincount(labels[:, 0], g, len(x))
                    force[:, axis] -= torch.bincount(labels[:, 1], g, len(x))
                virial -= r.detach().reshape(-1, 3).double().T @ g_edge
            forces.append(force.cpu().numpy())
            virials.append((0.5 * (virial + virial.T)).cpu().numpy())
        return forces, virials


class MetatomicPotential(Potential):
    """A committee in a metatomic file.

    Any model with ``energy_ensemble`` (K members) or ``energy`` alone (one). Its interaction range
    is measured when a file is seen first (`quorum_md.models.probe`), because files declare it
    wrongly; so is whether the model gives energies per atom and honours a selection of atoms.
    """

    def __init__(
        self,
        path: str | Path,
        device: str = "cpu",
        dtype: str | None = None,
        extensions: str | Path | None = None,
    ):
        self.path = Path(path)
        # a shipped model by its name, not by where the package lies
        self.name = self.path.stem if self.path.parent == DATA else str(path)
        self._arguments = (path, device, dtype, extensions)
        model = load_file(self.path, extensions)
        capabilities = model.capabilities()
        self.metadata = model.metadata()
        self.device = _device(device, capabilities.supported_devices, self.name)
        declared = capabilities.dtype
        if dtype is not None and dtype not in DTYPES:
            raise QuorumError(f"dtype: got {dtype!r}; expected float32 or float64")
        self.dtype = dtype or declared
        if self.dtype != declared:
            model = with_dtype(model, self.dtype)
        with quiet_metatomic():
            self.model = model.to(self.device)
        for key, unit, value in (
            ("length", "angstrom", capabilities.length_unit),
            ("energy", "eV", _energy_unit(capabilities)),
        ):
            if not value:
                warn(f"{self.name} declares no {key} unit; {unit} is assumed")
        self.species = tuple(chemical_symbols[z] for z in sorted(capabilities.atomic_types))
        self.requests = self.model.requested_neighbor_lists()
        self._neighbours = Neighbours(self.requests)
        inputs = self.model.requested_inputs(use_new_names=True)
        if inputs:
            raise QuorumError(
                f"{self.name} needs inputs beyond the structure ({', '.join(inputs)}), which are "
                "not supplied; use a model of positions, cell and species alone"
            )
        self._has_ensemble = "energy_ensemble" in capabilities.outputs
        if not self._has_ensemble and "energy" not in capabilities.outputs:
            raise QuorumError(
                f"{self.name} has no output energy or energy_ensemble (it has "
                f"{', '.join(sorted(capabilities.outputs)) or 'none'}); use a model of energies"
            )
        sigma = self.metadata.extra.get(SIGMA_KEY)
        if sigma is not None:
            self.weighting = WeightedBaseline(float(sigma))
        self.declared_range_A = _in_angstrom(
            capabilities.interaction_range, capabilities.length_unit
        )
        # until the probe has spoken: the most cautious answers
        self.per_atom, self.honours_selection = True, False
        self.n_members = 0
        self._kernel: tuple[DensityKernel | None] | None = None  # not yet asked for

        if extension_names(self.path):
            check_gradient(self)
        facts = probe(self)
        self.n_members = facts.n_members
        self.per_atom = facts.per_atom
        self.honours_selection = facts.honours_selection
        self.interaction_range_A = facts.range_A
        if math.isfinite(facts.range_A) and facts.range_A > self.declared_range_A + 1e-6:
            warn(
                f"{self.name} declares an interaction range of {self.declared_range_A:g} Å, but "
                f"atoms up to {facts.range_A:g} Å away were seen to matter; {facts.range_A:g} Å "
                "is used"
            )
        if facts.mean_offset_eV > 1e-4:
            warn(
                f"{self.name}: its energy differs from the mean of its energy_ensemble by "
                f"{facts.mean_offset_eV:.3g} eV per atom; the mean of the members is used"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as what it was loaded from: other processes load the file again."""
        return MetatomicPotential, self._arguments

    @property
    def torch_dtype(self) -> torch.dtype:
        """In which it computes."""
        return DTYPES[self.dtype]

    @property
    def cutoffs_A(self) -> tuple[float, ...]:
        """Distinct cutoffs of the neighbour lists that the model asks for."""
        return tuple(sorted({r.engine_cutoff("angstrom") for r in self.requests}))

    @property
    def cutoff_A(self) -> float:
        """Longest cutoff of the neighbour lists that the model asks for."""
        return max(self.cutoffs_A, default=0.0)

    def run(
        self,
        systems: list[System],
        names: Sequence[str],
        per_atom: bool,
        selected: Labels | None,
    ) -> dict[str, TensorBlock]:
        """Blocks of the named outputs, energies in eV."""
        kind = "atom" if per_atom else "system"
        options = ModelEvaluationOptions(
            length_unit="angstrom",
            outputs={name: ModelOutput(unit="eV", sample_kind=kind) for name in names},
            selected_atoms=selected,
        )
        result = self.model(systems, options, check_consistency=False)
        return {name: result[name].block() for name in names}

    def batch(self, structures: Sequence[Atoms], gradients: bool) -> Batch:
        """Systems and neighbour lists of the structures, ready for `run`."""
        return Batch(structures, self._neighbours, DTYPES[self.dtype], self.device, gradients)

    @property
    def output_names(self) -> list[str]:
        """Outputs whose columns are the members, then V_b where there is a baseline."""
        names = ["energy_ensemble" if self._has_ensemble else "energy"]
        return names if self.weighting is None else [*names, BASELINE_OUTPUT]

    def frozen(self, atoms: Atoms) -> Frozen | None:
        """See `Potential.frozen`."""
        if not self.per_atom:
            return None
        from .frozen_metatomic import FrozenMetatomic

        return FrozenMetatomic(self, atoms)

    def rows_of_system(self, system: System, centers: npt.NDArray[np.int64]) -> Array:
        """(len(centers), M) energies of some atoms of a system that has its neighbour lists."""
        selected = None
        if self.honours_selection:
            pairs = np.stack([np.zeros_like(centers), centers], axis=1)
            selected = Labels(
                ["system", "atom"],
                torch.as_tensor(pairs.astype(np.int32), device=self.device),
                assume_unique=True,
            )
        with torch.no_grad():
            blocks = self.run([system], self.output_names, True, selected)
            columns = [self._dense(b, [0, len(system)], 1) for b in blocks.values()]
            rows: Array = torch.cat(columns, dim=1).cpu().numpy()[centers]
        self.check_finite([rows])
        return rows

    @property
    def kernel(self) -> DensityKernel | None:
        """Compiled code that does what the file says, where there is such."""
        if self._kernel is None:
            self._kernel = (open_kernel(self),)
        return self._kernel[0]

    def forward(
        self, structures: Sequence[Atoms], gradients: bool, centers: Sequence[Any] | None
    ) -> Evaluation:
        """See `Potential.forward`."""
        if centers is None and self.kernel is not None:
            return KernelEvaluation(self.kernel, structures, self._neighbours, gradients)
        return self.forward_in_torch(structures, gradients, centers)

    def forward_in_torch(
        self, structures: Sequence[Atoms], gradients: bool, centers: Sequence[Any] | None
    ) -> Evaluation:
        """The same by the file itself. Columns are the members, then V_b if there is a baseline."""
        names = self.output_names
        if centers is not None and not self.per_atom:
            raise QuorumError(
                f"{self.name} gives no energies per atom, so no selected centers; use a model "
                "that does"
            )
        counts = np.array([len(a) for a in structures])
        with torch.set_grad_enabled(gradients):
            batch = self.batch(structures, gradients)
            selected = None
            if centers is not None and self.honours_selection:
                pairs = [np.stack([np.full(len(c), s), c], axis=1) for s, c in enumerate(centers)]
                selected = Labels(
                    ["system", "atom"],
                    torch.as_tensor(np.concatenate(pairs), dtype=torch.int32, device=self.device),
                )
            blocks = self.run(batch.systems, names, self.per_atom, selected)
            first = np.concatenate([[0], np.cumsum(counts)])
            columns = torch.cat(
                [self._dense(blocks[name], first, len(structures)) for name in names], dim=1
            )
            if not self.per_atom:
                return _TorchEvaluation(batch, columns, None, gradients)
            rows = [columns[first[s] : first[s + 1]] for s in range(len(structures))]
            if centers is not None:
                rows = [
                    r[torch.as_tensor(c, device=self.device)]
                    for r, c in zip(rows, centers, strict=True)
                ]
            totals = torch.stack([r.sum(dim=0) for r in rows])
        return _TorchEvaluation(batch, totals, [r.detach().cpu().numpy() for r in rows], gradients)

    def _dense(self, block: TensorBlock, first: Any, n_systems: int) -> torch.Tensor:
        """(rows, columns) in double, rows in the order of systems and atoms, zero where the model
        returned none (atoms that were not selected)."""
        values = block.values.reshape(len(block.samples), -1).double()
        labels = block.samples.values.long()
        starts = torch.as_tensor(first, device=values.device)
        index = starts[labels[:, 0]] + labels[:, 1] if self.per_atom else labels[:, 0]
        n = int(first[-1]) if self.per_atom else n_systems
        if len(index) == n and bool((index == torch.arange(n, device=index.device)).all()):
            return values
        dense = torch.zeros((n, values.shape[1]), dtype=values.dtype, device=values.device)
        return dense.index_add(0, index, values)


def _energy_unit(capabilities: ModelCapabilities) -> str:
    for name in ("energy_ensemble", "energy"):
        if name in capabilities.outputs:
            return capabilities.outputs[name].unit
    return "eV"  # no energy at all: refused elsewhere


def _in_angstrom(value: float, unit: str) -> float:
    from metatomic.torch import unit_conversion_factor

    return value * unit_conversion_factor(unit, "angstrom") if unit else value


def _device(name: str, supported: Sequence[str], model: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        raise QuorumError(f"device: got {name!r}; expected cpu, cuda or cuda:N") from None
    if device.type not in supported:
        raise QuorumError(
            f"device: {model} runs on {', '.join(supported)}, not on {device.type}; choose one of "
            "these"
        )
    if device.type == "cuda" and not torch.cuda.is_available():
        raise QuorumError("device: cuda was asked for, but torch sees no GPU; use device cpu")
    return device


def types_of(species: Sequence[str]) -> list[int]:
    """Atomic numbers of chemical symbols."""
    return [atomic_numbers[s] for s in species]
