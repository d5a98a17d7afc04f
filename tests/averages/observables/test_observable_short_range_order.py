"""Warren–Cowley parameters: ordered crystals, all arrangements of a few atoms, blurred shells."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write
from observable_tools import frames_of, ideal_gas

from quorum_md.averages.observables import compute
from quorum_md.averages.observables.short_range_order import short_range_order
from quorum_md.errors import QuorumError


def with_symbols(atoms, symbols):
    atoms = atoms.copy()
    atoms.set_chemical_symbols(list(symbols))
    return atoms


def b2(repeat=3, a=3.0):
    cell = Atoms("AlNi", scaled_positions=[[0, 0, 0], [0.5] * 3], cell=[a] * 3, pbc=True)
    return cell.repeat(repeat)


def l12(repeat=2, a=3.8):
    atoms = bulk("Cu", "fcc", a=a, cubic=True)
    atoms.symbols[0] = "Au"
    return atoms.repeat(repeat)


@pytest.mark.parametrize("repeat", [1, 2, 3])
@pytest.mark.parametrize("options", [{"lattice": "bcc"}, {"sites": "first", "lattice": "bcc"}])
def test_b2(repeat, options):
    """Unlike neighbours only in the first shell, like ones only in the second."""
    frames = frames_of(b2(repeat))
    made = short_range_order(frames, shells=4, **options)
    alpha = made.evaluate(frames)[0]
    assert made.axes[1].values == ("Al-Al", "Al-Ni", "Ni-Ni")
    np.testing.assert_allclose(alpha, [[-1, -1, -1], [1, 1, 1], [1, 1, 1], [-1, -1, -1]])
    assert [note.split(", ")[1] for note in made.notes[:4]] == [
        f"{n}.00 neighbours" for n in (8, 6, 12, 24)
    ]


def test_l12():
    """Au in Cu3Au sees only Cu: 1 − 1/c_Cu; de Fontaine's diagonal −c/(1 − c)."""
    frames = frames_of(l12())
    made = short_range_order(frames, lattice="fcc")
    assert made.axes[1].values == ("Au-Au", "Au-Cu", "Cu-Cu")
    # Cu: 4 Au and 8 Cu around it, (8/12 − 3/4)/(1/4)
    np.testing.assert_allclose(made.evaluate(frames)[0], [[-1 / 3] * 3, [1] * 3])


def test_all_arrangements():
    """Over all arrangements of fixed composition the mean is −1/(N − 1), exactly."""
    atoms = bulk("W", "sc", a=3.0).repeat(2)  # an atom is no neighbour of itself in two shells
    counts = {"Nb": 4, "Mo": 2, "W": 2}
    symbols = [name for name, n in counts.items() for _ in range(n)]
    distinct = sorted(set(permutations(symbols)))
    assert len(distinct) == 420
    frames = frames_of([with_symbols(atoms, s) for s in distinct])
    for options in ({}, {"sites": "first"}):
        alpha = short_range_order(frames, lattice="sc", **options).evaluate(frames)
        assert alpha.shape == (420, 2, 6)
        np.testing.assert_allclose(alpha.mean(axis=0), -1 / 7, atol=1e-12)
    assert alpha.std() > 0.1
    # the definition, one arrangement: 1 − P_ij/c_j and (P_ii − c_i)/(1 − c_i)
    row = 217
    frame = frames.frame(row)
    i, j, vectors = frame.neighbours(3.01)
    for column, pair in enumerate(short_range_order(frames, lattice="sc").axes[1].values):
        a, b = pair.split("-")
        neighbours = frame.symbols[j[frame.symbols[i] == a]]
        p, c = np.mean(neighbours == b), np.mean(frame.symbols == b)
        expected = (p - c) / (1 - c) if a == b else 1 - p / c
        assert alpha[row, 0, column] == pytest.approx(expected)


def test_a_random_alloy_of_25_elements():
    rng = np.random.default_rng(1)
    atoms = bulk("W", "bcc", a=3.2, cubic=True).repeat(5)
    names = "Ti V Cr Mn Fe Co Ni Cu Zn Zr Nb Mo Tc Ru Rh Pd Ag Hf Ta W Re Os Ir Pt Au".split()
    symbols = np.repeat(names, 10)
    frames = frames_of([with_symbols(atoms, rng.permutation(symbols)) for _ in range(200)])
    alpha = short_range_order(frames, lattice="bcc").evaluate(frames)
    assert alpha.shape == (200, 2, 325)
    z = (alpha.mean(axis=0) + 1 / 249) / (alpha.std(axis=0, ddof=1) / np.sqrt(200))
    assert abs(z.std() - 1) < 0.12 and abs(z.mean()) < 0.2 and np.abs(z).max() < 4.5


def test_windows_follow_the_volume_and_are_found():
    rng = np.random.default_rng(2)
    images = []
    for _ in range(6):
        atoms = b2(3)
        atoms.set_cell(atoms.cell * rng.uniform(0.9, 1.1), scale_atoms=True)
        atoms.positions += 0.02 * rng.normal(size=atoms.positions.shape)
        images.append(atoms)
    frames = frames_of(images)
    for options in ({"lattice": "bcc"}, {}):
        alpha = short_range_order(frames, **options).evaluate(frames)
        np.testing.assert_allclose(alpha, [[[-1] * 3, [1] * 3]] * 6)
    a = float(np.cbrt(images[0].cell.volume / 27))
    windows = [(0.8 * a, 0.93 * a), (0.93 * a, 1.1 * a)]
    alpha = short_range_order(frames, windows_A=windows).evaluate(frames)
    np.testing.assert_allclose(alpha, [[[-1] * 3, [1] * 3]] * 6)
    apart = short_range_order(frames, windows_A=[(0.95 * a, 1.1 * a)]).evaluate(frames)
    np.testing.assert_allclose(apart, [[[1] * 3]] * 6)


@pytest.mark.parametrize("drift", ["steady", "jumps"])
@pytest.mark.parametrize("exchange", ["positions", "types"])
def test_sites_where_vibrations_blur_the_shells(exchange, drift, tmp_path):
    """Atoms shaken by a tenth of the lattice constant, adrift, exchanged by either kind of swap; in
    one state of replica exchange, the next frame is of another crystal that drifted elsewhere."""
    rng = np.random.default_rng(3)
    ideal = b2(3)
    images, exact = [], []
    reference = frames_of(ideal)
    on_ideal = short_range_order(reference, lattice="bcc")
    symbols, order = np.array(ideal.symbols), np.arange(54)
    for k in range(30):
        i, j = rng.integers(54, size=2)
        if exchange == "types":
            symbols[[i, j]] = symbols[[j, i]]
        else:
            order[[i, j]] = order[[j, i]]
        sites = ideal.positions[order]
        exact.append(with_symbols(Atoms(positions=sites, numbers=ideal.numbers, cell=ideal.cell,
                                        pbc=True), symbols))  # fmt: skip
        shaken = exact[-1].copy()
        shake = 0.25 * rng.normal(size=(54, 3))
        way = 0.11 * k * np.array([1, -0.5, 0.3])
        if drift == "jumps":  # to the middle of two sites, from where both are as near
            way = k % 2 * ideal.cell.lengths() / 12
        shaken.positions += np.clip(shake, -0.6, 0.6) + way
        shaken.set_cell(shaken.cell[:] * rng.uniform(0.97, 1.03, 3), scale_atoms=True)
        shaken.wrap()
        images.append(shaken)
    expected = on_ideal.evaluate(replace(frames_of(exact), elements=reference.elements))
    frames = frames_of(images)
    write(tmp_path / "ideal.xyz", ideal, format="extxyz")
    made = short_range_order(frames, lattice="bcc", sites=str(tmp_path / "ideal.xyz"))
    np.testing.assert_allclose(made.evaluate(frames), expected)
    # by distance neighbours of the two shells are taken for each other
    blurred = short_range_order(frames, lattice="bcc").evaluate(frames)
    assert np.abs(blurred - expected).max() > 0.05
    broken = replace(frames, positions=frames.positions.copy())
    broken.positions[20, 5] = broken.positions[20, 6]
    with pytest.raises(QuorumError, match="step 20 has more than one atom on a site"):
        made.evaluate(broken)


def test_bad_input(tmp_path):
    frames = frames_of(b2(2))
    for options, sentence in (
        ({"lattice": "hcp"}, "lattice: got 'hcp', expected sc, bcc"),
        ({"lattice": "bcc", "windows_A": [(2, 3)]}, "got lattice and windows_A"),
        ({"windows_A": [(3, 2)]}, "windows_A: got"),
        ({"windows_A": [(2, 3), (2.5, 4)]}, "not overlapping"),
        ({"windows_A": [(0.5, 1.0)]}, r"no neighbours between 0.5 and 1 Å \(shell 1\)"),
        ({"shells": 0, "lattice": "bcc"}, "shells: got 0"),
        ({"sites": str(tmp_path / "absent")}, "cannot be read"),
    ):
        with pytest.raises(QuorumError, match=sentence):
            short_range_order(frames, **options)
    with pytest.raises(QuorumError, match="has only Cu, expected two elements"):
        short_range_order(frames_of(bulk("Cu")))
    gas = ideal_gas(np.random.default_rng(0), 60, {"Al": 8, "Ni": 8}, 6 * np.eye(3))
    with pytest.raises(QuorumError, match=r"g\(r\) shows 0 separate shell"):
        short_range_order(gas)
    pure = replace(frames, species=np.zeros_like(frames.species))
    with pytest.raises(QuorumError, match="not defined at step 0, where a species is missing"):
        short_range_order(frames, lattice="bcc").evaluate(pure)
    write(tmp_path / "x.xyz", b2(3), format="extxyz")
    with pytest.raises(QuorumError, match="has 54 sites, but the trajectory has 16 atoms"):
        short_range_order(frames, sites=str(tmp_path / "x.xyz"))
    images = [b2(2) for _ in range(3)]
    for k, atoms in enumerate(images):
        atoms.info["step"] = k
    write(tmp_path / "run.xyz", images, format="extxyz")
    series = compute("short_range_order:bcc,shells=1", tmp_path / "run.xyz")
    np.testing.assert_allclose(series.values, -1.0)
    assert series.values.shape == (3, 1, 3) and series.name == "short_range_order:bcc"
