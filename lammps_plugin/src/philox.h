// Random numbers that are a function of a key and a count: Philox4x64-10 (Salmon et al., SC'11,
// doi:10.1145/2063384.2063405), with the conventions of numpy.random.Philox(key=...).

#ifndef QUORUM_PHILOX_H
#define QUORUM_PHILOX_H

#include <array>
#include <cstdint>

namespace quorum {

// The four words that numpy gives after `advance(count)`; it counts before it draws.
inline std::array<uint64_t, 4> philox(uint64_t key, uint64_t count)
{
  auto product = [](uint64_t a, uint64_t b, uint64_t &high) {
    const auto wide = static_cast<unsigned __int128>(a) * b;
    high = uint64_t(wide >> 64);
    return uint64_t(wide);
  };
  std::array<uint64_t, 4> c = {count + 1, count + 1 == 0 ? 1ULL : 0ULL, 0, 0};
  uint64_t k0 = key, k1 = 0;
  for (int round = 0; round < 10; round++) {
    uint64_t high0 = 0, high1 = 0;
    const uint64_t low0 = product(0xD2E7470EE14C6C93ULL, c[0], high0);
    const uint64_t low1 = product(0xCA5A826395121157ULL, c[2], high1);
    c = {high1 ^ c[1] ^ k0, low1, high0 ^ c[3] ^ k1, low0};
    k0 += 0x9E3779B97F4A7C15ULL;
    k1 += 0xBB67AE8584CAA73BULL;
  }
  return c;
}

// In [0, 1), 53 bits.
inline double uniform(uint64_t word)
{
  return double(word >> 11) * 0x1p-53;
}

}    // namespace quorum

#endif
