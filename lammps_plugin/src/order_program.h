// The actions of a PLUMED input that the native backend knows, as plain data. Read from text as
// driver/quorum_md/order_parameters/reader.py and colvar_reader.py do, with the same sentences for what
// is wrong.

#ifndef QUORUM_ORDER_PROGRAM_H
#define QUORUM_ORDER_PROGRAM_H

#include "order_switch.h"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace quorum::order {

// What the numbers of a file are in, as PLUMED counts: nm, kJ/mol, ps. Natural: those of LAMMPS.
struct Units {
  double length_nm = 1.0, energy_kJ_mol = 1.0, time_ps = 1.0;
  bool natural = false;
};

// Atoms, counted from 0; all of them if there is no list.
using Selection = std::optional<std::vector<int>>;

// Neighbours of the atoms of a perfect crystal, all environments together.
struct Environments {
  std::vector<double> vectors;      // 3 per neighbour, in the input's unit
  std::vector<int> environment;     // of each, which it belongs to
  std::vector<std::string> names;   // what it has to be; empty where any will do
  double reach = 0.0;

  int count() const { return environment.back() + 1; }
  // Of the first environment, by whose number PLUMED divides the sums of all.
  int neighbours() const;
};

// One number made of the values of all centres.
struct Component {
  enum Kind { LESS_THAN, MORE_THAN, SUM, MEAN, VMEAN, VSUM };
  Kind kind;
  Switch step;    // of LESS_THAN and MORE_THAN
};

// One value for every centre, from its neighbours.
struct Colvar {
  enum Kind { FCCUBIC, STEINHARDT, LOCAL_STEINHARDT, LOCAL_AVERAGE, SIMILARITY };
  Kind kind;
  Statement statement;
  std::string label;
  Selection centres, neighbours;
  std::vector<Component> components;
  size_t first_value = 0;
  double cutoff = 0.0;    // beyond it nothing counts; infinite for a switch without D_MAX
  Switch contact;
  double alpha = 0.0;     // FCCUBIC
  int degree = 0;         // STEINHARDT
  int of = -1;            // LOCAL_…: place of the action above that it takes vectors from
  Environments environments;                             // SIMILARITY, with the four below
  double sigma = 0.0, sharpness = 0.0, inner_cutoff = 0.0;
  std::vector<std::string> names;                        // of the neighbours, in their order
};

// COMBINE, Σ c (x - p)ⁿ; RESTRAINT, Σ κ/2 (x - a)² + m (x - a); walls, Σ κ [(side (x - a) + o)/ε]ᵉ
// where positive.
struct Function {
  enum Kind { COMBINE, RESTRAINT, WALL };
  Kind kind;
  Statement statement;
  size_t first_value = 0;    // its own: one, or bias and force2
  int side = 0;
  std::vector<size_t> arguments;
  // COMBINE: coefficients, parameters, powers; others: at, kappa, then slope, or offset, power, ε
  std::vector<std::vector<double>> columns;
};

struct Print {
  Statement statement;
  std::string file, format, restart;
  int stride = 1;
  double from = 0.0, until = 0.0;
  std::vector<size_t> arguments;
};

struct Program {
  std::string file;
  Units units;
  std::vector<std::variant<Colvar, Function>> actions;    // in the order of evaluation
  std::vector<Print> prints;
  std::vector<std::string> names;                         // of all values: label.component or label
};

// The text of a file, nothing if it cannot be read.
using Opener = std::function<std::optional<std::string>(const std::string &)>;

// Throws NeedsKernel for what only PLUMED has, Failure for what PLUMED would not take either.
Program build_program(const std::vector<Statement> &statements, const std::string &file,
                      const Opener &open);

// order_colvars.cpp
bool is_colvar(const std::string &action);
// `labels`: places of the order parameters above; appends the names of the components to `names`.
Colvar build_colvar(Keywords &keywords, const std::string &label,
                    const std::map<std::string, int> &labels, const Program &program,
                    const Opener &open, std::vector<std::string> &names);

// order_crystals.cpp
extern const std::vector<std::string> CRYSTALS;
Environments crystal(const std::string &name, const std::vector<double> &lattice_constants);
Environments custom(const std::vector<std::string> &references,
                    const std::vector<std::string> &known_names, double scale, const Opener &open);
std::vector<std::string> pdb_names(const std::string &file, const Opener &open);
double six_digits(double value);    // as PLUMED writes it down

}    // namespace quorum::order

#endif
