"""Arguments of ``quorum reweight``."""

import argparse

_EPILOG = """\
LAMMPS: log.lammps and the logs of its restarts. In the script:
  compute members all pair quorum
  thermo_style custom step temp pe vol c_members[*]
i-PI: properties with step (and potential, which proves that files belong together). In the input:
  <properties filename='out' stride='10'>[ step, potential{electronvolt}, volume{angstrom3} ]
  <trajectory filename='committee_pot' stride='10' extra_type='committee_pot'> extras
Extended XYZ: energy_ensemble, energy and step in every frame.
examples:
  quorum reweight log.lammps --discard auto
  quorum reweight simulation.out --committee simulation.committee_pot_0 --input input.xml
  quorum reweight --input 300K.xml --also 400K.xml --at-temperature 300 350 400
  quorum reweight --input input.xml --bias COLVAR:restraint.bias --bias-unit kj/mol
  quorum reweight --input input.xml --trajectory run.pos_0.xyz --observable rdf:Nb-Mo --plot g.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``quorum reweight``."""
    parser.epilog = _EPILOG
    parser.usage = "quorum reweight [FILE ...] [options]"
    add = parser.add_argument
    add(
        "files",
        nargs="*",
        metavar="FILE",
        help="LAMMPS logs, i-PI properties (or --input), extended XYZ, or a record",
    )
    add(
        "--committee",
        nargs="+",
        metavar="FILE",
        help="committee_pot extras, one per bead; or logs of a rerun",
    )
    add("--input", metavar="XML", help="i-PI input: temperature, time step and file names")
    add("--temperature", type=float, metavar="K", help="temperature of the run")
    add(
        "--observable",
        action="append",
        metavar="NAME",
        help="a column, heat_capacity, or along --trajectory rdf:Nb-Mo, steinhardt:6, …, "
        "my.py:function; repeatable (default: columns that fluctuate and depend on positions)",
    )
    add("--direct", action="store_true", help="direct reweighting, not the cumulant expansion")
    add("--order", type=int, default=1, choices=(1, 2), help="of the cumulant expansion (1)")
    add(
        "--reference",
        metavar="mean|INDEX|COLUMN",
        help="what drove the run: the mean, a member (from 0), or the energy in a column",
    )
    add(
        "--discard",
        default="0",
        metavar="auto|N|FRACTION",
        help="frames to leave out at the start (0)",
    )
    more = parser.add_argument_group("frames from elsewhere")
    also = more.add_argument
    also(
        "--also",
        nargs="+",
        action="append",
        metavar="FILE",
        help="a run to pool: its i-PI input, or logs; repeatable",
    )
    also(
        "--at-temperature",
        type=float,
        nargs="+",
        metavar="K",
        help="where averages are wanted, if not at that of the (first) run",
    )
    also(
        "--bias", metavar="COLUMN|FILE:COLUMN", help="bias that acted: a column, or PLUMED's COLVAR"
    )
    also("--bias-unit", metavar="ENERGY[,TIME]", help="where the file has none: kj/mol,ps (PLUMED)")
    also("--timestep", type=float, metavar="FS", help="of the run, where its files do not say it")
    also(
        "--trajectory",
        nargs="+",
        action="append",
        metavar="FILE",
        help="positions, a file per bead (i-PI, extended XYZ, LAMMPS dump); again for each --also",
    )
    also("--elements", nargs="+", metavar="X", help="of the types in a LAMMPS dump, in order")
    also("--every", type=int, metavar="N", help="steps between frames, if the file has no steps")
    also("--members", metavar="c_ID", help="LAMMPS: vector of the member energies, if not clear")
    also("--runs", metavar="N[,N]", help="LAMMPS: runs of the logs to use, from 1")
    also("--lammps-units", metavar="U", help="metal or real, if the log is silent")
    also("--committee-unit", default="hartree", metavar="U", help="of extras (hartree)")
    output = parser.add_argument_group("output")
    also = output.add_argument
    also("--units", metavar="UNIT", help="print energies in electronvolt, hartree, kj/mol, …")
    also("--explain", action="store_true", help="say what the errors and the verdict mean here")
    also("--plot", metavar="FILE", help="draw averages, influence of frames, effective samples")
    also("--table", metavar="FILE", help="write curves (rdf, …) as columns with both errors")
    also("--record", metavar="FILE", help="write the frames used as HDF5, for later averages")
    also("--json", metavar="FILE", help="write all numbers to FILE, or - for the terminal")
