"""Which MPI ranks run which states, and configurations on their way between them.

Ranks form groups of `ranks_per_replica`; each group has one or several states, whose LAMMPS
instances share its communicator and take turns. So a laptop runs eight states on two ranks, and a
cluster one state on each group.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import QuorumError, warn
from .lammps_configuration import Configuration

_VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


class Layout:
    """The ranks of a run.

    Attributes:
        world: communicator of all ranks.
        group: communicator of the ranks that share their states.
        is_root: whether this is the first rank of its group.
        roots: communicator of the first ranks (of the others, where this is none).
        own: states of this group.
        owner: (S,) group of every state.

    Args:
        world: mpi4py communicator.
        n_states, ranks_per_replica: of the run.
        where: file and key, for errors.
    """

    def __init__(self, world: Any, n_states: int, ranks_per_replica: int, where: str) -> None:
        if world.size % ranks_per_replica:
            raise QuorumError(
                f"{where}: ranks_per_replica: {ranks_per_replica} does not divide the {world.size} "
                f"ranks of this job; start it with `mpiexec -n {n_states * ranks_per_replica}`, or "
                "a divisor that is a multiple of ranks_per_replica"
            )
        n_groups = world.size // ranks_per_replica
        if n_groups > n_states:
            raise QuorumError(
                f"{where}: {world.size} ranks for {n_states} states of {ranks_per_replica} ranks "
                f"each; start at most {n_states * ranks_per_replica}, or set ranks_per_replica = "
                f"{world.size // n_states}"
            )
        self.world = world
        number = world.rank // ranks_per_replica
        self.group = world.Split(number, world.rank)
        self.is_root = self.group.rank == 0
        self.roots = world.Split(0 if self.is_root else 1, world.rank)
        parts = np.array_split(np.arange(n_states), n_groups)
        self.own = [int(s) for s in parts[number]]
        self.owner = np.repeat(np.arange(n_groups), [len(part) for part in parts])
        self.group_number = number

    def move(
        self, sources: npt.NDArray[np.int64], here: Mapping[int, Configuration]
    ) -> dict[int, Configuration]:
        """Configurations that arrive in this group's states.

        Args:
            sources: (S,) state from which the configuration of each state comes.
            here: of the states of this group whose configurations leave.
        """
        arrived: dict[int, Configuration] = {}
        requests = []
        coming: dict[int, npt.NDArray[np.float64]] = {}
        for target, source in enumerate(sources):
            if source == target:
                continue
            gives, takes = self.owner[source], self.owner[target]
            if takes == gives == self.group_number:
                arrived[target] = here[int(source)]
            elif gives == self.group_number and self.is_root:
                buffer = here[int(source)].to_buffer()
                # mpi4py keeps the buffer until it is sent
                requests.append(self.roots.Isend(buffer, dest=int(takes), tag=target))
            elif takes == self.group_number:
                # what comes has the size of what leaves
                coming[target] = np.empty_like(here[target].to_buffer())
                if self.is_root:
                    requests.append(self.roots.Irecv(coming[target], source=int(gives), tag=target))
        for request in requests:
            request.Wait()
        for target, buffer in coming.items():
            self.group.Bcast(buffer)
            arrived[target] = Configuration.from_buffer(buffer, len(here[target].rows))
        return arrived


def on_this_machine(world: Any) -> tuple[int, int]:
    """Number of this rank among those on its machine, and how many these are."""
    from mpi4py import MPI

    local = world.Split_type(MPI.COMM_TYPE_SHARED)
    found = local.rank, local.size
    local.Free()
    return found


def choose_gpu(rank: int) -> None:
    """Let a rank see one GPU only: its number on the machine modulo the GPUs that it sees.

    Whatever uses it (pair_style quorum, the GPU package) then takes that one. A launcher that gives
    every rank a GPU of its own has done it already.
    """
    for name in _VISIBLE:
        if name in os.environ:
            devices = [one for one in os.environ[name].split(",") if one.strip()]
            if len(devices) > 1:
                os.environ[name] = devices[rank % len(devices)]
            return
    count = len(list(Path("/dev").glob("nvidia[0-9]*")))
    if count > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(rank % count)


def check_cores(rank: int, n_ranks: int) -> None:
    """Warn if a machine has more ranks than cores; its first rank does."""
    # a rank bound to cores of its own sees only these
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if rank == 0 and cores is not None and n_ranks > cores == os.cpu_count():
        warn(
            f"{n_ranks} ranks share {cores} cores, which is several times slower than {cores} "
            "ranks; start fewer: states of one rank take turns"
        )
