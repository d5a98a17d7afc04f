"""Replica exchange in real i-PI: whose configuration it is, batches, restarts, refusals."""

import re
import shutil

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read, write

from ipi_tools import (
    INPUTS,
    PES,
    argon,
    direct,
    read_members,
    read_properties,
    run,
    run_input,
    simulation,
)
from quorum_md.engines.ipi_check import check_input
from quorum_md.engines.ipi_run import run_ipi
from quorum_md.errors import QuorumError
from quorum_md.models import load_potential
from swap_tools import OURS, dynamics, remd, swaps, system, toy, write_start
from toy_models import LocalAlloy, export

KELVIN = (300, 450, 700)
NPT = """<barostat mode='isotropic'> <tau units='femtosecond'> 20 </tau>
  <thermostat mode='langevin'> <tau units='femtosecond'> 20 </tau> </thermostat> </barostat>"""
PRESSURE = "<pressure> 1e-6 </pressure>"


def states(*motions, kelvin=KELVIN, **options):
    """Systems T300, T450, …"""
    return "".join(system(*motions, kelvin=t, prefix=f"T{t}", **options) for t in kelvin)


def toy_input(systems, more="", **options):
    """An input with the toy's harmonic traps."""
    text = simulation(
        force_field=toy(kind="traps", k1=0.01, k2=0.01, n1=2),
        systems=systems,
        flush=1000,
        properties="step, potential, kinetic_md, conserved",
        **options,
    )
    return text.replace("extra_type='committee_pot'", "extra_type='toy'").replace(
        "<prng>", f"{more} <prng>"
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_start(tmp_path, ["He", "He"], np.zeros((2, 3)))
    return tmp_path


def permutations(folder, n_steps):
    """(n_steps + 1, S) of the file of permutations, which has the steps at which they change."""
    rows = np.loadtxt(folder / "simulation.remd", dtype=int, ndmin=2)
    last = np.searchsorted(rows[:, 0], np.arange(n_steps + 1), side="right") - 1
    return rows[last, 1:]


@pytest.mark.parametrize("scheme", ["neighbors", "gibbs"])
def test_configurations_go_where_the_permutations_say(folder, scheme):
    """Replicas that hardly move are known by where they started; momenta follow them."""
    places = [0.0, 0.05, 0.1]
    systems = states(dynamics(1e-4, 1e9, thermostat="langevin"))
    for kelvin, x in zip(KELVIN, places, strict=True):
        write_start(folder, ["He", "He"], [(x, 0, 0), (x, 0, 0)])
        (folder / "start.xyz").rename(folder / f"T{kelvin}.xyz")
        systems = systems.replace("start.xyz", f"T{kelvin}.xyz", 1)
    outputs = """<trajectory filename='pos' stride='1'> positions{angstrom} </trajectory>
      <trajectory filename='mom' stride='1'> momenta </trajectory>"""
    text = toy_input(
        remd() + systems, f'<?quorum-remd scheme="{scheme}"?>', steps=30, outputs=outputs
    )
    run_input(folder, text, OURS)
    said = permutations(folder, 30)
    assert len(np.unique(said, axis=0)) > 3
    frames = {
        name: np.array([xyz(folder / f"T{t}_simulation.{name}_0.xyz") for t in KELVIN])
        for name in ("pos", "mom")
    }
    near = np.abs(frames["pos"][:, :, 0, 0, None] - places)
    assert near.min(axis=2).max() < 1e-3
    np.testing.assert_array_equal(near.argmin(axis=2).T, said)
    first = frames["mom"][:, 0]
    factor = np.sqrt(np.array(KELVIN)[None, :] / np.array(KELVIN)[said])
    np.testing.assert_allclose(
        np.swapaxes(frames["mom"], 0, 1), first[said] * factor[..., None, None], rtol=1e-3
    )


def test_cells_go_along(folder):
    """At constant pressure: volumes that hardly move are known by where they started."""
    lengths = [10.0, 10.5, 11.0]
    motion = dynamics(1e-4, 1e9, "npt", more=NPT.replace("> 20 <", "> 1e9 <"))
    systems = states(motion, ensemble=PRESSURE)
    for kelvin, length in zip(KELVIN, lengths, strict=True):
        write_start(folder, ["He", "He"], np.zeros((2, 3)), length)
        (folder / "start.xyz").rename(folder / f"T{kelvin}.xyz")
        systems = systems.replace("start.xyz", f"T{kelvin}.xyz", 1)
    text = toy_input(remd() + systems, steps=30).replace("conserved", "volume{angstrom3}")
    run_input(folder, text, OURS)
    said = permutations(folder, 30)
    assert len(np.unique(said, axis=0)) > 3
    tables = [read_properties(folder / f"T{kelvin}_simulation.out") for kelvin in KELVIN]
    volumes = np.transpose([table["volume"] for table in tables])
    np.testing.assert_allclose(volumes, np.array(lengths)[said] ** 3, rtol=1e-3)


def xyz(path):
    """(frames, N, 3) of i-PI's xyz."""
    lines = path.read_text().splitlines()
    n = int(lines[0])
    frames = [lines[i + 2 : i + 2 + n] for i in range(0, len(lines), n + 2)]
    return np.array([[line.split()[1:] for line in frame] for frame in frames], dtype=float)


def test_threads_schemes_and_strides(folder):
    """Threads change nothing, a stride of 2.5 is two attempts in five steps, states keep files."""
    tables = []
    for threading in ("false", "true"):
        text = toy_input(
            remd(2.5) + states(dynamics(2, 20)),
            '<?quorum-remd scheme="all_pairs" per_attempt="2" stride="3"?>',
            steps=40,
            attributes=f"threading='{threading}'",
        )
        run_input(folder, text, OURS)
        tables.append([np.loadtxt(folder / f"T{t}_simulation.out") for t in KELVIN])
        tables[-1].append(np.loadtxt(folder / "simulation.remd"))
        tables[-1].append(np.loadtxt(folder / "simulation.remd_statistics"))
    for one, other in zip(*tables, strict=True):
        np.testing.assert_array_equal(one, other)
    assert set(tables[0][3][1:, 0] % 5) <= {3, 0}
    text = (folder / "simulation.remd_statistics").read_text()
    assert "16 attempts" in text and tables[0][4][:2, 3].tolist() == [32, 32]
    np.testing.assert_allclose(tables[0][4][:, 1], KELVIN)
    assert '<?quorum-remd scheme="all_pairs"' in (folder / "RESTART").read_text()


def test_batches_and_force_fields_of_each_state(folder):
    """Attempts fill no batch of three: what they evaluate is not waited for, and is the same."""
    both = "<force forcefield='ff'/> <force forcefield='field{}'/>"
    systems = remd()
    for i, kelvin in enumerate(KELVIN):
        one = system(dynamics(2, 20), kelvin=kelvin, prefix=f"T{kelvin}")
        systems += one.replace("<force forcefield='ff'/>", both.format(i))
    fields = "".join(toy(f"field{i}", kind="traps", k1=0.01 * i, k2=0, n1=2) for i in range(3))
    tables = []
    for batch in (1, 3):
        text = toy_input(systems, steps=30, attributes="threading='true'")
        shared = toy("ff", batch, kind="traps", k1=0.01, k2=0.01, n1=2)
        start, end = text.index("<ffdirect"), text.index("</ffdirect>") + len("</ffdirect>")
        run_input(folder, text[:start] + shared + fields + text[end:], OURS)
        tables.append([np.loadtxt(folder / f"T{t}_simulation.out") for t in KELVIN])
    np.testing.assert_allclose(*tables, rtol=1e-10)
    assert len(np.unique(permutations(folder, 30), axis=0)) > 2
    statistics = np.loadtxt(folder / "simulation.remd_statistics")
    assert 0 < statistics[:2, 4].sum() < statistics[:2, 3].sum()


@pytest.fixture
def argon_folder(folder, lj_file):
    shutil.copy(lj_file, folder / "model.pt")
    write(folder / "start.xyz", argon(2, rattle_A=0.05))
    return folder


def test_all_replicas_in_one_call_and_members_of_each_state(argon_folder):
    """The input asks for no batches; energies in the files are those of the positions there."""
    outputs = "<trajectory filename='pos' stride='1'> positions{angstrom} </trajectory>"
    text = simulation(
        force_field=direct(),
        systems=remd() + states(dynamics(2, 20)),
        steps=12,
        outputs=outputs,
    ).replace("verbosity='quiet'", "verbosity='high'")
    (argon_folder / "input.xml").write_text(text)
    code, out, err = run(argon_folder, *OURS, "input.xml")
    assert code == 0, f"{out}\n{err}"
    assert "3 structures in one call of ff" in out
    batches = re.findall(r"Launching batch evaluation, (\d+ / \d+)", out)
    assert batches == ["3 / 3"] * 13
    assert len(np.unique(permutations(argon_folder, 12), axis=0)) > 1
    potential = load_potential("model.pt")
    for kelvin in KELVIN:
        _, members = read_members(argon_folder / f"T{kelvin}_simulation.committee_pot_0")
        structures = []
        for positions in xyz(argon_folder / f"T{kelvin}_simulation.pos_0.xyz"):
            atoms = read(argon_folder / "start.xyz")
            atoms.positions = positions
            structures.append(atoms)
        expected = [p.member_energies_eV for p in potential.evaluate(structures, forces=False)]
        # i-PI writes five digits of the positions
        np.testing.assert_allclose(members * 27.211386245988, expected, rtol=3e-6)
        assert np.ptp(expected, axis=0).min() > 1e-2
        table = read_properties(argon_folder / f"T{kelvin}_simulation.out")
        np.testing.assert_allclose(table["potential"], np.mean(expected, axis=1), rtol=3e-6)
    # the checkpoint is an input for stock i-PI, batches included
    more = (argon_folder / "RESTART").read_text().replace("<total_steps>12", "<total_steps>14")
    run_input(argon_folder, more, ("i-pi",))


@pytest.fixture(scope="module")
def alloy_file(tmp_path_factory):
    module = LocalAlloy(3.5, [0.0, 0.15, -0.2, 0.02, 0.01], 28, [0.9, 1.1], "")
    return export(module, tmp_path_factory.mktemp("alloy") / "alloy.pt", [28, 29], 3.5)


def test_a_restarted_run_is_the_uninterrupted_one(folder, alloy_file):
    """With swaps in the states: properties, permutations, statistics, state in RESTART."""
    shutil.copy(alloy_file, folder / "model.pt")
    atoms = bulk("Cu", "sc", a=2.6).repeat(2)
    atoms.symbols[1::2] = "Ni"
    write(folder / "start.xyz", atoms)
    text = simulation(
        force_field=direct(),
        systems=remd(2) + states(dynamics(2, 50), swaps(["Cu", "Ni"], 1.5), kelvin=(800, 1000)),
        steps=20,
        safe_stride=1,
        outputs="<checkpoint filename='chk' stride='15'/>",
        properties="step, potential, kinetic_md, conserved",
    ).replace("%24.16e", "%24.17e")
    names = ["simulation.remd", "simulation.remd_statistics"]
    names += [f"T{t}_simulation.{file}" for t in (800, 1000) for file in ("out", "swaps")]
    run_input(folder, text, OURS)
    whole = [np.loadtxt(folder / name) for name in names]
    state = re.search(r"quorum-state .*", (folder / "RESTART").read_text())[0]
    assert len(whole[0]) > 3
    # the killed run went on beyond its last checkpoint
    text = (folder / "simulation.chk").read_text()
    assert "<step>15</step>" in text
    run_input(folder, text, OURS)
    for name, expected in zip(names, whole, strict=True):
        found = np.loadtxt(folder / name)
        if name.endswith("out"):  # where i-PI appends what it did before
            found, expected = found[-5:], expected[-5:]
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert re.search(r"quorum-state .*", (folder / "RESTART").read_text())[0] == state
    for old, new in (
        (r'"permutation": \[0, 1\]|"permutation": \[1, 0\]', '"permutation": [0, 0]'),
    ):
        changed, n = re.subn(old, new, text)
        assert n == 1
        (folder / "input.xml").write_text(changed)
        with pytest.raises(QuorumError, match=r"\[\?quorum-state\] belongs to other swaps"):
            run_ipi("input.xml")


def test_a_restart_of_stock_i_pi_is_refused(folder):
    """Its systems have changed their temperatures, so that its files belong to replicas."""
    text = toy_input(remd(1) + states(dynamics(2, 20)), steps=3)
    run_input(folder, text, ("i-pi",))
    text = (folder / "RESTART").read_text().replace("<total_steps>3", "<total_steps>30")
    text, n = re.subn(r"(<repindex[^>]*>) *\[[^]]*\]", r"\1 [1, 0, 2]", text)
    assert n == 1
    (folder / "input.xml").write_text(text)
    with pytest.raises(QuorumError, match=r"\[remd\] repindex: plain i-PI has exchanged"):
        run_ipi("input.xml")


def one_differs(change):
    """States, the second of which is changed."""
    first, second = (system(dynamics(2, 20), kelvin=t, prefix=f"T{t}") for t in (300, 450))
    return remd() + first + change(second)


REFUSED = [
    (remd() + states(dynamics(2, 20), kelvin=(300,)), "there is one system and nothing"),
    (one_differs(lambda s: s.replace("start", "other")), "atoms differ from T300: 3 and 2"),
    (one_differs(lambda s: s.replace("start", "xenon")), "names of the atoms differ"),
    (one_differs(lambda s: s.replace("start", "large")), "cell, which nothing moves, differ"),
    (one_differs(lambda s: s.replace("nbeads='1'", "nbeads='2'")), "beads differ from T300: 2 and"),
    (one_differs(lambda s: s.replace("mode='nvt'", "mode='nve'")), "mode='nve' does not sample"),
    (
        one_differs(lambda s: s.replace("<fixcom>", "<fixatoms> [ 0 ] </fixatoms> <fixcom>")),
        "fixed atoms differ",
    ),
    (one_differs(lambda s: re.sub(r"<thermostat.*?</thermostat>", "", s, flags=re.S)), "has no th"),
    (
        one_differs(
            lambda s: system(dynamics(2, 20, "npt", more=NPT), kelvin=4, ensemble=PRESSURE)
        ),
        "barostat differ from T300: pressure and none",
    ),
    (
        one_differs(
            lambda s: s.replace(
                "</ensemble>", "<hamiltonian_weights> [ 0.5 ] </hamiltonian_weights> </ensemble>"
            )
        ),
        "hamiltonian_weights other than 1 do not act",
    ),
    (remd("nan") + states(dynamics(2, 20)), "stride: got nan"),
    (
        '<?quorum-remd scheme="gibs"?>' + remd() + states(dynamics(2, 20)),
        r"\[\?quorum-remd\] scheme: got 'gibs', expected neighbors",
    ),
    ('<?quorum-remd schema="gibbs"?>' + remd(), "schema: no such option; did you mean scheme"),
    ('<?quorum-remd per_attempt="0"?>' + remd(), "per_attempt: got '0', expected a positive"),
    ('<?quorum-reme stride="1"?>' + remd(), r"\[\?quorum-reme\] .* write <\?quorum-remd"),
]


@pytest.mark.parametrize(("systems", "words"), REFUSED, ids=lambda x: x[:20])
def test_refusals(folder, systems, words):
    write_start(folder, ["He"] * 3, np.zeros((3, 3)))
    (folder / "start.xyz").rename(folder / "other.xyz")
    write_start(folder, ["Xe"] * 2, np.zeros((2, 3)))
    (folder / "start.xyz").rename(folder / "xenon.xyz")
    write_start(folder, ["He"] * 2, np.zeros((2, 3)), 21.0)
    (folder / "start.xyz").rename(folder / "large.xyz")
    write_start(folder, ["He"] * 2, np.zeros((2, 3)))
    if "system" not in systems:
        systems += states(dynamics(2, 20))
    (folder / "input.xml").write_text(toy_input(systems))
    with pytest.raises(QuorumError, match=words) as error:
        check_input("input.xml")
    assert str(error.value).startswith("input.xml: ")


def test_check_says_what_is_there(folder):
    (folder / "input.xml").write_text(toy_input(remd() + states(dynamics(2, 20))))
    assert "replica exchange between 3 states" in str(check_input("input.xml"))


def test_input_to_copy(folder, alloy_file):
    """inputs/ipi/remd.xml with a toy alloy, by `quorum i-pi` and by plain i-PI."""
    shutil.copy(alloy_file, folder / "model.pt")
    atoms = bulk("Cu", "sc", a=2.6).repeat(2)
    atoms.symbols[1::2] = "Ni"
    write(folder / "start.xyz", atoms)
    text = (INPUTS / "remd.xml").read_text()
    for old, new in [
        ("model: nbmotaw", "model: model.pt"),
        ("<total_steps> 10000", "<total_steps> 20"),
        ("[ Nb, Mo, Ta, W ]", "[ Cu, Ni ]"),
        ("<pes_path>quorum_ipi_pes.py", f"<pes_path>{PES}"),
    ]:
        assert text.count(old) == 1
        text = text.replace(old, new)
    run_input(folder, text, OURS)
    table = np.loadtxt(folder / "simulation.remd_statistics")
    assert table[:, 3].tolist() == [2, 2, 2, 2, 2, 0]
    ratios = table[1:, 1] / table[:-1, 1]
    np.testing.assert_allclose(ratios, 2**0.2, rtol=1e-3)
    assert len(np.loadtxt(folder / "T689_simulation.swaps")) == 3
    run_input(folder, text.replace("<total_steps> 20", "<total_steps> 3"), ("i-pi",))
