"""Files of the exchanges: every new permutation, and the statistics of the ladder."""

from collections.abc import Callable

import numpy as np
from ipi.utils.io import open_backup

from ..atomic import write_atomically
from ..sampling.exchange import Attempt, Exchange
from .ipi_table import open_table


class ExchangeOutput:
    """Permutations in *path*, statistics in *path*_statistics every *stride* attempts.

    *names* are those of the states, in the order of the ladder; *table* returns the statistics;
    *resumed_at* is the step from which the run goes on.
    """

    def __init__(
        self,
        path: str,
        names: list[str],
        exchange: Exchange,
        stride: int,
        resumed_at: int,
        table: Callable[[], str],
    ) -> None:
        self.path, self._table, self._stride = path, table, stride
        self._attempts = 0
        header = (
            "# replica that is in each state from this step on, where that changes; replicas are "
            "numbered by the state in which they started\n"
            f"# step {' '.join(names)}\n"
        )
        self._file, fresh = open_table(path, header, resumed_at)
        if fresh:
            open_backup(f"{path}_statistics", "w").close()
            self._row(resumed_at, exchange.permutation)

    def __call__(self, step: int, attempt: Attempt) -> None:
        """After an attempt at i-PI's *step*."""
        if attempt.accepted.any():
            self._row(step, attempt.permutation)
        self._attempts += 1
        if self._attempts % self._stride == 0:
            self.write_statistics()

    def _row(self, step: int, permutation: np.ndarray) -> None:
        numbers = " ".join(f"{replica:4d}" for replica in permutation.tolist())
        self._file.write(f"{step:12d} {numbers}\n")
        self._file.flush()

    def write_statistics(self) -> None:
        """As they are now."""
        write_atomically(f"{self.path}_statistics", self._table())

    def close(self) -> None:
        """At the end of i-PI."""
        if not self._file.closed:
            self._file.close()
            self.write_statistics()
