"""run.toml of `quorum pin`: what is wrong is said, with table and key, before anything runs."""

import numpy as np
import pytest

from pin_tools import LJ, PLUMED, read, write_run
from quorum_md.errors import QuorumError
from quorum_md.order_parameters.pinned import named
from quorum_md.pinning.crystal import build_box
from quorum_md.pinning.plan import cost
from quorum_md.pinning.planned import Planned, bulk_jobs, pinned_jobs, stages
from quorum_md.pinning.ready import make_ready

WRONG = [
    ({"crystal": {"structur": "fcc"}}, r'\[crystal\]: structur: .*did you mean "structure"'),
    ({"crystal": {"structure": "fccc"}}, r'structure: "fccc" of "Ar" cannot be built'),
    ({"crystal": {"structure": None}}, r"\[crystal\]: structure: expected one of"),
    ({"crystal": {"lattice_A": None}}, r"lattice_A: got 0"),
    ({"crystal": {"lattice_A": 0.545}}, r"lattice_A: got atoms at 0.39 Å.*in Å"),
    ({"crystal": {"interface": "1o0"}}, r'interface: got "1o0", expected Miller'),
    ({"crystal": {"interface": "10-20"}}, r'interface: got "10-20"'),
    ({"crystal": {"formula": "Kr"}}, r"\[potential\]: elements: the crystal has Kr"),
    ({"crystal": {"composition": {"Ar": 0.5, "Kr": 0.2}}}, r"composition: got a sum of 0.7"),
    ({"state": {"temperatures_K": "search"}}, r'temperatures_K: got "search"'),
    ({"state": {"temperatures_K": "find"}}, r"guess_K: got 0"),
    ({"state": {"temperatures_K": [90.0, -1.0]}}, r"temperatures_K: got \[90.0, -1.0\]"),
    ({"state": {"temperatures_K": [90.0, 90.01]}}, r"expected different ones"),
    ({"state": {"pressure_bar": 1.0}}, r'did you mean "pressure_GPa"'),
    ({"potential": {"script": None}}, r'script: this key is missing; engine "lammps"'),
    ({"potential": {"engine": "lamps"}}, r'engine: got "lamps"; did you mean "lammps"'),
    ({"potential": {"engine": "i-pi"}}, r"model: this key is missing"),
    ({"potential": {"units": "lj"}}, r'units: got "lj"'),
    ({"potential": {"atom_style": "full"}}, r'atom_style: got "full"; expected one of atomic, cha'),
    ({"potential": {"script": "in.lk"}}, r"script: in.lk cannot be read"),
    ({"potential": {"elements": []}}, r"elements: got \[\]"),
    ({"run": {"production_steps": 0}}, r"production_steps: got 0"),
    ({"run": {"interval_steps": 50}}, r"interval_steps: got 50, expected at most a tenth"),
    (
        {"run": {"thermostat": "nose"}},
        r'thermostat: got "nose"; expected one of langevin, nose-hoover',
    ),
    ({"run": {"seeds": [1, 1]}}, r"seeds: got \[1, 1\]"),
    ({"pin": {"kappa_eV": -1.0}}, r"kappa_eV: got -1"),
    ({"pin": {"kappa": 1.0}}, r'kappa: .*did you mean "kappa_eV"'),
    ({"order_parameter": {"value": "cv.mean"}}, r"without plumed"),
    ({"order_parameter": {"backend": "plumed"}}, r'backend: got "plumed" without plumed'),
    ({"order_parameter": {"plumed": "no.dat", "backend": "kernel"}}, r'backend: got "kernel"'),
    ({"order_parameter": {"plumed": "no.dat"}}, r"no.dat: cannot be read"),
    ({"order_parameter": {"rhok": [3, 3, 0]}}, r"rhok 3 3 0: got .* tell the phases apart"),
    ({"liquid": {"fractions": [0.5]}}, r"fractions: got a melt of other composition of one"),
    (
        {"liquid": {"fractions": [0.3333, 0.3334]}},
        r"fractions: got \[0.3333, 0.3334\], expected diff",
    ),
    (
        {"liquid": {"fractions": [0.3, 0.4], "temperatures_K": [[90.0]]}},
        r"\[liquid\]: temperatures_K: got 1 lists, expected one for each of the 2 fractions",
    ),
    (
        {"liquid": {"fractions": [0.3], "temperatures_K": [[90.0, 90.01]]}},
        r"temperatures_K: got \[90.0, 90.01\], expected different ones",
    ),
    ({"liquid": {"fractions": [0.3], "temperatures_K": [90.0]}}, r"temperatures_K: got \[90.0\]"),
    ({"pin": {"control_kappas": [2.0, 2.0]}}, r"control_kappas: got \[2.0, 2.0\], expected differ"),
    ({"run": {"melt_K": -5.0}}, r"melt_K: got -5"),
    ({"state": {"tolerance_K": -1.0}}, r"tolerance_K: got -1"),
    ({"order_parameter": {"rhok": [8, 0, 2]}}, r"rhok: got a wave along z, \[8, 0, 2\]"),
    (
        {
            "crystal": {
                "structure": "zincblende",
                "formula": "GaAs",
                "composition": {"Ga": 0.6, "As": 0.4},
            },
            "potential": {"elements": ["Ga", "As"]},
        },
        r"composition: got it for a cell of Ga As, whose sublattices it would mix",
    ),
    ({"output": {"time_limit": "1 h"}}, r'time_limit: got "1 h"'),
    ({"box": {"repeats": [3, 3]}}, r"repeats: got \[3, 3\]"),
]


@pytest.mark.parametrize(("tables", "said"), WRONG, ids=lambda one: str(one)[:40])
def test_wrong_inputs(tables, said, tmp_path):
    with pytest.raises(QuorumError, match=said) as error:
        make_ready(read(tmp_path, **tables))
    assert "\n" not in str(error.value) and not (tmp_path / "pin").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LJ + "fix 1 all nve\n", "line 7: `fix` is done by quorum pin"),
        ("units lj\n" + LJ, "line 1: `units` is done by quorum pin"),
        (LJ + 'if "1 > 0" then "fix 1 all nve"\n', "line 7: `fix` is done by quorum pin"),
        (LJ + "include more.inc\n", "more.inc, line 2: `run` is done by quorum pin"),
        (LJ + 'if "1 > 0" then "newton off"\n', "line 7: `newton` must come before the box"),
        (LJ.replace("pair_style", "# pair_style"), "has no `pair_style`"),
        (LJ.replace("timestep", "# timestep"), "has no `timestep`"),
    ],
)
def test_wrong_scripts(text, said, tmp_path):
    file = read(tmp_path)
    (tmp_path / "in.lj").write_text(text)
    (tmp_path / "more.inc").write_text("# nothing\nrun 0\n")
    with pytest.raises(QuorumError, match=said):
        make_ready(file)


def test_a_wrong_unit_of_length_is_refused(tmp_path):
    """Of a PLUMED input without UNITS: nm, of which Å are ten times too many."""
    write_run(tmp_path)
    good = PLUMED.replace("1-500", "1-384")
    (tmp_path / "plumed.dat").write_text(good)
    order = {"plumed": "plumed.dat", "value": "cv.mean"}
    ready = make_ready(read(tmp_path, order_parameter=order))
    assert ready.values[0] > 0.5 and ready.values[1] < 0.3
    for text in (
        good.replace("D_0=4.0860 D_MAX=5.1075", "D_0=0.4086 D_MAX=0.51075"),  # of nm, read as Å
        good.replace("LENGTH=A", "LENGTH=um"),  # no atom is within a tenth of a cut-off
    ):
        (tmp_path / "plumed.dat").write_text(text)
        with pytest.raises(QuorumError, match="LENGTH|half the distance of an atom"):
            make_ready(read(tmp_path, order_parameter=order))


def test_all_atoms_of_an_element_or_none(tmp_path):
    """A list of another box's atoms; one element of two is a choice."""
    write_run(tmp_path, box={"repeats": [3, 3, 4]})
    path, order = tmp_path / "plumed.dat", {"plumed": "plumed.dat", "value": "cv.mean"}
    path.write_text(PLUMED.replace("1-500", "1-100"))
    with pytest.raises(QuorumError, match=r"counts 100 of 144 Ar, .* write SPECIES=1-144, or"):
        make_ready(read(tmp_path, order_parameter=order, box={"repeats": [3, 3, 4]}))
    salt = {"structure": "rocksalt", "formula": "ArKr", "lattice_A": 7.7}
    file = read(
        tmp_path, crystal=salt, order_parameter=order, box={"repeats": [2, 2, 3]},
        potential={"elements": ["Ar", "Kr"]},
    )  # fmt: skip
    symbols = build_box(file).atoms.symbols
    argon = ",".join(str(k + 1) for k, one in enumerate(symbols) if one == "Ar")
    path.write_text(PLUMED.replace("1-500", argon).replace("4.0860", "6").replace("5.1075", "7"))
    make_ready(file)


def test_values_of_plumed_inputs(tmp_path):
    path = tmp_path / "plumed.dat"
    path.write_text(PLUMED)
    assert named(path).value == "cv.mean"  # the only one
    with pytest.raises(QuorumError, match=r'got "cv.meen"; did you mean "cv.mean"'):
        named(path, "cv.meen")
    path.write_text(PLUMED + "PRINT ARG=cv.mean FILE=COLVAR\n")
    assert "COLVAR" not in named(path).biased(0.5, 0.25)  # all jobs would write it
    path.write_text(PLUMED + "res: RESTRAINT ARG=cv.mean AT=0.5 KAPPA=1\n")
    with pytest.raises(QuorumError, match=r"has a bias \(res.bias\)"):
        named(path, "cv.mean")
    path.write_text(PLUMED.replace("ENERGY=eV", "ENERGY=kj/mol"))
    text = named(path).biased(0.5, 0.25)
    kappa = float(text.split("KAPPA=")[1].split()[0])
    assert kappa == pytest.approx(0.5 * 96.485, rel=1e-4) and "AT=0.25" in text


def test_gradient_of_a_plumed_value(tmp_path):
    """By the bias of the native backend, against finite differences."""
    path = tmp_path / "plumed.dat"
    path.write_text(PLUMED.replace("1-500", "1-384"))
    variable = named(path)
    atoms = build_box(read(tmp_path)).atoms
    atoms.rattle(0.3, seed=1)
    _, gradient = variable.evaluate(atoms)
    direction = np.random.default_rng(2).normal(size=(len(atoms), 3))
    found = []
    for step in (1e-4, -1e-4):
        moved = atoms.copy()
        moved.positions += step * direction
        found.append(variable.evaluate(moved)[0])
    assert (found[0] - found[1]) / 2e-4 == pytest.approx((gradient * direction).sum(), rel=1e-5)


def test_without_the_plugin(tmp_path, monkeypatch):
    """Before the first step, also of the measurement for --plan."""
    write_run(tmp_path)
    (tmp_path / "plumed.dat").write_text(PLUMED.replace("1-500", "1-384"))
    order = {"plumed": "plumed.dat", "value": "cv.mean"}
    ready = make_ready(read(tmp_path, order_parameter=order))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(QuorumError, match="is not built; run `quorum lammps build`"):
        cost(ready, None)


def test_jobs_and_stages(tmp_path):
    """What a run consists of, and that all stages are whole intervals."""
    file = read(
        tmp_path,
        state={"temperatures_K": [90.0, 100.5]},
        run={"seeds": [1, 7], "production_steps": 333},
        pin={"control_kappas": [2.0]},
    )
    names = [job.name for job in bulk_jobs(file, (90.0, 100.5))]
    assert sorted(names) == ["liquid-0090.0K", "liquid-0100.5K", "solid-0090.0K", "solid-0100.5K"]
    pinned = pinned_jobs(file, (90.0,))
    assert [job.name for job in pinned] == [
        "pinned-0090.0K-0", "pinned-0090.0K-1", "pinned-0090.0K-0-kappa2x",
    ]  # fmt: skip
    assert [job.name for job in pinned[0].needs] == ["solid-0090.0K", "liquid-0090.0K"]
    ready = make_ready(file)
    for job in (Planned("solid", 90.0), Planned("liquid", 90.0), pinned[0]):
        plan = stages(file, job, ready.box, ready.values, 0.1, 5.0)
        assert all(one.steps % 10 == 0 and one.steps > 0 for one in plan)
        assert [one.recorded for one in plan] == [False] * (len(plan) - 1) + [True]
        assert plan[-1].temperature_K == 90.0
    assert plan[-1].box == plan[-2].box == "z" and plan[-1].kappa_eV == 0.1
    assert plan[1].n_held == ready.box.n_held and plan[-1].n_held == 0


def test_find_begins_around_the_guess(tmp_path):
    file = read(tmp_path, state={"temperatures_K": "find", "guess_K": 100.0, "spread": 0.02})
    assert file.settings.state.first_K == (98.0, 102.0)
