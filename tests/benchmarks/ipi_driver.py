"""What a committee costs per i-PI step, beside i-PI's own metatomic driver, in the same run.

    python tests/benchmarks/ipi_driver.py [--quick]

One Lennard-Jones committee, cheaper than any model of use, so that everything around the model
shows. Calls of the two drivers on structures that move little, taken in turn, medians; then whole
steps of real i-PI (NVT). One thread.
"""

import argparse
import contextlib
import io
import json
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from ase.io import write
from ipi.pes import load_pes
from ipi.scripting import InteractiveSimulation

from ipi_tools import PES, argon, direct, system
from quorum_md.engines.ipi_extras import committee_extras
from quorum_md.units import BOHR_A
from toy_models import LennardJones, export

CUBES = {32: 2, 256: 4, 2048: 8, 4000: 10}


def interleaved_ms(calls, repeats):
    """Median milliseconds of each function, called in turn so that a busy machine hits all."""
    times = [[] for _ in calls]
    for call in calls:
        call()
        call()
    for _ in range(repeats):
        for function, row in zip(calls, times, strict=True):
            start = time.perf_counter()
            function()
            row.append(1e3 * (time.perf_counter() - start))
    return [float(np.median(row)) for row in times]


def committee(folder, n_members):
    scales = list(np.linspace(0.8, 1.2, n_members))
    return export(LennardJones(3.0, 0.1, 6.5, scales), folder / f"lj{n_members}.pt", [18], 6.5)


def structure(folder, n_atoms):
    atoms = argon(CUBES[n_atoms], rattle_A=0.05)
    write(folder / "start.xyz", atoms)
    return np.array(atoms.cell).T / BOHR_A, atoms.positions / BOHR_A


def step_ms(pes, parameters, steps):
    """Milliseconds per step of real i-PI in this process."""
    force_field = direct(pes=PES, **parameters)
    if pes != "custom":
        force_field = force_field.replace("<pes>custom", f"<pes>{pes}")
    motion = system(kelvin=50).replace("start.xyz", parameters["template"])
    text = f"""<simulation verbosity='quiet' safe_stride='1000'> <output prefix='simulation'>
      <properties filename='out' stride='10'> [ step, potential ] </properties> </output>
      {force_field} {motion} </simulation>"""
    with contextlib.redirect_stdout(io.StringIO()):
        simulation = InteractiveSimulation(text)
        simulation.run(10)
        start = time.perf_counter()
        simulation.run(steps)
        return 1e3 * (time.perf_counter() - start) / steps


def compare(n_atoms, repeats):
    """One line of the table."""
    cell, positions = structure(Path(), n_atoms)
    given = {"model": str(committee(Path(), 32)), "template": "start.xyz"}
    theirs_too = {**given, "energy_ensemble": True}
    ours = load_pes("custom", str(PES))(**given)
    theirs = load_pes("metatomic", "")(**theirs_too)
    for a, b, tolerance in zip(
        ours(cell, positions), theirs(cell, positions), (1e-9, 1e-8, 1e-6), strict=False
    ):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=tolerance)
    rng = np.random.default_rng(0)

    def moved():
        # little enough for the skin of i-PI's driver
        return positions + rng.normal(scale=0.01, size=positions.shape)

    one = interleaved_ms([lambda d=d: d(cell, moved()) for d in (ours, theirs)], repeats)
    eight = interleaved_ms(
        [lambda d=d: d([cell] * 8, [moved() for _ in range(8)]) for d in (ours, theirs)],
        max(3, repeats // 4),
    )
    step = step_ms("custom", given, repeats), step_ms("metatomic", theirs_too, repeats)
    print(
        f"{n_atoms:7d}  {one[0]:8.2f} {one[1]:8.2f}  {eight[0] / 8:8.2f} {eight[1] / 8:8.2f}"
        f"  {step[0]:8.2f} {step[1]:8.2f}",
        flush=True,
    )


def extras(repeats):
    """What the members cost: 64 instead of 2, and their way through JSON."""
    n_atoms = max(CUBES)
    cell, positions = structure(Path(), n_atoms)
    models = [
        load_pes("custom", str(PES))(model=str(committee(Path(), k)), template="start.xyz")
        for k in (2, 64)
    ]
    two, many = interleaved_ms([lambda m=m: m(cell, positions) for m in models], repeats)
    template = argon(CUBES[n_atoms])
    prediction = models[1].model.potential.evaluate([template], virial=True)[0]
    (text,) = interleaved_ms([lambda: json.loads(committee_extras(prediction))], 100)
    print(f"# {n_atoms} atoms: driver call with 2 members {two:.1f} ms, with 64 {many:.1f} ms")
    print(f"# extras of 64 members, written and parsed: {text:.3f} ms, {100 * text / many:.2f} %")
    if text > 0.05 * many:
        raise SystemExit("extras cost more than 5 %")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small systems only")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        print("# milliseconds, 32 members; each pair: our driver, i-PI's metatomic driver")
        print("# atoms    one structure      per structure of 8     step of i-PI")
        for n_atoms in [32, 256] if quick else [32, 256, 2048]:
            compare(n_atoms, 20 if quick else 60)
        if not quick:
            extras(10)


if __name__ == "__main__":
    main()
