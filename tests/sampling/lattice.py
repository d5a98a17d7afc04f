"""Lattice models in numpy whose states can be enumerated, as potentials."""

from itertools import product

import numpy as np
from ase import Atoms

from quorum_md.models.baseline import WeightedBaseline
from quorum_md.models.frozen import Frozen, rows_of
from quorum_md.models.potential import Evaluation, Potential


class _Energies(Evaluation):
    def __init__(self, tables):
        self.atom_energies_eV = tables
        self.energies_eV = np.stack([t.sum(axis=0) for t in tables])

    def gradient(self, cotangents):
        raise AssertionError("trials ask for no forces")


class RingPotential(Potential):
    """Neighbours on a ring interact by pair, half of the energy on either site; each element has
    an energy too. Columns are scaled differently for every pair, so that they do not run parallel.

    couplings: {(Z, Z'): eV}, fields: {Z: eV}, n_columns
    """

    species = ()
    interaction_range_A = 1.0
    name = "ring"

    def __init__(self, couplings, fields=None, n_columns=3, sigma_eV=None, bend=0.0):
        self.n_members = n_columns - (sigma_eV is not None)
        self.weighting = None if sigma_eV is None else WeightedBaseline(sigma_eV)
        self.bend = bend
        table = np.zeros((119, 119))
        for (a, b), value in couplings.items():
            table[a, b] = table[b, a] = value
        rng = np.random.default_rng(7)
        self.tables = table * (1 + 0.3 * rng.normal(size=(n_columns, 119, 119)))
        self.tables = 0.5 * (self.tables + self.tables.transpose(0, 2, 1))
        self.fields = np.zeros((n_columns, 119))
        for z, value in (fields or {}).items():
            self.fields[:, z] = value

        self._rows = {}

    def row(self, left, z, right):
        """(M,) energies of a site; bend: a term of three sites, which no pair term can mimic."""
        found = self._rows.get((left, z, right))
        if found is None:
            pairs = self.tables[:, z, left] + self.tables[:, z, right]
            found = 0.5 * pairs + self.fields[:, z] + self.bend * (left == right != z)
            self._rows[left, z, right] = found
        return found

    def rows(self, numbers):
        """(N, M) energies per site."""
        z = np.asarray(numbers).tolist()
        return np.array([self.row(z[k - 1], z[k], z[k + 1 - len(z)]) for k in range(len(z))])

    def forward(self, structures, gradients, centers):
        tables = [self.rows(a.numbers) for a in structures]
        if centers is not None:
            tables = [t[c] for t, c in zip(tables, centers, strict=True)]
        return _Energies(tables)

    def frozen(self, atoms):
        return RingFrozen(self, len(atoms))


class RingFrozen(Frozen):
    """Local energies of a ring."""

    def __init__(self, potential, n):
        self.potential, self.n_atoms = potential, n
        i = np.arange(n)
        owners = np.concatenate([i, i, i])
        self.near = rows_of(owners, np.concatenate([i, (i - 1) % n, (i + 1) % n]), n)
        self.calls = 0

    def totals(self, numbers):
        return np.stack([self.potential.rows(row).sum(axis=0) for row in np.atleast_2d(numbers)])

    def atom_energies(self, numbers):
        return self.potential.rows(numbers)

    def answers(self, numbers, questions):
        self.calls += 1
        result, n, row = [], self.n_atoms, self.potential.row
        base = numbers.tolist()
        for question in questions:
            z = base.copy()
            for site, element in zip(question.sites, question.numbers, strict=True):
                z[site] = element
            rows = [row(z[c - 1], z[c], z[c + 1 - n]) for c in question.centers.tolist()]
            result.append(np.array(rows))
        return result


def ring(numbers):
    """Atoms for a ring; positions play no part."""
    n = len(numbers)
    angle = 2 * np.pi * np.arange(n) / n
    positions = n * np.stack([np.cos(angle), np.sin(angle), np.zeros(n)], axis=1)
    return Atoms(numbers, positions=positions)


def states(numbers):
    """All distinct arrangements of these elements."""
    numbers = sorted(numbers)
    return [s for s in product(sorted(set(numbers)), repeat=len(numbers)) if sorted(s) == numbers]


def boltzmann(potential, arrangements, kT_eV, extra=lambda s: 0.0):
    """Probabilities of arrangements under the energy that drives."""
    columns = np.stack([potential.rows(np.array(s)).sum(axis=0) for s in arrangements])
    energy = potential.driving_eV(columns) + np.array([extra(s) for s in arrangements])
    weight = np.exp(-(energy - energy.min()) / kT_eV)
    return weight / weight.sum()


def chi_square_z(found, arrangements, probabilities):
    """(χ² − dof)/√(2 dof) of independent samples, and the number of cells (rare states share)."""
    n = len(found)
    place = {s: k for k, s in enumerate(arrangements)}
    counts = np.bincount([place[tuple(s)] for s in found], minlength=len(arrangements))
    order = np.argsort(probabilities)
    cells, observed, expected = [], 0.0, 0.0
    for k in order:
        observed += counts[k]
        expected += n * probabilities[k]
        if expected >= 8.0:
            cells.append((observed, expected))
            observed = expected = 0.0
    if expected:
        cells[-1] = (cells[-1][0] + observed, cells[-1][1] + expected)
    o, e = np.array(cells).T
    dof = len(cells) - 1
    return float(((o - e) ** 2 / e).sum() - dof) / np.sqrt(2 * dof), len(cells)
