"""The same language as in Python: what is wrong with an input is said in the same words."""

import json
import subprocess
import sys

import pytest

from lammps_tools import BIN, environment, run_lammps, write_data
from order_tools import REFERENCE, structure
from quorum_md.errors import QuorumError
from quorum_md.order_parameters.reader import read_program
from quorum_md.order_parameters.variables import open_variables

CV = "cv: FCCUBIC SPECIES=1-64 SWITCH={CUBIC D_0=2.8 D_MAX=3.4} ALPHA=27 MEAN\n"
ENV = "e: ENVIRONMENTSIMILARITY SPECIES=1-8 "
# (input, errors only when atoms are there)
INPUTS = [
    "d: DISTANCE ATOMS=1,2",
    "METAD ARG=cv.mean",
    "q: Q6 SPECIES=1-8 R_0=1 HISTOGRAM={GAUSSIAN}",
    "q: Q6 SPECIES=1-8 SWITCH={CUSTOM FUNC=x R_0=1}",
    "RESTRAINT ARG=cv AT=1",
    "RESTRAINT ARG=cv.mean AT=@replicas:1,2",
    "l: LOCAL_AVERAGE SPECIES=cv R_0=1",
    "l: LOCAL_Q6 SPECIES=cv,cv SWITCH={CUBIC D_0=1 D_MAX=2}",
    "l: LOCAL_Q6 SPECIESA=cv SPECIESB=cv SWITCH={CUBIC D_0=1 D_MAX=2}",
    "UPPER_WALLS ARG=cv.mean AT=1 KAPPA=1 STRIDE=2",
    "UPPER_WALLS ARG=cv.mean AT=1 KAPPA=1 EPS=0",
    "q: Q6 SPECIES=1-8",
    "q: Q6 SPECIES=1-8 R_0=1 SWITCH={CUBIC D_0=1 D_MAX=2}",
    "q: Q6 SPECIES=1-8 R_0=x",
    "q: Q6 SPECIES=1-8 R_0=",
    "q: Q6 SPECIES=1-8 R_0=1 NN=6.5",
    "q: Q6 SPECIES=1-8 R_0=1 NN=6 MM=6",
    "q: Q6 SPECIES=1-8 SWITCH={CUBIC D_0=2 D_MAX=1}",
    "q: Q6 SPECIES=1-8 SWITCH={CUBIK D_0=2}",
    "q: Q6 SPECIES=1-8 SWITCH={}",
    "q: Q6 SPECIES=1-8 SWITCH={CUBIC D_0=0 D_MX=1 D_MAX=2}",
    "q: Q6 SPECIES=1-8 SWITCH={RATIONAL R_0=-1}",
    "q: Q6 SPECIES=1-8 SWITCH={RATIONAL R_0=1 NN=3 MM=3}",
    "q: Q6 SPECIES=1-8 SWITCH={SMAP R_0=1 A=0 B=2}",
    "q: Q6 SPECIES=1-8 SWITCH={EXP R_0=1 D_0=2 D_MAX=1}",
    "q: Q6 R_0=1",
    "q: Q6 SPECIESA=1-3 R_0=1",
    "q: Q6 SPECIES=1-3 SPECIESB=4 R_0=1",
    "q: Q6 SPECIES=0-3 R_0=1",
    "q: Q6 SPECIES=1-3,2 R_0=1",
    "q: Q6 SPECIES=3-1 R_0=1",
    "q: Q6 SPECIES=1-9:0 R_0=1",
    "q: Q6 SPECIES=bla R_0=1",
    "cv: Q6 SPECIES=1-8 R_0=1",
    "a.b: Q6 SPECIES=1-8 R_0=1",
    "a: Q6 LABEL=b SPECIES=1-8 R_0=1",
    "l: LOCAL_Q6 SPECIES=cv SWITCH={CUBIC D_0=1 D_MAX=2}",
    "l: LOCAL_Q6 SPECIES=no SWITCH={CUBIC D_0=1 D_MAX=2}",
    "r: RESTRAINT ARG=cv.sum AT=1",
    "r: RESTRAINT ARG=cv.mean AT=1,2",
    "r: RESTRAINT ARG=cv.mean KAPPA=2",
    "r: RESTRAINT ARG=cv.mean AT=nan",
    "q: Q6 SPECIES=1-8 R_0=0.2 SUM MEAN\nr: RESTRAINT ARG=q.* AT=1,1",
    "c: COMBINE ARG=cv.mean",
    "c: COMBINE ARG=cv.mean PERIODIC=-pi,pi",
    "c: COMBINE ARG=cv.mean,cv.mean COEFFICIENTS=1,-1 NORMALIZE PERIODIC=NO",
    "UNITS LENGTH=A",
    ENV + "CRYSTAL_STRUCTURE=FCCC LATTICE_CONSTANTS=1",
    ENV + "CRYSTAL_STRUCTURE=HCP LATTICE_CONSTANTS=1",
    ENV + "LATTICE_CONSTANTS=-1",
    ENV + "LATTICE_CONSTANTS=1 SIGMA=0",
    ENV + "CRYSTAL_STRUCTURE=CUSTOM",
    ENV + "CRYSTAL_STRUCTURE=CUSTOM REFERENCE=broken.pdb",
    ENV + "CRYSTAL_STRUCTURE=CUSTOM REFERENCE=empty.pdb",
    ENV + "CRYSTAL_STRUCTURE=CUSTOM REFERENCE_1=env_ga.pdb ATOM_NAMES_FILE=other.pdb",
    "PRINT ARG=res.bias",
    "PRINT ARG=cv.mean FILES=COLVAR",
    "q: Q6 SPECIES={1-8 R_0=1",
    "q: Q6 SPECIES=1-8} R_0=1",
    "q: Q6 ...\nSPECIES=1-8",
    "q: Q6 ...\nSPECIES=1-8\n... q R_0=1",
]
# of a structure
LATER = [
    "q: Q6 SPECIES=1-65 R_0=1 MEAN",
    "q: Q6 SPECIES=1-8 SWITCH={RATIONAL R_0=1}",
    "q: Q6 SPECIES=1-8 SWITCH={CUBIC D_0=1 D_MAX=5.76}",
    "c: COMBINE ARG=cv.mean PARAMETERS=5 POWERS=0.5 PERIODIC=NO",
    "e: ENVIRONMENTSIMILARITY SPECIESA=1-32 SPECIESB=33-64 CRYSTAL_STRUCTURE=CUSTOM "
    "REFERENCE=env_ga.pdb ATOM_NAMES_FILE=env_as.pdb",
]
DRIVER = """
import json, sys
from mpi4py import MPI
import lammps
texts = json.load(open("texts.json"))
said = []
for text in texts:
    if MPI.COMM_WORLD.rank == 0:
        open("plumed.dat", "w").write(text)
    MPI.COMM_WORLD.barrier()
    lmp = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
    try:
        lmp.commands_string('''units metal
atom_style atomic
read_data gaas.data
pair_style zero 4.0
pair_coeff * *
fix b all quorum/bias file plumed.dat backend native
run 0''')
        said.append("")
    except Exception as error:
        said.append(str(error))
    lmp.close()
    MPI.COMM_WORLD.barrier()
if MPI.COMM_WORLD.rank == 0:
    json.dump(said, open("said.json", "w"))
"""


def python_says(path, text):
    path.write_text(text)
    try:
        if text.split(CV)[-1].strip() in LATER:
            open_variables(path.name, "native").evaluate(structure("gaas"))
        else:
            read_program(path.name)
    except QuorumError as error:
        return str(error)
    return ""


def test_sentences_are_those_of_python(tmp_path, monkeypatch):
    """On two ranks, neither of which waits for the other."""
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path / "gaas.data", structure("gaas"), ["Ga", "As"])
    for name in ("env_ga.pdb", "env_as.pdb"):
        (tmp_path / name).write_bytes((REFERENCE / name).read_bytes())
    row = (REFERENCE / "env_ga.pdb").read_text().splitlines()[0]
    (tmp_path / "broken.pdb").write_text(row[:32] + "x" + row[33:] + "\n")
    (tmp_path / "empty.pdb").write_text("REMARK nothing\n")
    (tmp_path / "other.pdb").write_text(row.replace("As", "Xe") + "\n")
    texts = [CV + text + "\n" for text in INPUTS]
    texts += ["UNITS LENGTH=A\n" + CV + text + "\n" for text in LATER]
    texts += ["UNITS LENGTH=Angstrom", "UNITS ENERGY=-1", "UNITS MASS=kg"]
    texts += ["UNITS LENGTH=A\n" + CV]
    expected = [python_says(tmp_path / "plumed.dat", text) for text in texts]
    unsaid = [text for text, words in zip(texts, expected, strict=True) if not words]
    assert unsaid == texts[-1:]
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    (tmp_path / "driver.py").write_text(DRIVER)
    done = subprocess.run(
        [BIN / "mpiexec", "-n", "2", sys.executable, "driver.py"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads((tmp_path / "said.json").read_text())
    for text, ours, theirs in zip(texts, expected, said, strict=True):
        assert ours in theirs, (text, ours, theirs)
        assert bool(ours) == bool(theirs), (text, theirs)


SCRIPT = """
units {units}
atom_style atomic
{before}
read_data gaas.data
pair_style zero 4.0
pair_coeff * *
{after}
fix b {group} quorum/bias {words}
run 1
"""
CASES = {
    "no file": ({"words": ""}, "no input; expected fix ID all quorum/bias file plumed.dat"),
    "missing": ({"words": "file no.dat"}, "no.dat: cannot be read; expected a PLUMED input file"),
    "keyword": ({"words": "input x"}, "unknown keyword input; expected file, backend, kernel or"),
    "value": ({"words": "file"}, "keyword file has no value"),
    "backend": ({"words": "file plumed.dat backend c"}, "got c; expected native or kernel"),
    "units": ({"units": "si"}, "units si are not known here; use units metal or real, or lj"),
    "lj": ({"units": "lj"}, "got no NATURAL in a run of units lj, expected UNITS NATURAL"),
    "group": (
        {"group": "some", "after": "group some id 1:9"},
        "group: got some; expected all",
    ),
    "ids": ({"after": "group one id 1\ndelete_atoms group one compress no"}, "IDs of 63 atoms"),
    "respa": ({"after": "run_style respa 2 2 pair 1"}, "run_style respa leaves no place for its"),
    "no kernel": (
        {"words": "file plumed.dat backend kernel kernel /nowhere/lib.so"},
        "/nowhere/lib.so cannot be opened",
    ),
    "no place for rows": ({"words": "file print.dat"}, "nowhere/COLVAR cannot be written (No such"),
    "format": ({"words": "file format.dat"}, "[PRINT] FMT: got '%s', expected a format of one"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_line_and_no_hang(case, tmp_path):
    changes, expected = CASES[case]
    write_data(tmp_path / "gaas.data", structure("gaas"), ["Ga", "As"])
    text = f"UNITS LENGTH=A\n{CV}"
    (tmp_path / "plumed.dat").write_text(text)
    (tmp_path / "print.dat").write_text(text + "PRINT ARG=cv.mean FILE=nowhere/COLVAR")
    (tmp_path / "format.dat").write_text(text + "PRINT ARG=cv.mean FILE=COLVAR FMT=%s")
    words = {"units": "metal", "group": "all", "words": "file plumed.dat", "before": ""}
    script = SCRIPT.format(**(words | {"after": ""} | changes))
    run = run_lammps(script, tmp_path, 2, check=False)
    assert run.code != 0 and len(run.errors) == 1, run.output
    assert "fix quorum/bias: " in run.errors[0] and expected in run.errors[0]
