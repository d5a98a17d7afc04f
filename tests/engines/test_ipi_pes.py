"""The driver that i-PI loads: units, signs, extras and refusals, without running i-PI."""

import json

import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from ipi.pes import load_pes, scan_pes_file

from ipi_tools import PES, argon
from quorum_md.engines.ipi_extras import committee_extras
from quorum_md.engines.ipi_model import IpiModel, PesOptions
from quorum_md.engines.ipi_template import read_template
from quorum_md.errors import QuorumError
from quorum_md.models import Prediction, load_potential
from quorum_md.units import BOHR_A, HARTREE_EV


@pytest.fixture(scope="module")
def crystal():
    """32 atoms of argon, displaced, in a triclinic cell."""
    atoms = argon(2, rattle_A=0.1)
    strain = [[1.01, 0.03, -0.02], [0.0, 0.98, 0.04], [0.0, 0.0, 1.02]]
    atoms.set_cell(atoms.cell @ np.array(strain), scale_atoms=True)
    return atoms


@pytest.fixture
def driver(lj_file, crystal, tmp_path):
    """A function that makes the driver as i-PI does, with further parameters."""
    write(tmp_path / "start.xyz", crystal)

    def make(**parameters):
        given = {"model": str(lj_file), "template": str(tmp_path / "start.xyz"), **parameters}
        return load_pes("custom", str(PES))(verbosity=False, **given)

    return make


def as_ipi(atoms):
    """Cell with vectors as columns, and positions, in Bohr."""
    return np.array(atoms.cell).T / BOHR_A, atoms.positions / BOHR_A


def test_i_pi_recognises_the_file():
    assert scan_pes_file(str(PES)) == ("QuorumDriver", "quorum")


def test_energy_forces_and_members_of_the_model(driver, crystal, lj_file):
    energy, forces, virial, extras = driver()(*as_ipi(crystal))
    exact = load_potential(lj_file).evaluate([crystal], forces=True, virial=True)[0]
    assert energy == pytest.approx(exact.energy_eV / HARTREE_EV, rel=1e-12)
    np.testing.assert_allclose(forces, exact.forces_eV_A * BOHR_A / HARTREE_EV, rtol=1e-9)
    np.testing.assert_allclose(virial, exact.virial_eV / HARTREE_EV, rtol=1e-9)
    members = json.loads(extras)["committee_pot"]
    np.testing.assert_allclose(members, exact.member_energies_eV / HARTREE_EV, rtol=1e-12)
    assert np.mean(members) == pytest.approx(energy, rel=1e-13)


def test_derivatives_in_atomic_units(driver, crystal):
    """Forces and virial (i-PI's sign: minus stress × volume) against differences of the energy."""
    pes = driver(member_forces=True, member_virials=True)
    cell, positions = as_ipi(crystal)
    _, forces, virial, extras = pes(cell, positions)
    extras = json.loads(extras)
    h = 1e-4

    def energies(cell, positions):
        energy, _, _, text = pes(cell, positions)
        return np.array([energy, *json.loads(text)["committee_pot"]])

    for atom, axis in [(0, 0), (5, 1), (31, 2)]:
        step = np.zeros_like(positions)
        step[atom, axis] = h
        slope = (energies(cell, positions + step) - energies(cell, positions - step)) / (2 * h)
        assert forces[atom, axis] == pytest.approx(-slope[0], abs=1e-8)
        member = np.array(extras["committee_force"]).reshape(5, 32, 3)[:, atom, axis]
        np.testing.assert_allclose(member, -slope[1:], atol=1e-8)
    for a, b in [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]:
        strain = np.zeros((3, 3))
        strain[a, b] += h / 2
        strain[b, a] += h / 2
        slope = (
            energies(cell + strain @ cell, positions + positions @ strain)
            - energies(cell - strain @ cell, positions - positions @ strain)
        ) / (2 * h)
        assert virial[a, b] == pytest.approx(-slope[0], abs=1e-6)
        member = np.array(extras["committee_virial"]).reshape(5, 3, 3)[:, a, b]
        np.testing.assert_allclose(member, -slope[1:], atol=1e-6)
    assert np.abs(virial).max() > 0.01, "a test of zero tests nothing"


def test_a_batch_is_its_structures_in_one_call(driver, crystal):
    pes = driver(member_forces=True)
    structures = []
    for seed in range(3):
        atoms = crystal.copy()
        atoms.rattle(0.05, seed=seed)
        atoms.set_cell(atoms.cell * (1 + 0.01 * seed))
        structures.append(as_ipi(atoms))
    calls = []
    evaluate = pes.model.potential.evaluate

    class Counting:
        def evaluate(self, batch, **wanted):
            calls.append(len(batch))
            return evaluate(batch, **wanted)

    pes.model.potential = Counting()
    together = pes([s[0] for s in structures], [s[1] for s in structures])
    assert calls == [3]
    for one, structure in zip(together, structures, strict=True):
        alone = pes(*structure)
        assert one[0] == pytest.approx(alone[0], rel=1e-13)
        np.testing.assert_allclose(one[1], alone[1], atol=1e-14)
        np.testing.assert_allclose(one[2], alone[2], atol=1e-13)
        assert json.loads(one[3]).keys() == json.loads(alone[3]).keys()


def test_without_periodicity(driver, crystal):
    pes = driver(pbc=False)
    _, positions = as_ipi(crystal)
    free = pes(np.eye(3) * 1000, positions)
    assert pes(np.eye(3) * 5, positions)[0] == pytest.approx(free[0], rel=1e-13)


def test_all_digits_survive():
    members = np.array([-12345.678901234567, np.pi, 1e-300])
    extras = json.loads(committee_extras(Prediction(members.mean(), members)))
    assert extras["committee_pot"] == (members / HARTREE_EV).tolist()
    assert extras["committee_uncertainty"] == members.std(ddof=1) / HARTREE_EV
    assert set(extras) == {"committee_pot", "committee_uncertainty"}


def test_one_member_claims_no_uncertainty():
    extras = json.loads(committee_extras(Prediction(1.0, np.array([1.0]))))
    assert extras == {"committee_pot": [1.0 / HARTREE_EV]}


def test_weighted_baseline_and_member_derivatives():
    rng = np.random.default_rng(0)
    members, forces = rng.normal(size=4), rng.normal(size=(4, 6, 3))
    virials = rng.normal(size=(4, 3, 3))
    prediction = Prediction(
        0.3,
        members,
        member_forces_eV_A=forces,
        member_virials_eV=virials,
        baseline_energy_eV=2.0,
        mixing=0.25,
    )
    extras = json.loads(committee_extras(prediction))
    assert extras["baseline_pot"] == 2.0 / HARTREE_EV and extras["wb_mixing"] == 0.25
    # ffcommittee adds up the lists of its children: K separate lists
    lengths = [len(row) for row in extras["committee_force"]]
    assert lengths == [18] * 4 and [len(row) for row in extras["committee_virial"]] == [9] * 4
    np.testing.assert_allclose(
        extras["committee_force"], forces.reshape(4, 18) * BOHR_A / HARTREE_EV, rtol=1e-14
    )


IPI_XYZ = """2
# CELL(abcABC):   10.0 10.0 10.0 90.0 90.0 90.0  Step: 0  Bead: 0 positions{angstrom} cell{angstrom}
      Nb  0.00000e+00  0.00000e+00  0.00000e+00
       W  1.62000e+00  1.62000e+00  1.62000e+00
"""


def test_templates(tmp_path):
    (tmp_path / "ipi.xyz").write_text(IPI_XYZ)
    atoms = Atoms("NbW", [(0, 0, 0), (1.6, 1.6, 1.6)], cell=[3, 3, 3], pbc=True)
    for name in ("extended.xyz", "cell.cif", "POSCAR", "frames.traj"):
        write(tmp_path / name, [atoms] if name == "frames.traj" else atoms)
    write(tmp_path / "plain.xyz", atoms, format="xyz")
    for path in tmp_path.iterdir():
        assert read_template(str(path)).get_chemical_symbols() == ["Nb", "W"], path.name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "no such template"),
        ("", "cannot be read as a structure"),
        ("nonsense\n", "cannot be read as a structure"),
        (IPI_XYZ.replace("Nb", "Qq"), "line 3: got 'Qq', expected an element"),
        (IPI_XYZ.replace("2\n#", "3\n#"), "line 5: got the end of the file"),
    ],
)
def test_templates_that_are_none(tmp_path, text, words):
    path = tmp_path / "t.xyz"
    if text is not None:
        path.write_text(text)
    with pytest.raises(QuorumError, match=words) as error:
        read_template(str(path))
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"template": "t"}, r"\[parameters\] model: missing; write <parameters>"),
        ({"model": "m"}, r"\[parameters\] template: missing"),
        ({"model": "m", "template": "t", "modle": 3}, "modle: no such parameter; known are model"),
        ({"model": "m", "template": "t", "pbc": 1}, "pbc: got 1, expected true or false"),
    ],
)
def test_parameters_that_are_none(parameters, words):
    with pytest.raises(QuorumError, match=words):
        PesOptions.from_parameters(parameters)


def test_parameters_as_i_pi_reads_them():
    options = PesOptions.from_parameters(
        {"model": 7, "template": "t", "member_forces": True, "verbosity": False}
    )
    assert options == PesOptions("7", "t", member_forces=True)


class Anything:
    """A potential that knows argon and returns what it is told."""

    species = ("Ar",)
    n_members = 1

    def __init__(self, energy_eV=0.0, force_eV_A=0.0):
        self.energy_eV, self.force_eV_A = energy_eV, force_eV_A

    def evaluate(self, structures, **wanted):
        return [
            Prediction(
                self.energy_eV,
                np.array([self.energy_eV]),
                np.full((len(a), 3), self.force_eV_A),
                np.zeros((3, 3)),
            )
            for a in structures
        ]


@pytest.fixture
def anything(tmp_path, crystal):
    write(tmp_path / "start.xyz", crystal)
    options = PesOptions("m.pt", str(tmp_path / "start.xyz"))
    return lambda **values: IpiModel(options, Anything(**values))


def test_what_i_pi_sends_is_checked(anything, crystal):
    model = anything()
    cell, positions = as_ipi(crystal)
    with pytest.raises(QuorumError, match="template has 32 atoms but i-PI sent 31"):
        model.compute([cell], [positions[:-1]])
    broken = positions.copy()
    broken[17, 1] = np.nan
    with pytest.raises(QuorumError, match=r"non-finite position for atom 17 \(Ar\)"):
        model.compute([cell, cell], [positions, broken])
    with pytest.raises(QuorumError, match="non-finite cell"):
        model.compute([cell + np.inf], [positions])


def test_species_that_the_model_does_not_know(tmp_path, lj_file):
    write(tmp_path / "t.xyz", Atoms("ArKr", [(0, 0, 0), (3, 3, 3)]))
    with pytest.raises(QuorumError, match=r"species Kr not in .*lj\.pt, which knows Ar"):
        IpiModel(PesOptions(str(lj_file), str(tmp_path / "t.xyz")))
