// Values, bias, forces and virial of a program on structures that follow one another; what
// driver/quorum_md/order_parameters/native.py and functions.py do, on any number of ranks.

#ifndef QUORUM_ORDER_EVALUATE_H
#define QUORUM_ORDER_EVALUATE_H

#include "order_evaluated.h"

#include <array>
#include <set>
#include <string>

namespace quorum::order {

// In the input's units.
struct Answer {
  Array values;                      // in the order of the program's names
  double bias = 0.0;
  Array forces;                      // 3 per atom, on all ranks
  std::array<double, 9> virial{};    // [a, b] = Σ x_a dV/dx_b
};

class Evaluator {
 public:
  Evaluator(Program program, Team team) : program(std::move(program)), team_(std::move(team)) {}

  // Positions of all atoms and the box, in the input's units. Throws Failure, on all ranks alike.
  const Answer &evaluate(const Array &positions, const Box &box);
  // What is to be said once, since the last call.
  std::vector<std::string> take_warnings();
  int64_t n_lists() const { return finder_ ? finder_->n_lists : 0; }

  const Program program;

 private:
  void find_bonds(const Array &positions, const Box &box);
  Scene scene_of(const Colvar &colvar) const;
  void forward();
  void evaluate_function(const Function &function, Array &slopes);
  void backward();
  void add_over_ranks();

  Team team_;
  size_t n_atoms_ = 0;
  std::unique_ptr<BondFinder> finder_;
  std::shared_ptr<const Bonds> bonds_;
  std::vector<std::unique_ptr<Evaluated>> evaluated_;    // per action; empty for functions
  std::vector<Array> slopes_;                            // per function, to its arguments
  Array n_pairs_;                                        // per action, how many pairs it has
  std::set<size_t> said_;
  std::vector<std::string> warnings_;
  Answer answer_;
};

// Cutoffs beyond half the distance of images, of which PLUMED counts one silently, are refused.
void refuse_large_cutoffs(const Program &program, const Box &box);

}    // namespace quorum::order

#endif
