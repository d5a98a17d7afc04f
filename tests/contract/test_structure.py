"""Rules of the house that code can check: one direction of imports, and no torch in averages."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "driver" / "quorum_md"
# a part may import those to its left
ORDER = [
    "order_parameters",
    "models",
    "sampling",
    "engines",
    "averages",
    "pinning",
    "report",
    "cli",
]
FREE = {"averages", "pinning", "order_parameters", "sampling"}  # of torch, i-PI, LAMMPS
HEAVY = {"torch", "ipi", "lammps", "metatomic", "metatensor", "mpi4py"}


def imports(path):
    """(absolute top-level names, package parts) that a module imports anywhere."""
    names, parts = set(), set()
    inside = path.relative_to(PACKAGE).parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            modules = [node.module]
        elif isinstance(node, ast.ImportFrom):
            base = ("quorum_md", *inside)[: len(inside) + 1 - node.level]
            stem = ".".join([*base, *([node.module] if node.module else [])])
            modules = [stem] if node.module else [f"{stem}.{a.name}" for a in node.names]
        else:
            continue
        for module in modules:
            pieces = module.split(".")
            names.add(pieces[0])
            if pieces[0] == "quorum_md" and len(pieces) > 1:
                parts.add(pieces[1])
    return names, parts


@pytest.mark.parametrize("part", [p for p in ORDER if (PACKAGE / p).is_dir()])
def test_imports_go_one_way(part):
    later = set(ORDER[ORDER.index(part) + 1 :])
    for path in sorted((PACKAGE / part).rglob("*.py")):
        names, parts = imports(path)
        assert not parts & later, (path, parts & later)
        if part in FREE:
            assert not names & HEAVY, (path, names & HEAVY)


def test_conversion_factors_live_in_units():
    for path in PACKAGE.rglob("*.py"):
        if path.name != "units.py":
            text = path.read_text()
            for digits in ("27.2113", "0.52917", "8.61733", "1.602176", "0.0241888", "14.3996"):
                assert digits not in text, (path, digits)
