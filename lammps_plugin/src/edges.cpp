// The two layouts of edges.h.

#include "edges.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

namespace quorum {

namespace {

void difference(const AtomsView &atoms, int i, int j, double *r)
{
  for (int d = 0; d < 3; d++) r[d] = atoms.x_A[j][d] - atoms.x_A[i][d];
}

double square(const double *r)
{
  return r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
}

void append(Layout &layout, const AtomsView &atoms, int i)
{
  layout.atom.push_back(i);
  layout.cluster.atomic_numbers.push_back(atoms.atomic_number[i]);
  for (int d = 0; d < 3; d++) layout.cluster.positions_A.push_back(atoms.x_A[i][d]);
}

// The local atoms, and no edges yet; memory is that of the step before.
void start_with_local_atoms(Layout &layout, const AtomsView &atoms, std::vector<int> &index,
                            size_t n_requests)
{
  auto &cluster = layout.cluster;
  layout.atom.clear();
  cluster.atomic_numbers.clear();
  cluster.positions_A.clear();
  cluster.cell_A.fill(0.0);
  cluster.periodic.fill(false);
  cluster.edges.resize(n_requests);
  for (int i = 0; i < atoms.n_local; i++) {
    if (atoms.atomic_number[i] == 0) continue;
    index[i] = int(layout.atom.size());
    append(layout, atoms, i);
  }
  layout.cluster.n_centers = int(layout.atom.size());
}

// Where to write up to n values behind the first `used` ones; what is there already is not cleared.
template <class T> T *room_for(std::vector<T> &values, size_t used, size_t n)
{
  if (values.size() < used + n) values.resize(used + n);
  return values.data() + used;
}

// An undirected edge: two atoms of the cluster and the shift of the second.
struct Key {
  int first, second;
  std::array<int, 3> shift;
  bool operator==(const Key &o) const
  {
    return first == o.first && second == o.second && shift == o.shift;
  }
};

struct KeyHash {
  size_t operator()(const Key &k) const
  {
    size_t h = size_t(k.first);
    for (const int v : {k.second, k.shift[0], k.shift[1], k.shift[2]})
      h = (h ^ size_t(unsigned(v))) * 0x9E3779B97F4A7C15ULL;
    return h ^ (h >> 29);
  }
};

}    // namespace

void EdgeList::clear()
{
  pairs.clear();
  shifts.clear();
  vectors_A.clear();
}

void EdgeList::add(int first, int second, const std::array<int, 3> &shift, const double *vector_A)
{
  if (shifts.empty() && (shift[0] || shift[1] || shift[2])) shifts.assign(3 * size(), 0);
  if (!shifts.empty() || shift[0] || shift[1] || shift[2])
    shifts.insert(shifts.end(), shift.begin(), shift.end());
  pairs.insert(pairs.end(), {first, second});
  vectors_A.insert(vectors_A.end(), vector_A, vector_A + 3);
}

void ghosts_as_atoms(const AtomsView &atoms, const std::vector<Request> &requests, Layout &layout)
{
  std::vector<int> index(atoms.n_all, -1);
  start_with_local_atoms(layout, atoms, index, requests.size());
  double longest = 0.0;
  for (const auto &request : requests) longest = std::max(longest, request.cutoff_A);
  const double *x = atoms.n_all ? atoms.x_A[0] : nullptr;    // LAMMPS keeps them in one piece
  std::vector<int> near;
  std::vector<size_t> n_edges(requests.size(), 0);
  for (int k = 0; k < atoms.n_lists; k++) {
    const int i = atoms.ilist[k];
    if (i >= atoms.n_local || index[i] < 0) continue;
    // most of a list is skin: what is near first, without a branch that is hard to foresee
    const int n_list = atoms.numneigh[i];
    const int *list = atoms.firstneigh[i];
    if (int(near.size()) < n_list) near.resize(n_list);
    int n_near = 0;
    int *of_near = near.data();
    const double here_x = x[3 * size_t(i)], here_y = x[3 * size_t(i) + 1],
                 here_z = x[3 * size_t(i) + 2];
    for (int n = 0; n < n_list; n++) {
      const int j = list[n] & NEIGHMASK;
      const double dx = x[3 * size_t(j)] - here_x, dy = x[3 * size_t(j) + 1] - here_y,
                   dz = x[3 * size_t(j) + 2] - here_z;
      const double r2 = dx * dx + dy * dy + dz * dz;
      of_near[n_near] = j;
      n_near += r2 < longest * longest;
    }
    for (int n = 0; n < n_near; n++) {
      const int j = of_near[n];
      if (index[j] < 0 && atoms.atomic_number[j] != 0) {
        index[j] = int(layout.atom.size());
        append(layout, atoms, j);
      }
    }
    for (size_t l = 0; l < requests.size(); l++) {
      auto &edges = layout.cluster.edges[l];
      auto *pair = room_for(edges.pairs, 2 * n_edges[l], 2 * size_t(n_near));
      auto *vector = room_for(edges.vectors_A, 3 * n_edges[l], 3 * size_t(n_near));
      const double limit = requests[l].cutoff_A * requests[l].cutoff_A;
      for (int n = 0; n < n_near; n++) {
        const int j = of_near[n];
        const double dx = x[3 * size_t(j)] - here_x, dy = x[3 * size_t(j) + 1] - here_y,
                     dz = x[3 * size_t(j) + 2] - here_z;
        if (dx * dx + dy * dy + dz * dz >= limit || index[j] < 0) continue;
        // of a local pair the list has both directions, of a pair with a ghost one
        if (!requests[l].full && j < atoms.n_local && j < i) continue;
        pair[0] = index[i];
        pair[1] = index[j];
        vector[0] = dx;
        vector[1] = dy;
        vector[2] = dz;
        pair += 2;
        vector += 3;
      }
      n_edges[l] = size_t(vector - edges.vectors_A.data()) / 3;
    }
  }
  for (size_t l = 0; l < requests.size(); l++) {
    layout.cluster.edges[l].pairs.resize(2 * n_edges[l]);
    layout.cluster.edges[l].shifts.clear();
    layout.cluster.edges[l].vectors_A.resize(3 * n_edges[l]);
  }
}

void folded(const AtomsView &atoms, const Box &box, const std::vector<Request> &requests,
            Layout &layout)
{
  std::vector<int> index(atoms.n_all, -1);    // of the atom itself or the image that stands for it
  start_with_local_atoms(layout, atoms, index, requests.size());
  for (auto &list : layout.cluster.edges) list.clear();
  for (int d = 0; d < 3; d++) {
    layout.cluster.periodic[d] = box.periodic[d];
    if (box.periodic[d])
      for (int e = 0; e < 3; e++) layout.cluster.cell_A[3 * d + e] = box.vectors_A[3 * d + e];
  }
  std::unordered_map<LAMMPS_NS::tagint, int> of_tag;
  for (int c = 0; c < layout.cluster.n_centers; c++) of_tag[atoms.tag[layout.atom[c]]] = c;

  // the shift of every atom against the image that stands for it is a whole number of boxes
  const auto inv = inverse(box.vectors_A);
  std::vector<std::array<int, 3>> shift(atoms.n_all, {0, 0, 0});
  auto place = [&](int j) {
    if (index[j] >= 0) return;
    const auto [entry, fresh] = of_tag.try_emplace(atoms.tag[j], int(layout.atom.size()));
    index[j] = entry->second;
    if (fresh) return append(layout, atoms, j);
    double r[3];
    difference(atoms, layout.atom[index[j]], j, r);
    for (int d = 0; d < 3; d++)
      shift[j][d] = int(std::lround(r[0] * inv[d] + r[1] * inv[3 + d] + r[2] * inv[6 + d]));
  };

  std::vector<std::unordered_set<Key, KeyHash>> seen(requests.size());
  for (int k = 0; k < atoms.n_lists; k++) {
    const int i = atoms.ilist[k];
    if (atoms.atomic_number[i] == 0) continue;
    for (int n = 0; n < atoms.numneigh[i]; n++) {
      const int j = atoms.firstneigh[i][n] & NEIGHMASK;
      if (atoms.atomic_number[j] == 0) continue;
      double r[3];
      difference(atoms, i, j, r);
      const double r2 = square(r);
      for (size_t l = 0; l < requests.size(); l++) {
        if (r2 >= requests[l].cutoff_A * requests[l].cutoff_A) continue;
        place(i);
        place(j);
        // every pair is met from both ends, and with several images of both: one stands for all
        Key key{index[i], index[j], {}};
        std::array<int, 3> back{};
        for (int d = 0; d < 3; d++) {
          key.shift[d] = shift[j][d] - shift[i][d];
          back[d] = -key.shift[d];
        }
        const double reverse[3] = {-r[0], -r[1], -r[2]};
        const bool turned =
            key.first > key.second || (key.first == key.second && back > key.shift);
        const Key canonical = turned ? Key{key.second, key.first, back} : key;
        if (!seen[l].insert(canonical).second) continue;
        auto &edges = layout.cluster.edges[l];
        edges.add(key.first, key.second, key.shift, r);
        if (requests[l].full) edges.add(key.second, key.first, back, reverse);
      }
    }
  }
}

}    // namespace quorum
