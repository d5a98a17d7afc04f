"""The LAMMPS scripts of a run, looked at before anything starts.

LAMMPS itself says what it does not understand. Here is what it would do wrongly
without a word.
"""

from __future__ import annotations

import hashlib
import re

from ..errors import QuorumError
from .lammps_scripts import Line, law_of, named_files, read_script, read_text
from .remd_input import RemdFile

# commands that would move atoms, or make them, at every start of a script
_ONCE = (
    *("run", "minimize", "rerun", "temper", "velocity", "displace_atoms", "create_atoms"),
    *("create_box", "read_data", "read_restart", "read_dump", "reset_timestep", "set", "clear"),
)
# fixes that change composition or number of atoms, and words that make them do so
_OPEN = {"sgcmc": "", "gcmc": "", "deposit": "", "evaporate": "", "atom/swap": "semi-grand"}
_OPEN_SWAPS = {"sgc", "vcsgc"}
_SWAPS = {"quorum/swap", "atom/swap"}


def check_scripts(file: RemdFile) -> None:
    """Look at both scripts of a run.toml.

    Raises:
        QuorumError: no such script, a command that must not be done again, a variable of ours that
            the script of the run does not use, a file that all states would write.
    """
    lammps, states = file.settings.lammps, file.settings.states
    read_text(file.place, lammps.structure, _where(file, "structure"))
    lines = script_lines(file)
    all_temperatures = len(set(states.temperatures_K)) > 1
    swaps = any(one.words[:1] == ["fix"] and _SWAPS & set(one.words) for one in lines)
    text = "\n".join(one.text for one in lines)
    for one in lines:
        problem = _problem(one.text, text, swaps, all_temperatures)
        if problem:
            raise QuorumError(
                f"{file.path}: [lammps]: script: {one.file}: line {one.number}: {problem}"
            )
    if any(one.words[:1] in (["include"], ["jump"]) and "$" in one.text for one in lines):
        return  # what others use is not known
    for name in states.variables:
        if not _uses(text, name):
            raise QuorumError(
                f"{file.path}: [states]: variables: {name}: {lammps.script} does not use "
                f"${{{name}}}; write it where the potentials of the states differ, or leave it out"
            )
    if all_temperatures and not _uses(text, "temperature"):
        raise QuorumError(
            f"{file.path}: [lammps]: script: {lammps.script} does not use ${{temperature}}, so all "
            "states would run at one temperature; write it where the thermostat has its own"
        )
    if states.pressure_GPa is not None and not _uses(text, "pressure"):
        raise QuorumError(
            f"{file.path}: [states]: pressure_GPa: {lammps.script} does not use ${{pressure}}; "
            "write it where the barostat has its own, or leave out pressure_GPa at constant volume"
        )


def script_lines(file: RemdFile) -> list[Line]:
    """Commands of the script of the run, those of files that it includes among them."""
    return read_script(file.place, file.settings.lammps.script, _where(file, "script"))


def script_identity(file: RemdFile) -> dict[str, str]:
    """SHA-256 of what decides the law of every state: commands, variables, files that they name.

    A run is continued with the ones that it began with.
    """
    lines = script_lines(file)
    text = f"{law_of(lines)}\n{sorted(file.settings.lammps.variables.items())}"
    files = named_files(file.place, lines)
    own = hashlib.sha256(text.encode()).hexdigest()
    return files | {file.settings.lammps.script: own}


def _where(file: RemdFile, key: str) -> str:
    return f"{file.path}: [lammps]: {key}"


def _problem(line: str, text: str, swaps: bool, all_temperatures: bool) -> str:
    words = line.split()
    if words[0] in _ONCE:
        return (
            f"`{words[0]}` would be done again after every checkpoint; leave out `run`, and put "
            "what makes the start into [lammps] structure"
        )
    if words[0] == "group" and len(words) > 2:
        return _group_problem(words[2], swaps)
    if words[0] == "fix":
        return _fix_problem(words, line, all_temperatures) or _file_problem(words, text)
    return _file_problem(words, text)


def _group_problem(style: str, swaps: bool) -> str:
    """A group is of atom IDs, and would be made again after every checkpoint."""
    if style in ("region", "variable") or (style == "type" and swaps):
        others = "what swaps make" if style == "type" else "where atoms are then"
        return (
            f"a group by {style} grows after every checkpoint by {others}, and does not follow "
            "configurations; make it in [lammps] structure by atom IDs, or let it be `dynamic`"
        )
    return ""


def _fix_problem(words: list[str], line: str, all_temperatures: bool) -> str:
    """What a fix would do wrongly when configurations go from state to state."""
    kind = words[3] if len(words) > 3 else ""
    if (kind in _OPEN and _OPEN[kind] in line) or (
        kind == "quorum/swap" and _OPEN_SWAPS & set(words)
    ):
        return (
            f"fix {kind} changes the composition, which goes along with a configuration, but "
            "decisions know nothing of chemical potentials; take swaps that keep it, or run the "
            "temperatures one by one"
        )
    if re.search(r"\slangevin\s.*\sgjf\s+(?!no)", line):
        return (
            "fix langevin with gjf keeps noise of its own for atoms, which does not go along with "
            "configurations; leave out gjf"
        )
    if kind == "quorum/swap" and "${seed}" in words:
        return (
            "${seed} of fix quorum/swap is another one after every checkpoint, but its chain "
            "continues with one seed; write ${chain_seed}"
        )
    place = {"quorum/swap": 7, "atom/swap": 7}.get(kind)
    if all_temperatures and place is not None and len(words) > place:
        kelvin = words[place]
        if re.fullmatch(r"[-+.\deE]+", kelvin):
            return (
                f"fix {kind} makes its trials at {kelvin} K in all states; write ${{temperature}}"
            )
    return ""


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
