"""The PLUMED inputs to copy tell their crystal from what has melted."""

from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write

from order_tools import shaken
from quorum_md.order_parameters import open_variables

INPUTS = Path(__file__).parents[2] / "inputs" / "plumed"
CRYSTALS = {
    "fcc.dat": bulk("Ar", "fcc", a=5.455, cubic=True).repeat(3),
    "bcc.dat": bulk("Nb", "bcc", a=3.24, cubic=True).repeat(3),
    "gaas.dat": bulk("GaAs", "zincblende", a=5.75, cubic=True).repeat(2),
}


@pytest.mark.parametrize("name", [path.name for path in INPUTS.glob("*.dat")])
def test_template(name, tmp_path):
    crystal = CRYSTALS[name]
    for path in INPUTS.glob("gaas*.pdb"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / name).write_text((INPUTS / name).read_text())
    if name == "gaas.dat":
        write(tmp_path / "gaas_names.pdb", crystal)
    variables = open_variables(tmp_path / name)
    hot = variables.evaluate(shaken(crystal, 0.05 * crystal.get_distance(0, 1, mic=True)))
    molten = variables.evaluate(shaken(crystal, 0.5 * crystal.get_distance(0, 1, mic=True)))
    assert hot.values["cv.mean"] > 0.65 > 0.3 > molten.values["cv.mean"]
    if "cv.morethan" in hot.values:
        assert hot.values["cv.morethan"] > 0.9 * len(crystal)
        assert molten.values["cv.morethan"] < 0.2 * len(crystal)
    assert hot.bias > 0 and np.abs(hot.forces).max() > 0
    assert list(hot.values)[-2:] == ["pin.bias", "pin.force2"]


def test_species_count_in_gaas(tmp_path):
    """Ga and As changed over everywhere: the same sites, with every name wrong."""
    for path in INPUTS.glob("gaas*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    crystal = CRYSTALS["gaas.dat"]
    other = {"Ga": "As", "As": "Ga"}
    values = []
    for swapped in (False, True):
        named = crystal.copy()
        if swapped:
            named.symbols = [other[symbol] for symbol in crystal.symbols]
        write(tmp_path / "gaas_names.pdb", named)
        values.append(open_variables(tmp_path / "gaas.dat").evaluate(crystal).values["cv.mean"])
    assert values[0] == pytest.approx(1, abs=0.02) and abs(values[1]) < 0.02
