"""What a model file really does, measured on a small cluster when it is seen first.

Files declare their interaction range wrongly: a PET model with one message-passing layer and a
cutoff of 5 Å declares 5 Å and reaches 10. Domain decomposition and local Monte Carlo would then be
wrong without a sign. So: take the gradient of one atom's energy with respect to all positions in a
long rod of atoms, once with each element at its end; the farthest atom with a non-zero gradient
tells how many hops of the cutoff the model makes. A gradient without a path through the model is
exactly zero, so no tolerance is needed. A declaration longer than what was seen is believed.

Also measured: the number of members (it is in no header), whether energies per atom are available,
whether ``selected_atoms`` is honoured, and whether the energy is the mean of the members.

The facts are kept by the hash of the file in ``$XDG_CACHE_HOME/quorum-md`` (default ~/.cache).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import warnings
from dataclasses import asdict, dataclass
from itertools import combinations_with_replacement
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from ase import Atoms
from metatensor.torch import Labels

from ..errors import QuorumError
from ..native import cache_folder

if TYPE_CHECKING:
    from .metatomic_model import MetatomicPotential

BASELINE_OUTPUT = "energy/baseline"  # members are in energy_ensemble, the baseline here

FORMAT = 3  # raise when the meaning of a fact changes
LONGEST_HOPS = 8  # a model that reaches farther than this many cutoffs counts as unlimited


@dataclass(frozen=True)
class Facts:
    """Measured properties of a model file; range_A is infinite where no limit was found."""

    n_members: int
    per_atom: bool
    honours_selection: bool
    range_A: float
    mean_offset_eV: float


def probe(model: MetatomicPotential) -> Facts:
    """The facts of a model, from the cache or measured now."""
    cached = _cache_file(model.path)
    try:
        stored = json.loads(cached.read_text())
        if stored.pop("format", None) == FORMAT:
            return Facts(**stored)
    except (OSError, ValueError, TypeError):
        pass  # no cache, or one of another version: measure
    facts = _measure(model)
    if not facts.per_atom:
        # a failure that may be of the moment (memory, an extension): ask again next time
        return facts
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        temporary = cached.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps({"format": FORMAT, **asdict(facts)}))
        temporary.replace(cached)
    except OSError:
        pass  # a read-only home only costs the measurement again
    return facts


def _cache_file(path: Path) -> Path:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return cache_folder() / f"model-{digest[:40]}.json"


def rod(species: tuple[str, ...], length_A: float, seed: int = 0) -> Atoms:
    """A rod of atoms along x, three abreast, at distances of a dense solid, first atom at one end.

    Positions are random enough that no gradient vanishes by symmetry.
    """
    rng = np.random.default_rng(seed)
    n = math.ceil(length_A / 2.0) + 1
    corners = 1.5 * np.array([[0, 0], [1, 0], [0.5, 0.9]])
    x = 2.0 * np.arange(n)[:, None] + np.array([0.0, 0.7, 1.3])
    yz = np.broadcast_to(corners, (n, 3, 2))
    positions = np.concatenate([x[..., None], yz], axis=2).reshape(-1, 3)
    positions += rng.uniform(-0.1, 0.1, positions.shape)
    return Atoms(rng.choice(np.array(species), len(positions)), positions=1.2 * positions)


def _measure(model: MetatomicPotential) -> Facts:
    cutoff = model.cutoff_A
    atoms = rod(model.species, 2.2 * max(cutoff, 2.0) + 4.0)
    name = "energy_ensemble" if model._has_ensemble else "energy"
    batch = model.batch([atoms], gradients=False)
    with torch.no_grad():
        try:
            block = model.run(batch.systems, [name], True, None)[name]
            per_atom = "atom" in block.samples.names
        except (RuntimeError, ValueError):
            per_atom = False
        if not per_atom:
            try:
                block = model.run(batch.systems, [name], False, None)[name]
            except (RuntimeError, ValueError) as error:
                reason = str(error).strip().splitlines()[-1]
                raise QuorumError(f"{model.name}: the model does not run ({reason})") from error
        n_members = block.values.shape[-1]
        mean = block.values.double().mean(dim=-1).sum()
        offset = 0.0
        if model._has_ensemble and "energy" in model.model.capabilities().outputs:
            if model.weighting is None:
                energy = model.run(batch.systems, ["energy"], per_atom, None)["energy"]
                offset = float(abs(energy.values.double().sum() - mean)) / len(atoms)
        honoured = per_atom and _honours_selection(model, atoms, name)
    names = [name] if model.weighting is None else [name, BASELINE_OUTPUT]
    reach = _range(model, names) if per_atom and not _declares_infinity(model) else math.inf
    return Facts(n_members, per_atom, honoured, reach, offset)


def check_gradient(model: MetatomicPotential) -> None:
    """Refuse a model whose backward is not the gradient of its energy on this machine.

    Done at every load of a model that needs TorchScript extensions: whether these know their
    gradients depends on what is installed, and where they do not, forces are wrong silently. The
    slope of the energy along a random direction is compared with a difference of energies.
    """
    atoms = rod(model.species, 8.0)
    step = 0.02 if model.dtype == "float32" else 1e-3
    direction = np.random.default_rng(1).normal(size=atoms.positions.shape)
    moved = []
    for sign in (1, -1):
        copy = atoms.copy()
        copy.positions += sign * step * direction
        moved.append(copy)
    with warnings.catch_warnings():
        # torch warns of just this; the comparison decides
        warnings.filterwarnings("ignore", message=".*autograd kernel was not registered")
        start = model.forward_in_torch([atoms], True, None)
        columns = np.full(start.energies_eV.shape, 1 / start.energies_eV.shape[1])
        slope = -float((start.gradient(columns)[0][0] * direction).sum())
    energies = model.forward_in_torch(moved, False, None).energies_eV.mean(axis=1)
    numeric = float(energies[0] - energies[1]) / (2 * step)
    scale = max(abs(slope), abs(numeric))
    rounding = 1e-6 if model.dtype == "float32" else 1e-12
    noise = rounding * float(np.abs(energies).max()) / step
    if abs(slope - numeric) > 0.02 * scale + noise:
        raise QuorumError(
            f"{model.name}: its forces are not the gradient of its energy (slope {slope:.6g} "
            f"against {numeric:.6g} eV/Å by differences): an extension it needs has no gradients "
            "here; install the Python package of that extension (for SOAP-BPNN: "
            "pip install sphericart-torch)"
        )


def _declares_infinity(model: MetatomicPotential) -> bool:
    return not math.isfinite(model.declared_range_A)


def _honours_selection(model: MetatomicPotential, atoms: Atoms, name: str) -> bool:
    chosen = [1, len(atoms) // 2]
    batch = model.batch([atoms], gradients=False)
    selected = Labels(
        ["system", "atom"], torch.tensor([[0, c] for c in chosen], dtype=torch.int32)
    ).to(model.device)
    try:
        some = model.run(batch.systems, [name], True, selected)[name]
    except (RuntimeError, ValueError):
        return False
    if some.samples.values.shape[0] != len(chosen):
        return False
    whole = model.run(batch.systems, [name], True, None)[name]
    atom = whole.samples.names.index("atom")
    rows = {int(a): v for a, v in zip(whole.samples.values[:, atom], whole.values, strict=True)}
    scale = float(whole.values.abs().max()) + 1e-30
    tolerance = 1e-5 * scale if model.dtype == "float32" else 1e-10 * scale
    return all(
        float((rows[int(label[atom])] - value).abs().max()) < tolerance
        for label, value in zip(some.samples.values, some.values, strict=True)
    )


def _covering_range(reach_A: float, cutoffs_A: tuple[float, ...], hops: int) -> float:
    """The sum of up to ``hops`` cutoffs that covers the reach seen: hops are whole cutoffs.

    Atoms sample distances at steps below 1 Å, so of several sums that close above the reach the
    largest is meant.
    """
    if reach_A == 0.0:
        return 0.0
    sums = sorted(
        sum(chosen)
        for h in range(1, hops + 1)
        for chosen in combinations_with_replacement(cutoffs_A, h)
    )
    covering = [x for x in sums if x >= reach_A - 1e-6]
    return max(x for x in covering if x <= covering[0] or x <= reach_A + 1.0)


def _range(model: MetatomicPotential, names: list[str]) -> float:
    """Range that covers every atom seen to matter, and the declaration; infinite if unlimited."""
    declared = model.declared_range_A
    cutoff = model.cutoff_A
    if cutoff == 0.0:  # no neighbour list: whatever it reads, it reads from the positions
        length = 2 * declared + 10.0
        reach = _reach(model, names, length)
        return math.inf if reach > 0.8 * length else max(declared, reach)
    hops = 2
    while hops <= LONGEST_HOPS:
        # one cutoff of atoms beyond the hops in question
        reach = _reach(model, names, (hops + 1) * cutoff)
        if reach <= hops * cutoff:
            return max(declared, _covering_range(reach, model.cutoffs_A, hops))
        hops *= 2
    return math.inf


def _reach(model: MetatomicPotential, names: list[str], length_A: float) -> float:
    """Largest distance of an atom that matters to the first of a rod, over all elements there."""
    rods = [rod(model.species, length_A, seed) for seed in range(len(model.species))]
    for atoms, symbol in zip(rods, model.species, strict=True):
        atoms.symbols[0] = symbol
    with torch.enable_grad():
        batch = model.batch(rods, gradients=True)
        target = torch.zeros((), device=model.device)
        for block in model.run(batch.systems, names, True, None).values():
            atom = block.samples.names.index("atom")
            rows = torch.nonzero(block.samples.values[:, atom] == 0)[:, 0]
            # the columns weighted unequally, so that nothing cancels
            weights = torch.linspace(1.0, 2.0, block.values.shape[-1], device=model.device)
            target = target + (block.values[rows] * weights).sum()
        if not target.requires_grad:
            return 0.0
        grads = torch.autograd.grad(target, batch.leaves(), allow_unused=True)
    edges = list(grads[2 * len(rods) :])
    reach = 0.0
    for s, atoms in enumerate(rods):
        touched = torch.zeros(len(atoms), dtype=torch.bool, device=model.device)
        if grads[s] is not None:
            touched |= (grads[s] != 0).any(dim=1)
        for _, labels in batch.edges[s]:
            grad = edges.pop(0)
            if grad is not None:
                hit = labels[(grad.reshape(-1, 3) != 0).any(dim=1)]
                touched[hit[:, 0].long()] = True
                touched[hit[:, 1].long()] = True
        distance = np.linalg.norm(atoms.positions - atoms.positions[0], axis=1)
        reach = max(reach, float(distance[touched.cpu().numpy()].max(initial=0.0)))
    return reach
