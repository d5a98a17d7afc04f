"""Crystal and melt in bulk: the committee with both errors beside the potential behind it."""

import argparse
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
PHASES = [("solid", 300), ("solid", 900), ("solid", 1500), ("solid", 1900), ("solid", 2200),
          ("melt", 1900), ("melt", 2500)]  # fmt: skip
FUSION_K = 1900
QUANTITIES = {
    "solid": {"atomic_eV": "energy / eV per atom", "lattice_A": "lattice parameter / Å"},
    "melt": {"atomic_eV": "energy / eV per atom", "density_g_cm3": "density / g/cm³"},
}


def name_of(potential, phase, kelvin):
    return f"{potential}.{phase}.{kelvin}K"


def simulate(work, potential, phase, kelvin, steps):
    """One run of in.bulk and its averages; a sentence if it fails."""
    name = name_of(potential, phase, kelvin)
    lmp = shutil.which("lmp", path=str(Path(sys.executable).parent)) or "lmp"
    settings = {"potential": potential, "phase": phase, "temperature": kelvin, "steps": steps}
    command = [lmp, "-in", HERE / "in.bulk", "-log", work / f"log.{name}", "-screen", "none"]
    for key, value in settings.items():
        command += ["-var", key, str(value)]
    if not (work / f"log.{name}").exists():
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True)
        if done.returncode:
            (work / f"log.{name}").rename(work / f"failed.{name}")
            return f"error: LAMMPS failed ({name}); see {work}/failed.{name}"
    return None


def committee_averages(work, name, quantities):
    """Mean, both errors and members of each quantity."""
    command = [sys.executable, "-m", "quorum_md.cli", "reweight", f"log.{name}"]
    command += ["--discard", "auto", "--json", f"{name}.json"]
    for quantity in quantities:
        command += ["--observable", f"v_{quantity}"]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    found = json.loads((work / f"{name}.json").read_text())["observables"]
    keys = ("mean", "sampling_error", "model_error", "members", "members_sampling_error")
    return {x["name"].removeprefix("v_"): {key: x[key] for key in keys} for x in found}


def true_averages(work, name, quantities):
    """Mean and sampling error of each quantity."""
    from quorum_md.averages.lammps_log import read_log
    from quorum_md.averages.timeseries import transient, variance_of_mean

    table = read_log(work / f"log.{name}").tables[-1]
    found = {}
    for quantity in quantities:
        values = table.column(f"v_{quantity}")
        values = values[transient(values) :]
        error = float(variance_of_mean(values)) ** 0.5
        found[quantity] = {"mean": float(values.mean()), "sampling_error": error}
    return found


def fusion(melt, solid):
    """What melting takes; members are taken one by one."""
    parts = [melt["atomic_eV"], solid["atomic_eV"]]
    found = {
        "mean": parts[0]["mean"] - parts[1]["mean"],
        "sampling_error": float(np.hypot(*(x["sampling_error"] for x in parts))),
    }
    if "members" in parts[0]:
        members = np.subtract(*(x["members"] for x in parts))
        # what sampling alone spreads the members by is no model error
        noise = sum(np.mean(np.square(x["members_sampling_error"])) for x in parts)
        found["members"] = members.tolist()
        found["model_error"] = float(max(0.0, members.var(ddof=1) - noise) ** 0.5)
    return found


def analyse(work):
    """Committee beside the truth: rows of quantity, both, and the difference over its error."""
    read = {"committee": committee_averages, "bop": true_averages}
    values = {
        potential: {(phase, kelvin): function(work, name_of(potential, phase, kelvin),
                                              QUANTITIES[phase]) for phase, kelvin in PHASES}
        for potential, function in read.items()
    }  # fmt: skip
    rows = [
        (f"{phase} {kelvin} K, {text}", *(values[p][phase, kelvin][quantity] for p in read))
        for phase, kelvin in PHASES
        for quantity, text in QUANTITIES[phase].items()
    ]
    latent = [fusion(*(values[p][phase, FUSION_K] for phase in ("melt", "solid"))) for p in read]
    rows.append((f"latent heat {FUSION_K} K / eV per atom", *latent))
    report = []
    for name, committee, truth in rows:
        errors = committee["sampling_error"], committee["model_error"], truth["sampling_error"]
        z = (committee["mean"] - truth["mean"]) / float(np.sqrt(np.square(errors).sum()))
        report.append({"quantity": name, "committee": committee, "bop": truth, "z": z})
    return report


def table(report):
    lines = [f"{'quantity':42s} {'committee ± sampling ± model':32s} {'bond order':20s} z"]
    for row in report:
        c, t = row["committee"], row["bop"]
        both = f"{c['mean']:9.4f} ± {c['sampling_error']:.4f} ± {c['model_error']:.4f}"
        truth = f"{t['mean']:9.4f} ± {t['sampling_error']:.4f}"
        lines.append(f"{row['quantity']:42s} {both:32s} {truth:20s} {row['z']:+.1f}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=8000, help="of 2 fs, after a quarter more")
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1, help="runs")
    parser.add_argument("--work", type=Path, default=HERE / "run" / "bulk")
    args = parser.parse_args()
    work = args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    runs = [(p, *phase) for p in ("committee", "bop") for phase in PHASES]
    with ThreadPoolExecutor(args.at_once) as pool:
        failures = list(pool.map(lambda run: simulate(work, *run, args.steps), runs))
    if any(failures):
        sys.exit(next(filter(None, failures)))
    report = analyse(work)
    (work / "results.json").write_text(json.dumps(report, indent=1) + "\n")
    print(table(report))


if __name__ == "__main__":
    main()
