"""Committee files: assembling, calibrating, and running them elsewhere."""

import numpy as np
import pytest
from ase.build import bulk
from metatomic_ase import MetatomicCalculator

from quorum_md.cli import main
from quorum_md.errors import QuorumError
from quorum_md.models import load_potential
from quorum_md.models.metatomic_model import ALPHA_KEY
from quorum_md.units import BOHR_A, HARTREE_EV
from toy_models import LennardJones, TwoHops, export

pytestmark = pytest.mark.filterwarnings("ignore:.*interaction range")


@pytest.fixture
def argon():
    atoms = bulk("Ar", "fcc", 4.4, cubic=True)
    atoms.rattle(0.1, seed=1)
    return atoms


@pytest.fixture
def members(tmp_path):
    """A single model in (Å, eV), two members in (Å, Hartree), and two of a two-hop float32 model
    that ignores selections and knows another element too."""
    one = LennardJones(3.0, 0.1, 6.5, [1.0])
    two = LennardJones(2.9, 0.1 / HARTREE_EV, 6.4, [1.0, 2.0])
    three = TwoHops(5.0, [1.0, 3.0], True)
    return [
        export(one, tmp_path / "one.pt", [18], 6.5, ensemble=False),
        export(two, tmp_path / "two.pt", [18], 6.4, energy_unit="hartree"),
        export(three, tmp_path / "three.pt", [18, 41], 5.0, dtype="float32"),
    ]


@pytest.mark.filterwarnings("ignore:.*single model")
def test_committee_file_equals_its_members(members, argon, tmp_path, capsys):
    out = tmp_path / "all.pt"
    assert main(["committee", *map(str, members), "-o", str(out)]) == 0
    assert "5 members from 3 files, interaction range 10 Å" in capsys.readouterr().out
    potential = load_potential(out)
    assert potential.species == ("Ar",) and potential.n_members == 5
    assert potential.dtype == "float64" and potential.honours_selection
    got = potential.evaluate([argon, argon[:2]], virial=True, member_forces=True)
    parts = [load_potential(m, dtype="float64") for m in members]
    for i, atoms in enumerate([argon, argon[:2]]):
        alone = [p.evaluate([atoms], virial=True, member_forces=True)[0] for p in parts]
        energies = np.concatenate([a.member_energies_eV for a in alone])
        np.testing.assert_allclose(got[i].member_energies_eV, energies, rtol=1e-12)
        assert got[i].energy_eV == pytest.approx(energies.mean(), rel=1e-13)
        forces = np.concatenate([a.member_forces_eV_A for a in alone])
        np.testing.assert_allclose(got[i].member_forces_eV_A, forces, atol=1e-10)
        np.testing.assert_allclose(got[i].forces_eV_A, forces.mean(axis=0), atol=1e-10)
    some = potential.evaluate([argon], forces=False, centers=[[2, 0]])[0]
    np.testing.assert_allclose(some.atom_energies_eV, got[0].atom_energies_eV[[2, 0]], rtol=1e-12)
    # the standard outputs, in an engine that knows nothing of us
    argon.calc = MetatomicCalculator(str(out), check_consistency=True, uncertainty_threshold=None)
    assert argon.get_potential_energy() == pytest.approx(got[0].energy_eV, rel=1e-12)
    np.testing.assert_allclose(argon.get_forces(), got[0].forces_eV_A, atol=1e-10)
    np.testing.assert_allclose(
        argon.get_stress(voigt=False) * argon.get_volume(), -got[0].virial_eV, atol=1e-9
    )


def test_models_written_in_bohr_stay_in_bohr(lj_file, lj_atomic_units_file, argon, tmp_path):
    out = tmp_path / "bohr.pt"
    assert main(["committee", *[str(lj_atomic_units_file)] * 2, "-o", str(out)]) == 0
    got = load_potential(out).evaluate([argon], virial=True)[0]
    reference = load_potential(lj_file).evaluate([argon], virial=True)[0]
    assert got.energy_eV == pytest.approx(reference.energy_eV, rel=1e-7)
    np.testing.assert_allclose(got.forces_eV_A, reference.forces_eV_A, atol=1e-6)
    np.testing.assert_allclose(got.virial_eV, reference.virial_eV, atol=1e-5)


def test_calibrate_writes_alpha_into_the_file(lj_file, argon, tmp_path, capsys):
    """Truth drawn around the committee mean with 3 × its spread: α comes out, and is applied."""
    import ase.io
    from ase.calculators.singlepoint import SinglePointCalculator

    rng = np.random.default_rng(5)
    frames = []
    committee = load_potential(lj_file)
    for i in range(300):
        atoms = bulk("Ar", "fcc", rng.uniform(4.2, 4.8), cubic=True)
        atoms.rattle(0.1, rng=rng)
        p = committee.evaluate([atoms], forces=False)[0]
        truth = p.energy_eV + p.spread_eV * 3 * rng.normal()
        atoms.calc = SinglePointCalculator(atoms, energy=truth)
        atoms.info["config_type"] = "even" if i % 2 else "odd"
        frames.append(atoms)
    data, out = tmp_path / "held.extxyz", tmp_path / "out.pt"
    ase.io.write(data, frames)
    assert main(["calibrate", str(lj_file), str(data), "-o", str(out)]) == 0
    text = capsys.readouterr().out
    calibrated = load_potential(out)
    alpha = float(calibrated.metadata.extra[ALPHA_KEY])
    # s is exact here, not an estimate from K draws: ⟨(y−ȳ)²/s²⟩ = 9
    assert alpha**2 == pytest.approx((9 * 2 / 4) - 1 / 5, rel=4 * np.sqrt(2 / 300))
    assert all(group in text for group in ("all", "even", "odd"))
    before, after = committee.evaluate([argon])[0], calibrated.evaluate([argon])[0]
    deviation = before.member_energies_eV - before.energy_eV
    np.testing.assert_allclose(
        after.member_energies_eV, before.energy_eV + alpha * deviation, rtol=1e-12
    )
    assert after.energy_eV == pytest.approx(before.energy_eV, rel=1e-14)
    np.testing.assert_allclose(after.forces_eV_A, before.forces_eV_A, atol=1e-13)
    # calibrating twice multiplies
    again = tmp_path / "again.pt"
    assert main(["calibrate", str(out), str(data), "-o", str(again)]) == 0
    twice = float(load_potential(again).metadata.extra[ALPHA_KEY])
    ratio = (9 / alpha**2) * 2 / 4 - 1 / 5
    assert (twice / alpha) ** 2 == pytest.approx(ratio, rel=4 * np.sqrt(2 / 300))


@pytest.mark.filterwarnings("ignore:.*single model")
def test_bad_input_is_one_sentence_and_writes_nothing(members, lj_file, tmp_path, capsys):
    text = tmp_path / "text.pt"
    text.write_text("nothing")
    niobium = export(LennardJones(3.0, 0.1, 6.5, [1.0, 2.0]), tmp_path / "nb.pt", [41], 6.5)
    bohr = export(LennardJones(5.0, 0.1, 9.0, [1.0]), tmp_path / "b.pt", [18], 9.0, "bohr", "eV")
    xyz = tmp_path / "a.xyz"
    xyz.write_text("1\n\nAr 0 0 0\n")
    out = tmp_path / "out.pt"
    one, lj = str(members[0]), str(lj_file)
    cases = [
        (["committee", one], "expected at least two"),
        (["committee", one, str(tmp_path / "none.pt")], "no such model file"),
        (["committee", one, str(text)], "not a metatomic model"),
        (["committee", one, str(niobium)], "no element in common"),
        (["committee", one, str(bohr)], "different length units"),
        (["calibrate", one, str(xyz)], "expected 4 or more"),
        (["calibrate", lj, str(tmp_path / "none.xyz")], "no such file"),
        (["calibrate", lj, str(xyz)], "has no 'energy'"),
        (["calibrate", lj, str(text)], "ASE cannot read it"),
        (["baseline", lj, lj, "--sigma", "1"], "has 5 members; expected a single"),
        (["baseline", lj, one, "--sigma", "-1"], "expected a positive number"),
        (["baseline", lj, one, "--sigma", "1", "--offsets", "Ar"], "SYMBOL=ENERGY"),
        (["check", lj, str(text)], "ASE cannot read it"),
        (["check", str(niobium), str(xyz)], "element Ar is not in"),
    ]
    for arguments, message in cases:
        extra = [] if arguments[0] == "check" else ["-o", str(out)]
        assert main([*arguments, *extra]) == 2, arguments
        error = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error: ")]
        assert len(error) == 1 and message in error[0], (arguments, error)
        assert not out.exists()
    assert main(["committee", one, lj, "-o", one]) == 2
    assert main(["committee", one, lj, "-o", str(tmp_path / "no" / "out.pt")]) == 2
    assert not [f for f in tmp_path.iterdir() if f.name.startswith(".")]


def test_full_disk_keeps_the_old_file(lj_file, tmp_path, capsys, monkeypatch):
    import errno
    import os

    def no_space(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out = tmp_path / "out.pt"
    out.write_bytes(b"old")
    monkeypatch.setattr("quorum_md.atomic.os.fsync", no_space)
    assert main(["committee", str(lj_file), str(lj_file), "-o", str(out)]) == 2
    assert "No space left" in capsys.readouterr().err
    assert out.read_bytes() == b"old" and [f.name for f in tmp_path.iterdir()] == ["out.pt"]


def test_weighted_baseline_is_added_last(lj_file, members, tmp_path):
    out = tmp_path / "safe.pt"
    command = ["baseline", str(lj_file), str(members[0]), "--sigma", "1", "-o", str(out)]
    assert main(command) == 0
    assert main(["committee", str(out), str(lj_file), "-o", str(tmp_path / "x.pt")]) == 2
    with pytest.raises(QuorumError, match="weighted baseline already"):
        load_potential([out, lj_file])


def test_check_reports_in_json(lj_atomic_units_file, argon, tmp_path, capsys):
    import json

    import ase.io

    ase.io.write(tmp_path / "a.extxyz", argon)
    arguments = ["check", str(lj_atomic_units_file), str(tmp_path / "a.extxyz")]
    assert main([*arguments, "--json"]) == 0
    got = json.loads(capsys.readouterr().out)
    assert set(got) == {
        "n_atoms",
        "n_members",
        "interaction_range_A",
        "energy_eV",
        "spread_eV",
        "max_force_error_eV_A",
        "max_virial_error_eV",
        "time_per_atom_us",
    }
    assert got["n_members"] == 5 and got["n_atoms"] == 4
    assert got["interaction_range_A"] == pytest.approx(12.283 * BOHR_A, rel=1e-4)
    assert got["max_force_error_eV_A"] < 1e-8 and got["max_virial_error_eV"] < 1e-6
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "bohr, hartree" in text and "members" in text


def test_check_warns_of_forces_that_are_no_gradient(lj_file, argon, tmp_path, monkeypatch, capsys):
    import ase.io

    from quorum_md.models import check

    right = check.finite_difference_forces
    monkeypatch.setattr(check, "finite_difference_forces", lambda *a: right(*a) + 0.01)
    ase.io.write(tmp_path / "a.extxyz", argon)
    assert main(["check", str(lj_file), str(tmp_path / "a.extxyz")]) == 0
    assert "not its gradient" in capsys.readouterr().err
    monkeypatch.undo()
    assert main(["check", str(lj_file), str(tmp_path / "a.extxyz")]) == 0
    assert "not its gradient" not in capsys.readouterr().err
