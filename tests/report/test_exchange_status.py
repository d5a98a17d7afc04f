"""Status and figure of replica exchange: the numbers are those of the run."""

import json

import numpy as np
import pytest

from exchange_rows import FREEDOM, KELVIN, harmonic_rows, write_journal
from quorum_md.cli import main
from quorum_md.report.exchange_figure import figure
from quorum_md.report.exchange_status import (
    exchanged,
    of_folder,
    probabilities,
    status,
    write_summary,
)
from quorum_md.sampling.exchange import acceptance, mixing_of
from quorum_md.units import BOLTZMANN_EV_K


@pytest.fixture(scope="module")
def run():
    return harmonic_rows()


def test_counted_again(run):
    """Decisions follow from the journal: all of it, or what came after a checkpoint."""
    header, rows, exchange = run
    found = exchanged(header, rows)
    np.testing.assert_array_equal(found.exchange.accepted, exchange.accepted)
    half = exchanged(header, rows[:900])
    state = {"exchange": half.exchange.state(), "mixing": half.mixing.state()}
    rest = exchanged(header, rows, json.loads(json.dumps(state)))
    np.testing.assert_array_equal(rest.exchange.proposed, exchange.proposed)
    np.testing.assert_array_equal(rest.mixing.transitions, found.mixing.transitions)
    whole = mixing_of(np.vstack([np.arange(4), rows["after"]]))
    np.testing.assert_array_equal(rest.mixing.round_trips, whole.round_trips)


def test_probabilities_of_springs(run):
    """Mean of min(1, exp((β_s − β_t)(E_s − E_t))) by drawing from the law, for every pair."""
    header, rows, _ = run
    found = probabilities(header, rows)
    rng = np.random.default_rng(8)
    beta = 1 / (BOLTZMANN_EV_K * np.array(KELVIN))
    for s, t in ((0, 1), (0, 3), (2, 1)):
        energies = rng.gamma(FREEDOM / 2, 1 / beta[[s, t]], (200_000, 2))
        ratio = (beta[s] - beta[t]) * (energies[:, 0] - energies[:, 1])
        exact = np.exp(np.minimum(0.0, ratio)).mean()
        assert found[s, t] == found[t, s] == pytest.approx(exact, abs=0.02)


def test_tables(run, tmp_path):
    header, rows, exchange = run
    write_journal(tmp_path, header, rows)
    write_summary(tmp_path, 5000)
    states = np.loadtxt(tmp_path / "states.dat")
    np.testing.assert_allclose(states[:, 1], KELVIN)
    np.testing.assert_allclose(states[:, 4], rows["energy_eV"][1000:].mean(axis=0), rtol=1e-6)
    exact = FREEDOM / 2 * BOLTZMANN_EV_K * np.array(KELVIN)
    assert (np.abs(states[:, 4] - exact) < 4 * states[:, 5]).all()
    ladder = np.loadtxt(tmp_path / "ladder.dat")
    up = acceptance(exchange.proposed, exchange.accepted)
    np.testing.assert_allclose(ladder[:-1, 5], up, atol=1e-4)
    trips = of_folder(tmp_path).mixing.round_trips
    np.testing.assert_array_equal(ladder[:, 8], trips)
    text = status(tmp_path, attempts=5000)
    assert "# 2000 attempts of 5000, 10 steps before each" in text and trips.sum() > 20
    assert "momenta" not in text and "replica exchange of 4 states: 2000 attempts" in text


def test_a_ladder_from_its_statistics(run, tmp_path, capsys):
    header, rows, _ = run
    write_journal(tmp_path, header, rows)
    write_summary(tmp_path, 2000)
    assert main(["remd", "--plan", str(tmp_path / "ladder.dat"), "--replicas", "6"]) == 0
    assert "300 to 400 K" in capsys.readouterr().out
    assert main(["remd", "one.toml", "two.toml"]) == 2
    assert "got 2 files, expected one: run.toml" in capsys.readouterr().err


def test_a_wrong_temperature_is_pointed_at(run, tmp_path):
    header, rows, _ = run
    wrong = rows.copy()
    wrong["kinetic_K"][:, 2] *= 1.1
    write_journal(tmp_path, header, wrong)
    assert "# state 2: momenta have 401" in status(tmp_path)
    write_journal(tmp_path, header, rows[:0])
    assert "no attempt yet" in status(tmp_path)


def test_figure(run, tmp_path, capsys):
    header, rows, _ = run
    axes = figure(header, rows, title="springs").axes
    energies, matrix, mean, paths, trips, top = axes
    assert len(energies.patches) == 4
    np.testing.assert_allclose(
        matrix.images[0].get_array().data[0, 1], probabilities(header, rows)[0, 1]
    )
    np.testing.assert_allclose(mean.lines[0].get_ydata(), rows["energy_eV"][1000:].mean(axis=0))
    path = paths.lines[0].get_ydata()
    states = np.argsort(rows["after"], axis=1)[-len(path) :, 0]
    np.testing.assert_array_equal(path, np.array(KELVIN)[states])
    assert 100 <= len(path) < 500
    found = mixing_of(np.vstack([np.arange(4), rows["after"]]))
    heights = [bar.get_height() for bar in trips.patches]
    np.testing.assert_array_equal(heights, found.round_trips)
    assert f"eigenvalue {found.eigenvalue:.3f}" in top.get_title()
    write_journal(tmp_path, header, rows)
    assert main(["plot", str(tmp_path), "-o", str(tmp_path / "remd.png")]) == 0
    assert (tmp_path / "remd.png").stat().st_size > 20_000
    assert main(["plot", str(tmp_path), "-o", str(tmp_path / "remd.doc")]) == 2
    assert "ends in .png" in capsys.readouterr().err
    write_journal(tmp_path, header, rows[:0])
    assert main(["plot", str(tmp_path), "-o", str(tmp_path / "remd.png")]) == 2
    assert "has no attempt yet" in capsys.readouterr().err
