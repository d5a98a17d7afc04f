"""Jobs of a crystal AB in regular melts A_xB_(1−x): liquidus, members and energies known."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq
from two_phase_data import Model, _columns, _job

from exact_series import ar1
from quorum_md.pinning.liquidus import ideal
from quorum_md.units import BOLTZMANN_EV_K


@dataclass(frozen=True)
class Melt:
    """Energies per atom: of A and B in the melt, Ω of mixing, h the enthalpy of fusion at x = ½."""

    T_m: float = 1500.0
    h: float = 0.30
    omega: float = -0.10
    e_a: float = -2.8
    e_b: float = -4.1
    x_s: float = 0.5
    # of the members about the mean: crystal, A, B and Ω
    members: tuple = ()

    def delta_mu(self, x, T):
        kT = BOLTZMANN_EV_K * T
        return (
            self.h * (T / self.T_m - 1) - kT * ideal(x, self.x_s) - self.omega * (x - self.x_s) ** 2
        )

    def member(self, k):
        """Δμ of a member: its crystal, Ω and enthalpy are its own, its elements cancel."""
        crystal, _, _, omega = self.members[k]
        own = replace(self, omega=self.omega + omega)
        shift = crystal - omega * self.x_s * (1 - self.x_s)
        return lambda x, T: own.delta_mu(x, T) + shift

    def root(self, x, delta_mu=None):
        delta_mu = delta_mu or self.delta_mu
        return brentq(lambda T: delta_mu(np.float64(x), T), 300, 3000)

    def liquid_energy(self, x, k=None):
        _, a, b, omega = (0, self.e_a, self.e_b, self.omega) if k is None else self.members[k]
        return x * a + (1 - x) * b + omega * x * (1 - x)

    def solid_energy(self, k=None):
        x = self.x_s
        if k is None:
            return self.liquid_energy(x) - self.h
        crystal, a, b, _ = self.members[k]
        return x * a + (1 - x) * b + crystal


BOX = Model(
    n_atoms=1000, width=0.01, tau=4.0, u_solid=0.0, h=0.0, c=0.0, v_liquid=18.0, pressure=0.0
)


def _complete(melt, kind, T, rng, q, fraction, x, counts, bias, **more):
    """Columns with energies of the melt; `x` (n,) is its composition."""
    columns, _ = _columns(BOX, rng, T, fraction, q, bias)
    N = BOX.n_atoms
    energy = columns["potential_eV"] - N * 1.5e-4 * T
    energy += N * (fraction * melt.solid_energy() + (1 - fraction) * melt.liquid_energy(x))
    members = np.empty((len(q), len(melt.members)))
    for k in range(len(melt.members)):
        own = fraction * melt.solid_energy(k) + (1 - fraction) * melt.liquid_energy(x, k)
        members[:, k] = energy + N * own
    columns["potential_eV"] = energy
    name = {"solid": "solid", "liquid": f"liquid-x{x[0]:.3f}"}.get(kind, kind)
    job = _job(BOX, kind, T, columns, members, f"{name}-{T:06.1f}K")
    return replace(
        job, counts=dict(zip(("A", "B"), counts, strict=True)), elements=("A", "B"),
        n_members=len(melt.members), **more,
    )  # fmt: skip


def bulk_melt(melt, x, T, seed, n=1500):
    """A melt of fraction x, or the crystal for x = None."""
    rng = np.random.default_rng([seed, int(T), int(1000 * (x or 0))])
    solid = x is None
    fraction = melt.x_s if solid else x
    first = round(fraction * BOX.n_atoms)
    q = (BOX.q_solid if solid else BOX.q_liquid) * BOX.n_atoms
    q = q + 3.0 * ar1(rng, 3.0, (n, 1))[:, 0]
    kind = "solid" if solid else "liquid"
    return _complete(
        melt, kind, T, rng, q, np.full(n, float(solid)), np.full(n, fraction),
        (first, BOX.n_atoms - first), np.zeros(n), liquid_fraction=None if solid else x,
    )  # fmt: skip


def pinned_melt(melt, x, T, seed, n=4000, number=0):
    """Half a crystal and half a melt of x; the melt changes as the crystal grows."""
    rng = np.random.default_rng([seed, number, int(T), int(1000 * x), 5])
    N, kT = BOX.n_atoms, BOLTZMANN_EV_K * T
    first = round(N * (0.5 * melt.x_s + 0.5 * x))
    kappa = BOX.kappa(T)
    center = 0.5 * (BOX.q_solid + BOX.q_liquid) * N

    def solid_fraction(q):
        return (q / N - BOX.q_liquid) / (BOX.q_solid - BOX.q_liquid)

    def left(f):
        return (first / N - f * melt.x_s) / (1 - f)

    def force(q):
        return N * melt.delta_mu(left(solid_fraction(q)), T) / BOX.delta_q + kappa * (q - center)

    mean = brentq(force, center - 0.1 * BOX.delta_q, center + 0.1 * BOX.delta_q)
    stiffness = (force(mean + 1) - force(mean - 1)) / 2
    q = mean + np.sqrt(kT / stiffness) * ar1(rng, BOX.tau, (n, 1))[:, 0]
    fraction = solid_fraction(q)
    job = _complete(
        melt, "pinned", T, rng, q, fraction, left(fraction), (first, N - first),
        kappa / 2 * (q - center) ** 2, liquid_fraction=x, kappa_eV=kappa, center=center,
    )  # fmt: skip
    return replace(job, folder=f"pinned-x{x:.3f}-{T:06.1f}K-{number}")
