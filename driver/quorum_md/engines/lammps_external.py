"""A committee in LAMMPS without a compiler: on one rank, through `fix external` from Python.

For machines where the plugin (`pair_style quorum`) cannot be built. LAMMPS calls back every step,
the model is evaluated as everywhere in Python, and forces, virial and energies go into the fix::

    from mpi4py import MPI
    from lammps import lammps
    from quorum_md.engines.lammps_external import attach

    lmp = lammps()
    lmp.file("in.structure")               # units, box, atoms, masses; no pair style
    attach(lmp, "nbmotaw", "Nb Mo Ta W")   # an element for every atom type
    lmp.file("in.run")                     # fix nvt, thermo_style custom step pe f_members[*], run

``f_members[*]`` are the energies of the members, ``f_members`` that of the committee, which is in
``pe`` and, per atom, in `compute pe/atom`. There is no spread per atom.
"""

import functools
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from ..errors import QuorumError
from ..models import load_potential
from ..models.potential import Potential
from ..units import KCAL_MOL_EV

# eV per unit of energy in LAMMPS; lengths are Å in both
_ENERGY_EV = {"metal": 1.0, "real": KCAL_MOL_EV}
# methods of lammps.lammps that may run dynamics
_COMMANDS = ("command", "commands_list", "commands_string", "file")
# LAMMPS's order of virials: xx yy zz xy xz yz
_ROWS, _COLUMNS = [0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]


def attach(
    lmp: Any,
    model: Any,
    elements: str | list[str],
    *,
    fix: str = "members",
    pair_style: str | None = "zero 2.0 nocoeff",
    device: str = "cpu",
    dtype: str | None = None,
) -> Potential:
    """Let a committee act on the atoms of a LAMMPS instance.

    Args:
        lmp: `lammps.lammps` on one rank, with its box and atoms defined.
        model: as in `quorum_md.models.load_potential`.
        elements: chemical symbols of the atom types, in order.
        fix: ID of the fix, so the members are f_ID[1] … f_ID[K] in thermo output.
        pair_style: put in place, so that LAMMPS has one (2 Å of ghosts: the model finds its
            neighbours itself); None keeps that of the script, which then adds to the model.
        device, dtype: as in `load_potential`.

    Returns:
        The potential.

    Raises:
        QuorumError: more than one rank, units other than metal and real, no box, an element for
            each type that the model knows is missing. What goes wrong later ends the run and is
            raised by the method of `lmp` that ran it.
    """
    if lmp.extract_setting("world_size") != 1:
        raise QuorumError(
            f"fix external: LAMMPS runs on {lmp.extract_setting('world_size')} ranks, expected one;"
            " for several build the plugin (`quorum lammps build`) and use pair_style quorum"
        )
    units = lmp.extract_global("units")
    if units not in _ENERGY_EV:
        raise QuorumError(
            f"fix external: units: got {units}, expected metal or real for a model of eV and Å"
        )
    if not lmp.extract_setting("box_exist"):
        raise QuorumError(
            "fix external: LAMMPS has no box yet, expected its atoms; read or create them first"
        )
    symbols = elements.split() if isinstance(elements, str) else list(elements)
    potential = load_potential(model, device=device, dtype=dtype)
    _check_elements(symbols, lmp.extract_setting("ntypes"), potential)
    if pair_style is not None:
        lmp.command(f"pair_style {pair_style}")
        if pair_style.split()[0] != "none":
            lmp.command("pair_coeff * *")
    lmp.command(f"fix {fix} all external pf/callback 1 1")
    lmp.command(f"fix_modify {fix} energy yes virial yes")
    lmp.fix_external_set_vector_length(fix, potential.n_members)
    # a callback that held the instance would keep it from being closed
    callback = _Callback(weakref.ref(lmp), fix, potential, np.array(["X", *symbols]), units)
    lmp.set_fix_external_callback(fix, callback, None)
    for name in _COMMANDS:
        setattr(lmp, name, _raising(getattr(lmp, name), callback))
    return potential


def _check_elements(symbols: list[str], n_types: int, potential: Potential) -> None:
    if len(symbols) != n_types:
        raise QuorumError(
            f"fix external: elements: got {len(symbols)} ({' '.join(symbols)}) for {n_types} atom "
            "types, expected one for each"
        )
    known = potential.species or tuple(chemical_symbols[1:])
    for symbol in symbols:
        if symbol not in known:
            raise QuorumError(
                f"fix external: elements: {symbol} is not in {potential.name} (it knows "
                f"{' '.join(potential.species) or 'all elements'}); correct it"
            )


def _raising(method: Callable[..., Any], callback: "_Callback") -> Callable[..., Any]:
    """A method of lammps.lammps that raises what went wrong in the callback meanwhile."""

    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        failure, callback.failure = callback.failure, None
        if failure is not None:
            raise failure
        return result

    return call


class _Callback:
    """What LAMMPS calls at every step."""

    def __init__(
        self,
        lmp: "weakref.ref[Any]",
        fix: str,
        potential: Potential,
        symbol_of_type: np.ndarray,
        units: str,
    ):
        self.lmp, self.fix, self.potential = lmp, fix, potential
        self.symbol_of_type, self.energy_eV = symbol_of_type, _ENERGY_EV[units]
        self.failure: QuorumError | None = None

    def __call__(
        self, caller: Any, step: int, n_local: int, tag: np.ndarray, x: np.ndarray, f: np.ndarray
    ) -> None:
        f[:] = 0.0
        if self.failure is not None:  # the run ends after this step
            return
        try:
            self._act(n_local, tag, x, f)
        except Exception as failure:  # noqa: BLE001  an exception cannot pass through C++
            self.failure = QuorumError(f"fix external at step {step}: {failure}")
            self.failure.__cause__ = failure
            lmp = self.lmp()
            if lmp is not None:
                lmp.lib.lammps_force_timeout(lmp.lmp)

    def _act(self, n_local: int, tag: np.ndarray, x: np.ndarray, f: np.ndarray) -> None:
        lmp = self.lmp()
        if lmp is None:
            raise QuorumError("the LAMMPS instance was closed")
        if lmp.extract_setting("nall") < n_local or n_local == 0:
            raise QuorumError("LAMMPS has no atoms; expected at least one")
        order = np.argsort(tag[:n_local].reshape(-1), kind="stable")
        types = lmp.numpy.extract_atom("type")[:n_local].reshape(-1)[order]
        atoms = Atoms(
            self.symbol_of_type[types],
            positions=x[:n_local][order],
            **_cell(lmp),
        )
        result = self.potential.evaluate(atoms, forces=True, virial=self.potential.has_virial)[0]
        assert result.forces_eV_A is not None
        f[order] = result.forces_eV_A / self.energy_eV
        lmp.fix_external_set_energy_global(self.fix, result.energy_eV / self.energy_eV)
        for k, energy_eV in enumerate(result.member_energies_eV):
            lmp.fix_external_set_vector(self.fix, k + 1, energy_eV / self.energy_eV)
        if result.virial_eV is not None:
            virial = result.virial_eV[_ROWS, _COLUMNS] / self.energy_eV
            lmp.fix_external_set_virial_global(self.fix, virial.tolist())
        if result.atom_energies_eV is not None:
            energies = np.empty(n_local)
            energies[order] = result.atom_energies_eV / self.energy_eV
            lmp.fix_external_set_energy_peratom(self.fix, energies.tolist())


def _cell(lmp: Any) -> dict[str, Any]:
    """Cell (Å) and periodicity of the box, as arguments of ase.Atoms."""
    low, high, xy, yz, xz, periodic, _ = lmp.extract_box()
    lx, ly, lz = (b - a for a, b in zip(low, high, strict=True))
    return {"cell": [[lx, 0, 0], [xy, ly, 0], [xz, yz, lz]], "pbc": [bool(p) for p in periodic]}
