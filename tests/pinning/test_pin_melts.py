"""Melts of other compositions: nothing depends on the zeros of the elements' energies."""

from dataclasses import replace

import numpy as np
import pytest
from regular_melt_data import BOX, Melt, bulk_melt, pinned_melt
from two_phase_data import changed

from quorum_md.pinning.bulk import bulk
from quorum_md.pinning.melts import at_box, usable
from quorum_md.pinning.points import point
from quorum_md.pinning.refusals import Limits, refusals

T = 1440.0
FRACTIONS = (0.3, 0.5, 0.7)
MELT = Melt()
# eV added to every atom of the first element
ZEROS = (0.0, -5.0, 5.0, -200.0)


def zero_at(melt, part):
    """The zero that puts the crystal `part` of Δh above the melt of 0.3."""
    span = melt.solid_energy() - melt.liquid_energy(0.3)
    return (part * melt.h - span) / (melt.x_s - 0.3)


def jobs_of(zero, melt=MELT, seed=1):
    """Pinned run in a melt of 0.3, solid, that melt, and melts of all compositions; v is the same
    in both phases, as in many melts."""
    melt = replace(melt, e_a=melt.e_a + zero)
    jobs = [pinned_melt(melt, 0.3, T, seed), bulk_melt(melt, None, T, seed)]
    jobs += [bulk_melt(melt, x, T, seed) for x in FRACTIONS]
    volume = 17.0 * BOX.n_atoms
    jobs = [
        changed(
            job,
            volume_A3=lambda v: volume + (v - v.mean()),
            lz_A=lambda z, job=job: (
                (volume + (job["volume_A3"] - job["volume_A3"].mean()))
                / (job["lx_A"] * job["ly_A"])
            ),
        )
        for job in jobs
    ]
    return jobs[0], jobs[1], jobs[2], jobs[2:]


def frozen(job):
    """The second half as if 85 % were crystal while Q says half."""
    n = job.n_frames
    step = np.where(np.arange(n) < n // 2, 0.0, 0.35 * MELT.h * job.n_atoms)
    return changed(job, potential_eV=lambda u: u - step)


def test_phases_of_a_box():
    """Energies lie between the two at the solid fraction, and differ by Δh, for any zero."""
    for zero in ZEROS:
        pinned, solid, liquid, melts = jobs_of(zero)
        crystal, melt = (bulk(job, 0) for job in (solid, liquid))
        a, b = at_box(pinned, crystal, melt, [bulk(one, 0) for one in melts])
        # of atoms taken out of this melt in the crystal's proportion
        h = MELT.h + MELT.omega * 0.2**2
        assert b.energy_eV.value - a.energy_eV.value == pytest.approx(h, abs=2e-3)
        assert b.enthalpy_eV.value - a.enthalpy_eV.value == pytest.approx(h, abs=2e-3)
        q = (pinned["q"].mean() / BOX.n_atoms - BOX.q_liquid) / (BOX.q_solid - BOX.q_liquid)
        u = pinned["potential_eV"].mean() / BOX.n_atoms
        f = (u - b.energy_eV.value) / (a.energy_eV.value - b.energy_eV.value)
        assert f == pytest.approx(q, abs=0.02)
        same = bulk(melts[1], 0)
        assert at_box(pinned, crystal, same, []) == (crystal, same)


@pytest.mark.parametrize("zero", [*ZEROS, zero_at(MELT, 0.15), zero_at(MELT, -0.15)])
def test_zeros_of_the_elements(zero):
    """A frozen box is refused and a good one is not, with the same numbers."""
    pinned, solid, liquid, melts = jobs_of(zero)
    # interfaces cost 5 % of Δh
    pinned = changed(pinned, potential_eV=lambda u: u + 0.05 * MELT.h * BOX.n_atoms)
    assert refusals(pinned, solid, liquid, melts, discard=0) == []
    found = refusals(frozen(pinned), solid, liquid, melts, discard=0)[0]
    assert found.kind == "registry"
    exact = refusals(frozen(jobs_of(0.0)[0]), *jobs_of(0.0)[1:], discard=0)[0].numbers
    off = exact["solid_fraction_energy"] - found.numbers["solid_fraction_energy"]
    assert off == pytest.approx(0.05, abs=0.01)
    strained = changed(pinned, pxx_GPa=lambda p: p + 5.0)
    (stress,) = refusals(strained, solid, liquid, melts, discard=0)
    limit = refusals(
        changed(jobs_of(0.0)[0], pxx_GPa=lambda p: p + 5.0), *jobs_of(0.0)[1:], discard=0
    )[0].numbers["limit_GPa"]
    assert stress.kind == "stress" and stress.numbers["limit_GPa"] == pytest.approx(limit, rel=1e-3)
    assert limit > 0.25


def test_two_melts_make_no_slope():
    """Then energy says nothing, and the limit of stress is the fixed one."""
    for zero in ZEROS:
        pinned, solid, liquid, melts = jobs_of(zero)
        assert refusals(frozen(pinned), solid, liquid, melts[:2], discard=0) == []
        strained = changed(pinned, pxx_GPa=lambda p: p + 0.2)
        found = refusals(strained, solid, liquid, melts[:2], discard=0)
        assert [one.numbers["limit_GPa"] for one in found] == [0.1]


def test_good_runs_in_other_melts():
    """None of 25, at zeros that make the energies of crystal and melt alike."""
    for seed in range(25):
        zero = zero_at(MELT, (-0.2, 0.0, 0.2, 3.0, -3.0)[seed % 5])
        pinned, *bulk_runs = jobs_of(zero, seed=seed)
        pinned = changed(pinned, potential_eV=lambda u: u + 0.05 * MELT.h * BOX.n_atoms)
        assert refusals(pinned, *bulk_runs, discard=0) == [], seed


MEMBERS = ((0.003, 0.02, 0.05, 0.0), (-0.003, -0.02, -0.05, 0.0), (0.0, 0.0, 0.0, 0.0))


def crystallised(job, start=0):
    """A melt that froze into a crystal of its own at a row; its members are off by that."""
    late = np.arange(job.n_frames) >= start
    off = -0.3 * job.n_atoms * late
    job = changed(job, q=lambda q: q + 0.95 * job.n_atoms * late, potential_eV=lambda u: u + off)
    own = job.n_atoms * np.array([0.02, -0.02, 0.0])
    return replace(job, members_eV=job.members_eV + off[:, None] + own)


@pytest.mark.parametrize("how", ["failed", "short", "hot", "frozen", "freezing", "second"])
def test_melts_that_are_none_make_no_tangent(how):
    """Δh and δμ of a melt are those without it."""
    melt, x = Melt(members=MEMBERS), (0.2, 0.3, 0.5, 0.7)
    solid = bulk(bulk_melt(melt, None, T, 1), 0)
    jobs = [bulk_melt(melt, one, T, 1) for one in x]
    bad = jobs[0]
    if how in ("failed", "frozen"):
        bad = crystallised(bad)
    if how == "failed":
        bad = replace(changed(bad, q=lambda q: q - 0.95 * bad.n_atoms), status="failed")
    elif how == "short":
        columns = {k: v[:20] + (k == "potential_eV") * 50 for k, v in bad.columns.items()}
        bad = replace(bad, columns=columns, members_eV=bad.members_eV[:20] + 50)
    elif how == "hot":
        bad = changed(bad, temperature_K=lambda t: t + 60, potential_eV=lambda u: u + 20)
        bad = replace(bad, members_eV=bad.members_eV + 20)
    elif how == "freezing":
        bad = crystallised(bad, 700)
    elif how == "second":  # in the energy only
        bad = changed(crystallised(bad, 700), q=lambda q: jobs[0]["q"])
    melts = [bulk(job, 0) for job in (bad, *jobs[1:])]
    good, left = usable(solid, melts)
    assert [one.job for one in good] == jobs[1:] and len(left) == 1 and bad.name in left[0]
    pinned = pinned_melt(melt, 0.3, T, 1)
    found = point([pinned], solid, melts[1], melts, discard=0, limits=Limits())
    alone = point([pinned], solid, melts[1], melts[1:], discard=0, limits=Limits())
    assert found.fusion == alone.fusion and not found.refused
    np.testing.assert_array_equal(found.shift.members_eV, alone.shift.members_eV)
    assert "a melt is left out: " in found.reasons[-1] and found.verdict == "doubtful"
    # a crystal's own melt needs no other
    own = point([pinned_melt(melt, 0.5, T, 1)], solid, melts[2], melts, discard=0, limits=Limits())
    assert own.reasons == [] and own.fusion is not None
