"""The compiled kernel behind trial energies against the file in TorchScript."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

from density_models import random_potential, write_model
from quorum_md import native
from quorum_md.errors import QuorumError, QuorumWarning
from quorum_md.models import density_kernel, load_potential
from quorum_md.models.frozen import Question, freeze
from quorum_md.models.frozen_metatomic import FrozenMetatomic

pytestmark = pytest.mark.filterwarnings("ignore:.*single model")
NAMES = ["odd", "many", "one", "wide", "scaled", "scaled twice", "shipped"]


def alloy(species, n=(3, 2, 2), a=3.6):
    """Small enough for atoms to be beside images of themselves and of others."""
    atoms = bulk("Cu", "fcc", a, cubic=True) * n
    rng = np.random.default_rng(3)
    atoms.symbols = rng.choice(species, len(atoms))
    atoms.set_cell(np.asarray(atoms.cell) + [[0, 0, 0], [0.4, 0, 0], [0, -0.3, 0]])
    atoms.rattle(0.1, rng=rng)
    atoms.pbc = (True, True, False)
    return atoms


def in_torch(path, dtype="float64"):
    """The same file without the kernel."""
    potential = load_potential(path, dtype=dtype)
    potential._kernel = (None,)
    return potential


@pytest.mark.parametrize("name", NAMES)
def test_evaluations_are_those_of_the_file(name, kernel_files):
    path, species = kernel_files[name]
    isolated = Atoms(species[:1], [[1.0, 2.0, 3.0]])
    close = Atoms([species[0], species[-1]], [[0.0, 0.0, 0.0], [0.6, 0.5, 0.2]])
    structures = [alloy(species), isolated, alloy(species, (1, 1, 1)), close]
    with_kernel = load_potential(path, dtype="float64")
    assert with_kernel.kernel is not None
    words = {"virial": True, "member_forces": True, "member_virials": True}
    fields = ["member_energies_eV", "atom_energies_eV", "atom_member_energies_eV", "forces_eV_A"]
    fields += ["virial_eV", "member_forces_eV_A", "member_virials_eV"]
    for _ in range(2):  # the second time with the neighbour list that was kept
        got = with_kernel.evaluate(structures, **words)
        expected = in_torch(path).evaluate(structures, **words)
        for one, other in zip(got, expected, strict=True):
            for field in fields:
                mine, file = getattr(one, field), getattr(other, field)
                assert mine.shape == file.shape
                scale = max(1e-3, np.abs(file).max())
                np.testing.assert_allclose(mine, file, rtol=0, atol=1e-11 * scale, err_msg=field)
        structures[0].rattle(0.02, seed=1)
    energies = with_kernel.evaluate(structures[0], forces=False)[0]
    assert energies.forces_eV_A is None
    assert energies.energy_eV == with_kernel.evaluate(structures[0])[0].energy_eV


def test_threads_and_processors_give_the_same(kernel_files):
    path, species = kernel_files["odd"]
    atoms = alloy(species, (4, 4, 4))
    potential = load_potential(path)
    one = potential.evaluate(atoms, virial=True)[0]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        several = potential.evaluate(atoms, virial=True)[0]
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(one.forces_eV_A, several.forces_eV_A)
    np.testing.assert_array_equal(one.member_energies_eV, several.member_energies_eV)
    with ThreadPoolExecutor(4) as pool:
        for other in pool.map(lambda _: potential.evaluate(atoms)[0], range(12)):
            np.testing.assert_array_equal(one.forces_eV_A, other.forces_eV_A)


def test_threads_that_fail_or_cannot_be_had(tmp_path):
    """An exception is passed on, and a limit of threads costs time only."""
    source = Path(__file__).with_name("density_threads.cpp")
    options = ["-std=c++17", "-pthread", f"-I{native.source_folder()}", "-o", tmp_path / "threads"]
    subprocess.run(["g++", source, *options], check=True)
    done = subprocess.run([tmp_path / "threads"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "caught caught done")


def some_questions(atoms, rng, n=40):
    numbers = np.unique(atoms.numbers)
    return [
        Question(
            rng.permutation(len(atoms))[: rng.integers(1, 30)],
            rng.permutation(len(atoms))[:k].tolist(),
            rng.choice(numbers, k).tolist(),
        )
        for k in rng.integers(0, 3, n)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_those_of_the_file(name, kernel_files):
    path, species = kernel_files[name]
    atoms = alloy(species)
    frozen = freeze(load_potential(path, dtype="float64"), atoms)
    assert isinstance(frozen, FrozenMetatomic) and frozen._kernel is not None
    numbers = atoms.numbers.copy()
    questions = some_questions(atoms, np.random.default_rng(1))
    got = frozen.answers(numbers, questions)
    np.testing.assert_array_equal(numbers, atoms.numbers)
    whole = frozen.atom_energies(numbers)
    frozen._kernel = None
    scale = np.abs(whole).max()
    np.testing.assert_allclose(whole, frozen.atom_energies(numbers), rtol=0, atol=1e-12 * scale)
    for mine, file in zip(got, frozen.answers(numbers, questions), strict=True):
        np.testing.assert_allclose(mine, file, rtol=0, atol=1e-12 * scale)


def test_a_site_that_is_named_twice_has_its_last_element(kernel_files):
    path, species = kernel_files["odd"]
    atoms = alloy(species)
    frozen = freeze(load_potential(path, dtype="float64"), atoms)
    everything = np.arange(len(atoms))
    twice, once, before = frozen.answers(
        atoms.numbers,
        [
            Question(everything, [4, 4], [29, 47]),
            Question(everything, [4], [47]),
            Question(everything, [], []),
        ],
    )
    np.testing.assert_array_equal(twice, once)
    np.testing.assert_array_equal(before, frozen.atom_energies(atoms.numbers))


def test_more_centers_than_one_call_takes(kernel_files):
    path, species = kernel_files["odd"]
    atoms = alloy(species)
    frozen = freeze(load_potential(path), atoms)
    rng = np.random.default_rng(2)
    questions = some_questions(atoms, rng, 700)
    assert sum(len(question.centers) for question in questions) > 8192
    together = np.concatenate(frozen.answers(atoms.numbers, questions))
    single = [frozen.answers(atoms.numbers, [question])[0] for question in questions]
    np.testing.assert_array_equal(together, np.concatenate(single))


def test_atoms_in_one_place_are_an_error_in_swaps_too(kernel_files):
    """And not trials that are rejected without end."""
    path, species = kernel_files["odd"]
    atoms = alloy(species)
    atoms.positions[1] = atoms.positions[0]
    frozen = freeze(load_potential(path), atoms)
    for ask in (
        lambda: frozen.totals(atoms.numbers),
        lambda: frozen.atom_energies(atoms.numbers),
        lambda: frozen.answers(atoms.numbers, [Question(np.arange(3), [], [])]),
    ):
        with pytest.raises(QuorumError, match="not finite"):
            ask()


def test_single_precision(kernel_files):
    atoms = alloy(kernel_files["shipped"][1])
    potential = load_potential("nbmotaw", dtype="float32")
    frozen = freeze(potential, atoms)
    assert frozen._kernel is not None
    exact = freeze(load_potential("nbmotaw", dtype="float64"), atoms).atom_energies(atoms.numbers)
    difference = np.abs(frozen.atom_energies(atoms.numbers) - exact).max()
    assert 1e-10 < difference < 2e-5


def test_no_kernel_for_other_formulas(tmp_path, kernel_files, lj_file, monkeypatch):
    """Another formula under the same names, other models, no compiler: the file itself runs."""
    path, species = kernel_files["odd"]
    atoms = alloy(species)
    known = density_kernel._parameters

    def another(module):
        found = known(module)
        found[1][3] = found[1][3] + 1e-6  # net.shift
        return found

    with monkeypatch.context() as m:
        m.setattr(density_kernel, "_parameters", another)
        without = load_potential(path, dtype="float64")
        assert without.kernel is None and freeze(without, atoms)._kernel is None
    potential = load_potential(path, dtype="float64")
    assert potential.kernel is not None
    np.testing.assert_allclose(
        without.evaluate(atoms)[0].energy_eV, potential.evaluate(atoms)[0].energy_eV, rtol=1e-12
    )
    assert load_potential(lj_file).kernel is None

    with monkeypatch.context() as m:
        m.setenv("QUORUM_KERNEL", "fastest")
        with pytest.warns(QuorumWarning, match="QUORUM_KERNEL: got fastest.* runs in torch"):
            assert load_potential(path).kernel is None
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", "no-such-compiler -O3")
    density_kernel._library.cache_clear()
    try:
        with pytest.warns(QuorumWarning, match=r"no C\+\+ compiler \(no-such.* runs in torch"):
            assert load_potential(path).kernel is None
    finally:
        density_kernel._library.cache_clear()
    assert not list((tmp_path / "quorum-md").glob("kernel-building*"))


def test_committees_of_several_files_have_none(tmp_path, kernel_files):
    from quorum_md.models.committee import assemble, read_part

    other = write_model(
        tmp_path / "other.pt",
        random_potential([79, 29, 47], 4, (5, 2, 7, 3, (13, 10)), 4.5, seed=8),
        [79, 29, 47],
    )
    path, _ = kernel_files["odd"]
    assemble([read_part(path), read_part(other)], tmp_path / "two.pt", description="two")
    assert load_potential(tmp_path / "two.pt").kernel is None


def test_a_failed_compilation_is_remembered_by_its_log(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(Exception, match="its messages are in .*some-thing-build.log"):
        native.compile_once(
            "some thing",
            native.cache_folder() / "some-1",
            lambda: False,
            lambda folder: [["false", str(folder)]],
        )
    assert [path.name for path in native.cache_folder().glob("*build.log")] == [
        "some-thing-build.log"
    ]


def test_a_compiler_that_fails_is_said_and_torch_runs(tmp_path, kernel_files, monkeypatch):
    path, species = kernel_files["odd"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", "false")
    density_kernel._library.cache_clear()
    try:
        potential = load_potential(path)
        with pytest.warns(UserWarning, match="its messages are in .* runs in torch"):
            potential.evaluate(alloy(species))
        assert potential.kernel is None
    finally:
        density_kernel._library.cache_clear()
