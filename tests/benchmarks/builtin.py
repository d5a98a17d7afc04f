"""Time of the built-in potential: energy and forces per atom for 1, 32 and 64 members.

bcc at a = 3.24 Å, 2000 atoms, 26 neighbours within 5 Å, single precision, one thread, through the
exported file; forces by one autograd.grad of the summed mean with respect to the edge vectors.
Members are timed in turns, so that a busy machine disturbs all alike; minima of processor time
count, which is the elapsed time of one thread on an idle machine. Then the same files through
`Potential.evaluate`, neighbour lists and virial included, by the compiled kernel and by torch.

    python tests/benchmarks/builtin.py
"""

import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
import vesin
from ase.build import bulk
from metatensor.torch import Labels, TensorBlock
from metatomic.torch import (
    AtomisticModel,
    ModelEvaluationOptions,
    ModelMetadata,
    ModelOutput,
    System,
    load_atomistic_model,
)

from quorum_md.models import load_potential
from quorum_md.models.committee import save
from quorum_md.models.density import DensityNet, DensityPotential, export
from quorum_md.models.metatomic_model import quiet_metatomic

TYPES = [41, 42, 73, 74]
MEMBERS = (1, 32, 64)
ROUNDS = 30
TARGET_US = 25.0
TARGET_RATIO = 1.10


def model(n_members: int, folder: Path) -> AtomisticModel:
    """The default sizes with random weights, written and read back."""
    torch.manual_seed(0)
    net = DensityNet(len(TYPES))
    for parameter in net.parameters():
        parameter.data = 0.1 * torch.randn(parameter.shape)
    width = net.weight_2.shape[1]
    potential = DensityPotential(
        net,
        TYPES,
        [-10.0, -11.0, -12.0, -13.0],
        5.0,
        torch.randn(width),
        torch.zeros(len(TYPES)),
        0.1 * torch.randn(width, n_members),
        torch.zeros(len(TYPES), n_members),
    )
    path = folder / f"{n_members}.pt"
    with quiet_metatomic():
        save(export(potential, TYPES, ModelMetadata()), path)
    return load_atomistic_model(str(path))


def crystal(request) -> tuple[System, torch.Tensor]:  # type: ignore[no-untyped-def]
    """A warm alloy with its neighbour list, and the vectors of the list."""
    rng = np.random.default_rng(0)
    atoms = bulk("Nb", "bcc", a=3.24, cubic=True) * (10, 10, 10)
    atoms.numbers = rng.choice(TYPES, len(atoms))
    atoms.rattle(0.02, rng=rng)
    pairs, shifts, vectors = vesin.NeighborList(cutoff=5.0, full_list=True, sorted=True).compute(
        atoms.positions, atoms.cell.array, True, "PSD"
    )
    system = System(
        torch.as_tensor(atoms.numbers, dtype=torch.int32),
        torch.as_tensor(atoms.positions, dtype=torch.float32),
        torch.as_tensor(atoms.cell.array, dtype=torch.float32),
        torch.tensor([True, True, True]),
    )
    names = ["first_atom", "second_atom", "cell_shift_a", "cell_shift_b", "cell_shift_c"]
    labels = torch.from_numpy(np.concatenate([pairs.astype(np.int32), shifts.astype(np.int32)], 1))
    r = torch.as_tensor(vectors.reshape(-1, 3, 1), dtype=torch.float32).requires_grad_(True)
    xyz = Labels("xyz", torch.arange(3, dtype=torch.int32).reshape(-1, 1))
    distance = Labels("distance", torch.zeros((1, 1), dtype=torch.int32))
    system.add_neighbor_list(request, TensorBlock(r, Labels(names, labels), [xyz], distance))
    return system, r


def whole_path(folder: Path) -> None:
    """Print what a step costs from Python."""
    rng = np.random.default_rng(0)
    atoms = bulk("Nb", "bcc", a=3.24, cubic=True) * (10, 10, 10)
    atoms.numbers = rng.choice(TYPES, len(atoms))
    print("# evaluate() with forces and virial, us per atom (processor time, min)")
    print("# members  kernel  torch  ratio")
    for k in MEMBERS:
        potential = load_potential(folder / f"{k}.pt")
        times = []
        for evaluate in (potential.forward, potential.forward_in_torch):
            potential.forward = evaluate  # type: ignore[method-assign]
            spent = []
            for turn in range(8):
                atoms.rattle(0.002, seed=turn)
                begun = time.process_time()
                potential.evaluate(atoms, virial=True)
                spent.append(1e6 * (time.process_time() - begun) / len(atoms))
            times.append(min(spent))
        print(f"  {k:7d}  {times[0]:6.1f} {times[1]:6.1f} {times[1] / times[0]:6.1f}")


def main() -> None:
    """Print tables of times and the ratios."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder))


def compare(folder: Path) -> None:
    """Both tables."""
    models = {k: model(k, folder) for k in MEMBERS}
    (request,) = models[1].requested_neighbor_lists()
    system, r = crystal(request)
    n_atoms = len(system)
    times: dict[int, list[float]] = {k: [] for k in MEMBERS}
    elapsed: dict[int, list[float]] = {k: [] for k in MEMBERS}
    for turn in range(ROUNDS):
        for k, one in models.items():
            names = ["energy"] if k == 1 else ["energy", "energy_ensemble"]
            options = ModelEvaluationOptions(
                length_unit="angstrom",
                outputs={n: ModelOutput(unit="eV", sample_kind="atom") for n in names},
            )
            begun, began = time.process_time(), time.perf_counter()
            energy = one([system], options, False)["energy"].block().values.sum()
            torch.autograd.grad(energy, r)
            # the first calls compile
            if turn >= 3:
                times[k].append(1e6 * (time.process_time() - begun) / n_atoms)
                elapsed[k].append(1e6 * (time.perf_counter() - began) / n_atoms)
    print(f"# built-in potential, {n_atoms} atoms, {len(r) / n_atoms:.0f} neighbours, one thread")
    print("# us per atom: processor time (min), elapsed (min, median); ratio of processor times")
    print("# members    cpu    min  median  ratio")
    first = min(times[1])
    for k in MEMBERS:
        print(
            f"  {k:7d}  {min(times[k]):5.1f}  {min(elapsed[k]):5.1f}  {np.median(elapsed[k]):6.1f}"
            f"  {min(times[k]) / first:5.2f}"
        )
    passed = first <= TARGET_US and min(times[64]) / first <= TARGET_RATIO
    verdict = "met" if passed else "NOT met"
    print(f"# targets: {TARGET_US:g} us/atom, ratio {TARGET_RATIO:g}: {verdict}")
    whole_path(folder)


if __name__ == "__main__":
    main()
