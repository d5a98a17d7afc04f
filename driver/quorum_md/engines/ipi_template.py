"""Species from a template: any file that ASE reads, or i-PI's own xyz."""

from pathlib import Path

import ase.io
from ase import Atoms
from ase.data import atomic_numbers
from ase.io.formats import UnknownFileTypeError

from ..errors import QuorumError

# what ASE's readers raise on a file that is not what it seems
_READ_ERRORS = (
    OSError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    AssertionError,
    StopIteration,
    RuntimeError,
    UnknownFileTypeError,
)


def read_template(path: str) -> Atoms:
    """The first structure of *path*; only its species, in order, count.

    Raises `QuorumError` if the file is missing, empty or of no known form.
    """
    if not Path(path).is_file():
        raise QuorumError(
            f"{path}: no such template; give a structure file with the atoms in i-PI's order"
        )
    symbols = _ipi_symbols(path)
    if symbols is not None:
        return Atoms(symbols=symbols, positions=[(0.0, 0.0, 0.0)] * len(symbols))
    try:
        atoms = ase.io.read(path, index=0)
    except _READ_ERRORS as error:
        raise QuorumError(
            f"{path}: cannot be read as a structure ({type(error).__name__}: {error}); "
            "give an extended xyz file"
        ) from error
    if not isinstance(atoms, Atoms) or len(atoms) == 0:
        raise QuorumError(f"{path}: holds no atoms; give a structure file with i-PI's atoms")
    return Atoms(numbers=atoms.numbers, positions=atoms.positions)


def _ipi_symbols(path: str) -> list[str] | None:
    """Symbols of an xyz file with i-PI's comment line, None for any other file.

    ASE takes the comment ``# CELL(abcABC): …`` for keywords and stumbles over it.
    """
    try:
        with open(path, encoding="utf-8") as file:
            count, comment = file.readline().strip(), file.readline()
            if not count.isdigit() or not any(
                f"CELL{o}{name}{c}" in comment
                for name in ("abcABC", "H", "GENH")
                for o, c in ("()", "[]", "{}")
            ):
                return None
            symbols = [file.readline().split(maxsplit=1)[:1] for _ in range(int(count))]
    except (OSError, UnicodeDecodeError):
        return None
    for number, symbol in enumerate(symbols, start=3):
        if not symbol or symbol[0] not in atomic_numbers:
            found = repr(symbol[0]) if symbol else "the end of the file"
            raise QuorumError(
                f"{path}: line {number}: got {found}, expected an element symbol and a position "
                f"for each of {count} atoms; mend the file"
            )
    return [symbol[0] for symbol in symbols]
