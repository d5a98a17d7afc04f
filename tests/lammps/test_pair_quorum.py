"""The pair style against Python, on one rank and on several: everything it gives, to 1e-10."""

import numpy as np
import pytest

from lammps_structures import structures
from lammps_tools import NKTV2P, read_dump, run_lammps, single_point, write_data
from quorum_md.models import load_potential
from quorum_md.units import KCAL_MOL_EV

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*interaction range", "ignore:.*single model", "ignore:.*length unit"
)
MODELS = [
    "lj",
    "lj in atomic units",
    "two hops",
    "two hops through positions",
    "committee",
    "weighted baseline",
]


def compare(run, tables, names, cases, potential, units):
    unit_eV = 1.0 if units == "metal" else KCAL_MOL_EV
    for name, table in zip(names, tables, strict=True):
        atoms = cases[name]
        want = potential.evaluate(atoms, virial=True)[0]
        scale = np.abs(want.atom_member_energies_eV).sum() + 1e-3
        got = {key: value[-1] for key, value in table.items()}
        assert got["PotEng"] * unit_eV == pytest.approx(want.energy_eV, abs=1e-10 * scale)
        members = [got[f"c_members[{k + 1}]"] * unit_eV for k in range(potential.n_members)]
        np.testing.assert_allclose(members, want.member_energies_eV, atol=1e-10 * scale)
        pressure = [got[f"P{c}"] for c in ("xx", "yy", "zz", "xy", "xz", "yz")]
        virial = np.array(pressure) * atoms.get_volume() / NKTV2P[units] * unit_eV
        expected = want.virial_eV[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
        np.testing.assert_allclose(virial, expected, atol=1e-10 * scale)
        dump = read_dump(run.folder / f"{name}.dump", 5) * unit_eV
        force_scale = np.abs(want.forces_eV_A).max() + 1e-3
        np.testing.assert_allclose(dump[:, :3], want.forces_eV_A, atol=1e-10 * force_scale)
        np.testing.assert_allclose(dump[:, 3], want.atom_energies_eV, atol=1e-10 * scale)
        spread = want.atom_member_energies_eV.std(axis=1, ddof=1)
        np.testing.assert_allclose(dump[:, 4], spread, atol=1e-10 * scale)


@pytest.mark.parametrize(
    ("model", "ranks"),
    [(m, r) for m in MODELS for r in (1, 2)]
    + [("two hops", 4), ("weighted baseline", 4)]
    + [pytest.param(m, 4, marks=pytest.mark.slow) for m in (*MODELS[:2], *MODELS[3:5])],
)
def test_equals_python(model_files, model, ranks, tmp_path):
    path, species = model_files[model]
    cases = structures(species)
    units = "real" if model == "lj in atomic units" else "metal"
    script = ""
    for name, atoms in cases.items():
        write_data(tmp_path / f"{name}.data", atoms, species)
        elements = " ".join(species)
        script += single_point(str(path), elements, f"{name}.data", name, units)
    run = run_lammps(script, tmp_path, ranks)
    compare(run, run.tables(), list(cases), cases, load_potential(path), units)


@pytest.mark.parametrize("ranks", [1, 2])
def test_shipped_potential_by_name(ranks, tmp_path):
    species = ["Nb", "Mo", "Ta", "W"]
    cases = {}
    for name, atoms in structures(species).items():
        if name == "one":
            atoms.symbols = "Mo"
        atoms.set_cell(np.asarray(atoms.cell) * 0.8, scale_atoms=True)
        cases[name] = atoms
    script = ""
    for name, atoms in cases.items():
        write_data(tmp_path / f"{name}.data", atoms, species)
        script += single_point(
            "nbmotaw", "Nb Mo Ta W", f"{name}.data", name, "metal", "dtype float64"
        )
    run = run_lammps(script, tmp_path, ranks)
    potential = load_potential("nbmotaw", dtype="float64")
    compare(run, run.tables(), list(cases), cases, potential, "metal")
