"""Replica exchange inside real i-PI against laws known exactly; stock i-PI beside it (peer)."""

import numpy as np
import pytest
from scipy.special import betainc
from test_ipi_swap_laws import AMU, KELVIN_HARTREE, exact_kinetic, normal_mode_variances

from ipi_tools import mean_and_error, read_properties, run_input, simulation, z_score
from swap_tools import GLE, OURS, dynamics, remd, swaps, system, thermostatted, toy, write_start

N = 8
THERMOSTATS = {
    "gle": GLE,
    "svr": "<thermostat mode='svr'> <tau units='femtosecond'> 10 </tau> </thermostat>",
    "langevin": "<thermostat mode='langevin'> <tau units='femtosecond'> 10 </tau> </thermostat>",
}


def run(folder, states, program=OURS, field=None, stride=1, steps=2000, properties="", more=""):
    """Properties of each state, without the first twentieth, and the ladder's statistics."""
    names = [f"S{i}" for i in range(len(states))]
    text = simulation(
        force_field=field or toy(kind="traps", k1=0, k2=0, n1=N),
        systems=remd(stride, more)
        + "".join(
            state.replace("prefix=''", f"prefix='{name}'")
            for state, name in zip(states, names, strict=True)
        ),
        steps=steps,
        stride=2,
        flush=1000,
        properties="step, potential, kinetic_md, conserved" + properties,
    ).replace("extra_type='committee_pot'", "extra_type='toy'")
    run_input(folder, text, program)
    tables = [read_properties(folder / f"{name}_simulation.out") for name in names]
    tables = [{k: v[steps // 40 :] for k, v in table.items()} for table in tables]
    file = folder / "simulation.remd_statistics"
    return tables, np.loadtxt(file) if file.exists() else None


def accepted_as(statistics, exact):
    """Whether the mean probability of exchanges is *exact*; attempts are correlated."""
    proposed, probability = statistics[0, 3], statistics[0, 6]
    return abs(probability - exact) < 4 * np.sqrt(exact * (1 - exact) / proposed * 6)


def kinetic_temperatures(tables):
    return [table["kinetic_md"] / (1.5 * N * KELVIN_HARTREE) for table in tables]


def ideal_gas(folder, thermostat, program=OURS):
    """Two temperatures; every attempt is accepted, for nothing hinders it."""
    write_start(folder, ["He"] * N, np.zeros((N, 3)))
    motion = thermostatted(1, THERMOSTATS[thermostat])
    states = [system(motion, kelvin=kelvin) for kelvin in (300, 600)]
    stride, steps = (10, 4000) if thermostat == "gle" else (1, 1500)
    return run(folder, states, program, steps=steps, stride=stride)[0]


@pytest.mark.parametrize("thermostat", THERMOSTATS)
def test_ideal_gas(tmp_path, thermostat):
    tables = ideal_gas(tmp_path, thermostat)
    for series, kelvin in zip(kinetic_temperatures(tables), (300, 600), strict=True):
        assert abs(z_score(series, kelvin)) < 3.5
        assert mean_and_error(series)[1] < 0.04 * kelvin, "the run is long enough"


@pytest.mark.peer
def test_stock_i_pi_with_a_gle_thermostat(tmp_path):
    """Its files follow replicas; a file of its own says which state each is in. Its threads share
    random numbers, so that no two runs are the same: both states are judged together."""
    tables = ideal_gas(tmp_path, "gle", ("i-pi",))
    rows = np.loadtxt(tmp_path / "simulation.stock")
    last = np.searchsorted(rows[:, 0] + 1, tables[0]["step"], side="right")
    state_of_first = np.append(0, rows[:, 1])[last]
    first, second = kinetic_temperatures(tables)
    too_hot = [
        z_score(np.where(state_of_first == state, first, second), kelvin)
        for state, kelvin in ((0, 300), (1, 600))
    ]
    assert sum(too_hot) / np.sqrt(2) > 6, too_hot


@pytest.mark.parametrize("krescale", [True, False])
def test_harmonic_crystal(tmp_path, krescale):
    """Three states with a thermostat of their own kind each, not in the order of temperature."""
    k, kelvin = 0.02, (450, 300, 650)
    step_fs = 0.1 / np.sqrt(k / (4 * AMU)) * 0.0241888
    write_start(tmp_path, ["He"] * N, np.zeros((N, 3)))
    states = [
        system(thermostatted(step_fs, THERMOSTATS[name]), kelvin=t)
        for t, name in zip(kelvin, THERMOSTATS, strict=True)
    ]
    field = toy(kind="traps", k1=k, k2=k, n1=N)
    more = f"<krescale> {krescale} </krescale>"
    tables, statistics = run(tmp_path, states, field=field, steps=2500, more=more)
    np.testing.assert_allclose(statistics[:, 1], sorted(kelvin))
    for table, t, series in zip(tables, kelvin, kinetic_temperatures(tables), strict=True):
        exact = 1.5 * N * KELVIN_HARTREE * t
        # velocity Verlet itself makes potential energies 1/(1 - (ω dt/2)²) too large
        assert abs(z_score(table["potential"], exact * 1.0025)) < 3.5
        assert abs(z_score(series, t)) < 3.5
        # what is left in the conserved energy is the time step's
        assert np.ptp(table["conserved"]) < 0.2 * np.ptp(table["potential"])
    # as many half degrees of freedom as count in the decision
    half = 1.5 * N if krescale else 3.0 * N
    assert accepted_as(statistics, 2 * betainc(half, half, 300 / 750))


def path_energies(k, kelvin, beads, n, rng):
    """Of potential and springs, sums over beads, of n independent sets of paths of N atoms."""
    variances, springs = normal_mode_variances(4.002602, k, kelvin, beads)
    q2 = rng.normal(size=(n, beads, 3 * N)) ** 2 * variances[:, None]
    return 0.5 * k * q2.sum(axis=(1, 2)), 0.5 * (springs[:, None] * q2).sum(axis=(1, 2))


@pytest.mark.parametrize("frequencies", ["rpmd", "pa-cmd"])
def test_paths(tmp_path, frequencies):
    """Four beads: springs differ between the states, and with pa-cmd the masses of the modes."""
    k, beads, kelvin = 0.03, 4, (150, 200)
    write_start(tmp_path, ["He"] * N, np.zeros((N, 3)))
    step_fs = 0.12 / np.sqrt(k / (4 * AMU)) * 0.0241888
    modes = "<normal_modes> <frequencies style='pa-cmd'> [ 0.004 ] </frequencies> </normal_modes>"
    states = [
        system(dynamics(step_fs, 5 * step_fs, thermostat="pile_g"), kelvin=t, beads=beads)
        for t in kelvin
    ]
    if frequencies == "pa-cmd":
        states = [s.replace("</initialize>", f"</initialize> {modes}") for s in states]
    field = toy(batch=beads, kind="traps", k1=k, k2=k, n1=N)
    tables, statistics = run(
        tmp_path, states, field=field, steps=2500, stride=2, properties=", kinetic_cv"
    )
    for table, t in zip(tables, kelvin, strict=True):
        assert abs(z_score(table["kinetic_cv"] / N, exact_kinetic(4.002602, k, t, beads))) < 3.5
        assert abs(z_score(table["kinetic_md"], 1.5 * N * beads * KELVIN_HARTREE * t)) < 3.5
        assert np.ptp(table["conserved"]) < 0.3 * np.ptp(table["kinetic_md"])
    rng = np.random.default_rng(1)
    V, spring = np.transpose([path_energies(k, t, beads, 40000, rng) for t in kelvin], (1, 0, 2))
    kT = KELVIN_HARTREE * np.array(kelvin) * beads
    stiffer = np.array(kelvin)[:, None] ** -2.0 * np.array(kelvin) ** 2
    u = [[(V[r] + spring[r] * stiffer[r, s]) / kT[s] for s in (0, 1)] for r in (0, 1)]
    change = u[0][1] + u[1][0] - u[0][0] - u[1][1]
    exact = np.exp(np.minimum(0, -change)).mean()
    assert 0.05 < exact < 0.9 and accepted_as(statistics, exact)


def test_volumes_of_an_ideal_gas(tmp_path):
    """Temperatures and pressures differ: ⟨V⟩ = (N + 1) kT/P, and cells travel."""
    kelvin, pressure = (300, 360, 420), (1e-6, 1.5e-6, 1.2e-6)
    barostat = """<barostat mode='isotropic'> <tau units='femtosecond'> 20 </tau>
      <thermostat mode='langevin'> <tau units='femtosecond'> 20 </tau> </thermostat> </barostat>"""
    exact = [(N + 1) * KELVIN_HARTREE * t / p for t, p in zip(kelvin, pressure, strict=True)]
    length_A = np.mean(exact) ** (1 / 3) * 0.529177
    write_start(tmp_path, ["He"] * N, np.zeros((N, 3)), length_A)
    states = [
        system(
            thermostatted(2, THERMOSTATS["langevin"], "npt", barostat),
            kelvin=t,
            ensemble=f"<pressure> {p} </pressure>",
        )
        for t, p in zip(kelvin, pressure, strict=True)
    ]
    tables, statistics = run(tmp_path, states, steps=2500, stride=3, properties=", volume")
    np.testing.assert_allclose(statistics[:, 1], kelvin)
    for table, volume, t in zip(tables, exact, kelvin, strict=True):
        mean, error = mean_and_error(table["volume"])
        assert abs(mean - volume) < 3.5 * error and error < 0.1 * volume
        assert np.ptp(table["conserved"]) < 0.1 * KELVIN_HARTREE * t * N
    assert (statistics[:2, 5] > 0.3).all()


def test_cells_of_an_ideal_gas_under_stress(tmp_path):
    """Cells of any shape under a stress: weight V^N exp(−W/kT) per dh, h upper triangular, and the
    work W = P V₀ tr ε with ε = (FᵀF − 1)/2, F = h h₀⁻¹. So the squares of all six F are gamma
    variables, whose sum has (3 N + 6)/2 kT / (P V₀/2), and decides on exchanges."""
    kelvin, length_A = (300, 400), 20.0
    volume = (length_A / 0.529177) ** 3
    pressure = (N + 1) * KELVIN_HARTREE * 350 / volume
    side = length_A / 0.529177
    barostat = f"""<barostat mode='anisotropic'> <tau units='femtosecond'> 40 </tau>
      <h0> [ {side}, 0, 0, 0, {side}, 0, 0, 0, {side} ] </h0>
      <thermostat mode='langevin'> <tau units='femtosecond'> 20 </tau> </thermostat> </barostat>"""
    stress = f"<stress> [ {pressure}, 0, 0, 0, {pressure}, 0, 0, 0, {pressure} ] </stress>"
    write_start(tmp_path, ["He"] * N, np.zeros((N, 3)), length_A)
    motion = thermostatted(1, THERMOSTATS["langevin"], "nst", barostat)
    states = [system(motion, kelvin=t, ensemble=stress) for t in kelvin]
    _, statistics = run(tmp_path, states, steps=3000, stride=3, properties=", cell_h")
    for number, t in enumerate(kelvin):
        table = np.loadtxt(tmp_path / f"S{number}_simulation.out")[75:]
        squares = (table[:, 4:] / side) ** 2 * pressure * volume / (2 * KELVIN_HARTREE * t)
        exact = np.array([N + 1] * 3 + [1] * 3) / 2
        z = [z_score(series, one) for series, one in zip(squares.T, exact, strict=True)]
        assert np.abs(z).max() < 4, z
        assert abs(z_score(squares.sum(axis=1), exact.sum())) < 3.5
        assert mean_and_error(squares.sum(axis=1))[1] < 0.05 * exact.sum()
    half = 1.5 * N + 3
    assert accepted_as(statistics, 2 * betainc(half, half, 300 / 700))


@pytest.mark.parametrize("how", ["weights", "biases", "forces"])
def test_two_springs(tmp_path, how):
    """One temperature: a bias with two weights, two biases, two force fields, evaluated anew."""
    k, kelvin = (0.02, 0.05), 300
    write_start(tmp_path, ["He"] * N, np.zeros((N, 3)))
    motion = thermostatted(1, THERMOSTATS["langevin"])
    fields = [toy("ff", kind="traps", k1=0, k2=0, n1=N)]
    fields += [toy(f"field{i}", kind="traps", k1=c, k2=c, n1=N) for i, c in enumerate(k)]
    biases = [f"<bias> <force forcefield='field{i}'/> </bias>" for i in (0, 1)]
    if how == "weights":
        weight = "<bias_weights> [ {} ] </bias_weights>"
        biases = [biases[0] + weight.format(1.0), biases[0] + weight.format(k[1] / k[0])]
    if how == "forces":
        state = system(motion, kelvin=kelvin)
        states = [state.replace("forcefield='ff'", f"forcefield='field{i}'") for i in (0, 1)]
    else:
        states = [system(motion, kelvin=kelvin, ensemble=bias) for bias in biases]
    name = "potential" if how == "forces" else "ensemble_bias"
    tables, statistics = run(
        tmp_path, states, field="".join(fields), steps=2000, stride=4, properties=", ensemble_bias"
    )
    for table, c in zip(tables, k, strict=True):
        scale = 1 / (1 - c / (4 * AMU) * (1 / 0.0241888) ** 2 / 4)
        exact = 1.5 * N * KELVIN_HARTREE * kelvin * scale
        assert abs(z_score(table[name], exact)) < 3.5
        assert np.ptp(table["conserved"]) < 0.2 * np.ptp(table[name])
    # half degrees of freedom of springs as for temperatures in the ratio of the springs
    assert accepted_as(statistics, 2 * betainc(1.5 * N, 1.5 * N, k[0] / sum(k)))


def test_swaps_and_exchanges_together(tmp_path):
    """A site that costs 3 kT at the lowest temperature: each state has the occupancy of its own."""
    write_start(tmp_path, ["Nb", "Mo"], [(-1.0, 0.0, 0.0), (1.0, 0.0, 0.0)])
    kelvin, height = (300, 450, 900), float(3 * KELVIN_HARTREE * 300)
    states = [system(swaps(["Nb", "Mo"], 1), kelvin=t) for t in kelvin]
    tables, statistics = run(
        tmp_path,
        states,
        field=toy(kind="site", height=height),
        steps=1500,
        properties=", atom_x(0)",
    )
    for table, t in zip(tables, kelvin, strict=True):
        x = np.exp(-height / (KELVIN_HARTREE * t))
        assert abs(z_score(table["atom_x(0)"] < 0, x / (1 + x))) < 3.5
        assert np.ptp(table["conserved"]) < 1e-9
    assert (statistics[:2, 5] > 0.5).all() and (statistics[:2, 5] < 0.99).all()
