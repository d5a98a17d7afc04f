"""Melting points from folders of jobs: values, both errors, slopes, what to run next, controls."""

from dataclasses import replace

import numpy as np
import pytest
from two_phase_data import Model, bulk_job, changed, pinned_job, write

from exact_series import assert_unit_normal
from quorum_md.averages.free_energy import shifts_with_errors
from quorum_md.errors import QuorumError
from quorum_md.pinning.analysis import analyse
from quorum_md.pinning.branch import branch, slope_disagrees
from quorum_md.pinning.bulk import Difference, Fusion, bulk, fusion
from quorum_md.pinning.controls import compare, infinite
from quorum_md.pinning.points import Point, Run, point
from quorum_md.pinning.refusals import Limits
from quorum_md.units import EV_A3_GPA

MEMBERS = (0.004, -0.003, 0.002, -0.003)


def folder_of(root, model, temperatures, seeds=(0,), **options):
    """Bulk and pinned runs at every temperature."""
    for T in temperatures:
        for kind in ("solid", "liquid"):
            write(bulk_job(model, kind, T, 0), root)
        for seed in seeds:
            write(pinned_job(model, T, 0, number=seed, **options), root)
    return root


def noisy_point(rng, model, T, error=4e-4, h_error=3e-4, shift=None):
    """As if measured: Δμ, Δh, Δv with Gaussian errors."""
    h = model.enthalpy(T) + h_error * rng.normal()
    v = model.v_liquid - model.v_solid
    ratio = v / EV_A3_GPA / h
    return Point(
        temperature_K=T,
        liquid_fraction=None,
        melt_fraction=1.0,
        delta_mu_eV=model.delta_mu(T) + error * rng.normal(),
        error_eV=error,
        refused=[],
        kinds=[],
        runs=[],
        fusion=Fusion(T, Difference(h, h_error), Difference(v, 1e-3), Difference(ratio, 1e-4)),
        shift=shift,
    )


@pytest.mark.parametrize("temperatures", [(985.0,), (1010.0, 1030.0), (970.0, 1000.0, 1030.0)])
def test_root_and_its_error(temperatures):
    """From one temperature on; the curvature of Δμ(T) is known from Δh(T)."""
    model = Model(c=1e-4)
    rng = np.random.default_rng(3)
    z, entropy = [], []
    for _ in range(300):
        found = branch([noisy_point(rng, model, T) for T in temperatures], has_committee=False)
        melting = found.melting
        assert melting.verdict in ("ok", "doubtful") and len(melting.members_K) == 0
        z.append((melting.temperature_K - model.T_m) / melting.statistical_error_K)
        exact = model.enthalpy(model.T_m) / model.T_m
        entropy.append((melting.slope_eV_K - exact) / melting.slope_error_eV_K)
    assert_unit_normal(z)
    if len(temperatures) == 3:
        assert_unit_normal(entropy)


def test_enthalpies_steady_the_slope():
    """Three points over 20 K: their own slope says little of the entropy of fusion."""
    rng = np.random.default_rng(0)
    model = Model()
    points = [noisy_point(rng, model, T) for T in (1000.0, 1010.0, 1020.0)]
    steady = branch(points, has_committee=False).melting
    alone = branch([replace(p, fusion=None) for p in points], has_committee=False).melting
    assert steady.slope_error_eV_K < 0.1 * alone.slope_error_eV_K
    assert steady.statistical_error_K < alone.statistical_error_K
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(alone.slope_eV_K, 1e-4, rtol=0.02)
    np.testing.assert_allclose(steady.slope_eV_K, 1e-4, rtol=0.02)


def test_enthalpies_of_temperatures_that_are_refused():
    """One Δμ, two Δh: the curvature is known, so that T_m is right from 8 % above."""
    model, z = Model(c=2e-4), []
    rng = np.random.default_rng(5)
    for _ in range(200):
        cold = replace(noisy_point(rng, model, 980.0), delta_mu_eV=None, error_eV=None)
        found = branch([cold, noisy_point(rng, model, 1080.0)], has_committee=False).melting
        z.append((found.temperature_K - model.T_m) / found.statistical_error_K)
    assert_unit_normal(z)
    # an error of Δμ itself would go unseen so far away
    assert found.verdict == "doubtful" and "add runs there" in found.reasons[0]


def test_slope_of_the_points_against_the_enthalpies():
    """Unit normal where both are right; runs of another potential are seen."""
    model, z = Model(c=1e-4), []
    rng = np.random.default_rng(1)
    T = (970.0, 1000.0, 1030.0)
    for _ in range(200):
        z.append(branch([noisy_point(rng, model, t) for t in T], has_committee=False).slope_z)
    assert_unit_normal(z)
    other = [noisy_point(rng, replace(model, h=0.2), t) for t in T]
    mixed = [
        replace(noisy_point(rng, model, t), fusion=o.fusion) for t, o in zip(T, other, strict=True)
    ]
    found = branch(mixed, has_committee=False)
    assert slope_disagrees(found) and found.slope_z < 0


def test_members_and_noise_in_their_spread():
    """T_m of members to their δμ; a spread that is all noise is no model error."""
    model, rng = Model(c=0.0), np.random.default_rng(2)
    offsets = np.array(MEMBERS) - np.mean(MEMBERS)
    T = (960.0, 1000.0, 1040.0)

    def melting(offsets, error):
        own = error * np.ones(4)
        shifts = [shifts_with_errors(offsets + error * _centred(rng), own) for _ in T]
        points = [noisy_point(rng, model, t, 1e-5, 1e-6, s) for t, s in zip(T, shifts, strict=True)]
        return branch(points, has_committee=True).melting

    found = melting(offsets, 1e-7)
    # the whole Δμ + δμ vanishes there
    exact = [_root(model, d) for d in offsets]
    np.testing.assert_allclose(found.members_K, exact, atol=0.2)
    assert found.model_error_K == pytest.approx(np.std(exact, ddof=1), rel=0.01)
    noise = [melting(np.zeros(4), 1e-3) for _ in range(300)]
    squares = [m.model_error_uncorrected_K**2 for m in noise]
    one = shifts_with_errors(np.array([3e-3, -1e-3, -1e-3, -1e-3]), 1e-3 * np.ones(4))
    assert one.model_error_eV**2 == pytest.approx(one.model_error_uncorrected_eV**2 - 4 / 3 * 1e-6)
    # where some is left, the difference is what was taken out: the same for all
    taken = [m.model_error_uncorrected_K**2 - m.model_error_K**2 for m in noise if m.model_error_K]
    assert np.ptp(taken) < 0.05 * np.mean(taken)
    assert np.mean(squares) == pytest.approx(np.mean(taken), rel=0.15)
    assert np.mean(taken) == pytest.approx(10**2 * 4 / 3 / 3, rel=0.05)


def test_a_member_without_a_root_is_a_doubt():
    """Noise may leave one member without a melting point: the others and the mean keep theirs."""
    model, rng = Model(c=0.0), np.random.default_rng(2)
    own = [np.array([sign * 0.004, 0.001, -0.001, -sign * 0.004]) for sign in (1, -1)]
    points = [
        noisy_point(rng, model, t, 1e-5, 1e-6, shifts_with_errors(one, 1e-6 * np.ones(4)))
        for t, one in zip((980.0, 1020.0), own, strict=True)
    ]
    found = branch(points, has_committee=True).melting
    assert found.verdict == "doubtful" and "1 of 4 members have no" in " ".join(found.reasons)
    # δμ at T_m is 0 for the first and the last
    np.testing.assert_allclose(found.members_K, [1000, 990, 1010, 1000], atol=0.5)


@pytest.mark.parametrize("temperatures", [(1000.0,), (1000.0, 1003.0)])
def test_temperatures_close_together(temperatures):
    """Enthalpies carry Δμ as far from two temperatures 3 K apart as from one of them."""
    model, rng = Model(T_m=1003.0, c=0.0), np.random.default_rng(7)
    offsets = np.array([0.004, -0.004, 0.001, -0.001])
    shift = shifts_with_errors(offsets, 1e-6 * np.ones(4))
    points = [noisy_point(rng, model, t, 1e-4, 1e-4, shift) for t in temperatures]
    found = branch(points, has_committee=True)
    assert abs(found.melting.temperature_K - 1003) < 4 * found.melting.statistical_error_K < 6
    shifts = found.melting.members_K - found.melting.temperature_K
    np.testing.assert_allclose(shifts, -1e4 * 1.003 * offsets, atol=0.5)


def _centred(rng):
    # unit variance about the mean of four
    x = rng.normal(size=4)
    return (x - x.mean()) * (4 / 3) ** 0.5


def _root(model, shift):
    from scipy.optimize import brentq

    return brentq(lambda T: model.delta_mu(T) + shift, 700, 1300)


def test_what_melting_changes():
    """Δh, Δv and Δv/Δh of bulk runs over their claimed errors."""
    model, T = Model(), 1000.0
    h, v = [], []
    ratio = []
    exact = 1.0 / EV_A3_GPA / model.h
    for seed in range(200):
        solid, liquid = (bulk(bulk_job(model, k, T, seed, n=400), 0) for k in ("solid", "liquid"))
        f = fusion(solid, [(liquid, 1.0)])
        h.append((f.enthalpy_eV.value - model.h) / f.enthalpy_eV.error)
        v.append((f.volume_A3.value - 1.0) / f.volume_A3.error)
        ratio.append((f.dT_over_T_dP.value - exact) / f.dT_over_T_dP.error)
    for z in (h, v, ratio):
        assert_unit_normal(z)


def test_a_folder(tmp_path):
    """Everything of one melting point, with an automatic cut of the equilibration."""
    model = Model(members=MEMBERS, noise=(0.08, 0.12))
    report = analyse(folder_of(tmp_path, model, (980.0, 1000.0, 1020.0), seeds=(0, 1)))
    assert report.n_members == 4 and not report.refused
    found, at = report.melting, report.branches[0].at_melting
    assert abs(found.temperature_K - 1000) < 3 * found.statistical_error_K < 10
    # δμ of second order is the same for all members here, so that their spread is that of MEMBERS
    assert found.model_error_K == pytest.approx(np.std(MEMBERS, ddof=1) * 1e4, rel=0.05)
    check = report.branches[0].by_covariance
    assert check.model_error_K == pytest.approx(found.model_error_K, rel=0.5)
    assert abs(at.enthalpy_eV.value - 0.1) < 4 * at.enthalpy_eV.error
    exact = 1000 / EV_A3_GPA / 0.1
    assert abs(at.dT_dP_K_GPa.value - exact) < 4 * at.dT_dP_K_GPa.error + 0.01 * exact
    assert at.entropy_eV_K.value == pytest.approx(1e-4, rel=0.02)
    by_bulk = report.branches[0].by_bulk_eV
    T = np.array([980.0, 1000, 1020])
    shifted = replace(model, T_m=found.temperature_K)
    np.testing.assert_allclose(by_bulk, shifted.delta_mu(T), atol=2e-5)
    assert abs(report.branches[0].slope_z) < 4


def test_without_a_committee_and_with_one_temperature(tmp_path):
    report = analyse(folder_of(tmp_path, Model(), (1010.0,)), discard=0)
    assert report.n_members == 0 and len(report.melting.members_K) == 0
    assert abs(report.melting.temperature_K - 1000) < 4 * report.melting.statistical_error_K
    assert report.next_temperature_K() == pytest.approx(report.melting.temperature_K)


def test_driven_by_a_member(tmp_path):
    """The mean of the members melts elsewhere than the member that drove the runs."""
    model = Model(members=(0.002, -0.002, 0.001, -0.001), noise=(0.02, 0.02))
    bulk_runs = [bulk_job(model, k, 1000.0, 0) for k in ("solid", "liquid")]
    for job in (*bulk_runs, pinned_job(model, 1000.0, 0)):
        energies = job.members_eV
        driven = {"potential_eV": energies[:, 1]}
        moved = energies + (energies.mean(axis=1) - energies[:, 1])[:, None]
        # what was the mean is now member 1
        driven["potential_eV"] = moved[:, 1]
        write(replace(job, driven_by=1, members_eV=moved, columns=job.columns | driven), tmp_path)
    report = analyse(tmp_path, discard=0)
    found, check = report.melting, report.branches[0].by_covariance
    error = found.statistical_error_K
    assert abs(found.members_K[1] - 1000) < 4 * error
    # by covariance too, and members against their mean agree
    np.testing.assert_allclose(check.members_K, found.members_K, atol=2.0)
    assert check.temperature_K == pytest.approx(found.temperature_K, abs=2.0)
    assert np.abs(report.points[0].covariance_z()).max() < 4
    assert found.temperature_K - found.members_K[1] == pytest.approx(-20.0, abs=1.0)


@pytest.mark.parametrize("how", ["hot", "short", "failed"])
def test_nothing_is_taken_from_bulk_runs_that_are_wrong(tmp_path, how):
    """A liquid that is too hot, too short or failed: its enthalpy and δμ do not make T_m."""
    model = Model(members=MEMBERS)
    folder_of(tmp_path, model, (960.0,))
    alone = analyse(tmp_path, discard=0).melting
    for kind in ("solid", "liquid"):
        job = bulk_job(model, kind, 1000.0, 0)
        if kind == "liquid":
            up = 0.02 * job.n_atoms
            job = replace(job, members_eV=job.members_eV + up * np.arange(4) / 1.5)
            job = changed(job, potential_eV=lambda _, j=job: j.members_eV.mean(axis=1))
            if how == "hot":
                job = changed(job, temperature_K=lambda t: t + 60)
            elif how == "short":
                columns = {k: v[:20] for k, v in job.columns.items()}
                job = replace(job, columns=columns, members_eV=job.members_eV[:20])
            else:
                job = replace(job, status="failed")
        write(job, tmp_path)
    # whatever the pinned run beside it is
    pinned = pinned_job(model, 1000.0, 0)
    write(replace(pinned, status="failed") if how == "hot" else pinned, tmp_path)
    report = analyse(tmp_path, discard=0)
    assert len(report.refused) == 1 and "liquid-1000.0K" in report.refused[0]
    bad = report.points[1]
    assert bad.fusion is None and bad.shift is None and bad.delta_mu_eV is None
    assert report.melting.temperature_K == pytest.approx(alone.temperature_K)
    np.testing.assert_allclose(report.melting.members_K, alone.members_K)


def test_next_temperature():
    """Newton within a trust range; away from boxes that froze or melted."""
    rng, model = np.random.default_rng(0), Model()

    def report(points):
        one = branch(points, has_committee=False)
        from quorum_md.pinning.analysis import Report

        return Report("", [one], 0, ("Ar",), 1.0, None, [], [])

    near = report([noisy_point(rng, model, 970.0)])
    assert near.next_temperature_K() == pytest.approx(1000.0, abs=10)
    far = report([noisy_point(rng, model, 700.0)])
    assert far.next_temperature_K() == pytest.approx(735.0)
    gone = Point(900.0, None, 1.0, None, None, ["froze"], ["registry"], [])
    assert report([gone]).next_temperature_K() == pytest.approx(927.0)
    melted = Point(1100.0, None, 1.0, None, None, ["melted"], ["melted"], [])
    assert report([melted]).next_temperature_K() == pytest.approx(1067.0)
    assert report([gone, melted]).next_temperature_K() == pytest.approx(1000.0)
    short = Point(1000.0, None, 1.0, None, None, ["short"], ["short"], [])
    assert report([short]).next_temperature_K() is None
    assert (
        report([short]).melting is None and "every pinned run" in report([short]).branches[0].reason
    )


def test_controls(tmp_path):
    """Another κ agrees; boxes of two sizes give the limit of large ones."""
    model = Model()
    folder_of(tmp_path, model, (1000.0,), n=6000)
    write(pinned_job(model, 1000.0, 5, kappa=2 * model.kappa(1000.0), control="kappa2x"), tmp_path)
    small = replace(model, n_atoms=500)
    # Δμ off by 2 eV/N, besides what 1000 atoms are off
    job = pinned_job(small, 1000.0, 6, n=6000, delta_mu=0.006, control="size0.5x")
    write(job, tmp_path)
    report = analyse(tmp_path, discard=0)
    kappa, size = sorted(report.controls, key=lambda c: c.name, reverse=True)
    assert kappa.name == "κ" and abs(kappa.z) < 4
    assert kappa.kappa_eV == pytest.approx(2 * model.kappa(1000.0))
    assert size.name == "N" and size.n_atoms == 500 and size.z > 4
    (limit,) = report.limits
    usual = report.points[0].delta_mu_eV
    assert limit.delta_mu_eV == pytest.approx(2 * usual - size.point.delta_mu_eV)
    assert limit.error_eV == pytest.approx(
        np.hypot(2 * report.points[0].error_eV, size.point.error_eV)
    )
    assert limit.shift_eV == pytest.approx(usual - size.point.delta_mu_eV)


def test_sizes_of_two_melts():
    """Each melt has a limit of its own."""
    rng, model = np.random.default_rng(0), Model()

    def run(x, n, mu):
        job = replace(pinned_job(model, 1000.0, 0, n=50), n_atoms=n, liquid_fraction=x)
        p = noisy_point(rng, model, 1000.0, 1e-4)
        return replace(p, liquid_fraction=x, delta_mu_eV=mu, runs=[Run(job, None, [])])

    controls = []
    for x, limit in ((0.3, 0.010), (0.5, -0.010)):
        usual = run(x, 1000, limit + 1e-3)
        controls.append(compare(run(x, 2000, limit + 5e-4), usual))
    found = infinite(controls)
    assert [one.liquid_fraction for one in found] == [0.3, 0.5]
    np.testing.assert_allclose([one.delta_mu_eV for one in found], [0.010, -0.010])
    np.testing.assert_allclose([one.shift_eV for one in found], -1e-3)


def test_a_control_has_the_bulk_runs_in_common():
    """Far from melting Q_s − Q_l of short bulk runs is what is uncertain, but not in the
    difference of two κ."""
    model, T, z = Model(tau=0.51, width=0.02, h=0.5, n_atoms=300, q_noise=1.0), 1080.0, []
    for seed in range(60):
        solid, liquid = (bulk(bulk_job(model, k, T, seed, n=200), 0) for k in ("solid", "liquid"))
        usual, other = (
            point(
                [pinned_job(model, T, seed, n=1000, number=k, kappa=factor * model.kappa(T))],
                solid, liquid, [liquid], discard=0, limits=Limits(),
            )
            for k, factor in enumerate((1.0, 2.0))
        )  # fmt: skip
        z.append(compare(other, usual).z)
    assert 0.85 < np.std(z) < 1.15 and abs(np.mean(z)) < 4 / 60**0.5


def test_one_bad_file_leaves_the_others(tmp_path):
    """A job that has not begun, and one that blew up, beside a good one."""
    model = Model()
    folder_of(tmp_path, model, (1000.0,))
    alone = analyse(tmp_path, discard=0).melting
    for number, content in enumerate(("", "# time_fs tempera", None), 1):
        path = write(pinned_job(model, 1000.0, 0, number=number), tmp_path) / "series.dat"
        text = path.read_text()
        if content is None:
            *rows, last = text.splitlines()
            first, *rest = last.split()
            content = "\n".join([*rows, " ".join([first, "nan", *rest[1:]]), *rows[-3:]]) + "\n"
        path.write_text(content)
    report = analyse(tmp_path, discard=0)
    assert [run.job.name for run in report.points[0].runs] == [
        "pinned-1000.0K-0", "pinned-1000.0K-3"
    ]  # fmt: skip
    (sentence,) = report.refused
    assert "pinned-1000.0K-3 failed: temperature_K of row 4000 is nan" in sentence
    assert report.points[0].runs[1].job.n_frames == 3999
    assert report.melting.temperature_K == alone.temperature_K


def test_folders_that_hold_no_jobs(tmp_path):
    with pytest.raises(QuorumError, match="there is no such folder"):
        analyse(tmp_path / "nowhere")
    with pytest.raises(QuorumError, match="holds no job of interface pinning"):
        analyse(tmp_path)
    write(bulk_job(Model(), "solid", 1000.0, 0, n=50), tmp_path)
    with pytest.raises(QuorumError, match="no pinned run, only bulk ones"):
        analyse(tmp_path)
    path = write(pinned_job(Model(), 1000.0, 0, n=100), tmp_path)
    report = analyse(tmp_path)
    assert report.melting is None and "no bulk liquid at 1000 K" in report.refused[0]
    text = path.joinpath("series.dat").read_text()
    path.joinpath("series.dat").write_text(text + "1 2 3")  # a row that is being written
    assert analyse(tmp_path).points[0].runs[0].job.n_frames == 100
    path.joinpath("series.dat").write_text(text + "1 2 3\n")
    with pytest.raises(QuorumError, match="series.dat: is no table of numbers"):
        analyse(tmp_path)
    path.joinpath("series.dat").write_text(text.replace("bias_eV", "bias_kT"))
    with pytest.raises(QuorumError, match="has no column bias_eV"):
        analyse(tmp_path)
    path.joinpath("job.json").write_text("{}")
    with pytest.raises(QuorumError, match="job.json: kind: this key is missing"):
        analyse(tmp_path)
