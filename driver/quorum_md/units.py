"""The only home of conversion factors. Inside: eV, Å, fs, K.

CODATA 2018 throughout. i-PI 3.3 rounds its own electronvolt (1e-7) and ångström (1e-9), so energies
that went through its unit conversion agree with ours to that and no better.
"""

# CODATA 2018, https://physics.nist.gov/cuu/Constants/ (Tiesinga et al., Rev. Mod. Phys. 93, 025010)
HARTREE_EV = 27.211386245988
BOHR_A = 0.529177210903
BOLTZMANN_EV_K = 8.617333262145179e-05
ATOMIC_TIME_FS = 0.024188843265857
DALTON_ELECTRON_MASSES = 1822.888486209
DALTON_A3_G_CM3 = 1.66053906660  # density of 1 Da per Å³
EV_A3_GPA = 160.2176634
EV_A3_BAR = 1.602176634e6
ATMOSPHERE_BAR = 1.01325
KCAL_MOL_EV = 0.0433641153087705
KJ_MOL_EV = 0.010364269656262174
RYDBERG_EV = HARTREE_EV / 2
COULOMB_EV_A = HARTREE_EV * BOHR_A  # e²/(4πε₀) in eV Å

ENERGY_EV = {
    "ev": 1.0,
    "electronvolt": 1.0,
    "mev": 1e-3,
    "millielectronvolt": 1e-3,
    "hartree": HARTREE_EV,
    "atomic_unit": HARTREE_EV,
    "rydberg": RYDBERG_EV,
    "kelvin": BOLTZMANN_EV_K,
    "kcal/mol": KCAL_MOL_EV,
    "kj/mol": KJ_MOL_EV,
    "j/mol": KJ_MOL_EV / 1000,
}
TIME_FS = {
    "fs": 1.0,
    "femtosecond": 1.0,
    "ps": 1e3,
    "picosecond": 1e3,
    "ns": 1e6,
    "nanosecond": 1e6,
    "attosecond": 1e-3,
    "second": 1e15,
    "atomic_unit": ATOMIC_TIME_FS,
}
LENGTH_A = {
    "angstrom": 1.0,
    "a": 1.0,
    "bohr": BOHR_A,
    "atomic_unit": BOHR_A,
    "nanometer": 10.0,
    "nm": 10.0,
}


def thermal_energy_eV(temperature_K: float) -> float:
    """kT in eV."""
    return BOLTZMANN_EV_K * temperature_K


# what PLUMED 2.10 takes the words of its action UNITS for (older constants than those above): an
# input says the same here as there
PLUMED_ENERGY_KJ_MOL = {
    "kj/mol": 1.0,
    "kcal/mol": 4.184,
    "j/mol": 0.001,
    "eV": 96.48530749925792,
    "Ha": 2625.499638,
}
PLUMED_LENGTH_NM = {"nm": 1.0, "A": 0.1, "um": 1000.0, "Bohr": 0.052917721067}
