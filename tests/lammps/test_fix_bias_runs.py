"""`fix quorum/bias` in use: derivatives, dynamics, minimisation, restarts, PRINT, the kernel."""

import numpy as np
import pytest
from ase.io import read

from lammps_tools import Run, read_dump, run_lammps, write_data
from order_tools import shaken, structure
from quorum_md.averages.colvar import read_colvar
from quorum_md.order_parameters.kernel import find_kernel
from quorum_md.order_parameters.variables import open_variables

CUBIC = "SWITCH={CUBIC D_0=1.2 D_MAX=1.5}"
INPUT = f"""UNITS NATURAL
cv: FCCUBIC SPECIES=1-108 {CUBIC} ALPHA=27 MEAN MORE_THAN={{SMAP R_0=0.45 A=8 B=8}}
q: Q6 SPECIES=1-108 {CUBIC} MEAN
l: LOCAL_Q6 SPECIES=q {CUBIC} MEAN
res: RESTRAINT ARG=cv.morethan,l.mean AT=90,0.6 KAPPA=0.3,300
PRINT ARG=cv.*,l.mean,res.bias FILE=COLVAR STRIDE=5 FMT=%14.8f
"""
MOVING = """
units lj
atom_style atomic
{start}
pair_style lj/cut 1.122462048309373
pair_coeff * * 1.0 1.0
pair_modify shift yes
neighbor 0.2 bin
timestep 0.004
fix b all quorum/bias file plumed.dat {keywords}
thermo_style custom step etotal pe pxx pyz f_b f_b[*]
thermo_modify norm no format float %.17g
thermo {every}
{commands}
"""
needs_kernel = pytest.mark.skipif(
    find_kernel() is None, reason="no PLUMED kernel: set PLUMED_KERNEL to libplumedKernel.so"
)


@pytest.fixture
def folder(tmp_path):
    write_data(tmp_path / "box.data", shaken(structure("lj_solid"), 0.02), ["Ar"])
    (tmp_path / "plumed.dat").write_text(INPUT)
    return tmp_path


def run(folder, commands, ranks=1, start="read_data box.data", every=1, keywords="") -> Run:
    words = {"commands": commands, "start": start, "every": every, "keywords": keywords}
    return run_lammps(MOVING.format(**words), folder, ranks)


def column(table, name):
    return table[name if name.startswith("f_") else name.capitalize()]


def test_pressure_and_energy_are_derivatives(folder):
    """Changes of the box along every direction that LAMMPS's boxes have, with the pair style's."""
    step, length, names = 1e-5, 4.806, "xx yy zz xy xz yz".split()
    columns = "thermo_style custom step pe vol pxx pyy pzz pxy pxz pyz f_b\n"
    columns += "thermo_modify norm no format float %.17g\n"
    text = "change_box all triclinic\nrun 0\n"
    for name in names:
        change = f"{name[0]} delta 0" if name[0] == name[1] else f"{name} delta"
        for sign in (1, -2, 1):  # up, down, and back
            text += f"change_box all {change} {sign * step * length:.17g} remap units box\nrun 0\n"
    tables = run(folder, columns + text).tables()
    here = tables[0]
    for k, name in enumerate(names):
        up, down = tables[1 + 3 * k], tables[2 + 3 * k]
        slope = (up["PotEng"][0] - down["PotEng"][0]) / (2 * step)
        pressure = -here["Volume"][0] * here["P" + name][0]
        assert slope == pytest.approx(pressure, rel=1e-6, abs=1e-5)
        assert tables[3 + 3 * k]["f_b"][0] == pytest.approx(here["f_b"][0], rel=1e-9)


def test_without_energy_and_virial(folder):
    tables = run(
        folder,
        "run 0\nfix_modify b energy no\nrun 0\nfix_modify b virial no\nrun 0\nunfix b\n"
        "thermo_style custom step etotal pe pxx pyz\n"
        "thermo_modify norm no format float %.17g\nrun 0",
    ).tables()
    pe, pxx = ([float(t[name][0]) for t in tables] for name in ("PotEng", "Pxx"))
    assert pe[0] - pe[1] == pytest.approx(tables[0]["f_b"][0], rel=1e-9) != 0
    assert pe[1] == pe[2] == pe[3]
    assert abs(pxx[0] - pxx[2]) > 1e-3
    assert pxx[0] == pxx[1] and pxx[2] == pxx[3]


@pytest.mark.parametrize("ranks", [1, 2])
def test_energy_is_conserved(ranks, folder):
    """1500 steps through many lists of pairs, while the bias varies a hundred times as much."""
    commands = "velocity all create 1.2 4\nfix nve all nve\nrun 1500"
    table = run(folder, commands, ranks, every=20).thermo()
    total, bias = table["TotEng"], table["f_b"]
    assert np.ptp(bias) > 3.0
    assert np.std(total) < 0.01 * np.std(bias)
    assert abs(total[-10:].mean() - total[:10].mean()) < 0.01 * np.ptp(bias)


def test_values_are_those_of_the_python_backend_along_a_run(folder):
    """Every row of a run, after new lists and jumps through the boundary; and again by rerun."""
    commands = (
        "velocity all create 3.0 4\nfix nve all nve\n"
        "dump d all custom 50 all.dump id type x y z\ndump_modify d sort id format float %.17g\n"
        "run 200\nundump d\nunfix nve\nrerun all.dump dump x y z"
    )
    once, again = run(folder, commands, 2, every=50).tables()
    frames = read(folder / "all.dump", index=":", format="lammps-dump-text")
    variables = open_variables(folder / "plumed.dat")
    assert len(frames) == 5
    for k, atoms in enumerate(frames):
        answer = variables.evaluate(atoms)
        for table in (once, again):
            values = [table[key][k] for key in table if key.startswith("f_b[")]
            np.testing.assert_allclose(values, list(answer.values.values()), rtol=1e-9)
            assert table["f_b"][k] == pytest.approx(answer.bias, rel=1e-9)


def test_minimize(folder):
    """To a point where all forces vanish, the bias's too."""
    done = run(
        folder,
        "dump d all custom 1000 min.dump id fx fy fz\ndump_modify d format float %.17g\n"
        "min_modify line quadratic\nminimize 0 1e-7 3000 9000\nrun 0",
        every=1000,
    )
    first, last = done.tables()
    assert last["PotEng"][0] < first["PotEng"][0] - 0.5
    assert np.abs(read_dump(folder / "min.dump", 3)).max() < 1e-4
    assert last["f_b"][0] > 0.1  # it pulls still


def test_printed_rows_and_restart(folder):
    """Interrupted and continued, COLVAR is that of one run, and its numbers those of the vector."""
    start = "velocity all create 1.2 4\nfix nve all nve\n"
    whole = run(folder, start + "run 20\nwrite_restart r.whole\nrun 20", every=5)
    rows = read_colvar(folder / "COLVAR")
    text = (folder / "COLVAR").read_text()
    assert text.splitlines()[0] == "#! FIELDS time cv.morethan cv.mean l.mean res.bias"
    steps = np.arange(0, 41, 5)
    np.testing.assert_allclose(rows.column("time").values, steps * 0.004, atol=1e-6)
    first, second = whole.tables()
    for name, index in (("cv.morethan", 1), ("cv.mean", 2), ("l.mean", 4), ("res.bias", 5)):
        seen = np.concatenate([first[f"f_b[{index}]"], second[f"f_b[{index}]"][1:]])
        np.testing.assert_allclose(rows.column(name).values, seen, atol=6e-9)
    more = MOVING.split("neighbor")[1].format(
        keywords="", every=5, commands="fix nve all nve\nrun 20"
    )
    styles = MOVING.split("{start}\n")[1].split("neighbor")[0]
    (folder / "plumed.dat").write_text(INPUT.replace("FMT", "RESTART=AUTO FMT"))
    done = run_lammps(f"read_restart r.whole\n{styles}neighbor{more}", folder)
    assert done.thermo()["f_b"][-1] == pytest.approx(second["f_b"][-1], rel=1e-9)
    again = (folder / "COLVAR").read_text()
    assert again == text
    # a run that begins anew, and one that keeps everything
    run(folder, "run 0")
    assert len((folder / "COLVAR").read_text().splitlines()) == 2
    (folder / "plumed.dat").write_text(INPUT.replace("FMT", "RESTART=YES FMT"))
    run(folder, "run 0")
    assert len((folder / "COLVAR").read_text().splitlines()) == 3


def test_units_of_lammps_and_of_the_input(folder):
    """The same atoms in metal and real, with inputs in other units: one bias, and one virial."""
    atoms = shaken(structure("gaas"), 0.1)
    write_data(folder / "gaas.data", atoms, ["Ga", "As"])
    answers = []
    for units, line, scale, kappa, clock in (
        ("metal", "LENGTH=A ENERGY=eV", 1.0, 100.0, 0.001),
        ("metal", "LENGTH=nm ENERGY=kj/mol TIME=fs", 0.1, 9648.530749925792, 1.0),
        ("real", "LENGTH=A ENERGY=eV", 1.0, 100.0, 0.001),
        ("real", "", 0.1, 9648.530749925792, 0.001),
        ("real", "NATURAL", 1.0, 100 * 96.48530749925792 / 4.184, 1.0),
    ):
        (folder / "plumed.dat").write_text(
            (f"UNITS {line}\n" if line else "")
            + f"cv: Q6 SPECIES=1-64 SWITCH={{CUBIC D_0={2.8 * scale} D_MAX={3.4 * scale}}} MEAN\n"
            f"res: RESTRAINT ARG=cv.mean AT=0.4 KAPPA={kappa}\n"
            "PRINT ARG=cv.mean FILE=COLVAR FMT=%.12f"
        )
        more = "neighbor 1.0 bin\n" if units == "metal" else "neighbor 1.0 bin\ntimestep 1.0\n"
        done = run_lammps(
            f"units {units}\natom_style atomic\nread_data gaas.data\npair_style zero 4.0\n"
            f"pair_coeff * *\n{more}fix b all quorum/bias file plumed.dat\n"
            "thermo_style custom step pe pxx vol f_b f_b[1]\nthermo_modify format float %.17g\n"
            "dump d all custom 1 f.dump id fx fy fz\ndump_modify d format float %.17g\nrun 1",
            folder,
        ).thermo()
        energy = 96.48530749925792 / 4.184 if units == "real" else 1.0
        forces = read_dump(folder / "f.dump", 3) / energy
        factor = {"metal": 1.6021765e6, "real": 68568.415}[units] * energy
        virial = done["Pxx"][0] * done["Volume"][0] / factor
        answers.append([done["f_b"][0] / energy, done["f_b[1]"][0], virial, *forces.ravel()])
        time = read_colvar(folder / "COLVAR").column("time").values[1]
        assert time == pytest.approx(clock)
    for other in answers[1:]:
        np.testing.assert_allclose(other, answers[0], rtol=1e-9, atol=1e-11)


def test_wrong_unit_of_length_is_said(folder):
    text = INPUT.replace("1.2", "0.12").replace("1.5", "0.15")
    (folder / "plumed.dat").write_text(text)
    done = run(folder, "run 2", 2)
    lines = [line for line in done.output.splitlines() if "no atom has a neighbour" in line]
    assert len(lines) == 3  # once for each action
    assert "plumed.dat, line 2: [FCCUBIC] no atom has a neighbour within 0.15" in lines[0]
    assert done.thermo()["f_b[1]"][-1] == 0


@pytest.mark.plumed
@needs_kernel
@pytest.mark.parametrize("ranks", [1, 2])
def test_kernel_is_the_same(ranks, folder):
    """Values, bias, pressure and the rows of PRINT along a run."""
    commands = "velocity all create 1.2 4\nfix nve all nve\nrun 20"
    tables = []
    for backend in ("native", "kernel"):
        done = run(folder, commands, ranks, every=5, keywords=f"backend {backend}")
        rows = (folder / "COLVAR").read_text().splitlines()
        tables.append((done.thermo(), rows))
        (folder / "COLVAR").unlink()
    (ours, our_rows), (theirs, their_rows) = tables
    assert list(ours) == list(theirs)
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-8, err_msg=name)
    assert our_rows[1:] == their_rows[1:] and len(our_rows) == 6


@pytest.mark.plumed
@needs_kernel
def test_what_only_the_kernel_has(folder):
    (folder / "plumed.dat").write_text(
        "UNITS NATURAL\nd: DISTANCE ATOMS=1,2\nr: RESTRAINT ARG=d AT=2 KAPPA=3\n"
        "PRINT ARG=d,r.bias FILE=COLVAR"
    )
    done = run(folder, "run 0", 2)
    atoms = shaken(structure("lj_solid"), 0.02)
    distance = atoms.get_distance(0, 1, mic=True)
    table = done.thermo()
    assert table["f_b[1]"][0] == pytest.approx(distance, rel=1e-9)
    assert table["f_b"][0] == pytest.approx(1.5 * (distance - 2) ** 2, rel=1e-9)
    assert table["f_b[2]"][0] == pytest.approx(table["f_b"][0], rel=1e-9)


def test_rhok_is_the_third_backend(folder):
    """LAMMPS's own bias on one Fourier component of the density, as the manual describes it."""
    atoms = shaken(structure("lj_solid"), 0.02)
    words = "units lj\natom_style atomic\nread_data box.data\npair_style zero 1.5\npair_coeff * *\n"
    words += "fix pin all rhok 3 3 -3 4.0 7.0\nthermo_style custom step f_pin f_pin[*]\n"
    words += "thermo_modify norm no format float %.17g\ndump d all custom 1 k.dump id fx fy fz\n"
    table = run_lammps(words + "dump_modify d format float %.17g\nrun 0", folder, 2).thermo()
    k = 2 * np.pi * np.array([3, 3, -3]) / 4.806

    def rho(positions):
        return np.exp(-1j * positions @ k).sum() / np.sqrt(len(positions))

    value = rho(atoms.positions)
    assert abs(value) > 5
    found = [table[f"f_pin[{n}]"][0] for n in (1, 2, 3)]
    np.testing.assert_allclose(found, [value.real, value.imag, abs(value)], rtol=1e-9)
    assert table["f_pin"][0] == pytest.approx(2 * (abs(value) - 7) ** 2, rel=1e-9)
    gradient = (value.conj() * -1j * np.exp(-1j * atoms.positions @ k)).real / abs(value)
    expected = -4 * (abs(value) - 7) * np.outer(gradient, k) / np.sqrt(len(atoms))
    np.testing.assert_allclose(read_dump(folder / "k.dump", 3), expected, atol=1e-8)
