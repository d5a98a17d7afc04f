"""K linear heads on frozen features: a committee in closed form, its spread right group by group.

Heads trained together from random starts spread far more than they err and without relation to it.
Heads on random parts of the data spread as estimates from noisy data do, in proportion to
√(weights / structures). But a potential errs because its form cannot do better, however many
structures there are: one α cannot serve large groups and small ones, melts and strained crystals.

Here the mean is the trained head w, and a member is the least-squares answer to random errors,

    w_k = w + argmin_δ Σ_s θ_g(s) |J_s δ − ε_ks|² + λ |δ − η_k|²,
    ε_ks ~ 𝒩(0, 1/θ_g(s)),   η_k ~ 𝒩(0, 1/λ),   minus their mean over k,

with J_s the weighted jacobian of structure s (energy per atom and forces). The members spread as
𝒩(w, C), C = (Σ_g θ_g A_g + λ)⁻¹, A_g = Σ_s∈g J_sᵀ J_s: the posterior of a linear model that trusts
the data of group g with the precision θ_g. The θ_g are no noise of the data but chosen for the
result: with the training data in folds, every structure is judged by head and members made without
its fold, and θ_g grows or falls until error over spread has an rms of 1 in group g. Where other
groups hold the spread of a group narrow, small θ_g cannot widen it: below a part of the typical
level only the errors ε grow. They are drawn once, so that the K members themselves are levelled,
not their expectation. Structures that are kept apart play no part in it.

Sources: shared features with linear heads, Kellner and Ceriotti, Mach. Learn.: Sci. Technol. 5,
035006 (2024), doi:10.1088/2632-2153/ad594a; sampling by perturbed least squares, Bardsley et al.,
SIAM J. Sci. Comput. 36, A1895 (2014), doi:10.1137/140964023; errors that are misfit rather than
noise, Swinburne and Perez, arXiv:2402.01810.
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
Index = npt.NDArray[np.int64]


# smaller groups are not levelled: their z-scores are chance, and the shared features know each of
# their structures by heart
LEVELLED_MIN = 50
LEVEL_MIN, LEVEL_MAX = 1e-6, 1e6
# part of the typical level below which a group is perturbed more rather than trusted less
TRUST_MIN = 0.1
# rounds that change no level by more than this part are the last: z-scores are known less well
LEVELLED_CLOSE = 0.01


@dataclass(frozen=True)
class Refit:
    """How heads are refitted.

    Attributes
    ----------
    energy_weight: weight of squared energy errors per atom, (eV/atom)⁻²
    force_weight: weight of the mean squared force error of a structure, (eV/Å)⁻²; small, so that
        energies, of which there are few, decide the spread and forces only tame it
    ridge: λ relative to the mean diagonal of the normal matrix
    folds: parts of the training data; a structure is judged by what was made without its part
    levelling: rounds in which groups are levelled, at most
    """

    energy_weight: float = 600.0
    force_weight: float = 0.06
    ridge: float = 1e-6
    folds: int = 10
    levelling: int = 100


@dataclass
class Sums:
    """Normal equations of n structures, summed over folds and groups, and their energies.

    Attributes
    ----------
    a (F, G, P, P): Σ JᵀJ over the structures of a fold and a group
    b (F, P): Σ Jᵀr over those of a fold
    x (n, P), residual (n,): derivatives and residuals of energies per atom, eV
    fold, group (n,): of each structure
    """

    a: Array
    b: Array
    x: Array
    residual: Array
    fold: Index
    group: Index


def folds_of(groups: Sequence[str], n_folds: int, rng: np.random.Generator) -> Index:
    """(n,) fold of each structure: every group in parts of equal size as far as it goes."""
    result = np.zeros(len(groups), dtype=np.int64)
    labels = np.asarray(groups, dtype=object)
    for group in sorted(set(groups)):
        indices = rng.permutation(np.flatnonzero(labels == group))
        # small groups start anywhere, not all of them in the first fold
        result[indices] = (np.arange(len(indices)) + rng.integers(n_folds)) % n_folds
    return result


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


def trained_head(model: Trainee) -> Array:
    """(P,) weights of the model's head: hidden units, then shifts per element."""
    return torch.cat([model.head, model.shift]).detach().double().numpy()


def gather(
    model: Trainee, data: Sequence[Batch], groups: Sequence[str], fold: Index, options: Refit
) -> Sums:
    """Normal equations of all batches.

    groups, fold: of the structures, in the numbering of the batches' indices
    """
    used = [k for batch in data for k in batch.indices]
    names = sorted({groups[k] for k in used})
    number = {name: g for g, name in enumerate(names)}
    head = trained_head(model)
    n_folds, n_weights = int(fold[used].max()) + 1, len(head)
    a = np.zeros((n_folds, len(names), n_weights, n_weights))
    b = np.zeros((n_folds, n_weights))
    features, residuals = [], []
    for batch in data:
        one_a, one_b = normal_equations(model, batch, options.energy_weight, options.force_weight)
        for place, k in enumerate(batch.indices):
            a[fold[k], number[groups[k]]] += one_a[place]
            b[fold[k]] += one_b[place]
        n_atoms = batch.n_atoms.double().numpy()
        x = energy_features(model, batch) / n_atoms[:, None]
        features.append(x)
        residuals.append(batch.energy.double().numpy() / n_atoms - x @ head)
    return Sums(
        a,
        b,
        np.concatenate(features),
        np.concatenate(residuals),
        fold[used],
        np.array([number[groups[k]] for k in used]),
    )


def perturbations(a: Array, n_members: int, rng: np.random.Generator) -> Array:
    """(…, P, K) vectors drawn from 𝒩(0, a) for positive semidefinite a (…, P, P)."""
    values, vectors = np.linalg.eigh(a)
    root = vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]
    return root @ rng.normal(size=(*a.shape[:-1], n_members))


class Heads:
    """Deviations of K members for any levels of the groups, from all data or without one fold.

    Parameters
    ----------
    sums: the data
    n_members: K
    ridge: λ relative to the mean diagonal of the normal matrix
    judged: (G,) which groups have a level. The others do not count in the members: what the
        features know by heart must not narrow the spread.
    """

    def __init__(
        self,
        sums: Sums,
        n_members: int,
        ridge: float,
        judged: npt.NDArray[np.bool_],
        rng: np.random.Generator,
    ):
        self.sums, self.judged = sums, judged
        n_weights = sums.x.shape[1]
        self._a = sums.a.sum(axis=0)
        trace = float(np.trace(self._a.sum(axis=0)))
        self._ridge = max(ridge * trace / n_weights, 1e-12) * np.eye(n_weights)
        self._noise = perturbations(sums.a, n_members, rng)
        self._noise_total = self._noise.sum(axis=0)
        self._prior = perturbations(self._ridge, n_members, rng)

    def correction(self, fold: int | None = None) -> Array:
        """(P,) from the trained head to the least-squares head, without the data of a fold."""
        a, b = self._a.sum(axis=0), self.sums.b.sum(axis=0)
        if fold is not None:
            a, b = a - self.sums.a[fold].sum(axis=0), b - self.sums.b[fold]
        return np.linalg.solve(a + self._ridge, b)

    def deviations(self, level: Array, fold: int | None = None) -> Array:
        """(P, K) deviations of the members from their mean for the levels (G,) of the groups."""
        a, noise = self._a, self._noise_total
        if fold is not None:
            a, noise = a - self.sums.a[fold], noise - self._noise[fold]
        middle = np.exp(np.mean(np.log(level[self.judged])))
        trust = np.where(self.judged, np.maximum(level, TRUST_MIN * middle), 0.0)
        push = np.tensordot(trust / np.sqrt(level), noise, axes=1) + self._prior
        result = np.linalg.solve(np.tensordot(trust, a, axes=1) + self._ridge, push)
        return result - result.mean(axis=1, keepdims=True)

    def unseen_errors(self) -> Array:
        """(n,) errors of the trained head had it not seen the fold of a structure: its residuals,
        and what leaving the fold out changes in the least-squares head."""
        result = self.sums.residual.copy()
        whole = self.correction()
        for fold in range(len(self.sums.a)):
            here = self.sums.fold == fold
            result[here] += self.sums.x[here] @ (whole - self.correction(fold))
        return result

    def unseen_spread(self, level: Array) -> Array:
        """(n,) standard deviation of the members made without the fold of a structure."""
        result = np.zeros(len(self.sums.x))
        for fold in range(len(self.sums.a)):
            here = self.sums.fold == fold
            result[here] = (self.sums.x[here] @ self.deviations(level, fold)).std(axis=1, ddof=1)
        return result

    def levels(self, rounds: int) -> Array:
        """(G,) levels at which the rms of error over spread is 1 in every judged group.

        A higher level narrows the spread of a group, and in part that of its neighbours.
        """
        error, group = self.unseen_errors(), self.sums.group
        level = np.ones(len(self.judged))
        count = np.maximum(np.bincount(group, minlength=len(level)), 1)
        for _ in range(rounds):
            z = error / np.maximum(self.unseen_spread(level), 1e-12)
            rms = np.sqrt(np.bincount(group, weights=z * z, minlength=len(level)) / count)
            # spread goes as 1/√level at most, so that for one group alone this never overshoots
            changed = np.clip(level / np.maximum(rms, 1e-12), LEVEL_MIN, LEVEL_MAX)
            changed[~self.judged] = 1.0
            step = float(np.abs(np.log(changed / level)).max())
            level = changed
            if step < LEVELLED_CLOSE:
                break
        return level


def refit(
    model: Trainee,
    data: Sequence[Batch],
    groups: Sequence[str],
    n_members: int,
    rng: np.random.Generator,
    options: Refit,
) -> Array:
    """(K, P) weights of K heads around the trained one, which is their mean.

    groups: of the structures, in the numbering of the batches' indices. Groups of fewer than
        LEVELLED_MIN structures are not levelled; where all are as small, they are levelled as one.
    """
    used = sorted(k for batch in data for k in batch.indices)
    names = [groups[k] for k in used]
    sizes = {name: names.count(name) for name in set(names)}
    if max(sizes.values()) < LEVELLED_MIN:
        names, sizes = ["all"] * len(names), {"all": LEVELLED_MIN}
    labels = dict(zip(used, names, strict=True))
    n = max(used) + 1
    fold = np.zeros(n, dtype=np.int64)
    fold[used] = folds_of(names, min(options.folds, len(used)), rng)
    sums = gather(model, data, [labels.get(k, "") for k in range(n)], fold, options)
    judged = np.array([sizes[name] >= LEVELLED_MIN for name in sorted(sizes)])
    heads = Heads(sums, n_members, options.ridge, judged, rng)
    return trained_head(model) + heads.deviations(heads.levels(options.levelling)).T
