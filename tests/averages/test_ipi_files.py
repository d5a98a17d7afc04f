"""Readers of i-PI's files: names, units, steps, restarts and damage."""

import numpy as np
import pytest
from ipi_like import HARTREE_EV, HEADER, INPUT, extras_rows, harmonic_run, property_rows, write_run

from quorum_md.averages import heat_capacity
from quorum_md.averages.frames import match_frames
from quorum_md.averages.ipi_files import energy_unit_eV, read_committee, read_properties
from quorum_md.averages.ipi_input import read_ipi_input
from quorum_md.averages.ipi_run import load_run
from quorum_md.errors import QuorumError, QuorumWarning

RUN = harmonic_run(200)


@pytest.fixture
def files(tmp_path):
    return write_run(tmp_path, RUN)


def test_columns_by_name_with_units(files):
    table = read_properties(files[0])
    assert [c.name for c in table.columns][-2:] == ["volume", "cell_h"]
    np.testing.assert_allclose(table.column("volume").values, RUN["volume"][::2], rtol=1e-8)
    assert table.column("potential").unit == "electronvolt"
    assert table.column("conserved").unit == "atomic_unit"
    assert table.column("volume{angstrom3}").unit == "angstrom3"
    assert table.column("cell_h").values.shape == (100, 6)
    with pytest.raises(QuorumError, match="no column 'density'; it has step, time"):
        table.column("density")


def test_names_with_arguments_and_colons(tmp_path):
    path = tmp_path / "out"
    path.write_text(
        "# column   1     --> step : x\n"
        "# cols.    2-4   --> atom_x{angstrom}(0) : The position (x,y,z): of --> a particle.\n"
        "# column   5     --> potential{kelvin} : a\n"
        "# column   6     --> potential : b\n"
        "  0 1 2 3 4 5 \n  1 2 3 4 5 6 \n"
    )
    table = read_properties(path)
    assert table.column("atom_x").values.tolist() == [[1, 2, 3], [2, 3, 4]]
    assert table.column("potential").unit == "kelvin"
    assert table.column("potential{kelvin}").values.tolist() == [4, 5]
    assert [c.unit for c in table.columns] == ["atomic_unit", "angstrom", "kelvin", "atomic_unit"]


def test_committee_energies_in_eV(files):
    committee = read_committee(files[1])
    assert committee.steps.tolist() == list(range(0, 200, 5))
    np.testing.assert_allclose(committee.energies_eV, RUN["energies"][::5], rtol=1e-8)
    as_eV = read_committee(files[1], unit="electronvolt")
    np.testing.assert_allclose(as_eV.energies_eV * HARTREE_EV, committee.energies_eV)
    with pytest.raises(QuorumError, match="expected an energy unit"):
        read_committee(files[1], unit="angstrom")


def test_older_header_and_raw_component(tmp_path):
    old = tmp_path / "old"
    old.write_text(" #EXTRAS(committee_pot)# Step:  0  Bead:  0  \n1 2\n")
    assert read_committee(old).energies_eV.shape == (1, 2)
    raw = tmp_path / "raw"  # one row per bead
    raw.write_text(
        " #EXTRAS_COMPONENT_RAW(committee_pot)# Step:           3  Bead:      0  \n1 2\n3 4\n"
    )
    assert (read_committee(raw).energies_eV / HARTREE_EV).tolist() == [[2, 3]]


def test_beads_are_averaged(tmp_path):
    paths = [tmp_path / f"c_{b}" for b in range(3)]
    for b, path in enumerate(paths):
        path.write_text(extras_rows(RUN["energies"] + b, range(0, 100 - 10 * b, 5)))
    committee = read_committee(paths)
    assert committee.steps[-1] == 75  # the shortest: others were flushed later
    np.testing.assert_allclose(committee.energies_eV, RUN["energies"][:80:5] + 1, rtol=1e-8)


def test_restart_replaces_the_abandoned_branch(tmp_path):
    other = harmonic_run(200, seed=1)
    out, committee = tmp_path / "out", tmp_path / "committee"
    # killed at 100, restarted from 60
    out.write_text(
        HEADER
        + property_rows(RUN, range(0, 101, 2))
        + HEADER
        + property_rows(other, range(62, 151, 2))
    )
    committee.write_text(
        extras_rows(RUN["energies"], range(0, 101, 5))
        + extras_rows(other["energies"], range(65, 151, 5))
    )
    table, members = read_properties(out), read_committee(committee)
    assert table.abandoned == 20 and members.abandoned == 8
    frames = match_frames(table, members)
    assert frames.steps.tolist() == list(range(0, 151, 10))
    expected = np.where(frames.steps <= 60, RUN["potential"][:160:10], other["potential"][:160:10])
    found = table.column("potential").values[frames.rows]
    np.testing.assert_allclose(found, expected, rtol=1e-8)
    np.testing.assert_allclose(frames.energies_eV.mean(axis=1), expected, rtol=1e-8)


@pytest.mark.parametrize("cut", [1, 5, 30, 120])
def test_last_lines_cut_short(files, cut):
    out, committee = files
    for path in (out, committee):
        path.write_text(path.read_text()[:-cut])
    table, members = read_properties(out), read_committee(committee)
    assert table.truncated and members.truncated
    assert len(table.columns[0].values) == 99
    assert members.steps[-1] == 190
    np.testing.assert_allclose(members.energies_eV, RUN["energies"][:195:5], rtol=1e-8)


def damage(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_damage_in_the_middle_is_refused(files):
    out, committee = files
    lines = out.read_text().splitlines(keepends=True)
    out.write_text("".join([*lines[:20], lines[20][:40] + "\n", *lines[21:]]))
    with pytest.raises(QuorumError, match=r"simulation.out, line 21: got 3 numbers, expected 12"):
        read_properties(out)
    out.write_text("".join([*lines[:20], lines[20].replace("e+", "x+"), *lines[21:]]))
    with pytest.raises(QuorumError, match="line 21"):
        read_properties(out)
    lines = committee.read_text().splitlines(keepends=True)
    committee.write_text("".join(lines[:7] + lines[8:]))
    with pytest.raises(QuorumError, match="step 15 has 0 rows of energies, expected 1"):
        read_committee(committee)


def test_files_that_are_something_else(tmp_path, files):
    out, committee = files
    with pytest.raises(QuorumError, match="cannot be read"):
        read_properties(tmp_path / "missing")
    with pytest.raises(QuorumError, match="no header"):
        read_properties(committee)
    with pytest.raises(QuorumError, match="has no lines of the form"):
        read_committee(out)
    damage(committee, "(committee_pot)", "(raw)")
    with pytest.raises(QuorumError, match="holds the extras 'raw', expected 'committee_pot'"):
        read_committee(committee)
    (tmp_path / "empty").write_text(HEADER)
    with pytest.raises(QuorumError, match="no rows of numbers"):
        read_properties(tmp_path / "empty")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(QuorumError, match="is not text"):
        read_properties(tmp_path / "binary")


def test_energy_units():
    assert energy_unit_eV("kilojoule/mol") is None  # i-PI writes kiloj/mol
    assert energy_unit_eV("kiloj/mol") == pytest.approx(0.010364269656262174)
    assert energy_unit_eV("kilocal/mol") == pytest.approx(0.0433641153087705)
    assert energy_unit_eV("millielectronvolt") == pytest.approx(1e-3)
    assert energy_unit_eV("angstrom3") is None


def test_input(tmp_path):
    path = tmp_path / "input.xml"
    path.write_text(INPUT)
    facts = read_ipi_input(path)
    (system,) = facts.systems
    assert (system.temperature_K, system.timestep_fs, system.n_beads) == (300, 2.0, 1)
    assert facts.properties == ("simulation.out",)
    assert facts.committee == ("simulation.committee_pot",)
    assert facts.file("simulation.out") == tmp_path / "simulation.out"
    damage(path, "<temperature units='kelvin'>300", "<temperature> 9.50044560e-04")
    assert read_ipi_input(path).temperature_K("out") == pytest.approx(300, rel=1e-5)
    damage(path, "<temperature> 9.50044560e-04", "<temperature units='celsius'>27")
    with pytest.raises(QuorumError, match="got units 'celsius', expected one of kelvin"):
        read_ipi_input(path)
    damage(path, "units='celsius'>27", "units='kelvin'>-3")
    with pytest.raises(QuorumError, match="got '-3', expected a positive number"):
        read_ipi_input(path)
    path.write_text("<simulation>")
    with pytest.raises(QuorumError, match="is not XML"):
        read_ipi_input(path)
    path.write_text("<run/>")
    with pytest.raises(QuorumError, match="expected <simulation>"):
        read_ipi_input(path)
    with pytest.raises(QuorumError, match="cannot be read"):
        read_ipi_input(tmp_path / "none.xml")


def test_several_temperatures_need_a_choice(tmp_path):
    path = tmp_path / "input.xml"
    second = "<system><ensemble><temperature units='kelvin'>400</temperature></ensemble></system>"
    files = write_run(tmp_path, RUN)
    path.write_text(INPUT.replace("</simulation>", second + "</simulation>"))
    with pytest.raises(QuorumError, match="got 300 K, 400 K, expected one temperature"):
        load_run(*files, input_path=path)
    assert load_run(*files, input_path=path, temperature_K=300).temperature_K == 300
    path.write_text(INPUT)
    with pytest.raises(QuorumError, match="got 350 K, but .* has 300 K"):
        load_run(*files, input_path=path, temperature_K=350)


TEMPLATE = """\
<system_template><labels> [ NAME, KELVIN ] </labels>
  <instance> [ T300, 300 ] </instance><instance> [ T30, 30 ] </instance>
  <template><system prefix='NAME'><initialize nbeads='1'/>
    <ensemble><temperature units='kelvin'> KELVIN </temperature></ensemble></system></template>
</system_template>
"""


def test_systems_are_told_apart_by_prefix(tmp_path):
    out, committee = write_run(tmp_path, RUN)
    path = tmp_path / "input.xml"
    start, end = INPUT.index("  <system>"), INPUT.index("</simulation>")
    path.write_text(INPUT[:start] + TEMPLATE + INPUT[end:])
    assert [system.temperature_K for system in read_ipi_input(path).systems] == [300, 30]
    for name in ("T300", "T30"):
        out.with_name(f"{name}_simulation.out").write_text(out.read_text())
    run = load_run(tmp_path / "T300_simulation.out", committee, input_path=path)
    assert run.temperature_K == 300
    with pytest.warns(QuorumWarning, match="30 K is used"):
        run = load_run(tmp_path / "T30_simulation.out", committee, input_path=path)
    assert run.temperature_K == 30
    with pytest.raises(QuorumError, match="expected one temperature for .*simulation.out"):
        load_run(out, committee, input_path=path)
    damaged = path.read_text().replace("[ T30, 30 ]", "[ T30 ]")
    path.write_text(damaged)
    with pytest.raises(QuorumError, match="<instance>: got 1 words, expected 2"):
        read_ipi_input(path)


def test_steps_from_times_only_with_a_time_step(files, tmp_path):
    out, committee = files
    text = out.read_text().replace("--> step", "--> ensemble_bias")
    out.write_text(text)
    with pytest.raises(QuorumError, match="no column step.* add step to <properties>"):
        load_run(out, committee, temperature_K=300)
    run = load_run(out, committee, input_path=tmp_path / "input.xml")
    assert run.steps.tolist() == list(range(0, 200, 10))
    wrong = tmp_path / "wrong.xml"
    wrong.write_text(INPUT.replace("femtosecond'>2.0", "femtosecond'>3.0"))
    with pytest.raises(QuorumError, match="no multiple of the time step of 3 fs"):
        load_run(out, committee, input_path=wrong)


def test_files_of_different_runs(tmp_path, files):
    out, committee = files
    shifted = extras_rows(RUN["energies"], range(1, 200, 10))
    committee.write_text(shifted)
    with pytest.raises(QuorumError, match=r"steps 0 to 198 every 2.*steps 1 to 191.*0 step\(s\)"):
        load_run(out, committee, temperature_K=300)
    committee.write_text(extras_rows(harmonic_run(200, seed=9)["energies"], range(0, 200, 5)))
    with pytest.raises(QuorumError, match="mean of the members differs .* two files of one run"):
        load_run(out, committee, temperature_K=300)


def test_reference_is_checked_and_the_remedy_fits(files):
    out, committee = files
    run = harmonic_run(200, spread_eV=0.02)
    energies = run["energies"] - run["energies"].mean(axis=1, keepdims=True)
    energies -= energies[:, 2:3]
    energies += RUN["potential"][:, None]  # member 2 drove
    committee.write_text(extras_rows(energies, range(0, 200, 5)))
    with pytest.raises(QuorumError, match="give --reference 2"):
        load_run(out, committee, temperature_K=300)
    assert load_run(out, committee, temperature_K=300, reference=2).checked
    with pytest.raises(QuorumError, match="index of a member, 0 … 5"):
        load_run(out, committee, temperature_K=300, reference=6)
    run = load_run(out, committee, temperature_K=300, reference="potential")
    np.testing.assert_allclose(run.reference, RUN["potential"][::10], rtol=1e-8)
    committee.write_text(extras_rows(RUN["energies"] * HARTREE_EV, range(0, 200, 5)))
    with pytest.raises(QuorumError, match="give --committee-unit electronvolt"):
        load_run(out, committee, temperature_K=300)
    assert load_run(out, committee, temperature_K=300, committee_unit="electronvolt").checked


def test_beads_and_temperature_of_the_input(files, tmp_path):
    path = tmp_path / "beads.xml"
    path.write_text(INPUT.replace("nbeads='1'", "nbeads='4'"))
    with pytest.raises(QuorumError, match="got 1 file.* nbeads=4"):
        load_run(*files, input_path=path)
    with pytest.warns(QuorumWarning, match="averages to 297 ± . K, but 900 K is used"):
        load_run(*files, temperature_K=900)
    for value in (0, -10, float("nan")):
        with pytest.raises(QuorumError, match="expected a positive number of K"):
            load_run(*files, temperature_K=value)
    with pytest.raises(QuorumError, match="give --input"):
        load_run(*files)


def test_heat_capacity_needs_volume_and_pressure(files, tmp_path):
    out, committee = files
    run = load_run(out, committee, temperature_K=300)
    with pytest.raises(QuorumError, match="the volume fluctuates, but the pressure is not known"):
        run.reweight("heat_capacity")
    path = tmp_path / "npt.xml"
    path.write_text(
        INPUT.replace("<ensemble>", "<ensemble><pressure units='gigapascal'>-2</pressure>")
    )
    run = load_run(out, committee, input_path=path)
    assert run.pressure_bar == pytest.approx(-20_000)
    volume = run.observable("volume").values
    expected = heat_capacity(
        run.energies_eV, temperature_K=300, volume_A3=volume, pressure_bar=-20_000
    )
    assert run.reweight("heat_capacity").mean == pytest.approx(expected.mean, rel=1e-9)
    assert expected.mean != pytest.approx(heat_capacity(run.energies_eV, temperature_K=300).mean)
    out.write_text(out.read_text().replace("> volume", "> density"))
    with pytest.raises(QuorumError, match="add volume to <properties>"):
        load_run(out, committee, input_path=path).reweight("heat_capacity")
    constant = load_run(out, committee, input_path=tmp_path / "input.xml")
    assert constant.reweight("heat_capacity").mean == pytest.approx(
        heat_capacity(run.energies_eV, temperature_K=300).mean, rel=1e-9
    )


def test_discard(files):
    run = load_run(*files, temperature_K=300, discard=0.25)
    assert run.n_discarded == 5 and run.steps[0] == 50
    reference = load_run(*files, temperature_K=300, discard=3, reference="potential").reference
    assert len(reference) == 17
    with pytest.raises(QuorumError, match="leaves 1 of 20"):
        load_run(*files, temperature_K=300, discard=19)
