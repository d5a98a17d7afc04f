"""Headers of xyz files: i-PI's and extxyz.

i-PI 3.3 (`ipi/utils/io/backends/io_xyz.py`): ``# CELL(abcABC): a b c α β γ  Step: 10 Bead: 0
positions{angstrom}  cell{angstrom}``; no unit means atomic units; positions are not wrapped.
Its `ase` format is extxyz with that title as ``ipi_comment``, in Å.

extxyz (https://github.com/libAtoms/extxyz): ``Lattice="…" Properties=species:S:1:pos:R:3 pbc="T T
T" step=10``, in Å.
"""

import re
from dataclasses import dataclass, field

from ...errors import QuorumError
from ...units import LENGTH_A
from .file_formats import BadHeader, Columns, Header, Lines, numbers, unknown_unit

_ABC = re.compile(rb"CELL[(\[{]abcABC[)\]}]:\s*((?:[-+0-9.eE]+\s+){5}[-+0-9.eE]+)")
_H = re.compile(rb"CELL[(\[{]H[)\]}]:\s*((?:[-+0-9.eE]+\s+){8}[-+0-9.eE]+)")
_STEP = re.compile(rb"\bStep:\s*(\d+)")
_BEAD = re.compile(rb"\bBead:\s*(\d+)")
_QUANTITY = re.compile(rb"(\w+)\{([^}]*)\}")
_LATTICE = re.compile(rb"""\bLattice\s*=\s*(?:"([^"]*)"|'([^']*)'|\{([^}]*)\})""", re.IGNORECASE)
_PROPERTIES = re.compile(rb"""\bProperties\s*=\s*["']?([^\s"']+)""", re.IGNORECASE)
_PBC = re.compile(rb"""\bpbc\s*=\s*["'\[]?\s*([TF01])\w*[\s,]+([TF01])\w*[\s,]+([TF01])""", re.I)
_POSITIONS = ("positions", "x_centroid")
_PLAIN = Columns(4, (1, 2, 3), symbol=0)
_IPI = Columns(4, (1, 2, 3), symbol=0, unwrapped=True)
# `dump xyz`: wrapped, and without the cell that would tell where
_LAMMPS = Columns(4, (1, 2, 3), symbol=0, tracked=False)


@dataclass
class XyzFormat:
    """i-PI's xyz, extxyz, and xyz without any header.

    Args:
        path: of the file, for messages.
        step_key: key of the step in the comment line of extxyz.
    """

    path: str
    step_key: str = "step"
    name: str = "xyz"
    _layouts: dict[tuple[bytes, bytes], Columns] = field(default_factory=dict)
    _factors: dict[bytes, tuple[str, float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        key = re.escape(self.step_key).encode()
        self._key = re.compile(rb"""(?:^|[\s,])""" + key + rb"""\s*=\s*["']?([^\s"',]+)""")

    def starts_frame(self, line: bytes) -> bool:
        """A number of atoms alone on its line."""
        return line.strip().isdigit()

    def header(self, lines: Lines, first: int) -> Header:
        """Number of atoms and comment."""
        count, comment = lines[first], lines[first + 1]
        if not self.starts_frame(count):
            raise BadHeader(
                f"{count.decode(errors='replace').strip()!r:.40} where a number of atoms is "
                "expected"
            )
        n_atoms = int(count)
        if b"CELL" in comment and comment.lstrip().startswith(b"#"):
            return self._ipi(n_atoms, comment)
        return self._extxyz(n_atoms, comment)

    def _ipi(self, n_atoms: int, comment: bytes) -> Header:
        cell: tuple[float, ...]
        if match := _ABC.search(comment):
            cell = numbers(match[1], 6, "CELL(abcABC)")
        elif match := _H.search(comment):
            h = numbers(match[1], 9, "CELL(H)")  # columns are the vectors
            cell = tuple(h[3 * k + i] for i in range(3) for k in range(3))
        else:
            raise BadHeader(f"no CELL(abcABC) in {comment.decode(errors='replace').strip()!r:.80}")
        # what is left of the line names the quantity and the units: the same in all frames
        quantity = _QUANTITY.search(comment, comment.find(b":"))
        tail = comment[quantity.start() :] if quantity else b""
        factors = self._factors.get(tail)
        if factors is None:
            factors = self._factors[tail] = self._quantity(tail)
        step, bead = _STEP.search(comment), _BEAD.search(comment)
        return Header(
            2,
            n_atoms,
            int(step[1]) if step else None,
            cell,
            (True, True, True),
            _IPI,
            factors[1],
            factors[2],
            bead=int(bead[1]) if bead else None,
        )

    def _quantity(self, comment: bytes) -> tuple[str, float, float]:
        """Name of the quantity and Å per unit of it and of the cell."""
        found = {name.decode(): unit.decode() for name, unit in _QUANTITY.findall(comment)}
        cell = found.pop("cell", "atomic_unit")
        if not found:
            raise QuorumError(
                f"{self.path}: the comment line names no quantity, expected positions{{angstrom}} "
                "as i-PI writes; give a file of <trajectory> positions </trajectory>"
            )
        name, unit = next(iter(found.items()))
        if name not in _POSITIONS:
            raise QuorumError(
                f"{self.path}: holds {name}, expected positions; give the file of <trajectory> "
                "positions </trajectory>"
            )
        return name, self._length(unit), self._length(cell)

    def _length(self, unit: str) -> float:
        known = LENGTH_A | {"ase": 1.0, "automatic": LENGTH_A["atomic_unit"]}
        factor = known.get(unit.strip().lower() or "atomic_unit")
        if factor is None:
            raise unknown_unit(self.path, unit, ", ".join(known))
        return factor

    def _extxyz(self, n_atoms: int, comment: bytes) -> Header:
        lattice = _LATTICE.search(comment)
        cell: tuple[float, ...] = (0.0,) * 9
        if lattice:
            cell = numbers(next(g for g in lattice.groups() if g is not None), 9, "Lattice")
        pbc = (lattice is not None,) * 3
        if match := _PBC.search(comment):
            a, b, c = (flag in (b"T", b"t", b"1") for flag in match.groups())
            pbc = (a, b, c)
        title = comment[comment.find(b"ipi_comment") :] if b"ipi_comment" in comment else b""
        properties = _PROPERTIES.search(comment)
        wanted = b"pos"
        if title and (quantity := _QUANTITY.search(title)):
            # the ase format stores positions as pos, and any other quantity under its own name
            wanted = b"pos" if quantity[1] == b"positions" else quantity[1]
            if wanted.decode() not in ("pos", *_POSITIONS):
                self._quantity(title)
        if comment.startswith(b"Atoms. Timestep:"):
            return Header(2, n_atoms, None, cell, pbc, _LAMMPS)
        layout = (properties[1] if properties else b"", wanted)
        columns = self._layouts.get(layout)
        if columns is None:
            columns = self._layouts[layout] = self._layout(*layout)
        step: int | None = None
        if match := self._key.search(comment):
            try:
                value = float(match[1])
            except ValueError:
                value = float("nan")
            if value != value or value != int(value):
                raise BadHeader(
                    f"{self.step_key}={match[1].decode(errors='replace')!r:.30}, expected a whole "
                    "number"
                )
            step = int(value)
        elif match := _STEP.search(title):
            step = int(match[1])
        bead = _BEAD.search(title)
        return Header(2, n_atoms, step, cell, pbc, columns, bead=int(bead[1]) if bead else None)

    def _layout(self, properties: bytes, wanted: bytes) -> Columns:
        if not properties:
            return _PLAIN
        fields = properties.decode(errors="replace").split(":")
        places: dict[str, tuple[str, int, int]] = {}
        column = 0
        try:
            for name, kind, count in zip(fields[::3], fields[1::3], fields[2::3], strict=True):
                places[name] = (kind, column, int(count))
                column += int(count)
        except ValueError:
            raise BadHeader(f"Properties={':'.join(fields)!r:.60} are no name:type:count") from None
        position = places.get(wanted.decode())
        symbol = places.get("species", places.get("symbols", places.get("element")))
        if position is None or position[2] != 3:
            raise QuorumError(
                f"{self.path}: Properties has no {wanted.decode()}:R:3, expected positions of the "
                "atoms; write them into the file"
            )
        start = position[1]
        number = places.get("Z", places.get("numbers"))
        if symbol is None and number is not None:
            symbol = number
        return Columns(
            column,
            (start, start + 1, start + 2),
            symbol=None if symbol is None else symbol[1],
        )
