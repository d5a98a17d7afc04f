"""Displacements of a trajectory that is never in memory as a whole."""

import tracemalloc

import numpy as np
import pytest
from observable_tools import ipi_frame

from quorum_md.averages.observables import Trajectory, compute_many, whole
from quorum_md.averages.observables.displacement import diffusion, followed_atoms, msd
from quorum_md.errors import QuorumError

BOX = 9.0


def write_walk(path, steps, n_atoms=6, seed=0):
    """Wrapped walks, of which `steps` may repeat: every frame that repeats one goes elsewhere."""
    rng = np.random.default_rng(seed)
    symbols = ["Li", "O", "O"] * (n_atoms // 3)
    ways = {}
    with open(path, "w") as file:
        for k, step in enumerate(steps):
            start = ways.get(steps[k - 1]) if k and steps[k - 1] < step else ways.get(step - 2)
            if start is None:
                start = BOX * rng.random((n_atoms, 3))
            ways[step] = start + 0.3 * rng.normal(size=(n_atoms, 3))
            file.write(ipi_frame(step, symbols, ways[step] % BOX, (BOX, BOX, BOX)))


@pytest.mark.parametrize(
    "steps",
    [
        [*range(0, 400, 2)],
        [*range(0, 200, 2), *range(100, 420, 2)],
        [*range(4, 40, 2), *range(0, 420, 2)],
    ],
    ids=["one", "restart", "anew"],
)
def test_the_same_as_in_memory(steps, tmp_path, monkeypatch):
    path = tmp_path / "pos.xyz"
    write_walk(path, steps)
    frames = Trajectory(path).read()
    lags = [1, 5, 20]
    expected = [msd(frames, lags=lags), msd(frames, "Li", lags=lags)]
    expected.append(diffusion(frames, timestep_fs=1.0, window_ps=(0.002, 0.03)))
    requests = [
        ("msd", {"lags": lags}),
        ("msd:Li", {"lags": lags}),
        ("diffusion", {"timestep_fs": 1.0, "window_ps": (0.002, 0.03)}),
    ]
    everywhere = followed_atoms(frames)
    for name, value in (("BLOCK_BYTES", 1), ("_IN_MEMORY_BYTES", 1000)):
        monkeypatch.setattr(whole, name, value)
        found = compute_many(requests, Trajectory(path, chunk_bytes=3000))
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one.steps, other.steps)
            # sums over atoms in another order
            np.testing.assert_allclose(one.values, other.values, rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(followed_atoms(frames), everywhere, rtol=0, atol=1e-11)


def test_species_are_those_of_the_branch_that_counts(tmp_path):
    """A restart from before the first frame, of a structure with other species."""
    path = tmp_path / "pos.xyz"
    rng = np.random.default_rng(1)
    walk = 3 + np.cumsum(0.1 * rng.normal(size=(60, 3, 3)), axis=0)

    def text(steps, symbols):
        return "".join(ipi_frame(step, symbols, walk[step], (BOX, BOX, BOX)) for step in steps)

    path.write_text(text(range(5, 20), ["O", "O", "Li"]) + text(range(60), ["O", "Li", "O"]))
    lithium = msd(Trajectory(path).read(), "Li", lags=[1, 4]).values
    series = compute_many([("msd:Li", {"lags": [1, 4]})], Trajectory(path, chunk_bytes=2000))[0]
    np.testing.assert_allclose(series.values, lithium, rtol=1e-11)
    path.write_text(text(range(20), ["O", "O", "Li"]) + text(range(20, 60), ["O", "Li", "O"]))
    with pytest.raises(QuorumError, match="atoms change their species"):
        compute_many(["msd:Li"], path)


def test_memory_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(whole, "BLOCK_BYTES", 1 << 18)
    monkeypatch.setattr(whole, "_IN_MEMORY_BYTES", 1 << 18)
    n_frames, n_atoms = 2000, 150
    path = tmp_path / "pos.xyz"
    write_walk(path, range(0, 2 * n_frames, 2), n_atoms)
    tracemalloc.start()
    compute_many([("msd", {"lags": [1, 20]})], Trajectory(path, chunk_bytes=1 << 17))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * n_frames * n_atoms * 24
