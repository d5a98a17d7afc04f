"""What LAMMPS is asked for in pinned runs: block after block, in moving boxes, in any folder."""

import numpy as np
import pytest

from pin_tools import LJ, read
from quorum_md.engines.lammps_configuration import F, V, X
from quorum_md.engines.pin_stage import COLUMNS, Setting, Stage
from quorum_md.order_parameters.pinned import Density
from quorum_md.pinning.crystal import build_box

KELVIN = 100.0


@pytest.fixture
def opened(tmp_path):
    """An engine that has begun a stage, its folder and its first state."""
    from mpi4py import MPI

    from quorum_md.engines.pin_lammps import LammpsEngine

    engines = []

    def make(stage, variable=None, script="", folder="job"):
        box = build_box(read(tmp_path, box={"repeats": [3, 3, 4]}))
        (tmp_path / "in.lj").write_text(script + LJ)
        place = tmp_path / folder
        place.mkdir()
        setting = Setting(
            root=tmp_path, elements=("Ar",), variable=variable or Density((6, 0, 0)),
            pressure_GPa=0.1, interval_steps=10, thermostat="langevin", thermostat_steps=20,
            barostat_steps=100, script=str(tmp_path / "in.lj"),
        )  # fmt: skip
        one = LammpsEngine(setting, MPI.COMM_SELF, place, "job")
        engines.append(one)
        one.begin(box.atoms, KELVIN, 1, place / "state-000000.restart")
        one.open(stage, place / "state-000000.restart", 2, True)
        return one, place

    yield make
    for one in engines:
        one.close()


def test_noise_goes_from_block_to_block(opened):
    """The second half of a step has the noise of the first, or every block would cool."""
    stage = Stage("one", 100, KELVIN, "fixed")
    engine, folder = opened(stage)
    engine.advance(20)
    before = engine._replica.configuration().rows
    engine.save(folder / "state-000001.restart")
    engine.open(stage, folder / "state-000001.restart", 3, False)
    after = engine._replica.configuration().rows
    np.testing.assert_array_equal(after[:, F], before[:, F])
    np.testing.assert_array_equal(after[:, V], before[:, V])
    # a stage that begins has its own
    engine.open(stage, folder / "state-000001.restart", 3, True)
    assert np.abs(engine._replica.configuration().rows[:, F] - before[:, F]).max() > 1e-3


@pytest.mark.parametrize("box", ["iso", "aniso"])
def test_density_in_a_box_that_moves(box, opened):
    """On record is that of the box as it is, not as it was when the block began."""
    engine, _ = opened(Stage("one", 1000, KELVIN, box))
    start = engine._replica.lengths
    engine.advance(300)
    lengths = engine._replica.lengths
    assert np.abs(lengths / start - 1).max() > 1e-3
    x = engine._replica.configuration().rows[:, X]
    expected = abs(np.exp(2j * np.pi * 6 * x[:, 0] / lengths[0]).sum()) / np.sqrt(len(x))
    q = engine.row()[COLUMNS.index("q")]
    assert q == pytest.approx(expected, rel=1e-12)


def test_a_folder_with_spaces(opened):
    """And a script with commands that LAMMPS wants before the box."""
    script = "newton on\natom_modify map yes sort 100 2.0\nprocessors * * 1  # along z\n"
    stage = Stage("one", 100, KELVIN, "z", kappa_eV=0.01, center=5.0)
    engine, folder = opened(stage, script=script, folder="with a space")
    engine.advance(10)
    first = engine.row()
    engine.save(folder / "state-000001.restart")
    engine.open(stage, folder / "state-000001.restart", 3, False)
    np.testing.assert_allclose(engine.row(), first, rtol=1e-7)
    assert engine._replica._lmp.extract_setting("newton_pair") == 1
    text = (folder / "in.potential").read_text()
    assert "\nnewton" not in text and "pair_style" in text
