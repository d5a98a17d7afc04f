// A metatomic model file behind the interface of evaluator.h.
//
// Energies are taken per atom, and rows of centers are summed in double precision: totals of a
// float32 model would lose 10 meV at 2000 atoms. Gradients are taken with respect to positions, cell
// and edge vectors, which covers models that read any of them.

#include "density_model.h"
#include "evaluator.h"
#include "extension_gradients.h"

#include <caffe2/serialize/inline_container.h>
#include <metatensor/torch.hpp>
#include <metatomic/torch.hpp>
#include <torch/csrc/autograd/autograd.h>
#include <torch/script.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <stdexcept>

namespace quorum {

namespace mta = metatomic_torch;
namespace mts = metatensor_torch;

static const std::string BASELINE_OUTPUT = "energy/baseline";
static const std::string SIGMA_KEY = "quorum:baseline_sigma_eV";

// One line of a message that may carry a traceback: its last line names the reason.
static std::string reason(const std::exception &failure)
{
  std::string text = failure.what();
  if (const auto *error = dynamic_cast<const c10::Error *>(&failure))
    text = error->what_without_backtrace();
  const auto end = text.find_last_not_of(" \n\t");
  if (end == std::string::npos) return "unknown reason";
  text.resize(end + 1);
  const bool traceback = text.find("raceback") != std::string::npos;
  text = traceback ? text.substr(text.find_last_of('\n') + 1) : text.substr(0, text.find('\n'));
  // TorchScript puts the kind of an exception before its sentence: "builtins.ValueError: …"
  const auto colon = text.find(": ");
  const auto kind = text.substr(0, colon);
  const bool named = colon != std::string::npos && kind.find(' ') == std::string::npos &&
      (kind.rfind("builtins.", 0) == 0 || kind.rfind("torch.", 0) == 0);
  return named ? text.substr(colon + 2) : text;
}

// Warnings of torch and metatomic to their own developers would reach the user's screen from every
// rank; what matters of them is measured (wrong gradients) or an error.
class Quiet {
  struct Silence : c10::WarningHandler {
    void process(const c10::Warning &) override {}
  };
  Silence silence_;
  c10::WarningUtils::WarningHandlerGuard guard_{&silence_};
};

static std::string find_extensions(const Options &options)
{
  namespace fs = std::filesystem;
  if (!options.extensions.empty()) {
    if (!fs::is_directory(options.extensions))
      throw std::runtime_error("extensions: the folder " + options.extensions +
                               " does not exist; give the one exported with the model");
    return options.extensions;
  }
  const fs::path file(options.file);
  for (const auto &folder : {file.parent_path() / (file.stem().string() + "-extensions"),
                             file.parent_path() / "extensions"})
    if (fs::is_directory(folder)) return folder.string();
  return "";
}

static bool declares_extensions(const std::string &file)
{
  caffe2::serialize::PyTorchStreamReader archive(file);
  if (!archive.hasRecord("extra/extensions")) return false;
  const auto [data, size] = archive.getRecord("extra/extensions");
  const std::string text(static_cast<const char *>(data.get()), size);
  return text.find("\"name\"") != std::string::npos;
}

static torch::Device choose_device(const Options &options, const std::vector<std::string> &supported)
{
  std::string name = options.device;
  const bool cuda = name.rfind("cuda", 0) == 0;
  if (name != "cpu" && !cuda)
    throw std::runtime_error("device: got " + name + "; expected cpu, cuda or cuda:N");
  const std::string kind = cuda ? "cuda" : "cpu";
  if (std::find(supported.begin(), supported.end(), kind) == supported.end())
    throw std::runtime_error("device: " + options.file + " does not run on " + kind);
  if (cuda) {
    if (!torch::cuda::is_available())
      throw std::runtime_error("device: cuda was asked for, but torch sees no GPU; use device cpu");
    if (name == "cuda")
      name += ":" + std::to_string(options.local_rank % int(torch::cuda::device_count()));
  }
  return torch::Device(name);
}

static torch::Tensor doubles(const std::vector<double> &values, at::IntArrayRef shape)
{
  return torch::from_blob(const_cast<double *>(values.data()), shape, torch::kFloat64);
}

static std::vector<double> to_vector(const torch::Tensor &tensor)
{
  const auto flat = tensor.detach().to(torch::kCPU, torch::kFloat64).contiguous();
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

class TorchModel : public Evaluator {
 public:
  explicit TorchModel(const Options &options);
  const ModelInfo &info() const override { return info_; }
  int n_columns() const override { return n_columns_; }
  const std::vector<double> &forward(const Cluster &cluster, bool gradients) override;
  const Gradient &gradient(const std::vector<double> &cotangents, bool again) override;
  // The kernel that can take the place of this, nullptr and the reason if there is none.
  std::unique_ptr<Evaluator> kernel(std::string &why);

 private:
  torch::Tensor leaf(const torch::Tensor &values, bool gradients);
  mta::System system(const Cluster &cluster, bool gradients);
  torch::Tensor rows_of_centers(const mts::TensorBlock &block, int n_centers) const;

  ModelInfo info_;
  mts::Module module_;
  torch::Device device_ = torch::kCPU;
  torch::Dtype dtype_ = torch::kFloat64;
  std::vector<mta::NeighborListOptions> lists_;
  std::vector<std::string> names_;
  torch::Dict<std::string, mta::ModelOutput> outputs_;
  mts::Labels xyz_, distance_;
  std::vector<std::string> edge_names_ = {"first_atom", "second_atom", "cell_shift_a",
                                          "cell_shift_b", "cell_shift_c"};
  std::vector<torch::Tensor> leaves_;    // positions, cell, edges of every list
  torch::Tensor totals_;
  std::vector<double> rows_;
  Gradient gradient_;
  int n_columns_ = 0;
};

static mts::Module load(const Options &options)
{
  if (!std::filesystem::is_regular_file(options.file))
    throw std::runtime_error(options.file + ": no such model file; give the path of a metatomic .pt "
                             "file");
  const auto folder = find_extensions(options);
  try {
    return mta::load_atomistic_model(
        options.file, folder.empty() ? c10::nullopt : c10::optional<std::string>(folder));
  } catch (const std::exception &failure) {
    const auto why = reason(failure);
    const bool extension = why.find("xtension") != std::string::npos;
    throw std::runtime_error(options.file + ": cannot be loaded as a metatomic model (" + why +
                             "); " +
                             (extension ? "give the folder of its extensions (keyword extensions)"
                                        : "expected a .pt file exported by metatomic"));
  }
}

// As in Python: floating point numbers only. The C++ interface converts tables of indices as well.
static void convert(mts::Module &module, torch::Dtype dtype)
{
  std::vector<std::pair<torch::Tensor, torch::Tensor>> others;
  for (const auto &buffer : module.buffers())
    if (!buffer.is_floating_point()) others.emplace_back(buffer, buffer.clone());
  module.to(dtype);
  for (auto &[buffer, values] : others) buffer.set_data(values);
}

TorchModel::TorchModel(const Options &options) : module_(load(options))
{
  register_extension_gradients();
  info_.has_extensions = declares_extensions(options.file);
  const auto capabilities =
      module_.run_method("capabilities").toCustomClass<mta::ModelCapabilitiesHolder>();
  const auto metadata = module_.run_method("metadata").toCustomClass<mta::ModelMetadataHolder>();
  device_ = choose_device(options, capabilities->supported_devices);
  const auto dtype = options.dtype.empty() ? capabilities->dtype() : options.dtype;
  if (dtype != "float32" && dtype != "float64")
    throw std::runtime_error("dtype: got " + dtype + "; expected float32 or float64");
  dtype_ = dtype == "float32" ? torch::kFloat32 : torch::kFloat64;
  info_.single_precision = dtype_ == torch::kFloat32;
  info_.evaluator = "TorchScript (" + dtype + ", " + device_.str() + ")";
  if (device_.is_cuda()) module_.to(device_);
  if (dtype != capabilities->dtype()) convert(module_, dtype_);
  module_.eval();

  for (const auto z : capabilities->atomic_types) info_.atomic_numbers.push_back(int(z));
  info_.declared_range_A = capabilities->engine_interaction_range("angstrom");
  for (const auto &item : module_.run_method("requested_neighbor_lists").toListRef()) {
    auto list = item.toCustomClass<mta::NeighborListOptionsHolder>();
    info_.requests.push_back({list->engine_cutoff("angstrom"), list->full_list()});
    lists_.push_back(list);
  }

  const auto offered = capabilities->outputs();
  const auto sigma = metadata->extra.find(SIGMA_KEY);
  info_.has_baseline = sigma != metadata->extra.end();
  if (info_.has_baseline) {
    info_.sigma_eV = std::stod(sigma->value());
    if (!options.members)
      throw std::runtime_error(options.file + " has a weighted baseline, whose mixing needs the "
                               "members; leave out `members off`");
  }
  const bool ensemble = options.members && offered.contains("energy_ensemble");
  if (!ensemble && !offered.contains("energy"))
    throw std::runtime_error(options.file + " has no output energy; use a model of energies");
  names_ = {ensemble ? "energy_ensemble" : "energy"};
  if (info_.has_baseline) names_.push_back(BASELINE_OUTPUT);
  for (const auto &name : names_) {
    auto output = torch::make_intrusive<mta::ModelOutputHolder>();
    output->set_unit("eV");
    output->set_sample_kind("atom");
    outputs_.insert(name, output);
  }
  const auto ints = torch::TensorOptions().dtype(torch::kInt32).device(device_);
  xyz_ = torch::make_intrusive<mts::LabelsHolder>("xyz", torch::arange(3, ints).reshape({3, 1}));
  distance_ = torch::make_intrusive<mts::LabelsHolder>("distance", torch::zeros({1, 1}, ints));
}

torch::Tensor TorchModel::leaf(const torch::Tensor &values, bool gradients)
{
  // the memory behind `values` is the caller's
  auto own = values.to(device_, dtype_, false, true);
  own.set_requires_grad(gradients);
  leaves_.push_back(own);
  return own;
}

mta::System TorchModel::system(const Cluster &cluster, bool gradients)
{
  const auto n = int64_t(cluster.atomic_numbers.size());
  leaves_.clear();
  const auto ints = torch::TensorOptions().dtype(torch::kInt32);
  auto types = torch::from_blob(const_cast<int32_t *>(cluster.atomic_numbers.data()), {n}, ints);
  auto positions = leaf(doubles(cluster.positions_A, {n, 3}), gradients);
  auto box = torch::from_blob(const_cast<double *>(cluster.cell_A.data()), {3, 3}, torch::kFloat64);
  auto cell = leaf(box, gradients);
  auto pbc = torch::tensor({cluster.periodic[0], cluster.periodic[1], cluster.periodic[2]});
  auto result = torch::make_intrusive<mta::SystemHolder>(types.to(device_, torch::kInt32, false, true),
                                                         positions, cell, pbc.to(device_));
  for (size_t l = 0; l < lists_.size(); l++) {
    const auto &list = cluster.edges[l];
    const auto m = int64_t(list.size());
    auto vectors = leaf(doubles(list.vectors_A, {m, 3, 1}), gradients);
    auto samples = torch::zeros({m, 5}, ints);
    samples.slice(1, 0, 2).copy_(
        torch::from_blob(const_cast<int32_t *>(list.pairs.data()), {m, 2}, ints));
    if (!list.shifts.empty())
      samples.slice(1, 2, 5).copy_(
          torch::from_blob(const_cast<int32_t *>(list.shifts.data()), {m, 3}, ints));
    auto labels = torch::make_intrusive<mts::LabelsHolder>(edge_names_, samples.to(device_),
                                                           metatensor::assume_unique{});
    auto block = torch::make_intrusive<mts::TensorBlockHolder>(
        vectors, labels, std::vector<mts::Labels>{xyz_}, distance_);
    result->add_neighbor_list(lists_[l], block);
  }
  return result;
}

// (n_centers, columns) in double, in the order of the centers.
torch::Tensor TorchModel::rows_of_centers(const mts::TensorBlock &block, int n_centers) const
{
  const auto names = block->samples()->names();
  const auto found = std::find(names.begin(), names.end(), "atom");
  if (found == names.end())
    throw std::runtime_error("it gives no energies per atom; use a model that does, or run it with "
                             "i-PI");
  auto values = block->values();
  values = values.reshape({values.size(0), -1});
  const auto atom =
      block->samples()->values().select(1, found - names.begin()).to(torch::kCPU, torch::kInt64);
  const auto *atoms = atom.data_ptr<int64_t>();
  const auto stride = atom.stride(0);
  std::vector<int64_t> row(n_centers, -1);
  bool in_order = true;
  for (int64_t k = 0; k < atom.size(0); k++) {
    const auto a = atoms[k * stride];
    if (a < n_centers) row[a] = k;
    in_order = in_order && a == k;
  }
  if (std::find(row.begin(), row.end(), -1) != row.end())
    throw std::runtime_error("it left out the energies of some atoms");
  if (in_order) return values.slice(0, 0, n_centers).to(torch::kFloat64);
  const auto index = torch::from_blob(row.data(), {n_centers}, torch::kInt64).to(device_);
  return values.index_select(0, index).to(torch::kFloat64);
}

const std::vector<double> &TorchModel::forward(const Cluster &cluster, bool gradients)
{
  const Quiet quiet;
  try {
    torch::AutoGradMode mode(gradients);
    auto one = system(cluster, gradients);
    c10::optional<mts::Labels> selected;
    if (cluster.select) {
      auto pairs = torch::zeros({cluster.n_centers, 2}, torch::kInt32);
      pairs.select(1, 1) = torch::arange(cluster.n_centers, torch::kInt32);
      selected = torch::make_intrusive<mts::LabelsHolder>(
          std::vector<std::string>{"system", "atom"}, pairs.to(device_), metatensor::assume_unique{});
    }
    auto options =
        torch::make_intrusive<mta::ModelEvaluationOptionsHolder>("angstrom", outputs_, selected);
    const auto result =
        module_.forward({std::vector<mta::System>{one}, options, false}).toGenericDict();
    std::vector<torch::Tensor> columns;
    for (const auto &name : names_) {
      auto map = result.at(name).toCustomClass<mts::TensorMapHolder>();
      const auto block = mts::TensorMapHolder::block_by_id(map, 0);
      columns.push_back(rows_of_centers(block, cluster.n_centers));
    }
    const auto rows = columns.size() == 1 ? columns[0] : torch::cat(columns, 1);
    n_columns_ = int(rows.size(1));
    totals_ = rows.sum(0);
    rows_ = to_vector(rows);
  } catch (const std::exception &failure) {
    throw std::runtime_error("the model does not run: " + reason(failure));
  }
  return rows_;
}

const Gradient &TorchModel::gradient(const std::vector<double> &cotangents, bool again)
{
  gradient_.positions_eV_A.clear();
  gradient_.cell_eV_A.fill(0.0);
  gradient_.edges_eV_A.assign(lists_.size(), {});
  if (!totals_.defined() || !totals_.requires_grad()) return gradient_;
  const Quiet quiet;
  try {
    const auto weights = doubles(cotangents, {int64_t(cotangents.size())}).to(device_);
    const auto grads = torch::autograd::grad({totals_}, leaves_, {weights}, /*retain_graph=*/again,
                                             false, /*allow_unused=*/true);
    if (grads[0].defined()) gradient_.positions_eV_A = to_vector(grads[0]);
    if (grads[1].defined()) {
      const auto cell = to_vector(grads[1]);
      std::copy(cell.begin(), cell.end(), gradient_.cell_eV_A.begin());
    }
    for (size_t l = 0; l < lists_.size(); l++)
      if (grads[2 + l].defined()) gradient_.edges_eV_A[l] = to_vector(grads[2 + l]);
  } catch (const std::exception &failure) {
    throw std::runtime_error("the model has no gradients: " + reason(failure));
  }
  if (!again) totals_ = torch::Tensor();    // frees the graph
  return gradient_;
}

std::unique_ptr<Evaluator> TorchModel::kernel(std::string &why)
{
  if (!device_.is_cpu()) {
    why = "the kernel runs on device cpu only";
    return nullptr;
  }
  return open_density_kernel(module_, *this, names_[0] == "energy_ensemble", why);
}

static Evaluator *open_model(const Options &options)
{
  auto model = std::make_unique<TorchModel>(options);
  if (options.kernel == "off") return model.release();
  std::string why;
  auto kernel = model->kernel(why);
  if (kernel) return kernel.release();
  if (options.kernel == "on")
    throw std::runtime_error("kernel on: there is none for " + options.file + " (" + why +
                             "); use kernel auto");
  return model.release();
}

}    // namespace quorum

extern "C" quorum::Evaluator *quorum_open_model(const quorum::Options &options, std::string &error)
{
  const quorum::Quiet quiet;
  try {
    return quorum::open_model(options);
  } catch (const std::exception &failure) {
    error = quorum::reason(failure);
    return nullptr;
  }
}
