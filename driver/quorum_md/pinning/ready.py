"""A run.toml that has passed all checks that can be made before anything starts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..engines.lammps_scripts import named_files, read_script
from ..engines.pin_stage import Setting
from ..errors import QuorumError
from ..order_parameters.pinned import Density, Named, PinnedVariable, density_of, named
from .crystal import Box, build_box, checked_distance, describe_crystal, digest_of
from .run_input import PinFile
from .window import check_variable


@dataclass(frozen=True)
class Ready:
    """A run.toml that has passed all checks.

    Attributes:
        values: of the variable in the crystal, and with its atoms shaken to pieces.
        potential: name and digest of the script or model.
        begun_with: what else a job cannot change on its way, for job.json.
    """

    file: PinFile
    box: Box
    variable: PinnedVariable
    setting: Setting
    values: tuple[float, float]
    potential: str
    begun_with: dict[str, Any]


def make_ready(file: PinFile) -> Ready:
    """Everything that can be checked before anything starts.

    Raises:
        QuorumError: what cannot be.
    """
    settings = file.settings
    box = build_box(file)
    checked_distance(file, box.atoms)
    order = settings.order_parameter
    variable: PinnedVariable
    if order.plumed:
        variable = named(file.place(order.plumed), order.value, order.backend)
    elif order.rhok:
        variable = Density((order.rhok[0], order.rhok[1], order.rhok[2]))
    else:
        variable = density_of(box.atoms)
    if len(settings.potential.elements) < 2 and settings.liquid.fractions:
        raise file.error("liquid", "fractions: got a melt of other composition of one element")
    if settings.potential.engine == "lammps":
        from ..engines.pin_lammps import check_script

        where = f"{file.path}: [potential]: script"
        check_script(where, file.place, settings.potential.script)
        if isinstance(variable, Density) and variable.waves[2]:
            raise file.error(
                "order_parameter",
                f"rhok: got a wave along z, {list(order.rhok)}, which fix rhok of LAMMPS keeps as "
                "it was when the run began while L_z moves; expected the third number to be 0, or "
                'engine = "i-pi"',
            )
    elif "." in settings.potential.model and not file.place(settings.potential.model).exists():
        raise file.error("potential", f"model: {settings.potential.model}: there is no such file")
    values = check_variable(file, box, variable)
    run, potential = settings.run, settings.potential
    setting = Setting(
        root=file.root,
        elements=potential.elements,
        variable=variable,
        pressure_GPa=settings.state.pressure_GPa,
        interval_steps=run.interval_steps,
        thermostat=run.thermostat,
        thermostat_steps=run.thermostat_steps,
        barostat_steps=run.barostat_steps,
        script=potential.script,
        atom_style=potential.atom_style,
        units=potential.units,
        arguments=potential.arguments,
        model=potential.model,
        timestep_fs=potential.timestep_fs,
    )
    return Ready(
        file, box, variable, setting, values, _identity(file), _begun_with(file, box, variable)
    )


def folder_of(file: PinFile) -> Path:
    """The output folder, made if it is not there.

    Raises:
        QuorumError: it cannot be made.
    """
    try:
        file.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise QuorumError(
            f"{file.folder}: cannot be made ({error.strerror}); give an [output] folder that you "
            f"may write to in {file.path}"
        ) from error
    return file.folder


def _begun_with(file: PinFile, box: Box, variable: PinnedVariable) -> dict[str, Any]:
    """Words to compare, and digests of files."""
    settings = file.settings
    found: dict[str, Any] = {"crystal": f"{describe_crystal(file)}, {digest_of(box.atoms)}"}
    if isinstance(variable, Named):
        found["plumed"] = variable.digests()
    if settings.potential.engine == "lammps":
        script = settings.potential.script
        lines = read_script(file.place, script, f"{file.path}: [potential]: script")
        files = named_files(file.place, lines)
        found["potential_files"] = {name: digest[:16] for name, digest in files.items()}
    else:
        found["timestep_fs"] = settings.potential.timestep_fs
    return found


def _identity(file: PinFile) -> str:
    name = file.settings.potential.script or file.settings.potential.model
    place = file.place(name)
    if not place.is_file():  # a model that ships with the package
        return name
    with open(place, "rb") as stream:
        return f"{name} {hashlib.file_digest(stream, 'sha256').hexdigest()[:16]}"
