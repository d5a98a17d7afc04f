"""Files in the formats of i-PI 3.3.1, for tests that need to know every number in them."""

import numpy as np

HARTREE_EV = 27.211386245988
HEADER = """\
# column   1     --> step : The current simulation time step.
# column   2     --> time{picosecond} : The elapsed simulation time.
# column   3     --> conserved : The value of the conserved energy quantity per bead.
# column   4     --> potential{electronvolt} : The physical system potential energy.
# column   5     --> temperature{kelvin} : The current temperature, as obtained from the kinetic.
# column   6     --> volume{angstrom3} : The volume of the cell box.
# cols.    7-12  --> cell_h{angstrom} : The 6 non-zero components in the form [xx, yy, zz, xy, xz].
"""
INPUT = """\
<simulation verbosity='low'>
  <output prefix='simulation'>
    <properties filename='out' stride='2'> [ step, potential{electronvolt} ] </properties>
    <trajectory filename='committee_pot' stride='5' extra_type='committee_pot'> extras </trajectory>
    <trajectory filename='pos' stride='100'> positions </trajectory>
  </output>
  <total_steps>4000</total_steps>
  <ffdirect name='ff'><pes>custom</pes></ffdirect>
  <system>
    <initialize nbeads='1'><velocities mode='thermal' units='kelvin'>77</velocities></initialize>
    <motion mode='dynamics'><dynamics mode='nvt'>
      <timestep units='femtosecond'>2.0</timestep></dynamics></motion>
    <ensemble><temperature units='kelvin'>300</temperature></ensemble>
  </system>
</simulation>
"""


def harmonic_run(n_steps=4000, seed=0, spread_eV=0.005, members=6, temperature_K=300.0):
    """A toy of 60 modes in a box that breathes with the last mode; exact member averages known.

    Members also differ by constants of 0.05 eV, which is all that their energies differ by.
    Returns a dict of (n_steps,) arrays, member energies in eV (n_steps, K), slopes in eV.
    """
    rng = np.random.default_rng(seed)
    kT = 8.617333262145179e-05 * temperature_K
    q = rng.normal(size=(n_steps, 60))
    slopes = rng.normal(size=members)
    slopes *= spread_eV / slopes.std(ddof=1)
    slopes -= slopes.mean()
    offsets = 0.05 * rng.normal(size=members)
    offsets -= offsets.mean()
    potential = kT / 2 * (q**2).sum(axis=1) - 250.0
    return {
        "kT": kT,
        "potential": potential,
        "volume": 800 + 5 * q[:, -1],
        "energies": potential[:, None] + offsets + slopes * q[:, -1:],
        "offsets": offsets,
        "slopes": slopes,
        "temperature": temperature_K + 30 * rng.normal(size=n_steps),
    }


def property_rows(run, steps):
    """Lines of the properties file at the given steps."""
    lines = []
    for step in steps:
        length = run["volume"][step] ** (1 / 3)
        numbers = [step, 0.002 * step, 1.0, run["potential"][step], run["temperature"][step]]
        numbers += [run["volume"][step], length, length, length, 0, 0, 0]
        lines.append("  " + " ".join(f"{x:16.8e}" for x in numbers) + "   \n")
    return "".join(lines)


def extras_rows(energies_eV, steps):
    """Blocks of the extras file at the given steps."""
    return "".join(
        f" #EXTRAS(committee_pot)# Step:  {step:10d} \n"
        + " ".join(f"{x:16.8e}" for x in energies_eV[step] / HARTREE_EV)
        + "\n"
        for step in steps
    )


def write_run(folder, run, *, stride=2, committee_stride=5):
    """simulation.out, simulation.committee_pot_0 and input.xml in `folder`."""
    n_steps = len(run["potential"])
    out, committee = folder / "simulation.out", folder / "simulation.committee_pot_0"
    out.write_text(HEADER + property_rows(run, range(0, n_steps, stride)))
    committee.write_text(extras_rows(run["energies"], range(0, n_steps, committee_stride)))
    (folder / "input.xml").write_text(INPUT)
    return out, committee
