"""Stages of interface pinning as inputs of i-PI: model and bias by path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic import write_atomically
from ..order_parameters.pinned import Density, Named
from ..units import DALTON_ELECTRON_MASSES
from .pin_stage import Array, Setting, Stage


def input_of(
    setting: Setting,
    stage: Stage,
    seed: int,
    state: dict[str, Array],
    atoms: Any,
    folder: Path,
    model: str,
) -> str:
    """The input of i-PI for a stage.

    Args:
        state: positions, momenta and cell (rows) in atomic units.
        atoms: names and masses.
        folder: of the job, which has template.xyz.
        model: path or name.
    """
    variable, template = setting.variable, folder / "template.xyz"
    if isinstance(variable, Named):
        driver = "quorum_ipi_bias.py"
        write_atomically(folder / "bias.dat", variable.biased(stage.kappa_eV, stage.center))
        parameters = f"plumed: {folder / 'bias.dat'}, template: {template}"
        if variable.backend:
            parameters += f", backend: {variable.backend}"
    elif isinstance(variable, Density):
        driver = "quorum_ipi_density.py"
        waves = {"waves": list(variable.waves)}
        asked = {**waves, "kappa_eV": stage.kappa_eV, "center": stage.center}
        asked["template"] = str(template)
        write_atomically(folder / "bias.json", json.dumps(asked) + "\n")
        parameters = f"file: {folder / 'bias.json'}"
    else:
        raise TypeError(variable)
    here = Path(__file__).parent
    cell = ", ".join(f"{x:.17g}" for x in state["cell"].T.ravel())
    mode = {"fixed": "nvt", "iso": "npt", "aniso": "nst", "z": "nst"}[stage.box]
    kind = "langevin" if setting.thermostat == "langevin" else "svr"
    heat = setting.timestep_fs * setting.thermostat_steps
    press = setting.timestep_fs * setting.barostat_steps
    thermostat = (
        f"<thermostat mode='{kind}'><tau units='femtosecond'>{heat:.17g}</tau></thermostat>"
    )
    barostat = ""
    if mode != "nvt":
        shape = "isotropic" if mode == "npt" else "anisotropic"
        fixed = "offdiagonal, xx, yy" if stage.box == "z" else "offdiagonal"
        edges = f"<h0>[ {cell} ]</h0><hfix>[ {fixed} ]</hfix>" if mode == "nst" else ""
        barostat = (
            f"<barostat mode='{shape}'><tau units='femtosecond'>{press:.17g}</tau>{edges}"
            f"<thermostat mode='langevin'><tau units='femtosecond'>{press:.17g}</tau>"
            "</thermostat></barostat>"
        )
    p = setting.pressure_GPa * 1e3
    stress = "" if mode != "nst" else (
        f"<stress units='megapascal'>[ {p:.17g},0,0, 0,{p:.17g},0, 0,0,{p:.17g} ]</stress>"
    )  # fmt: skip
    pressure = f"<pressure units='megapascal'>{p:.17g}</pressure>" if mode == "npt" else ""
    held = ", ".join(map(str, range(stage.n_held)))
    still = (
        f"<fixatoms>[ {held} ]</fixatoms><fixcom>False</fixcom>"
        if stage.n_held
        else "<fixcom>True</fixcom>"
    )
    bias = "<bias><force forcefield='pin'></force></bias>" if stage.kappa_eV else ""
    pin = (
        f"<ffdirect name='pin' threaded='false'><pes>custom</pes>"
        f"<pes_path>{here / driver}</pes_path>"
        f"<parameters>{{{parameters}}}</parameters></ffdirect>"
        if stage.kappa_eV
        else ""
    )
    return f"""<simulation verbosity='quiet' safe_stride='1000000'>
 <output prefix='{folder / "i-pi"}'></output>
 <total_steps>1000000000</total_steps>
 <prng><seed>{seed}</seed></prng>
 <ffdirect name='model' threaded='false'><pes>custom</pes>
  <pes_path>{here / "quorum_ipi_pes.py"}</pes_path>
  <parameters>{{model: {model}, template: {template}}}</parameters></ffdirect>
 {pin}
 <system>
  {_beads(state, atoms)}
  <forces><force forcefield='model'></force></forces>
  <motion mode='dynamics'>{still}
   <dynamics mode='{mode}'><timestep units='femtosecond'>{setting.timestep_fs:.17g}</timestep>
{thermostat} {barostat}</dynamics></motion>
  <ensemble><temperature units='kelvin'>{stage.temperature_K:.17g}</temperature>{pressure}{stress}
   {bias}</ensemble>
 </system>
</simulation>
"""


def _beads(state: dict[str, Array], atoms: Any) -> str:
    """Positions, momenta, masses, names and cell as i-PI has them in its checkpoints."""
    n = len(atoms)

    def numbers(values: Array) -> str:
        return "[ " + ", ".join(f"{x:.17g}" for x in np.ravel(values)) + " ]"

    masses = numbers(atoms.get_masses() * DALTON_ELECTRON_MASSES)
    names = "[ " + ", ".join(atoms.get_chemical_symbols()) + " ]"
    return (
        f"<beads natoms='{n}' nbeads='1'>"
        f"<q shape='(1, {3 * n})'>{numbers(state['positions'])}</q>"
        f"<p shape='(1, {3 * n})'>{numbers(state['momenta'])}</p>"
        f"<m shape='({n})'>{masses}</m><names shape='({n})'>{names}</names></beads>"
        f"<cell shape='(3, 3)'>{numbers(state['cell'].T)}</cell>"
    )
