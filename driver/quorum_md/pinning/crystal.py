"""Boxes of a crystal with an interface to its melt: orientation, repeats, both phases in one box.

z is the normal of the interface. Atoms of the half that stays solid come first, so that an engine
needs no more than their number to hold them.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.build import bulk, make_supercell

from ..errors import QuorumError
from .composition import substitute
from .run_input import PinFile

Array = npt.NDArray[np.float64]

_REACH = 6  # lattice vectors up to so many primitive ones along each
_TINY = 1e-6
_ALMOST = 1e-3  # relative difference of lengths that symmetry would make equal


@dataclass(frozen=True)
class Box:
    """The crystal in the box of both phases, before anything has moved.

    Attributes:
        atoms: orthorhombic; the lower half comes first.
        cell: lengths of the oriented cell that is repeated.
        repeats: of it.
        n_held: atoms of the lower half.
        cubic: whether one length tells the shape: the barostat of the solid is isotropic then.
    """

    atoms: Atoms
    cell: Array
    repeats: tuple[int, int, int]
    n_held: int
    cubic: bool


def build_box(file: PinFile) -> Box:
    """The box that run.toml asks for.

    Raises:
        QuorumError: no such crystal, elements that the potential has not, no orthorhombic cell.
    """
    unit, conventional = _unit(file)
    crystal, settings = file.settings.crystal, file.settings.box
    cell = _oriented(file, unit, conventional)
    lengths = cell.cell.lengths()
    repeats = (
        (settings.repeats[0], settings.repeats[1], settings.repeats[2])
        if settings.repeats
        else _repeats(lengths, len(cell), settings.atoms, settings.aspect)
    )
    atoms = cell * repeats
    if crystal.composition:
        substitute(file, atoms, unit)
    known = file.settings.potential.elements
    for symbol in dict.fromkeys(atoms.symbols):
        if symbol not in known:
            raise file.error(
                "potential",
                f"elements: the crystal has {symbol}, which is not among {' '.join(known)}; add it "
                "in the place of its atom type",
            )
    top = float(atoms.cell.lengths()[2])
    # stable: atoms of a layer keep their order
    lower = atoms.positions[:, 2] < _middle(atoms.positions[:, 2], top)
    order = np.argsort(~lower, kind="stable")
    atoms = atoms[order]
    atoms.info.clear()
    return Box(atoms, lengths, repeats, int(lower.sum()), _is_cubic(file, conventional))


def describe_crystal(file: PinFile) -> str:
    """In words: lattice or file, and the plane of the interface."""
    crystal = file.settings.crystal
    name = crystal.file or f"{crystal.structure} {crystal.formula}"
    return f"{name}, interface ({crystal.interface})"


def digest_of(atoms: Atoms) -> str:
    """Of kinds and places; not of the edges, which the runs find."""
    # no fraction of a lattice is at the edge of a step then
    places = np.rint(1e6 * atoms.get_scaled_positions(wrap=False) + 0.2137).astype(np.int64)
    text = f"{atoms.get_chemical_formula()} {list(atoms.numbers)} {places.tolist()}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def scaled(box: Box, lengths_A: Sequence[float] | Array, stretch: float = 1.0) -> Atoms:
    """The crystal with other edges, its upper half stretched along z.

    Args:
        lengths_A: edges of the box as a crystal throughout.
        stretch: volume of the melt over that of the crystal, per atom.
    """
    atoms = box.atoms.copy()
    atoms.set_cell(np.diag(lengths_A), scale_atoms=True)
    if stretch != 1.0:
        z = atoms.positions[:, 2]
        start = 0.5 * (z[: box.n_held].max() + z[box.n_held :].min())
        top = float(lengths_A[2])
        z[box.n_held :] = start + (z[box.n_held :] - start) * stretch
        atoms.set_cell(np.diag([*lengths_A[:2], start + (top - start) * stretch]))
    return atoms


def nearest_distance(atoms: Atoms) -> float:
    """Of two atoms, images included, in Å."""
    from ase.neighborlist import neighbor_list

    reach = 2.0 * (atoms.get_volume() / len(atoms)) ** (1 / 3)
    return float(neighbor_list("d", atoms, reach).min())


# --- the cell -------------------------------------------------------------------------------------


def _unit(file: PinFile) -> tuple[Atoms, Array]:
    """The smallest cell, and the vectors to which Miller indices refer."""
    crystal = file.settings.crystal
    if crystal.file:
        from ase.io import read

        try:
            atoms = read(file.place(crystal.file), parallel=False)
        except Exception as error:  # readers raise anything
            raise file.error(
                "crystal", f"file: {crystal.file}: cannot be read ({error}); give one cell"
            ) from error
        if not isinstance(atoms, Atoms) or atoms.cell.rank < 3:
            raise file.error("crystal", f"file: {crystal.file}: has no cell of three vectors")
        atoms.pbc = True
        return Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=True), atoms.cell.array
    words = {"a": crystal.lattice_A, **({"c": crystal.c_A} if crystal.c_A else {})}
    try:
        primitive = bulk(crystal.formula, crystal.structure, **words)
    except Exception as error:  # ase raises several kinds
        raise file.error(
            "crystal",
            f'structure: "{crystal.structure}" of "{crystal.formula}" cannot be built by '
            f"ase.build.bulk ({error}); expected one as fcc, bcc, hcp, diamond, zincblende, "
            "rocksalt, or a file",
        ) from error
    try:
        conventional = bulk(crystal.formula, crystal.structure, cubic=True, **words).cell.array
    except Exception:  # noqa: BLE001  # it has no cubic cell
        conventional = primitive.cell.array
    return primitive, conventional


def _is_cubic(file: PinFile, cell: Array) -> bool:
    """Of lattices by name: in a cell from a file, or an alloy, edges may be equal by chance."""
    if file.settings.crystal.file or file.settings.crystal.composition:
        return False
    lengths = np.linalg.norm(cell, axis=1)
    gram = cell @ cell.T / lengths[0] ** 2
    return bool(np.abs(gram - np.eye(3)).max() < _ALMOST)


def _oriented(file: PinFile, unit: Atoms, conventional: Array) -> Atoms:
    """The smallest orthorhombic cell with the plane (hkl) across z."""
    miller = file.settings.crystal.miller
    normal = np.linalg.inv(conventional) @ np.array(miller, dtype=float)
    normal /= np.linalg.norm(normal)
    span = range(-_REACH, _REACH + 1)
    numbers = np.array([n for n in itertools.product(span, repeat=3) if any(n)])
    vectors = numbers @ unit.cell.array
    lengths = np.linalg.norm(vectors, axis=1)
    cosine = vectors @ normal / lengths
    along = np.flatnonzero(cosine > 1 - _TINY**2 * 1e3)
    across = np.flatnonzero(np.abs(cosine) < _TINY)
    across = _along_axes(vectors, across, conventional, miller)
    pair = _square(vectors[across], lengths[across])
    if not len(along) or pair is None:
        raise file.error(
            "crystal",
            f'interface: "{file.settings.crystal.interface}" has no orthorhombic cell of up to '
            f"{_REACH} lattice vectors; choose another plane, or give such a cell as a file",
        )
    third = along[np.argmin(lengths[along])]
    rows = [across[pair[0]], across[pair[1]], third]
    matrix = numbers[rows]
    if np.linalg.det(matrix @ unit.cell.array) < 0:
        matrix[1] *= -1
    cell = make_supercell(unit, matrix)
    fractions = cell.get_scaled_positions(wrap=True)
    edges = np.linalg.norm(cell.cell.array, axis=1)
    atoms = Atoms(cell.symbols, cell=np.diag(edges), pbc=True)
    # both interfaces of the box lie in the widest gap between layers
    fractions[:, 2] -= _gap(fractions[:, 2])
    fractions = np.mod(fractions + 1e-9, 1.0) - 1e-9
    atoms.set_scaled_positions(fractions)
    return atoms


def _along_axes(
    vectors: Array, across: npt.NDArray[np.int64], conventional: Array, miller: Sequence[int]
) -> npt.NDArray[np.int64]:
    """For {100} keep the axes of the crystal those of the box: variables may refer to them.

    FCCUBIC and ENVIRONMENTSIMILARITY do. Other planes have the smallest cell there is.
    """
    if np.count_nonzero(miller) > 1:
        return across
    axes = conventional / np.linalg.norm(conventional, axis=1)[:, None]
    if np.abs(axes @ axes.T - np.eye(3)).max() > _TINY:
        return across
    cosines = np.abs(vectors[across] @ axes.T) / np.linalg.norm(vectors[across], axis=1)[:, None]
    return across[cosines.max(axis=1) > 1 - _TINY]


def _square(vectors: Array, lengths: Array) -> tuple[int, int] | None:
    """Two vectors at right angles of the smallest area, as equal as there are."""
    order = np.argsort(lengths, kind="stable")[:200]
    best, found = np.inf, None
    for i, j in itertools.combinations(order, 2):
        area = lengths[i] * lengths[j]
        if abs(vectors[i] @ vectors[j]) > _TINY * area:
            continue
        measure = area * (1 + 1e-3 * max(lengths[i], lengths[j]) / min(lengths[i], lengths[j]))
        if measure < best - _TINY:
            best, found = measure, (int(i), int(j))
    return found


def _layers(z: Array) -> Array:
    """Fractions of the layers along z, from the lowest."""
    ordered = np.sort(np.mod(z + 1e-9, 1.0))
    return ordered[np.r_[True, np.diff(ordered) > 1e-4]]


def _gap(z: Array) -> float:
    """The middle of the widest gap between layers, as a fraction."""
    layers = _layers(z)
    gaps = np.diff(np.r_[layers, layers[0] + 1])
    widest = int(np.argmax(gaps > gaps.max() - 1e-6))
    return float(layers[widest] + gaps[widest] / 2)


def _middle(z: Array, top: float) -> float:
    """The gap between layers nearest to the middle of the box."""
    layers = _layers(z / top)
    gaps = 0.5 * (layers[1:] + layers[:-1])
    widths = np.diff(layers)
    near = np.abs(gaps - 0.5) + np.where(widths > widths.max() - 1e-6, 0.0, 1.0)
    return float(gaps[np.argmin(near)] * top)


def _repeats(lengths: Array, n: int, atoms: int, aspect: float) -> tuple[int, int, int]:
    """At least so many atoms, in a box about square and long enough, and not much more of both."""
    best: tuple[int, int, int] | None = None
    least = np.inf
    for x in range(1, 200):
        y = max(1, round(x * lengths[0] / lengths[1]))
        width = max(x * lengths[0], y * lengths[1])
        z = max(
            int(np.ceil(aspect * width / lengths[2] - _TINY)), int(np.ceil(atoms / (n * x * y)))
        )
        excess = n * x * y * z / atoms + 0.5 * z * lengths[2] / width / aspect
        if excess < least:
            least, best = excess, (x, y, z)
    assert best is not None
    return best


def checked_distance(file: PinFile, atoms: Atoms) -> None:
    """Refuse atoms on top of each other: a lattice constant in another unit, a doubled cell."""
    found = nearest_distance(atoms)
    if found < 0.7:
        raise QuorumError(
            f"{file.path}: [crystal]: lattice_A: got atoms at {found:.2f} Å, expected at least "
            "0.7; lengths are in Å"
        )
