"""What `quorum i-pi` refuses before i-PI opens a file, and that it lets everything else pass."""

import shutil

import numpy as np
import pytest
from ase.io import write

from ipi_tools import INPUTS, PES, argon, direct, run, simulation, system
from quorum_md.cli import main
from quorum_md.engines.ipi_check import check_input
from quorum_md.errors import QuorumError


@pytest.fixture
def folder(tmp_path, lj_file, monkeypatch):
    shutil.copy(lj_file, tmp_path / "model.pt")
    atoms = argon(2)
    write(tmp_path / "start.xyz", atoms)
    write(tmp_path / "short.xyz", atoms[:31])
    atoms.symbols[3] = "Kr"
    write(tmp_path / "krypton.xyz", atoms)
    atoms = argon(2)
    atoms.positions[4, 1] = np.nan
    write(tmp_path / "broken.xyz", atoms)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_good_input(folder, capfd):
    text = simulation(force_field=direct(2), systems=system(beads=4))
    (folder / "input.xml").write_text(text)
    before = set(folder.iterdir())
    checked = check_input("input.xml")
    assert (checked.n_systems, checked.n_beads) == (1, 4)
    assert checked.force_fields[0].model.n_atoms == 32
    assert capfd.readouterr().out == "", "i-PI's remarks are kept for the run"
    assert set(folder.iterdir()) == before
    assert main(["i-pi", "input.xml", "--check"]) == 0
    assert "force field ff: model.pt, 5 members, 32 atoms" in capfd.readouterr().out


# swaps need two elements, a bias its file: test_ipi_swaps.py, test_ipi_exchange.py, test_ipi_bias
OTHERS = {INPUTS / "swaps.xml", INPUTS / "remd.xml", INPUTS / "pin.xml"}


@pytest.mark.parametrize("path", sorted(set(INPUTS.glob("*.xml")) - OTHERS), ids=lambda p: p.name)
def test_inputs_to_copy(folder, path):
    text = path.read_text().replace("model: nbmotaw", "model: model.pt")
    (folder / "input.xml").write_text(text)
    checked = check_input("input.xml")
    sizes = {"path_integrals.xml": (1, 8), "temperatures.xml": (4, 4)}
    assert (checked.n_systems, checked.n_beads) == sizes.get(path.name, (1, 1))


def test_inputs_as_they_are(monkeypatch):
    """The files of inputs/ipi fit each other and the shipped model."""
    monkeypatch.chdir(INPUTS)
    for path in INPUTS.glob("*.xml"):
        for ff in check_input(path.name).force_fields:
            assert ff.model.n_atoms == 54 and ff.model.potential.n_members == 32, path.name


REFUSED = [
    ("model.pt", "missing.pt", r"\[ffdirect\] ff: missing.pt: no such model file"),
    ("model: model.pt", "model: input.xml", r"input.xml: not a metatomic model"),
    ("template: start", "template: missing", r"missing.xyz: no such template"),
    ("template: start", "template: short", r"32 atoms, but the template short.xyz .* has 31"),
    ("template: start", "template: krypton", r"species Kr not in model.pt, which knows Ar"),
    ("> start", "> krypton", r"number 1: atom 3 is Kr, but Ar in the template start.xyz"),
    ("> start", "> broken", r"atom 4 \(Ar\) has a position that is not a finite number"),
    ("> start", "> missing", r"i-PI cannot use this input: .*missing.xyz"),
    ("<temperature units='kelvin'> 300.0", "<temperature> 0", r"temperature is not positive"),
    ("<temperature units='kelvin'> 300.0", "<temperature> -1", r"temperature is not positive"),
    ("<temperature units='kelvin'> 300.0 </temperature>", "", r"temperature is missing"),
    ("<batch_size> 1", "<batch_size> 2", r"batch_size 2 does not divide the 1 structures"),
    ("{model", "{modle: 3, model", r"\[parameters\] modle: no such parameter"),
    ("timestep", "timestepp", r"cannot use this input: Tag name 'timestepp'"),
    ("</simulation>", "", r"cannot use this input: line \d+, no element found"),
    ("dynamics mode='nvt'", "dynamics mode='nvtt'", r"cannot use this input: .*nvtt"),
]


@pytest.mark.parametrize(("old", "new", "words"), REFUSED, ids=[r[1] or r[0] for r in REFUSED])
def test_refused(folder, capfd, old, new, words):
    text = simulation(force_field=direct(), systems=system())
    assert old in text
    (folder / "input.xml").write_text(text.replace(old, new))
    before = set(folder.iterdir())
    with pytest.raises(QuorumError, match=words) as error:
        check_input("input.xml")
    sentence = str(error.value)
    assert sentence.startswith("input.xml: ") and "\n" not in sentence
    assert set(folder.iterdir()) == before


def test_committee_of_direct_force_fields(folder):
    text = simulation(
        force_field=f"<ffcommittee name='ff'> {direct().replace('ff', 'a', 1)} </ffcommittee>",
        systems=system(),
    ).replace("<adirect name='ff' ", "<ffdirect name='a' ")
    (folder / "input.xml").write_text(text)
    with pytest.raises(QuorumError, match="crashes at its first checkpoint .* plain <ffdirect>"):
        check_input("input.xml")


def test_batch_that_systems_fill_only_together(folder):
    """Four systems fill a batch of four in threads; one after the other they would wait."""
    systems = "".join(system(prefix=f"S{i}") for i in range(4))
    for attribute, good in [("threading='true'", True), ("threading='false'", False)]:
        text = simulation(force_field=direct(4), systems=systems, attributes=attribute)
        (folder / "input.xml").write_text(text)
        if good:
            assert check_input("input.xml").n_beads == 4
        else:
            with pytest.raises(QuorumError, match="batch_size 4 does not divide the 1 structures"):
                check_input("input.xml")
    text = text.replace("name='ff'", "name='ff' threaded='true'")
    (folder / "input.xml").write_text(text)
    check_input("input.xml")


def test_labels_of_the_user(folder):
    """A label that is no element says nothing about the species."""
    text = (folder / "start.xyz").read_text().replace("Ar ", "Q1 ", 1)
    (folder / "labels.xyz").write_text(text)
    names = ", ".join(["Q1"] + ["Ar"] * 31)
    systems = system().replace(
        "</initialize>", f"<labels mode='manual'> [ {names} ] </labels> </initialize>"
    )
    (folder / "input.xml").write_text(simulation(force_field=direct(), systems=systems))
    check_input("input.xml")


def test_command_line(folder, capsys):
    assert main(["i-pi", "--pes-path"]) == 0
    assert capsys.readouterr().out == f"{PES}\n"
    assert main(["i-pi"]) == 2
    assert "error: no input; give the path" in capsys.readouterr().err
    assert main(["i-pi", "missing.xml"]) == 2
    assert "error: missing.xml: no such i-PI input" in capsys.readouterr().err
    for inet in ("localhost", ":5", "a:b", "h:0", "h:70000"):
        words = ["client", "--inet", inet, "--model", "m", "--template", "t"]
        assert main(words) == 2
        assert "expected HOST:PORT" in capsys.readouterr().err


def test_help_is_quick_and_light(folder):
    """No torch and no i-PI for the help, nor for the path of the driver."""
    for words in (["i-pi", "--help"], ["client", "--help"], ["i-pi", "--pes-path"]):
        script = (
            "import sys; from quorum_md.cli import main\n"
            f"try: main({words})\nexcept SystemExit: pass\n"
            "sys.exit(any(m in sys.modules for m in ('torch', 'ipi', 'ase')))"
        )
        code, out, err = run(folder, "python", "-c", script)
        assert code == 0 and out, err
