"""What ``quorum pin analyse`` prints: Δμ(T), melting points with both errors, what was refused."""

from __future__ import annotations

import math
import re
import textwrap

import numpy as np

from ..averages.melting import MeltingPoint
from ..pinning.analysis import Report
from ..pinning.branch import Branch, slope_disagrees
from ..pinning.bulk import Difference
from ..pinning.points import Point
from ..units import BOLTZMANN_EV_K

_WIDTH = 98
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def lines(report: Report) -> list[str]:
    """All of it."""
    found: list[str] = []
    for one in report.branches:
        found += [*_table(report, one), *_melting(report, one), ""]
    if report.liquidus is not None:
        found += [*_liquidus(report), ""]
    found += _controls(report)
    for sentence in report.refused:
        found += textwrap.wrap(sentence, _WIDTH, subsequent_indent="  ")
    running = [r.job.name for p in report.points for r in p.runs if r.job.status == "running"]
    if running:
        found.append(f"still running: {', '.join(running)}")
    return found[:-1] if found and not found[-1] else found


def rounded(value: float, *errors: float) -> list[str]:
    """A value and its errors, to the second digit of the smallest error that matters."""
    seen = [abs(e) for e in errors if e > 0 and math.isfinite(e)]
    if not seen:
        return [f"{value:.6g}", *("?" if not math.isfinite(e) else f"{e:g}" for e in errors)]
    decimals = 1 - math.floor(math.log10(max(min(seen), max(seen) / 100)))
    decimals = min(max(decimals, 0), 12)
    return [f"{number:.{decimals}f}" for number in (value, *errors)]


def _table(report: Report, one: Branch) -> list[str]:
    head = "# T/K    Δμ/meV per atom  ± sampling   by bulk runs   runs   independent values of Q"
    if one.liquid_fraction is not None:
        melt = f"# melt: {one.melt_fraction:.3f} {report.elements[0]}"
        head = f"{melt} (crystal: {report.solid_fraction:.3f})\n{head}"
    rows = [head]
    for p, by_bulk in zip(one.points, one.by_bulk_eV, strict=True):
        good = [r.mean for r in p.runs if not r.refused and r.mean is not None]
        count = f"{len(good)} of {len(p.runs)}"
        bulk = f"{1e3 * by_bulk:.3f}" if np.isfinite(by_bulk) else "-"
        if p.delta_mu_eV is None or p.error_eV is None:
            rows.append(f"{p.temperature_K:8.1f} {'refused':>14} {'':12} {bulk:>12} {count:>9}")
            continue
        mu, error = rounded(1e3 * p.delta_mu_eV, 1e3 * p.error_eV)
        independent = sum(m.q.independent for m in good)
        rows.append(
            f"{p.temperature_K:8.1f} {mu:>14} {error:>12} {bulk:>12} {count:>9} {independent:12.0f}"
        )
    return "\n".join(rows).split("\n")


def _melting(report: Report, one: Branch) -> list[str]:
    found = one.melting
    if found is None:
        return textwrap.wrap(f"no melting point: {one.reason}", _WIDTH, subsequent_indent="  ")
    name = "T_m" if one.liquid_fraction is None else "T_liquidus"
    line = f"{name} = {both_errors(found, report.n_members)}"
    at = one.at_melting
    if at is not None:
        line += (
            f"     Δh = {_with_error(at.enthalpy_eV)} eV/atom"
            f"   Δs = {at.entropy_eV_K.value / BOLTZMANN_EV_K:.2f} k_B"
        )
    text = [line]
    if at is not None:
        steep = _with_error(at.dT_dP_K_GPa)
        text.append(f"  Δv = {_with_error(at.volume_A3)} Å³/atom   dT/dP = {steep} K/GPa")
    text += _members(report, one)
    if one.slope_z is not None:
        off = "differs from" if abs(one.slope_z) > 2.5 else "agrees with"
        word = "disagrees with" if slope_disagrees(one) else off
        text.append(
            f"  slope of the points {word} the enthalpies of the bulk runs: {one.slope_z:+.1f} "
            "standard errors"
        )
    if found.verdict != "ok" or found.reasons:
        text.append(f"  {found.verdict}:")
    for reason in _collapsed(found.reasons):
        text += textwrap.wrap(reason, _WIDTH, initial_indent="  ", subsequent_indent="    ")
    return text


def _collapsed(reasons: list[str]) -> list[str]:
    """Of sentences that differ by numbers only, as of several melts, the one of the largest."""
    alike: dict[str, list[str]] = {}
    for one in reasons:
        alike.setdefault(_NUMBER.sub("#", one), []).append(one)
    found = []
    for same in alike.values():
        worst = max(same, key=lambda one: [float(x) for x in _NUMBER.findall(one)])
        more = f" ({len(same)} of this kind)" if len(same) > 1 else ""
        found.append(worst + more)
    return found


def both_errors(found: MeltingPoint, n_members: int) -> str:
    """ "1941 ± 12 (sampling) ± 38 (model) K", or without a model error, and why."""
    if not n_members or not len(found.members_K):
        value, error = rounded(found.temperature_K, found.statistical_error_K)
        return f"{value} ± {error} (sampling) K, no committee: no model error"
    value, error, model = rounded(
        found.temperature_K, found.statistical_error_K, found.model_error_K
    )
    return f"{value} ± {error} (sampling){_model(found, model)} (model) K"


def _model(found: MeltingPoint, number: str) -> str:
    """ " ± 38", or " < 12" where sampling noise alone makes as large a spread as the members'."""
    if found.model_error_K > 0:
        return f" ± {number}"
    return f", < {found.model_error_uncorrected_K:.2g}"


def _members(report: Report, one: Branch) -> list[str]:
    found = one.melting
    if found is None or not len(found.members_K):
        return []
    k = found.members_K
    text = f"  members {k.min():.5g} … {k.max():.5g} K, from {one.members_by}"
    other = one.by_covariance
    if other is not None:
        every = [p.covariance_z() for p in one.points]
        z = np.array([value for values in every if values is not None for value in values])
        value, error = rounded(other.temperature_K, other.model_error_K)
        text += f"; by covariance in the pinned runs {value}{_model(other, error)}"
        if len(z):
            text += f" (differ by {np.sqrt((z**2).mean()):.1f} standard errors, rms)"
    relative = 100 / math.sqrt(2 * (len(k) - 1))
    return [text, f"  {len(k)} members: the model error is itself known to {relative:.0f} %"]


def _with_error(one: Difference) -> str:
    return " ± ".join(rounded(one.value, one.error))


def _liquidus(report: Report) -> list[str]:
    fit = report.liquidus
    assert fit is not None
    omega, error = rounded(fit.omega_eV, fit.omega_error_eV)
    text = [
        f"# liquidus of {report.elements[0]} {report.solid_fraction:.3f}: melt, T/K, ± sampling, "
        "± model",
        *(
            f"{x:8.3f} {T:10.1f} {a:10.1f} {_or_dash(b):>10}"
            for x, T, a, b in zip(
                fit.fractions[::6], fit.temperatures_K[::6], fit.statistical_errors_K[::6],
                fit.model_errors_K[::6], strict=True,
            )
        ),
        f"regular solution: Ω = {omega} ± {error} eV per atom, χ² = {fit.chi2:.1f} for "
        f"{fit.freedom} degrees of freedom",
    ]  # fmt: skip
    for reason in fit.reasons:
        text += textwrap.wrap(reason, _WIDTH, initial_indent="  ", subsequent_indent="    ")
    return text


def _or_dash(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else "-"


def _controls(report: Report) -> list[str]:
    if not report.controls:
        return []
    text = [
        "# controls: T/K    κ/eV       N    Δμ/meV per atom  ± sampling   against the usual runs"
    ]
    for c in report.controls:
        text.append(_control(c.name, c.kappa_eV, c.n_atoms, c.point, c.z))
    for one in report.limits:
        mu, error = rounded(1e3 * one.delta_mu_eV, 1e3 * one.error_eV)
        shift, own = rounded(1e3 * one.shift_eV, 1e3 * one.shift_error_eV)
        text.append(
            f"1/N → 0 at {one.temperature_K:g} K{_melt(one.liquid_fraction)}: Δμ = {mu} ± {error} "
            f"meV per atom, {shift} ± {own} from the usual runs"
        )
    return [*text, ""]


def _melt(fraction: float | None) -> str:
    return "" if fraction is None else f" and a melt of {fraction:g}"


def _control(name: str, kappa: float, n: int, point: Point, z: float | None) -> str:
    line = f"{name:>10} {point.temperature_K:8.1f} {kappa:10.4g} {n:7d}"
    if point.delta_mu_eV is None or point.error_eV is None:
        return f"{line} {'refused':>14}"
    mu, error = rounded(1e3 * point.delta_mu_eV, 1e3 * point.error_eV)
    compared = "-" if z is None else f"{z:+.1f} standard errors"
    return f"{line} {mu:>14} {error:>12}   {compared}"
