"""Shared fixtures: toy models exported once per session, and a cache folder of our own."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session", autouse=True)
def own_cache():
    """Measured facts of models and the LAMMPS plugin go to a folder of the repository, not to the
    user's cache. Both are found there by the hash of what they come from, so that it serves all
    processes of a run, and the next run."""
    os.environ["XDG_CACHE_HOME"] = str(Path(__file__).parents[1] / "build" / "test-cache")


@pytest.fixture(scope="session")
def lj_file(tmp_path_factory):
    """Lennard-Jones committee of 5 for Ar in (Å, eV): σ = 3 Å, ε = 0.1 eV, cutoff 6.5 Å."""
    from toy_models import LJ_SCALES, LennardJones, export

    path = tmp_path_factory.mktemp("models") / "lj.pt"
    return export(LennardJones(3.0, 0.1, 6.5, LJ_SCALES), path, [18], 6.5)


@pytest.fixture(scope="session")
def lj_atomic_units_file(tmp_path_factory):
    """The same committee in (Bohr, Hartree)."""
    from quorum_md.units import BOHR_A, HARTREE_EV
    from toy_models import LJ_SCALES, LennardJones, export

    path = tmp_path_factory.mktemp("models") / "lj_au.pt"
    module = LennardJones(3.0 / BOHR_A, 0.1 / HARTREE_EV, 6.5 / BOHR_A, LJ_SCALES)
    return export(module, path, [18], 6.5 / BOHR_A, "bohr", "hartree")


@pytest.fixture(scope="session")
def kernel_files(tmp_path_factory):
    """Built-in potentials of other sizes than the shipped one: path and elements by name."""
    from density_models import kernel_files

    return kernel_files(tmp_path_factory.mktemp("kernels"))
