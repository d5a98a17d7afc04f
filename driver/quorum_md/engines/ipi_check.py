"""Look at an i-PI input before it runs: what would stop it, or worse, not stop it, in one sentence.

i-PI opens its output files before it evaluates the first force, and some mistakes (an incomplete
batch, a force field that dies in its thread) make it wait forever. Here its own parser reads the
input and builds the systems, without force fields and without writing, and every force field that
uses this package's driver is loaded and compared with the systems it serves.
"""

import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from ase.data import atomic_numbers
from ipi.inputs.simulation import InputSimulation
from ipi.inputs.system import InputSystem
from ipi.utils.io.inputs.io_json import json_parse_string
from ipi.utils.io.inputs.io_xml import xml_parse_string
from ipi.utils.messages import verbosity

from ..errors import QuorumError
from .ipi_bias import BiasOptions, IpiBias
from .ipi_bias_check import check_bias, check_plumed
from .ipi_exchange_check import check_exchange
from .ipi_exchange_options import read_exchange_options
from .ipi_input import BIAS_FILE, IPI_INPUT_ERRORS, PES_FILE, ipi_error, read_input
from .ipi_model import IpiModel, PesOptions
from .ipi_structures import IpiStructures
from .ipi_swap_check import check_swaps
from .ipi_swap_options import read_options

_Model = TypeVar("_Model", bound=IpiStructures)


@dataclass(frozen=True)
class CheckedForceField(Generic[_Model]):
    """A ``<ffdirect>`` that uses this package's driver: its name, its model, its batches."""

    name: str
    model: _Model
    batch_size: int
    threaded: bool


@dataclass(frozen=True)
class CheckedInput:
    """What `check_input` found: the force fields of ours, and the size of the systems."""

    force_fields: tuple[CheckedForceField[IpiModel], ...]
    n_systems: int
    n_beads: int  # of all systems together
    n_swapping: int = 0  # systems with atomswap
    exchange: bool = False  # between the systems
    biases: tuple[CheckedForceField[IpiBias], ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.n_systems} systems, {self.n_beads} beads in all"]
        for ff in self.force_fields:
            lines.append(
                f"force field {ff.name}: {ff.model.options.model}, "
                f"{ff.model.potential.n_members} members, {ff.model.n_atoms} atoms"
            )
        for bias in self.biases:
            options = bias.model.options
            lines.append(
                f"bias {bias.name}: {options.plumed} by backend {bias.model.variables.backend}"
            )
        if self.n_swapping:
            lines.append(f"atomswap in {self.n_swapping} of them")
        if self.exchange:
            lines.append(f"replica exchange between {self.n_systems} states")
        return "\n".join(lines)


@dataclass(frozen=True)
class _Parsed:
    """One ``<system>`` as i-PI's parser holds it, and the object that it builds."""

    label: str
    inputs: Any  # ipi.inputs.system.InputSystem
    system: Any  # ipi.engine.system.System


def check_input(path: str) -> CheckedInput:
    """Check the i-PI input *path* (XML or JSON); relative paths in it are those of the process.

    Raises `QuorumError` for input that i-PI cannot read, a force field of ours whose model,
    template or parameters cannot be used, atoms that are not the template's, positions that are
    not finite, a temperature that is not positive, batches that i-PI would wait for forever, and
    ``ffcommittee`` over ``ffdirect``, which crashes i-PI 3.3 at its first checkpoint.
    """
    if not os.path.isfile(path):
        raise QuorumError(f"{path}: no such i-PI input; give the path of an XML file")
    with _silence():
        simulation = _parse(path)
        ours = tuple(_force_fields(path, simulation))
        systems = list(_systems(path, simulation))
    if not systems:
        raise QuorumError(f"{path}: [simulation] no <system> in it; add one")
    text = read_input(path)
    options = read_options(path, text)
    read_exchange_options(path, text)
    n_swapping = 0
    for parsed in systems:
        _check_system(path, parsed)
        n_swapping += check_swaps(f"{path}: [system] {parsed.label}", parsed.system, options)
        for ff in ours:
            if ff.name in _served_by(parsed.system):
                _check_atoms(path, parsed, ff)
                if isinstance(ff.model, IpiBias):
                    where = f"{path}: [system] {parsed.label}"
                    check_bias(where, parsed.system, ff.name, ff.model)
    for ff in ours:
        # swaps of one system do not wait for those of another
        together = bool(simulation.threading.fetch()) and not n_swapping
        _check_batches(path, ff, systems, together)
    labelled = [(parsed.label, parsed.system) for parsed in systems]
    exchange = check_exchange(path, simulation.smotion.fetch(), labelled)
    n_beads = sum(p.system.beads.nbeads for p in systems)
    models = tuple(ff for ff in ours if isinstance(ff.model, IpiModel))
    biases = tuple(ff for ff in ours if isinstance(ff.model, IpiBias))
    return CheckedInput(models, len(systems), n_beads, n_swapping, exchange, biases)


def _parse(path: str) -> Any:
    inputs = InputSimulation()
    try:
        text = read_input(path)
        tree = json_parse_string(text) if path.endswith(".json") else xml_parse_string(text)
        inputs.parse(tree.fields[0][1])
    except IPI_INPUT_ERRORS as error:
        raise ipi_error(path, error) from error
    return inputs


def _force_fields(path: str, simulation: Any) -> Iterator[CheckedForceField[Any]]:
    for kind, inputs in simulation.extra:
        direct = [("", inputs)] if kind == "ffdirect" else []
        if kind == "ffplumed":
            check_plumed(f"{path}: [ffplumed] {inputs.name.fetch()}", inputs)
        if kind == "ffcommittee":
            if any(child == "ffdirect" for child, _ in inputs.extra):
                raise QuorumError(
                    f"{path}: [ffcommittee] {inputs.name.fetch()}: i-PI 3.3 crashes at its first "
                    "checkpoint when ffcommittee holds an ffdirect; use a committee file in a "
                    "plain <ffdirect>, or <ffsocket> children with `quorum client`"
                )
        if kind == "ffrotations":
            direct = [(inputs.name.fetch(), inputs.ffdirect)]
        for outer, ff in direct:
            file = Path(ff.pes_path.fetch()).name if ff.pes.fetch() == "custom" else ""
            if file in (PES_FILE.name, BIAS_FILE.name):
                name = outer or ff.name.fetch()
                where = f"{path}: [ffdirect] {name}"
                model = _open(file, ff.parameters.fetch(), where)
                yield CheckedForceField(
                    name, model, int(ff.batch_size.fetch()), bool(ff.threaded.fetch())
                )


def _open(file: str, parameters: Any, where: str) -> IpiModel | IpiBias:
    kind = BiasOptions if file == BIAS_FILE.name else PesOptions
    options = kind.from_parameters(parameters, where)
    try:
        return IpiBias(options) if isinstance(options, BiasOptions) else IpiModel(options)
    except QuorumError as error:
        raise QuorumError(f"{where}: {error}") from error


def _systems(path: str, simulation: Any) -> Iterator[_Parsed]:
    prng = simulation.prng.fetch()  # a copy: the run draws its own numbers
    number = 0
    for kind, inputs in simulation.extra:
        try:
            if kind == "system":
                parsed = [inputs]
            elif kind == "system_template":
                parsed = list(_from_template(inputs))
            else:
                continue
            for one in parsed:
                number += 1
                system = one.fetch()
                system.prng = prng
                system.init.init_stage1(system)
                yield _Parsed(one.prefix.fetch() or f"number {number}", one, system)
        except IPI_INPUT_ERRORS as error:
            raise ipi_error(path, error) from error


def _from_template(inputs: Any) -> Iterator[Any]:
    labels = list(inputs.labels.fetch())
    for _, instance in inputs.extra:
        values = list(instance.fetch())
        if len(values) != len(labels):
            raise ValueError(f"an <instance> has {len(values)} values for {len(labels)} labels")
        text = inputs.template.fetch()
        # i-PI replaces in this order too, so that `label10` is not taken for `label1`
        for label, value in sorted(zip(labels, values, strict=True), reverse=True):
            text = text.replace(label, value)
        system = InputSystem()
        system.parse(xml_parse_string(text).fields[0][1])
        yield system


def _check_system(path: str, parsed: _Parsed) -> None:
    where = f"{path}: [system] {parsed.label}"
    system = parsed.system
    temperature = parsed.inputs.ensemble.temperature
    if temperature._explicit and not system.ensemble.temp > 0:
        raise QuorumError(
            f"{where}: [ensemble] temperature is not positive; give one above 0, for example "
            "<temperature units='kelvin'> 300 </temperature>"
        )
    if _wants_temperature(system.motion) and not system.ensemble.temp > 0:
        raise QuorumError(
            f"{where}: [ensemble] temperature is missing but the motion needs it; add "
            "<temperature units='kelvin'> 300 </temperature>"
        )
    bad = np.flatnonzero(~np.isfinite(np.asarray(system.beads.q)).all(axis=0))
    if bad.size:
        atom = int(bad[0]) // 3
        raise QuorumError(
            f"{where}: [initialize] atom {atom} ({system.beads.names[atom]}) has a position that "
            "is not a finite number; mend the start structure"
        )
    if not np.isfinite(np.asarray(system.cell.h)).all():
        raise QuorumError(f"{where}: [initialize] the cell is not finite; mend the start structure")


def _wants_temperature(motion: Any) -> bool:
    several = getattr(motion, "mlist", None)
    if several is not None:
        return any(_wants_temperature(one) for one in several)
    return type(motion).__name__ == "AtomSwap" or getattr(motion, "enstype", None) not in (
        None,
        "nve",
    )


def _served_by(system: Any) -> set[str]:
    components = [*system.fcomp, *(system.ensemble.bcomp or [])]
    return {component.ffield for component in components}


def _check_atoms(path: str, parsed: _Parsed, ff: CheckedForceField[Any]) -> None:
    where = f"{path}: [system] {parsed.label}"
    template = ff.model.template_file
    names = [str(name) for name in parsed.system.beads.names]
    symbols = ff.model.template.get_chemical_symbols()
    if len(names) != len(symbols):
        raise QuorumError(
            f"{where}: {len(names)} atoms, but the template {template} of force field {ff.name} "
            f"has {len(symbols)}; make the template from the start structure"
        )
    for atom, (name, symbol) in enumerate(zip(names, symbols, strict=True)):
        # a label that is no element is the user's own and says nothing
        if name != symbol and name in atomic_numbers:
            raise QuorumError(
                f"{where}: atom {atom} is {name}, but {symbol} in the template {template} of force "
                f"field {ff.name}; make the template from the start structure"
            )


def _check_batches(
    path: str, ff: CheckedForceField[Any], systems: list[_Parsed], parallel: bool
) -> None:
    """A batch that never fills is flushed by a threaded force field and hangs any other."""
    beads = [p.system.beads.nbeads for p in systems if ff.name in _served_by(p.system)]
    together = [sum(beads)] if parallel else beads
    if ff.threaded or all(count % ff.batch_size == 0 for count in together):
        return
    number = next(count for count in together if count % ff.batch_size)
    raise QuorumError(
        f"{path}: [ffdirect] {ff.name}: batch_size {ff.batch_size} does not divide the {number} "
        "structures that arrive together, and i-PI would wait forever; write "
        f"<batch_size> {number} </batch_size>, or threaded='true' in <ffdirect>"
    )


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep i-PI's remarks for the run itself; the verbosity is the input's own again later."""
    level = verbosity.level
    verbosity.level = "quiet"
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            # i-PI leaves start structures open
            for category in (DeprecationWarning, ResourceWarning):
                warnings.simplefilter("ignore", category)
            yield
    finally:
        object.__setattr__(verbosity, "level", level)
