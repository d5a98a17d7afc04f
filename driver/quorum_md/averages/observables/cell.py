"""Volume, density and lattice parameters, from the cells of a trajectory or a properties file."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from ...errors import QuorumError
from ...units import DALTON_A3_G_CM3
from .elements import mass_Da
from .frames import Array, Frames, cell_volumes, lengths_and_angles
from .series import Axis, PerFrame

# atoms in the conventional cubic cell
_ATOMS = {"sc": 1, "bcc": 2, "fcc": 4, "diamond": 8, "rocksalt": 8, "zincblende": 8}
_NAMES = ("a", "b", "c", "alpha", "beta", "gamma")


def volume(first: Frames, *, per_atom: bool = False) -> PerFrame:
    """Volume in Å³: (F,)."""
    _need_cell(first, "volume")
    divisor = first.n_atoms if per_atom else 1
    return PerFrame(lambda frames: frames.volumes_A3 / divisor, "Å³")


def density(first: Frames, *, masses: Mapping[str, float] | None = None) -> PerFrame:
    """Mass density in g/cm³: (F,).

    Args:
        first: some frames of the trajectory.
        masses: of elements in Da, where they are not the natural ones.
    """
    _need_cell(first, "density")
    weights = np.array([mass_Da(name, masses) for name in first.elements])

    def evaluate(frames: Frames) -> Array:
        return DALTON_A3_G_CM3 * (frames.counts @ weights) / frames.volumes_A3

    return PerFrame(evaluate, "g/cm³")


def lattice_parameter(
    first: Frames, *, lattice: str | None = None, atoms_per_cell: int | None = None
) -> PerFrame:
    """Lattice parameter of a cubic crystal in Å, from the volume of a unit cell: (F,).

    Args:
        first: some frames of the trajectory.
        lattice: "sc", "bcc", "fcc", "diamond", "rocksalt" or "zincblende"; or
        atoms_per_cell: atoms in the cubic cell.

    Raises:
        QuorumError: neither or both, or the atoms are no whole number of cells.
    """
    _need_cell(first, "lattice_parameter")
    if (lattice is None) == (atoms_per_cell is None) or (
        lattice is not None and lattice not in _ATOMS
    ):
        raise QuorumError(
            f"lattice_parameter: got lattice={lattice!r} and atoms_per_cell={atoms_per_cell!r}, "
            f"expected one of them, the lattice from {', '.join(_ATOMS)}"
        )
    atoms = _ATOMS[lattice] if lattice is not None else int(atoms_per_cell or 0)
    if atoms < 1 or first.n_atoms % atoms:
        raise QuorumError(
            f"lattice_parameter: {first.n_atoms} atoms are no whole number of cells of {atoms}, "
            "expected a perfect crystal; state atoms_per_cell, or use cell with repeat"
        )
    n_cells = first.n_atoms // atoms
    note = f"cube root of the volume of one of {n_cells} cells of {atoms} atoms"
    return PerFrame(lambda frames: np.cbrt(frames.volumes_A3 / n_cells), "Å", (), (note,))


def cell(first: Frames, *, repeat: ArrayLike = (1, 1, 1)) -> PerFrame:
    """a, b, c in Å and α, β, γ in degrees of the unit cell: (F, 6).

    Args:
        first: some frames of the trajectory.
        repeat: unit cells along each vector of the box, one number or three.
    """
    _need_cell(first, "cell")
    try:
        cells = np.broadcast_to(np.asarray(repeat, dtype=float), (3,))
    except ValueError:
        cells = np.zeros(3)
    if (cells < 1).any() or (cells != np.rint(cells)).any():
        raise QuorumError(f"repeat: got {repeat!r}, expected one or three positive whole numbers")
    divisors = np.concatenate([cells, np.ones(3)])
    return PerFrame(
        lambda frames: lengths_and_angles(frames.cells) / divisors,
        "Å, degrees",
        (Axis("parameter", "", _NAMES),),
        (f"box divided by {' × '.join(f'{n:g}' for n in cells)}",),
    )


def cells_from_components(components_A: ArrayLike) -> Array:
    """Cells from i-PI's property ``cell_h``: (n, 6) [xx, yy, zz, xy, xz, yz] -> (n, 3, 3), Å.

    Rows of the result are the vectors: `lengths_and_angles` and `cell_volumes` take it.
    """
    h = np.asarray(components_A, dtype=float)
    if h.ndim != 2 or h.shape[1] != 6:
        raise QuorumError(f"cell_h: got shape {h.shape}, expected (frames, 6)")
    cells = np.zeros((len(h), 3, 3))
    for column, (row, axis) in enumerate(((0, 0), (1, 1), (2, 2), (1, 0), (2, 0), (2, 1))):
        cells[:, row, axis] = h[:, column]
    return cells


def _need_cell(first: Frames, what: str) -> None:
    if not first.pbc.all() or not (cell_volumes(first.cells) > 0).all():
        raise QuorumError(
            f"{what}: the trajectory is not periodic in all directions, expected a cell with a "
            "volume"
        )
