// What all order parameters have in common, FCCUBIC and ENVIRONMENTSIMILARITY; as in
// driver/quorum_md/order_parameters/colvars.py. Angioletti-Uberti, Ceriotti, Lee & Finnis, PRB 81, 125416
// (2010); Piaggi & Parrinello, JCP 150, 244119 (2019).

#include "order_evaluated.h"

#include "order_pairs.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

namespace quorum::order {

Evaluated::Evaluated(Scene given) :
    scene(std::move(given)), values(scene.n_atoms, 0.0), slopes(scene.n_atoms, 0.0)
{
}

double Evaluated::component(const Component &component) const
{
  double sum = 0.0;
  for (const int i : scene.centres) {
    const double value = values[size_t(i)];
    if (component.kind == Component::LESS_THAN)
      sum += component.step.at(value).first;
    else if (component.kind == Component::MORE_THAN)
      sum += 1 - component.step.at(value).first;
    else
      sum += value;
  }
  return component.kind == Component::MEAN ? sum / double(scene.centres.size()) : sum;
}

void Evaluated::pull(const Component &component, double slope)
{
  for (const int i : scene.centres) {
    double &to = slopes[size_t(i)];
    const double value = values[size_t(i)];
    if (component.kind == Component::MEAN)
      to += slope / double(scene.centres.size());
    else if (component.kind == Component::SUM)
      to += slope;
    else
      to += (component.kind == Component::LESS_THAN ? slope : -slope) *
          component.step.at(value).second;
  }
}

Array Evaluated::add_up(int width, bool ends, const Array &at_first, const Array &at_second) const
{
  const auto &pairs = bonds();
  const bool all = !ends || scene.forward.empty();
  Array result(scene.n_atoms * size_t(width), 0.0);
  sums(int64_t(pairs.size()), pairs.first.data(), pairs.second.data(), width,
       all ? nullptr : scene.forward.data(), all ? nullptr : scene.backward.data(),
       at_first.data(), at_second.data(), result.data());
  scene.team->sum(result);
  return result;
}

Array Evaluated::by_atom(int width, const Array &at_first, const Array &at_second) const
{
  return add_up(width, true, at_first, at_second);
}

Array Evaluated::by_any_atom(int width, const Array &at_first, const Array &at_second) const
{
  return add_up(width, false, at_first, at_second);
}

Array Evaluated::pulled(int width, const Array &per_atom, const Array &first,
                        const Array &second) const
{
  const auto &pairs = bonds();
  const bool all = scene.forward.empty();
  Array gradient(3 * pairs.size());
  order::pull(int64_t(pairs.size()), pairs.first.data(), pairs.second.data(), width,
              all ? nullptr : scene.forward.data(), all ? nullptr : scene.backward.data(),
              per_atom.data(), first.data(), second.data(), gradient.data());
  return gradient;
}

namespace {

// s_i = Σ_j σ f / Σ_j σ, with f an even function of the bond.
class FccCubic : public Evaluated {
 public:
  FccCubic(const Colvar &colvar, Scene given) : Evaluated(std::move(given))
  {
    const auto &pairs = bonds();
    Array weights, weight_slopes, parts(2 * pairs.size());
    colvar.contact.evaluate(pairs.lengths, weights, weight_slopes);
    gradients_.resize(6 * pairs.size());
    fcc(int64_t(pairs.size()), pairs.vectors.data(), pairs.lengths.data(), weights.data(),
        weight_slopes.data(), colvar.alpha, parts.data(), gradients_.data());
    const auto sums = by_atom(2, parts, parts);
    inverse_.resize(scene.n_atoms);
    for (size_t i = 0; i < scene.n_atoms; i++) {
      inverse_[i] = sums[2 * i + 1] > 0 ? 1 / sums[2 * i + 1] : 0.0;
      values[i] = sums[2 * i] * inverse_[i];
    }
  }

  Array backward() override
  {
    Array to_sums(2 * scene.n_atoms);
    for (size_t i = 0; i < scene.n_atoms; i++) {
      to_sums[2 * i] = slopes[i] * inverse_[i];
      to_sums[2 * i + 1] = -to_sums[2 * i] * values[i];
    }
    return pulled(2, to_sums, gradients_, gradients_);
  }

 private:
  Array gradients_, inverse_;
};

// Whether every environment is its own inverse, and so the same from either end.
bool is_even(const Environments &all, const std::vector<int32_t> &wanted)
{
  std::set<std::array<double, 4>> rows;
  const auto row = [&](size_t k, double sign) {
    const double *v = &all.vectors[3 * k];
    return std::array<double, 4>{double(all.environment[k]), sign * v[0] + 0.0, sign * v[1] + 0.0,
                                 sign * v[2] + 0.0};
  };
  for (size_t k = 0; k < all.environment.size(); k++) rows.insert(row(k, 1.0));
  for (size_t k = 0; k < all.environment.size(); k++)
    if (wanted[k] >= 0 || !rows.count(row(k, -1.0))) return false;
  return true;
}

// s_i = log Σ_k exp(λ s_ik) / λ, with s_ik = Σ_j Σ_v exp(-|r_ij - v|²/4σ²) / n, v of k.
class Similarity : public Evaluated {
 public:
  Similarity(const Colvar &colvar, Scene given) :
      Evaluated(std::move(given)), count_(colvar.environments.count())
  {
    const auto &pairs = bonds();
    const auto &all = colvar.environments;
    std::vector<int32_t> environment(all.environment.begin(), all.environment.end());
    std::vector<int32_t> wanted(environment.size(), -1), first(pairs.size(), 0), second = first;
    std::vector<std::string> order;
    for (const auto &name : colvar.names)
      if (std::find(order.begin(), order.end(), name) == order.end()) order.push_back(name);
    for (size_t k = 0; k < wanted.size(); k++) {
      const auto place = std::find(order.begin(), order.end(), all.names[k]);
      if (place != order.end()) wanted[k] = int32_t(place - order.begin());
    }
    for (size_t e = 0; e < pairs.size() && !scene.kinds.empty(); e++) {
      first[e] = scene.kinds[size_t(pairs.first[e])];
      second[e] = scene.kinds[size_t(pairs.second[e])];
    }
    even_ = is_even(all, wanted);
    const size_t n = pairs.size() * size_t(count_);
    Array at_first(n), at_second(even_ ? 0 : n);
    first_.resize(3 * n);
    second_.resize(even_ ? 0 : 3 * n);
    similarity(int64_t(pairs.size()), pairs.vectors.data(), first.data(), second.data(),
               int(wanted.size()), all.vectors.data(), environment.data(), wanted.data(), count_,
               even_ ? 1 : 2, colvar.sigma, 1.0 / all.neighbours(), at_first.data(),
               at_second.data(), first_.data(), second_.data());
    add_up_environments(by_atom(count_, at_first, even_ ? at_first : at_second), colvar.sharpness);
  }

  Array backward() override
  {
    auto per_atom = shares_;
    for (size_t k = 0; k < per_atom.size(); k++) per_atom[k] *= slopes[k / size_t(count_)];
    return pulled(count_, per_atom, first_, even_ ? first_ : second_);
  }

 private:
  void add_up_environments(const Array &sums, double sharpness)
  {
    shares_.assign(sums.size(), 1.0);
    if (count_ == 1) {
      values = sums;
      return;
    }
    for (size_t i = 0; i < scene.n_atoms; i++) {
      const double *s = &sums[i * size_t(count_)];
      double *share = &shares_[i * size_t(count_)], total = 0.0;
      const double most = sharpness * *std::max_element(s, s + count_);
      for (int k = 0; k < count_; k++) total += share[k] = std::exp(sharpness * s[k] - most);
      for (int k = 0; k < count_; k++) share[k] /= total;
      values[i] = (std::log(total) + most) / sharpness;
    }
  }

  int count_;
  bool even_ = false;
  Array first_, second_, shares_;
};

}    // namespace

std::unique_ptr<Evaluated> evaluate_colvar(const Colvar &colvar, Scene scene, Evaluated *of)
{
  if (colvar.kind == Colvar::FCCUBIC) return std::make_unique<FccCubic>(colvar, std::move(scene));
  if (colvar.kind == Colvar::SIMILARITY)
    return std::make_unique<Similarity>(colvar, std::move(scene));
  return evaluate_bond_order(colvar, std::move(scene), of);
}

}    // namespace quorum::order
