"""The chain of swaps in plain Python, with the energy of the whole system at every trial."""

from dataclasses import dataclass, field

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list

BOLTZMANN = 8.617343e-5  # eV/K, LAMMPS's own


@dataclass
class Chain:
    """Trials with the energy of the whole system, one after the other.

    species: those that take part, counted from 0; sites: atoms that may, by default all
    """

    potential: object
    atoms: Atoms
    species: list[str]
    temperature_K: float
    seed: int
    sites: list[int] | None = None
    weights: dict[tuple[int, int], float] | None = None
    neighbours: list[list[int]] | None = None
    mu_eV: list[float] | None = None
    kappa_eV: float = 0.0
    target: list[float] | None = None
    trials: int = 0
    counts: dict[tuple[int, int], list[int]] = field(default_factory=dict)

    def become(self, place):
        symbols = list(self.atoms.symbols)
        for i, s in zip(self.sites, place, strict=True):
            symbols[i] = self.species[s]
        self.atoms.symbols = symbols

    def energy(self, place):
        self.become(place)
        return self.potential.evaluate(self.atoms, forces=False)[0].energy_eV

    def run(self, n):
        """One block."""
        sites = range(len(self.atoms)) if self.sites is None else self.sites
        self.sites = [i for i in sites if self.atoms.symbols[i] in self.species]
        place = [self.species.index(self.atoms.symbols[i]) for i in self.sites]
        energy, kinds = self.energy(place), range(len(self.species))
        slots = [[i for i, s in enumerate(place) if s == kind] for kind in kinds]
        pairs = [(a, b) for a in kinds for b in kinds if a < b]
        weights = [len(slots[a]) * len(slots[b]) for a, b in pairs]
        if self.weights is not None:
            weights = [
                self.weights.get(p, 0) * (w > 0) for p, w in zip(pairs, weights, strict=True)
            ]
        for _ in range(n):
            source = np.random.Philox(key=self.seed).advance(self.trials)
            u = [int(word >> np.uint64(11)) * 2.0**-53 for word in source.random_raw(4)]
            self.trials += 1
            new, work = list(place), 0.0
            if self.mu_eV is not None:
                i = int(u[0] * len(place))
                a = place[i]
                b = int(u[1] * (len(kinds) - 1))
                b += b >= a
                new[i] = b
                work -= self.mu_eV[b] - self.mu_eV[a]
                if self.kappa_eV:
                    work += self.kappa_eV * (self.spread(new) - self.spread(place))
            elif self.neighbours is not None:
                i = int(u[0] * len(place))
                near = self.neighbours[i]
                if not near:
                    continue
                j = near[int(u[1] * len(near))]
                a, b = place[i], place[j]
                if a == b:
                    continue
                new[i], new[j] = b, a
            else:
                cumulated = np.cumsum(weights)
                a, b = pairs[int(np.searchsorted(cumulated, u[0] * cumulated[-1], side="right"))]
                p, q = int(u[1] * len(slots[a])), int(u[2] * len(slots[b]))
                new[slots[a][p]], new[slots[b][q]] = b, a
            after = self.energy(new)
            change = after - energy + work
            accept = change <= 0 or u[3] < np.exp(-change / (BOLTZMANN * self.temperature_K))
            count = self.counts.setdefault((min(a, b), max(a, b)), [0, 0])
            count[0] += 1
            count[1] += accept
            if accept:
                place, energy = new, after
                if self.mu_eV is None and self.neighbours is None:
                    slots[a][p], slots[b][q] = slots[b][q], slots[a][p]
        self.become(place)
        return energy

    def spread(self, place):
        n = len(place)
        parts = [place.count(s) / n for s in range(len(self.species))]
        return n * sum((c - g) ** 2 for c, g in zip(parts, self.target, strict=True))


def crystal(cells, species, seed=3, rattle=0.1, lattice_A=3.24):
    """A random alloy on a bcc lattice, atoms off their places."""
    atoms = bulk("W", "bcc", lattice_A, cubic=True) * cells
    rng = np.random.default_rng(seed)
    atoms.symbols = rng.permutation(np.resize(species, len(atoms)))
    atoms.positions += rng.uniform(-rattle, rattle, atoms.positions.shape)
    return atoms


def near_lists(atoms, distance_A):
    """Atoms up to just this far away, each once."""
    first, second = neighbor_list("ij", atoms, distance_A * (1 + 1e-9))
    return [sorted(set(second[first == i].tolist()) - {i}) for i in range(len(atoms))]
