// The kernel of the built-in potential for callers outside C++ (quorum_md.models.density_kernel):
// energies, forces and virials of structures, and energies of one structure whose atoms stand still
// while elements change.

#include "density_kernel.h"
#include "density_threads.h"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <utility>

using namespace quorum;

extern "C" {

// Sizes and tensors, in the order of DensityParameters; numbers: atomic number of every species.
struct QuorumDensity {
  int n_species, n_radial, n_alchemical, n_mixed, n_partners, n_hidden_1, n_hidden_2, n_members;
  int single_precision;
  double cutoff_A;
  const int *numbers;
  const double *tensors[18];
  int64_t lengths[18];
};

// Edges (n_edges, 2) of a full list in any order, and the vectors along them. Where there are
// cotangents, one per member, forces (N, 3) and virial (3, 3) are those of that sum over members.
struct QuorumStructure {
  int n_threads;
  int64_t n_atoms, n_edges;
  const int32_t *numbers;
  const int64_t *pairs;
  const double *vectors_A, *cotangents;
  double *rows_eV, *forces_eV_A, *virial_eV;
};

// Positions: the neighbours `second` of atom i and the vectors to them are first_edge[i] up to
// first_edge[i + 1]. Question q: energies of the centers center_starts[q] up to center_starts[q + 1]
// if the sites site_starts[q] up to site_starts[q + 1] had other elements than `numbers` says.
struct QuorumQuestions {
  int n_threads;
  const int64_t *first_edge, *second;
  const double *vectors_A;
  int32_t *numbers;    // changed during the call, and restored
  int64_t n_questions;
  const int64_t *center_starts, *centers, *site_starts, *sites;
  const int32_t *site_numbers;
};

}

namespace {

constexpr int CENTERS_AT_ONCE = 4096;

Threads as_many_as(const int &n_threads)
{
  return {[&n_threads] { return n_threads; },
          [&n_threads](int n, const std::function<void(int, int, int)> &work) {
            share_among(n_threads, n, work);
          }};
}

class Kernel {
 public:
  explicit Kernel(const QuorumDensity &from)
  {
    DensityParameters p;
    p.n_species = from.n_species;
    p.n_radial = from.n_radial;
    p.n_alchemical = from.n_alchemical;
    p.n_mixed = from.n_mixed;
    p.n_partners = from.n_partners;
    p.n_hidden_1 = from.n_hidden_1;
    p.n_hidden_2 = from.n_hidden_2;
    p.n_members = from.n_members;
    p.cutoff_A = from.cutoff_A;
    std::vector<double> *const tensors[18] = {
        &p.embedding, &p.mixing, &p.scale, &p.shift, &p.weight_1, &p.gate,
        &p.bias_1, &p.weight_2, &p.bias_2, &p.reference_eV, &p.mean_weight, &p.mean_shift,
        &p.deviation_weight, &p.deviation_shift, &p.pair_strength, &p.pair_length, &p.pair_inner,
        &p.pair_outer};
    for (int k = 0; k < 18; k++)
      tensors[k]->assign(from.tensors[k], from.tensors[k] + from.lengths[k]);
    ModelInfo info;
    info.single_precision = from.single_precision != 0;
    info.requests = {{p.cutoff_A, true}};
    for (int s = 0; s < p.n_species; s++) {
      p.species_of_number[from.numbers[s]] = s;
      info.atomic_numbers.push_back(from.numbers[s]);
    }
    numbers_ = info.atomic_numbers;
    place_of_number_.assign(size_t(*std::max_element(numbers_.begin(), numbers_.end())) + 1, 0);
    for (size_t s = 0; s < numbers_.size(); s++) place_of_number_[size_t(numbers_[s])] = int(s);
    kernel_ = density_evaluator(p, info, true, as_many_as(n_threads_));
    cluster_.edges.resize(1);
  }

  void evaluate(const QuorumStructure &of)
  {
    clear();
    n_threads_ = std::max(of.n_threads, 1);
    auto &edges = cluster_.edges[0];
    cluster_.n_centers = int(of.n_atoms);
    cluster_.atomic_numbers.assign(of.numbers, of.numbers + of.n_atoms);
    edges.pairs.assign(of.pairs, of.pairs + 2 * of.n_edges);
    edges.vectors_A.assign(of.vectors_A, of.vectors_A + 3 * of.n_edges);
    const auto &rows = kernel_->forward(cluster_, of.cotangents != nullptr);
    std::copy(rows.begin(), rows.end(), of.rows_eV);
    if (!of.cotangents) return;
    const std::vector<double> cotangents(of.cotangents, of.cotangents + kernel_->n_columns());
    const double *slope = kernel_->gradient(cotangents).edges_eV_A[0].data();
    std::fill_n(of.forces_eV_A, 3 * of.n_atoms, 0.0);
    std::fill_n(of.virial_eV, 9, 0.0);
    for (int64_t e = 0; e < of.n_edges; e++) {
      double *first = of.forces_eV_A + 3 * of.pairs[2 * e];
      double *second = of.forces_eV_A + 3 * of.pairs[2 * e + 1];
      for (int d = 0; d < 3; d++) {
        const double g = slope[3 * e + d];
        first[d] += g;
        second[d] -= g;
        for (int c = 0; c < 3; c++) of.virial_eV[3 * c + d] -= of.vectors_A[3 * e + c] * g;
      }
    }
  }

  void answer(const QuorumQuestions &asked, double *rows)
  {
    clear();
    n_threads_ = std::max(asked.n_threads, 1);
    for (int64_t q = 0; q < asked.n_questions; q++) {
      const auto first = asked.site_starts[q], last = asked.site_starts[q + 1];
      before_.clear();
      for (auto k = first; k < last; k++)
        before_.push_back(
            std::exchange(asked.numbers[asked.sites[k]], asked.site_numbers[k]));
      for (int64_t c = asked.center_starts[q]; c < asked.center_starts[q + 1]; c++) {
        add(asked, asked.centers[c]);
        if (int(center_numbers_.size()) >= CENTERS_AT_ONCE) rows = forward(rows);
      }
      // backwards, for a site that is named twice
      for (auto k = last; k-- > first;) asked.numbers[asked.sites[k]] = before_[size_t(k - first)];
    }
    forward(rows);
  }

 private:
  void add(const QuorumQuestions &asked, int64_t center)
  {
    auto &edges = cluster_.edges[0];
    const int row = int(center_numbers_.size());
    center_numbers_.push_back(asked.numbers[center]);
    const auto first = asked.first_edge[center], last = asked.first_edge[center + 1];
    for (auto e = first; e < last; e++)
      edges.pairs.insert(edges.pairs.end(),
                         {row, place_of_number_[size_t(asked.numbers[asked.second[e]])]});
    edges.vectors_A.insert(edges.vectors_A.end(), asked.vectors_A + 3 * first,
                           asked.vectors_A + 3 * last);
  }

  double *forward(double *rows)
  {
    const int n = int(center_numbers_.size());
    if (n == 0) return rows;
    cluster_.n_centers = n;
    cluster_.atomic_numbers.assign(center_numbers_.begin(), center_numbers_.end());
    // one atom of every element is the neighbour of all: the kernel sees elements and vectors only
    cluster_.atomic_numbers.insert(cluster_.atomic_numbers.end(), numbers_.begin(), numbers_.end());
    auto &edges = cluster_.edges[0];
    for (size_t k = 1; k < edges.pairs.size(); k += 2) edges.pairs[k] += n;
    const auto &result = kernel_->forward(cluster_, false);
    rows = std::copy(result.begin(), result.end(), rows);
    clear();
    return rows;
  }

  void clear()
  {
    cluster_.edges[0].pairs.clear();
    cluster_.edges[0].vectors_A.clear();
    center_numbers_.clear();
  }

  int n_threads_ = 1;
  std::vector<int> numbers_, place_of_number_;
  std::unique_ptr<Evaluator> kernel_;
  Cluster cluster_;
  std::vector<int32_t> center_numbers_, before_;
};

template <class Work> int without_exceptions(char *problem, int length, Work work)
{
  try {
    work();
    return 0;
  } catch (const std::exception &failure) {
    std::snprintf(problem, size_t(length), "%s", failure.what());
    return 1;
  }
}

}    // namespace

extern "C" {

// nullptr and a reason in `problem` if it cannot be had.
void *quorum_density_open(const QuorumDensity *from, char *problem, int length)
{
  void *result = nullptr;
  without_exceptions(problem, length, [&] { result = new Kernel(*from); });
  return result;
}

// 0 if all is well.
int quorum_density_evaluate(void *handle, const QuorumStructure *of, char *problem, int length)
{
  return without_exceptions(problem, length, [&] { static_cast<Kernel *>(handle)->evaluate(*of); });
}

// Rows of the members in eV, question by question, center by center; 0 if all is well.
int quorum_density_answers(void *handle, const QuorumQuestions *asked, double *rows, char *problem,
                           int length)
{
  return without_exceptions(problem, length,
                            [&] { static_cast<Kernel *>(handle)->answer(*asked, rows); });
}

void quorum_density_close(void *handle)
{
  delete static_cast<Kernel *>(handle);
}
}
