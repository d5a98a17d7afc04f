"""What the i-PI tests share: toy crystals, inputs, real runs in their own process, readers."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk

from quorum_md.units import BOLTZMANN_EV_K
from toy_models import export
from toy_oscillators import Oscillators

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parents[1]
PES = ROOT / "driver/quorum_md/engines/quorum_ipi_pes.py"
INPUTS = ROOT / "inputs/ipi"
TIME_LIMIT_S = 120

# from CODATA constants, independently of quorum_md.units: eV per (amu Å²/fs²), and ħ in eV fs
AMU_A2_FS2_EV = 103.642697
HBAR_EV_FS = 0.6582119569


def argon(cells: int = 2, a_A: float = 4.8, rattle_A: float = 0.0) -> Atoms:
    """Face-centred cubic argon, 4 atoms per cubic cell."""
    atoms = bulk("Ar", "fcc", a=a_A, cubic=True).repeat(cells)
    if rattle_A:
        atoms.rattle(rattle_A, seed=7)
    return atoms


SITE_SPACING_A = 4.0


def oscillators(cells: int = 3) -> Atoms:
    """Argon atoms on a simple cubic lattice of `SITE_SPACING_A`."""
    return bulk("Ar", "sc", a=SITE_SPACING_A).repeat(cells)


def export_oscillators(
    folder: Path, mean_eV_A2: float, scales: list[float], cliff_A: float = 10.0
) -> Path:
    """model.pt in *folder*: oscillators with the constants mean × scale."""
    module = Oscillators(SITE_SPACING_A, [mean_eV_A2 * s for s in scales], cliff_A)
    return export(module, folder / "model.pt", [18], 1.0)


def angular_frequency_per_fs(constant_eV_A2: float, mass_amu: float) -> float:
    """ω of a mass on a spring."""
    return float(np.sqrt(constant_eV_A2 / (mass_amu * AMU_A2_FS2_EV)))


def simulation(
    *,
    force_field: str = "",
    systems: str = "",
    steps: int = 10,
    properties: str = "step, potential{electronvolt}",
    stride: int = 1,
    flush: int = 1,
    safe_stride: int = 100,
    outputs: str = "",
    attributes: str = "",
    members: bool = True,
) -> str:
    """An i-PI input that writes properties and committee_pot with all their digits.

    i-PI makes the disk confirm every *flush*-th frame of the members, which costs milliseconds.
    """
    if members:
        outputs = f"""<trajectory filename='committee_pot' stride='{stride}' flush='{flush}'
      extra_type='committee_pot'> extras </trajectory> {outputs}"""
    return f"""<simulation verbosity='quiet' safe_stride='{safe_stride}' floatformat='%24.16e'
  {attributes}>
  <output prefix='simulation'>
    <properties filename='out' stride='{stride}' flush='{flush}'> [ {properties} ] </properties>
    {outputs}
  </output>
  <total_steps> {steps} </total_steps>
  <prng> <seed> 31415 </seed> </prng>
  {force_field}
  {systems}
</simulation>
"""


def direct(batch: int = 1, attributes: str = "", pes: Path = PES, **parameters: object) -> str:
    """``<ffdirect>`` with our driver; model and template are the usual names in the folder."""
    given = {"model": "model.pt", "template": "start.xyz", **parameters}
    text = ", ".join(f"{k}: {v}" for k, v in given.items())
    return f"""<ffdirect name='ff' {attributes}> <pes>custom</pes> <pes_path>{pes}</pes_path>
    <parameters> {{{text}}} </parameters> <batch_size> {batch} </batch_size> </ffdirect>"""


def system(
    *,
    kelvin: float = 300.0,
    timestep_fs: float = 1.0,
    beads: int = 1,
    thermostat: str = "langevin",
    tau_fs: float = 100.0,
    prefix: str = "",
    thermal: bool = True,
    mode: str = "nvt",
    barostat: str = "",
    ensemble: str = "",
) -> str:
    """One ``<system>`` that starts from start.xyz."""
    velocities = f"<velocities mode='thermal' units='kelvin'> {kelvin} </velocities>"
    return f"""<system prefix='{prefix}'>
  <initialize nbeads='{beads}'> <file mode='ase'> start.xyz </file>
    {velocities if thermal else ""} </initialize>
  <forces> <force forcefield='ff'/> </forces>
  <ensemble> <temperature units='kelvin'> {kelvin} </temperature> {ensemble} </ensemble>
  <motion mode='dynamics'> <dynamics mode='{mode}'>
    <timestep units='femtosecond'> {timestep_fs} </timestep>
    <thermostat mode='{thermostat}'> <tau units='femtosecond'> {tau_fs} </tau> </thermostat>
    {barostat} </dynamics> </motion>
</system>"""


def command(*words: object) -> list[str]:
    """A program of this environment with its arguments."""
    return [str(BIN / str(words[0])), *map(str, words[1:])]


def start(folder: Path, *words: object) -> subprocess.Popen[str]:
    """A program of this environment in *folder*, one thread each."""
    return subprocess.Popen(
        command(*words),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def finish(process: subprocess.Popen[str], limit_s: float = TIME_LIMIT_S) -> tuple[int, str, str]:
    """Exit code, stdout and stderr; kills the process after *limit_s* and fails."""
    try:
        out, err = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"still running after {limit_s} s:\n{out}\n{err}") from None
    return process.returncode, out, err


def run(folder: Path, *words: object, limit_s: float = TIME_LIMIT_S) -> tuple[int, str, str]:
    """Run a program of this environment to its end."""
    return finish(start(folder, *words), limit_s)


def run_input(folder: Path, text: str, program: tuple[str, ...] = ("i-pi",)) -> None:
    """Run i-PI on *text* in *folder*; fails unless it ends well."""
    (folder / "input.xml").write_text(text)
    code, out, err = run(folder, *program, "input.xml")
    assert code == 0, f"{out}\n{err}"


def read_properties(path: Path) -> dict[str, np.ndarray]:
    """Columns of an i-PI property file by name, without units."""
    names = []
    with open(path) as file:
        for line in file:
            if not line.startswith("#"):
                break
            name = line.split("-->")[1].split(":")[0].strip()
            names.append(name.split("{")[0])
    table = np.loadtxt(path, ndmin=2)
    return {name: table[:, i] for i, name in enumerate(names)}


def read_members(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Steps and members (n, K) in Hartree of an extras file."""
    steps, rows = [], []
    with open(path) as file:
        for line in file:
            if line.lstrip().startswith("#"):
                steps.append(int(line.split("Step:")[1].split()[0]))
            else:
                rows.append([float(word) for word in line.split()])
    return np.array(steps), np.array(rows)


def mean_and_error(values: np.ndarray, blocks: int = 32) -> tuple[float, float]:
    """Mean of a time series and its error from block averages, longer than the correlation."""
    length = len(values) // blocks
    means = values[-blocks * length :].reshape(blocks, length).mean(axis=1)
    return float(means.mean()), float(means.std(ddof=1) / np.sqrt(blocks))


def z_score(values: np.ndarray, exact: float, blocks: int = 32) -> float:
    """How many errors the mean of a time series is off the exact value."""
    mean, error = mean_and_error(values, blocks)
    return (mean - exact) / error


def half_kT_eV(kelvin: float) -> float:
    """½kT in eV."""
    return 0.5 * BOLTZMANN_EV_K * kelvin
