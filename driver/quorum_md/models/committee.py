"""K members as one metatomic model: independent models joined, calibrated, with a baseline.

`Committee` is the one module behind every file that this package assembles: it calls complete
metatomic models (each converts its energy for itself), puts their energies into columns, scales the
spread by α and mixes in a baseline. Its outputs are metatomic's standard ones, so the file runs in
every metatomic engine:

    energy              mean of the members, or the weighted baseline U
    energy_ensemble     K calibrated members V̄ + α (V_i − V̄)
    energy_uncertainty  their standard deviation (ddof = 1)
    energy/baseline     V_b, where there is a baseline

With a baseline the mixing w depends on total energies: engines that split a structure over ranks
must form it from reduced energies (ours do, from the last three outputs).
"""

import io
import json
import math
import os
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional

import torch
from ase.data import atomic_numbers
from metatensor.torch import Labels, TensorBlock, TensorMap
from metatomic.torch import (
    AtomisticModel,
    ModelCapabilities,
    ModelEvaluationOptions,
    ModelMetadata,
    ModelOutput,
    System,
    unit_conversion_factor,
)

from ..atomic import write_atomically
from ..errors import QuorumError
from .baseline import WeightedBaseline, offsets_table
from .metatomic_model import (
    ALPHA_KEY,
    DTYPES,
    SIGMA_KEY,
    MetatomicPotential,
    extension_names,
    load_file,
    quiet_metatomic,
    with_dtype,
)
from .probe import BASELINE_OUTPUT


class Committee(torch.nn.Module):
    """Complete metatomic models side by side; see the module's docstring.

    Parameters
    ----------
    models: exported models; the last one is the baseline if ``has_baseline``
    ensembles: per model, whether its members are in ``energy_ensemble``
    per_atom: whether all of them give energies per atom
    alpha: scale of the members' deviation from their mean
    has_baseline, sigma_eV, correction: weighted baseline, see `WeightedBaseline`
    offsets_eV: (119,) energies per atom added to the baseline, by atomic number
    length_unit: of all the models; metatomic allows one per file for neighbour lists
    """

    def __init__(
        self,
        models: Sequence[AtomisticModel],
        ensembles: Sequence[bool],
        per_atom: bool,
        alpha: float = 1.0,
        has_baseline: bool = False,
        sigma_eV: float = 1.0,
        correction: bool = False,
        offsets_eV: Optional[torch.Tensor] = None,
        length_unit: str = "angstrom",
    ):
        super().__init__()
        self.length_unit = length_unit
        self.models = torch.nn.ModuleList(models)
        self.names: List[str] = ["energy_ensemble" if e else "energy" for e in ensembles]
        self.per_atom, self.alpha = per_atom, alpha
        self.has_baseline, self.sigma_eV, self.correction = has_baseline, sigma_eV, correction
        offsets = torch.zeros(119) if offsets_eV is None else offsets_eV
        self.register_buffer("offsets_eV", offsets.to(torch.float64))

    def forward(
        self,
        systems: List[System],
        outputs: Dict[str, ModelOutput],
        selected_atoms: Optional[Labels],
    ) -> Dict[str, TensorMap]:
        """metatomic's interface: named outputs of the systems, in eV."""
        device = systems[0].positions.device
        dtype = systems[0].positions.dtype
        first = torch.zeros(len(systems) + 1, dtype=torch.int64, device=device)
        for s, system in enumerate(systems):
            first[s + 1] = first[s] + len(system)
        n_rows = int(first[-1]) if self.per_atom else len(systems)

        # w needs all atoms; without a baseline the models may save the work of the others
        selection = selected_atoms
        if self.has_baseline:
            selection = None
        columns: List[torch.Tensor] = []
        for m, model in enumerate(self.models):
            name = self.names[m]
            wanted = ModelOutput(
                unit="eV",
                sample_kind="atom" if self.per_atom else "system",
            )
            options = ModelEvaluationOptions(
                length_unit=self.length_unit, outputs={name: wanted}, selected_atoms=selection
            )
            block = model(systems, options, False)[name].block()
            values = block.values.reshape(block.values.shape[0], -1).double()
            labels = block.samples.values.to(torch.int64)
            row = labels[:, 0]
            if self.per_atom:
                row = first[labels[:, 0]] + labels[:, 1]
            dense = torch.zeros((n_rows, values.shape[1]), dtype=values.dtype, device=device)
            columns.append(dense.index_add(0, row, values))

        rows = torch.arange(n_rows, device=device)
        system_of_row = rows
        if self.per_atom:
            system_of_row = torch.searchsorted(first[1:], rows, right=True)

        last = len(columns) - 1 if self.has_baseline else len(columns)
        members = torch.cat(columns[:last], dim=1)
        base = torch.zeros((n_rows, 1), dtype=members.dtype, device=device)
        if self.has_baseline:
            base = columns[-1]
            types = torch.cat([system.types for system in systems]).to(torch.int64)
            shift = self.offsets_eV[types].to(base.dtype)[:, None]
            if not self.per_atom:
                totals = torch.zeros_like(base)
                atoms = torch.arange(len(types), device=device)
                shift = totals.index_add(0, torch.searchsorted(first[1:], atoms, right=True), shift)
            base = base + shift
            if self.correction:
                members = members + base
        mean = members.mean(dim=1, keepdim=True)
        members = mean + self.alpha * (members - mean)
        k = members.shape[1]

        energy = mean
        if self.has_baseline:
            zeros = torch.zeros((len(systems), k), dtype=members.dtype, device=device)
            totals = zeros.index_add(0, system_of_row, members)
            variance = torch.zeros(len(systems), dtype=members.dtype, device=device)
            if k > 1:
                variance = totals.var(dim=1)
            w = self.sigma_eV**2 / (self.sigma_eV**2 + variance)
            energy = base + w[system_of_row][:, None] * (mean - base)

        chosen = rows
        if selected_atoms is not None:
            if not self.per_atom:
                raise ValueError("this committee gives no energies per atom to select from")
            pairs = selected_atoms.values.to(torch.int64)
            chosen = first[pairs[:, 0]] + pairs[:, 1]
        chosen_system = system_of_row[chosen]

        results: Dict[str, TensorMap] = {}
        for name, output in outputs.items():
            per_atom = output.sample_kind == "atom"
            if per_atom and not self.per_atom:
                raise ValueError("this committee gives no energies per atom")
            table = members
            if name == "energy":
                table = energy
            elif name == "energy/baseline":
                table = base
            table = table[chosen]
            if not per_atom:
                sums = torch.zeros((len(systems), table.shape[1]), dtype=table.dtype, device=device)
                table = sums.index_add(0, chosen_system, table)
            if name == "energy_uncertainty":
                table = table.std(dim=1, keepdim=True)
            if per_atom:
                atom = chosen - first[chosen_system]
                samples = Labels(
                    ["system", "atom"], torch.stack([chosen_system, atom], dim=1).to(torch.int32)
                )
            else:
                index = torch.arange(len(systems), dtype=torch.int32, device=device)
                samples = Labels(["system"], index.reshape(-1, 1))
            member = torch.arange(table.shape[1], dtype=torch.int32, device=device)
            block = TensorBlock(
                table.to(dtype),
                samples,
                torch.jit.annotate(List[Labels], []),
                Labels(["energy"], member.reshape(-1, 1)),
            )
            keys = Labels(["_"], torch.zeros((1, 1), dtype=torch.int32, device=device))
            results[name] = TensorMap(keys, [block])
        return results


@dataclass(frozen=True)
class Part:
    """One file that goes into a committee: its model and what was measured of it."""

    path: Path
    model: AtomisticModel
    facts: MetatomicPotential


def read_part(path: Path, extensions: Optional[Path] = None) -> Part:
    """Load and measure one metatomic file; raises QuorumError if it is none."""
    facts = MetatomicPotential(path, extensions=extensions)
    return Part(path, load_file(path, extensions), facts)


def assemble(
    members: Sequence[Part],
    out: Path,
    *,
    description: str,
    alpha: float = 1.0,
    baseline: Optional[Part] = None,
    weighting: Optional[WeightedBaseline] = None,
    offsets_eV: Optional[Dict[str, float]] = None,
    extra: Optional[Dict[str, str]] = None,
) -> None:
    """Write a committee of all members of the given files, and a baseline if there is one.

    Raises QuorumError if the models have no element in common, need inputs beyond structures, are
    weighted baselines already where that makes no sense, or if ``out`` cannot be written.
    """
    parts = [*members, *([baseline] if baseline is not None else [])]
    single = len(members) == 1
    for part in parts:
        if part.facts.weighting is not None:
            raise QuorumError(
                f"{part.path} has a weighted baseline already; put the committee together and "
                "calibrate it first, and add the baseline last"
            )
    if baseline is not None and baseline.facts.n_members != 1:
        raise QuorumError(
            f"baseline {baseline.path} has {baseline.facts.n_members} members; expected a single "
            "model"
        )
    common = set.intersection(*(set(p.facts.species) for p in parts))
    if not common:
        known = "; ".join(f"{p.path} knows {' '.join(p.facts.species)}" for p in parts)
        raise QuorumError(f"the models have no element in common: {known}")
    devices = [
        d
        for d in parts[0].model.capabilities().supported_devices
        if all(d in p.model.capabilities().supported_devices for p in parts)
    ]
    units = {p.model.capabilities().length_unit or "angstrom" for p in parts}
    if len(units) > 1:
        raise QuorumError(
            f"the models are written in different length units ({', '.join(sorted(units))}), and "
            "a metatomic file holds neighbour lists of one; export them in the same unit, or load "
            "them side by side from Python with load_potential([…])"
        )
    unit = units.pop()
    dtypes = {p.model.capabilities().dtype for p in parts}
    dtype = dtypes.pop() if len(dtypes) == 1 else "float64"
    per_atom = all(p.facts.per_atom for p in parts)
    module = Committee(
        [with_dtype(p.model, dtype) for p in parts],
        [p.facts._has_ensemble for p in parts],
        per_atom,
        alpha=alpha,
        has_baseline=baseline is not None,
        sigma_eV=weighting.sigma_eV if weighting is not None else 1.0,
        correction=weighting.correction if weighting is not None else False,
        offsets_eV=torch.from_numpy(offsets_table(offsets_eV or {})),
        length_unit=unit,
    ).to(DTYPES[dtype])
    module.offsets_eV = module.offsets_eV.double()
    n_members = sum(p.facts.n_members for p in members)
    names = ["energy"]
    if n_members > 1:
        names += ["energy_ensemble", "energy_uncertainty"]
    if baseline is not None:
        names.append(BASELINE_OUTPUT)
    kind = "atom" if per_atom else "system"
    reach = max(p.facts.interaction_range_A for p in parts)
    capabilities = ModelCapabilities(
        outputs={n: ModelOutput(unit="eV", sample_kind=kind) for n in names},
        atomic_types=sorted(atomic_numbers[s] for s in common),
        interaction_range=reach / unit_conversion_factor(unit, "angstrom"),
        length_unit=unit,
        supported_devices=devices,
        dtype=dtype,
    )
    old = members[0].model.metadata()
    notes: Dict[str, str] = dict(old.extra) if single else {}
    notes["quorum:members"] = str(n_members)
    notes["quorum:sources"] = json.dumps([p.path.name for p in parts])
    notes[ALPHA_KEY] = repr(alpha * float(notes.get(ALPHA_KEY, "1")))
    if weighting is not None:
        notes[SIGMA_KEY] = repr(weighting.sigma_eV)
    notes.update(extra or {})
    metadata = ModelMetadata(
        name=out.stem,
        description=description,
        authors=old.authors if single else [],
        references=old.references if single else {},
        extra=notes,
    )
    extensions = any(extension_names(p.path) for p in parts)
    with quiet_metatomic():
        model = AtomisticModel(module.eval(), metadata, capabilities)
    save(model, out, extensions)


def save(model: AtomisticModel, out: Path, extensions: bool = False) -> None:
    """Write a model file whole or not at all; its extensions go to ``<stem>-extensions``.

    Raises QuorumError if it cannot be written.
    """
    folder = out.parent / f"{out.stem}-extensions" if extensions else None
    with _scratch_file() as scratch:
        model.save(scratch, collect_extensions=str(folder) if folder else None)
        data = _tidied(Path(scratch).read_bytes(), out.stem)
    write_atomically(out, data)


def _tidied(archive: bytes, name: str) -> bytes:
    """A model archive without TorchScript's debugging records, its root folder called ``name``.

    The records hold the paths of source files on the machine that wrote them, and are a quarter of
    a small model; the root is otherwise named after a scratch file.
    """
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(result, "w") as new:
        for entry in old.infolist():
            if not entry.filename.endswith(".debug_pkl"):
                inside = entry.filename.partition("/")[2]
                new.writestr(zipfile.ZipInfo(f"{name}/{inside}"), old.read(entry))
    return result.getvalue()


@contextmanager
def _scratch_file() -> Iterator[str]:
    """A file in memory where the system has them: torch ends the process on a full disk."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("model")
        try:
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield os.path.join(folder, "model.pt")


def check_output(out: Path, sources: Sequence[Path] = ()) -> None:
    """Refuse, before any work is done, an output that cannot be written or is an input too."""
    parent = out.parent
    if not parent.is_dir():
        raise QuorumError(f"{out}: the folder {parent} does not exist; create it first")
    if out.is_dir() or not os.access(parent, os.W_OK):
        raise QuorumError(f"{out} cannot be written; choose another path with -o")
    for source in sources:
        if source.exists() and out.exists() and os.path.samefile(source, out):
            raise QuorumError(f"{out} is also an input; choose another path with -o")


def finite_range(value: float) -> str:
    """A range for messages."""
    return f"{value:g} Å" if math.isfinite(value) else "unlimited"
