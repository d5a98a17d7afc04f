"""Logs in the formats of LAMMPS 22 Jul 2025, for tests that need to know every number in them."""

KCAL_MOL_EV = 0.0433641153087705
SCRIPT = """\
units metal
read_data alloy.data
  216 atoms
pair_style quorum committee.pt
pair_coeff * * Nb Mo   # ${not} a variable
compute members all pair quorum
thermo_style custom step temp pe vol c_members[*]
"""
NVT = """\
fix nvt all nvt temp ${T} $(v_T) 0.1
fix nvt all nvt temp 300 $(v_T) 0.1
fix nvt all nvt temp 300 300 0.1
"""
AFTER = """\
Loop time of 1.25 on 2 procs for {steps} steps with 216 atoms

99.0% CPU use with 2 MPI tasks x 1 OpenMP threads

Nlocal:            108 ave         110 max         106 min
"""


def columns(run, vector="c_members"):
    """Names and (n,) values of the columns of a thermo table."""
    found = {"Temp": run["temperature"], "PotEng": run["potential"], "Volume": run["volume"]}
    for k in range(run["energies"].shape[1]):
        found[f"{vector}[{k + 1}]"] = run["energies"][:, k]
    return found


def one(run, steps, *, factor=1.0, number="{:.17g}", vector="c_members", extra="", table=None):
    """A table of one line per step, as `run` writes it."""
    table = columns(run, vector) if table is None else table
    energies = {"PotEng", *(name for name in table if name.startswith(vector))}
    lines = ["Per MPI rank memory allocation (min/avg/max) = 3.1 | 3.1 | 3.1 Mbytes\n"]
    lines.append("   Step     " + "  ".join(f"{name:>12}" for name in table) + "\n")
    for n, step in enumerate(steps):
        words = [
            number.format(v[step] * (factor if k in energies else 1)) for k, v in table.items()
        ]
        lines.append(f"{step:10d}   " + "   ".join(words) + "\n")
        if extra and n == 3:
            lines.append(extra)
    return "".join(lines) + AFTER.format(steps=steps[-1] - steps[0])


def yaml(run, steps):
    """The same in `thermo_style yaml` form."""
    table = columns(run)
    names = "".join(f"'{name}', " for name in ("Step", *table))
    rows = "".join(
        f"  - [{step}, " + "".join(f"{v[step]:.15g}, " for v in table.values()) + "]\n"
        for step in steps
    )
    head = "Per MPI rank memory allocation (min/avg/max) = 3.1 | 3.1 | 3.1 Mbytes\n---\n"
    return head + f"keywords: [{names}]\ndata:\n{rows}...\n" + AFTER.format(steps=len(steps))


def multi(run, steps):
    """The same with `thermo_modify line multi`."""
    lines = ["Per MPI rank memory allocation (min/avg/max) = 3.1 | 3.1 | 3.1 Mbytes\n"]
    for step in steps:
        lines.append(
            f"------------ Step {step:14d} ----- CPU = {0.1 * step:12.7g} (sec) ----------\n"
        )
        words = [f"{name:<8} = {v[step]:22.12f} " for name, v in columns(run).items()]
        lines += ["".join(words[k : k + 3]) + "\n" for k in range(0, len(words), 3)]
    return "".join(lines) + AFTER.format(steps=len(steps))


def log(*parts, script=SCRIPT, thermostat=NVT):
    """A whole log: header, echoed script, and what each run wrote."""
    head = "LAMMPS (22 Jul 2025 - Update 4)\n  using 1 OpenMP thread(s) per MPI task\n"
    return head + script + thermostat + "".join(parts)
