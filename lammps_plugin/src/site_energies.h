// What a change of elements at one site or two does to the energies of a system whose atoms stand
// still; in eV, one number per column of the model (members, then the baseline if there is one).
//
// Where a model needs no more than the neighbours of an atom (Facts::environments_suffice), only the
// energies of the centers around the changed sites are evaluated, before and after, many changes in
// one call: all periodic images of a site change with it. Models that look farther are evaluated for
// the region on which these centers depend, or for the whole system if that is not much larger.
//
// What was evaluated is kept until a change that is made touches it: exactly the sites some center
// near whom was near the changed site too. So two changes that touch no common center add up, and
// what is known of one stays true after the other.
//
// Ranks hold copies of everything but the energies of single centers. Every change is evaluated on
// one rank, always in the same way, so that the numbers do not depend on how many ranks there are.

#ifndef QUORUM_SITE_ENERGIES_H
#define QUORUM_SITE_ENERGIES_H

#include "cells.h"
#include "environments.h"
#include "measure.h"
#include "surroundings.h"
#include "team.h"

#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace quorum {

struct System {
  Box box;
  std::vector<double> positions_A;    // 3 per atom, in an order that all ranks share
  std::vector<int> numbers;           // atomic numbers
};

// New elements of one site, or of the two sites of an exchange of elements.
struct Change {
  int n_sites = 0;
  int site[2] = {-1, -1}, number[2] = {0, 0};
};

class SiteEnergies {
 public:
  SiteEnergies(Evaluator &model, const Facts &facts, Team team);
  // What one evaluation takes; after set.
  enum class Part { ENVIRONMENTS, REGION, WHOLE };
  Part part() const { return part_; }
  int n_ranks() const { return team_.n_ranks; }
  // What is known stays known if nothing moved since.
  void set(const System &system);
  int number(int site) const { return system_.numbers[size_t(site)]; }

  // Whether some energy depends on both sites.
  bool have_common_center(int one, int other);
  // The same for changes that are the same.
  uint64_t key(const Change &change) const;
  // Differences of the columns, nullptr if they must be evaluated; true until the next evaluation.
  const double *find(const Change &change) const;
  double mean_eV(const Change &change) const;    // of the columns
  // All ranks, the same changes.
  void evaluate(const std::vector<Change> &changes);
  // Makes a change whose differences are known; the number of sites whose differences no longer are.
  int apply(const Change &change);
  // Columns of the whole system; all ranks.
  const std::vector<double> &totals_eV();
  // Evaluates the whole system anew; largest difference of a column to the running totals, eV.
  double drift_eV();

  bool has_baseline() const { return model_.info().has_baseline; }
  double sigma_eV() const { return model_.info().sigma_eV; }
  int n_columns() const { return int(n_columns_); }

  int64_t n_centers = 0, n_changes = 0;    // evaluated so far, on all ranks

 private:
  static constexpr size_t NOWHERE = size_t(-1);
  struct Known {
    size_t row = 0;       // in rows_eV_
    int64_t time = 0;
  };
  struct Now {
    bool known = false;
    size_t row = NOWHERE;    // in now_eV_
  };
  struct Term {
    double *result;
    int row;        // of the batch, after the change
    size_t now;     // in now_eV_, before it
  };
  const std::vector<int> &centers_near(int site);
  void put(const Change &change);
  Change back(const Change &change) const;
  void add_center(int atom);
  void add(const Change &change, double *result);
  void forward_batch();
  void forward_region(const Change &change, double *result);
  void forward_whole(const Change &change, double *result);
  const Cluster &whole();
  std::vector<double> evaluate_totals();
  void sum(std::vector<double> &values, const std::string &problem);

  Evaluator &model_;
  Facts facts_;
  Team team_;
  Part part_ = Part::WHOLE;
  size_t n_columns_;
  System system_;
  Cells cells_, reach_;                      // out to the cutoff, and to the range
  std::vector<std::vector<int>> centers_;    // near a site, itself first; filled when asked for
  std::vector<std::vector<Near>> near_;      // the same, where environments suffice

  std::unordered_map<uint64_t, Known> known_;
  std::vector<double> rows_eV_;              // of what is known
  std::vector<int64_t> touched_;             // when what is known of a site ceased to be true
  int64_t time_ = 1;
  std::vector<int64_t> mark_;
  int64_t n_marks_ = 0;

  std::vector<Now> now_;                     // energies of centers in the present state
  std::vector<double> now_eV_;
  std::vector<double> totals_eV_;            // empty: not known

  Environments batch_;                       // centers of the next call of the model
  std::vector<Term> terms_;                  // what its rows are for:
  std::vector<std::pair<int, size_t>> fresh_;    // energies of the present state
  int64_t n_evaluated_ = 0;                  // on this rank, not yet counted
  Surroundings region_;
  Cluster whole_;                            // without atoms until it is asked for
};

}    // namespace quorum

#endif
