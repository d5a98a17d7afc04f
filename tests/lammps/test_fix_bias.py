"""`fix quorum/bias` in real LAMMPS: PLUMED's recorded numbers on any number of ranks."""

import numpy as np
import pytest

from lammps_tools import NKTV2P, read_dump, run_lammps, write_data
from order_tools import LJ, REFERENCE, evaluate, program, restrained, shaken, structure

RECORDED = np.load(REFERENCE / "reference.npz")
CASES = sorted({key.rsplit("/", 1)[0] for key in RECORDED})
CUBIC = "SWITCH={CUBIC D_0=1.2 D_MAX=1.5}"
# of Σ x_a dV/dx_b the components that LAMMPS's tilts are conjugate to
PLACES = ((0, 0), (1, 1), (2, 2), (1, 0), (2, 0), (2, 1))
COLUMNS = "pxx pyy pzz pxy pxz pyz"
ONE = """
clear
units {units}
atom_style atomic
atom_modify map yes
{before}
read_data {data}
pair_style zero {reach}
pair_coeff * *
neighbor {skin} bin
fix b all quorum/bias file {input} {keywords}
thermo_style custom step pe vol {columns} f_b f_b[*]
thermo_modify norm no format float %.17g
dump d all custom 1 {tag}.dump id fx fy fz
dump_modify d format float %.17g
{after}
run 0
"""


def script(data, input, tag, units="lj", **more):
    lengths = {"reach": 1.6, "skin": 0.2} if units == "lj" else {"reach": 4.0, "skin": 1.0}
    words = {"before": "", "after": "", "keywords": "", "columns": COLUMNS} | lengths | more
    return ONE.format(data=data, input=input, tag=tag, units=units, **words)


def strain_of(table, units="lj"):
    """Σ x_a dV/dx_b at `PLACES` from the pressure of a system at rest."""
    factor = NKTV2P.get(units, 1.0)
    pressure = np.array([table[name.capitalize()][-1] for name in COLUMNS.split()])
    return -pressure * table["Volume"][-1] / factor


def values_of(table):
    return np.array([table[key][-1] for key in table if key.startswith("f_b[")])


def sheared(atoms):
    """In a box that LAMMPS can have: lower triangular."""
    atoms = atoms.copy()
    shear = np.array([[1.0, 0.0, 0.0], [0.05, 0.97, 0.0], [-0.04, 0.06, 1.02]])
    atoms.set_cell(np.array(atoms.cell) @ shear, scale_atoms=True)
    return atoms


@pytest.fixture
def folder(tmp_path):
    """Structures and PLUMED's files."""
    for path in REFERENCE.iterdir():
        if path.suffix in (".dat", ".pdb"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    for name in ("lj_solid", "lj_liquid"):
        write_data(tmp_path / f"{name}.data", structure(name), ["Ar"])
    write_data(tmp_path / "gaas.data", structure("gaas"), ["Ga", "As"])
    return tmp_path


# ranks that share cores wait for each other at every step: few cases for many
FEW = ["gaas/envsim_zb_named", "lj_liquid/fccubic_sum_smap", "lj_solid/lq6", "lj_solid/q6_vmean"]


@pytest.mark.parametrize(("ranks", "cases"), [(1, CASES), (2, CASES), (4, FEW)])
def test_recorded(ranks, cases, folder):
    text = ""
    for case in cases:
        where, name = case.split("/")
        units = "metal" if where == "gaas" else "lj"
        text += script(f"{where}.data", f"{name}.plumed.dat", case.replace("/", "-"), units)
    tables = run_lammps(text, folder, ranks).tables()
    assert len(tables) == len(cases)
    for case, table in zip(cases, tables, strict=True):
        units = "metal" if case.startswith("gaas") else "lj"
        bias = float(RECORDED[f"{case}/bias"])
        np.testing.assert_allclose(values_of(table)[0], RECORDED[f"{case}/cv"][0], rtol=1e-10)
        np.testing.assert_allclose([table["f_b"][0], table["PotEng"][0]], bias, rtol=1e-10)
        forces = read_dump(folder / f"{case.replace('/', '-')}.dump", 3)
        expected = RECORDED[f"{case}/bias_forces"]
        np.testing.assert_allclose(forces, expected, rtol=0, atol=1e-10 * np.abs(expected).max())
        virial = RECORDED[f"{case}/bias_virial"]
        np.testing.assert_allclose(
            strain_of(table, units),
            [virial[place] for place in PLACES],
            rtol=0,
            atol=1e-10 * np.abs(virial).max(),
        )


@pytest.mark.parametrize("ranks", [1, 2])
def test_every_action_in_a_triclinic_box(ranks, folder):
    """The inputs of the finite differences, and walls, against the backend in Python."""
    atoms = sheared(shaken(structure("lj_solid"), 0.03))
    write_data(folder / "sheared.data", atoms, ["Ar"])
    texts = {name: restrained(text) for name, text in LJ.items()}
    texts["functions"] = f"""UNITS NATURAL
a: FCCUBIC SPECIES=1-108 {CUBIC} MEAN
b: Q6 SPECIES=1-108 {CUBIC} MEAN MORE_THAN={{TANH R_0=0.4}} LESS_THAN={{SMAP R_0=.3 A=3 B=6}}
c: COMBINE ARG=a.mean,b.mean COEFFICIENTS=2,-0.5 PARAMETERS=0.1,0 POWERS=2,3 PERIODIC=NO
up: UPPER_WALLS ARG=c,a.mean AT=0.1,0.2 KAPPA=10,20 EXP=2,3 OFFSET=0.05,0 EPS=1,0.5
low: LOWER_WALLS ARG=b.mean,c AT=0.9,5 KAPPA=30,1 EXP=2,4 EPS=0.7,2 OFFSET=0.1,0
res: RESTRAINT ARG=c,b.morethan,b_lessthan AT=0,9,9 KAPPA=3,4,0.1 SLOPE=1,0,2"""
    text = ""
    for k, input in enumerate(texts.values()):
        (folder / f"{k}.dat").write_text(input + "\n")
        text += script("sheared.data", f"{k}.dat", f"case{k}", before="box tilt large")
    tables = run_lammps(text, folder, ranks).tables()
    assert len(tables) == len(texts)
    for k, (input, table) in enumerate(zip(texts.values(), tables, strict=True)):
        answer = evaluate(program(input), atoms)
        np.testing.assert_allclose(values_of(table), list(answer.values.values()), rtol=1e-10)
        np.testing.assert_allclose(table["f_b"], answer.bias, rtol=1e-10)
        forces = read_dump(folder / f"case{k}.dump", 3)
        scale = np.abs(answer.forces).max()
        assert scale > 1e-3
        np.testing.assert_allclose(forces, answer.forces, rtol=0, atol=1e-10 * scale)
        np.testing.assert_allclose(
            strain_of(table),
            [answer.virial[place] for place in PLACES],
            rtol=0,
            atol=1e-10 * np.abs(answer.virial).max(),
        )
