"""What an i-PI input says about its averages: temperature, time step, beads and file names.

Read with the standard library, so that nobody types kT in Hartree and i-PI need not be installed
where the averages are made. RESTART files have the same form.
"""

import math
import os
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

from ..errors import QuorumError
from ..units import ATOMIC_TIME_FS, BOLTZMANN_EV_K, HARTREE_EV

# K or fs per unit, as i-PI spells them; no unit attribute means atomic units
_TEMPERATURE_K = {
    "kelvin": 1.0,
    "millikelvin": 1e-3,
    "kilokelvin": 1e3,
    "atomic_unit": HARTREE_EV / BOLTZMANN_EV_K,
}
_TIME_FS = {
    "femtosecond": 1.0,
    "picosecond": 1e3,
    "nanosecond": 1e6,
    "attosecond": 1e-3,
    "atomic_unit": ATOMIC_TIME_FS,
}


@dataclass(frozen=True)
class IpiInput:
    """Facts of an i-PI input.

    Attributes:
        path: of the input.
        temperatures_K: one per system, in order.
        timestep_fs: None if there is none or systems differ.
        n_beads: None if it is not stated.
        properties: paths of the properties files, beside the input.
        committee: paths of the `committee_pot` extras without the bead number, beside the input.
    """

    path: str
    temperatures_K: tuple[float, ...]
    timestep_fs: float | None
    n_beads: int | None
    properties: tuple[Path, ...]
    committee: tuple[Path, ...]

    @property
    def temperature_K(self) -> float:
        """The temperature of the run.

        Raises:
            QuorumError: none, or several different ones.
        """
        different = sorted(set(self.temperatures_K))
        if len(different) == 1:
            return different[0]
        found = ", ".join(f"{value:g} K" for value in different) or "none"
        raise QuorumError(
            f"{self.path}: <ensemble><temperature>: got {found}, expected one temperature for the "
            "run; give the one of these files with --temperature"
        )


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
    temperatures = tuple(
        _quantity(path, "ensemble/temperature", element, _TEMPERATURE_K)
        for element in root.iter("temperature")
        # <remd> has a list of temperatures under another name; motions have none
        if _inside(root, element, "ensemble")
    )
    timesteps = {
        _quantity(path, "timestep", element, _TIME_FS) for element in root.iter("timestep")
    }
    beads = {
        int(value)
        for element in root.iter("initialize")
        if (value := element.get("nbeads", "").strip()).isdigit()
    } | {
        int(value)
        for element in root.iter("beads")
        if (value := element.get("nbeads", "").strip()).isdigit()
    }
    properties, committee = _outputs(Path(path), root)
    return IpiInput(
        str(path),
        temperatures,
        timesteps.pop() if len(timesteps) == 1 else None,
        beads.pop() if len(beads) == 1 else None,
        properties,
        committee,
    )


def _inside(root: ElementTree.Element, element: ElementTree.Element, tag: str) -> bool:
    return any(element is child for parent in root.iter(tag) for child in parent)


def _quantity(
    path: str | os.PathLike[str], key: str, element: ElementTree.Element, units: dict[str, float]
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
    if not value > 0 or math.isinf(value):
        raise QuorumError(
            f"{path}: <{key}>: got {text!r}, expected a positive number (labels of a "
            "<system_template> are not filled in; give the value on the command line)"
        )
    return value * units[unit]


def _outputs(path: Path, root: ElementTree.Element) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Files of the properties and of the committee, without bead numbers; i-PI's defaults."""
    properties, committee = [], []
    for output in root.iter("output"):
        prefix = output.get("prefix", "i-pi").strip()

        def name(element: ElementTree.Element, default: str, prefix: str = prefix) -> Path:
            own = element.get("filename", default).strip()
            return path.parent / (f"{prefix}.{own}" if prefix else own)

        properties += [name(element, "out") for element in output.iter("properties")]
        committee += [
            name(element, "traj")
            for element in output.iter("trajectory")
            if element.get("extra_type", "").strip() == "committee_pot"
            and (element.text or "").strip() == "extras"
        ]
    return tuple(properties), tuple(committee)
