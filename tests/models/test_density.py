"""The built-in potential: symmetries, exact gradients, selections, precision, short range.

All through the exported file's interface, because that is what engines run.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
import vesin
from ase import Atoms
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

from quorum_md.models.basis import radial_basis, repulsion, repulsion_tables, spherical_harmonics
from quorum_md.models.committee import save
from quorum_md.models.density import DensityNet, DensityPotential, export
from quorum_md.models.metatomic_model import MetatomicPotential, quiet_metatomic

TYPES = [29, 47, 79]
CUTOFF_A = 4.5
OUTPUTS = ("energy", "energy_ensemble", "energy_uncertainty")


def random_potential(n_members: int = 5, seed: int = 0) -> DensityPotential:
    """Weights drawn at random: energies of eV, far from smooth, so that mistakes show."""
    generator = torch.Generator().manual_seed(seed)
    net = DensityNet(len(TYPES), 5, 2, 6, 3, (12, 10))
    for parameter in net.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    net.mixing.data *= 0.5
    net.weight_1.data *= 0.1
    deviation = 0.1 * torch.randn(10, n_members, generator=generator, dtype=torch.float64)
    shift = 0.1 * torch.randn(3, n_members, generator=generator, dtype=torch.float64)
    return DensityPotential(
        net,
        TYPES,
        [-11.123456789, -12.3, -13.7],
        CUTOFF_A,
        torch.randn(10, generator=generator, dtype=torch.float64),
        torch.randn(3, generator=generator, dtype=torch.float64),
        deviation - deviation.mean(1, keepdim=True),
        shift - shift.mean(1, keepdim=True),
    )


def exported(folder: Path, dtype: str = "float64", **changes: int) -> Path:
    path = folder / f"{dtype}.pt"
    with quiet_metatomic():
        save(export(random_potential(**changes), TYPES, ModelMetadata(), dtype), path)
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("density"))


@pytest.fixture(scope="module")
def potential(path: Path) -> MetatomicPotential:
    return MetatomicPotential(path)


def alloy(seed: int = 0, repeat: int = 2, a: float = 3.9) -> Atoms:
    rng = np.random.default_rng(seed)
    atoms = bulk("Cu", "fcc", a=a, cubic=True) * (repeat, repeat, repeat)
    atoms.numbers = rng.choice(TYPES, len(atoms))
    atoms.rattle(0.15, rng=rng)
    return atoms


def as_system(
    model: AtomisticModel, atoms: Atoms, dtype: torch.dtype, gradients: bool = False
) -> tuple[System, torch.Tensor, torch.Tensor]:
    """A system, its neighbour vectors (E, 3, 1), leaves of the graph, and (E, 5) labels."""
    (request,) = model.requested_neighbor_lists()
    pbc = np.asarray(atoms.pbc)
    box = np.where(pbc[:, None], atoms.cell.array, 0.0)
    pairs, shifts, vectors = vesin.NeighborList(
        cutoff=request.engine_cutoff("angstrom"), full_list=request.full_list
    ).compute(atoms.positions, box, pbc, "PSD")
    system = System(
        torch.as_tensor(atoms.numbers, dtype=torch.int32),
        torch.as_tensor(atoms.positions, dtype=dtype),
        torch.as_tensor(box, dtype=dtype),
        torch.as_tensor(pbc),
    )
    names = ["first_atom", "second_atom", "cell_shift_a", "cell_shift_b", "cell_shift_c"]
    labels = torch.from_numpy(np.concatenate([pairs.astype(np.int32), shifts.astype(np.int32)], 1))
    r = torch.as_tensor(vectors.reshape(-1, 3, 1), dtype=dtype).requires_grad_(gradients)
    xyz = Labels("xyz", torch.arange(3, dtype=torch.int32).reshape(-1, 1))
    distance = Labels("distance", torch.zeros((1, 1), dtype=torch.int32))
    system.add_neighbor_list(request, TensorBlock(r, Labels(names, labels), [xyz], distance))
    return system, r, labels


def call(
    model: AtomisticModel,
    structures: list[Atoms],
    kind: str,
    selected: list[list[int]] | None = None,
    dtype: torch.dtype = torch.float64,
) -> dict[str, torch.Tensor]:
    """Values by output, through the model's own consistency checks."""
    labels = None
    if selected is not None:
        table = torch.tensor(selected, dtype=torch.int32).reshape(-1, 2)
        labels = Labels(["system", "atom"], table)
    options = ModelEvaluationOptions(
        length_unit="angstrom",
        outputs={n: ModelOutput(unit="eV", sample_kind=kind) for n in OUTPUTS},
        selected_atoms=labels,
    )
    systems = [as_system(model, atoms, dtype)[0] for atoms in structures]
    result = model(systems, options, check_consistency=True)
    return {name: result[name].block().values for name in OUTPUTS}


def test_harmonics_are_orthonormal_and_follow_the_addition_theorem() -> None:
    rng = np.random.default_rng(0)
    u = rng.normal(size=(2, 7, 3))
    u /= np.linalg.norm(u, axis=2, keepdims=True)
    y = spherical_harmonics(torch.from_numpy(u)).numpy()
    cos = np.sum(u[0] * u[1], axis=1)
    legendre = [cos**0, cos, 1.5 * cos**2 - 0.5, 2.5 * cos**3 - 1.5 * cos]
    for l in range(4):  # noqa: E741
        m = slice(l * l, (l + 1) ** 2)
        product = np.sum(y[0, m] * y[1, m], axis=0)
        np.testing.assert_allclose(product, (2 * l + 1) * legendre[l], atol=1e-13)
    # quadrature over the sphere, exact at this order
    x, w = np.polynomial.legendre.leggauss(8)
    phi = 2 * np.pi * np.arange(8) / 8
    s = np.sqrt(1 - x**2)
    grid = np.stack(
        [np.outer(s, np.cos(phi)), np.outer(s, np.sin(phi)), np.outer(x, np.ones(8))], axis=2
    )
    y = spherical_harmonics(torch.from_numpy(grid)).numpy()
    overlap = np.einsum("t,tap,tbp->ab", w, y, y) / (2 * 8)
    np.testing.assert_allclose(overlap, np.eye(16), atol=1e-12)


def test_radial_functions_vanish_smoothly_at_the_cutoff() -> None:
    steps = torch.tensor([[1e-2, 5e-3]], dtype=torch.float64)
    inside = radial_basis(CUTOFF_A - steps, CUTOFF_A, 5)
    # sin(nπx) (1 − x²)³ falls as the fourth power of the distance from the cutoff
    ratio = (inside[..., 0] / inside[..., 1]).numpy()
    np.testing.assert_allclose(ratio, 16.0, rtol=0.05)
    assert torch.all(radial_basis(CUTOFF_A + steps, CUTOFF_A, 5) == 0)


def test_symmetries(potential: MetatomicPotential) -> None:
    atoms = alloy()
    reference = potential.evaluate(atoms, member_forces=True)[0]

    rng = np.random.default_rng(1)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))  # proper or not: parity is a symmetry too
    rotated = atoms.copy()
    rotated.set_cell(atoms.cell.array @ rotation.T)
    rotated.positions = atoms.positions @ rotation.T
    order = rng.permutation(len(atoms))
    shifted = atoms.copy()
    shifted.positions += [0.3, -1.7, 22.0]
    turned, moved, permuted = potential.evaluate([rotated, shifted, atoms[order]])
    for other in (turned, moved, permuted):
        np.testing.assert_allclose(
            other.member_energies_eV, reference.member_energies_eV, rtol=1e-12
        )
    np.testing.assert_allclose(turned.forces_eV_A, reference.forces_eV_A @ rotation.T, atol=1e-10)
    np.testing.assert_allclose(moved.forces_eV_A, reference.forces_eV_A, atol=1e-10)
    np.testing.assert_allclose(permuted.forces_eV_A, reference.forces_eV_A[order], atol=1e-10)
    # the test would be empty if nothing depended on the structure
    assert np.abs(reference.forces_eV_A).max() > 0.1


def test_forces_and_virial_are_the_gradient(potential: MetatomicPotential) -> None:
    atoms = alloy(2)
    prediction = potential.evaluate(atoms, virial=True)[0]
    step = 1e-4
    moved = []
    for k in range(6):
        for sign in (1, -1):
            other = atoms.copy()
            other.positions[k % 3, k // 2] += sign * step
            moved.append(other)
    energies = np.array([p.energy_eV for p in potential.evaluate(moved, forces=False)])
    numerical = -(energies[0::2] - energies[1::2]) / (2 * step)
    analytic = [prediction.forces_eV_A[k % 3, k // 2] for k in range(6)]
    np.testing.assert_allclose(numerical, analytic, atol=2e-7)

    strained = []
    for a in range(3):
        for b in range(3):
            for sign in (1, -1):
                other = atoms.copy()
                strain = np.eye(3)
                strain[a, b] += 0.5 * sign * step
                strain[b, a] += 0.5 * sign * step
                other.set_cell(atoms.cell.array @ strain, scale_atoms=True)
                strained.append(other)
    energies = np.array([p.energy_eV for p in potential.evaluate(strained, forces=False)])
    numerical = -((energies[0::2] - energies[1::2]) / (2 * step)).reshape(3, 3)
    np.testing.assert_allclose(numerical, prediction.virial_eV, atol=5e-5)


def test_mean_and_spread_are_those_of_the_members(path: Path) -> None:
    model = load_atomistic_model(str(path))
    for kind in ("atom", "system"):
        values = call(model, [alloy(3), alloy(4, a=3.7)], kind)
        members = values["energy_ensemble"]
        torch.testing.assert_close(values["energy"][:, 0], members.mean(1), rtol=0, atol=1e-11)
        torch.testing.assert_close(
            values["energy_uncertainty"][:, 0], members.std(1), rtol=1e-9, atol=0
        )
        assert members.std(1).min() > 0


def test_batches_and_edge_order_do_not_matter(path: Path) -> None:
    model = load_atomistic_model(str(path))
    dimer = Atoms("CuAu", [[0, 0, 0], [0, 0, 2.5]])
    alone = Atoms("Ag", [[1.0, 2.0, 3.0]])
    structures = [alloy(5), dimer, alone, alloy(6, repeat=1)]
    together = call(model, structures, "system")["energy_ensemble"]
    for k, atoms in enumerate(structures):
        single = call(model, [atoms], "system")["energy_ensemble"]
        torch.testing.assert_close(together[k : k + 1], single, rtol=1e-12, atol=0)
    per_atom = call(model, structures, "atom")["energy_ensemble"]
    torch.testing.assert_close(per_atom[:32].sum(0), together[0], rtol=1e-12, atol=0)


def test_isolated_atoms_have_an_energy_and_no_forces(potential: MetatomicPotential) -> None:
    atom = Atoms("Ag", [[0, 0, 0]])
    far = Atoms("AgAg", [[0, 0, 0], [0, 0, CUTOFF_A + 0.1]])
    one, two = potential.evaluate([atom, far])
    np.testing.assert_allclose(two.energy_eV, 2 * one.energy_eV, rtol=1e-14)
    assert np.all(one.forces_eV_A == 0) and np.all(two.forces_eV_A == 0)


def test_energy_is_continuous_where_neighbours_enter(potential: MetatomicPotential) -> None:
    pairs = [Atoms("CuAu", [[0, 0, 0], [0, 0, CUTOFF_A + x]]) for x in (-1e-3, -5e-4, 1e-3)]
    inside, nearer, outside = potential.evaluate(pairs)
    # forces fall as the third power of the distance from the cutoff
    f = abs(inside.forces_eV_A[0, 2]), abs(nearer.forces_eV_A[0, 2])
    assert f[0] < 1e-6 and f[0] == pytest.approx(8 * f[1], rel=0.02)
    assert abs(inside.energy_eV - outside.energy_eV) < 1e-9


def test_selected_atoms_are_honoured(path: Path) -> None:
    model = load_atomistic_model(str(path))
    structures = [alloy(7), alloy(8, a=3.7)]
    everything = call(model, structures, "atom")
    total = call(model, structures, "system")
    pairs = [[s, a] for s in range(2) for a in range(32)]
    rng = np.random.default_rng(0)
    chosen = rng.random(64) < 0.5
    halves = [
        [pairs[k] for k in range(64) if chosen[k]],
        [pairs[k] for k in range(64) if not chosen[k]],
    ]
    sums = torch.zeros_like(total["energy_ensemble"])
    for half, mask in zip(halves, (chosen, ~chosen), strict=True):
        rows = call(model, structures, "atom", half)
        for name in OUTPUTS:
            torch.testing.assert_close(
                rows[name], everything[name][torch.from_numpy(mask)], rtol=1e-12, atol=0
            )
        sums += call(model, structures, "system", half)["energy_ensemble"]
    torch.testing.assert_close(sums, total["energy_ensemble"], rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", ["atom", "system"])
def test_an_empty_selection_is_no_energy(path: Path, kind: str) -> None:
    model = load_atomistic_model(str(path))
    values = call(model, [alloy(9)], kind, [])
    assert float(values["energy_ensemble"].abs().sum()) == 0.0
    assert len(values["energy"]) == (0 if kind == "atom" else 1)


def test_a_selection_saves_the_work_and_its_edges_are_all_that_matter(path: Path) -> None:
    model = load_atomistic_model(str(path))
    atoms = alloy(10, repeat=6)
    system, r, labels = as_system(model, atoms, torch.float64, gradients=True)

    def evaluate(selected: "Labels | None") -> torch.Tensor:
        options = ModelEvaluationOptions(
            length_unit="angstrom",
            outputs={"energy": ModelOutput(unit="eV", sample_kind="atom")},
            selected_atoms=selected,
        )
        return model([system], options, False)["energy"].block().values.sum()

    few = Labels(["system", "atom"], torch.tensor([[0, 5], [0, 17]], dtype=torch.int32))
    (gradient,) = torch.autograd.grad(evaluate(few), r)
    touched = gradient.reshape(-1, 3).abs().sum(1) > 0
    assert set(labels[touched, 0].tolist()) == {5, 17}


def test_single_precision_keeps_its_digits(tmp_path: Path, potential: MetatomicPotential) -> None:
    single = MetatomicPotential(exported(tmp_path, "float32"))
    structures = [alloy(11, repeat=4), alloy(12)]
    for a, b in zip(single.evaluate(structures), potential.evaluate(structures), strict=True):
        n = len(b.forces_eV_A)
        assert abs(a.energy_eV - b.energy_eV) / n < 2e-6
        assert np.abs(a.forces_eV_A - b.forces_eV_A).max() < 1e-4
        assert abs(a.spread_eV / b.spread_eV - 1) < 1e-4
    # the same file converted to double agrees to the rounding of its weights
    converted = MetatomicPotential(single.path, dtype="float64")
    np.testing.assert_allclose(
        converted.evaluate(structures[1])[0].energy_eV / 32,
        potential.evaluate(structures[1])[0].energy_eV / 32,
        atol=2e-6,
    )


def test_references_are_double(tmp_path: Path) -> None:
    """TorchScript would round them to single precision: 6e-5 eV of 1000."""
    module, energies = random_potential(), []
    atom = Atoms([TYPES[0]], positions=[[0, 0, 0]])
    for k, shift in enumerate((0.0, 1e-7)):
        module.reference_eV = [-1000.0 + shift, 0.0, 0.0][: len(TYPES)]
        file = tmp_path / f"{k}.pt"
        with quiet_metatomic():
            save(export(module, TYPES, ModelMetadata(), "float64"), file)
        energies.append(MetatomicPotential(file).evaluate(atom, forces=False)[0].energy_eV)
    assert energies[1] - energies[0] == pytest.approx(1e-7, abs=1e-11)


def test_elements_with_the_same_embedding_are_the_same_neighbour(tmp_path: Path) -> None:
    module = random_potential()
    module.net.embedding.data[1] = module.net.embedding.data[0]
    with quiet_metatomic():
        save(export(module, TYPES, ModelMetadata(), "float64"), tmp_path / "twins.pt")
    twins = MetatomicPotential(tmp_path / "twins.pt")
    atoms = alloy(13)
    atoms.numbers[:] = TYPES[0]
    atoms.numbers[0] = TYPES[2]
    other = atoms.copy()
    other.numbers[1:9] = TYPES[1]
    centers = [list(range(9, 32))]
    a, b = (twins.evaluate(x, forces=False, centers=centers)[0] for x in (atoms, other))
    np.testing.assert_allclose(a.atom_energies_eV, b.atom_energies_eV, rtol=1e-12)
    # and as a centre it keeps its own bias
    assert abs(twins.evaluate(atoms)[0].energy_eV - twins.evaluate(other)[0].energy_eV) > 1e-3


def test_repulsion_is_the_screened_coulomb_law_and_smooth() -> None:
    strength, length, inner, outer = (t[0, 2] for t in repulsion_tables(TYPES, 4.5))

    def energy(d: torch.Tensor) -> torch.Tensor:
        return repulsion(d, strength, length, inner, outer)

    # Cu-Au at 0.5 Å by hand: Z Z' e²/d φ(d/a), a = 0.4685/(29^0.23 + 79^0.23)
    a = 0.46850 / (29**0.23 + 79**0.23)
    phi = sum(
        c * np.exp(-b * 0.5 / a)
        for c, b in (
            (0.18175, 3.1998), (0.50986, 0.94229), (0.28022, 0.4029), (0.02817, 0.20162)
        )
    )  # fmt: skip
    half = torch.tensor([0.5], dtype=torch.float64)
    np.testing.assert_allclose(energy(half), 29 * 79 * 14.399645 / 0.5 * phi, rtol=1e-6)
    d = torch.linspace(0.3, 4.0, 4000, dtype=torch.float64).requires_grad_(True)
    (slope,) = torch.autograd.grad(energy(d).sum(), d, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), d)
    assert torch.all(slope <= 0)
    assert torch.all(energy(d)[d > outer] == 0)
    # no jump of the curvature at the ends of the switch
    for edge in (inner, outer):
        k = int(torch.argmin((d - edge).abs()))
        around = curvature[k - 2 : k + 3]
        assert float((around[1:] - around[:-1]).abs().max()) < 0.05 * float(curvature.max())


def test_atoms_that_come_close_repel(tmp_path: Path) -> None:
    """With all weights zero only the repulsion is left: a pair's energy, shared by its atoms."""
    module = random_potential()
    for parameter in module.net.parameters():
        parameter.data.zero_()
    module.mean_weight.zero_()
    with quiet_metatomic():
        save(export(module, TYPES, ModelMetadata(), "float64"), tmp_path / "core.pt")
    core = MetatomicPotential(tmp_path / "core.pt")
    pair = Atoms("CuAu", [[0, 0, 0], [0.3, 0, 1.2]])
    close, alone = core.evaluate([pair, Atoms("CuAu", [[0, 0, 0], [0, 0, 4.0]])])
    tables = (t[0, 2] for t in repulsion_tables(TYPES, CUTOFF_A))
    d = torch.tensor([pair.get_distance(0, 1)], dtype=torch.float64)
    expected = float(repulsion(d, *tables))
    assert expected > 10.0
    np.testing.assert_allclose(close.energy_eV - alone.energy_eV, expected, rtol=1e-12)
    difference = close.atom_energies_eV - alone.atom_energies_eV
    np.testing.assert_allclose(difference, expected / 2, rtol=1e-12)
    assert close.forces_eV_A[1, 2] > 0
