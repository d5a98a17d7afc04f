"""The liquidus of a compound in ideal and regular melts against exact ones."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from regular_melt_data import BOX, Melt, bulk_melt, pinned_melt
from two_phase_data import write

from exact_series import assert_unit_normal
from quorum_md.averages.free_energy import shifts_with_errors
from quorum_md.pinning.analysis import analyse
from quorum_md.pinning.branch import branch
from quorum_md.pinning.bulk import Difference, Fusion, bulk
from quorum_md.pinning.liquidus import ideal, liquidus
from quorum_md.pinning.melt import melt_fraction, stiffening, tangent
from quorum_md.pinning.points import Point, point
from quorum_md.pinning.refusals import Limits
from quorum_md.report.pinning_text import lines
from quorum_md.units import BOLTZMANN_EV_K

FRACTIONS = (0.3, 0.5, 0.7)
# crystal, A, B, Ω of each member: the elements' own offsets are large and cancel
MEMBERS = (
    (0.010, 0.8, -0.5, 0.02),
    (-0.012, -0.9, 0.4, -0.06),
    (0.004, 0.3, 0.2, 0.05),
    (-0.002, -0.2, -0.1, -0.01),
)


def test_ideal_part():
    """½ ln[4x(1 − x)] for AB; a pure crystal has only its own ln x."""
    x = np.array([0.1, 0.4, 0.5, 0.9])
    np.testing.assert_allclose(ideal(x, 0.5), 0.5 * np.log(4 * x * (1 - x)))
    np.testing.assert_allclose(ideal(x, 1.0), np.log(x))


def test_tangent():
    """Exact for parabolas, at any composition of melt and crystal."""
    x = np.array([0.2, 0.45, 0.6, 0.8])
    for at, x_s in ((0.3, 0.5), (0.7, 1.0), (0.52, 0.25)):
        shares = tangent(x, at, x_s)
        assert shares.sum() == pytest.approx(1.0)
        assert shares @ x == pytest.approx(x_s)
        assert shares @ x**2 == pytest.approx(at**2 + (x_s - at) * 2 * at)
    np.testing.assert_array_equal(tangent(np.array([0.3, 0.5]), 0.5, 0.5), [0.0, 1.0])
    assert tangent(np.array([0.3, 0.5]), 0.3, 0.5) is None


def test_a_melt_that_changes_stiffens_the_bias():
    """d²G/dQ² against finite differences of Δμ of an ideal melt."""
    melt = Melt(omega=0.0)
    box, solid = pinned_melt(melt, 0.2, 1500.0, 0, n=40), bulk_melt(melt, None, 1500.0, 0, n=40)
    f, step = 0.45, 1e-4
    mu = [melt.delta_mu(melt_fraction(box, solid, f + s), 1500.0) for s in (step, -step)]
    exact = BOX.n_atoms / BOX.delta_q**2 * (mu[0] - mu[1]) / (2 * step)
    assert stiffening(box, solid, f, BOX.delta_q) == pytest.approx(exact, rel=1e-5)
    assert exact > 0
    assert stiffening(replace(box, liquid_fraction=None), solid, f, BOX.delta_q) == 0.0


def write_melts(folder, melt, temperatures=(1440.0, 1500.0), fractions=FRACTIONS):
    for T in temperatures:
        write(bulk_melt(melt, None, T, 0), folder)
        for x in fractions:
            write(bulk_melt(melt, x, T, 0), folder)
            write(pinned_melt(melt, x, T, 0), folder)
    return folder


@pytest.mark.parametrize("omega", [0.0, -0.10])
def test_liquidus_of_a_folder(tmp_path, omega):
    melt = Melt(omega=omega, members=MEMBERS)
    report = analyse(write_melts(tmp_path, melt), discard=0)
    assert not report.refused and [b.liquid_fraction for b in report.branches] == list(FRACTIONS)
    for one in report.branches:
        found, x = one.melting, one.melt_fraction
        assert x == pytest.approx(one.liquid_fraction, abs=0.01)
        assert abs(found.temperature_K - melt.root(x)) < 3.5 * found.statistical_error_K < 15
        exact = [melt.root(x, melt.member(k)) for k in range(4)]
        shifts = found.members_K - found.temperature_K
        np.testing.assert_allclose(shifts, np.array(exact) - melt.root(x), atol=3.0)
        assert found.model_error_K == pytest.approx(np.std(exact, ddof=1), rel=0.05)
        # the enthalpy is that of taking A and B out of this melt, not a plain difference
        h = melt.h + omega * (x - 0.5) ** 2
        assert abs(one.at_melting.enthalpy_eV.value - h) < 4 * one.at_melting.enthalpy_eV.error
        np.testing.assert_allclose(one.by_covariance.members_K, found.members_K, atol=8.0)
    fit = report.liquidus
    assert abs(fit.omega_eV - omega) < 4 * fit.omega_error_eV < 0.3
    exact = np.array([melt.root(x) for x in fit.fractions])
    assert (np.abs(fit.temperatures_K - exact) < 4 * fit.statistical_errors_K).all()
    members = np.array([[melt.root(x, melt.member(k)) for x in fit.fractions] for k in range(4)])
    np.testing.assert_allclose(fit.members_K - fit.temperatures_K, members - exact, atol=4.0)
    np.testing.assert_allclose(fit.model_errors_K, members.std(axis=0, ddof=1), rtol=0.1)
    assert report.melting is not None  # of the melt with the crystal's composition


def test_melts_at_temperatures_of_their_own(tmp_path):
    """Each is pinned where it melts, bulk melts are everywhere: those of the crystal's composition
    say how Δμ goes where it is not pinned, unless they froze."""
    melt = Melt(members=MEMBERS)
    outer, inner = (1370.0, 1430.0), (1470.0, 1530.0)
    for T in (*outer, *inner):
        write(bulk_melt(melt, None, T, 1), tmp_path)
        for x in FRACTIONS:
            write(bulk_melt(melt, x, T, 1), tmp_path)
            if T in (inner if x == 0.5 else outer):
                write(pinned_melt(melt, x, T, 1), tmp_path)
    report = analyse(tmp_path, discard=0)
    for one in report.branches:
        assert [p.temperature_K for p in one.points] == list(
            inner if one.liquid_fraction == 0.5 else outer
        )
        found, exact = one.melting, melt.root(one.melt_fraction)
        assert abs(found.temperature_K - exact) < 3.5 * found.statistical_error_K < 15
        members = [melt.root(one.melt_fraction, melt.member(k)) for k in range(4)]
        assert found.model_error_K == pytest.approx(np.std(members, ddof=1), rel=0.05)
    fit = report.liquidus
    # six Δμ, two Δh beside the pinned runs of x = ½ and two further
    assert fit.freedom == 6 + 4 - 4 and fit.chi2 < 17
    exact = np.array([melt.root(x) for x in fit.fractions])
    assert (np.abs(fit.temperatures_K - exact) < 4 * fit.statistical_errors_K).all()
    frozen = bulk_melt(melt, None, outer[0], 3)
    name = f"liquid-x0.500-{outer[0]:06.1f}K"
    shutil.rmtree(tmp_path / name)
    write(replace(frozen, kind="liquid", liquid_fraction=0.5, folder=name), tmp_path)
    assert analyse(tmp_path, discard=0).liquidus.freedom == fit.freedom - 1


def test_a_crystal_of_thirds(tmp_path):
    """A melt asked for by three digits is that of the crystal, whose enthalpies count once."""
    melt = Melt(x_s=0.333)
    report = analyse(write_melts(tmp_path, melt, fractions=(0.2, 0.3334, 0.5)), discard=0)
    assert report.solid_fraction == 0.333 and report.melting is report.branches[1].melting
    assert abs(report.melting.temperature_K - melt.T_m) < 4 * report.melting.statistical_error_K
    assert report.liquidus.freedom == 6 + 2 - 4


def test_two_melts_have_no_tangent(tmp_path):
    """Away from x_s members are known by covariance only, and it is said."""
    melt = Melt(members=MEMBERS)
    report = analyse(write_melts(tmp_path, melt, fractions=(0.3, 0.5)), discard=0)
    away, own = report.branches
    assert report.liquidus is None and away.at_melting is None
    assert "members by covariance alone" in away.melting.reasons[-1]
    # they are not checked against themselves
    assert away.by_covariance is None and own.by_covariance is not None
    said = "\n".join(lines(report))
    assert said.count("K, from covariance in the pinned runs\n") == 1
    assert said.count("K, from bulk differences; by covariance in the pinned runs") == 1
    assert own.at_melting is not None and not any("alone" in r for r in own.melting.reasons)
    x = away.melt_fraction
    exact = [melt.root(x, melt.member(k)) for k in range(4)]
    shifts = away.melting.members_K - away.melting.temperature_K
    np.testing.assert_allclose(shifts, np.array(exact) - melt.root(x), atol=8.0)


# where each melts, and where all of them are run
EACH = {0.2: (1250.0, 1330.0), 0.35: (1440.0, 1500.0), 0.5: (1470.0, 1530.0),
        0.7: (1400.0, 1460.0), 0.85: (1150.0, 1250.0)}  # fmt: skip
ALIKE = dict.fromkeys(EACH, (1350.0, 1500.0))


def fusion_of(melt, T, rng):
    """Of the crystal's own melt, with a Gaussian error."""
    h = Difference(melt.h + 1e-3 * rng.normal(), 1e-3)
    return Fusion(T, h, Difference(1.0, 1e-3), Difference(0.02, 1e-3))


def branches_of(melt, rng, error=2e-3, members=None, kelvin=ALIKE):
    """Branches as if measured, with Gaussian errors; Δh where the melt is the crystal's."""
    branches = []
    for x in EACH:
        points = []
        for T in kelvin[x]:
            mu = melt.delta_mu(x, T) + error * rng.normal()
            bulk = fusion_of(melt, T, rng) if x == 0.5 else None
            shift = None
            if members is not None:
                own = np.array([melt.member(k)(x, T) - melt.delta_mu(x, T) for k in range(4)])
                shift = shifts_with_errors(own - own.mean(), 1e-6 * np.ones(4))
            points.append(Point(T, x, x, mu, error, [], [], [], bulk, shift))
        branches.append(branch(points, has_committee=members is not None))
    return branches


@pytest.mark.parametrize("kelvin", [ALIKE, EACH], ids=["alike", "each"])
def test_errors_of_the_curve(kelvin):
    """Curve and Ω over their claimed errors; with enthalpies also where the crystal's own melt is
    not pinned."""
    melt, rng = Melt(), np.random.default_rng(4)
    further = sorted({T for x in EACH for T in kelvin[x]} - set(kelvin[0.5]))
    z, omega = [], []
    for _ in range(100):
        fusions = [fusion_of(melt, T, rng) for T in further]
        fit = liquidus(branches_of(melt, rng, kelvin=kelvin), 0.5, fusions)
        # four of p and Ω; without the further enthalpies as many degrees of freedom less
        assert fit.freedom == 10 + 2 + len(further) - 4
        exact = np.array([melt.root(x) for x in fit.fractions[::12]])
        z.append((fit.temperatures_K[::12] - exact) / fit.statistical_errors_K[::12])
        omega.append((fit.omega_eV - melt.omega) / fit.omega_error_eV)
        assert np.isnan(fit.model_errors_K).all() and len(fit.members_K) == 0
    assert_unit_normal(z, high=1.2)
    assert_unit_normal(omega, high=1.2)


@pytest.mark.parametrize("shared", ["solid", "melts"])
def test_noise_that_points_have_in_common(monkeypatch, shared):
    """All points of one T have the crystal and the melts in common: a spread over members that is
    all their noise is taken out of the liquidus."""
    monkeypatch.setattr("quorum_md.pinning.liquidus._GRID", 5)
    melt, rng, size, K = Melt(), np.random.default_rng(8), 2e-3, 6
    spread, taken = [], []
    plain = branches_of(melt, rng, 1e-5)
    x = np.array([one.liquid_fraction for one in plain])
    for _ in range(100):
        runs = {}

        def noise(run, runs=runs):
            own = rng.normal(size=K)
            return runs.setdefault(run, size * (own - own.mean()) * (K / (K - 1)) ** 0.5)

        branches = []
        for one in plain:
            points = []
            for p in one.points:
                parts = {f"solid-{p.temperature_K}": 1.0}
                if shared == "melts":
                    shares = tangent(x, one.liquid_fraction, 0.5)
                    parts = {f"{k}-{p.temperature_K}": -s for k, s in enumerate(shares)}
                own = sum(share * noise(run) for run, share in parts.items())
                errors = {run: share * size * np.ones(K) for run, share in parts.items()}
                whole = np.sqrt(sum(e**2 for e in errors.values()))
                points.append(
                    replace(p, shift=shifts_with_errors(own, whole), shift_noise_eV=errors)
                )
            branches.append(replace(one, points=points))
        fit = liquidus(branches, 0.5)
        spread.append(fit.members_K.var(axis=0, ddof=1))
        left = np.where(fit.model_errors_K > 0, fit.model_errors_K, np.nan)
        taken.append(spread[-1] - left**2)
    # the variance of the noise has (K − 1) degrees of freedom, in 100 draws
    ratio = np.mean(spread, axis=0) / np.nanmean(taken, axis=0)
    np.testing.assert_allclose(ratio, 1.0, atol=4 * (2 / (5 * 100)) ** 0.5)


def test_runs_give_their_noise_to_points():
    """By run and with its share: their squares add up to the error of the members."""
    melt = Melt(members=MEMBERS)
    solid = bulk(bulk_melt(melt, None, 1440.0, 0), 0)
    rng = np.random.default_rng(0)
    melts = []
    for x in FRACTIONS:
        job = bulk_melt(melt, x, 1440.0, 0)
        own = rng.normal(size=job.members_eV.shape)
        own -= own.mean(axis=1, keepdims=True)
        melts.append(bulk(replace(job, members_eV=job.members_eV + own), 0))
    both = [
        point([pinned_melt(melt, x, 1440.0, 0)], solid, one, melts, discard=0, limits=Limits())
        for x, one in zip(FRACTIONS, melts, strict=True)
    ]
    for found in both:
        squares = np.sum([noise**2 for noise in found.shift_noise_eV.values()], axis=0)
        np.testing.assert_allclose(squares, found.shift.centred_errors_eV**2)
        assert solid.job.folder in found.shift_noise_eV
    assert set(both[0].shift_noise_eV) == set(both[2].shift_noise_eV)
    assert len(both[0].shift_noise_eV) == 4 and len(both[1].shift_noise_eV) == 2


def test_a_melt_that_is_not_regular():
    melt, rng = Melt(), np.random.default_rng(4)
    branches = branches_of(melt, rng, 1e-4)
    assert liquidus(branches, 0.5).reasons == []
    off = []
    for one in branches:
        skew = 0.3 * (one.liquid_fraction - 0.5) ** 3
        points = [replace(p, delta_mu_eV=p.delta_mu_eV + skew) for p in one.points]
        off.append(replace(one, points=points))
    assert "not a regular solution" in liquidus(off, 0.5).reasons[0]


def test_composition_matters():
    """The exact liquidus lies tens of kelvin below that of a melt that mixes without entropy."""
    melt = Melt(omega=0.0)
    kT = BOLTZMANN_EV_K * 1500
    assert melt.root(0.3) == pytest.approx(1500 * (1 + 0.5 * kT * np.log(0.84) / 0.3), abs=3)
    assert melt.root(0.3) < 1470
