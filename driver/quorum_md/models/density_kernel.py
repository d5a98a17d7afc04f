"""The built-in potential without torch, several times as fast.

The C++ kernel of the LAMMPS pair style (``lammps_plugin/src/density_kernel.cpp``), compiled on this
machine when it is wanted first, which takes some seconds, and kept. It computes what the file says,
to rounding, which is checked on a few atoms when a file is opened. Where there is no compiler, no
CPU, or another potential in the file, there is no kernel, and the file runs in TorchScript.
"""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from ase.data import atomic_numbers

from ..errors import QuorumError, warn
from ..native import open_library
from .frozen import Array, Index, Question
from .potential import Evaluation
from .systems import Neighbours

if TYPE_CHECKING:
    from ase import Atoms

    from .metatomic_model import MetatomicPotential

SOURCES = ("density_api.cpp", "density_kernel.cpp", "density_code.cpp")
# torch puts words of its own into the names of classes that it knows already
_NETWORK = re.compile(r"__torch__\.quorum_md\.models\.density\.(\w+\.)?DensityPotential")
_COMMITTEE = re.compile(r"__torch__\.quorum_md\.models\.committee\.(\w+\.)?Committee")
# shapes by the sizes of `_Density`; l = 4 angular channels, features f, pairs of elements p
_TENSORS = {
    "net.embedding": "sa",
    "net.mixing": "lrq",
    "net.scale": "slq",
    "net.shift": "sq",
    "net.weight_1": "fh",
    "net.gate": "sh",
    "net.bias_1": "sh",
    "net.weight_2": "hg",
    "net.bias_2": "g",
    "reference_eV": "s",
    "mean_weight": "g",
    "mean_shift": "s",
    "deviation_weight": "gk",
    "deviation_shift": "sk",
    "pair_strength": "p",
    "pair_length": "p",
    "pair_inner": "p",
    "pair_outer": "p",
}
_DOUBLES = ctypes.POINTER(ctypes.c_double)
_INTS = ctypes.POINTER(ctypes.c_int32)
_LONGS = ctypes.POINTER(ctypes.c_int64)


class _Density(ctypes.Structure):
    _fields_ = (
        *((f"n_{name}", ctypes.c_int) for name in (
            "species", "radial", "alchemical", "mixed", "partners", "hidden_1", "hidden_2",
            "members",
        )),
        ("single_precision", ctypes.c_int),
        ("cutoff_A", ctypes.c_double),
        ("numbers", _INTS),
        ("tensors", _DOUBLES * len(_TENSORS)),
        ("lengths", ctypes.c_int64 * len(_TENSORS)),
    )  # fmt: skip


class _Structure(ctypes.Structure):
    _fields_ = (
        ("n_threads", ctypes.c_int),
        ("n_atoms", ctypes.c_int64),
        ("n_edges", ctypes.c_int64),
        ("numbers", _INTS),
        ("pairs", _LONGS),
        ("vectors_A", _DOUBLES),
        ("cotangents", _DOUBLES),
        ("rows_eV", _DOUBLES),
        ("forces_eV_A", _DOUBLES),
        ("virial_eV", _DOUBLES),
    )


class _Questions(ctypes.Structure):
    _fields_ = (
        ("n_threads", ctypes.c_int),
        ("first_edge", _LONGS),
        ("second", _LONGS),
        ("vectors_A", _DOUBLES),
        ("numbers", _INTS),
        ("n_questions", ctypes.c_int64),
        ("center_starts", _LONGS),
        ("centers", _LONGS),
        ("site_starts", _LONGS),
        ("sites", _LONGS),
        ("site_numbers", _INTS),
    )


class DensityKernel:
    """The built-in potential of a file; made by `open_kernel`. Several threads may use it."""

    def __init__(self, library: ctypes.CDLL, handle: int, n_members: int):
        self._library, self._handle, self.n_members = library, handle, n_members
        self._lock = threading.Lock()  # there is one set of buffers

    def __del__(self) -> None:
        self._library.quorum_density_close(ctypes.c_void_p(self._handle))

    def _call(self, function: str, *arguments: Any) -> None:
        problem = ctypes.create_string_buffer(300)
        with self._lock:
            failed = getattr(self._library, function)(
                ctypes.c_void_p(self._handle), *arguments, problem, len(problem)
            )
        if failed:
            raise QuorumError(f"kernel of the built-in potential: {problem.value.decode()}")

    def evaluate(
        self,
        numbers: npt.NDArray[Any],
        pairs: npt.NDArray[Any],
        vectors_A: Array,
        cotangents: Array | None,
    ) -> tuple[Array, Array, Array]:
        """Energies per atom (N, M) in eV; forces (N, 3) and virial (3, 3) of Σ cotangent · member.

        Parameters
        ----------
        numbers: (N,) elements that the potential knows
        pairs, vectors_A: (E, 2) and (E, 3), a full neighbour list
        cotangents: (M,), or None: forces and virial are then zero
        """
        given: dict[str, npt.NDArray[Any]] = {
            "numbers": np.ascontiguousarray(numbers, dtype=np.int32),
            "pairs": np.ascontiguousarray(pairs).view(np.int64),
            "vectors_A": np.ascontiguousarray(vectors_A, dtype=np.float64),
            "rows_eV": np.empty((len(numbers), self.n_members)),
            "forces_eV_A": np.zeros((len(numbers), 3)),
            "virial_eV": np.zeros((3, 3)),
        }
        if cotangents is not None:
            given["cotangents"] = np.ascontiguousarray(cotangents, dtype=np.float64)
        of = _Structure(torch.get_num_threads(), len(numbers), len(pairs))
        _point(of, given)
        self._call("quorum_density_evaluate", ctypes.byref(of))
        return given["rows_eV"], given["forces_eV_A"], given["virial_eV"]

    def answers(
        self,
        neighbours: tuple[Index, Index, Array],
        numbers: npt.NDArray[Any],
        questions: Sequence[Question],
    ) -> list[Array]:
        """See `Frozen.answers`.

        Parameters
        ----------
        neighbours: of every atom i, ``first_edge[i]`` up to ``first_edge[i + 1]`` of the atoms
            ``second`` (E,) and of the vectors to them (E, 3) in Å
        numbers: (N,) elements that the potential knows
        """
        first_edge, second, vectors_A = neighbours
        counts = [len(question.centers) for question in questions]
        centers = np.concatenate([question.centers for question in questions])
        sites = [site for question in questions for site in question.sites]
        elements = [number for question in questions for number in question.numbers]
        kept: dict[str, npt.NDArray[Any]] = {
            "first_edge": first_edge,
            "second": second,
            "vectors_A": vectors_A,
            "numbers": np.array(numbers, dtype=np.int32),
            "center_starts": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            "centers": np.ascontiguousarray(centers, dtype=np.int64),
            "site_starts": np.cumsum([0, *(len(q.sites) for q in questions)]).astype(np.int64),
            "sites": np.array(sites, dtype=np.int64),
            "site_numbers": np.array(elements, dtype=np.int32),
        }
        asked = _Questions(n_threads=torch.get_num_threads(), n_questions=len(questions))
        _point(asked, kept)
        rows = np.empty((len(centers), self.n_members))
        self._call("quorum_density_answers", ctypes.byref(asked), rows.ctypes.data_as(_DOUBLES))
        return np.split(rows, kept["center_starts"][1:-1])


def _point(structure: ctypes.Structure, arrays: dict[str, npt.NDArray[Any]]) -> None:
    """Let the members of a structure point to arrays."""
    kinds: dict[str, Any] = {name: kind for name, kind, *_ in structure._fields_}
    for name, array in arrays.items():
        setattr(structure, name, array.ctypes.data_as(kinds[name]))


class KernelEvaluation(Evaluation):
    """Energies by the kernel, and gradients: those of the mean come with them."""

    def __init__(
        self,
        kernel: DensityKernel,
        structures: Sequence[Atoms],
        neighbours: Neighbours,
        gradients: bool,
    ):
        self._kernel, self._gradients = kernel, gradients
        self._given = []
        self._of_mean: list[tuple[Array, Array]] = []
        mean = np.full(kernel.n_members, 1.0 / kernel.n_members) if gradients else None
        tables = []
        for slot, atoms in enumerate(structures):
            pbc = np.asarray(atoms.pbc)
            box = np.where(pbc[:, None], np.asarray(atoms.cell), 0.0)
            pairs, _, vectors = neighbours.compute(slot, 0, atoms.positions, box, pbc)
            given = (atoms.numbers.copy(), pairs, vectors)
            rows, forces, virial = kernel.evaluate(*given, mean)
            tables.append(rows)
            if gradients:
                self._given.append(given)
                self._of_mean.append((forces, _symmetric(virial)))
        self.energies_eV = np.stack([rows.sum(axis=0) for rows in tables])
        self.atom_energies_eV = tables

    def gradient(self, cotangents: Array) -> tuple[list[Array], list[Array]]:
        """See `Evaluation.gradient`."""
        if not self._gradients:
            raise QuorumError("gradients of an evaluation that was made without them")
        forces, virials = [], []
        for row, given, of_mean in zip(cotangents, self._given, self._of_mean, strict=True):
            if (row == 1.0 / self._kernel.n_members).all():
                force, virial = of_mean
            else:
                _, force, virial = self._kernel.evaluate(*given, row)
                virial = _symmetric(virial)
            forces.append(force)
            virials.append(virial)
        return forces, virials


def _symmetric(virial: Array) -> Array:
    result: Array = 0.5 * (virial + virial.T)
    return result


def open_kernel(potential: MetatomicPotential) -> DensityKernel | None:
    """The kernel for a potential, None where there is none."""
    if potential.device.type != "cpu" or potential.weighting is not None:
        return None
    if len(potential.requests) != 1 or not potential.requests[0].full_list:
        return None
    library = _library()
    if library is None:
        return None
    parameters = _parameters(potential.model.module)
    if parameters is None:
        return None
    sizes, tensors, species, cutoff_A = parameters
    known = np.array([atomic_numbers[symbol] for symbol in potential.species])
    if known.max() >= len(species) or len(known) != sizes["species"]:
        return None
    numbers = np.zeros(len(known), dtype=np.int32)
    numbers[species[known]] = known
    if abs(cutoff_A - potential.cutoff_A) > 1e-9 or sizes["members"] != potential.n_members:
        return None
    from_file = _Density(
        **{f"n_{name}": size for name, size in sizes.items()},
        single_precision=potential.dtype == "float32",
        cutoff_A=cutoff_A,
        numbers=numbers.ctypes.data_as(_INTS),
    )
    for k, tensor in enumerate(tensors):
        from_file.tensors[k] = tensor.ctypes.data_as(_DOUBLES)
        from_file.lengths[k] = tensor.size
    problem = ctypes.create_string_buffer(300)
    handle = library.quorum_density_open(ctypes.byref(from_file), problem, len(problem))
    if not handle:
        _warn_of_torch(f"kernel of the built-in potential: {problem.value.decode()}")
        return None
    kernel = DensityKernel(library, handle, potential.n_members)
    return kernel if _agrees(kernel, potential) else None


def _agrees(kernel: DensityKernel, potential: MetatomicPotential) -> bool:
    """A file of another version may hold another formula under the same names."""
    from ase import Atoms

    rng = np.random.default_rng(11)
    n = max(8, 2 * len(potential.species))
    places = np.array([[k % 2, k // 2 % 2, k // 4] for k in range(n)])
    positions = 0.42 * potential.cutoff_A * (places + rng.uniform(0.0, 0.4, (n, 3)))
    atoms = [Atoms([potential.species[k % len(potential.species)] for k in range(n)], positions)]
    mine = KernelEvaluation(kernel, atoms, Neighbours(potential.requests), True)
    model = potential.forward_in_torch(atoms, True, None)
    cotangents = np.full((1, kernel.n_members), 1.0 / kernel.n_members)
    tolerance = 1e-4 if potential.dtype == "float32" else 1e-9
    return all(
        np.abs(one - other).max() <= factor * tolerance * np.abs(other).max()
        for one, other, factor in (
            (mine.energies_eV, model.energies_eV, 1),
            (mine.gradient(cotangents)[0][0], model.gradient(cotangents)[0][0], 10),
        )
    )


@cache
def _library() -> ctypes.CDLL | None:
    """The compiled kernel; None, with a warning, if it cannot be had."""
    try:
        library = open_library(
            "kernel of the built-in potential", "kernel", SOURCES, ("density*", "evaluator.h"),
            ["-O2", "-pthread"],
        )  # fmt: skip
    except (QuorumError, OSError) as error:
        _warn_of_torch(str(error))
        return None
    library.quorum_density_open.restype = ctypes.c_void_p
    return library


def _warn_of_torch(why: str) -> None:
    warn(f"{why}; the model runs in torch, which takes several times as long")


_Parameters = tuple[dict[str, int], list[Array], npt.NDArray[np.int64], float]


def _parameters(module: Any) -> _Parameters | None:
    """Sizes, tensors in double precision, species of atomic numbers, cutoff; None for others."""
    kind = module._c._type().qualified_name() if hasattr(module, "_c") else ""
    if _COMMITTEE.fullmatch(kind):
        models = list(module.models.children())
        if len(models) != 1 or module.has_baseline:
            return None
        inner = _parameters(models[0].module)
        several = inner is not None and inner[0]["members"] > 1
        if inner is None or (several and module.names[0] != "energy_ensemble"):
            return None
        return _scaled(inner, float(module.alpha)) if several else inner
    if not _NETWORK.fullmatch(kind):
        inner_module = getattr(module, "module", None)
        return None if inner_module is None else _parameters(inner_module)
    return _of_network(module)


def _of_network(module: Any) -> _Parameters | None:
    try:
        found = {name: _attribute(module, name) for name in _TENSORS}
        net, s = module.net, len(found["reference_eV"])
        sizes = {
            "species": s,
            "radial": int(net.n_radial),
            "alchemical": found["net.embedding"].shape[1],
            "mixed": found["net.mixing"].shape[2],
            "partners": int(net.n_partners),
            "hidden_1": found["net.weight_1"].shape[1],
            "hidden_2": found["net.weight_2"].shape[1],
            "members": found["deviation_weight"].shape[1],
        }
        cutoff_A = float(module.cutoff_A)
    except (AttributeError, IndexError):
        return None
    q = sizes["mixed"]
    lengths = {
        "s": s,
        "a": sizes["alchemical"],
        "l": 4,
        "r": sizes["alchemical"] * sizes["radial"],
        "q": q,
        "f": q + 4 * q * sizes["partners"],
        "g": sizes["hidden_2"],
        "k": sizes["members"],
        "p": s * s,
    }
    for name, letters in _TENSORS.items():
        of_layer = dict(lengths, h=sizes["hidden_1"])
        if found[name].shape != tuple(of_layer[letter] for letter in letters):
            return None
    if not hasattr(module, "references_in_double"):
        # files of earlier versions round them to single precision
        found["reference_eV"] = found["reference_eV"].astype(np.float32).astype(float)
    return sizes, list(found.values()), np.asarray(module.species_of_type.cpu()), cutoff_A


def _attribute(module: Any, name: str) -> Array:
    """A tensor or a list of numbers, in double precision."""
    value = module
    for part in name.split("."):
        value = getattr(value, part)
    array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.array(value)
    return np.ascontiguousarray(array, dtype=np.float64)


def _scaled(parameters: _Parameters, alpha: float) -> _Parameters:
    """Members V̄ + α (V − V̄), V̄ being the mean of the members."""
    sizes, tensors, species, cutoff_A = parameters
    named = dict(zip(_TENSORS, tensors, strict=True))
    for mean, deviation in (
        ("mean_weight", "deviation_weight"),
        ("mean_shift", "deviation_shift"),
    ):
        shift = named[deviation].mean(axis=1)
        named[mean] = named[mean] + shift
        named[deviation] = alpha * (named[deviation] - shift[:, None])
    return sizes, list(named.values()), species, cutoff_A
