"""The inputs to copy run as they are, and give numbers that make sense."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from ipi_tools import finish, read_properties, start
from lammps_tools import environment, run_lammps
from quorum_md.averages.colvar import read_colvar

INPUTS = Path(__file__).parents[2] / "inputs" / "lammps"


@pytest.mark.parametrize("name", ["in.nvt", "in.npt", "in.swap"])
def test_input(name, tmp_path):
    run = run_lammps((INPUTS / name).read_text(), tmp_path, 2, "-var", "steps", "100")
    table = run.thermo()
    members = np.array([table[f"c_members[{k}]"] for k in range(1, 33)])
    assert members.shape == (32, 2)
    np.testing.assert_allclose(members.mean(axis=0), table["PotEng"], rtol=1e-6)
    assert (members.std(axis=0, ddof=1) > 0).all()
    assert np.isfinite(table["Press"]).all() and 0 < table["Temp"][1] < 1000
    if name == "in.nvt":
        assert 0 < table["c_largest"][1] < 1.0
        assert len((tmp_path / "nvt.dump").read_text().splitlines()) == 432 + 9
    elif name == "in.swap":
        assert 0.05 < table["v_accepted"][1] < 0.9 and 0 < table["v_accepted_12"][1] < 1
        assert table["f_mc[4]"][1] < 1e-3
        assert len((tmp_path / "swap.rdf").read_text().splitlines()) > 60
    else:
        assert table["Volume"][0] != table["Volume"][1]
        assert 3.1 < table["v_lattice_A"][1] < 3.4


def test_pinning(tmp_path):
    """Half a box of argon is melted, and the bias holds the number of crystalline atoms."""
    words = ("-var", "nx", "4", "-var", "nz", "8", "-var", "melting", "500", "-var", "steps", "400")
    run = run_lammps((INPUTS / "in.pin").read_text(), tmp_path, 2, *words)
    table = run.thermo()
    np.testing.assert_allclose(table["PotEng"] - table["f_pin"], table["v_physical"], rtol=1e-6)
    assert "f_pin[1] = cv.morethan" in run.output
    n, q = 4 * 4 * 4 * 8, table["f_pin[1]"]
    # before the bias has worked most atoms were still on their sites
    assert abs(q[-1] - 0.49 * n) < 0.5 * abs(q[0] - 0.49 * n)
    assert table["Lz"][-1] > table["Lz"][0]
    rows = read_colvar(tmp_path / "COLVAR")
    np.testing.assert_allclose(rows.column("cv.morethan").values, q, rtol=1e-6)


def test_client_of_ipi(tmp_path):
    """i-PI moves, two ranks of LAMMPS give forces; both write the same potential energies."""
    address = f"quorum-test-{os.getpid()}"
    for name in ("ipi.xml", "in.ipi", "start.data", "start.xyz"):
        text = (INPUTS / name).read_text().replace("quorum-lammps", address)
        (tmp_path / name).write_text(text.replace("> 1000 <", "> 5 <").replace("'10'", "'1'"))
    environment()  # builds the plugin before i-PI waits
    server = start(tmp_path, "i-pi", "ipi.xml")
    socket = Path(f"/tmp/ipi_{address}")
    try:
        for _ in range(600):
            if socket.exists() or server.poll() is not None:
                break
            time.sleep(0.05)
        script = (tmp_path / "in.ipi").read_text()
        client = run_lammps(script, tmp_path, 2, check=False)
        code, out, err = finish(server)
    finally:
        server.kill()
        socket.unlink(missing_ok=True)
    assert code == 0, out + err
    assert "Got EXIT message from i-PI" in client.output, client.output
    rows = [line.split() for line in client.output.splitlines()]
    pe = [float(r[1]) for r in rows if len(r) == 34 and r[0].isdigit()]
    ours = read_properties(tmp_path / "simulation.out")["potential"]
    assert len(ours) == 6
    # fix ipi has rounded conversion factors of its own
    np.testing.assert_allclose(ours, pe[-6:], rtol=1e-6)
