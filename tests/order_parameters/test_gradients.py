"""Forces and virials are derivatives: finite differences of every action."""

import pytest
from order_tools import assert_gradients, cluster, program, shaken, skewed, structure

from quorum_md.order_parameters.compiled import pair_functions
from quorum_md.order_parameters.pair_functions import NumpyFunctions

CUBIC = "SWITCH={CUBIC D_0=1.1 D_MAX=1.6}"
ZINCBLENDE = (
    "CRYSTAL_STRUCTURE=CUSTOM REFERENCE_1=env_ga.pdb REFERENCE_2=env_as.pdb "
    "ATOM_NAMES_FILE=gaas_names.pdb SIGMA=0.4"
)
LJ = {
    "fccubic": f"cv: FCCUBIC SPECIES=1-108 {CUBIC} ALPHA=27 MEAN",
    "more than": f"cv: FCCUBIC SPECIES=1-108 {CUBIC} MORE_THAN={{SMAP R_0=0.45 A=8 B=8}}",
    "less than": f"cv: Q4 SPECIES=1-108 {CUBIC} LESS_THAN={{RATIONAL R_0=0.3 D_MAX=0.9}} SUM",
    "two sets": f"cv: FCCUBIC SPECIESA=1-40 SPECIESB=31-108 {CUBIC} SUM",
    "q4": f"cv: Q4 SPECIES=1-108 {CUBIC} MEAN",
    "q6": f"cv: Q6 SPECIESA=1-40 SPECIESB=31-108 {CUBIC} MEAN",
    "vmean": f"cv: Q6 SPECIES=1-108 {CUBIC} VMEAN",
    "vsum": f"cv: Q6 SPECIES=1-60 {CUBIC} VSUM",
    "local q6": f"q: Q6 SPECIES=1-108 {CUBIC}\ncv: LOCAL_Q6 SPECIES=q {CUBIC} MEAN",
    "local q4": f"q: Q4 SPECIES=1-80 {CUBIC} MEAN\ncv: LOCAL_Q4 SPECIES=q "
    "SWITCH={RATIONAL R_0=1.0 D_0=0.3 NN=8 MM=18 D_MAX=1.9} SUM",
    "average": f"q: Q6 SPECIESA=1-60 SPECIESB=1-108 {CUBIC} SUM\ncv: LOCAL_AVERAGE SPECIES=q "
    "SWITCH={COSINUS D_0=1.0 R_0=0.7 D_MAX=1.7} MEAN",
    "average of values": "e: ENVIRONMENTSIMILARITY SPECIES=1-108 LATTICE_CONSTANTS=1.6 SIGMA=0.2\n"
    f"cv: LOCAL_AVERAGE SPECIES=e {CUBIC} SUM",
    "rational": "cv: Q6 SPECIES=1-108 R_0=0.8 D_0=0.2 NN=12 MM=24 MEAN",
    "tanh": "cv: FCCUBIC SPECIES=1-108 SWITCH={TANH R_0=0.4 D_0=1.1 D_MAX=2.0} MEAN",
    "exp": "cv: FCCUBIC SPECIES=1-108 SWITCH={EXP R_0=0.2 D_0=1.1 D_MAX=2.0 NOSTRETCH} MEAN",
    "gaussian": "cv: FCCUBIC SPECIES=1-108 SWITCH={GAUSSIAN R_0=0.3 D_0=0.9 D_MAX=2.0} MEAN",
    "hcp": "cv: ENVIRONMENTSIMILARITY SPECIES=1-108 CRYSTAL_STRUCTURE=HCP "
    "LATTICE_CONSTANTS=1.13,1.85 SIGMA=0.15 LAMBDA=20 MEAN",
    "one sided": "cv: ENVIRONMENTSIMILARITY SPECIESA=1-50 SPECIESB=40-108 "
    "CRYSTAL_STRUCTURE=BCC LATTICE_CONSTANTS=1.2 SIGMA=0.15 MEAN",
}


@pytest.fixture(params=["numpy", "compiled"])
def functions(request):
    return NumpyFunctions() if request.param == "numpy" else pair_functions()


def restrained(text):
    name = text.splitlines()[-1]
    for key in ("SUM", "VMEAN", "VSUM", "MEAN", "MORE_THAN", "LESS_THAN"):
        if f" {key}" in name:
            component = key.lower().replace("_", "")
    return f"UNITS NATURAL\n{text}\nres: RESTRAINT ARG=cv.{component} AT=0.3 KAPPA=50 SLOPE=2"


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
