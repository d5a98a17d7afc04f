"""The inputs to copy run as they are, and give numbers that make sense."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from lammps_tools import run_lammps

INPUTS = Path(__file__).parents[2] / "inputs" / "lammps"


@pytest.mark.parametrize("name", ["in.nvt", "in.npt"])
def test_input(name, tmp_path):
    run = run_lammps((INPUTS / name).read_text(), tmp_path, 2, "-var", "steps", "100")
    table = run.thermo()
    members = np.array([table[f"c_members[{k}]"] for k in range(1, 33)])
    assert members.shape == (32, 2)
    np.testing.assert_allclose(members.mean(axis=0), table["PotEng"], rtol=1e-6)
    assert (members.std(axis=0, ddof=1) > 0).all()
    assert np.isfinite(table["Press"]).all() and 0 < table["Temp"][1] < 1000
    if name == "in.nvt":
        assert 0 < table["c_largest"][1] < 1.0
        assert len((tmp_path / "nvt.dump").read_text().splitlines()) == 432 + 9
    else:
        assert table["Volume"][0] != table["Volume"][1]
        assert 3.1 < table["v_lattice_A"][1] < 3.4
