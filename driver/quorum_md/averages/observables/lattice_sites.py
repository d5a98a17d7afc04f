"""Which atom sits on which site of an ideal structure: crystals in which atoms vibrate, and swap,
but do not wander off."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ...errors import QuorumError
from .frames import Array, Codes, Frames
from .neighbours import nearest, with_images

_ROUNDS = 3  # of assigning atoms and removing the drift of the crystal
_MARGIN = 1.5  # images of sites around the cell, in units of their nearest distance


@dataclass
class SiteAssignment:
    """The sites and how atoms find theirs.

    Attributes:
        frames: the ideal structure, one frame.
        fractions: (N, 3) sites in fractions of the cell.
        spacing_A: shortest distance between sites.
    """

    frames: Frames
    fractions: Array
    spacing_A: float

    @classmethod
    def of(cls, first: Frames, source: str) -> "SiteAssignment":
        """Sites of the first frame ("first") or of the first frame of a file.

        Raises:
            QuorumError: the file has another number of atoms.
        """
        if source == "first":
            frames = first.part(slice(0, 1))
        else:
            from .trajectory import first_structure

            frames = first_structure(source)
            if frames.n_atoms != first.n_atoms or not frames.pbc.all():
                raise QuorumError(
                    f"{source}: has {frames.n_atoms} sites, but the trajectory has "
                    f"{first.n_atoms} atoms; expected a periodic structure with one site per atom"
                )
        fractions = (frames.positions @ np.linalg.inv(frames.cells))[0]
        _, vectors = nearest(frames.positions[0], frames.cells[0], frames.pbc, 1)
        spacing = float(np.linalg.norm(vectors, axis=-1).min())
        return cls(frames, fractions - np.floor(fractions), spacing)

    def species_on_sites(self, frames: Frames) -> Codes:
        """(F, N) species of the atom on each site.

        Raises:
            QuorumError: two atoms on one site.
        """
        codes = np.empty((len(frames), frames.n_atoms), dtype=np.int16)
        fractions = frames.positions @ np.linalg.inv(frames.cells)
        offset = np.zeros(3)  # of the crystal as a whole, which may drift
        site: NDArray[np.intp] | None = None
        for row in range(len(frames)):
            found = self._assign(fractions[row], frames.cells[row], offset, site)
            if found is None:
                # another origin than that of the ideal structure, or than the frame before: frames
                # of one state of replica exchange are of crystals that drifted apart
                for start in fractions[row][0] - self.fractions[:8]:
                    found = self._assign(fractions[row], frames.cells[row], start, None)
                    if found is not None:
                        break
            if found is None:
                raise QuorumError(
                    f"short-range order: step {frames.steps[row]} has more than one atom on a "
                    "site, expected one on each; the crystal has defects or has melted, or these "
                    'are not its sites: count by distance (lattice="bcc" or windows_A)'
                )
            site, offset = found
            codes[row, site] = frames.species[row]
        return codes

    def _assign(
        self,
        fractions: Array,
        cell: Array,
        offset: Array,
        before: NDArray[np.intp] | None,
    ) -> tuple[NDArray[np.intp], Array] | None:
        """Site of each atom and the drift, or None if they are not one to one."""
        for _ in range(_ROUNDS):
            placed = fractions - offset
            site = self._nearest(placed, cell, before)
            residual = placed - self.fractions[site]
            residual -= np.rint(residual)
            offset = offset + residual.mean(axis=0)
            if (np.bincount(site, minlength=len(site)) == 1).all():
                return site, offset
            before = None
        return None

    def _nearest(
        self, placed: Array, cell: Array, before: NDArray[np.intp] | None
    ) -> NDArray[np.intp]:
        """(N,) nearest site of each atom; most are still where they were."""
        everyone = np.arange(len(placed))
        if before is not None:
            residual = placed - self.fractions[before]
            residual -= np.rint(residual)
            # nearer than half the distance of two sites: no other site can be nearer
            moved = np.linalg.norm(residual @ cell, axis=1) >= 0.45 * self.spacing_A
            everyone = np.flatnonzero(moved)
            if not len(everyone):
                return before
        site = np.empty(len(placed), dtype=np.intp) if before is None else before.copy()
        _, images, source, _ = with_images(
            self.fractions @ cell, cell, np.ones(3, dtype=bool), _MARGIN * self.spacing_A
        )
        wanted = placed[everyone] - np.floor(placed[everyone])
        _, index = cKDTree(images).query(wanted @ cell)
        site[everyone] = source[index]
        return site
