"""Observables by name, functions of the user, and their way into averages."""

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write
from observable_tools import ipi_frame

from quorum_md.averages import reweight
from quorum_md.averages.observables import (
    RECIPES,
    Series,
    Trajectory,
    compute,
    compute_many,
    parse,
)
from quorum_md.errors import QuorumError


@pytest.fixture
def run(tmp_path):
    """40 frames of rattled rock salt every 5 steps, and the structures."""
    rng = np.random.default_rng(1)
    images = []
    for k in range(40):
        atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
        atoms.set_cell(atoms.cell * (1 + 0.01 * rng.normal()), scale_atoms=True)
        atoms.positions += 0.1 * rng.normal(size=(8, 3))
        atoms.info["step"] = 5 * k
        images.append(atoms)
    write(tmp_path / "run.xyz", images, format="extxyz")
    return tmp_path / "run.xyz", images


def test_names_and_options():
    assert parse("rdf") == ("rdf", {})
    assert parse("rdf:Nb-Mo") == ("rdf", {"pair": "Nb-Mo"})
    assert parse("rdf:Nb-Mo,cutoff_A=8,bins=50") == (
        "rdf",
        {"pair": "Nb-Mo", "cutoff_A": 8, "bins": 50},
    )
    assert parse("cell:repeat=(3, 3, 2)") == ("cell", {"repeat": (3, 3, 2)})
    assert parse("steinhardt:[4,6],neighbours=12,averaged=True") == (
        "steinhardt",
        {"l": [4, 6], "neighbours": 12, "averaged": True},
    )
    assert parse("short_range_order:windows_A=[(0,2.9),(2.9,3.4)]")[1] == {
        "windows_A": [(0, 2.9), (2.9, 3.4)]
    }
    assert parse("dir/my.py:f,unit=eV") == ("dir/my.py:f", {"unit": "eV"})
    assert parse("numpy.linalg:norm") == ("numpy.linalg:norm", {})
    with pytest.raises(QuorumError, match="got 'rdff', expected rdf, coordination"):
        parse("rdff")
    with pytest.raises(QuorumError, match="got '8' in 'rdf:Nb-Mo,8', expected an option with"):
        parse("rdf:Nb-Mo,8")
    with pytest.raises(QuorumError, match="expected an option with its value"):
        parse("density:Nb")


def test_every_recipe_runs_by_name(run):
    path, _ = run
    requests = {
        "rdf": "rdf:Na-Cl,bins=20",
        "coordination": "coordination:Na-Cl,cutoff_A=3.5",
        "short_range_order": "short_range_order:sc",
        "volume": "volume",
        "density": "density",
        "lattice_parameter": "lattice_parameter:rocksalt",
        "cell": "cell",
        "steinhardt": "steinhardt:4,neighbours=6",
        "msd": "msd:Na,lags=5",
        "diffusion": "diffusion:Na,timestep_fs=1,window_ps=(0.005,0.05)",
    }
    assert set(requests) == set(RECIPES)
    series = compute_many(list(requests.values()), Trajectory(path, chunk_bytes=3000))
    for (name, text), one in zip(requests.items(), series, strict=True):
        alone = compute(text, path)
        np.testing.assert_allclose(one.values, alone.values, rtol=1e-12)
        assert one.name == name + (":" + text.split(":")[1].split(",")[0] if ":" in text else "")
        assert one.steps[:3].tolist() == [0, 5, 10] and one.unit
        assert one.values.shape[1:] == tuple(len(axis.values) for axis in one.axes)
        assert len(one.values) == len(one.steps)


def test_matched_with_a_run_and_reweighted(run):
    """Frames at the steps that both have, whatever the strides and the order."""
    path, images = run
    series = compute("volume", path)
    rng = np.random.default_rng(2)
    steps = np.arange(0, 400, 2)
    rng.shuffle(steps)
    rows, values = series.match(steps)
    assert (steps[rows] == np.arange(0, 200, 10)).all()
    expected = np.array([atoms.cell.volume for atoms in images[::2]])
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    energies = 1e-3 * rng.normal(size=(200, 4))
    result = reweight(values, energies[rows], kT_eV=0.025)
    assert result.mean == pytest.approx(expected.mean(), rel=1e-6)
    profile = compute("rdf:all,bins=10", path)
    rows, values = profile.match(steps)
    assert reweight(values[:, :, 5:], energies[rows], kT_eV=0.025).mean.shape == (3, 5)
    with pytest.raises(
        QuorumError, match=r"0 to 195 every 5\).*\(steps 1 to 3 every 2\).* have 0 step"
    ):
        series.match([1, 3])
    with pytest.raises(QuorumError, match="a step of the run is there twice"):
        series.match([0, 5, 5])


def test_functions_of_the_user(run, tmp_path):
    path, images = run
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "def spread(frame, element='Na'):\n"
        "    return frame.positions[frame.symbols == element].std(axis=0)\n"
        "spread.unit = 'Å'\n"
        "def broken(frame):\n"
        "    return 1 / (frame.step - 10)\n"
        "def ragged(frame):\n"
        "    return np.zeros(1 + frame.step // 100)\n"
        "def lost(frame):\n"
        "    return np.nan\n"
    )
    file = tmp_path / "mine.py"
    series = compute(f"{file}:spread,element=Cl", path)
    expected = [atoms.positions[atoms.symbols == "Cl"].std(axis=0) for atoms in images]
    np.testing.assert_allclose(series.values, expected, rtol=1e-5)
    assert series.unit == "Å" and series.steps[-1] == 195
    assert compute(f"{file}:spread,unit=nm", path).unit == "nm"

    def pairs(frame):
        return len(frame.neighbours(3.5)[0])

    counted = compute(pairs, path)
    coordinated = compute("coordination", path, cutoff_A=3.5)
    np.testing.assert_allclose(counted.values, 8 * coordinated.values)
    for target, sentence in (
        (f"{file}:broken", "broken: failed at step 10 with ZeroDivisionError"),
        (f"{file}:ragged", r"arrays of shapes \(1,\), \(2,\), expected one shape"),
        (f"{file}:lost", "is not finite at step 0"),
        (f"{file}:none", "has no function 'none'"),
        (f"{tmp_path}/other.py:f", "no such file"),
        ("no_such_module:f", "cannot be imported"),
        ("rdf:Na-Cl,cutof=3", "rdf: got unknown option 'cutof', expected options from pair"),
        ("coordination", "coordination: got no cutoff_A"),
        ("diffusion", "diffusion: got no timestep_fs"),
    ):
        with pytest.raises(QuorumError, match=sentence):
            compute(target, path)


def test_restarts_and_beads(tmp_path):
    rng = np.random.default_rng(3)
    positions = rng.normal(size=(2, 8, 3, 3))

    def write_bead(bead, steps):
        text = "".join(
            ipi_frame(step, "HHO", positions[bead, k], (9, 9, 9), bead=bead)
            for k, step in enumerate(steps)
        )
        path = tmp_path / f"pos_{bead}.xyz"
        path.write_text(text)
        return path

    steps = [0, 2, 4, 6, 4, 6, 8, 10]
    first, second = write_bead(0, steps), write_bead(1, steps[:-1])

    def spread(frame):
        return frame.positions.std()

    series = compute(spread, first)
    keep = [0, 1, 4, 5, 6, 7]
    np.testing.assert_allclose(series.values, positions[0, keep].std(axis=(1, 2)), rtol=1e-5)
    assert "2 frames of a branch that a restart replaced" in series.notes[-1]
    both = compute(spread, [first, second])
    assert both.steps.tolist() == [0, 2, 4, 6, 8]
    expected = positions[:, keep[:-1]].std(axis=(2, 3)).mean(axis=0)
    np.testing.assert_allclose(both.values, expected, rtol=1e-5)
    assert both.notes[-1] == "mean over 2 beads"
    with pytest.raises(QuorumError, match="give that of the centroid"):
        compute("msd", [first, second])
    assert len(compute("msd:O,lags=2", first).values) == 5


def test_runs_that_exchange_atoms_have_no_displacement(tmp_path):
    """Positions of two atoms are exchanged once: without a sign where they are near each other."""
    rng = np.random.default_rng(1)
    path = tmp_path / "T300_simulation.pos_0.xyz"
    for far in (2.0, 5.0):
        here = np.array([[1.0, 2.0, 3.0], [1.0 + far, 2.0, 3.0], [9.0, 9.0, 9.0]])
        swapped = here[[1, 0, 2]]
        frames = [here + 0.01 * rng.normal(size=(3, 3)) for _ in range(30)]
        frames += [swapped + 0.01 * rng.normal(size=(3, 3)) for _ in range(30)]
        path.write_text(
            "".join(ipi_frame(k, ["Nb", "Mo", "W"], x, (10, 10, 10)) for k, x in enumerate(frames))
        )
        told = [note for note in compute("msd:Nb", path).notes if "0.50 of the cell" in note]
        assert len(told) == (far == 5.0)
    motion = "<motion mode='atomswap'> <atomswap> <names> [Nb, Mo] </names> </atomswap> </motion>"
    evidence = {
        "input.xml": f"<simulation> <output prefix='simulation'/> {motion} </simulation>",
        "T300_simulation.swaps": "# atom swaps counted from the start of the chain, in all …\n",
    }
    for name, text in evidence.items():
        (tmp_path / name.replace("simulation.", "another.")).write_text(
            text.replace("simulation'", "another'")
        )
        compute("msd:Nb", path)
        (tmp_path / name).write_text(text)
        with pytest.raises(QuorumError, match=f"{name} says that the run .* exchanges atoms"):
            compute("msd:Nb", path)
        compute("volume", path)
        (tmp_path / name).unlink()


def test_series_say_their_ranges():
    series = Series("a", np.array([3]), np.zeros(1), "1")
    with pytest.raises(QuorumError, match=r"\(steps 3\) and the member energies \(steps none\)"):
        series.match([])
