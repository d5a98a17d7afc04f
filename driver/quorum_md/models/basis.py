"""Functions of neighbour vectors that the built-in potential is made of: radial basis, spherical
harmonics, short-range repulsion. TorchScript compiles them. Units: eV, Å.
"""

from collections.abc import Sequence

import torch
from ase.data import covalent_radii

from ..units import COULOMB_EV_A

# highest angular momentum; the harmonics below are written out to this order
L_MAX = 3

# length of the universal screening function of Ziegler, Biersack and Littmark, "The Stopping and
# Range of Ions in Solids" (1985)
ZBL_LENGTH_A = 0.46850
# where the repulsion starts to be switched off and where it ends, in units of the sum of the
# covalent radii: just below the shortest distances of melts far above melting
REPULSION_INNER = 0.4
REPULSION_OUTER = 0.65


def radial_basis(d: torch.Tensor, cutoff_A: float, n_radial: int) -> torch.Tensor:
    """R_n(d) for distances d (N, M) in Å: (N, n_radial, M), three times differentiable at r_c."""
    n = torch.arange(1, n_radial + 1, dtype=d.dtype, device=d.device).reshape(1, -1, 1)
    x = d / cutoff_A
    f = torch.clamp(1.0 - x * x, min=0.0)
    envelope = (2.0 / cutoff_A) ** 0.5 * f * f * f / d
    return torch.sin(n * (3.141592653589793 * x).unsqueeze(1)) * envelope.unsqueeze(1)


def spherical_harmonics(u: torch.Tensor) -> torch.Tensor:
    """Real harmonics of unit vectors u (N, M, 3), l = 0…3, with Σ_m Y_lm² = 2l + 1: (N, 16, M)."""
    parts = torch.unbind(u, dim=2)
    x, y, z = parts[0], parts[1], parts[2]
    xx, yy, zz = x * x, y * y, z * z
    five = 5.0 * zz - 1.0
    difference = xx - yy
    # √3, √15, …: normalisation of the harmonics
    return torch.stack(
        [
            torch.ones_like(x),
            1.7320508075688772 * y,
            1.7320508075688772 * z,
            1.7320508075688772 * x,
            3.872983346207417 * x * y,
            3.872983346207417 * y * z,
            1.118033988749895 * (3.0 * zz - 1.0),
            3.872983346207417 * x * z,
            1.9364916731037085 * difference,
            2.091650066335189 * y * (3.0 * xx - yy),
            10.246950765959598 * x * y * z,
            1.6201851746019651 * y * five,
            1.3228756555322954 * z * (five - 2.0),
            1.6201851746019651 * x * five,
            5.123475382979799 * z * difference,
            2.091650066335189 * x * (xx - 3.0 * yy),
        ],
        dim=1,
    )


def repulsion_tables(
    atomic_types: Sequence[int], cutoff_A: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Per pair of elements (S, S): Z Z′ e² in eV Å, screening length, inner and outer switching
    distance in Å."""
    z = torch.tensor(list(atomic_types), dtype=torch.float64)
    radii = torch.tensor([float(covalent_radii[t]) for t in atomic_types], dtype=torch.float64)
    strength = COULOMB_EV_A * z[:, None] * z[None, :]
    length = ZBL_LENGTH_A / (z[:, None] ** 0.23 + z[None, :] ** 0.23)
    contact = radii[:, None] + radii[None, :]
    outer = torch.clamp(REPULSION_OUTER * contact, max=cutoff_A)
    inner = torch.minimum(REPULSION_INNER * contact, 0.6 * outer)
    return strength, length, inner, outer


def repulsion(
    d: torch.Tensor,
    strength: torch.Tensor,
    length: torch.Tensor,
    inner: torch.Tensor,
    outer: torch.Tensor,
) -> torch.Tensor:
    """Screened nuclear repulsion of pairs at distance d, switched off twice differentiably
    between ``inner`` and ``outer``; all (n,), eV and Å."""
    x = d / length
    screening = (
        0.18175 * torch.exp(-3.19980 * x)
        + 0.50986 * torch.exp(-0.94229 * x)
        + 0.28022 * torch.exp(-0.40290 * x)
        + 0.02817 * torch.exp(-0.20162 * x)
    )
    t = torch.clamp((d - inner) / (outer - inner), min=0.0, max=1.0)
    switch = 1.0 - t * t * t * (10.0 - 15.0 * t + 6.0 * t * t)
    return strength / d * screening * switch
