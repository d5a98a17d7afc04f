"""Local energies of real model files against full evaluations, periodic images included."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from quorum_md.errors import QuorumWarning
from quorum_md.models import load_potential
from quorum_md.models.frozen import Frozen, freeze
from quorum_md.models.joined import with_baseline
from quorum_md.sampling import CanonicalSwap, Flip, SwapMonteCarlo
from quorum_md.sampling.local_energy import LocalEnergies
from toy_models import LocalAlloy, OneLongElement, TwoHops, export

SHIPPED = (41, 42, 73, 74)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Toys of two elements, argon and krypton."""
    folder = tmp_path_factory.mktemp("toys")
    alloy = [0.3, -0.2, 0.05, 0.01, 0.02]
    made = {
        "one hop": (LocalAlloy(5.0, alloy, 36, [0.9, 1.0, 1.1], ""), 5.0),
        "two hops": (TwoHops(4.0, [0.9, 1.0, 1.2], False), 8.0),
        "two hops through positions": (TwoHops(4.0, [0.9, 1.0, 1.2], True), 8.0),
        "one long element": (OneLongElement(3.5, 6.0, 36), 6.0),
        "baseline": (LocalAlloy(4.5, [0.2, -0.15, 0.05, 0.01, 0.0], 36, [1.0], ""), 4.5),
    }
    return {
        # the true reach declared: what wrong declarations lead to is tested elsewhere
        name: export(module, folder / f"{name}.pt", [18, 36], reach)
        for name, (module, reach) in made.items()
    }


def crystal(elements, n, lattice, a, seed=0, shear=0.03):
    atoms = bulk("Ar", lattice, a, cubic=True) * n
    rng = np.random.default_rng(seed)
    atoms.numbers = rng.choice(elements, len(atoms))
    strain = np.eye(3) + shear * rng.normal(size=(3, 3))
    atoms.set_cell(atoms.cell @ strain, scale_atoms=True)
    atoms.rattle(0.1, seed=seed)
    return atoms


STRUCTURES = {
    "box of many ranges": lambda e: crystal(e, (4, 4, 4), "fcc", 5.0),
    "images of itself": lambda e: crystal(e, (2, 1, 1), "fcc", 4.6),
    "slab": lambda e: _slab(e),
    "cluster": lambda e: _cluster(e),
}


def _slab(elements):
    atoms = crystal(elements, (3, 3, 3), "fcc", 4.8)
    atoms.pbc = (True, True, False)
    return atoms


def _cluster(elements):
    atoms = crystal(elements, (3, 3, 3), "fcc", 4.8)
    atoms.pbc = False
    return atoms


def differences_agree(potential, atoms, allowed_eV, n=6, seed=1):
    """Flips, pairs near and far, and larger changes, before and after accepted ones."""
    rng = np.random.default_rng(seed)
    frozen = freeze(potential, atoms)
    energies = LocalEnergies(frozen, atoms.numbers)
    elements = sorted(set(atoms.numbers.tolist()))
    worst = 0.0
    for step in range(n):
        sites = sorted(rng.choice(len(atoms), rng.integers(1, 4), replace=False).tolist())
        change = tuple((s, int(rng.choice(elements))) for s in sites)
        after = energies.numbers.copy()
        for s, z in change:
            after[s] = z
        full = frozen.totals(np.stack([after, energies.numbers]))
        got = energies.difference_eV(change)
        worst = max(worst, np.abs(got - (full[0] - full[1])).max())
        if step % 2:
            energies.apply(change)
    assert np.abs(energies.check()).max() < allowed_eV
    assert worst < allowed_eV
    return energies


@pytest.mark.parametrize("structure", list(STRUCTURES))
@pytest.mark.parametrize(
    "name", ["one hop", "two hops", "two hops through positions", "one long element"]
)
def test_toys(files, name, structure):
    atoms = STRUCTURES[structure]([18, 36])
    energies = differences_agree(load_potential(files[name]), atoms, 1e-9)
    if structure != "images of itself":
        assert energies.local


@pytest.mark.parametrize("structure", ["box", "images of itself"])
def test_shipped_committee(structure):
    n = (5, 5, 5) if structure == "box" else (2, 2, 1)
    atoms = crystal(SHIPPED, n, "bcc", 3.25)
    differences_agree(load_potential("nbmotaw", dtype="float64"), atoms, 1e-9)
    differences_agree(load_potential("nbmotaw", dtype="float32"), atoms, 2e-4, n=3)


def test_committees_of_files_and_weighted_baselines(files):
    atoms = crystal([18, 36], (3, 3, 3), "fcc", 5.0)
    both = load_potential([files["one hop"], files["two hops"]])
    energies = differences_agree(both, atoms, 1e-9)
    assert energies.local and len(energies.totals_eV) == 6
    weighted = with_baseline(
        files["one hop"], files["baseline"], 0.5, offsets_eV={"Ar": 0.1, "Kr": -0.2}
    )
    energies = differences_agree(weighted, atoms, 1e-9)
    assert energies.local and len(energies.totals_eV) == 4


@pytest.mark.parametrize("name", ["one hop", "weighted baseline"])
def test_chain_does_not_depend_on_how_it_is_evaluated(files, name):
    atoms = crystal([18, 36], (3, 3, 3), "fcc", 5.0)
    potential = load_potential(files["one hop"])
    if name == "weighted baseline":
        potential = with_baseline(files["one hop"], files["baseline"], 0.5)
    runs = []
    for batch in (1, 13, "auto", "in full"):
        whole = batch == "in full"
        mc = SwapMonteCarlo(
            atoms, potential, temperature_K=1500, seed=8, batch=4 if whole else batch
        )
        if whole:
            mc.energies._whole("for comparison")
        mc.run(60)
        runs.append((mc.energies.numbers, mc.member_energies_eV))
        assert 5 < mc.accepted < 55
        assert mc.energy_drift_eV < 1e-9
        assert mc.energy_eV == pytest.approx(potential.evaluate([mc.atoms])[0].energy_eV, abs=1e-9)
    for numbers, members in runs[1:]:
        np.testing.assert_array_equal(numbers, runs[0][0])
        np.testing.assert_allclose(members, runs[0][1], atol=1e-9)


def test_what_has_no_range_is_evaluated_in_full(caplog):
    atoms = bulk("Cu", "fcc", 3.7, cubic=True) * (2, 2, 2)
    atoms.numbers[::3] = 79
    with pytest.warns(QuorumWarning, match="single model"):
        mc = SwapMonteCarlo(atoms, EMT(), temperature_K=1000, seed=1)
    assert "full evaluation of 32 atoms: EMT has no finite range" in mc.how
    assert [record.getMessage() for record in caplog.records] == [mc.how]
    mc.run(20)
    check = mc.atoms
    check.calc = EMT()
    assert mc.energy_eV == pytest.approx(check.get_potential_energy(), abs=1e-9)
    assert 0 < mc.accepted


def test_a_range_that_is_wrong_is_noticed(files):
    """A model whose energies do not come from their surroundings alone is not sampled locally."""

    class Remote(Frozen):
        def __init__(self, inner):
            self.inner, self.near, self.n_atoms = inner, inner.near, inner.n_atoms
            self.potential = inner.potential

        def totals(self, numbers):
            return self.inner.totals(numbers) + 1e-3 * (np.atleast_2d(numbers) ** 2).mean(axis=1)

        def atom_energies(self, numbers):
            return self.inner.atom_energies(numbers)

        def answers(self, numbers, questions):
            return self.inner.answers(numbers, questions)

    atoms = crystal([18, 36], (3, 3, 3), "fcc", 5.0)
    inner = freeze(load_potential(files["one hop"]), atoms)
    with pytest.warns(QuorumWarning, match="local energies miss the full ones"):
        energies = LocalEnergies(Remote(inner), atoms.numbers)
    assert not energies.local and "miss the full ones" in energies.how


def test_cost_of_a_trial_does_not_grow_with_the_system(files):
    """Centres evaluated per difference: the same in 256 and in 2048 atoms."""
    potential = load_potential(files["one hop"])
    counts = []
    for n in (4, 8):
        atoms = crystal([18, 36], (n, n, n), "fcc", 5.0, shear=0.0)
        mc = SwapMonteCarlo(atoms, potential, temperature_K=300, seed=1, batch=8)
        start = mc.energies.evaluated
        mc.run(40)
        counts.append((mc.energies.evaluated - start) / 40)
    assert counts[1] < 1.2 * counts[0]


def test_molecule_without_neighbours(files):
    """Atoms that are alone within the range, and a structure of two."""
    atoms = Atoms([18, 36, 36], positions=[[0, 0, 0], [0, 0, 3.0], [50, 0, 0]])
    differences_agree(load_potential(files["one hop"]), atoms, 1e-12)
    mc = SwapMonteCarlo(atoms, files["one hop"], temperature_K=300, seed=1, move=CanonicalSwap())
    mc.run(30)
    assert mc.energy_drift_eV < 1e-12
    flips = SwapMonteCarlo(atoms, files["one hop"], temperature_K=3000, seed=1, move=Flip())
    flips.run(30)
    assert flips.energy_drift_eV < 1e-12
