"""Random numbers by counter: trial t uses the same ones whatever was drawn before.

Philox4x64-10 (Salmon, Moraes, Dror and Shaw, SC'11, doi:10.1145/2063384.2063405) as numpy has it:
a key and a counter give four words, so that a chain needs to remember only how far it is, and any
engine can draw the same trials.
"""

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]

WORDS = 4  # per counter


def words(seed: int, start: int, n: int) -> Words:
    """(n, 4) words of the counters start, start + 1, … of the stream of a seed (0 to 2¹²⁸ − 1)."""
    source = np.random.Philox(key=seed)
    source.advance(start)
    return source.random_raw(WORDS * n).reshape(n, WORDS)


def uniforms(drawn: Words) -> npt.NDArray[np.float64]:
    """Numbers in [0, 1), multiples of 2⁻⁵³."""
    return (drawn >> np.uint64(11)).astype(np.float64) * 2.0**-53
