"""Radial distribution functions: 1 for independent atoms, exact counts for crystals."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from ase.geometry.rdf import get_rdf
from hypothesis import given, settings
from hypothesis import strategies as st
from observable_tools import frames_of, ideal_gas
from scipy.spatial.transform import Rotation

from quorum_md.averages.observables import compute
from quorum_md.averages.observables.pair_counts import ALL, pair_counts
from quorum_md.averages.observables.rdf import coordination, rdf
from quorum_md.errors import QuorumError

TRICLINIC = np.array([[6.0, 0, 0], [2.0, 5.5, 0], [-1.5, 1.0, 7.0]])


def z_scores(values, expected):
    return (values.mean(axis=0) - expected) / (values.std(axis=0, ddof=1) / np.sqrt(len(values)))


@pytest.mark.parametrize("pair", [None, "A-A", "A-B", "B-B", "all"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_ideal_gas_is_one(pair, shuffle):
    """Independent atoms in a skewed cell, few of them, beyond half the cell: g = 1 in every bin.

    The shortest lattice vector is 5.85 Å, half the smallest width 2.7 Å.
    """
    rng = np.random.default_rng(11)
    frames = ideal_gas(rng, 6000, {"A": 3, "B": 4}, TRICLINIC, shuffle=shuffle)
    g = rdf(frames, pair, cutoff_A=5.8, bins=20).evaluate(frames)
    assert g.shape == ((6000, 3, 20) if pair == "all" else (6000, 20))
    z = z_scores(g, 1.0)[..., 2:].ravel()  # hardly a pair in the first bins
    assert np.abs(z).max() < 4
    assert 0.6 < z.std() < 1.4 and abs(z.mean()) < 3 / np.sqrt(len(z))


def test_own_images_join_beyond_the_lattice_vectors():
    """One atom of a species: its images are all that it sees of its own kind."""
    frames = ideal_gas(np.random.default_rng(2), 50, {"A": 1, "B": 2}, 4 * np.eye(3))
    made = coordination(frames, "A-A", cutoff_A=5.7)  # √2·4 = 5.66
    np.testing.assert_array_equal(made.evaluate(frames), 18.0)
    with pytest.raises(QuorumError, match='one atom of A-A.*normalisation="density"'):
        rdf(frames, "A-A").evaluate(frames)
    dense = rdf(frames, "A-A", cutoff_A=5.0, bins=5, normalisation="density").evaluate(frames)
    shell = 4 / 3 * np.pi * (5**3 - 4**3)
    np.testing.assert_allclose(dense, np.tile([0, 0, 0, 0, 6 * 64 / shell], (50, 1)))


SHELLS = {  # distance in units of the lattice constant, neighbours
    "sc": [(1, 6), (np.sqrt(2), 12), (np.sqrt(3), 8), (2, 6)],
    "fcc": [(np.sqrt(0.5), 12), (1, 6), (np.sqrt(1.5), 24), (np.sqrt(2), 12)],
    "bcc": [(np.sqrt(0.75), 8), (1, 6), (np.sqrt(2), 12), (np.sqrt(2.75), 24)],
    "diamond": [(np.sqrt(3) / 4, 4), (np.sqrt(0.5), 12), (np.sqrt(11) / 4, 12), (1, 6)],
}


@pytest.mark.parametrize("structure", SHELLS)
@pytest.mark.parametrize("repeat", [1, 2, 3])
@pytest.mark.parametrize("cubic", [True, False])
def test_crystals_are_counted_exactly(structure, repeat, cubic):
    """Whatever the cell, down to one atom: all images, each once."""
    a = 4.0
    atoms = bulk("Cu", structure, a=a, cubic=cubic and structure != "sc").repeat(repeat)
    atoms.positions += 0.123
    frames = frames_of(atoms)
    edges = np.array([0, *(a * (r + 0.02) for r, _ in SHELLS[structure])])
    counts = pair_counts(frames, edges, [ALL])[0, 0]
    assert (counts == [n * len(atoms) for _, n in SHELLS[structure]]).all()
    # and g(r) integrates to the same numbers
    made = rdf(frames, cutoff_A=a * 1.1, bins=300, normalisation="density")
    r = np.array(made.axes[0].values)
    width = r[1] - r[0]
    shells = 4 / 3 * np.pi * ((r + width / 2) ** 3 - (r - width / 2) ** 3)
    within = np.cumsum(made.evaluate(frames)[0] * shells) * len(atoms) / atoms.cell.volume
    for (radius, _), total in zip(
        SHELLS[structure], np.cumsum([n for _, n in SHELLS[structure]]), strict=True
    ):
        if radius < 1.08:
            assert np.interp(radius * a + width, r, within) == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("counts", [{"A": 2000, "B": 2000}, {"A": 3, "B": 4000}])
def test_memory_of_a_pair_of_species(counts):
    """By neighbours, not by pairs of atoms, of which 4000 have 8 million."""
    frames = ideal_gas(np.random.default_rng(1), 1, counts, 40 * np.eye(3))
    tracemalloc.start()
    for pair in ("A-A", "A-B"):
        coordination(frames, pair, cutoff_A=3.0).evaluate(frames)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


def test_partials_and_coordination_of_rock_salt():
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    frames = frames_of([atoms, atoms])
    made = coordination(frames, "all", cutoff_A=3.0)
    assert made.axes[0].values == ("Na-Na", "Na-Cl", "Cl-Na", "Cl-Cl")
    np.testing.assert_array_equal(made.evaluate(frames), [[0, 6, 6, 0]] * 2)
    np.testing.assert_array_equal(
        coordination(frames, "Cl-Cl", cutoff_A=4.1).evaluate(frames), [12, 12]
    )
    uneven = atoms.copy()
    uneven.symbols[0] = "Cl"  # 3 Na, 5 Cl: numbers per atom of the first species
    frames = frames_of(uneven)
    numbers = coordination(frames, "all", cutoff_A=3.0).evaluate(frames)[0]
    names = ("Cl-Cl", "Cl-Na", "Na-Cl", "Na-Na")
    assert coordination(frames, "all", cutoff_A=3.0).axes[0].values == names
    np.testing.assert_allclose(numbers, [12 / 5, 18 / 5, 6, 0])


def test_total_is_the_sum_of_the_parts():
    frames = ideal_gas(np.random.default_rng(3), 20, {"A": 3, "B": 5, "C": 2}, TRICLINIC)
    options = {"cutoff_A": 4.0, "bins": 9, "normalisation": "density"}
    total = rdf(frames, **options).evaluate(frames)
    parts = rdf(frames, "all", **options)
    c = dict(zip("ABC", (0.3, 0.5, 0.2), strict=True))
    weights = [
        c[x] * c[y] * (1 if x == y else 2) for x, y in (p.split("-") for p in parts.axes[0].values)
    ]
    np.testing.assert_allclose(
        np.einsum("p,fpb->fb", weights, parts.evaluate(frames)), total, rtol=1e-12, atol=1e-12
    )


def test_as_ase_where_ase_can():
    """Its own minimum image and density, in a box twice the cutoff."""
    rng = np.random.default_rng(4)
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True).repeat(2)
    atoms.rattle(0.3, rng=rng)
    frames = frames_of(atoms)
    made = rdf(frames, "Na-Cl", cutoff_A=5.0, bins=50, normalisation="density")
    theirs, r = get_rdf(atoms, 5.0, 50, elements=[11, 17])
    np.testing.assert_allclose(made.axes[0].values, r)
    np.testing.assert_allclose(made.evaluate(frames)[0], theirs, rtol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([None, "all", "A-B"]))
def test_invariances(seed, pair):
    """Rotation, translation, wrapping, order of the atoms; and a repeated cell."""
    rng = np.random.default_rng(seed)
    frames = ideal_gas(rng, 3, {"A": 3, "B": 2}, TRICLINIC)
    options = {"cutoff_A": 6.5, "bins": 8, "normalisation": "density"}
    expected = rdf(frames, pair, **options).evaluate(frames)
    turn = Rotation.random(random_state=seed).as_matrix()
    order = rng.permutation(5)
    moved = frames.positions + 10 * rng.normal(size=3)
    moved = moved + rng.integers(-2, 3, size=(3, 5, 3)) @ frames.cells
    other = replace(
        frames,
        positions=(moved @ turn)[:, order],
        cells=frames.cells @ turn,
        species=frames.species[:, order],
    )
    np.testing.assert_allclose(rdf(frames, pair, **options).evaluate(other), expected, atol=1e-9)
    shifts = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])
    repeated = replace(
        frames,
        positions=np.concatenate(
            [frames.positions + (s @ frames.cells)[:, None, :] for s in shifts], axis=1
        ),
        cells=frames.cells * np.array([2, 2, 1])[:, None],
        species=np.tile(frames.species, (1, 4)),
    )
    np.testing.assert_allclose(rdf(frames, pair, **options).evaluate(repeated), expected, atol=1e-9)


def test_defaults_and_bad_options(tmp_path):
    frames = ideal_gas(np.random.default_rng(5), 2, {"A": 3, "B": 2}, 8 * np.eye(3))
    made = rdf(frames)
    assert made.axes[0].values[-1] == pytest.approx(4.0 - 4.0 / 400) and len(made.axes[0].values)
    for options, sentence in (
        ({"pair": "A-C"}, "pair: got 'A-C', expected two of the elements A, B"),
        ({"pair": "A"}, "joined by a hyphen"),
        ({"cutoff_A": -1}, "cutoff_A: got -1, expected a positive number"),
        ({"bins": 0}, "bins: got 0"),
        ({"bins": 2.5}, "bins: got 2.5"),
        ({"normalisation": "x"}, "normalisation: got 'x'"),
    ):
        with pytest.raises(QuorumError, match=sentence):
            rdf(frames, **options)
    slab = replace(frames, pbc=np.array([True, True, False]))
    with pytest.raises(QuorumError, match="no density; expected a periodic cell, or use coord"):
        rdf(slab)
    assert coordination(slab, cutoff_A=3.0).evaluate(slab).shape == (2,)
    some = replace(frames, species=np.zeros_like(frames.species))
    with pytest.raises(QuorumError, match="pair A-B: step 0 has no atoms of one of the two"):
        rdf(frames, "A-B").evaluate(some)
    with pytest.raises(QuorumError, match="cannot be read"):
        compute("rdf", tmp_path / "absent")
