"""Bond order: crystals have known values, and the harmonics are scipy's."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st
from observable_tools import frames_of, ideal_gas
from scipy.spatial.transform import Rotation

from quorum_md.averages.observables.steinhardt import spherical_harmonics, steinhardt
from quorum_md.errors import QuorumError

# Mickel et al., J. Chem. Phys. 138, 044501 (2013), to the digits that follow from the geometry
REFERENCE = {
    ("fcc", 12): (0.19094065395649334, 0.5745242597140698),
    ("hcp", 12): (0.09722222222222221, 0.4847616851702577),
    ("bcc", 8): (0.5091750772173156, 0.6285393610547089),
    ("bcc", 14): (0.03636964837266541, 0.5106882308569508),
    ("sc", 6): (0.7637626158259734, 0.35355339059327373),
}


def harmonics_by_scipy(degree, vectors):
    special = pytest.importorskip("scipy.special")
    x, y, z = (vectors / np.linalg.norm(vectors, axis=1)[:, None]).T
    theta, phi = np.arccos(z), np.arctan2(y, x)
    m = np.arange(degree + 1)[None, :]
    if hasattr(special, "sph_harm_y"):
        return special.sph_harm_y(degree, m, theta[:, None], phi[:, None])
    return special.sph_harm(m, degree, phi[:, None], theta[:, None])


@pytest.mark.parametrize("degree", [0, 1, 2, 3, 4, 6, 8, 11])
def test_harmonics_are_those_of_scipy(degree):
    vectors = np.random.default_rng(degree).normal(size=(50, 3))
    vectors[:2] = [[0, 0, 2.0], [0, 0, -0.1]]  # the poles
    np.testing.assert_allclose(
        spherical_harmonics(degree, vectors), harmonics_by_scipy(degree, vectors), atol=1e-13
    )


@pytest.mark.parametrize("structure, number", REFERENCE)
@pytest.mark.parametrize("averaged", [False, True])
def test_perfect_crystals(structure, number, averaged):
    """Any orientation, a cell of one or two atoms or more; by number and by distance."""
    expected = REFERENCE[structure, number]
    options = {"covera": np.sqrt(8 / 3)} if structure == "hcp" else {}
    for repeat in (1, 2):
        atoms = bulk("Cu", structure, a=3.0, **options).repeat(repeat)
        atoms.rotate(37.0, (1, 2, 3), rotate_cell=True)
        frames = frames_of([atoms, atoms])
        made = steinhardt(frames, neighbours=number, averaged=averaged)
        np.testing.assert_allclose(made.evaluate(frames), [expected] * 2, atol=1e-6)
        cutoff = {12: 1.2, 8: 0.9, 14: 1.2, 6: 1.2}[number] * 3.0
        if structure == "fcc":
            cutoff *= np.sqrt(0.5)
        made = steinhardt(frames, cutoff_A=cutoff, averaged=averaged)
        np.testing.assert_allclose(made.evaluate(frames), [expected] * 2, atol=1e-6)
    whole = steinhardt(frames, cutoff_A=cutoff, over="bonds").evaluate(frames)
    if structure != "hcp":  # all bonds of all atoms are alike
        np.testing.assert_allclose(whole, [expected] * 2, atol=1e-6)


@pytest.mark.parametrize("averaged", [False, True])
def test_definitions_on_random_atoms(averaged):
    """Sums over all m from scipy's harmonics, atom by atom."""
    frames = ideal_gas(np.random.default_rng(1), 2, {"A": 9, "B": 4}, 5 * np.eye(3))
    values = steinhardt(frames, (3, 6), cutoff_A=3.1, averaged=averaged, per_atom=True)
    values = values.evaluate(frames)
    assert values.shape == (2, 13, 2)
    for row in range(2):
        i, j, vectors = frames.frame(row).neighbours(3.1)
        for column, degree in enumerate((3, 6)):
            positive = harmonics_by_scipy(degree, vectors)
            signs = (-1.0) ** np.arange(degree, 0, -1)
            y = np.hstack([signs * positive[:, :0:-1].conj(), positive])
            q = np.array([y[i == atom].mean(axis=0) for atom in range(13)])
            if averaged:
                q = np.array(
                    [(q[atom] + q[j[i == atom]].sum(axis=0)) / (1 + (i == atom).sum())
                     for atom in range(13)]
                )  # fmt: skip
            expected = np.sqrt(4 * np.pi / (2 * degree + 1) * (np.abs(q) ** 2).sum(axis=1))
            np.testing.assert_allclose(values[row, :, column], expected, rtol=1e-10)
    one = steinhardt(frames, 6, cutoff_A=3.1, averaged=averaged, element="B").evaluate(frames)
    np.testing.assert_allclose(one[:, 0], values[:, 9:, 1].mean(axis=1))


def test_global_order_averages_bonds_first():
    """Two fcc grains turned against each other: atoms are ordered, the whole much less."""
    rng = np.random.default_rng(2)
    grains = []
    for _ in range(6):
        atoms = bulk("Cu", "fcc", a=3.6)
        turn = Rotation.random(random_state=int(rng.integers(1 << 30))).as_matrix()
        grains.append((atoms.positions @ turn, atoms.cell[:] @ turn))
    from quorum_md.averages.observables.steinhardt import _Bonds, _order

    bonds = []
    for k, (x, cell) in enumerate(grains):
        atoms = bulk("Cu", "fcc", a=3.6)
        atoms.positions, atoms.cell = x, cell
        i, _, vectors = frames_of(atoms).frame(0).neighbours(2.8)
        bonds.append(_Bonds(i + k, i + k, vectors))
    joined = _Bonds(*(np.concatenate(parts) for parts in zip(
        *((b.owner, b.other, b.vector) for b in bonds), strict=True)))  # fmt: skip
    frames = ideal_gas(rng, 1, {"Cu": 6}, 10 * np.eye(3))
    np.testing.assert_allclose(
        _order(frames, joined, 6, False, "atoms"), REFERENCE["fcc", 12][1], atol=1e-9
    )
    assert _order(frames, joined, 6, False, "bonds")[0] < 0.45


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
def test_invariances(seed, averaged, by_number):
    rng = np.random.default_rng(seed)
    frames = ideal_gas(rng, 2, {"A": 6}, np.array([[6.0, 0, 0], [2.0, 5.5, 0], [-1.5, 1.0, 7.0]]))
    options = {"neighbours": 7} if by_number else {"cutoff_A": 4.5}
    made = steinhardt(frames, (2, 5, 6), averaged=averaged, **options)
    expected = made.evaluate(frames)
    turn = Rotation.random(random_state=seed).as_matrix()
    moved = frames.positions + rng.normal(size=3)
    other = replace(
        frames,
        positions=(moved @ turn)[:, rng.permutation(6)],
        cells=frames.cells @ turn,
    )
    np.testing.assert_allclose(made.evaluate(other), expected, atol=1e-9)
    repeated = replace(
        frames,
        positions=np.concatenate(
            [frames.positions, frames.positions + frames.cells[:, :1]], axis=1
        ),
        cells=frames.cells * np.array([2, 1, 1])[:, None],
        species=np.tile(frames.species, (1, 2)),
    )
    np.testing.assert_allclose(made.evaluate(repeated), expected, atol=1e-9)


def test_bad_options():
    frames = ideal_gas(np.random.default_rng(0), 1, {"A": 3}, 6 * np.eye(3))
    for options, sentence in (
        ({}, "got cutoff_A=None and neighbours=None, expected one of them"),
        ({"cutoff_A": 3, "neighbours": 3}, "expected one of them"),
        ({"l": -1, "cutoff_A": 3}, "l: got -1"),
        ({"l": 2.5, "cutoff_A": 3}, "l: got 2.5"),
        ({"neighbours": 0}, "neighbours: got 0"),
        ({"cutoff_A": 3, "over": "bonds", "averaged": True}, "without averaged, per_atom"),
        ({"cutoff_A": 3, "element": "B"}, "element: got 'B', expected one of A"),
    ):
        with pytest.raises(QuorumError, match=sentence):
            steinhardt(frames, **options)
    lonely = steinhardt(frames, 6, cutoff_A=0.01)
    np.testing.assert_array_equal(lonely.evaluate(frames), [[0.0]])
