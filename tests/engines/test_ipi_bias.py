"""Biases in i-PI: derivatives, averages that are known, values of the same step, the kernel."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read, write
from ipi.pes import load_pes, scan_pes_file
from scipy.special import eval_legendre

from ipi_tools import (
    INPUTS,
    ROOT,
    argon,
    direct,
    read_properties,
    run,
    run_input,
    simulation,
    system,
    z_score,
)
from quorum_md.order_parameters import open_variables
from quorum_md.order_parameters.kernel import find_kernel
from quorum_md.units import BOHR_A, BOLTZMANN_EV_K, HARTREE_EV

BIAS = ROOT / "driver/quorum_md/engines/quorum_ipi_bias.py"
KELVIN, SPRING_EV_A2, STEP = 300.0, 1.0, 0.2
needs_kernel = pytest.mark.skipif(find_kernel() is None, reason="no PLUMED kernel")
ARGON = """UNITS LENGTH=A ENERGY=eV
cv: FCCUBIC SPECIES=1-32 SWITCH={CUBIC D_0=3.2 D_MAX=4.2} ALPHA=27 MEAN
q: Q6 SPECIES=1-32 SWITCH={CUBIC D_0=3.2 D_MAX=4.2} MEAN
e: ENVIRONMENTSIMILARITY SPECIES=1-32 LATTICE_CONSTANTS=4.4 SIGMA=0.3 MEAN
res: RESTRAINT ARG=cv.mean,q.mean,e.mean AT=0.4,0.3,1 KAPPA=40,10,50
"""


def bias(pes=BIAS, **parameters):
    """The force field of a bias."""
    words = {"plumed": "plumed.dat", "template": "start.xyz", **parameters}
    text = ", ".join(f"{k}: {v}" for k, v in words.items())
    return f"""<ffdirect name='bias'> <pes>custom</pes> <pes_path>{pes}</pes_path>
    <parameters> {{{text}}} </parameters> </ffdirect>"""


IN_ENSEMBLE = "<bias> <force forcefield='bias'/> </bias>"


def extras(names):
    """The output of values, synchronous with the step."""
    return f"<trajectory filename='cv' flush='100' extra_type='{names}'> extras_bias </trajectory>"


def read_values(path):
    """Steps and rows of an extras file."""
    lines = Path(path).read_text().splitlines()
    steps = [int(line.split("Step:")[1].split()[0]) for line in lines if "#" in line]
    return np.array(steps), np.array([line.split() for line in lines if "#" not in line], float)


@pytest.fixture
def folder(tmp_path, lj_file):
    """32 atoms of argon, the Lennard-Jones committee, and a bias."""
    (tmp_path / "model.pt").write_bytes(Path(lj_file).read_bytes())
    write(tmp_path / "start.xyz", argon(2, rattle_A=0.1))
    (tmp_path / "plumed.dat").write_text(ARGON)
    return tmp_path


def test_derivatives_in_atomic_units(folder):
    """Also of the cell, whose vectors are columns above the diagonal."""
    assert scan_pes_file(str(BIAS)) == ("QuorumBias", "quorum_bias")
    paths = {"plumed": str(folder / "plumed.dat"), "template": str(folder / "start.xyz")}
    pes = load_pes("custom", str(BIAS))(verbosity=False, **paths)
    atoms = argon(2, rattle_A=0.15)
    cell = np.array([[9.6, 0.4, -0.3], [0, 9.8, 0.5], [0, 0, 9.5]]) / BOHR_A
    positions = atoms.positions / BOHR_A
    energy, forces, virial, text = pes(cell, positions)
    values = json.loads(text)
    assert list(values) == ["cv.mean", "q.mean", "e.mean", "res.bias", "res.force2", "bias"]
    assert values["bias"] == energy == pytest.approx(values["res.bias"] / HARTREE_EV, rel=1e-8)
    h = 1e-4
    for atom, axis in [(0, 0), (5, 1), (31, 2)]:
        move = np.zeros_like(positions)
        move[atom, axis] = h
        slope = (pes(cell, positions + move)[0] - pes(cell, positions - move)[0]) / (2 * h)
        assert forces[atom, axis] == pytest.approx(-slope, abs=1e-8)
    h = 1e-5
    for a, b in [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]:
        ends = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[a, b] += sign * h
            ends.append(pes(strain @ cell, positions @ strain.T)[0])
        assert virial[a, b] == pytest.approx((ends[1] - ends[0]) / (2 * h), abs=1e-7)
    assert abs(virial[0, 1] - virial[1, 0]) > 1e-4  # which of them is no matter of taste
    both = pes([cell, 1.01 * cell], [positions, positions])
    # a list that was made for another structure has the pairs in another order
    assert both[0][0] == pytest.approx(energy, rel=1e-14) and both[1][0] != both[0][0]


def q6_of_clusters(positions):
    """(n, N, 3) Å → (n,) mean over atoms of |Σ_j σ Y_6m| / Σ_j σ, by the addition theorem."""
    d = positions[:, :, None] - positions[:, None]
    r = np.linalg.norm(d, axis=-1)
    y = np.clip((r - 3) / 2, 0, 1)
    weight = (y - 1) ** 2 * (1 + 2 * y) * (r > 0)
    u = d / np.maximum(r, 1e-9)[..., None]
    cosines = np.einsum("nijx,nikx->nijk", u, u)
    squared = np.einsum("nij,nijk,nik->ni", weight, eval_legendre(6, cosines), weight)
    return (np.sqrt(13 / (4 * np.pi) * squared) / weight.sum(axis=-1)).mean(axis=1)


def test_average_and_variance_of_a_restrained_variable(tmp_path):
    """Eight atoms on springs: exact averages by weights exp(-βV) of independent configurations."""
    atoms = bulk("Ar", "sc", a=3.0).repeat(2)
    atoms.set_cell(24 * np.eye(3))
    atoms.positions += 10
    kT = BOLTZMANN_EV_K * KELVIN
    kappa, at = 28.6, 0.209
    rng = np.random.default_rng(5)
    moves = rng.normal(size=(20000, 8, 3)) * np.sqrt(kT / SPRING_EV_A2)
    q = q6_of_clusters(atoms.positions + moves)
    weights = np.exp(-0.5 * kappa * (q - at) ** 2 / kT)
    mean = np.average(q, weights=weights)
    variance = np.average((q - mean) ** 2, weights=weights)
    # so that another strength of the bias, or none, is far away
    for factor in (0.0, 0.5, 2.0):
        other = np.average(q, weights=weights**factor)
        assert abs(other - mean) > 0.4 * np.sqrt(variance)

    write(tmp_path / "start.xyz", atoms)
    (tmp_path / "plumed.dat").write_text(
        "UNITS LENGTH=nm ENERGY=kj/mol\ncv: Q6 SPECIES=1-8 SWITCH={CUBIC D_0=0.3 D_MAX=0.5} MEAN\n"
        f"res: RESTRAINT ARG=cv.mean AT={at} KAPPA={kappa * 96.48530749925792}\n"
    )
    numbers = ", ".join(f"{x:.15g}" for x in (atoms.positions / BOHR_A).ravel())
    hessian = SPRING_EV_A2 * BOHR_A**2 / HARTREE_EV * np.eye(24)
    rows = ", ".join(f"{x:.15g}" for x in hessian.ravel())
    springs = f"""<ffdebye name='ff'> <hessian shape='(24, 24)'> [ {rows} ] </hessian>
      <x_reference> [ {numbers} ] </x_reference> </ffdebye>"""
    omega = np.sqrt(SPRING_EV_A2 / (39.948 * 103.642697))
    text = simulation(
        force_field=springs + bias(),
        systems=system(
            kelvin=KELVIN, timestep_fs=STEP / omega, tau_fs=1 / omega, ensemble=IN_ENSEMBLE
        ),
        steps=1600,
        properties="step, potential{electronvolt}, ensemble_bias{electronvolt}",
        flush=100,
        members=False,
        outputs=extras("cv.mean,res.bias"),
    )
    run_input(tmp_path, text)
    steps, values = read_values(tmp_path / "simulation.cv_0")
    assert len(steps) == 1601
    series = values[100:, 0]
    assert abs(z_score(series, mean, 24)) < 4
    assert abs(z_score((series - mean) ** 2, variance, 24)) < 4
    table = read_properties(tmp_path / "simulation.out")
    expected = 0.5 * kappa * (values[:, 0] - at) ** 2
    np.testing.assert_allclose(table["ensemble_bias"], expected, rtol=1e-6)


def test_values_are_those_of_the_same_step(folder):
    """Constant pressure and two beads: values belong to positions, and energy is conserved."""
    outputs = extras("cv.mean,q.mean,res.bias").replace("'cv'", "'cv' stride='5'")
    outputs += "<trajectory filename='pos' stride='5' format='ase'> positions </trajectory>"
    barostat = """<barostat mode='isotropic'> <tau units='femtosecond'> 50 </tau>
      <thermostat mode='langevin'> <tau units='femtosecond'> 100 </tau> </thermostat> </barostat>"""
    ensemble = f"<pressure units='gigapascal'> 1 </pressure> {IN_ENSEMBLE}"
    text = simulation(
        force_field=direct(2) + bias(),
        systems=system(
            kelvin=200, beads=2, thermostat="pile_l", mode="npt", timestep_fs=0.25,
            barostat=barostat, ensemble=ensemble,
        ),
        steps=100,
        outputs=outputs,
        properties="step, conserved{electronvolt}, ensemble_bias{electronvolt}, volume",
    )  # fmt: skip
    run_input(folder, text)
    table = read_properties(folder / "simulation.out")
    assert np.ptp(table["volume"]) > 0.02 * table["volume"][0]
    assert np.ptp(table["ensemble_bias"]) > 0.1
    drift = np.abs(table["conserved"] - table["conserved"][0]).max()
    assert drift < 0.05
    variables, biases = open_variables(folder / "plumed.dat"), []
    for bead in range(2):
        steps, values = read_values(folder / f"simulation.cv_{bead}")
        frames = read(folder / f"simulation.pos_{bead}.extxyz", ":")
        assert len(frames) == len(values) == 21
        for atoms, row in zip(frames, values, strict=True):
            answer = variables.evaluate(atoms)
            expected = [answer.values[key] for key in ("cv.mean", "q.mean", "res.bias")]
            np.testing.assert_allclose(row, expected, rtol=1e-4)  # digits of i-PI's positions
        biases.append(values[:, 2])
        np.testing.assert_array_equal(steps, table["step"][::5])
    np.testing.assert_allclose(np.mean(biases, axis=0), table["ensemble_bias"][::5], rtol=1e-6)


@pytest.mark.plumed
@needs_kernel
def test_ffplumed_is_the_same_step_by_step(folder):
    """The kernel in i-PI's own force field: bias, values and volume of a run."""
    plumed = """<ffplumed name='bias'> <file mode='ase'> start.xyz </file>
      <plumed_dat> plumed.dat </plumed_dat> <compute_work> False </compute_work>
      <plumed_extras> [ cv_mean, res.bias ] </plumed_extras> </ffplumed>"""
    barostat = """<barostat mode='isotropic'> <tau units='femtosecond'> 50 </tau>
      <thermostat mode='langevin'> <tau units='femtosecond'> 100 </tau> </thermostat> </barostat>"""
    ensemble = f"<pressure units='gigapascal'> 1 </pressure> {IN_ENSEMBLE}"
    tables = []
    for force_field, names in ((bias(), "cv.mean,res.bias"), (plumed, "cv_mean,res.bias")):
        text = simulation(
            force_field=direct() + force_field,
            systems=system(mode="npt", barostat=barostat, ensemble=ensemble, kelvin=200),
            steps=20,
            outputs=extras(names),
            properties="step, ensemble_bias, volume, pressure_md",
        )
        run_input(folder, text)
        values = read_values(folder / "simulation.cv_0")[1]
        table = read_properties(folder / "simulation.out")
        tables.append(np.column_stack([values, *(table[k] for k in list(table)[1:])]))
    assert np.ptp(tables[0][:, 0]) > 1e-3
    # i-PI rounds the units that it tells PLUMED
    np.testing.assert_allclose(tables[1], tables[0], rtol=2e-5)


def test_quorum_i_pi_looks_before_it_runs(folder):
    """Wrong units, a bias among the forces, and what cannot be opened: one sentence, no files."""
    good, systems = ARGON, system(ensemble=IN_ENSEMBLE)
    changes = {
        "nm taken for Å": (good.replace("LENGTH=A", "LENGTH=nm"), {}, systems, "cutoff: got 4.2"),
        "Å taken for nm": (
            good.replace("3.2", "0.32").replace("4.2", "0.42"), {}, systems,
            "no atom has a neighbour within 0.42",
        ),
        "natural": (good.replace("LENGTH=A ENERGY=eV", "NATURAL"), {}, systems, "[UNITS] NATURAL:"),
        "action": (good + "METAD ARG=cv.mean", {"backend": "native"}, systems, "action METAD"),
        "backend": (good, {"backend": "torch"}, systems, "backend: got 'torch', expected"),
        "parameter": (good, {"model": "x"}, systems, "[parameters] model: no such parameter"),
        "file": (good, {"plumed": "no.dat"}, systems, "no.dat: cannot be read"),
        "atoms": (good, {"template": "two.xyz"}, systems, "the template two.xyz of force field"),
        "forces": (
            good, {}, systems.replace("<force forcefield='ff'/>", "<force forcefield='ff'/>"
            "<force forcefield='bias'/>"), "[forces] bias: got a bias, expected a potential",
        ),
    }  # fmt: skip
    write(folder / "two.xyz", argon(2)[:2])
    from quorum_md.engines.ipi_check import check_input
    from quorum_md.errors import QuorumError

    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore", DeprecationWarning)
        patch.chdir(folder)
        for name, (text, parameters, systems, sentence) in changes.items():
            (folder / "plumed.dat").write_text(text)
            xml = simulation(force_field=direct() + bias(**parameters), systems=systems)
            (folder / "input.xml").write_text(xml)
            with pytest.raises(QuorumError) as caught:
                check_input("input.xml")
            assert sentence in str(caught.value), name
            assert str(caught.value).startswith("input.xml: "), name
    (folder / "plumed.dat").write_text(good)
    xml = simulation(force_field=direct() + bias(BIAS.name), systems=system(ensemble=IN_ENSEMBLE))
    (folder / "input.xml").write_text(xml)
    code, out, err = run(folder, "quorum", "i-pi", "--check", "input.xml")
    assert code == 0 and "bias bias: plumed.dat by backend native" in out, err


def test_ffplumed_without_a_kernel_is_refused(folder, monkeypatch):
    from quorum_md.engines import ipi_bias_check
    from quorum_md.engines.ipi_check import check_input
    from quorum_md.errors import QuorumError

    plumed = """<ffplumed name='bias'> <file mode='ase'> start.xyz </file>
      <plumed_dat> {} </plumed_dat> </ffplumed>"""
    monkeypatch.chdir(folder)
    for file, kernel, sentence in (
        (
            "plumed.dat",
            None,
            "[ffplumed] bias: got no PLUMED kernel, expected one; set PLUM",
        ),
        ("no.dat", "there", "plumed_dat: got no.dat, expected a PLUMED input file"),
    ):
        monkeypatch.setattr(ipi_bias_check, "find_kernel", lambda kernel=kernel: kernel)
        text = simulation(
            force_field=direct() + plumed.format(file), systems=system(ensemble=IN_ENSEMBLE)
        )
        (folder / "input.xml").write_text(text)
        with pytest.raises(QuorumError) as caught:
            check_input("input.xml")
        assert sentence in str(caught.value)


def test_path_is_printed(folder):
    code, out, _ = run(folder, "quorum", "i-pi", "--bias-path")
    assert code == 0 and Path(out.strip()).name == BIAS.name and Path(out.strip()).is_file()


def test_input_to_copy(tmp_path):
    """pin.xml with the files that it names: only z moves, and the bias is that of the values."""
    here = tmp_path / "ipi"
    for file in (INPUTS / "start.xyz", INPUTS / "pin.xml", INPUTS.parent / "plumed" / "bcc.dat"):
        copy = tmp_path / file.parent.name / file.name
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(file.read_text().replace("> 10000 <", "> 20 <"))
    code, out, err = run(here, "quorum", "i-pi", "pin.xml")
    assert code == 0, out + err
    table = np.loadtxt(here / "simulation.out")
    steps, values = read_values(here / "simulation.cv_0")
    np.testing.assert_array_equal(steps, table[:, 0])
    np.testing.assert_allclose(values[:, 1], 50 * (values[:, 0] - 0.55) ** 2, rtol=1e-9)
    np.testing.assert_allclose(values[:, 1], table[:, 5], rtol=1e-6)
    assert np.ptp(table[:, 7]) == np.ptp(table[:, 8]) == 0 < np.ptp(table[:, 9])
