// From a TorchScript module to the tensors of the built-in potential; see density_model.h.

#include "density_model.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <stdexcept>

namespace quorum {

namespace {

// Thrown where a module is not what the kernel computes.
struct Unlike : std::runtime_error {
  using std::runtime_error::runtime_error;
};

bool is_class(const torch::jit::Module &module, const std::string &python_module,
              const std::string &name)
{
  // reading several files puts a mangled part between the two
  const auto type = module.type()->name();
  return type && type->name() == name &&
      type->qualifiedName().find(python_module + ".") != std::string::npos;
}

c10::IValue attribute(const torch::jit::Module &module, const std::string &name)
{
  if (!module.hasattr(name)) throw Unlike("its potential has no " + name);
  return module.attr(name);
}

// Values of a tensor whose shape must be this.
std::vector<double> values(const torch::jit::Module &module, const std::string &name,
                           const std::vector<int64_t> &shape)
{
  const auto tensor = attribute(module, name).toTensor();
  if (tensor.sizes() != c10::IntArrayRef(shape))
    throw Unlike("the shape of " + name + " is unexpected");
  const auto flat = tensor.detach().to(at::kCPU, at::kDouble).contiguous();
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

std::vector<int64_t> shape_of(const torch::jit::Module &module, const std::string &name,
                              int64_t dimensions)
{
  const auto tensor = attribute(module, name).toTensor();
  if (tensor.dim() != dimensions) throw Unlike("the shape of " + name + " is unexpected");
  return tensor.sizes().vec();
}

DensityParameters read_potential(const torch::jit::Module &module,
                                 const std::vector<int> &atomic_numbers)
{
  const auto net = attribute(module, "net").toModule();
  const auto embedding = shape_of(net, "embedding", 2), mixing = shape_of(net, "mixing", 3),
             weight_1 = shape_of(net, "weight_1", 2), weight_2 = shape_of(net, "weight_2", 2),
             deviations = shape_of(module, "deviation_weight", 2);
  const auto n_radial = attribute(net, "n_radial").toInt();
  const auto n_partners = attribute(net, "n_partners").toInt();
  const auto s = embedding[0], a = embedding[1], q = mixing[2], h1 = weight_1[1], h2 = weight_2[1],
             k = deviations[1];
  if (n_radial < 1 || n_partners < 0 || n_partners > q) throw Unlike("its sizes are unexpected");

  DensityParameters p;
  p.n_species = int(s);
  p.n_alchemical = int(a);
  p.n_radial = int(n_radial);
  p.n_mixed = int(q);
  p.n_partners = int(n_partners);
  p.n_hidden_1 = int(h1);
  p.n_hidden_2 = int(h2);
  p.n_members = int(k);
  p.cutoff_A = attribute(module, "cutoff_A").toDouble();
  p.embedding = values(net, "embedding", {s, a});
  p.mixing = values(net, "mixing", {4, a * n_radial, q});
  p.scale = values(net, "scale", {s, 4, q});
  p.shift = values(net, "shift", {s, q});
  p.weight_1 = values(net, "weight_1", {q + 4 * q * n_partners, h1});
  p.gate = values(net, "gate", {s, h1});
  p.bias_1 = values(net, "bias_1", {s, h1});
  p.weight_2 = values(net, "weight_2", {h1, h2});
  p.bias_2 = values(net, "bias_2", {h2});
  p.mean_weight = values(module, "mean_weight", {h2});
  p.mean_shift = values(module, "mean_shift", {s});
  p.deviation_weight = values(module, "deviation_weight", {h2, k});
  p.deviation_shift = values(module, "deviation_shift", {s, k});
  p.pair_strength = values(module, "pair_strength", {s * s});
  p.pair_length = values(module, "pair_length", {s * s});
  p.pair_inner = values(module, "pair_inner", {s * s});
  p.pair_outer = values(module, "pair_outer", {s * s});
  p.reference_eV = attribute(module, "reference_eV").toDoubleVector();
  if (int64_t(p.reference_eV.size()) != s) throw Unlike("the length of reference_eV is unexpected");
  // files of earlier versions made a tensor of the list, which TorchScript does in the default
  // precision, whatever precision is asked for
  if (!module.hasattr("references_in_double") &&
      c10::get_default_dtype_as_scalartype() == at::kFloat)
    for (auto &energy : p.reference_eV) energy = double(float(energy));

  const auto table = attribute(module, "species_of_type").toTensor().to(at::kLong).contiguous();
  for (const int z : atomic_numbers) {
    if (table.dim() != 1 || z < 0 || z >= table.numel()) throw Unlike("it lacks an element");
    const auto species = table.data_ptr<int64_t>()[z];
    if (species < 0 || species >= s) throw Unlike("it lacks an element");
    p.species_of_number[z] = int(species);
  }
  return p;
}

// K members V̄ + α (V − V̄), V̄ being the mean of the members.
void scale_members(DensityParameters &p, double alpha)
{
  auto scale = [&](std::vector<double> &mean, std::vector<double> &deviations) {
    for (size_t row = 0; row < mean.size(); row++) {
      double *of_row = &deviations[row * p.n_members];
      double shift = 0.0;
      for (int m = 0; m < p.n_members; m++) shift += of_row[m] / p.n_members;
      for (int m = 0; m < p.n_members; m++) of_row[m] = alpha * (of_row[m] - shift);
      mean[row] += shift;
    }
  };
  scale(p.mean_weight, p.deviation_weight);
  scale(p.mean_shift, p.deviation_shift);
}

// `file` is a metatomic model, whose module is the potential or a committee of it alone.
DensityParameters read(const torch::jit::Module &file, const std::vector<int> &atomic_numbers)
{
  const auto module = attribute(file, "module").toModule();
  if (is_class(module, "quorum_md.models.density", "DensityPotential"))
    return read_potential(module, atomic_numbers);
  if (!is_class(module, "quorum_md.models.committee", "Committee"))
    throw Unlike("it is not a built-in potential");
  const auto models = attribute(module, "models").toModule();
  if (models.named_children().size() != 1 || attribute(module, "has_baseline").toBool())
    throw Unlike("it is a committee of several models");
  auto p = read((*models.named_children().begin()).value, atomic_numbers);
  const auto names = attribute(module, "names").toListRef();
  if (p.n_members > 1 && names.at(0).toStringRef() != "energy_ensemble")
    throw Unlike("it leaves out the members");
  if (p.n_members > 1) scale_members(p, attribute(module, "alpha").toDouble());
  return p;
}

// Atoms of every element closer and farther than they ever are, within the cutoff of each other.
Cluster few_atoms(const DensityParameters &p, const std::vector<int> &atomic_numbers)
{
  std::mt19937 engine(11);
  Cluster cluster;
  const int n = std::max(8, 2 * int(atomic_numbers.size()));
  const double spacing = 0.42 * p.cutoff_A;
  for (int k = 0; k < n; k++) {
    cluster.atomic_numbers.push_back(atomic_numbers[k % atomic_numbers.size()]);
    for (const int place : {k % 2, k / 2 % 2, k / 4})
      cluster.positions_A.push_back(spacing * (place + 0.4 * (double(engine()) / 4294967296.0)));
  }
  cluster.n_centers = n;
  cluster.edges.resize(1);
  const auto &x = cluster.positions_A;
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      const double r[3] = {x[3 * j] - x[3 * i], x[3 * j + 1] - x[3 * i + 1],
                           x[3 * j + 2] - x[3 * i + 2]};
      auto &edges = cluster.edges[0];
      if (i == j || r[0] * r[0] + r[1] * r[1] + r[2] * r[2] >= p.cutoff_A * p.cutoff_A) continue;
      edges.pairs.insert(edges.pairs.end(), {i, j});
      edges.vectors_A.insert(edges.vectors_A.end(), r, r + 3);
    }
  return cluster;
}

bool agree(const std::vector<double> &a, const std::vector<double> &b, double tolerance)
{
  if (a.size() != b.size()) return false;
  double scale = 0.0, difference = 0.0;
  for (size_t k = 0; k < a.size(); k++) {
    scale = std::max(scale, std::abs(b[k]));
    difference = std::max(difference, std::abs(a[k] - b[k]));
  }
  return difference <= tolerance * scale;
}

Threads torch_threads()
{
  return {[] { return at::get_num_threads(); },
          [](int n, const std::function<void(int, int, int)> &work) {
            at::parallel_for(0, n, 1, [&](int64_t begin, int64_t end) {
              work(int(begin), int(end), at::get_thread_num());
            });
          }};
}

}    // namespace

std::unique_ptr<Evaluator> open_density_kernel(const torch::jit::Module &file, Evaluator &reference,
                                               bool members, std::string &why)
{
  const auto &info = reference.info();
  DensityParameters p;
  try {
    p = read(file, info.atomic_numbers);
    if (info.has_baseline) throw Unlike("it has a baseline");
    if (info.requests.size() != 1 || !info.requests[0].full ||
        std::abs(info.requests[0].cutoff_A - p.cutoff_A) > 1e-9)
      throw Unlike("its neighbour list is not that of its potential");
  } catch (const Unlike &reason) {
    why = reason.what();
    return nullptr;
  } catch (const c10::Error &) {
    why = "its potential is written in another way";
    return nullptr;
  }
  auto kernel = density_evaluator(p, info, members, torch_threads());
  // a file of another version of this package may hold another formula under the same names
  const auto cluster = few_atoms(p, info.atomic_numbers);
  const auto &rows = kernel->forward(cluster, true);
  const auto &expected = reference.forward(cluster, true);
  const std::vector<double> cotangents(kernel->n_columns(), 1.0 / kernel->n_columns());
  const double tolerance = info.single_precision ? 1e-4 : 1e-9;
  if (kernel->n_columns() != reference.n_columns() || !agree(rows, expected, tolerance) ||
      !agree(kernel->gradient(cotangents).edges_eV_A[0],
             reference.gradient(cotangents).edges_eV_A[0], 10.0 * tolerance)) {
    why = "its energies or forces are not those of the kernel";
    return nullptr;
  }
  return kernel;
}

}    // namespace quorum
