"""Speed and memory of reweighting, beside i-PI's script and pymbar, each in a process of its own.

1. From files: 20 000 frames of 64 members and 10 observables, as text; ours from i-PI's own formats
   with both errors and verdicts, i-PI's script from plain tables with the model error alone.
2. In memory: direct reweighting of one observable to 64 members with sampling errors; pymbar's
   expectations take the frames for independent, ours does not.
3. Ours at full size: 10⁶ frames × 64 members × 10 observables, and 10⁵ frames × 64 members × a
   histogram of 500 bins; and 10⁶ frames in chunks, by `RunningAverage`.

    python tests/benchmarks/reweight.py
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 3
TARGET_S, TARGET_GB = 10.0, 1.0
MEASURE = """
import json, resource, sys, time
import numpy as np
rng = np.random.default_rng(0)
def data(n, members, columns):
    x = rng.normal(size=(n, 1))
    energies = rng.normal(size=(n, members))
    energies *= 0.003
    energies += x
    return energies, rng.normal(size=(n, columns)) + 0.1 * x
{setup}
began, wall = time.process_time(), time.perf_counter()
{work}
print(json.dumps([time.process_time() - began, time.perf_counter() - wall,
                  resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6]))
"""
OURS = "from quorum_md.averages import reweight, RunningAverage\n"
CASES = {
    "ours, 2·10⁴ × 64 × 1, direct": (
        OURS + "energies, a = data(20_000, 64, 1)",
        "reweight(a, energies, kT_eV=0.03, method='direct')",
    ),
    "pymbar, 2·10⁴ × 64 × 1": (
        "import logging; logging.disable(50); from pymbar import MBAR\n"
        "energies, a = data(20_000, 64, 1)",
        "u = np.column_stack([energies.mean(axis=1), energies]).T / 0.03\n"
        "mbar = MBAR(u, np.array([20_000] + [0] * 64))\n"
        "mbar.compute_expectations(a[:, 0])",
    ),
    "ours, 10⁶ × 64 × 10": (
        OURS + "energies, a = data(1_000_000, 64, 10)",
        "reweight(a, energies, kT_eV=0.03)",
    ),
    "ours, 10⁶ × 64 × 10, direct": (
        OURS + "energies, a = data(1_000_000, 64, 10)",
        "reweight(a, energies, kT_eV=0.03, method='direct')",
    ),
    "ours, 10⁵ × 64 × 500 bins": (
        OURS + "energies, a = data(100_000, 64, 500)",
        "reweight(a, energies, kT_eV=0.03)",
    ),
    "ours, 10⁶ × 64 × 10 in chunks": (
        OURS + "energies, a = data(10_000, 64, 10); average = RunningAverage(kT_eV=0.03)",
        "for _ in range(100):\n    average.add(a, energies)\naverage.result()",
    ),
}


def measured(setup: str, work: str) -> tuple[float, float, float]:
    """Medians of processor time and elapsed time in s, and memory in GB."""
    code = MEASURE.replace("{setup}", setup).replace("{work}", work)
    runs = []
    for _ in range(ROUNDS):
        done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True,
                              text=True, check=True)  # fmt: skip
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    cpu, wall, memory = (statistics.median(column) for column in zip(*runs, strict=True))
    return cpu, wall, memory


def from_files(folder: Path) -> dict[str, tuple[float, float, float]]:
    """Both commands on the same frames."""
    import numpy as np

    rng = np.random.default_rng(0)
    n, members = 20_000, 64
    x = rng.normal(size=n)
    energies = 0.02 * x[:, None] + 1e-4 * rng.normal(size=(n, members))
    columns = rng.normal(size=(n, 10)) + 0.1 * x[:, None]
    np.savetxt(folder / "pot", energies, fmt="%.10e")
    np.savetxt(folder / "obs", columns, fmt="%.10e")
    with open(folder / "out", "w") as file:
        file.write("# column 1 --> step : s\n# column 2 --> potential : p\n")
        for k in range(10):
            file.write(f"# column {k + 3} --> pot_{k} : x\n".replace("pot_", "volume_"))
        mean = energies.mean(axis=1)
        for t in range(n):
            numbers = " ".join(f"{v:.8e}" for v in columns[t])
            file.write(f"{t} {mean[t]:.10e} {numbers}\n")
    with open(folder / "extras_0", "w") as file:
        for t in range(n):
            row = " ".join(f"{v:.10e}" for v in energies[t])
            file.write(f" #EXTRAS(committee_pot)# Step: {t:10d} \n{row}\n")
    kelvin = 0.001 / 3.166811563e-6
    script = Path(sys.executable).parent / "i-pi-committee-reweight"
    theirs = (
        f"import subprocess; files = [{str(folder / 'pot')!r}, {str(folder / 'obs')!r}]",
        "for k in range(10):\n    subprocess.run([sys.executable, "
        f"{str(script)!r}, *files, '--kt', '0.001', '--index', str(k)], check=True, "
        "capture_output=True)",
    )
    ours = (
        "import subprocess",
        "subprocess.run([sys.executable, '-m', 'quorum_md.cli', 'reweight', "
        f"{str(folder / 'out')!r}, '--committee', {str(folder / 'extras_0')!r}, '--temperature', "
        f"'{kelvin}'], check=True, capture_output=True)",
    )
    children = "resource.getrusage(resource.RUSAGE_CHILDREN)"
    result = {}
    for name, (setup, work) in (("quorum reweight", ours), ("i-pi-committee-reweight ×10", theirs)):
        code_setup = setup + f"\nused = lambda: {children}"
        cpu, wall, memory = measured(
            code_setup,
            work + "\ntime.process_time = lambda: used().ru_utime + used().ru_stime "
            "+ began\nresource.getrusage = lambda _, u=used(): u",
        )
        result[name] = cpu, wall, memory
    return result


def main() -> None:
    """Print times, memory and ratios."""
    print(f"# medians of {ROUNDS}; processor time and elapsed time in s, memory in GB")
    with tempfile.TemporaryDirectory() as folder:
        files = from_files(Path(folder))
    for name, numbers in files.items():
        print(f"{name:34}  {numbers[0]:7.2f}  {numbers[1]:7.2f}  {numbers[2]:6.2f}")
    ours, theirs = files.values()
    print(f"# theirs / ours: {theirs[0] / ours[0]:.2f} (processor time, 10 observables)")
    found = {}
    for name, (setup, work) in CASES.items():
        found[name] = measured(setup, work)
        cpu, wall, memory = found[name]
        print(f"{name:34}  {cpu:7.2f}  {wall:7.2f}  {memory:6.2f}")
    mine, pymbar = (found[k] for k in list(CASES)[:2])
    print(
        f"# pymbar / ours: {pymbar[0] / mine[0]:.1f} in time, {pymbar[2] / mine[2]:.1f} in memory"
    )
    full = [found[k] for k in list(CASES)[2:]]
    met = all(cpu <= TARGET_S for cpu, _, _ in full) and full[0][2] <= TARGET_GB
    print(f"# targets {TARGET_S:g} s, {TARGET_GB:g} GB (first): {'met' if met else 'NOT met'}")


if __name__ == "__main__":
    main()
