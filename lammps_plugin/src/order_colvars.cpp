// The keywords of the order parameters, as in driver/quorum_md/order_parameters/colvar_reader.py.

#include "order_program.h"

#include <algorithm>
#include <cmath>

namespace quorum::order {

using Labels = std::map<std::string, int>;

static const Colvar &colvar_at(const Program &program, int place)
{
  return std::get<Colvar>(program.actions[size_t(place)]);
}

static Selection atoms_of(const Keywords &keywords, const std::string &key, const std::string &text,
                          const Labels &labels, const Program &program)
{
  const auto words = split(text, ", \t");
  if (words.size() == 1) {
    const auto label = labels.find(words[0]);
    if (label != labels.end()) return colvar_at(program, label->second).centres;
    if (words[0] == "@mdatoms" || words[0] == "@allatoms") return std::nullopt;
  }
  std::vector<int> atoms;
  for (const auto &word : words) {
    const auto found = keywords.range(key, word);
    if (found.empty())
      throw keywords.error(key, quoted(word),
                           "atoms such as 1-108, @mdatoms, or the label of an action above");
    atoms.insert(atoms.end(), found.begin(), found.end());
  }
  for (const int atom : atoms)
    if (atom < 1) throw keywords.error(key, std::to_string(atom), "atoms counted from 1");
  if (atoms.empty()) throw keywords.error(key, quoted(text), "atoms such as 1-108");
  auto sorted = atoms;
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
    throw keywords.error(key, "an atom more than once", "every atom once");
  for (int &atom : atoms) atom--;
  return atoms;
}

// Centres and neighbours of SPECIES, or SPECIESA and SPECIESB.
static void read_species(Keywords &keywords, Colvar &made, const Labels &labels,
                         const Program &program)
{
  keywords.flag("LOWMEM");
  const auto both = keywords.text("SPECIES");
  const auto first = keywords.text("SPECIESA"), second = keywords.text("SPECIESB");
  if (both) {
    if (first || second)
      throw keywords.error("SPECIES", "SPECIESA or SPECIESB beside it", "one way or the other");
    made.centres = made.neighbours = atoms_of(keywords, "SPECIES", *both, labels, program);
    return;
  }
  if (!first || !second)
    throw keywords.error("SPECIES", "nothing",
                         "SPECIES, or SPECIESA and SPECIESB: atoms such as 1-108");
  made.centres = atoms_of(keywords, "SPECIESA", *first, labels, program);
  made.neighbours = atoms_of(keywords, "SPECIESB", *second, labels, program);
}

// The one action that a LOCAL_… is of.
static int source(Keywords &keywords, const Labels &labels, const std::string &what)
{
  for (const char *key : {"SPECIESA", "SPECIESB"})
    if (keywords.text(key)) throw keywords.needs_kernel(key, "two sets of vectors");
  const auto names = keywords.names("SPECIES");
  if (names.size() > 1)
    throw keywords.needs_kernel("SPECIES=" + joined(names, ","), "several sets of vectors");
  const auto label = labels.find(names[0]);
  if (label == labels.end())
    throw keywords.error("SPECIES", quoted(names[0]), "the label of a " + what + " above");
  return label->second;
}

// SWITCH, or R_0 and its like.
static Switch contact(Keywords &keywords)
{
  const auto text = keywords.text("SWITCH");
  if (!text) return rational_switch(keywords);
  const auto made = switch_of(keywords, "SWITCH", *text);
  for (const char *key : {"R_0", "D_0", "NN", "MM"})
    if (keywords.text(key)) throw keywords.error(key, "it beside SWITCH", "one of them");
  return made;
}

static std::string component_name(Component::Kind kind)
{
  switch (kind) {
    case Component::LESS_THAN: return "lessthan";
    case Component::MORE_THAN: return "morethan";
    case Component::SUM: return "sum";
    case Component::MEAN: return "mean";
    case Component::VMEAN: return "vmean";
    default: return "vsum";
  }
}

static void add_flag(Keywords &keywords, Colvar &made, std::vector<std::string> &names,
                     Component::Kind kind)
{
  const auto name = component_name(kind);
  if (!keywords.flag(upper(name))) return;
  made.components.push_back({kind, {}});
  names.push_back(made.label + "." + name);
}

// What is made of the values of all centres.
static void read_components(Keywords &keywords, Colvar &made, std::vector<std::string> &names)
{
  for (const auto kind : {Component::LESS_THAN, Component::MORE_THAN}) {
    const std::string key = kind == Component::LESS_THAN ? "LESS_THAN" : "MORE_THAN";
    for (const auto &[number, text] : keywords.numbered(key)) {
      made.components.push_back({kind, switch_of(keywords, key + number, text)});
      names.push_back(made.label + "." + component_name(kind) +
                      (number.empty() ? "" : "-" + number));
    }
  }
  add_flag(keywords, made, names, Component::SUM);
  add_flag(keywords, made, names, Component::MEAN);
}

static void read_similarity(Keywords &keywords, Colvar &made, const Labels &labels,
                            const Program &program, const Opener &open)
{
  const auto name = keywords.text("CRYSTAL_STRUCTURE").value_or("FCC");
  if (std::find(CRYSTALS.begin(), CRYSTALS.end(), name) == CRYSTALS.end())
    throw keywords.error("CRYSTAL_STRUCTURE", quoted(name), "one of " + joined(CRYSTALS, ", "));
  const double per_A = program.units.natural ? 1.0 : 0.1 / program.units.length_nm;
  const auto names_file = keywords.text("ATOM_NAMES_FILE");
  if (name == "CUSTOM") {
    if (names_file) made.names = pdb_names(*names_file, open);
    const auto single = keywords.text("REFERENCE");
    std::vector<std::string> files;
    if (single) files.push_back(*single);
    else
      for (const auto &[number, file] : keywords.numbered("REFERENCE_"))
        if (!number.empty()) files.push_back(file);
    if (files.empty())
      throw keywords.error("REFERENCE", "nothing",
                           "REFERENCE or REFERENCE_1, REFERENCE_2, …: PDB files");
    made.environments = custom(files, made.names, per_A, open);
  } else {
    const auto lengths = keywords.numbers("LATTICE_CONSTANTS", name == "HCP" ? 2 : 1);
    const double least = *std::min_element(lengths.begin(), lengths.end());
    if (least <= 0)
      throw keywords.error("LATTICE_CONSTANTS", short_number(least), "positive lengths");
    made.environments = crystal(name, lengths);
  }
  const double sigma = keywords.number("SIGMA", 0.1);
  const double width = keywords.number("CUTOFF", 3.0);
  made.inner_cutoff = keywords.number("LCUTOFF", 1e-4);
  made.sharpness = keywords.number("LAMBDA", 100.0);
  const std::pair<const char *, double> positive[] = {
      {"SIGMA", sigma}, {"CUTOFF", width}, {"LAMBDA", made.sharpness}};
  for (const auto &[key, value] : positive)
    if (value <= 0) throw keywords.error(key, short_number(value), "a positive number");
  made.sigma = std::sqrt(six_digits(sigma * sigma));
  made.cutoff = six_digits(made.environments.reach + width * sigma);
  read_species(keywords, made, labels, program);
}

static const std::map<std::string, Colvar::Kind> KINDS = {
    {"FCCUBIC", Colvar::FCCUBIC},
    {"Q4", Colvar::STEINHARDT},
    {"Q6", Colvar::STEINHARDT},
    {"LOCAL_Q4", Colvar::LOCAL_STEINHARDT},
    {"LOCAL_Q6", Colvar::LOCAL_STEINHARDT},
    {"LOCAL_AVERAGE", Colvar::LOCAL_AVERAGE},
    {"ENVIRONMENTSIMILARITY", Colvar::SIMILARITY}};

bool is_colvar(const std::string &action)
{
  return KINDS.count(action) > 0;
}

// What a LOCAL_… has of the action above.
static void take_vectors(Colvar &made, const Program &program)
{
  made.centres = made.neighbours = colvar_at(program, made.of).centres;
}

Colvar build_colvar(Keywords &keywords, const std::string &label, const Labels &labels,
                    const Program &program, const Opener &open, std::vector<std::string> &names)
{
  Colvar made;
  const auto action = keywords.statement.action;
  made.kind = KINDS.at(action);
  made.statement = keywords.statement;
  made.label = label;
  if (made.kind == Colvar::SIMILARITY)
    read_similarity(keywords, made, labels, program, open);
  else if (made.kind == Colvar::LOCAL_STEINHARDT) {
    const auto name = action.substr(6);
    made.of = source(keywords, labels, name);
    const auto &of = colvar_at(program, made.of);
    if (of.statement.action != name)
      throw keywords.error("SPECIES", quoted(of.label), "the label of a " + name + " above");
    made.contact =
        switch_of(keywords, "SWITCH", keywords.needed("SWITCH", "a switching function"));
    keywords.flag("LOWMEM");
    take_vectors(made, program);
  } else if (made.kind == Colvar::LOCAL_AVERAGE) {
    made.of = source(keywords, labels, "Q4, Q6 or ENVIRONMENTSIMILARITY");
    const auto &of = colvar_at(program, made.of);
    if (of.kind != Colvar::STEINHARDT && of.kind != Colvar::SIMILARITY)
      throw keywords.needs_kernel("LOCAL_AVERAGE of " + of.statement.action,
                                  "its versions differ in what they average");
    made.contact = contact(keywords);
    take_vectors(made, program);
  } else {
    read_species(keywords, made, labels, program);
    made.contact = contact(keywords);
  }
  if (made.kind == Colvar::FCCUBIC) {
    made.alpha = keywords.number("ALPHA", 3.0);
    if (2717 + 16 * made.alpha == 0)
      throw keywords.error("ALPHA", short_number(made.alpha),
                           "another number: 2717 + 16 ALPHA is 0");
  }
  if (made.kind != Colvar::SIMILARITY) made.cutoff = made.contact.d_max;
  read_components(keywords, made, names);
  if (made.kind == Colvar::STEINHARDT) {
    made.degree = action == "Q4" ? 4 : 6;
    add_flag(keywords, made, names, Component::VMEAN);
    add_flag(keywords, made, names, Component::VSUM);
  }
  keywords.finish();
  return made;
}

}    // namespace quorum::order
