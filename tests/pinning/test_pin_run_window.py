"""κ of pinned runs where it is chosen: by the width, by the time step, and of controls."""

import numpy as np
import pytest

from pin_tools import read
from quorum_md.errors import QuorumError
from quorum_md.pinning.crystal import build_box
from quorum_md.pinning.window import _kappa, check_variable
from quorum_md.units import thermal_energy_eV


def kappas(tmp_path, inertia, *factors):
    file = read(tmp_path)
    return [_kappa(file, file.settings.pin, 100.0, 10.0, inertia, one) for one in factors]


@pytest.mark.parametrize("inertia", [1e-6, 1.0])
def test_a_control_is_a_multiple(inertia, tmp_path):
    """Also where the time step is what limits κ."""
    (kappa, why), (control, of_it) = kappas(tmp_path, inertia, 1.0, 2.0)
    assert control == pytest.approx(2 * kappa, rel=1e-12)
    by_width = thermal_energy_eV(100.0) / 0.1**2
    assert kappa == pytest.approx(min(by_width, 0.09 / inertia))
    assert ("time step" in why) == (inertia == 1.0) == ("times 2" in of_it)


def test_a_control_too_stiff(tmp_path):
    with pytest.raises(QuorumError, match=r"control_kappas: got 20, .* expected at most 11"):
        kappas(tmp_path, 1.0, 20.0)


class Counter:
    """Of atoms within some distance of their places; flat within half of it and beyond."""

    text = "counter"

    def __init__(self, atoms, distance_A):
        self.places, self.distance_A = atoms.positions.copy(), distance_A

    def evaluate(self, atoms):
        away = atoms.positions - self.places
        r = np.linalg.norm(away, axis=1) / self.distance_A
        slope = np.where((r > 0.5) & (r < 1.0), -2.0, 0.0)
        value = np.clip(2 * (1 - r), 0, 1).sum()
        return float(value), slope[:, None] * away / r[:, None] / self.distance_A**2


def test_a_counter_that_is_flat_in_both_phases(tmp_path):
    """Counts all atoms, although few of them matter in a crystal or in a melt."""
    file = read(tmp_path, box={"repeats": [3, 3, 4]})
    box = build_box(file)
    crystal, pieces = check_variable(file, box, Counter(box.atoms, 1.2))
    assert crystal > 140 and pieces < 60
