// See plumed_kernel.h.

#include "plumed_kernel.h"

#include <dlfcn.h>

#include <cctype>
#include <cmath>
#include <cstdlib>
#include <stdexcept>

namespace quorum {

static const char *const LIBRARY = "libplumedKernel.so";

std::string kernel_library(const std::string &given)
{
  if (!given.empty()) return given;
  const char *named = std::getenv("PLUMED_KERNEL");
  return named && *named ? named : LIBRARY;
}

// Never closed: actions of PLUMED that were loaded would not survive it.
static void *open_library(const std::string &library)
{
  return dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
}

bool has_kernel(const std::string &library)
{
  return open_library(library) != nullptr;
}

PlumedKernel::PlumedKernel(const KernelSetup &setup) : input_(setup.input)
{
  void *handle = open_library(setup.kernel);
  if (!handle) {
    const char *why = dlerror();
    throw std::runtime_error(
        "kernel: " + setup.kernel + " cannot be opened (" + (why ? why : "unknown reason") +
        "); set PLUMED_KERNEL or keyword kernel to the path of " + LIBRARY);
  }
  void *create = dlsym(handle, "plumed_plumedmain_create");
  cmd_ = reinterpret_cast<decltype(cmd_)>(dlsym(handle, "plumed_plumedmain_cmd"));
  finalize_ = reinterpret_cast<decltype(finalize_)>(dlsym(handle, "plumed_plumedmain_finalize"));
  if (!create || !cmd_ || !finalize_)
    throw std::runtime_error("kernel: " + setup.kernel + " is no kernel of PLUMED; set "
                             "PLUMED_KERNEL or keyword kernel to the path of " + LIBRARY);
  plumed_ = reinterpret_cast<void *(*) ()>(create)();
  const int precision = 8;
  command("setRealPrecision", &precision);
  if (setup.natural)
    command("setNaturalUnits", nullptr);
  else {
    command("setMDEnergyUnits", &setup.energy_kJ_mol);
    command("setMDLengthUnits", &setup.length_nm);
    command("setMDTimeUnits", &setup.time_ps);
  }
  command("setMDEngine", "LAMMPS");
  command("setNatoms", &setup.n_atoms);
  command("setTimestep", &setup.timestep);
  command("setPlumedDat", setup.input.c_str());
  command("setLogFile", setup.log.empty() ? "/dev/null" : setup.log.c_str());
  command("init", nullptr);
  values_.assign(setup.names.size(), 0.0);
  for (size_t k = 0; k < setup.names.size(); k++) {
    // the name under which PLUMED looks for memory, which may have no dot
    const auto label = "quorum" + std::to_string(k);
    command("readInputLine", ("grab_" + label + ": GET ARG=" + setup.names[k]).c_str());
    command("setMemoryForData " + label, &values_[k]);
  }
}

PlumedKernel::~PlumedKernel()
{
  if (plumed_) finalize_(plumed_);
}

void PlumedKernel::command(const std::string &key, const void *value)
{
  try {
    cmd_(plumed_, key.c_str(), value);
  } catch (const std::exception &failure) {
    std::string reason;    // in one line
    for (const char *c = failure.what(); *c; c++)
      if (!std::isspace(static_cast<unsigned char>(*c)) || (!reason.empty() && reason.back() != ' '))
        reason += std::isspace(static_cast<unsigned char>(*c)) ? ' ' : *c;
    if (reason.size() > 300) reason = reason.substr(reason.size() - 300);
    throw std::runtime_error(input_ + ": PLUMED refuses " + key + ": " + reason);
  }
}

void PlumedKernel::calculate(int64_t step, const std::vector<double> &positions,
                             const std::vector<double> &masses, const std::vector<double> &charges,
                             const std::array<double, 9> &box, Answer &answer)
{
  const long long number = step;
  answer.forces.assign(positions.size(), 0.0);
  answer.virial.fill(0.0);
  command("setStepLongLong", &number);
  command("setMasses", masses.data());
  command("setCharges", charges.data());
  command("setPositions", positions.data());
  command("setForces", answer.forces.data());
  command("setBox", box.data());
  command("setVirial", answer.virial.data());
  command("calc", nullptr);
  command("getBias", &answer.bias);
  bool finite = std::isfinite(answer.bias);
  for (const double force : answer.forces) finite = finite && std::isfinite(force);
  if (!finite)
    throw std::runtime_error(input_ + ": PLUMED says nan or inf, expected finite forces; an atom "
                             "without neighbours does that, which backend native counts as 0");
}

}    // namespace quorum
