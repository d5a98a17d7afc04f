"""fix quorum/swap: temperatures that change, and all that is refused."""

import re

import numpy as np
import pytest

from lammps_tools import run_lammps, write_data
from swap_chain import crystal

pytestmark = pytest.mark.filterwarnings("ignore:.*interaction range")


def test_temperature_follows(swap_models, tmp_path):
    """A variable, a thermostat that ramps, fix_modify; and NULL in place of T."""
    atoms = crystal((3, 3, 2), ["Ar", "Kr"], lattice_A=2.9)
    write_data(tmp_path / "box.data", atoms, ["Ar", "Kr"])
    script = f"""
units metal
atom_style atomic
read_data box.data
pair_style quorum {swap_models["alloy"]}
pair_coeff * * Ar Kr
timestep 0.0001
variable T equal 500+10*step
fix nve all nve
fix bath all langevin 600 1000 0.1 3
fix a all quorum/swap 2 1 1 v_T
fix b all quorum/swap 2 1 1 NULL temperature bath
fix c all quorum/swap 2 1 1 300
thermo_style custom step f_a[3] f_b[3] f_c[3]
thermo_modify norm no
thermo 2
run 20
fix_modify c T 400
fix_modify a T 700
run 4
"""
    table, after = run_lammps(script, tmp_path, 2).tables()
    np.testing.assert_allclose(table["f_a[3]"][1:], 500 + 10 * table["Step"][1:])
    # langevin sets its target after the block of a step
    np.testing.assert_allclose(table["f_b[3]"][1:], 600 + 400 * (table["Step"][1:] - 1) / 20)
    assert (table["f_c[3]"][1:] == 300).all()
    assert after["f_a[3]"][-1] == 700 and after["f_c[3]"][-1] == 400


def test_replica_exchange_takes_trials_along(swap_models, tmp_path):
    """`temper` exchanges the targets of thermostats, which the trials follow."""
    atoms = crystal((3, 3, 2), ["Ar", "Kr"], lattice_A=2.9)
    write_data(tmp_path / "box.data", atoms, ["Ar", "Kr"])
    script = f"""
variable T world 600 630
variable w world 0 1
units metal
atom_style atomic
read_data box.data
pair_style quorum {swap_models["alloy"]}
pair_coeff * * Ar Kr
timestep 0.001
velocity all create $T 7
fix nve all nve
fix bath all langevin $T $T 0.1 3
fix mc all quorum/swap 5 10 1 NULL temperature bath
thermo_style custom step f_mc[3]
thermo 5
temper 60 10 $T bath 4 5
"""
    (tmp_path / "in.test").write_text(script)
    run = run_lammps(script, tmp_path, 2, "-partition", "2x1", "-log", "log.lammps")
    assert run.code == 0
    log = [line.split() for line in (tmp_path / "log.lammps").read_text().splitlines()]
    owners = {int(w[0]): [int(t) for t in w[1:]] for w in log if len(w) == 3 and w[0].isdigit()}
    assert {tuple(v) for v in owners.values()} == {(0, 1), (1, 0)}
    for world in (0, 1):
        text = (tmp_path / f"log.lammps.{world}").read_text()
        rows = re.findall(r"^ +(\d+) +(\d+) *$", text, re.MULTILINE)
        seen = {int(step): float(temperature) for step, temperature in rows}
        assert len(seen) > 10
        for step, owner in owners.items():
            for later in (step + 5, step + 10):
                if later in seen:
                    assert seen[later] == [600, 630][owner[world]]


REFUSALS = {
    "arguments": ("fix mc all quorum/swap 1 10 5", ["3 arguments", "Nevery Ntrials seed T"]),
    "every": ("fix mc all quorum/swap 0 10 5 300", ["Nevery: got 0", "at least 1"]),
    "T": ("fix mc all quorum/swap 1 10 5 -3", ["T: got -3", "above 0"]),
    "no T": ("fix mc all quorum/swap 1 10 5 NULL", ["NULL in its place and keyword temperature"]),
    "two T": ("fix mc all quorum/swap 1 10 5 300 temperature x", ["either T, or NULL"]),
    "keyword": ("fix mc all quorum/swap 1 10 5 300 ke yes", ["unknown keyword ke", "types, pairs"]),
    "value": ("fix mc all quorum/swap 1 10 5 300 region", ["keyword region has no value"]),
    "type": ("fix mc all quorum/swap 1 10 5 300 types 1 3", ["types: got 3", "from 1 to 2"]),
    "one type": ("fix mc all quorum/swap 1 10 5 300 types 1", ["nothing to be exchanged with"]),
    "pairs": ("fix mc all quorum/swap 1 10 5 300 pairs 1 1 2", ["pairs: got 1 1 2"]),
    "pairs of flips": ("fix mc all quorum/swap 1 10 5 300 sgc 0 0 pairs 1 2 1", ["leave them out"]),
    "mu": ("fix mc all quorum/swap 1 10 5 300 sgc 0", ["1 values for 2 atom types"]),
    "sum": ("fix mc all quorum/swap 1 10 5 300 vcsgc 1 .5 .6", ["add up to 1.1", "expected 1"]),
    "batch": ("fix mc all quorum/swap 1 10 5 300 batch 0.5", ["batch: got 0.5"]),
    "variable": ("fix mc all quorum/swap 1 10 5 v_none", ["no equal-style variable none"]),
    "thermostat": ("fix mc all quorum/swap 1 10 5 NULL temperature no", ["fix no has no target"]),
    "no region": ("fix mc all quorum/swap 1 10 5 300 region r", ["there is no region r"]),
    "one element": ("set group all type 2\nfix mc all quorum/swap 1 10 5 300", ["of 1 type that"]),
    "exclusion": (
        "neigh_modify exclude type 1 1\nfix mc all quorum/swap 1 10 5 300",
        ["neigh_modify exclude", "remove it"],
    ),
    "other neighbours": (
        "group half id <= 18\natom_modify first half\nneigh_modify include half\n"
        "fix mc all quorum/swap 1 10 5 300",
        ["eV off that of pair_style quorum", "leaves out neighbours"],
    ),
    "charges": ("fix mc all quorum/swap 1 10 5 300", ["charges of atoms", "atom_style atomic"]),
    "another potential": (
        "pair_style lj/cut 5.0\npair_coeff * * 0.1 3.0\nfix mc all quorum/swap 1 10 5 300",
        ["pair_style is lj/cut", "fix atom/swap"],
    ),
    "hybrid": (
        "pair_style hybrid/overlay zero 3.0 lj/cut 3.0\npair_coeff * * zero\n"
        "pair_coeff * * lj/cut 0.1 3\nfix mc all quorum/swap 1 10 5 300",
        ["pair_style quorum alone", "hybrid/overlay"],
    ),
    "seed of a restart": (
        "fix mc all quorum/swap 1 10 5 300\nwrite_restart r\nclear\nread_restart r\n"
        "fix mc all quorum/swap 1 10 6 300",
        ["continues seed 5", "seed 6", "the same arguments"],
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refused_with_the_reason(swap_models, case, tmp_path):
    """One line, on any number of ranks, and no hang."""
    lines, expected = REFUSALS[case]
    atoms = crystal((3, 3, 2), ["Ar", "Kr"], lattice_A=2.9)
    write_data(tmp_path / "box.data", atoms, ["Ar", "Kr"])
    charges = case == "charges"
    if charges:
        text = (tmp_path / "box.data").read_text().split("Atoms\n")
        rows = [line.split(maxsplit=2) for line in text[1].splitlines() if line]
        rows = [f"{a} {t} 0.0 {x}" for a, t, x in rows]
        (tmp_path / "box.data").write_text(text[0] + "Atoms\n\n" + "\n".join(rows) + "\n")
    # arguments are refused before there is a model
    pair = f"pair_style quorum {swap_models['alloy']}\npair_coeff * * Ar Kr\n"
    script = f"""
units metal
atom_style {"charge" if charges else "atomic"}
read_data box.data
{pair if case in NEEDS_MODEL else ""}
{lines}
run 0
"""
    run = run_lammps(script, tmp_path, 2, check=False)
    assert run.code != 0 and len(run.errors) == 1, run.output
    for words in expected:
        assert words in run.errors[0]


NEEDS_MODEL = ["variable", "thermostat", "no region", "one element", "exclusion", "charges"]
NEEDS_MODEL += ["other neighbours"]
NEEDS_MODEL += ["seed of a restart"]
