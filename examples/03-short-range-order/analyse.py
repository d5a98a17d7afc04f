"""Warren–Cowley parameters of every temperature by `quorum reweight`: table, numbers, figure."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np


def quorum():
    """The command `quorum` of this Python."""
    return [sys.executable, "-m", "quorum_md.cli"]


def analyse(work, temperatures):
    """Averages with both errors, by temperature in K."""
    report = {}
    for kelvin in temperatures:
        name = f"{kelvin:g}K"
        order = f"short_range_order:bcc,shells=2,sites=sites.{name}"
        command = ["reweight", f"log.{name}", "--trajectory", f"dump.{name}", "--observable", order]
        command += ["--observable", "pe", "--discard", "auto", "--json", f"{name}.json"]
        done = subprocess.run([*quorum(), *command], cwd=work, stdout=subprocess.DEVNULL)
        if done.returncode:
            sys.exit(2)  # it has said why
        report[name] = json.loads((work / f"{name}.json").read_text())
    return report


def orders(report):
    """Pairs, and per temperature α of the first shell with both errors and the verdict."""
    rows = []
    for name, found in report.items():
        (entry,) = [x for x in found["observables"] if x["name"].startswith("short_range")]
        first = {key: np.array(entry[key])[0] for key in ("mean", "sampling_error", "model_error")}
        first["members"] = np.array(entry["members"])[:, 0]
        rows.append((float(name[:-1]), first, entry["verdict"], min(entry["effective_samples"])))
        pairs = entry["axes"][1]["values"]
    return pairs, rows


def table(report):
    """α of unlike neighbours in the first shell."""
    pairs, rows = orders(report)
    unlike = [k for k, pair in enumerate(pairs) if len(set(pair.split("-"))) == 2]
    lines = ["", "Warren–Cowley α of nearest neighbours (± sampling ± model)"]
    lines.append("   T/K  " + "".join(f"{pairs[k]:<26}" for k in unlike) + "verdict")
    for kelvin, first, verdict, _ in rows:
        cells = [
            f"{first['mean'][k]:6.3f} ± {first['sampling_error'][k]:.3f} "
            f"± {first['model_error'][k]:.3f}".ljust(26)
            for k in unlike
        ]
        lines.append(f"{kelvin:6g}  " + "".join(cells) + verdict)
    return "\n".join(lines)


def figure(report, path):
    """α against temperature for all pairs: members as thin lines, both errors."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    pairs, rows = orders(report)
    kelvins = np.array([row[0] for row in rows])
    order = np.argsort(kelvins)
    fig, axes = plt.subplots(2, 5, figsize=(12, 5), sharex=True, constrained_layout=True)
    for k, (ax, pair) in enumerate(zip(axes.flat, pairs, strict=True)):
        members = np.array([rows[n][1]["members"][:, k] for n in order])
        mean, sampling, model = (
            np.array([rows[n][1][key][k] for n in order])
            for key in ("mean", "sampling_error", "model_error")
        )
        x = kelvins[order]
        ax.plot(x, members, color="0.6", lw=0.4, zorder=1)
        ax.fill_between(x, mean - model, mean + model, color="#d9772b", alpha=0.35, lw=0)
        ax.errorbar(x, mean, sampling, fmt="o-", ms=4, capsize=3, color="#1f5f99")
        ax.axhline(0, color="0.3", lw=0.6, ls=":")
        ax.set_title(pair)
    for ax in axes[1]:
        ax.set_xlabel("T / K")
    for ax in axes[:, 0]:
        ax.set_ylabel("α, first shell")
    fig.savefig(path, dpi=110)
    plt.close(fig)


if __name__ == "__main__":
    here = Path.cwd()
    names = [float(path.name[4:-1]) for path in here.glob("log.*K")]
    found = analyse(here, sorted(names))
    print(table(found))
    figure(found, here / "results.png")
