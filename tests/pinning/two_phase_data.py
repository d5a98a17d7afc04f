"""Jobs of interface pinning with everything known: Gaussian data of two phases, written or in hand.

Δμ(T) follows from T_m and Δh = h0 + c (T − T_m); Q is Gaussian of variance kT/κ around
a − N Δμ/(κ ΔQ); energy and volume follow the solid fraction. Members differ from the mean by so
much per atom in each phase, with Gaussian noise of its own size in each.
"""

import json
from dataclasses import dataclass, replace

import numpy as np

from exact_series import ar1
from quorum_md.pinning.jobs_on_disk import COLUMNS, Job
from quorum_md.units import BOLTZMANN_EV_K, EV_A3_GPA


@dataclass(frozen=True)
class Model:
    """Two phases; per atom but for the order parameter of the box."""

    T_m: float = 1000.0
    h: float = 0.10
    c: float = 2e-5
    u_solid: float = -3.0
    v_solid: float = 17.0
    v_liquid: float = 18.0
    q_solid: float = 0.97
    q_liquid: float = 0.02
    n_atoms: int = 1000
    pressure: float = 1.0
    modulus: float = 50.0  # GPa
    members: tuple = ()  # δμ to first order: offset of the solid less that of the liquid
    noise: tuple = (0.0, 0.0)  # of a member's energy in solid and liquid, eV per box
    tau: float = 8.0
    q_noise: float = 0.1  # of the bulk phases, over √N
    width: float = 0.01  # √(kT/κ) over ΔQ

    def delta_mu(self, T):
        """Exact, by Gibbs and Helmholtz."""
        A, B = self.h - self.c * self.T_m, self.c
        return A * (T / self.T_m - 1) + B * T * np.log(T / self.T_m)

    def enthalpy(self, T):
        return self.h + self.c * (T - self.T_m)

    @property
    def delta_q(self):
        return (self.q_solid - self.q_liquid) * self.n_atoms

    def kappa(self, T):
        return BOLTZMANN_EV_K * T / (self.width * self.delta_q) ** 2

    def u(self, T, solid):
        pv = self.pressure / EV_A3_GPA * (self.v_liquid - self.v_solid)
        return self.u_solid + 1.5e-4 * T + (0.0 if solid else self.enthalpy(T) - pv)

    def offsets(self):
        """(K,) of members in the solid and the liquid, about their mean; large and common."""
        shift = np.array(self.members)
        common = 0.05 * np.cos(np.arange(len(shift)))
        solid, liquid = common + 0.6 * shift, common - 0.4 * shift
        return solid - solid.mean(), liquid - liquid.mean()


def _columns(model, rng, T, fraction, q, bias, extra=0.0):
    """Energy and volume of a box whose solid fraction is `fraction` (n,)."""
    n, N = len(q), model.n_atoms
    kT = BOLTZMANN_EV_K * T
    u = fraction * model.u(T, True) + (1 - fraction) * model.u(T, False) + extra
    fast = ar1(rng, 2.0, (n, 2))
    volume = N * (fraction * model.v_solid + (1 - fraction) * model.v_liquid)
    volume = volume + fast[:, 0] * np.sqrt(kT * volume / (model.modulus / EV_A3_GPA))
    energy = N * u + 1.2 * kT * N**0.5 * fast[:, 1]
    side = (4.0 * model.v_solid) ** (1 / 3) * 4
    pressures = model.pressure + 0.05 * rng.normal(size=(n, 3))
    columns = dict(
        time_fs=np.arange(n) * 20.0,
        temperature_K=T + T * (2 / (3 * N)) ** 0.5 * rng.normal(size=n),
        potential_eV=energy,
        volume_A3=volume,
        lx_A=np.full(n, side),
        ly_A=np.full(n, side),
        lz_A=volume / side**2,
        pxx_GPa=pressures[:, 0],
        pyy_GPa=pressures[:, 1],
        pzz_GPa=pressures[:, 2],
        q=q,
        bias_eV=bias,
    )
    members = np.empty((n, 0))
    if model.members:
        solid, liquid = model.offsets()
        noise = rng.normal(size=(n, len(model.members)))
        noise -= noise.mean(axis=1, keepdims=True)
        noise *= np.sqrt(fraction * model.noise[0] ** 2 + (1 - fraction) * model.noise[1] ** 2)[
            :, None
        ]
        mean = N * (fraction[:, None] * solid + (1 - fraction)[:, None] * liquid)
        members = energy[:, None] + mean + noise
    return columns, members


def _job(model, kind, T, columns, members, name, **more):
    job = Job(
        folder=name,
        kind=kind,
        temperature_K=T,
        pressure_GPa=model.pressure,
        counts={"Ar": model.n_atoms},
        n_atoms=model.n_atoms,
        order_parameter="plumed.dat: cv.morethan",
        interval_fs=20.0,
        columns=columns,
        members_eV=members,
        n_members=len(model.members),
        elements=("Ar",),
    )
    return replace(job, **more)


def bulk_job(model, kind, T, seed, n=2000):
    rng = np.random.default_rng([seed, kind == "solid", int(T)])
    solid = kind == "solid"
    mean = (model.q_solid if solid else model.q_liquid) * model.n_atoms
    q = mean + model.q_noise * model.n_atoms**0.5 * ar1(rng, 3.0, (n, 1))[:, 0]
    fraction = np.full(n, float(solid))
    columns, members = _columns(model, rng, T, fraction, q, np.zeros(n))
    return _job(model, kind, T, columns, members, f"{kind}-{T:06.1f}K")


def pinned_job(model, T, seed, n=4000, number=0, delta_mu=None, kappa=None, control=None):
    rng = np.random.default_rng([seed, 7 + number, int(T)])
    kappa = model.kappa(T) if kappa is None else kappa
    center = 0.5 * (model.q_solid + model.q_liquid) * model.n_atoms
    mu = model.delta_mu(T) if delta_mu is None else delta_mu
    mean = center - model.n_atoms * mu / (kappa * model.delta_q)
    q = mean + np.sqrt(BOLTZMANN_EV_K * T / kappa) * ar1(rng, model.tau, (n, 1))[:, 0]
    fraction = (q / model.n_atoms - model.q_liquid) / (model.q_solid - model.q_liquid)
    columns, members = _columns(
        model, rng, T, fraction, q, kappa / 2 * (q - center) ** 2, 0.02 * model.h
    )
    name = f"pinned-{T:06.1f}K-{number}" + (f"-{control}" if control else "")
    return _job(
        model, "pinned", T, columns, members, name,
        kappa_eV=kappa, center=center, seed=seed, control=control,
    )  # fmt: skip


def changed(job, **columns):
    """The job with other columns: functions of the old ones."""
    return replace(job, columns=job.columns | {k: f(job.columns[k]) for k, f in columns.items()})


def write(job, folder):
    """As the runs write it."""
    path = folder / job.name
    path.mkdir(parents=True)
    skip = ("folder", "columns", "members_eV")
    asked = {k: v for k, v in vars(job).items() if k not in skip}
    path.joinpath("job.json").write_text(json.dumps(asked))
    names = [*COLUMNS, *(f"member_{k}_eV" for k in range(job.n_members))]
    table = np.column_stack([*(job.columns[k] for k in COLUMNS), job.members_eV])
    np.savetxt(path / "series.dat", table, fmt="%.12g", header=" ".join(names))
    return path
