"""Density, volume and lattice parameters."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_masses, atomic_numbers
from observable_tools import frames_of

from quorum_md.averages.observables.cell import (
    cell,
    cells_from_components,
    density,
    lattice_parameter,
    volume,
)
from quorum_md.averages.observables.elements import WEIGHTS_DA, mass_Da, symbol_of_number
from quorum_md.averages.observables.frames import (
    cells_from_lengths_and_angles,
    complete_cells,
    lengths_and_angles,
)
from quorum_md.errors import QuorumError


def test_densities_of_known_crystals():
    """Lattice constants at room temperature and densities of the CRC handbook, g/cm³."""
    for name, structure, a, expected in (
        ("W", "bcc", 3.1652, 19.25),
        ("Cu", "fcc", 3.6149, 8.93),
        ("Si", "diamond", 5.4310, 2.329),
    ):
        atoms = bulk(name, structure, a=a).repeat(2)
        frames = frames_of([atoms, atoms])
        assert density(frames).evaluate(frames) == pytest.approx([expected] * 2, rel=2e-3)
        assert lattice_parameter(frames, lattice=structure).evaluate(frames) == pytest.approx(
            [a, a], rel=1e-12
        )
    heavy = density(frames, masses={"Si": 2 * mass_Da("Si")}).evaluate(frames)
    assert heavy == pytest.approx(2 * density(frames).evaluate(frames))


def test_density_follows_the_species():
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    other = atoms.copy()
    other.symbols[0] = "Cl"
    other.set_cell(other.cell * 1.1)
    frames = frames_of([atoms, other])
    masses = [a.get_masses().sum() / a.cell.volume * 1.66053906660 for a in (atoms, other)]
    assert density(frames).evaluate(frames) == pytest.approx(masses, rel=1e-4)
    assert volume(frames).evaluate(frames) == pytest.approx([5.64**3, (1.1 * 5.64) ** 3])
    assert volume(frames, per_atom=True).evaluate(frames)[0] == pytest.approx(5.64**3 / 8)


def test_lengths_and_angles_of_repeated_cells():
    rng = np.random.default_rng(1)
    unit = [Atoms("H", cell=[3, 4, 5, *rng.uniform(70, 110, 3)], pbc=True) for _ in range(4)]
    frames = frames_of([a.repeat((2, 3, 1)) for a in unit])
    expected = [a.cell.cellpar() for a in unit]
    np.testing.assert_allclose(cell(frames, repeat=(2, 3, 1)).evaluate(frames), expected)
    lengths = np.array(expected)
    back = cells_from_lengths_and_angles(lengths[:, :3], lengths[:, 3:])
    np.testing.assert_allclose(back, [a.cell[:] for a in unit], atol=1e-12)
    right = cells_from_lengths_and_angles(np.array([[3.0, 4, 5]]), np.full((1, 3), 90.0))
    assert (right == np.diag([3, 4, 5])).all()
    # i-PI's cell_h: columns are the vectors
    h = back[0].T
    components = [h[0, 0], h[1, 1], h[2, 2], h[0, 1], h[0, 2], h[1, 2]]
    np.testing.assert_allclose(
        lengths_and_angles(cells_from_components([components]))[0], lengths[0]
    )


def test_missing_vectors_are_completed():
    cells = np.array([[[3.0, 1, 0], [0, 0, 0], [0, 0, 0]], np.zeros((3, 3)), np.eye(3)])
    whole = complete_cells(cells)
    np.testing.assert_array_equal(whole[[0], [0]], cells[[0], [0]])
    for matrix, n in ((whole[0], 10.0), (whole[1], 1.0)):
        assert np.linalg.det(matrix) ** 2 == pytest.approx(n)


def test_masses_are_those_of_the_elements():
    for name, mass in WEIGHTS_DA.items():
        assert mass == pytest.approx(atomic_masses[atomic_numbers[name]], rel=3e-3), name
    assert symbol_of_number(41) == "Nb" and mass_Da("D") == pytest.approx(2.0141, rel=1e-4)
    with pytest.raises(QuorumError, match="mass of 'X': unknown, expected the symbol"):
        mass_Da("X")


def test_bad_options():
    frames = frames_of(bulk("Cu").repeat(3))
    for options, sentence in (
        ({}, "lattice=None and atoms_per_cell=None, expected one of them"),
        ({"lattice": "hcp"}, "lattice='hcp'"),
        ({"lattice": "fcc"}, "27 atoms are no whole number of cells of 4"),
    ):
        with pytest.raises(QuorumError, match=sentence):
            lattice_parameter(frames, **options)
    for repeat in (0, 1.5, (1, 2), "x"):
        with pytest.raises(QuorumError, match="repeat: got"):
            cell(frames, repeat=repeat)
    atoms = Atoms("H", pbc=False)
    with pytest.raises(QuorumError, match="density: the trajectory is not periodic"):
        density(frames_of(atoms))
    with pytest.raises(QuorumError, match=r"cell_h: got shape \(3, 3\)"):
        cells_from_components(np.eye(3))
