"""Built-in potentials of many sizes, their weights drawn at random."""

import torch
from metatomic.torch import ModelMetadata

from quorum_md.models.committee import assemble, read_part, save
from quorum_md.models.density import DensityNet, DensityPotential, export
from quorum_md.models.metatomic_model import quiet_metatomic


def random_potential(
    species: list[int],
    n_members: int,
    sizes: tuple[int, int, int, int, tuple[int, int]],
    cutoff_A: float,
    seed: int = 0,
) -> DensityPotential:
    """Weights drawn at random: energies of eV, far from smooth, so that mistakes show."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    net = DensityNet(len(species), *sizes)
    for parameter in net.parameters():
        parameter.data = draw(*parameter.shape)
    net.mixing.data *= 0.5
    net.weight_1.data *= 0.3 / net.n_features**0.5
    width = sizes[4][1]
    deviation, shift = 0.1 * draw(width, n_members), 0.1 * draw(len(species), n_members)
    return DensityPotential(
        net,
        species,
        [-11.123456789 - 1.7 * s for s in range(len(species))],
        cutoff_A,
        draw(width),
        draw(len(species)),
        deviation - deviation.mean(1, keepdim=True),
        shift - shift.mean(1, keepdim=True),
    )


def write_model(path, potential, species, dtype="float64"):
    with quiet_metatomic():
        save(export(potential, species, ModelMetadata(), dtype), path)
    return path


def kernel_files(folder):
    """Files of other sizes than the shipped one: path and elements by name."""
    # sizes that are no multiples of registers; more elements than pseudo-elements
    odd = write_model(
        folder / "odd.pt",
        random_potential([79, 29, 47], 5, (5, 2, 7, 3, (13, 10)), 4.5),
        [79, 29, 47],
    )
    # more members; one element, one member; all channels are partners
    many = write_model(
        folder / "many.pt", random_potential([29, 79], 64, (6, 4, 10, 4, (16, 24)), 4.7), [29, 79]
    )
    one = write_model(folder / "one.pt", random_potential([18], 1, (3, 1, 4, 4, (8, 8)), 5.5), [18])
    wide = write_model(
        folder / "wide.pt", random_potential([29, 79], 3, (9, 3, 70, 66, (20, 9)), 4.0), [29, 79]
    )
    scaled, twice = folder / "scaled.pt", folder / "twice.pt"
    assemble([read_part(odd)], scaled, description="scaled", alpha=1.7)
    assemble([read_part(scaled)], twice, description="scaled again", alpha=0.6)
    return {
        "odd": (odd, ["Au", "Cu", "Ag"]),
        "many": (many, ["Cu", "Au"]),
        "one": (one, ["Ar"]),
        "wide": (wide, ["Cu", "Au"]),
        "scaled": (scaled, ["Au", "Cu", "Ag"]),
        "scaled twice": (twice, ["Au", "Cu", "Ag"]),
        "shipped": ("nbmotaw", ["Nb", "Mo", "Ta", "W"]),
    }
