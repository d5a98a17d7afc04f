// What failed on some ranks must end on all of them.

#ifndef QUORUM_TOGETHER_H
#define QUORUM_TOGETHER_H

#include "team.h"

#include <mpi.h>

namespace quorum {

// On all ranks, the problem of the first rank that has one; empty if none has.
inline std::string first_problem(MPI_Comm world, std::string problem)
{
  int rank = 0, n_ranks = 1, first = 0;
  MPI_Comm_rank(world, &rank);
  MPI_Comm_size(world, &n_ranks);
  const int mine = problem.empty() ? n_ranks : rank;
  MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, world);
  if (first == n_ranks) return "";
  int length = int(problem.size());
  MPI_Bcast(&length, 1, MPI_INT, first, world);
  problem.resize(size_t(length));
  MPI_Bcast(problem.data(), length, MPI_CHAR, first, world);
  return problem;
}

}    // namespace quorum

#endif
