"""The chain: distributions against enumeration, and the same chain however it is evaluated."""

import numpy as np
import pytest
from ase import Atoms
from lattice import RingPotential, boltzmann, chi_square_z, ring, states

from quorum_md.errors import QuorumError, QuorumWarning
from quorum_md.sampling import CanonicalSwap, Flip, NeighborSwap, SwapMonteCarlo
from quorum_md.sampling.local_energy import LocalEnergies
from quorum_md.sampling.streams import uniforms, words
from quorum_md.sampling.swaps import Ahead
from quorum_md.units import BOLTZMANN_EV_K

NB, MO, W = 41, 42, 74
COUPLINGS = {(NB, MO): -0.05, (NB, W): 0.03, (MO, W): 0.06, (NB, NB): 0.02, (W, W): -0.02}
FIELDS = {NB: 0.01, MO: -0.02}
T = 500.0
KT = BOLTZMANN_EV_K * T
NUMBERS = [NB, NB, NB, MO, MO, W, W]


def potential(**kwargs):
    return RingPotential(COUPLINGS, FIELDS, bend=0.03, **kwargs)


def sample(n_samples, numbers=NUMBERS, spacing=20, **kwargs):
    """States of 20 chains, so far apart that they are as good as independent."""
    result = []
    for seed in range(20):
        atoms = numbers if isinstance(numbers, Atoms) else ring(numbers)
        mc = SwapMonteCarlo(atoms, potential(), temperature_K=T, seed=seed, **kwargs)
        for _ in range(n_samples // 20):
            mc.run(spacing)
            result.append(mc.energies.numbers.tolist())
    return result


@pytest.mark.parametrize("batch", [1, "auto"])
def test_states_of_a_ring_have_their_boltzmann_frequencies(batch):
    arrangements = states(NUMBERS)
    expected = boltzmann(potential(), arrangements, KT)
    z, cells = chi_square_z(sample(2000, batch=batch), arrangements, expected)
    assert cells > 60
    assert abs(z) < 3.5


def test_two_sites_of_two_species():
    """Two arrangements, of equal energy but for a bias of 3 kT: occupancy 1/(1 + e³) = 0.047."""
    model = RingPotential({(NB, MO): 0.1})

    def bias(numbers, change):
        after = dict(change)
        return 3 * KT * ((after.get(0, numbers[0]) == NB) - int(numbers[0] == NB))

    biased, free = [], []
    for use, result in ((bias, biased), (None, free)):
        mc = SwapMonteCarlo(
            ring([NB, MO, MO]), model, temperature_K=T, seed=3, sites=[0, 1], bias=use
        )
        for _ in range(4000):
            mc.run(3)
            result.append(mc.energies.numbers[0] == NB)
    p = 1 / (1 + np.exp(3))
    assert p == pytest.approx(0.0474, abs=1e-4)
    assert abs(np.mean(biased) - p) < 4 * np.sqrt(p * (1 - p) / 4000 * 1.5)
    assert abs(np.mean(free) - 0.5) < 4 * np.sqrt(0.25 / 4000 * 1.5)


@pytest.mark.parametrize("kwargs", [{}, {"sigma_eV": 0.05}], ids=["mean", "weighted baseline"])
def test_chain_is_the_sequential_one(kwargs):
    """Trial by trial with full energies and the documented draws; on a longer ring, where most
    pairs are far apart, and at low temperature, where differences are kept long."""
    model = potential(**kwargs)
    rng = np.random.default_rng(0)
    start = rng.permutation([NB] * 8 + [MO] * 7 + [W] * 5)
    n = 600
    for kelvin in (T, 100.0):
        numbers = start.copy()
        species = [NB, MO, W]
        slots = [np.flatnonzero(numbers == z).tolist() for z in species]
        pairs = [(0, 1), (0, 2), (1, 2)]
        weights = np.array([56.0, 40.0, 35.0])
        edges = np.cumsum(weights) / weights.sum()
        energy = model.driving_eV(model.rows(numbers).sum(axis=0)[None])[0]
        history = []
        for u in uniforms(words(9, 0, n)):
            a, b = pairs[int(np.searchsorted(edges, u[0], side="right"))]
            p, q = int(u[1] * len(slots[a])), int(u[2] * len(slots[b]))
            trial = numbers.copy()
            i, j = slots[a][p], slots[b][q]
            trial[i], trial[j] = numbers[j], numbers[i]
            new = model.driving_eV(model.rows(trial).sum(axis=0)[None])[0]
            if u[3] < np.exp(-(new - energy) / (BOLTZMANN_EV_K * kelvin)):
                numbers, energy = trial, new
                slots[a][p], slots[b][q] = j, i
            history.append(numbers.copy())
        for batch in (1, 5, "auto"):
            mc = SwapMonteCarlo(ring(start), model, temperature_K=kelvin, seed=9, batch=batch)
            for k in range(0, n, 50):
                mc.run(50)
                np.testing.assert_array_equal(mc.energies.numbers, history[k + 49])
            assert mc.energy_eV == pytest.approx(energy, abs=1e-12)
            assert mc.energy_drift_eV < 1e-12
            assert mc.attempts == n
            assert sum(count.attempts for count in mc.pair_statistics.values()) == n
            assert sum(count.accepted for count in mc.pair_statistics.values()) == mc.accepted
            members = model.members_eV(model.rows(numbers).sum(axis=0))
            np.testing.assert_allclose(mc.member_energies_eV, members, atol=1e-12)


def test_differences_are_kept_until_a_shared_centre_changes():
    """At low temperature nearly all trials are look-ups."""
    mc = SwapMonteCarlo(
        ring([NB, MO] * 200), RingPotential({(NB, MO): -0.5}), temperature_K=300, seed=1
    )
    mc.run(20000)
    assert mc.accepted < 20
    # 400 sites with one other element each, and pairs of neighbours: not 20000 trials
    assert mc.energies.evaluated < 20000
    assert mc.energies.frozen.calls < 100


def test_listed_and_weighted_pairs():
    move = CanonicalSwap({("W", "Nb"): 3.0, ("Mo", "W"): 1.0})
    arrangements = states(NUMBERS)
    expected = boltzmann(potential(), arrangements, KT)
    found = sample(1000, spacing=100, move=move)
    assert abs(chi_square_z(found, arrangements, expected)[0]) < 3.5
    mc = SwapMonteCarlo(ring(NUMBERS), potential(), temperature_K=T, seed=1, move=move)
    mc.run(4000)
    statistics = mc.pair_statistics
    assert set(statistics) == {("Nb", "W"), ("Mo", "W")}
    share = statistics["Nb", "W"].attempts / 4000
    assert abs(share - 0.75) < 4 * np.sqrt(0.75 * 0.25 / 4000)


def test_neighbours_of_unequal_number():
    """A chain with ends: sites have one or two neighbours, and still every arrangement its due."""
    numbers = [NB, NB, MO, MO, W]
    atoms = Atoms(numbers, positions=[[0, 0, 3.0 * k] for k in range(5)])
    arrangements = states(numbers)
    expected = boltzmann(potential(), arrangements, KT)
    found = sample(1000, atoms, spacing=60, move=NeighborSwap(3.5))
    assert abs(chi_square_z(found, arrangements, expected)[0]) < 3.5


@pytest.mark.parametrize("kappa", [0.0, 0.4])
def test_flips_visit_compositions_as_their_potentials_say(kappa):
    """All 3⁵ states of a ring by exp(−(U − Σ μ N + κ N Σ (c − c0)²)/kT)."""
    mu = {"Nb": 0.03, "W": -0.02}
    target = {"Nb": 0.4, "Mo": 0.4, "W": 0.2}
    start = [NB, MO, W, W, MO]
    everything = [
        tuple(s) for s in np.array(np.meshgrid(*[[NB, MO, W]] * 5)).reshape(5, -1).T.tolist()
    ]

    def extra(s):
        c = {name: s.count(z) / 5 for name, z in (("Nb", NB), ("Mo", MO), ("W", W))}
        work = -5 * sum(mu[name] * c[name] for name in mu)
        return work + kappa * 5 * sum((c[name] - target[name]) ** 2 for name in target)

    expected = boltzmann(potential(), everything, KT, extra)
    move = Flip(mu, kappa, target if kappa else None)
    z, cells = chi_square_z(sample(2000, start, spacing=60, move=move), everything, expected)
    assert cells > 50 and abs(z) < 3.5


def test_isotherm_without_interactions():
    """Occupation of an ideal lattice: 1/(1 + exp(−(Δμ − Δε)/kT)), with its binomial error."""
    model = RingPotential({}, {NB: 0.02})
    for mu in (-0.05, 0.0, 0.06):
        mc = SwapMonteCarlo(
            ring([MO] * 500), model, temperature_K=T, seed=4, species=["Nb", "Mo"],
            move=Flip({"Nb": mu}),
        )  # fmt: skip
        mc.run(6000)
        p = 1 / (1 + np.exp(-(mu - 0.02) / KT))
        found = np.mean(mc.energies.numbers == NB)
        assert abs(found - p) < 4 * np.sqrt(p * (1 - p) / 500)


def test_variance_of_the_constrained_ensemble():
    """Ideal lattice of two species: the binomial weight times exp(−2 κ N (c − c0)²/kT)."""
    n, kappa = 30, 0.5
    model = RingPotential({})
    mc = SwapMonteCarlo(
        ring([NB] * 15 + [MO] * 15), model, temperature_K=T, seed=5,
        move=Flip({}, kappa, {"Nb": 0.7, "Mo": 0.3}),
    )  # fmt: skip
    found = []
    for _ in range(1500):
        mc.run(40)
        found.append(np.sum(mc.energies.numbers == NB))
    from scipy.special import gammaln

    k = np.arange(n + 1)
    log = -gammaln(k + 1) - gammaln(n - k + 1) - 2 * kappa * n * (k / n - 0.7) ** 2 / KT
    p = np.exp(log - log.max())
    p /= p.sum()
    mean, second = p @ k, p @ k**2
    variance = second - mean**2
    assert abs(np.mean(found) - mean) < 4 * np.sqrt(variance / 1500)
    assert abs(np.var(found, ddof=1) / variance - 1) < 4 * np.sqrt(2 / 1500)


def test_restart_continues_the_chain(tmp_path):
    rng = np.random.default_rng(0)
    start = ring(rng.permutation([NB] * 8 + [MO] * 7 + [W] * 5))
    for move in (CanonicalSwap, lambda: Flip({"Nb": 0.01}), lambda: NeighborSwap(7.0)):
        whole = SwapMonteCarlo(start, potential(), temperature_K=T, seed=2, move=move())
        whole.run(500)
        first = SwapMonteCarlo(start, potential(), temperature_K=T, seed=2, move=move())
        first.run(217)
        first.save(tmp_path / "chain.json")
        second = SwapMonteCarlo(start, potential(), temperature_K=T, seed=2, move=move())
        second.restore(tmp_path / "chain.json")
        second.run(283)
        np.testing.assert_array_equal(whole.energies.numbers, second.energies.numbers)
        assert whole.pair_statistics == second.pair_statistics
        assert whole.energy_eV == pytest.approx(second.energy_eV, abs=1e-12)
    other = SwapMonteCarlo(start, potential(), temperature_K=T, seed=3)
    with pytest.raises(QuorumError, match="another chain"):
        other.restore(tmp_path / "chain.json")
    (tmp_path / "half.json").write_text("{")
    with pytest.raises(QuorumError, match="cannot be read"):
        other.restore(tmp_path / "half.json")


def test_an_element_that_has_died_out_comes_back(tmp_path):
    """The species are those of the first structure, also of a chain that goes on from a file."""

    def chain(numbers, **kwargs):
        return SwapMonteCarlo(
            ring(numbers), potential(), temperature_K=T, seed=1, move=Flip(), **kwargs
        )

    mc = chain(NUMBERS)
    mc.set_atoms(ring([NB] * 7))
    mc.save(tmp_path / "chain.json")
    mc.run(200)
    statistics = mc.pair_statistics
    assert statistics["Nb", "Mo"].accepted and statistics["Mo", "W"].accepted
    again = chain([NB] * 7, species=["Nb", "Mo", "W"])
    again.restore(tmp_path / "chain.json")
    again.run(200)
    np.testing.assert_array_equal(again.energies.numbers, mc.energies.numbers)
    with pytest.raises(QuorumError, match=r"draws from the species Nb Mo W, this one from Nb Mo;"):
        chain([NB] * 6 + [MO]).restore(tmp_path / "chain.json")


def test_momenta_follow_the_masses():
    """p²/m stays, atom by atom, and with it the kinetic energy; so do masses that were set."""
    atoms = ring([NB, MO, MO, W, W, NB])
    rng = np.random.default_rng(1)
    atoms.set_momenta(rng.normal(size=(6, 3)))
    for masses in (None, {NB: 10.0, MO: 20.0, W: 30.0}):
        if masses:
            atoms.set_masses([masses[z] for z in atoms.numbers])
        mc = SwapMonteCarlo(atoms, potential(), temperature_K=5000, seed=2)
        mc.run(40)
        after = mc.atoms
        assert not np.array_equal(after.numbers, atoms.numbers)
        kinetic = [(a.get_momenta() ** 2).sum(axis=1) / a.get_masses() for a in (atoms, after)]
        np.testing.assert_allclose(*kinetic, rtol=1e-12)
        if masses:
            np.testing.assert_allclose(after.get_masses(), [masses[z] for z in after.numbers])
    assert atoms.numbers.tolist() == [NB, MO, MO, W, W, NB]


def test_positions_may_change_between_runs():
    """New positions, same chain of trials: counters go on."""
    mc = SwapMonteCarlo(ring(NUMBERS), potential(), temperature_K=T, seed=2)
    mc.run(30)
    atoms = mc.atoms
    atoms.positions += 0.01
    mc.set_atoms(atoms)
    mc.run(30)
    assert mc.attempts == 60
    assert mc.energy_drift_eV < 1e-12


def test_drift_is_found_and_mended():
    mc = SwapMonteCarlo(ring(NUMBERS), potential(), temperature_K=T, seed=2, check_every=5)
    mc.energies.totals_eV = mc.energies.totals_eV + 0.25
    with pytest.warns(QuorumWarning, match="ring: energies .* are off by 0.25 eV") as said:
        mc.run(60)
        mc.energies.totals_eV = mc.energies.totals_eV + 0.2
        mc.run(60)
    assert len(said) == 1
    assert mc.energies.largest_drift_eV == pytest.approx(0.25)
    assert mc.energies.check() == pytest.approx(0.0, abs=1e-12)


def test_words_are_by_counter():
    """As the documentation says, so that other engines can draw the same trials."""
    np.testing.assert_array_equal(words(5, 0, 10)[7:], words(5, 7, 3))
    source = np.random.Philox(key=5)
    np.testing.assert_array_equal(words(5, 0, 2).reshape(-1), source.random_raw(8))
    assert uniforms(np.array([[2**64 - 1]], dtype=np.uint64))[0, 0] == 1 - 2.0**-53


@pytest.mark.parametrize(
    "match, kwargs",
    [
        ("hold Nb; expected at least two", {"sites": [0, 1, 2]}),
        ("hold Mo; expected at least two", {"species": ["Mo", "Cr"]}),
        ("temperature_K = 0", {"temperature_K": 0}),
        ("temperature_K = nan", {"temperature_K": float("nan")}),
        ("species: got Nb Xx", {"species": ["Nb", "Xx"]}),
        ("sites: expected indices from 0 to 6", {"sites": [0, 9]}),
        ("seed: got -1", {"seed": -1}),
        ("batch: got 'many'", {"batch": "many"}),
        ("check_every: got 0", {"check_every": 0}),
        (r"pair \('Nb', 'Nb'\)", {"pairs": [("Nb", "Nb")]}),
        ("pair Nb-Cr", {"pairs": [("Nb", "Cr")]}),
        ("weight -1", {"pairs": {("Nb", "W"): -1}}),
        ("no two eligible atoms are within 0.1", {"near": 0.1}),
        ("concentrations add up to 0.5", {"flip": ({}, 1.0, {"Nb": 0.5})}),
        ("kappa_eV = -1", {"flip": ({}, -1.0)}),
        ("Cr has a chemical potential", {"flip": ({"Cr": 0.1},)}),
    ],
)
def test_bad_input_is_one_sentence(match, kwargs):
    settings = {"temperature_K": T, "seed": 1, **kwargs}
    with pytest.raises(QuorumError, match=match) as raised:
        if "pairs" in kwargs:
            settings["move"] = CanonicalSwap(settings.pop("pairs"))
        if "near" in kwargs:
            settings["move"] = NeighborSwap(settings.pop("near"))
        if "flip" in kwargs:
            settings["move"] = Flip(*settings.pop("flip"))
        SwapMonteCarlo(ring(NUMBERS), potential(), **settings)
    assert "\n" not in str(raised.value)


def test_far_sites_add_up():
    """Parts of a change of many sites, against the whole."""
    model = potential()
    rng = np.random.default_rng(3)
    numbers = rng.choice([NB, MO, W], 30)
    energies = LocalEnergies(model.frozen(ring(numbers)), numbers)
    for _ in range(50):
        sites = sorted(rng.choice(30, rng.integers(1, 6), replace=False).tolist())
        change = tuple((s, int(rng.choice([NB, MO, W]))) for s in sites)
        after = numbers.copy()
        for s, z in change:
            after[s] = z
        want = model.rows(after).sum(axis=0) - model.rows(numbers).sum(axis=0)
        np.testing.assert_allclose(energies.difference_eV(change), want, atol=1e-13)
        for part in energies.parts(change):
            for other in energies.parts(change):
                assert part == other or energies.near(part[0][0]).isdisjoint(
                    energies.near(other[0][0])
                )


def test_what_is_forgotten_is_not_needed_in_the_same_call():
    """Where nearly nothing is kept, differences and chains are those of where all is."""
    model = potential()
    rng = np.random.default_rng(3)
    numbers = rng.choice([NB, MO, W], 30)
    few, all_of_them = (LocalEnergies(model.frozen(ring(numbers)), numbers) for _ in range(2))
    few.KEPT = 1
    for site in range(0, 24, 3):
        change = ((site, MO), (site + 5, W))
        few.learn([change[:1]])
        np.testing.assert_array_equal(few.difference_eV(change), all_of_them.difference_eV(change))
        assert len(few._known) <= 3 and few._unused <= set(few._known)


def test_what_went_unused_counts_until_something_is_evaluated():
    ahead = Ahead("auto")
    ahead.adapt(20, 0)
    assert ahead.size == 64
    ahead.adapt(0, 9)  # a trial that needed nothing
    ahead.adapt(20, 9)
    assert ahead.size == 32
