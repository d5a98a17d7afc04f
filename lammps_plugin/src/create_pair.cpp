// What the thin part opens: a pair style that has its torch part, and the fixes.

#include "error.h"
#include "fix_bias.h"
#include "fix_swap.h"
#include "lammps.h"
#include "pair_quorum.h"

#include <dlfcn.h>

#include <string>

extern "C" void *quorum_create_pair(void *lammps, const char *folder)
{
  auto *lmp = static_cast<LAMMPS_NS::LAMMPS *>(lammps);
  const auto library = std::string(folder) + "libquorum_torch.so";
  void *handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  void *symbol = handle ? dlsym(handle, "quorum_open_model") : nullptr;
  if (!symbol) {
    const char *why = dlerror();
    lmp->error->all(FLERR, "pair_style quorum: its torch part cannot be opened ({}); run `quorum "
                    "lammps build --force`", why ? why : "unknown reason");
  }
  // LAMMPS takes what it gets for a Pair
  return static_cast<LAMMPS_NS::Pair *>(new LAMMPS_NS::PairQuorum(
      lmp, reinterpret_cast<LAMMPS_NS::PairQuorum::Opener>(symbol)));
}

extern "C" void *quorum_create_swap(void *lammps, int narg, char **arg)
{
  auto *lmp = static_cast<LAMMPS_NS::LAMMPS *>(lammps);
  return static_cast<LAMMPS_NS::Fix *>(new LAMMPS_NS::FixSwap(lmp, narg, arg));
}

extern "C" void *quorum_create_bias(void *lammps, int narg, char **arg)
{
  auto *lmp = static_cast<LAMMPS_NS::LAMMPS *>(lammps);
  return static_cast<LAMMPS_NS::Fix *>(new LAMMPS_NS::FixBias(lmp, narg, arg));
}
