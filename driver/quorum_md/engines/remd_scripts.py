"""The LAMMPS scripts of a run, looked at before anything starts.

LAMMPS itself says what it does not understand. Here is what it would do wrongly
without a word.
"""

import re

from ..errors import QuorumError
from .remd_input import RemdFile

# commands that would move atoms, or make them, at every start of a script
_ONCE = (
    *("run", "minimize", "rerun", "temper", "velocity", "displace_atoms", "create_atoms"),
    *("create_box", "read_data", "read_restart", "read_dump", "reset_timestep", "set", "clear"),
)


def check_scripts(file: RemdFile) -> None:
    """Look at both scripts of a run.toml.

    Raises:
        QuorumError: no such script, a command that must not be done again, a variable of ours that
            the script of the run does not use, a file that all states would write.
    """
    lammps, states = file.settings.lammps, file.settings.states
    _read(file, "structure", lammps.structure)
    text = _read(file, "script", lammps.script)
    where = f"{file.path}: [lammps]: script: {lammps.script}"
    for number, line in enumerate(text.splitlines(), 1):
        problem = _problem(line.split("#")[0], text)
        if problem:
            raise QuorumError(f"{where}: line {number}: {problem}")
    if re.search(r"^\s*(include|jump)\s", text, re.MULTILINE):  # what others use is not known
        return
    for name in states.variables:
        if not _uses(text, name):
            raise QuorumError(
                f"{file.path}: [states]: variables: {name}: {lammps.script} does not use "
                f"${{{name}}}; write it where the potentials of the states differ, or leave it out"
            )
    if len(set(states.temperatures_K)) > 1 and not _uses(text, "temperature"):
        raise QuorumError(
            f"{where} does not use ${{temperature}}, so all states would run at one temperature; "
            "write it where the thermostat has its own"
        )
    if states.pressure_GPa is not None and not _uses(text, "pressure"):
        raise QuorumError(
            f"{file.path}: [states]: pressure_GPa: {lammps.script} does not use ${{pressure}}; "
            "write it where the barostat has its own, or leave out pressure_GPa at constant volume"
        )


def _read(file: RemdFile, key: str, name: str) -> str:
    try:
        return file.place(name).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise QuorumError(
            f"{file.path}: [lammps]: {key}: {name} cannot be read ({error.strerror}); give the "
            f"path of a LAMMPS script, relative to {file.path}"
        ) from error


def _problem(line: str, text: str) -> str:
    words = line.split()
    if not words:
        return ""
    if words[0] in _ONCE:
        return (
            f"`{words[0]}` would be done again after every checkpoint; leave out `run`, and put "
            "what makes the start into [lammps] structure"
        )
    if words[0] == "fix" and re.search(r"\slangevin\s.*\sgjf\s+(?!no)", line):
        return (
            "fix langevin with gjf keeps noise of its own for atoms, which does not go along with "
            "configurations; leave out gjf"
        )
    if words[0] == "fix" and "quorum/swap" in words and "${seed}" in words:
        return (
            "${seed} of fix quorum/swap is another one after every checkpoint, but its chain "
            "continues with one seed; write ${chain_seed}"
        )
    return _file_problem(words, text)


def _file_problem(words: list[str], text: str) -> str:
    """A file of the script's own: one for each state, and written on after a checkpoint."""
    grows = words[0] == "dump" or (words[0] == "fix" and {"file", "append"} & set(words))
    if not grows or len(words) < 2:
        return ""
    if not any("${replica}" in word for word in words):
        return "all states would write one file; put ${replica} into its name"
    name = re.escape(words[1])
    appends = re.search(rf"^\s*dump_modify\s+{name}\s.*\bappend\s+yes", text, re.MULTILINE)
    if words[0] == "dump" and not appends:
        return (
            f"the file would begin anew after every checkpoint; add `dump_modify {words[1]} append "
            "yes`, or use trajectory in [output] of run.toml"
        )
    if words[0] == "fix" and "append" not in words:
        return "the file would begin anew after every checkpoint; write `append` for `file`"
    return ""


def _uses(text: str, variable: str) -> bool:
    return re.search(rf"\$\{{{variable}\}}|\bv_{variable}\b", text) is not None
