// An order parameter of all atoms on one structure: values, and the way back of gradients; as in
// driver/quorum_md/order_parameters/evaluated.py. Every rank has the values of all atoms and a share
// of the pairs; sums over pairs are added up over ranks.

#ifndef QUORUM_ORDER_EVALUATED_H
#define QUORUM_ORDER_EVALUATED_H

#include "order_bonds.h"
#include "order_program.h"
#include "team.h"

#include <memory>
#include <vector>

namespace quorum::order {

using Array = std::vector<double>;

// What an action is about: its pairs, centres, and for every pair whether its first (second) atom is a
// centre with the other one for a neighbour; no ends: all are.
struct Scene {
  std::shared_ptr<const Bonds> bonds;
  std::vector<int> centres;
  Array forward, backward;
  std::vector<int32_t> kinds;    // of all atoms, where neighbours have names
  size_t n_atoms = 0;
  const Team *team = nullptr;
};

class Evaluated {
 public:
  explicit Evaluated(Scene scene);
  virtual ~Evaluated() = default;

  // A number made of the values of the centres, and the gradient of slope × that number to `slopes`.
  virtual double component(const Component &component) const;
  virtual void pull(const Component &component, double slope);
  // Of the bias with respect to the vectors of the pairs, 3 each.
  virtual Array backward() = 0;

  const Bonds &bonds() const { return *scene.bonds; }

  Scene scene;
  Array values, slopes;    // per atom; 0 for those that are no centres

 protected:
  // Sums by centre of what its pairs give, `width` numbers as seen from either end.
  Array by_atom(int width, const Array &at_first, const Array &at_second) const;
  // The same where all atoms take part, whatever the centres.
  Array by_any_atom(int width, const Array &at_first, const Array &at_second) const;
  // Gradient of Σ per_atom × by_atom, from the gradients of the parts.
  Array pulled(int width, const Array &per_atom, const Array &first, const Array &second) const;
  // 1 or 0 for the first and the second atom of a pair.
  double ahead(size_t e) const { return scene.forward.empty() ? 1.0 : scene.forward[e]; }
  double back(size_t e) const { return scene.backward.empty() ? 1.0 : scene.backward[e]; }

 private:
  Array add_up(int width, bool ends, const Array &at_first, const Array &at_second) const;
};

// order_colvar_values.cpp, order_steinhardt.cpp
std::unique_ptr<Evaluated> evaluate_colvar(const Colvar &colvar, Scene scene, Evaluated *of);
std::unique_ptr<Evaluated> evaluate_bond_order(const Colvar &colvar, Scene scene, Evaluated *of);

inline Array inverse_or_zero(const Array &coordination)
{
  Array result(coordination.size());
  for (size_t k = 0; k < result.size(); k++)
    result[k] = coordination[k] > 0 ? 1 / coordination[k] : 0.0;
  return result;
}

}    // namespace quorum::order

#endif
