"""The whole example: prepare the crystal, run i-PI at every temperature, average, draw."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))


def write_input(folder, temperature_K, seed, steps, pes_path):
    """input.xml with temperature, seed, length and the path of the driver filled in."""
    text = (HERE / "input.xml").read_text()
    text = re.sub(r"(units='kelvin'>)[^<]*", rf"\g<1> {temperature_K:g} ", text)
    text = re.sub(r"<seed>[^<]*", f"<seed> {seed} ", text)
    text = re.sub(r"<total_steps>[^<]*", f"<total_steps> {steps} ", text)
    text = re.sub(r"<pes_path>[^<]*", f"<pes_path> {pes_path} ", text)
    (folder / "input.xml").write_text(text)


def last_step(folder):
    """Steps done so far, from the property file."""
    try:
        with open(folder / "simulation.out", "rb") as handle:
            handle.seek(0, os.SEEK_END)
            handle.seek(max(0, handle.tell() - 400))
            lines = handle.read().decode().splitlines()[:-1]
        return int(float(lines[-1].split()[0])) if lines and lines[-1][:1] != "#" else 0
    except (OSError, ValueError, IndexError):
        return 0


def simulate(folders, steps, n_parallel):
    """One `i-pi input.xml` per folder, ``n_parallel`` at a time, with a progress bar."""
    from tqdm import tqdm

    ipi = shutil.which("i-pi", path=str(Path(sys.executable).parent)) or shutil.which("i-pi")
    if ipi is None:
        sys.exit("error: i-pi is not installed; pip install quorum-md[ipi]")
    waiting, running = list(folders), {}
    total = steps * len(folders)
    bar = tqdm(total=total, desc="i-PI", unit="step", disable=None, mininterval=1.0)
    try:
        while waiting or running:
            while waiting and len(running) < n_parallel:
                folder = waiting.pop(0)
                log = open(folder / "log", "w")
                command = [sys.executable, ipi, "input.xml"]
                running[folder] = subprocess.Popen(
                    command, cwd=folder, stdout=log, stderr=subprocess.STDOUT
                )
            time.sleep(0.5)
            for folder in [f for f, process in running.items() if process.poll() is not None]:
                if running.pop(folder).returncode != 0:
                    tail = (folder / "log").read_text().splitlines()[-5:]
                    sys.exit("\n".join([f"error: i-PI failed in {folder}:", *tail]))
            bar.update(sum(map(last_step, folders)) - bar.n)
        bar.update(total - bar.n)
    finally:
        bar.close()
        for process in running.values():
            process.terminate()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--temperatures", type=float, nargs="+", default=[300, 600, 900, 1200])
    parser.add_argument("--steps", type=int, default=24000, help="of 3 fs, per temperature")
    parser.add_argument("--repeats", type=int, default=4, help="primitive cells along each edge")
    parser.add_argument("--parallel", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--output", type=Path, default=HERE)
    args = parser.parse_args()
    if len(args.temperatures) < 3:
        parser.error("--temperatures: the slope of the energy needs three or more")
    from analyse import analyse, figure, table
    from prepare import prepare

    from quorum_md.engines.ipi_check import PES_FILE

    start = time.time()
    work = args.output / "run"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    print("[1/3] crystal: NbMoTaW on the bcc lattice, relaxed", flush=True)
    atoms = prepare(work / "alloy.xyz", repeats=args.repeats)
    print(
        f"[2/3] i-PI: {len(args.temperatures)} temperatures × {len(atoms)} atoms × "
        f"{3e-3 * args.steps:g} ps, {args.parallel} at a time",
        flush=True,
    )
    folders = []
    for i, temperature_K in enumerate(args.temperatures):
        folder = work / f"{temperature_K:g}K"
        folder.mkdir()
        shutil.copy(work / "alloy.xyz", folder)
        write_input(folder, temperature_K, 100 + i, args.steps, PES_FILE)
        folders.append(folder)
    simulate(folders, args.steps, args.parallel)
    print("[3/3] averages\n", flush=True)
    report = analyse(work)
    print(table(report), "\n")
    (args.output / "results.json").write_text(json.dumps(report, indent=1) + "\n")
    figure(report, args.output / "results.png")
    shown = os.path.relpath(args.output)
    print(f" figure    {shown}/results.png\n numbers   {shown}/results.json")
    print(f' took      {time.time() - start:.0f} s\n next      README.md, "Use it"')


if __name__ == "__main__":
    main()
