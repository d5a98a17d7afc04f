// Which files the kernel of the built-in potential can run, and their tensors.

#ifndef QUORUM_DENSITY_MODEL_H
#define QUORUM_DENSITY_MODEL_H

#include "density_kernel.h"

#include <torch/csrc/jit/api/module.h>

#include <memory>
#include <string>

namespace quorum {

// An evaluator for the module of a metatomic file that holds the built-in potential, as `quorum fit`
// writes it, scaled by `quorum calibrate` or not; compared with `reference`, the same file in
// TorchScript, on a few atoms. nullptr if it cannot be used; then `why` says so.
std::unique_ptr<Evaluator> open_density_kernel(const torch::jit::Module &file, Evaluator &reference,
                                               bool members, std::string &why);

}    // namespace quorum

#endif
