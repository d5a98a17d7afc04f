"""Swaps in real i-PI: what is evaluated and written, restarts, threads, refusals."""

import re
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write
from ipi.inputs.simulation import InputSimulation
from ipi.utils.io.inputs.io_xml import xml_parse_string

from ipi_tools import INPUTS, PES, direct, finish, run, run_input, simulation, start
from quorum_md.cli import main
from quorum_md.engines.ipi_check import check_input
from quorum_md.engines.ipi_run import run_ipi
from quorum_md.engines.ipi_takeover import seed_of
from quorum_md.errors import QuorumError
from quorum_md.models import load_potential
from quorum_md.sampling import SwapMonteCarlo
from swap_tools import OURS, dynamics, swaps, system, toy, write_start
from toy_models import LocalAlloy, export

SCALES = [0.9, 1.0, 1.2]
SPACING_A = 2.6


@pytest.fixture(scope="module")
def alloy_file(tmp_path_factory):
    """An alloy of Cu and Ni with three members and a range of 3.5 Å."""
    module = LocalAlloy(3.5, [0.0, 0.15, -0.2, 0.02, 0.01], 28, SCALES, "")
    return export(module, tmp_path_factory.mktemp("alloy") / "alloy.pt", [28, 29], 3.5)


def crystal(cells=3):
    """Cu and Ni, one after the other, on a simple cubic lattice."""
    atoms = bulk("Cu", "sc", a=SPACING_A).repeat(cells)
    atoms.symbols[1::2] = "Ni"
    return atoms


@pytest.fixture
def folder(tmp_path, alloy_file, monkeypatch):
    shutil.copy(alloy_file, tmp_path / "model.pt")
    write(tmp_path / "start.xyz", crystal())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(path):
    """Column names and numbers of a file of swaps."""
    header = [line for line in path.read_text().splitlines() if line.startswith("#")][-1]
    return header.lstrip("# ").split(), np.loadtxt(path, ndmin=2)


def sites(folder, n):
    """(frames, N) sites at which the atoms of a run on the bare lattice are."""
    lattice = crystal().positions
    lines = (folder / "simulation.pos_0.xyz").read_text().splitlines()
    frames = [lines[i + 2 : i + 2 + n] for i in range(0, len(lines), n + 2)]
    positions = np.array([[line.split()[1:] for line in frame] for frame in frames], dtype=float)
    near = np.linalg.norm(positions[:, :, None] - lattice, axis=3)
    assert near.min(axis=2).max() < 1e-3
    return near.argmin(axis=2)


@pytest.mark.parametrize("energies", ["full", "auto"])
def test_members_belong_to_the_current_state(folder, energies):
    """Energies in both files are those of the atoms where they are, at every step."""
    outputs = "<trajectory filename='pos' stride='1'> positions{angstrom} </trajectory>"
    text = simulation(
        force_field=direct(),
        systems=system(swaps(["Cu", "Ni"], 3), kelvin=150),
        steps=40,
        outputs=outputs,
    ).replace("<prng>", f'<?quorum-swaps energies="{energies}"?> <prng>')
    run_input(folder, text, OURS)
    names, table = rows(folder / "simulation.swaps")
    assert names[:5] == ["step", "trials", "accepted", "Cu-Ni_trials", "Cu-Ni_accepted"]
    assert names[5:] == [f"member_{k}_eV" for k in range(3)]
    np.testing.assert_array_equal(table[:, 0], np.arange(41))
    rejected = np.diff(table[:, 1]) - np.diff(table[:, 2])
    assert (rejected > 0).sum() > 15 and (np.diff(table[:, 2]) > 0).sum() > 5
    potential = load_potential("model.pt")
    structures = []
    orders = sites(folder, len(crystal()))
    assert (np.diff(table[:, 2]) == 0).sum() > 5
    same = (np.diff(orders, axis=0) == 0).all(axis=1)
    np.testing.assert_array_equal(same[np.diff(table[:, 2]) == 0], True)
    for order in orders:
        atoms = crystal()
        atoms.positions = atoms.positions[order]
        structures.append(atoms)
    members = np.array([p.member_energies_eV for p in potential.evaluate(structures)])
    np.testing.assert_allclose(table[:, 5:], members, atol=1e-9)
    extras = np.loadtxt(folder / "simulation.committee_pot_0")
    np.testing.assert_allclose(extras * 27.211386245988, members, atol=1e-9)
    potential_eV = np.loadtxt(folder / "simulation.out")[:, 1]
    np.testing.assert_allclose(potential_eV, members.mean(axis=1), atol=1e-5)


def test_one_evaluation_per_trial(tmp_path):
    """A rejected trial is not evaluated again, neither by the step nor by the outputs."""
    write_start(tmp_path, ["Nb", "Mo"], [(-1.0, 0.0, 0.0), (1.0, 0.0, 0.0)])
    text = simulation(
        force_field=toy(kind="site", height=0.002, log="calls"),
        systems=system(swaps(["Nb", "Mo"], 2.5), kelvin=300),
        steps=50,
        properties="step, potential, kinetic_md",
    ).replace("extra_type='committee_pot'", "extra_type='toy'")
    run_input(tmp_path, text, OURS)
    _, table = rows(tmp_path / "simulation.swaps")
    n_trials, n_accepted = table[-1, 1:3]
    assert 0.1 * n_trials < n_accepted < 0.6 * n_trials
    assert len((tmp_path / "calls").read_text()) == 1 + n_trials


BIAS = "<bias> <force forcefield='bias'/> </bias>"


@pytest.mark.parametrize("what", ["rings and a bias", "weighted baseline"])
def test_local_energies_are_the_same_chain(folder, what):
    """Beads of unequal masses, a bias, a weighted baseline: as by i-PI's own evaluation."""
    logs, tables = [], []
    beads, ensemble = (4, BIAS) if "rings" in what else (1, "")
    if what == "weighted baseline":
        weighted_baseline(folder)
    for energies in ("full", "auto"):
        motions = [dynamics(1, 50, thermostat="pile_l"), swaps(["Ni", "Cu"], 15)]
        bias = toy("bias", beads, kind="traps", k1=3e-5, k2=1e-5, n1=9) if ensemble else ""
        text = simulation(
            force_field=direct(beads) + bias,
            systems=system(*motions, kelvin=300, beads=beads, ensemble=ensemble),
            steps=7,
            properties="step, potential, kinetic_cv, conserved, ensemble_bias",
        ).replace("<prng>", f'<?quorum-swaps energies="{energies}"?> <prng>')
        # nickel much lighter than copper, for the springs' sake
        masses = ", ".join("63" if symbol == "Cu" else "20" for symbol in crystal().symbols)
        masses = f"<masses mode='manual' units='dalton'> [ {masses} ] </masses>"
        text = text.replace("</initialize>", f"{masses} </initialize>")
        (folder / "input.xml").write_text(text)
        code, out, err = run(folder, *OURS, "input.xml")
        assert code == 0, f"{out}\n{err}"
        logs.append(out)
        tables.append([np.loadtxt(folder / f"simulation.{name}") for name in ("swaps", "out")])
        (folder / "simulation.swaps").unlink()
    assert "every trial is evaluated by i-PI, with forces: asked for" in logs[0]
    assert "differences of energies from" in logs[1] and "miss" not in logs[1]
    for full, local in zip(*tables, strict=True):
        np.testing.assert_allclose(local, full, rtol=1e-9)
    n_trials, n_accepted = tables[0][0][-1, 1:3]
    assert 0.1 * n_trials < n_accepted < 0.9 * n_trials
    # swaps leave the conserved energy alone: what remains is the time step's
    conserved = tables[0][1][:, 3]
    assert np.ptp(conserved) < 0.02 * np.ptp(tables[0][1][:, 1]), np.ptp(conserved)


def weighted_baseline(folder):
    """The model over another alloy, with a weight that the spread of the members moves."""
    module = LocalAlloy(3.5, [0.0, 0.1, -0.15, 0.0, 0.0], 28, [1.0], "")
    export(module, folder / "baseline.pt", [28, 29], 3.5, ensemble=False)
    files = [str(folder / name) for name in ("model.pt", "baseline.pt")]
    assert main(["baseline", *files, "-o", str(folder / "new.pt"), "--sigma", "0.5"]) == 0
    (folder / "new.pt").replace(folder / "model.pt")


CHECKPOINT = "<checkpoint filename='chk' stride='12'/>"


def long_run(steps=30, outputs="", attributes="", motions=None, **options):
    motions = motions or [dynamics(2, 50), swaps(["Cu", "Ni"], 1.5)]
    return simulation(
        force_field=direct(),
        systems=system(*motions, kelvin=900),
        steps=steps,
        outputs=outputs + CHECKPOINT,
        safe_stride=1,
        attributes=attributes,
        properties="step, potential, kinetic_md, conserved",
        **options,
    ).replace("%24.16e", "%24.17e")


def continued(folder, checkpoint, steps):
    """The text of a checkpoint with more steps to do."""
    text = (folder / checkpoint).read_text()
    return re.sub(r"<total_steps>[^<]*", f"<total_steps>{steps}", text)


@pytest.mark.parametrize(
    "motions",
    [
        [swaps(["Cu", "Ni"], 1.5)],
        [dynamics(2, 50), swaps(["Cu", "Ni"], 1.5), swaps(["Ni", "Cu"], 0.5)],
    ],
    ids=["swaps", "dynamics and two motions"],
)
def test_restart_is_the_uninterrupted_run(folder, motions):
    whole, parts = folder / "whole", folder / "parts"
    for here in (whole, parts):
        here.mkdir()
        for name in ("model.pt", "start.xyz"):
            shutil.copy(folder / name, here)
    run_input(whole, long_run(motions=motions), OURS)
    run_input(parts, long_run(17, motions=motions), OURS)
    assert "holds no chain" not in (parts / "RESTART").read_text()
    (parts / "input.xml").write_text(continued(parts, "RESTART", 30))
    code, out, err = run(parts, *OURS, "input.xml")
    assert code == 0, f"{out}\n{err}"
    assert "continued after" in out
    for name in ("simulation.swaps", "simulation.out"):
        tables = [np.loadtxt(here / name) for here in (whole, parts)]
        assert len(tables[0]) == 31
        exact = name == "simulation.swaps" and len(motions) == 1
        np.testing.assert_allclose(*tables, rtol=0 if exact else 1e-9, atol=0 if exact else 1e-12)
    states = [re.search(r"quorum-state .*", (h / "RESTART").read_text())[0] for h in (whole, parts)]
    assert states[0] == states[1]


def test_from_an_earlier_checkpoint(folder):
    """From an earlier checkpoint: rows beyond it go, and the run continues as it would have."""
    (folder / "input.xml").write_text(long_run(30))
    assert run(folder, *OURS, "input.xml")[0] == 0
    whole = (folder / "simulation.swaps").read_text()
    shutil.copy(folder / "simulation.chk", folder / "second.xml")
    (folder / "second.xml").write_text(continued(folder, "simulation.chk", 30))
    with open(folder / "simulation.swaps", "a") as file:
        file.write("   31   9")
    code, out, err = run(folder, *OURS, "second.xml")
    assert code == 0, f"{out}\n{err}"
    again = (folder / "simulation.swaps").read_text()
    assert len(again.splitlines()) == len(whole.splitlines()) == 33
    numbers = [np.loadtxt(text.splitlines()) for text in (whole, again)]
    np.testing.assert_allclose(*numbers, rtol=1e-9)


def test_stock_i_pi_continues_and_back(folder):
    """RESTART is i-PI's own; what stock i-PI writes has lost the chain, and that is said."""
    run_input(folder, long_run(8), OURS)
    run_input(folder, continued(folder, "RESTART", 12), ("i-pi",))
    text = continued(folder, "RESTART", 16)
    assert "<step>12</step>" in text and "quorum-state" not in text
    (folder / "input.xml").write_text(text)
    out = run(folder, *OURS, "input.xml")[1]
    assert "input.xml holds no chain of quorum, so a new one begins" in out
    assert re.search(r"seed (\d+)", out)[1] == str(seed_after_restart("input.xml"))


def seed_after_restart(path):
    """What the state of i-PI's own random numbers makes of itself; i-PI forgets the seed."""
    inputs = InputSimulation()
    inputs.parse(xml_parse_string(Path(path).read_text()).fields[0][1])
    return seed_of(SimpleNamespace(step=12, prng=inputs.prng.fetch()))


def test_asked_to_stop(folder):
    """SIGTERM: RESTART holds the chain as it was at its step."""
    (folder / "input.xml").write_text(long_run(100000))
    process = start(folder, *OURS, "input.xml")
    path = folder / "simulation.swaps"
    while not (path.is_file() and len(path.read_text().splitlines()) > 20):
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGTERM)
    finish(process)
    text = (folder / "RESTART").read_text()
    step = int(re.search(r"<step>(\d+)", text)[1])
    blocks = int(re.search(r'"blocks": (\d+)', text)[1])
    trials = int(re.search(r'"trials": (\d+)', text)[1])
    _, table = rows(path)
    assert blocks == step and trials == table[table[:, 0] == step, 1].item()


TEMPLATE = """<system_template> <labels> [ NAME, KELVIN ] </labels>
  <instance> [ A, 600 ] </instance> <instance> [ B, 600 ] </instance>
  <instance> [ C, 900 ] </instance> <template> SYSTEM </template> </system_template>"""


def test_threads_do_not_change_the_run(tmp_path):
    """Several systems: the same numbers, to the last bit, in threads and without; a restart."""
    write_start(tmp_path, ["He"] * 3 + ["Xe"] * 3, np.zeros((6, 3)))
    motions = [dynamics(2, 50), swaps(["He", "Xe"], 1.5)]
    tables = []
    for threading, steps in (("true", 30), ("false", 30), ("true", 13)):
        text = simulation(
            force_field=toy(kind="traps", k1=0.02, k2=0.05, n1=3),
            systems=TEMPLATE.replace("SYSTEM", system(*motions, kelvin="KELVIN", prefix="NAME")),
            steps=steps,
            properties="step, potential, kinetic_md, conserved",
            attributes=f"threading='{threading}'",
        )
        text = text.replace("%24.16e", "%24.17e").replace("extra_type='committee_pot'", "")
        run_input(tmp_path, text, OURS)
        if steps < 30:
            run_input(tmp_path, continued(tmp_path, "RESTART", 30), OURS)
        names = [f"{s}_simulation.{f}" for s in "ABC" for f in ("swaps", "out")]
        tables.append([np.loadtxt(tmp_path / name) for name in names])
        for path in tmp_path.glob("*simulation*"):
            path.unlink()
    for in_threads, one_by_one, restarted in zip(*tables, strict=True):
        np.testing.assert_array_equal(in_threads, one_by_one)
        np.testing.assert_allclose(in_threads, restarted, rtol=1e-9)
    assert not np.array_equal(tables[0][0], tables[0][2]), "systems have numbers of their own"
    assert 5 < tables[0][0][-1, 2] < tables[0][0][-1, 1]


REFUSED = [
    ("[ Cu, Ni ]", "[ Cu ]", r"names: got Cu, expected two elements or more"),
    ("[ Cu, Ni ]", "[ Cu, Cu ]", r"names: got Cu, expected two .* \[ Cu, Ni \]"),
    ("[ Cu, Ni ]", "[ Cu, Nu ]", r"no atom is called Nu, so that Cu has no partner; did you mean"),
    ("[ Cu, Ni ]", "[ Cu, W ]", r"no atom is called W, .*; there are Cu, Ni"),
    ("<names> [ Cu, Ni ] </names>", "", r"names: got none, expected two elements or more"),
    ("<nxc> 1.0", "<nxc> -1", r"nxc: got -1.0, expected a number of trials per step"),
    ("<nxc> 1.0", "<nxc> nan", r"nxc: got nan"),
    ("<dynamics", "<fixatoms> [ 4 ] </fixatoms> <dynamics", r"would move atom 4, which another"),
    ("swaps stride", "swaps strid", r"\[\?quorum-swaps\] strid: no such option; did you mean str"),
    ('stride="2"', 'stride="0"', r"stride: got '0', expected a positive number"),
    ('stride="2"', "stride=2", r"got 'stride=2', expected attributes such as stride=\"100\""),
    ('stride="2"', 'energies="fast"', r"energies: got 'fast', expected auto or full"),
    ('stride="2"', 'filename="a/b"', r"filename: got 'a/b', expected a name without a folder"),
    ("?quorum-swaps", "?quorum-swap", r"\[\?quorum-swap\] is no instruction"),
    ("<batch_size> 1", "<batch_size> 2", r"batch_size 2 does not divide the 1 structures"),
    (
        "<temperature units='kelvin'> 600 </temperature>",
        "",
        r"temperature is missing but the motion needs it",
    ),
]


def short_run():
    return simulation(
        force_field=direct(),
        systems=system(dynamics(2, 50), swaps(["Cu", "Ni"]), kelvin=600),
        steps=4,
        attributes="threading='false'",
    ).replace("<prng>", '<?quorum-swaps stride="2"?> <prng>')


@pytest.mark.parametrize(("old", "new", "words"), REFUSED, ids=[r[1] or r[0] for r in REFUSED])
def test_refused(folder, old, new, words):
    text = short_run()
    assert old in text
    (folder / "input.xml").write_text(text.replace(old, new, 1))
    before = set(folder.iterdir())
    with pytest.raises(QuorumError, match=words) as error:
        check_input("input.xml")
    sentence = str(error.value)
    assert sentence.startswith("input.xml: ") and "\n" not in sentence
    assert set(folder.iterdir()) == before


def test_two_systems_do_not_wait_for_each_other(folder):
    """A batch that only both together would fill."""
    systems = "".join(system(swaps(["Cu", "Ni"]), kelvin=600, prefix=p) for p in "AB")
    text = simulation(force_field=direct(2), systems=systems, attributes="threading='true'")
    (folder / "input.xml").write_text(text)
    with pytest.raises(QuorumError, match="batch_size 2 does not divide the 1 structures"):
        check_input("input.xml")


def test_options_and_the_line(folder, capsys):
    """The instruction is kept in RESTART; stock i-PI passes over it."""
    (folder / "input.xml").write_text(short_run())
    assert main(["i-pi", "input.xml", "--check"]) == 0
    assert "atomswap in 1 of them" in capsys.readouterr().out
    code, out, err = run(folder, *OURS, "input.xml")
    assert code == 0, err
    assert out.count("@quorum: atomswap of Cu, Ni in 1 system taken over, seed 31415") == 1
    assert rows(folder / "simulation.swaps")[1][:, 0].tolist() == [0, 2, 4]
    assert '<?quorum-swaps stride="2"?>' in (folder / "RESTART").read_text()
    run_input(folder, short_run(), ("i-pi",))


def test_input_to_copy(folder):
    """inputs/ipi/swaps.xml with the toy alloy, by `quorum i-pi` and by plain i-PI."""
    text = (INPUTS / "swaps.xml").read_text()
    for old, new in [
        ("model: nbmotaw", "model: model.pt"),
        ("<total_steps> 10000", "<total_steps> 20"),
        ("[ Nb, Mo, Ta, W ]", "[ Cu, Ni ]"),
        ("<pes_path>quorum_ipi_pes.py", f"<pes_path>{PES}"),
    ]:
        assert text.count(old) == 1
        text = text.replace(old, new)
    run_input(folder, text, OURS)
    names, table = rows(folder / "simulation.swaps")
    assert table[:, 0].tolist() == [0, 10, 20] and table[-1, 1] > 0
    members = np.loadtxt(folder / "simulation.committee_pot_0") * 27.211386245988
    np.testing.assert_allclose(table[:, 5:], members, rtol=1e-12)
    run_input(folder, text, ("i-pi",))


def test_atoms_that_are_held(folder):
    """fixatoms of the motion itself keeps atoms out of the swaps."""
    held = "<fixatoms> [ 0, 1, 2 ] </fixatoms>"
    text = simulation(
        force_field=direct(),
        systems=system(swaps(["Cu", "Ni"], 20, held), kelvin=1e5),
        steps=10,
        outputs="<trajectory filename='pos' stride='1'> positions{angstrom} </trajectory>",
    )
    run_input(folder, text, OURS)
    order = sites(folder, len(crystal()))[-1]
    moved = order != np.arange(len(order))
    assert not moved[:3].any() and moved[3:].sum() > 12


def test_a_state_of_other_swaps(folder):
    run_input(folder, short_run(), OURS)
    text = continued(folder, "RESTART", 8)
    for old, new, words in [
        (r'"atoms": \[27\]', '"atoms": [28]', "belongs to other swaps"),
        (r'"format": 1', '"format": 1,,', "is damaged"),
        (r"<names[^>]*> *\[ *Cu, Ni *\]", "<names> [ Ni, Cu ]", "belongs to other swaps"),
    ]:
        changed, n = re.subn(old, new, text, count=1)
        assert n == 1, old
        (folder / "input.xml").write_text(changed)
        with pytest.raises(QuorumError, match=words) as error:
            run_ipi("input.xml")
        assert str(error.value).startswith("input.xml: [?quorum-state] ")


def test_neighbors(folder):
    """Pairs within a distance only; like pairs count as trials that change nothing."""
    text = simulation(
        force_field=direct(),
        systems=system(swaps(["Cu", "Ni"], 1), kelvin=3000),
        steps=150,
        outputs="<trajectory filename='pos' stride='1'> positions{angstrom} </trajectory>",
    ).replace("<prng>", '<?quorum-swaps neighbors_A="2.7"?> <prng>')
    run_input(folder, text, OURS)
    names, table = rows(folder / "simulation.swaps")
    pairs = ["Cu-Cu", "Cu-Ni", "Ni-Ni"]
    assert names[3:9] == [f"{pair}_{what}" for pair in pairs for what in ("trials", "accepted")]
    assert table[-1, 3] > 5 and table[-1, 7] > 5 and table[-1, 4] == table[-1, 8] == 0
    assert table[-1, 6] == table[-1, 2] > 10
    lattice = crystal()
    order = sites(folder, len(lattice))
    for before, after, accepted in zip(order, order[1:], np.diff(table[:, 2]), strict=False):
        moved = np.flatnonzero(before != after)
        if accepted == 1:
            assert len(moved) == 2
            assert lattice.get_distance(*before[moved], mic=True) < 2.7
        elif accepted == 0:
            assert not len(moved)
    far = text.replace('"2.7"', '"2.5"')
    (folder / "input.xml").write_text(far)
    with pytest.raises(QuorumError, match=r"\[atomswap\] .* no two eligible atoms are within 2.5"):
        check_input("input.xml")


@pytest.mark.parametrize("threading", ["true", "false"])
def test_an_error_in_a_step(tmp_path, threading):
    """Atoms that have no neighbours any more: one sentence, code 2, and a RESTART."""
    write_start(tmp_path, ["He", "Xe"], [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0)])
    text = simulation(
        force_field=toy(kind="traps", k1=1e-6, k2=1e-6, n1=1),
        systems=system(dynamics(2, 50), swaps(["He", "Xe"]), kelvin=1000),
        steps=9999,
        safe_stride=1,
        attributes=f"threading='{threading}'",
    ).replace("<prng>", '<?quorum-swaps neighbors_A="1.1"?> <prng>')
    (tmp_path / "input.xml").write_text(text.replace("extra_type='committee_pot'", ""))
    code, _, err = run(tmp_path, *OURS, "input.xml")
    assert code == 2 and err.startswith("error: swaps: no two eligible atoms are within 1.1"), err
    assert err.count("\n") == 1
    restart = (tmp_path / "RESTART").read_text()
    step = int(re.search(r"<step>(\d+)", restart)[1])
    assert step > 0 and f'"blocks": {step}' in restart


def test_the_chain_of_python(folder):
    """The first block of a run is, trial by trial, `SwapMonteCarlo` with the same seed."""
    text = simulation(
        force_field=direct(), systems=system(swaps(["Cu", "Ni"], 60), kelvin=900), steps=1
    )
    run_input(folder, text, OURS)
    _, table = rows(folder / "simulation.swaps")
    chain = SwapMonteCarlo(
        crystal(), "model.pt", temperature_K=900, seed=31415, species=["Cu", "Ni"]
    )
    chain.run(int(table[-1, 1]))
    assert chain.accepted == table[-1, 2] > 5
    np.testing.assert_allclose(table[-1, 5:], chain.member_energies_eV, atol=1e-8)
