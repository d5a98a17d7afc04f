"""Recorded values of PLUMED, and the exact sums that they stand for."""

import numpy as np
import pytest

from order_tools import LJ, REFERENCE, evaluate, program, restrained, shaken, skewed, structure
from quorum_md.order_parameters.compiled import CompiledFunctions, pair_functions
from quorum_md.order_parameters.pair_functions import NumpyFunctions

RECORDED = np.load(REFERENCE / "reference.npz")
MORE = np.load(REFERENCE / "skewed.npz")
CASES = sorted({key.rsplit("/", 1)[0] for key in RECORDED})
CUBIC = "SWITCH={CUBIC D_0=1.2 D_MAX=1.5}"


@pytest.fixture(params=["numpy", "compiled"])
def functions(request):
    if request.param == "numpy":
        return NumpyFunctions()
    made = pair_functions()
    if not isinstance(made, CompiledFunctions):
        pytest.skip("no C++ compiler")
    return made


def test_recorded_cases_are_all_there():
    assert len(CASES) == 17


@pytest.mark.parametrize("case", CASES)
def test_recorded(case, functions):
    where, name = case.split("/")
    text = (REFERENCE / f"{name}.plumed.dat").read_text()
    answer = evaluate(program(text, functions), structure(where))
    recorded = {key: RECORDED[f"{case}/{key}"] for key in ("cv", "bias")}
    np.testing.assert_allclose(next(iter(answer.values.values())), recorded["cv"][0], rtol=1e-10)
    assert answer.bias == pytest.approx(float(recorded["bias"]), rel=1e-10)
    for found, key in ((answer.forces, "bias_forces"), (answer.virial, "bias_virial")):
        expected = RECORDED[f"{case}/{key}"]
        np.testing.assert_allclose(found, expected, atol=1e-10 * np.abs(expected).max(), rtol=0)
    # LOCAL_Q6 was recorded by its numerator
    if f"{case}/atoms" in RECORDED and name != "lq6":
        per_atom = RECORDED[f"{case}/atoms"]
        np.testing.assert_allclose(answer.per_atom["cv"], per_atom, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("case", [case for case in LJ if case != "one sided"])
def test_recorded_in_a_skewed_cell(case, functions):
    """The inputs of the finite differences; "one sided" is nan in PLUMED."""
    atoms = skewed(shaken(structure("lj_solid"), 0.03))
    answer = evaluate(program(restrained(LJ[case]), functions), atoms)
    values = MORE[f"{case}/values"]
    np.testing.assert_allclose(list(answer.values.values()), values, rtol=1e-10)
    for found, key in ((answer.forces, "forces"), (answer.virial, "virial")):
        expected = MORE[f"{case}/{key}"]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["fccubic", "lq6"])
def test_slope_gives_the_gradient(name):
    """RESTRAINT SLOPE=1 is the variable itself: its gradient and strain derivative."""
    text = (REFERENCE / f"{name}.plumed.dat").read_text().splitlines()
    text = [line for line in text if not line.startswith(("res", "PRINT"))]
    text.append("res: RESTRAINT ARG=cv.mean AT=0 KAPPA=0 SLOPE=1")
    answer = evaluate(program("\n".join(text)), structure("lj_solid"))
    for found, key in ((-answer.forces, "grad"), (answer.virial, "strain_grad")):
        expected = RECORDED[f"lj_solid/{name}/{key}"]
        np.testing.assert_allclose(found, expected, atol=1e-10 * np.abs(expected).max(), rtol=0)


def weights(atoms):
    """(N, N) σ of the nearest images, 0 on the diagonal."""
    r = atoms.get_all_distances(mic=True)
    y = np.clip((r - 1.2) / 0.3, 0, 1)
    w = (y - 1) ** 2 * (1 + 2 * y)
    np.fill_diagonal(w, 0)
    return w


def complex_harmonics(atoms, degree):
    """(N, 2l + 1) Σ_j σ Y_lm with scipy's harmonics."""
    from scipy.special import sph_harm_y

    d = atoms.get_all_distances(mic=True, vector=True)
    theta = np.arccos(np.clip(d[..., 2] / np.maximum(np.linalg.norm(d, axis=-1), 1e-9), -1, 1))
    phi = np.arctan2(d[..., 1], d[..., 0])
    m = np.arange(-degree, degree + 1)
    return (
        weights(atoms)[..., None] * sph_harm_y(degree, m, theta[..., None], phi[..., None])
    ).sum(axis=1)


@pytest.mark.parametrize("degree", [4, 6])
def test_steinhardt_family_is_its_definition(degree):
    atoms = structure("lj_liquid")
    text = f"""UNITS NATURAL
q: Q{degree} SPECIES=1-108 {CUBIC} MEAN VMEAN VSUM
l: LOCAL_Q{degree} SPECIES=q {CUBIC} MEAN SUM
a: LOCAL_AVERAGE SPECIES=q {CUBIC} MEAN"""
    answer = evaluate(program(text), atoms)
    w, sums = weights(atoms), complex_harmonics(atoms, degree)
    n, norm = w.sum(axis=1), np.linalg.norm(sums, axis=1)
    np.testing.assert_allclose(answer.per_atom["q"], norm / n, rtol=1e-10)
    vectors = sums / n[:, None]
    assert answer.values["q.vmean"] == pytest.approx(np.linalg.norm(vectors.mean(axis=0)), 1e-10)
    assert answer.values["q.vsum"] == pytest.approx(np.linalg.norm(vectors.sum(axis=0)), 1e-10)
    units = sums / norm[:, None]
    local = (w * (units.conj() @ units.T).real).sum(axis=1) / n
    np.testing.assert_allclose(answer.per_atom["l"], local, rtol=1e-10, atol=1e-12)
    assert answer.values["l.sum"] == pytest.approx(local.sum(), 1e-10)
    averaged = np.linalg.norm((vectors + w @ vectors) / (1 + n)[:, None], axis=1)
    np.testing.assert_allclose(answer.per_atom["a"], averaged, rtol=1e-10)


def test_two_species_see_only_each_other():
    """SPECIESA/B: sums over B for the atoms of A, an atom of both sets not with itself."""
    atoms = structure("lj_liquid")
    text = f"UNITS NATURAL\nq: Q6 SPECIESA=1-40 SPECIESB=31-108:2 {CUBIC} MEAN"
    made = program(text)
    few = evaluate(made, atoms).per_atom["q"]
    assert len(few) == 40
    w, members = weights(atoms), np.arange(30, 108, 2)
    inside = np.zeros(108)
    inside[members] = 1
    d = atoms.get_all_distances(mic=True, vector=True)
    direction = d / np.maximum(np.linalg.norm(d, axis=-1), 1e-9)[..., None]
    from scipy.special import eval_legendre

    for i in (0, 32, 39):
        v = w[i] * inside
        p6 = eval_legendre(6, direction[i] @ direction[i].T)
        expected = np.sqrt(13 / (4 * np.pi) * (v @ p6 @ v)) / v.sum()
        assert few[i] == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    ("name", "lattice", "count"),
    [
        ("SC", "sc", 1),
        ("BCC", "bcc", 1),
        ("FCC", "fcc", 1),
        ("DIAMOND", "diamond", 2),
        ("HCP", "hcp", 2),
    ],
)
def test_perfect_crystals(name, lattice, count):
    """In its own crystal every atom has k = 1 for its environment, up to overlapping Gaussians."""
    from ase.build import bulk

    if lattice == "hcp":
        atoms = bulk("Ar", "hcp", a=1.0, c=1.6, orthorhombic=True).repeat((5, 3, 3))
        lengths = "1.0,1.6"
    else:
        atoms = bulk("Ar", lattice, a=1.0, cubic=True).repeat(4)
        lengths = "1.0"
    text = (
        f"UNITS NATURAL\ncv: ENVIRONMENTSIMILARITY SPECIES=1-{len(atoms)} CRYSTAL_STRUCTURE={name} "
        f"LATTICE_CONSTANTS={lengths} SIGMA=0.03 MEAN"
    )
    answer = evaluate(program(text), atoms)
    # log(e^λ + Σ e^0)/λ of the other environments, which share some neighbours
    assert 1 <= answer.values["cv.mean"] + 1e-9 < 1 + np.log(count) / 100 + 2e-8
    assert np.ptp(answer.per_atom["cv"]) < 1e-12
    other = evaluate(program(text), shaken(atoms, 0.15))
    assert other.values["cv.mean"] < 0.5


def test_reference_that_mixes_species(tmp_path):
    """CsCl: eight unlike neighbours and six like ones; PLUMED aborts on such a file."""
    from itertools import product

    from ase.build import bulk

    row = "ATOM  {:5d} {:>4s} MOL     1    {:8.4f}{:8.4f}{:8.4f}  1.00  0.00\n"
    corners = [("Cl", 2 * np.array(v)) for v in product((-1, 1), repeat=3)]
    axes = [("Cs", 4.0 * s * np.eye(3)[k]) for k in range(3) for s in (-1, 1)]
    other = {"Cl": "Cs", "Cs": "Cl"}
    for number, swap in ((1, False), (2, True)):
        lines = [
            row.format(k + 1, other[name] if swap else name, *v)
            for k, (name, v) in enumerate(corners + axes)
        ]
        (tmp_path / f"env{number}.pdb").write_text("".join(lines))
    atoms = bulk("CsCl", "cesiumchloride", a=4.0, cubic=True).repeat(3)
    names = [row.format(k + 1, symbol, 0, 0, 0) for k, symbol in enumerate(atoms.symbols)]
    (tmp_path / "names.pdb").write_text("".join(names))
    text = (
        "UNITS LENGTH=A ENERGY=eV\ncv: ENVIRONMENTSIMILARITY SPECIES=1-54 CRYSTAL_STRUCTURE=CUSTOM "
        "REFERENCE_1=env1.pdb REFERENCE_2=env2.pdb ATOM_NAMES_FILE=names.pdb SIGMA=0.2 MEAN"
    )
    made = program(text, file=tmp_path / "plumed.dat")
    assert evaluate(made, atoms).values["cv.mean"] == pytest.approx(1, abs=1e-9)
    # two species the other way round at one site: the neighbours miss one of fourteen
    atoms.symbols[0] = "Cl"
    names[0] = row.format(1, "Cl", 0, 0, 0)
    (tmp_path / "names.pdb").write_text("".join(names))
    found = evaluate(program(text, file=tmp_path / "plumed.dat"), atoms).per_atom["cv"]
    assert (np.abs(found - 13 / 14) < 1e-9).sum() == 14
