// The built-in potential (quorum_md.models.density) by hand, without torch.
//
// Blocks of centers go through code made for the kind of processor that runs it
// (density_block.inl); all radial functions are computed, none is tabulated, so that in double
// precision it differs from the file by rounding only.

#ifndef QUORUM_DENSITY_KERNEL_H
#define QUORUM_DENSITY_KERNEL_H

#include "evaluator.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace quorum {

// The tensors of a file, row-major, with the names and orders of quorum_md.models.density; S species,
// A pseudo-elements, K members.
struct DensityParameters {
  int n_species = 0, n_radial = 0, n_alchemical = 0, n_mixed = 0, n_partners = 0;
  int n_hidden_1 = 0, n_hidden_2 = 0, n_members = 0;
  double cutoff_A = 0.0;
  std::map<int, int> species_of_number;    // index of the elements that are known
  std::vector<double> embedding, mixing, scale, shift, weight_1, gate, bias_1, weight_2, bias_2;
  std::vector<double> reference_eV, mean_weight, mean_shift, deviation_weight, deviation_shift;
  std::vector<double> pair_strength, pair_length, pair_inner, pair_outer;    // (S, S)
};

// Runs work(begin, end, thread) over 0 … n on at most `threads()` threads.
struct Threads {
  std::function<int()> number;
  std::function<void(int n, const std::function<void(int, int, int)> &work)> run;
};

// `info` as of the file; members: whether columns are the members, or their mean alone. The evaluator
// gives the gradient of the mean from the same pass over the blocks as the energies; other
// cotangents take a pass of their own.
std::unique_ptr<Evaluator> density_evaluator(const DensityParameters &parameters,
                                             const ModelInfo &info, bool members, Threads threads);

}    // namespace quorum

#endif
