// Bond order: Q_l, LOCAL_Q_l and LOCAL_AVERAGE; as in driver/quorum_md/order_parameters/steinhardt.py.
// Steinhardt, Nelson & Ronchetti, PRB 28, 784 (1983); LOCAL_AVERAGE: Lechner & Dellago, JCP 129,
// 114707 (2008).

#include "order_evaluated.h"
#include "order_harmonics.h"

#include <cmath>

namespace quorum::order {

namespace {

double dot(const double *a, const double *b, int width)
{
  double sum = 0.0;
  for (int k = 0; k < width; k++) sum += a[k] * b[k];
  return sum;
}

// Sums over neighbours with weights σ(r) that fall off with the distance.
class Contacts : public Evaluated {
 public:
  Contacts(const Colvar &colvar, Scene given) : Evaluated(std::move(given))
  {
    colvar.contact.evaluate(bonds().lengths, weights, weight_slopes);
    coordination = by_atom(1, weights, weights);
    inverse = inverse_or_zero(coordination);
  }

 protected:
  // Of every pair numbers of its second atom times its weight, and of its first.
  Array of_others(int width, const Array &numbers, bool first) const
  {
    const auto &pairs = bonds();
    const auto &atoms = first ? pairs.second : pairs.first;
    Array result(pairs.size() * size_t(width));
    for (size_t e = 0; e < pairs.size(); e++)
      for (int k = 0; k < width; k++)
        result[e * size_t(width) + size_t(k)] =
            weights[e] * numbers[size_t(atoms[e]) * size_t(width) + size_t(k)];
    return result;
  }
  // Adds vectors of this length along the pair.
  void add_along(size_t e, double slope, Array &gradient) const
  {
    const auto &pairs = bonds();
    for (size_t d = 0; d < 3; d++)
      gradient[3 * e + d] += slope / pairs.lengths[e] * pairs.vectors[3 * e + d];
  }

  Array weights, weight_slopes, coordination, inverse;
};

// s_i = |Σ_j σ Y_lm| / Σ_j σ; vectors q_i = Σ_j σ Y_lm / Σ_j σ.
class Steinhardt : public Contacts {
 public:
  Steinhardt(const Colvar &colvar, Scene given) :
      Contacts(colvar, std::move(given)), harmonics(colvar.degree), width(harmonics.width())
  {
    const auto &pairs = bonds();
    const size_t n = size_t(width);
    y_.resize(n * pairs.size());
    for (size_t e = 0; e < pairs.size(); e++)
      harmonics.evaluate(&pairs.vectors[3 * e], pairs.lengths[e], &y_[n * e]);
    auto weighted = y_;
    for (size_t k = 0; k < weighted.size(); k++) weighted[k] *= weights[k / n];
    const auto sums = by_atom(width, weighted, weighted);
    units = vectors = sums;
    norms.resize(scene.n_atoms);
    for (size_t i = 0; i < scene.n_atoms; i++) {
      norms[i] = std::sqrt(dot(&sums[n * i], &sums[n * i], width));
      for (size_t k = n * i; k < n * (i + 1); k++) {
        units[k] = norms[i] > 0 ? sums[k] / norms[i] : 0.0;
        vectors[k] = sums[k] * inverse[i];
      }
      values[i] = norms[i] * inverse[i];
    }
    sum_slopes.assign(sums.size(), 0.0);
    vector_slopes.assign(sums.size(), 0.0);
  }

  double component(const Component &component) const override
  {
    if (component.kind != Component::VMEAN && component.kind != Component::VSUM)
      return Evaluated::component(component);
    const auto sum = together(component);
    return std::sqrt(dot(sum.data(), sum.data(), width));
  }

  void pull(const Component &component, double slope) override
  {
    if (component.kind != Component::VMEAN && component.kind != Component::VSUM) {
      Evaluated::pull(component, slope);
      return;
    }
    const auto sum = together(component);
    const double norm = std::sqrt(dot(sum.data(), sum.data(), width));
    if (norm == 0) return;
    const double factor = slope / norm * share(component);
    for (const int i : scene.centres)
      for (int k = 0; k < width; k++)
        vector_slopes[size_t(i) * size_t(width) + size_t(k)] += factor * sum[size_t(k)];
  }

  Array backward() override
  {
    const auto &pairs = bonds();
    const size_t n = size_t(width);
    Array to_sums(sum_slopes), to_coordination(scene.n_atoms);
    for (size_t i = 0; i < scene.n_atoms; i++) {
      for (size_t k = n * i; k < n * (i + 1); k++)
        to_sums[k] += inverse[i] * (slopes[i] * units[k] + vector_slopes[k]);
      to_coordination[i] = -inverse[i] *
          (slopes[i] * values[i] + dot(&vector_slopes[n * i], &vectors[n * i], width));
    }
    Array gradient(3 * pairs.size()), w(n);
    for (size_t e = 0; e < pairs.size(); e++) {
      const size_t a = size_t(pairs.first[e]), b = size_t(pairs.second[e]);
      for (size_t k = 0; k < n; k++)
        w[k] = ahead(e) * to_sums[n * a + k] + back(e) * to_sums[n * b + k];
      harmonics.gradient_of_sum(&pairs.vectors[3 * e], pairs.lengths[e], w.data(),
                                &gradient[3 * e]);
      for (size_t d = 0; d < 3; d++) gradient[3 * e + d] *= weights[e];
      const double slope = dot(w.data(), &y_[n * e], width) + ahead(e) * to_coordination[a] +
          back(e) * to_coordination[b];
      add_along(e, slope * weight_slopes[e], gradient);
    }
    return gradient;
  }

  Harmonics harmonics;
  const int width;
  Array units, vectors, norms, sum_slopes, vector_slopes;

 private:
  double share(const Component &component) const
  {
    return component.kind == Component::VMEAN ? 1 / double(scene.centres.size()) : 1.0;
  }
  Array together(const Component &component) const
  {
    Array sum(size_t(width), 0.0);
    for (const int i : scene.centres)
      for (size_t k = 0; k < sum.size(); k++) sum[k] += vectors[size_t(i) * sum.size() + k];
    for (double &x : sum) x *= share(component);
    return sum;
  }

  Array y_;
};

// s_i = Σ_j σ u_i·u_j / Σ_j σ, with u the unit vector along q.
class LocalSteinhardt : public Contacts {
 public:
  LocalSteinhardt(const Colvar &colvar, Scene given, Steinhardt &of) :
      Contacts(colvar, std::move(given)), of_(of)
  {
    const auto &pairs = bonds();
    products_.resize(pairs.size());
    Array weighted(pairs.size());
    const size_t n = size_t(of_.width);
    for (size_t e = 0; e < pairs.size(); e++) {
      products_[e] = dot(&of_.units[n * size_t(pairs.first[e])],
                         &of_.units[n * size_t(pairs.second[e])], of_.width);
      weighted[e] = weights[e] * products_[e];
    }
    values = by_atom(1, weighted, weighted);
    for (size_t i = 0; i < scene.n_atoms; i++) values[i] *= inverse[i];
  }

  Array backward() override
  {
    const auto &pairs = bonds();
    const size_t n = size_t(of_.width);
    Array at_first = of_others(of_.width, of_.units, true);
    Array at_second = of_others(of_.width, of_.units, false);
    Array gradient(3 * pairs.size(), 0.0);
    for (size_t e = 0; e < pairs.size(); e++) {
      const size_t a = size_t(pairs.first[e]), b = size_t(pairs.second[e]);
      const double first = ahead(e) * slopes[a] * inverse[a];
      const double second = back(e) * slopes[b] * inverse[b], total = first + second;
      for (size_t k = n * e; k < n * (e + 1); k++) {
        at_first[k] *= total;
        at_second[k] *= total;
      }
      const double values_too = first * values[a] + second * values[b];
      add_along(e, (total * products_[e] - values_too) * weight_slopes[e], gradient);
    }
    const auto to_units = by_any_atom(of_.width, at_first, at_second);
    for (size_t i = 0; i < scene.n_atoms; i++) {
      if (!(of_.norms[i] > 0)) continue;
      const double along = dot(&to_units[n * i], &of_.units[n * i], of_.width);
      for (size_t k = n * i; k < n * (i + 1); k++)
        of_.sum_slopes[k] += (to_units[k] - along * of_.units[k]) / of_.norms[i];
    }
    return gradient;
  }

 private:
  Steinhardt &of_;
  Array products_;
};

// s_i = |v_i + Σ_j σ v_j| / (1 + Σ_j σ) of vectors, or the same of values, without the norm.
class LocalAverage : public Contacts {
 public:
  LocalAverage(const Colvar &colvar, Scene given, Evaluated &of) :
      Contacts(colvar, std::move(given)), of_(of), vectors_(dynamic_cast<Steinhardt *>(&of)),
      width_(vectors_ ? vectors_->width : 1), source_(vectors_ ? vectors_->vectors : of.values)
  {
    const size_t n = size_t(width_);
    averages_ = by_atom(width_, of_others(width_, source_, true), of_others(width_, source_, false));
    directions_.assign(averages_.size(), 1.0);
    std::vector<char> centre(scene.n_atoms, 0);
    for (const int i : scene.centres) centre[size_t(i)] = 1;
    for (size_t i = 0; i < scene.n_atoms; i++) {
      for (size_t k = n * i; k < n * (i + 1); k++)
        averages_[k] = (source_[k] + averages_[k]) / (1 + coordination[i]);
      values[i] = averages_[n * i];
      if (vectors_) {
        values[i] = std::sqrt(dot(&averages_[n * i], &averages_[n * i], width_));
        for (size_t k = n * i; k < n * (i + 1); k++)
          directions_[k] = values[i] > 0 ? averages_[k] / values[i] : 0.0;
      }
      if (!centre[i]) values[i] = 0.0;
    }
  }

  Array backward() override
  {
    const auto &pairs = bonds();
    const size_t n = size_t(width_);
    Array to_sums(averages_.size()), to_coordination(scene.n_atoms);
    for (size_t i = 0; i < scene.n_atoms; i++) {
      for (size_t k = n * i; k < n * (i + 1); k++)
        to_sums[k] = slopes[i] / (1 + coordination[i]) * directions_[k];
      to_coordination[i] = -dot(&to_sums[n * i], &averages_[n * i], width_);
    }
    Array at_first(n * pairs.size()), at_second(n * pairs.size()), gradient(3 * pairs.size(), 0.0);
    for (size_t e = 0; e < pairs.size(); e++) {
      const size_t a = size_t(pairs.first[e]), b = size_t(pairs.second[e]);
      double slope = ahead(e) * to_coordination[a] + back(e) * to_coordination[b];
      for (size_t k = 0; k < n; k++) {
        const double first = ahead(e) * to_sums[n * a + k], second = back(e) * to_sums[n * b + k];
        slope += first * source_[n * b + k] + second * source_[n * a + k];
        at_first[n * e + k] = weights[e] * second;
        at_second[n * e + k] = weights[e] * first;
      }
      add_along(e, slope * weight_slopes[e], gradient);
    }
    const auto more = by_any_atom(width_, at_first, at_second);
    auto &to_source = vectors_ ? vectors_->vector_slopes : of_.slopes;
    for (size_t k = 0; k < more.size(); k++) to_source[k] += to_sums[k] + more[k];
    return gradient;
  }

 private:
  Evaluated &of_;
  Steinhardt *vectors_;
  int width_;
  const Array &source_;
  Array averages_, directions_;
};

}    // namespace

std::unique_ptr<Evaluated> evaluate_bond_order(const Colvar &colvar, Scene scene, Evaluated *of)
{
  if (colvar.kind == Colvar::STEINHARDT)
    return std::make_unique<Steinhardt>(colvar, std::move(scene));
  if (colvar.kind == Colvar::LOCAL_STEINHARDT)
    return std::make_unique<LocalSteinhardt>(colvar, std::move(scene),
                                             static_cast<Steinhardt &>(*of));
  return std::make_unique<LocalAverage>(colvar, std::move(scene), *of);
}

}    // namespace quorum::order
