"""Boxes of two phases: any crystal and plane, the right distances, flat interfaces, melts."""

import numpy as np
import pytest
from ase.geometry import get_layers
from ase.neighborlist import neighbor_list

from pin_tools import read
from quorum_md.errors import QuorumError
from quorum_md.order_parameters.pinned import density_of
from quorum_md.pinning.composition import recomposed
from quorum_md.pinning.crystal import build_box, nearest_distance, scaled

# crystal, elements, plane, nearest distance and number of nearest neighbours, layer distance in Å
HCP_C = 3.2 * np.sqrt(8 / 3)
CRYSTALS = [
    ("fcc", "Ar", ["Ar"], 5.4, 0, "100", 5.4 / 2**0.5, 12, 2.7),
    ("fcc", "Ar", ["Ar"], 5.4, 0, "110", 5.4 / 2**0.5, 12, 5.4 / 8**0.5),
    ("fcc", "Ar", ["Ar"], 5.4, 0, "111", 5.4 / 2**0.5, 12, 5.4 / 3**0.5),
    ("fcc", "Ar", ["Ar"], 5.4, 0, "1-11", 5.4 / 2**0.5, 12, 5.4 / 3**0.5),
    ("bcc", "Fe", ["Fe"], 2.87, 0, "110", 2.87 * 0.75**0.5, 8, 2.87 / 2**0.5),
    ("hcp", "Mg", ["Mg"], 3.2, HCP_C, "0001", 3.2, 12, HCP_C / 2),
    ("hcp", "Mg", ["Mg"], 3.2, HCP_C, "10-10", 3.2, 12, None),
    ("diamond", "Si", ["Si"], 5.43, 0, "100", 5.43 * 3**0.5 / 4, 4, 5.43 / 4),
    ("diamond", "Si", ["Si"], 5.43, 0, "111", 5.43 * 3**0.5 / 4, 4, None),
    ("zincblende", "GaAs", ["Ga", "As"], 5.65, 0, "110", 5.65 * 3**0.5 / 4, 4, 5.65 / 8**0.5),
    ("rocksalt", "NaCl", ["Na", "Cl"], 5.64, 0, "100", 2.82, 6, 2.82),
]


@pytest.mark.parametrize("case", CRYSTALS, ids=lambda c: f"{c[0]}-{c[5]}")
def test_crystals_and_planes(case, tmp_path):
    """Every atom of the periodic box has the neighbours of the crystal; z is the plane's normal."""
    structure, formula, elements, a, c, plane, distance, n_near, layer = case
    file = read(
        tmp_path,
        crystal={"structure": structure, "formula": formula, "lattice_A": a, "c_A": float(c),
                 "interface": plane},
        box={"repeats": None, "atoms": 600, "aspect": 3.0},
        potential={"elements": elements},
    )  # fmt: skip
    box = build_box(file)
    atoms = box.atoms
    lengths = atoms.cell.lengths()
    assert len(atoms) >= 600 and np.allclose(atoms.cell.array, np.diag(lengths))
    assert lengths[2] >= 2.999 * lengths[:2].max() and lengths[:2].max() < 1.8 * lengths[:2].min()
    assert nearest_distance(atoms) == pytest.approx(distance, rel=1e-9)
    near = np.bincount(neighbor_list("i", atoms, 1.01 * distance), minlength=len(atoms))
    assert (near == n_near).all()
    assert np.prod(lengths) / len(atoms) == pytest.approx(np.prod(box.cell) / (
        len(atoms) / np.prod(box.repeats)))  # fmt: skip
    if layer is not None:
        _, levels = get_layers(atoms, (0, 0, 1), tolerance=0.05)
        np.testing.assert_allclose(np.diff(levels), layer, rtol=1e-6)
    # the held half comes first, both interfaces lie between layers, each phase has half of the box
    z = atoms.positions[:, 2]
    gap = z[box.n_held :].min() - z[: box.n_held].max()
    ends = lengths[2] - z.max() + z.min()
    levels = np.unique(np.round(np.sort(z), 4))
    assert gap == pytest.approx(np.diff(levels).max(), abs=1e-3) and ends == pytest.approx(gap)
    assert abs(box.n_held / len(atoms) - 0.5) < 0.1
    for element in elements:
        assert (np.array(atoms.symbols) == element).mean() == pytest.approx(1 / len(elements))
    # the wave that is chosen along the interface sees all atoms of the crystal
    value, gradient = density_of(atoms).evaluate(atoms)
    assert value == pytest.approx(np.sqrt(len(atoms))) and np.abs(gradient).max() < 1e-9


def test_density_gradient(tmp_path):
    """Against finite differences."""
    atoms = build_box(read(tmp_path)).atoms
    variable = density_of(atoms)
    atoms.rattle(0.3, seed=1)
    value, gradient = variable.evaluate(atoms)
    direction = np.random.default_rng(2).normal(size=(len(atoms), 3))
    found = []
    for step in (1e-4, -1e-4):
        moved = atoms.copy()
        moved.positions += step * direction
        found.append(variable.evaluate(moved)[0])
    slope = (found[0] - found[1]) / 2e-4
    assert slope == pytest.approx((gradient * direction).sum(), rel=1e-6)
    assert 0 < value < np.sqrt(len(atoms))


def test_two_phases_in_one_box(tmp_path):
    """Edges of the mean solid; the upper half has the volume of the melt; both interfaces flat."""
    box = build_box(read(tmp_path))
    lengths = np.array([22.0, 22.5, 33.3])
    atoms = scaled(box, lengths, stretch=1.2)
    z, n = atoms.positions[:, 2], box.n_held
    cell = atoms.cell.lengths()
    np.testing.assert_allclose(cell[:2], lengths[:2])
    assert cell[2] == pytest.approx(33.3 * (1 + 0.2 * 0.5))
    np.testing.assert_allclose(np.ptp(atoms.positions[:n, :2], axis=0), np.ptp(
        atoms.positions[n:, :2], axis=0))  # fmt: skip
    lower, upper = np.unique(np.round(z[:n], 5)), np.unique(np.round(z[n:], 5))
    np.testing.assert_allclose(np.diff(upper) / np.diff(lower)[0], 1.2, rtol=1e-4)
    # half a gap of the crystal and half one of the stretched part on either side
    half = np.diff(lower)[0] * (1 + 1.2) / 2
    assert upper[0] - lower[-1] == pytest.approx(half, rel=1e-4)
    assert cell[2] - upper[-1] + lower[0] == pytest.approx(half, rel=1e-4)


def test_composition(tmp_path):
    """A random alloy has exact numbers; the melt changes as few atoms as it must."""
    file = read(
        tmp_path,
        crystal={"structure": "diamond", "formula": "Si", "lattice_A": 5.5,
                 "composition": {"Si": 0.25, "Ge": 0.75}},
        box={"repeats": [4, 4, 6]},
        potential={"elements": ["Si", "Ge"]},
    )  # fmt: skip
    box = build_box(file)
    n, silicon = len(box.atoms), np.array(box.atoms.symbols) == "Si"
    assert silicon.sum() == n / 4 and 0.1 < silicon[: n // 2].mean() < 0.4
    again = build_box(file)
    assert (again.atoms.symbols == box.atoms.symbols).all()
    for fraction in (0.0, 0.5, 1.0):
        atoms = box.atoms.copy()
        upper = slice(box.n_held, None)
        recomposed(atoms, upper, "Si", fraction, ["Si", "Ge"], seed=3)
        now = np.array(atoms.symbols) == "Si"
        assert (now[: box.n_held] == silicon[: box.n_held]).all()
        assert now[upper].mean() == pytest.approx(fraction, abs=0.5 / (n - box.n_held))
        changed = (now[upper] != silicon[upper]).mean()
        assert changed == pytest.approx(abs(now[upper].mean() - silicon[upper].mean()))


def test_a_file_as_crystal(tmp_path):
    """A cell of one's own is the same box as the lattice by name."""
    from ase.build import bulk
    from ase.io import write

    write(tmp_path / "cell.extxyz", bulk("Ar", "fcc", 5.45, cubic=True))
    ours = build_box(read(tmp_path, crystal={"interface": "100"}, box={"repeats": [3, 3, 3]}))
    crystal = {"structure": None, "formula": None, "lattice_A": None, "file": "cell.extxyz"}
    theirs = build_box(read(tmp_path, crystal=crystal, box={"repeats": [3, 3, 3]}))
    assert len(theirs.atoms) == len(ours.atoms) == 108
    np.testing.assert_allclose(theirs.atoms.cell.array, ours.atoms.cell.array)
    assert nearest_distance(theirs.atoms) == pytest.approx(nearest_distance(ours.atoms))


def test_planes_that_have_no_box(tmp_path):
    from ase import Atoms
    from ase.io import write

    skew = Atoms("Ar", cell=[[4, 0, 0], [1, 4, 0], [0.7, 0.9, 4]], pbc=True)
    write(tmp_path / "cell.extxyz", skew)
    crystal = {"structure": None, "formula": None, "lattice_A": None, "file": "cell.extxyz"}
    with pytest.raises(QuorumError, match=r"interface: \"100\" has no orthorhombic cell"):
        build_box(read(tmp_path, crystal=crystal))


def test_the_rest_of_a_melt(tmp_path):
    """Elements of the crystal, not all that the potential knows."""
    atoms = build_box(read(tmp_path, box={"repeats": [3, 3, 3]})).atoms
    atoms.symbols[::2] = "Xe"
    recomposed(atoms, slice(None), "Ar", 0.25, ["Ar", "Kr", "Xe"], seed=1)
    assert atoms.symbols.formula.count() == {"Ar": 27, "Xe": 81}
    atoms.symbols[:] = "Ar"  # a crystal that has no others: the first of them
    recomposed(atoms, slice(None), "Ar", 0.25, ["Ar", "Kr", "Xe"], seed=1)
    assert atoms.symbols.formula.count() == {"Ar": 27, "Kr": 81}


def test_a_cell_that_looks_cubic(tmp_path):
    """Layers of two kinds along z: edges that are equal by chance move apart."""
    from ase.build import bulk
    from ase.io import write

    cell = bulk("Ar", "fcc", 5.45, cubic=True)
    cell.symbols[cell.positions[:, 2] > 1.0] = "Kr"
    write(tmp_path / "cell.extxyz", cell)
    crystal = {"structure": None, "formula": None, "lattice_A": None, "file": "cell.extxyz"}
    kinds = {"box": {"repeats": [3, 3, 3]}, "potential": {"elements": ["Ar", "Kr"]}}
    assert not build_box(read(tmp_path, crystal=crystal, **kinds)).cubic
    alloy = {"composition": {"Ar": 0.5, "Kr": 0.5}}
    assert not build_box(read(tmp_path, crystal=alloy, **kinds)).cubic
    assert build_box(read(tmp_path, **kinds)).cubic
