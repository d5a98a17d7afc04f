"""``quorum pin``: melting points by interface pinning, in three steps with a module each."""

import argparse
import importlib

# the module that takes the arguments of a step and runs it
STEPS = {
    "prepare": ("pin_run", "bulk phases, and the bias and the box that follow from them"),
    "run": ("pin_run", "what is missing of all runs, resumable, under MPI or as batch jobs"),
    "analyse": ("pin_analyse", "Δμ(T) and T_m with both errors, and why a run is refused"),
}
_EPILOG = (
    "steps:\n"
    + "\n".join(f"  {name:8} {text}" for name, (_, text) in STEPS.items())
    + "\n\n`quorum pin STEP --help` says more. Example:\n"
    "  quorum pin run run.toml && quorum pin analyse run.toml"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The step; the rest belongs to it."""
    parser.epilog = _EPILOG
    parser.usage = "quorum pin STEP run.toml [options]"
    parser.add_argument("action", choices=STEPS, metavar="STEP", help="see below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Run a step."""
    name, text = STEPS[args.action]
    module = importlib.import_module("." + name, __package__)
    parser = argparse.ArgumentParser(
        prog=f"quorum pin {args.action}",
        description=text[0].upper() + text[1:] + ".",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=module.EPILOG,
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument("input", metavar="run.toml", help=getattr(module, "INPUT", "what to run"))
    module.add_arguments(parser)
    step = parser.parse_args(args.arguments, argparse.Namespace(action=args.action))
    args.debug = step.debug = step.debug or args.debug  # --debug may stand on either side
    code: int = module.run(step)
    return code
