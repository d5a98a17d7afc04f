// See order_switch.h.

#include "order_switch.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace quorum::order {

static const std::vector<std::string> KINDS = {"CUBIC",    "RATIONAL", "SMAP",   "EXP",
                                               "GAUSSIAN", "TANH",     "COSINUS"};

static double whole_power(double x, int n)
{
  if (n < 0) return 1.0 / whole_power(x, -n);
  double result = 1.0;
  for (; n > 0; n >>= 1, x *= x)
    if (n & 1) result *= x;
  return result;
}

// (1 - yⁿ)/(1 - yᵐ), by its series at y = 1, where it is 0/0.
static std::pair<double, double> rational(double y, int n, int m)
{
  if (m == 2 * n) {
    const double value = 1 / (1 + whole_power(y, n));
    return {value, -n * whole_power(y, n - 1) * value * value};
  }
  const double x = y - 1;
  if (std::abs(x) < 1e-5) {
    const double first = 0.5 * n * double(n - m) / m;
    const double second =
        n * (double(m) * m - 3.0 * m * (n - 1) + n * (2.0 * n - 3)) / (6.0 * m);
    return {double(n) / m + x * (first + 0.5 * x * second), first + x * second};
  }
  const double lower = 1 / (1 - whole_power(y, m));
  const double value = (1 - whole_power(y, n)) * lower;
  return {value, (m * value * whole_power(y, m - 1) - n * whole_power(y, n - 1)) * lower};
}

static std::pair<double, double> plain(const Switch &s, double y)
{
  switch (s.kind) {
    case Switch::RATIONAL: return rational(y, s.n, s.m);
    case Switch::SMAP: {
      const double c = std::pow(2.0, double(s.n) / s.m) - 1, power = double(s.m) / s.n;
      const double grown = 1 + c * whole_power(y, s.n);
      const double value = std::pow(grown, -power);
      return {value, -s.m * c * whole_power(y, s.n - 1) * value / grown};
    }
    case Switch::EXP: return {std::exp(-y), -std::exp(-y)};
    case Switch::GAUSSIAN: return {std::exp(-0.5 * y * y), -y * std::exp(-0.5 * y * y)};
    case Switch::TANH: {
      const double t = std::tanh(y);
      return {1 - t, t * t - 1};
    }
    default: {
      if (y > 1) return {0.0, 0.0};
      const double pi = 4.0 * std::atan(1.0);
      return {0.5 * (std::cos(pi * y) + 1), -0.5 * pi * std::sin(pi * y)};
    }
  }
}

std::pair<double, double> Switch::at(double x) const
{
  double y = (x - d_0) / r_0;
  if (kind == CUBIC) {    // smooth at both ends: no cases
    y = std::clamp(y, 0.0, 1.0);
    return {(y - 1) * (y - 1) * (1 + 2 * y), (6 / r_0) * (y * (y - 1))};
  }
  if (x > d_max) return {0.0, 0.0};
  if (y <= 0) return {scale + shift, 0.0};
  const auto [value, slope] = plain(*this, y);
  return {value * scale + shift, slope * (scale / r_0)};
}

void Switch::stretch()
{
  if (!std::isfinite(d_max)) return;
  const double start = at(0.0).first, end = at(d_max).first;
  scale = 1 / (start - end);
  shift = -end * scale;
}

void Switch::evaluate(const std::vector<double> &x, std::vector<double> &value,
                      std::vector<double> &slope) const
{
  value.resize(x.size());
  slope.resize(x.size());
  for (size_t k = 0; k < x.size(); k++) std::tie(value[k], slope[k]) = at(x[k]);
}

Switch switch_of(const Keywords &keywords, const std::string &key, const std::string &text)
{
  auto words = words_of(text);
  if (words.empty())
    throw keywords.error(key, "nothing",
                         "a kind of switching function: " + joined(KINDS, ", "));
  const auto name = words.front();
  words.erase(words.begin());
  if (name == "Q" || name == "CUSTOM" || name == "MATHEVAL")
    throw keywords.needs_kernel(key + "={" + name + " …}");
  const auto place = std::find(KINDS.begin(), KINDS.end(), name);
  if (place == KINDS.end())
    throw keywords.error(key, quoted(name), "one of " + joined(KINDS, ", ") + ", in capitals");
  const auto &outer = keywords.statement;
  Keywords inner(Statement{outer.file, outer.line, "", outer.action + " " + key, words});
  Switch made;
  made.kind = Switch::Kind(place - KINDS.begin());
  made.d_0 = inner.number("D_0", 0.0);
  made.d_max = inner.number("D_MAX", made.d_max);
  inner.flag("STRETCH");
  const bool stretched = !inner.flag("NOSTRETCH");
  if (made.kind == Switch::CUBIC) {
    if (!(made.d_max > made.d_0))
      throw inner.error("D_MAX", short_number(made.d_max),
                        "a number above D_0 = " + short_number(made.d_0));
    made.r_0 = made.d_max - made.d_0;
  } else
    made.r_0 = inner.number("R_0");
  if (made.r_0 <= 0) throw inner.error("R_0", short_number(made.r_0), "a positive number");
  if (made.kind == Switch::RATIONAL) {
    made.n = inner.whole("NN", 6.0);
    made.m = inner.whole("MM", 0.0);
    if (made.m == 0) made.m = 2 * made.n;
    if (made.n < 1 || made.m < 1 || made.n == made.m)
      throw inner.error("MM", std::to_string(made.m) + " beside NN = " + std::to_string(made.n),
                        "two different positive numbers");
  }
  if (made.kind == Switch::SMAP) {
    made.n = inner.whole("A");
    made.m = inner.whole("B");
    if (made.n < 1 || made.m < 1)
      throw inner.error("A", std::to_string(made.n) + " beside B = " + std::to_string(made.m),
                        "positive numbers");
  }
  inner.finish();
  if (std::isfinite(made.d_max) && made.d_max <= std::max(made.d_0, 0.0))
    throw inner.error("D_MAX", short_number(made.d_max),
                      "a number above D_0 = " + short_number(made.d_0) + " and 0");
  if (stretched) made.stretch();
  return made;
}

Switch rational_switch(Keywords &keywords)
{
  Switch made;
  made.kind = Switch::RATIONAL;
  made.r_0 = keywords.number("R_0");
  made.d_0 = keywords.number("D_0", 0.0);
  made.n = keywords.whole("NN", 6.0);
  made.m = keywords.whole("MM", 0.0);
  if (made.m == 0) made.m = 2 * made.n;
  if (made.r_0 <= 0)
    throw keywords.error("R_0", short_number(made.r_0), "a positive number, or SWITCH");
  if (made.n < 1 || made.m <= made.n)
    throw keywords.error("MM", std::to_string(made.m),
                         "a number above NN = " + std::to_string(made.n) + ", which is at least 1");
  made.d_max = made.d_0 + made.r_0 * std::pow(1e-5, 1.0 / (made.n - made.m));
  made.stretch();
  return made;
}

}    // namespace quorum::order
