"""Metadata is in pyproject.toml; here only what it cannot say.

The sources of the LAMMPS plugin live beside the package (lammps_plugin/src, for users of CMake) and
go into wheels, because the plugin is compiled on the machine where it runs.
"""

from pathlib import Path
from shutil import copytree

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithPluginSources(build_py):
    """The package, and a copy of lammps_plugin/src in it."""

    def run(self) -> None:
        """Build; an editable install finds the sources where they are."""
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib, "quorum_md", "engines", "lammps_plugin_src")
            copytree("lammps_plugin/src", target, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithPluginSources})
