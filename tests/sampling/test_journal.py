"""The journal: rows come back, continue where a checkpoint was, and refuse what is not theirs."""

from dataclasses import replace

import numpy as np
import pytest

from exchange_rows import harmonic_rows, write_journal
from quorum_md.atomic import lock
from quorum_md.errors import QuorumError
from quorum_md.sampling.journal import Journal, read_header, read_rows, reduced_matrix
from quorum_md.units import BOLTZMANN_EV_K, EV_A3_GPA


@pytest.fixture(scope="module")
def run():
    header, rows, _ = harmonic_rows(n=50)
    return header, rows


def test_rows_come_back(run, tmp_path):
    header, rows = run
    write_journal(tmp_path, header, rows)
    again, same = read_rows(tmp_path)
    assert again == header
    np.testing.assert_array_equal(rows, same)
    with open(tmp_path / "journal.bin", "ab") as stream:
        stream.write(b"half a row")
    np.testing.assert_array_equal(rows, read_rows(tmp_path)[1])
    write_journal(tmp_path / "empty", header, rows[:0])
    assert len(read_rows(tmp_path / "empty")[1]) == 0


def test_continues(run, tmp_path):
    header, rows = run
    write_journal(tmp_path, header, rows[:30])
    journal = Journal(tmp_path, header)
    journal.resume(20)
    assert journal.n_rows == 20
    for k in range(20, 50):
        journal.append(rows[k : k + 1])
    journal.sync()
    np.testing.assert_array_equal(journal.rows(45), rows[45:])
    journal.close()
    np.testing.assert_array_equal(read_rows(tmp_path)[1], rows)


def test_one_run_holds_a_folder(tmp_path):
    held = lock(tmp_path / "lock")
    with pytest.raises(QuorumError, match="another run is writing here"):
        lock(tmp_path / "lock")
    held.close()
    lock(tmp_path / "lock").close()
    with pytest.raises(QuorumError, match="cannot be made"):
        lock(tmp_path / "nowhere" / "lock")


def test_refused(run, tmp_path):
    header, rows = run
    write_journal(tmp_path, header, rows)
    with pytest.raises(QuorumError, match="was written with other steps, seed"):
        Journal(tmp_path, replace(header, seed=9, steps=3)).resume(10)
    with pytest.raises(QuorumError, match="has fewer than the 51 rows"):
        Journal(tmp_path, header).resume(51)
    with pytest.raises(QuorumError, match="journal.json: cannot be read"):
        read_header(tmp_path / "nowhere")
    (tmp_path / "journal.json").write_text("{")
    with pytest.raises(QuorumError, match="is damaged"):
        read_header(tmp_path)
    (tmp_path / "journal.json").write_text('{"format": "something else"}')
    with pytest.raises(QuorumError, match="is no journal of this version"):
        read_header(tmp_path)


class HalfFull:
    """A disk that takes a part of what is written."""

    def write(self, data):
        return len(data) // 2


def test_half_a_row_is_no_row(run, tmp_path):
    header, rows = run
    journal = Journal(tmp_path, header)
    journal.begin()
    journal.close()
    journal._file = HalfFull()
    with pytest.raises(QuorumError, match="cannot be written \\(No space left"):
        journal.append(rows[:1])
    assert journal.n_rows == 0


def test_reduced_matrix(run):
    """β_t (E_s + P_t V_s); with potentials that differ, what was asked for."""
    header, rows = run
    header = replace(header, pressures_GPa=(1.0,) * 4)
    beta = 1 / (BOLTZMANN_EV_K * np.array(header.temperatures_K))
    u = reduced_matrix(header, rows[3])
    work = 1.0 / EV_A3_GPA * rows[3]["volume_A3"]
    np.testing.assert_allclose(u, (rows[3]["energy_eV"] + work)[:, None] * beta)
    header = replace(header, pressures_GPa=(None,) * 4, parameters={"k": (1.0, 2.0, 3.0, 4.0)})
    row = np.zeros(1, dtype=header.dtype())[0]
    row["crossed_eV"] = np.arange(16.0).reshape(4, 4)
    row["crossed_eV"][0, 2] = np.nan
    u = reduced_matrix(header, row)
    assert u[0, 2] == np.inf and u[1, 3] == pytest.approx(7 * beta[3])
