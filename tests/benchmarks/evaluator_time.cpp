// Processor time of the model alone, as pair_style quorum calls it: energies and the gradient of the
// mean for a warm bcc crystal. Compiled and run by lammps.py:
//
//     evaluator_time libquorum_torch.so model.pt kernel(on|off) cells calls a_A number number ...

#include "evaluator.h"

#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string>
#include <vector>

using quorum::Cluster;

static Cluster crystal(int cells, double a_A, const std::vector<int> &numbers, double cutoff_A)
{
  std::mt19937 engine(1);
  std::normal_distribution<double> rattle(0.0, 0.05);
  Cluster cluster;
  for (int i = 0; i < cells; i++)
    for (int j = 0; j < cells; j++)
      for (int k = 0; k < cells; k++)
        for (const double half : {0.0, 0.5}) {
          cluster.atomic_numbers.push_back(numbers[engine() % numbers.size()]);
          for (const int cell : {i, j, k})
            cluster.positions_A.push_back(a_A * (cell + half) + rattle(engine));
        }
  cluster.n_centers = int(cluster.atomic_numbers.size());
  cluster.edges.resize(1);
  const double length = cells * a_A;
  const auto &x = cluster.positions_A;
  auto &edges = cluster.edges[0];
  for (int i = 0; i < cluster.n_centers; i++)
    for (int j = 0; j < cluster.n_centers; j++) {
      double r[3], square = 0.0;
      for (int d = 0; d < 3; d++) {
        r[d] = x[3 * j + d] - x[3 * i + d];
        r[d] -= length * std::round(r[d] / length);
        square += r[d] * r[d];
      }
      if (i == j || square >= cutoff_A * cutoff_A) continue;
      edges.pairs.insert(edges.pairs.end(), {i, j});
      edges.vectors_A.insert(edges.vectors_A.end(), r, r + 3);
    }
  return cluster;
}

static double processor_seconds()
{
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

int main(int argc, char **argv)
{
  if (argc < 8) return 2;
  void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  void *symbol = library ? dlsym(library, "quorum_open_model") : nullptr;
  if (!symbol) {
    std::fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  using Opener = quorum::Evaluator *(*)(const quorum::Options &, std::string &);
  quorum::Options options;
  options.file = argv[2];
  options.kernel = argv[3];
  std::string problem;
  auto *model = reinterpret_cast<Opener>(symbol)(options, problem);
  if (!model) {
    std::fprintf(stderr, "%s\n", problem.c_str());
    return 1;
  }
  std::vector<int> numbers;
  for (int k = 7; k < argc; k++) numbers.push_back(std::atoi(argv[k]));
  const auto cluster = crystal(std::atoi(argv[4]), std::atof(argv[6]), numbers,
                               model->info().requests[0].cutoff_A);
  // the first calls of TorchScript compile
  for (int call = 0; call < std::atoi(argv[5]) + 3; call++) {
    const double start = processor_seconds();
    model->forward(cluster, true);
    const int n = model->n_columns();
    model->gradient(std::vector<double>(size_t(n), 1.0 / n));
    if (call >= 3)
      std::printf("%.6f\n", 1e6 * (processor_seconds() - start) / cluster.n_centers);
  }
  return 0;
}
