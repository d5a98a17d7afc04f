// Threads of the standard library for the built-in potential, where there are none of torch.

#ifndef QUORUM_DENSITY_THREADS_H
#define QUORUM_DENSITY_THREADS_H

#include <algorithm>
#include <cstdint>
#include <functional>
#include <future>
#include <system_error>
#include <vector>

namespace quorum {

// Runs work(begin, end, thread) over 0 … n. The share of a thread that cannot be had (a limit of the
// batch system) is done here; an exception of any share leaves after all have ended.
inline void share_among(int n_threads, int n, const std::function<void(int, int, int)> &work)
{
  const int used = std::clamp(n / 4, 1, n_threads);    // a thread must have something to do
  auto share = [&, n, used](int t) {
    work(int(int64_t(n) * t / used), int(int64_t(n) * (t + 1) / used), t);
  };
  std::vector<std::future<void>> others;    // whose destructors wait
  others.reserve(size_t(used));
  for (int t = 1; t < used; t++) try {
      others.push_back(std::async(std::launch::async, share, t));
    } catch (const std::system_error &) {
      share(t);
    }
  share(0);
  for (auto &other : others) other.get();
}

}    // namespace quorum

#endif
