"""Real runs: Lennard-Jones argon (r_c = 2.5 σ, shifted, P* = 2.185), melting at T* = 0.80.

argon_runs.npz holds what `quorum pin run` has recorded with LAMMPS in a few minutes: "fcc", 576
atoms pinned by a counter of fcc environments at T* = 0.75 and 0.85; "rhok", 500 atoms pinned by a
Fourier component at T* = 0.70, which froze into a crystal out of registry.
"""

from pathlib import Path

import numpy as np
import pytest

from quorum_md.pinning.analysis import analyse

RUNS = Path(__file__).with_name("argon_runs.npz")
KELVIN = 119.8  # ε/k


def unpacked(root, which):
    """Folders of jobs as the runs wrote them."""
    with np.load(RUNS) as runs:
        for key in runs.files:
            if not key.startswith(which) or not key.endswith("/job"):
                continue
            name = key.split("/")[1]
            (root / name).mkdir()
            (root / name / "job.json").write_text(str(runs[key]))
            table = runs[f"{which}/{name}/series"]
            np.savetxt(root / name / "series.dat", table, header=str(runs["header"]))
    return root


def test_melting_point_of_argon(tmp_path):
    """T* = 0.80 within errors, from runs below and above; nothing is refused."""
    report = analyse(unpacked(tmp_path, "fcc"))
    assert report.refused == []
    cold, hot = report.points
    assert cold.delta_mu_eV < -4 * cold.error_eV and hot.delta_mu_eV > 4 * hot.error_eV
    found = report.melting
    assert found.verdict == "ok" and found.statistical_error_K < 0.01 * KELVIN
    assert found.temperature_K == pytest.approx(0.80 * KELVIN, abs=3 * found.statistical_error_K)
    assert found.slope_eV_K / 8.617e-5 == pytest.approx(1.40, abs=0.05)  # Δs in k
    assert abs(report.branches[0].slope_z) < 3


def test_argon_that_froze(tmp_path):
    """⟨Q⟩ at a, a tiny error bar, and a box that is all crystal."""
    report = analyse(unpacked(tmp_path, "rhok"))
    (point,) = report.points
    (run,) = point.runs
    assert point.delta_mu_eV is None and report.melting is None
    assert run.refused[0].kind == "registry" and "Q says 0.5" in run.refused[0].evidence
    # what it would have said: wrong by many of its own error bars
    exact = 1.40 * 8.617e-5 * (83.86 - 0.80 * KELVIN)
    assert abs(run.mean.delta_mu_eV - exact) > 20 * run.mean.error_eV
    assert report.next_temperature_K() > 83.86
