"""A PES driver for i-PI with laws that are known exactly; atomic units. i-PI loads it by path.

``kind`` of the parameters:

- ``traps``: V = Σ_i ½ k_i |r_i|² with k_i = k1 for the first *n1* atoms and k2 for the others.
- ``site``: V = *height* while the first atom is at x < 0, else 0.
- ``volume``: ½ k |r_i − s_i|² around two sites at ¼ and ¾ of a cubic cell's x axis, a wall
  ½ wall (V − V0)², and slope · (V − V1) while the first atom is at the first site.

Every evaluation appends a letter to *log* if there is one.
"""

import json

import numpy as np
from ipi.pes.dummy import Dummy_driver

__DRIVER_NAME__ = "quorum_swap_toys"
__DRIVER_CLASS__ = "SwapToys"


class SwapToys(Dummy_driver):
    def __init__(self, kind, log="", **values):
        self.kind, self.log, self.values = kind, log, values
        super().__init__()

    def compute_structure(self, cell, pos):
        if self.log:
            with open(self.log, "a") as file:
                file.write("e")
        energy, forces, virial = getattr(self, self.kind)(np.asarray(cell), np.asarray(pos))
        return energy, forces, virial, json.dumps({"toy": energy})

    def compute(self, cell, pos):
        if isinstance(cell, list):
            return [self.compute_structure(c, p) for c, p in zip(cell, pos, strict=True)]
        return self.compute_structure(cell, pos)

    def traps(self, cell, pos):
        k = np.full((len(pos), 1), self.values["k2"])
        k[: self.values["n1"]] = self.values["k1"]
        return float((0.5 * k * pos**2).sum()), -k * pos, np.zeros((3, 3))

    def site(self, cell, pos):
        energy = self.values["height"] if pos[0, 0] < 0 else 0.0
        return energy, np.zeros_like(pos), np.zeros((3, 3))

    def volume(self, cell, pos):
        value = self.values
        length, volume = cell[0, 0], np.linalg.det(cell)
        first = pos[:, 0] < length / 2
        d = pos - length * np.outer(np.where(first, 0.25, 0.75), [1, 0, 0])
        energy = 0.5 * value["k"] * (d**2).sum() + 0.5 * value["wall"] * (volume - value["V0"]) ** 2
        slope = value["wall"] * (volume - value["V0"])
        if first[0]:
            energy += value["slope"] * (volume - value["V1"])
            slope += value["slope"]
        virial = -(value["k"] * d.T @ d + slope * volume * np.eye(3))
        return float(energy), -value["k"] * d, virial
