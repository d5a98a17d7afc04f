"""What an i-PI input says about its averages: ensemble, time step, beads and file names.

Read with the standard library, so that nobody types kT in Hartree and i-PI need not be installed
where the averages are made. RESTART files have the same form.
"""

import math
import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..errors import QuorumError
from ..units import (
    ATMOSPHERE_BAR,
    BOHR_A,
    BOLTZMANN_EV_K,
    EV_A3_BAR,
    EV_A3_GPA,
    HARTREE_EV,
    TIME_FS,
)

T = TypeVar("T")

# K or bar per unit, as i-PI spells them; no unit attribute means atomic units
_TEMPERATURE_K = {
    "kelvin": 1.0,
    "millikelvin": 1e-3,
    "kilokelvin": 1e3,
    "atomic_unit": HARTREE_EV / BOLTZMANN_EV_K,
}
_PRESSURE_BAR = {
    "bar": 1.0,
    "kilobar": 1e3,
    "pascal": 1e-5,
    "megapascal": 10.0,
    "gigapascal": EV_A3_BAR / EV_A3_GPA,
    "atmosphere": ATMOSPHERE_BAR,
    "ev/ang3": EV_A3_BAR,
    "atomic_unit": HARTREE_EV / BOHR_A**3 * EV_A3_BAR,
}


@dataclass(frozen=True)
class IpiSystem:
    """One <system>.

    Attributes:
        prefix: of its files, "T300" in T300_simulation.out; "" if it has none.
        temperature_K: None if it has none.
        timestep_fs: None if it has none, or several motions that differ.
        n_beads: None if it is not stated.
        pressure_bar: None if it has none.
    """

    prefix: str
    temperature_K: float | None
    timestep_fs: float | None
    n_beads: int | None
    pressure_bar: float | None


@dataclass(frozen=True)
class IpiInput:
    """Facts of an i-PI input.

    Attributes:
        path: of the input.
        systems: in order, instances of a <system_template> included.
        properties: names of the properties files, without the prefix of a system.
        committee: names of the `committee_pot` extras, without prefix and bead number.
    """

    path: str
    systems: tuple[IpiSystem, ...]
    properties: tuple[str, ...]
    committee: tuple[str, ...]

    def system_of(self, file: str | os.PathLike[str]) -> IpiSystem:
        """The system that wrote a file, by the prefix of its name; what all systems share if that
        does not decide.
        """
        own = [s for s in self.systems if s.prefix and Path(file).name.startswith(s.prefix + "_")]
        chosen = own or list(self.systems)
        if len(chosen) == 1:
            return chosen[0]
        return IpiSystem(
            "",
            _common(system.temperature_K for system in chosen),
            _common(system.timestep_fs for system in chosen),
            _common(system.n_beads for system in chosen),
            _common(system.pressure_bar for system in chosen),
        )

    def temperature_K(self, file: str | os.PathLike[str]) -> float:
        """The temperature of the system that wrote a file.

        Raises:
            QuorumError: there is none, or the name of the file does not say which of several.
        """
        temperature = self.system_of(file).temperature_K
        if temperature is not None:
            return temperature
        different = sorted({s.temperature_K for s in self.systems if s.temperature_K is not None})
        found = ", ".join(f"{value:g} K" for value in different) or "none"
        raise QuorumError(
            f"{self.path}: <ensemble><temperature>: got {found}, expected one temperature for "
            f"{file}; give it with --temperature"
        )

    def file(self, name: str) -> Path:
        """Path of an output beside the input, with the prefix of a single system."""
        prefix = self.systems[0].prefix if len(self.systems) == 1 else ""
        return Path(self.path).parent / (f"{prefix}_{name}" if prefix else name)


def read_ipi_input(path: str | os.PathLike[str]) -> IpiInput:
    """Read an i-PI input or RESTART file.

    Raises:
        QuorumError: missing file, not an i-PI input, unknown unit, a temperature that is not
            positive.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except OSError as error:
        raise QuorumError(
            f"{path}: cannot be read ({error.strerror}); expected the input of i-PI"
        ) from error
    except ElementTree.ParseError as error:
        raise QuorumError(f"{path}: is not XML ({error}); expected the input of i-PI") from error
    if root.tag != "simulation":
        raise QuorumError(
            f"{path}: got <{root.tag}>, expected <simulation>; give the input of i-PI"
        )
    systems = list(root.findall("system"))
    for template in root.findall("system_template"):
        systems += _instances(path, template)
    properties, committee = _outputs(root)
    return IpiInput(
        str(path), tuple(_system(path, element) for element in systems), properties, committee
    )


def _instances(
    path: str | os.PathLike[str], template: ElementTree.Element
) -> list[ElementTree.Element]:
    """Systems of a <system_template>: its labels replaced by the words of every instance."""
    pattern = template.find("template/system")
    labels = _words(template.findtext("labels", ""))
    if pattern is None:
        return []
    text, found = ElementTree.tostring(pattern, encoding="unicode"), []
    for instance in template.findall("instance"):
        words = _words(instance.text or "")
        if len(words) != len(labels):
            raise QuorumError(
                f"{path}: <system_template><instance>: got {len(words)} words, expected "
                f"{len(labels)}, one for each of <labels>"
            )
        filled = text
        for label, word in zip(labels, words, strict=True):
            filled = filled.replace(label, word)
        found.append(ElementTree.fromstring(filled))
    return found


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.strip().strip("[]").split(",") if word.strip()]


def _system(path: str | os.PathLike[str], element: ElementTree.Element) -> IpiSystem:
    temperatures = [
        _quantity(path, "ensemble/temperature", found, _TEMPERATURE_K)
        for found in element.findall("ensemble/temperature")
    ]
    timesteps = (_quantity(path, "timestep", found, TIME_FS) for found in element.iter("timestep"))
    beads = (
        int(value)
        for found in (*element.findall("initialize"), *element.findall("beads"))
        if (value := found.get("nbeads", "").strip()).isdigit()
    )
    return IpiSystem(
        element.get("prefix", "").strip(),
        _common(temperatures),
        _common(timesteps),
        _common(beads),
        _common(
            _quantity(path, "ensemble/pressure", found, _PRESSURE_BAR, positive=False)
            for found in element.findall("ensemble/pressure")
        ),
    )


def _common(values: Iterable[T | None]) -> T | None:
    """The one value, or None if there is none or they differ."""
    different = set(values)
    return different.pop() if len(different) == 1 else None


def _quantity(
    path: str | os.PathLike[str],
    key: str,
    element: ElementTree.Element,
    units: dict[str, float],
    *,
    positive: bool = True,
) -> float:
    text = (element.text or "").strip()
    unit = element.get("units", "").strip().lower() or "atomic_unit"
    if unit == "automatic":
        unit = "atomic_unit"
    if unit not in units:
        raise QuorumError(
            f"{path}: <{key}>: got units {unit!r}, expected one of {', '.join(units)}; give the "
            "value on the command line if it is in another unit"
        )
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or (positive and value <= 0):
        kind = "a positive number" if positive else "a number"
        raise QuorumError(f"{path}: <{key}>: got {text!r}, expected {kind}")
    return value * units[unit]


def _outputs(root: ElementTree.Element) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the properties and of the committee files, i-PI's defaults filled in."""
    properties, committee = [], []
    for output in root.iter("output"):
        prefix = output.get("prefix", "i-pi").strip()
        start = f"{prefix}." if prefix else ""
        properties += [
            start + element.get("filename", "out").strip() for element in output.iter("properties")
        ]
        committee += [
            start + element.get("filename", "traj").strip()
            for element in output.iter("trajectory")
            if element.get("extra_type", "").strip() == "committee_pot"
            and (element.text or "").strip() == "extras"
        ]
    return tuple(properties), tuple(committee)
