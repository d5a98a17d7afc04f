"""Which potential drove a LAMMPS run: what its log proves, says, or leaves to the user.

PotEng is the sum over all styles. What the members' style adds to it is the mean of the members or,
with a weighted baseline, another energy; what other styles add is the same for all members.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import QuorumError
from ..units import thermal_energy_eV
from .checks import reference_energies
from .lammps_columns import DRIVING
from .lammps_script import Script
from .lammps_select import Selection
from .tables import Array, Table, energy_unit_eV

ALLOWED_KT = 0.1  # a reference that is wrong by less changes no average visibly
_LEAST_CORRELATION = 0.5  # of a rerun's members with the potential that drove


@dataclass
class Reference:
    """Finds out what drove a run, and says so."""

    selection: Selection
    script: Script
    vector: str
    foreign: bool  # members from another log
    kelvin: float
    factor: float
    notes: list[str]

    def decide(
        self, wanted: str | int | None, energies_eV: Array, potential_eV: Array | None, table: Table
    ) -> tuple[str | int | Array, str, Array, bool]:
        """Reference, its name, member energies with what is common to all, and whether checked."""
        path = self.selection.path
        if isinstance(wanted, str) and wanted != "mean":
            column = table.column(wanted)
            unit = energy_unit_eV(column.unit)
            if unit is None:
                raise QuorumError(
                    f"{path}: column {column.name} is not an energy, expected that of the "
                    "potential that drove the run, such as PotEng"
                )
            driving = unit * column.values
            if column.name != self.vector or potential_eV is None:
                return driving, column.name, energies_eV, False
            common = potential_eV - driving  # of other styles: part of every member's total
            return potential_eV, column.name, energies_eV + common[:, None], False
        if wanted is not None:
            return self._given(wanted, energies_eV, potential_eV)
        if self.foreign:
            return self._foreign(energies_eV, potential_eV)
        mean = energies_eV.mean(axis=1)
        own = self._own_energy()
        if potential_eV is not None and self._nothing(potential_eV - mean, potential_eV):
            return "mean", "mean", energies_eV, True
        if own is not None:  # the energy of the style alone
            common = np.zeros(1) if potential_eV is None else potential_eV - own
            if not self._nothing(common, own):
                self._say_common(common)
            if self._nothing(own - mean, own):
                return "mean", "mean", energies_eV + common[:, None], True
            self._say_baseline(f"{self.vector}, the energy of the style")
            total = energies_eV + common[:, None]
            return own + common, self.vector, total, True
        if potential_eV is None:
            raise QuorumError(
                f"{path}: has neither PotEng nor {self.vector}, so it is not known whether the "
                "mean of the members drove the run or a weighted baseline; add pe to thermo_style, "
                "or give --reference mean if the model has no baseline"
            )
        why = self._others()
        if why:
            raise QuorumError(
                f"{path}: PotEng is not the mean of the members ({why}), so it is not known "
                f"whether that mean drove the run or a weighted baseline; add {self.vector} to "
                "thermo_style, or give --reference mean if the model has no baseline"
            )
        self._say_baseline(DRIVING)
        return potential_eV, DRIVING, energies_eV, True

    def _given(
        self, wanted: str | int, energies_eV: Array, potential_eV: Array | None
    ) -> tuple[str | int | Array, str, Array, bool]:
        """The mean or a member, where PotEng does not speak against it."""
        driving = reference_energies(energies_eV, wanted)
        if potential_eV is None:
            return wanted, str(wanted), energies_eV, False
        common = potential_eV - driving
        if self._nothing(common, potential_eV):
            return wanted, str(wanted), energies_eV, True
        what = "mean of the members" if wanted == "mean" else f"energy of member {wanted}"
        if self.foreign or not self._others():
            raise QuorumError(
                f"{self.selection.path}: the {what} differs from PotEng by "
                f"{np.sqrt(np.mean(common**2)):.3g} eV (rms over {len(common)} frames), and "
                "nothing else adds to PotEng; leave out --reference, or name the column of what "
                "drove the run"
            )
        self._say_common(common)
        return wanted, str(wanted), energies_eV + common[:, None], False

    def _own_energy(self) -> Array | None:
        """Energy of the style or fix that has the members, if the log has it as a scalar."""
        values = self.selection.values.get(self.vector)
        return None if values is None else self.factor * values

    def _others(self) -> str:
        """What may contribute to PotEng besides the members' style, "" if nothing does."""
        return ", ".join(self.script.other_energies(self.vector))

    def _nothing(self, difference_eV: Array, energy_eV: Array) -> bool:
        """Whether a difference of energies is only that of printed digits."""
        name = DRIVING if DRIVING in self.selection.last_digits else self.vector + "[1]"
        digits = 2 * self.factor * self.selection.last_digits.get(name, 0.0)
        kT = thermal_energy_eV(self.kelvin)
        allowed = ALLOWED_KT * kT + digits + 1e-9 * float(np.abs(energy_eV).max())
        return float(np.sqrt(np.mean(difference_eV**2))) <= allowed

    def _say_common(self, common_eV: Array) -> None:
        self.notes.append(
            f"PotEng holds {common_eV.mean():.6g} eV besides the energy of the members' style "
            f"({self._others() or 'another contribution'}); it is the same for all members and "
            "cancels in the weights"
        )

    def _say_baseline(self, name: str) -> None:
        self.notes.append(
            f"the mean of the members is not what drove the run: a weighted baseline did; the "
            f"reference is {name}"
        )

    def _foreign(
        self, energies_eV: Array, potential_eV: Array | None
    ) -> tuple[str | int | Array, str, Array, bool]:
        path = self.selection.path
        if potential_eV is None:
            raise QuorumError(
                f"{path}: has no PotEng, the energy of the potential that drove the run; add pe to "
                "thermo_style, or name a column with --reference"
            )
        mean = energies_eV.mean(axis=1)
        if self._nothing(potential_eV - mean, potential_eV):
            return "mean", "mean", energies_eV, True
        if np.ptp(mean) == 0 or np.ptp(potential_eV) == 0:
            correlation = 0.0
        else:
            correlation = float(np.corrcoef(mean, potential_eV)[0, 1])
        if len(mean) > 10 and correlation < _LEAST_CORRELATION:
            raise QuorumError(
                f"{path}: PotEng and the mean of the members in the rerun have a correlation "
                f"of {correlation:.2f}, expected more than {_LEAST_CORRELATION} for the same "
                "frames; rerun the dump of this run (steps must be those of the run)"
            )
        self.notes.append(
            f"the reference is {DRIVING} of {path}, another potential than the committee's mean "
            f"(correlation {correlation:.3f})"
        )
        return potential_eV, DRIVING, energies_eV, True
