// Reference environments of ENVIRONMENTSIMILARITY (Piaggi & Parrinello, J. Chem. Phys. 150, 244119
// (2019)), as in driver/quorum_md/order_parameters/environments.py: PLUMED hands numbers on as text of
// six digits, and so do we, to get its values.

#include "order_program.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace quorum::order {

const std::vector<std::string> CRYSTALS = {"SC", "BCC", "FCC", "HCP", "DIAMOND", "CUSTOM"};

using Shell = std::vector<std::array<double, 3>>;

double six_digits(double value)
{
  char text[40];
  std::snprintf(text, sizeof(text), "%.6g", value);
  return std::strtod(text, nullptr);
}

int Environments::neighbours() const
{
  return int(std::count(environment.begin(), environment.end(), 0));
}

static Environments together(const std::vector<Shell> &shells, double reach,
                             std::vector<std::string> names = {})
{
  Environments result;
  for (size_t k = 0; k < shells.size(); k++)
    for (const auto &vector : shells[k]) {
      for (const double x : vector) result.vectors.push_back(six_digits(x));
      result.environment.push_back(int(k));
    }
  names.resize(result.environment.size());
  result.names = std::move(names);
  result.reach = reach;
  return result;
}

static double longest(const std::vector<Shell> &shells)
{
  double most = 0.0;
  for (const auto &shell : shells)
    for (const auto &v : shell)
      most = std::max(most, std::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]));
  return most;
}

// The two sites of hcp: six in the plane, three above and three below.
static std::vector<Shell> hexagonal(double a, double c)
{
  const double third = std::sqrt(3.0) / 6;
  Shell plane;
  for (const int sy : {1, -1})
    for (const int sx : {1, -1}) plane.push_back({0.5 * sx * a, std::sqrt(3.0) / 2 * sy * a, 0.0});
  plane.push_back({a, 0.0, 0.0});
  plane.push_back({-a, 0.0, 0.0});
  std::vector<Shell> shells;
  for (const int side : {1, -1}) {
    auto shell = plane;
    for (const double z : {0.5, -0.5}) {
      shell.push_back({0.5 * a, side * third * a, z * c});
      shell.push_back({-0.5 * a, side * third * a, z * c});
      shell.push_back({-0.0 * a, -2 * side * third * a, z * c});
    }
    shells.push_back(shell);
  }
  return shells;
}

Environments crystal(const std::string &name, const std::vector<double> &lattice_constants)
{
  const double a = lattice_constants[0];
  if (name == "HCP") return together(hexagonal(a, lattice_constants[1]), a);
  std::vector<Shell> shells(name == "DIAMOND" ? 2 : 1);
  // vectors of 0 and ±1 with this many that are not 0, times a factor
  const auto add = [&](int squared, double factor) {
    for (int x = -1; x <= 1; x++)
      for (int y = -1; y <= 1; y++)
        for (int z = -1; z <= 1; z++) {
          if (x * x + y * y + z * z != squared) continue;
          auto &shell = shells[name == "DIAMOND" && x * y * z < 0 ? 1 : 0];
          shell.push_back({a * (x * factor), a * (y * factor), a * (z * factor)});
        }
  };
  if (name == "BCC") add(3, 0.5);
  if (name == "SC" || name == "BCC") add(1, 1.0);
  if (name == "FCC") add(2, 0.5);
  if (name == "DIAMOND") add(3, 0.25);
  return together(shells, longest(shells));
}

// Names and positions, in Å, of the first structure in a PDB file.
static Shell read_pdb(const std::string &file, const Opener &open, std::vector<std::string> &names)
{
  const auto text = open(file);
  if (!text) throw Failure(file + ": cannot be read; expected a PDB file");
  Shell rows;
  int number = 0;
  for (size_t at = 0; at < text->size();) {
    const size_t end = std::min(text->find('\n', at), text->size());
    auto line = text->substr(at, end - at);
    at = end + 1;
    number++;
    const auto record = joined(split(line.substr(0, 6), " \r"), "");
    if (record == "END" || record == "ENDMDL") break;
    if (record != "ATOM" && record != "HETATM") continue;
    line.resize(std::max<size_t>(line.size(), 54), ' ');
    std::array<double, 3> row{};
    for (size_t k = 0; k < 3; k++) {
      const auto column = joined(split(line.substr(30 + 8 * k, 8), " \r"), " ");
      char *rest = nullptr;
      row[k] = std::strtod(column.c_str(), &rest);
      if (column.empty() || *rest != '\0')
        throw Failure(file + ", line " + std::to_string(number) + ": got " +
                      quoted(line.substr(30, 24)) + " in columns 31 to 54, expected three "
                      "coordinates in Å of 8 columns each");
    }
    rows.push_back(row);
    names.push_back(joined(split(line.substr(12, 4), " "), ""));
  }
  if (rows.empty()) throw Failure(file + ": holds no atoms, expected lines of ATOM or HETATM");
  return rows;
}

std::vector<std::string> pdb_names(const std::string &file, const Opener &open)
{
  std::vector<std::string> names;
  read_pdb(file, open, names);
  return names;
}

Environments custom(const std::vector<std::string> &references,
                    const std::vector<std::string> &known_names, double scale, const Opener &open)
{
  std::vector<std::string> known, names;
  for (const auto &name : known_names)
    if (std::find(known.begin(), known.end(), name) == known.end()) known.push_back(name);
  std::vector<Shell> shells;
  for (const auto &reference : references) {
    std::vector<std::string> found;
    auto shell = read_pdb(reference, open, found);
    for (const auto &name : found)
      if (!known.empty() && std::find(known.begin(), known.end(), name) == known.end())
        throw Failure(reference + ": an atom is named " + quoted(name) + ", expected one of the "
                      "names in ATOM_NAMES_FILE: " + joined(known, ", "));
    for (auto &vector : shell)
      for (double &x : vector) x *= scale;
    shells.push_back(shell);
    if (!known.empty()) names.insert(names.end(), found.begin(), found.end());
  }
  return together(shells, longest(shells), names);
}

}    // namespace quorum::order
