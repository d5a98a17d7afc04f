"""Observables by name, and functions of the user, over a trajectory in one pass.

``compute("rdf:Nb-Mo,cutoff_A=8", "simulation.pos_0.xyz")``: a name, after a colon its main argument
and options. ``compute("my.py:function", …)`` and ``compute("package.module:function", …)`` call a
function of a `Frame` that returns a number or an array; its attribute `unit`, if it has one, or the
option ``unit=…`` says in what.
"""

import ast
import importlib
import inspect
import runpy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import QuorumError
from ..tables import PathLike, current_branch
from . import cell as cells
from .displacement import diffusion, msd
from .followed import refuse_exchanges
from .frames import Array, Frame, Frames
from .rdf import coordination, rdf
from .series import PerFrame, Series
from .short_range_order import short_range_order
from .steinhardt import steinhardt
from .trajectory import Trajectory
from .whole import Layer

Function = Callable[..., Any]
Request = str | Function | tuple[str | Function, dict[str, Any]]


@dataclass(frozen=True)
class Recipe:
    """How an observable is made.

    Attributes:
        build: (first frames, options) -> `PerFrame`, or (`Whole` trajectory, options) -> `Series`.
        argument: option that may stand alone after the colon.
        whole: needs the whole trajectory.
        summary: one line of help.
    """

    build: Callable[..., Any]
    argument: str | None
    whole: bool
    summary: str


RECIPES = {
    "rdf": Recipe(rdf, "pair", False, "radial distribution function, rdf:Nb-Mo or rdf:all"),
    "coordination": Recipe(coordination, "pair", False, "neighbours within cutoff_A=…"),
    "short_range_order": Recipe(
        short_range_order, "lattice", False, "Warren–Cowley α, short_range_order:bcc,shells=2"
    ),
    "volume": Recipe(cells.volume, None, False, "volume of the cell"),
    "density": Recipe(cells.density, None, False, "mass density"),
    "lattice_parameter": Recipe(
        cells.lattice_parameter, "lattice", False, "of a cubic crystal, lattice_parameter:bcc"
    ),
    "cell": Recipe(cells.cell, "repeat", False, "lengths and angles, cell:repeat=(3,3,3)"),
    "steinhardt": Recipe(steinhardt, "l", False, "bond order Q_l, steinhardt:6,neighbours=12"),
    "msd": Recipe(msd, "element", True, "mean-square displacement, msd:Li"),
    "diffusion": Recipe(diffusion, "element", True, "diffusion:Li,timestep_fs=1"),
}


def parse(text: str) -> tuple[str, dict[str, Any]]:
    """Name and options of "rdf:Nb-Mo,cutoff_A=8" or "my.py:function,unit=eV".

    Raises:
        QuorumError: not a known name nor a function, an option without a value.
    """
    head, colon, tail = text.partition(":")
    if head in RECIPES:
        parts, name = _split(tail) if colon else [], head
    else:
        # the last colon before any option separates file or module and function
        target, *parts = _split(text)
        if ":" not in target:
            raise QuorumError(
                f"observable: got {text!r}, expected {', '.join(RECIPES)}, or a function as "
                "my.py:function or module:function"
            )
        name = target
    options: dict[str, Any] = {}
    for position, part in enumerate(parts):
        key, equals, value = part.partition("=")
        main = RECIPES[name].argument if name in RECIPES else None
        if not equals and position == 0 and main is not None:
            key, value = main, part
        elif not equals:
            raise QuorumError(
                f"observable: got {part!r} in {text!r}, expected an option with its value, such as "
                "cutoff_A=8"
            )
        options[key.strip()] = _value(value.strip())
    return name, options


def compute(
    name: str | Function,
    trajectory: PathLike | Trajectory | Sequence[PathLike | Trajectory],
    **options: Any,
) -> Series:
    """One observable along a trajectory.

    Args:
        name: of an observable (`RECIPES`), with options or without; a function of a `Frame`; or
            where to find one.
        trajectory: a file, or one per bead: the mean over the beads.
        options: of the observable.

    Raises:
        QuorumError: unreadable files, unknown observables or options, values that are not finite.
    """
    return compute_many([(name, options)], trajectory)[0]


def compute_many(
    requests: Sequence[Request],
    trajectory: PathLike | Trajectory | Sequence[PathLike | Trajectory],
) -> list[Series]:
    """Several observables in one pass over the files; see `compute`."""
    several = (
        [trajectory]
        if isinstance(trajectory, (str, Path, Trajectory))
        else list(
            trajectory  # type: ignore[arg-type]
        )
    )
    beads = [one if isinstance(one, Trajectory) else Trajectory(one) for one in several]
    wanted = [_resolve(request) for request in requests]
    if len(beads) > 1:
        for name, recipe, _ in wanted:
            if recipe.whole:
                raise QuorumError(
                    f"{name}: beads have no displacement of their own, expected one trajectory; "
                    "give that of the centroid (<trajectory> x_centroid </trajectory>)"
                )
    by_bead = [_one_pass(wanted, bead) for bead in beads]
    return (
        by_bead[0] if len(beads) == 1 else [_bead_mean(list(s)) for s in zip(*by_bead, strict=True)]
    )


def _one_pass(
    wanted: list[tuple[str, Recipe, dict[str, Any]]], trajectory: Trajectory
) -> list[Series]:
    with Layer() as layer:
        return _evaluated(wanted, trajectory, layer)


def _evaluated(
    wanted: list[tuple[str, Recipe, dict[str, Any]]], trajectory: Trajectory, layer: Layer
) -> list[Series]:
    first = trajectory.first()
    simple: dict[int, PerFrame] = {}
    for k, (name, recipe, options) in enumerate(wanted):
        _check_options(name, recipe, options)
        if not recipe.whole:
            simple[k] = recipe.build(first, **options)
    follow = len(simple) < len(wanted)
    if follow:
        refuse_exchanges(trajectory.path)
    steps = []
    parts: dict[int, list[Array]] = {k: [] for k in simple}
    for frames in trajectory.chunks():
        if frames.elements != first.elements:
            extra = [e for e in frames.elements if e not in first.elements]
            raise QuorumError(
                f"{trajectory.path}: {', '.join(extra)} appear after the first frames; state all "
                "elements (elements=…)"
            )
        steps.append(frames.steps)
        if follow:
            layer.add(frames)
        for k, observable in simple.items():
            values = np.asarray(observable.evaluate(frames), dtype=float)
            _check_values(wanted[k][0], values, frames, parts[k])
            parts[k].append(values)
    all_steps = np.concatenate(steps)
    branch = current_branch(all_steps)
    notes = list(trajectory.notes)
    if not branch.all():
        notes.append(
            f"{trajectory.path}: {int((~branch).sum())} frames of a branch that a restart replaced "
            "were left out"
        )
    whole = layer.whole() if follow else None
    results = []
    for k, (name, recipe, options) in enumerate(wanted):
        if recipe.whole:
            series = recipe.build(whole, **options)
            series = replace(series, notes=(*series.notes, *notes))
        else:
            made = simple[k]
            series = Series(
                _label(name, recipe, options),
                all_steps[branch],
                np.concatenate(parts[k])[branch],
                made.unit,
                made.axes,
                (*made.notes, *notes),
            )
        results.append(series)
    return results


def _resolve(request: Request) -> tuple[str, Recipe, dict[str, Any]]:
    target, options = request if isinstance(request, tuple) else (request, {})
    if not isinstance(target, str):
        return getattr(target, "__name__", "function"), _user(target), dict(options)
    name, stated = parse(target)
    both = {**stated, **options}
    if name in RECIPES:
        return name, RECIPES[name], both
    return name, _user(_load(name)), both


def _user(function: Function) -> Recipe:
    """A function of a `Frame` as an observable."""
    name = getattr(function, "__name__", repr(function))

    def build(_: Frames, unit: str | None = None, **options: Any) -> PerFrame:
        def call(frame: Frame) -> Array:
            try:
                return np.asarray(function(frame, **options), dtype=float)
            except Exception as error:
                raise QuorumError(
                    f"{name}: failed at step {frame.step} with {type(error).__name__}: {error}; "
                    "expected a number or an array, correct the function"
                ) from error

        def evaluate(frames: Frames) -> Array:
            values = [call(frames.frame(row)) for row in range(len(frames))]
            if any(value.shape != values[0].shape for value in values):
                shapes = sorted({value.shape for value in values})
                raise QuorumError(
                    f"{name}: gives arrays of shapes {', '.join(map(str, shapes))}, expected one "
                    "shape in all frames"
                )
            return np.stack(values)

        stated = unit if unit is not None else getattr(function, "unit", "")
        return PerFrame(evaluate, str(stated))

    return Recipe(build, None, False, "")


def _load(place: str) -> Function:
    """The function of "path/my.py:function" or "package.module:function"."""
    source, _, name = place.rpartition(":")
    if source.endswith(".py") and not Path(source).is_file():
        raise QuorumError(f"{source}: no such file, expected one with the function {name}")
    try:
        if source.endswith(".py"):
            module = runpy.run_path(source)
        else:
            module = vars(importlib.import_module(source))
    except Exception as error:
        raise QuorumError(
            f"{source}: cannot be imported ({type(error).__name__}: {error}); expected a module "
            f"with the function {name}"
        ) from error
    function = module.get(name)
    if not callable(function):
        raise QuorumError(f"{source}: has no function {name!r}, expected one that takes a frame")
    return function


def _check_options(name: str, recipe: Recipe, options: dict[str, Any]) -> None:
    parameters = list(inspect.signature(recipe.build).parameters.values())[1:]
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    unknown = [key for key in options if key not in {p.name for p in parameters}]
    missing = [p.name for p in parameters if p.default is p.empty and p.name not in options]
    if unknown or missing:
        what = f"unknown option {unknown[0]!r}" if unknown else f"no {missing[0]}"
        raise QuorumError(
            f"{name}: got {what}, expected options from {', '.join(p.name for p in parameters)}"
        )


def _check_values(name: str, values: Array, frames: Frames, before: list[Array]) -> None:
    if before and values.shape[1:] != before[0].shape[1:]:
        raise QuorumError(
            f"{name}: gives arrays of shapes {before[0].shape[1:]} and {values.shape[1:]}, "
            "expected one shape in all frames"
        )
    bad = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    if bad.any():
        raise QuorumError(
            f"{name}: is not finite at step {frames.steps[int(np.argmax(bad))]}, expected finite "
            "numbers in all frames"
        )


def _bead_mean(series: list[Series]) -> Series:
    steps = reduce(np.intersect1d, [one.steps for one in series])
    if not len(steps):
        raise QuorumError(
            f"{series[0].name}: the beads have no step in common, expected the files of one run"
        )
    values = np.mean([one.values[np.isin(one.steps, steps)] for one in series], axis=0)
    notes = dict.fromkeys(note for one in series for note in one.notes)
    return replace(
        series[0], steps=steps, values=values, notes=(*notes, f"mean over {len(series)} beads")
    )


def _label(name: str, recipe: Recipe, options: dict[str, Any]) -> str:
    main = options.get(recipe.argument) if recipe.argument else None
    return name if main is None else f"{name}:{main}"


def _split(text: str) -> list[str]:
    """At commas outside brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part for part in parts if part.strip()]


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
