"""Energies, forces and virials of metatomic files against ASE and finite differences."""

import copy
import pickle
import warnings

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones as AseLennardJones

from quorum_md.errors import QuorumError, QuorumWarning
from quorum_md.models import load_potential
from quorum_md.models.check import finite_difference_forces, finite_difference_virial
from quorum_md.models.metatomic_model import MetatomicPotential
from toy_models import LJ_SCALES, EinsteinCrystal, LennardJones, OneLongElement, TwoHops, export


@pytest.fixture
def argon():
    """32 atoms in a sheared, rattled cell: nothing vanishes by symmetry."""
    atoms = bulk("Ar", "fcc", 4.4, cubic=True) * (2, 2, 2)
    atoms.rattle(0.1, seed=1)
    strain = np.eye(3) + 0.02 * np.random.default_rng(0).normal(size=(3, 3))
    atoms.set_cell(atoms.cell @ strain, scale_atoms=True)
    return atoms


def ase_lj():
    return AseLennardJones(sigma=3.0, epsilon=0.1, rc=6.5)


@pytest.mark.parametrize(
    "fixture, rtol", [("lj_file", 1e-13), ("lj_atomic_units_file", 1e-7)], ids=["A,eV", "Bohr,Ha"]
)
def test_lennard_jones_equals_ase_in_both_unit_systems(request, argon, fixture, rtol):
    # metatomic's factors are CODATA too, but of another year: hence 1e-7 for the second
    potential = load_potential(request.getfixturevalue(fixture))
    argon.calc = ase_lj()
    energy, forces = argon.get_potential_energy(), argon.get_forces()
    virial = -argon.get_stress(voigt=False) * argon.get_volume()
    got = potential.evaluate([argon], virial=True, member_forces=True, member_virials=True)[0]
    assert got.energy_eV == pytest.approx(energy, rel=rtol)
    np.testing.assert_allclose(got.forces_eV_A, forces, atol=rtol * 10)
    np.testing.assert_allclose(got.virial_eV, virial, atol=rtol * 1e3)
    scales = np.array(LJ_SCALES)
    np.testing.assert_allclose(got.member_energies_eV, scales * energy, rtol=rtol)
    np.testing.assert_allclose(
        got.member_forces_eV_A, scales[:, None, None] * forces, atol=rtol * 10
    )
    np.testing.assert_allclose(
        got.member_virials_eV, scales[:, None, None] * virial, atol=rtol * 1e3
    )
    assert got.spread_eV == pytest.approx(abs(energy) * np.std(scales, ddof=1), rel=rtol)
    assert got.atom_energies_eV.sum() == pytest.approx(energy, rel=rtol)
    assert potential.interaction_range_A == pytest.approx(6.5, rel=1e-8)
    assert potential.species == ("Ar",)


def test_a_batch_equals_its_structures_one_by_one(lj_file, argon):
    potential = load_potential(lj_file)
    pair = Atoms("Ar2", [[0, 0, 0], [0.2, 3.3, 0.1]])
    slab = argon.copy()
    slab.pbc = (True, True, False)
    structures = [argon, pair, slab, Atoms("Ar", [[0, 0, 0]])]
    batch = potential.evaluate(structures, virial=True)
    for atoms, together in zip(structures, batch, strict=True):
        alone = potential.evaluate(atoms, virial=True)[0]
        assert together.energy_eV == pytest.approx(alone.energy_eV, rel=1e-14, abs=1e-15)
        np.testing.assert_allclose(together.forces_eV_A, alone.forces_eV_A, atol=1e-14)
        np.testing.assert_allclose(together.virial_eV, alone.virial_eV, atol=1e-12)
        atoms.calc = ase_lj()
        assert together.energy_eV == pytest.approx(atoms.get_potential_energy(), abs=1e-12)
    assert batch[3].energy_eV == 0.0 and not batch[3].forces_eV_A.any()


@pytest.mark.parametrize("use_positions", [False, True], ids=["edges", "positions"])
def test_two_hops_forces_virial_range_and_selection(tmp_path, use_positions):
    path = export(TwoHops(4.0, [0.5, 1.5], use_positions), tmp_path / "m.pt", [41, 42], 4.0)
    with pytest.warns(QuorumWarning, match="declares an interaction range of 4 Å.* 8 Å"):
        potential = load_potential(path)
    assert potential.interaction_range_A == 8.0
    assert not potential.honours_selection
    # a cell smaller than the cutoff: atoms are neighbours of their own images
    atoms = bulk("Nb", "bcc", 3.3) * (2, 1, 1)
    atoms.symbols[1] = "Mo"
    atoms.rattle(0.1, seed=3)
    got = potential.evaluate([atoms], virial=True)[0]
    forces = finite_difference_forces(potential, atoms, np.arange(len(atoms)), 1e-3)
    np.testing.assert_allclose(got.forces_eV_A, forces, atol=1e-8)
    np.testing.assert_allclose(
        got.virial_eV, finite_difference_virial(potential, atoms, 1e-3), atol=1e-7
    )
    # a model that ignores the selection is evaluated whole, and its rows are picked
    halves = potential.evaluate([atoms] * 2, centers=[[1], [0]])
    assert sum(h.energy_eV for h in halves) == pytest.approx(got.energy_eV, rel=1e-13)
    np.testing.assert_allclose(sum(h.forces_eV_A for h in halves), got.forces_eV_A, atol=1e-12)


def test_centers_restrict_energy_and_forces(lj_file, argon):
    potential = load_potential(lj_file)
    assert potential.honours_selection
    whole = potential.evaluate([argon])[0]
    some, rest, none = potential.evaluate(
        [argon] * 3, centers=[[7, 3, 30], [i for i in range(32) if i not in (3, 7, 30)], []]
    )
    np.testing.assert_allclose(some.atom_energies_eV, whole.atom_energies_eV[[7, 3, 30]])
    assert some.energy_eV + rest.energy_eV == pytest.approx(whole.energy_eV, rel=1e-14)
    np.testing.assert_allclose(some.forces_eV_A + rest.forces_eV_A, whole.forces_eV_A, atol=1e-13)
    assert none.energy_eV == 0.0 and len(none.atom_energies_eV) == 0


def test_range_is_measured_once_and_kept(lj_file, monkeypatch):
    load_potential(lj_file)
    monkeypatch.setattr("quorum_md.models.probe._measure", lambda model: pytest.fail("again"))
    assert load_potential(lj_file).n_members == 5


def test_single_model_says_that_it_has_no_model_error(tmp_path, argon):
    path = export(LennardJones(3.0, 0.1, 6.5, [1.0]), tmp_path / "m.pt", [18], 6.5, ensemble=False)
    with pytest.warns(QuorumWarning, match="single model: it has no model error"):
        potential = load_potential(path)
    got = potential.evaluate([argon])[0]
    assert np.isnan(got.spread_eV) and got.member_energies_eV.shape == (1,)


def test_float32_totals_keep_their_digits(tmp_path):
    """Atoms are summed in double: the total is not rounded to float32 again."""
    path = export(
        LennardJones(3.0, 0.1, 6.5, LJ_SCALES), tmp_path / "m.pt", [18], 6.5, dtype="float32"
    )
    atoms = bulk("Ar", "fcc", 4.4, cubic=True) * 10
    atoms.rattle(0.05, seed=1)
    single = load_potential(path).evaluate([atoms])[0]
    double = load_potential(path, dtype="float64").evaluate([atoms])[0]
    assert single.energy_eV == pytest.approx(double.energy_eV, rel=1e-7)
    assert single.energy_eV == pytest.approx(np.sum(single.atom_energies_eV), rel=1e-14)
    assert single.energy_eV != float(np.float32(single.energy_eV))
    np.testing.assert_allclose(single.forces_eV_A, double.forces_eV_A, atol=1e-5)


def test_list_of_files_and_calculators_is_one_committee(lj_file, argon):
    potential = load_potential([lj_file, AseLennardJones(sigma=3.1, epsilon=0.2, rc=6.0)])
    assert potential.n_members == 6 and np.isinf(potential.interaction_range_A)
    got = potential.evaluate([argon], virial=True, member_forces=True)[0]
    argon.calc = AseLennardJones(sigma=3.1, epsilon=0.2, rc=6.0)
    assert got.member_energies_eV[-1] == pytest.approx(argon.get_potential_energy())
    np.testing.assert_allclose(got.member_forces_eV_A[-1], argon.get_forces())
    np.testing.assert_allclose(got.forces_eV_A, got.member_forces_eV_A.mean(axis=0), atol=1e-13)
    virials = [load_potential(lj_file).evaluate([argon], virial=True)[0].virial_eV] * 5
    virials.append(-argon.get_stress(voigt=False) * argon.get_volume())
    np.testing.assert_allclose(got.virial_eV, np.mean(virials, axis=0), atol=1e-10)


def test_neighbour_lists_kept_between_calls_are_never_stale(lj_file, argon):
    """A long walk of positions and cell, atoms that jump by a lattice vector, other structures in
    between: every energy equals that of a model that sees the structure for the first time."""
    potential = load_potential(lj_file)
    rng = np.random.default_rng(2)
    for step in range(60):
        argon.positions += 0.03 * rng.normal(size=argon.positions.shape)
        strain = np.eye(3) + 0.005 * rng.normal(size=(3, 3))
        argon.set_cell(argon.cell @ strain, scale_atoms=bool(step % 2))
        if step == 30:
            argon.positions[5] += argon.cell[0]
        if step == 40:
            potential.evaluate([Atoms("Ar2", [[0, 0, 0], [0, 0, 4]]), argon[:7]])
        kept = potential.evaluate([argon, argon[::-1]])
        fresh = load_potential(lj_file).evaluate([argon])[0]
        for one in kept:
            assert one.energy_eV == pytest.approx(fresh.energy_eV, rel=1e-12)
        np.testing.assert_allclose(kept[1].forces_eV_A[::-1], fresh.forces_eV_A, atol=1e-11)


def bad_inputs(argon):
    lost = argon.copy()
    lost.positions[4, 1] = np.nan
    flat = argon.copy()
    flat.set_cell([10, 10, 0])
    other = argon.copy()
    other.symbols[3] = "Zr"
    return {
        "position of atom 4": lost,
        "directions TTT, but the cell is flat": flat,
        "element Zr is not in .*it knows Ar": other,
        "no atoms": Atoms(),
    }


@pytest.mark.parametrize(
    "message",
    [
        "position of atom 4",
        "directions TTT, but the cell is flat",
        "element Zr is not in .*it knows Ar",
        "no atoms",
    ],
)
def test_structures_that_cannot_be_evaluated(lj_file, argon, message):
    potential = load_potential(lj_file)
    with pytest.raises(QuorumError, match=message):
        potential.evaluate([bad_inputs(argon)[message]])


@pytest.mark.parametrize(
    "centers, message",
    [([[0]] * 2, "2 lists for 1"), ([[32]], "expected 0 to 31"), ([[1, 1]], "twice")],
)
def test_centers_that_do_not_exist(lj_file, argon, centers, message):
    with pytest.raises(QuorumError, match=message):
        load_potential(lj_file).evaluate([argon], centers=centers)


def test_files_that_are_no_models(tmp_path, lj_file):
    with pytest.raises(QuorumError, match="no such model file"):
        load_potential(tmp_path / "missing.pt")
    text = tmp_path / "text.pt"
    text.write_text("not a model")
    with pytest.raises(QuorumError, match="not a metatomic model"):
        load_potential(text)
    half = tmp_path / "half.pt"
    half.write_bytes(lj_file.read_bytes()[:5000])
    with pytest.raises(QuorumError, match="not a metatomic model"):
        load_potential(half)
    import torch

    other = tmp_path / "weights.pt"
    torch.save({"w": torch.zeros(3)}, other)
    with pytest.raises(QuorumError, match=r"weights\.pt"):
        load_potential(other)
    for options, message in (
        ({"device": "tpu9"}, "device"),
        ({"device": "cuda"}, "device"),
        ({"dtype": "float16"}, "dtype"),
    ):
        with pytest.raises(QuorumError, match=message):
            load_potential(lj_file, **options)
    with pytest.raises(QuorumError, match="type int"):
        load_potential(3)
    with pytest.raises(QuorumError, match="empty list"):
        load_potential([])


@pytest.mark.parametrize(
    "cell, pbc",
    [
        ([[3, 0, 0], [3, 0, 0], [0, 0, 3]], (1, 1, 0)),
        ([[3, 0, 0], [0, 0, 0], [0, 0, 3]], (1, 1, 0)),
        ([[0, 0, 0]] * 3, (1, 0, 0)),
        (1e-3 * np.eye(3), (1, 1, 1)),
        ([[5, 0, 0], [0, 5, 0], [4, 4, 1e-3]], (1, 1, 1)),
    ],
)
def test_cells_in_which_no_neighbours_can_be_found(lj_file, cell, pbc):
    """They would end the process, or never end."""
    atoms = Atoms("Ar2", [[0, 0, 0], [1, 1, 1]], cell=cell, pbc=pbc)
    with pytest.raises(QuorumError, match="cell is flat or shorter"):
        load_potential(lj_file).evaluate([atoms])


def test_atoms_in_one_place_are_an_error(lj_file):
    with pytest.raises(QuorumError, match="not finite for structure 0; look for atoms on top"):
        load_potential(lj_file).evaluate([Atoms("Ar2", [[0, 0, 0], [0, 0, 0]])])


def test_range_of_a_model_that_treats_elements_differently(tmp_path):
    """Long for one element as centre only, wherever it stands in the list of elements."""
    for types in ([41, 42], [40, 41, 74], [41, 74]):
        module = OneLongElement(3.0, 5.0, 41)
        path = export(module, tmp_path / f"{len(types)}{types[0]}.pt", types, 5.0, ensemble=False)
        potential = MetatomicPotential(path)
        assert potential.interaction_range_A == 5.0
        # and where the file declares the short one
        path = export(module, tmp_path / f"s{len(types)}{types[0]}.pt", types, 3.0, ensemble=False)
        with pytest.warns(QuorumWarning, match="declares an interaction range of 3 Å"):
            assert MetatomicPotential(path).interaction_range_A == 5.0


def test_range_without_neighbour_list(tmp_path):
    """A model that reads positions alone keeps at least what it declares."""
    sites = torch.zeros((1, 3), dtype=torch.float64)
    path = export(EinsteinCrystal(sites, [1.0, 2.0]), tmp_path / "m.pt", [18], 8.0)
    assert load_potential(path).interaction_range_A == 8.0


def test_potentials_travel_to_other_processes(lj_file, argon):
    potential = load_potential(lj_file)
    argon.calc = potential.calculator()
    energy = argon.get_potential_energy()
    assert pickle.loads(pickle.dumps(potential)).evaluate([argon])[0].energy_eV == energy
    assert copy.deepcopy(argon.calc).potential is potential


def test_import_without_torch():
    """The command line and the averages must not pay for torch."""
    import subprocess
    import sys

    code = "import sys, quorum_md.models, quorum_md.cli; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_warnings_are_ours(lj_file):
    """Loading a plain committee warns of nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", QuorumWarning)
        load_potential(lj_file)
