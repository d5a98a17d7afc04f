"""``quorum calibrate --plot``: figure and table beside the calibrated file, or one sentence."""

import ase.io
import numpy as np
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from quorum_md.cli import main
from quorum_md.models import load_potential


def test_figure_and_table(lj_file, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(5)
    committee, frames = load_potential(lj_file), []
    for i in range(60):
        atoms = bulk("Ar", "fcc", rng.uniform(4.2, 4.8), cubic=True)
        atoms.rattle(0.1, rng=rng)
        p = committee.evaluate([atoms], forces=False)[0]
        energy = p.energy_eV + 3 * p.spread_eV * rng.normal()
        atoms.calc = SinglePointCalculator(atoms, energy=energy)
        atoms.info["config_type"] = "even" if i % 2 else "odd"
        frames.append(atoms)
    ase.io.write("held.extxyz", frames)
    arguments = ["calibrate", str(lj_file), "held.extxyz", "-o", "out.pt", "--plot"]
    assert main([*arguments, "none/figure.png"]) == 2
    assert "the folder of none/figure.png does not exist" in capsys.readouterr().err
    assert not (tmp_path / "out.pt").exists()  # known before the work
    assert main([*arguments, "figure.svg"]) == 0
    text = capsys.readouterr().out
    (row,) = [line for line in text.splitlines() if line.startswith("  all") and "…" in line]
    # calibrated on these structures: 1 by the definition of α, and its interval holds 1
    assert row.split()[:3] == ["all", "60", "1.00"]
    assert "as wide as the errors on the whole" in text and "rms z" in text
    drawn = (tmp_path / "figure.svg").read_text()
    for word in ("as given", "calibrated, α = ", "even (30)", "odd (30)", "meV per atom"):
        assert word in drawn, word
