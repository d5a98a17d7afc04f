"""Everything that can be wrong ends with one line that says what to do, and with no hang."""

import shutil
import subprocess
from dataclasses import replace

import pytest

from lammps_structures import structures
from lammps_tools import environment, run_lammps, write_data
from quorum_md.engines import lammps_plugin

SCRIPT = """
units {units}
atom_style atomic
{before}
read_data box.data
pair_style quorum {model} {keywords}
pair_coeff {coeff}
{after}
run 0
"""
CASES = {
    "no file": ({"model": "nowhere.pt"}, ["nowhere.pt", "no such model file"]),
    "no model": ({"model": "text.pt"}, ["text.pt", "cannot be loaded as a metatomic model"]),
    "no model named": ({"model": ""}, ["no model", "pair_style quorum model.pt"]),
    "element": ({"coeff": "* * Zr"}, ["element Zr is not in", "it knows Ar", "pair_coeff"]),
    "no element": ({"coeff": "* * Xq"}, ["element Xq is not in"]),
    "count": ({"coeff": "* * Ar Ar"}, ["2 elements for 1 atom types"]),
    "units": ({"units": "lj"}, ["units lj", "use units metal or real"]),
    "newton": ({"before": "newton off"}, ["newton pair on"]),
    "keyword": ({"keywords": "speed high"}, ["unknown keyword speed", "expected device"]),
    "value": ({"keywords": "dtype"}, ["keyword dtype has no value"]),
    "dtype": ({"keywords": "dtype half"}, ["dtype: got half", "float32 or float64"]),
    "device": ({"keywords": "device tpu"}, ["device: got tpu", "cpu, cuda"]),
    "extensions": ({"keywords": "extensions none"}, ["the folder none does not exist"]),
    "members": (
        {"model": "weighted baseline", "keywords": "members off"},
        ["weighted baseline", "leave out"],
    ),
    "virial by atoms": (
        {
            "model": "two hops through positions",
            "coeff": "* * Ar",
            "after": "compute s all stress/atom NULL\nrun 0\n"
            "compute p all reduce sum c_s[1]\nthermo_style custom step c_p",
        },
        ["reads positions", "leave out stress/atom"],
    ),
    "ghosts": (
        {"model": "two hops", "after": "neighbor 1 multi\ncomm_modify mode multi"},
        ["one ghost cutoff for all atoms", "comm_modify mode single"],
    ),
}


def fill(folder, model_files, **changes):
    atoms = structures(["Ar"])["box"]
    write_data(folder / "box.data", atoms, ["Ar"])
    (folder / "text.pt").write_text("no torch archive\n")
    values = {"units": "metal", "before": "", "keywords": "", "coeff": "* * Ar", "after": ""}
    values |= {"model": "lj"} | changes
    if values["model"] in model_files:
        values["model"] = model_files[values["model"]][0]
    return SCRIPT.format(**values)


@pytest.mark.parametrize("case", CASES)
def test_one_line_and_no_hang(case, model_files, tmp_path):
    changes, expected = CASES[case]
    run = run_lammps(fill(tmp_path, model_files, **changes), tmp_path, 2, check=False)
    assert run.code != 0
    assert len(run.errors) == 1, run.output
    for words in expected:
        assert words in run.errors[0]
    assert "terminate called" not in run.output


def test_plugin_of_another_lammps_is_refused(model_files, tmp_path):
    plugins = tmp_path / "plugins"
    shutil.copytree(environment()["LAMMPS_PLUGIN_PATH"], plugins)
    tools = replace(lammps_plugin.toolchain(), lammps_date="21 Jun 2024")
    command = lammps_plugin.commands(tools, plugins)[0]
    subprocess.run([*command, "-O0"], cwd=lammps_plugin.source_folder(), check=True)
    run = run_lammps(fill(tmp_path, model_files), tmp_path, 2, check=False, plugins=plugins)
    assert run.code != 0 and len(run.errors) == 1, run.output
    assert "built for LAMMPS 20240621, but this is LAMMPS 20250722" in run.errors[0]
    assert "quorum lammps build" in run.errors[0]


def test_missing_torch_part_is_named(model_files, tmp_path):
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    shutil.copy(f"{environment()['LAMMPS_PLUGIN_PATH']}/quorumplugin.so", plugins)
    run = run_lammps(fill(tmp_path, model_files), tmp_path, 2, check=False, plugins=plugins)
    assert run.code != 0 and len(run.errors) == 1, run.output
    assert "torch part cannot be opened" in run.errors[0]
    assert "quorum lammps build" in run.errors[0]
