"""Libraries that are compiled where they run: found, loaded, mended."""

import subprocess
from pathlib import Path

import pytest

from quorum_md import native
from quorum_md.errors import QuorumError
from quorum_md.models import probe

SOURCE = """
#include <stdexcept>
extern "C" int three() { try { throw std::runtime_error("3"); } catch (...) { return 3; } }
"""


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """A folder of sources and a cache of their own."""
    (tmp_path / "three.cpp").write_text(SOURCE)
    monkeypatch.setattr(native, "source_folder", lambda: tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def three():
    return native.open_library("a library", "three", ["three.cpp"], ["three*"], []).three()


def test_a_library_that_cannot_be_loaded_is_compiled_again(sources):
    folder = native.kept_folder("three", ["three*"])
    folder.mkdir(parents=True)
    (folder / "libquorum_three.so").write_bytes(b"of another machine")
    assert three() == 3
    assert [path.name for path in folder.iterdir()] == ["libquorum_three.so"]


def test_a_folder_that_lost_its_library_is_filled_again(sources):
    """As those who clean up old files leave it."""
    folder = native.kept_folder("three", ["three*"])
    folder.mkdir(parents=True)
    (folder / "what-is-left").write_text("")
    assert three() == 3


def test_libraries_bring_the_runtime_of_their_compiler(sources):
    """So that they load where its module is not; a compiler may have arguments."""
    assert three() == 3
    (library,) = native.cache_folder().glob("three-*/*.so")
    needed = subprocess.run(["ldd", library], capture_output=True, text=True, check=True).stdout
    assert "libc.so" in needed and "libstdc++" not in needed and "libgcc_s" not in needed


def test_compilers_with_arguments(sources, monkeypatch):
    monkeypatch.setenv("CXX", "env LC_ALL=C g++")
    assert Path(native.find_compiler()[0]).name == "env"
    assert three() == 3


def test_without_a_home(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME")

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(native.Path, "home", no_home)
    monkeypatch.setattr(native.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = native.cache_folder()
    assert folder.parent == tmp_path and folder.stat().st_mode & 0o777 == 0o700
    (tmp_path / "model").write_bytes(b"")
    assert probe._cache_file(tmp_path / "model").parent == native.cache_folder()
    folder.chmod(0o777)
    with pytest.raises(QuorumError, match="others may write to it; set XDG_CACHE_HOME"):
        native.cache_folder()
