"""Take over motions of an i-PI simulation without leaving i-PI.

i-PI recognises its motions by their exact type when it writes a RESTART, so they are neither
subclassed nor replaced: the stock object stays and gets another ``step``. Its checkpoints stay
inputs that stock i-PI reads. This happens between i-PI's parsing and its binding, in the hook of
``Simulation.load_from_xml``.

Every random number that is ours comes from a counter-based stream that belongs to one system and
one purpose (`stream`), so a run does not depend on which thread comes first.
"""

import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
from ipi.utils.io import NumpyEncoder
from ipi.utils.prng import Random

# purposes of streams; those of swaps are even and odd numbers from 0, see `ipi_swaps`
THERMOSTATS = 1 << 16
EXCHANGES = 1 << 17


class Found(NamedTuple):
    """A motion and where it is: the index of its system, and its index among those of its kind."""

    system: int
    number: int
    motion: Any


def find_motions(systems: list[Any], kind: type) -> Iterator[Found]:
    """Motions of exactly *kind* in i-PI's *systems*, inside ``multi`` too, in the input's order."""
    for index, system in enumerate(systems):
        same = [motion for motion in flatten(system.motion) if type(motion) is kind]
        for number, motion in enumerate(same):
            yield Found(index, number, motion)


def flatten(motion: Any) -> Iterator[Any]:
    """A motion (or smotion), or those of a ``multi``."""
    for one in getattr(motion, "mlist", [motion]):
        yield from flatten(one) if hasattr(one, "mlist") else [one]


def replace_step(motion: Any, step: Callable[..., None]) -> None:
    """Let *step* be called where i-PI calls the motion's own."""
    motion.step = step


def stream_key(seed: int, system: int = 0, purpose: int = 0) -> int:
    """Of a system's random stream for a purpose; the bare seed for the first of the first."""
    return (purpose << 96) | (system << 64) | (seed % 2**64)


def stream(seed: int, system: int = 0, purpose: int = 0, counter: int = 0) -> np.random.Philox:
    """The random stream of a system for a purpose, *counter* blocks of four words on."""
    bits = np.random.Philox(key=stream_key(seed, system, purpose))
    return bits.advance(counter) if counter else bits


def seed_of(simulation: Any) -> int:
    """The input's seed; after a restart from stock i-PI, which forgets it, one from its state."""
    if simulation.step == 0:
        return int(simulation.prng.seed) % 2**64
    state = json.dumps(simulation.prng.state, cls=NumpyEncoder, sort_keys=True)
    return int.from_bytes(sha256(state.encode()).digest()[:8], "big")


def separate_random_numbers(simulation: Any, seed: int) -> None:
    """Give each of several systems its own numbers for thermostats; stock i-PI shares one stream.

    One system keeps i-PI's own numbers.
    """
    if len(simulation.syslist) == 1:
        return
    for index, system in enumerate(simulation.syslist):
        random = Random(seed=seed, n_threads=simulation.prng.n_threads)
        random.rng = [
            np.random.Generator(stream(seed, index, THERMOSTATS + thread))
            for thread in range(random.n_threads)
        ]
        system.prng = random


def random_states(simulation: Any) -> list[Any]:
    """The states of `separate_random_numbers`; empty for one system."""
    if len(simulation.syslist) == 1:
        return []
    return [system.prng.state for system in simulation.syslist]


def restore_random_states(simulation: Any, states: list[Any]) -> None:
    """Set what `random_states` returned, from JSON too."""
    for system, threads in zip(simulation.syslist if states else [], states, strict=True):
        for generator, state in zip(system.prng.rng, threads, strict=True):
            inner = {k: np.array(v, dtype=np.uint64) for k, v in state["state"].items()}
            buffer = np.array(state["buffer"], dtype=np.uint64)
            generator.bit_generator.state = {**state, "state": inner, "buffer": buffer}
