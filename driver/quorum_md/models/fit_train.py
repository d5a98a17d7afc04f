"""Training of the shared features: energies, forces and virials by Adam, in single precision.

Two choices make it quick: mixing starts at the principal components of the densities, so that the
channels are independent and of one size, and features enter standardised; both are folded into the
weights at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .basis import L_MAX
from .density import DensityNet
from .fit_data import Batch

# eigenvalues of the density covariance below this fraction of the largest are not amplified further
PCA_FLOOR = 1e-4
GRADIENT_NORM_MAX = 10.0


@dataclass(frozen=True)
class Training:
    """How to train.

    Attributes
    ----------
    epochs: passes over the data
    learning_rate: at its maximum; it rises over 100 steps and falls as a cosine to nothing
    energy_weight, virial_weight: weights of squared errors per atom, (eV/atom)⁻², against squared
        force errors in (eV/Å)⁻²
    final_energy_weight: what energy_weight grows to, geometrically
    """

    epochs: int = 100
    learning_rate: float = 5e-3
    energy_weight: float = 600.0
    final_energy_weight: float = 2000.0
    virial_weight: float = 60.0


class Trainee(torch.nn.Module):
    """Network with one head and standardised features, on batches of constants."""

    def __init__(self, net: DensityNet):
        super().__init__()
        n_species, n_hidden = net.embedding.shape[0], net.weight_2.shape[1]
        self.net = net
        self.head = torch.nn.Parameter(torch.zeros(n_hidden))
        self.shift = torch.nn.Parameter(torch.zeros(n_species))
        self.register_buffer("feature_mean", torch.zeros(net.n_features))
        self.register_buffer("feature_scale", torch.ones(net.n_features))

    def initialise(self, sample: Sequence[Batch], generator: torch.Generator) -> None:
        """Mixing from principal components, features to unit variance, random weights."""
        net = self.net
        n_species, n_alchemical = net.embedding.shape

        def normal(*shape: int) -> torch.Tensor:
            return torch.randn(shape, generator=generator)

        with torch.no_grad():
            if n_alchemical >= n_species:
                net.embedding.copy_(torch.eye(n_species, n_alchemical))
            else:
                net.embedding.copy_(normal(n_species, n_alchemical) / n_alchemical**0.5)
            embed = torch.kron(net.embedding.double(), torch.eye(net.n_radial).double())
            for l in range(L_MAX + 1):  # noqa: E741
                parts = [b.density[l * l : (l + 1) ** 2].double().flatten(0, 1) for b in sample]
                columns = torch.cat(parts) @ embed
                values, vectors = torch.linalg.eigh(columns.T @ columns / len(columns))
                n = min(net.n_mixed, len(values))
                values, vectors = values.flip(0)[:n], vectors.flip(1)[:, :n]
                scale = (values + PCA_FLOOR * values[0] + 1e-12).rsqrt()
                rotation, _ = torch.linalg.qr(normal(net.n_mixed, net.n_mixed).double())
                net.mixing[l] = ((vectors * scale) @ rotation[:n]).float()
            mixing = net.embedded_mixing()
            features = torch.cat([net.features(b.density, mixing, b.centers) for b in sample])
            self.feature_mean.copy_(features.mean(0))
            # features that do not vary in the data are left alone rather than blown up
            deviation = features.std(0)
            self.feature_scale.copy_(deviation + 1e-3 * deviation.mean() + 1e-6)
            net.weight_1.copy_(normal(*net.weight_1.shape) / net.n_features**0.5)
            net.weight_2.copy_(normal(*net.weight_2.shape) * (2 / len(net.weight_2)) ** 0.5)
            self.head.copy_(0.3 * normal(len(self.head)) / len(self.head) ** 0.5)

    def first_layer(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights and biases of the first layer for features as they are."""
        weight = self.net.weight_1 / self.feature_scale[:, None]
        return weight, self.net.bias_1 - self.net.gate * (self.feature_mean @ weight)

    def hidden(self, batch: Batch, density: torch.Tensor) -> torch.Tensor:
        """Last hidden layer (N, H)."""
        features = self.net.features(density, self.net.embedded_mixing(), batch.centers)
        return self.net.hidden(features, *self.first_layer(), batch.centers)

    def forward(
        self, batch: Batch, training: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Energies (B,), forces (3, N) and virials (B, 6)."""
        density = batch.density.detach().requires_grad_(True)
        atomic = self.hidden(batch, density) @ self.head + self.shift[batch.centers]
        (gradient,) = torch.autograd.grad(atomic.sum(), density, create_graph=training)
        edges = batch.edge_gradients(gradient)
        return batch.sum(atomic), batch.forces_of(edges), batch.virial_of(edges)

    def folded(self) -> DensityNet:
        """The network with standardisation folded into its first layer, for use on its own."""
        with torch.no_grad():
            weight, bias = self.first_layer()
            self.net.weight_1.copy_(weight)
            self.net.bias_1.copy_(bias)
            self.feature_mean.zero_()
            self.feature_scale.fill_(1.0)
        return self.net


def loss(model: Trainee, batch: Batch, energy_weight: float, virial_weight: float) -> torch.Tensor:
    """Weighted mean of squared errors of one batch."""
    energy, forces, virial = model(batch)
    n = len(batch.n_atoms)
    force_error = (forces - batch.forces) ** 2
    total = (force_error.sum(0) * batch.weight[batch.owner]).sum() / (3 * len(batch.owner))
    energy_error = ((energy - batch.energy) / batch.n_atoms) ** 2
    total = total + energy_weight * (batch.weight * energy_error).sum() / n
    virial_error = (((virial - batch.virial) / batch.n_atoms[:, None]) ** 2).mean(1)
    return total + virial_weight * (batch.weight * batch.has_virial * virial_error).sum() / n


def train(
    model: Trainee,
    data: Sequence[Batch],
    options: Training,
    rng: np.random.Generator,
    progress: Callable[[int, float], None] = lambda step, value: None,
) -> None:
    """Minimise the loss; ``progress`` is called after each step with its number and loss."""
    parameters = list(model.parameters())
    optimizer = torch.optim.Adam(
        parameters, lr=options.learning_rate, betas=(0.9, 0.99), foreach=True
    )
    n_steps = options.epochs * len(data)
    growth = options.final_energy_weight / options.energy_weight
    step = 0
    for _ in range(options.epochs):
        for k in rng.permutation(len(data)):
            done = step / n_steps
            rate = options.learning_rate * min(1.0, (step + 1) / 100)
            for group in optimizer.param_groups:
                group["lr"] = rate * (0.5 * (1 + math.cos(math.pi * done)) + 1e-3)
            value = loss(
                model, data[k], options.energy_weight * growth**done, options.virial_weight
            )
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            torch.nn.utils.clip_grad_norm_(parameters, GRADIENT_NORM_MAX)
            optimizer.step()
            step += 1
            progress(step, float(value.detach()))
