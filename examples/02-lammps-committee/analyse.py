"""Averages of both logs by `quorum reweight`, their numbers in results.json, and a figure."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

# what is asked of which log
LOGS = {"nvt": ["pe", "press"], "npt": ["pe", "vol", "v_lattice_A"]}
TITLES = {"nvt": "constant volume", "npt": "0 bar"}


def quorum():
    """The command `quorum` of this Python."""
    return [sys.executable, "-m", "quorum_md.cli"]


def analyse(work):
    """Print the tables of `quorum reweight` and return all their numbers, by log."""
    report = {}
    for name, observables in LOGS.items():
        command = ["reweight", f"log.{name}", "--discard", "auto", "--json", f"{name}.json"]
        for observable in observables:
            command += ["--observable", observable]
        print(f"\n$ quorum {' '.join(command)}", flush=True)
        if subprocess.run([*quorum(), *command], cwd=work).returncode:
            sys.exit(2)  # it has said why
        report[name] = json.loads((work / f"{name}.json").read_text())
    return report


def figure(work, report, path):
    """Lattice parameter along the run, and the averages of all members with both errors."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from quorum_md.averages.lammps_run import load_run

    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    blue, orange = "#1f5f99", "#d9772b"
    fig, axes = plt.subplots(1, 3, figsize=(10.5, 3.4), constrained_layout=True)
    run = load_run(work / "log.npt")
    lattice = report["npt"]["observables"][-1]
    ax, times = axes[0], 3e-3 * run.steps
    values, start = run.observable("v_lattice_A").values, report["npt"]["inputs"]["n_discarded"]
    mean, model = lattice["mean"], lattice["model_error"]
    ax.plot(times, values, color="0.6", lw=0.6)
    ax.axvline(times[start], color="0.3", lw=0.8, ls=":", label="averages from here")
    ax.axhspan(mean - model, mean + model, color=orange, alpha=0.35, lw=0)
    ax.axhline(mean, color=blue, lw=1.2)
    ax.set(xlabel="time / ps", ylabel="lattice parameter / Å", title="0 bar")
    ax.legend(frameon=False, fontsize=8)
    n_atoms = 2 * round(run.observable("vol").values[0] / values[0] ** 3)
    panels = [("npt", "v_lattice_A", 1.0, "lattice parameter / Å"),
              ("nvt", "PotEng", 1e3 / n_atoms, "⟨V⟩/N − mean / meV")]  # fmt: skip
    for ax, (name, key, scale, label) in zip(axes[1:], panels, strict=True):
        (entry,) = [x for x in report[name]["observables"] if x["name"] == key]
        shift = 0.0 if scale == 1.0 else entry["mean"]
        members = scale * (np.array(entry["members"]) - shift)
        errors = scale * np.array(entry["members_sampling_error"])
        mean, model = scale * (entry["mean"] - shift), scale * entry["model_error"]
        order = np.argsort(members)
        index = np.arange(len(members)) + 1
        ax.axhspan(mean - model, mean + model, color=orange, alpha=0.35, lw=0, label="model error")
        ax.errorbar(index, members[order], errors[order], fmt="o", ms=3, lw=0.8, color="0.5",
                    label="members")  # fmt: skip
        ax.errorbar([len(members) / 2], [mean], [scale * entry["sampling_error"]], fmt="o", ms=5,
                    capsize=3, color=blue, label="mean, sampling")  # fmt: skip
        ax.set(xlabel="member, sorted", ylabel=label, title=TITLES[name])
    axes[1].legend(frameon=False, fontsize=8, loc="upper left")
    kelvin = report["npt"]["inputs"]["temperature_K"]
    fig.suptitle(
        f"NbMoTaW, {n_atoms} atoms, {kelvin:g} K, committee of {len(members)}, LAMMPS", fontsize=10
    )
    fig.savefig(path, dpi=150)
    plt.close(fig)


if __name__ == "__main__":
    here = Path.cwd()
    found = analyse(here)
    (here / "results.json").write_text(json.dumps(found, indent=1))
    figure(here, found, here / "results.png")
