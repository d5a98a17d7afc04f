"""Trajectory files: formats, units, steps, and what killed and restarted runs leave behind."""

import gzip
import lzma

import numpy as np
import pytest
from ase import Atoms
from ase.io import read, write
from hypothesis import given
from hypothesis import strategies as st
from observable_tools import dump_frame, ipi_frame

from quorum_md.averages.observables import Trajectory
from quorum_md.averages.observables.text_tables import BadRow, read_table
from quorum_md.errors import QuorumError
from quorum_md.units import BOHR_A

SYMBOLS = ["Nb", "Mo", "H", "Nb"]


def positions_of(rng, n_frames):
    return np.round(rng.normal(size=(n_frames, 4, 3)) * 9, 4)


def write_ipi(path, positions, steps, **options):
    text = "".join(
        ipi_frame(step, SYMBOLS, p, (9, 10, 11), **options)
        for step, p in zip(steps, positions, strict=True)
    )
    path.write_text(text)
    return path


@pytest.fixture
def positions():
    return positions_of(np.random.default_rng(1), 12)


def test_ipi_xyz(tmp_path, positions):
    path = write_ipi(tmp_path / "pos_0.xyz", positions, range(0, 60, 5))
    frames = Trajectory(path).read()
    assert frames.steps.tolist() == list(range(0, 60, 5))
    np.testing.assert_array_equal(frames.positions, positions)
    np.testing.assert_array_equal(frames.cells, np.tile(np.diag([9.0, 10, 11]), (12, 1, 1)))
    # by atomic number, whatever the order of the atoms
    assert frames.elements == ("H", "Nb", "Mo") and frames.frame(3).symbols.tolist() == SYMBOLS
    assert frames.constant_species and frames.continuous and frames.pbc.all()


def test_units_of_the_header(tmp_path, positions):
    angles = (80.0, 95.0, 100.0)
    for unit, factor in (("atomic_unit", BOHR_A), ("bohr", BOHR_A), ("nanometer", 10.0)):
        path = write_ipi(tmp_path / "x", positions, range(12), unit=unit, angles=angles)
        frames = Trajectory(path).read()
        np.testing.assert_allclose(frames.positions, factor * positions, rtol=1e-14)
        expected = factor * Atoms(cell=[9, 10, 11, *angles]).cell[:]
        np.testing.assert_allclose(frames.cells[0], expected, rtol=1e-12, atol=1e-12)
    path = write_ipi(tmp_path / "x", positions, range(12), unit="furlong")
    with pytest.raises(QuorumError, match="lengths are in 'furlong', expected one of angstrom"):
        Trajectory(path).read()
    text = (tmp_path / "x").read_text().replace("positions{furlong}", "forces{atomic_unit}")
    (tmp_path / "x").write_text(text)
    with pytest.raises(QuorumError, match="holds forces, expected positions"):
        Trajectory(path).read()


def test_pieces_of_any_size(tmp_path, positions):
    """Frames across the ends of pieces are the same, packed or not."""
    path = write_ipi(tmp_path / "x", positions, range(12))
    data = path.read_bytes()
    (tmp_path / "x.gz").write_bytes(gzip.compress(data))
    (tmp_path / "x.xz").write_bytes(lzma.compress(data))
    for name in ("x", "x.gz", "x.xz"):
        for size in (50, 333, 1000, 1 << 20):
            trajectory = Trajectory(tmp_path / name, chunk_bytes=size)
            frames = trajectory.read()
            np.testing.assert_array_equal(frames.positions, positions)
            assert frames.steps.tolist() == list(range(12)) and not trajectory.notes
    assert len(list(Trajectory(path, chunk_bytes=500).chunks())) > 3


@pytest.mark.parametrize("cut", [1, 20, 60, 130, 180])
def test_a_last_frame_cut_short(tmp_path, positions, cut):
    path = write_ipi(tmp_path / "x", positions, range(12))
    data = path.read_bytes()[:-cut]
    path.write_bytes(data)
    (tmp_path / "x.gz").write_bytes(gzip.compress(data))
    for name, size in (("x", 1 << 20), ("x", 400), ("x.gz", 1 << 20)):
        trajectory = Trajectory(tmp_path / name, chunk_bytes=size)
        frames = trajectory.read()
        np.testing.assert_array_equal(frames.positions, positions[:11])
        assert "cut short" in trajectory.notes[0]


def test_a_packed_file_cut_short(tmp_path):
    rng = np.random.default_rng(3)
    path = write_ipi(tmp_path / "x", positions_of(rng, 2000), range(2000))
    data = gzip.compress(path.read_bytes())
    (tmp_path / "x.gz").write_bytes(data[: len(data) // 2])
    trajectory = Trajectory(tmp_path / "x.gz")
    assert 500 < len(trajectory.read()) < 1500
    assert "cut short" in trajectory.notes[0]


def test_restart_replaces_the_abandoned_branch(tmp_path, positions):
    steps = [0, 5, 10, 15, 20, 10, 15, 20, 25, 30, 35, 40]
    path = write_ipi(tmp_path / "x", positions, steps)
    frames = Trajectory(path).read()
    assert frames.steps.tolist() == [0, 5, 10, 15, 20, 25, 30, 35, 40]
    np.testing.assert_array_equal(frames.positions, positions[[0, 1, *range(5, 12)]])
    assert sum(len(chunk) for chunk in Trajectory(path).chunks()) == 12


@pytest.mark.parametrize("size", [300, 1 << 20])
@pytest.mark.parametrize("cut", [20, 70])
def test_a_frame_broken_by_a_kill_before_a_restart(tmp_path, positions, cut, size):
    first = write_ipi(tmp_path / "a", positions[:4], range(4)).read_text()
    second = write_ipi(tmp_path / "b", positions[4:], range(3, 11)).read_text()
    path = tmp_path / "x"
    path.write_text(first[:-cut] + second)
    trajectory = Trajectory(path, chunk_bytes=size)
    frames = trajectory.read()
    assert "broken frame at line 19" in trajectory.notes[0]
    # the line that was cut swallowed the first line of the next frame
    np.testing.assert_array_equal(frames.positions, positions[[0, 1, 2, *range(5, 12)]])
    path.write_text(first[:-cut] + "\n" + second)
    frames = Trajectory(path, chunk_bytes=size).read()
    np.testing.assert_array_equal(frames.positions, positions[[0, 1, 2, *range(4, 12)]])


def test_damage_is_named(tmp_path, positions):
    path = write_ipi(tmp_path / "x", positions, range(12))
    text = path.read_text()
    lines = text.splitlines(keepends=True)

    def complaint(changed):
        path.write_text(changed)
        with pytest.raises(QuorumError) as caught:
            Trajectory(path).read()
        return str(caught.value)

    assert "line 10: 3 fields where 4" in complaint(
        "".join([*lines[:9], " H 1.0 2.0\n", *lines[10:]])
    )
    assert "line 9: 'wrong' where a number" in complaint(
        "".join([*lines[:8], " H 1.0 wrong 2.0\n", *lines[9:]])
    )
    assert "step 1 has positions that are not finite" in complaint(
        "".join([*lines[:8], " H 1.0 nan 2.0\n", *lines[9:]])
    )
    other = ipi_frame(12, SYMBOLS[:3], positions[0][:3], (9, 10, 11))
    assert "a frame of 3 atoms after frames of 4" in complaint(text + other)
    bead = ipi_frame(12, SYMBOLS, positions[0], (9, 10, 11), bead=1)
    assert "bead 1 after bead 0, expected one file per bead" in complaint(text + bead)
    renamed = ipi_frame(12, ["W", *SYMBOLS[1:]], positions[0], (9, 10, 11))
    assert "expected a number of atoms" in complaint("hello\n")
    assert "no complete frame" in complaint("")
    assert "no complete frame" in complaint(text[:40])
    path.write_text(text + renamed)
    with pytest.raises(QuorumError, match="has W in a later frame"):
        list(Trajectory(path, chunk_bytes=300).chunks())
    known = Trajectory(path, chunk_bytes=300, elements=["W", "Nb", "Mo", "H"]).read()
    assert known.frame(12).symbols.tolist() == ["W", *SYMBOLS[1:]]
    with pytest.raises(QuorumError, match="cannot be read"):
        Trajectory(tmp_path / "absent").read()


def test_extxyz_as_ase_reads_it(tmp_path):
    rng = np.random.default_rng(2)
    images = []
    for k in range(7):
        atoms = Atoms("NbMo2H", rng.normal(size=(4, 3)) * 7, cell=rng.normal(size=(3, 3)) * 9)
        atoms.pbc = (True, False, True)
        atoms.info.update(step=10 * k, energy=-1.5, comment="a = b")
        atoms.arrays["tag_name"] = np.array(["a", "bb", "c", "d"])
        atoms.arrays["frozen"] = np.array([True, False, True, False])
        atoms.arrays["magmom"] = rng.normal(size=4)
        images.append(atoms)
    path = tmp_path / "x.extxyz"
    columns = ["symbols", "tag_name", "magmom", "positions", "frozen", "numbers"]
    write(path, images, format="extxyz", columns=columns)
    frames, reference = Trajectory(path).read(), read(path, ":")
    np.testing.assert_array_equal(frames.positions, [a.positions for a in reference])
    np.testing.assert_array_equal(frames.cells, [a.cell[:] for a in reference])
    assert frames.steps.tolist() == [10 * k for k in range(7)]
    assert frames.pbc.tolist() == [True, False, True]
    assert frames.frame(6).symbols.tolist() == list(reference[6].symbols)
    with pytest.raises(QuorumError, match="frames without a step.*expected md=… in every comment"):
        Trajectory(path, step_key="md").read()
    with pytest.raises(QuorumError, match="has steps of its own, but every=5 was stated"):
        Trajectory(path, every=5).read()
    for atoms in images:
        del atoms.info["step"]
    write(path, images, format="extxyz")
    counted = Trajectory(path, every=5, first_step=20, chunk_bytes=900).read()
    assert counted.steps.tolist() == [20, 25, 30, 35, 40, 45, 50]


def test_exchanged_species_in_a_file(tmp_path, positions):
    """Chains that swap elements: the species differ from frame to frame."""
    rng = np.random.default_rng(5)
    names = [rng.permutation(SYMBOLS).tolist() for _ in positions]
    path = tmp_path / "x"
    path.write_text(
        "".join(ipi_frame(k, names[k], p, (9, 10, 11)) for k, p in enumerate(positions))
    )
    for size in (400, 1 << 20):
        frames = Trajectory(path, chunk_bytes=size, elements=["Nb", "Mo", "H"]).read()
        assert [frames.frame(k).symbols.tolist() for k in range(12)] == names
        assert not frames.constant_species
        np.testing.assert_array_equal(frames.counts, np.tile([2, 1, 1], (12, 1)))


BOX = ["-1.0 9.0", "0.0 10.0", "0.0 11.0"]


def test_lammps_columns_units_and_order(tmp_path, positions):
    path, rng = tmp_path / "x.dump", np.random.default_rng(4)
    types = [2, 1, 3, 2]
    cell = np.diag([10.0, 10.0, 11.0])
    origin = np.array([-1.0, 0.0, 0.0])

    def dump(columns, row, **options):
        text = ""
        for k, frame in enumerate(positions):
            order = rng.permutation(4)
            text += dump_frame(100 * k, columns, [row(i, frame[i]) for i in order], BOX, **options)
        path.write_text(text)
        return path

    elements = ["Mo", "Nb", "H"]
    dump("id type x y z", lambda i, r: [i + 1, types[i], *r])
    frames = Trajectory(path, elements=elements, units="metal").read()
    np.testing.assert_array_equal(frames.positions, positions)
    assert frames.frame(5).symbols.tolist() == SYMBOLS and frames.elements == ("Mo", "Nb", "H")
    assert frames.steps[-1] == 1100 and frames.tracked and not frames.continuous
    np.testing.assert_array_equal(frames.cells[3], cell)
    with pytest.raises(QuorumError, match="does not say its units"):
        Trajectory(path, elements=elements).read()
    with pytest.raises(QuorumError, match=r"state them in order \(elements="):
        Trajectory(path, units="metal").read()
    with pytest.raises(QuorumError, match="types from 1 to 3, but 2 elements were stated"):
        Trajectory(path, units="metal", elements=["Mo", "Nb"]).read()
    with pytest.raises(QuorumError, match="lengths are in 'lj'"):
        Trajectory(path, units="lj", elements=elements).read()

    dump(
        "element id xs ys zs",
        lambda i, r: [SYMBOLS[i], i + 1, *((r - origin) / [10, 10, 11])],
        units="electron",
    )
    frames = Trajectory(path).read()
    np.testing.assert_allclose(frames.positions, BOHR_A * positions, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(frames.cells[0], BOHR_A * cell)
    with pytest.raises(QuorumError, match="says that its units are electron, but metal"):
        Trajectory(path, units="metal").read()

    images = np.random.default_rng(6).integers(-2, 3, size=(4, 3))
    dump("id x y z ix iy iz type", lambda i, r: [i + 1, *r, *images[i], types[i]], units="metal")
    frames = Trajectory(path, elements=elements).read()
    np.testing.assert_allclose(frames.positions, positions + images @ cell, atol=1e-12)
    assert frames.continuous and frames.frame(0).symbols.tolist() == SYMBOLS

    dump("element xu yu zu", lambda i, r: [SYMBOLS[i], *r], units="metal")
    assert not Trajectory(path).read().tracked  # rows come in any order
    path.write_text("1\nAtoms. Timestep: 0\nH 1.0 2.0 3.0\n")  # wrapped by a cell that is not there
    assert not Trajectory(path, every=1).read().tracked

    dump("id vx vy vz", lambda i, r: [i + 1, *r], units="metal")
    with pytest.raises(QuorumError, match="its columns are id vx vy vz, expected x y z"):
        Trajectory(path).read()
    dump("id x y z", lambda i, r: [i + 1, *r], units="metal")
    with pytest.raises(QuorumError, match="no column with the species"):
        Trajectory(path).read()
    text = "".join(
        dump_frame(k, "id element x y z", [[i + k, "H", 0, 0, 0] for i in range(2)], BOX)
        for k in range(3)
    )
    path.write_text(text)
    with pytest.raises(QuorumError, match=r"numbers \(id\) of the atoms change"):
        Trajectory(path, units="metal").read()


def test_lammps_triclinic_boxes(tmp_path):
    """Bounds are those of the bounding box; abc has the vectors themselves."""
    path = tmp_path / "x.dump"
    cell = np.array([[5.0, 0, 0], [-1.5, 6.0, 0], [1.0, -2.0, 7.0]])
    lo = np.array([0.5, -0.25, 0.0])
    corners = np.array(np.meshgrid(*[[0, 1]] * 3)).reshape(3, -1).T @ cell + lo
    low, high = corners.min(axis=0), corners.max(axis=0)
    box = [
        f"{a} {b} {t}" for a, b, t in zip(low, high, (cell[1, 0], cell[2, 0], cell[2, 1]), strict=1)
    ]
    scaled = np.random.default_rng(0).random((3, 3))
    rows = [[i + 1, "H", *s] for i, s in enumerate(scaled)]
    path.write_text(
        dump_frame(0, "id element xs ys zs", rows, box, header="xy xz yz pp pp ff", units="metal")
    )
    frames = Trajectory(path).read()
    np.testing.assert_allclose(frames.cells[0], cell, atol=1e-12)
    np.testing.assert_allclose(frames.positions[0], scaled @ cell + lo, atol=1e-12)
    assert frames.pbc.tolist() == [True, True, False]
    general = np.random.default_rng(1).normal(size=(3, 3)) * 5
    box = [" ".join(map(str, [*row, o])) for row, o in zip(general, lo, strict=True)]
    path.write_text(
        dump_frame(0, "id element xs ys zs", rows, box, header="abc origin pp pp pp", units="metal")
    )
    frames = Trajectory(path).read()
    np.testing.assert_allclose(frames.cells[0], general)
    np.testing.assert_allclose(frames.positions[0], scaled @ general + lo, atol=1e-12)


NUMBERS = st.floats(-1e5, 1e5)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=6), st.integers(0, 3))
def test_numbers_are_read_to_the_last_bit(rows, style):
    formats = ["{:14.8f} {:12.5e}", "{:.15g} {:g}", "{:20.12e}   {:16.3f}", "{:<25.10f} {:+.4E}"]
    lines = [formats[style].format(*row) for row in rows]
    data = "".join(f"X1 {line} T\n" for line in lines).encode()
    table, (names,) = read_table(data, len(rows), 4, [2, 1], [0])
    expected = [[float(word) for word in line.split()[::-1]] for line in lines]
    np.testing.assert_array_equal(table, expected)
    assert names.tobytes() == b"X1" * len(rows)


@pytest.mark.parametrize("field", ["1.5.2", "1-2", "--1", "1e", "e5", ".", "-", "0x1", "1,5"])
@pytest.mark.parametrize("other", ["1.500", "12"])
def test_what_is_no_number_is_refused(field, other):
    width = max(len(field), len(other))
    data = f"A {field:>{width}s}\nA {other:>{width}s}\n".encode()
    with pytest.raises(BadRow, match="where a number is expected"):
        read_table(data, 2, 2, [1], [])
    data = f"A {other:>{width}s}\nA {field:>{width}s}\n".encode()
    with pytest.raises(BadRow) as caught:
        read_table(data, 2, 2, [1], [])
    assert caught.value.row == 1
