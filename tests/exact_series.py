"""Synthetic runs whose averages are known, for the tests of averages."""

import numpy as np
from scipy.signal import lfilter

KT = 0.03


def ar1(rng, tau, shape):
    """Gaussian series of variance 1 along axis 0 whose autocorrelation time is tau frames."""
    phi = (2 * tau - 1) / (2 * tau + 1)
    noise = rng.normal(size=shape)
    noise[0] /= np.sqrt(1 - phi**2)
    return lfilter([np.sqrt(1 - phi**2)], [1, -phi], noise, axis=0)


def assert_unit_normal(z, *, mean=4.0, low=0.85, high=1.15):
    """z-scores (seeds, …) of values against their claimed errors: no bias, the right width.

    Claimed errors of short correlated series are themselves uncertain, hence the width of the
    bounds; a missing factor √2 or an ignored autocorrelation lies far outside.
    """
    z = np.asarray(z).reshape(len(z), -1)
    width = z.std(axis=0).mean()
    assert np.abs(z.mean(axis=0)).max() < mean * width / np.sqrt(len(z)), z.mean(axis=0)
    assert low < width < high, width
    inside = (np.abs(z) < 1).mean()
    assert 0.60 < inside < 0.76, inside
