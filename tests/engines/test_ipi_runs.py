"""Real i-PI, as its users start it: our driver, our client, our inputs, and what goes wrong."""

import re
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ase.io import read, write
from ipi.utils.units import unit_to_user

from ipi_tools import (
    INPUTS,
    PES,
    argon,
    direct,
    export_oscillators,
    finish,
    oscillators,
    read_members,
    read_properties,
    run,
    run_input,
    simulation,
    start,
    system,
)

POTENTIAL = "step, potential{electronvolt}"


@pytest.fixture
def folder(tmp_path, lj_file):
    """model.pt (Lennard-Jones, 5 members) and start.xyz (32 atoms)."""
    shutil.copy(lj_file, tmp_path / "model.pt")
    write(tmp_path / "start.xyz", argon(2, rattle_A=0.05))
    return tmp_path


def assert_mean_is_potential(folder, prefix="", beads=1):
    """The mean of the members, over all beads, is the potential of each step."""
    table = read_properties(folder / f"{prefix}simulation.out")
    per_bead = []
    for bead in range(beads):
        steps, members = read_members(folder / f"{prefix}simulation.committee_pot_{bead}")
        np.testing.assert_array_equal(steps, table["step"])
        assert members.shape[1] == 5 and members.std(axis=1).min() > 0
        per_bead.append(members.mean(axis=1))
    # i-PI's own electronvolt is 1e-7 off CODATA's
    potential = unit_to_user("energy", "electronvolt", np.mean(per_bead, axis=0))
    np.testing.assert_allclose(potential, table["potential"], rtol=1e-13)
    assert np.ptp(table["potential"]) > 0.01


def test_batches_and_single_structures_give_the_same_run(folder):
    """Four beads, in one model call or in four, through `i-pi` and through `quorum i-pi`."""
    tables = []
    # the second input leaves the path of the driver to `quorum i-pi`
    for number, (batch, pes, program) in enumerate(
        [(4, PES, ("i-pi",)), (1, PES.name, ("quorum", "i-pi"))]
    ):
        here = folder / str(number)
        here.mkdir()
        for name in ("model.pt", "start.xyz"):
            shutil.copy(folder / name, here)
        bead_system = system(beads=4, kelvin=100, thermostat="pile_l")
        text = simulation(
            force_field=direct(batch, pes=pes), systems=bead_system, steps=15, properties=POTENTIAL
        )
        run_input(here, text, program)
        assert_mean_is_potential(here, beads=4)
        tables.append(read_properties(here / "simulation.out")["potential"])
    np.testing.assert_allclose(*tables, rtol=1e-12)


def test_extras_of_i_pi(folder):
    """All fields through i-PI's writer: shapes, and sums that must agree."""
    outputs = "".join(
        f"<trajectory filename='{name}' extra_type='{name}'> extras </trajectory>"
        for name in ("committee_uncertainty", "committee_force", "committee_virial")
    )
    outputs += "<trajectory filename='f' format='xyz'> forces{atomic_unit} </trajectory>"
    force_field = direct(member_forces="true", member_virials="true")
    text = simulation(force_field=force_field, systems=system(), steps=2, outputs=outputs)
    run_input(folder, text)
    members = read_members(folder / "simulation.committee_pot_0")[1]
    spread = np.ravel(read_members(folder / "simulation.committee_uncertainty_0")[1])
    np.testing.assert_allclose(spread, members.std(axis=1, ddof=1), rtol=1e-12)
    forces = read_members(folder / "simulation.committee_force_0")[1].reshape(-1, 5, 96)
    mean_forces = read(folder / "simulation.f_0.xyz", ":", format="xyz")
    for row, atoms in zip(forces, mean_forces, strict=True):
        # five digits in i-PI's xyz
        np.testing.assert_allclose(row.mean(axis=0), atoms.positions.ravel(), rtol=1e-4, atol=1e-8)
    assert read_members(folder / "simulation.committee_virial_0")[1].shape == (15, 9)


REPLACEMENTS = {"model: nbmotaw": "model: model.pt", "<total_steps> 10000": "<total_steps> 20"}


def prepared(folder, name, address=""):
    """An input of inputs/ipi with the toy model, few steps, and an address of its own."""
    text = (INPUTS / name).read_text()
    for old, new in REPLACEMENTS.items():
        text = text.replace(old, new)
    text = text.replace("<address> quorum </address>", f"<address> {address} </address>")
    (folder / name).write_text(text)
    return name


@pytest.mark.parametrize(
    ("name", "prefixes", "beads"),
    [
        ("nvt.xml", [""], 1),
        ("npt.xml", [""], 1),
        ("path_integrals.xml", [""], 8),
        ("temperatures.xml", ["T300_", "T600_", "T900_", "T1200_"], 1),
    ],
)
def test_inputs_to_copy(folder, name, prefixes, beads):
    code, out, err = run(folder, "quorum", "i-pi", prepared(folder, name))
    assert code == 0, f"{out}\n{err}"
    for prefix in prefixes:
        assert_mean_is_potential(folder, prefix, beads)


def test_inputs_to_copy_with_plain_i_pi(folder):
    """As README.md says: a link to the driver beside the input."""
    (folder / "quorum_ipi_pes.py").symlink_to(PES)
    code, out, err = run(folder, "i-pi", prepared(folder, "nvt.xml"))
    assert code == 0, f"{out}\n{err}"
    assert_mean_is_potential(folder)


CLIENT = ("--model", "model.pt", "--template", "start.xyz")


@pytest.fixture
def address(tmp_path):
    """A socket address that no other test has."""
    return f"quorum_test_{abs(hash(tmp_path)):x}"


@pytest.mark.parametrize(
    ("name", "options"),
    [("socket.xml", []), ("ffcommittee.xml", ["--member-forces", "--member-virials"])],
)
def test_inputs_to_copy_with_a_client(folder, address, name, options):
    client = start(folder, "quorum", "client", "--unix", address, *CLIENT, *options)
    server = start(folder, "quorum", "i-pi", prepared(folder, name, address))
    code, out, err = finish(server)
    assert code == 0, f"{out}\n{err}"
    code, _, err = finish(client)
    assert code == 0 and "i-PI has finished; 21 evaluations" in err, err
    assert_mean_is_potential(folder)


def socket_input(address, mode="unix", more="", steps=10, **options):
    force_field = f"""<ffsocket name='ff' mode='{mode}'> <address>{address}</address>
        <latency>1e-4</latency> {more} </ffsocket>"""
    return simulation(force_field=force_field, systems=system(**options), steps=steps)


@pytest.mark.parametrize(
    ("mode", "more", "beads"), [("unix", "<batch_size>4</batch_size>", 3), ("shm", "", 1)]
)
def test_client_over_batches_and_shared_memory(folder, address, mode, more, beads):
    (folder / "input.xml").write_text(socket_input(address, mode, more, beads=beads))
    client = start(folder, "quorum", "client", "--unix", address, *CLIENT)
    server = start(folder, "i-pi", "input.xml")
    assert finish(server)[0] == 0 and finish(client)[0] == 0
    assert_mean_is_potential(folder, beads=beads)


def test_i_pi_s_own_client(folder, address):
    (folder / "input.xml").write_text(socket_input(address))
    server = start(folder, "i-pi", "input.xml")
    wait_for_socket(server, address)
    words = ("-m", "custom", "-P", PES, "-o", "model=model.pt,template=start.xyz")
    code, out, err = run(folder, "i-pi-driver-py", "-u", "-a", address, *words)
    assert code == 0, f"{out}\n{err}"
    assert finish(server)[0] == 0
    assert_mean_is_potential(folder)


def wait_for_socket(server, address):
    """Until i-PI listens. To knock would be to be a client, so the kernel is asked."""
    listening = "00010000"
    while server.poll() is None:
        for line in Path("/proc/net/unix").read_text().splitlines():
            if line.endswith(f"/tmp/ipi_{address}") and listening in line.split():
                return
    raise AssertionError("i-PI has ended")


def read_until(process, pattern):
    """Lines of stderr until one matches; fails at its end."""
    for line in process.stderr:
        if re.search(pattern, line):
            return line
    raise AssertionError(f"no line with {pattern!r}")


STUCK = """
import sys, threading
from quorum_md.engines.ipi_client import Address, run_client
from quorum_md.engines.ipi_model import IpiModel, PesOptions
model = IpiModel(PesOptions('model.pt', 'start.xyz'))
calls = []
def evaluate(cells, positions):
    calls.append(1)
    if len(calls) == 4:
        print('stuck', file=sys.stderr, flush=True)
        threading.Event().wait()
    return model.compute(cells, positions)
run_client(evaluate, Address(unix=sys.argv[1]))
"""


def test_client_that_is_killed_and_replaced(folder, address):
    """kill -9 in the middle of an evaluation: a new client finishes the run."""
    (folder / "input.xml").write_text(socket_input(address))
    server = start(folder, "i-pi", "input.xml")
    first = start(folder, "python", "-c", STUCK, f"/tmp/ipi_{address}")
    read_until(first, "stuck")
    first.send_signal(signal.SIGKILL)
    first.communicate()
    second = start(folder, "quorum", "client", "--unix", address, *CLIENT)
    code, out, err = finish(server)
    assert code == 0, f"{out}\n{err}"
    assert finish(second)[0] == 0
    assert_mean_is_potential(folder)
    assert len(read_members(folder / "simulation.committee_pot_0")[0]) == 11


def test_client_that_is_asked_to_leave_and_replaced(folder, address):
    """SIGTERM while it serves: it answers, leaves with 143, and the run goes on without loss."""
    (folder / "input.xml").write_text(socket_input(address, steps=100))
    server = start(folder, "i-pi", "input.xml")
    first = start(folder, "quorum", "client", "--unix", address, *CLIENT)
    read_until(first, "connected")
    members = folder / "simulation.committee_pot_0"
    while not (members.is_file() and len(members.read_text().splitlines()) > 10):
        assert server.poll() is None
    first.send_signal(signal.SIGTERM)
    code, _, err = finish(first)
    assert code == 128 + signal.SIGTERM and "Traceback" not in err, err
    second = start(folder, "quorum", "client", "--unix", address, *CLIENT)
    assert finish(server)[0] == 0 and finish(second)[0] == 0
    assert_mean_is_potential(folder)
    assert len(read_members(members)[0]) == 101


def test_server_that_is_killed_and_restarted(folder, address):
    """kill -9 of i-PI: the client comes back to the next one and ends with it."""
    (folder / "input.xml").write_text(socket_input(address, steps=100000))
    server = start(folder, "i-pi", "input.xml")
    client = start(folder, "quorum", "client", "--unix", address, "--reconnect", *CLIENT)
    read_until(client, "connected")
    server.kill()
    server.communicate()
    read_until(client, "waiting up to 60 s")
    subprocess.run(["rm", "-f", f"/tmp/ipi_{address}"], check=True)
    (folder / "input.xml").write_text(socket_input(address, steps=10))
    server = start(folder, "i-pi", "input.xml")
    assert finish(server)[0] == 0
    code, _, err = finish(client)
    assert code == 0 and "i-PI has finished" in err, err
    assert_mean_is_potential(folder)


def test_client_without_a_server(folder, address):
    code, out, err = run(folder, "quorum", "client", "--unix", address, "--wait", "0.3", *CLIENT)
    assert code == 2 and out == ""
    assert "error: no i-PI server at /tmp/ipi_" in err and "after 0.3 s" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("model.pt", "missing.pt", "missing.pt: no such model file"),
        ("template: start.xyz", "template: missing.xyz", "missing.xyz: no such template"),
        ("template: start.xyz", "template: input.xml", "input.xml: cannot be read as a structure"),
        ("template: start.xyz", "template: krypton.xyz", "species Kr not in model.pt"),
        ("model: model.pt", "model: model.pt, modle: 3", "modle: no such parameter"),
    ],
)
def test_bad_parameters_end_i_pi_with_one_sentence(folder, old, new, words):
    atoms = argon(2)
    atoms.symbols[3] = "Kr"
    write(folder / "krypton.xyz", atoms)
    text = simulation(force_field=direct(), systems=system())
    (folder / "input.xml").write_text(text.replace(old, new))
    before = set(folder.iterdir())
    code, _, err = run(folder, "i-pi", "input.xml")
    assert code == 2 and words in err and err.startswith("error: ") and err.count("\n") == 1, err
    assert set(folder.iterdir()) == before


@pytest.mark.parametrize("threaded", ["False", "True"])
def test_a_run_that_blows_up_ends(tmp_path, threaded):
    """Neither a traceback nor a thread that dies while i-PI waits for it; a state to look at."""
    export_oscillators(tmp_path, 0.1, [1.0, 1.0], cliff_A=0.3)
    write(tmp_path / "start.xyz", oscillators())
    force_field = direct(attributes=f"threaded='{threaded}'")
    text = simulation(
        force_field=force_field, systems=system(timestep_fs=5), steps=9999, safe_stride=1
    )
    (tmp_path / "input.xml").write_text(text)
    code, _, err = run(tmp_path, "i-pi", "input.xml")
    assert code == 2 and "Traceback" not in err, err
    assert err == (
        "error: model.pt: energy or forces are not finite for structure 0; look for atoms on top "
        "of each other and, in dynamics, shorten the time step\n"
    )
    steps, members = read_members(tmp_path / "simulation.committee_pot_0")
    assert len(steps) > 2 and np.isfinite(members).all()
    assert f"<step>{steps[-1]}</step>" in (tmp_path / "RESTART").read_text()


def test_a_first_step_that_is_not_finite(folder):
    """i-PI writes its first output while it holds back what it does on the way out."""
    atoms = argon(2)
    atoms.positions[1] = atoms.positions[0]
    write(folder / "start.xyz", atoms)
    (folder / "input.xml").write_text(simulation(force_field=direct(), systems=system()))
    code, _, err = run(folder, "i-pi", "input.xml")
    assert code == 2 and err.startswith("error: ") and err.count("\n") == 1, err
