// Differences of energies and their memory; see site_energies.h.

#include "site_energies.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

namespace quorum {

namespace {

constexpr int MOST_CENTERS = 4096;                  // of one call of the model
constexpr size_t MOST_NUMBERS = size_t(1) << 25;    // 256 MB of what is known

void check_finite(const double *energies_eV, size_t n)
{
  for (size_t k = 0; k < n; k++)
    if (!std::isfinite(energies_eV[k]))
      throw std::runtime_error("its energy is not finite; atoms may be on top of each other");
}

}    // namespace

SiteEnergies::SiteEnergies(Evaluator &model, const Facts &facts, Team team) :
    model_(model), facts_(facts), team_(std::move(team)), n_columns_(size_t(facts.n_columns)), batch_(model.info())
{
}

void SiteEnergies::set(const System &system)
{
  const bool same = system.positions_A == system_.positions_A &&
      system.numbers == system_.numbers && system.box.vectors_A == system_.box.vectors_A &&
      system.box.periodic == system_.box.periodic;
  if (same) return;
  system_ = system;
  const size_t n = system.numbers.size();
  known_.clear();
  rows_eV_.clear();
  now_eV_.clear();
  totals_eV_.clear();
  touched_.assign(n, 0);
  mark_.assign(n, 0);
  n_marks_ = 0;
  now_.assign(n, {});
  near_.assign(n, {});
  centers_.assign(n, {});
  cells_ = Cells(system.positions_A, system.box, facts_.cutoff_A);
  whole_ = Cluster();
  part_ = Part::WHOLE;
  if (facts_.environments_suffice && facts_.range_A <= facts_.cutoff_A + 1e-6) {
    part_ = Part::ENVIRONMENTS;
  } else if (n > 0 && facts_.cutoff_A > 0.0 && std::isfinite(facts_.range_A)) {
    reach_ = Cells(system.positions_A, system.box, facts_.range_A);
    // before and after a change
    region_.build({0}, reach_, cells_, system.box, model_.info().requests);
    if (2 * region_.size() < n) part_ = Part::REGION;
  }
}

// Both directions of every pair where a list is full, else every pair once.
const Cluster &SiteEnergies::whole()
{
  whole_.atomic_numbers.assign(system_.numbers.begin(), system_.numbers.end());
  if (whole_.n_centers > 0) return whole_;
  const int n = int(system_.numbers.size());
  whole_.n_centers = n;
  whole_.positions_A = facts_.cutoff_A > 0.0 ? cells_.positions_A() : system_.positions_A;
  whole_.select = facts_.honours_selection;
  whole_.periodic = system_.box.periodic;
  for (int d = 0; d < 3; d++)
    for (int e = 0; system_.box.periodic[d] && e < 3; e++)
      whole_.cell_A[3 * d + e] = system_.box.vectors_A[3 * d + e];
  const auto &requests = model_.info().requests;
  whole_.edges.resize(requests.size());
  std::vector<Near> list;
  for (int i = 0; !requests.empty() && i < n; i++) {
    list.clear();
    cells_.find(i, list);
    for (const auto &other : list) {
      const auto &r = other.r_A;
      const bool second = other.atom < i ||
          (other.atom == i && other.shift < std::array<int, 3>{});
      for (size_t l = 0; l < requests.size(); l++) {
        const double cutoff_A = requests[l].cutoff_A;
        if (r[0] * r[0] + r[1] * r[1] + r[2] * r[2] < cutoff_A * cutoff_A &&
            (requests[l].full || !second))
          whole_.edges[l].add(i, other.atom, other.shift, r);
      }
    }
  }
  return whole_;
}

// --- which energies a site has a part in --------------------------------------------------------

const std::vector<int> &SiteEnergies::centers_near(int site)
{
  auto &centers = centers_[size_t(site)];
  if (!centers.empty()) return centers;
  std::vector<Near> found;
  auto &near = part_ == Part::ENVIRONMENTS ? near_[size_t(site)] : found;
  (part_ == Part::ENVIRONMENTS ? cells_ : reach_).find(site, near);
  centers.push_back(site);
  n_marks_++;
  mark_[size_t(site)] = n_marks_;
  for (const auto &other : near)
    if (std::exchange(mark_[size_t(other.atom)], n_marks_) != n_marks_)
      centers.push_back(other.atom);
  return centers;
}

bool SiteEnergies::have_common_center(int one, int other)
{
  if (part_ == Part::WHOLE) return true;
  const auto &first = centers_near(one), &second = centers_near(other);
  n_marks_++;
  for (const int c : first) mark_[size_t(c)] = n_marks_;
  return std::any_of(second.begin(), second.end(),
                     [&](int c) { return mark_[size_t(c)] == n_marks_; });
}

// --- what is known ------------------------------------------------------------------------------

// An exchange is named by its sites, a change of one site by the site and the element.
uint64_t SiteEnergies::key(const Change &change) const
{
  const auto n = uint64_t(system_.numbers.size()) + 256;
  const auto [low, high] = std::minmax(change.site[0], change.site[1]);
  if (change.n_sites == 2) return uint64_t(low) * n + uint64_t(high) + 256;
  return uint64_t(change.site[0]) * n + uint64_t(change.number[0]);
}

const double *SiteEnergies::find(const Change &change) const
{
  const auto found = known_.find(key(change));
  if (found == known_.end()) return nullptr;
  for (int s = 0; s < change.n_sites; s++)
    if (found->second.time < touched_[size_t(change.site[s])]) return nullptr;
  return &rows_eV_[found->second.row];
}

double SiteEnergies::mean_eV(const Change &change) const
{
  const double *row = find(change);
  double sum = 0.0;
  for (size_t c = 0; c < n_columns_; c++) sum += row[c];
  return sum / double(n_columns_);
}

void SiteEnergies::put(const Change &change)
{
  for (int k = 0; k < change.n_sites; k++)
    system_.numbers[size_t(change.site[k])] = change.number[k];
}

Change SiteEnergies::back(const Change &change) const
{
  Change result = change;
  for (int k = 0; k < change.n_sites; k++) result.number[k] = number(change.site[k]);
  return result;
}

int SiteEnergies::apply(const Change &change)
{
  const double *row = find(change);
  for (size_t c = 0; c < totals_eV_.size(); c++) totals_eV_[c] += row[c];
  const auto before = back(change);
  put(change);
  if (std::equal(before.number, before.number + before.n_sites, change.number)) return 0;
  time_++;
  if (part_ == Part::WHOLE) {
    std::fill(touched_.begin(), touched_.end(), time_);
    return int(touched_.size());
  }
  int n_touched = 0;
  for (int k = 0; k < change.n_sites; k++)
    for (const int c : centers_near(change.site[k])) {
      now_[size_t(c)].known = false;
      for (const int s : centers_near(c))
        n_touched += std::exchange(touched_[size_t(s)], time_) != time_;
    }
  return n_touched;
}

// --- evaluation -----------------------------------------------------------------------------------

void SiteEnergies::evaluate(const std::vector<Change> &changes)
{
  if (rows_eV_.size() > MOST_NUMBERS) {
    known_.clear();
    rows_eV_.clear();
  }
  if (now_eV_.size() > MOST_NUMBERS) {
    now_.assign(now_.size(), {});
    now_eV_.clear();
  }
  if (part_ == Part::WHOLE) totals_eV();
  const size_t n = changes.size(), rank = size_t(team_.rank), n_ranks = size_t(team_.n_ranks);
  // near sites to the same rank, which has the energies of centers around them
  std::vector<size_t> order(n);
  for (size_t k = 0; k < n; k++) order[k] = k;
  if (part_ != Part::WHOLE && n_ranks > 1)
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return cells_.cell_of(changes[a].site[0]) < cells_.cell_of(changes[b].site[0]);
    });
  std::vector<double> results(n * n_columns_ + 1, 0.0);
  const auto problem = problem_of([&] {
    for (size_t k = rank * n / n_ranks; k < (rank + 1) * n / n_ranks; k++) {
      double *result = &results[order[k] * n_columns_];
      if (part_ == Part::ENVIRONMENTS)
        add(changes[order[k]], result);
      else if (part_ == Part::REGION)
        forward_region(changes[order[k]], result);
      else
        forward_whole(changes[order[k]], result);
    }
    forward_batch();
    check_finite(results.data(), n * n_columns_);
  });
  results.back() = double(std::exchange(n_evaluated_, 0));
  sum(results, problem);
  n_centers += int64_t(results.back());
  n_changes += int64_t(n);
  for (size_t k = 0; k < n; k++) {
    const auto [entry, fresh] = known_.try_emplace(key(changes[k]));
    if (fresh) {
      entry->second.row = rows_eV_.size();
      rows_eV_.resize(rows_eV_.size() + n_columns_);
    }
    entry->second.time = time_;
    for (size_t c = 0; c < n_columns_; c++)
      rows_eV_[entry->second.row + c] =
          results[k * n_columns_ + c] - (part_ == Part::WHOLE ? totals_eV_[c] : 0.0);
  }
}

void SiteEnergies::sum(std::vector<double> &values, const std::string &problem)
{
  values.push_back(problem.empty() ? 0.0 : 1.0);
  team_.sum(values);
  if (values.back() > 0.0) team_.fail(problem);
  values.pop_back();
}

void SiteEnergies::add_center(int atom)
{
  batch_.add_center(number(atom));
  centers_near(atom);
  for (const auto &other : near_[size_t(atom)]) batch_.add_neighbour(number(other.atom), other.r_A);
}

// All centers that see the change, after and before it; a center that sees both sites once.
void SiteEnergies::add(const Change &change, double *result)
{
  auto centers = centers_near(change.site[0]);
  if (change.n_sites == 2) {
    const auto second = centers_near(change.site[1]);
    n_marks_++;
    for (const int c : centers) mark_[size_t(c)] = n_marks_;
    for (const int c : second)
      if (mark_[size_t(c)] != n_marks_) centers.push_back(c);
  }
  if (batch_.size() + 2 * int(centers.size()) > MOST_CENTERS) forward_batch();
  for (const int c : centers) {
    auto &now = now_[size_t(c)];
    if (now.known) continue;
    now.known = true;
    if (now.row == NOWHERE) {
      now.row = now_eV_.size();
      now_eV_.resize(now_eV_.size() + n_columns_);
    }
    fresh_.emplace_back(batch_.size(), now.row);
    add_center(c);
  }
  const auto before = back(change);
  put(change);
  for (const int c : centers) {
    terms_.push_back({result, batch_.size(), now_[size_t(c)].row});
    add_center(c);
  }
  put(before);
}

void SiteEnergies::forward_batch()
{
  if (batch_.size() > 0) {
    n_evaluated_ += batch_.size();
    const auto &rows = model_.forward(batch_.cluster(facts_.honours_selection), false);
    for (const auto &[row, now] : fresh_)
      std::copy_n(&rows[size_t(row) * n_columns_], n_columns_, &now_eV_[now]);
    for (const auto &term : terms_)
      for (size_t c = 0; c < n_columns_; c++)
        term.result[c] += rows[size_t(term.row) * n_columns_ + c] - now_eV_[term.now + c];
  }
  batch_.clear();
  fresh_.clear();
  terms_.clear();
}

// Before and after in the same region: what rounding does to both cancels, and nothing depends on
// which changes came before.
void SiteEnergies::forward_region(const Change &change, double *result)
{
  const std::vector<int> sites(change.site, change.site + change.n_sites);
  region_.build(sites, reach_, cells_, system_.box, model_.info().requests);
  auto add_all = [&](double sign) {
    const auto &cluster = region_.cluster(system_.numbers, facts_.honours_selection);
    const auto &rows = model_.forward(cluster, false);
    n_evaluated_ += cluster.n_centers;
    for (size_t k = 0; k < rows.size(); k++) result[k % n_columns_] += sign * rows[k];
  };
  const auto before = back(change);
  add_all(-1.0);
  put(change);
  add_all(1.0);
  put(before);
}

void SiteEnergies::forward_whole(const Change &change, double *result)
{
  const auto before = back(change);
  put(change);
  const auto &rows = model_.forward(whole(), false);
  n_evaluated_ += whole_.n_centers;
  for (size_t k = 0; k < rows.size(); k++) result[k % n_columns_] += rows[k];
  put(before);
}

std::vector<double> SiteEnergies::evaluate_totals()
{
  const size_t n = system_.numbers.size(), rank = size_t(team_.rank);
  std::vector<double> totals(n_columns_ + 1, 0.0);
  const auto problem = problem_of([&] {
    if (part_ != Part::ENVIRONMENTS) {
      if (rank == 0) forward_whole({}, totals.data());
    } else {
      const size_t last = (rank + 1) * n / size_t(team_.n_ranks);
      for (size_t i = rank * n / size_t(team_.n_ranks); i < last; i++) {
        add_center(int(i));
        if (batch_.size() < MOST_CENTERS && i + 1 < last) continue;
        n_evaluated_ += batch_.size();
        const auto &rows = model_.forward(batch_.cluster(facts_.honours_selection), false);
        for (size_t k = 0; k < rows.size(); k++) totals[k % n_columns_] += rows[k];
        batch_.clear();
      }
    }
    check_finite(totals.data(), n_columns_);
  });
  totals.back() = double(std::exchange(n_evaluated_, 0));
  sum(totals, problem);
  n_centers += int64_t(totals.back());
  totals.pop_back();
  return totals;
}

const std::vector<double> &SiteEnergies::totals_eV()
{
  if (totals_eV_.empty()) totals_eV_ = evaluate_totals();
  return totals_eV_;
}

double SiteEnergies::drift_eV()
{
  const auto running = std::exchange(totals_eV_, evaluate_totals());
  double drift = 0.0;
  for (size_t c = 0; c < running.size(); c++)
    drift = std::max(drift, std::abs(totals_eV_[c] - running[c]));
  return drift;
}

}    // namespace quorum
