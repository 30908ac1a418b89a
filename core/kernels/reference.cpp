// The definition of each map as loops over a target's cells.
#include <algorithm>
#include <cmath>
#include <complex>
#include <type_traits>

#include "../reference.hpp"
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
};
template <> struct Arithmetic<Half> {
  using Sum = float;
  static Sum load(Half x) { return widened(x); }
  static Half store(Sum x) { return narrowed(x, Half{}); }
};
template <> struct Arithmetic<Brain> {
  using Sum = float;
  static Sum load(Brain x) { return widened(x); }
  static Brain store(Sum x) { return narrowed(x, Brain{}); }
};

template <class Sum> Sum apply(const Plan& plan, Sum x) {
  if constexpr (std::is_floating_point_v<Sum>) {
    const Epilogue& e = plan.epilogue;
    switch (e.activation) {
      case Activation::none: return x;
      case Activation::relu: return x < 0 ? Sum(0) : x;
      case Activation::leaky_relu: return x < 0 ? x * Sum(e.slope) : x;
      case Activation::clamp:
        return x < Sum(e.clamp_lo) ? Sum(e.clamp_lo) : x > Sum(e.clamp_hi) ? Sum(e.clamp_hi) : x;
      case Activation::tanh: return std::tanh(x);
      case Activation::sigmoid: return 1 / (1 + std::exp(-x));
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

// The coarse index along one axis that kernel element k connects with fine index u, or -1.
int64_t coarse(const Problem& p, int axis, int64_t fine, int64_t k) {
  const int64_t offset = fine + p.lo[axis] - k * p.dilation[axis];
  if (offset < 0 || offset % p.stride[axis] != 0) return -1;
  const int64_t index = offset / p.stride[axis];
  return index < p.input[axis] ? index : -1;
}

int64_t fine(const Problem& p, int axis, int64_t coarse, int64_t k) {
  const int64_t index = coarse * p.stride[axis] + k * p.dilation[axis] - p.lo[axis];
  return index >= 0 && index < p.output[axis] ? index : -1;
}

template <class T>
void transposed_channel(const Plan& plan, int64_t task, const T* x, const T* w, const T* bias, T* y) {
  using A = Arithmetic<T>;
  using Sum = typename A::Sum;
  const Problem& p = plan.problem;
  const Strides in(plan, p.input, p.in_channels), out(plan, p.output, p.out_channels);
  const KernelStrides ker(p.kernel);
  const int64_t channels = p.groups * p.out_channels, c = task % channels, g = c / p.out_channels;
  x += in.place(p, (task / channels * p.groups + g) * p.in_channels, p.in_channels);
  w += (g * p.in_channels * p.out_channels + c % p.out_channels) * ker.channel;
  y += out.place(p, task, p.out_channels);
  for (int64_t oz = 0; oz < p.output[0]; ++oz)
    for (int64_t oy = 0; oy < p.output[1]; ++oy)
      for (int64_t ox = 0; ox < p.output[2]; ++ox) {
        Sum sum{};
        for (int64_t kz = 0; kz < p.kernel[0]; ++kz) {
          const int64_t iz = coarse(p, 0, oz, kz);
          if (iz < 0) continue;
          for (int64_t ky = 0; ky < p.kernel[1]; ++ky) {
            const int64_t iy = coarse(p, 1, oy, ky);
            if (iy < 0) continue;
            for (int64_t kx = 0; kx < p.kernel[2]; ++kx) {
              const int64_t ix = coarse(p, 2, ox, kx);
              if (ix < 0) continue;
              const T* cell = x + iz * in.z + iy * in.y + ix * in.x;
              const T* weight = w + kz * ker.z + ky * ker.y + kx;
              for (int64_t i = 0; i < p.in_channels; ++i)
                sum += A::load(cell[i * in.channel]) * A::load(weight[i * p.out_channels * ker.channel]);
            }
          }
        }
        if (bias) sum += A::load(bias[c]);
        y[oz * out.z + oy * out.y + ox * out.x] = A::store(apply(plan, sum));
      }
}

template <class T>
void strided_channel(const Plan& plan, int64_t task, const T* y, const T* w, const T* bias, T* x) {
  using A = Arithmetic<T>;
  using Sum = typename A::Sum;
  const Problem& p = plan.problem;
  const Strides in(plan, p.input, p.in_channels), out(plan, p.output, p.out_channels);
  const KernelStrides ker(p.kernel);
  const int64_t channels = p.groups * p.in_channels, c = task % channels, g = c / p.in_channels;
  y += out.place(p, (task / channels * p.groups + g) * p.out_channels, p.out_channels);
  w += c * p.out_channels * ker.channel;
  x += in.place(p, task, p.in_channels);
  for (int64_t iz = 0; iz < p.input[0]; ++iz)
    for (int64_t iy = 0; iy < p.input[1]; ++iy)
      for (int64_t ix = 0; ix < p.input[2]; ++ix) {
        Sum sum{};
        for (int64_t kz = 0; kz < p.kernel[0]; ++kz) {
          const int64_t oz = fine(p, 0, iz, kz);
          if (oz < 0) continue;
          for (int64_t ky = 0; ky < p.kernel[1]; ++ky) {
            const int64_t oy = fine(p, 1, iy, ky);
            if (oy < 0) continue;
            for (int64_t kx = 0; kx < p.kernel[2]; ++kx) {
              const int64_t ox = fine(p, 2, ix, kx);
              if (ox < 0) continue;
              const T* cell = y + oz * out.z + oy * out.y + ox * out.x;
              const T* weight = w + kz * ker.z + ky * ker.y + kx;
              for (int64_t o = 0; o < p.out_channels; ++o)
                sum += A::load(cell[o * out.channel]) * A::load(weight[o * ker.channel]);
            }
          }
        }
        if (bias) sum += A::load(bias[c]);
        x[iz * in.z + iy * in.y + ix * in.x] = A::store(apply(plan, sum));
      }
}

template <class T> void weight_gradient_pair(const Plan& plan, int64_t task, const T* x, const T* y, T* dw) {
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
        Sum sum{};
        for (int64_t n = 0; n < p.batch; ++n) {
          const T *xn = x + n * in.batch, *yn = y + n * out.batch;
          for (int64_t iz = 0; iz < p.input[0]; ++iz) {
            const int64_t oz = fine(p, 0, iz, kz);
            if (oz < 0) continue;
            for (int64_t iy = 0; iy < p.input[1]; ++iy) {
              const int64_t oy = fine(p, 1, iy, ky);
              if (oy < 0) continue;
              for (int64_t ix = 0; ix < p.input[2]; ++ix) {
                const int64_t ox = fine(p, 2, ix, kx);
                if (ox < 0) continue;
                sum += A::load(xn[iz * in.z + iy * in.y + ix * in.x]) *
                       A::load(yn[oz * out.z + oy * out.y + ox * out.x]);
              }
            }
          }
        }
        dw[kz * ker.z + ky * ker.y + kx] = A::store(sum);
      }
}

template <class T>
void kernel(const Plan& plan, int64_t task, const void* source, const void* weight, const void* bias,
            void* target) {
  const T *s = static_cast<const T*>(source), *w = static_cast<const T*>(weight),
          *b = static_cast<const T*>(bias);
  T* t = static_cast<T*>(target);
  switch (plan.map) {
    case Map::conv_transpose: return transposed_channel<T>(plan, task, s, w, b, t);
    case Map::conv: return strided_channel<T>(plan, task, s, w, b, t);
    case Map::weight_gradient: return weight_gradient_pair<T>(plan, task, s, w, t);
  }
}

// The loops of one (batch, target channel) pair, or of one weight for the gradient.
using Kernel = void (*)(const Plan& plan, int64_t task, const void* source, const void* weight,
                        const void* bias, void* target);

Kernel kernel_of(DType dtype) {
  static constexpr Kernel table[kDTypes] = {kernel<float>,
                                            kernel<double>,
                                            kernel<Half>,
                                            kernel<Brain>,
                                            kernel<std::complex<float>>,
                                            kernel<std::complex<double>>,
                                            kernel<int8_t>,
                                            kernel<int16_t>,
                                            kernel<int32_t>,
                                            kernel<int64_t>,
                                            kernel<uint8_t>,
                                            kernel<uint16_t>,
                                            kernel<uint32_t>,
                                            kernel<uint64_t>};
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
  parallel_for(tasks_of(plan), plan.most_threads, [&](int64_t task, int) {
    kernel(plan, task, arrays.source, arrays.weight, arrays.bias, arrays.target);
  });
}

}  // namespace tconv
