// A cluster around some sites; see surroundings.h.

#include "surroundings.h"

#include <unordered_set>

namespace quorum {

namespace {

std::array<int, 4> moved(const std::array<int, 4> &from, const Near &to)
{
  return {to.atom, from[1] + to.shift[0], from[2] + to.shift[1], from[3] + to.shift[2]};
}

}    // namespace

void Surroundings::place(const Image &image)
{
  if (index_.try_emplace(image, int(atoms_.size())).second) atoms_.push_back(image);
}

void Surroundings::build(const std::vector<int> &sites, const Cells &within_range,
                   const Cells &within_cutoff, const Box &box, const std::vector<Request> &requests)
{
  atoms_.clear();
  index_.clear();
  std::unordered_set<int> met;
  auto place_center = [&](const Image &image) {
    if (met.insert(image[0]).second) place(image);    // one image stands for all
  };
  std::vector<Near> near;
  for (const int site : sites) {
    const Image here = {site, 0, 0, 0};
    place_center(here);
    near.clear();
    within_range.find(site, near);
    for (const auto &other : near) place_center(moved(here, other));
  }
  const size_t n_centers = atoms_.size();
  for (size_t c = 0; c < n_centers; c++) {
    const Image here = atoms_[c];
    near.clear();
    within_range.find(here[0], near);
    for (const auto &other : near) place(moved(here, other));
  }

  cluster_ = Cluster();
  cluster_.n_centers = int(n_centers);
  const auto &h = box.vectors_A;
  const auto &x = within_cutoff.positions_A();
  for (const auto &[atom, a, b, c] : atoms_)
    for (int d = 0; d < 3; d++)
      cluster_.positions_A.push_back(x[3 * size_t(atom) + d] + a * h[d] + b * h[3 + d] +
                                     c * h[6 + d]);
  cluster_.edges.resize(requests.size());
  for (int i = 0; i < int(atoms_.size()); i++) {
    const Image here = atoms_[size_t(i)];
    near.clear();
    within_cutoff.find(here[0], near);
    for (const auto &other : near) {
      const auto found = index_.find(moved(here, other));
      // both directions of an edge are decided at once: some models need the one for the other
      if (found == index_.end() || found->second < i) continue;
      const auto &r = other.r_A;
      const double back[3] = {-r[0], -r[1], -r[2]};
      for (size_t l = 0; l < requests.size(); l++) {
        const double cutoff_A = requests[l].cutoff_A;
        if (r[0] * r[0] + r[1] * r[1] + r[2] * r[2] >= cutoff_A * cutoff_A) continue;
        cluster_.edges[l].add(i, found->second, {0, 0, 0}, r);
        if (requests[l].full) cluster_.edges[l].add(found->second, i, {0, 0, 0}, back);
      }
    }
  }
}

const Cluster &Surroundings::cluster(const std::vector<int> &numbers, bool select)
{
  cluster_.select = select;
  cluster_.atomic_numbers.clear();
  for (const auto &image : atoms_) cluster_.atomic_numbers.push_back(numbers[size_t(image[0])]);
  return cluster_;
}

}    // namespace quorum
