// The part of a system on which the energies of some centers depend, cut out as a cluster of its own:
// for models that look farther than the neighbours of an atom, but not without end.
//
// Every center is there once, and around it all atoms within the range, image by image. Edges lead
// from any of these atoms to any other, as in the whole system.

#ifndef QUORUM_SURROUNDINGS_H
#define QUORUM_SURROUNDINGS_H

#include "cells.h"
#include "evaluator.h"

#include <array>
#include <unordered_map>
#include <vector>

namespace quorum {

class Surroundings {
 public:
  // The centers are the given sites and all atoms within the range of one.
  void build(const std::vector<int> &sites, const Cells &within_range, const Cells &within_cutoff,
             const Box &box, const std::vector<Request> &requests);
  size_t size() const { return atoms_.size(); }
  // With the elements that the atoms of the system have now.
  const Cluster &cluster(const std::vector<int> &numbers, bool select);

 private:
  using Image = std::array<int, 4>;    // atom, and cells from it to the image
  struct ImageHash {
    size_t operator()(const Image &image) const
    {
      size_t h = 0;
      for (const int v : image) h = (h ^ size_t(unsigned(v))) * 0x9E3779B97F4A7C15ULL;
      return h ^ (h >> 29);
    }
  };
  void place(const Image &image);

  std::vector<Image> atoms_;
  std::unordered_map<Image, int, ImageHash> index_;
  Cluster cluster_;
};

}    // namespace quorum

#endif
