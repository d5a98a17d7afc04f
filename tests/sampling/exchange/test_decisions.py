"""Permutations against enumeration, the documented random numbers, and nothing but these."""

import json
from itertools import permutations

import numpy as np
import pytest

from quorum_md.errors import QuorumError
from quorum_md.sampling.exchange import (
    SCHEMES,
    Exchange,
    State,
    reduced_energies,
    velocity_factor,
)
from quorum_md.sampling.streams import uniforms, words
from quorum_md.units import BOLTZMANN_EV_K

U3 = np.array([[0.3, 1.1, 0.2], [-0.5, 0.4, 0.9], [1.2, 0.1, -0.3]])


def law(u):
    """Permutations, and their exact probabilities ∝ exp(−Σ u[replica, state])."""
    orders = list(permutations(range(len(u))))
    weights = np.exp([-sum(u[p[s], s] for s in range(len(u))) for p in orders])
    return orders, weights / weights.sum()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_permutation_has_its_probability(scheme):
    orders, exact = law(U3)
    spacing, n = {"gibbs": 1, "all_pairs": 3}.get(scheme, 8), 4000
    exchange = Exchange(3, seed=11, scheme=scheme, per_attempt=spacing)
    counts = dict.fromkeys(orders, 0)
    for _ in range(n):
        counts[tuple(exchange.attempt(U3).permutation.tolist())] += 1
    found = np.array([counts[order] for order in orders])
    z = (found - n * exact) / np.sqrt(n * exact * (1 - exact))
    assert np.abs(z).max() < 4, z


def test_a_round_of_neighbors_keeps_the_law_exactly():
    """The matrix of transitions, from the probabilities that the attempts state."""
    orders, exact = law(U3)
    for number, pair in ((0, (0, 1)), (1, (1, 2))):
        flow = np.zeros(6)
        for order, weight in zip(orders, exact, strict=True):
            exchange = Exchange(3, seed=1)
            exchange.permutation = np.array(order)
            attempt = exchange.attempt(U3, number)
            assert [tuple(x) for x in np.argwhere(attempt.proposed)] == [pair]
            swapped = list(order)
            swapped[pair[0]], swapped[pair[1]] = order[pair[1]], order[pair[0]]
            p = attempt.probability[pair]
            expected = np.exp(-U3[swapped[pair[0]], pair[0]] - U3[swapped[pair[1]], pair[1]])
            expected /= np.exp(-U3[order[pair[0]], pair[0]] - U3[order[pair[1]], pair[1]])
            assert p == pytest.approx(min(1, expected), rel=1e-12)
            flow[orders.index(order)] += weight * (1 - p)
            flow[orders.index(tuple(swapped))] += weight * p
        np.testing.assert_allclose(flow, exact, rtol=1e-12)


def test_one_gibbs_attempt_forgets_the_permutation():
    """From each of the permutations, frequencies after one attempt are close to the law."""
    orders, exact = law(U3)
    n = 1000
    for start in (orders[0], orders[-1]):
        counts = dict.fromkeys(orders, 0)
        exchange = Exchange(3, seed=5, scheme="gibbs", per_attempt=2)
        for _ in range(n):
            exchange.permutation = np.array(start)
            counts[tuple(exchange.attempt(U3).permutation.tolist())] += 1
        found = np.array([counts[order] for order in orders])
        assert np.abs(found / n - exact).max() < 0.06


def by_hand(u, permutation, seed, number, per_attempt):
    """Even and odd neighbours with the random numbers as they are documented."""
    n, order = len(u), list(permutation)
    drawn = uniforms(words(seed, number << 40, n * per_attempt)).reshape(-1)
    for step in range(per_attempt):
        turn = number * per_attempt + step
        for low in range(turn % 2 if n > 2 else 0, n - 1, 2):
            a, b = order[low], order[low + 1]
            change = u[a, low + 1] + u[b, low] - u[a, low] - u[b, low + 1]
            if drawn[step * n + low] < np.exp(-max(change, 0)):
                order[low], order[low + 1] = b, a
    return order


@pytest.mark.parametrize("n", [2, 5, 8])
@pytest.mark.parametrize("per_attempt", [1, 3])
def test_neighbors_are_as_documented(n, per_attempt):
    rng = np.random.default_rng(4)
    exchange = Exchange(n, seed=77, per_attempt=per_attempt)
    for number in range(20):
        u = rng.normal(size=(n, n))
        expected = by_hand(u, exchange.permutation, 77, number, per_attempt)
        assert exchange.attempt(u).permutation.tolist() == expected
    assert exchange.accepted.sum() > 5


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("n", [2, 5, 8])
def test_an_attempt_depends_on_its_number_and_the_permutation_alone(scheme, n):
    rng = np.random.default_rng(5)
    energies = rng.normal(size=(12, n, n))
    one = Exchange(n, seed=3, scheme=scheme, per_attempt=2)
    attempts = [one.attempt(u) for u in energies]
    assert any(not np.array_equal(a.permutation, np.arange(n)) for a in attempts)
    half = Exchange(n, seed=3, scheme=scheme, per_attempt=2)
    for u in energies[:5]:
        half.attempt(u)
    resumed = Exchange(n, seed=3, scheme=scheme, per_attempt=2)
    resumed.restore(json.loads(json.dumps(half.state())))
    for u in energies[5:]:
        resumed.attempt(u)
    assert resumed.state() == one.state()
    jumped = Exchange(n, seed=3, scheme=scheme, per_attempt=2)
    jumped.permutation = attempts[8].permutation
    assert jumped.attempt(energies[9], 9).permutation.tolist() == attempts[9].permutation.tolist()


@pytest.mark.parametrize("n", [2, 3, 6, 7])
def test_proposals_of_each_scheme(n):
    u = np.zeros((n, n))
    upper = np.triu(np.ones((n, n), dtype=int), 1)
    exchange = Exchange(n, seed=1, scheme="all_pairs")
    np.testing.assert_array_equal(exchange.attempt(u).proposed, upper)
    np.testing.assert_array_equal(exchange.attempt(u).accepted, upper)
    exchange = Exchange(n, seed=1, scheme="gibbs", per_attempt=2)
    np.testing.assert_array_equal(exchange.attempt(u).proposed, 2 * n * upper)
    parities = []
    exchange = Exchange(n, seed=1, scheme="random_neighbors")
    for _ in range(400):
        proposed = exchange.attempt(u).proposed
        pairs = np.argwhere(proposed)
        assert (np.diff(pairs, axis=1) == 1).all()
        parities.append(pairs[0, 0])
    if n > 2:
        assert abs(np.mean(parities) - 0.5) < 4 * 0.5 / 20


def test_forbidden_configurations_stay_where_they_are():
    u = np.zeros((2, 2))
    u[0, 1] = np.inf
    exchange = Exchange(2, seed=1)
    for _ in range(20):
        assert exchange.attempt(u).permutation.tolist() == [0, 1]
    u[:, 1] = np.inf  # no order is possible: nothing moves, nothing fails
    assert exchange.attempt(u).accepted.sum() == 0


def test_reduced_energies():
    states = [State(300.0, 1.0), State(600.0, -0.5)]
    energies, volumes = np.array([-3.0, -2.5]), np.array([100.0, 110.0])
    u = reduced_energies(energies, states, volumes)
    for r in range(2):
        for s, state in enumerate(states):
            # 1 GPa Å³ is 1e-21 J
            work_eV = state.pressure_GPa * volumes[r] * 1e-21 / 1.602176634e-19
            kT = BOLTZMANN_EV_K * state.temperature_K
            assert u[r, s] == pytest.approx((energies[r] + work_eV) / kT, rel=1e-12)
    matrix = np.array([[1.0, 2.0], [3.0, np.inf]])
    u = reduced_energies(matrix, [State(300.0), State(600.0)])
    np.testing.assert_allclose(u, matrix / (BOLTZMANN_EV_K * np.array([300.0, 600.0])))
    assert velocity_factor(300.0, 1200.0) == 2.0


@pytest.mark.parametrize(
    ("call", "words_of_it"),
    [
        (lambda: State(-3.0), "temperature_K"),
        (lambda: State(300.0, float("nan")), "pressure_GPa"),
        (lambda: reduced_energies([1.0, np.nan], [State(1.0)] * 2), "replica 1"),
        (lambda: reduced_energies([1.0], [State(1.0)] * 2), "shape"),
        (lambda: reduced_energies([1.0, 2.0], [State(1.0), State(1.0, 0.0)]), "state 0 has none"),
        (lambda: reduced_energies([1.0, 2.0], [State(1.0, 0.0)] * 2), "volumes_A3"),
        (lambda: Exchange(1, seed=1), "two or more"),
        (lambda: Exchange(2, seed=-1), "seed"),
        (lambda: Exchange(2, seed=1, scheme="neighbours"), "neighbors"),
        (lambda: Exchange(2, seed=1, per_attempt=0), "per_attempt"),
        (lambda: Exchange(2, seed=1).attempt(np.zeros((3, 3))), "shape"),
        (lambda: Exchange(3, seed=1).restore(Exchange(2, seed=1).state()), "permutation"),
    ],
)
def test_refusals(call, words_of_it):
    with pytest.raises(QuorumError, match=words_of_it):
        call()
