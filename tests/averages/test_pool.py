"""Runs read from files, pooled, carried to other temperatures and freed of biases."""

from dataclasses import replace

import numpy as np
import pytest
from ipi_like import INPUT, write_run

from quorum_md.averages import reweight
from quorum_md.averages.colvar import at_steps, is_colvar, read_colvar
from quorum_md.averages.extxyz_run import is_extxyz
from quorum_md.averages.extxyz_run import load_run as load_extxyz
from quorum_md.averages.ipi_run import load_run
from quorum_md.averages.pool import pooled, without_bias
from quorum_md.averages.readers import Request, read_run
from quorum_md.averages.tables import Column
from quorum_md.errors import QuorumError
from quorum_md.units import BOLTZMANN_EV_K, KJ_MOL_EV

DOF = 30
SLOPES = np.array([-0.004, 0.001, 0.003])


def oscillators(temperature_K, n=3000, seed=0, bias=0.0):
    """V = ½ Σ x² of 30 modes, members V + a_i x_0 at constant volume; a bias of ½ b x_0²."""
    rng = np.random.default_rng(seed)
    kT = BOLTZMANN_EV_K * temperature_K
    x = rng.normal(size=(n, DOF)) * np.sqrt(kT)
    x[:, 0] /= np.sqrt(1 + bias)
    potential = 0.5 * (x**2).sum(axis=1) - 40.0
    return {
        "x": x[:, 0],
        "potential": potential,
        "volume": np.full(n, 800.0),
        "energies": potential[:, None] + SLOPES * x[:, :1],
        "temperature": temperature_K * np.ones(n),
    }


def folder_of(path, temperature_K, **kwargs):
    path.mkdir()
    run = oscillators(temperature_K, **kwargs)
    write_run(path, run, stride=1, committee_stride=1)
    text = INPUT.replace(">300<", f">{temperature_K:g}<")
    (path / "input.xml").write_text(text)
    return run


def read(path):
    """The run in a folder, with x_0 as a column (i-PI writes none of its kind)."""
    run = load_run(
        path / "simulation.out",
        path / "simulation.committee_pot_0",
        input_path=path / "input.xml",
    )
    x = (run.energies_eV[:, 2] - run.energies_eV[:, 0]) / (SLOPES[2] - SLOPES[0])
    table = replace(run.table, columns=[*run.table.columns, Column("x", "", x)])
    return replace(run, table=table)


def test_two_temperatures_at_a_third(tmp_path):
    """⟨V⟩ = ½ d kT and ⟨x⟩_i = −a_i at any temperature, with honest errors."""
    z = []
    for seed in range(25):
        runs = []
        for T in (340, 280):
            folder_of(tmp_path / f"{seed}-{T}", T, seed=seed * 1000 + T, n=600)
            runs.append(read(tmp_path / f"{seed}-{T}"))
        for target in (310.0, 340.0):
            pool = pooled(runs, target)
            energy = pool.reweight("potential")
            exact = DOF / 2 * BOLTZMANN_EV_K * target - 40.0
            z.append([(energy.mean - exact) / energy.statistical_error])
            x = pool.reweight("x")
            np.testing.assert_allclose(x.members, -SLOPES, atol=5 * x.statistical_error)
    z = np.array(z)
    assert np.abs(z.mean()) < 0.6 and 0.7 < z.std() < 1.3
    assert pool.notes[0].startswith("2 run(s) at 280, 340 K give ")
    assert len(pool.weights.counts) == 2 and pool.weights.lengths == (600, 600)
    assert pool.temperature_K == 340.0 and pool.kT_eV == pytest.approx(BOLTZMANN_EV_K * 340)
    with pytest.raises(QuorumError, match="belong to all of them"):
        pool.part(np.arange(10))


def test_two_runs_of_one_temperature(tmp_path):
    for seed in (1, 2):
        folder_of(tmp_path / str(seed), 300, seed=seed, n=800)
    runs = [read(tmp_path / str(seed)) for seed in (1, 2)]
    pool = pooled(runs)
    assert pool.weights.lengths == (800, 800) and not len(pool.weights.counts)
    parts = [run.reweight("x") for run in runs]
    both = pool.reweight("x")
    assert both.mean == pytest.approx(np.mean([part.mean for part in parts]), rel=1e-5)
    assert both.statistical_error == pytest.approx(
        np.hypot(*(part.statistical_error for part in parts)) / 2, rel=1e-6
    )
    assert both.verdict == "ok"
    assert [len(pool.part(np.arange(k)).weights.lengths) for k in (500, 801)] == [1, 2]
    # a run that was not in equilibrium
    table = runs[1].table
    columns = [replace(c, values=c.values + 0.1) if c.name == "x" else c for c in table.columns]
    off = replace(runs[1], table=replace(table, columns=columns))
    wrong = pooled([runs[0], off]).reweight("x")
    assert wrong.verdict == "doubtful" and "the 2 runs disagree" in wrong.reasons[0]


def test_runs_that_do_not_belong_together(tmp_path):
    folder_of(tmp_path / "a", 300, n=50)
    run = read(tmp_path / "a")
    other = replace(run, energies_eV=run.energies_eV[:, :2])
    biased = without_bias(run, np.zeros(50), "b")
    for runs, message in [
        ([run, other], "has 2 members, but"),
        ([replace(run, n_beads=4)], "path integral of 4 beads"),
        ([run, biased], "is biased, and other runs"),
        ([run, replace(run, pressure_bar=1.0)], "not both at constant pressure"),
        ([run, resized(run, np.full(50, 801.0))], "its volume is 801"),
        ([resized(run, 800 + run.energies_eV[:, 0])], "but the pressure is not known"),
    ]:
        with pytest.raises(QuorumError, match=message):
            pooled(runs, 320.0)
    with pytest.raises(QuorumError, match="weighted already"):
        without_bias(biased, np.zeros(50), "b")


def resized(run, volume):
    columns = [replace(c, values=volume) if c.name == "volume" else c for c in run.table.columns]
    return replace(run, table=replace(run.table, columns=columns))


COLVAR = "#! FIELDS time x restraint.bias\n#! SET min_x -pi\n"


def write_colvar(path, run, bias, steps):
    rows = "".join(
        f" {0.002 * t:.6f} {run['x'][t]:.8f} {0.5 * bias * run['x'][t] ** 2 / KJ_MOL_EV:.10f}\n"
        for t in steps
    )
    path.write_text(COLVAR + rows)


def test_a_bias_from_colvar(tmp_path):
    """Sampled with ½ b x²: freed of it, ⟨x²⟩ = kT again."""
    run = folder_of(tmp_path / "b", 300, n=4000, seed=4, bias=0.5)
    write_colvar(tmp_path / "COLVAR", run, 0.5, range(0, 4000, 2))
    assert is_colvar(tmp_path / "COLVAR") and not is_colvar(tmp_path / "b" / "input.xml")
    frames = read(tmp_path / "b")
    table = read_colvar(tmp_path / "COLVAR")
    rows, bias = at_steps(
        table, "restraint.bias", frames.steps, timestep_fs=frames.timestep_fs, time_unit="ps"
    )
    np.testing.assert_array_equal(frames.steps[rows], np.arange(0, 4000, 2))
    part = frames.part(rows)
    free = without_bias(part, bias * KJ_MOL_EV, "COLVAR")
    x2 = free.table.column("x").values[free.rows] ** 2
    result = reweight(
        x2, free.energies_eV, kT_eV=free.kT_eV, weights=free.weights, reference=free.reference
    )
    biased = reweight(x2, free.energies_eV, kT_eV=free.kT_eV, reference=free.reference)
    exact = free.kT_eV
    assert abs(result.mean - exact) < 3 * result.statistical_error
    assert abs(biased.mean - exact) > 8 * biased.statistical_error
    assert "are left" in free.notes[-1]


def test_colvar_of_a_restarted_and_killed_run(tmp_path):
    run = oscillators(300, n=50)
    path = tmp_path / "COLVAR"
    write_colvar(path, run, 1.0, range(30))
    first = path.read_text()
    write_colvar(path, run, 1.0, range(20, 50))
    path.write_text(first + path.read_text() + " 0.100000 0.3")
    table = read_colvar(path)
    assert table.abandoned == 10 and table.truncated
    np.testing.assert_allclose(table.column("time").values, 0.002 * np.arange(50), atol=1e-9)


def test_bad_colvar_is_a_sentence(tmp_path):
    path, steps = tmp_path / "COLVAR", np.arange(40)
    with pytest.raises(QuorumError, match="cannot be read"):
        read_colvar(path)
    path.write_text("1 2 3\n")
    with pytest.raises(QuorumError, match="has no line '#! FIELDS"):
        read_colvar(path)
    path.write_text(COLVAR + " 0.0 1 2\n" + "#! FIELDS time y\n 0.002 1\n")
    with pytest.raises(QuorumError, match="a restart has the columns time y"):
        read_colvar(path)
    write_colvar(path, oscillators(300, n=40), 1.0, steps)
    table = read_colvar(path)
    with pytest.raises(QuorumError, match="has no column 'bias'"):
        table.column("bias")
    for timestep_fs, unit, wanted, message in [
        (1.7, "ps", steps, "is no multiple of the time step of 1.7 fs"),
        (2.0, "hours", steps, "time unit: got 'hours'"),
        (1.0, "ps", steps[1::2], "files of one run"),
    ]:
        with pytest.raises(QuorumError, match=message):
            at_steps(table, "x", wanted, timestep_fs=timestep_fs, time_unit=unit)


def write_extxyz(path, run, **extra):
    lines = []
    for t in range(len(run["potential"])):
        members = " ".join(f"{e:.10f}" for e in run["energies"][t])
        info = {"energy": f"{run['energies'][t].mean():.10f}", "step": t, **extra}
        pairs = " ".join(f"{k}={v}" for k, v in info.items() if v is not None)
        lines.append(
            '1\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3 '
            f'energy_ensemble="{members}" {pairs} x={run["x"][t]:.9f} pbc="T T T"\nW 0 0 0\n'
        )
    path.write_text("".join(lines))


def test_extended_xyz(tmp_path):
    run = oscillators(300, n=1500, seed=7)
    path = tmp_path / "run.xyz"
    write_extxyz(path, run)
    assert is_extxyz(path)
    frames = read_run(Request(files=(path,), temperature_K=300.0))
    assert frames.checked and frames.names() == ["energy", "x"]
    result = frames.reweight("x")
    whole = reweight(run["x"], run["energies"], kT_eV=frames.kT_eV)
    np.testing.assert_allclose(result.members, whole.members, atol=1e-7)
    assert frames.observable("energy").paired and frames.constant_volume
    # a last frame cut short, and a restart that repeats steps
    text = path.read_text()
    path.write_text(text + "".join(text.splitlines(keepends=True)[3 * 1000 : 3 * 1500]) + "1\nLat")
    again = load_extxyz(path, temperature_K=300.0)
    assert again.table.abandoned == 500 and len(again.steps) == 1500


def test_extended_xyz_written_by_ase(tmp_path):
    ase_io = pytest.importorskip("ase.io")
    from ase import Atoms

    run = oscillators(300, n=40, seed=3)
    frames = []
    for t in range(40):
        atoms = Atoms(
            "W2", positions=[[0, 0, 0], [2, 0, 0]], cell=[9, 9, 9 + run["x"][t]], pbc=True
        )
        atoms.info.update(
            energy_ensemble=run["energies"][t], energy=run["energies"][t].mean(), step=10 * t
        )
        frames.append(atoms)
    ase_io.write(tmp_path / "a.xyz", frames, format="extxyz")
    read = load_extxyz(tmp_path / "a.xyz", temperature_K=300.0)
    np.testing.assert_allclose(read.energies_eV, run["energies"], atol=1e-7)
    volume = read.table.column("volume")
    np.testing.assert_allclose(volume.values, 81 * (9 + run["x"]), rtol=1e-6)
    assert volume.unit == "angstrom3" and read.stride == 10


def test_bad_extended_xyz_is_a_sentence(tmp_path):
    path, run = tmp_path / "run.xyz", oscillators(300, n=30)
    other = dict(run, energies=run["energies"] + 0.0)
    for extra, kwargs, message in [
        ({}, {}, "temperature: got none"),
        ({"step": None}, {"temperature_K": 300}, "frame 0 has no whole number `step`"),
        ({"energy": None}, {"temperature_K": 300}, "it is not known what drove them"),
        ({"energy_ensemble": "junk"}, {"temperature_K": 300}, "frame 0: energy_ensemble is junk"),
        ({}, {"temperature_K": 300, "reference": 0}, "against member 0"),
    ]:
        write_extxyz(path, other, **extra)
        with pytest.raises(QuorumError, match=message):
            load_extxyz(path, **kwargs)
    write_extxyz(path, run, energy=None)
    assert not load_extxyz(path, temperature_K=300, reference="mean").checked
    path.write_text("1\nLattice\nW 0 0 0\nx\n")
    with pytest.raises(QuorumError, match="line 4: got x"):
        load_extxyz(path, temperature_K=300)
