"""quorum fit: the built-in potential fitted to DFT data, a calibrated committee in one file."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument(
        "data",
        nargs="+",
        metavar="DATA.extxyz",
        help="structures with energy (eV), forces (eV/Å) and, where known, stress (eV/Å³); "
        "config_type names their group; .xz is unpacked",
    )
    parser.add_argument("-o", "--output", required=True, metavar="OUT.pt", help="file to write")
    parser.add_argument("--members", type=int, default=32, metavar="K", help="members [32]")
    parser.add_argument("--cutoff", type=float, default=5.0, metavar="Å", help="cutoff [5.0]")
    parser.add_argument("--seed", type=int, default=0, help="of split, training and members [0]")
    apart = parser.add_mutually_exclusive_group()
    apart.add_argument(
        "--held-out-fraction",
        type=float,
        default=0.1,
        metavar="X",
        help="part of each group that is kept apart for errors and calibration [0.1]",
    )
    apart.add_argument("--held-out", metavar="FILE", help="structures to keep apart instead")
    parser.add_argument(
        "--epochs", type=int, default=100, help="passes over the data; the time grows with it [100]"
    )
    parser.add_argument("--learning-rate", type=float, default=5e-3, help="[0.005]")
    parser.add_argument(
        "--energy-weight",
        type=float,
        default=2000.0,
        metavar="W",
        help="final weight of squared energy errors per atom, (eV/atom)⁻², against squared force "
        "errors, (eV/Å)⁻² [2000]",
    )
    parser.add_argument(
        "--no-stress", dest="stress", action="store_false", help="ignore stress in the data"
    )
    parser.add_argument(
        "--balance",
        type=float,
        default=0.7,
        metavar="X",
        help="rare groups weigh more by (median size / size) to this power, at most 20 [0.7]",
    )
    parser.add_argument("--radial", type=int, default=8, metavar="N", help="radial functions [8]")
    parser.add_argument(
        "--alchemical", type=int, default=4, metavar="N", help="pseudo-elements [4]"
    )
    parser.add_argument("--channels", type=int, default=24, metavar="N", help="after mixing [24]")
    parser.add_argument("--hidden", type=int, default=64, metavar="N", help="hidden units [64]")
    parser.add_argument("--threads", type=int, help="threads of torch [all cores]")
    parser.epilog = (
        "Prints errors, spread and rms z-scores on the structures kept apart, per config_type;\n"
        "they are also in the file's metadata. Same seed and threads, same result.\n\n"
        "Example:\n  quorum fit data.extxyz -o model.pt --members 32 --cutoff 5.0"
    )


def run(args: argparse.Namespace) -> None:
    """Fit and write."""
    import os
    from pathlib import Path

    # waiting threads that spin take the cores from those that work
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")

    from ..errors import QuorumError
    from ..models.committee import check_output
    from ..models.fit import FitOptions, check_options, fit_potential
    from ..models.fit_data import read_data
    from ..models.fit_train import Training

    out = Path(args.output)
    inputs = [Path(p) for p in [*args.data, *([args.held_out] if args.held_out else [])]]
    check_output(out, inputs)
    if args.threads is not None and args.threads < 1:
        raise QuorumError(f"--threads: got {args.threads}; expected 1 or more")
    options = FitOptions(
        n_members=args.members,
        cutoff_A=args.cutoff,
        seed=args.seed,
        held_out_fraction=args.held_out_fraction,
        stress=args.stress,
        n_radial=args.radial,
        n_alchemical=args.alchemical,
        n_mixed=args.channels,
        n_partners=min(8, args.channels),
        n_hidden=args.hidden,
        balance=args.balance,
        training=Training(
            epochs=args.epochs,
            learning_rate=args.learning_rate,
            final_energy_weight=args.energy_weight,
        ),
    )
    check_options(options)
    result = fit_potential(
        read_data(args.data),
        held_out=read_data([args.held_out]) if args.held_out else None,
        threads=args.threads or len(os.sched_getaffinity(0)),
        progress=True,
        options=options,
    )
    result.save(out)
    print(result.table())
    print(
        f"{out}: {options.n_members} members, fitted to {result.n_train} structures in "
        f"{result.duration_s / 60:.1f} min, {result.n_held_out} kept apart"
    )
