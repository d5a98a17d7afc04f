"""Functions of averages (heat capacities, response functions, ratios) with both errors.

A function f of averages is linearised about them: φ_t = Σ_k ∂f/∂⟨x_k⟩ (x_k,t − ⟨x_k⟩) is an
ordinary observable whose mean has the sampling error of f, and whose covariance with h_i is the
first-order change of f under member i. Expanding f itself, in place of expanding each average and
inserting them, keeps the orders together: the variance of an energy changes in proportion to the
number of atoms, while the square of the energy's first-order shift, which insertion would leave
uncancelled, grows with its square.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import QuorumError
from ..units import EV_A3_BAR, thermal_energy_eV
from .checks import (
    CHUNK_FRAMES,
    Ensemble,
    check_method,
    chunks,
    ensemble,
    finite,
    observable_values,
)
from .expansion import Values, condense, evaluate, overlap
from .reweighting import Reweighted, summarise
from .weights import FrameWeights

Array = NDArray[np.float64]


def function_of_averages(
    function: Callable[..., float],
    series: Sequence[ArrayLike],
    member_energies_eV: ArrayLike,
    *,
    kT_eV: float,
    averaged: Callable[..., Sequence[ArrayLike]] | None = None,
    reference: str | int | ArrayLike = "mean",
    method: str = "cumulant",
    weights: ArrayLike | FrameWeights | None = None,
    order: int = 1,
) -> Reweighted:
    """Any smooth function of averages, f(⟨x_1⟩, ⟨x_2⟩, …), with sampling error and model error.

    Args:
        function: takes q floats, returns a float.
        series: arrays (n,), the same for every member, or (n, K), column i belonging to member i.
        member_energies_eV, kT_eV, reference, method, weights, order: as in `reweight`.
        averaged: from the series (n,) of one member, the q arrays (n,) whose averages enter the
            function; the series themselves if None. A variance has `averaged=lambda x: (x, x * x)`
            and `function=lambda m1, m2: m2 - m1**2`. For the mean of the members it is called with
            the mean of the series, so that the square is that of the mean.

    Subtract large constants from the series first where the function lets you: a variance from
    energies of −10⁴ eV loses half its digits. Statistical bias of order 1/(independent frames), as
    a variance has, is not removed.

    Raises:
        QuorumError: as `reweight`; also if the function is not finite at the averages.
    """
    check_method(method, order)
    run = ensemble(member_energies_eV, kT_eV, reference, weights)
    inputs = _inputs(series, run)
    shared = all(array.ndim == 1 for array in inputs)
    direct = method == "direct"
    moment_values = _moment_values(inputs, run, averaged, shared)
    moments = condense(moment_values, run, direct=direct)
    # every potential its own row from here on: the point of expansion may differ
    rows = run.n_members + 1
    point = moments.means(direct=direct)
    points = np.broadcast_to(point, (rows, point.shape[1]))
    steps = np.broadcast_to(moments.standard_errors(), points.shape)
    gradients = np.array([_gradient(function, *at) for at in zip(points, steps, strict=True)])
    values = np.array([_value(function, at) for at in points])
    curvature: Array | float = 0.0
    if not direct:
        shifts = -moments.covariances()
        curvature = np.array([[_bend(function, *at)] for at in zip(points, shifts, strict=True)])
    linear = moments.linearised(gradients, points, values)
    variance = _variance(moment_values, run, points[-1], gradients[-1])
    result = evaluate(linear, method=method, order=order, curvature=curvature, variance=variance)
    return summarise(result, overlap(run), run.kT_eV, run.n_frames, method, order, shape=())


def _variance(values: Values, run: Ensemble, point: Array, gradient: Array) -> Array:
    """(1,) variance over the frames of the linearised function of the members' mean."""
    first = second = 0.0
    for rows in chunks(run.n_frames, CHUNK_FRAMES):
        part = values(rows)
        linear = ((part if part.ndim == 2 else part[:, -1]) - point) @ gradient
        first += float(run.weights.values[rows] @ linear)
        second += float(run.weights.values[rows] @ linear**2)
    return np.array([second - first**2])


def _moment_values(
    inputs: Sequence[Array],
    run: Ensemble,
    averaged: Callable[..., Sequence[ArrayLike]] | None,
    shared: bool,
) -> Values:
    """Chunks of what is averaged, (c, q) or (c, K + 1, q)."""
    transform = averaged if averaged is not None else _same

    def one(columns: Sequence[Array]) -> Array:
        moments = np.stack([np.asarray(x, dtype=float) for x in transform(*columns)], axis=-1)
        if moments.shape[:1] != columns[0].shape or not np.isfinite(moments).all():
            raise QuorumError(
                "averaged: returned values that are not finite, or not one per frame; expected "
                "arrays of finite numbers as long as those given"
            )
        return moments

    def chunk(rows: slice) -> Array:
        parts = [array[rows] for array in inputs]
        if shared:
            return one(parts)
        mean = [part if part.ndim == 1 else part.mean(axis=1) for part in parts]
        members = [_columns(parts, i) for i in range(run.n_members)]
        return np.stack([one(columns) for columns in (*members, mean)], axis=1)

    return chunk


def heat_capacity(
    member_energies_eV: ArrayLike,
    *,
    temperature_K: float,
    volume_A3: ArrayLike | None = None,
    pressure_bar: float = 0.0,
    reference: str | int | ArrayLike = "mean",
    method: str = "cumulant",
    weights: ArrayLike | FrameWeights | None = None,
    order: int = 1,
) -> Reweighted:
    """Configurational heat capacity in units of k_B: var(V)/(kT)², or var(V + pΩ)/(kT)².

    Each member's own energy fluctuates under that member. Classical nuclei add ½ per momentum
    (3N/2 for N atoms without constraints), with no model error; divide by N for a value per atom.

    Args:
        member_energies_eV: (n, K).
        temperature_K: of the run.
        volume_A3: (n,) volumes of a run at constant pressure; None at constant volume.
        pressure_bar: the pressure of that run.
        reference, method, weights, order: as in `reweight`.
    """
    kT_eV = thermal_energy_eV(temperature_K)
    energies = finite("member_energies_eV", member_energies_eV, "(frames, members)")
    total = energies
    if volume_A3 is not None:
        volume = finite("volume_A3", volume_A3, "(frames,)")
        if volume.shape != energies.shape[:1]:
            raise QuorumError(
                f"volume_A3: got shape {volume.shape}, expected {energies.shape[:1]}: one volume "
                "per frame of member_energies_eV"
            )
        total = energies + (pressure_bar / EV_A3_BAR) * volume[:, None]
    total = (total - total.mean()) / kT_eV  # dimensionless and without the large constant
    return function_of_averages(
        lambda first, second: second - first**2,
        [total],
        energies,
        kT_eV=kT_eV,
        averaged=lambda x: (x, x * x),
        reference=reference,
        method=method,
        weights=weights,
        order=order,
    )


def _same(*arrays: Array) -> Sequence[Array]:
    return arrays


def _inputs(series: Sequence[ArrayLike], run: Ensemble) -> list[Array]:
    """Series as (n,) or (n, K)."""
    if isinstance(series, np.ndarray) or not series:
        raise QuorumError("series: expected a list of arrays, one for each argument of `averaged`")
    result = []
    for number, one in enumerate(series):
        array = observable_values(f"series[{number}]", one, run.n_frames)
        if array.ndim > 2 or (array.ndim == 2 and array.shape[1] != run.n_members):
            raise QuorumError(
                f"series[{number}]: got shape {array.shape}, expected ({run.n_frames},) or "
                f"({run.n_frames}, {run.n_members}), one column per member"
            )
        result.append(array)
    return result


def _columns(inputs: Sequence[Array], index: int) -> list[Array]:
    return [array if array.ndim == 1 else array[:, index] for array in inputs]


def _value(function: Callable[..., float], point: Array) -> float:
    value = float(function(*point))
    if not np.isfinite(value):
        raise QuorumError(
            f"function: is {value} at the averages {', '.join(f'{x:g}' for x in point)}; expected "
            "a finite number"
        )
    return value


def _gradient(function: Callable[..., float], point: Array, steps: Array) -> Array:
    """Central differences over one standard error: the scale on which the function matters."""
    gradient = np.zeros_like(point)
    for k, step in enumerate(steps):
        if step > 0:
            up, down = point.copy(), point.copy()
            up[k] += step
            down[k] -= step
            gradient[k] = (_value(function, up) - _value(function, down)) / (up[k] - down[k])
    return gradient


def _bend(function: Callable[..., float], point: Array, shift: Array) -> float:
    """½ Σ f_kl c_k c_l along the first-order shift c of the averages."""
    scale = 0.1  # a tenth of the shift stays near the point where a function may end soon
    up, down = _value(function, point + scale * shift), _value(function, point - scale * shift)
    return (up - 2 * _value(function, point) + down) / (2 * scale**2)
