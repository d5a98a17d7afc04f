"""The kernel of the built-in potential against TorchScript and Python, for everything it gives."""

import os
import subprocess
import zipfile

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from density_models import random_potential, write_model
from lammps_structures import structures
from lammps_tools import NKTV2P, Run, read_dump, run_lammps, write_data
from quorum_md.models import load_potential

pytestmark = pytest.mark.filterwarnings("ignore:.*interaction range", "ignore:.*single model")
NBMOTAW = ["Nb", "Mo", "Ta", "W"]
# processors that this machine can stand for, the best one last
PROCESSORS = ["generic"]
if os.path.exists("/proc/cpuinfo"):
    with open("/proc/cpuinfo") as file:
        flags = set(file.read().split())
    PROCESSORS += [
        name for name, flag in (("avx2", "avx2"), ("avx512", "avx512dq")) if flag in flags
    ]


def cases_of(species: list[str], cutoff_A: float) -> dict[str, Atoms]:
    """All structures of the pair style's tests, denser; short distances; an atom exactly at the
    cutoff, others by themselves."""
    cases = {}
    for name, atoms in structures(species).items():
        if name == "one":
            atoms.symbols = species[-1]
        atoms.set_cell(np.asarray(atoms.cell) * 0.8, scale_atoms=True)
        cases[name] = atoms
    rng = np.random.default_rng(5)
    squeezed = bulk("Ar", "fcc", 4.0, cubic=True) * (2, 2, 2)
    squeezed.symbols = rng.choice(species, len(squeezed))
    squeezed.rattle(0.1, rng=rng)
    for k, d in enumerate((0.5, 0.9, 1.3, 1.7)):
        squeezed.positions[8 * k + 1] = squeezed.positions[8 * k] + d * np.array([0.48, 0.6, 0.64])
    cases["squeezed"] = squeezed
    x = [[2, 2, 2], [2 + cutoff_A, 2, 2], [2, 4.5, 2], [14, 14, 14], [14, 14, 16.3], [24, 5, 20]]
    loose = Atoms(rng.choice(species, len(x)), x, cell=[30, 30, 30], pbc=True)
    cases["loose"] = loose
    return cases


def script_of(model, elements, names, keywords, members=True) -> str:
    """One run per case; `members`: whether there are several in the output."""
    script = ""
    columns = "f_spread" if members else "c_pea"
    for name in names:
        script += f"""
clear
units metal
atom_style atomic
read_data {name}.data
pair_style quorum {model} {keywords}
pair_coeff * * {elements}
neighbor 1.0 bin
compute members all pair quorum
compute pea all pe/atom
compute s all stress/atom NULL virial
{"fix spread all pair 1 quorum spread 0" if members else ""}
thermo_style custom step pe vol pxx pyy pzz pxy pxz pyz {"c_members[*]" if members else ""}
thermo_modify norm no format float %.17g
dump d all custom 1 {name}.dump id fx fy fz c_pea {columns} c_s[*]
dump_modify d format float %.17g
run 0
"""
    return script


def everything(
    model, species, cases, folder, keywords, ranks=1, members=True
) -> tuple[list, list, Run]:
    """Thermo tables and dumps of all cases."""
    for name, atoms in cases.items():
        write_data(folder / f"{name}.data", atoms, species)
    script = script_of(model, " ".join(species), cases, keywords, members)
    run = run_lammps(script, folder, ranks)
    tables = [{key: value[-1] for key, value in table.items()} for table in run.tables()]
    return tables, [read_dump(folder / f"{name}.dump", 11) for name in cases], run


def assert_same(got, want, tolerance) -> None:
    """Every number of the thermo output and of the dumps, relative to the largest of its kind."""
    for one, other in zip(got[0], want[0], strict=True):
        assert one.keys() == other.keys()
        energy = abs(other["PotEng"]) + 1e-3
        for key, value in other.items():
            scale = energy
            if key in ("Pxx", "Pyy", "Pzz", "Pxy", "Pxz", "Pyz"):
                scale *= NKTV2P["metal"] / other["Volume"]
            assert one[key] == pytest.approx(value, rel=0, abs=tolerance * scale), key
    for one, other in zip(got[1], want[1], strict=True):
        for columns in (slice(0, 3), slice(3, 4), slice(4, 5), slice(5, 11)):
            scale = np.abs(other[:, columns]).max() + 1e-3
            if columns == slice(5, 11):
                scale += NKTV2P["metal"]
            if columns == slice(4, 5):
                scale = np.abs(other[:, 3]).max()  # differences of energies
            np.testing.assert_allclose(
                one[:, columns], other[:, columns], rtol=0, atol=tolerance * scale
            )


def compare_with_python(got, potential, cases, tolerance) -> None:
    for table, dump, atoms in zip(got[0], got[1], cases.values(), strict=True):
        want = potential.evaluate(atoms, virial=True)[0]
        scale = np.abs(want.atom_member_energies_eV).sum()
        assert table["PotEng"] == pytest.approx(want.energy_eV, abs=tolerance * scale)
        force = np.abs(want.forces_eV_A).max() + 1e-3
        np.testing.assert_allclose(dump[:, :3], want.forces_eV_A, atol=tolerance * force)
        np.testing.assert_allclose(dump[:, 3], want.atom_energies_eV, atol=tolerance * scale)


def cutoff_of(name: str) -> float:
    return {"many": 4.7, "one": 5.5, "wide": 4.0, "shipped": 5.0}.get(name, 4.5)


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("model", ["shipped", "odd"])
def test_double_precision_to_rounding(kernel_files, model, ranks, tmp_path):
    path, species = kernel_files[model]
    cases = cases_of(species, cutoff_of(model))
    got = everything(path, species, cases, tmp_path, "dtype float64 kernel on", ranks)
    assert "runs in kernel (float64" in got[2].output
    want = everything(path, species, cases, tmp_path, "dtype float64 kernel off", ranks)
    assert "runs in TorchScript (float64" in want[2].output
    assert_same(got, want, 1e-10)
    # pairs inside the repulsion, or nothing would be said about it
    assert max(table["PotEng"] for table in want[0]) > 100.0
    compare_with_python(got, load_potential(path, dtype="float64"), cases, 1e-10)


@pytest.mark.parametrize("model", ["many", "one", "wide", "scaled", "scaled twice"])
def test_other_sizes_and_scaled_committees(kernel_files, model, tmp_path):
    path, species = kernel_files[model]
    cases = cases_of(species, cutoff_of(model))
    members = model != "one"
    got, want = (
        everything(path, species, cases, tmp_path, f"kernel {kernel}", members=members)
        for kernel in ("on", "off")
    )
    assert_same(got, want, 1e-10)


def test_single_precision_is_closer_to_the_truth_than_torchscript(tmp_path):
    cases = cases_of(NBMOTAW, 5.0)
    truth = everything("nbmotaw", NBMOTAW, cases, tmp_path, "dtype float64 kernel off")
    ours = everything("nbmotaw", NBMOTAW, cases, tmp_path, "kernel auto")
    assert "runs in kernel (float32" in ours[2].output
    theirs = everything("nbmotaw", NBMOTAW, cases, tmp_path, "kernel off")
    assert_same(ours, truth, 3e-5)
    for one, other, exact in zip(ours[1], theirs[1], truth[1], strict=True):
        for columns in (slice(0, 3), slice(3, 4), slice(4, 5)):
            error = np.abs(one[:, columns] - exact[:, columns]).max()
            bound = np.abs(other[:, columns] - exact[:, columns]).max()
            assert error < 1.5 * bound + 2e-6 * (1e-3 + np.abs(exact[:, columns]).max())
    for one, exact in zip(ours[0], truth[0], strict=True):
        assert one["PotEng"] == pytest.approx(exact["PotEng"], rel=1e-6)


@pytest.mark.parametrize("processor", PROCESSORS[:-1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_code_for_other_processors(processor, dtype, kernel_files, tmp_path, monkeypatch):
    path, species = kernel_files["odd"]
    cases = cases_of(species, 4.5)
    want = everything(path, species, cases, tmp_path, "dtype float64 kernel on")
    monkeypatch.setenv("QUORUM_KERNEL", processor)
    got = everything(path, species, cases, tmp_path, f"dtype {dtype} kernel on")
    assert f"runs in kernel ({dtype}, {processor})" in got[2].output
    assert_same(got, want, 1e-11 if dtype == "float64" else 3e-5)


def test_members_off(kernel_files, tmp_path):
    path, species = kernel_files["odd"]
    cases = cases_of(species, 4.5)
    got = everything(path, species, cases, tmp_path, "kernel on members off", members=False)
    compare_with_python(got, load_potential(path), cases, 1e-10)


def test_threads(kernel_files, tmp_path, monkeypatch):
    """Blocks of atoms are shared out; the result does not depend on it."""
    cases = {"box": cases_of(NBMOTAW, 5.0)["box"] * (2, 2, 2)}
    want = everything("nbmotaw", NBMOTAW, cases, tmp_path, "kernel on")
    monkeypatch.setattr("lammps_tools.environment", threads(2))
    got = everything("nbmotaw", NBMOTAW, cases, tmp_path, "kernel on")
    assert_same(got, want, 1e-14)


def threads(number):
    from lammps_tools import environment

    return lambda: environment() | {"OMP_NUM_THREADS": str(number), "OMP_WAIT_POLICY": "passive"}


@pytest.mark.parametrize("model", ["shipped", "odd"])
def test_forces_and_virial_by_differences(kernel_files, model, tmp_path):
    path, species = kernel_files[model]
    write_data(tmp_path / "box.data", cases_of(species, 5.0)["triclinic"], species)
    got = run_lammps(
        f"""
units metal
atom_style atomic
atom_modify map yes
read_data box.data
pair_style quorum {path} dtype float64 kernel on
pair_coeff * * {" ".join(species)}
fix f all numdiff 1 5e-5
fix v all numdiff/virial 1 1e-5
variable dx atom fx-f_f[1]
variable dy atom fy-f_f[2]
variable dz atom fz-f_f[3]
compute d all reduce maxabs v_dx v_dy v_dz
compute w all pressure NULL virial
thermo_style custom step c_d[*] c_w[*] f_v[*]
thermo_modify norm no format float %.17g
run 0
""",
        tmp_path,
        2,
    ).thermo()
    assert max(got[f"c_d[{d}]"][0] for d in (1, 2, 3)) < 2e-5
    pressure = np.array([got[f"c_w[{k}]"][0] for k in range(1, 7)])
    # fix numdiff/virial orders xx yy zz yz xz xy
    numeric = np.array([got[f"f_v[{k}]"][0] for k in (1, 2, 3, 6, 5, 4)])
    np.testing.assert_allclose(numeric, pressure, atol=1e-4 * np.abs(pressure).max())


@pytest.mark.parametrize("ranks", [1, 2])
def test_in_a_hybrid_other_atoms_do_not_exist(kernel_files, ranks, tmp_path):
    path, species = kernel_files["many"]
    atoms = cases_of(species, 4.7)["triclinic"]
    write_data(tmp_path / "box.data", atoms, species)
    got = run_lammps(
        f"""
units metal
atom_style atomic
read_data box.data
pair_style hybrid/overlay quorum {path} kernel on lj/cut 5.0
pair_coeff * * quorum NULL Au
pair_coeff * * lj/cut 0.01 3.0
compute q all pair quorum
thermo_style custom step pe c_q c_q[64]
thermo_modify norm no format float %.17g
run 0
""",
        tmp_path,
        ranks,
    ).thermo()
    gold = atoms[[a.symbol == "Au" for a in atoms]]
    want = load_potential(path).evaluate(gold, forces=False)[0]
    assert got["c_q"][0] == pytest.approx(want.energy_eV, rel=1e-11)
    assert got["c_q[64]"][0] == pytest.approx(want.member_energies_eV[63], rel=1e-11)


def test_energy_is_conserved_while_lists_age(tmp_path):
    """1 ps far above room temperature on two ranks, against a step half as long."""
    drifts = []
    for steps, timestep in ((500, 0.002), (1000, 0.001)):
        atoms = bulk("Nb", "bcc", 3.24, cubic=True) * (3, 3, 3)
        atoms.symbols = np.random.default_rng(2).choice(NBMOTAW, len(atoms))
        write_data(tmp_path / "box.data", atoms, NBMOTAW)
        got = run_lammps(
            f"""
units metal
atom_style atomic
read_data box.data
pair_style quorum nbmotaw dtype float64 kernel on
pair_coeff * * Nb Mo Ta W
velocity all create 3000 1
timestep {timestep}
fix nve all nve
thermo_style custom step pe etotal
thermo_modify norm no format float %.17g
thermo 10
run {steps}
""",
            tmp_path,
            2,
        ).thermo()
        drifts.append(np.ptp(got["TotEng"]) / len(atoms))
    # the error of the integrator is of second order, and nothing else is there
    assert drifts[0] < 2e-3
    assert drifts[1] == pytest.approx(drifts[0] / 4, rel=0.3)


@pytest.mark.parametrize("model", ["lj", "committee", "weighted baseline"])
def test_other_models_stay_with_torchscript(model_files, model, tmp_path):
    path, species = model_files[model]
    cases = {"box": structures(species)["box"]}
    run = everything(path, species, cases, tmp_path, "kernel auto")[2]
    assert "runs in TorchScript (float64, cpu)" in run.output
    script = script_of(path, " ".join(species), cases, "kernel on")
    refused = run_lammps(script, tmp_path, 2, check=False)
    assert refused.code != 0
    assert len(refused.errors) == 1
    assert "kernel on: there is none" in refused.errors[0]


def test_another_formula_under_the_same_names_is_noticed(kernel_files, tmp_path):
    """The tensors are right, the code in the file is another: only a comparison can tell."""
    potential = random_potential([29, 79], 4, (5, 2, 7, 3, (13, 10)), 4.5)
    path = write_model(tmp_path / "m.pt", potential, [29, 79])
    changed = tmp_path / "changed.pt"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(changed, "w") as new:
        for item in old.infolist():
            data = old.read(item)
            if item.filename.endswith(".py"):
                data = data.replace(b"1.7320508075688772", b"1.7321508075688772")
            new.writestr(item, data)
    assert changed.read_bytes() != path.read_bytes()
    cases = {"box": cases_of(["Cu", "Au"], 4.5)["box"]}
    run = everything(changed, ["Cu", "Au"], cases, tmp_path, "kernel auto")[2]
    assert "runs in TorchScript" in run.output


@pytest.mark.parametrize(
    ("keywords", "message"),
    [("kernel maybe", "kernel: got maybe; expected on, off or auto")],
)
def test_wrong_keyword(keywords, message, tmp_path):
    atoms = cases_of(NBMOTAW, 5.0)["box"]
    write_data(tmp_path / "box.data", atoms, NBMOTAW)
    script = script_of("nbmotaw", "Nb Mo Ta W", ["box"], keywords)
    run = run_lammps(script, tmp_path, 2, check=False)
    assert run.code != 0
    assert len(run.errors) == 1 and message in run.errors[0]


def test_wrong_processor(tmp_path, monkeypatch):
    monkeypatch.setenv("QUORUM_KERNEL", "vax")
    write_data(tmp_path / "box.data", cases_of(NBMOTAW, 5.0)["box"], NBMOTAW)
    run = run_lammps(
        script_of("nbmotaw", "Nb Mo Ta W", ["box"], "kernel on"), tmp_path, check=False
    )
    assert len(run.errors) == 1 and "expected generic, avx2 or avx512" in run.errors[0]


def test_library_serves_older_processors():
    """Code for newer processors is only in functions that are chosen when the program runs."""
    from quorum_md.engines import lammps_plugin

    library = lammps_plugin.build() / lammps_plugin.TORCH_PART
    names = subprocess.run(
        ["nm", "-C", str(library)], capture_output=True, text=True, check=True
    ).stdout
    if "quorum::avx512_float::run" not in names:
        pytest.skip("not an x86-64 compiled by GCC")
    code = subprocess.run(
        ["objdump", "-d", "-C", "--no-show-raw-insn", str(library)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    function = ""
    for line in code.splitlines():
        if line.endswith(">:"):
            function = line
        elif "%zmm" in line:
            assert "avx512_" in function, function
        elif "%ymm" in line:
            assert "avx512_" in function or "avx2_" in function, function
