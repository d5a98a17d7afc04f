"""All thermodynamic states of a run, on the ranks that they have: dynamics and configurations.

Every method is called on all ranks of the job.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import QuorumError
from ..sampling.exchange import velocity_factor
from ..sampling.streams import words
from ..units import thermal_energy_eV
from .lammps_configuration import Array, Configuration, F, Facts, Sample
from .lammps_replica import Replica
from .remd_checkpoint import read_forces, restart_name, write_forces
from .remd_input import RemdFile
from .remd_layout import Layout
from .remd_scripts import script_lines

_LARGEST_SEED = 900_000_000  # of LAMMPS's generators
_CHAIN = (1 << 60) - 1  # in place of an attempt
# energies of a configuration in two instances differ by rounding, and the difference is no energy
_SAME_KT, _SAME_RELATIVE = 0.01, 1e-6
# what scripts must make alike in all states: words, attribute of `Facts`
_ALIKE = {
    "atoms of each type": "atoms_of_type",
    "groups with the digest": "groups",
    "a box of constant volume": "box",
    "a number of members": "n_members",
    "a timestep_fs": "timestep_fs",
}


def seed_of(seed: int, state: int, attempt: int) -> int:
    """${seed} of a state from an attempt on: another one after every checkpoint."""
    # beyond the counters of the exchanges, which are 2⁴⁰ for each attempt
    drawn = int(words(seed, (1 << 120) + (state << 60) + attempt, 1)[0, 0])
    return 1 + drawn % _LARGEST_SEED


class Ensemble:
    """The states of run.toml.

    Attributes:
        states: temperatures and pressures.
        layout: which ranks have which.
        replicas: LAMMPS of each state of this rank.
    """

    def __init__(self, file: RemdFile, world: Any) -> None:
        self.file, self.world = file, world
        self.settings = file.settings
        self.states = self.settings.states.states
        lammps = self.settings.lammps
        n = len(self.states)
        self.layout = Layout(world, n, lammps.ranks_per_replica, f"{file.path}: [lammps]")
        self.replicas: dict[int, Replica] = {}
        lines = [one.words for one in script_lines(file)]
        self._dynamic = any(one[:1] == ["group"] and "dynamic" in one for one in lines)
        for s in self.layout.own:
            state = self.states[s]
            self.replicas[s] = Replica(
                self.layout.group,
                f"state {s} ({state.temperature_K:g} K)",
                arguments=lammps.arguments,
                log=file.folder / "logs" / f"state-{s:03d}.lammps",
                variables={
                    "temperature": state.temperature_K,
                    "replica": s,
                    "replicas": n,
                    "seed": seed_of(self.settings.exchange.seed, s, 0),
                    "chain_seed": seed_of(self.settings.exchange.seed, s, _CHAIN),
                    **lammps.variables,
                    **state.parameters,
                },
                pressure_GPa=state.pressure_GPa,
                members=lammps.members,
                columns=self.settings.output.columns,
            )

    def begin(self, folder: Path) -> None:
        """Run the structure's scripts, for a checkpoint before the first attempt."""
        for s, replica in self.replicas.items():
            replica.begin(self.settings.lammps.structure, folder / restart_name(s))

    def build(self, checkpoint: Path, attempt: int) -> Facts:
        """Make the instances that move, all alike, from the checkpoint of an attempt."""
        lammps = self.settings.lammps
        for s, replica in self.replicas.items():
            seed = seed_of(self.settings.exchange.seed, s, attempt)
            restart = checkpoint / restart_name(s)
            forces = read_forces(checkpoint, s) if attempt else None
            replica.build(restart, lammps.script, seed, forces)
        facts: list[Facts] = self._everywhere(Replica.facts)
        for s, one in enumerate(facts):
            for what, key in _ALIKE.items():
                if key == "groups" and self._dynamic:
                    continue
                here, there = getattr(one, key), getattr(facts[0], key)
                if here != there:
                    raise QuorumError(
                        f"{self.file.path}: [lammps]: the scripts make {what} {here} in state {s}, "
                        f"but {there} in state 0, and configurations go from state to state; let "
                        "what they make not depend on ${seed}, ${replica} or ${temperature}"
                    )
        if facts[0].n_types != len(lammps.elements):
            raise QuorumError(
                f"{self.file.path}: [lammps]: elements: got {len(lammps.elements)} for "
                f"{facts[0].n_types} atom types, expected one for each"
            )
        return facts[0]

    def save(self, folder: Path) -> None:
        """Files of a checkpoint; `build` must follow."""
        for s, replica in self.replicas.items():
            forces = replica.configuration().rows[:, F]
            replica.save(folder / restart_name(s))
            if self.layout.is_root:
                write_forces(folder, s, forces)

    def close(self) -> None:
        """End all instances."""
        for replica in self.replicas.values():
            replica.close()

    def advance(self, steps: int) -> list[Sample]:
        """Move, and say what every state has then."""
        for replica in self.replicas.values():
            replica.advance(steps)
        return self._everywhere(Replica.sample)

    def configurations(self) -> dict[int, Configuration]:
        """Of the states of this rank."""
        return {s: replica.configuration() for s, replica in self.replicas.items()}

    def crossed(self, samples: list[Sample], wanted: npt.NDArray[np.bool_] | None) -> Array:
        """(S, S) energies in eV of the configuration of each state in every state.

        Args:
            samples: of `advance`.
            wanted: (S, S) those that decisions need; None: one potential has one energy everywhere.
        """
        n = len(self.states)
        own = np.array([one.energy_eV for one in samples])
        self._visited: dict[int, Configuration] = {}
        if wanted is None:
            return np.repeat(own[:, None], n, axis=1)
        energies = np.full((n, n), np.nan)
        np.fill_diagonal(energies, own)
        self._visited = self.configurations()
        targets = np.arange(n)
        for shift in range(1, n):
            sources = (targets - shift) % n
            sources = np.where(wanted[sources, targets], sources, targets)
            for s, one in self.layout.move(sources, self._visited).items():
                self.replicas[s].place(one, 1.0, forces=False)
                energies[sources[s], s] = self.replicas[s].energy_eV(forbidden=True)
        parts = self.world.allgather(energies)
        return np.fmax.reduce(parts)

    def exchange(self, sources: npt.NDArray[np.int64], energies_eV: Array) -> None:
        """Give every state the configuration of another, or its own again after `crossed`.

        Args:
            sources: (S,) state that each one's comes from.
            energies_eV: of `crossed`.

        Raises:
            QuorumError: a configuration has not the energy that it had.
        """
        changed = [s for s in self.layout.own if sources[s] != s]
        here = self._visited or {s: self.replicas[s].configuration() for s in changed}
        arrived = self.layout.move(sources, here)
        for s in self._visited or changed:
            source = int(sources[s])
            kelvin = [self.states[k].temperature_K for k in (source, s)]
            # forces that come along are those of another potential, then: take the set-up's
            brings = source == s or not self.settings.states.variables
            one = arrived.get(s, here[s])
            self.replicas[s].place(one, float(velocity_factor(*kelvin)), forces=brings)
            self._compare(s, source, energies_eV[source, s])

    def _compare(self, state: int, source: int, energy_eV: float) -> None:
        """The same configuration has the same energy in all states, or exchange is wrong."""
        now = self.replicas[state].energy_eV()
        allowed = _SAME_KT * thermal_energy_eV(self.states[state].temperature_K)
        allowed += _SAME_RELATIVE * abs(energy_eV)
        if abs(now - energy_eV) > allowed:
            raise QuorumError(
                f"{self.file.path}: [lammps]: script: a configuration has {energy_eV:.6f} eV in "
                f"state {source}, but {now:.6f} eV in state {state}; expected the same: the "
                "scripts of all states need one potential, and `fix_modify … energy yes` must not "
                "add the work of a thermostat"
            )

    def _everywhere(self, ask: Callable[[Replica], Any]) -> list[Any]:
        """One thing of every state, in their order, on all ranks."""
        mine = [ask(self.replicas[s]) for s in self.layout.own]
        parts = self.layout.roots.allgather(mine) if self.layout.is_root else None
        return [one for part in self.layout.group.bcast(parts) for one in part]
