// Shares of work that fail, and threads that cannot be had.
#include "density_threads.h"

#include <atomic>
#include <cstdio>
#include <stdexcept>
#include <sys/resource.h>

int main()
{
  constexpr int N = 400;
  std::vector<std::atomic<int>> done(N);
  auto work = [&](int begin, int end, int) {
    for (int k = begin; k < end; k++) done[size_t(k)]++;
  };
  for (int failing : {0, 2}) try {
      quorum::share_among(4, N, [&](int begin, int end, int thread) {
        if (thread == failing) throw std::runtime_error("failed");
        work(begin, end, thread);
      });
    } catch (const std::runtime_error &) {
      std::printf("caught ");
    }
  for (auto &count : done) count = 0;
  const rlimit limit{100 << 20, 100 << 20};    // of the address space: not enough for 64 stacks
  setrlimit(RLIMIT_AS, &limit);
  quorum::share_among(64, N, work);
  for (auto &count : done)
    if (count != 1) return 1;
  std::printf("done");
}
