"""Averages by `quorum reweight` (MBAR over all states): tables, figures, a known truth."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

QUORUM = [sys.executable, "-m", "quorum_md.cli"]
BLUE, ORANGE, GREEN = "#1f5f99", "#d9772b", "#3a7d44"


def reweight(work, folder, temperatures_K, order):
    """Energy, heat capacity and short-range order at any temperatures, from all states at once."""
    files = sorted((work / folder / "trajectories").glob("state-*.extxyz"))
    command = ["reweight", f"{folder}/records.h5", "--discard", "auto", "--json", f"{folder}.json"]
    for file in files:
        command += ["--trajectory", str(file.relative_to(work))]
    for name in ("potential", "heat_capacity", order):
        command += ["--observable", name]
    command += ["--at-temperature", *(f"{kelvin:.10g}" for kelvin in temperatures_K)]
    done = subprocess.run([*QUORUM, *command], cwd=work, stdout=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(2)  # it has said why
    return json.loads((work / f"{folder}.json").read_text())["temperatures"]


def temperatures_of(work, folder):
    """Of the states, K."""
    return np.loadtxt(work / folder / "states.dat", ndmin=2)[:, 1]


def acceptance(work, folder):
    """Of exchanges between neighbours, and of swaps by state."""
    ladder = np.loadtxt(work / folder / "ladder.dat", ndmin=2)
    return ladder[:-1, 5], int(ladder[:, 8].sum())


def sites(work, lattice, a, cells):
    """The sites of the crystal, on which neighbours are counted; how many there are."""
    from ase.build import bulk
    from ase.io import write

    atoms = bulk("Ni", lattice, a=a, cubic=True) * cells
    write(work / "sites.xyz", atoms)
    return len(atoms)


def curves(found, n_atoms):
    """By name: (T,) mean, sampling, model (None without a committee), (T, K) members, verdicts.

    Energies in meV per atom, heat capacities (with the 3/2 of the momenta) in k_B per atom.
    """
    result = {"temperature_K": [one["inputs"]["temperature_K"] for one in found]}
    for k, entry in enumerate(found[0]["observables"]):
        series = [one["observables"][k] for one in found]
        if entry["name"] == "potential":
            labels, scale, shift, index = ["energy"], 1e3 / n_atoms, 0.0, [...]
        elif entry["name"] == "heat_capacity":
            labels, scale, shift, index = ["heat_capacity"], 1 / n_atoms, 1.5, [...]
        else:
            pairs = entry["axes"][1]["values"]
            labels, scale, shift, index = pairs, 1.0, 0.0, [(0, k) for k in range(len(pairs))]
        for label, place in zip(labels, index, strict=True):

            def values(key, scale=scale, shift=0.0, series=series, place=place):
                if series[0][key] is None:
                    return None
                many = (slice(None),) if key == "members" and place is not ... else ()
                where = (*many, *place) if place is not ... else ...
                return [(np.array(s[key])[where] * scale + shift).tolist() for s in series]

            result[label] = {
                "mean": values("mean", shift=shift),
                "sampling": values("sampling_error"),
                "model": values("model_error"),
                "noise": values("model_error_noise"),
                "members": values("members", shift=shift),
                "verdict": [s["verdict"] for s in series],
            }
    return result


def unlike(report):
    """Names of pairs of two elements."""
    pairs = [name for name in report if "-" in name]
    return [pair for pair in pairs if len(set(pair.split("-"))) == 2], pairs


def cell(one, t, decimals):
    """Mean and errors; of a model error that the run does not resolve, its bound."""
    model = "–"
    if one["model"] is not None:
        shown = one["model"][t] or one["noise"][t]
        model = f"{shown:.{decimals}f}" if one["model"][t] else f"< {shown:.{decimals}f}"
    return f"{one['mean'][t]:.{decimals}f} ± {one['sampling'][t]:.{decimals}f} ± {model}"


# --- a: NbMoTaW with the committee that comes with quorum-md


def analyse_a(work):
    """Short-range order and heat capacity from 300 to 1500 K."""
    n_atoms = sites(work, "bcc", 3.26, (4, 3, 3))
    kelvin = np.arange(300, 1501, 50)
    report = curves(
        reweight(work, "remd", kelvin, "short_range_order:bcc,sites=sites.xyz"), n_atoms
    )
    accepted, trips = acceptance(work, "remd")
    report["exchange"] = {"acceptance": accepted.tolist(), "round_trips": trips}
    return report


def show_a(report):
    """Some rows."""
    pairs, _ = unlike(report)
    accepted = report["exchange"]["acceptance"]
    lines = [
        "",
        f"exchanges accepted: {min(accepted):.2f} … {max(accepted):.2f}; "
        f"{report['exchange']['round_trips']} round trips",
        "",
        "Heat capacity and Warren–Cowley α of nearest neighbours (± sampling ± model)",
        "   T/K  C_p/k_B per atom        " + "".join(f"{pair:<26}" for pair in pairs) + "verdict",
    ]
    order = {"ok": 0, "doubtful": 1, "invalid": 2}
    for t, kelvin in enumerate(report["temperature_K"]):
        if kelvin % 150:
            continue
        cells = [cell(report["heat_capacity"], t, 2).ljust(24)]
        cells += [cell(report[pair], t, 3).ljust(26) for pair in pairs]
        names = ("heat_capacity", pairs[0])
        verdict = max((report[name]["verdict"][t] for name in names), key=order.get)
        lines.append(f"{kelvin:6g}  " + "".join(cells) + verdict)
    return "\n".join(lines)


def band(ax, kelvin, one, color=BLUE, label=None):
    """Members as thin lines, the model error as a band, sampling errors as bars."""
    mean, sampling = np.array(one["mean"]), np.array(one["sampling"])
    if one["model"] is not None:
        model = np.array(one["model"])
        ax.plot(kelvin, one["members"], color="0.6", lw=0.3, zorder=1)
        ax.fill_between(kelvin, mean - model, mean + model, color=ORANGE, alpha=0.35, lw=0)
        low, high = (mean - 3 * model - sampling).min(), (mean + 3 * model + sampling).max()
        ax.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    ax.errorbar(kelvin, mean, sampling, fmt="o-", ms=3, lw=1, capsize=2, color=color, label=label)


def figure(n_rows, n_columns, size):
    """Empty panels."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    fig, axes = plt.subplots(n_rows, n_columns, figsize=size, sharex=True, layout="constrained")
    for ax in axes[-1]:
        ax.set_xlabel("T / K")
    return fig, axes.flat


def draw_a(report, path):
    """Heat capacity, and α of all unlike pairs."""
    pairs, _ = unlike(report)
    fig, axes = figure(2, 4, (12, 5))
    kelvin = report["temperature_K"]
    band(axes[0], kelvin, report["energy"])
    axes[0].set_title("energy / meV per atom")
    band(axes[1], kelvin, report["heat_capacity"])
    axes[1].set_title("$C_p/Nk_B$")
    for ax, pair in zip(axes[2:], pairs, strict=True):
        band(ax, kelvin, report[pair])
        ax.axhline(0, color="0.3", lw=0.6, ls=":")
        ax.set_title(f"α {pair}, first shell")
    fig.savefig(path, dpi=110)


# --- b: a committee beside the potential that it was fitted to


def analyse_b(work):
    """The committee and the truth at the temperatures of the states."""
    n_atoms = sites(work, "fcc", 3.65, (3, 3, 3))
    report = {}
    for folder in ("remd", "truth"):
        kelvin = temperatures_of(work, folder)
        order = "short_range_order:fcc,shells=1,sites=sites.xyz"
        report[folder] = curves(reweight(work, folder, kelvin, order), n_atoms)
        accepted, trips = acceptance(work, folder)
        report[folder]["exchange"] = {"acceptance": accepted.tolist(), "round_trips": trips}
    report["z"] = {
        name: z_scores(one, report["truth"][name]).tolist()
        for name, one in report["remd"].items()
        if isinstance(one, dict) and "mean" in one
    }
    return report


def z_scores(committee, truth):
    """(T,) difference over √(sampling² of both + model²)."""
    difference = np.array(committee["mean"]) - np.array(truth["mean"])
    parts = (committee["sampling"], truth["sampling"], committee["model"])
    return difference / np.sqrt(sum(np.array(part) ** 2 for part in parts))


def show_b(report):
    """Committee, truth and z, by quantity and temperature."""
    lines = ["", "committee (± sampling ± model), truth (± sampling), z of their difference"]
    names = list(report["z"])
    kelvin = report["remd"]["temperature_K"]
    for name in names:
        decimals = {"energy": 1, "heat_capacity": 2}.get(name, 3)
        unit = {"energy": " / meV per atom", "heat_capacity": " / k_B per atom"}.get(name, "")
        title = f"{name}{unit}" if unit else f"α {name}, first shell"
        lines.append(f"{title}")
        for t, z in enumerate(report["z"][name]):
            one, truth = report["remd"][name], report["truth"][name]
            lines.append(
                f"  {kelvin[t]:6.0f} K  {cell(one, t, decimals):30}"
                f"{truth['mean'][t]:.{decimals}f} ± {truth['sampling'][t]:.{decimals}f}".ljust(60)
                + f"  z {z:5.1f}   {one['verdict'][t]}"
            )
    lines += ["", "# quantity        rms z   |z|<1   |z|<2   of"]
    for name in names:
        z = np.abs(report["z"][name])
        lines.append(
            f"  {name:14} {np.sqrt((z**2).mean()):7.2f} {(z < 1).sum():7d} {(z < 2).sum():7d}"
            f" {len(z):4d}"
        )
    for folder in ("remd", "truth"):
        one = report[folder]["exchange"]
        lines.append(
            f"{folder}: exchanges accepted {min(one['acceptance']):.2f} … "
            f"{max(one['acceptance']):.2f}, {one['round_trips']} round trips"
        )
    return "\n".join(lines)


def draw_b(report, path):
    """Committee with both errors, and the truth beside it."""
    fig, axes = figure(2, 4, (12, 5))
    kelvin, there = report["remd"]["temperature_K"], report["truth"]["temperature_K"]
    titles = {"energy": "energy / meV per atom", "heat_capacity": "$C_p/Nk_B$"}
    for ax, name in zip(axes, report["z"], strict=True):
        band(ax, kelvin, report["remd"][name], label="committee")
        truth = report["truth"][name]
        ax.errorbar(
            there, truth["mean"], truth["sampling"], fmt="s--", ms=4, mfc="white", lw=0.8,
            capsize=2, color=GREEN, label="truth (MEAM)",
        )  # fmt: skip
        ax.set_title(titles.get(name, f"α {name}, first shell"))
        ax.autoscale(axis="y")
    axes[0].legend(frameon=False, fontsize=8)
    fig.savefig(path, dpi=110)


def swap_errors(work):
    """Errors of ΔE of single swaps at fixed positions, and their spread, in frames kept apart."""
    from ase.io import read

    from quorum_md.models import load_potential

    frames = [
        atoms
        for atoms in read(work / "held-out.extxyz", ":")
        if atoms.info["config_type"] == "swapped"
    ]
    truth = np.array([atoms.get_potential_energy() for atoms in frames])
    found = load_potential(str(work / "nialcr.pt")).evaluate(frames)
    members = np.array([one.member_energies_eV for one in found])
    start = {}
    for k, atoms in enumerate(frames):
        start.setdefault(atoms.info["snapshot"], k)
    first = np.array([start[atoms.info["snapshot"]] for atoms in frames])
    swap = first != np.arange(len(frames))
    exact = (truth - truth[first])[swap]
    change = (members - members[first])[swap]
    error, spread = change.mean(axis=1) - exact, change.std(axis=1, ddof=1)
    z = error / spread
    return (
        f"    swaps kept apart: {len(error)}, ΔE {exact.std():.2f} eV rms; error "
        f"{np.sqrt((error**2).mean()):.3f} eV rms, {np.median(np.abs(error)):.3f} eV median; "
        f"spread {np.sqrt((spread**2).mean()):.3f} eV rms, rms z {np.sqrt((z**2).mean()):.2f}"
    )


PARTS = {
    "a": ("nbmotaw", ["run.toml"], analyse_a, show_a, draw_a),
    "b": ("nialcr", ["run.toml", "truth.toml"], analyse_b, show_b, draw_b),
}

if __name__ == "__main__":
    letter, folder = sys.argv[1], Path(sys.argv[2])
    _, _, analyse, show, draw = PARTS[letter]
    report = analyse(folder)
    print(show(report))
    draw(report, folder / f"results.{letter}.png")
