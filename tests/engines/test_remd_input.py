"""run.toml: what it may hold, and the sentences for what it may not."""

import os

import numpy as np
import pytest

from quorum_md.cli import main
from quorum_md.engines.remd_ensemble import seed_of
from quorum_md.engines.remd_input import Checkpoints, read_remd
from quorum_md.engines.remd_layout import Layout, check_cores, choose_gpu
from quorum_md.engines.remd_scripts import check_scripts, script_identity
from quorum_md.errors import QuorumError, QuorumWarning
from remd_tools import change, write_run

SCRIPT = "fix bath all langevin ${temperature} ${temperature} 0.1 ${seed}\n"


@pytest.fixture
def folder(tmp_path):
    return write_run(tmp_path, "units metal\n", SCRIPT)


def test_defaults(folder):
    file = read_remd(str(folder / "run.toml"))
    settings = file.settings
    assert settings.states.temperatures_K == (600.0, 660.0, 720.0, 790.0)
    assert settings.states.pressures_GPa == (None,) * 4
    assert settings.lammps.ranks_per_replica == 1 and settings.exchange.scheme == "neighbors"
    assert settings.output.trajectory == 0 and settings.checkpoint.every == 10
    assert file.folder == folder / "remd" and file.place("in.run") == folder / "in.run"


def test_geometric_ladder(folder):
    change(
        folder, "temperatures_K = [600, 660, 720, 790]", "lowest_K = 300\nhighest_K = 600\nn = 3"
    )
    states = read_remd(str(folder / "run.toml")).settings.states
    np.testing.assert_allclose(states.temperatures_K, [300, 300 * 2**0.5, 600])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "seed = 4711",
            "sed = 4711",
            '[exchange]: sed: there is no such key; did you mean "seed"?',
        ),
        ("[exchange]", "[exchanges]", 'exchanges: there is no such key; did you mean "exchange"?'),
        ("seed = 4711", "", "[exchange]: seed: this key is missing; add it"),
        ("steps = 10", "steps = 1.5", "steps: got 1.5, expected a whole number"),
        ("steps = 10", "steps = true", "steps: got True, expected a whole number"),
        ("steps = 10", "steps = 0", "[exchange]: steps: got 0, expected a whole number of at"),
        ("[600, 660", '["600", 660', "temperatures_K: got ['600', 660, 720, 790], expected a list"),
        ("[600, 660", "[-1, 660", "[states]: temperatures_K: got [-1.0"),
        ("[600, 660, 720, 790]", "[600]", "temperatures_K: got 1, expected two or more"),
        ("[600, 660, 720, 790]", "[600, 650]\npressure_GPa = [1]", "pressure_GPa: got 1 for 2"),
        ("seed = 4711", 'seed = 1\nscheme = "neighbours"', 'did you mean "neighbors"?'),
        ('"in.run"', '"in.rum"', "script: in.rum cannot be read (No such file"),
        ("seed = 4711", "seed = [", "is no TOML ("),
        ("every = 10", 'time_limit = "1 day"', 'time_limit: got "1 day", expected "HH:MM:SS"'),
        ("[exchange]", "variables = { seed = 1 }\n[exchange]", "variables: seed is set for every"),
        ("[exchange]", 'variables = { "a b" = 1 }\n[exchange]', "letters, digits and _"),
        ("[exchange]", "variables = { a = [1] }\n[exchange]", "a table, each a number or a text"),
        ("[checkpoint]", '[output]\ncolumns = ["c_a b"]\n[checkpoint]', "one word of thermo_style"),
        ("temperatures_K = [600, 660, 720, 790]", "lowest_K = 300", "expected temperatures_K, or"),
    ],
)
def test_mistakes(folder, old, new, words, capsys):
    change(folder, old, new)
    assert main(["remd", str(folder / "run.toml"), "--check"]) == 2
    message = capsys.readouterr().err
    assert words in message and message.startswith(f"error: {folder / 'run.toml'}: ")
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("fix bath all nvt temp 300 300 0.1 # ${temp}\n", "does not use ${temperature}"),
        (SCRIPT + "fix mc all quorum/swap 1 1 ${seed} 300\n", "write ${chain_seed}"),
        (SCRIPT.replace("\n", " gjf vhalf\n"), "line 1: fix langevin with gjf"),
        (SCRIPT + "dump d all custom 9 d.dump id\n", "line 2: all states would write one file"),
        (SCRIPT + "dump d all custom 9 ${replica}.d id\n", "add `dump_modify d append yes`"),
        (SCRIPT + "fix a all ave/time 1 1 1 v_x file ${replica}.a\n", "write `append` for `file`"),
        (SCRIPT + "fix a all print 1 x append a.dat\n", "line 2: all states would write one"),
        (SCRIPT + "run 1000\n", "line 2: `run` would be done again after every checkpoint"),
        (SCRIPT + "  velocity all create 1 1\n", "line 2: `velocity`"),
    ],
)
def test_mistakes_in_scripts(folder, script, words):
    (folder / "in.run").write_text(script)
    with pytest.raises(QuorumError) as error:
        check_scripts(read_remd(str(folder / "run.toml")))
    assert words in str(error.value)


FORBIDDEN = {
    "fix mc all quorum/swap 1 9 ${chain_seed} ${temperature} sgc 0 0.3": "chemical potentials",
    "fix mc all quorum/swap 1 9 ${chain_seed} ${temperature} vcsgc 9 .5 .5": "the composition",
    "fix mc all sgcmc 1 0.1 ${temperature} 0.3": "the composition",
    "fix mc all atom/swap 1 1 1 ${temperature} semi-grand yes types 1 2": "the composition",
    "fix mc all quorum/swap 1 9 ${chain_seed} 600": "at 600 K in all states",
    "fix mc all quorum/swap 1 9 &\n  ${seed} ${temperature}": "line 2: ${seed} of fix quorum/swap",
    "fix b all langevin 9 9 0.1 &\n1 gjf vhalf": "leave out gjf",
    "if '1 == 1' then 'velocity all set 0 0 0'": "would be done again",
    "include in.more": "in.more: line 2: `minimize` would be done again",
    "group in region r": "by where atoms are then",
    "group cu type 1\nfix mc all quorum/swap 1 9 ${chain_seed} ${temperature}": "what swaps make",
}


@pytest.mark.parametrize("words", FORBIDDEN)
def test_what_would_be_wrong_in_silence(folder, words):
    (folder / "in.more").write_text("# more\nminimize 0 0 1 1\n")
    (folder / "in.run").write_text(SCRIPT.rstrip("\n") + f"\n{words}\n")
    with pytest.raises(QuorumError) as error:
        check_scripts(read_remd(str(folder / "run.toml")))
    assert FORBIDDEN[words] in str(error.value)


def test_a_temperature_in_a_comment_is_none(folder):
    (folder / "in.run").write_text("fix nvt all nvt temp 9 9 1 # ${temperature}\n")
    with pytest.raises(QuorumError, match="all states would run at one temperature"):
        check_scripts(read_remd(str(folder / "run.toml")))


def test_identity_of_a_script(folder):
    """What it reports, comments and line breaks may change; a file that it names may not."""

    def of(text):
        (folder / "in.run").write_text(text)
        return script_identity(read_remd(str(folder / "run.toml")))

    (folder / "a.eam").write_text("one")
    text = SCRIPT + "pair_coeff 1 1 a.eam\n"
    first = of(text)
    assert set(first) == {"in.run", "a.eam"}
    assert of(text.replace("1 1 a.eam", "1 1 &\n a.eam # Cu\nthermo 5")) == first
    assert of(text.replace("1 1 a.eam", "1 2 a.eam"))["in.run"] != first["in.run"]
    (folder / "a.eam").write_text("two")
    assert of(text)["a.eam"] != first["a.eam"]


def test_files_of_the_script(folder):
    more = "dump d all custom 9 ${replica}.d id\ndump_modify d sort id append yes\n"
    more += "fix a all ave/time 1 1 1 v_x append ${replica}.a\n"
    (folder / "in.run").write_text(SCRIPT + more)
    check_scripts(read_remd(str(folder / "run.toml")))


def test_a_gpu_for_every_rank(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    choose_gpu(6)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "6"
    choose_gpu(1)  # the launcher's choice stays
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "6"


def test_more_ranks_than_cores_are_slow(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with pytest.warns(QuorumWarning, match="8 ranks share 2 cores"):
        check_cores(0, 8)
    check_cores(1, 8)  # said once
    check_cores(0, 2)


def test_pressure_needs_a_barostat(folder):
    change(folder, "790]", "790]\npressure_GPa = 0.0")
    with pytest.raises(QuorumError, match="does not use \\${pressure}"):
        check_scripts(read_remd(str(folder / "run.toml")))


def test_no_such_file(capsys):
    assert main(["remd", "nothing.toml"]) == 2
    assert "nothing.toml: cannot be read (No such file" in capsys.readouterr().err


def test_time_limits():
    assert Checkpoints(time_limit="23:45:10").time_limit_s == 85510
    assert Checkpoints(time_limit="2-00:00:30").time_limit_s == 172830
    assert Checkpoints().time_limit_s == np.inf


def test_seeds_are_all_different():
    seeds = {seed_of(7, state, attempt) for state in range(30) for attempt in range(0, 3000, 100)}
    assert len(seeds) == 900 and 0 < min(seeds) and max(seeds) <= 900_000_000
    assert seed_of(7, 3, 100) != seed_of(8, 3, 100)


class Ranks:
    """As much of a communicator as a layout asks for."""

    def __init__(self, size, rank):
        self.size, self.rank = size, rank

    def Split(self, color, key):
        return Ranks(1, 0)


def test_states_are_shared_among_ranks():
    own = [Layout(Ranks(3, rank), 8, 1, "run.toml").own for rank in range(3)]
    assert own == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert Layout(Ranks(8, 5), 4, 2, "run.toml").own == [2]
    with pytest.raises(QuorumError, match="ranks_per_replica: 2 does not divide the 3 ranks"):
        Layout(Ranks(3, 0), 4, 2, "run.toml")
    with pytest.raises(QuorumError, match="8 ranks for 2 states of 1 ranks each"):
        Layout(Ranks(8, 0), 2, 1, "run.toml")
