"""Ladders and mixing on a chain with known answers: energies of a harmonic solid, drawn afresh."""

import numpy as np
import pytest
from scipy.special import betainc

from quorum_md.errors import QuorumError
from quorum_md.sampling.exchange import (
    Exchange,
    Mixing,
    State,
    acceptance,
    equal_rejection,
    geometric,
    mixing_of,
    plan,
    plan_from_acceptance,
    reduced_energies,
    replica_paths,
    round_trip_attempts,
)
from quorum_md.units import BOLTZMANN_EV_K


def exact_acceptance(temperatures, half_degrees):
    """Of harmonic solids: energies are kT times numbers of a gamma distribution."""
    x = temperatures[:-1] / (temperatures[:-1] + temperatures[1:])
    return 2 * betainc(half_degrees, half_degrees, x)


def run(temperatures, half_degrees, n_attempts, seed=1, **options):
    """Exchanges of a harmonic solid that forgets its energy between attempts."""
    n = len(temperatures)
    rng = np.random.default_rng(seed)
    states = [State(t) for t in temperatures]
    exchange, mixing = Exchange(n, seed=seed, **options), Mixing(n)
    mixing.add(exchange.permutation)
    history = [exchange.permutation]
    sums = np.zeros((2, n))
    for _ in range(n_attempts):
        by_state = BOLTZMANN_EV_K * temperatures * rng.gamma(half_degrees, size=n)
        by_replica = np.empty(n)
        by_replica[exchange.permutation] = by_state
        attempt = exchange.attempt(reduced_energies(by_replica, states))
        after = by_replica[attempt.permutation] / (BOLTZMANN_EV_K * temperatures)
        sums += after, after**2
        mixing.add(attempt.permutation)
        history.append(attempt.permutation)
    return exchange, mixing, sums / n_attempts, np.array(history)


TEMPERATURES = geometric(300, 600, 6)
A = 30.0  # 20 atoms


@pytest.fixture(scope="module")
def long_run():
    return run(TEMPERATURES, A, 30000)


def test_energies_of_the_states_after_exchanges(long_run):
    """Means and variances are those of the states still; a wrong sign shifts them by many σ."""
    mean, square = long_run[2]
    error = np.sqrt(A / 30000)
    assert np.abs((mean - A) / error).max() < 4
    variance_error = np.sqrt((3 * A**2 + 6 * A - A**2) / 30000)
    assert np.abs((square - mean**2 - A) / variance_error).max() < 4


def test_acceptance_of_a_harmonic_solid(long_run):
    exchange = long_run[0]
    exact = exact_acceptance(TEMPERATURES, A)
    n = np.diagonal(exchange.proposed, 1)
    z = (acceptance(exchange.proposed, exchange.accepted) - exact) / np.sqrt(
        exact * (1 - exact) / n
    )
    assert np.abs(z).max() < 4
    # the probabilities are the better estimate
    better = acceptance(exchange.proposed, exchange.probability)
    assert np.abs(better - exact).max() < 4 * np.sqrt((exact * (1 - exact) / n).max())


def turn(accepted):
    """Transition matrices of one replica for even and for odd pairs."""
    n = len(accepted) + 1
    result = []
    for parity in (0, 1):
        matrix = np.eye(n)
        for low in range(parity, n - 1, 2):
            a = accepted[low]
            matrix[low : low + 2, low : low + 2] = [[1 - a, a], [a, 1 - a]]
        result.append(matrix)
    return result


def test_mixing_eigenvalue(long_run):
    even, odd = turn(exact_acceptance(TEMPERATURES, A))
    exact = np.sort(np.abs(np.linalg.eigvals(even @ odd)))[-2]
    mixing = long_run[1]
    assert mixing.eigenvalue == pytest.approx(exact, abs=0.01)
    assert mixing.relaxation_attempts == pytest.approx(-2 / np.log(exact), rel=0.03)
    error = np.sqrt(0.25 / 15000)
    shares = mixing.transitions / mixing.transitions.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, even @ odd, atol=4 * error)


def hits_top_first(accepted):
    """By state: whether the top was visited last, from the chain run backwards."""
    n = len(accepted) + 1
    even, odd = turn(accepted)
    zero = np.zeros((n, n))
    # backwards, a state reached by even pairs came from one reached by odd pairs
    back = np.block([[zero, even.T], [odd.T, zero]])
    inner = [i for i in range(2 * n) if i % n not in (0, n - 1)]
    top = [n - 1, 2 * n - 1]
    f = np.zeros(2 * n)
    f[top] = 1
    f[inner] = np.linalg.solve(
        np.eye(len(inner)) - back[np.ix_(inner, inner)], back[np.ix_(inner, top)].sum(axis=1)
    )
    return f.reshape(2, n).mean(axis=0)


def test_fraction_that_was_last_at_the_top(long_run):
    exact = hits_top_first(exact_acceptance(TEMPERATURES, A))
    found = long_run[1].fraction_from_top
    assert found[0] == 0 and found[-1] == 1
    np.testing.assert_allclose(found, exact, atol=0.03)


@pytest.mark.parametrize("scheme", ["neighbors", "random_neighbors"])
@pytest.mark.parametrize("n", [2, 6])
def test_round_trips_take_as_long_as_they_should(scheme, n):
    temperatures = TEMPERATURES[:n]
    n_attempts = 10000
    mixing = run(temperatures, A, n_attempts, seed=3, scheme=scheme)[1]
    expected = n_attempts / round_trip_attempts(exact_acceptance(temperatures, A), scheme) * n
    found = mixing.round_trips.sum()
    # each trip is a renewal whose length varies by less than its mean
    assert abs(found - expected) < 4 * np.sqrt(expected) + n, (found, expected)


@pytest.mark.parametrize("n", [2, 6, 7])
def test_round_trips_where_everything_is_accepted(n):
    """With even and odd neighbours in turn replicas then go straight up and down."""
    exchange, mixing = Exchange(n, seed=1), Mixing(n)
    for _ in range(1 + 10 * n):
        mixing.add(exchange.permutation)
        exchange.attempt(np.zeros((n, n)))
    assert round_trip_attempts(np.ones(n - 1)) == (2 if n == 2 else 2 * n)
    expected = 10 * n / round_trip_attempts(np.ones(n - 1))
    assert (np.abs(mixing.round_trips - expected) <= 1).all()


def test_a_known_ladder_of_32():
    """Round trips per 1000 attempts, from an independent program, for acceptance 0.38."""
    assert 32e3 / round_trip_attempts(np.full(31, 0.38)) == pytest.approx(9.7, abs=0.2)
    random = round_trip_attempts(np.full(31, 0.38), "random_neighbors")
    assert 32e3 / random == pytest.approx(5.9, abs=0.3)


def test_paths_and_counts_by_hand():
    history = [[0, 1, 2], [1, 0, 2], [1, 2, 0], [1, 2, 0], [1, 0, 2], [0, 1, 2]]
    np.testing.assert_array_equal(replica_paths(history)[:, 0], [0, 1, 2, 2, 1, 0])
    mixing = mixing_of(history, lag=1)
    assert mixing.round_trips.tolist() == [1, 0, 0]
    assert mixing.attempts == 5
    # state 1: replicas 1 (from nowhere), 0 (bottom), 2 (top) twice, 0 (top), 1 (bottom)
    assert mixing.from_top.tolist() == [0, 3, 6]
    assert mixing.from_bottom.tolist() == [6, 2, 0]
    assert mixing.transitions.tolist() == [[3, 2, 0], [2, 1, 2], [0, 2, 3]]


def test_replicas_that_never_meet():
    mixing = mixing_of(np.tile(np.arange(4), (50, 1)))
    assert mixing.eigenvalue == 1.0 and mixing.relaxation_attempts == np.inf
    assert mixing.round_trips.sum() == 0
    assert np.isnan(mixing.fraction_from_top[1])
    assert np.isnan(Mixing(4).eigenvalue)


def test_counts_go_on_after_a_restart(long_run):
    history = long_run[3][:300]
    whole, part = mixing_of(history), mixing_of(history[:123])
    resumed = Mixing(6)
    resumed.restore(part.state())
    for row in history[123:]:
        resumed.add(row)
    assert resumed.state() == whole.state()
    with pytest.raises(QuorumError, match="6 states"):
        Mixing(5).restore(part.state())


def test_plan_of_a_harmonic_solid():
    """16 replicas, 300 to 3000 K, 100 atoms: acceptance 0.19; 500 to 1200 K: 0.62."""
    ladder = plan(300, 3000, 150, n=16)
    np.testing.assert_allclose(ladder.temperatures_K, geometric(300, 3000, 16), rtol=1e-6)
    exact = exact_acceptance(ladder.temperatures_K, 150)
    np.testing.assert_allclose(ladder.acceptance, exact, atol=0.01)
    assert exact[0] == pytest.approx(0.19, abs=0.01)
    assert plan(500, 1200, 150, n=16).acceptance[0] == pytest.approx(0.62, abs=0.01)
    assert plan(300, 3000, 750, n=16).acceptance[0] == pytest.approx(0.003, abs=0.001)
    as_few = plan(300, 3000, 150, acceptance=0.4)
    assert as_few.acceptance[0] >= 0.4
    assert plan(300, 3000, 150, n=as_few.n - 1).acceptance[0] < 0.4
    assert as_few.round_trip_attempts == round_trip_attempts(as_few.acceptance)


def test_plan_follows_the_heat_capacity():
    """A peak of the heat capacity draws the temperatures to it."""

    def capacity(kelvin):
        return 50 + 400 * np.exp(-(((kelvin - 500) / 30) ** 2))

    ladder = plan(300, 900, capacity, n=12)
    steps = np.diff(np.log(ladder.temperatures_K))
    assert ladder.temperatures_K[0] == pytest.approx(300)
    assert ladder.temperatures_K[-1] == pytest.approx(900)
    centre = np.argmin(np.abs(ladder.temperatures_K - 500))
    assert steps[centre] < 0.5 * steps[-1]


def test_a_bad_ladder_becomes_an_even_one():
    """From equal steps in T, with exact acceptances; the even ladder is the geometric one."""
    temperatures = np.linspace(300, 1200, 9)
    for _ in range(4):
        temperatures = equal_rejection(temperatures, 1 - exact_acceptance(temperatures, A))
    np.testing.assert_allclose(temperatures, geometric(300, 1200, 9), rtol=0.005)
    exact = exact_acceptance(temperatures, A)
    assert np.ptp(exact) < 0.01
    measured = plan_from_acceptance(temperatures, exact, n=17)
    np.testing.assert_allclose(
        measured.acceptance, exact_acceptance(geometric(300, 1200, 17), A), atol=0.01
    )
    # nothing is ever rejected: evenly in ln T
    np.testing.assert_allclose(
        equal_rejection([300, 400, 1200], [0, 0]), geometric(300, 1200, 3), rtol=1e-12
    )


@pytest.mark.parametrize(
    ("call", "words_of_it"),
    [
        (lambda: geometric(300, 200, 4), "ladder"),
        (lambda: equal_rejection([300, 200], [0.1]), "rise"),
        (lambda: equal_rejection([300, 400], [1.2]), "rejections"),
        (lambda: plan(300, 600, -1.0), "heat_capacity_kB"),
        (lambda: plan(300, 600, 10, acceptance=1.5), "acceptance"),
        (lambda: plan(300, 600, 10, n=1), "replicas"),
    ],
)
def test_refusals(call, words_of_it):
    with pytest.raises(QuorumError, match=words_of_it):
        call()
