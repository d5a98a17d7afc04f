"""What a committee tells i-PI beside energy, forces and virial: the JSON string of extras.

i-PI parses the string and prints any field with
``<trajectory extra_type='committee_pot'>extras</trajectory>``; ``ffcommittee`` with ``parse_json``
reads the same fields. Everything is in atomic units. Members of a calibrated model are calibrated
already, so ``ffcommittee`` takes ``<alpha>1.0</alpha>``.

The names are those of i-PI 3 (Litman et al., doi:10.1063/5.0215869).
"""

import json

import numpy as np

from ..models import Prediction
from ..units import BOHR_A, HARTREE_EV


def committee_extras(prediction: Prediction) -> str:
    """The extras of one structure as a JSON object, with all the digits of a float64.

    Fields: ``committee_pot`` (K numbers, Hartree), ``committee_uncertainty`` (Hartree, the standard
    deviation of the members with K - 1 in the denominator; absent for K = 1, where no error is
    known), ``committee_force`` (K lists of 3N, Hartree/Bohr) and ``committee_virial`` (K lists of
    9, Hartree) where the prediction holds them, ``baseline_pot`` (Hartree) and ``wb_mixing`` with a
    weighted baseline (doi:10.1063/5.0036522).

    The mean of ``committee_pot`` is the potential that i-PI sees, except with a weighted baseline.
    """
    members_eV = np.asarray(prediction.member_energies_eV, dtype=float)
    extras: dict[str, object] = {"committee_pot": (members_eV / HARTREE_EV).tolist()}
    if len(members_eV) > 1:
        extras["committee_uncertainty"] = float(prediction.spread_eV) / HARTREE_EV
    if prediction.member_forces_eV_A is not None:
        forces = np.asarray(prediction.member_forces_eV_A, dtype=float)
        # ffcommittee adds the lists of its children: one list per member, or it hangs
        extras["committee_force"] = (
            (forces * (BOHR_A / HARTREE_EV)).reshape(len(forces), -1).tolist()
        )
    if prediction.member_virials_eV is not None:
        virials = np.asarray(prediction.member_virials_eV, dtype=float)
        extras["committee_virial"] = (virials / HARTREE_EV).reshape(len(virials), 9).tolist()
    if prediction.baseline_energy_eV is not None:
        extras["baseline_pot"] = float(prediction.baseline_energy_eV) / HARTREE_EV
    if prediction.mixing is not None:
        extras["wb_mixing"] = float(prediction.mixing)
    return json.dumps(extras)
