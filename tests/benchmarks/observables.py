"""Radial distribution functions and files: frames per second beside ASE, in the same run.

    python tests/benchmarks/observables.py [--quick]

A shaken face-centred crystal of two species, g(r) up to 6 Å in 200 bins: ours over all frames at
once, `ase.geometry.rdf.get_rdf` and `ase.neighborlist.neighbor_list` with a histogram on as many
frames as take about as long. Then the same trajectory read from a file of i-PI and a LAMMPS dump.
One thread; take the ratios, not the seconds.
"""

import argparse
import contextlib
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "averages" / "observables"))

import numpy as np
from ase.build import bulk
from ase.geometry.rdf import get_rdf
from ase.io import read
from ase.neighborlist import neighbor_list
from observable_tools import dump_frame, frames_of, ipi_frame

from quorum_md.averages.observables import Trajectory
from quorum_md.averages.observables.rdf import rdf
from quorum_md.averages.observables.steinhardt import steinhardt

CUTOFF_A, BINS = 6.0, 200


def shaken(repeat, n_frames):
    """ASE structures of 4 repeat³ atoms."""
    rng = np.random.default_rng(0)
    atoms = bulk("Ar", "fcc", a=4.2, cubic=True).repeat(repeat)
    atoms.symbols[::2] = "Kr"
    images = []
    for _ in range(n_frames):
        one = atoms.copy()
        one.positions += 0.2 * rng.normal(size=one.positions.shape)
        images.append(one)
    return images


def rate(function, n_frames):
    """Frames per second of CPU time."""
    start = time.process_time()
    function()
    return n_frames / max(time.process_time() - start, 1e-9)


def by_neighbour_list(atoms):
    distance = neighbor_list("d", atoms, CUTOFF_A)
    return np.histogram(distance, BINS, (0, CUTOFF_A))[0]


def compare(repeat, n_frames, n_peer):
    """One line of the table."""
    images = shaken(repeat, n_frames)
    frames = frames_of(images)
    made = rdf(frames, cutoff_A=CUTOFF_A, bins=BINS, normalisation="density")
    order = steinhardt(frames, 6, cutoff_A=3.6)
    some = images[:n_peer]
    n_atoms = len(images[0])
    ours = made.evaluate(frames.part(slice(0, n_peer)))
    edges = np.linspace(0, CUTOFF_A, BINS + 1)
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    for atoms, g in zip(some, ours, strict=True):
        expected = by_neighbour_list(atoms) / (n_atoms**2 / atoms.cell.volume * shells)
        np.testing.assert_allclose(g, expected, atol=1e-9)
    mine = rate(lambda: made.evaluate(frames), n_frames)
    lists = rate(lambda: [by_neighbour_list(a) for a in some], n_peer)
    theirs = np.nan
    if min(images[0].cell.lengths()) > 2 * CUTOFF_A:  # it refuses smaller cells
        theirs = rate(lambda: [get_rdf(a, CUTOFF_A, BINS) for a in some], n_peer)
    bonds = rate(lambda: order.evaluate(frames.part(slice(0, n_peer * 4))), n_peer * 4)
    print(
        f"{n_atoms:6d} {mine:12.0f} {lists:12.0f} {theirs:12.0f} {mine / lists:9.1f} "
        f"{mine / theirs:9.1f} {bonds:12.0f}",
        flush=True,
    )


def files(repeat, n_frames, n_peer):
    """Reading, as frames per second."""
    images = shaken(repeat, n_frames)
    lengths = images[0].cell.lengths()
    box = [f"0.0 {length}" for length in lengths]
    xyz, dump = [], []
    for k, atoms in enumerate(images):
        xyz.append(ipi_frame(k, atoms.symbols, atoms.positions, lengths))
        rows = [(i + 1, 1 + i % 2, *(f"{x:.6g}" for x in r)) for i, r in enumerate(atoms.positions)]
        dump.append(dump_frame(k, "id type x y z", rows, box, units="metal"))
    for kind, texts in (("xyz", xyz), ("lammps-dump-text", dump)):
        Path("long").write_text("".join(texts))
        Path("short").write_text("".join(texts[:n_peer]))
        trajectory = Trajectory("long", elements=["Kr", "Ar"])
        mine = rate(lambda t=trajectory: [len(part) for part in t.chunks()], n_frames)
        peer = rate(lambda f=kind: read("short", ":", format=f), n_peer)
        print(
            f"# {kind}: {len(images[0])} atoms, {mine:.0f} frames/s, ASE {peer:.0f}, "
            f"ratio {mine / peer:.0f}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer frames and atoms")
    quick = parser.parse_args().quick
    print("# frames per second: g(r) of ours, of neighbor_list, of get_rdf; ratios; our Q_6")
    print("# atoms         ours  neighbor_list    get_rdf     ratio     ratio    steinhardt")
    for repeat, n_frames, n_peer in (
        [(2, 300, 20), (4, 60, 6)]
        if quick
        else [(2, 4000, 60), (3, 1000, 40), (4, 400, 20), (6, 60, 8), (10, 10, 3)]
    ):
        compare(repeat, n_frames, n_peer)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        files(2, 500 if quick else 5000, 50 if quick else 200)


if __name__ == "__main__":
    main()
