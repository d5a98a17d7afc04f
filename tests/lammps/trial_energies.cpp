// compute trial/energies, for tests: what fix sgcmc asks of Pair::compute_atomic_energy.
//
// Two numbers per local atom: its energy, and the change of energy when its type becomes the next
// one, from the energies of the atom and its neighbours.

#include "atom.h"
#include "compute.h"
#include "force.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "pair.h"
#include "update.h"

using namespace LAMMPS_NS;

class ComputeTrialEnergies : public Compute {
 public:
  ComputeTrialEnergies(LAMMPS *lmp, int narg, char **arg) : Compute(lmp, narg, arg)
  {
    peratom_flag = 1;
    size_peratom_cols = 2;
  }
  ~ComputeTrialEnergies() override { memory->destroy(array_atom); }
  void init() override { neighbor->add_request(this, NeighConst::REQ_FULL | NeighConst::REQ_GHOST); }
  void init_list(int, NeighList *pointer) override { list_ = pointer; }

  void compute_peratom() override
  {
    invoked_peratom = update->ntimestep;
    memory->destroy(array_atom);
    memory->create(array_atom, atom->nmax, 2, "trial/energies");
    for (int i = 0; i < atom->nlocal; i++) {
      array_atom[i][0] = force->pair->compute_atomic_energy(i, list_);
      const double before = around(i);
      const int type = atom->type[i];
      atom->type[i] = type % atom->ntypes + 1;
      array_atom[i][1] = around(i) - before;
      atom->type[i] = type;
    }
  }

 private:
  double around(int i)
  {
    double sum = force->pair->compute_atomic_energy(i, list_);
    for (int n = 0; n < list_->numneigh[i]; n++)
      sum += force->pair->compute_atomic_energy(list_->firstneigh[i][n], list_);
    return sum;
  }

  NeighList *list_ = nullptr;
};

extern "C" {
typedef struct {
  const char *version, *style, *name, *info, *author;
  void *(*creator)(LAMMPS *, int, char **);
  void *handle;
} plugin_t;

void lammpsplugin_init(void *lmp, void *handle, void *regfunc)
{
  plugin_t plugin{};
  plugin.version = QUORUM_LAMMPS_VERSION;
  plugin.style = "compute";
  plugin.name = "trial/energies";
  plugin.info = plugin.author = "tests";
  plugin.creator = [](LAMMPS *l, int narg, char **arg) -> void * {
    return new ComputeTrialEnergies(l, narg, arg);
  };
  plugin.handle = handle;
  reinterpret_cast<void (*)(plugin_t *, void *)>(regfunc)(&plugin, lmp);
}
}
