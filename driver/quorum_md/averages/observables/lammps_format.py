"""Headers of LAMMPS text dumps (`dump custom` and `dump atom`; https://docs.lammps.org/dump.html).

Boxes may be orthogonal, restricted triclinic (bounds of the bounding box and tilts) or general
triclinic (`abc origin`). The time step is in every frame, the units only in the first and only with
`dump_modify units yes`.
"""

from dataclasses import dataclass, field

from ...errors import QuorumError
from ...units import BOHR_A
from .file_formats import BadHeader, Columns, Header, Lines, numbers, unknown_unit

LENGTHS_A = {
    "metal": 1.0,
    "real": 1.0,
    "electron": BOHR_A,
    "nano": 10.0,
    "micro": 1e4,
    "si": 1e10,
    "cgs": 1e8,
}
# unwrapped before wrapped, as they are before scaled ones: fewer roundings
_COORDINATES = (("xu", "yu", "zu"), ("x", "y", "z"), ("xsu", "ysu", "zsu"), ("xs", "ys", "zs"))


@dataclass
class LammpsFormat:
    """Dump files.

    Args:
        path: of the file, for messages.
        units: of the LAMMPS script, where the file does not say.
    """

    path: str
    units: str | None = None
    name: str = "lammps"
    _layouts: dict[bytes, Columns] = field(default_factory=dict)
    _length_A: float | None = None

    def __post_init__(self) -> None:
        if self.units is not None:
            self._length_A = self._length(self.units)

    def starts_frame(self, line: bytes) -> bool:
        """The first item; UNITS and TIME may come before the step."""
        return line.startswith((b"ITEM: TIMESTEP", b"ITEM: UNITS", b"ITEM: TIME"))

    def header(self, lines: Lines, first: int) -> Header:
        """All items up to the atoms."""
        if not self.starts_frame(lines[first]):
            found = lines[first].decode(errors="replace").strip()
            raise BadHeader(f"{found!r:.40} where ITEM: TIMESTEP is expected")
        at = first
        step = n_atoms = None
        box: tuple[tuple[float, ...], tuple[float, float, float], tuple[bool, bool, bool]] | None
        box = None
        while True:
            item = lines[at]
            if item.startswith(b"ITEM: ATOMS"):
                break
            value = lines[at + 1]
            if item.startswith(b"ITEM: TIMESTEP"):
                step = _whole(value, "TIMESTEP")
            elif item.startswith(b"ITEM: NUMBER OF ATOMS"):
                n_atoms = _whole(value, "NUMBER OF ATOMS")
            elif item.startswith(b"ITEM: UNITS"):
                self._stated(value.decode(errors="replace").strip())
            elif item.startswith(b"ITEM: BOX BOUNDS"):
                box = _box(item, [lines[at + k] for k in (1, 2, 3)])
                at += 2
            elif not item.startswith(b"ITEM: "):
                raise BadHeader(f"{item.decode(errors='replace').strip()!r:.40} inside a header")
            at += 2
        if step is None or n_atoms is None or box is None:
            raise BadHeader("no TIMESTEP, NUMBER OF ATOMS or BOX BOUNDS before ATOMS")
        columns = self._layouts.get(item)
        if columns is None:
            columns = self._layouts[item] = self._layout(item)
        if self._length_A is None:
            raise QuorumError(
                f"{self.path}: does not say its units, expected those of the LAMMPS script: state "
                "them (units='metal'), or write the dump with `dump_modify … units yes`"
            )
        cell, origin, pbc = box
        length = self._length_A
        # scaled coordinates carry no unit, the cell gives them theirs
        return Header(
            at + 1 - first,
            n_atoms,
            step,
            cell,
            pbc,
            columns,
            1.0 if columns.scaled else length,
            length,
            origin,
        )

    def _stated(self, units: str) -> None:
        if self.units is not None and units != self.units:
            raise QuorumError(
                f"{self.path}: says that its units are {units}, but {self.units} were stated; "
                "state none"
            )
        self._length_A = self._length(units)

    def _length(self, units: str) -> float:
        if units not in LENGTHS_A:
            raise unknown_unit(self.path, units, ", ".join(LENGTHS_A))
        return LENGTHS_A[units]

    def _layout(self, item: bytes) -> Columns:
        names = item.decode(errors="replace").split()[2:]
        for kind in _COORDINATES:
            if all(name in names for name in kind):
                break
        else:
            raise QuorumError(
                f"{self.path}: its columns are {' '.join(names)}, expected x y z, xu yu zu, xs ys "
                "zs or xsu ysu zsu among them; write them with `dump … custom … id type x y z`"
            )
        x, y, z = (names.index(name) for name in kind)
        image = None
        if kind[0] in ("x", "xs") and all(name in names for name in ("ix", "iy", "iz")):
            image = (names.index("ix"), names.index("iy"), names.index("iz"))
        place = {name: names.index(name) for name in ("element", "type", "id") if name in names}
        return Columns(
            len(names),
            (x, y, z),
            scaled=kind[0] in ("xs", "xsu"),
            unwrapped=kind[0] in ("xu", "xsu") or image is not None,
            image=image,
            symbol=place.get("element"),
            kind=place.get("type"),
            identity=place.get("id"),
            tracked="id" in place,  # by default LAMMPS writes atoms in any order
        )


def _whole(text: bytes, what: str) -> int:
    if not text.strip().isdigit():
        raise BadHeader(
            f"{what} is {text.decode(errors='replace').strip()!r:.40}, expected a whole number"
        )
    return int(text)


def _box(
    item: bytes, rows: list[bytes]
) -> tuple[tuple[float, ...], tuple[float, float, float], tuple[bool, bool, bool]]:
    words = item.split()[3:]
    flags = [word for word in words if len(word) == 2 and set(word) <= set(b"pfsm")]
    if len(flags) != 3:
        raise BadHeader(f"{item.decode(errors='replace').strip()!r:.60} has no three boundaries")
    a, b, c = (flag == b"pp" for flag in flags)
    pbc = (a, b, c)
    if b"abc" in words:
        table = [numbers(row, 4, "BOX BOUNDS") for row in rows]
        return (
            tuple(v for row in table for v in row[:3]),
            (table[0][3], table[1][3], table[2][3]),
            pbc,
        )
    tilted = b"xy" in words
    table = [numbers(row, 3 if tilted else 2, "BOX BOUNDS") for row in rows]
    xy, xz, yz = (row[2] for row in table) if tilted else (0.0, 0.0, 0.0)
    # the file has the bounds of the bounding box
    xlo = table[0][0] - min(0.0, xy, xz, xy + xz)
    xhi = table[0][1] - max(0.0, xy, xz, xy + xz)
    ylo = table[1][0] - min(0.0, yz)
    yhi = table[1][1] - max(0.0, yz)
    zlo, zhi = table[2][:2]
    cell = (xhi - xlo, 0.0, 0.0, xy, yhi - ylo, 0.0, xz, yz, zhi - zlo)
    return cell, (xlo, ylo, zlo), pbc
