// The definition of each map as loops over a target's cells.
#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <complex>
#include <numbers>
#include <numeric>
#include <type_traits>
#include <vector>

#include "../reference.hpp"
#include "../storage.hpp"
#include "../table.hpp"
#include "../threads.hpp"

namespace tconv {
namespace {

// Sum: the type in which a reduction is accumulated. Integers wrap in their own width, as in NumPy, so they
// are added unsigned, wide enough that no product is promoted to a signed int.
template <class T> struct Arithmetic {
  using Sum =
      std::conditional_t<std::is_integral_v<T>, std::conditional_t<(sizeof(T) > 4), uint64_t, uint32_t>, T>;
  static Sum load(T x) { return static_cast<Sum>(x); }
  static T store(Sum x) { return static_cast<T>(x); }
  static Sum product(Sum x, Sum y) {
    if constexpr (requires { x.imag(); })  // four real products, without C's rules for infinities
      return {x.real() * y.real() - x.imag() * y.imag(), x.real() * y.imag() + x.imag() * y.real()};
    else return x * y;
  }
};
template <> struct Arithmetic<Half> {
  using Sum = float;
  static Sum load(Half x) { return widened(x); }
  static Half store(Sum x) { return narrowed(x, Half{}); }
  static Sum product(Sum x, Sum y) { return x * y; }
};
template <> struct Arithmetic<Brain> {
  using Sum = float;
  static Sum load(Brain x) { return widened(x); }
  static Brain store(Sum x) { return narrowed(x, Brain{}); }
  static Sum product(Sum x, Sum y) { return x * y; }
};

// The curves, with more digits than a sum has.
long double curve(Activation what, long double x, const std::vector<double>& numbers) {
  const auto gate = [](long double w) { return 1 / (1 + std::exp(-w)); };
  switch (what) {
    case Activation::gelu: return x * std::erfc(-x / std::numbers::sqrt2_v<long double>) / 2;
    case Activation::gelu_tanh: {
      const long double k = std::sqrt(2 / std::numbers::pi_v<long double>);
      return x * gate(2 * k * (x + 0.044715L * x * x * x));
    }
    case Activation::silu: return x * gate(x);
    case Activation::elu: return x >= 0 ? x : numbers[0] * std::expm1(x);
    case Activation::hardswish: return x * std::clamp<long double>(x + 3, 0, 6) / 6;
    case Activation::softplus: {
      const long double w = numbers[0] * x;
      return w > numbers[1] ? x : (std::max(w, 0.0L) + std::log1p(std::exp(-std::abs(w)))) / numbers[0];
    }
    case Activation::mish: {
      const long double e = std::exp(std::min(x, 100.0L)), n = e * (e + 2);
      return x * (n / (n + 2));
    }
    default: return x;
  }
}

template <class Sum> Sum apply(const Plan& plan, Sum x, int64_t channel) {
  if constexpr (std::is_floating_point_v<Sum>) {
    const Epilogue& e = plan.epilogue;
    const auto number = [&](size_t i) { return static_cast<Sum>(e.numbers[i]); };
    switch (e.activation) {
      case Activation::none: return x;
      case Activation::relu: return x < 0 ? Sum(0) : x;
      case Activation::leaky_relu: return x < 0 ? x * number(0) : x;
      case Activation::prelu: return x < 0 ? x * number(static_cast<size_t>(channel)) : x;
      case Activation::clamp: return x < number(0) ? number(0) : x > number(1) ? number(1) : x;
      case Activation::tanh: return std::tanh(x);
      case Activation::sigmoid: return 1 / (1 + std::exp(-x));
      default: return x != x ? x : static_cast<Sum>(curve(e.activation, x, e.numbers));
    }
  }
  return x;  // tconv.planning refuses activations of integers and complex numbers
}

struct Strides {
  int64_t batch, group, channel, z, y, x;
  Strides(const Plan& plan, const Triple& size, int64_t channels) {
    const Side side = make_side(plan, channels, size[0] * size[1] * size[2]);
    batch = side.batch, group = side.group, channel = side.channel;
    x = side.position, y = size[2] * x, z = size[1] * y;
  }
  // Of a channel, counted over all groups of all batch items.
  int64_t place(const Problem& p, int64_t index, int64_t channels) const {
    return index / (p.groups * channels) * batch + index / channels % p.groups * group +
           index % channels * channel;
  }
};

struct KernelStrides {
  int64_t channel, z, y;
  explicit KernelStrides(const Triple& size)
      : channel(size[0] * size[1] * size[2]), z(size[1] * size[2]), y(size[2]) {}
};

int64_t fine(const Problem& p, int axis, int64_t coarse, int64_t k) {
  const int64_t index = coarse * p.stride[axis] + k * p.dilation[axis] - p.lo[axis];
  return index >= 0 && index < p.output[axis] ? index : -1;
}

// Along one axis, for an index of the target: the kernel elements that reach it, in order, and from which
// index of the source. Both are arithmetic progressions: lists would be as long as kernel times extent.
struct Term {
  int64_t kernel, source;
};
class Terms {
 public:
  class Iterator {
   public:
    Iterator(Term at, Term step) : at_(at), step_(step) {}
    const Term& operator*() const { return at_; }
    void operator++() { at_.kernel += step_.kernel, at_.source += step_.source; }
    bool operator!=(const Iterator& other) const { return at_.kernel != other.at_.kernel; }

   private:
    Term at_, step_;
  };

  Terms(const Plan& plan, size_t axis, int64_t index) {
    const Problem& p = plan.problem;
    const bool transposed = plan.map == Map::conv_transpose;
    const int64_t stride = p.stride[axis], dilation = p.dilation[axis];
    const int64_t period = transposed ? stride / std::gcd(stride, dilation) : 1;
    const int64_t extent = transposed ? p.input[axis] : p.output[axis];
    int64_t k = 0;  // the first element that fits the stride
    while (transposed && k < period && (index + p.lo[axis] - k * dilation) % stride != 0) ++k;
    if (k == period) return;
    const int64_t from =
        transposed ? (index + p.lo[axis] - k * dilation) / stride : index * stride - p.lo[axis];
    const int64_t size = transposed ? dilation * period / stride : dilation;
    // Term j is {k + j * period, from +- j * size}. It is in the source for j from `begin` to `last`.
    const int64_t below = -floor_div(from, size), above = floor_div(extent - 1 - from, size);
    const int64_t begin = std::max<int64_t>(0, transposed ? -above : below);
    const int64_t last = std::min(floor_div(p.kernel[axis] - 1 - k, period), transposed ? -below : above);
    step_ = {period, transposed ? -size : size};
    first_ = {k + begin * period, from + begin * step_.source};
    count_ = std::max<int64_t>(0, last - begin + 1);
  }
  Iterator begin() const { return {first_, step_}; }
  Iterator end() const { return {{first_.kernel + count_ * step_.kernel, 0}, step_}; }
  bool empty() const { return count_ == 0; }

 private:
  Term first_{}, step_{};
  int64_t count_ = 0;
};

using AllTerms = std::array<std::vector<Terms>, 3>;  // along each axis
AllTerms terms_of(const Plan& plan) {
  const Problem& p = plan.problem;
  AllTerms out;
  for (size_t axis = 0; plan.map != Map::weight_gradient && axis < 3; ++axis) {
    const int64_t extent = plan.map == Map::conv_transpose ? p.output[axis] : p.input[axis];
    for (int64_t i = 0; i < extent; ++i) out[axis].emplace_back(plan, axis, i);
  }
  return out;
}

// One channel of one batch item. `mending`: only numbers that are NaN, and sums end when that is certain.
template <class T, bool mending>
void layer_channel(const Plan& plan, const AllTerms& terms, int64_t task, const T* source, const T* w,
                   const T* bias, T* target) {
  using A = Arithmetic<T>;
  using Sum = typename A::Sum;
  const Problem& p = plan.problem;
  const bool transposed = plan.map == Map::conv_transpose;
  const int64_t width = transposed ? p.out_channels : p.in_channels,
                depth = transposed ? p.in_channels : p.out_channels;
  const Triple& extent = transposed ? p.output : p.input;
  const Strides in(plan, transposed ? p.input : p.output, depth), out(plan, extent, width);
  const KernelStrides ker(p.kernel);
  const int64_t channels = p.groups * width, c = task % channels, g = c / width;
  source += in.place(p, (task / channels * p.groups + g) * depth, depth);
  w += (transposed ? g * depth * width + c % width : c * depth) * ker.channel;
  target += out.place(p, task, width);
  const int64_t step = (transposed ? width : 1) * ker.channel;
  if constexpr (mending)
    if (bias && A::load(bias[c]) != A::load(bias[c])) return;
  const auto sum_of = [&](size_t tz, size_t ty, size_t tx) {
    Sum sum{};
    for (const Term& z : terms[0][tz])
      for (const Term& y : terms[1][ty])
        for (const Term& x : terms[2][tx]) {
          const T* cell = source + z.source * in.z + y.source * in.y + x.source * in.x;
          const T* weight = w + z.kernel * ker.z + y.kernel * ker.y + x.kernel;
          for (int64_t i = 0; i < depth; ++i)
            sum += A::product(A::load(cell[i * in.channel]), A::load(weight[i * step]));
          if constexpr (mending)
            if (sum != sum) return sum;
        }
    return sum;
  };
  // Mending: which kernel elements have a weight that is NaN.
  std::vector<char> spoiled(static_cast<size_t>(mending ? ker.channel : 0));
  for (size_t k = 0; k < spoiled.size(); ++k)
    for (int64_t i = 0; i < depth && !spoiled[k]; ++i) {
      const Sum weight = A::load(w[i * step + static_cast<int64_t>(k)]);
      spoiled[k] = weight != weight;
    }
  const bool all_spoiled = std::all_of(spoiled.begin(), spoiled.end(), [](char is) { return is; });
  const auto surely_nan = [&](size_t tz, size_t ty, size_t tx) {
    if (all_spoiled) return !terms[0][tz].empty() && !terms[1][ty].empty() && !terms[2][tx].empty();
    for (const Term& z : terms[0][tz])
      for (const Term& y : terms[1][ty])
        for (const Term& x : terms[2][tx])
          if (spoiled[static_cast<size_t>(z.kernel * ker.z + y.kernel * ker.y + x.kernel)]) return true;
    return false;
  };
  for (int64_t tz = 0; tz < extent[0]; ++tz)
    for (int64_t ty = 0; ty < extent[1]; ++ty)
      for (int64_t tx = 0; tx < extent[2]; ++tx) {
        T& cell = target[tz * out.z + ty * out.y + tx * out.x];
        if constexpr (mending)
          if (A::load(cell) == A::load(cell) ||
              surely_nan(static_cast<size_t>(tz), static_cast<size_t>(ty), static_cast<size_t>(tx)))
            continue;
        Sum sum = sum_of(static_cast<size_t>(tz), static_cast<size_t>(ty), static_cast<size_t>(tx));
        if (bias) sum += A::load(bias[c]);
        cell = A::store(apply(plan, sum, c));
      }
}

// The sum of one kernel element; where numbers are real, it ends when it is NaN.
template <class T>
typename Arithmetic<T>::Sum element_sum(const Problem& p, const Strides& in, const Strides& out, const T* x,
                                        const T* y, int64_t kz, int64_t ky, int64_t kx) {
  using A = Arithmetic<T>;
  typename A::Sum sum{};
  for (int64_t n = 0; n < p.batch; ++n)
    for (int64_t iz = 0; iz < p.input[0]; ++iz) {
      const int64_t oz = fine(p, 0, iz, kz);
      if (oz < 0) continue;
      for (int64_t iy = 0; iy < p.input[1]; ++iy) {
        const int64_t oy = fine(p, 1, iy, ky);
        if (oy < 0) continue;
        for (int64_t ix = 0; ix < p.input[2]; ++ix) {
          const int64_t ox = fine(p, 2, ix, kx);
          if (ox < 0) continue;
          sum += A::product(A::load(x[n * in.batch + iz * in.z + iy * in.y + ix * in.x]),
                            A::load(y[n * out.batch + oz * out.z + oy * out.y + ox * out.x]));
        }
        if constexpr (std::is_floating_point_v<typename A::Sum>)
          if (sum != sum) return sum;
      }
    }
  return sum;
}

// The numbers of a channel that are infinite or NaN, unless there are too many.
struct Special {
  struct At {
    int64_t n, z, y, x;
  };
  std::vector<At> places;
  bool all = true;
  bool nan = true;  // whether every number of the channel is NaN
};

template <class T>
Special special_of(const Problem& p, const Strides& side, const Triple& extent, const T* channel) {
  constexpr size_t kMost = 64;
  Special out;
  for (int64_t n = 0; n < p.batch; ++n)
    for (int64_t z = 0; z < extent[0]; ++z)
      for (int64_t y = 0; y < extent[1]; ++y)
        for (int64_t x = 0; x < extent[2]; ++x) {
          const auto number =
              Arithmetic<T>::load(channel[n * side.batch + z * side.z + y * side.y + x * side.x]);
          out.nan = out.nan && number != number;
          if (number - number == 0) continue;
          out.all = out.all && out.places.size() < kMost;
          if (out.all) out.places.push_back({n, z, y, x});
          else if (!out.nan) return out;
        }
  return out;
}

// What an element's sum is where some term is infinite or NaN: those terms decide alone. Returns whether it
// is known.
template <class T>
bool special_sum(const Problem& p, const Strides& in, const Strides& out, const T* x, const T* y,
                 const Special& of_x, const Special& of_y, const Triple& k,
                 typename Arithmetic<T>::Sum& sum) {
  using A = Arithmetic<T>;
  if (!of_x.all || !of_y.all) return false;  // then the whole sum soon is NaN
  bool any = false;
  const auto add = [&](int64_t n, const Triple& i, const Triple& o) {
    any = true;
    sum += A::product(A::load(x[n * in.batch + i[0] * in.z + i[1] * in.y + i[2] * in.x]),
                      A::load(y[n * out.batch + o[0] * out.z + o[1] * out.y + o[2] * out.x]));
    return sum != sum;
  };
  for (const Special::At& at : of_y.places) {
    const Triple o{at.z, at.y, at.x};
    Triple i;
    bool exists = true;
    for (size_t a = 0; a < 3; ++a) {
      const int64_t offset = o[a] + p.lo[a] - k[a] * p.dilation[a];
      i[a] = offset;
      exists = exists && offset >= 0;
    }
    for (size_t a = 0; exists && a < 3; ++a) {
      exists = i[a] % p.stride[a] == 0;
      i[a] /= p.stride[a];
      exists = exists && i[a] < p.input[a];
    }
    if (exists && add(at.n, i, o)) return true;
  }
  for (const Special::At& at : of_x.places) {
    const Triple i{at.z, at.y, at.x};
    const Triple o{fine(p, 0, i[0], k[0]), fine(p, 1, i[1], k[1]), fine(p, 2, i[2], k[2])};
    if (o[0] >= 0 && o[1] >= 0 && o[2] >= 0 && add(at.n, i, o)) return true;
  }
  return any;
}

struct Specials {
  std::vector<Special> x, y;  // of each channel, where a gradient is mended
  std::vector<char> reached;  // of each kernel element: whether its sum has terms
};

// The weights of one pair of channels; with `specials`, those that are NaN.
template <class T>
void weight_gradient_pair(const Plan& plan, int64_t task, const T* x, const T* y, T* dw,
                          const Specials* specials) {
  using A = Arithmetic<T>;
  using Sum = typename A::Sum;
  const Problem& p = plan.problem;
  const Strides in(plan, p.input, p.in_channels), out(plan, p.output, p.out_channels);
  const KernelStrides ker(p.kernel);
  const int64_t i = task / p.out_channels, o = task % p.out_channels, g = i / p.in_channels;
  x += in.place(p, i, p.in_channels);
  y += out.place(p, g * p.out_channels + o, p.out_channels);
  dw += task * ker.channel;
  for (int64_t kz = 0; kz < p.kernel[0]; ++kz)
    for (int64_t ky = 0; ky < p.kernel[1]; ++ky)
      for (int64_t kx = 0; kx < p.kernel[2]; ++kx) {
        T& weight = dw[kz * ker.z + ky * ker.y + kx];
        Sum sum{};
        if (specials) {
          if (A::load(weight) == A::load(weight)) continue;
          const Special &of_x = specials->x[static_cast<size_t>(i)],
                        &of_y = specials->y[static_cast<size_t>(g * p.out_channels + o)];
          if (specials->reached[static_cast<size_t>(&weight - dw)] && (of_x.nan || of_y.nan)) continue;
          if (special_sum(p, in, out, x, y, of_x, of_y, {kz, ky, kx}, sum)) {
            weight = A::store(sum);
            continue;
          }
        }
        weight = A::store(element_sum(p, in, out, x, y, kz, ky, kx));
      }
}

template <class T, bool mending>
void kernel(const Plan& plan, const AllTerms& terms, int64_t task, const Arrays& arrays) {
  const T *source = static_cast<const T*>(arrays.source), *weight = static_cast<const T*>(arrays.weight);
  T* target = static_cast<T*>(arrays.target);
  if (plan.map == Map::weight_gradient)
    return weight_gradient_pair<T>(plan, task, source, weight, target, nullptr);
  layer_channel<T, mending>(plan, terms, task, source, weight, static_cast<const T*>(arrays.bias), target);
}

// The loops of one (batch, target channel) pair, or of one weight for the gradient.
using Kernel = void (*)(const Plan& plan, const AllTerms& terms, int64_t task, const Arrays& arrays);

Kernel kernel_of(DType dtype) {
  static constexpr Kernel table[kDTypes] = {kernel<float, false>,
                                            kernel<double, false>,
                                            kernel<Half, false>,
                                            kernel<Brain, false>,
                                            kernel<std::complex<float>, false>,
                                            kernel<std::complex<double>, false>,
                                            kernel<int8_t, false>,
                                            kernel<int16_t, false>,
                                            kernel<int32_t, false>,
                                            kernel<int64_t, false>,
                                            kernel<uint8_t, false>,
                                            kernel<uint16_t, false>,
                                            kernel<uint32_t, false>,
                                            kernel<uint64_t, false>};
  return table[static_cast<int>(dtype)];
}

int64_t tasks_of(const Plan& plan) {
  const Problem& p = plan.problem;
  switch (plan.map) {
    case Map::conv_transpose: return p.batch * p.groups * p.out_channels;
    case Map::conv: return p.batch * p.groups * p.in_channels;
    case Map::weight_gradient: return p.groups * p.in_channels * p.out_channels;
  }
  return 0;
}

}  // namespace

int64_t reference_workspace(const Setup&) { return 0; }

void run_reference(const Setup& setup, const Arrays& arrays) {
  const Plan& plan = setup.plan;
  const Kernel kernel = kernel_of(plan.operands.source);
  const AllTerms terms = terms_of(plan);
  parallel_for(tasks_of(plan), plan.most_threads,
               [&](int64_t task, int) { kernel(plan, terms, task, arrays); });
}

void mend(const Setup& setup, const Arrays& arrays) {
  const Plan& plan = setup.plan;
  const Problem& p = plan.problem;
  const AllTerms terms = terms_of(plan);
  with_storage(plan.operands.source, [&](auto type) {
    using S = decltype(type);
    if (plan.map != Map::weight_gradient)
      return parallel_for(tasks_of(plan), plan.most_threads,
                          [&](int64_t task, int) { kernel<S, true>(plan, terms, task, arrays); });
    const S *x = static_cast<const S*>(arrays.source), *y = static_cast<const S*>(arrays.weight);
    const Strides in(plan, p.input, p.in_channels), out(plan, p.output, p.out_channels);
    Specials specials;
    const auto look = [&](const Strides& side, const Triple& extent, int64_t channels, const S* from,
                          std::vector<Special>& found) {
      found.resize(static_cast<size_t>(p.groups * channels));
      parallel_for(p.groups * channels, plan.most_threads, [&](int64_t c, int) {
        found[static_cast<size_t>(c)] = special_of(p, side, extent, from + side.place(p, c, channels));
      });
    };
    look(in, p.input, p.in_channels, x, specials.x);
    look(out, p.output, p.out_channels, y, specials.y);
    const auto reaches = [&](int axis, int64_t k) {
      for (int64_t i = 0; i < p.input[static_cast<size_t>(axis)]; ++i)
        if (fine(p, axis, i, k) >= 0) return true;
      return false;
    };
    for (int64_t kz = 0; kz < p.kernel[0]; ++kz)
      for (int64_t ky = 0; ky < p.kernel[1]; ++ky)
        for (int64_t kx = 0; kx < p.kernel[2]; ++kx)
          specials.reached.push_back(reaches(0, kz) && reaches(1, ky) && reaches(2, kx));
    parallel_for(tasks_of(plan), plan.most_threads, [&](int64_t task, int) {
      weight_gradient_pair(plan, task, x, y, static_cast<S*>(arrays.target), &specials);
    });
  });
}

void mend_unless_bounded(const Setup& setup, const Arrays& arrays) {
  const Plan& plan = setup.plan;
  const Problem& p = plan.problem;
  const auto numbers = [&](int64_t channels, const Triple& extent) {
    return p.batch * p.groups * channels * extent[0] * extent[1] * extent[2];
  };
  const int64_t x = numbers(p.in_channels, p.input), y = numbers(p.out_channels, p.output),
                w = weight_count(p);
  const bool gradient = plan.map == Map::weight_gradient, transposed = plan.map == Map::conv_transpose;
  const int64_t source = gradient || transposed ? x : y, weight = gradient ? y : w,
                target = gradient   ? w
                       : transposed ? y
                                    : x;
  with_storage(plan.operands.source, [&](auto type) {
    using S = decltype(type);
    const Storage<S> storage(plan.isa);
    const auto& kernels = kernels_for<typename Storage<S>::T>(plan.isa);
    std::atomic<bool> bounded{true};
    const auto look_at = [&](const void* from, int64_t count) {
      constexpr int64_t kPiece = 1 << 16;
      parallel_for(ceil_div(count, kPiece), plan.most_threads, [&](int64_t piece, int) {
        const int64_t begin = piece * kPiece, some = std::min(kPiece, count - begin);
        if (!storage.bounded(kernels, static_cast<const S*>(from) + begin, some)) bounded = false;
      });
    };
    if (target < source + weight) look_at(arrays.target, target);
    else look_at(arrays.source, source), look_at(arrays.weight, weight);
    // In a layer only the source has zeros that stand for nothing: finite weights make no NaN of them.
    if (!bounded && !gradient) bounded = true, look_at(arrays.weight, weight);
    if (!bounded) mend(setup, arrays);
  });
}

}  // namespace tconv
