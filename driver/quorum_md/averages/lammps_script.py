"""What the script lines in a LAMMPS log say about a run: units, potential, ensemble.

Averages are reweighted in a canonical ensemble, at constant volume or pressure (the weights of two
members at one pressure differ by their energies alone). So the thermostat is looked for by name,
and what is known to sample something else (Berendsen, ramps, constant energy) is named as a
problem. Of commands that are not echoed nothing is assumed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from .lammps_log import Command

# style: position of the first and last temperature among its arguments; None: after keyword temp
_THERMOSTATS: dict[str, int | None] = {
    "nvt": None,
    "npt": None,
    "rigid/nvt": None,
    "rigid/npt": None,
    "rigid/nvt/small": None,
    "rigid/npt/small": None,
    "langevin": 0,
    "temp/csvr": 0,
    "temp/csld": 0,
    "gjf": 0,
    "gld": 0,
    "gle": 1,
    "ffl": 1,
}
_BAROSTATS = ("npt", "nph", "rigid/npt", "rigid/nph", "press/langevin")
# (position of the temperature among the arguments) of moves that need the same one
_MOVES = {"atom/swap": 3, "sgcmc": 2}
_NOT_CANONICAL = {
    "temp/berendsen": "does not sample the canonical ensemble",
    "temp/rescale": "does not sample the canonical ensemble",
    "press/berendsen": "does not sample the fluctuations of the volume",
    "nve/limit": "limits how far atoms move",
    "deform": "drives the box",
    "nvt/sllod": "drives a flow",
    "nvt/uef": "drives a flow",
    "npt/uef": "drives a flow",
    "heat": "drives a flow of heat",
    "ehex": "drives a flow of heat",
    "thermal/conductivity": "drives a flow of heat",
    "msst": "drives a shock",
    "nphug": "drives a shock",
    "qtb": "samples quantum statistics approximately",
    "qbmsst": "drives a shock",
}
# fixes that are no thermostat: with `fix nve` and only these, the energy is constant
_NO_THERMOSTAT = frozenset(
    "nve pair print momentum recenter vector halt store/state store/force numdiff "
    "numdiff/virial dt/reset balance external".split()
)
_SUFFIXES = ("omp", "kk", "gpu", "intel", "opt")
_PRESSURE_KEYWORDS = frozenset(("iso", "aniso", "tri", "x", "y", "z"))
_NEW_SYSTEM = ("create_box", "read_data", "change_box", "create_atoms", "delete_atoms",
               "replicate", "read_dump")  # fmt: skip
_OTHER_ENERGIES = ("bond_style", "angle_style", "dihedral_style", "improper_style", "kspace_style")


@dataclass(frozen=True)
class Fix:
    """`fix ID group style args`, without the suffix of an accelerator."""

    style: str
    args: tuple[str, ...]


@dataclass(frozen=True)
class Ensemble:
    """What was sampled, as far as the log says.

    Attributes:
        temperature_K: None if no thermostat is known.
        pressure: in the units of the log; None at constant volume, or if it is not known.
        constant_volume: None if nothing is known.
        problem: why averages cannot be made from it, or "".
        constant_energy: `fix nve`, and nothing that could be a thermostat.
    """

    temperature_K: float | None = None
    pressure: float | None = None
    constant_volume: bool | None = None
    problem: str = ""
    constant_energy: bool = False


@dataclass(frozen=True)
class Script:
    """The state of a script when a table was written.

    Attributes:
        echoed: commands are in the log.
        units: None if they were not said (a restart file restores them without a word).
        norm: of thermo_modify; None: the default.
        pair: the words of pair_style and of every pair_coeff since.
        others: further contributions to the potential energy, as commands.
        fixes, computes: by ID; a compute is (style, *args).
        continues: the process began with read_restart.
        system: counts boxes and changes of them after the first table.
    """

    echoed: bool = False
    units: str | None = None
    norm: bool | None = None
    pair: tuple[tuple[str, ...], ...] = ()
    others: tuple[str, ...] = ()
    fixes: dict[str, Fix] = field(default_factory=dict)
    computes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    continues: bool = False
    system: int = 0

    @property
    def pair_style(self) -> tuple[str, ...]:
        """Words after pair_style; empty if it is not known."""
        return self.pair[0] if self.pair else ()

    def is_external(self, identity: str) -> bool:
        """Whether a fix of that ID takes forces from a program outside, as Python's do."""
        return identity in self.fixes and self.fixes[identity].style == "external"

    def other_energies(self, vector: str) -> tuple[str, ...]:
        """What adds to the potential energy besides the style or fix that has the members.

        Args:
            vector: of the member energies, "c_members" or "f_members".
        """
        if not self.pair_style:
            return ("the log echoes no pair_style",)
        own = f"fix_modify {vector[2:]} energy"
        others = tuple(other for other in self.others if not other.startswith(own))
        silent = ("zero", "none") if vector[:2] == "f_" and self.is_external(vector[2:]) else ()
        style = self.pair_style[0]
        if style not in (silent or ("quorum",)):
            others = (f"pair_style {style}", *others)
        return tuple(dict.fromkeys(others))

    def ensemble(self) -> Ensemble:
        """What the fixes sample."""
        return _ensemble(self.fixes)


def follow(commands: list[Command], lines: Iterable[int], before: Script) -> Iterator[Script]:
    """The state of the script at each of the given lines (increasing).

    Args:
        before: the state that an earlier log of the same run ended with.
    """
    state = replace(before, fixes={}, computes={}, others=(), norm=None, echoed=False)
    state = replace(state, continues=False)
    waiting, seen_table = list(commands), False
    for line in lines:
        while waiting and waiting[0].line < line:
            state = _after(state, waiting.pop(0).words, seen_table)
        seen_table = True
        yield state


def _after(s: Script, words: tuple[str, ...], seen_table: bool) -> Script:
    """The state after one command."""
    name, args = words[0], words[1:]
    if name == "LAMMPS":
        return replace(
            s, fixes={}, computes={}, others=(), norm=None, continues=False, echoed=False
        )
    s = replace(s, echoed=True)
    if name == "clear":
        return replace(s, units=None, pair=(), others=(), fixes={}, computes={}, norm=None)
    if name == "read_restart":
        return replace(s, continues=True)
    if name in _NEW_SYSTEM or (name == "set" and "type" in " ".join(args)):
        return replace(s, system=s.system + seen_table)
    if name == "units" and args:
        return replace(s, units=args[0])
    if name == "pair_style":
        return replace(s, pair=(args,))
    if name == "pair_coeff":
        return replace(s, pair=(*s.pair, args))
    if name in _OTHER_ENERGIES and args[:1] not in ((), ("none",), ("zero",)):
        return replace(s, others=(*s.others, f"{name} {args[0]}"))
    if name == "thermo_style":
        return replace(s, norm=None)  # it forgets what thermo_modify said
    if name == "thermo_modify":
        pairs = dict(zip(args[:-1], args[1:], strict=True))
        if "norm" in pairs:
            return replace(s, norm=pairs["norm"] in ("yes", "on", "true"))
        return s
    if name == "compute" and len(args) >= 3:
        return replace(s, computes={**s.computes, args[0]: args[2:]})
    if name == "uncompute" and args:
        return replace(s, computes={k: v for k, v in s.computes.items() if k != args[0]})
    if name == "fix" and len(args) >= 3:
        return replace(s, fixes={**s.fixes, args[0]: Fix(_plain(args[2]), args[3:])})
    if name == "unfix" and args:
        return replace(s, fixes={k: v for k, v in s.fixes.items() if k != args[0]})
    if name == "fix_modify" and args:
        pairs = dict(zip(args[1:-1], args[2:], strict=True))
        if pairs.get("energy") in ("yes", "on", "true"):
            return replace(s, others=(*s.others, f"fix_modify {args[0]} energy yes"))
    return s


def _plain(style: str) -> str:
    stem, _, suffix = style.rpartition("/")
    return stem if stem and suffix in _SUFFIXES else style


def _ensemble(fixes: dict[str, Fix]) -> Ensemble:
    problem = ""
    temperatures: dict[str, float] = {}
    pressures: dict[str, float] = {}
    barostat = False
    for identity, fix in fixes.items():
        name = f"fix {identity} ({fix.style})"
        if fix.style in _NOT_CANONICAL:
            problem = problem or f"{name} {_NOT_CANONICAL[fix.style]}"
        if fix.style in _THERMOSTATS:
            first, last = _temperatures(fix)
            if first is not None and first == last:
                temperatures[name] = first
            elif first is not None:
                problem = problem or f"{name} ramps the temperature from {first:g} to {last:g} K"
        elif fix.style in _MOVES and len(fix.args) > _MOVES[fix.style]:
            value = _number(fix.args[_MOVES[fix.style]])
            if value is not None:
                temperatures[name] = value
        if fix.style in _BAROSTATS:
            barostat = True
            for start, stop in _pressures(fix):
                if start != stop:
                    problem = problem or f"{name} ramps the pressure from {start:g} to {stop:g}"
                pressures[f"{name} {len(pressures)}"] = stop
    kelvin = None
    if temperatures:
        kelvin = next(iter(temperatures.values()))
        other = next((k for k, v in temperatures.items() if abs(v / kelvin - 1) > 1e-6), None)
        if other is not None:
            first_name = next(iter(temperatures))
            problem = problem or (
                f"{first_name} is at {kelvin:g} K, but {other} at {temperatures[other]:g} K"
            )
    styles = {fix.style for fix in fixes.values()}
    idle = {s for s in styles if s in _NO_THERMOSTAT or s.startswith(("ave/", "store/"))}
    different = set(pressures.values())
    return Ensemble(
        kelvin,
        different.pop() if len(different) == 1 else None,
        None if not fixes else not barostat,
        problem,
        "nve" in styles and idle == styles,
    )


def _temperatures(fix: Fix) -> tuple[float | None, float | None]:
    position = _THERMOSTATS[fix.style]
    if position is None:
        if "temp" not in fix.args:
            return None, None
        position = fix.args.index("temp") + 1
    words = fix.args[position : position + 2]
    if len(words) < 2:
        return None, None
    first, last = (_number(word) for word in words)
    return (first, last) if first is not None and last is not None else (None, None)


def _pressures(fix: Fix) -> list[tuple[float, float]]:
    found = []
    for k, word in enumerate(fix.args):
        if word in _PRESSURE_KEYWORDS and len(fix.args) > k + 2:
            start, stop = _number(fix.args[k + 1]), _number(fix.args[k + 2])
            if start is not None and stop is not None:
                found.append((start, stop))
    return found


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None
