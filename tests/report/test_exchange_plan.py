"""Plans of ladders: from files whose energies have a known law, against exact acceptances."""

import argparse

import numpy as np
import pytest
from scipy.special import betainc

from exchange_rows import FREEDOM, KELVIN, harmonic_rows
from quorum_md.averages.exchange_records import write_exchange_records
from quorum_md.cli import remd_plan
from quorum_md.errors import QuorumError
from quorum_md.sampling.exchange import (
    Exchange,
    Mixing,
    State,
    geometric,
    reduced_energies,
    statistics_table,
)
from quorum_md.units import BOLTZMANN_EV_K, EV_A3_GPA

ATOMS = 20
A = 1.5 * ATOMS


def energies_eV(kelvin, n=4000, seed=1):
    """Of a harmonic solid."""
    return BOLTZMANN_EV_K * kelvin * np.random.default_rng(seed).gamma(A, size=n)


def ipi_properties(path, kelvin, with_temperature=True):
    columns = ["step", "potential{electronvolt}"]
    rows = [np.arange(4000), energies_eV(kelvin) - 100]
    if with_temperature:
        columns.append("temperature{kelvin}")
        rows.append(kelvin + np.random.default_rng(2).normal(scale=kelvin / 8, size=4000))
    head = [f"# column   {i}     --> {name} : words" for i, name in enumerate(columns, 1)]
    body = [" ".join(f"{x:.8e}" for x in row) for row in np.transpose(rows)]
    path.write_text("\n".join(head + body) + "\n")
    return str(path)


def lammps_log(path, kelvin):
    rows = zip(range(4000), energies_eV(kelvin), strict=True)
    body = "\n".join(f"{step} {kelvin:.3f} {energy:.10f}" for step, energy in rows)
    path.write_text(
        "LAMMPS (22 Jul 2025)\nunits metal\nrun 4000\n   Step Temp PotEng\n"
        f"{body}\nLoop time of 1.0 on 1 procs for 4000 steps with {ATOMS} atoms\n"
    )
    return str(path)


def plan(capsys, *words, files=()):
    parser = argparse.ArgumentParser()
    remd_plan.add_arguments(parser)
    assert remd_plan.run(parser.parse_args(["--plan", *map(str, words)]), list(files)) == 0
    text = capsys.readouterr().out
    last = text.splitlines()[-1]
    assert last.startswith("temperatures_K = [")
    return text, np.array(last.split("[")[1].rstrip("]").split(","), dtype=float)


def exact(kelvin):
    return 2 * betainc(A, A, kelvin[:-1] / (kelvin[:-1] + kelvin[1:]))


def test_of_a_number_of_atoms(capsys):
    text, kelvin = plan(capsys, "--range", 300, 1200, "--atoms", ATOMS)
    assert (exact(kelvin) > 0.39).all()
    rows = np.loadtxt(text.splitlines()[:-1])
    assert (np.diff(rows[:, 1]) > 0).all() and (rows[:, 0] >= [0.2, 0.3, 0.4, 0.5, 0.6]).all()
    assert len(kelvin) == rows[2, 1]
    same, _ = plan(capsys, "--range", 300, 1200, "--heat-capacity", A)
    assert same == text
    _, five = plan(capsys, "--range", 300, 1200, "--atoms", ATOMS, "--replicas", 5)
    np.testing.assert_allclose(five, geometric(300, 1200, 5), atol=0.06)


@pytest.mark.parametrize("kind", ["i-PI", "LAMMPS"])
def test_of_a_short_run(tmp_path, capsys, kind):
    """The heat capacity within its own error, and from it nearly the ladder of the exact one."""
    write = {"i-PI": ipi_properties, "LAMMPS": lammps_log}[kind]
    files = [write(tmp_path / f"{t}.out", t) for t in (400, 900)]
    text, kelvin = plan(capsys, "--range", 300, 1200, files=files)
    for line in text.splitlines()[:2]:
        words = line.split()
        value, error = float(words[3]), float(words[5])
        assert abs(value - A) < 4 * error and 0.2 < error < 2
    assert np.abs(exact(kelvin) - exact(kelvin).mean()).max() < 0.02
    assert exact(kelvin).min() > 0.37
    if kind == "i-PI":
        bare = ipi_properties(tmp_path / "bare.out", 500, with_temperature=False)
        with pytest.raises(QuorumError, match="give --temperature"):
            plan(capsys, "--range", 300, 1200, files=[bare])
        text, _ = plan(capsys, "--range", 300, 1200, "--temperature", 500, files=[bare])
        assert " at 500 K" in text


def test_of_a_record(tmp_path, capsys):
    """Every state of it gives a heat capacity at its temperature."""
    header, rows, _ = harmonic_rows()
    write_exchange_records(tmp_path / "records.h5", header, rows)
    text, _ = plan(capsys, "--range", 300, 400, files=[str(tmp_path / "records.h5")])
    for line, state in zip(text.splitlines(), KELVIN, strict=False):
        words = line.split()
        assert abs(float(words[3]) - FREEDOM / 2) < 4 * float(words[5]) < 6
        assert f" at {state:.0f} K" in line


def test_of_a_run_at_constant_pressure(tmp_path, capsys):
    """Exchanges see E + P V: here that alone is harmonic."""
    volume = 500 + 30 * np.random.default_rng(3).normal(size=4000)
    energy = energies_eV(600) - 2.0 / EV_A3_GPA * volume
    path = tmp_path / "npt.out"
    rows = np.column_stack([np.arange(4000), energy, volume, np.full(4000, 600.0)])
    names = ["step", "potential{electronvolt}", "volume{angstrom3}", "temperature{kelvin}"]
    head = [f"# column   {i}     --> {name} : words" for i, name in enumerate(names, 1)]
    path.write_text("\n".join([*head, *(" ".join(f"{x:.9e}" for x in row) for row in rows)]) + "\n")
    with pytest.raises(QuorumError, match="its volume changes, so exchanges see energy and P V"):
        plan(capsys, "--range", 300, 1200, files=[str(path)])
    text, _ = plan(capsys, "--range", 300, 1200, "--pressure", 2.0, files=[str(path)])
    words = text.split()
    assert abs(float(words[3]) - A) < 4 * float(words[5]) < 8
    log = lammps_log(tmp_path / "log.lammps", 500)
    text = (tmp_path / "log.lammps").read_text()
    (tmp_path / "log.lammps").write_text(
        text.replace("run 4000", "thermo_modify norm yes\nrun 4000")
    )
    with pytest.raises(QuorumError, match="energies are per atom"):
        plan(capsys, "--range", 300, 1200, files=[log])


def test_of_the_statistics_of_a_ladder(tmp_path, capsys):
    """From equal steps in T to one that is accepted evenly."""
    kelvin = np.linspace(300, 1200, 9)
    states, rng = [State(t) for t in kelvin], np.random.default_rng(3)
    exchange, mixing = Exchange(9, seed=1), Mixing(9)
    mixing.add(exchange.permutation)
    for _ in range(4000):
        energies = np.empty(9)
        energies[exchange.permutation] = BOLTZMANN_EV_K * kelvin * rng.gamma(A, size=9)
        mixing.add(exchange.attempt(reduced_energies(energies, states)).permutation)
    table = statistics_table(exchange, mixing, states)
    path = tmp_path / "simulation.remd_statistics"
    path.write_text(table)
    rows = np.loadtxt(path)
    np.testing.assert_allclose(rows[:, 1], kelvin)
    np.testing.assert_allclose(rows[:-1, 6], exact(kelvin), atol=0.03)
    np.testing.assert_array_equal(rows[:, 8], mixing.round_trips)
    assert rows[0, 7] == 0 and rows[-1, 7] == 1
    _, better = plan(capsys, "--replicas", 9, files=[str(path)])
    assert np.ptp(exact(kelvin)) > 0.4 and np.ptp(exact(better)) < 0.05


@pytest.mark.parametrize(
    ("words", "files", "sentence"),
    [
        (["--range", 300, 600], [], "got 0 sources"),
        (["--range", 300, 600, "--atoms", 5, "--heat-capacity", 3], [], "got 2 sources"),
        (["--atoms", 5], [], "--range is missing"),
        (["--range", 300, 600], ["nowhere"], "nowhere: no such file"),
        (["--range", 600, 300, "--atoms", 5], [], "ladder: got"),
        (["--range", 300, 600, "--atoms", 5, "--acceptance", 2], [], "acceptance: got 2"),
    ],
)
def test_refusals(capsys, words, files, sentence):
    with pytest.raises(QuorumError, match=sentence):
        plan(capsys, *words, files=files)
