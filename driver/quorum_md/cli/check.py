"""quorum check: what a model file is, and whether its forces are the gradient of its energy."""

import argparse

# above what differences of a smooth energy in double precision leave
FORCE_ERROR_MAX_EV_A = 1e-3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("model", metavar="MODEL", help="metatomic .pt file, or a shipped model")
    parser.add_argument(
        "structure", metavar="STRUCTURE", help="any file that ASE reads; its last frame"
    )
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, … [cpu]")
    parser.add_argument("--dtype", help="float32 or float64 [as the file says]")
    parser.add_argument("--extensions", metavar="FOLDER", help="its TorchScript extensions")
    parser.epilog = "Example:\n  quorum check nbmotaw structure.xyz --json"


def run(args: argparse.Namespace) -> None:
    """Check and print."""
    import json
    import math

    from ..errors import warn
    from ..models import load_potential
    from ..models.check import check_model
    from ..models.committee import finite_range
    from ..models.frames import read_frames
    from ..models.metatomic_model import MetatomicPotential
    from ..models.potential import find_model

    path = find_model(args.model)
    atoms = read_frames(args.structure, "-1")[0]
    potential = load_potential(path, args.device, args.dtype, args.extensions)
    assert isinstance(potential, MetatomicPotential)
    exact = potential
    if potential.dtype != "float64":
        exact = MetatomicPotential(path, args.device, "float64", args.extensions)
    report = check_model(potential, exact, atoms)
    if report.max_force_error_eV_A > FORCE_ERROR_MAX_EV_A:
        warn(
            f"{potential.name}: forces differ by {report.max_force_error_eV_A:.2g} eV/Å from "
            "finite differences of the energy: they are not its gradient, or the energy has a kink "
            "at its cutoff; find out which before you run dynamics with it"
        )
    if args.json:
        print(json.dumps(report.as_json(), indent=1))
        return
    capabilities = potential.model.capabilities()
    energy_unit = capabilities.outputs["energy"].unit if "energy" in capabilities.outputs else "?"
    virial = report.max_virial_error_eV
    spread = report.spread_eV
    rows = [
        ("species", " ".join(potential.species)),
        ("members", report.n_members),
        (
            "interaction range",
            f"{finite_range(report.interaction_range_A)} measured, "
            f"{finite_range(potential.declared_range_A)} declared",
        ),
        ("units in the file", f"{capabilities.length_unit or '?'}, {energy_unit or '?'}"),
        ("precision", potential.dtype),
        ("runs in", "compiled kernel" if potential.kernel else f"torch ({potential.device})"),
        ("atoms", report.n_atoms),
        ("energy", f"{report.energy_eV:.6f} eV"),
        (
            "spread",
            f"{spread:.6f} eV ({1e3 * spread / report.n_atoms:.3f} meV/atom)"
            if math.isfinite(spread)
            else "none: a single model has no model error",
        ),
        ("forces", f"within {report.max_force_error_eV_A:.2g} eV/Å of finite differences"),
        (
            "virial",
            f"within {virial:.2g} eV of finite differences"
            if math.isfinite(virial)
            else "not periodic: not checked",
        ),
        ("time per atom", f"{report.time_per_atom_us:.1f} µs (energy and forces)"),
    ]
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        print(f"{name:{width}}  {text}")
