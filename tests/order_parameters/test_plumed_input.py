"""The input language: what is read, and the sentences for what is not."""

import numpy as np
import pytest

from order_tools import evaluate, program, structure
from quorum_md.errors import QuorumError
from quorum_md.order_parameters.keywords import NeedsKernel
from quorum_md.order_parameters.reader import build_program, read_program
from quorum_md.order_parameters.words import parse_statements

CV = "cv: FCCUBIC SPECIES=1-108 SWITCH={CUBIC D_0=1.2 D_MAX=1.5} ALPHA=27 MEAN"


def statements(text):
    return [(s.label, s.action, s.words) for s in parse_statements(text, "plumed.dat")]


def read(text):
    return build_program(parse_statements(text, "plumed.dat"), "plumed.dat")


def value(text, name="cv.mean"):
    return evaluate(program("UNITS NATURAL\n" + text), structure("lj_liquid")).values[name]


def test_words():
    assert statements("a: RESTRAINT ARG=b AT=1 # KAPPA=3\n\n# b\nprint ARG=a.bias") == [
        ("a", "RESTRAINT", ("ARG=b", "AT=1")),
        ("", "PRINT", ("ARG=a.bias",)),
    ]
    assert statements("FCCUBIC LABEL=cv SWITCH={CUBIC D_0=1 D_MAX={2}}") == [
        ("cv", "FCCUBIC", ("SWITCH=CUBIC D_0=1 D_MAX={2}",))
    ]


def test_continuation_lines():
    text = """cv: FCCUBIC ...
      SPECIES=1-108  # all
      SWITCH={CUBIC
        D_0=1.2 D_MAX=1.5}

      MEAN
    ... END
    PRINT ARG=cv.mean"""
    expected = ("cv", "FCCUBIC", ("SPECIES=1-108", "SWITCH=CUBIC D_0=1.2 D_MAX=1.5", "MEAN"))
    for end in ("", "cv:"):
        assert statements(text.replace("END", end))[0] == expected
    found = statements("RESTRAINT ...\nARG=a AT=1\n... RESTRAINT\nFLUSH STRIDE=1")
    assert found[0] == ("", "RESTRAINT", ("ARG=a", "AT=1")) and len(found) == 2
    with pytest.raises(QuorumError, match=r"line 7: \[cv:\] \.\.\.: got 'x', expected nothing"):
        statements(text.replace("END", "x"))
    with pytest.raises(QuorumError, match="line 1: .* got the end of the file, expected a line"):
        statements("cv: FCCUBIC ...\nMEAN")
    with pytest.raises(QuorumError, match="line 1: .* braces: got an opening brace without"):
        statements("cv: FCCUBIC SWITCH={CUBIC\nD_0=1}")
    with pytest.raises(QuorumError, match="line 1: .* got a closing brace"):
        statements("cv: FCCUBIC SWITCH=CUBIC}")


@pytest.mark.parametrize(
    "same",
    [
        "cv: fccubic species=1-108 Switch={CUBIC D_0=1.2 D_MAX=1.5} alpha=27 Mean",
        "FCCUBIC LABEL=cv SPECIES={1-50 51-108} SWITCH={CUBIC D_0=1.2 D_MAX=1.5} ALPHA=27 MEAN",
        "cv: FCCUBIC SPECIES=@mdatoms LOWMEM SWITCH={CUBIC D_0=1.2 D_MAX=1.5} ALPHA=27 MEAN",
        "cv: FCCUBIC SPECIES=1-108:2,2-108:2 SWITCH={CUBIC D_0=1.2 D_MAX=1.5} ALPHA=27 MEAN",
        "q: Q6 SPECIES=1-108 R_0=0.2\n"
        "cv: FCCUBIC SPECIES=q SWITCH={CUBIC D_0=1.2 D_MAX=1.5} ALPHA=27 MEAN",
        "q: Q6 SPECIES=1-108 R_0=0.2\nl: LOCAL_Q6 SPECIES=q SWITCH={CUBIC D_0=1 D_MAX=2}\n"
        "cv: FCCUBIC SPECIES=l SWITCH={CUBIC D_0=1.2 D_MAX=1.5} ALPHA=27 MEAN",
        "cv: FCCUBIC SPECIESA=1-108 SPECIESB=1-108 SWITCH={CUBIC D_0=1.2 D_MAX=1.5} ALPHA=27 MEAN",
    ],
)
def test_ways_to_say_the_same(same):
    assert value(same) == pytest.approx(value(CV), rel=1e-12)


def test_names_of_components():
    text = CV + " SUM MORE_THAN1={SMAP R_0=0.4 A=8 B=8} MORE_THAN2={SMAP R_0=0.5 A=8 B=8}"
    text += " LESS_THAN={RATIONAL R_0=0.4}\nc: COMBINE ARG=cv_mean,cv.sum PERIODIC=NO\n"
    text += (
        "RESTRAINT ARG=c AT=0\nPRINT ARG=cv.*,c,* FILE=COLVAR FMT=%g STRIDE=10\nFLUSH STRIDE=1\n"
    )
    made = read("UNITS NATURAL\n" + text + "ENDPLUMED\nnonsense")
    assert made.names == (
        "cv.lessthan", "cv.morethan-1", "cv.morethan-2", "cv.sum", "cv.mean", "c",
        "@2.bias", "@2.force2",
    )  # fmt: skip


def test_combine_restraint_and_walls_in_numbers():
    text = f"""{CV} SUM
c: COMBINE ARG=cv.mean,cv.sum COEFFICIENTS=1,3 PARAMETERS=0.5,0 POWERS=2,1 NORMALIZE PERIODIC=NO
r: RESTRAINT ARG=cv.mean,c AT=1,2 KAPPA=3,4 SLOPE=5,6
u: UPPER_WALLS ARG=cv.mean,c AT=-1,100 KAPPA=2,3 EXP=3,2 OFFSET=0.5,0 EPS=2,1
l: LOWER_WALLS ARG=cv.mean AT=2 KAPPA=2 OFFSET=0.5 EPS=0.5"""
    found = evaluate(program("UNITS NATURAL\n" + text), structure("lj_liquid"))
    m, s = found.values["cv.mean"], found.values["cv.sum"]
    assert s == pytest.approx(108 * m)
    c = ((m - 0.5) ** 2 + 3 * s) / 4
    assert found.values["c"] == pytest.approx(c)
    restraint = 1.5 * (m - 1) ** 2 + 5 * (m - 1) + 2 * (c - 2) ** 2 + 6 * (c - 2)
    assert found.values["r.bias"] == pytest.approx(restraint)
    forces = np.array([3 * (m - 1) + 5, 4 * (c - 2) + 6])
    assert found.values["r.force2"] == pytest.approx((forces**2).sum())
    upper = 2 * ((m + 1 + 0.5) / 2) ** 3
    assert found.values["u.bias"] == pytest.approx(upper)
    assert found.values["u.force2"] == pytest.approx((3 * upper / (m + 1.5)) ** 2)
    lower = 2 * ((2 - m + 0.5) / 0.5) ** 2
    assert found.values["l.bias"] == pytest.approx(lower)
    assert found.bias == pytest.approx(restraint + upper + lower)


def test_units():
    made = read("UNITS LENGTH=A ENERGY=eV TIME=fs").units
    assert (made.length_A, made.energy_eV, made.natural) == (1.0, 1.0, False)
    made = read(CV).units
    assert made.length_A == 10.0 and made.energy_eV == pytest.approx(1 / 96.485, rel=1e-5)
    made = read("UNITS LENGTH=0.2 ENERGY=Ha").units
    assert made.length_A == pytest.approx(2.0) and made.energy_eV == pytest.approx(
        27.2114, rel=1e-5
    )
    assert read("UNITS NATURAL").units.natural


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "d: DISTANCE ATOMS=1,2",
            "line 2: action DISTANCE needs the PLUMED kernel; set PLUMED_KERN",
        ),
        ("METAD ARG=cv.mean", "action METAD needs the PLUMED kernel; set PLUMED_KERNEL"),
        ("q: Q6 SPECIES=1-8 R_0=1 HISTOGRAM={GAUSSIAN}", r"\[Q6\] HISTOGRAM: got .* kernel; set"),
        ("q: Q6 SPECIES=1-8 SWITCH={CUSTOM FUNC=x R_0=1}", "SWITCH={CUSTOM …} needs the PLUMED"),
        (
            "RESTRAINT ARG=cv AT=1",
            r"\[RESTRAINT\] ARG=cv needs the PLUMED kernel \(the values of all",
        ),
        ("l: LOCAL_AVERAGE SPECIES=cv R_0=1", "LOCAL_AVERAGE of FCCUBIC needs the PLUMED kernel"),
        ("UPPER_WALLS ARG=cv.mean AT=1 KAPPA=1 STRIDE=2", "STRIDE other than 1 needs the PLUMED"),
    ],
)
def test_needs_the_kernel(text, sentence):
    with pytest.raises(NeedsKernel, match=sentence):
        read(CV + "\n" + text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("q: Q6 SPECIES=1-8", r"plumed.dat, line 2: \[Q6\] R_0: got nothing, expected 1 number"),
        (
            "q: Q6 SPECIES=1-8 R_0=1 SWITCH={CUBIC D_0=1 D_MAX=2}",
            r"R_0: got it beside SWITCH, expected one of them",
        ),
        ("q: Q6 SPECIES=1-8 R_0=x", r"\[Q6\] R_0: got 'x', expected a number"),
        (
            "q: Q6 SPECIES=1-8 SWITCH={CUBIC D_0=2 D_MAX=1}",
            r"\[Q6 SWITCH\] D_MAX: got 1, expected a",
        ),
        (
            "q: Q6 SPECIES=1-8 SWITCH={CUBIK D_0=2}",
            r"\[Q6\] SWITCH: got 'CUBIK', expected one of CUB",
        ),
        (
            "q: Q6 SPECIES=1-8 SWITCH={CUBIC D_0=0 D_MX=1 D_MAX=2}",
            r"\[Q6 SWITCH\] D_MX: got 'D_MX=1'",
        ),
        ("q: Q6 R_0=1", r"\[Q6\] SPECIES: got nothing, expected SPECIES, or SPECIESA and SPECIESB"),
        ("q: Q6 SPECIES=0-3 R_0=1", r"\[Q6\] SPECIES: got 0, expected atoms counted from 1"),
        ("q: Q6 SPECIES=1-3,2 R_0=1", r"\[Q6\] SPECIES: got an atom more than once"),
        ("q: Q6 SPECIES=bla R_0=1", r"\[Q6\] SPECIES: got 'bla', expected atoms such as 1-108"),
        ("cv: Q6 SPECIES=1-8 R_0=1", r"\[Q6\] LABEL: got 'cv', expected a label that no other"),
        (
            "l: LOCAL_Q6 SPECIES=cv SWITCH={CUBIC D_0=1 D_MAX=2}",
            "got 'cv', expected the label of a Q6",
        ),
        (
            "r: RESTRAINT ARG=cv.sum AT=1",
            r"\[RESTRAINT\] ARG: got 'cv.sum', expected one of .*cv.mean",
        ),
        (
            "r: RESTRAINT ARG=cv.mean AT=1,2",
            r"\[RESTRAINT\] AT: got 2 numbers, expected 1, one for",
        ),
        ("r: RESTRAINT ARG=cv.mean KAPPA=2", r"\[RESTRAINT\] AT: got nothing"),
        (
            "r: RESTRAINT ARG=cv.mean AT=nan",
            r"\[RESTRAINT\] AT: got 'nan', expected a finite number",
        ),
        ("c: COMBINE ARG=cv.mean", r"\[COMBINE\] PERIODIC: got nothing, expected PERIODIC=NO"),
        ("UNITS LENGTH=A", r"\[UNITS\] UNITS: got it after other actions, expected it first"),
        (
            "e: ENVIRONMENTSIMILARITY SPECIES=1-8 CRYSTAL_STRUCTURE=FCCC LATTICE_CONSTANTS=1",
            r"CRYSTAL_STRUCTURE: got 'FCCC', expected one of SC, BCC",
        ),
        (
            "e: ENVIRONMENTSIMILARITY SPECIES=1-8 CRYSTAL_STRUCTURE=HCP LATTICE_CONSTANTS=1",
            "LATTICE_CONSTANTS: got 1 numbers, expected 2",
        ),
        (
            "e: ENVIRONMENTSIMILARITY SPECIES=1-8 CRYSTAL_STRUCTURE=CUSTOM REFERENCE=nowhere.pdb",
            "nowhere.pdb: cannot be read",
        ),
        ("PRINT ARG=res.bias", r"\[PRINT\] ARG: got 'res.bias', expected one of the values above"),
    ],
)
def test_errors(text, sentence):
    with pytest.raises(QuorumError, match=sentence) as caught:
        read(CV + "\n" + text)
    assert not isinstance(caught.value, NeedsKernel) or "D_MX" in sentence


def test_units_that_are_not(tmp_path):
    with pytest.raises(QuorumError, match=r"\[UNITS\] LENGTH: got 'Angstrom', expected nm, A, um"):
        read("UNITS LENGTH=Angstrom")
    with pytest.raises(QuorumError, match="nothing.dat: cannot be read"):
        read_program(tmp_path / "nothing.dat")
