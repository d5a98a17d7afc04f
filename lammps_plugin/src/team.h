// Several ranks that do the same, each with a share of the work.

#ifndef QUORUM_TEAM_H
#define QUORUM_TEAM_H

#include <exception>
#include <functional>
#include <string>
#include <vector>

namespace quorum {

// `sum` adds arrays over all ranks; `fail` is called on all ranks, with the problem of those that
// have one, and does not return.
struct Team {
  int rank = 0, n_ranks = 1;
  std::function<void(std::vector<double> &)> sum;
  std::function<void(const std::string &)> fail;
};

// The reason why work failed, empty if it did not.
inline std::string problem_of(const std::function<void()> &work)
{
  try {
    work();
  } catch (const std::exception &failure) {
    return failure.what();
  }
  return "";
}

}    // namespace quorum

#endif
