"""Models on which the pair style is tried."""

import pytest

from quorum_md.cli import main
from toy_models import LennardJones, LocalAlloy, SiteEnergy, TwoHops, export


@pytest.fixture(scope="session")
def model_files(tmp_path_factory, lj_file, lj_atomic_units_file):
    """Paths by name, and the elements that the structures for them have."""
    folder = tmp_path_factory.mktemp("lammps-models")
    scales = [0.9, 1.0, 1.3]
    hops = export(TwoHops(4.5, scales, False), folder / "hops.pt", [18, 36], 4.5)
    through = export(TwoHops(4.5, scales, True), folder / "positions.pt", [18, 36], 4.5)
    one = LennardJones(3.1, 0.08, 6.0, [1.0])
    base = export(one, folder / "base.pt", [18, 36], 6.0, ensemble=False)
    committee = folder / "committee.pt"
    weighted = folder / "weighted.pt"
    main(["committee", str(lj_file), str(hops), "-o", str(committee)])
    main(["baseline", str(lj_file), str(base), "--sigma", "0.7", "-o", str(weighted)])
    return {
        "lj": (lj_file, ["Ar"]),
        "lj in atomic units": (lj_atomic_units_file, ["Ar"]),
        "two hops": (hops, ["Ar", "Kr"]),
        "two hops through positions": (through, ["Ar", "Kr"]),
        "committee": (committee, ["Ar"]),
        "weighted baseline": (weighted, ["Ar"]),
    }


@pytest.fixture(scope="session")
def swap_models(tmp_path_factory):
    """Paths by name, of models whose energies depend on the elements."""
    folder = tmp_path_factory.mktemp("swap-models")
    types, scales = [18, 36], [0.6, 1.0, 1.4]
    alloy = LocalAlloy(3.4, [0.05, -0.3, 0.1, 0.4, 0.0], 36, scales, "")
    other = LocalAlloy(3.4, [0.10, -0.1, 0.2, 0.3, 0.0], 36, [1.0], "")
    files = {
        "alloy": export(alloy, folder / "alloy.pt", types, 3.4),
        "base": export(other, folder / "base.pt", types, 3.4, ensemble=False),
        "two hops": export(TwoHops(3.4, scales, False), folder / "hops.pt", types, 3.4),
        "through positions": export(TwoHops(3.4, scales, True), folder / "places.pt", types, 3.4),
        "no neighbours": export(SiteEnergy(scales), folder / "sites.pt", types, 0.0),
        "nbmotaw": "nbmotaw",
    }
    weighted = files["weighted baseline"] = folder / "weighted.pt"
    words = [str(files["alloy"]), str(files["base"]), "--sigma", "0.3", "-o", str(weighted)]
    main(["baseline", *words])
    return files
