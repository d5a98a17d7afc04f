"""Runs of `quorum pin` in tests: Lennard-Jones argon in metal units, and the command."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from quorum_md.pinning.run_input import PinFile, read_pin
from quorum_md.units import BOLTZMANN_EV_K, EV_A3_GPA
from toml_tools import to_toml

BIN = Path(sys.executable).parent
KELVIN = 119.8  # ε/k of argon: T* = T/KELVIN
EPSILON_EV = KELVIN * BOLTZMANN_EV_K
SIGMA_A = 3.405
PRESSURE_GPA = 2.185 * EPSILON_EV / SIGMA_A**3 * EV_A3_GPA  # P* = 2.185

LJ = f"""
pair_style lj/cut {2.5 * SIGMA_A}
pair_coeff 1 1 {EPSILON_EV:.10g} {SIGMA_A}
pair_modify shift yes
neighbor 1.0 bin
timestep 0.010
"""
PLUMED = f"""UNITS LENGTH=A ENERGY=eV
cv: FCCUBIC SPECIES=1-500 SWITCH={{CUBIC D_0={1.2 * SIGMA_A:.4f} D_MAX={1.5 * SIGMA_A:.4f}}} \
    ALPHA=27 MEAN
"""


def run_toml(**tables: dict) -> str:
    """A run.toml of argon, whose tables are updated by those given; None removes a key."""
    content: dict = {
        "crystal": {"structure": "fcc", "formula": "Ar", "lattice_A": 5.45},
        "box": {"repeats": [4, 4, 6]},
        "state": {"temperatures_K": [90.0], "pressure_GPa": PRESSURE_GPA},
        "potential": {"script": "in.lj", "elements": ["Ar"]},
        "run": {"production_steps": 200, "interval_steps": 10, "melt_steps": 40},
    }
    for name, table in tables.items():
        content.setdefault(name, {}).update(table)
    return to_toml(content)


def write_run(folder: Path, **tables: dict) -> Path:
    """run.toml and in.lj in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "in.lj").write_text(LJ)
    (folder / "run.toml").write_text(run_toml(**tables))
    return folder


def read(folder: Path, **tables: dict) -> PinFile:
    """The same, read."""
    return read_pin(str(write_run(folder, **tables) / "run.toml"))


def command(ranks: int, *arguments: str) -> list[str]:
    """Of the shell."""
    launcher = [str(BIN / "mpiexec"), "-n", str(ranks)] if ranks > 1 else []
    return [*launcher, sys.executable, "-m", "quorum_md.cli", "pin", *arguments]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"}


def pin(
    folder: Path, *arguments: str, ranks: int = 1, code: int = 0, timeout_s: float = 240
) -> str:
    """`quorum pin …` in a folder, and what it printed; a run that hangs fails."""
    done = subprocess.run(
        command(ranks, *arguments),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    output = done.stdout + done.stderr
    assert done.returncode == code, output
    return output


def series(folder: Path) -> dict[str, np.ndarray]:
    """Columns of series.dat of a job."""
    path = folder / "series.dat"
    names = [x for x in path.read_text().splitlines() if x.startswith("#")][-1].lstrip("# ").split()
    return dict(zip(names, np.loadtxt(path, ndmin=2).T, strict=True))
