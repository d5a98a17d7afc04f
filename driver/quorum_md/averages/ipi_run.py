"""The averages of one i-PI run, from its files: ``load_run`` reads and matches them."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import QuorumError
from ..units import thermal_energy_eV
from .checks import reference_energies
from .frames import check_driving_potential, energy_column_eV, frames_alone, match_frames
from .ipi_files import read_committee, read_properties
from .ipi_input import IpiInput, read_ipi_input
from .run import Run, Vocabulary, assemble, positive_temperature
from .tables import Array, PathLike

DRIVING = "potential"  # i-PI's name of the energy that drove the run
WORDS = Vocabulary(
    driving=DRIVING,
    temperature="temperature",
    volume="volume",
    no_observable=("step", "time", "conserved", "ensemble_", "bead_potentials", "pot_component"),
    momenta=("temperature", "kinetic_md", "kinetic_tens", "kinetic_ij", "vcom", "atom_v", "atom_p"),
    forces=("pressure", "stress", "virial", "kinetic_cv", "kinetic_prsc", "forcemod", "atom_f"),
    energies=(DRIVING, "conserved", "kinetic_md", "kinetic_cv", "enthalpy", "spring"),
    where_pressure="give --input with an input that has <ensemble><pressure>",
)


def load_run(
    properties: PathLike,
    committee: PathLike | Sequence[PathLike],
    *,
    temperature_K: float | None = None,
    input_path: PathLike | None = None,
    reference: str | int = "mean",
    discard: str | float = 0,
    committee_unit: str = "hartree",
) -> Run:
    """Read and match the files of one i-PI run.

    Args:
        properties: what <properties> wrote.
        committee: what <trajectory extra_type='committee_pot'> wrote, all beads of it; nothing
            where there is none: averages of the one potential, without a model error.
        temperature_K: of the run; or
        input_path: i-PI's input, which has it and the time step.
        reference: what drove the run: "mean", the index of a member, or the name of a column of
            the properties with its energy (of a weighted baseline, say).
        discard: frames to leave out at the start: "auto", a number, or a fraction below 1.
        committee_unit: of the member energies; i-PI's extras are in Hartree.

    Raises:
        QuorumError: unreadable files, no common steps, a reference that is not the potential of
            the run, no temperature.
    """
    facts = None if input_path is None else read_ipi_input(input_path)
    system = None if facts is None else facts.system_of(properties)
    table = read_properties(properties)
    kelvin = _temperature(temperature_K, facts, properties)
    timestep_fs = system.timestep_fs if system else None
    n_beads = system.n_beads if system else None
    paths: tuple[str, ...] = ()
    if isinstance(committee, str | os.PathLike) or committee:
        members = read_committee(committee, unit=committee_unit)
        paths = members.paths
        if facts is not None and n_beads is not None:
            _check_beads(paths, facts.path, n_beads)
        n_beads = len(paths)
        frames = match_frames(table, members, timestep_fs)
    else:
        frames = frames_alone(table, DRIVING, timestep_fs)
    lost = ~np.isfinite(frames.energies_eV).all(axis=1)
    if lost.any():
        raise QuorumError(
            f"{paths[0] if paths else table.path}: step {frames.steps[lost][0]} holds a member "
            "energy that is not finite, expected numbers; the run broke down there, cut both files "
            "before that step"
        )
    kT_eV = thermal_energy_eV(kelvin)
    driving: str | int | Array = reference
    checked = False
    if isinstance(reference, str) and reference != "mean":
        driving = energy_column_eV(table, reference)[frames.rows]
    else:
        reference_energies(frames.energies_eV, reference)  # does that member exist
        if paths and table.has(DRIVING):
            check_driving_potential(
                energy_column_eV(table, DRIVING)[frames.rows],
                frames.energies_eV,
                reference=reference,
                kT_eV=kT_eV,
                table=table.path,
                committee=paths,
            )
            checked = True
    if not paths and reference == "mean":
        reference, checked = DRIVING, True
    run = Run(
        table,
        frames.rows,
        frames.steps,
        frames.stride,
        frames.energies_eV,
        driving,
        str(reference),
        kelvin,
        0,
        paths,
        checked,
        system.pressure_bar if system else None,
        (system.pressure_bar is None) if system else None,
        WORDS,
        n_beads=n_beads or 1,
        timestep_fs=timestep_fs,
    )
    return assemble(run, discard)


def _temperature(
    temperature_K: float | None, facts: IpiInput | None, properties: PathLike
) -> float:
    if temperature_K is None:
        if facts is None:
            raise QuorumError(
                "temperature: got none, expected that of the run; give --input with the input of "
                "i-PI, or --temperature in K"
            )
        return facts.temperature_K(properties)
    temperature_K = positive_temperature(temperature_K)
    if facts is not None:
        known = facts.system_of(properties).temperature_K
        if known is not None and abs(known / temperature_K - 1) > 1e-3:
            raise QuorumError(
                f"temperature: got {temperature_K:g} K, but {facts.path} has {known:g} K; give "
                "only one of the two"
            )
    return temperature_K


def _check_beads(paths: Sequence[str], source: str, n_beads: int) -> None:
    if len(paths) != n_beads:
        raise QuorumError(
            f"{paths[0]}: got {len(paths)} file(s) of member energies, but {source} has "
            f"nbeads={n_beads}; give one file per bead after --committee"
        )


def files_of(
    properties: PathLike | None, committee: Sequence[PathLike] | None, input_path: PathLike | None
) -> tuple[PathLike, list[PathLike]]:
    """Properties and committee files of a run: those given, the others as the input names them; no
    committee files where it asks for none.

    Raises:
        QuorumError: something is missing and there is no input, or the input has several.
    """
    if properties is not None and committee:
        return properties, list(committee)
    if input_path is None:
        missing = "properties file" if properties is None else "--committee"
        raise QuorumError(
            f"{missing}: got none, expected the files of one run; give "
            "`quorum reweight simulation.out --committee simulation.committee_pot_0`, or --input"
        )
    facts = read_ipi_input(input_path)
    if properties is None:
        if len(facts.properties) != 1 or len(facts.systems) != 1:
            raise QuorumError(
                f"{input_path}: has {len(facts.properties)} <properties> and "
                f"{len(facts.systems)} systems, expected one of each; name the file on the command "
                "line"
            )
        properties = facts.file(facts.properties[0])
    if not committee:
        if not facts.committee:
            return properties, []
        if len(facts.committee) > 1:
            raise QuorumError(
                f"{input_path}: has {len(facts.committee)} <trajectory "
                "extra_type='committee_pot'>extras</trajectory>, expected at most one; name the "
                "files with --committee"
            )
        # the members of one system lie beside its properties, with the same prefix
        name = Path(properties).name
        prefix = facts.system_of(properties).prefix
        stem = Path(properties).parent / (
            f"{prefix}_{facts.committee[0]}"
            if prefix and name.startswith(f"{prefix}_")
            else facts.committee[0]
        )
        committee = sorted(
            path
            for path in stem.parent.glob(f"{stem.name}_*")
            if path.name[len(stem.name) + 1 :].isdigit()
        )
        if not committee:
            raise QuorumError(
                f"{stem}_0: is not there, although {input_path} asks for it; expected the member "
                "energies of the run, name the files with --committee"
            )
    return properties, list(committee)
