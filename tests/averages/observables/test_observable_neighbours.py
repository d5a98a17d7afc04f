"""Neighbours in any cell, against ASE, and every image counted."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from observable_tools import frames_of

from quorum_md.averages.observables.neighbours import nearest, pairs_within
from quorum_md.errors import QuorumError


def listed(frames, cutoff, search, between=None):
    """Sorted (frame, i, j, distance, vector) from either side."""
    rows = []
    for pairs in pairs_within(
        frames.positions,
        frames.cells,
        frames.pbc,
        cutoff,
        search=search,
        want_vectors=True,
        between=between,
    ):
        for sign, i, j in ((1, pairs.first, pairs.second), (-1, pairs.second, pairs.first)):
            rows.append(np.column_stack([pairs.frame, i, j, pairs.distance, sign * pairs.vector]))
    table = np.round(np.concatenate(rows), 6) + 0.0 if rows else np.zeros((0, 7))
    return table[np.lexsort(table.T[::-1])]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 10),
    st.lists(st.booleans(), min_size=3, max_size=3),
    st.floats(0.5, 8.0),
)
def test_any_cell_and_cutoff_as_ase(seed, n_atoms, pbc, cutoff):
    """Skewed cells much smaller than the cutoff, atoms outside the cell, open directions."""
    rng = np.random.default_rng(seed)
    cell = 3 * np.eye(3) + 1.2 * rng.normal(size=(3, 3))
    assume(abs(np.linalg.det(cell)) > 6)
    images = [
        Atoms(f"H{n_atoms}", 5 * rng.normal(size=(n_atoms, 3)), cell=cell * scale, pbc=pbc)
        for scale in (1.0, 1.1)
    ]
    expected = []
    for k, atoms in enumerate(images):
        i, j, d, vectors = neighbor_list("ijdD", atoms, cutoff)
        expected.append(np.column_stack([np.full(len(i), k), i, j, d, vectors]))
    table = np.round(np.concatenate(expected), 6) + 0.0
    table = table[np.lexsort(table.T[::-1])]
    for search in ("pairs", "tree"):
        np.testing.assert_allclose(listed(frames_of(images), cutoff, search), table, atol=2e-6)


@pytest.mark.parametrize("search", ["pairs", "tree"])
def test_pairs_of_some_species(search):
    frames = frames_of(bulk("Cu", cubic=True).repeat((2, 1, 1)))
    species = np.array([2, 0, 1, 0, 2, 2, 1, 3], dtype=np.int16)
    wanted = np.zeros((4, 4), dtype=bool)
    wanted[0, 1] = wanted[1, 0] = wanted[2, 2] = wanted[3, 3] = True
    chosen = listed(frames, 5.0, search, (species, wanted))
    everything = listed(frames, 5.0, search)
    keep = [wanted[species[int(i)], species[int(j)]] for i, j in everything[:, 1:3]]
    np.testing.assert_array_equal(chosen, everything[keep])
    assert 0 < len(chosen) < len(everything)


def test_nearest_neighbours():
    rng = np.random.default_rng(0)
    for pbc in ([True] * 3, [True, False, True], [False] * 3):
        cell = np.array([[3.0, 0, 0], [1.0, 3, 0], [-1, 0.5, 4]])
        atoms = Atoms("H20", 6 * rng.random((20, 3)), cell=cell, pbc=pbc)
        other, vectors = nearest(atoms.positions, atoms.cell[:], atoms.pbc, 9)
        i, j, d = neighbor_list("ijd", atoms, 12.0)
        for atom in range(20):
            order = np.argsort(d[i == atom])[:9]
            np.testing.assert_allclose(
                np.sort(np.linalg.norm(vectors[atom], axis=1)), d[i == atom][order], atol=1e-9
            )
            assert sorted(other[atom]) == sorted(j[i == atom][order])
    with pytest.raises(QuorumError, match="there are 20 atoms and no periodicity"):
        nearest(atoms.positions, atoms.cell[:], atoms.pbc, 20)


def test_bad_cells_and_cutoffs():
    atoms = bulk("Cu", cubic=True)
    frames = frames_of(atoms)
    for cutoff in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(QuorumError, match="expected a positive number of Å"):
            listed(frames, cutoff, "auto")
    with pytest.raises(QuorumError, match="expected a cutoff of a few cells"):
        listed(frames, 200.0, "pairs")
    atoms.cell[2] = 0
    with pytest.raises(QuorumError, match="a periodic direction has no cell vector"):
        listed(frames_of(atoms), 3.0, "auto")
    atoms.cell[2] = atoms.cell[0]
    with pytest.raises(QuorumError, match="lie in a plane"):
        listed(frames_of(atoms), 3.0, "auto")
