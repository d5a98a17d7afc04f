// The best code of density_block.inl for the processor that runs this.

#ifndef QUORUM_DENSITY_CODE_H
#define QUORUM_DENSITY_CODE_H

#include "density_block.h"

namespace quorum {

// The environment variable QUORUM_KERNEL (generic, avx2, avx512) takes another one, for tests and
// comparisons; std::runtime_error if the processor cannot run it.
template <class Real> BlockCode<Real> code_for_this_processor();
template <> BlockCode<float> code_for_this_processor<float>();
template <> BlockCode<double> code_for_this_processor<double>();

}    // namespace quorum

#endif
