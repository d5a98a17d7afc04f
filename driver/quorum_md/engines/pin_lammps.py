"""Interface pinning with LAMMPS: stages as scripts around the user's own script of the potential.

Every block begins with a restart file and the script of its stage, which stays in the job's folder
(in.stage) and shows all that was asked of LAMMPS. The bias is fix rhok for a Fourier component of
the density, and fix quorum/bias for a value of a PLUMED input.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic import write_atomically
from ..errors import QuorumError
from ..order_parameters.pinned import Density, Named, PinnedVariable
from . import lammps_plugin
from .lammps_configuration import F, X
from .lammps_replica import ENERGY_EV, PRESSURE_GPA, Replica
from .lammps_scripts import BEFORE_BOX, before_box, read_script, read_text
from .pin_stage import Array, EngineFacts, Setting, Stage

FORCES = ".forces"  # of the last step, in the order of the atom IDs; beside a restart file
_BIAS = "quorum_pin"
_COLUMNS = ("lx", "ly", "lz", "pxx", "pyy", "pzz")
# commands that are ours: of the box, the atoms, their motion
_OURS = (
    *("run", "minimize", "rerun", "velocity", "displace_atoms", "create_atoms", "create_box"),
    *("read_data", "read_restart", "read_dump", "reset_timestep", "clear", "units", "boundary"),
    *("atom_style", "fix", "thermo_style", "lattice", "region", "change_box", "quit", "unfix"),
)


class LammpsEngine:
    """See `pin_stage.Engine`."""

    suffix = ".restart"

    def __init__(self, setting: Setting, comm: Any, folder: Path, label: str) -> None:
        self.setting, self.comm, self.folder, self.label = setting, comm, folder, label
        self._stage: Stage | None = None
        self._script_path = Path(setting.script)
        self._replica = Replica(
            comm,
            label,
            arguments=setting.arguments,
            log=folder / "log.lammps",
            variables={},
            pressure_GPa=setting.pressure_GPa,
            columns=(*_COLUMNS, *_outputs(setting)),
        )

    def begin(self, atoms: Any, temperature_K: float, seed: int, path: Path) -> None:
        """See `Engine.begin`."""
        from ase.io import write

        self._read_potential()
        setting, data = self.setting, self.folder / "start.data"
        if self.comm.rank == 0:
            write(
                data,
                atoms,
                format="lammps-data",
                specorder=list(setting.elements),
                masses=True,
                units=setting.units,
                atom_style=setting.atom_style,
                parallel=False,  # ase lets the first of all ranks write, this is that of a group
            )
            script = [
                f"units {setting.units}",
                f"atom_style {setting.atom_style}",
                "boundary p p p",
                *self._replica.before,
                f'read_data "{data}"',
                f'include "{self._script_path}"',
                f"velocity all create {temperature_K:.17g} {seed} mom yes dist gaussian",
            ]
            write_atomically(self.folder / "in.start", "\n".join(script) + "\n")
        self.comm.Barrier()
        self._replica.begin(str(self.folder / "in.start"), path)

    def open(self, stage: Stage, path: Path, seed: int, first: bool) -> EngineFacts:
        """See `Engine.open`."""
        self._stage = stage
        self._read_potential()
        if self.comm.rank == 0:
            write_atomically(self.folder / "in.stage", self._script(stage, seed, first))
        self.comm.Barrier()
        # without them every block would begin with half a step of no noise, and be colder
        forces = None if first else self._forces_of(path)
        self._replica.build(path, str(self.folder / "in.stage"), seed, forces)
        facts = self._replica.facts()
        return EngineFacts(facts.n_members, facts.timestep_fs)

    def advance(self, steps: int) -> None:
        """See `Engine.advance`."""
        self._replica.advance(steps)

    def row(self) -> Array:
        """See `Engine.row`."""
        sample, stage = self._replica.sample(), self._stage
        assert stage is not None
        lengths, pressures = sample.columns[:3], sample.columns[3:6]
        if isinstance(self.setting.variable, Density):
            q = self._density()
            bias = 0.5 * stage.kappa_eV * (q - stage.center) ** 2
        else:  # what the fix says it did, for the analysis to compare with what it should do
            q, bias = sample.columns[6], sample.columns[7] * ENERGY_EV[self._replica.units]
        return np.array(
            [
                sample.kinetic_K,
                sample.energy_eV,
                sample.volume_A3,
                *lengths,
                *(pressures * PRESSURE_GPA[self._replica.units]),
                q,
                bias,
                *sample.members_eV,
            ]
        )

    def save(self, path: Path) -> None:
        """See `Engine.save`."""
        forces = self._replica.configuration().rows[:, F]
        if self.comm.rank == 0:
            write_atomically(path.with_suffix(FORCES), np.ascontiguousarray(forces).tobytes())
        self._replica.save(path)

    def close(self) -> None:
        """See `Engine.close`."""
        self._replica.close()

    def _forces_of(self, path: Path) -> Array | None:
        """Of the last step before a file was written; None of one that has none beside it."""
        try:
            content = path.with_suffix(FORCES).read_bytes()
        except FileNotFoundError:
            return None
        return np.frombuffer(content).reshape(-1, 3)

    def _density(self) -> float:
        """Of the box as it is: fix rhok has the waves of the one at the beginning of a block."""
        variable = self.setting.variable
        assert isinstance(variable, Density)
        return variable.value(self._replica.configuration().rows[:, X], self._replica.lengths)

    # --- scripts ------------------------------------------------------------------------------

    def _read_potential(self) -> None:
        """Take out what comes before the box, if there is such in the user's script."""
        setting = self.setting
        early, rest = before_box(read_text(setting.root.joinpath, setting.script, self.label))
        self._replica.before = tuple(early)
        if early:
            self._script_path = self.folder / "in.potential"
            if self.comm.rank == 0:
                write_atomically(self._script_path, rest)

    def _script(self, stage: Stage, seed: int, first: bool) -> str:
        setting = self.setting
        lines = [
            f"# stage {stage.name}: {stage.steps} steps at {stage.temperature_K:g} K",
            f'include "{self._script_path}"',
        ]
        moving = "all"
        if stage.n_held:
            moving = "quorum_moving"
            lines += [
                f"group quorum_held id 1:{stage.n_held}",
                f"group {moving} subtract all quorum_held",
                "velocity quorum_held set 0 0 0",
            ]
        if stage.fresh and first:
            lines.append(
                f"velocity {moving} create {stage.temperature_K:.17g} {seed} mom yes dist gaussian"
            )
        lines += self._bias(stage)
        lines += self._motion(stage, moving, seed)
        if not stage.n_held:
            # the crystal shall not wander: positions of the interfaces are read from the box
            lines.append("fix quorum_still all momentum 1000 linear 1 1 1")
        lines += [
            f"thermo {setting.interval_steps}",
            "thermo_style custom step temp pe press pxx pyy pzz vol lz",
            "thermo_modify norm no flush yes",
        ]
        return "\n".join(lines) + "\n"

    def _bias(self, stage: Stage) -> list[str]:
        variable = self.setting.variable
        if isinstance(variable, Density):
            if not stage.kappa_eV:
                return []
            kappa = stage.kappa_eV / ENERGY_EV[self.setting.units]
            waves = " ".join(map(str, variable.waves))
            return [f"fix {_BIAS} all rhok {waves} {kappa:.17g} {stage.center:.17g}"]
        assert isinstance(variable, Named)
        path = self.folder / "bias.dat"
        if self.comm.rank == 0:
            write_atomically(path, variable.biased(stage.kappa_eV, stage.center))
        # energies on record are those of the potential
        backend = f" backend {variable.backend}" if variable.backend else ""
        if variable.backend == "plumed":
            backend += f' outfile "{self.folder / "plumed.log"}"'
        return [
            f'fix {_BIAS} all quorum/bias file "{path}"{backend}',
            f"fix_modify {_BIAS} energy no",
        ]

    def _motion(self, stage: Stage, moving: str, seed: int) -> list[str]:
        """Thermostat, and the barostat of the edges that move."""
        setting = self.setting
        # relaxation times are in LAMMPS's unit of time, a number of steps of its own length
        heat = f"$(dt*{setting.thermostat_steps})"
        press = f"$(dt*{setting.barostat_steps})"
        kelvin = f"{stage.temperature_K:.17g} {stage.temperature_K:.17g} {heat}"
        edges = "" if stage.box == "fixed" else f"{stage.box} ${{pressure}} ${{pressure}} {press}"
        if setting.thermostat == "nose-hoover":
            style = f"npt temp {kelvin} {edges}" if edges else f"nvt temp {kelvin}"
            return [f"fix quorum_move {moving} {style}"]
        zero = "no" if stage.n_held else "yes"
        return [
            f"fix quorum_move {moving} {f'nph {edges}' if edges else 'nve'}",
            f"fix quorum_bath {moving} langevin {kelvin} {seed} zero {zero}",
        ]


def _outputs(setting: Setting) -> tuple[str, ...]:
    """The words of thermo_style for the variable and its bias, if LAMMPS has them."""
    variable = setting.variable
    if isinstance(variable, Named):
        return f"f_{_BIAS}[{variable.place + 1}]", f"f_{_BIAS}"
    return ()


def check_plugin(variable: PinnedVariable) -> None:
    """Refuse a variable of PLUMED's input without the plugin that has fix quorum/bias."""
    if isinstance(variable, Named) and not lammps_plugin.is_built():
        raise QuorumError(
            "the LAMMPS plugin, which has fix quorum/bias, is not built; run `quorum lammps build` "
            "once on this machine, or leave out plumed in [order_parameter] to use fix rhok"
        )


def check_script(where: str, place: Callable[[str], Path], name: str) -> None:
    """Look at the user's script of the potential.

    Args:
        where: file and key, for errors.
        place: where a file is that run.toml or the script names.

    Raises:
        QuorumError: no such script, no pair style, commands that are ours.
    """
    lines = read_script(place, name, where)
    early, _ = before_box(read_text(place, name, where))
    for one in lines:
        word = one.words[0]
        if word in _OURS:
            raise QuorumError(
                f"{where}: {one.file}, line {one.number}: `{word}` is done by quorum pin; leave it "
                "out, so that the script has the potential only (pair_style, masses, timestep)"
            )
        if word in BEFORE_BOX and " ".join(one.words) not in early:
            raise QuorumError(
                f"{where}: {one.file}, line {one.number}: `{word}` must come before the box; write "
                f"it on a line of its own in {name} itself"
            )
    words = {one.words[0] for one in lines}
    hidden = any(one.words[0] == "include" and "$" in one.text for one in lines)
    if hidden or words & {"jump", "python"}:
        return  # what others have is not known
    for word in ("pair_style", "timestep"):
        if word not in words:
            raise QuorumError(f"{where}: {name}: has no `{word}`; add it")
