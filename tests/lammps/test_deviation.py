"""Disagreement of the members about forces and virial, in the form of model_devi.out."""

import numpy as np
import pytest

from lammps_structures import structures
from lammps_tools import run_lammps, write_data
from quorum_md.models import load_potential
from quorum_md.units import KCAL_MOL_EV

pytestmark = pytest.mark.filterwarnings("ignore:.*interaction range")
COLUMNS = "step max_devi_v min_devi_v avg_devi_v max_devi_f min_devi_f avg_devi_f".split()
SCRIPT = """
clear
units {units}
atom_style atomic
{start}
pair_style quorum {model} {keywords} deviation {every} {file}
pair_coeff * * {elements}
neighbor 0.5 bin
timestep {timestep}
fix nve all nve
dump d all custom {every} moves.dump id x y z
dump_modify d format float %.17g sort id
{run}
"""


def fill(folder, path, species, name, **changes):
    atoms = structures(species)[name]
    write_data(folder / f"{name}.data", atoms, species)
    values = {"units": "metal", "start": f"read_data {name}.data", "model": path, "keywords": ""}
    values |= {"every": 1, "file": f"{name}.out", "elements": " ".join(species), "run": "run 0"}
    values |= {"timestep": 0.001} | changes
    return SCRIPT.format(**values), atoms


def expected(potential, atoms):
    """Six numbers of one structure, from the forces and virials of every member."""
    want = potential.evaluate(atoms, member_forces=True, member_virials=True)[0]
    away = want.member_forces_eV_A - want.member_forces_eV_A.mean(axis=0)
    forces = np.sqrt((away**2).sum(axis=(0, 2)) / (potential.n_members - 1))
    virial = want.member_virials_eV.std(axis=0, ddof=1) / len(atoms)
    return [virial.max(), virial.min(), np.sqrt((virial**2).mean())] + [
        forces.max(),
        forces.min(),
        forces.mean(),
    ]


def rows(path):
    return np.loadtxt(path, ndmin=2)


@pytest.mark.parametrize(
    ("model", "ranks"),
    [("lj", 1), ("lj", 4), ("two hops", 2), ("two hops through positions", 2)]
    + [("weighted baseline", 2), ("committee", 1)]
    + [pytest.param(m, 4, marks=pytest.mark.slow) for m in ("two hops", "committee")],
)
def test_equals_python(model_files, model, ranks, tmp_path):
    path, species = model_files[model]
    names = ["box", "triclinic", "small", "blob"]
    units = "real" if model == "committee" else "metal"
    script = ""
    for name in names:
        one, _ = fill(tmp_path, path, species, name, units=units)
        script += one
    run_lammps(script, tmp_path, ranks)
    potential = load_potential(path)
    for name in names:
        got = rows(tmp_path / f"{name}.out")
        assert got.shape == (1, 7) and got[0, 0] == 0
        want = np.array(expected(potential, structures(species)[name]))
        if units == "real":
            want /= KCAL_MOL_EV
        np.testing.assert_allclose(got[0, 1:], want, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("ranks", [1, 2])
def test_in_an_overlay_and_a_hybrid(model_files, ranks, tmp_path):
    """What other styles add is the same for all members; atoms of other types do not count."""
    path, species = model_files["two hops"]
    style = "pair_style quorum {model} {keywords} deviation {every} {file}"
    coefficients = "pair_coeff * * {elements}"
    text = SCRIPT.replace(style, style.replace("quorum", "hybrid/overlay quorum") + " lj/cut 5.0")
    overlay = text.replace(
        coefficients, "pair_coeff * * quorum {elements}\npair_coeff * * lj/cut 0.01 3.0"
    )
    text = SCRIPT.replace(style, style.replace("quorum", "hybrid quorum") + " lj/cut 5.0")
    hybrid = text.replace(
        coefficients,
        "pair_coeff * * quorum Ar NULL\npair_coeff 1*2 2 lj/cut 0.01 3.0",
    )
    script = ""
    for name, form in (("overlay", overlay), ("hybrid", hybrid)):
        _, atoms = fill(tmp_path, path, species, "box")
        script += form.format(
            units="metal", start="read_data box.data", model=path, keywords="", every=1,
            file=f"{name}.out", elements=" ".join(species), run="run 0", timestep=0.001,
        )  # fmt: skip
    run_lammps(script, tmp_path, ranks)
    potential = load_potential(path)
    got = rows(tmp_path / "overlay.out")[0, 1:]
    np.testing.assert_allclose(got, expected(potential, atoms), rtol=1e-8)
    argon = atoms[[symbol == "Ar" for symbol in atoms.symbols]]
    assert 0 < len(argon) < len(atoms)
    got = rows(tmp_path / "hybrid.out")[0, 1:]
    np.testing.assert_allclose(got, expected(potential, argon), rtol=1e-8)


def test_every_few_steps_and_header(model_files, tmp_path):
    """Rows at multiples only, one each, over two runs; atoms move between them."""
    path, species = model_files["two hops"]
    run = "velocity all create 3000 1\nrun 25\nrun 15"
    script, atoms = fill(tmp_path, path, species, "box", every=10, file="model_devi.out", run=run)
    run_lammps(script, tmp_path, 2)
    lines = (tmp_path / "model_devi.out").read_text().splitlines()
    assert lines[0].startswith("# standard deviation over 3 members (K - 1")
    assert "eV/Angstrom" in lines[0]
    assert lines[1].replace("#", " ").split() == COLUMNS
    got = rows(tmp_path / "model_devi.out")
    np.testing.assert_array_equal(got[:, 0], [0, 10, 20, 30, 40])
    blocks = (tmp_path / "moves.dump").read_text().split("ITEM: TIMESTEP\n")[1:]
    potential = load_potential(path)
    for block, row in zip(blocks, got, strict=True):
        text = block.splitlines()
        assert float(text[0]) == row[0]
        table = np.array([line.split() for line in text[8:]], dtype=float)
        atoms.positions = table[:, 1:]
        np.testing.assert_allclose(row[1:], expected(potential, atoms), rtol=1e-7)


def test_shipped_committee(tmp_path):
    species = ["Nb", "Mo", "Ta", "W"]
    script, atoms = fill(tmp_path, "nbmotaw", species, "small", keywords="dtype float64")
    run_lammps(script, tmp_path, 2)
    want = expected(load_potential("nbmotaw", dtype="float64"), atoms)
    np.testing.assert_allclose(rows(tmp_path / "small.out")[0, 1:], want, rtol=1e-8)


def test_continued_after_a_restart(model_files, tmp_path):
    """Rows of earlier steps stay, later ones are computed again; step 0 begins anew."""
    path, species = model_files["lj"]
    options = {"every": 5, "file": "d.out"}
    run = "velocity all create 300 1\nrun 10\nwrite_restart half\nrun 20"
    script, _ = fill(tmp_path, path, species, "box", run=run, **options)
    run_lammps(script, tmp_path)
    whole = rows(tmp_path / "d.out")
    np.testing.assert_array_equal(whole[:, 0], [0, 5, 10, 15, 20, 25, 30])
    script, _ = fill(
        tmp_path, path, species, "box", start="read_restart half", run="run 10", **options
    )
    run_lammps(script, tmp_path)
    again = rows(tmp_path / "d.out")
    np.testing.assert_array_equal(again[:, 0], [0, 5, 10, 15, 20])
    np.testing.assert_allclose(again, whole[:5], rtol=1e-6)
    script, _ = fill(tmp_path, path, species, "box", run="run 0", **options)
    run_lammps(script, tmp_path)
    np.testing.assert_array_equal(rows(tmp_path / "d.out")[:, 0], [0])
    assert sorted(p.name for p in tmp_path.glob("d.out*")) == ["d.out"]


@pytest.mark.parametrize(
    ("model", "changes", "words"),
    [
        ("lj", {"file": "nowhere/d.out"}, ["nowhere/d.out", "cannot be written", "No such file"]),
        ("lj", {"file": "box.data"}, ["box.data", "is no file of deviations", "another name"]),
        ("lj", {"every": 0}, ["deviation: got 0", "number of steps"]),
        ("lj", {"every": "often"}, ["deviation: got often", "number of steps"]),
        ("lj", {"file": ""}, ["deviation needs an interval and a file"]),
        ("lj", {"keywords": "members off"}, ["no members to compare"]),
        ("base", {}, ["no members to compare"]),
    ],
)
def test_one_line_before_the_run(model_files, model, changes, words, tmp_path):
    path, species = model_files["lj"]
    if model == "base":
        path = model_files["two hops"][0].parent / "base.pt"
    script, _ = fill(tmp_path, path, species, "box", **changes)
    before = (tmp_path / "box.data").read_text()
    run = run_lammps(script, tmp_path, 2, check=False)
    assert run.code != 0 and len(run.errors) == 1, run.output
    for word in words:
        assert word in run.errors[0]
    assert (tmp_path / "box.data").read_text() == before
    assert "Step " not in run.output
