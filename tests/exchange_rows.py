"""A journal of replica exchange between states whose law is known, without any engine."""

import numpy as np

from quorum_md.sampling.exchange import Exchange, State, reduced_energies
from quorum_md.sampling.journal import Header
from quorum_md.units import BOLTZMANN_EV_K

KELVIN = (300.0, 330.0, 365.0, 400.0)
FREEDOM = 60  # positions on springs


def harmonic_rows(n=2000, n_members=3, seed=5, offset_eV=0.02):
    """Header and rows: energies drawn afresh before every attempt, from the law of the springs.

    Members have springs that are a little stiffer or softer; their mean is what acts.
    """
    rng = np.random.default_rng(seed)
    header = Header(
        KELVIN, (None,) * 4, n_members, ("press",), 10, 1.0, seed, "neighbors", 1, "mean"
    )
    rows = np.zeros(n, dtype=header.dtype())
    energies = rng.gamma(FREEDOM / 2, BOLTZMANN_EV_K * np.array(KELVIN), (n, 4))
    stiffness = 1 + 0.02 * (np.arange(n_members) - (n_members - 1) / 2)
    rows["energy_eV"] = energies
    rows["members_eV"] = energies[:, :, None] * stiffness
    rows["volume_A3"] = 1000.0
    rows["kinetic_K"] = rng.normal(KELVIN, 20.0, (n, 4))
    rows["columns"][:, :, 0] = rng.normal(size=(n, 4))
    rows["attempt"] = np.arange(1, n + 1)
    rows["step"] = 10 * rows["attempt"]
    exchange = Exchange(4, seed)
    states = tuple(map(State, KELVIN))
    for row in rows:
        row["replicas"] = exchange.permutation
        place = np.argsort(row["replicas"])
        row["after"] = exchange.attempt(
            reduced_energies(row["energy_eV"][place], states)
        ).permutation
    return header, rows, exchange


def write_journal(folder, header, rows):
    """As a run leaves it."""
    from quorum_md.sampling.journal import Journal

    folder.mkdir(exist_ok=True)
    journal = Journal(folder, header)
    journal.begin()
    journal.append(rows)
    journal.close()
