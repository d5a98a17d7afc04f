"""Reference environments of ENVIRONMENTSIMILARITY: neighbours of an atom of a perfect crystal.

Piaggi & Parrinello, J. Chem. Phys. 150, 244119 (2019). PLUMED hands vectors, cutoff and σ² on as
text of six digits; so do we, to get its numbers and not some that differ by 1e-6.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import QuorumError

Array = npt.NDArray[np.float64]
CRYSTALS = ("SC", "BCC", "FCC", "HCP", "DIAMOND", "CUSTOM")


@dataclass(frozen=True)
class Environments:
    """Vectors to the neighbours of a perfect crystal's atoms, all environments together.

    Attributes:
        vectors: (n, 3) in the input's unit of length.
        environment: (n,) which environment each belongs to.
        names: (n,) what the neighbour has to be; empty texts where any will do.
        reach: the largest distance that the cutoff is counted from.
    """

    vectors: Array
    environment: npt.NDArray[np.int64]
    names: tuple[str, ...]
    reach: float

    @property
    def count(self) -> int:
        """How many environments."""
        return int(self.environment[-1]) + 1

    @property
    def neighbours(self) -> int:
        """Vectors in the first one, by which PLUMED divides the sums of all."""
        return int((self.environment == 0).sum())


def crystal(name: str, lattice_constants: Sequence[float]) -> Environments:
    """The environments of one of `CRYSTALS` but CUSTOM."""
    a = lattice_constants[0]
    if name == "HCP":
        return _joined(_hexagonal(a, lattice_constants[1]), reach=a)
    cube = np.array(list(product((-1.0, 0.0, 1.0), repeat=3)))
    squared = (cube**2).sum(axis=1)
    if name == "SC":
        shells = [cube[squared == 1]]
    elif name == "BCC":
        shells = [np.concatenate([cube[squared == 3] / 2, cube[squared == 1]])]
    elif name == "FCC":
        shells = [cube[squared == 2] / 2]
    else:  # DIAMOND: the two tetrahedra
        corners = cube[squared == 3] / 4
        up = corners.prod(axis=1) > 0
        shells = [corners[up], corners[~up]]
    shells = [a * shell for shell in shells]
    return _joined(shells, reach=max(np.linalg.norm(shell, axis=1).max() for shell in shells))


def custom(
    references: Sequence[str],
    known_names: Sequence[str],
    scale: float,
    find: Callable[[str], Path],
) -> Environments:
    """Environments of PDB files: relative positions of the neighbours of an atom at the origin.

    Args:
        references: the files.
        known_names: names of the atoms of the system; empty if names do not matter.
        scale: the input's units of length per Å.
        find: where a file is.
    """
    shells, names = [], []
    for reference in references:
        found, positions = read_pdb(find(reference))
        for name in dict.fromkeys(found):
            if known_names and name not in known_names:
                raise QuorumError(
                    f"{reference}: an atom is named {name!r}, expected one of the names in "
                    f"ATOM_NAMES_FILE: {', '.join(dict.fromkeys(known_names))}"
                )
        shells.append(positions * scale)
        names += found if known_names else [""] * len(found)
    reach = max(np.linalg.norm(shell, axis=1).max() for shell in shells)
    return _joined(shells, reach, names)


def six_digits(value: float) -> float:
    """As PLUMED writes it down."""
    return float(f"{value:.6g}")


def read_pdb(path: Path) -> tuple[list[str], Array]:
    """Names and positions (n, 3), in Å, of the first structure in a PDB file."""
    names, rows = [], []
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise QuorumError(f"{path}: cannot be read ({reason}); expected a PDB file") from error
    for number, line in enumerate(lines, 1):
        record = line[:6].strip()
        if record in ("END", "ENDMDL"):
            break
        if record not in ("ATOM", "HETATM"):
            continue
        try:
            rows.append([float(line[k : k + 8]) for k in (30, 38, 46)])
        except ValueError as error:
            raise QuorumError(
                f"{path}, line {number}: got {line[30:54]!r} in columns 31 to 54, expected three "
                "coordinates in Å of 8 columns each"
            ) from error
        names.append(line[12:16].strip())
    if not rows:
        raise QuorumError(f"{path}: holds no atoms, expected lines of ATOM or HETATM")
    return names, np.array(rows)


def _hexagonal(a: float, c: float) -> list[Array]:
    """The two sites of hcp: six in the plane, three above and three below."""
    third = np.sqrt(3) / 6
    plane = [[0.5 * sx * a, np.sqrt(3) / 2 * sy * a, 0.0] for sy in (1, -1) for sx in (1, -1)] + [
        [a, 0.0, 0.0],
        [-a, 0.0, 0.0],
    ]
    shells = []
    for side in (1, -1):
        triangle = [(0.5, side * third), (-0.5, side * third), (0.0, -2 * side * third)]
        caps = [[x * a, y * a, z * c] for z in (0.5, -0.5) for x, y in triangle]
        shells.append(np.array(plane + caps))
    return shells


def _joined(shells: Sequence[Array], reach: float, names: Sequence[str] = ()) -> Environments:
    owner = np.repeat(np.arange(len(shells)), [len(shell) for shell in shells])
    vectors = np.array([[six_digits(x) for x in row] for row in np.concatenate(shells)])
    return Environments(vectors, owner, tuple(names) or ("",) * len(vectors), float(reach))
