"""One atom changes its element: semi-grand canonical, with or without a constraint of variance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from ...errors import QuorumError
from .base import Eligible, Move, Numbers, Trial


class Flip(Move):
    """A site by chance takes one of the other elements by chance; log ratio 0.

    The number of sites stays; states have the weight exp(−(U − Σ_s μ_s N_s + W)/kT), with
    W = κ N Σ_s (c_s − c0_s)², c_s = N_s/N, where κ is given: the variance-constrained ensemble of
    Sadigh et al., Phys. Rev. B 85, 184203 (2012), doi:10.1103/PhysRevB.85.184203, which reaches
    compositions inside a miscibility gap. Only differences of the μ_s matter.

    Parameters
    ----------
    chemical_potentials_eV: μ per symbol; absent ones are zero
    kappa_eV: κ, not negative; 0 is the semi-grand canonical ensemble
    concentrations: c0 per symbol, adding up to 1; needed where κ > 0
    """

    def __init__(
        self,
        chemical_potentials_eV: Mapping[str, float] | None = None,
        kappa_eV: float = 0.0,
        concentrations: Mapping[str, float] | None = None,
    ):
        self._mu = dict(chemical_potentials_eV or {})
        self._kappa = float(kappa_eV)
        self._target = dict(concentrations or {})
        for name, table in (
            ("chemical_potentials_eV", self._mu),
            ("concentrations", self._target),
        ):
            for symbol, value in table.items():
                if symbol not in atomic_numbers or not np.isfinite(value):
                    raise QuorumError(
                        f"flips: {name} has {symbol}: {value}; expected chemical symbols and "
                        "finite numbers"
                    )
        if not (np.isfinite(self._kappa) and self._kappa >= 0):
            raise QuorumError(
                f"flips: kappa_eV = {kappa_eV}; expected a number that is not negative"
            )
        if self._kappa > 0 and abs(sum(self._target.values()) - 1.0) > 1e-6:
            raise QuorumError(
                f"flips: concentrations add up to {sum(self._target.values()):g}; expected 1, with "
                "a number for every species that is wanted"
            )

    def start(self, numbers: Numbers, eligible: Eligible) -> None:
        """See `Move`."""
        self._species = eligible.species
        names = [chemical_symbols[z] for z in self._species]
        for name in (*self._mu, *self._target):
            if name not in names:
                raise QuorumError(
                    f"flips: {name} has a chemical potential or concentration, but does not take "
                    f"part ({', '.join(names)} do); add it to species"
                )
        if len(names) < 2:
            raise QuorumError(
                f"flips: only {', '.join(names) or 'no species'} takes part; expected at least two"
            )
        mine = np.isin(numbers[eligible.sites], self._species)
        self._sites = eligible.sites[mine].tolist()
        if not self._sites:
            raise QuorumError("flips: no eligible site holds a species that takes part")
        self._place = {z: k for k, z in enumerate(self._species)}
        self._at = {site: self._place[int(numbers[site])] for site in self._sites}
        self._potential = [float(self._mu.get(name, 0.0)) for name in names]
        self._goal = [float(self._target.get(name, 0.0)) for name in names]
        self._count = [0] * len(names)
        for k in self._at.values():
            self._count[k] += 1

    def propose(self, u: Sequence[float]) -> Trial:
        """See `Move`."""
        site = self._sites[int(u[0] * len(self._sites))]
        old = self._at[site]
        new = int(u[1] * (len(self._species) - 1))
        new += new >= old
        work = self._potential[old] - self._potential[new]
        if self._kappa:
            # N Σ (c − c0)² after minus before, with one atom more and one less
            n = len(self._sites)
            excess = self._count[new] / n - self._goal[new]
            lack = self._count[old] / n - self._goal[old]
            work += self._kappa * 2.0 * (excess - lack + 1.0 / n)
        species = self._species
        return Trial(((site, species[new]),), (species[old], species[new]), work_eV=work)

    def accepted(self, trial: Trial) -> None:
        """See `Move`."""
        ((site, element),) = trial.change
        new = self._place[element]
        self._count[self._at[site]] -= 1
        self._count[new] += 1
        self._at[site] = new
