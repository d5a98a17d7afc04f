"""Everything that can be wrong ends with one line that says what to do, and with no hang."""

import shutil
import subprocess
from dataclasses import replace

import pytest

from lammps_structures import structures
from lammps_tools import environment, run_lammps, write_data
from quorum_md.engines import lammps_plugin
from toy_models import LocalAlloy, export

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


@pytest.mark.parametrize("missing", ["torch", "pair"])
def test_missing_part_is_named(model_files, missing, tmp_path):
    plugins = tmp_path / "plugins"
    shutil.copytree(environment()["LAMMPS_PLUGIN_PATH"], plugins)
    (plugins / f"libquorum_{missing}.so").unlink()
    run = run_lammps(fill(tmp_path, model_files), tmp_path, 2, check=False, plugins=plugins)
    assert run.code != 0 and len(run.errors) == 1, run.output
    assert f"{missing} part cannot be opened" in run.errors[0]
    assert "quorum lammps build --force" in run.errors[0]


def test_what_lammps_loads_by_itself_needs_no_class_of_lammps():
    """Else another LAMMPS could not load it, and would not know the style rather than say why."""
    plugin = f"{environment()['LAMMPS_PLUGIN_PATH']}/{lammps_plugin.PLUGIN}"
    done = subprocess.run(["nm", "-D", "--undefined-only", plugin], capture_output=True, text=True)
    assert done.returncode == 0 and "lammps_version" in done.stdout
    assert "LAMMPS_NS" not in done.stdout


MOVING = """
units metal
atom_style atomic
boundary f f f
processors 1 2 1
region box block 0 60 0 40 0 40
create_box 1 box
create_atoms 1 single 3 5 5
create_atoms 1 single 5 6 5
create_atoms 1 single 30 {one}
create_atoms 1 single 30 {other}
mass 1 40
pair_style quorum {model}
pair_coeff * * Ar
neighbor 1.0 bin
timestep 0.01
group fast id 3 4
velocity fast set 0 {v}
fix nve all nve
thermo 1
run 60
"""


@pytest.mark.parametrize("where", ["one rank", "all ranks"])
@pytest.mark.parametrize("trap", ["raise", "nan", "slope"])
def test_failing_in_the_middle_of_a_run(trap, where, tmp_path):
    """Two ranks: one of them, or both, meet what the model cannot do."""
    module = LocalAlloy(3.0, [0.05, -0.1, 0.1, 0.1, 0.0], 36, [0.9, 1.1], trap)
    export(module, tmp_path / "trap.pt", [18, 36], 3.0)
    if where == "one rank":
        values = {"one": "34 5", "other": "32 5", "v": "5 0"}
    else:  # either is a ghost of the other rank
        values = {"one": "21 34", "other": "19 34", "v": "0 5"}
    script = MOVING.format(model="trap.pt", **values)
    run = run_lammps(script, tmp_path, 2, check=False)
    assert run.code != 0 and len(run.errors) == 1, run.output
    expected = {
        "raise": "the model does not run: an atom went astray",
        "nan": "its energy is not finite",
        "slope": "its forces are not finite",
    }
    assert f"trap.pt: {expected[trap]}" in run.errors[0]
    assert "terminate called" not in run.output
    assert "\n        10 " in run.output  # it was on its way
