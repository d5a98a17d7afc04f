// From the statements of a PLUMED input to the actions of the native backend; see order_program.h.

#include "order_program.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <set>

namespace quorum::order {

// What PLUMED 2.10 takes the words of its action UNITS for.
using Table = std::vector<std::pair<std::string, double>>;
static const Table LENGTHS = {{"nm", 1.0}, {"A", 0.1}, {"um", 1000.0}, {"Bohr", 0.052917721067}};
static const Table ENERGIES = {{"kj/mol", 1.0}, {"kcal/mol", 4.184}, {"j/mol", 0.001},
                               {"eV", 96.48530749925792}, {"Ha", 2625.499638}};
static const Table TIMES = {{"ps", 1.0}, {"ns", 1000.0}, {"fs", 0.001},
                            {"atomic", 2.418884326509e-5}};
static const Table MASSES = {{"amu", 1.0}}, CHARGES = {{"e", 1.0}};

static double unit(Keywords &keywords, const std::string &key, const Table &table)
{
  const auto text = keywords.text(key);
  if (!text) return 1.0;
  for (const auto &[name, value] : table)
    if (name == *text) return value;
  char *end = nullptr;
  const double value = std::strtod(text->c_str(), &end);
  if (*end == '\0' && std::isfinite(value) && value > 0) return value;
  std::vector<std::string> names;
  for (const auto &one : table) names.push_back(one.first);
  throw keywords.error(key, quoted(*text), joined(names, ", ") + " or a positive number");
}

static Units read_units(const Statement &statement)
{
  Keywords keywords(statement);
  Units units;
  units.natural = keywords.flag("NATURAL");
  units.length_nm = unit(keywords, "LENGTH", LENGTHS);
  units.energy_kJ_mol = unit(keywords, "ENERGY", ENERGIES);
  units.time_ps = unit(keywords, "TIME", TIMES);
  unit(keywords, "MASS", MASSES);
  unit(keywords, "CHARGE", CHARGES);
  keywords.finish();
  if (units.natural) units.length_nm = units.energy_kJ_mol = units.time_ps = 1.0;
  return units;
}

namespace {

class Builder {
 public:
  Builder(const std::string &file, const Opener &open) : open_(open) { program.file = file; }
  void add(const Statement &statement);

  Program program;

 private:
  std::string new_label(const Statement &statement);
  void add_function(const Statement &statement);
  void add_print(const Statement &statement);
  std::vector<size_t> matching(const Keywords &keywords, const std::string &word, bool several);

  const Opener &open_;
  bool has_units_ = false;
  std::map<std::string, int> colvars_;
  std::set<std::string> labels_;
};

void Builder::add(const Statement &statement)
{
  if (statement.action == "UNITS") {
    if (has_units_ || !program.actions.empty())
      throw statement.error("UNITS", "it after other actions", "it first, and once");
    program.units = read_units(statement);
    has_units_ = true;
  } else if (statement.action == "PRINT")
    add_print(statement);
  else if (is_colvar(statement.action)) {
    const auto label = new_label(statement);
    Keywords keywords(statement);
    const size_t first = program.names.size();
    auto made = build_colvar(keywords, label, colvars_, program, open_, program.names);
    made.first_value = first;
    colvars_[label] = int(program.actions.size());
    program.actions.emplace_back(std::move(made));
  } else if (statement.action == "COMBINE" || statement.action == "RESTRAINT" ||
             statement.action == "UPPER_WALLS" || statement.action == "LOWER_WALLS")
    add_function(statement);
  else if (statement.action != "FLUSH")
    throw NeedsKernel(statement.where() + ": action " + statement.action +
                      " needs the PLUMED kernel; set PLUMED_KERNEL");
}

std::string Builder::new_label(const Statement &statement)
{
  const auto label = statement.label.empty() ? "@" + std::to_string(program.actions.size())
                                             : statement.label;
  if (labels_.count(label))
    throw statement.error("LABEL", quoted(label), "a label that no other action has");
  if (label.find_first_of(". ") != std::string::npos)
    throw statement.error("LABEL", quoted(label), "a label without dots and spaces");
  labels_.insert(label);
  return label;
}

// Values that an argument means: a name, label.* or *.
std::vector<size_t> Builder::matching(const Keywords &keywords, const std::string &word,
                                      bool several)
{
  const bool of_label = word.size() > 2 && word.substr(word.size() - 2) == ".*";
  std::vector<size_t> found;
  for (size_t k = 0; k < program.names.size(); k++) {
    const auto &name = program.names[k];
    auto other = name;    // PLUMED 2.10 calls label.mean label_mean as well
    if (other.find('.') != std::string::npos) other[other.find('.')] = '_';
    if (word == "*" || (of_label ? name.rfind(word.substr(0, word.size() - 1), 0) == 0
                                 : word == name || word == other))
      found.push_back(k);
  }
  if (found.empty() && colvars_.count(word))
    throw keywords.needs_kernel("ARG=" + word, "the values of all atoms");
  if (found.empty())
    throw keywords.error("ARG", quoted(word), "one of the values above: " +
                         (program.names.empty() ? "none yet" : joined(program.names, ", ")));
  if (found.size() > 1 && !several)
    throw keywords.error("ARG", quoted(word),
                         "names: versions of PLUMED differ in the order of a wildcard");
  return found;
}

void check_every_step(Keywords &keywords)
{
  if (keywords.number("STRIDE", 1.0) != 1)
    throw keywords.needs_kernel("STRIDE other than 1");
}

void read_combine(Keywords &keywords, Function &made)
{
  const size_t n = made.arguments.size();
  const auto periodic = keywords.needed("PERIODIC", "PERIODIC=NO");
  if (upper(periodic) != "NO") throw keywords.needs_kernel("PERIODIC=" + periodic);
  auto coefficients = keywords.numbers("COEFFICIENTS", n, 1.0);
  if (keywords.flag("NORMALIZE")) {
    double total = 0.0;
    for (const double value : coefficients) total += value;
    if (total == 0)
      throw keywords.error("NORMALIZE", "coefficients of sum 0", "another sum");
    for (double &value : coefficients) value /= total;
  }
  made.columns = {coefficients, keywords.numbers("PARAMETERS", n, 0.0)};
  made.columns.push_back(keywords.numbers("POWERS", n, 1.0));
}

void read_bias(Keywords &keywords, Function &made)
{
  check_every_step(keywords);
  const size_t n = made.arguments.size();
  made.columns.push_back(keywords.numbers("AT", n));
  if (made.kind == Function::RESTRAINT) {
    for (const char *key : {"KAPPA", "SLOPE"})
      made.columns.push_back(keywords.numbers(key, n, 0.0));
    return;
  }
  made.columns.push_back(keywords.numbers("KAPPA", n));
  const std::pair<const char *, double> more[] = {{"OFFSET", 0.0}, {"EXP", 2.0}, {"EPS", 1.0}};
  for (const auto &[key, fallback] : more)
    made.columns.push_back(keywords.numbers(key, n, fallback));
  for (const double epsilon : made.columns.back())
    if (epsilon == 0) throw keywords.error("EPS", "0", "another number");
}

void Builder::add_function(const Statement &statement)
{
  const auto label = new_label(statement);
  Keywords keywords(statement);
  Function made;
  made.statement = statement;
  for (const auto &word : keywords.names("ARG"))
    made.arguments.push_back(matching(keywords, word, false)[0]);
  made.first_value = program.names.size();
  if (statement.action == "COMBINE") {
    made.kind = Function::COMBINE;
    read_combine(keywords, made);
    keywords.finish();
    program.names.push_back(label);
  } else {
    made.kind = statement.action == "RESTRAINT" ? Function::RESTRAINT : Function::WALL;
    made.side = statement.action == "UPPER_WALLS" ? 1 : -1;
    read_bias(keywords, made);
    keywords.finish();
    program.names.push_back(label + ".bias");
    program.names.push_back(label + ".force2");
  }
  program.actions.emplace_back(std::move(made));
}

void Builder::add_print(const Statement &statement)
{
  Keywords keywords(statement);
  Print made;
  made.statement = statement;
  for (const auto &word : keywords.names("ARG"))
    for (const size_t k : matching(keywords, word, true)) made.arguments.push_back(k);
  made.stride = keywords.whole("STRIDE", 1.0);
  if (made.stride < 1)
    throw keywords.error("STRIDE", std::to_string(made.stride), "a number above 0");
  made.file = keywords.text("FILE").value_or("");
  made.format = keywords.text("FMT").value_or("%f");
  made.restart = upper(keywords.text("RESTART").value_or("AUTO"));
  const double infinity = std::numeric_limits<double>::infinity();
  made.from = keywords.number("UPDATE_FROM", -infinity);
  made.until = keywords.number("UPDATE_UNTIL", infinity);
  keywords.finish();
  // one conversion of a double, which goes to printf
  const auto &f = made.format;
  const size_t end = f.find_first_not_of("-+ #0123456789.", 1);
  if (f[0] != '%' || end != f.size() - 1 || !std::strchr("aefgAEFG", f[end]) || f.size() > 20)
    throw keywords.error("FMT", quoted(f), "a format of one number such as %f or %20.14e");
  if (made.restart != "AUTO" && made.restart != "YES" && made.restart != "NO")
    throw keywords.error("RESTART", quoted(made.restart), "YES, NO or AUTO");
  program.prints.push_back(made);
}

}    // namespace

Program build_program(const std::vector<Statement> &statements, const std::string &file,
                      const Opener &open)
{
  Builder builder(file, open);
  for (const auto &statement : statements) {
    if (statement.action == "ENDPLUMED") break;
    builder.add(statement);
  }
  return builder.program;
}

}    // namespace quorum::order
