// What the pair style needs of a model, without torch and without LAMMPS.
//
// The pair style knows only this header; what implements it (torch_model.cpp) is opened when the
// style is used, so that an `lmp` that never uses it pays nothing for torch. Units: eV, Å.

#ifndef QUORUM_EVALUATOR_H
#define QUORUM_EVALUATOR_H

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace quorum {

struct Options {
  std::string file;
  std::string extensions;    // folder of TorchScript extensions, empty: look beside the file
  std::string device = "cpu";
  std::string dtype;         // float32, float64, or empty: what the file declares
  bool members = true;       // false: only the output `energy` is evaluated
  std::string kernel = "auto";    // on, off, or auto: the hand-made code where the file has one
  int local_rank = 0;        // which GPU of the machine `device cuda` means
};

// A neighbour list that the model asks for.
struct Request {
  double cutoff_A;
  bool full;    // both directions of every pair
};

struct EdgeList {
  std::vector<int32_t> pairs;       // 2 per edge: first and second
  std::vector<int32_t> shifts;      // 3 per edge: cells of the second; empty where all are zero
  std::vector<double> vectors_A;    // 3 per edge: from the first to the second

  size_t size() const { return pairs.size() / 2; }
  void clear();
  void add(int first, int second, const std::array<int, 3> &shift, const double *vector_A);
};

// Atoms and edges as a model gets them; the first n_centers atoms are those whose energies count.
struct Cluster {
  int n_centers = 0;
  std::vector<int32_t> atomic_numbers;
  std::vector<double> positions_A;          // 3 per atom
  std::array<double, 9> cell_A{};           // row per vector, zero where not periodic
  std::array<bool, 3> periodic{};
  std::vector<EdgeList> edges;              // one per request
  bool select = false;                      // tell the model which atoms are centers
};

struct Gradient {
  std::vector<double> positions_eV_A;             // 3 per atom; empty if the model reads none
  std::array<double, 9> cell_eV_A{};
  std::vector<std::vector<double>> edges_eV_A;    // 3 per edge, per request; empty if not read
};

struct ModelInfo {
  std::string evaluator;    // what runs the model, for the user to read
  std::vector<int> atomic_numbers;
  std::vector<Request> requests;
  double declared_range_A = 0.0;
  bool single_precision = false;
  bool has_extensions = false;
  bool has_baseline = false;    // the last column is the baseline of a weighted baseline
  double sigma_eV = 0.0;        // its expected error
};

class Evaluator {
 public:
  virtual ~Evaluator() = default;
  virtual const ModelInfo &info() const = 0;
  // Columns (members, then the baseline if there is one) that the last forward gave.
  virtual int n_columns() const = 0;
  // Energies of the centers, row by row, n_columns per row. Throws std::runtime_error. The cluster
  // must stay as it is until the last gradient.
  virtual const std::vector<double> &forward(const Cluster &cluster, bool gradients) = 0;
  // Gradient of Σ_columns cotangent · Σ_centers energy, after a forward with gradients. It may be
  // asked for again, with other cotangents, as long as every call but the last says `again`; what
  // is returned lasts until the next call.
  virtual const Gradient &gradient(const std::vector<double> &cotangents, bool again = false) = 0;
};

// Conversion to LAMMPS units `real`: kcal/mol per eV (CODATA 2018, as in quorum_md.units).
constexpr double KCAL_MOL_PER_EV = 1.0 / 0.0433641153087705;

}    // namespace quorum

// The one symbol of the torch part. On failure nullptr is returned and `error` says why.
extern "C" quorum::Evaluator *quorum_open_model(const quorum::Options &options,
                                                std::string &error);

#endif
