// The Markov chain of exchanges and changes of species: which trials are made, in which order, and
// which are accepted. The same chain as quorum_md.sampling's, trial by trial.
//
// The random numbers of trial t (0, 1, … over the life of a chain) are a function of the seed and t.
// So coming trials are known in advance: those that are likely to be reached are evaluated together,
// then decided in order, and evaluated anew where an accepted one made them stale. The chain is the
// sequential one whatever is evaluated with what.

#ifndef QUORUM_SWAP_CHAIN_H
#define QUORUM_SWAP_CHAIN_H

#include "site_energies.h"

#include <cstdint>
#include <vector>

namespace quorum {

// Species are counted from 0; pairs of them are those with first < second, in dictionary order.
struct ChainRules {
  enum Move { EXCHANGE, NEIGHBOURS, FLIP } move = EXCHANGE;
  int n_species = 0;
  std::vector<int> numbers;           // atomic number of a species
  std::vector<double> pair_weights;   // of exchanges; empty: by the number of pairs of atoms
  std::vector<double> mu_eV;          // of flips: energies - Σ mu N
  double kappa_eV = 0.0;              // of flips: + kappa n Σ (N / n - target)²
  std::vector<double> target;
};

int pair_index(int one, int other, int n_species);

// The atoms that take part, in the order that the chain counts them in.
struct Sites {
  std::vector<int> atom;       // of the system
  std::vector<int> species;
  std::vector<std::vector<int>> neighbours;    // sites near a site, each once; for NEIGHBOURS
};

struct PairCount {
  int64_t attempted = 0, accepted = 0;
};

class SwapChain {
 public:
  SwapChain(const ChainRules &rules, uint64_t seed);
  // Trials from the present state of the sites, which is changed; all ranks.
  void run(int n_trials, double temperature_eV, Sites &sites, SiteEnergies &energies);
  const ChainRules &rules() const { return rules_; }
  void set_rules(const ChainRules &rules) { rules_ = rules; }    // of as many species

  int batch = 0;                  // trials to look ahead; 0: as many as pay
  int64_t n_trials = 0;           // made so far: the random numbers of the next one
  int64_t n_accepted = 0;
  int64_t n_found = 0;            // trials whose differences were known already
  std::vector<PairCount> pairs;

 private:
  struct Trial {
    int site[2] = {-1, -1};       // the second only of exchanges
    int to[2] = {0, 0};           // species
    size_t slot[2] = {0, 0};      // of EXCHANGE
    int pair = -1;                // -1: of like atoms, nothing happens
    double uniform = 0.0;
  };
  void begin(Sites &sites);
  Trial draw(int64_t count) const;
  void changes_of(const Trial &trial, SiteEnergies &energies, std::vector<Change> &changes) const;
  void look_ahead(int64_t end, SiteEnergies &energies);
  int horizon(const SiteEnergies &energies) const;
  double difference_eV(const Trial &trial, SiteEnergies &energies);
  void accept(const Trial &trial, SiteEnergies &energies);

  ChainRules rules_;
  uint64_t seed_;
  Sites *sites_ = nullptr;
  std::vector<std::vector<int>> slots_;       // sites of a species
  std::vector<double> cumulated_;             // weights of pairs
  std::vector<int64_t> n_of_species_;
  std::vector<Change> current_;               // of the trial that is decided
  int64_t n_touched_ = 0, n_attempted_ = 0, n_moved_ = 0;    // in this run: how far looking pays
};

}    // namespace quorum

#endif
