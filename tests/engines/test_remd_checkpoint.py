"""Checkpoints: complete or not there, and what is damaged is named."""

import os
import shutil

import numpy as np
import pytest

from quorum_md.engines.remd_checkpoint import (
    MAGIC,
    Checkpoints,
    read_forces,
    restart_name,
    write_forces,
)
from quorum_md.errors import QuorumError


def write(checkpoints, attempt, end=MAGIC):
    checkpoints.begin(attempt)
    (checkpoints.part(attempt) / restart_name(0)).write_bytes(b"atoms" + end)
    write_forces(checkpoints.part(attempt), 0, np.arange(6.0).reshape(2, 3))
    checkpoints.finish(attempt, {"exchange": {"number": attempt}}, 2)


@pytest.fixture
def checkpoints(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2)
    for attempt in (0, 10, 20):
        write(checkpoints, attempt)
    return checkpoints


def test_a_file_that_is_not_seen(checkpoints):
    with pytest.raises(QuorumError, match="2 of 3 files are to be seen"):
        checkpoints.begin(30)
        (checkpoints.part(30) / restart_name(0)).write_bytes(b"atoms" + MAGIC)
        write_forces(checkpoints.part(30), 0, np.zeros((2, 3)))
        checkpoints.finish(30, {}, 3)
    assert checkpoints.found() == [10, 20]


def test_newest_is_read_and_old_ones_go(checkpoints):
    assert checkpoints.found() == [10, 20]
    content = checkpoints.read()
    assert content["attempt"] == content["exchange"]["number"] == 20
    np.testing.assert_array_equal(
        read_forces(checkpoints.place(20), 0), [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    )
    with pytest.raises(QuorumError, match="state-001.forces: cannot be read"):
        read_forces(checkpoints.place(20), 1)
    write(checkpoints, 20)  # again, after a run that went on from 10
    assert checkpoints.found() == [10, 20]


def test_half_a_checkpoint_is_none(checkpoints, monkeypatch):
    with pytest.raises(QuorumError, match="000030.*state-000.restart is not complete.*last one is"):
        write(checkpoints, 30, end=MAGIC[:-3])
    assert checkpoints.found() == [10, 20]
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space")))
    with pytest.raises(QuorumError, match="cannot be written \\(No space\\)"):
        write(checkpoints, 30)
    assert checkpoints.found() == [10, 20] and checkpoints.read()["attempt"] == 20


@pytest.mark.parametrize("name", ["state-000.restart", "state-000.forces", "manifest.json"])
@pytest.mark.parametrize("how", ["bit", "short", "gone"])
def test_damage_is_named(name, how, checkpoints):
    path = checkpoints.place(20) / name
    data = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(data[:-5] if how == "short" else bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(QuorumError) as error:
        checkpoints.read()
    message = str(error.value)
    assert "000020: " in message and "to continue from" in message and "000010" in message
    shutil.rmtree(checkpoints.place(20))
    assert checkpoints.read()["attempt"] == 10
    shutil.rmtree(checkpoints.place(10))
    with pytest.raises(QuorumError, match="has no checkpoint; start the run without --resume"):
        checkpoints.read()
