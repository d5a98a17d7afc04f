"""Building, finding and reporting the plugin."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from lammps_tools import BIN, LMP, environment
from quorum_md.cli import main
from quorum_md.engines import lammps_plugin
from quorum_md.errors import QuorumError
from quorum_md.models import density_kernel
from quorum_md.order_parameters import compiled as order_pairs

ROOT = Path(__file__).parents[2]
CMAKE = shutil.which("cmake", path=f"{BIN}:{os.environ['PATH']}") or "cmake"


def test_date_of_lammps():
    assert lammps_plugin.lammps_date("2025.7.22.4.0") == "22 Jul 2025"
    assert lammps_plugin.lammps_date("2026.12.3.0.0") == "3 Dec 2026"


def test_status_build_and_path(capsys):
    assert main(["lammps", "build"]) == 0
    assert main(["lammps"]) == 0
    shown = capsys.readouterr().out
    folder = lammps_plugin.build_folder()
    assert f"plugin            {folder}" in shown
    assert main(["lammps", "path"]) == 0
    assert capsys.readouterr().out.strip() == str(folder)
    assert lammps_plugin.plugin_folder() == str(folder)


def test_unbuilt_is_empty_and_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert lammps_plugin.plugin_folder() == ""
    assert main(["lammps"]) == 1
    assert "not built for these versions; run `quorum lammps build`" in capsys.readouterr().out
    assert main(["lammps", "path"]) == 2
    assert "quorum lammps build" in capsys.readouterr().err


def test_entry_point_never_raises(monkeypatch):
    def broken():
        raise OSError("a disk that went away")

    monkeypatch.setattr(lammps_plugin, "source_folder", broken)
    assert lammps_plugin.plugin_folder() == ""


def test_what_is_missing_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with monkeypatch.context() as m:
        m.setenv("CXX", "no-such-compiler")
        with pytest.raises(QuorumError, match=r"no C\+\+ compiler .* set CXX"):
            lammps_plugin.build()
    with monkeypatch.context() as m:
        m.setattr(lammps_plugin, "find_mpi_header", lambda: None)
        with pytest.raises(QuorumError, match="pip install mpich"):
            lammps_plugin.build()
    with monkeypatch.context() as m:
        known = lammps_plugin.installed_version
        m.setattr(lammps_plugin, "installed_version", lambda n: None if n == "lammps" else known(n))
        assert main(["lammps", "build"]) == 2
        assert "quorum-md[lammps]" in capsys.readouterr().err
    with monkeypatch.context() as m:
        m.setenv("CXX", "false")
        with pytest.raises(QuorumError, match="its messages are in"):
            lammps_plugin.build()
    assert not list((tmp_path / "quorum-md").glob("lammps-building*"))


def test_wheel_has_the_sources_and_lammps_finds_it(tmp_path, lj_file):
    """A wheel, installed beside everything else: the style is there with nothing set."""
    source = tmp_path / "source"
    skip = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "tests", "examples")
    shutil.copytree(ROOT, source, ignore=skip)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    flags = ["--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "wheel", ".", *flags, "-w", tmp_path], cwd=source, check=True)
    wheel = next(tmp_path.glob("*.whl"))
    site = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True)
    inside = site / "quorum_md" / "engines" / "lammps_plugin_src"
    names = {path.name for path in inside.iterdir()}
    assert names == {path.name for path in (ROOT / "lammps_plugin" / "src").iterdir()}

    (tmp_path / "in.test").write_text(f"units metal\npair_style quorum {lj_file}\n")
    given = {k: v for k, v in os.environ.items() if k != "LAMMPS_PLUGIN_PATH"}
    given |= {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    lmp = [str(BIN / "lmp"), "-in", "in.test", "-log", "none"]

    def run(command):
        return subprocess.run(command, cwd=tmp_path, env=given, capture_output=True, text=True)

    # the cache has the plugin of the source tree, whose key is another only by the folder of data
    before = run(lmp)
    assert "Unrecognized pair style 'quorum'" in before.stdout, before.stdout + before.stderr
    built = run([sys.executable, "-m", "quorum_md.cli", "lammps", "build"])
    assert built.returncode == 0, built.stderr
    assert "LAMMPS loads it by itself" in built.stdout
    after = run(lmp)
    assert after.returncode == 0 and "Loaded 1 plugins" in after.stdout, after.stdout


def test_start_up_is_not_slowed(tmp_path):
    """Without the style: the same output, and no torch in the process (memory within 10 MB)."""
    script = tmp_path / "in.test"
    script.write_text('print "hello"\n')
    with_plugin = environment()
    without = {k: v for k, v in with_plugin.items() if k != "LAMMPS_PLUGIN_PATH"}
    peaks = []
    for env in (without, with_plugin):
        code = (
            "import resource, subprocess, sys\n"
            f"r = subprocess.run([{str(LMP)!r}, '-in', {str(script)!r}, '-log', 'none'], "
            "capture_output=True, text=True)\n"
            "assert r.returncode == 0 and 'hello' in r.stdout, r.stdout + r.stderr\n"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        peaks.append(float(done.stdout))
    assert peaks[1] - peaks[0] < 10.0


def configure_with_cmake(folder):
    """For a LAMMPS of one's own; here the headers of the wheel stand for its source tree."""
    headers = lammps_plugin.toolchain().lammps_includes
    tree = folder / "lammps" / "src"
    shutil.copytree(headers[0], tree)
    (tree / "version.h").write_text('#define LAMMPS_VERSION "22 Jul 2025"\n')
    configure = [
        *(CMAKE, "-S", str(ROOT / "lammps_plugin"), "-B", str(folder / "build")),
        *(f"-DLAMMPS_SOURCE_DIR={tree.parent}", f"-DPython_EXECUTABLE={sys.executable}"),
        f"-DMPI_INCLUDE_DIR={headers[1]}",
    ]
    subprocess.run(configure, check=True, capture_output=True)
    return folder / "build"


def test_cmake_has_the_sources_of_the_wheel(tmp_path):
    """Both ways of building know the same files, and configuring finds what is needed."""
    text = (ROOT / "lammps_plugin" / "CMakeLists.txt").read_text()
    listed = re.findall(r"src/(\w+\.cpp)", text)
    sources = (
        lammps_plugin.PLUGIN_SOURCES + lammps_plugin.PAIR_SOURCES + lammps_plugin.TORCH_SOURCES
    )
    assert sorted(listed) == sorted(sources)
    present = {path.name for path in (ROOT / "lammps_plugin" / "src").glob("*.cpp")}
    assert present == set(sources) | set(density_kernel.SOURCES) | set(order_pairs.SOURCES)
    build = configure_with_cmake(tmp_path)
    assert "22 Jul 2025" in "".join(p.read_text() for p in build.rglob("flags.make"))


@pytest.mark.slow
def test_cmake_builds_the_same(tmp_path):
    build = configure_with_cmake(tmp_path)
    subprocess.run([CMAKE, "--build", str(build)], check=True, capture_output=True)
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        script = Path(folder) / "in.test"
        script.write_text("units metal\npair_style quorum nbmotaw\n")
        env = environment() | {"LAMMPS_PLUGIN_PATH": str(build)}
        done = subprocess.run([str(LMP), "-in", script, "-log", "none"], env=env, cwd=folder)
        assert done.returncode == 0
