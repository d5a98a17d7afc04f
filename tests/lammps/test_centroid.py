"""Virials by atoms as the current of energy needs them: centroid/stress/atom and heat/flux."""

import numpy as np
import pytest
from ase.neighborlist import neighbor_list

from lammps_structures import structures
from lammps_tools import NKTV2P, read_dump, run_lammps, write_data
from quorum_md.units import KCAL_MOL_EV
from toy_models import LocalAlloy, export

pytestmark = pytest.mark.filterwarnings("ignore:.*interaction range")
SPECIES = ["Ar", "Kr"]
CUTOFF_A = 4.6
SITE, PAIR, ONE, TWO, ANGLE = PARAMETERS = [0.05, -0.3, 0.2, 0.4, 1.0]  # eV, the last eV/Å²
# xx yy zz xy xz yz yx zx zy
ROWS, COLUMNS = [0, 1, 2, 0, 0, 1, 1, 2, 2], [0, 1, 2, 1, 2, 2, 0, 0, 1]
HEAD = """
units {units}
atom_style atomic
boundary {boundary}
read_data box.data
pair_style quorum {path}
pair_coeff * * Ar Kr
neighbor 0.5 bin
"""


@pytest.fixture(scope="module")
def alloy_file(tmp_path_factory):
    module = LocalAlloy(CUTOFF_A, PARAMETERS, 36, [0.8, 1.0, 1.2], "")
    return export(module, tmp_path_factory.mktemp("alloy") / "alloy.pt", [18, 36], CUTOFF_A)


def head(folder, path, name, units="metal", boundary="p p p"):
    atoms = structures(SPECIES)[name]
    write_data(folder / "box.data", atoms, SPECIES)
    return HEAD.format(units=units, path=path, boundary=boundary), atoms


def by_definition(atoms):
    """(N, 3, 3): W_j = −Σ_i (r_j − r_i) ⊗ ∂E_i/∂r_j, from the formula of the model."""
    i, j, r, d = neighbor_list("ijDd", atoms, CUTOFF_A)
    kind = (atoms.numbers == 36).astype(float)
    f = (1 - (d / CUTOFF_A) ** 2) ** 3
    density = np.zeros(len(atoms))
    np.add.at(density, i, f * (1 + kind[j]))
    slope = (PAIR * kind + ONE + 2 * TWO * density)[i] * (1 + kind[j])  # dE_i/df
    df = (-6 * (1 - (d / CUTOFF_A) ** 2) ** 2 / CUTOFF_A**2)[:, None] * r
    polar = np.zeros((len(atoms), 3))
    np.add.at(polar, i, f[:, None] * r)
    along = (polar[i] * r).sum(axis=1)
    gradient = slope[:, None] * df + 2 * ANGLE * (f[:, None] * polar[i] + along[:, None] * df)
    virials = np.zeros((len(atoms), 3, 3))
    np.add.at(virials, j, -r[:, :, None] * gradient[:, None, :])
    return virials


@pytest.mark.parametrize(
    ("name", "ranks", "units"),
    [("triclinic", 1, "metal"), ("small", 2, "metal"), ("triclinic", 4, "real")],
)
def test_equals_definition_and_sums_up(alloy_file, name, ranks, units, tmp_path):
    script, atoms = head(tmp_path, alloy_file, name, units)
    script += """
compute c all centroid/stress/atom NULL virial
compute s all stress/atom NULL virial
compute t all reduce sum c_c[*]
thermo_style custom step pxx pyy pzz pxy pxz pyz c_t[*]
thermo_modify norm no format float %.17g
dump d all custom 1 w.dump id c_c[*] c_s[*]
dump_modify d format float %.17g
run 0
"""
    run = run_lammps(script, tmp_path, ranks)
    unit = NKTV2P[units] / (KCAL_MOL_EV if units == "real" else 1.0)
    want = by_definition(atoms)
    got = -read_dump(tmp_path / "w.dump", 15) / unit
    scale = np.abs(want).max()
    np.testing.assert_allclose(got[:, :9], want[:, ROWS, COLUMNS], atol=1e-9 * scale)
    assert np.abs(want - want.transpose(0, 2, 1)).max() > 1e-4 * scale  # not symmetric by itself
    # other parts of the same whole
    assert np.abs(got[:, :6] - got[:, 9:]).max() > 1e-3 * scale
    table = run.thermo()
    for k in range(9):
        total = -table[f"c_t[{k + 1}]"][0] / atoms.get_volume()
        a, b = sorted((ROWS[k], COLUMNS[k]))
        pressure = table["P" + "xyz"[a] + "xyz"[b]][0]
        assert total == pytest.approx(pressure, rel=1e-8, abs=1e-8 * unit)


def test_heat_flux_is_the_motion_of_energy(alloy_file, tmp_path):
    """In open space the current of energy is d/dt Σ r_i e_i: from three steps, without virials."""
    script, atoms = head(tmp_path, alloy_file, "blob", boundary="f f f")
    script += """
velocity all create 2000 7 loop geom
fix nve all nve
timestep 0.00005
compute k all ke/atom
compute p all pe/atom
compute c all centroid/stress/atom NULL virial
compute s all stress/atom NULL virial
compute j all heat/flux k p c
compute i all heat/flux k p s
thermo_style custom step c_j[*] c_i[*] etotal
thermo_modify norm no format float %.17g
thermo 1
dump d all custom 1 e.dump id x y z c_k c_p
dump_modify d format float %.17g sort id
run 2
"""
    table = run_lammps(script, tmp_path, 2).thermo()
    blocks = (tmp_path / "e.dump").read_text().split("ITEM: TIMESTEP\n")[1:]
    tables = [np.array([x.split() for x in b.splitlines()[8:]], dtype=float) for b in blocks]
    assert all(len(t) == len(atoms) for t in tables)
    moment = [(t[:, 1:4] * t[:, 4:].sum(axis=1, keepdims=True)).sum(axis=0) for t in tables]
    want = (moment[2] - moment[0]) / (2 * 0.00005)  # eV Å/ps
    got = np.array([table[f"c_j[{k}]"][1] for k in (1, 2, 3)])
    scale = np.abs(want).max()
    np.testing.assert_allclose(got, want, atol=1e-4 * scale)
    # the virial shared by halves, as of pairs, is not the current of these energies
    halves = np.array([table[f"c_i[{k}]"][1] for k in (1, 2, 3)])
    assert np.abs(halves - want).max() > 1e-3 * scale


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("two hops", "sees farther than the neighbours of an atom"),
        ("two hops through positions", "reads positions instead of distances"),
        ("weighted baseline", "mixing depends on the whole system"),
        ("lj", "lists every pair once"),
    ],
)
def test_refused_where_energies_are_not_local(model_files, model, words, tmp_path):
    path, species = model_files[model]
    script, _ = head(tmp_path, path, "box")
    if len(species) == 1:
        script = script.replace("* * Ar Kr", "* * Ar Ar")
    script += "compute c all centroid/stress/atom NULL\ncompute t all reduce sum c_c[1]\n"
    script += "thermo_style custom step c_t\nrun 0\n"
    run = run_lammps(script, tmp_path, 2, check=False)
    assert run.code != 0 and len(run.errors) == 1, run.output
    assert words in run.errors[0] and "stress/atom" in run.errors[0]
