"""What tests of swaps and exchanges in i-PI share: pieces of inputs, and the toys' path."""

from pathlib import Path

TOYS = Path(__file__).with_name("quorum_swap_toys.py")
OURS = ("quorum", "i-pi")


def toy(name="ff", batch=1, **parameters):
    """``<ffdirect>`` with a law of quorum_swap_toys.py."""
    text = ", ".join(f"{key}: {value}" for key, value in parameters.items())
    return f"""<ffdirect name='{name}'> <pes>custom</pes> <pes_path>{TOYS}</pes_path>
      <parameters> {{{text}}} </parameters> <batch_size> {batch} </batch_size> </ffdirect>"""


def swaps(names, nxc=1.0, more=""):
    return f"""<motion mode='atomswap'> <fixcom>False</fixcom> {more} <atomswap>
      <names> [ {", ".join(names)} ] </names> <nxc> {nxc} </nxc> </atomswap> </motion>"""


def dynamics(timestep_fs, tau_fs, mode="nvt", thermostat="langevin", more=""):
    return f"""<motion mode='dynamics'> <fixcom>False</fixcom> <dynamics mode='{mode}'>
      <timestep units='femtosecond'> {timestep_fs} </timestep> <thermostat mode='{thermostat}'>
      <tau units='femtosecond'> {tau_fs} </tau> </thermostat> {more} </dynamics> </motion>"""


def system(*motions, kelvin, beads=1, ensemble="", prefix=""):
    return f"""<system prefix='{prefix}'> <initialize nbeads='{beads}'>
      <file mode='ase'> start.xyz </file>
      <velocities mode='thermal' units='kelvin'> {kelvin} </velocities> </initialize>
      <forces> <force forcefield='ff'/> </forces>
      <ensemble> <temperature units='kelvin'> {kelvin} </temperature> {ensemble} </ensemble>
      <motion mode='multi'> {" ".join(motions)} </motion> </system>"""


def write_start(folder, names, positions_A, length_A=20.0):
    """start.xyz in a cubic cell."""
    cell = f'Lattice="{length_A} 0 0 0 {length_A} 0 0 0 {length_A}" pbc="T T T"'
    rows = zip(names, positions_A, strict=True)
    atoms = [f"{name} {x:.9f} {y:.9f} {z:.9f}" for name, (x, y, z) in rows]
    (folder / "start.xyz").write_text("\n".join([str(len(names)), cell, *atoms]) + "\n")


GLE = """<thermostat mode='gle'>
  <A shape='(2,2)'> [ 1e-5, 4e-3, -4e-3, 5e-4 ] </A> </thermostat>"""  # 1/atomic time


def thermostatted(timestep_fs, thermostat, mode="nvt", more=""):
    """Dynamics with a whole ``<thermostat>``."""
    return f"""<motion mode='dynamics'> <fixcom>False</fixcom> <dynamics mode='{mode}'>
      <timestep units='femtosecond'> {timestep_fs} </timestep> {thermostat} {more}
      </dynamics> </motion>"""


def remd(stride=1.0, more=""):
    return f"""<smotion mode='remd'> <remd> <stride> {stride} </stride>
      <swapfile> stock </swapfile> {more} </remd> </smotion>"""
