"""Structures as frames, and trajectory files of which every number is known."""

import numpy as np
from ase import Atoms

from quorum_md.averages.observables import Frames


def frames_of(images, steps=None):
    """ASE structures with the same number of atoms as `Frames`."""
    images = [images] if isinstance(images, Atoms) else list(images)
    elements = tuple(dict.fromkeys(s for atoms in images for s in atoms.symbols))
    species = np.array([[elements.index(s) for s in atoms.symbols] for atoms in images])
    return Frames(
        np.arange(len(images)) if steps is None else np.asarray(steps),
        np.array([atoms.positions for atoms in images]),
        np.array([atoms.cell[:] for atoms in images]),
        np.array(images[0].pbc),
        elements,
        species.astype(np.int16),
    )


def ideal_gas(rng, n_frames, counts, cell, *, shuffle=False):
    """Independent uniform positions in a cell; `counts` {"A": 3, …}."""
    symbols = np.repeat(np.arange(len(counts)), list(counts.values())).astype(np.int16)
    n_atoms = len(symbols)
    species = np.array([rng.permutation(symbols) if shuffle else symbols for _ in range(n_frames)])
    cell = np.asarray(cell, dtype=float)
    return Frames(
        np.arange(n_frames),
        rng.random((n_frames, n_atoms, 3)) @ cell,
        np.broadcast_to(cell, (n_frames, 3, 3)).copy(),
        np.ones(3, dtype=bool),
        tuple(counts),
        species,
    )


def ipi_frame(step, symbols, positions, lengths, angles=(90, 90, 90), *, unit="angstrom", bead=0):
    """One frame as i-PI 3.3 writes it; lengths and positions in that unit."""
    numbers = "  ".join(f"{x:10.5f}" for x in (*lengths, *angles))
    title = f"Step:  {step:10d}  Bead:   {bead:5d} positions{{{unit}}}  cell{{{unit}}}"
    rows = "".join(
        f"{s:>8s} {x:12.5e} {y:12.5e} {z:12.5e}\n"
        for s, (x, y, z) in zip(symbols, positions, strict=True)
    )
    return f"{len(symbols)}\n# CELL(abcABC): {numbers}  {title}\n{rows}"


def dump_frame(step, columns, rows, box, *, header="pp pp pp", units=None):
    """One frame of a LAMMPS dump; `box` three lines, `rows` lists of numbers or names."""
    lines = [] if units is None else ["ITEM: UNITS", units]
    lines += ["ITEM: TIMESTEP", str(step), "ITEM: NUMBER OF ATOMS", str(len(rows))]
    lines += [f"ITEM: BOX BOUNDS {header}", *box, f"ITEM: ATOMS {columns}"]
    lines += [" ".join(str(x) for x in row) for row in rows]
    return "\n".join(lines) + "\n"
