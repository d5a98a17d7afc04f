"""The README's commands and Python, run in its order in a folder with the files it names."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.lj import LennardJones as AseLennardJones
from ase.calculators.singlepoint import SinglePointCalculator

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.M | re.S)


def dft_like_frames(n):
    """Binary structures with energies and forces, standing in for a user's DFT data."""
    rng = np.random.default_rng(0)
    frames = []
    for i in range(n):
        atoms = bulk("Nb", "bcc", rng.uniform(3.1, 3.4), cubic=True) * 2
        atoms.symbols[rng.permutation(16)[:8]] = "Mo"
        atoms.rattle(0.1, rng=rng)
        atoms.calc = AseLennardJones(sigma=2.6, epsilon=0.4, rc=6.0, smooth=True)
        results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        atoms.calc = SinglePointCalculator(atoms, **results)
        atoms.info["config_type"] = "even" if i % 2 else "odd"
        frames.append(atoms)
    return frames


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    shutil.copy(ROOT / "inputs" / "ipi" / "start.xyz", folder)
    text = (ROOT / "inputs" / "ipi" / "npt.xml").read_text()
    steps = re.sub(r"<total_steps>[^<]*", "<total_steps> 600 ", text)
    (folder / "npt.xml").write_text(steps)
    ase.io.write(folder / "dft.extxyz", dft_like_frames(60))
    lammps_log(folder)
    return folder


def lammps_log(folder):
    """log.lammps of inputs/lammps/in.nvt, with fewer atoms and steps."""
    from lammps_tools import run_lammps

    text = (ROOT / "inputs" / "lammps" / "in.nvt").read_text()
    script = "log log.lammps\n" + text.replace("0 6 0 6 0 6", "0 2 0 2 0 2")
    run_lammps(script, folder, 1, "-var", "steps", "1000")


def environment():
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}


def single_model(folder):
    """repulsion.pt of the README: any model of one member."""
    from toy_models import LennardJones, export

    module = LennardJones(2.6, 0.4, 4.5, [1.0])
    export(module, folder / "repulsion.pt", [41, 42], 4.5, ensemble=False)


def test_commands(folder):
    single_model(folder)
    commands = [line[2:] for block in blocks("console") for line in block.splitlines() if line]
    assert len(commands) >= 8 and all(c.startswith("quorum ") for c in commands)
    for command in commands:
        done = subprocess.run(
            shlex.split(command), cwd=folder, env=environment(), capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        assert done.stdout.strip(), command


@pytest.mark.parametrize("code", blocks("python"))
def test_python(folder, code):
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_what_is_named_exists():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, flags=re.M):
        assert re.search(rf"^{target}:", makefile, flags=re.M), target
    links = [x for x in re.findall(r"\]\(([^)]+)\)", README) if "://" not in x]
    links += re.findall(r"`((?:driver|inputs|examples|tests)/[^`]*)`", README)
    for link in links:
        assert (ROOT / link.split("#")[0]).exists(), link


def test_the_demo_in_small(tmp_path):
    """What `make demo` runs, with fewer steps and atoms: table, numbers and figure come out."""
    import json

    command = ["bash", str(ROOT / "examples" / "01-uncertain-alloy" / "run.sh")]
    options = ["--steps", "1500", "--repeats", "2", "--temperatures", "300", "600", "900"]
    done = subprocess.run(
        [*command, *options, "--output", str(tmp_path)],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "C_p/k_B" in done.stdout
    report = json.loads((tmp_path / "results.json").read_text())
    assert [row["temperature_K"] for row in report["results"]] == [300, 600, 900]
    for row in report["results"]:
        # 16 atoms, a few ps: near the classical solid, no more
        assert 3.15 < row["lattice_A"]["mean"] < 3.35
        assert len(row["lattice_A"]["members"]) == report["n_members"]
        # a harmonic crystal without its centre of mass: 3/2 kT (N − 1)/N
        assert 0.6 < row["energy_meV_per_atom"]["mean"] / (0.129 * row["temperature_K"]) < 1.4
    assert (tmp_path / "results.png").stat().st_size > 20_000


def test_the_lammps_example_in_small(tmp_path):
    """What examples/02-lammps-committee runs, with fewer steps and atoms."""
    import json

    from lammps_tools import environment as with_plugin

    command = ["bash", str(ROOT / "examples" / "02-lammps-committee" / "run.sh")]
    done = subprocess.run(
        [*command, "--steps", "600", "--output", str(tmp_path)],
        env=with_plugin() | {"PATH": environment()["PATH"]},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "v_lattice_A" in done.stdout and "PotEng/eV" in done.stdout
    report = json.loads((tmp_path / "results.json").read_text())
    _, volume, lattice = report["npt"]["observables"]
    assert len(volume["members"]) == 32 and volume["unit"] == "angstrom3"
    # a few ps: near the crystal, no more
    assert 3.15 < lattice["mean"] < 3.35
    assert volume["mean"] == pytest.approx(24 * lattice["mean"] ** 3, rel=1e-3)
    energy, pressure = report["nvt"]["observables"]
    assert pressure["unit"] == "bar" and energy["model_error"] > 0
    assert (tmp_path / "results.png").stat().st_size > 20_000


def test_the_short_range_order_example_in_small(tmp_path):
    """What examples/03-short-range-order runs, with fewer steps, atoms and temperatures."""
    import json

    import numpy as np

    from lammps_tools import environment as with_plugin

    command = ["bash", str(ROOT / "examples" / "03-short-range-order" / "run.sh")]
    options = ["--steps", "400", "--cells", "3", "--temperatures", "600", "1500"]
    done = subprocess.run(
        [*command, *options, "--output", str(tmp_path)],
        env=with_plugin() | {"PATH": environment()["PATH"]},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1500K swaps: 1500 trials" in done.stdout and "Nb-Mo" in done.stdout.replace(
        "Mo-Nb", "Nb-Mo"
    )
    report = json.loads((tmp_path / "results.json").read_text())
    assert set(report) == {"600K", "1500K"}
    order = report["600K"]["observables"][0]
    alpha = np.array(order["mean"])
    assert alpha.shape == (2, 10) and np.array(order["members"]).shape == (32, 2, 10)
    assert np.abs(alpha).max() < 1.5 and (tmp_path / "results.png").stat().st_size > 20_000


@pytest.mark.slow
def test_the_replica_exchange_example_in_small(tmp_path):
    """What examples/04-cantor-remd runs, with fewer attempts."""
    import json

    import numpy as np

    from lammps_tools import environment as with_plugin

    command = ["bash", str(ROOT / "examples" / "04-cantor-remd" / "run.sh")]
    done = subprocess.run(
        [*command, "--attempts", "80", "--output", str(tmp_path)],
        env=with_plugin() | {"PATH": environment()["PATH"]},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "exchanges accepted" in done.stdout and "# quantity        rms z" in done.stdout
    alloy = json.loads((tmp_path / "results.a.json").read_text())
    assert len(alloy["temperature_K"]) == 25 and np.shape(alloy["Mo-Ta"]["members"]) == (25, 32)
    pair = json.loads((tmp_path / "results.b.json").read_text())
    assert pair["truth"]["energy"]["model"] is None and len(pair["z"]) == 8
    for name in ("remd", "truth"):
        assert 2.5 < pair[name]["heat_capacity"]["mean"][0] < 5
    for part in "ab":
        assert (tmp_path / f"results.{part}.png").stat().st_size > 20_000
