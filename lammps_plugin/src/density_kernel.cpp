// The code for each kind of processor, and the evaluator that cuts a cluster into blocks for it.

#include "density_kernel.h"

#include "density_block.h"
#include "density_code.h"
#include "density_repulsion.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <new>
#include <numeric>
#include <stdexcept>

namespace quorum {

namespace {

// --- the network in the precision of the arithmetic ------------------------------------------

template <class Real> class Weights {
 public:
  Weights(const DensityParameters &p, bool members);
  Network<Real> net{};

 private:
  const Real *keep(const std::vector<double> &values)
  {
    kept_.emplace_back(values.begin(), values.end());
    return kept_.back().data();
  }
  std::vector<std::vector<Real>> kept_;
};

// ε V, for densities by element: (4, S · n, Q).
std::vector<double> embedded_mixing(const DensityParameters &p)
{
  const int row = p.n_radial * p.n_mixed;
  std::vector<double> result(size_t(4) * p.n_species * row, 0.0);
  for (int l = 0; l < 4; l++)
    for (int s = 0; s < p.n_species; s++)
      for (int a = 0; a < p.n_alchemical; a++) {
        const double weight = p.embedding[s * p.n_alchemical + a];
        const double *from = &p.mixing[size_t(l * p.n_alchemical + a) * row];
        double *to = &result[size_t(l * p.n_species + s) * row];
        for (int k = 0; k < row; k++) to[k] += weight * from[k];
      }
  return result;
}

// First layer's weights of the products, where c_q c_q′ and c_q′ c_q are one feature.
std::vector<double> weights_of_products(const DensityParameters &p)
{
  std::vector<double> result;
  for (int l = 0; l < 4; l++)
    for (int partner = 0; partner < p.n_partners; partner++)
      for (int q = partner; q < p.n_mixed; q++) {
        auto row = [&](int first, int second) {
          const size_t feature = p.n_mixed + (size_t(l) * p.n_mixed + first) * p.n_partners + second;
          return &p.weight_1[feature * p.n_hidden_1];
        };
        const double *one = row(q, partner);
        const double *other = q < p.n_partners && q != partner ? row(partner, q) : nullptr;
        for (int h = 0; h < p.n_hidden_1; h++) result.push_back(one[h] + (other ? other[h] : 0.0));
      }
  return result;
}

template <class Real> Weights<Real>::Weights(const DensityParameters &p, bool members)
{
  net.n_species = p.n_species;
  net.n_radial = p.n_radial;
  net.n_mixed = p.n_mixed;
  net.n_partners = p.n_partners;
  net.n_hidden_1 = p.n_hidden_1;
  net.n_hidden_2 = p.n_hidden_2;
  net.cutoff_A = p.cutoff_A;
  net.radial_norm = std::sqrt(2.0 / p.cutoff_A);
  // the fewer channels the better: mixing costs channels · radial · Q, for 16 harmonics
  const bool by_species = p.n_species <= p.n_alchemical;
  net.n_channels = by_species ? p.n_species : p.n_alchemical;
  net.embedding = by_species ? nullptr : keep(p.embedding);
  net.mixing = keep(by_species ? embedded_mixing(p) : p.mixing);
  net.scale = keep(p.scale);
  net.shift = keep(p.shift);
  net.linear = keep({p.weight_1.begin(), p.weight_1.begin() + size_t(p.n_mixed) * p.n_hidden_1});
  net.products = keep(weights_of_products(p));
  net.gate = keep(p.gate);
  net.bias_1 = keep(p.bias_1);
  net.weight_2 = keep(p.weight_2);
  net.bias_2 = keep(p.bias_2);
  const int k = members ? p.n_members : 0;
  net.n_columns = 1 + k;
  std::vector<double> heads;
  for (int h = 0; h < p.n_hidden_2; h++) {
    heads.push_back(p.mean_weight[h]);
    for (int m = 0; m < k; m++) heads.push_back(p.deviation_weight[size_t(h) * p.n_members + m]);
  }
  net.heads = keep(heads);
}

// --- blocks ----------------------------------------------------------------------------------

constexpr size_t ALIGNMENT = 64;

struct Aligned {
  void *data = nullptr;
  Aligned() = default;
  Aligned(const Aligned &) = delete;
  Aligned &operator=(const Aligned &) = delete;
  ~Aligned() { release(); }
  void resize(size_t bytes)
  {
    release();
    data = ::operator new(bytes, std::align_val_t(ALIGNMENT));
  }
  void release()
  {
    if (data) ::operator delete(data, std::align_val_t(ALIGNMENT));
    data = nullptr;
  }
};

// Everything one thread writes to while it works on a block.
template <class Real> class Desk {
 public:
  Block<Real> block{};
  Workspace<Real> work{};
  std::vector<int> species, first_edge, neighbor_species;
  std::vector<double> gradient_eV_A;

  void make_room(const Network<Real> &net, const BlockCode<Real> &code, int n_edges)
  {
    if (memory_.data && n_edges <= work.edge_capacity) return;
    // vectors may hold more than the edges there are
    work.edge_capacity = (n_edges + n_edges / 4 + 31) / 16 * 16;
    work.tables_filled = false;
    memory_.resize(code.bytes(net, work.edge_capacity));
    work.memory = memory_.data;
    edges_.resize(3 * sizeof(double) * work.edge_capacity);
    energies_.resize(sizeof(Real) * net.n_columns * code.lanes);
    block.x_A = static_cast<double *>(edges_.data);
    block.y_A = block.x_A + work.edge_capacity;
    block.z_A = block.y_A + work.edge_capacity;
    block.energies_eV = static_cast<Real *>(energies_.data);
    neighbor_species.resize(work.edge_capacity);
    gradient_eV_A.resize(3 * size_t(work.edge_capacity));
    species.resize(code.lanes);
    first_edge.resize(code.lanes + 1);
    block.neighbor_species = neighbor_species.data();
    block.gradient_eV_A = gradient_eV_A.data();
    block.species = species.data();
    block.first_edge = first_edge.data();
  }

 private:
  Aligned memory_, edges_, energies_;
};

template <class Real> class DensityEvaluator : public Evaluator {
 public:
  DensityEvaluator(const DensityParameters &p, const ModelInfo &info, bool members,
                   Threads threads) :
      p_(p), info_(info), members_(members), threads_(std::move(threads)), weights_(p, members),
      code_(code_for_this_processor<Real>()), repulsion_(p_)
  {
    info_.evaluator = std::string("kernel (") + (sizeof(Real) == 4 ? "float32" : "float64") + ", " +
        code_.processor + ")";
    species_of_number_.assign(p.species_of_number.rbegin()->first + 1, 0);
    for (const auto &[number, species] : p.species_of_number) species_of_number_[number] = species;
    gradient_.edges_eV_A.resize(1);
  }
  const ModelInfo &info() const override { return info_; }
  int n_columns() const override { return members_ ? p_.n_members : 1; }
  const std::vector<double> &forward(const Cluster &cluster, bool gradients) override;
  const Gradient &gradient(const std::vector<double> &cotangents, bool again) override;

 private:
  void sort_edges();
  void sort_centers();
  void pass(const std::vector<double> &cotangents, bool energies);
  void work_on(int block, Desk<Real> &desk, const Real *cotangent, double total, bool energies);

  DensityParameters p_;
  ModelInfo info_;
  bool members_;
  Threads threads_;
  Weights<Real> weights_;
  const BlockCode<Real> code_;
  Repulsion repulsion_;
  std::vector<int> species_of_number_;

  const Cluster *cluster_ = nullptr;    // of the last forward
  bool with_gradients_ = false;
  std::vector<int> first_edge_;         // (centers + 1)
  std::vector<int> edge_order_;         // edges by center; empty where they come so
  std::vector<int> center_order_;       // centers by species
  std::vector<Desk<Real>> desks_;
  std::vector<double> rows_;
  Gradient gradient_;
  std::vector<double> cotangents_;      // that gradient_ is for
};

template <class Real> void DensityEvaluator<Real>::sort_edges()
{
  const auto &pairs = cluster_->edges[0].pairs;
  const int n_edges = int(pairs.size() / 2), n = cluster_->n_centers;
  first_edge_.assign(n + 1, 0);
  bool sorted = true;
  int before = 0;
  for (int k = 0; k < n_edges; k++) {
    const int first = pairs[2 * k];
    if (first < n) first_edge_[first + 1]++;
    sorted = sorted && first >= before;
    before = first;
  }
  std::partial_sum(first_edge_.begin(), first_edge_.end(), first_edge_.begin());
  edge_order_.clear();
  if (sorted) return;
  edge_order_.resize(first_edge_[n]);
  std::vector<int> next(first_edge_.begin(), first_edge_.end() - 1);
  for (int k = 0; k < n_edges; k++)
    if (pairs[2 * k] < n) edge_order_[next[pairs[2 * k]]++] = k;
}

// Blocks of one species need their constants filled into the lanes once.
template <class Real> void DensityEvaluator<Real>::sort_centers()
{
  const int n = cluster_->n_centers;
  std::vector<int> next(p_.n_species + 1, 0);
  for (int c = 0; c < n; c++) next[species_of_number_[cluster_->atomic_numbers[c]] + 1]++;
  std::partial_sum(next.begin(), next.end(), next.begin());
  center_order_.resize(n);
  for (int c = 0; c < n; c++)
    center_order_[next[species_of_number_[cluster_->atomic_numbers[c]]]++] = c;
}

template <class Real>
const std::vector<double> &DensityEvaluator<Real>::forward(const Cluster &cluster, bool gradients)
{
  cluster_ = &cluster;
  with_gradients_ = gradients;
  sort_edges();
  sort_centers();
  rows_.resize(size_t(cluster.n_centers) * n_columns());
  cotangents_.clear();
  if (gradients) cotangents_.assign(n_columns(), 1.0 / n_columns());
  pass(cotangents_, true);
  return rows_;
}

template <class Real>
const Gradient &DensityEvaluator<Real>::gradient(const std::vector<double> &cotangents, bool)
{
  if (!cluster_ || !with_gradients_)
    throw std::runtime_error("gradients were not asked for before the energies");
  if (cotangents != cotangents_) {
    cotangents_ = cotangents;
    pass(cotangents, false);
  }
  return gradient_;
}

template <class Real>
void DensityEvaluator<Real>::pass(const std::vector<double> &cotangents, bool energies)
{
  const auto &list = cluster_->edges[0];
  auto &g = gradient_.edges_eV_A[0];
  std::vector<Real> head;
  const double total = std::accumulate(cotangents.begin(), cotangents.end(), 0.0);
  if (!cotangents.empty()) {
    // edges of others than centers have no gradient
    if (edge_order_.empty() && 3 * size_t(first_edge_.back()) == list.vectors_A.size())
      g.resize(list.vectors_A.size());
    else
      g.assign(list.vectors_A.size(), 0.0);
    for (int h = 0; h < p_.n_hidden_2; h++) {
      double sum = total * p_.mean_weight[h];
      if (members_)
        for (int m = 0; m < p_.n_members; m++)
          sum += cotangents[m] * p_.deviation_weight[size_t(h) * p_.n_members + m];
      head.push_back(Real(sum));
    }
  }
  const int lanes = code_.lanes, n_blocks = (cluster_->n_centers + lanes - 1) / lanes;
  const auto n_threads = size_t(std::max(threads_.number(), 1));
  if (desks_.size() < n_threads) desks_ = std::vector<Desk<Real>>(n_threads);
  threads_.run(n_blocks, [&](int begin, int end, int thread) {
    for (int b = begin; b < end; b++)
      work_on(b, desks_[thread], head.empty() ? nullptr : head.data(), total, energies);
  });
}

template <class Real>
void DensityEvaluator<Real>::work_on(int number, Desk<Real> &desk, const Real *cotangent,
                                     double total, bool energies)
{
  const auto &list = cluster_->edges[0];
  const int lanes = code_.lanes, n = std::min(lanes, cluster_->n_centers - number * lanes);
  const int *centers = &center_order_[size_t(number) * lanes];
  int n_edges = 0;
  for (int a = 0; a < n; a++) n_edges += first_edge_[centers[a] + 1] - first_edge_[centers[a]];
  desk.make_room(weights_.net, code_, n_edges);

  auto &block = desk.block;
  block.n_centers = n;
  block.n_edges = n_edges;
  block.cotangent = cotangent;
  // through pointers of its own, the loop over all edges is not slowed down by what might alias
  const double *vectors = list.vectors_A.data();
  const int32_t *pairs = list.pairs.data(), *numbers = cluster_->atomic_numbers.data();
  const int *order = edge_order_.empty() ? nullptr : edge_order_.data();
  const int *species_of_number = species_of_number_.data();
  double *x = block.x_A, *y = block.y_A, *z = block.z_A;
  int *neighbor_species = desk.neighbor_species.data();
  int e = 0;
  for (int a = 0; a < n; a++) {
    const int c = centers[a];
    desk.species[a] = species_of_number_[cluster_->atomic_numbers[c]];
    desk.first_edge[a] = e;
    const int last = first_edge_[c + 1];
    for (int k = first_edge_[c]; k < last; k++, e++) {
      const size_t from = order ? order[k] : k;
      x[e] = vectors[3 * from];
      y[e] = vectors[3 * from + 1];
      z[e] = vectors[3 * from + 2];
      neighbor_species[e] = species_of_number[numbers[pairs[2 * from + 1]]];
    }
  }
  desk.first_edge[n] = e;
  for (int a = n; a < lanes; a++) desk.species[a] = desk.species[n - 1];
  // what fills the last vector must only be finite
  for (int k = e; k < (e + 7) / 8 * 8; k++) {
    block.x_A[k] = p_.cutoff_A;
    block.y_A[k] = block.z_A[k] = 0.0;
  }
  code_.run(weights_.net, block, desk.work);

  double *gradient = gradient_.edges_eV_A[0].data();
  const double *of_block = block.gradient_eV_A;
  const double reach = repulsion_.longest_A * repulsion_.longest_A;
  const int n_columns = this->n_columns();
  for (int a = 0; a < n; a++) {
    const int c = centers[a], species = desk.species[a];
    double core_eV = 0.0;
    const int first = desk.first_edge[a], last = desk.first_edge[a + 1];
    for (int k = first; k < last; k++) {
      if (x[k] * x[k] + y[k] * y[k] + z[k] * z[k] >= reach) continue;
      const double r[3] = {x[k], y[k], z[k]};
      core_eV += repulsion_.add(species, neighbor_species[k], r, total,
                                cotangent ? block.gradient_eV_A + 3 * size_t(k) : nullptr);
    }
    for (int k = first; cotangent && k < last; k++) {
      const size_t from = first_edge_[c] + size_t(k - first), to = order ? order[from] : from;
      for (int d = 0; d < 3; d++) gradient[3 * to + d] = of_block[3 * size_t(k) + d];
    }
    if (!energies) continue;
    const double mean =
        double(block.energies_eV[a]) + p_.mean_shift[species] + core_eV + p_.reference_eV[species];
    double *row = &rows_[size_t(c) * n_columns];
    if (!members_) row[0] = mean;
    const double *shift = &p_.deviation_shift[size_t(species) * p_.n_members];
    const Real *deviation = block.energies_eV + lanes + a;
    for (int m = 0; members_ && m < n_columns; m++)
      row[m] = mean + (double(deviation[m * size_t(lanes)]) + shift[m]);
  }
}

}    // namespace

std::unique_ptr<Evaluator> density_evaluator(const DensityParameters &parameters,
                                             const ModelInfo &info, bool members, Threads threads)
{
  if (info.single_precision)
    return std::make_unique<DensityEvaluator<float>>(parameters, info, members, std::move(threads));
  return std::make_unique<DensityEvaluator<double>>(parameters, info, members, std::move(threads));
}

}    // namespace quorum
