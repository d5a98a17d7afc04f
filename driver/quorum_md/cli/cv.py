"""``quorum cv``: order parameters and biases of a PLUMED input on structures."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ase import Atoms

    from ..order_parameters.native import Answer

_EPILOG = """\
The native backend knows UNITS, FCCUBIC, Q4, Q6, LOCAL_Q4, LOCAL_Q6, LOCAL_AVERAGE,
ENVIRONMENTSIMILARITY, COMBINE, RESTRAINT, UPPER_WALLS, LOWER_WALLS and PRINT (which writes no file
here). Anything else needs PLUMED's kernel: set PLUMED_KERNEL to the path of libplumedKernel.so.
Values are in the units of the input; positions are Å, bias eV, forces eV/Å and virial eV, or all
as they stand with UNITS NATURAL. FILE of --forces has bias_forces (N, 3) and bias_virial (3, 3),
[a, b] = Σ x_a dV/dx_b; of several frames, with the frames as first axis.
examples:
  quorum cv plumed.dat structure.extxyz
  quorum cv plumed.dat trajectory.extxyz --json
  quorum cv plumed.dat structure.extxyz --backend plumed --forces out.npz
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``quorum cv``."""
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("input", metavar="PLUMED_DAT", help="a PLUMED input file")
    add("structure", metavar="STRUCTURE", help="any file that ASE reads; all its frames")
    add("--backend", choices=("native", "plumed"), help="[native; plumed for what it lacks]")
    add("--json", action="store_true", help="print a list with an object for each frame")
    add("--forces", metavar="FILE", help="write forces and virial of the bias to an npz file")


def run(args: argparse.Namespace) -> None:
    """Evaluate all frames, and only then print or write."""
    from ..models.frames import read_frames
    from ..order_parameters.variables import open_variables

    variables = open_variables(args.input, args.backend)
    frames = read_frames(args.structure, ":")
    answers = [variables.evaluate(atoms) for atoms in frames]
    if args.forces is not None:
        _write_forces(args.forces, frames, answers)
    bias = "bias" if variables.natural else "bias_eV"
    if args.json:
        _print_json(answers, bias)
        return
    print(f"# {variables.backend} backend; values in the units of {args.input}")
    width = max([len(bias), *(len(name) for name in answers[0].values)])
    for number, answer in enumerate(answers):
        if len(answers) > 1:
            print(f"# frame {number}")
        for name, value in {**answer.values, bias: answer.bias}.items():
            print(f"{name:{width}}  {value: .12g}")


def _print_json(answers: list[Answer], bias: str) -> None:
    import json

    report = [{"values": answer.values, bias: answer.bias} for answer in answers]
    print(json.dumps(report, indent=1, allow_nan=False))


def _write_forces(path: str, frames: list[Atoms], answers: list[Answer]) -> None:
    import io

    import numpy as np

    from ..atomic import write_atomically
    from ..errors import QuorumError

    if len({len(atoms) for atoms in frames}) > 1:
        raise QuorumError(
            "--forces: got frames of different numbers of atoms, expected one number; evaluate "
            "them one by one"
        )
    arrays: dict[str, Any] = {
        "bias_forces": np.array([answer.forces for answer in answers]),
        "bias_virial": np.array([answer.virial for answer in answers]),
    }
    if len(answers) == 1:
        arrays = {name: array[0] for name, array in arrays.items()}
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    write_atomically(path, stream.getvalue())
