"""Interface pinning with i-PI: stages as simulations in this process, model and bias by path.

Every block is an i-PI of its own that begins with positions, momenta, cell and barostat of the file
that the block before wrote, in full precision (i-PI's own RESTART has 9 digits).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic import write_atomically
from ..errors import QuorumError
from ..order_parameters.pinned import Restraint
from ..units import (
    BOHR_A,
    DALTON_ELECTRON_MASSES,
    EV_A3_GPA,
    HARTREE_EV,
    thermal_energy_eV,
)
from .pin_ipi_input import input_of
from .pin_stage import Array, EngineFacts, Setting, Stage

# momentum in atomic units per √(Da eV)
_MOMENTUM = np.sqrt(DALTON_ELECTRON_MASSES / HARTREE_EV)


class IpiEngine:
    """See `pin_stage.Engine`; on one rank."""

    suffix = ".npz"

    def __init__(self, setting: Setting, comm: Any, folder: Path, label: str) -> None:
        if comm.size > 1:
            raise QuorumError(
                f"{label}: i-PI runs on one rank; set ranks_per_job = 1 in [potential]"
            )
        self.setting, self.folder, self.label = setting, folder, label
        self._simulation: Any = None
        self._restraint: Any = None
        self._potential: Any = None
        self._stage: Stage | None = None
        self._template = folder / "template.xyz"

    def begin(self, atoms: Any, temperature_K: float, seed: int, path: Path) -> None:
        """See `Engine.begin`."""
        from ase.io import write

        write(self._template, atoms, format="extxyz", parallel=False)
        state = {
            "positions": atoms.positions / BOHR_A,
            "cell": np.array(atoms.cell) / BOHR_A,
            "momenta": _momenta(atoms, temperature_K, seed),
            "barostat": np.zeros((3, 3)),
        }
        _write(path, state)

    def open(self, stage: Stage, path: Path, seed: int, first: bool) -> EngineFacts:
        """See `Engine.open`."""
        from ase.io import read
        from ipi.engine.simulation import Simulation

        self.close()
        with np.load(path) as file:
            state = {name: np.array(file[name]) for name in file}
        atoms = read(self._template, parallel=False)
        if stage.fresh and first:
            state["momenta"] = _momenta(atoms, stage.temperature_K, seed)
        state["momenta"][: stage.n_held] = 0.0
        self._stage = stage
        text = input_of(self.setting, stage, seed, state, atoms, self.folder, self._file())
        write_atomically(self.folder / "stage.xml", text)
        with self._logged():
            simulation = Simulation.load_from_xml(text, read_only=True)
            self._start(simulation)
        system = simulation.syslist[0]
        if stage.box != "fixed":
            barostat = system.motion.barostat
            barostat.p = (
                state["barostat"].ravel()[: np.size(barostat.p)].reshape(np.shape(barostat.p))
            )
        self._potential = self._model(atoms)
        prediction = self._evaluate()
        return EngineFacts(
            0 if prediction.member_energies_eV is None else len(prediction.member_energies_eV),
            self.setting.timestep_fs,
        )

    def advance(self, steps: int) -> None:
        """See `Engine.advance`."""
        from ipi.engine.simulation import Simulation

        simulation = self._simulation
        simulation.tsteps = simulation.step + steps
        with self._logged():
            Simulation.run(simulation, write_outputs=False)
        simulation.step += 1
        if simulation.step != simulation.tsteps:
            raise QuorumError(
                f"{self.label}: i-PI ended after {simulation.step} of {simulation.tsteps} steps, "
                "as it does where there is a file named EXIT; remove it from this folder"
            )

    def row(self) -> Array:
        """See `Engine.row`."""
        stage = self._stage
        assert stage is not None
        atoms, momenta = self._atoms(), self._momenta_now()
        prediction = self._evaluate()
        pull = self._restraint.evaluate(atoms)
        masses = atoms.get_masses()
        volume = atoms.get_volume()
        moving = np.arange(len(atoms)) >= stage.n_held
        kinetic = (momenta**2 / masses[:, None]).sum(axis=0)
        freedom = 3 * (moving.sum() - (0 if stage.n_held else 1))
        kelvin = kinetic.sum() / freedom / thermal_energy_eV(1.0)
        virial = np.diagonal(prediction.virial_eV) - np.diagonal(pull.strain_eV)
        pressure = (kinetic + virial) / volume * EV_A3_GPA
        members = prediction.member_energies_eV
        return np.array(
            [
                kelvin, prediction.energy_eV, volume, *atoms.cell.lengths(), *pressure,
                pull.q, pull.energy_eV, *([] if members is None else members),
            ]
        )  # fmt: skip

    def save(self, path: Path) -> None:
        """See `Engine.save`."""
        system, stage = self._simulation.syslist[0], self._stage
        assert stage is not None
        barostat = np.zeros((3, 3))
        if stage.box != "fixed":
            p = np.asarray(system.motion.barostat.p, dtype=float).ravel()
            barostat.ravel()[: p.size] = p
        state = {
            "positions": np.array(system.beads.q[0]).reshape(-1, 3),
            "cell": np.array(system.cell.h).T,
            "momenta": np.array(system.beads.p[0]).reshape(-1, 3),
            "barostat": barostat,
        }
        _write(path, state)

    def close(self) -> None:
        """See `Engine.close`."""
        if self._simulation is not None:
            for field in self._simulation.fflist.values():
                field.stop()
            self._simulation = None

    # --- inside -------------------------------------------------------------------------------

    def _start(self, simulation: Any) -> None:
        """What i-PI's own binding does, without its outputs and its hold on signals."""
        from ipi.engine.outputs import CheckpointOutput

        for field in simulation.fflist.values():
            field.bind(simulation.output_maker)
            field.start()
        simulation.outputs = []
        simulation.chk = CheckpointOutput(str(self.folder / "RESTART"), 1, True, 0)
        simulation.chk.bind(simulation)
        self._simulation = simulation

    @contextlib.contextmanager
    def _logged(self) -> Iterator[None]:
        """What i-PI prints goes to a file."""
        with open(self.folder / "log.i-pi", "a", encoding="utf-8") as log:
            with contextlib.redirect_stdout(log):
                yield

    def _model(self, atoms: Any) -> Any:
        from .ipi_model import IpiModel, PesOptions

        stage = self._stage
        assert stage is not None
        self._restraint = Restraint(
            self.setting.variable, stage.kappa_eV, stage.center, self.folder
        )
        return IpiModel(PesOptions(model=self._file(), template=str(self._template))).potential

    def _file(self) -> str:
        """Of the model: a path from the folder of run.toml, or the name of a shipped one."""
        place = self.setting.root / self.setting.model
        return str(place) if place.exists() else self.setting.model

    def _evaluate(self) -> Any:
        return self._potential.evaluate([self._atoms()], forces=True, virial=True)[0]

    def _atoms(self) -> Any:
        from .ipi_template import read_template

        system = self._simulation.syslist[0]
        atoms = read_template(str(self._template))
        atoms.cell = np.array(system.cell.h).T * BOHR_A
        atoms.positions = np.array(system.beads.q[0]).reshape(-1, 3) * BOHR_A
        atoms.pbc = True
        return atoms

    def _momenta_now(self) -> Array:
        """(N, 3) in √(Da eV)."""
        momenta: Array = np.array(self._simulation.syslist[0].beads.p[0]).reshape(-1, 3) / _MOMENTUM
        return momenta


def _momenta(atoms: Any, temperature_K: float, seed: int) -> Array:
    """(N, 3) in atomic units, without drift."""
    masses = atoms.get_masses()
    spread = np.sqrt(masses * thermal_energy_eV(temperature_K))
    momenta = np.random.default_rng(seed).normal(size=(len(atoms), 3)) * spread[:, None]
    momenta -= masses[:, None] / masses.sum() * momenta.sum(axis=0)
    return momenta * _MOMENTUM


def _write(path: Path, state: dict[str, Array]) -> None:
    """Complete or not there."""
    import io

    buffer = io.BytesIO()
    np.savez(buffer, **state)  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())
