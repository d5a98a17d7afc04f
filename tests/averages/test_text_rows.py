"""Text in chunks: the same numbers and the same words as in one piece, in the memory of numbers."""

import sys
import tracemalloc
from pathlib import Path

import ipi_like
import lammps_like
import numpy as np
import pytest

from quorum_md.averages import extxyz_run, text_rows
from quorum_md.averages.ipi_files import read_committee, read_properties
from quorum_md.averages.lammps_run import load_run
from quorum_md.averages.text_rows import NumberRows
from quorum_md.errors import QuorumError

sys.path.insert(0, str(Path(__file__).parent))


def read(rows, width=3, strict=False):
    numbers = NumberRows("file", "columns", width)
    for number, row in enumerate(rows, 1):
        numbers.add(row, number)
    return numbers.finish(strict=strict)


@pytest.fixture(params=[1, 12, 31, 1 << 20])
def chunk(request, monkeypatch):
    monkeypatch.setattr(text_rows, "_CHUNK_CHARACTERS", request.param)
    monkeypatch.setattr(extxyz_run, "_CHUNK_FRAMES", max(1, request.param // 6))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7, 50])
def test_numbers_whatever_the_chunk(chunk, n):
    expected = np.random.default_rng(n).normal(size=(n, 3))
    rows = [" ".join(f"{x:.17g}" for x in row) for row in expected]
    found, truncated = read(rows)
    np.testing.assert_array_equal(found, expected)
    assert not truncated
    for end in ("1 2", "1 2 x", "1 2 3 4"):
        found, truncated = read([*rows, end])
        np.testing.assert_array_equal(found, expected)
        assert truncated
        with pytest.raises(QuorumError, match=f"line {n + 1}: got .*, expected 3 numbers, columns"):
            read([*rows, end], strict=True)
        with pytest.raises(QuorumError, match=f"line {n + 1}: "):
            read([*rows, end, "1 2 3"])


def test_one_bad_row_is_no_truncated_file(chunk):
    with pytest.raises(QuorumError, match="line 1: got 2 numbers, expected 3 numbers"):
        read(["1 2"])
    with pytest.raises(QuorumError, match="holds no rows of numbers"):
        read([])


def test_short_and_long_rows_do_not_make_up_for_each_other(chunk):
    with pytest.raises(QuorumError, match="line 2: got 2 numbers, expected 3 numbers"):
        read(["1 2 3", "4 5", "6 7 8 9", "1 2 3"])


def test_words_of_numbers(chunk):
    found, _ = read(["nan inf -inf", "1e3 +2 -.5", "#1 2 3"])
    np.testing.assert_array_equal(found, [[np.nan, np.inf, -np.inf], [1000, 2, -0.5]])


def test_a_header_that_grows_after_rows(tmp_path, chunk):
    path = tmp_path / "out"
    head = "# column 1 --> step : s\n# column 2 --> volume{angstrom3} : v\n"
    path.write_text(
        head + "".join(f"{k} 1\n" for k in range(20)) + "# column 3 --> time : t\n2 2\n"
    )
    with pytest.raises(QuorumError, match="line 3: got 2 numbers, expected 3 numbers"):
        read_properties(path)


def files_of(folder, n=60, members=6):
    run = ipi_like.harmonic_run(n, members=members)
    out, committee = ipi_like.write_run(folder, run, stride=1, committee_stride=1)
    log, xyz = folder / "log.lammps", folder / "run.xyz"
    log.write_text(lammps_like.log(f"run {n}\n", lammps_like.one(run, range(n))))
    with open(xyz, "w") as file:
        for t in range(n):
            members_text = " ".join(f"{x:.9f}" for x in run["energies"][t])
            file.write(
                f"1\nProperties=species:S:1:pos:R:3 energy={run['potential'][t]:.9f} step={t} "
                f'energy_ensemble="{members_text}" Lattice="9 0 0 0 9 0 0 0 {9 + t % 7}"\nW 0 0 0\n'
            )
    return run, out, committee, log, xyz


def everything(folder):
    """All numbers and notes that the readers give for files cut at every kind of place."""
    run, out, committee, log, xyz = files_of(folder)
    found = []
    for cut in (0, 1, 9, 30, 100):
        for path, kind in ((out, "out"), (committee, "extras"), (log, "log"), (xyz, "xyz")):
            text = path.read_text()
            end = text.index("Loop time") if kind == "log" and cut else len(text)
            short = folder / f"short.{kind}"
            short.write_text(text[: end - cut])
            if kind == "out":
                table = read_properties(short)
                found += [*(c.values for c in table.columns), table.truncated, table.abandoned]
            elif kind == "extras":
                energies = read_committee(short)
                found += [energies.steps, energies.energies_eV, energies.truncated]
            else:
                loaded = (
                    load_run(short) if kind == "log"
                    else extxyz_run.load_run(short, temperature_K=300)
                )  # fmt: skip
                found += [loaded.steps, loaded.energies_eV, loaded.notes]
                found += [column.values for column in loaded.table.columns]
    return found


def test_all_readers_whatever_the_chunk(tmp_path, monkeypatch):
    whole = everything(tmp_path)
    monkeypatch.setattr(text_rows, "_CHUNK_CHARACTERS", 500)
    monkeypatch.setattr(extxyz_run, "_CHUNK_FRAMES", 7)
    for one, other in zip(whole, everything(tmp_path), strict=True):
        np.testing.assert_array_equal(one, other)


def test_memory_is_that_of_the_numbers(tmp_path):
    n, members = 10_000, 64
    _, out, committee, log, xyz = files_of(tmp_path, n, members)
    numbers = 8 * n * members
    for path, load in (
        (committee, read_committee),
        (log, load_run),
        (xyz, lambda path: extxyz_run.load_run(path, temperature_K=300)),
    ):
        tracemalloc.start()
        load(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert path.stat().st_size > 2 * numbers
        # twice where columns are sorted out of a log, and a few chunks of text
        assert peak < 2.2 * numbers + 5e6, path
