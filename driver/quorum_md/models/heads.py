"""K linear heads on frozen features: a committee by resampling, each head in closed form.

Heads trained together from random starts spread far more than they err and without relation to it.
Here every head is the regularised least-squares solution on its own random part of the data,

    w_k = w + (Σ_s m_ks A_s + λ)⁻¹ Σ_s m_ks b_s ,

with A_s, b_s the normal matrix and the residual of structure s (energy per atom and forces), m_ks
whether member k sees it, and w the trained head, to which directions that the data leave open are
drawn.

One α cannot make the spread right for melts, alloys and strained crystals at once, so the groups
are levelled first: each structure is judged by the members that did not see it, and a group whose
rms z-score (error over spread) is low gets more weight, which narrows its spread. Structures that
are kept apart play no part in it.

Sources: shared features with linear heads, Kellner and Ceriotti, Mach. Learn.: Sci. Technol. 5,
035006 (2024), doi:10.1088/2632-2153/ad594a; resampling, Musil et al., J. Chem. Theory Comput. 15,
906 (2019), doi:10.1021/acs.jctc.8b00959; judging by what a member did not see, Breiman, Machine
Learning 24, 123 (1996), doi:10.1007/BF00058655.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from .fit_data import Batch
from .fit_train import Trainee

Array = npt.NDArray[np.float64]


# heads on fewer structures than weights spread without bound
SUBSET_MIN = 2
# groups of fewer structures are not levelled: their z-scores are chance, and the shared features
# may know each of their structures by heart
LEVELLED_MIN = 50
LEVEL_MAX = 50.0
# members that a structure must be unseen by to be judged
UNSEEN_MIN = 3


@dataclass(frozen=True)
class Refit:
    """How heads are refitted.

    Attributes
    ----------
    subset: part of each group's structures that a member sees; more (at most half) where these
        would be fewer than SUBSET_MIN structures for each weight of a head
    energy_weight: weight of squared energy errors per atom, (eV/atom)⁻²
    force_weight: weight of the mean squared force error of a structure, (eV/Å)⁻²; small, so that
        energies, of which there are few, decide the spread and forces only tame it
    ridge: λ relative to the mean diagonal of a member's normal matrix
    levelling: rounds in which groups are levelled, of which the best counts
    """

    subset: float = 0.2
    energy_weight: float = 600.0
    force_weight: float = 0.06
    ridge: float = 1e-6
    levelling: int = 4


def subset_part(wanted: float, n_structures: int, n_weights: int) -> float:
    """The part of the data that a member sees, see `Refit`."""
    return max(wanted, min(0.5, SUBSET_MIN * n_weights / n_structures))


def subsets(groups: Sequence[str], n_members: int, part: float, rng: np.random.Generator) -> Array:
    """(K, n) ones and zeros: which structures a member sees, ``part`` of every group, at least
    one structure of it on average over members where the group is small."""
    mask = np.zeros((n_members, len(groups)))
    members: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    for group in sorted(members):
        indices = np.array(members[group])
        expected = part * len(indices)
        for k in range(n_members):
            # the fractional part by chance, so that small groups are absent from some members
            n = int(expected) + int(rng.random() < expected - int(expected))
            mask[k, rng.permutation(indices)[:n]] = 1.0
    return mask


def energy_features(model: Trainee, batch: Batch) -> Array:
    """(B, P) derivatives of the energies with respect to a head's weights."""
    with torch.no_grad():
        hidden = model.hidden(batch, batch.density)
    shift = torch.nn.functional.one_hot(batch.centers, len(model.shift)).to(hidden.dtype)
    return batch.sum(torch.cat([hidden, shift], dim=1).double()).numpy()


def jacobians(model: Trainee, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Derivatives of energies (B, P) and forces (3, N, P) of a batch with respect to the head's
    P = H + S weights (hidden units, then shifts per element)."""
    density = batch.density.detach().requires_grad_(True)
    hidden = model.hidden(batch, density)
    n_species = len(model.shift)
    shift = torch.nn.functional.one_hot(batch.centers, n_species).to(hidden.dtype)
    energy = batch.sum(torch.cat([hidden.detach(), shift], dim=1))
    forces = []
    for unit in range(hidden.shape[1]):
        (gradient,) = torch.autograd.grad(hidden[:, unit].sum(), density, retain_graph=True)
        forces.append(batch.forces_of(batch.edge_gradients(gradient)))
    zeros = [torch.zeros_like(batch.forces)] * n_species
    return energy, torch.stack(forces + zeros, dim=2)


def normal_equations(
    model: Trainee, batch: Batch, energy_weight: float, force_weight: float
) -> tuple[Array, Array]:
    """A_s (B, P, P) and b_s (B, P) of every structure for corrections to the trained head."""
    energy_j, force_j = jacobians(model, batch)
    weights = torch.cat([model.head, model.shift]).detach().double()
    x = energy_j.double() / batch.n_atoms.double()[:, None]
    residual = batch.energy.double() / batch.n_atoms.double() - x @ weights
    w_energy = energy_weight * batch.weight.double()
    a = torch.einsum("s,sp,sq->spq", w_energy, x, x)
    b = torch.einsum("s,s,sp->sp", w_energy, residual, x)
    f = force_j.double()
    force_residual = batch.forces.double() - f @ weights
    starts = torch.cumsum(batch.n_atoms, 0).long()
    for s, (end, n) in enumerate(zip(starts.tolist(), batch.n_atoms.long().tolist(), strict=True)):
        part = f[:, end - n : end].reshape(3 * n, -1)
        w = force_weight * float(batch.weight[s]) / (3 * n)
        a[s] += w * part.T @ part
        b[s] += w * part.T @ force_residual[:, end - n : end].reshape(-1)
    return a.numpy(), b.numpy()


def solve(a: Array, b: Array, ridge: float) -> Array:
    """(K, P) corrections from (K, P, P) and (K, P), with λ relative to the mean diagonal."""
    scale = np.trace(a, axis1=1, axis2=2) / a.shape[1]
    ridged = a + (ridge * scale)[:, None, None] * np.eye(a.shape[1])
    return np.linalg.solve(ridged, b[:, :, None])[:, :, 0]


def refit(
    model: Trainee, data: Sequence[Batch], mask: Array, groups: Sequence[str], options: Refit
) -> Array:
    """(K, P) weights of K heads.

    mask: (K, n) which structures a member sees, in the numbering of the batches' indices
    groups: (n,) their names
    """
    names = sorted({groups[k] for batch in data for k in batch.indices})
    number = {name: g for g, name in enumerate(names)}
    n_weights = len(model.head) + len(model.shift)
    a = np.zeros((len(mask), len(names), n_weights, n_weights))
    b = np.zeros((len(mask), len(names), n_weights))
    features, targets, order = [], [], []
    for batch in data:
        one_a, one_b = normal_equations(model, batch, options.energy_weight, options.force_weight)
        place = np.array([number[groups[k]] for k in batch.indices])
        chosen = mask[:, batch.indices]
        for g in np.unique(place):
            here = place == g
            a[:, g] += np.tensordot(chosen[:, here], one_a[here], axes=1)
            b[:, g] += chosen[:, here] @ one_b[here]
        features.append(energy_features(model, batch) / batch.n_atoms.double().numpy()[:, None])
        targets.append((batch.energy.double() / batch.n_atoms.double()).numpy())
        order += batch.indices
    x, y = np.concatenate(features), np.concatenate(targets)
    group = np.array([number[groups[k]] for k in order])
    trained = torch.cat([model.head, model.shift]).detach().double().numpy()

    weights = np.ones(len(names))
    best, best_spread = trained, np.inf
    for _ in range(options.levelling + 1):
        whole_a = np.einsum("g,kgpq->kpq", weights, a)
        members = trained + solve(whole_a, np.einsum("g,kgp->kp", weights, b), options.ridge)
        z = unseen_scores(y, x @ members.T, mask[:, order] == 0, group, len(names))
        judged = np.isfinite(z) & (z > 0) & (np.bincount(group) >= LEVELLED_MIN)
        if not judged.any():
            return members
        # groups share their weights, so a round may also drive them apart: the best one counts
        level = np.sqrt(np.mean(z[judged] ** 2))
        spread = float(np.std(np.log(z[judged])))
        if spread < best_spread:
            best, best_spread = members, spread
        changed = np.clip(weights[judged] * level / z[judged], 1 / LEVEL_MAX, LEVEL_MAX)
        weights[judged] = changed
    return best


def unseen_scores(
    y: Array, predictions: Array, unseen: npt.NDArray[np.bool_], group: npt.NDArray, n_groups: int
) -> Array:
    """(G,) rms of error over spread per group, every structure judged by the members that did not
    see it; NaN for a group without such structures.

    y (n,), predictions (n, K), unseen (K, n), group (n,): index of a structure's group.
    """
    votes = unseen.T.astype(float)
    count = votes.sum(axis=1)
    enough = count >= UNSEEN_MIN
    votes, count = votes[enough], count[enough]
    mean = (predictions[enough] * votes).sum(axis=1) / count
    squares = (predictions[enough] - mean[:, None]) ** 2
    ratio = (y[enough] - mean) ** 2 * (count - 1) / (squares * votes).sum(axis=1)
    result = np.full(n_groups, np.nan)
    for g in range(n_groups):
        here = group[enough] == g
        if here.any():
            result[g] = np.sqrt(ratio[here].mean())
    return result
