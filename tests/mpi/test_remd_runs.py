"""quorum remd as a job: continued, killed, out of space, wrong; every rank count decides alike."""

import os
import shutil
import signal
import subprocess
import time

import ase.io
import numpy as np
import pytest

from remd_ranks import ranks_of
from remd_tools import (
    CUNI,
    THERMOSTATS,
    box,
    change,
    command,
    environment,
    remd,
    rows,
    write_run,
)

FILES = (
    "journal.bin",
    "tables/state-002.dat",
    "tables/replicas.dat",
    "trajectories/state-001.extxyz",
)


def alloy(folder, thermostat="langevin", **tables):
    """CuNi with EAM at four temperatures."""
    script = f"{CUNI}\ntimestep 0.002\n{THERMOSTATS[thermostat]}\nthermo 10\n"
    tables["output"] = {"trajectory": 5, "columns": ["press"]} | tables.get("output", {})
    return write_run(folder, box(), script, **tables)


@pytest.mark.parametrize("thermostat", ["langevin", "nvt"])
def test_resumed_is_uninterrupted(thermostat, tmp_path):
    """20 attempts, or 10 and 10 more: every byte is the same; rows after a checkpoint are cut."""
    whole = alloy(tmp_path / "whole", thermostat)
    parts = alloy(tmp_path / "parts", thermostat)
    remd(whole)
    change(parts, "attempts = 20", "attempts = 10")
    remd(parts)
    with open(parts / "remd" / "journal.bin", "ab") as stream:
        stream.write(b"of an attempt that was not finished")
    with open(parts / "remd" / "tables" / "state-002.dat", "a") as stream:
        stream.write("11 and so on\n")
    change(parts, "attempts = 10", "attempts = 20")
    remd(parts, 2, "--resume")
    for name in FILES:
        assert (whole / "remd" / name).read_bytes() == (parts / "remd" / name).read_bytes(), name
    found = rows(whole)
    assert (found["attempt"] == np.arange(1, 21)).all() and (found["step"][-1] == 200).all()
    assert (found["replicas"] != found["after"]).any()
    # one that is done has nothing left to do
    before = (parts / "remd" / "journal.bin").stat().st_mtime_ns
    remd(parts, 2, "--resume")
    assert (parts / "remd" / "journal.bin").stat().st_mtime_ns == before
    # and a new one does not overwrite it
    assert "continue it with --resume" in remd(parts, 2, code=2)


def test_rank_counts_decide_alike(tmp_path):
    """One, two and four ranks with one rank for each state: the same run. Two ranks for each: other
    noise, but the same decisions for the energies that it had."""
    from quorum_md.report.exchange_status import exchanged
    from quorum_md.sampling.journal import read_rows

    one = alloy(tmp_path / "1")
    remd(one, 1)
    for ranks in (2, 4):
        other = alloy(tmp_path / str(ranks))
        remd(other, ranks)
        np.testing.assert_array_equal(rows(one), rows(other))
    pairs = alloy(tmp_path / "pairs", lammps={"ranks_per_replica": 2}, exchange={"attempts": 10})
    remd(pairs, 2)
    header, found = read_rows(pairs / "remd")
    again = exchanged(header, found)
    np.testing.assert_array_equal(again.exchange.permutation, found["after"][-1])
    assert (np.sort(found["after"], axis=1) == np.arange(4)).all()
    assert (found["energy_eV"][0] != rows(one)["energy_eV"][0]).any()


def start(folder, ranks=2, *arguments):
    return subprocess.Popen(
        command(ranks, *arguments),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for(path, process, seconds=60.0):
    end = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_killed_rank_ends_the_job(tmp_path):
    """kill -9 of one rank: the job ends, and goes on from the checkpoint as if it had not."""
    folder = alloy(tmp_path / "killed", exchange={"attempts": 100000})
    process = start(folder)
    try:
        wait_for(folder / "remd" / "checkpoints" / "000020", process)
        os.kill(ranks_of(process.pid)[-1], signal.SIGKILL)
        process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode != 0
    found = sorted(p.name for p in (folder / "remd" / "checkpoints").glob("[0-9]*"))
    attempts = int(found[-1]) + 10
    change(folder, "attempts = 100000", f"attempts = {attempts}")
    remd(folder, 2, "--resume")
    whole = alloy(tmp_path / "whole", exchange={"attempts": attempts})
    remd(whole)
    np.testing.assert_array_equal(rows(whole), rows(folder))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_leaves_a_checkpoint(number, tmp_path):
    folder = alloy(tmp_path, exchange={"attempts": 100000}, checkpoint={"every": 100000})
    process = start(folder)
    try:
        journal = folder / "remd" / "journal.bin"
        wait_for(journal, process)
        while journal.stat().st_size < 5000:
            time.sleep(0.02)
        process.send_signal(number)
        output = process.communicate(timeout=30)[0]
    finally:
        process.kill()
    assert process.returncode == 3, output
    assert "stopped; go on with `quorum remd run.toml --resume`" in output
    done = len(rows(folder))
    assert [int(p.name) for p in (folder / "remd" / "checkpoints").glob("*[1-9]*")] == [done]
    change(folder, "attempts = 100000", f"attempts = {done + 4}")
    remd(folder, 2, "--resume")
    assert (rows(folder)["attempt"] == np.arange(1, done + 5)).all()


def test_time_limit(tmp_path):
    folder = alloy(tmp_path, exchange={"attempts": 100000}, checkpoint={"time_limit": "0:00:03"})
    remd(folder, 2, code=3)
    done = len(rows(folder))
    assert (folder / "remd" / "checkpoints" / f"{done:06d}" / "manifest.json").exists()
    assert f"# {done} attempts" in (folder / "remd" / "states.dat").read_text()


def change_script(folder, old, new):
    path = folder / "in.run"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_one_run_in_a_folder(tmp_path):
    """A second start, or a second --resume, while the first one runs takes nothing from it."""
    folder = alloy(tmp_path, exchange={"attempts": 100000}, checkpoint={"every": 30})
    first = start(folder)
    try:
        wait_for(folder / "remd" / "journal.bin", first)
        header = (folder / "remd" / "journal.json").read_bytes()
        change(folder, "600, 660", "601, 660")
        assert "another run is writing here" in remd(folder, 1, code=2)
        assert (folder / "remd" / "journal.json").read_bytes() == header
        change(folder, "601, 660", "600, 660")
        wait_for(folder / "remd" / "checkpoints" / "000030", first)
        path = folder / "remd" / "trajectories" / "state-001.extxyz"
        assert "another run is writing here" in remd(folder, 1, "--resume", code=2)
    finally:
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=60)
    assert first.returncode == 3
    steps = [frame.info["attempt"] for frame in ase.io.read(path, ":")]
    assert steps == list(range(5, len(rows(folder)) + 1, 5))
    # off and on again: frames stay
    change(folder, "trajectory = 5", "trajectory = 0")
    change(folder, "attempts = 100000", f"attempts = {len(rows(folder)) + 4}")
    remd(folder, 1, "--resume")
    change(folder, "trajectory = 0", "trajectory = 5")
    change(folder, f"attempts = {len(rows(folder))}", f"attempts = {len(rows(folder)) + 10}")
    remd(folder, 2, "--resume")
    assert len(ase.io.read(path, ":")) >= len(steps) + 2


def test_damage_is_a_sentence(tmp_path):
    """A corrupt checkpoint, a short journal, other settings: and nothing is lost."""
    folder = alloy(tmp_path / "run")
    remd(folder)
    newest = folder / "remd" / "checkpoints" / "000020"
    change(folder, "attempts = 20", "attempts = 30")
    path = newest / "state-001.restart"
    whole = path.read_bytes()
    path.write_bytes(whole[:1000] + b"x" + whole[1001:])
    output = remd(folder, 2, "--resume", code=2)
    assert "state-001.restart is damaged; remove this folder to continue from" in output
    assert "000010" in output and "Traceback" not in output
    path.write_bytes(whole)
    for old, new, words in [
        ("seed = 4711", "seed = 4712", "was written with other seed"),
        ("600, 660", "600, 670", "was written with other temperatures_K"),
        ("600, 660, 720, 790", "600, 660, 720", "the checkpoint has 4 states"),
    ]:
        change(folder, old, new)
        assert words in remd(folder, 1, "--resume", code=2)
        change(folder, new, old)
    change_script(folder, "langevin ${temperature} ${temperature} 0.1", "langevin 9 9 0.1")
    output = remd(folder, 1, "--resume", code=2)
    assert "in.run changed since the checkpoint" in output or "one temperature" in output
    change_script(folder, "langevin 9 9 0.1", "langevin ${temperature} ${temperature} 0.2")
    assert "in.run changed since the checkpoint" in remd(folder, 2, "--resume", code=2)
    change_script(folder, "0.2", "0.1")
    change_script(folder, "thermo 10", "thermo 20")
    journal = folder / "remd" / "journal.bin"
    rest = journal.read_bytes()
    journal.write_bytes(rest[:-1])
    assert "has fewer than the 20 rows" in remd(folder, 1, "--resume", code=2)
    journal.write_bytes(rest)
    shutil.rmtree(newest)
    remd(folder, 2, "--resume")
    assert len(rows(folder)) == 30


@pytest.mark.parametrize(
    ("size", "every", "words"),
    [(8000, 10, "state-000.restart"), (16000, 10, "records.h5"), (16000, 100000, "journal.bin")],
)
def test_no_space(size, every, words, tmp_path):
    """A limit on the size of files stands for a full disk: old checkpoints stay."""
    output = {"trajectory": 0}
    exchange, checkpoint = {"attempts": 100000}, {"every": every}
    folder = alloy(tmp_path / "run", exchange=exchange, checkpoint=checkpoint, output=output)
    code = (
        "import resource, sys\n"
        "from mpi4py import MPI\n"  # whose shared memory are files, too
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"
        "from quorum_md.cli import main\n"
        "sys.exit(main(['remd', 'run.toml']))\n"
    )
    done = subprocess.run(
        [*command(2)[:4], "-c", code],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert words in output and "cannot be written (" in output and "Traceback" not in output
    checkpoints = sorted(p.name for p in (folder / "remd" / "checkpoints").glob("[0-9]*"))
    if size == 8000:
        assert not checkpoints
        return
    change(folder, "attempts = 100000", f"attempts = {int(checkpoints[-1]) + 5}")
    remd(folder, 2, "--resume")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_unwritable_folder(tmp_path):
    folder = alloy(tmp_path / "run")
    (folder / "remd").mkdir(mode=0o500)
    assert "cannot be made (Permission denied)" in remd(folder, 2, code=2)


def test_a_folder_that_cannot_be(tmp_path):
    folder = alloy(tmp_path / "run")
    (folder / "remd").write_text("a file")
    output = remd(folder, 2, code=2)
    assert "cannot be made (" in output and "[output] folder" in output


def test_mistakes_in_scripts_are_sentences(tmp_path):
    """Errors of LAMMPS, in one state or all, end the job with what LAMMPS said."""
    bad = alloy(tmp_path / "command")
    (bad / "in.run").write_text((bad / "in.run").read_text() + "frobnicate 1\n")
    output = remd(bad, 2, code=2)
    assert "in.run: state 0 (600 K): LAMMPS: ERROR: Unknown command: frobnicate" in output
    assert "Traceback" not in output
    (bad / "in.run").write_text(
        "variable t equal ${temperature}\npair_style eam\npair_coeff 1 1 no.eam\n"
    )
    for ranks in (1, 2):  # of a pair style that is half made
        assert "cannot open eam potential file no.eam" in remd(bad, ranks, code=2)
    one = alloy(tmp_path / "one")
    script = 'if "${replica} == 3" then "frobnicate 1"\n'
    (one / "in.run").write_text((one / "in.run").read_text() + script)
    assert "state 3 (790 K): LAMMPS: ERROR" in remd(one, 2, code=2)
    # the start that failed is in nobody's way
    (one / "in.run").write_text((one / "in.run").read_text().replace(script, ""))
    remd(one, 2)
    elements = alloy(tmp_path / "elements", lammps={"elements": ["Cu"]})
    assert "elements: got 1 for 2 atom types" in remd(elements, 1, code=2)
    random = alloy(tmp_path / "random")
    path = random / "in.structure"
    path.write_text(path.read_text().replace("type/ratio 2 0.5 4", "type/fraction 2 0.5 ${seed}"))
    assert "the scripts make atoms of each type" in remd(random, 1, code=2)
    groups = alloy(tmp_path / "groups")
    change_script(groups, "thermo 10", "thermo 10\ngroup some id 1:$(3 + v_replica)")
    assert "the scripts make groups with the digest" in remd(groups, 1, code=2)
    path.write_text(path.read_text().replace("lattice fcc 3.6", "lattice fcc $(3.6+v_replica/9)"))
    path.write_text(path.read_text().replace("/fraction 2 0.5 ${seed}", "/ratio 2 0.5 4"))
    assert "a box of constant volume" in remd(random, 1, code=2)
    barostat = alloy(tmp_path / "barostat", "nvt")
    words = "fix press all press/berendsen iso 1000 1000 1 modulus 1e6"
    change_script(barostat, "thermo 10", f"thermo 10\n{words}")
    assert "pressure_GPa is missing, but the volume changes" in remd(barostat, 2, code=2)
    column = alloy(tmp_path / "column", output={"columns": ["c_other"]})
    output = remd(column, 1, code=2)
    assert "[output]: columns: c_other: state 0" in output and "Invalid compute" in output
    many = alloy(tmp_path / "many")
    assert "5 ranks for 4 states of 1 ranks each" in remd(many, 5, code=2)


def test_launchers_of_another_mpi(tmp_path):
    """Processes that do not know of each other would all write the same run."""
    folder = alloy(tmp_path)
    done = subprocess.run(
        command(1)[3:],
        cwd=folder,
        env=environment() | {"OMPI_COMM_WORLD_SIZE": "4"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "4 processes were started, but each sees itself alone" in done.stderr
    assert not (folder / "remd").exists()


def test_energies_must_be_those_of_one_potential(tmp_path):
    """Where states have other potentials, temperatures alone do not decide: refused."""
    folder = alloy(tmp_path / "work", exchange={"attempts": 100})
    springs = "variable k equal ${temperature}/600\nfix tie all spring/self ${k}\n"
    script = (folder / "in.run").read_text() + springs
    (folder / "in.run").write_text(script + "fix_modify tie energy yes\n")
    output = remd(folder, 2, code=2)
    assert "expected the same: the scripts of all states need one potential" in output


def test_trajectories_of_replicas(tmp_path):
    """Frames of a replica: its own configuration wherever it was; status of a run on its way."""
    folder = alloy(tmp_path, output={"trajectory": 1})
    remd(folder)
    output = remd(folder, 1, "--by-replica")
    assert output.count("\n") == 4
    place = folder / "remd" / "trajectories"
    frames = ase.io.read(place / "replica-002.extxyz", ":")
    assert {one.info["replica"] for one in frames} == {2}
    found = rows(folder)
    states = np.argsort(found["replicas"], axis=1)[:, 2]
    assert [one.info["state"] for one in frames] == states.tolist() and len(set(states)) > 1

    def moved_A(frames):
        """Root mean square between frames, once replicas have gone apart."""
        x = np.array([one.positions for one in frames])[10:]
        return np.sqrt((((np.diff(x, axis=0) + 5.4) % 10.8 - 5.4) ** 2).mean(axis=(1, 2)))

    one_state = moved_A(ase.io.read(place / "state-001.extxyz", ":"))
    others = np.diff(found["replicas"][10:, 1]) != 0
    assert moved_A(frames).max() < 0.8 * one_state[others].min()
    assert "# 20 attempts of 20" in remd(folder, 1, "--status")


@pytest.mark.parametrize("thermostat", ["nvt", "csvr"])
def test_checkpoints_change_nothing(thermostat, tmp_path):
    """Instances that are built anew go on with the thermostat's own variables: but for rounding,
    the run is the one without checkpoints."""
    often = alloy(tmp_path / "often", thermostat, checkpoint={"every": 3})
    never = alloy(tmp_path / "never", thermostat, checkpoint={"every": 100})
    for folder in (often, never):
        remd(folder)
    np.testing.assert_allclose(rows(often)["energy_eV"], rows(never)["energy_eV"], atol=1e-6)
    np.testing.assert_allclose(rows(often)["kinetic_K"], rows(never)["kinetic_K"], atol=1e-3)
    np.testing.assert_array_equal(rows(often)["after"], rows(never)["after"])
