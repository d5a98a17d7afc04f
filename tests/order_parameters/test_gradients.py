"""Forces and virials are derivatives: finite differences of every action."""

import pytest

from order_tools import (
    CUBIC,
    LJ,
    ZINCBLENDE,
    assert_gradients,
    cluster,
    program,
    restrained,
    shaken,
    skewed,
    structure,
)
from quorum_md.order_parameters.compiled import pair_functions
from quorum_md.order_parameters.pair_functions import NumpyFunctions


@pytest.fixture(params=["numpy", "compiled"])
def functions(request):
    return NumpyFunctions() if request.param == "numpy" else pair_functions()


@pytest.mark.parametrize("case", LJ)
def test_lennard_jones(case, functions):
    made = program(restrained(LJ[case]), functions)
    assert_gradients(made, skewed(shaken(structure("lj_solid"), 0.03)))


def test_named_environments(functions):
    text = f"UNITS LENGTH=A\ncv: ENVIRONMENTSIMILARITY SPECIES=1-64 {ZINCBLENDE} MEAN\n"
    made = program(text + "res: RESTRAINT ARG=cv.mean AT=0.5 KAPPA=100", functions)
    assert_gradients(made, shaken(structure("gaas"), 0.1))


def test_functions_and_walls():
    text = f"""UNITS NATURAL
a: FCCUBIC SPECIES=1-108 {CUBIC} MEAN
b: Q6 SPECIES=1-108 {CUBIC} MEAN
c: COMBINE ARG=a.mean,b.mean COEFFICIENTS=2,-0.5 PARAMETERS=0.1,0 POWERS=2,3 PERIODIC=NO
up: UPPER_WALLS ARG=c,a.mean AT=0.1,0.2 KAPPA=10,20 EXP=2,3 OFFSET=0.05,0 EPS=1,0.5
low: LOWER_WALLS ARG=b.mean,c AT=0.9,5 KAPPA=30,1 EXP=2,4 EPS=0.7,2 OFFSET=0.1,0
res: RESTRAINT ARG=c,b.mean AT=0,0.1 KAPPA=3,4 SLOPE=1,0"""
    made = program(text)
    assert_gradients(made, skewed(shaken(structure("lj_solid"), 0.03)))


def test_without_periodicity():
    text = "UNITS NATURAL\ncv: Q6 SPECIES=1-30 SWITCH={RATIONAL R_0=1.0} MEAN"
    positions = structure("lj_solid").positions[:30]
    assert_gradients(
        program(text + "\nres: RESTRAINT ARG=cv.mean AT=0 KAPPA=9"), cluster(positions)
    )
