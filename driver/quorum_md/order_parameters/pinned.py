"""Variables that interface pinning holds, each one number of a structure with its gradient.

`Density` is |ρ_k|/√N, ρ_k = Σ exp(i k·r), with k along edges of the box: it needs no neighbours and
does not change with the strain of the box, so that its bias has no virial. U. R. Pedersen, J. Chem.
Phys. 139, 104102 (2013), doi:10.1063/1.4818747. `Named` is a value of a PLUMED input.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from ..atomic import write_atomically
from ..errors import QuorumError
from ..toml_input import nearest
from .keywords import NeedsKernel
from .reader import read_program, read_units
from .words import read_statements

if TYPE_CHECKING:
    from ase import Atoms

    from .variables import Variables

Array = npt.NDArray[np.float64]
RESTRAINT = "quorum_pin"  # label of the bias in the input that an engine gets
_FULL = 0.9  # of a perfect crystal's |ρ_k|/N is enough for a good variable


class PinnedVariable(Protocol):
    """A variable of a structure."""

    @property
    def text(self) -> str:
        """What it is, for files."""
        ...

    def evaluate(self, atoms: Atoms) -> tuple[float, Array]:
        """Value, and (N, 3) gradient per Å."""
        ...


@dataclass(frozen=True)
class Pull:
    """What κ/2 (Q − a)² does to a structure.

    Attributes:
        q: value of the variable.
        energy_eV, forces_eV_A: of the bias.
        strain_eV: (3, 3) derivative of the energy by the strain of x → (1 + ε)x.
    """

    q: float
    energy_eV: float
    forces_eV_A: Array
    strain_eV: Array


class Restraint:
    """The bias on a variable, for engines that ask Python at every step.

    Args:
        folder: where the input of PLUMED with the bias is written, if the variable is of one.
    """

    def __init__(self, variable: PinnedVariable, kappa_eV: float, center: float, folder: Path):
        self._variable, self._kappa, self._center = variable, kappa_eV, center
        self._named = None
        if isinstance(variable, Named):
            path = folder / "bias.dat"
            write_atomically(path, variable.biased(kappa_eV, center))
            self._named = variable.opened(path)

    def evaluate(self, atoms: Atoms) -> Pull:
        """On a structure."""
        if self._named is not None and isinstance(self._variable, Named):
            answer = self._named.evaluate(atoms)
            q = answer.values[self._variable.value]
            return Pull(q, answer.bias, answer.forces, answer.virial)
        q, gradient = self._variable.evaluate(atoms)
        off = q - self._center
        # k·r, and so Q, is the same in a strained box
        return Pull(q, 0.5 * self._kappa * off**2, -self._kappa * off * gradient, np.zeros((3, 3)))


@dataclass(frozen=True)
class Density:
    """|ρ_k|/√N with k = 2π (n_x/L_x, n_y/L_y, n_z/L_z)."""

    waves: tuple[int, int, int]

    @property
    def text(self) -> str:
        """As in fix rhok."""
        return f"rhok {' '.join(map(str, self.waves))}"

    def evaluate(self, atoms: Atoms) -> tuple[float, Array]:
        """See `PinnedVariable`."""
        k, wave = self._waves(atoms.positions, atoms.cell.lengths())
        total = wave.sum()
        size = abs(total)
        slope = np.imag(np.conj(wave) * total) / size if size > 0 else np.zeros(len(atoms))
        return float(size), slope[:, None] * k

    def value(self, positions_A: Array, lengths_A: Array) -> float:
        """Without the gradient."""
        return float(abs(self._waves(positions_A, lengths_A)[1].sum()))

    def _waves(
        self, positions_A: Array, lengths_A: Array
    ) -> tuple[Array, npt.NDArray[np.complex128]]:
        """k, and the part of each atom."""
        k = 2 * np.pi * np.array(self.waves) / lengths_A
        return k, np.exp(1j * (positions_A @ k)) / np.sqrt(len(positions_A))


def density_of(atoms: Atoms) -> Density:
    """The longest wave along the interface that all layers of a crystal share.

    Args:
        atoms: of the perfect crystal, orthorhombic, the interface across z.

    Raises:
        QuorumError: there is none (a crystal with many unlike layers).
    """
    lengths = atoms.cell.lengths()
    fractions = atoms.get_scaled_positions()[:, :2]
    # waves of at least half a shortest distance of atoms, about
    reach = (atoms.get_volume() / len(atoms)) ** (1 / 3)
    most = [int(2.5 * length / reach) for length in lengths[:2]]
    pairs = itertools.product(range(most[0] + 1), range(most[1] + 1))
    # equal ones: along x
    waves = sorted(
        (n for n in pairs if any(n)), key=lambda n: (round(np.hypot(*(n / lengths[:2])), 9), -n[0])
    )
    for n in waves:
        if abs(np.exp(2j * np.pi * (fractions @ n)).mean()) > _FULL:
            return Density((n[0], n[1], 0))
    raise QuorumError(
        "[order_parameter]: no Fourier component along the interface is common to all layers of "
        "this crystal; give a PLUMED input (plumed, value), or rhok, for it"
    )


@dataclass(frozen=True)
class Named:
    """A value of a PLUMED input.

    Attributes:
        path: of the input, which has no bias of its own.
        value: its name, "cv.morethan".
        backend: native, plumed, or empty: plumed only for what only PLUMED has.
    """

    path: str
    value: str
    backend: str = ""

    @property
    def text(self) -> str:
        """File and value."""
        return f"{Path(self.path).name}: {self.value}"

    @cached_property
    def _energy_eV(self) -> float:
        units = read_units(self.path)
        if units.natural:
            raise QuorumError(
                f"{self.path}: UNITS: got NATURAL, expected UNITS LENGTH=A ENERGY=eV, as boxes are "
                "in Å"
            )
        return units.energy_eV

    @cached_property
    def place(self) -> int:
        """Of the value among those that `biased` gives, from 0; in the order of the input."""
        try:
            names = list(read_program(self.path).names)
        except NeedsKernel:
            return 0  # PRINT names it alone
        if self.backend == "plumed":  # which has no values of actions without a label
            names = [name for name in names if not name.startswith("@")]
        return names.index(self.value)

    def digests(self) -> dict[str, str]:
        """Of its statements, and of the files that they name."""
        beside, text = Path(self.path).resolve().parent, self.value
        found = {}
        for one in read_statements(self.path):
            if one.action in ("PRINT", "FLUSH"):
                continue
            text += f"\n{one.label}: {one.action} {' '.join(one.words)}"
            for name in (word.partition("=")[2] for word in one.words):
                if name and (beside / name).is_file():
                    found[name] = (beside / name).read_bytes()
        found[Path(self.path).name] = text.encode()
        return {name: hashlib.sha256(one).hexdigest()[:16] for name, one in found.items()}

    def biased(self, kappa_eV: float, center: float) -> str:
        """The input with the bias, for an engine in any folder; it prints nothing of its own."""
        beside = Path(self.path).resolve().parent
        lines = []
        for one in read_statements(self.path):
            if one.action == "ENDPLUMED":
                break
            if one.action not in ("PRINT", "FLUSH"):
                label = f"{one.label}: " if one.label else ""
                words = " ".join(_word(word, beside) for word in one.words)
                lines.append(f"{label}{one.action} {words}")
        kappa = kappa_eV / self._energy_eV
        lines += [
            f"{RESTRAINT}: RESTRAINT ARG={self.value} AT={center:.17g} KAPPA={kappa:.17g}",
            f"PRINT ARG={self.value} STRIDE=1000000",
        ]
        return "\n".join(lines) + "\n"

    def opened(self, path: Path) -> Variables:
        """What `biased` has written, by the backend that is asked for."""
        from .variables import open_variables

        return open_variables(path, self.backend or None)

    def evaluate(self, atoms: Atoms) -> tuple[float, Array]:
        """See `PinnedVariable`."""
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / Path(self.path).name
            # of ½ (Q − a)², forces over −(Q − a): a far from any value
            far = -1e6
            write_atomically(path, self.biased(1.0, far))
            answer = self.opened(path).evaluate(atoms)
        value = answer.values[self.value]
        return value, -answer.forces / (value - far)


def _word(word: str, beside: Path) -> str:
    """As in an input: braces around spaces, files with their whole path."""
    key, equal, value = word.partition("=")
    if equal and value and (beside / value).is_file():
        value = str(beside / value)
    return f"{key}{equal}{{{value}}}" if " " in value else f"{key}{equal}{value}"


def named(path: str | Path, value: str = "", backend: str = "") -> Named:
    """A value of a PLUMED input; the only one if it has one.

    Raises:
        QuorumError: no such value, several to choose from, an input with a bias of its own.
    """
    try:
        names = list(read_program(path).names)
    except NeedsKernel:
        if not value:
            raise QuorumError(
                f"{path}: value: this key is missing; say which value is pinned, as cv.morethan"
            ) from None
        return Named(str(path), value, backend)
    biased = [one for one in names if one.endswith(".bias")]
    if biased:
        raise QuorumError(
            f"{path}: has a bias ({biased[0]}), expected none beside the one that is added; remove "
            "RESTRAINT and walls"
        )
    if not value and len(names) == 1:
        return Named(str(path), names[0], backend)
    if value not in names:
        asked = f'got "{value}"' if value else "this key is missing"
        raise QuorumError(f"{path}: value: {asked}; {nearest(value, names)}")
    return Named(str(path), value, backend)
