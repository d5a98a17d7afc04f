"""The fit: constants of a batch against the exported model, known potentials, known spread, input
that cannot be used."""

import copy
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
import vesin
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from quorum_md.errors import QuorumError, QuorumWarning
from quorum_md.models import fit as fit_module
from quorum_md.models.calibration import calibration_alpha
from quorum_md.models.fit import FIT_KEY, FitOptions, FitResult, fit_potential, group_weights
from quorum_md.models.fit_data import Batch, check_frames, read_data, split, structure
from quorum_md.models.fit_train import Trainee, Training
from quorum_md.models.heads import (
    Heads,
    Refit,
    Sums,
    folds_of,
    jacobians,
    normal_equations,
    refit,
    trained_head,
)
from quorum_md.models.metatomic_model import MetatomicPotential

Array = npt.NDArray[np.float64]

CUTOFF_A = 4.5
# most fits here keep a handful of structures apart, some of them hardly train
pytestmark = pytest.mark.filterwarnings("ignore:fit. α (rests on|from)")

SMALL: dict = dict(
    n_members=8,
    cutoff_A=CUTOFF_A,
    held_out_fraction=0.15,
    n_radial=6,
    n_mixed=10,
    n_partners=4,
    n_hidden=16,
)


def labelled(atoms: Atoms, group: str) -> Atoms:
    """A frame with energy, forces and stress of a Morse potential of two elements, depths 0.5, 0.4
    and 0.3 eV, that ends smoothly at the cutoff: body order two, so that it can be fitted."""
    box = np.where(np.asarray(atoms.pbc)[:, None], atoms.cell.array, 0.0)
    pairs, vectors = vesin.NeighborList(cutoff=CUTOFF_A, full_list=True).compute(
        atoms.positions, box, np.asarray(atoms.pbc), "PD"
    )
    r = torch.from_numpy(vectors).requires_grad_(True)
    gold = torch.from_numpy((atoms.numbers == 79).astype(float))[
        torch.from_numpy(pairs.astype(int))
    ]
    d = r.norm(dim=1)
    depth = 0.5 - 0.1 * gold.sum(1)
    well = torch.exp(-3.0 * (d - 2.6)) - 2 * torch.exp(-1.5 * (d - 2.6))
    energy = (0.5 * depth * well * (1 - (d / CUTOFF_A) ** 2) ** 3).sum() - 3.0 * len(atoms)
    energy = energy - float((atoms.numbers == 79).sum())
    forces, stress = np.zeros((len(atoms), 3)), np.zeros((3, 3))
    if len(d):
        (gradient,) = torch.autograd.grad(energy, r)
        np.add.at(forces, pairs[:, 0], 2 * gradient.numpy())
        stress = (vectors.T @ gradient.numpy()) / max(atoms.cell.volume, 1e-9)
    atoms = atoms.copy()
    results = {"energy": float(energy.detach()), "forces": forces}
    if all(atoms.pbc):
        results["stress"] = stress.flatten()[[0, 4, 8, 5, 2, 1]]
    atoms.calc = SinglePointCalculator(atoms, **results)
    atoms.info["config_type"] = group
    return atoms


@pytest.fixture(scope="module")
def frames() -> list[Atoms]:
    """Cu-Au alloys of 4 to 8 atoms: two groups."""
    rng = np.random.default_rng(0)
    result = []
    for k in range(160):
        atoms = bulk("Cu", "fcc", a=rng.uniform(3.5, 4.0), cubic=True)
        if k % 4 == 0:
            atoms = atoms * (2, 1, 1)
        atoms.numbers = rng.choice([29, 79], len(atoms))
        hot = k % 2 == 1
        atoms.rattle(0.15 if hot else 0.05, rng=rng)
        result.append(labelled(atoms, "hot" if hot else "cold"))
    return result


@pytest.fixture(scope="module")
def fitted(frames: list[Atoms]) -> FitResult:
    return fit_potential(frames, training=Training(epochs=60), threads=1, **SMALL)


def test_a_batch_gives_what_the_exported_model_gives(
    frames: list[Atoms], fitted: FitResult, tmp_path: Path
) -> None:
    """Precomputed constants and the neighbour-list module are two ways to one energy."""
    fitted.save(tmp_path / "m.pt")
    model = MetatomicPotential(tmp_path / "m.pt", dtype="float64")
    squeezed = bulk("Au", "fcc", a=2.2, cubic=True)  # close enough for the repulsion
    squeezed.positions[0] += [0.1, 0.05, 0.0]
    lone = Atoms("Cu", [[0, 0, 0]], cell=[20, 20, 20], pbc=True)
    chosen = [*frames[:3], labelled(squeezed, "a"), labelled(lone, "b")]
    potential = copy.deepcopy(fitted.potential).double()
    types = fitted.atomic_types
    reference = np.array(potential.reference_eV)
    data = [structure(a, types, reference, CUTOFF_A) for a in chosen]
    n = len(data)
    batch = Batch(data, range(n), np.ones(n), 2, CUTOFF_A, 6, dtype=torch.float64)
    trainee = Trainee(potential.net).double()
    with torch.no_grad():
        trainee.head.copy_(potential.mean_weight)
        trainee.shift.copy_(potential.mean_shift)
    energy, forces, virial = (x.detach().numpy() for x in trainee(batch, training=False))
    predictions = model.evaluate(chosen, virial=True)
    start = 0
    for k, (atoms, p) in enumerate(zip(chosen, predictions, strict=True)):
        results = atoms.calc.results
        # both as errors: references and repulsion drop out
        np.testing.assert_allclose(
            energy[k] - float(batch.energy[k]), p.energy_eV - results["energy"], atol=1e-5
        )
        rows = slice(start, start + len(atoms))
        np.testing.assert_allclose(
            (forces - batch.forces.numpy())[:, rows].T,
            p.forces_eV_A - results["forces"],
            rtol=1e-6,  # the repulsion's parameters are in single precision in the file
            atol=1e-5,
        )
        full = (virial[k] - batch.virial[k].numpy())[[0, 5, 4, 5, 1, 3, 4, 3, 2]].reshape(3, 3)
        stress = atoms.get_stress(voigt=False) * atoms.get_volume()
        np.testing.assert_allclose(full, p.virial_eV + stress, atol=1e-4)
        start += len(atoms)


def test_fit_reaches_a_known_potential(frames: list[Atoms], fitted: FitResult) -> None:
    """Two-element Morse potential, 136 small structures, seconds of training."""
    everything = fitted.report[0]
    assert everything.group == "all" and everything.n == fitted.n_held_out
    forces = np.concatenate([a.get_forces().ravel() for a in frames])
    assert forces.std() > 0.4
    assert everything.energy_rmse_meV < 8.0
    assert everything.force_rmse_eV_A < 0.15
    assert {r.group for r in fitted.report} == {"all", "hot", "cold"}


def test_the_report_is_true_of_the_file(
    frames: list[Atoms], fitted: FitResult, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "m.pt")
    model = MetatomicPotential(tmp_path / "m.pt")
    notes = json.loads(model.metadata.extra[FIT_KEY])
    assert notes["options"]["seed"] == 0 and notes["alpha"] == fitted.alpha
    seeds = np.random.SeedSequence(0).spawn(3)
    groups = [a.info["config_type"] for a in frames]
    _, kept = split(groups, 0.15, np.random.default_rng(seeds[0]))
    apart = [frames[k] for k in kept]
    predictions = model.evaluate(apart)
    error = np.array(
        [(p.energy_eV - a.calc.results["energy"]) for p, a in zip(predictions, apart, strict=True)]
    )
    n = np.array([len(a) for a in apart])
    rmse = 1e3 * np.sqrt(np.mean((error / n) ** 2))
    assert rmse == pytest.approx(fitted.report[0].energy_rmse_meV, rel=1e-3)
    spread = np.array([p.spread_eV for p in predictions])
    z = np.sqrt(np.mean((error / spread) ** 2))
    assert z == pytest.approx(fitted.report[0].rms_z, rel=1e-3)
    # the estimator is not idempotent: α² = 1 + (1/α₁² − 1)/K after scaling by α₁
    members = np.array([p.member_energies_eV for p in predictions])
    truth = np.array([a.calc.results["energy"] for a in apart])
    again = np.sqrt(1 + (1 / fitted.alpha**2 - 1) / 8)
    assert calibration_alpha(truth, members).alpha == pytest.approx(again, rel=1e-3)
    force = np.concatenate(
        [
            (p.forces_eV_A - a.calc.results["forces"]).ravel()
            for p, a in zip(predictions, apart, strict=True)
        ]
    )
    assert np.sqrt(np.mean(force**2)) == pytest.approx(fitted.report[0].force_rmse_eV_A, rel=1e-3)


def test_calibration_that_rests_on_little_says_so(
    frames: list[Atoms], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit() -> FitResult:
        return fit_potential(frames[:40], training=Training(epochs=2), threads=1, **SMALL)

    with pytest.warns(QuorumWarning, match="α rests on"):
        fit()
    # members that spread far more than they err: their spread is left, never scaled to nothing
    judge = fit_module.calibration_alpha
    monkeypatch.setattr(
        fit_module, "calibration_alpha", lambda y, v, **o: judge(v.mean(axis=1), v, **o)
    )
    with pytest.warns(QuorumWarning, match="not calibrated"):
        result = fit()
    assert result.alpha == 1.0
    assert result.potential.deviation_weight.abs().max() > 0


def test_large_atomic_energies_keep_their_digits(frames: list[Atoms], tmp_path: Path) -> None:
    """All-electron references of −45 000 eV per atom: single precision would lose 3 meV an atom."""
    files = []
    for shift in (0.0, -45000.0):
        shifted = []
        for atoms in frames[:40]:
            copied = atoms.copy()
            results = atoms.calc.results
            copied.calc = SinglePointCalculator(
                copied,
                energy=results["energy"] + shift * len(atoms),
                forces=results["forces"],
            )
            shifted.append(copied)
        result = fit_potential(
            shifted, training=Training(epochs=2), threads=1, stress=False, **SMALL
        )
        path = tmp_path / f"{-shift:.0f}.pt"
        result.save(path)
        files.append(MetatomicPotential(path))
    assert [f.dtype for f in files] == ["float32", "float64"]
    # a step of 2 mÅ changes the energy by what the force says, not by the last digit of the total
    left, right = frames[0].copy(), frames[0].copy()
    left.positions[0, 0] -= 0.002
    right.positions[0, 0] += 0.002
    for potential in files:
        change = [p.energy_eV for p in potential.evaluate([left, right], forces=False)]
        force = potential.evaluate([frames[0]])[0].forces_eV_A[0, 0]
        assert change[1] - change[0] == pytest.approx(-0.004 * force, abs=2e-5)


def test_same_seed_same_result(frames: list[Atoms]) -> None:
    some = frames[:40]
    one, two, other = (
        fit_potential(some, training=Training(epochs=2), threads=1, seed=seed, **SMALL)
        for seed in (5, 5, 6)
    )
    for name, tensor in one.potential.state_dict().items():
        assert torch.equal(tensor, two.potential.state_dict()[name]), name
    assert one.report == two.report
    assert not torch.equal(one.potential.mean_weight, other.potential.mean_weight)


def linear_data(
    sizes: dict[str, int], width: dict[str, float], n_weights: int, seed: int
) -> tuple[Array, Array, list[str]]:
    """Features, errors of the trained head and groups: the head misses by Gaussian numbers, of the
    group's width, that no other head would hit."""
    rng = np.random.default_rng(seed)
    groups = [g for g, n in sizes.items() for _ in range(n)]
    x = rng.normal(size=(len(groups), n_weights))
    # each group in its part of the space for the most part
    part = np.arange(n_weights) * len(sizes) // n_weights
    for g, name in enumerate(sizes):
        x[np.ix_(np.array(groups) == name, part != g)] *= 0.05
    return x, np.array([width[g] for g in groups]) * rng.normal(size=len(groups)), groups


def sums_of(x: Array, residual: Array, groups: Sequence[str], n_folds: int = 10) -> Sums:
    """What `gather` makes of energies alone."""
    names = sorted(set(groups))
    group = np.array([names.index(g) for g in groups])
    fold = folds_of(groups, n_folds, np.random.default_rng(7))
    a = np.zeros((n_folds, len(names), x.shape[1], x.shape[1]))
    b = np.zeros((n_folds, x.shape[1]))
    for s in range(len(x)):
        a[fold[s], group[s]] += np.outer(x[s], x[s])
        b[fold[s]] += x[s] * residual[s]
    return Sums(a, b, x, residual, fold, group)


def rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2)))


def test_members_are_a_sample_of_the_posterior() -> None:
    """Truths drawn from the prior, data of known precision 1: at level 1 the error of the mean is
    as wide as the members say, structure by structure, and z² has its exact expectation
    (K − 1)/(K − 3); the covariance of many members is the inverse of the normal matrix."""
    rng = np.random.default_rng(0)
    n_weights, k, ridge = 8, 12, 0.05
    both = np.ones(2, bool)
    squares = []
    for seed in range(300):
        x = rng.normal(size=(30, n_weights)) * np.geomspace(1, 0.2, n_weights)
        prior = ridge * np.sum(x * x) / n_weights
        truth = rng.normal(size=n_weights) / np.sqrt(prior)
        sums = sums_of(x, x @ truth + rng.normal(size=30), ["a", "b", "b"] * 10)
        heads = Heads(sums, k, ridge, both, np.random.default_rng(seed))
        new = rng.normal(size=n_weights)
        spread = np.std(new @ heads.deviations(np.ones(2)), ddof=1)
        squares.append((new @ (truth - heads.correction()) / spread) ** 2)
    expected = (k - 1) / (k - 3)
    error = np.std(squares, ddof=1) / np.sqrt(len(squares))
    assert abs(np.mean(squares) - expected) < 3 * error and error < 0.2 * expected

    many = Heads(sums, 20000, ridge, both, rng)
    level = np.array([2.0, 0.5])
    deviation = many.deviations(level)
    np.testing.assert_allclose(deviation.sum(axis=1), 0.0, atol=1e-9)
    inverse = np.tensordot(level, sums.a.sum(axis=0), axes=1) + prior * np.eye(n_weights)
    np.testing.assert_allclose(np.cov(deviation) @ inverse, np.eye(n_weights), atol=0.06)


def test_spread_is_right_in_every_group() -> None:
    """Three groups, large to small, that a linear form misses by 300, 30 and 100 meV: on new data
    the members are right in all of them. Equal trust is not, nor are heads on random subsets,
    whatever α is."""
    width = {"alloy": 0.3, "strained": 0.03, "melt": 0.1}
    sizes = {"alloy": 600, "strained": 100, "melt": 180}
    x, residual, groups = linear_data(sizes, width, 20, 1)
    new_x, truth, labels = linear_data({g: 2000 for g in sizes}, width, 20, 2)
    place = np.array(labels)
    sums = sums_of(x, residual, groups)
    names = sorted(sizes)
    heads = Heads(sums, 32, 1e-6, np.ones(3, bool), np.random.default_rng(3))
    level = heads.levels(100)

    def scores(mean: Array, deviation: Array) -> Array:
        z = (truth - new_x @ mean) / (new_x @ deviation).std(axis=1, ddof=1)
        return np.array([rms(z[place == g]) for g in names])

    good = scores(np.zeros(20), heads.deviations(level))
    # known from 100 structures to 1/√200
    assert np.all((good > 0.85) & (good < 1.18)), good
    equal = scores(np.zeros(20), heads.deviations(np.ones(3)))
    assert equal.max() / equal.min() > 3
    rng = np.random.default_rng(4)
    some = []
    for _ in range(32):
        chosen = np.concatenate(
            [rng.permutation(np.flatnonzero(np.array(groups) == g))[: sizes[g] // 5] for g in names]
        )
        some.append(np.linalg.lstsq(x[chosen], residual[chosen], rcond=None)[0])
    subset = scores(np.mean(some, axis=0), (np.array(some) - np.mean(some, axis=0)).T)
    assert subset.max() / subset.min() > 1.8


def test_spread_that_other_groups_hold_narrow() -> None:
    """Two elements that are known well and their alloy, the sum of both, known less well than both
    together: no trust in the alloy is too much trust in it, so it is perturbed more instead."""
    rng = np.random.default_rng(0)
    groups = ["alloy"] * 200 + ["one"] * 200 + ["two"] * 200
    x = np.repeat([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]], 200, axis=0)
    residual = np.repeat([0.17, 0.1, 0.1], 200) * rng.normal(size=600)
    heads = Heads(sums_of(x, residual, groups), 32, 1e-9, np.ones(3, bool), rng)
    spread = heads.unseen_spread(heads.levels(200))
    z = heads.unseen_errors() / spread
    for g in range(3):
        assert rms(z[heads.sums.group == g]) == pytest.approx(1.0, abs=0.05)


def test_a_structure_is_judged_without_its_fold() -> None:
    """Errors: a head that is the least-squares answer errs on each fold as the answer without that
    fold does. Spread: what is said of one fold does not depend on its data."""
    x, residual, groups = linear_data({"a": 60, "b": 90}, {"a": 0.1, "b": 0.1}, 6, 0)
    residual = residual - x @ np.linalg.lstsq(x, residual, rcond=None)[0]
    sums = sums_of(x, residual, groups)
    one = sums.fold == 3
    heads = Heads(sums, 8, 1e-9, np.ones(2, bool), np.random.default_rng(1))
    np.testing.assert_allclose(heads.correction(), 0.0, atol=1e-9)
    error = heads.unseen_errors()[one]
    expected = residual[one] - x[one] @ np.linalg.lstsq(x[~one], residual[~one], rcond=None)[0]
    np.testing.assert_allclose(error, expected, rtol=1e-6, atol=1e-9)
    assert not np.allclose(error, residual[one], rtol=1e-2)

    # other data of the same trace, to which λ is relative
    a = sums.a.copy()
    a[3] = np.roll(a[3], 1, axis=(1, 2))
    changed = Sums(a, sums.b, sums.x, sums.residual, sums.fold, sums.group)
    other = Heads(changed, 8, 1e-9, np.ones(2, bool), np.random.default_rng(1))
    level = np.array([3.0, 0.2])
    first, second = heads.unseen_spread(level), other.unseen_spread(level)
    np.testing.assert_allclose(first[one], second[one], rtol=1e-9)
    assert not np.allclose(first[~one], second[~one], rtol=1e-2)


def test_groups_that_are_not_judged_do_not_narrow_the_spread() -> None:
    x, residual, groups = linear_data(
        {"common": 200, "rare": 20}, {"common": 0.1, "rare": 0.1}, 6, 0
    )
    rare = np.array(groups) == "rare"
    judged = np.array([True, False])

    def make(part: npt.NDArray[np.bool_]) -> Heads:
        chosen = [g for g, here in zip(groups, part, strict=True) if here]
        sums = sums_of(x[part], residual[part], chosen)
        return Heads(sums, 8, 1e-6, judged[: len(set(chosen))], np.random.default_rng(1))

    heads, alone = make(rare | True), make(~rare)
    level = heads.levels(50)
    assert level[1] == 1.0
    new = np.eye(6)
    wide = (new @ alone.deviations(level[:1])).std(axis=1)
    np.testing.assert_allclose((new @ heads.deviations(level)).std(axis=1), wide, rtol=0.6)


def test_normal_equations_are_those_of_energies_and_forces(frames: list[Atoms]) -> None:
    """b is minus half the gradient of the squared errors at the trained head, A half its Hessian;
    the jacobian reproduces energies and forces, linear in the head."""
    some = [frames[k] for k in (0, 1, 4)]
    data = [structure(a, [29, 79], np.zeros(2), CUTOFF_A) for a in some]
    weights = np.array([1.0, 2.0, 3.0])
    batch = Batch(data, range(3), weights, 2, CUTOFF_A, 6, dtype=torch.float64)
    trainee = fitted_trainee(batch)
    energy, forces, _ = trainee(batch, training=False)
    head = torch.cat([trainee.head, trainee.shift]).detach()
    energy_j, force_j = jacobians(trainee, batch)
    torch.testing.assert_close(energy_j @ head, energy.detach())
    torch.testing.assert_close(force_j @ head, forces.detach())
    a, b = normal_equations(trainee, batch, 7.0, 0.5)
    w = head.clone().requires_grad_(True)
    per_atom = (energy_j @ w - batch.energy) / batch.n_atoms
    squares = ((force_j @ w - batch.forces) ** 2).sum(0)
    value = batch.weight * (7.0 * per_atom**2 + 0.5 * batch.sum(squares) / (3 * batch.n_atoms))
    for s in range(3):
        (gradient,) = torch.autograd.grad(value[s], w, retain_graph=True)
        np.testing.assert_allclose(b[s], -0.5 * gradient.numpy(), rtol=1e-8, atol=1e-8)
        # exact for a quadratic
        step = np.random.default_rng(s).normal(size=len(head))
        moved = torch.from_numpy(head.numpy() + step)
        pa = (energy_j @ moved - batch.energy) / batch.n_atoms
        sq = ((force_j @ moved - batch.forces) ** 2).sum(0)
        new = batch.weight * (7.0 * pa**2 + 0.5 * batch.sum(sq) / (3 * batch.n_atoms))
        expected = float(value[s].detach()) - 2 * b[s] @ step + step @ a[s] @ step
        np.testing.assert_allclose(float(new[s]), expected, rtol=1e-8)


def fitted_trainee(batch: Batch) -> Trainee:
    """A network in double precision with random weights."""
    from quorum_md.models.density import DensityNet

    trainee = Trainee(DensityNet(2, 6, 2, 10, 4, (16, 16)))
    single = copy.copy(batch)
    single.density = batch.density.float()
    trainee.initialise([single], torch.Generator().manual_seed(0))
    return trainee.double()


def test_small_data_are_levelled_as_one(
    frames: list[Atoms], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Groups of fewer than 50 structures each: one level; and all structures take part in it."""
    some = frames[:30]
    data = [structure(a, [29, 79], np.zeros(2), CUTOFF_A) for a in some]
    batches = [
        Batch(data, chosen, np.ones(30), 2, CUTOFF_A, 6, dtype=torch.float64)
        for chosen in ([4, 0, 5, 1], list(range(6, 30)))
    ]
    trainee = fitted_trainee(batches[1])
    groups = [a.info["config_type"] for a in some]
    seen = []
    real = Heads.levels

    def record(self: Heads, rounds: int) -> Array:
        seen.append(self)
        return real(self, rounds)

    monkeypatch.setattr(Heads, "levels", record)
    members = refit(trainee, batches, groups, 8, np.random.default_rng(0), Refit(folds=5))
    (heads,) = seen
    assert members.shape == (8, 16 + 2) and heads.judged.tolist() == [True]
    assert len(heads.sums.x) == 28 and set(heads.sums.fold) == set(range(5))
    # the first row is structure 4
    expected = trainee(batches[0], training=False)[0][0] / len(some[4])
    error = float((batches[0].energy[0] / batches[0].n_atoms[0] - expected).detach())
    assert heads.sums.residual[0] == pytest.approx(error, rel=1e-9)
    np.testing.assert_allclose(members.mean(axis=0), trained_head(trainee), atol=1e-9)


def test_folds_divide_every_group() -> None:
    groups = ["common"] * 95 + ["rare"] * 5
    folds = folds_of(groups, 10, np.random.default_rng(0))
    assert sorted(np.bincount(folds[:95])) == [9] * 5 + [10] * 5
    assert len(set(folds[95:])) == 5


def test_split_keeps_part_of_each_group_apart() -> None:
    groups = ["a"] * 100 + ["b"] * 8 + ["c"] * 4 + ["d"] * 3
    train, kept = split(groups, 0.1, np.random.default_rng(0))
    assert sorted(train + kept) == list(range(115)) and not set(train) & set(kept)
    names = [groups[k] for k in kept]
    assert [names.count(g) for g in "abcd"] == [10, 2, 1, 0]
    assert split(groups, 0.0, np.random.default_rng(0))[1] == []


def test_rare_groups_weigh_more() -> None:
    groups = ["a"] * 100 + ["b"] * 25 + ["c"] * 4
    weights = group_weights(groups, range(129), 0.5)
    assert weights[0] == 1.0 and weights[110] == 1.0
    assert weights[-1] == pytest.approx(2.5)


def test_separate_held_out_structures(frames: list[Atoms]) -> None:
    result = fit_potential(
        frames[:30], held_out=frames[30:40], training=Training(epochs=1), threads=1, **SMALL
    )
    assert (result.n_train, result.n_held_out) == (30, 10)
    assert result.report[0].n == 10


def test_data_without_stress_and_open_boundaries(frames: list[Atoms]) -> None:
    some = []
    for atoms in frames[:60]:
        cluster = Atoms(atoms.numbers, atoms.positions)
        some.append(labelled(cluster, "clusters"))
    # codes write zero stress for clusters, which must not be taken for a virial
    some[0].calc.results["stress"] = np.zeros(6)
    assert np.isnan(structure(some[0], [29, 79], np.zeros(2), CUTOFF_A).virial_eV).all()
    result = fit_potential(some, training=Training(epochs=2), threads=1, **SMALL)
    assert np.isfinite(result.report[0].energy_rmse_meV)


def changed(frames: list[Atoms], index: int, **results: object) -> list[Atoms]:
    """The frames with some results of one of them replaced, or removed where None."""
    copies = list(frames)
    atoms = frames[index].copy()
    stored = {**frames[index].calc.results, **results}
    atoms.calc = SinglePointCalculator(atoms, **{k: v for k, v in stored.items() if v is not None})
    copies[index] = atoms
    return copies


def test_data_that_cannot_be_fitted(frames: list[Atoms]) -> None:
    few = frames[:20]
    n = len(few[3])
    with pytest.raises(QuorumError, match="structure 3 .* has no forces"):
        check_frames(changed(few, 3, forces=None), 4)
    with pytest.raises(QuorumError, match="structure 3 .* has no energy"):
        check_frames(changed(few, 3, energy=None), 4)
    with pytest.raises(QuorumError, match="its forces is not finite"):
        check_frames(changed(few, 3, forces=np.full((n, 3), np.nan)), 4)
    with pytest.raises(QuorumError, match="its energy is not finite"):
        check_frames(changed(few, 3, energy=np.inf), 4)
    moved = [a.copy() for a in few]
    for new, old in zip(moved, few, strict=True):
        new.calc = old.calc
    moved[5].positions[0, 0] = np.nan
    with pytest.raises(QuorumError, match="structure 5 .* position is not finite"):
        check_frames(moved, 4)
    with pytest.raises(QuorumError, match="got 1 structure"):
        check_frames(few[:1], 4)
    with pytest.raises(QuorumError, match="20 structures are too few for 32 members"):
        check_frames(few, 32)
    flat = few[0].copy()
    flat.set_cell([3, 3, 0])
    flat.calc = few[0].calc
    with pytest.raises(QuorumError, match="cell is flat or shorter"):
        check_frames([flat, *few], 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_members": 3}, "members: got 3"),
        ({"cutoff_A": -1.0}, "cutoff: got -1"),
        ({"held_out_fraction": 1.5}, "held-out fraction"),
        ({"n_hidden": 0}, "n_hidden"),
        ({"n_mixed": 4, "n_partners": 8}, "n_partners"),
        ({"training": Training(epochs=0)}, "epochs"),
        ({"heads": Refit(folds=1)}, "folds"),
    ],
)
def test_options_out_of_range(frames: list[Atoms], change: dict, message: str) -> None:
    with pytest.raises(QuorumError, match=message):
        fit_potential(frames, options=FitOptions(**change))


def test_element_only_in_held_out_structures(frames: list[Atoms]) -> None:
    silver = labelled(bulk("Ag", "fcc", a=4.1, cubic=True), "silver")
    with pytest.raises(QuorumError, match="Ag occurs only in structures kept apart"):
        fit_potential(frames[:40], held_out=[silver, silver], **SMALL)


def test_compressed_files_that_are_none(tmp_path: Path) -> None:
    bad = tmp_path / "bad.extxyz.xz"
    bad.write_text("not compressed")
    with pytest.raises(QuorumError, match="ASE cannot read it"):
        read_data([bad])
    with pytest.raises(QuorumError, match="no such file"):
        read_data([tmp_path / "missing.extxyz.xz"])
