"""Averages of the runs with their two errors: a table, results.json and results.png."""

import json
from pathlib import Path

import ase.io
import numpy as np

from quorum_md.averages import heat_capacity, reweight
from quorum_md.averages.ipi_run import load_run
from quorum_md.models import load_potential
from quorum_md.units import BOLTZMANN_EV_K

VERDICTS = ["ok", "doubtful", "invalid"]


def best(values, energies_eV, **options):
    """The cumulant expansion, or direct reweighting where only that is valid.

    The energy above the minimum of a harmonic crystal is the same for every member, whatever its
    stiffness: the first order of the expansion nearly cancels and the second matters. In a small
    cell enough effective samples are left to reweight directly.
    """
    expansion = reweight(values, energies_eV, **options)
    if expansion.verdict == "ok":
        return expansion
    direct = reweight(values, energies_eV, method="direct", **options)
    better = VERDICTS.index(direct.verdict) < VERDICTS.index(expansion.verdict)
    return direct if better else expansion


def observables(folder, static_eV, n_atoms):
    """Energy above the relaxed crystal, lattice parameter and heat capacity of one run."""
    run = load_run(
        folder / "simulation.out",
        [folder / "simulation.committee_pot_0"],
        input_path=folder / "input.xml",
        discard="auto",
    )
    volume = run.table.column("volume").values[run.rows]
    options = {"kT_eV": run.kT_eV, "reference": run.reference}
    # each member's own energy, above its own energy of the relaxed crystal
    thermal_meV = 1e3 * (run.energies_eV - static_eV) / n_atoms
    lattice_A = np.cbrt(2 * volume / n_atoms)
    return run, {
        "energy_meV_per_atom": best(thermal_meV, run.energies_eV, committee="paired", **options),
        "lattice_A": best(lattice_A, run.energies_eV, **options),
        "fluctuation_heat_capacity_kB": heat_capacity(
            run.energies_eV, temperature_K=run.temperature_K, volume_A3=volume, pressure_bar=0.0
        ),
    }


def slope_heat_capacity(temperatures_K, energies, n_atoms):
    """C_p/k_B per atom from E(T) = c + a T + b T², weighted least squares (three temperatures or
    more).

    A linear function of the averages, so the sampling errors of independent runs add in squares,
    and every member has its own; c, as the energy is counted from the crystal relaxed with the mean
    of the members and not with each of them. Returns one dict per temperature.
    """
    T = np.asarray(temperatures_K, dtype=float)
    sigma = np.array([e.statistical_error for e in energies])
    design = np.stack([np.ones_like(T), T, T**2], axis=1)
    # (3, n): the fit is linear in the energies
    fit = np.linalg.pinv(design / sigma[:, None]) / sigma
    coefficients = np.stack([np.zeros_like(T), np.ones_like(T), 2 * T], axis=1) @ fit  # dE/dT
    per_kB = 1e-3 / BOLTZMANN_EV_K
    members = per_kB * coefficients @ np.stack([e.members for e in energies])  # (n, K)
    noise = per_kB**2 * coefficients**2 @ [e.model_error_noise**2 for e in energies]
    kinetic = 1.5 * (n_atoms - 1) / n_atoms  # the centre of mass is at rest
    spread = members.var(axis=1, ddof=1)
    return [
        {
            "mean": float(kinetic + per_kB * coefficients[t] @ [e.mean for e in energies]),
            "sampling_error": float(per_kB * np.sqrt(coefficients[t] ** 2 @ sigma**2)),
            "model_error": float(np.sqrt(max(0.0, spread[t] - noise[t]))),
            "model_error_noise": float(np.sqrt(noise[t])),
            "members": (kinetic + members[t]).tolist(),
        }
        for t in range(len(T))
    ]


def numbers(result, scale=1.0, shift=0.0):
    """The parts of a result that go into results.json."""
    return {
        "mean": shift + scale * result.mean,
        "sampling_error": scale * result.statistical_error,
        "model_error": scale * result.model_error,
        "model_error_noise": scale * result.model_error_noise,
        "members": (shift + scale * result.members).tolist(),
        "method": result.method,
        "effective_samples": [float(x) for x in result.effective_samples],
        "second_to_first_order": result.second_to_first_order,
        "verdict": result.verdict,
        "reasons": result.reasons,
    }


def analyse(folder, model="nbmotaw"):
    """Everything about the runs in ``folder`` (one subfolder per temperature)."""
    atoms = ase.io.read(folder / "alloy.xyz")
    atoms.calc = None
    n_atoms = len(atoms)
    # the dynamics ran in the precision of the file: the zero must be of the same potential
    potential = load_potential(model)
    static_eV = potential.evaluate([atoms], forces=False)[0].member_energies_eV
    runs = [
        observables(path.parent, static_eV, n_atoms) for path in folder.glob("*/simulation.out")
    ]
    runs.sort(key=lambda pair: pair[0].temperature_K)
    temperatures = [run.temperature_K for run, _ in runs]
    energies = [found["energy_meV_per_atom"] for _, found in runs]
    heat = slope_heat_capacity(temperatures, energies, n_atoms)
    kinetic = 1.5 * (n_atoms - 1) / n_atoms
    rows = []
    for (run, found), capacity in zip(runs, heat, strict=True):
        fluctuation = found["fluctuation_heat_capacity_kB"]
        rows.append(
            {
                "temperature_K": run.temperature_K,
                "n_frames": len(run.steps),
                "n_discarded": run.n_discarded,
                "energy_meV_per_atom": numbers(found["energy_meV_per_atom"]),
                "lattice_A": numbers(found["lattice_A"]),
                "heat_capacity_kB_per_atom": capacity,
                "fluctuation_heat_capacity_kB_per_atom": numbers(
                    fluctuation, scale=1 / n_atoms, shift=kinetic
                ),
            }
        )
    return {
        "system": "NbMoTaW, equiatomic, random, bcc",
        "n_atoms": n_atoms,
        "pressure_bar": 0.0,
        "model": str(model),
        "n_members": potential.n_members,
        "results": rows,
    }


def cell(entry, digits):
    """value ± sampling ± model; a model error below what the run resolves as its bound"""
    resolved = entry["model_error"] > 0
    model = entry["model_error"] if resolved else entry["model_error_noise"]
    return (
        f"{entry['mean']:.{digits}f} ± {entry['sampling_error']:.{digits}f} ± "
        f"{'' if resolved else '<'}{model:.{digits}f}"
    )


def table(report):
    """The averages as text with their verdicts, and why the first that is not ok is not."""
    lines = [
        f"{report['system']}, {report['n_atoms']} atoms, 0 bar; committee {report['model']}, "
        f"{report['n_members']} members",
        f"  {'T/K':>4}   {'energy/meV per atom':22} {'':10}   {'lattice/Å':28} {'':4}   "
        "C_p/k_B per atom",
    ]
    doubts = []
    for row in report["results"]:
        energy, lattice = row["energy_meV_per_atom"], row["lattice_A"]
        lines.append(
            f"  {row['temperature_K']:4.0f}   {cell(energy, 2):22} {energy['verdict']:10}   "
            f"{cell(lattice, 5):28} {lattice['verdict']:8}   "
            f"{cell(row['heat_capacity_kB_per_atom'], 3)}"
        )
        for name, entry in (("energy", energy), ("lattice", lattice)):
            doubts += [(name, row["temperature_K"], reason) for reason in entry["reasons"]]
    lines.append(
        "  (± sampling ± model; energy above the relaxed crystal, C_p its slope in T; each with "
        "the verdict on its model error)"
    )
    lines += [f"  {name} at {kelvin:.0f} K: {reason}" for name, kelvin, reason in doubts[:1]]
    if len(doubts) > 1:
        lines.append("  (the reasons of all verdicts are in results.json)")
    return "\n".join(lines)


def figure(report, path):
    """Three panels against temperature: every member a thin line, both errors on the mean."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = report["results"]
    T = np.array([row["temperature_K"] for row in rows])
    classical = 1.5e3 * BOLTZMANN_EV_K * T
    panels = [
        ("energy_meV_per_atom", r"$\langle V\rangle/N-\frac{3}{2}kT$ / meV", classical),
        ("lattice_A", r"lattice parameter / Å", 0 * T),
        ("heat_capacity_kB_per_atom", r"$C_p/Nk_\mathrm{B}$", 0 * T),
    ]
    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    fig, axes = plt.subplots(1, 3, figsize=(10.5, 3.4), constrained_layout=True)
    blue, orange = "#1f5f99", "#d9772b"
    for ax, (key, label, zero) in zip(axes, panels, strict=True):
        mean, sampling, model = (
            np.array([row[key][name] for row in rows])
            for name in ("mean", "sampling_error", "model_error")
        )
        members = np.array([row[key]["members"] for row in rows])
        mean, members = mean - zero, members - zero[:, None]
        ax.plot(T, members, color="0.6", lw=0.5, alpha=0.6, zorder=1)
        ax.plot([], [], color="0.6", lw=0.5, label="members")
        ax.fill_between(
            T, mean - model, mean + model, color=orange, alpha=0.35, lw=0, label="model error"
        )
        ax.errorbar(
            T, mean, sampling, fmt="o-", ms=4, lw=1.2, capsize=3, color=blue, label="mean, sampling"
        )
        ax.set_xlabel("T / K")
        ax.set_ylabel(label)
        ax.margins(x=0.06)
    key = "fluctuation_heat_capacity_kB_per_atom"
    axes[2].errorbar(
        T + 12,
        [row[key]["mean"] for row in rows],
        [row[key]["sampling_error"] for row in rows],
        fmt="s",
        ms=4,
        mfc="white",
        color="0.35",
        capsize=2,
        lw=0.8,
        label="from fluctuations",
    )
    axes[0].legend(frameon=False, fontsize=8, loc="upper left")
    axes[2].legend(
        *([x[-1:] for x in axes[2].get_legend_handles_labels()]),
        frameon=False,
        fontsize=8,
        loc="lower right",
    )
    fig.suptitle(
        f"NbMoTaW, {report['n_atoms']} atoms, 0 bar, committee of {report['n_members']}",
        fontsize=10,
    )
    fig.savefig(path, dpi=150)
    plt.close(fig)


if __name__ == "__main__":
    here = Path.cwd()
    found = analyse(here)
    print(table(found))
    (here / "results.json").write_text(json.dumps(found, indent=1))
    figure(found, here / "results.png")
