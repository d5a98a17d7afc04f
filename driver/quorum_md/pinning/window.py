"""The bias of the pinned runs: does the variable tell the phases apart, where and how stiff.

The centre a is the middle of the bulk values Q_s and Q_l, the stiffness κ such that the thermal
width √(kT/κ) is a small part of Q_s − Q_l. Its fastest motion, ω² = κ Σ |∇Q|²/m, must be slow
against the time step. U. R. Pedersen, F. Hummel, G. Kresse, G. Kahl and C. Dellago, Phys. Rev. B
88, 094101 (2013), doi:10.1103/PhysRevB.88.094101.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ase import Atoms

from ..errors import QuorumError, QuorumWarning
from ..order_parameters.pinned import Named, PinnedVariable
from ..units import ATOMIC_TIME_FS, BOHR_A, DALTON_ELECTRON_MASSES, HARTREE_EV, thermal_energy_eV
from .crystal import Box, nearest_distance, scaled
from .jobs_on_disk import Job
from .run_input import Pin, PinFile

Array = npt.NDArray[np.float64]

# eV/(Å² Da) in fs⁻²
_STIFFNESS_FS2 = BOHR_A**2 / (HARTREE_EV * DALTON_ELECTRON_MASSES * ATOMIC_TIME_FS**2)
_SLOW = 0.3  # ω Δt of a κ that is chosen
_STABLE = 1.0  # of one that is given
_APART = 4.0  # difference of the means over the sum of both widths
_SAME = 0.2  # of the difference that a crystal has to one shaken to pieces
_SHAKEN = 0.35  # displacements that leave no order, in shortest distances
_WARM = 0.07  # those of a crystal near melting
_BETWEEN = (0.1, 0.15, 0.2, 0.25)


@dataclass(frozen=True)
class Window:
    """What was chosen, and from what.

    Attributes:
        solid, liquid: mean and standard deviation of the variable in the bulk.
        width: √(kT/κ) as a part of the difference.
        motion: ω Δt.
        why: how κ and a came about.
    """

    temperature_K: float
    fraction: float | None
    solid: tuple[float, float]
    liquid: tuple[float, float]
    kappa_eV: float
    center: float
    width: float
    motion: float
    why: str

    HEAD = (
        "#   T/K        Q_solid         Q_liquid          a        kappa/eV   width  omega*dt  why"
    )

    def row(self) -> str:
        """One line under `HEAD`."""
        melt = "" if self.fraction is None else f" (melt x = {self.fraction:.3f})"
        return (
            f"{self.temperature_K:8.1f} {self.solid[0]:9.3f} ± {self.solid[1]:<6.3f}"
            f"{self.liquid[0]:9.3f} ± {self.liquid[1]:<6.3f}{self.center:9.3f}  "
            f"{self.kappa_eV:11.5g}  {100 * self.width:4.1f} %  {self.motion:8.3f}  "
            f"{self.why}{melt}"
        )


def settled(job: Job, column: str) -> Array:
    """A series without its first fifth, in which a bulk phase may still relax."""
    values = job[column]
    return values[len(values) // 5 :]


def choose(file: PinFile, box: Box, variable: PinnedVariable, solid: Job, liquid: Job,
           timestep_fs: float, factor: float = 1.0) -> Window:  # fmt: skip
    """κ and a from the bulk runs.

    Args:
        factor: of κ, for controls.

    Raises:
        QuorumError: a variable that does not tell the phases apart, phases that are the same, a κ
            that is too stiff for the time step.
    """
    pin, kelvin = file.settings.pin, solid.temperature_K
    q_s, q_l = settled(solid, "q"), settled(liquid, "q")
    of_solid = float(q_s.mean()), float(q_s.std())
    of_liquid = float(q_l.mean()), float(q_l.std())
    difference = of_solid[0] - of_liquid[0]
    if not abs(difference) > _APART * (of_solid[1] + of_liquid[1]):
        raise _not_apart(file, variable, solid, liquid, of_solid, of_liquid)
    _check_phases(file, box, variable, solid, liquid, difference)
    center = pin.center if pin.center is not None else 0.5 * (of_solid[0] + of_liquid[0])
    low, high = sorted((of_solid[0], of_liquid[0]))
    if not low < center < high:
        raise file.error(
            "pin", f"center: got {center:g}, expected it between the bulk values {low:g} and "
            f"{high:g} of {variable.text} at {kelvin:g} K; leave it out to have their middle",
        )  # fmt: skip
    inertia = inverse_mass(box, variable, solid) * _STIFFNESS_FS2 * timestep_fs**2
    kappa, why = _kappa(file, pin, kelvin, difference, inertia, factor)
    kT = thermal_energy_eV(kelvin)
    return Window(
        kelvin, liquid.liquid_fraction, of_solid, of_liquid, kappa, center,
        float(np.sqrt(kT / kappa) / abs(difference)), float(np.sqrt(kappa * inertia)), why,
    )  # fmt: skip


def _kappa(
    file: PinFile, pin: Pin, kelvin: float, difference: float, inertia: float, factor: float
) -> tuple[float, str]:
    if pin.kappa_eV is not None:
        kappa = factor * pin.kappa_eV
        motion = np.sqrt(kappa * inertia)
        if motion > _STABLE:
            raise file.error(
                "pin",
                f"kappa_eV: got {kappa:g}, with which the variable moves too fast for the time "
                f"step (ω Δt = {motion:.2f}), expected at most {_SLOW**2 / inertia:.3g}; leave it "
                "out to have it chosen",
            )
        return kappa, "kappa given"
    # a control has a multiple of what the others have, however that came about
    kappa = thermal_energy_eV(kelvin) / (pin.window * difference) ** 2
    why = f"kappa from a width of {100 * pin.window / np.sqrt(factor):.1f} %"
    if kappa * inertia > _SLOW**2:
        kappa, why = _SLOW**2 / inertia, "kappa as the time step allows"
        if factor != 1.0:
            why += f", times {factor:g}"
    motion = float(np.sqrt(factor * kappa * inertia))
    if motion > _STABLE:
        raise file.error(
            "pin",
            f"control_kappas: got {factor:g}, with which the variable moves too fast for the time "
            f"step (ω Δt = {motion:.2f}), expected at most {_STABLE**2 / (kappa * inertia):.2g}",
        )
    return factor * kappa, why


def inverse_mass(box: Box, variable: PinnedVariable, solid: Job) -> float:
    """Σ |∇Q|²/m of two phases, roughly, in the variable's unit squared over Å² Da."""
    means = [float(settled(solid, name).mean()) for name in ("lx_A", "ly_A", "lz_A")]
    atoms = _shaken(box, scaled(box, means), (_WARM, _SHAKEN))
    _, gradient = variable.evaluate(atoms)
    return float(((gradient**2).sum(axis=1) / atoms.get_masses()).sum())


def check_variable(file: PinFile, box: Box, variable: PinnedVariable) -> tuple[float, float]:
    """Values in a warm crystal and in one shaken to pieces, before anything runs.

    Raises:
        QuorumError: they are the same: most likely lengths are in another unit.
    """
    with warnings.catch_warnings():  # what they would say is said below
        warnings.simplefilter("ignore", QuorumWarning)
        crystal, noise, some = _sampled(box, variable, _WARM / 2)
        pieces, more, others = _sampled(box, variable, _SHAKEN)
    scale = max(abs(crystal), abs(pieces), 1e-3)
    if not abs(crystal - pieces) > 0.05 * scale + 3 * (noise + more):
        raise file.error(
            "order_parameter",
            f"{variable.text}: got {crystal:.4g} in the crystal and {pieces:.4g} with its atoms "
            f"shaken to pieces, expected values that tell the phases apart; {_advice(variable)}",
        )
    _check_counted(file, box, variable, some | others)
    return crystal, pieces


def _sampled(
    box: Box, variable: PinnedVariable, part: float
) -> tuple[float, float, npt.NDArray[np.bool_]]:
    """Mean and standard deviation over a few random displacements, and which atoms it feels."""
    found = [variable.evaluate(_shaken(box, box.atoms, (part, part), seed)) for seed in range(4)]
    values = [value for value, _ in found]
    felt = np.any([gradient.any(axis=1) for _, gradient in found], axis=0)
    return float(np.mean(values)), float(np.std(values, ddof=1)), felt


def _check_counted(
    file: PinFile, box: Box, variable: PinnedVariable, felt: npt.NDArray[np.bool_]
) -> None:
    """Refuse a list of atoms that leaves out some of an element, as of another box."""
    symbols = np.array(box.atoms.get_chemical_symbols())
    for part in () if felt.all() else _BETWEEN:  # a counter is flat in both phases
        felt = felt | _sampled(box, variable, part)[2]
    for element in dict.fromkeys(symbols):
        of_it = symbols == element
        n, n_felt = int(of_it.sum()), int(felt[of_it].sum())
        if 0 < n_felt < n:
            raise file.error(
                "order_parameter",
                f"{variable.text}: counts {n_felt} of {n} {element}, expected all of an element or "
                f"none; this box has {len(symbols)} atoms: write SPECIES=1-{len(symbols)}, or "
                "SPECIES=@mdatoms",
            )


def _shaken(box: Box, atoms: Atoms, parts: tuple[float, float], seed: int = 0) -> Atoms:
    """Displaced at random, the lower and the upper half by parts of the shortest distance."""
    rng = np.random.default_rng(seed)
    shaken = atoms.copy()
    sizes = np.full(len(atoms), parts[1])
    sizes[: box.n_held] = parts[0]
    distance = nearest_distance(atoms)
    shaken.positions += rng.normal(size=(len(atoms), 3)) * (sizes * distance)[:, None]
    return shaken


def _advice(variable: PinnedVariable) -> str:
    if isinstance(variable, Named):
        return (
            "its lengths must be those of this crystal, in the unit that UNITS LENGTH says (PLUMED "
            "takes nm, write UNITS LENGTH=A ENERGY=eV)"
        )
    return "choose other waves, or a PLUMED input"


def _not_apart(
    file: PinFile,
    variable: PinnedVariable,
    solid: Job,
    liquid: Job,
    of_solid: tuple[float, float],
    of_liquid: tuple[float, float],
) -> QuorumError:
    found = (
        f"{variable.text}: got {of_solid[0]:.4g} ± {of_solid[1]:.2g} in the solid and "
        f"{of_liquid[0]:.4g} ± {of_liquid[1]:.2g} in the liquid at {solid.temperature_K:g} K"
    )
    if _alike(solid, liquid):
        return file.error(
            "state",
            f"temperatures_K: at {solid.temperature_K:g} K both bulk runs are in one phase "
            f"({found}; volume and energy agree as well): the crystal melted, or the melt froze or "
            "never melted; choose a temperature nearer to the melting point, a lattice_A nearer to "
            "the crystal's, or another melt_K in [run]",
        )
    return file.error(
        "order_parameter",
        f"{found}, expected values that tell the phases apart; {_advice(variable)}, or take a "
        "larger box, in which the melt does not freeze by itself",
    )


def _alike(solid: Job, liquid: Job) -> bool:
    """Whether volume and energy are within a few fluctuations."""
    for column in ("volume_A3", "potential_eV"):
        a, b = settled(solid, column), settled(liquid, column)
        if abs(a.mean() - b.mean()) > 2 * (a.std() + b.std()):
            return False
    return True


def _check_phases(
    file: PinFile, box: Box, variable: PinnedVariable, solid: Job, liquid: Job, difference: float
) -> None:
    """Refuse a liquid that is as ordered as the crystal was, and a solid that is not."""
    crystal, pieces = check_variable(file, box, variable)
    if np.sign(difference) != np.sign(crystal - pieces) or abs(difference) < _SAME * abs(
        crystal - pieces
    ):
        raise file.error(
            "state",
            f"temperatures_K: at {solid.temperature_K:g} K {variable.text} is "
            f"{settled(solid, 'q').mean():.4g} in the run of the solid and "
            f"{settled(liquid, 'q').mean():.4g} in that of the liquid, expected about "
            f"{crystal:.4g} in a crystal and {pieces:.4g} without order: one of them is not "
            "what it began as; choose a temperature nearer to the melting point",
        )
