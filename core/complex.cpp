#include "complex.hpp"

#include <algorithm>

#include "memory.hpp"
#include "storage.hpp"
#include "table.hpp"
#include "threads.hpp"

namespace tconv {
namespace {

// Calls plane(i) for each i in [0, planes), many small ones per task.
template <class Plane> void each_plane(const Plan& plan, int64_t planes, const Plane& plane) {
  const int64_t tasks = std::min<int64_t>(planes, 64);
  parallel_for(tasks, plan.most_threads, [&](int64_t task, int) {
    for (int64_t i = planes * task / tasks; i < planes * (task + 1) / tasks; ++i) plane(i);
  });
}

// Calls kernel(first complex weight, first of the real weights that join both real parts, from one row of
// real weights to the next, elements) for each pair of complex channels.
template <class Kernel> void each_kernel(const Plan& plan, const Kernel& kernel) {
  const Problem& p = plan.problem;
  const int64_t cells = p.kernel[0] * p.kernel[1] * p.kernel[2], width = p.out_channels / 2;
  each_plane(plan, p.groups * p.in_channels / 2, [&](int64_t i) {
    for (int64_t o = 0; o < width; ++o)
      kernel((i * width + o) * cells, (2 * i * p.out_channels + 2 * o) * cells, p.out_channels * cells,
             cells);
  });
}

// Complex planes to real ones, re and im alternating, and back. T is the type of a part.
template <class T> void split_planes(const Plan& plan, const T* from, int64_t planes, int64_t size, T* to) {
  const KernelSet<T>& kernels = kernels_for<T>(plan.isa);
  each_plane(plan, planes, [&](int64_t i) {
    for (int64_t part = 0; part < 2; ++part)
      kernels.gather(from + 2 * i * size + part, 2, size, to + (2 * i + part) * size);
  });
}

template <class T> void join_planes(const Plan& plan, const T* from, int64_t planes, int64_t size, T* to) {
  const KernelSet<T>& kernels = kernels_for<T>(plan.isa);
  each_plane(plan, planes, [&](int64_t i) {
    kernels.interleave({from + 2 * i * size, size, 2, size, 0, 2 * size, T(0), to + 2 * i * size, {}});
  });
}

// Complex weights to those of the real plan; the real plan's weight gradient to the complex one.
template <class T> void split_weights(const Plan& plan, const T* from, T* to) {
  const bool transposed = plan.map == Map::conv_transpose;  // else rows are channels of the target
  each_kernel(plan, [&](int64_t whole, int64_t real, int64_t row, int64_t cells) {
    for (int64_t k = 0; k < cells; ++k) {
      const T re = from[2 * (whole + k)], im = from[2 * (whole + k) + 1];
      T* at = to + real + k;
      at[0] = at[row + cells] = re;
      at[transposed ? cells : row] = im, at[transposed ? row : cells] = -im;
    }
  });
}

template <class T> void join_gradient(const Plan& plan, const T* from, T* to) {
  each_kernel(plan, [&](int64_t whole, int64_t real, int64_t row, int64_t cells) {
    for (int64_t k = 0; k < cells; ++k) {
      const T* at = from + real + k;
      to[2 * (whole + k)] = at[0] - at[row + cells];
      to[2 * (whole + k) + 1] = at[cells] + at[row];
    }
  });
}

// The sizes of one side of the map: planes of all channels of all batch items, and the numbers of a plane.
struct Planes {
  int64_t count, size;
  Planes(const Problem& p, int64_t channels, const Triple& extent)
      : count(p.batch * p.groups * channels / 2), size(extent[0] * extent[1] * extent[2]) {}
  int64_t numbers() const { return 2 * count * size; }
};

template <class T> void run_parts(const Setup& setup, const Method& method, const Arrays& arrays) {
  const Plan& plan = setup.plan;
  const Problem& p = plan.problem;
  const bool gradient = plan.map == Map::weight_gradient, transposed = plan.map == Map::conv_transpose;
  const auto room = [](int64_t numbers) { return Block(static_cast<size_t>(numbers) * sizeof(T)); };
  const Planes x(p, p.in_channels, p.input), y(p, p.out_channels, p.output);
  // Where channels are last, the two parts of a number already are adjacent channels.
  Block x_room, y_room;
  if (!plan.last()) x_room = room(x.numbers()), y_room = room(y.numbers());
  const auto split = [&](const void* from, bool is_x) -> const void* {
    if (plan.last()) return from;
    T* to = (is_x ? x_room : y_room).template as<T>();
    split_planes(plan, static_cast<const T*>(from), (is_x ? x : y).count, (is_x ? x : y).size, to);
    return to;
  };
  if (gradient) {
    const Block made = room(weight_count(p));
    run_method(setup, method,
               {split(arrays.source, true), nullptr, split(arrays.weight, false), nullptr, made.as<void>()});
    join_gradient(plan, made.as<T>(), static_cast<T*>(arrays.target));
    return;
  }
  // A complex bias has alternating real and imaginary parts. Packed weights are always real.
  const Block& to = transposed ? y_room : x_room;
  const Planes& made = transposed ? y : x;
  void* target = plan.last() ? arrays.target : to.as<void>();
  run_method(setup, method,
             {split(arrays.source, transposed), arrays.packed, arrays.packed, arrays.bias, target});
  if (!plan.last()) join_planes(plan, to.as<T>(), made.count, made.size, static_cast<T*>(arrays.target));
}

}  // namespace

bool is_complex(const Plan& plan) {
  const DType dtype = plan.operands.source;
  return (dtype == DType::c64 || dtype == DType::c128) && !std::holds_alternative<std::monostate>(plan.part);
}

Plan real_plan(Plan plan) {
  if (!is_complex(plan)) return plan;
  const DType part = plan.operands.source == DType::c64 ? DType::f32 : DType::f64;
  plan.operands = {part, part, part, part};
  plan.epilogue.bias = part;
  plan.problem.in_channels *= 2, plan.problem.out_channels *= 2;
  return plan;
}

int64_t complex_packed(const Setup& setup, const Method& method) {
  if (setup.plan.map == Map::weight_gradient) return 0;
  return method.packed ? method.packed(setup) : weight_count(setup.plan.problem) * weight_size(setup.plan);
}

void pack_complex(const Setup& setup, const Method& method, const void* weight, void* packed) {
  const Plan& plan = setup.plan;
  Block real;
  if (method.pack) real = Block(static_cast<size_t>(weight_count(plan.problem) * weight_size(plan)));
  void* to = method.pack ? real.as<void>() : packed;
  with_real(plan.operands.weight, [&](auto type) {
    using T = decltype(type);
    split_weights(plan, static_cast<const T*>(weight), static_cast<T*>(to));
  });
  if (method.pack) method.pack(setup, to, packed);
}

void run_complex(const Setup& setup, const Method& method, const Arrays& arrays) {
  with_real(setup.plan.operands.source, [&](auto type) { run_parts<decltype(type)>(setup, method, arrays); });
}

}  // namespace tconv
