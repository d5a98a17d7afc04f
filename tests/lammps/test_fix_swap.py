"""fix quorum/swap against the same chain in Python, trial by trial with full energies."""

import re

import numpy as np
import pytest

from lammps_tools import read_dump, run_lammps, write_data
from quorum_md.models import load_potential
from quorum_md.sampling import NeighborSwap, SwapMonteCarlo
from quorum_md.units import BOLTZMANN_EV_K, KCAL_MOL_EV
from swap_chain import BOLTZMANN, Chain, crystal, near_lists

pytestmark = pytest.mark.filterwarnings("ignore:.*interaction range")
ALLOY = ["Nb", "Mo", "Ta", "W"]


def blocks(
    data, model, species, fix, n_blocks, tag="", more="", units="metal", part=None, dimension=3
):
    """A script that makes blocks of trials at frozen positions, and writes all that comes out."""
    part = part or species  # those that take part
    rows = len(part) * (len(part) - 1) // 2
    columns = " ".join(f"f_mc[{k}][{c}]" for k in range(1, rows + 1) for c in range(1, 5))
    dtype = "dtype float64" if model == "nbmotaw" else ""
    return f"""
clear
units {units}
dimension {dimension}
atom_style atomic
read_data {data}
pair_style quorum {model} {dtype}
pair_coeff * * {" ".join(species)}
neighbor 0.5 bin
{more}
fix mc all quorum/swap {fix}
thermo_style custom step pe f_mc[*] {columns}
thermo_modify norm no format float %.17g
run {n_blocks}
write_dump all custom {tag}end.dump id type modify format float %.17g
unfix mc
thermo_style custom step pe
thermo_modify norm no format float %.17g
run 0
"""


def check(run, atoms, species, chain, n_trials, n_blocks, tables=0, tag="", unit=1.0):
    """Types, counts and energy of a run are those of the chain in Python."""
    for _ in range(n_blocks):
        energy = chain.run(n_trials)
    types = read_dump(run.folder / f"{tag}end.dump", 1)[:, 0].astype(int)
    assert [species[t - 1] for t in types] == list(chain.atoms.symbols)
    assert list(atoms.symbols) != list(chain.atoms.symbols)
    table, fresh = run.tables()[tables : tables + 2]
    assert table["f_mc[1]"][-1] == n_trials * n_blocks
    assert sum(table[f"f_mc[{8 + k}]"][0] for k in range(len(chain.species))) == len(chain.sites)
    rows = len([name for name in table if name.endswith("][3]")])
    for k, symbol in enumerate(chain.species):  # the vector ends with the numbers of atoms per type
        assert table[f"f_mc[{8 + k}]"][-1] == sum(chain.atoms.symbols[chain.sites] == symbol)
    got = {}
    for k in range(1, rows + 1):
        a, b, tried, accepted = (int(table[f"f_mc[{k}][{c}]"][-1]) for c in range(1, 5))
        if tried:
            got[a, b] = [tried, accepted]
    kinds = [species.index(symbol) + 1 for symbol in chain.species]
    assert got == {(kinds[a], kinds[b]): count for (a, b), count in chain.counts.items()}
    assert table["f_mc[2]"][-1] == sum(accepted for _, accepted in got.values())
    # the force evaluation after the block saw the new types, and so does one from the start
    end = table["PotEng"][-1]
    assert end == pytest.approx(fresh["PotEng"][0], abs=1e-9 * max(1.0, abs(end) / 1000))
    assert unit * end == pytest.approx(energy, abs=3e-9 * max(1.0, abs(energy) / 1000))
    assert table["f_mc[4]"][-1] < 1e-8
    assert "WARNING: fix quorum/swap" not in run.output


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_chain_is_that_of_full_energies(ranks, tmp_path):
    """Sites near each other and far from each other; whatever the number of ranks and the batch."""
    atoms = crystal((7, 3, 3), ALLOY)
    write_data(tmp_path / "box.data", atoms, ALLOY)
    batches = ["auto", "1", "23"] if ranks == 1 else ["auto"]
    script = "".join(
        blocks("box.data", "nbmotaw", ALLOY, f"1 150 11 2500.0 batch {batch}", 2, batch)
        for batch in batches
    )
    run = run_lammps(script, tmp_path, ranks)
    chain = Chain(load_potential("nbmotaw", dtype="float64"), atoms.copy(), ALLOY, 2500.0, 11)
    check(run, atoms, ALLOY, chain, 150, 2, 0, batches[0])
    assert 0.1 < sum(c[1] for c in chain.counts.values()) / 300 < 0.9
    first = run.tables()[0]
    for k, batch in enumerate(batches):
        assert (tmp_path / f"{batch}end.dump").read_text() == (
            tmp_path / f"{batches[0]}end.dump"
        ).read_text()
        table = run.tables()[2 * k]
        for name in ("PotEng", "f_mc[2]", "f_mc[1][3]", "f_mc[6][4]"):
            assert table[name][-1] == first[name][-1]
    assert run.output.count("the energies of the atoms around their sites") == len(batches)


RINGS = crystal((3, 3, 2), ["Ar", "Kr"], lattice_A=2.9)
WIDE = crystal((4, 3, 3), ALLOY)
TILTED = crystal((2, 2, 2), ALLOY)
TILTED.set_cell(
    np.asarray(TILTED.cell) + [[0, 0, 0], [1.3, 0, 0], [-0.8, 0.9, 0]], scale_atoms=True
)
PERFECT = crystal((2, 2, 3), ALLOY, rattle=0.0)  # second neighbours at 3.24 Å, images among them
FLAT = crystal((4, 3, 1), ALLOY)[::2]  # a layer
FLAT.positions[:, 2] = 0.0
FLAT.pbc[2] = False
HALF = [i for i, x in enumerate(WIDE.positions[:, 0] % WIDE.cell[0, 0]) if x < 6.6]
WIDE_ENOUGH = crystal((9, 9, 8), ["Ar", "Kr"], lattice_A=3.4)  # twice a region of 13.6 Å
CASES = {
    # name: model, structure, temperature, keywords, lines before the fix, the same for
    # the chain in Python
    "an atom beside its own image": ("nbmotaw", crystal((2, 2, 1), ALLOY), 4000, "", "", {}),
    "three cells": ("nbmotaw", crystal((3, 1, 1), ["Nb", "Ta", "W"]), 3000, "", "", {}),
    "tilted": ("nbmotaw", TILTED, 3000, "", "", {}),
    "pairs": (
        *("nbmotaw", WIDE, 3000, "pairs 1 4 2.0 3 2 0.5", ""),
        {"weights": {(0, 3): 2.0, (1, 2): 0.5}},
    ),
    "neighbours": (
        *("nbmotaw", WIDE, 3000, "neighbors 2.9", ""),
        {"neighbours": near_lists(WIDE, 2.9)},
    ),
    "neighbours that are images": (
        *("nbmotaw", PERFECT, 3000, "neighbors 3.24", ""),
        {"neighbours": near_lists(PERFECT, 3.24)},
    ),
    "two dimensions": ("nbmotaw", FLAT, 3000, "", "", {}),
    "no neighbours at all": (
        *("no neighbours", RINGS, 1500, "sgc 0.1 0.2", ""),
        {"mu_eV": [0.1, 0.2]},
    ),
    "region and types": (
        *(
            "nbmotaw",
            WIDE,
            3000,
            "types 4 2 1 region half",
            "region half block 0 6.6 INF INF INF INF",
        ),
        {"sites": HALF, "species": ["W", "Mo", "Nb"]},
    ),
    "semi-grand": (
        *("nbmotaw", WIDE, 4000, "sgc -10.03 -10.8 -11.8 -12.9", ""),
        {"mu_eV": [-10.03, -10.8, -11.8, -12.9]},
    ),
    "variance": (
        "nbmotaw",
        *(WIDE, 4000, "vcsgc 3.0 0.1 0.2 0.3 0.4 sgc -10.03 -10.8 -11.8 -12.9", ""),
        {"mu_eV": [-10.03, -10.8, -11.8, -12.9], "kappa_eV": 3.0, "target": [0.1, 0.2, 0.3, 0.4]},
    ),
    "alloy in real units": ("alloy", RINGS, 3000, "", "", {}),
    "weighted baseline": ("weighted baseline", RINGS, 3000, "", "", {}),
    "two hops": ("two hops", RINGS, 400, "", "", {}),
    "two hops through positions": ("through positions", RINGS, 400, "", "", {}),
    "region of two hops": ("two hops", WIDE_ENOUGH, 150, "", "", {}),
    "region through positions": (
        *("through positions", WIDE_ENOUGH, 20, "neighbors 3.2", ""),
        {"neighbours": near_lists(WIDE_ENOUGH, 3.2)},
    ),
}


@pytest.fixture(scope="module")
def all_cases(swap_models, tmp_path_factory):
    """One LAMMPS for all of them, on two ranks."""
    folder = tmp_path_factory.mktemp("cases")
    script = ""
    for k, (name, (model, atoms, temperature, keywords, more, words)) in enumerate(CASES.items()):
        species = ALLOY if model == "nbmotaw" else ["Ar", "Kr"]
        write_data(folder / f"{k}.data", atoms, species)
        units = "real" if "real" in name else "metal"
        fix = f"1 60 {k + 1} {temperature} {keywords}"
        dimension = 3
        if name == "two dimensions":  # of a box around z = 0
            dimension, file = 2, folder / f"{k}.data"
            file.write_text(re.sub("0.0 (.*) zlo zhi", "-1.0 2.24 zlo zhi", file.read_text()))
        script += blocks(
            *(f"{k}.data", swap_models[model], species, fix, 2, k, more, units),
            *(words.get("species"), dimension),
        )
    return run_lammps(script, folder, 2)


@pytest.mark.parametrize("name", CASES)
def test_chain_of_every_kind_of_move(all_cases, swap_models, name):
    k = list(CASES).index(name)
    model, atoms, temperature, _, _, words = CASES[name]
    species = ALLOY if model == "nbmotaw" else ["Ar", "Kr"]
    potential = load_potential(swap_models[model], dtype="float64")
    words = {"species": species} | words
    chain = Chain(potential, atoms.copy(), temperature_K=temperature, seed=k + 1, **words)
    unit = KCAL_MOL_EV if "real" in name else 1.0
    check(all_cases, atoms, species, chain, 60, 2, 2 * k, k, unit)
    tried, accepted = np.sum(list(chain.counts.values()), axis=0)
    assert 0.05 < accepted / tried < 0.95, (tried, accepted)


def test_log_says_what_is_evaluated(all_cases):
    whole = [line for line in all_cases.output.splitlines() if "energy of the whole system" in line]
    assert len(whole) == 2 and "hops.pt needs more" in whole[0] and "places.pt" in whole[1]
    around = [line for line in all_cases.output.splitlines() if "energies of the region" in line]
    assert len(around) == 2 and "hops.pt needs more" in around[0] and "places.pt" in around[1]


@pytest.mark.parametrize("name, move", [("tilted", None), ("neighbours that are images", 3.24)])
def test_block_is_a_run_of_the_python_chain(all_cases, name, move):
    """The same code cannot be behind both."""
    model, atoms, temperature, *_ = CASES[name]
    mc = SwapMonteCarlo(
        atoms,
        load_potential(model, dtype="float64"),
        temperature_K=temperature * BOLTZMANN / BOLTZMANN_EV_K,
        seed=list(CASES).index(name) + 1,
        species=ALLOY,
        move=None if move is None else NeighborSwap(move),
    )
    mc.run(60)
    mc.set_atoms(mc.atoms)  # a new block
    mc.run(60)
    types = read_dump(all_cases.folder / f"{list(CASES).index(name)}end.dump", 1)[:, 0]
    assert [ALLOY[int(t) - 1] for t in types] == list(mc.atoms.symbols)
