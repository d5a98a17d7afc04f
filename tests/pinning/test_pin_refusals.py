"""Runs that lie are refused, each with its evidence; good runs are not."""

from dataclasses import replace

import numpy as np
import pytest
from two_phase_data import Model, bulk_job, changed, pinned_job

from exact_series import ar1
from quorum_md.pinning.refusals import Limits, refusals
from quorum_md.units import BOLTZMANN_EV_K, EV_A3_GPA

T = 1010.0
MODEL = Model()


def three(seed=0, model=MODEL, n=4000):
    """A pinned run and its bulk phases, with nothing wrong."""
    bulk_runs = (bulk_job(model, kind, T, seed, n=1000) for kind in ("solid", "liquid"))
    return pinned_job(model, T, seed, n=n), *bulk_runs


def kinds(pinned, solid, liquid, **options):
    return [one.kind for one in refusals(pinned, solid, liquid, **({"discard": 0} | options))]


def only(kind, words, *jobs, **options):
    """The first refusal is this one, and its sentence has these words."""
    found = refusals(*jobs, **({"discard": 0} | options))
    assert found and found[0].kind == kind, found
    for word in words:
        assert word in found[0].evidence, found[0].evidence
    return found[0]


# rows, τ of Q in rows: long, and only 15 independent values; with few atoms
GOOD = [(MODEL, 4000, 8.0), (MODEL, 3000, 100.0), (replace(MODEL, n_atoms=300), 500, 2.0)]


@pytest.mark.parametrize(("model", "n", "tau"), GOOD)
def test_good_runs(model, n, tau):
    """Not one of 50 of each kind, automatic cuts among them."""
    for seed in range(50):
        jobs = three(seed, replace(model, tau=tau), n)
        assert kinds(*jobs, discard="auto" if seed < 6 else 0) == [], seed


@pytest.mark.slow
@pytest.mark.parametrize(("model", "n", "tau"), GOOD)
def test_false_alarms_are_rare(model, n, tau):
    """Less than 1 %: of 1000, at most what 1 % would make with two standard errors to spare."""
    alarms = [kinds(*three(seed, replace(model, tau=tau), n)) for seed in range(1000)]
    assert sum(map(bool, alarms)) < 10 - 2 * 10**0.5, [one for one in alarms if one]


def frozen(job, model, start, out_of_registry=True):
    """The box freezes at a row: energy and volume of the solid; Q does not see the second crystal,
    and only vibrates from then on."""
    rng = np.random.default_rng(11)
    n = job.n_frames - start
    center = float(job.center)
    quick = 0.3 * np.sqrt(BOLTZMANN_EV_K * job.temperature_K / job.kappa_eV)
    level = center + 0.01 * model.delta_q if out_of_registry else model.q_solid * model.n_atoms
    late = level + quick * ar1(rng, 0.6, (n, 1))[:, 0]
    fraction = (job["q"] / model.n_atoms - model.q_liquid) / (model.q_solid - model.q_liquid)
    rest = np.where(np.arange(job.n_frames) < start, 0.0, 0.97 - fraction)
    span_u = model.u(job.temperature_K, True) - model.u(job.temperature_K, False)
    span_v = model.v_solid - model.v_liquid
    N = model.n_atoms
    q = np.concatenate([job["q"][:start], late])
    volume = job["volume_A3"] + N * rest * span_v
    columns = {
        "q": q,
        "bias_eV": job.kappa_eV / 2 * (q - center) ** 2,
        "potential_eV": job["potential_eV"] + N * rest * span_u,
        "volume_A3": volume,
        "lz_A": volume / job["lx_A"] / job["ly_A"],
    }
    return replace(job, columns=job.columns | columns)


def test_a_second_crystal_out_of_registry():
    """Lennard-Jones at T = 0.77 with κ = 4: ⟨Q⟩ stays near a, and the error bar is tiny.

    Reduced units in those of argon; Q is LAMMPS's rhok. L_z and energy reach the solid's, and τ
    falls from many rows to less than one.
    """
    kelvin, epsilon, sigma = 119.8, 119.8 * BOLTZMANN_EV_K, 3.405
    n_atoms = 2304
    model = Model(
        T_m=0.80 * kelvin, h=1.12 * epsilon, c=0.0, u_solid=-7.0 * epsilon, n_atoms=n_atoms,
        modulus=2.0, v_solid=1.03 * sigma**3, v_liquid=1.14 * sigma**3, q_solid=0.8 / n_atoms**0.5,
        q_liquid=0.02 / n_atoms**0.5, q_noise=0.1 / n_atoms**0.5, tau=80.0,
        pressure=2.185 * epsilon / sigma**3 * EV_A3_GPA,
    )  # fmt: skip
    cold = 0.77 * kelvin
    solid, liquid = (bulk_job(model, k, cold, 0) for k in ("solid", "liquid"))
    good = pinned_job(model, cold, 0, n=12000, kappa=4 * epsilon)
    assert kinds(good, solid, liquid) == []
    bad = frozen(good, model, 5000)
    for discard in (0, "auto"):
        words = ["does not see", "energy -", "L_z", "all solid", "τ of Q fell from"]
        found = only("registry", words, bad, solid, liquid, discard=discard)
        assert found.numbers["solid_fraction_energy"] > 0.9
        assert found.numbers["solid_fraction_q"] == pytest.approx(0.5, abs=0.1)
    # frozen before the first row
    late = replace(bad, columns={k: v[5000:] for k, v in bad.columns.items()})
    late = replace(late, members_eV=late.members_eV[5000:])
    assert kinds(late, solid, liquid)[:2] == ["registry", "variance"]
    # the energy says half, the length does not
    halved = changed(late, potential_eV=lambda E: good["potential_eV"][5000:])
    only("registry", ["L_z"], halved, solid, liquid)


def test_a_length_that_breathes():
    """In one part of a run it may say all solid, while energy and Q say half; not for good."""
    pinned, solid, liquid = three()
    n = pinned.n_frames
    span = MODEL.n_atoms * (MODEL.v_solid - MODEL.v_liquid)
    for part, expected in ((n // 10, []), (n, ["registry"])):
        swing = np.where(np.abs(np.arange(n) - n // 2) < part, 0.47 * span, 0.0)
        job = changed(pinned, volume_A3=lambda v, s=swing: v + s)
        assert [k for k in kinds(job, solid, liquid) if k == "registry"] == expected


def test_froze_and_melted():
    pinned, solid, liquid = three()
    only("froze", ["energy", "all solid"], frozen(pinned, MODEL, 2000, False), solid, liquid)
    molten = pinned_job(MODEL, T, 0)
    low = MODEL.q_liquid * MODEL.n_atoms
    rng = np.random.default_rng(5)
    columns = bulk_job(MODEL, "liquid", T, 9, n=4000).columns
    q = low + 2 * rng.normal(size=4000)
    bias = molten.kappa_eV / 2 * (q - molten.center) ** 2
    molten = replace(molten, columns=columns | {"q": q, "bias_eV": bias})
    only("melted", ["melted at", "energy"], molten, solid, liquid)


def test_interfaces_of_small_boxes():
    """They make a box seem more liquid, by a fifth of it: not refused; by half: refused."""
    pinned, solid, liquid = three(0, replace(MODEL, n_atoms=400))
    N_span = 400 * (MODEL.u(T, False) - MODEL.u(T, True))
    for part, expected in ((0.18, []), (0.5, ["melted"])):
        job = changed(pinned, potential_eV=lambda E, p=part: E + p * N_span)
        assert kinds(job, solid, liquid) == expected


def test_energy_and_order_parameter_disagree():
    pinned, solid, liquid = three()
    shift = 0.3 * MODEL.n_atoms * (MODEL.u(T, True) - MODEL.u(T, False))
    job = changed(pinned, potential_eV=lambda E: E + shift)
    only("registry", ["Q says 0.5", "the energy 0.7"], job, solid, liquid)


@pytest.mark.parametrize(("factor", "words"), [(0.5, "not free"), (2.0, "held by the bias")])
def test_variance(factor, words):
    pinned, solid, liquid = three()
    q = pinned["q"].mean() + factor**0.5 * (pinned["q"] - pinned["q"].mean())
    bias = pinned.kappa_eV / 2 * (q - pinned.center) ** 2
    job = replace(pinned, columns=pinned.columns | {"q": q, "bias_eV": bias})
    found = only("variance", [words, "of kT/κ"], job, solid, liquid)
    assert found.numbers["variance_ratio"] == pytest.approx(factor, rel=0.3)


def test_collapse():
    """τ falls while everything else looks right."""
    slow, solid, liquid = three(1, replace(MODEL, tau=60.0), 6000)
    fast = pinned_job(replace(MODEL, tau=0.7), T, 1, n=6000)
    halves = {k: np.concatenate([slow[k][:3000], fast[k][3000:]]) for k in slow.columns}
    found = only("collapse", ["τ of Q fell"], replace(slow, columns=halves), solid, liquid)
    assert found.numbers["before_fs"] > 10 * found.numbers["after_fs"]


@pytest.mark.parametrize("axis", ["pxx_GPa", "pyy_GPa"])
def test_lateral_stress(axis):
    pinned, solid, liquid = three()
    strained = changed(pinned, **{axis: lambda p: p + 3.0})
    only("stress", [axis[:3], "strained"], strained, solid, liquid)
    # what interfaces make is let through, unless a limit says otherwise
    small = changed(pinned, **{axis: lambda p: p + 0.1})
    assert kinds(small, solid, liquid) == []
    assert kinds(small, solid, liquid, limits=Limits(lateral_GPa=0.05)) == ["stress"]
    assert kinds(changed(pinned, pzz_GPa=lambda p: p + 3.0), solid, liquid) == []


def test_stress_moves_T_m_by_a_part_of_it():
    """The limit follows from the stiffness of the crystal: σ²v/B = Δh/400 in half of the box."""
    pinned, solid, liquid = three()
    stiff = EV_A3_GPA * BOLTZMANN_EV_K * T * solid["volume_A3"].mean() / solid["volume_A3"].var()
    sigma = EV_A3_GPA * (MODEL.h / 400 * stiff / EV_A3_GPA / MODEL.v_solid) ** 0.5
    for factor, expected in ((0.9, []), (1.1, ["stress"])):
        job = changed(pinned, pxx_GPa=lambda p, f=factor: p + 0.5 * sigma * f)
        assert kinds(job, solid, liquid) == expected


@pytest.mark.parametrize("column", ["q", "potential_eV", "volume_A3"])
def test_drift(column):
    pinned, solid, liquid = three()
    span = {"q": MODEL.delta_q, "potential_eV": 100.0, "volume_A3": 1000.0}[column]
    ramp = 0.06 * span * np.linspace(-0.5, 0.5, 4000)
    job = changed(pinned, **{column: lambda x: x + ramp})
    job = changed(job, bias_eV=lambda _: job.kappa_eV / 2 * (job["q"] - job.center) ** 2)
    found = [one for one in refusals(job, solid, liquid, discard=0) if one.kind == "drift"]
    assert found and column in found[0].evidence and "drifts" in found[0].evidence


def test_unpinned():
    """The order parameter in a wrong unit of length: zero everywhere, no force, no warning."""
    pinned, solid, liquid = three()
    rng = np.random.default_rng(0)
    nothing = [changed(job, q=lambda q: 1e-9 * rng.normal(size=len(q))) for job in (solid, liquid)]
    unpinned = changed(pinned, q=lambda q: 0 * q, bias_eV=lambda b: 0 * b)
    only("unpinned", ["does not tell the phases apart", "units"], unpinned, *nothing)
    stuck = changed(pinned, q=lambda q: 0 * q + 500, bias_eV=lambda b: 0 * b)
    only("unpinned", ["no bias acts"], stuck, solid, liquid)


def test_short():
    """Three autocorrelation times are no mean."""
    for seed in range(10):
        pinned, solid, liquid = three(seed, replace(MODEL, tau=400.0), 1200)
        found = kinds(pinned, solid, liquid)
        assert found and {"short", "drift", "window"} >= set(found), found
    pinned, solid, liquid = three()
    few = replace(pinned, columns={k: v[:20] for k, v in pinned.columns.items()})
    only("short", ["20 rows"], few, solid, liquid)


def test_linear_window():
    pinned, solid, liquid = three(0, replace(MODEL, width=0.15, tau=3.0))
    assert "window" in kinds(pinned, solid, liquid)
    off = replace(MODEL, width=0.01)
    pinned, solid, liquid = three(0, off)
    # a too near the solid, with an energy that says so too
    job = pinned_job(off, T, 0, delta_mu=-0.36 * off.kappa(T) * off.delta_q**2 / off.n_atoms)
    only("window", ["choose a in the middle"], job, solid, liquid)


def test_bulk_runs_that_are_another_phase():
    pinned, solid, liquid = three()
    half = np.arange(1000) < 500
    melting = {k: np.where(half, solid[k], liquid[k]) for k in solid.columns}
    freezing = {k: np.where(half, liquid[k], solid[k]) for k in solid.columns}
    for job, words in (
        (replace(solid, columns=melting), "melted on the way"),
        (replace(liquid, columns=freezing), "froze on the way"),
    ):
        for discard in (0, "auto"):
            jobs = (job, liquid) if job.kind == "solid" else (solid, job)
            only("phase", [words, job.name], pinned, *jobs, discard=discard)
    molten = replace(bulk_job(MODEL, "liquid", T, 3), kind="solid")
    only("phase", ["the solid melted"], pinned, molten, liquid)
    froze = replace(bulk_job(MODEL, "solid", T, 3), kind="liquid")
    only("phase", ["the liquid froze"], pinned, solid, froze)
    other = changed(froze, q=lambda q: q * 0.1)
    only("phase", ["froze into another crystal"], pinned, solid, other)


def test_words_for_an_order_parameter_that_falls_with_order():
    model = replace(MODEL, q_solid=MODEL.q_liquid, q_liquid=MODEL.q_solid)
    pinned, solid, liquid = three(0, model)
    assert kinds(pinned, solid, liquid) == []
    molten = replace(bulk_job(model, "liquid", T, 3), kind="solid")
    only("phase", ["the solid melted"], pinned, molten, liquid)
    froze = replace(bulk_job(model, "solid", T, 3), kind="liquid")
    only("phase", ["the liquid froze"], pinned, solid, froze)


def test_jobs_that_do_not_belong_together():
    model = Model(members=(0.001, -0.001))
    pinned, solid, liquid = three(0, model)
    assert kinds(pinned, solid, liquid) == []
    for key, value in (("temperature_K", 1000.0), ("pressure_GPa", 0.0), ("potential", "b.pt"),
                       ("order_parameter", "rhok 8 0 0"), ("elements", ("Kr",))):  # fmt: skip
        one, crystal, melt = (replace(job, potential="a.pt") for job in (pinned, solid, liquid))
        assert only("mixed", [f"{key} is "], one, replace(crystal, **{key: value}), melt).of_bulk
        both = (replace(job, **{key: value}) for job in (crystal, melt))
        assert not only("mixed", [f"{key} is "], one, *both).of_bulk
    hot = changed(pinned, temperature_K=lambda t: t * 1.05)
    only("mixed", ["expected 1010 K"], hot, solid, liquid)
    off = changed(pinned, potential_eV=lambda E: E + 1)
    only("mixed", ["mean of its members"], off, solid, liquid)
    shifted = changed(pinned, bias_eV=lambda b: np.roll(b, 1))
    only("mixed", ["rows of different steps"], shifted, solid, liquid)
    only("mixed", ["κ, a or Q"], replace(pinned, kappa_eV=2 * pinned.kappa_eV), solid, liquid)
    gone = replace(pinned, status="failed", reason="lost atoms")
    only("failed", ["lost atoms"], gone, solid, liquid)
