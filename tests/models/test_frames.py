"""Reading structures, packed or not."""

import bz2
import gzip
import lzma

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from quorum_md.errors import QuorumError
from quorum_md.models.frames import groups_of, read_frames, reference_energies


@pytest.fixture
def data(tmp_path):
    frames = []
    for i in range(3):
        atoms = bulk("Nb", "bcc", 3.3 + 0.01 * i)
        atoms.calc = SinglePointCalculator(atoms, energy=-10.0 - i)
        if i:
            atoms.info["config_type"] = "strained"
        frames.append(atoms)
    path = tmp_path / "a.extxyz"
    ase.io.write(path, frames)
    return path


@pytest.mark.parametrize("opener", [lzma.open, gzip.open, bz2.open])
def test_packed_files_read_like_plain_ones(data, opener):
    suffix = {lzma.open: ".xz", gzip.open: ".gz", bz2.open: ".bz2"}[opener]
    packed = data.with_name(data.name + suffix)
    with opener(packed, "wt") as handle:
        handle.write(data.read_text())
    plain, unpacked = read_frames(data), read_frames(packed)
    np.testing.assert_array_equal(reference_energies(unpacked, packed), [-10, -11, -12])
    assert groups_of(unpacked) == ["ungrouped", "strained", "strained"]
    for a, b in zip(plain, unpacked, strict=True):
        np.testing.assert_array_equal(a.cell, b.cell)


def test_files_that_hold_nothing_usable(data, tmp_path):
    with pytest.raises(QuorumError, match="no such file"):
        read_frames(tmp_path / "none.xyz")
    broken = tmp_path / "broken.extxyz.xz"
    broken.write_bytes(b"not xz")
    with pytest.raises(QuorumError, match="ASE cannot read it"):
        read_frames(broken)
    empty = tmp_path / "empty.xyz"
    empty.write_text("")
    with pytest.raises(QuorumError, match=r"empty\.xyz"):
        read_frames(empty)
    with pytest.raises(QuorumError, match="structure 0 has no 'free'"):
        reference_energies(read_frames(data), data, "free")
    text = data.read_text().replace("energy=-11.0", "energy=nan")
    data.write_text(text)
    with pytest.raises(QuorumError, match="energy of structure 1 is nan"):
        reference_energies(read_frames(data), data)
