// Trials and decisions; see swap_chain.h.

#include "swap_chain.h"

#include "drive.h"
#include "philox.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

namespace quorum {

namespace {

constexpr int LONGEST_HORIZON = 64;    // trials per rank; more gain nothing, and take memory

size_t choose(double uniform, size_t n)
{
  return std::min(size_t(uniform * double(n)), n - 1);
}

}    // namespace

int pair_index(int one, int other, int n_species)
{
  const int first = std::min(one, other), second = std::max(one, other);
  return first * (2 * n_species - first - 1) / 2 + second - first - 1;
}

SwapChain::SwapChain(const ChainRules &rules, uint64_t seed) : rules_(rules), seed_(seed)
{
  pairs.resize(size_t(rules.n_species) * size_t(rules.n_species - 1) / 2);
}

void SwapChain::begin(Sites &sites)
{
  sites_ = &sites;
  slots_.assign(size_t(rules_.n_species), {});
  for (size_t s = 0; s < sites.species.size(); s++)
    slots_[size_t(sites.species[s])].push_back(int(s));
  n_of_species_.clear();
  for (const auto &list : slots_) n_of_species_.push_back(int64_t(list.size()));
  cumulated_.clear();
  double sum = 0.0;
  for (int a = 0; a < rules_.n_species; a++)
    for (int b = a + 1; b < rules_.n_species; b++) {
      const double n = double(n_of_species_[size_t(a)]) * double(n_of_species_[size_t(b)]);
      const auto &weights = rules_.pair_weights;
      if (n > 0.0) sum += weights.empty() ? n : weights[size_t(pair_index(a, b, rules_.n_species))];
      cumulated_.push_back(sum);
    }
}

SwapChain::Trial SwapChain::draw(int64_t count) const
{
  const auto words = philox(seed_, uint64_t(count));
  const auto &species = sites_->species;
  Trial trial;
  trial.uniform = uniform(words[3]);
  if (rules_.move == ChainRules::EXCHANGE) {
    const double at =
        std::min(uniform(words[0]) * cumulated_.back(), std::nextafter(cumulated_.back(), 0.0));
    const auto found = std::upper_bound(cumulated_.begin(), cumulated_.end(), at);
    trial.pair = int(found - cumulated_.begin());
    int a = 0, first = 0;
    while (trial.pair >= first + rules_.n_species - a - 1) first += rules_.n_species - ++a;
    trial.to[1] = a;
    trial.to[0] = trial.pair - first + a + 1;
    for (int k = 0; k < 2; k++) {
      const auto &list = slots_[size_t(trial.to[1 - k])];
      trial.slot[k] = choose(uniform(words[size_t(1 + k)]), list.size());
      trial.site[k] = list[trial.slot[k]];
    }
    return trial;
  }
  trial.site[0] = int(choose(uniform(words[0]), species.size()));
  const int present = species[size_t(trial.site[0])];
  if (rules_.move == ChainRules::FLIP) {
    const auto other = int(choose(uniform(words[1]), size_t(rules_.n_species - 1)));
    trial.to[0] = other + (other >= present);
    trial.pair = pair_index(present, trial.to[0], rules_.n_species);
    return trial;
  }
  const auto &near = sites_->neighbours[size_t(trial.site[0])];
  if (near.empty()) return trial;
  trial.site[1] = near[choose(uniform(words[1]), near.size())];
  trial.to[0] = species[size_t(trial.site[1])];
  trial.to[1] = present;
  if (trial.to[0] != present) trial.pair = pair_index(present, trial.to[0], rules_.n_species);
  return trial;
}

// What has to be known: an exchange of sites that no energy has in common is two changes.
void SwapChain::changes_of(const Trial &trial, SiteEnergies &energies,
                           std::vector<Change> &changes) const
{
  const int n_sites = trial.site[1] < 0 ? 1 : 2;
  Change one[2];
  for (int k = 0; k < n_sites; k++) {
    one[k].n_sites = 1;
    one[k].site[0] = sites_->atom[size_t(trial.site[k])];
    one[k].number[0] = rules_.numbers[size_t(trial.to[k])];
  }
  if (n_sites == 1 || !energies.have_common_center(one[0].site[0], one[1].site[0])) {
    changes.insert(changes.end(), one, one + n_sites);
    return;
  }
  // the same exchange is evaluated in the same way whoever comes first
  const int low = one[0].site[0] < one[1].site[0] ? 0 : 1;
  Change both = one[low];
  both.n_sites = 2;
  both.site[1] = one[1 - low].site[0];
  both.number[1] = one[1 - low].number[0];
  changes.push_back(both);
}

// Trials that are likely to be reached before what is known of them ceases to be true: an accepted
// move touches a part of the sites, and with them that part of the coming trials.
int SwapChain::horizon(const SiteEnergies &energies) const
{
  // nothing is gained by many in one call
  if (energies.part() != SiteEnergies::Part::ENVIRONMENTS) return energies.n_ranks();
  if (batch > 0) return batch;
  const double acceptance = double(n_moved_ + 1) / double(n_attempted_ + 2);
  const double sites = double(n_touched_ + 1) / double(n_moved_ + 1);
  const double part = std::min(1.0, 2.0 * sites / double(sites_->atom.size()));
  const int most = LONGEST_HORIZON * energies.n_ranks();
  const double trials = 0.5 / (acceptance * part);
  return trials < most ? std::max(int(trials), energies.n_ranks()) : most;
}

void SwapChain::look_ahead(int64_t end, SiteEnergies &energies)
{
  std::vector<Change> missing, changes;
  std::unordered_set<uint64_t> met;
  end = std::min(end, n_trials + horizon(energies));
  for (int64_t t = n_trials; t < end; t++) {
    const auto trial = draw(t);
    if (trial.pair < 0) continue;
    changes.clear();
    changes_of(trial, energies, changes);
    for (const auto &change : changes)
      if (!energies.find(change) && met.insert(energies.key(change)).second)
        missing.push_back(change);
  }
  energies.evaluate(missing);
}

double SwapChain::difference_eV(const Trial &trial, SiteEnergies &energies)
{
  const int n_columns = energies.n_columns();
  double difference = 0.0;
  if (energies.has_baseline()) {
    auto totals = energies.totals_eV();
    const double before = driving_energy(totals, energies.sigma_eV());
    for (const auto &change : current_) {
      const double *row = energies.find(change);
      for (int c = 0; c < n_columns; c++) totals[size_t(c)] += row[c];
    }
    difference = driving_energy(totals, energies.sigma_eV()) - before;
  } else {
    for (const auto &change : current_) difference += energies.mean_eV(change);
  }
  if (rules_.move != ChainRules::FLIP) return difference;
  const int from = sites_->species[size_t(trial.site[0])], to = trial.to[0];
  difference -= rules_.mu_eV[size_t(to)] - rules_.mu_eV[size_t(from)];
  if (rules_.kappa_eV != 0.0) {
    const double n = double(sites_->atom.size());
    auto term = [&](int species, int64_t change) {
      const double c = double(n_of_species_[size_t(species)] + change) / n;
      return (c - rules_.target[size_t(species)]) * (c - rules_.target[size_t(species)]);
    };
    difference += rules_.kappa_eV * n * (term(to, 1) - term(to, 0) + term(from, -1) - term(from, 0));
  }
  return difference;
}

void SwapChain::accept(const Trial &trial, SiteEnergies &energies)
{
  for (const auto &change : current_) n_touched_ += energies.apply(change);
  auto &species = sites_->species;
  for (int k = 0; k < 2 && trial.site[k] >= 0; k++) {
    n_of_species_[size_t(species[size_t(trial.site[k])])]--;
    n_of_species_[size_t(trial.to[k])]++;
    species[size_t(trial.site[k])] = trial.to[k];
  }
  if (rules_.move == ChainRules::EXCHANGE)
    std::swap(slots_[size_t(trial.to[1])][trial.slot[0]],
              slots_[size_t(trial.to[0])][trial.slot[1]]);
}

void SwapChain::run(int n, double temperature_eV, Sites &sites, SiteEnergies &energies)
{
  begin(sites);
  if (sites.atom.empty() || (rules_.move == ChainRules::EXCHANGE && cumulated_.back() <= 0.0))
    return;
  for (const int64_t end = n_trials + n; n_trials < end; n_trials++) {
    const auto trial = draw(n_trials);
    if (trial.pair < 0) continue;
    current_.clear();
    changes_of(trial, energies, current_);
    auto known = [&] {
      return std::all_of(current_.begin(), current_.end(),
                         [&](const Change &change) { return energies.find(change) != nullptr; });
    };
    if (known()) n_found++;
    while (!known()) look_ahead(end, energies);
    const double difference = difference_eV(trial, energies);
    auto &count = pairs[size_t(trial.pair)];
    count.attempted++;
    n_attempted_++;
    if (difference > 0.0 && trial.uniform >= std::exp(-difference / temperature_eV)) continue;
    count.accepted++;
    n_accepted++;
    n_moved_++;
    accept(trial, energies);
  }
}

}    // namespace quorum
