// density_block.inl for several kinds of processors in one library, because login nodes and compute
// nodes that share it may differ; see density_code.h.

#include "density_code.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

#define QUORUM_CODE generic_float
#define QUORUM_REAL float
#define QUORUM_INTEGER int
#define QUORUM_BYTES 16
#define QUORUM_TILE 4
#include "density_block.inl"
#undef QUORUM_CODE
#undef QUORUM_REAL
#undef QUORUM_INTEGER
#define QUORUM_CODE generic_double
#define QUORUM_REAL double
#define QUORUM_INTEGER long long
#include "density_block.inl"
#undef QUORUM_BYTES
#undef QUORUM_TILE
#undef QUORUM_CODE
#undef QUORUM_REAL
#undef QUORUM_INTEGER

// clang has no such pragma; its library runs the generic code
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define QUORUM_X86

#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define QUORUM_BYTES 32
#define QUORUM_TILE 4
#define QUORUM_CODE avx2_float
#define QUORUM_REAL float
#define QUORUM_INTEGER int
#include "density_block.inl"
#undef QUORUM_CODE
#undef QUORUM_REAL
#undef QUORUM_INTEGER
#define QUORUM_CODE avx2_double
#define QUORUM_REAL double
#define QUORUM_INTEGER long long
#include "density_block.inl"
#undef QUORUM_BYTES
#undef QUORUM_TILE
#undef QUORUM_CODE
#undef QUORUM_REAL
#undef QUORUM_INTEGER
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")
#define QUORUM_BYTES 64
#define QUORUM_TILE 8
#define QUORUM_CODE avx512_float
#define QUORUM_REAL float
#define QUORUM_INTEGER int
#include "density_block.inl"
#undef QUORUM_CODE
#undef QUORUM_REAL
#undef QUORUM_INTEGER
#define QUORUM_CODE avx512_double
#define QUORUM_REAL double
#define QUORUM_INTEGER long long
#include "density_block.inl"
#pragma GCC pop_options
#endif

namespace quorum {

// 0: generic, 1: avx2, 2: avx512
static int kind_of_processor()
{
  int kind = 0;
#ifdef QUORUM_X86
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    kind = 1;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
      kind = 2;
  }
#endif
  const char *wish = std::getenv("QUORUM_KERNEL");
  if (!wish) return kind;
  const char *names[] = {"generic", "avx2", "avx512"};
  for (int k = 0; k < 3; k++)
    if (std::string(wish) == names[k]) {
      if (k > kind)
        throw std::runtime_error(std::string("QUORUM_KERNEL=") + wish + ": this processor has no " +
                                 names[k] + "; unset QUORUM_KERNEL");
      return k;
    }
  throw std::runtime_error(std::string("QUORUM_KERNEL: got ") + wish +
                           "; expected generic, avx2 or avx512");
}

template <> BlockCode<float> code_for_this_processor<float>()
{
  switch (kind_of_processor()) {
#ifdef QUORUM_X86
    case 2: return {"avx512", avx512_float::LANES, avx512_float::bytes, avx512_float::run};
    case 1: return {"avx2", avx2_float::LANES, avx2_float::bytes, avx2_float::run};
#endif
    default: return {"generic", generic_float::LANES, generic_float::bytes, generic_float::run};
  }
}

template <> BlockCode<double> code_for_this_processor<double>()
{
  switch (kind_of_processor()) {
#ifdef QUORUM_X86
    case 2: return {"avx512", avx512_double::LANES, avx512_double::bytes, avx512_double::run};
    case 1: return {"avx2", avx2_double::LANES, avx2_double::bytes, avx2_double::run};
#endif
    default: return {"generic", generic_double::LANES, generic_double::bytes, generic_double::run};
  }
}

}    // namespace quorum
