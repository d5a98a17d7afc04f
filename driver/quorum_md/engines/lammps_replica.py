"""One thermodynamic state: a LAMMPS that runs the user's scripts, and configurations in and out.

`Replica.begin` runs the script of the structure once and keeps its result as a restart file.
`Replica.build` makes the instance that moves: the restart file, then the script of the run. Every
checkpoint ends with `build`, so that a run that is continued does exactly what one does that was
not interrupted, whatever fixes keep to themselves.

Between attempts the instance goes on as if nothing had been (`run N pre no`). A configuration that
came from another state brings its forces: LAMMPS sets up anew (`run 0`), which draws new noise for
fix langevin, and half a step with other noise than the half before it would cool. The forces that
come along have the noise of the step before (`Replica._write_forces`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import QuorumError
from ..units import ATMOSPHERE_BAR, EV_A3_BAR, EV_A3_GPA, KCAL_MOL_EV
from .lammps_configuration import IMAGE, MORE, TYPE, Array, Configuration, F, Facts, Sample, V, X

# eV, fs and GPa per unit of energy, time and pressure in LAMMPS; lengths are Å in both
ENERGY_EV = {"metal": 1.0, "real": KCAL_MOL_EV}
TIMESTEP_FS = {"metal": 1e3, "real": 1.0}
_BAR_GPA = EV_A3_GPA / EV_A3_BAR
PRESSURE_GPA = {"metal": _BAR_GPA, "real": _BAR_GPA * ATMOSPHERE_BAR}
# what atoms may have besides positions and velocities, and goes with them: name, width
_OPTIONAL = {"q": ("q_flag", 1), "rmass": ("rmass_flag", 1), "mu": ("mu_flag", 4)}
_REFUSED = ("omega_flag", "angmom_flag", "radius_flag", "ellipsoid_flag")
_MEMBERS = "quorum_members"
_NO_SUCH_PAIR = "compute pair"


class Replica:
    """A LAMMPS instance on the ranks of `comm`, at one thermodynamic state.

    Args:
        comm: mpi4py communicator; every method is called on all of its ranks.
        label: "state 3 (600 K)", for errors.
        arguments: of LAMMPS's command line.
        log: of LAMMPS; appended to.
        variables: of the scripts.
        pressure_GPa: ${pressure} of the script of the run, there in LAMMPS's unit.
        members: "c_ID" of the vector of member energies; "" finds pair_style quorum.
        columns: further quantities, as in thermo_style.
    """

    def __init__(
        self,
        comm: Any,
        label: str,
        *,
        arguments: tuple[str, ...] = (),
        log: Path,
        variables: Mapping[str, object],
        pressure_GPa: float | None = None,
        members: str = "",
        columns: tuple[str, ...] = (),
    ) -> None:
        self.comm, self.label, self.log = comm, label, log
        self.variables, self.arguments = dict(variables), arguments
        self.pressure_GPa = pressure_GPa
        self.columns = columns
        self.before: tuple[str, ...] = ()  # commands that come before the box of a restart file
        self._asked, self._members = members, ""
        self._lmp: Any = None
        self._failed = False
        self.ids: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)

    # --- instances ----------------------------------------------------------------------------

    def begin(self, structure: str, restart: Path) -> None:
        """Run the script of the structure, and keep what it made as a restart file.

        Raises:
            QuorumError: LAMMPS refuses something; units other than metal and real; no atoms, or
                atoms of a kind that cannot be moved between states.
        """
        self._open()
        self._file(structure)
        self._check(structure)
        self.save(restart)
        self.close()

    def build(self, restart: Path, script: str, seed: int, forces: Array | None) -> None:
        """The instance that moves, from a restart file and the script of the run.

        Args:
            seed: ${seed} of the script.
            forces: (n, 3) of the last step, in the order of the IDs; None: those of the set-up.

        Raises:
            QuorumError: LAMMPS refuses something.
        """
        self._open()
        self._set("seed", seed)
        for command in self.before:
            self._do(command)
        self._do(f'read_restart "{restart}"')
        if self.pressure_GPa is not None:
            unit = PRESSURE_GPA[self._lmp.extract_global("units")]
            self._set("pressure", self.pressure_GPa / unit)
        self._file(script)
        self._check(script)
        self._find_members()
        for number, name in enumerate(self.columns):
            self._do(f"variable quorum_{number} equal {name}")
        self._do("run 0 post no")
        self.ids = np.sort(self._all(self._local("id").astype(np.float64)[:, None])[:, 0]).astype(
            np.int64
        )
        if forces is not None:
            self._write_forces(forces)

    def save(self, restart: Path) -> None:
        """Write a restart file; `build` must follow before it moves again."""
        try:
            self._do(f'write_restart "{restart}"')
        except QuorumError as error:
            raise QuorumError(
                f"{restart}: cannot be written ({error}); make space, then continue from the last "
                "checkpoint with --resume"
            ) from error

    def close(self) -> None:
        """End the instance."""
        if self._lmp is not None:
            if self._failed:  # what LAMMPS was about to make is half there: its end would crash
                self._lmp.opened = 0
            self._lmp.close()
            self._lmp = None

    # --- dynamics -----------------------------------------------------------------------------

    def advance(self, steps: int) -> None:
        """Go on, as if it had not stopped."""
        self._do(f"run {steps} pre no post no")

    def energy_eV(self, forbidden: bool = False) -> float:
        """Potential energy now, with that of fixes which say `energy yes`.

        Args:
            forbidden: +inf is an answer: of a configuration that this state does not allow.

        Raises:
            QuorumError: it is not finite.
        """
        energy = self._get(lambda: self._lmp.extract_compute("thermo_pe", 0, 0))
        if not (np.isfinite(energy) or (forbidden and energy == np.inf)):
            raise QuorumError(
                f"{self.label}: the potential energy is {energy} at step {self.step}; shorten the "
                "timestep, or look at the structure"
            )
        return float(energy) * self.energy_unit_eV

    def sample(self) -> Sample:
        """What is there now; raises `QuorumError` for a column that LAMMPS cannot give."""
        lmp = self._lmp
        columns = [self._column(number) for number in range(len(self.columns))]
        return Sample(
            self.energy_eV(),
            float(np.prod(self.lengths)),
            float(self._get(lambda: lmp.extract_compute("thermo_temp", 0, 0))),
            self.step,
            self._member_energies_eV(),
            np.array(columns),
        )

    def _column(self, number: int) -> float:
        try:
            return float(self._get(lambda: self._lmp.extract_variable(f"quorum_{number}")))
        except QuorumError as error:
            raise QuorumError(
                f"[output]: columns: {self.columns[number]}: {error}; expected a word of the "
                "script's thermo_style, which LAMMPS then has at every attempt"
            ) from error

    def facts(self) -> Facts:
        """Of the instance that moves."""
        lmp = self._lmp
        own = np.column_stack([self._local(name) for name in ("id", "type", "mask")])
        rows = self._all(own.astype(np.float64))
        rows = rows[np.argsort(rows[:, 0])].astype(np.int64)
        counts = np.bincount(rows[:, 1], minlength=int(lmp.extract_setting("ntypes")) + 1)[1:]
        return Facts(
            tuple(counts.tolist()),
            hashlib.sha256(np.ascontiguousarray(rows[:, ::2]).tobytes()).hexdigest()[:12],
            tuple(self.box().tolist()) if self.pressure_GPa is None else (),
            len(self._member_energies_eV()),
            float(lmp.extract_global("dt")) * TIMESTEP_FS[self.units],
        )

    def _member_energies_eV(self) -> Array:
        if not self._members:
            return np.empty(0)
        lmp = self._lmp
        vector = self._get(lambda: lmp.numpy.extract_compute(self._members, 0, 1))
        return np.array(vector) * self.energy_unit_eV

    @property
    def step(self) -> int:
        """Of LAMMPS."""
        return int(self._lmp.extract_global("ntimestep"))

    @property
    def energy_unit_eV(self) -> float:
        """eV per unit of energy."""
        return ENERGY_EV[self.units]

    # --- configurations -----------------------------------------------------------------------

    def box(self) -> Array:
        """(9,) as in `Configuration`."""
        low, high, xy, yz, xz, _, _ = self._lmp.extract_box()
        return np.array([*low, *high, xy, xz, yz])

    @property
    def lengths(self) -> Array:
        """Edges of a box that is not tilted, in Å."""
        box = self.box()
        return box[3:6] - box[:3]

    def configuration(self) -> Configuration:
        """All atoms, on every rank of the replica."""
        columns = [
            self._local("id").astype(np.float64),
            self._local("type").astype(np.float64),
            # bits, not numbers: image flags may have 64 of them
            self._local("image").astype(np.int64).view(np.float64),
            *(self._local(name) for name in ("x", "v", "f", *self._optional)),
        ]
        rows = self._all(np.column_stack(columns))
        return Configuration(rows[np.argsort(rows[:, 0]), 1:], self.box())

    def place(self, one: Configuration, velocity_factor: float, forces: bool = True) -> None:
        """Take over a configuration, velocities times a factor.

        Args:
            forces: those that it brings are those of this state, too.
        """
        # change_box begins with wrapping atoms into the box that there is: it must be the right one
        if not np.array_equal(self.box(), one.box):
            self._set_box(one.box)
        rows = one.rows[np.searchsorted(self.ids, self._local("id"))]
        self._local("type")[:] = rows[:, TYPE]
        self._local("image")[:] = np.ascontiguousarray(rows[:, IMAGE]).view(np.int64)
        self._local("x")[:] = rows[:, X]
        self._local("v")[:] = rows[:, V] * velocity_factor
        start = MORE
        for name, width in self._optional.items():
            values = rows[:, start : start + width]
            self._local(name)[:] = values[:, 0] if width == 1 else values
            start += width
        # and ends with moving them any distance to the ranks they belong to
        self._set_box(one.box)
        self._do("run 0 post no")
        if forces:
            self._write_forces(one.rows[:, F], 0.5 * (1.0 + velocity_factor))

    def _set_box(self, box: Array) -> None:
        words = " ".join(
            f"{axis} final {box[d]:.17g} {box[d + 3]:.17g}" for d, axis in enumerate("xyz")
        )
        if self._lmp.extract_setting("triclinic"):
            words += " xy final {:.17g} xz final {:.17g} yz final {:.17g}".format(*box[6:])
        self._do(f"change_box all {words} units box")

    def _write_forces(self, forces: Array, weight: float = 1.0) -> None:
        """Forces of the step before in place of the set-up's, of which 1 − weight is left.

        Without noise they are the same, whatever the weight. Noise of the step before has the
        amplitude, and friction the velocity, of the temperature before: with the weight (1 + c)/2
        for velocities times c, both are too small by the same part (c − 1)/2 in this step, so that
        they keep the new temperature but for terms of (c − 1)².
        """
        before = forces[np.searchsorted(self.ids, self._local("id"))]
        now = self._local("f")
        now[:] = before if weight == 1.0 else weight * before + (1.0 - weight) * now

    def _local(self, name: str) -> npt.NDArray[Any]:
        """LAMMPS's own memory: of the atoms of this rank."""
        array = self._lmp.numpy.extract_atom(name)
        n = int(self._lmp.extract_setting("nlocal"))
        return np.empty((0, 3)) if array is None else array[:n]

    def _all(self, own: Array) -> Array:
        """Rows of all ranks of the replica."""
        if self.comm.size == 1:
            return own
        own = np.ascontiguousarray(own)
        counts = np.array(self.comm.allgather(own.size))
        rows = np.empty((int(counts.sum()) // own.shape[1], own.shape[1]))
        self.comm.Allgatherv(own, [rows, counts])
        return rows

    # --- LAMMPS -------------------------------------------------------------------------------

    def _open(self) -> None:
        from lammps import lammps

        self.close()
        self._failed = False
        words = ["-log", "none", "-screen", "none", "-nocite", *self.arguments]
        self._lmp = self._get(lambda: lammps(comm=self.comm, cmdargs=words))
        self._do(f'log "{self.log}" append')
        for name, value in self.variables.items():
            self._set(name, value)

    def _set(self, name: str, value: object) -> None:
        # of style index: a script's own `variable NAME index …` is then passed over
        if name in self._lmp.available_ids("variable"):
            self._do(f"variable {name} delete")
        text = format(value, ".17g") if isinstance(value, float) else str(value)
        self._do(f'variable {name} index "{text}"')

    def _file(self, path: str) -> None:
        self._get(lambda: self._lmp.file(path), path)

    def _do(self, command: str) -> None:
        self._get(lambda: self._lmp.command(command))

    def _get(self, call: Callable[[], Any], where: str = "") -> Any:
        try:
            return call()
        except Exception as error:  # LAMMPS raises the plain class
            self._failed = True
            lines = [line for line in str(error).splitlines() if line.strip()]
            place = f"{where}: " if where else ""
            raise QuorumError(
                f"{place}{self.label}: LAMMPS: {'; '.join(lines)}; {self.log} has more"
            ) from error

    def _check(self, script: str) -> None:
        lmp = self._lmp
        self.units = lmp.extract_global("units")
        if self.units not in ENERGY_EV:
            raise QuorumError(
                f"{script}: units: got {self.units}, expected metal or real (temperatures are in K)"
            )
        if not lmp.extract_setting("box_exist") or not lmp.get_natoms():
            raise QuorumError(f"{script}: leaves no atoms; read or create them in it")
        for flag in _REFUSED:
            if lmp.extract_setting(flag) == 1:
                raise QuorumError(
                    f"{script}: atom_style: atoms have a size or an orientation ({flag[:-5]}), "
                    "which does not go from state to state; use a style of point particles"
                )
        if lmp.extract_setting("kokkos_active") == 1:
            raise QuorumError(
                "LAMMPS runs with KOKKOS, from whose memory configurations cannot be taken; "
                "leave out `-k on`, and use the GPU package or a pair style with its own device"
            )
        if not all(lmp.extract_box()[5]):
            raise QuorumError(
                f"{script}: boundary: got one that is not periodic, expected p p p; make the cell "
                "longer, with vacuum in it"
            )
        self._optional = {
            name: width for name, (flag, width) in _OPTIONAL.items() if lmp.extract_setting(flag)
        }

    def _find_members(self) -> None:
        if self._asked:
            self._members = self._asked.removeprefix("c_")
            return
        try:
            self._do(f"compute {_MEMBERS} all pair quorum")
        except QuorumError as error:
            if _NO_SUCH_PAIR not in str(error):
                raise
            self._members, self._failed = "", False  # no committee
        else:
            self._members = _MEMBERS
