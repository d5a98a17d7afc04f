"""Where order parameters end: lone atoms, large cutoffs, moving cells, other compilers."""

import numpy as np
import pytest
from ase import Atoms

from order_tools import cluster, evaluate, program, shaken, structure
from quorum_md.errors import QuorumError, QuorumWarning
from quorum_md.order_parameters import compiled
from quorum_md.order_parameters.bonds import BondFinder, images_apart
from quorum_md.order_parameters.compiled import CompiledFunctions, largest_difference
from quorum_md.order_parameters.pair_functions import NumpyFunctions
from quorum_md.order_parameters.variables import open_variables

CUBIC = "SWITCH={CUBIC D_0=1.2 D_MAX=1.5}"
ALL = f"""UNITS NATURAL
f: FCCUBIC SPECIES=@mdatoms {CUBIC} MEAN MORE_THAN={{SMAP R_0=0.4 A=8 B=8}}
q: Q6 SPECIES=@mdatoms {CUBIC} MEAN VMEAN
l: LOCAL_Q6 SPECIES=q {CUBIC} MEAN
a: LOCAL_AVERAGE SPECIES=q {CUBIC} MEAN
e: ENVIRONMENTSIMILARITY SPECIES=@mdatoms LATTICE_CONSTANTS=1.6 SIGMA=0.1 MEAN
d: ENVIRONMENTSIMILARITY SPECIES=@mdatoms CRYSTAL_STRUCTURE=DIAMOND LATTICE_CONSTANTS=2 MEAN
res: RESTRAINT ARG=f.mean,f.morethan,q.mean,q.vmean,l.mean,a.mean,e.mean,d.mean
res2: COMBINE ARG=q.mean PERIODIC=NO"""
ALL = ALL.replace("e.mean,d.mean\n", "e.mean,d.mean AT=1,1,1,1,1,1,1,1 KAPPA=1,2,3,4,5,6,7,8\n")


def finite(answer):
    numbers = [*answer.values.values(), *answer.forces.ravel(), *answer.virial.ravel()]
    return np.isfinite(numbers).all()


@pytest.mark.filterwarnings("ignore::quorum_md.errors.QuorumWarning")
@pytest.mark.parametrize("n_atoms", [1, 2, 3])
def test_lone_atoms_are_zero_and_feel_nothing(n_atoms):
    positions = np.eye(3)[:n_atoms] * 10
    answer = evaluate(program(ALL), cluster(positions))
    assert finite(answer) and not answer.forces.any() and not answer.virial.any()
    assert answer.values["q.mean"] == answer.values["l.mean"] == answer.values["f.morethan"] == 0
    assert answer.values["d.mean"] == pytest.approx(np.log(2) / 100)  # as in PLUMED


def test_wrong_unit_of_length_is_said(tmp_path):
    """Å taken for nm: too large for the cell; nm taken for Å: no neighbours."""
    path, atoms = tmp_path / "plumed.dat", structure("gaas")
    cubic = "q: Q6 SPECIES=1-64 SWITCH={CUBIC D_0=2.8 D_MAX=3.4} MEAN"
    path.write_text(cubic)
    with pytest.raises(QuorumError, match=r"got 3.4 in a cell of lengths 1.15 .* LENGTH in UNITS"):
        open_variables(path).evaluate(atoms)
    path.write_text("UNITS LENGTH=A\n" + cubic.replace("2.8", "0.28").replace("3.4", "0.34"))
    with pytest.warns(QuorumWarning, match="no atom has a neighbour within 0.34 .the input's unit"):
        assert open_variables(path).evaluate(atoms).values["q.mean"] == 0


def test_one_lone_atom_among_others():
    atoms = structure("lj_solid")
    atoms.set_cell([4.806, 4.806, 12.0])
    atoms.append("Ar")
    atoms.positions[-1] = [2.0, 2.0, 8.0]
    answer = evaluate(program(ALL), atoms)
    assert finite(answer) and not answer.forces[-1].any() and answer.forces.any()
    assert answer.per_atom["l"][-1] == 0


def test_cutoffs_beyond_half_the_cell_are_refused():
    atoms = structure("lj_solid")
    text = "UNITS NATURAL\nq: Q6 SPECIES=1-108 SWITCH={{CUBIC D_0=1 D_MAX={}}} MEAN"
    evaluate(program(text.format(2.4029)), atoms)
    with pytest.raises(
        QuorumError, match=r"line 2: \[Q6\] cutoff: got 2.4031 in a cell of lengths"
    ):
        evaluate(program(text.format(2.4031)), atoms)
    atoms.pbc = False
    evaluate(program(text.format(2.4031)), atoms)
    with pytest.raises(QuorumError, match=r"\[Q6\] SWITCH: got no D_MAX, expected D_MAX"):
        evaluate(
            program("UNITS NATURAL\nq: Q6 SPECIES=1-9 SWITCH={RATIONAL R_0=1}"),
            structure("lj_solid"),
        )


def test_images_of_skewed_cells():
    """Against all lattice vectors with coefficients up to 8."""
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(-8, 9)] * 3), axis=-1).reshape(-1, 3)
    grid = grid[grid.any(axis=1)]
    for _ in range(50):
        cell = np.diag(rng.uniform(1, 2, 3)) + np.triu(rng.uniform(-1.5, 1.5, (3, 3)), 1)
        shortest = np.linalg.norm(grid @ cell, axis=1).min()
        everywhere = np.ones(3, dtype=bool)
        assert images_apart(cell, everywhere, 0.999 * shortest)
        assert not images_apart(cell, everywhere, 1.001 * shortest)
    assert images_apart(np.eye(3), np.zeros(3, dtype=bool), 9.0)


def test_kept_lists_are_right_while_atoms_and_cell_move():
    rng = np.random.default_rng(3)
    atoms = structure("lj_solid")
    finder = BondFinder(1.5, NumpyFunctions())
    searches = 0
    for step in range(120):
        atoms.positions += 0.008 * rng.normal(size=atoms.positions.shape)
        strain = np.eye(3) + 0.0005 * rng.normal(size=(3, 3))
        atoms.set_cell(np.array(atoms.cell) @ strain, scale_atoms=True)
        if step == 60:
            atoms.wrap()
        place = np.array(atoms.positions), np.array(atoms.cell), np.array(atoms.pbc)
        before = finder._kept
        kept = finder.find(*place)
        searches += finder._kept is not before
        fresh = BondFinder(1.5, NumpyFunctions()).find(*place)
        assert len(kept.lengths) == len(fresh.lengths)
        np.testing.assert_allclose(np.sort(kept.lengths), np.sort(fresh.lengths), rtol=1e-12)
    assert 1 < searches < 60


def test_kept_lists_hold_no_longer_than_they_may():
    """A pair just out of reach comes within the cutoff, by its two atoms or by the cell."""
    finder, everywhere = BondFinder(1.0, NumpyFunctions()), np.ones(3, dtype=bool)
    apart = np.array([[0.0, 0, 0], [1.19, 0, 0]])
    assert not len(finder.find(apart, 6 * np.eye(3), everywhere).lengths)
    nearer = apart + [[0.1, 0, 0], [-0.1, 0, 0]]
    assert len(finder.find(nearer, 6 * np.eye(3), everywhere).lengths) == 1
    finder.find(apart, 6 * np.eye(3), everywhere)
    cell = np.diag([6 * 0.83, 6, 6])
    assert len(finder.find(apart @ (cell / 6), cell, everywhere).lengths) == 1
    finder.find(apart, 6 * np.eye(3), everywhere)
    before = finder._kept
    finder.find(apart + [[0.02, 0, 0], [-0.03, 0, 0]], 5.9 * np.eye(3), everywhere)
    assert finder._kept is before


def test_atoms_that_are_not_there_or_in_one_place():
    with pytest.raises(
        QuorumError, match=r"\[Q6\] SPECIES: got atom 109, expected atoms from 1 to"
    ):
        evaluate(program(f"UNITS NATURAL\nq: Q6 SPECIES=1-109 {CUBIC}"), structure("lj_solid"))
    atoms = structure("lj_solid")
    atoms.positions[7] = atoms.positions[3]
    with pytest.raises(QuorumError, match="got atoms 4 and 8 in the same place"):
        evaluate(program(f"UNITS NATURAL\nq: Q6 SPECIES=1-108 {CUBIC}"), atoms)


def test_structures_of_other_sizes_follow_one_another(tmp_path):
    path = tmp_path / "plumed.dat"
    path.write_text(ALL)
    variables = open_variables(path)
    small, large = structure("lj_solid"), structure("lj_solid").repeat((2, 1, 1))
    first = variables.evaluate(small).values["f.mean"]
    assert variables.evaluate(large).values["f.mean"] == pytest.approx(first, rel=1e-12)
    assert variables.evaluate(small).values["f.mean"] == first
    with pytest.raises(QuorumError, match="structure without atoms"):
        variables.evaluate(Atoms())
    with pytest.raises(QuorumError, match="periodic direction has no cell vector"):
        variables.evaluate(Atoms("Ar", pbc=True))


def test_numbers_without_a_value_are_refused():
    text = f"UNITS NATURAL\nf: FCCUBIC SPECIES=1-108 {CUBIC} MEAN\n"
    text += "c: COMBINE ARG=f.mean PARAMETERS=5 POWERS=0.5 PERIODIC=NO"
    with pytest.raises(QuorumError, match=r"\[COMBINE\] POWERS: got 0.5 of -4"):
        evaluate(program(text), structure("lj_solid"))


def test_units_of_a_file_are_converted(tmp_path):
    """The same bias in nm and kJ/mol as in Å and eV."""
    atoms = shaken(structure("gaas"), 0.05)
    answers = []
    for length, energy, scale, kappa in (
        ("A", "eV", 1.0, 100.0),
        ("nm", "kj/mol", 0.1, 9648.530749925792),
    ):
        text = (
            f"UNITS LENGTH={length} ENERGY={energy}\nq: Q6 SPECIES=1-64 "
            f"SWITCH={{CUBIC D_0={2.8 * scale} D_MAX={3.4 * scale}}} MEAN\n"
            f"res: RESTRAINT ARG=q.mean AT=0.4 KAPPA={kappa}"
        )  # fmt: skip
        path = tmp_path / f"{length}.dat"
        path.write_text(text)
        answers.append(open_variables(path).evaluate(atoms))
    assert answers[0].bias == pytest.approx(answers[1].bias, rel=1e-10)
    np.testing.assert_allclose(answers[0].forces, answers[1].forces, atol=1e-12)
    np.testing.assert_allclose(answers[0].virial, answers[1].virial, atol=1e-11)


class Wrong(NumpyFunctions):
    def fcc(self, *args):
        values, gradients = super().fcc(*args)
        return values, 1.000001 * gradients


class Blind(NumpyFunctions):
    def search(self, *args):
        return tuple(part[1:] for part in super().search(*args))


def test_compiled_functions_are_checked(monkeypatch):
    assert largest_difference(NumpyFunctions()) == 0
    assert largest_difference(Wrong()) > 1e-7
    assert largest_difference(Blind()) == np.inf
    made = compiled.pair_functions()
    if isinstance(made, CompiledFunctions):
        assert largest_difference(made) < 1e-13
    monkeypatch.setattr(compiled, "CompiledFunctions", lambda library: Wrong())
    monkeypatch.setattr(compiled, "_library", lambda: object())
    compiled.pair_functions.cache_clear()
    with pytest.warns(QuorumWarning, match="differ from numpy by"):
        assert type(compiled.pair_functions()) is NumpyFunctions
    compiled.pair_functions.cache_clear()


def test_without_a_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", "no-such-compiler")
    compiled.pair_functions.cache_clear()
    assert type(compiled.pair_functions()) is NumpyFunctions
    compiled.pair_functions.cache_clear()
