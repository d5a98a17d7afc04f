"""Real i-PI runs: its files as they are today, and averages that are known exactly."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from quorum_md.averages import heat_capacity
from quorum_md.averages.ipi_files import read_committee, read_properties
from quorum_md.averages.ipi_run import load_run
from quorum_md.errors import QuorumError
from quorum_md.units import BOHR_A, BOLTZMANN_EV_K, HARTREE_EV

pytest.importorskip("ipi")

DRIVER = Path(__file__).parent / "harmonic_committee_driver.py"
# as in the driver, which this process need not import
STIFFNESS = 0.05  # Hartree/Bohr²
SLOPES = np.array([-0.0010, 0.0005, 0.0015, -0.0015, 0.0005])  # Hartree/Bohr
INPUT = """\
<simulation verbosity='low'>
  <output prefix='simulation'>
    <properties stride='2' filename='out'> [ step, time{{picosecond}}, conserved,
      potential{{electronvolt}}, temperature{{kelvin}}, volume{{angstrom3}},
      atom_x{{angstrom}}(0) ] </properties>
    <trajectory filename='committee_pot' stride='5' extra_type='committee_pot'> extras </trajectory>
    <checkpoint filename='checkpoint' stride='40' overwrite='True'/>
  </output>
  <total_steps>{steps}</total_steps>
  <prng><seed>11</seed></prng>
  <ffdirect name='ff'><pes>custom</pes><pes_path>{driver}</pes_path></ffdirect>
  <system>
    <initialize nbeads='{beads}'><file mode='xyz'> init.xyz </file>
      <velocities mode='thermal' units='kelvin'> 300 </velocities></initialize>
    <forces><force forcefield='ff'/></forces>
    <motion mode='dynamics'><fixcom> False </fixcom><dynamics mode='nvt'>
      <timestep units='femtosecond'> 0.5 </timestep>
      <thermostat mode='{thermostat}'><tau units='femtosecond'> 5 </tau></thermostat>
    </dynamics></motion>
    <ensemble><temperature units='kelvin'> 300 </temperature></ensemble>
  </system>
</simulation>
"""
XYZ = """\
2
# CELL(abcABC): 20 20 20 90 90 90 cell{angstrom} positions{angstrom}
H 0.1 0 0
H 0 0.1 0
"""


def i_pi(folder, name):
    done = subprocess.run(
        [sys.executable, Path(sys.executable).parent / "i-pi", name],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def prepare(folder, steps, beads=1):
    (folder / "init.xyz").write_text(XYZ)
    thermostat = "langevin" if beads == 1 else "pile_g"
    text = INPUT.format(
        steps=steps,
        beads=beads,
        driver=DRIVER,
        thermostat=thermostat,
    )
    (folder / "input.xml").write_text(text)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ipi")
    prepare(folder, 6000)
    i_pi(folder, "input.xml")
    return folder


def test_classical_averages(run_folder):
    run = load_run(
        run_folder / "simulation.out",
        run_folder / "simulation.committee_pot_0",
        input_path=run_folder / "input.xml",
        discard=10,
    )
    assert run.checked and run.stride == 10 and run.temperature_K == 300
    assert run.energies_eV.shape == (591, 5)
    # ⟨x⟩_i = −a_i/k
    x = run.reweight("atom_x(0)[0]")
    exact = -SLOPES / STIFFNESS * BOHR_A
    assert np.all(np.abs(x.members - exact) < 4 * x.members_statistical_error)
    assert x.model_error == pytest.approx(exact.std(ddof=1), rel=0.25)
    assert x.verdict == "ok"
    across = run.reweight("atom_x(0)[1]")
    assert across.model_error < 3 * across.model_error_noise < 0.3 * x.model_error
    # ⟨V_i⟩_i = 3 kT − N a_i²/2k for two atoms
    kT = BOLTZMANN_EV_K * 300
    energy = run.reweight("potential", method="direct")
    exact = 3 * kT - SLOPES**2 / STIFFNESS * HARTREE_EV
    assert np.all(np.abs(energy.members - exact) < 4 * energy.members_statistical_error)
    assert energy.mean == pytest.approx(3 * kT, abs=4 * energy.statistical_error)
    heat = run.reweight("heat_capacity")
    by_hand = heat_capacity(run.energies_eV, temperature_K=300)
    assert heat.members.tolist() == by_hand.members.tolist()
    assert heat.mean == pytest.approx(3, abs=4 * heat.statistical_error)


def test_default_observables(run_folder):
    run = load_run(
        run_folder / "simulation.out", run_folder / "simulation.committee_pot_0", temperature_K=300
    )
    assert run.names() == ["potential"] + [f"atom_x(0)[{k}]" for k in range(3)]
    assert run.left_out() == ["conserved", "temperature", "volume"]
    assert run.expand("atom_x") == [f"atom_x(0)[{k}]" for k in range(3)]
    with pytest.raises(QuorumError, match="simulation.out: column volume: has the same value"):
        run.reweight("volume")
    with pytest.raises(QuorumError, match="has 3 components, expected an index from 0 to 2"):
        run.reweight("atom_x(0)[7]")


def test_beads_and_restart(tmp_path):
    prepare(tmp_path, 50, beads=2)
    i_pi(tmp_path, "input.xml")
    restart = (tmp_path / "simulation.checkpoint").read_text()
    assert re.search(r"<step>\s*40\s*</step>", restart)
    restart = re.sub(r"<total_steps>\s*50\s*<", "<total_steps> 70 <", restart)
    (tmp_path / "restart.xml").write_text(restart)
    i_pi(tmp_path, "restart.xml")
    beads = [tmp_path / f"simulation.committee_pot_{b}" for b in range(2)]
    table = read_properties(tmp_path / "simulation.out")
    assert table.abandoned == 5  # 42 … 50 came twice
    assert table.column("step").values.tolist() == list(range(0, 71, 2))
    members = read_committee(beads)
    assert members.steps.tolist() == list(range(0, 71, 5))
    # also reads RESTART files, whose temperature is in Hartree
    run = load_run(
        tmp_path / "simulation.out", beads, input_path=tmp_path / "restart.xml", reference="mean"
    )
    assert run.checked and run.steps.tolist() == list(range(0, 71, 10))
    assert run.temperature_K == pytest.approx(300, rel=1e-5)
    with pytest.raises(QuorumError, match="is classical, but this run has 2 beads"):
        run.reweight("heat_capacity")
    with pytest.raises(QuorumError, match="all beads of it"):
        load_run(tmp_path / "simulation.out", beads[:1], temperature_K=300)
