"""The keywords of the order parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

from .actions import (
    Component,
    FccCubic,
    LocalAverage,
    LocalSteinhardt,
    MultiColvar,
    Selection,
    Similarity,
    Steinhardt,
    Units,
)
from .environments import CRYSTALS, crystal, custom, read_pdb, six_digits
from .keywords import Keywords
from .switching import Switch, rational_switch, switch_of

_ALL = ("@mdatoms", "@allatoms")
Colvars = Mapping[str, MultiColvar]
Finder = Callable[[str], Path]


def _fcc_cubic(
    keywords: Keywords, label: str, colvars: Colvars, units: Units, find: Finder
) -> FccCubic:
    centres, neighbours = _species(keywords, colvars)
    switch = _contact(keywords)
    alpha = keywords.number("ALPHA", 3.0)
    if 2717 + 16 * alpha == 0:
        raise keywords.error("ALPHA", f"{alpha:g}", "another number: 2717 + 16 ALPHA is 0")
    components = _components(keywords, label)
    return FccCubic(
        keywords.statement, label, centres, neighbours, components, switch.d_max, switch, alpha
    )


def _steinhardt(
    keywords: Keywords, label: str, colvars: Colvars, units: Units, find: Finder
) -> Steinhardt:
    centres, neighbours = _species(keywords, colvars)
    switch = _contact(keywords)
    components = _components(keywords, label)
    components += tuple(
        Component(f"{label}.{key.lower()}", key.lower())
        for key in ("VMEAN", "VSUM")
        if keywords.flag(key)
    )
    degree = int(keywords.statement.action[1:])
    return Steinhardt(
        keywords.statement, label, centres, neighbours, components, switch.d_max, switch, degree
    )


def _local_steinhardt(
    keywords: Keywords, label: str, colvars: Colvars, units: Units, find: Finder
) -> LocalSteinhardt:
    name = keywords.statement.action[len("LOCAL_") :]
    of = _source(keywords, colvars, name)
    if not isinstance(of, Steinhardt) or of.statement.action != name:
        raise keywords.error("SPECIES", repr(of.label), f"the label of a {name} above")
    switch = switch_of(keywords, "SWITCH", keywords.needed("SWITCH", "a switching function"))
    keywords.flag("LOWMEM")
    components = _components(keywords, label)
    atoms = of.centres
    return LocalSteinhardt(
        keywords.statement, label, atoms, atoms, components, switch.d_max, switch, of
    )


def _local_average(
    keywords: Keywords, label: str, colvars: Colvars, units: Units, find: Finder
) -> LocalAverage:
    of = _source(keywords, colvars, "Q4, Q6 or ENVIRONMENTSIMILARITY")
    if not isinstance(of, (Steinhardt, Similarity)):
        raise keywords.needs_kernel(
            f"LOCAL_AVERAGE of {of.statement.action}",
            "its versions differ in what they average",
        )
    switch = _contact(keywords)
    components = _components(keywords, label)
    atoms = of.centres
    return LocalAverage(
        keywords.statement, label, atoms, atoms, components, switch.d_max, switch, of
    )


def _similarity(
    keywords: Keywords, label: str, colvars: Colvars, units: Units, find: Finder
) -> Similarity:
    name = keywords.text("CRYSTAL_STRUCTURE", "FCC")
    if name not in CRYSTALS:
        raise keywords.error("CRYSTAL_STRUCTURE", repr(name), f"one of {', '.join(CRYSTALS)}")
    per_A = 1.0 if units.natural else 1 / units.length_A
    names: tuple[str, ...] = ()
    names_file = keywords.text("ATOM_NAMES_FILE")
    if name == "CUSTOM":
        if names_file is not None:
            names = tuple(read_pdb(find(names_file))[0])
        single = keywords.text("REFERENCE")
        several = [file for number, file in keywords.numbered("REFERENCE_") if number]
        files = [single] if single is not None else several
        if not files:
            raise keywords.error(
                "REFERENCE", "nothing", "REFERENCE or REFERENCE_1, REFERENCE_2, …: PDB files"
            )
        environments = custom(files, names, per_A, find)
    else:
        lengths = keywords.numbers("LATTICE_CONSTANTS", 2 if name == "HCP" else 1)
        if min(lengths) <= 0:
            raise keywords.error("LATTICE_CONSTANTS", f"{min(lengths):g}", "positive lengths")
        environments = crystal(name, lengths)
    sigma = keywords.number("SIGMA", 0.1)
    width = keywords.number("CUTOFF", 3.0)
    inner = keywords.number("LCUTOFF", 1e-4)
    sharpness = keywords.number("LAMBDA", 100.0)
    for key, value in (("SIGMA", sigma), ("CUTOFF", width), ("LAMBDA", sharpness)):
        if value <= 0:
            raise keywords.error(key, f"{value:g}", "a positive number")
    centres, neighbours = _species(keywords, colvars)
    components = _components(keywords, label)
    return Similarity(
        keywords.statement,
        label,
        centres,
        neighbours,
        components,
        six_digits(environments.reach + width * sigma),
        environments,
        math.sqrt(six_digits(sigma**2)),
        sharpness,
        inner,
        names,
    )


def _species(keywords: Keywords, colvars: Colvars) -> tuple[Selection, Selection]:
    """Centres and neighbours of SPECIES, or SPECIESA and SPECIESB."""
    keywords.flag("LOWMEM")
    both = keywords.text("SPECIES")
    first, second = keywords.text("SPECIESA"), keywords.text("SPECIESB")
    if both is not None:
        if first is not None or second is not None:
            raise keywords.error(
                "SPECIES", "SPECIESA or SPECIESB beside it", "one way or the other"
            )
        atoms = _atoms(keywords, "SPECIES", both, colvars)
        return atoms, atoms
    if first is None or second is None:
        raise keywords.error(
            "SPECIES", "nothing", "SPECIES, or SPECIESA and SPECIESB: atoms such as 1-108"
        )
    return (
        _atoms(keywords, "SPECIESA", first, colvars),
        _atoms(keywords, "SPECIESB", second, colvars),
    )


def _atoms(keywords: Keywords, key: str, text: str, colvars: Colvars) -> Selection:
    words = [word for word in text.replace(",", " ").split() if word]
    if len(words) == 1 and words[0] in colvars:
        return colvars[words[0]].centres
    if len(words) == 1 and words[0] in _ALL:
        return Selection()
    atoms = keywords.ranges(key, words)
    for atom in atoms:
        if isinstance(atom, str):
            raise keywords.error(
                key, repr(atom), "atoms such as 1-108, @mdatoms, or the label of an action above"
            )
        if atom < 1:
            raise keywords.error(key, str(atom), "atoms counted from 1")
    if not atoms:
        raise keywords.error(key, repr(text), "atoms such as 1-108")
    if len(set(atoms)) != len(atoms):
        raise keywords.error(key, "an atom more than once", "every atom once")
    return Selection(tuple(int(atom) - 1 for atom in atoms))


def _source(keywords: Keywords, colvars: Colvars, what: str) -> MultiColvar:
    """The one action that a LOCAL_… is of."""
    for key in ("SPECIESA", "SPECIESB"):
        if keywords.text(key) is not None:
            raise keywords.needs_kernel(key, "two sets of vectors")
    names = keywords.names("SPECIES")
    if len(names) > 1:
        raise keywords.needs_kernel(f"SPECIES={','.join(names)}", "several sets of vectors")
    if names[0] not in colvars:
        raise keywords.error("SPECIES", repr(names[0]), f"the label of a {what} above")
    return colvars[names[0]]


def _contact(keywords: Keywords) -> Switch:
    """SWITCH, or R_0 and its like."""
    text = keywords.text("SWITCH")
    if text is None:
        return rational_switch(keywords)
    switch = switch_of(keywords, "SWITCH", text)
    for key in ("R_0", "D_0", "NN", "MM"):
        if keywords.text(key) is not None:
            raise keywords.error(key, "it beside SWITCH", "one of them")
    return switch


def _components(keywords: Keywords, label: str) -> tuple[Component, ...]:
    """What is made of the values of all centres."""
    found = []
    for key, name in (("LESS_THAN", "lessthan"), ("MORE_THAN", "morethan")):
        for number, text in keywords.numbered(key):
            dashed = f"{name}-{number}" if number else name
            switch = switch_of(keywords, key + number, text)
            found.append(Component(f"{label}.{dashed}", name, switch))
    for key in ("SUM", "MEAN"):
        if keywords.flag(key):
            found.append(Component(f"{label}.{key.lower()}", key.lower()))
    return tuple(found)


_Builder = Callable[[Keywords, str, Colvars, Units, Finder], MultiColvar]
COLVARS: dict[str, _Builder] = {
    "FCCUBIC": _fcc_cubic,
    "Q4": _steinhardt,
    "Q6": _steinhardt,
    "LOCAL_Q4": _local_steinhardt,
    "LOCAL_Q6": _local_steinhardt,
    "LOCAL_AVERAGE": _local_average,
    "ENVIRONMENTSIMILARITY": _similarity,
}
