"""Columns of LAMMPS's thermo output: their units, their meaning, and sums of them."""

from dataclasses import dataclass

import numpy as np

from ..units import ATMOSPHERE_BAR
from .lammps_script import Script
from .lammps_select import Selection, potential_parts
from .run import Vocabulary
from .tables import Array, Column, Table

DRIVING = "PotEng"
ENERGIES = ("PotEng", "KinEng", "TotEng", "E_pair", "E_mol", "E_vdwl", "E_coul", "E_long",
            "E_bond", "E_angle", "E_dihed", "E_impro", "E_tail", "Enthalpy",
            "Ecouple", "Econserve")  # fmt: skip
_PRESSURES = ("Press", "Pxx", "Pyy", "Pzz", "Pxy", "Pxz", "Pyz")
_LENGTHS = ("Lx", "Ly", "Lz", "Xlo", "Xhi", "Ylo", "Yhi", "Zlo", "Zhi", "Xy", "Xz", "Yz", "Xlat",
            "Ylat", "Zlat", "Cella", "Cellb", "Cellc")  # fmt: skip
_CLOCKS = ("Step", "Elapsed", "Elaplong", "Dt", "Time", "CPU", "T/CPU", "S/CPU", "CPULeft", "Part",
           "TimeoutLeft", "Atoms", "Bonds", "Nbuild", "Ndanger")  # fmt: skip
# words of thermo_style, and those of i-PI, for the columns that they print
_ALIASES = {
    **{word.lower(): word for word in (*_PRESSURES, *_LENGTHS, "Temp", "Density", "Enthalpy")},
    **{"pe": "PotEng", "ke": "KinEng", "etotal": "TotEng", "vol": "Volume", "step": "Step"},
    **{"potential": "PotEng", "volume": "Volume", "pressure": "Press", "temperature": "Temp"},
}


@dataclass(frozen=True)
class Units:
    """Units of a LAMMPS `units` command that have electronvolts and kelvin to be converted to."""

    energy: str
    pressure: str
    pressure_bar: float
    time: str


UNITS = {
    "metal": Units("electronvolt", "bar", 1.0, "picosecond"),
    "real": Units("kcal/mol", "atmosphere", ATMOSPHERE_BAR, "femtosecond"),
}


def potential_energy(values: dict[str, Array], factor: float) -> Array | None:
    """(n,) potential energy in eV, `factor` eV per unit of the log; None if it cannot be had."""
    parts = potential_parts(list(values))
    if parts is None:
        return None
    total: Array = sum((sign * values[name] for name, sign in parts), np.zeros(1)) * factor
    return total


def is_energy(name: str, vector: str) -> bool:
    """Whether a column is an energy of the system, those of the members included."""
    return name in ENERGIES or (bool(vector) and name.split("[")[0] == vector)


def make_table(selection: Selection, vector: str, system: Units, script: Script) -> Table:
    """The columns other than the members, with their units; PotEng always, if it can be had."""
    values = dict(selection.values)
    parts = potential_parts(list(values))
    if parts is not None and DRIVING not in values:
        values[DRIVING] = sum((sign * values[name] for name, sign in parts), np.zeros(1))
    columns = [
        # copies: a view would keep the whole log, members included
        Column(name, _unit(name, vector, system, script), one.copy())
        for name, one in values.items()
        if not (vector and name.startswith(f"{vector}["))
    ]
    return Table(
        selection.path,
        columns,
        selection.abandoned,
        False,
        "add {} to thermo_style custom",
        _ALIASES,
    )


def _unit(name: str, vector: str, system: Units, script: Script) -> str:
    if name in ENERGIES or name == vector:
        return system.energy
    if name in _PRESSURES:
        return system.pressure
    if name in _LENGTHS:
        return "angstrom"
    fixed = {"Volume": "angstrom3", "Density": "g/cm3", "Temp": "kelvin", "Time": system.time}
    if name in fixed:
        return fixed[name]
    style = script.computes.get(name[2:].split("[")[0], ("",))[0] if name[:2] == "c_" else ""
    by_style = {"pe": system.energy, "ke": system.energy, "temp": "kelvin",
                "pressure": system.pressure, "pair": system.energy}  # fmt: skip
    return by_style.get(style.split("/")[0], "")


def vocabulary(script: Script) -> Vocabulary:
    """What the columns are; computes by their styles, where the log echoes them."""
    momenta, forces = ["Temp", "KinEng"], [*_PRESSURES, "Fmax", "Fnorm"]
    for name, words in script.computes.items():
        if words[0].split("/")[0] in ("temp", "ke"):
            momenta.append(f"c_{name}")
        elif words[0].split("/")[0] in ("pressure", "stress", "heat"):
            forces.append(f"c_{name}")
    return Vocabulary(
        driving=DRIVING,
        temperature="Temp",
        volume="Volume",
        no_observable=(*_CLOCKS, "TotEng", "Enthalpy", "Ecouple", "Econserve"),
        momenta=tuple(momenta),
        forces=tuple(forces),
        energies=(),
        where_pressure="the log echoes no fix npt or nph with one pressure; average potential and "
        "volume in its place",
    )
